/* SPDX-License-Identifier: Apache-2.0
 *
 * Borrowed bytes and growable bytes.
 *
 * struct str never owns: it points into an arena, a buf, a literal or a message, and is valid as
 * long as that is. It is not terminated by NUL. struct buf owns its bytes and has a limit: what
 * does not fit is refused, never cut.
 */
#ifndef TR_BASE_STR_H
#define TR_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

struct str {
    const char *p; /* NULL only when len is 0 */
    size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NONE ((struct str){NULL, 0})
/* For printf's "%.*s"; a text longer than INT_MAX prints empty. */
#define STR_ARG(s) ((s).len <= 0x7fffffff ? (int) (s).len : 0), ((s).p ? (s).p : "")

/* A view of a C string; NULL gives the empty one. */
static inline struct str str_of(const char *text)
{
    return (struct str){text, text ? strlen(text) : 0};
}

/* Same bytes. */
static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* Same bytes as a C string. */
static inline bool str_is(struct str a, const char *text)
{
    return str_eq(a, str_of(text));
}

/* Bytewise order, shorter first when one starts with the other: <0, 0, >0. */
int str_cmp(struct str a, struct str b);

/* s begins with prefix. */
bool str_starts(struct str s, const char *prefix);

/* Whole decimal text (optional '-') as int64; false when it is not one or does not fit. */
bool str_to_i64(struct str s, int64_t *out) MUST_CHECK;

/* Whole decimal text as uint64; false when it is not one or does not fit. */
bool str_to_u64(struct str s, uint64_t *out) MUST_CHECK;

/* What a hexadecimal digit of either case is worth; -1 for another character. */
int str_hex_digit(char c);
/* 2 * len digits, of lower case only, as bytes; false when there are others. to is then undefined. */
bool str_to_bytes(struct str hex, uint8_t *to, size_t len) MUST_CHECK;

/* PostgreSQL LSN text "16/B374D848" as a number; false when malformed. */
bool str_to_lsn(struct str s, uint64_t *out) MUST_CHECK;

/* LSN as PostgreSQL prints it; out has room for LSN_TEXT_LEN bytes. Returns out. */
#define LSN_TEXT_LEN 20
const char *lsn_text(uint64_t lsn, char out[LSN_TEXT_LEN]);
/* A temporary with the text of an LSN, for one printf call. */
#define LSN_STR(lsn) lsn_text((lsn), (char[LSN_TEXT_LEN]){0})

/* Shell-like pattern with '*' and '?' over the whole text (no classes, no escapes). Linear in
 * text times pattern, no recursion. */
bool str_match(struct str pattern, struct str text);

/* Fewest single-character edits between two names, for "did you mean"; both cut at 63 bytes. */
unsigned str_distance(struct str a, struct str b);

/* ---- growable bytes ---- */

struct buf {
    char *p;      /* always followed by a NUL beyond len, when p is set */
    size_t len;
    size_t room;  /* allocated */
    size_t max;   /* limit of len; 0 means BUF_MAX_DEFAULT */
    bool over;    /* something did not fit since the last buf_reset: contents are incomplete */
};

#define BUF_MAX_DEFAULT ((size_t) 1 << 30)
#define BUF_INIT ((struct buf){0})

/* Append; past max the bytes are refused and over is set, so that a run of appends is checked
 * once at its end. Out of memory ends the process (see arena.h). */
void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_add_str(struct buf *b, struct str s);
void buf_add_text(struct buf *b, const char *text);
void buf_add_char(struct buf *b, char c);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vaddf(struct buf *b, const char *fmt, va_list args) PRINTF_LIKE(2, 0);

/* A JSON string with its quotes; bytes that are no UTF-8 become U+FFFD. */
void buf_add_json(struct buf *b, struct str s);

/* Make room for len more bytes and return where they go; the caller then adds to len what it
 * wrote. NULL, with over set, past max. */
char *buf_grow(struct buf *b, size_t len);

/* Forget the contents, keep the memory. */
void buf_reset(struct buf *b);

/* Give the memory back; b is empty and usable afterwards. */
void buf_free(struct buf *b);

/* What b holds, until its next change. */
static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->len};
}

#endif
