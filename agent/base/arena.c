/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks double from 4 KB to 1 MB; a larger request gets a block of its own. A reset keeps the
 * newest block, which is the largest that the loop has needed so far (but no giant).
 */
#include "agent/base/arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BLOCK_MIN ((size_t) 4096)
#define BLOCK_MAX ((size_t) 1 << 20)
#define EXIT_OUT_OF_MEMORY 71

struct arena_block {
    struct arena_block *older;
    size_t room, used;
    alignas(max_align_t) char bytes[];
};

static _Noreturn void die_out_of_memory(const char *what, size_t len)
{
    fprintf(stderr, "tailrace: out of memory: %s asked for %zu bytes more; nothing is lost, "
                    "raise the limit of that option or the memory of the machine\n", what, len);
    _exit(EXIT_OUT_OF_MEMORY);
}

void *mem_alloc(size_t len)
{
    void *p = malloc(len ? len : 1);
    if (!p)
        die_out_of_memory("the heap", len);
    return p;
}

void *mem_zalloc(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1);
    if (!p)
        die_out_of_memory("the heap", count);
    return p;
}

void *mem_realloc(void *old, size_t len)
{
    void *p = realloc(old, len ? len : 1);
    if (!p)
        die_out_of_memory("the heap", len);
    return p;
}

char *mem_strndup(struct str s)
{
    char *copy = mem_alloc(s.len + 1);
    if (s.len)
        memcpy(copy, s.p, s.len);
    copy[s.len] = 0;
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(str_of(text));
}

void arena_init(struct arena *a, size_t cap_bytes, const char *name)
{
    *a = (struct arena){.cap_bytes = cap_bytes, .name = name};
}

static struct arena_block *arena_grow(struct arena *a, size_t len)
{
    size_t room = a->head ? a->head->room * 2 : BLOCK_MIN;
    room = room > BLOCK_MAX ? BLOCK_MAX : room;
    room = room < len ? len : room;
    struct arena_block *block = mem_alloc(sizeof *block + room);
    *block = (struct arena_block){.older = a->head, .room = room};
    a->head = block;
    return block;
}

void *arena_alloc(struct arena *a, size_t len)
{
    const size_t align = alignof(max_align_t);
    if (len > SIZE_MAX - align || (a->cap_bytes && len > a->cap_bytes - a->used_bytes))
        die_out_of_memory(a->name, len);
    len = (len + align - 1) / align * align;
    struct arena_block *block = a->head;
    if (!block || block->room - block->used < len)
        block = arena_grow(a, len);
    void *p = block->bytes + block->used;
    block->used += len;
    a->used_bytes += len;
    if (a->cap_bytes && a->used_bytes > a->cap_bytes)
        a->used_bytes = a->cap_bytes;
    return p;
}

void *arena_zalloc(struct arena *a, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        die_out_of_memory(a->name, SIZE_MAX);
    return memset(arena_alloc(a, count * size), 0, count * size);
}

struct str arena_str(struct arena *a, struct str s)
{
    char *copy = arena_alloc(a, s.len + 1);
    if (s.len)
        memcpy(copy, s.p, s.len);
    copy[s.len] = 0;
    return (struct str){copy, s.len};
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    size_t size = len < 0 ? 0 : (size_t) len;
    char *text = arena_alloc(a, size + 1);
    vsnprintf(text, size + 1, fmt, again);
    va_end(again);
    va_end(args);
    return (struct str){text, size};
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = a->head && a->head->room <= BLOCK_MAX ? a->head : NULL;
    struct arena_block *block = keep ? keep->older : a->head;
    while (block) {
        struct arena_block *older = block->older;
        free(block);
        block = older;
    }
    if (keep) {
        keep->older = NULL;
        keep->used = 0;
    }
    a->head = keep;
    a->used_bytes = 0;
}

void arena_free(struct arena *a)
{
    arena_reset(a);
    free(a->head);
    a->head = NULL;
}
