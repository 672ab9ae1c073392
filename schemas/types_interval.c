/* SPDX-License-Identifier: Apache-2.0
 *
 * interval: as microseconds, where a month has a twelfth of 365.25 days, and as ISO 8601, both as Debezium writes them.
 *
 * Texts are PostgreSQL's with IntervalStyle postgres: "-1 years -2 mons +3 days -04:05:06.78".
 */
#include <math.h>

#include "schemas/types.h"

#define HOUR_US INT64_C(3600000000)

/* The parts as they are written, each with its sign. */
struct span {
    int64_t years, months, days, hours, minutes;
    int64_t us; /* of the seconds */
};

/* What PostgreSQL keeps. */
struct amount {
    int64_t months, days, us;
};

/* ---- PostgreSQL's text ---- */

/* MM:SS[.ffffff] behind the hours, to the end. */
static bool take_clock(struct str *s, int64_t sign, int64_t hours, struct span *v)
{
    int64_t minutes = take_number(s, 2, 2), us;
    int digits;
    if (minutes < 0 || minutes > 59 || !take_char(s, ':') || !take_seconds(s, &us, &digits) || s->len)
        return false;
    v->hours = sign * hours;
    v->minutes = sign * minutes;
    v->us = sign * us;
    return true;
}

/* One part: "-2 mons", "+3 days", "-04:05:06.78". */
static bool take_part(struct str *s, struct span *v)
{
    bool minus = take_char(s, '-');
    if (!minus)
        (void) take_char(s, '+');
    int64_t sign = minus ? -1 : 1, number = take_number(s, 1, 10);
    if (number >= 0 && take_char(s, ':'))
        return take_clock(s, sign, number, v);
    if (number < 0 || !take_char(s, ' '))
        return false;
    size_t len = 0;
    while (len < s->len && s->p[len] != ' ')
        len++;
    struct str unit = {s->p, len};
    *s = (struct str){s->p + len, s->len - len};
    (void) take_char(s, ' ');
    int64_t *part = str_starts(unit, "year") ? &v->years : str_starts(unit, "mon") ? &v->months
        : str_starts(unit, "day") ? &v->days : NULL;
    if (part)
        *part = sign * number;
    return part != NULL;
}

static bool parse_interval(struct str text, struct span *v)
{
    *v = (struct span){0};
    for (int part = 0; part < 4 && text.len; part++)
        if (!take_part(&text, v))
            return false;
    return text.len == 0;
}

/* H:MM:SS[.ffffff], two digits of hours at least. */
static void put_hours(struct buf *text, uint64_t us)
{
    put_digits(text, us / HOUR_US, 2);
    size_t begin = text->len;
    put_clock(text, (int64_t) (us % HOUR_US), -1);
    if (text->over)
        return;
    text->len -= 2; /* of the clock's own hours */
    memmove(text->p + begin, text->p + begin + 2, text->len - begin);
    text->p[text->len] = 0;
}

static uint64_t magnitude(int64_t value)
{
    return value < 0 ? 0 - (uint64_t) value : (uint64_t) value;
}

struct printer {
    struct buf *text;
    bool any, before; /* something was printed; the last part was negative */
};

static void put_part(struct printer *p, int64_t value, const char *unit)
{
    if (!value)
        return;
    if (p->any)
        buf_add_char(p->text, ' ');
    if (p->before && value > 0)
        buf_add_char(p->text, '+');
    put_signed(p->text, value);
    buf_add_text(p->text, unit);
    if (value != 1)
        buf_add_char(p->text, 's');
    p->any = true;
    p->before = value < 0;
}

static void put_amount(struct buf *text, const struct amount *a)
{
    struct printer p = {.text = text};
    put_part(&p, a->months / 12, " year");
    put_part(&p, a->months % 12, " mon");
    put_part(&p, a->days, " day");
    if (p.any && !a->us)
        return;
    if (p.any)
        buf_add_char(text, ' ');
    if (a->us < 0)
        buf_add_char(text, '-');
    else if (p.before)
        buf_add_char(text, '+');
    put_hours(text, magnitude(a->us));
}

/* ---- microseconds ---- */

/* In the steps in which Debezium calculates, since each rounds. */
static double span_us(const struct span *v)
{
    double seconds = (double) (v->us / 1000000) + (double) (v->us % 1000000) / 1e6;
    double days = (double) (v->years * 12 + v->months) * (365.25 / 12.0) + (double) v->days;
    return (((days * 24 + (double) v->hours) * 60 + (double) v->minutes) * 60 + seconds) * 1e6;
}

bool write_duration(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    struct span v;
    if (!parse_interval(text, &v))
        return false;
    double us = span_us(&v);
    if (fabs(us) >= 9.2e18)
        return false;
    avro_put_long(w->out, (int64_t) us);
    return true;
}

bool read_duration(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    int64_t us = avro_get_long(&r->in);
    if (us < 0)
        buf_add_char(text, '-');
    put_hours(text, magnitude(us));
    return !r->in.failed;
}

/* ---- ISO 8601: P1Y2M3DT4H5M6.78S ---- */

/* Debezium takes the seconds from a double and keeps nine digits of it, so that some have a last digit that was
 * never there; a reader of ours cuts it off. */
static void put_strict_seconds(struct buf *out, int64_t us)
{
    size_t begin = out->len;
    put_plain_text(out, (double) (us / 1000000) + (double) (us % 1000000) / 1e6, -1);
    const char *point = out->over ? NULL : memchr(out->p + begin, '.', out->len - begin);
    if (!point)
        return;
    size_t most = (size_t) (point - out->p) + 10;
    if (out->len > most)
        out->len = most;
    while (out->p[out->len - 1] == '0')
        out->len--;
    out->len -= out->p[out->len - 1] == '.';
    out->p[out->len] = 0;
}

static void put_seconds(struct buf *out, int64_t us)
{
    char fraction[7] = "";
    uint64_t all = magnitude(us);
    if (us < 0)
        buf_add_char(out, '-');
    put_digits(out, all / 1000000, 1);
    if (all % 1000000 == 0)
        return;
    size_t len = 6;
    for (uint64_t left = all % 1000000, at = 6; at-- > 0; left /= 10)
        fraction[at] = (char) ('0' + left % 10);
    while (fraction[len - 1] == '0')
        len--;
    buf_add_char(out, '.');
    buf_add(out, fraction, len);
}

bool write_iso_interval(struct type_writer *w, const struct codec *c, struct str text)
{
    struct span v;
    struct buf *out = &w->digits;
    if (!parse_interval(text, &v))
        return false;
    buf_reset(out);
    const struct { int64_t value; const char *behind; } parts[] = {
        {v.years, "Y"}, {v.months, "M"}, {v.days, "DT"}, {v.hours, "H"}, {v.minutes, "M"},
    };
    buf_add_char(out, 'P');
    for (size_t at = 0; at < sizeof parts / sizeof *parts; at++) {
        put_signed(out, parts[at].value);
        buf_add_text(out, parts[at].behind);
    }
    if (c->strict)
        put_strict_seconds(out, v.us);
    else
        put_seconds(out, v.us);
    buf_add_char(out, 'S');
    avro_put_bytes(w->out, buf_str(out));
    return true;
}

/* A number and its fraction in millionths; further digits are passed over. */
static bool take_decimal(struct str *s, int64_t *number, int64_t *millionths, bool *minus)
{
    *minus = take_char(s, '-');
    *number = take_number(s, 1, 18);
    *millionths = 0;
    if (*number < 0 || !take_char(s, '.'))
        return *number >= 0;
    size_t before = s->len;
    int64_t fraction = take_number(s, 1, 6);
    for (size_t digits = before - s->len; digits < 6; digits++)
        fraction *= 10;
    (void) take_number(s, 0, 18);
    *millionths = fraction;
    return fraction >= 0;
}

/* sum += number * unit, both in range. */
static bool add_to(int64_t *sum, int64_t number, int64_t unit)
{
    int64_t product;
    return !__builtin_mul_overflow(number, unit, &product) && !__builtin_add_overflow(*sum, product, sum);
}

/* One part with its letter, which means another unit behind the T. */
static bool take_iso_part(struct str *s, bool clock, struct amount *a)
{
    int64_t number, millionths;
    bool minus;
    if (!take_decimal(s, &number, &millionths, &minus) || !s->len)
        return false;
    char unit = s->p[0];
    *s = (struct str){s->p + 1, s->len - 1};
    if (minus) {
        number = -number;
        millionths = -millionths;
    }
    if (clock && unit == 'S')
        return add_to(&a->us, number, 1000000) && add_to(&a->us, millionths, 1);
    if (millionths)
        return false;
    if (clock)
        return (unit == 'H' || unit == 'M') && add_to(&a->us, number, unit == 'H' ? HOUR_US : HOUR_US / 60);
    if (unit == 'D')
        return add_to(&a->days, number, 1);
    return (unit == 'Y' || unit == 'M') && add_to(&a->months, number, unit == 'Y' ? 12 : 1);
}

bool read_iso_interval(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    struct str s = avro_get_bytes(&r->in);
    struct amount a = {0};
    bool clock = false;
    if (s.len == 0) { /* the empty value: a header holds the real one */
        r->stand_in = true;
        return !r->in.failed;
    }
    if (!take_char(&s, 'P'))
        return false;
    while (s.len) {
        clock |= take_char(&s, 'T');
        if (!take_iso_part(&s, clock, &a))
            return false;
    }
    put_amount(text, &a);
    return true;
}
