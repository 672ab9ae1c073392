/* SPDX-License-Identifier: Apache-2.0
 *
 * Headers and tr-seq. Lengths are unsigned varints (seven bits a byte, low ones first), so that a
 * header costs its own bytes plus two.
 */
#include "agent/base/cursor.h"
#include "schemas/event.h"

/* The counter is the offset plus one: 0 is never a sequence number, so a hole at the very start of
 * an epoch shows as well. */
void event_seq(const struct event *ev, uint8_t out[TR_SEQ_LEN])
{
    put_be(out, ev->epoch, 4);
    put_be(out + 4, ev->offset + 1, 8);
}

static void put_part(struct buf *headers, struct str part)
{
    uint8_t bytes[10];
    size_t len = 0, left = part.len;
    for (; left >= 0x80; left >>= 7)
        bytes[len++] = (uint8_t) (left | 0x80);
    bytes[len++] = (uint8_t) left;
    buf_add(headers, bytes, len);
    buf_add_str(headers, part);
}

void headers_add(struct buf *headers, struct str name, struct str value)
{
    put_part(headers, name);
    put_part(headers, value);
}

static struct str get_part(struct cursor *c)
{
    uint64_t len = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
        uint8_t byte = cursor_u8(c);
        len |= (uint64_t) (byte & 0x7f) << shift;
        if (byte < 0x80)
            return cursor_bytes(c, c->failed || len > c->left ? SIZE_MAX : (size_t) len);
    }
    c->failed = true;
    return STR_NONE;
}

bool headers_next(struct str headers, size_t *at, struct str *name, struct str *value)
{
    if (*at >= headers.len)
        return false;
    struct cursor c = cursor_of((struct str){headers.p + *at, headers.len - *at});
    *name = get_part(&c);
    *value = get_part(&c);
    if (c.failed)
        return false;
    *at = headers.len - c.left;
    return true;
}

bool headers_find(struct str headers, const char *name, struct str *value)
{
    struct str one;
    for (size_t at = 0; headers_next(headers, &at, &one, value);)
        if (str_is(one, name))
            return true;
    return false;
}
