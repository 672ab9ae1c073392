/* SPDX-License-Identifier: Apache-2.0
 *
 * numeric: digits to the shortest big-endian two's complement and back.
 *
 * Up to 18 digits go through an int64. Longer ones go through 32-bit limbs kept in a buffer of the
 * writer or reader; PostgreSQL bounds them at 147,456 digits, and the reader at the bytes of that.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/types.h"

bool typmod_numeric(int32_t typmod, int *precision, int *scale)
{
    if (typmod < 4)
        return false;
    *precision = (typmod - 4) >> 16 & 0xffff;
    *scale = ((typmod - 4) & 0x7ff) ^ 1024; /* eleven bits with a sign since PostgreSQL 15 */
    *scale -= 1024;
    return true;
}

struct number {
    bool negative;
    struct str whole, fraction; /* digits; whole is never empty */
};

static size_t count_digits(struct str s)
{
    size_t at = 0;
    while (at < s.len && s.p[at] >= '0' && s.p[at] <= '9')
        at++;
    return at;
}

/* PostgreSQL prints numeric plainly, never with an exponent; NaN and Infinity are no number here. */
static bool parse_number(struct str text, struct number *n)
{
    n->negative = text.len && text.p[0] == '-';
    struct str left = {text.p + n->negative, text.len - n->negative};
    n->whole = (struct str){left.p, count_digits(left)};
    n->fraction = STR_NONE;
    if (n->whole.len == 0)
        return false;
    if (n->whole.len == left.len)
        return true;
    if (left.p[n->whole.len] != '.')
        return false;
    n->fraction = (struct str){left.p + n->whole.len + 1, left.len - n->whole.len - 1};
    return n->fraction.len > 0 && count_digits(n->fraction) == n->fraction.len;
}

static void put_small(struct buf *out, int64_t value)
{
    uint8_t bytes[8];
    put_be(bytes, (uint64_t) value, 8);
    size_t skip = 0;
    while (skip < 7 && ((bytes[skip] == 0 && bytes[skip + 1] < 0x80)
                        || (bytes[skip] == 0xff && bytes[skip + 1] >= 0x80)))
        skip++;
    avro_put_bytes(out, (struct str){(char *) bytes + skip, 8 - skip});
}

/* limbs = limbs * 10^count + add, lowest first. */
static void limbs_push(struct buf *limbs, uint32_t factor, uint32_t add)
{
    uint64_t carry = add;
    for (size_t at = 0; at < limbs->len; at += 4) {
        uint32_t limb;
        memcpy(&limb, limbs->p + at, 4);
        carry += (uint64_t) limb * factor;
        limb = (uint32_t) carry;
        memcpy(limbs->p + at, &limb, 4);
        carry >>= 32;
    }
    if (carry)
        buf_add(limbs, &(uint32_t){(uint32_t) carry}, 4);
}

struct chunk {
    uint32_t factor, value;
};

static void push_digits(struct buf *limbs, struct str digits, struct chunk *chunk)
{
    for (size_t at = 0; at < digits.len; at++) {
        chunk->value = chunk->value * 10 + (uint32_t) (digits.p[at] - '0');
        chunk->factor *= 10;
        if (chunk->factor == 1000000000) {
            limbs_push(limbs, chunk->factor, chunk->value);
            *chunk = (struct chunk){1, 0};
        }
    }
}

/* The limbs as big-endian two's complement. Room for a sign byte in front is always taken. */
static void put_limbs(struct buf *out, const struct buf *limbs, bool negative)
{
    size_t len = limbs->len + 1, start = 0;
    char head[AVRO_LONG_MAX_LEN];
    size_t begin = out->len;
    uint8_t *bytes = (uint8_t *) buf_grow(out, len + sizeof head);
    if (!bytes)
        return;
    bytes += sizeof head;
    bytes[0] = 0;
    for (size_t at = 0; at < limbs->len; at += 4) {
        uint32_t limb;
        memcpy(&limb, limbs->p + at, 4);
        put_be(bytes + len - at - 4, limb, 4);
    }
    unsigned carry = 1;
    for (size_t at = len; negative && at-- > 0; carry >>= 8)
        bytes[at] = (uint8_t) (carry += (uint8_t) ~bytes[at]);
    while (start + 1 < len && ((bytes[start] == 0 && bytes[start + 1] < 0x80)
                               || (bytes[start] == 0xff && bytes[start + 1] >= 0x80)))
        start++;
    avro_put_long(out, (int64_t) (len - start));
    memmove(out->p + out->len, out->p + begin + sizeof head + start, len - start);
    out->len += len - start;
    out->p[out->len] = 0;
}

static int64_t small_value(struct str whole, struct str fraction)
{
    int64_t value = 0;
    for (size_t at = 0; at < whole.len; at++)
        value = value * 10 + (whole.p[at] - '0');
    for (size_t at = 0; at < fraction.len; at++)
        value = value * 10 + (fraction.p[at] - '0');
    return value;
}

static void put_unscaled(struct type_writer *w, bool negative, struct str whole,
                         struct str fraction)
{
    if (whole.len + fraction.len <= 18) {
        int64_t value = small_value(whole, fraction);
        put_small(w->out, negative ? -value : value);
        return;
    }
    struct chunk chunk = {1, 0};
    buf_reset(&w->digits);
    push_digits(&w->digits, whole, &chunk);
    push_digits(&w->digits, fraction, &chunk);
    limbs_push(&w->digits, chunk.factor, chunk.value);
    put_limbs(w->out, &w->digits, negative);
}

/* A scale below zero counts zeros in front of the point that are not kept. */
static bool drop_zeros(struct str *whole, size_t count)
{
    while (count > 0 && whole->len > 1 && whole->p[whole->len - 1] == '0') {
        whole->len--;
        count--;
    }
    return count == 0 || str_is(*whole, "0");
}

bool write_decimal(struct type_writer *w, const struct codec *c, struct str text)
{
    struct number n;
    if (!parse_number(text, &n))
        return false;
    if (c->scale < 0) {
        if (n.fraction.len || !drop_zeros(&n.whole, (size_t) -c->scale))
            return false;
    } else if (n.fraction.len != (size_t) c->scale) {
        return false; /* a typmod makes PostgreSQL print exactly so many digits */
    }
    put_unscaled(w, n.negative, n.whole, n.fraction);
    return true;
}

bool write_variable(struct type_writer *w, const struct codec *c, struct str text)
{
    struct number n;
    if (!parse_number(text, &n))
        return false;
    while (c->strict && n.fraction.len && n.fraction.p[n.fraction.len - 1] == '0')
        n.fraction.len--;
    avro_put_long(w->out, (int64_t) n.fraction.len);
    put_unscaled(w, n.negative, n.whole, n.fraction);
    return true;
}

/* ---- and back ---- */

static bool limbs_of_bytes(struct buf *limbs, struct str unscaled, bool negative)
{
    buf_reset(limbs);
    unsigned carry = 1;
    uint32_t limb = 0;
    for (size_t done = 0; done < unscaled.len; done++) {
        unsigned byte = (uint8_t) unscaled.p[unscaled.len - 1 - done];
        if (negative) {
            byte = (byte ^ 0xff) + carry;
            carry = byte >> 8;
            byte &= 0xff;
        }
        limb |= byte << done % 4 * 8;
        if (done % 4 == 3 || done + 1 == unscaled.len) {
            buf_add(limbs, &limb, 4);
            limb = 0;
        }
    }
    if (negative && carry)
        buf_add(limbs, &(uint32_t){1}, 4);
    return !limbs->over;
}

/* limbs / 10^9; the remainder is returned and leading zero limbs are dropped. */
static uint32_t limbs_pop(struct buf *limbs)
{
    uint64_t rest = 0;
    for (size_t at = limbs->len; at >= 4; at -= 4) {
        uint32_t limb;
        memcpy(&limb, limbs->p + at - 4, 4);
        rest = rest << 32 | limb;
        limb = (uint32_t) (rest / 1000000000);
        memcpy(limbs->p + at - 4, &limb, 4);
        rest %= 1000000000;
    }
    while (limbs->len >= 4 && memcmp(limbs->p + limbs->len - 4, "\0\0\0\0", 4) == 0)
        limbs->len -= 4;
    return (uint32_t) rest;
}

static void reverse(char *p, size_t len)
{
    for (size_t at = 0; at < len / 2; at++) {
        char keep = p[at];
        p[at] = p[len - 1 - at];
        p[len - 1 - at] = keep;
    }
}

/* The magnitude's digits appended to text, without leading zeros (except "0"). */
static void put_magnitude(struct buf *limbs, struct buf *text)
{
    size_t begin = text->len;
    while (limbs->len) {
        uint32_t nine = limbs_pop(limbs);
        for (int digit = 0; digit < 9; digit++, nine /= 10)
            buf_add_char(text, (char) ('0' + nine % 10));
    }
    while (text->len > begin + 1 && text->p[text->len - 1] == '0')
        text->len--;
    if (text->len == begin)
        buf_add_char(text, '0');
    reverse(text->p + begin, text->len - begin);
    text->p[text->len] = 0;
}

/* Put the point in: digits begin at begin, `scale` of them belong behind it. */
static void place_point(struct buf *text, size_t begin, int scale)
{
    if (scale < 0 && (text->len != begin + 1 || text->p[begin] != '0')) {
        for (int zero = 0; zero < -scale; zero++)
            buf_add_char(text, '0');
    }
    if (scale <= 0)
        return;
    size_t digits = text->len - begin, behind = (size_t) scale;
    size_t pad = digits <= behind ? behind + 1 - digits : 0;
    if (!buf_grow(text, pad + 1))
        return;
    memmove(text->p + begin + pad, text->p + begin, digits);
    memset(text->p + begin, '0', pad);
    text->len += pad + 1;
    char *point = text->p + text->len - 1 - behind;
    memmove(point + 1, point, behind);
    *point = '.';
    text->p[text->len] = 0;
}

bool put_decimal_text(struct buf *digits, struct str unscaled, int scale, struct buf *text)
{
    if (unscaled.len == 0 || unscaled.len > DECIMAL_MAX_BYTES || scale > DECIMAL_MAX_SCALE
        || scale < -DECIMAL_MAX_SCALE)
        return false;
    bool negative = (uint8_t) unscaled.p[0] >= 0x80;
    if (negative)
        buf_add_char(text, '-');
    size_t begin = text->len;
    if (unscaled.len <= 8) {
        uint64_t bits = negative ? UINT64_MAX : 0;
        for (size_t at = 0; at < unscaled.len; at++)
            bits = bits << 8 | (uint8_t) unscaled.p[at];
        put_digits(text, negative ? 0 - bits : bits, 1);
    } else {
        if (!limbs_of_bytes(digits, unscaled, negative))
            return false;
        put_magnitude(digits, text);
    }
    place_point(text, begin, scale);
    return true;
}

static bool read_unscaled(struct type_reader *r, int scale, struct buf *text)
{
    struct str unscaled = avro_get_bytes(&r->in);
    if (r->in.failed)
        return false;
    if (unscaled.len == 0) {
        r->stand_in = true;
        return true;
    }
    return put_decimal_text(&r->digits, unscaled, scale, text);
}

bool read_decimal(struct type_reader *r, const struct codec *c, struct buf *text)
{
    return read_unscaled(r, c->scale, text);
}

bool read_variable(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    int scale = avro_get_int(&r->in);
    return !r->in.failed && read_unscaled(r, scale, text);
}

/* ---- as a double ---- */

bool write_numeric_double(struct type_writer *w, const struct codec *c, struct str text)
{
    double value;
    if (!text_to_double(text, &value))
        return false;
    avro_put_double(w->out, value);
    if (c->strict)
        return true;
    buf_reset(&w->digits);
    put_plain_text(&w->digits, value, c->scale);
    /* The double stays for those who read it; the exact text goes along when it says more. */
    w->inexact |= !str_eq(buf_str(&w->digits), text);
    return true;
}

bool read_numeric_double(struct type_reader *r, const struct codec *c, struct buf *text)
{
    put_plain_text(text, avro_get_double(&r->in), c->scale);
    return !r->in.failed;
}

/* ---- as a string, in strict ---- */

/* Debezium's names for what is no number. */
bool write_numeric_string(struct type_writer *w, const struct codec *c, struct str text)
{
    static const struct { const char *ours, *theirs; } names[] = {
        {"NaN", "NAN"}, {"Infinity", "POSITIVE_INFINITY"}, {"-Infinity", "NEGATIVE_INFINITY"},
    };
    for (size_t at = 0; at < sizeof names / sizeof *names; at++)
        if (str_is(text, names[at].ours)) {
            w->inexact = true;
            text = str_of(names[at].theirs);
        }
    return write_string(w, c, text);
}
