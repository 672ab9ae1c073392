/* SPDX-License-Identifier: Apache-2.0
 *
 * bool, integers and floats.
 *
 * A float's text must come back byte for byte, so the reader prints as PostgreSQL does: the
 * shortest digits that name the number, without using the exact middle between two floats (its
 * Ryu leaves the bounds out), plain between 1e-4 and 1e15 (float4: 1e6), else with an exponent.
 */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "schemas/types.h"

void put_digits(struct buf *text, uint64_t value, int width)
{
    char digits[20];
    int at = 20;
    do
        digits[--at] = (char) ('0' + value % 10);
    while (value /= 10);
    while (at > 20 - width)
        digits[--at] = '0';
    buf_add(text, digits + at, (size_t) (20 - at));
}

void put_signed(struct buf *text, int64_t value)
{
    if (value < 0)
        buf_add_char(text, '-');
    put_digits(text, value < 0 ? 0 - (uint64_t) value : (uint64_t) value, 1);
}

bool write_bool(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    avro_put_bool(w->out, str_is(text, "t"));
    return text.len == 1 && (text.p[0] == 't' || text.p[0] == 'f');
}

bool read_bool(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    buf_add_char(text, avro_get_bool(&r->in) ? 't' : 'f');
    return !r->in.failed;
}

static bool write_integer(struct type_writer *w, struct str text, int64_t low, int64_t high)
{
    int64_t value;
    if (!str_to_i64(text, &value) || value < low || value > high)
        return false;
    avro_put_long(w->out, value);
    return true;
}

bool write_int2(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    return write_integer(w, text, INT16_MIN, INT16_MAX);
}

bool write_int4(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    return write_integer(w, text, INT32_MIN, INT32_MAX);
}

bool write_int8(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    return write_integer(w, text, INT64_MIN, INT64_MAX);
}

bool write_oid(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    return write_integer(w, text, 0, UINT32_MAX);
}

bool read_int(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    put_signed(text, avro_get_int(&r->in));
    return !r->in.failed;
}

bool read_long(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    put_signed(text, avro_get_long(&r->in));
    return !r->in.failed;
}

/* ---- text to float ---- */

/* A decimal number as digits and a power of ten; false when it is none or has too many digits for
 * the exact short way. */
static bool short_decimal(struct str text, uint64_t *digits, int *power)
{
    size_t at = text.len && text.p[0] == '-';
    int count = 0, behind = 0, exponent = 0;
    bool point = false;
    *digits = 0;
    for (; at < text.len && (text.p[at] == '.' || (text.p[at] >= '0' && text.p[at] <= '9')); at++) {
        if (text.p[at] == '.') {
            if (point)
                return false;
            point = true;
            continue;
        }
        *digits = *digits * 10 + (uint64_t) (text.p[at] - '0');
        behind += point;
        if (++count > 18)
            return false;
    }
    if (at < text.len) {
        struct str tail = {text.p + at + 1, text.len - at - 1};
        int64_t value;
        if (text.p[at] != 'e' || !tail.len)
            return false;
        if (tail.p[0] == '+')
            tail = (struct str){tail.p + 1, tail.len - 1};
        if (!str_to_i64(tail, &value) || value < -400 || value > 400)
            return false;
        exponent = (int) value;
    }
    *power = exponent - behind;
    return count > 0;
}

/* Exact when both parts are exact as doubles: one rounding is left (Clinger 1990). */
static bool fast_double(struct str text, double *out)
{
    static const double tens[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    uint64_t digits;
    int power;
    if (!short_decimal(text, &digits, &power) || digits > UINT64_C(1) << 53 || power < -22 || power > 22)
        return false;
    double value = power < 0 ? (double) digits / tens[-power] : (double) digits * tens[power];
    *out = text.p[0] == '-' ? -value : value;
    return true;
}

/* Only digits, sign, point and exponent: strtod alone would take hexadecimal and blanks too. */
static bool is_number(struct str text)
{
    if (str_is(text, "NaN") || str_is(text, "Infinity") || str_is(text, "-Infinity"))
        return true;
    for (size_t at = 0; at < text.len; at++)
        if (!memchr("0123456789+-.e", text.p[at], 14))
            return false;
    return text.len > 0;
}

static bool copy_number(struct str text, char out[64])
{
    if (text.len >= 64 || !is_number(text))
        return false;
    memcpy(out, text.p, text.len);
    out[text.len] = 0;
    return true;
}

bool text_to_double(struct str text, double *out)
{
    char copy[64], *end;
    if (fast_double(text, out))
        return true;
    if (copy_number(text, copy)) {
        *out = strtod(copy, &end);
        return *end == 0;
    }
    if (!is_number(text) || text.len > 200000)
        return false;
    char *longer = mem_strndup(text); /* numeric in double mode only: digits without end */
    *out = strtod(longer, &end);
    bool whole = *end == 0;
    free(longer);
    return whole;
}

bool text_to_float(struct str text, float *out)
{
    char copy[64], *end;
    if (!copy_number(text, copy))
        return false;
    *out = strtof(copy, &end);
    return *end == 0;
}

bool write_float4(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    float value;
    if (!text_to_float(text, &value))
        return false;
    avro_put_float(w->out, value);
    return true;
}

bool write_float8(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    double value;
    if (!text_to_double(text, &value))
        return false;
    avro_put_double(w->out, value);
    return true;
}

/* ---- float to text ---- */

/* Whether digits * 10^power is the exact middle between value and a neighbour. Both sides with
 * their twos taken out: middle = odd * 2^x, digits * 5^power * 2^y. */
static bool is_middle(uint64_t digits, int power, double value, bool single)
{
    int exponent;
    int bits = single ? FLT_MANT_DIG : DBL_MANT_DIG;
    uint64_t mantissa = (uint64_t) ldexp(frexp(value, &exponent), bits) << 1;
    while (digits && digits % 2 == 0)
        digits /= 2;
    for (int side = -1; side <= 1; side += 2) {
        uint64_t middle = side < 0 ? mantissa - 1 : mantissa + 1, left = digits;
        bool fits = true;
        for (int step = 0; fits && step < power; step++)
            fits = !__builtin_mul_overflow(left, UINT64_C(5), &left);
        for (int step = 0; fits && step < -power; step++)
            fits = !__builtin_mul_overflow(middle, UINT64_C(5), &middle);
        if (fits && left == middle)
            return true;
    }
    return false;
}

struct digits {
    char text[24]; /* without trailing zeros */
    int count;
    int power;     /* of ten, of the first digit */
};

/* value's first `count` digits, correctly rounded. */
static void take_digits(struct digits *d, double value, int count)
{
    char text[48];
    snprintf(text, sizeof text, "%.*e", count - 1, value);
    char *e = strchr(text, 'e');
    d->power = (int) strtol(e + 1, NULL, 10);
    d->count = 0;
    for (char *at = text; at < e && d->count < 20; at++)
        if (*at != '.')
            d->text[d->count++] = *at;
    while (d->count > 1 && d->text[d->count - 1] == '0')
        d->count--;
    d->text[d->count] = 0;
}

static bool names_value(const struct digits *d, double value, bool single)
{
    char text[48];
    snprintf(text, sizeof text, "%se%d", d->text, d->power - d->count + 1);
    double back = single ? (double) strtof(text, NULL) : strtod(text, NULL);
    uint64_t digits = strtoull(d->text, NULL, 10);
    return back == value && !is_middle(digits, d->power - d->count + 1, value, single);
}

/* The next number of so many digits. */
static void step_up(struct digits *d, int count)
{
    char text[24];
    int power = d->power;
    uint64_t digits = strtoull(d->text, NULL, 10);
    for (int at = d->count; at < count; at++)
        digits *= 10;
    int len = snprintf(text, sizeof text, "%" PRIu64, digits + 1);
    d->power = power + (len > count);
    d->count = len;
    while (d->count > 1 && text[d->count - 1] == '0')
        d->count--;
    memcpy(d->text, text, (size_t) d->count);
    d->text[d->count] = 0;
}

/* value is finite and above zero. Above a power of two the next number is twice as far as below it,
 * so there the digits one up may name it where the nearest ones do not. Numbers of full precision need DBL_DIG digits at least to be
 * told apart from shorter ones, so the search starts there; subnormal ones have fewer. */
static void shortest(struct digits *d, double value, bool single)
{
    bool subnormal = value < (single ? (double) FLT_MIN : DBL_MIN);
    int most = single ? 9 : 17, exponent;
    bool power_of_two = frexp(value, &exponent) <= 0.5;
    for (int count = subnormal ? 1 : single ? FLT_DIG : DBL_DIG; count <= most; count++) {
        take_digits(d, value, count);
        if (names_value(d, value, single))
            return;
        if (!power_of_two)
            continue;
        step_up(d, count);
        if (names_value(d, value, single))
            return;
    }
}

static void put_plain(struct buf *text, const struct digits *d)
{
    if (d->power < 0) {
        buf_add_text(text, "0.");
        for (int zero = -1; zero > d->power; zero--)
            buf_add_char(text, '0');
        buf_add(text, d->text, (size_t) d->count);
        return;
    }
    for (int at = 0; at < d->count || at <= d->power; at++) {
        if (at == d->power + 1)
            buf_add_char(text, '.');
        buf_add_char(text, at < d->count ? d->text[at] : '0');
    }
}

/* NaN, infinities, zeros and the sign; true when that was all. */
static bool put_special(struct buf *text, double value)
{
    if (isnan(value)) {
        buf_add_text(text, "NaN");
        return true;
    }
    if (signbit(value))
        buf_add_char(text, '-');
    if (isinf(value))
        buf_add_text(text, "Infinity");
    else if (value == 0)
        buf_add_char(text, '0');
    return isinf(value) || value == 0;
}

void put_float_text(struct buf *text, double value, bool single)
{
    struct digits d;
    if (put_special(text, value))
        return;
    shortest(&d, fabs(value), single);
    if (d.power >= -4 && d.power < (single ? 6 : 15)) {
        put_plain(text, &d);
        return;
    }
    buf_add_char(text, d.text[0]);
    if (d.count > 1)
        buf_addf(text, ".%s", d.text + 1);
    buf_addf(text, "e%c%02d", d.power < 0 ? '-' : '+', abs(d.power));
}

void put_plain_text(struct buf *text, double value, int scale)
{
    struct digits d;
    if (isfinite(value) && scale >= 0) {
        buf_addf(text, "%.*f", scale, value);
    } else if (!put_special(text, value)) {
        shortest(&d, fabs(value), false);
        put_plain(text, &d);
    }
}

bool read_float4(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    put_float_text(text, (double) avro_get_float(&r->in), true);
    return !r->in.failed;
}

bool read_float8(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    put_float_text(text, avro_get_double(&r->in), false);
    return !r->in.failed;
}
