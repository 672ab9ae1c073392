/* SPDX-License-Identifier: Apache-2.0
 *
 * A bounded reader of network-order bytes.
 *
 * A read that would pass the end reads nothing, returns zero and sets failed, which stays set:
 * a parser reads a whole message and checks once.
 */
#ifndef TR_BASE_CURSOR_H
#define TR_BASE_CURSOR_H

#include "agent/base/str.h"

struct cursor {
    const uint8_t *p;
    size_t left;
    bool failed;
};

static inline struct cursor cursor_of(struct str bytes)
{
    return (struct cursor){(const uint8_t *) bytes.p, bytes.len, false};
}

/* The next len bytes, borrowed; the empty string and failed when fewer are left. */
static inline struct str cursor_bytes(struct cursor *c, size_t len)
{
    if (c->failed || len > c->left) {
        c->failed = true;
        return STR_NONE;
    }
    struct str s = {(const char *) c->p, len};
    c->p += len;
    c->left -= len;
    return s;
}

static inline uint64_t cursor_uint(struct cursor *c, size_t len)
{
    struct str s = cursor_bytes(c, len);
    uint64_t value = 0;
    for (size_t at = 0; at < s.len; at++)
        value = value << 8 | (uint8_t) s.p[at];
    return value;
}

static inline uint8_t cursor_u8(struct cursor *c) { return (uint8_t) cursor_uint(c, 1); }
static inline uint16_t cursor_u16(struct cursor *c) { return (uint16_t) cursor_uint(c, 2); }
static inline uint32_t cursor_u32(struct cursor *c) { return (uint32_t) cursor_uint(c, 4); }
static inline uint64_t cursor_u64(struct cursor *c) { return cursor_uint(c, 8); }

/* Bytes up to a NUL, which is passed over; failed when there is none. */
static inline struct str cursor_cstr(struct cursor *c)
{
    const uint8_t *nul = c->failed || !c->left ? NULL : memchr(c->p, 0, c->left);
    if (!nul) {
        c->failed = true;
        return STR_NONE;
    }
    struct str s = cursor_bytes(c, (size_t) (nul - c->p));
    (void) cursor_bytes(c, 1);
    return s;
}

/* Network-order writers, the reverse. */
static inline void put_be(uint8_t *out, uint64_t value, size_t len)
{
    for (size_t at = len; at-- > 0; value >>= 8)
        out[at] = (uint8_t) value;
}

/* Append value as so many bytes, at most 8, big-endian. */
static inline void buf_add_be(struct buf *out, uint64_t value, size_t len)
{
    uint8_t bytes[8];
    put_be(bytes, value, len);
    buf_add(out, bytes, len);
}

#endif
