/* SPDX-License-Identifier: Apache-2.0
 *
 * Bump memory with a lifetime and a byte cap.
 *
 * An arena hands out memory that lives until the next arena_reset or arena_free. Lifetimes are
 * named by who resets: process, route, batch, event. Passing the arena says where a result lives.
 * There is no NULL to check: a malloc that fails, or a cap that is passed, ends the process with
 * exit code 71 and the name of the option to raise. The process is safe to end at any instant
 * (every durable step is atomic), so this is a restart and not a loss; callers that take input of
 * unknown size look at arena_used before they take more.
 *
 * Not for use by two threads at once.
 */
#ifndef TR_BASE_ARENA_H
#define TR_BASE_ARENA_H

#include "agent/base/str.h"

struct arena_block;

struct arena {
    struct arena_block *head; /* the block in use; older ones follow */
    size_t used_bytes;        /* handed out since the last reset */
    size_t cap_bytes;         /* 0 = no cap */
    const char *name;         /* option to raise, for the message */
};

/* An empty arena; name is borrowed for life. Allocates nothing yet. */
void arena_init(struct arena *a, size_t cap_bytes, const char *name);

/* len bytes aligned for any type, not cleared; never NULL. */
void *arena_alloc(struct arena *a, size_t len) __attribute__((malloc, returns_nonnull));

/* The same, cleared; count * size is checked for overflow. */
void *arena_zalloc(struct arena *a, size_t count, size_t size) __attribute__((returns_nonnull));

/* A copy of s in the arena, followed by a NUL that len does not count. */
struct str arena_str(struct arena *a, struct str s);

/* A formatted text in the arena, NUL-terminated. */
struct str arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Bytes handed out since the last reset. */
static inline size_t arena_used(const struct arena *a)
{
    return a->used_bytes;
}

/* Forget everything handed out; keeps one block so that a loop does not malloc. */
void arena_reset(struct arena *a);

/* Give all memory back. */
void arena_free(struct arena *a);

/* malloc, calloc, realloc and strdup that end the process as above instead of returning NULL. */
void *mem_alloc(size_t len) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t count, size_t size) __attribute__((returns_nonnull));
void *mem_realloc(void *p, size_t len) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((returns_nonnull));
char *mem_strndup(struct str s) __attribute__((returns_nonnull));

#endif
