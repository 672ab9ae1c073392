/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "schemas/avro.h"

size_t avro_long_bytes(int64_t value, uint8_t out[AVRO_LONG_MAX_LEN])
{
    uint64_t left = (uint64_t) value << 1 ^ (value < 0 ? UINT64_MAX : 0);
    size_t len = 0;
    while (left >= 0x80) {
        out[len++] = (uint8_t) (left | 0x80);
        left >>= 7;
    }
    out[len++] = (uint8_t) left;
    return len;
}

void avro_put_long(struct buf *b, int64_t value)
{
    uint8_t *at = (uint8_t *) buf_grow(b, AVRO_LONG_MAX_LEN);
    if (!at)
        return;
    b->len += avro_long_bytes(value, at);
    b->p[b->len] = 0;
}

void avro_put_bool(struct buf *b, bool value)
{
    buf_add_char(b, value ? 1 : 0);
}

static void put_le(struct buf *b, uint64_t bits, size_t len)
{
    uint8_t bytes[8];
    for (size_t at = 0; at < len; at++)
        bytes[at] = (uint8_t) (bits >> 8 * at);
    buf_add(b, bytes, len);
}

void avro_put_float(struct buf *b, float value)
{
    uint32_t bits = 0x7fc00000;
    if (!isnan(value))
        memcpy(&bits, &value, sizeof bits);
    put_le(b, bits, 4);
}

void avro_put_double(struct buf *b, double value)
{
    uint64_t bits = UINT64_C(0x7ff8000000000000);
    if (!isnan(value))
        memcpy(&bits, &value, sizeof bits);
    put_le(b, bits, 8);
}

void avro_put_bytes(struct buf *b, struct str bytes)
{
    avro_put_long(b, (int64_t) bytes.len);
    buf_add_str(b, bytes);
}

void avro_put_wire(struct buf *b, int schema_id)
{
    uint8_t head[AVRO_WIRE_LEN] = {0};
    put_be(head + 1, (uint64_t) (unsigned) schema_id, 4);
    buf_add(b, head, sizeof head);
}

int64_t avro_get_long(struct cursor *c)
{
    uint64_t bits = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = cursor_u8(c);
        if (c->failed || (shift == 63 && byte > 1))
            break;
        bits |= (uint64_t) (byte & 0x7f) << shift;
        if (byte < 0x80)
            return (int64_t) (bits >> 1 ^ (bits & 1 ? UINT64_MAX : 0));
    }
    c->failed = true;
    return 0;
}

int32_t avro_get_int(struct cursor *c)
{
    int64_t value = avro_get_long(c);
    if (value < INT32_MIN || value > INT32_MAX) {
        c->failed = true;
        return 0;
    }
    return (int32_t) value;
}

int avro_get_index(struct cursor *c, int limit)
{
    int64_t value = avro_get_long(c);
    if (value < 0 || value >= limit) {
        c->failed = true;
        return 0;
    }
    return (int) value;
}

bool avro_get_bool(struct cursor *c)
{
    uint8_t byte = cursor_u8(c);
    if (byte > 1)
        c->failed = true;
    return byte == 1;
}

static uint64_t get_le(struct cursor *c, size_t len)
{
    struct str s = cursor_bytes(c, len);
    uint64_t bits = 0;
    for (size_t at = s.len; at-- > 0;)
        bits = bits << 8 | (uint8_t) s.p[at];
    return bits;
}

float avro_get_float(struct cursor *c)
{
    uint32_t bits = (uint32_t) get_le(c, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

double avro_get_double(struct cursor *c)
{
    uint64_t bits = get_le(c, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

struct str avro_get_bytes(struct cursor *c)
{
    int64_t len = avro_get_long(c);
    if (c->failed || len < 0 || (uint64_t) len > c->left) {
        c->failed = true;
        return STR_NONE;
    }
    return cursor_bytes(c, (size_t) len);
}

int64_t avro_get_block(struct cursor *c)
{
    int64_t count = avro_get_long(c);
    if (count < 0 && !c->failed) {
        int64_t size = avro_get_long(c); /* given so that a reader may skip; we do not need it */
        if (count == INT64_MIN || size < 0)
            c->failed = true;
        else
            count = -count;
    }
    if (c->failed || (uint64_t) count > c->left) {
        c->failed = true;
        return 0;
    }
    return count;
}

int avro_get_wire(struct cursor *c)
{
    uint8_t magic = cursor_u8(c);
    uint32_t id = cursor_u32(c);
    if (c->failed || magic != 0 || id == 0 || id > INT32_MAX) {
        c->failed = true;
        return 0;
    }
    return (int) id;
}
