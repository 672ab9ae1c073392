/* SPDX-License-Identifier: Apache-2.0
 *
 * date, time, timestamp, timestamptz; for strict also timetz. Intervals: types_interval.c.
 *
 * Texts are PostgreSQL's with DateStyle ISO: "0044-03-15 12:00:00.5+00 BC". Days are counted in the
 * proleptic Gregorian calendar as PostgreSQL does (Hinnant's closed formulas, no tables, no loops).
 */
#include <inttypes.h>

#include "schemas/types.h"

#define DAY_US INT64_C(86400000000)
#define YEAR_MAX 5900000 /* PostgreSQL's dates end in 5874897 */

struct moment {
    int64_t days;      /* since 1970-01-01 */
    int64_t us;        /* of the day; 24:00:00 is allowed */
    int fraction;      /* digits behind the point as written */
    int32_t offset_s;  /* east of UTC */
};

static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned of_era = (unsigned) (year - era * 400);
    unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    return era * 146097 + (int64_t) day_of_era - 719468;
}

struct ymd {
    int64_t year;
    unsigned month, day;
};

static struct ymd ymd_of(int64_t days)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned doe = (unsigned) (days - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned month = mp < 10 ? mp + 3 : mp - 9;
    return (struct ymd){(int64_t) yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) / 5 + 1};
}

/* ---- parsing ---- */

int64_t take_number(struct str *s, size_t low, size_t high)
{
    int64_t value = 0;
    size_t at = 0;
    for (; at < s->len && at < high && s->p[at] >= '0' && s->p[at] <= '9'; at++)
        value = value * 10 + (s->p[at] - '0');
    *s = (struct str){s->p + at, s->len - at};
    return at < low ? -1 : value;
}

bool take_char(struct str *s, char c)
{
    if (!s->len || s->p[0] != c)
        return false;
    *s = (struct str){s->p + 1, s->len - 1};
    return true;
}

static bool take_ymd(struct str *s, struct ymd *d)
{
    d->year = take_number(s, 4, 7);
    int64_t month = take_char(s, '-') ? take_number(s, 2, 2) : -1;
    int64_t day = take_char(s, '-') ? take_number(s, 2, 2) : -1;
    d->month = (unsigned) month;
    d->day = (unsigned) day;
    return d->year >= 0 && d->year < YEAR_MAX && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

bool take_seconds(struct str *s, int64_t *us, int *digits)
{
    int64_t second = take_number(s, 2, 2), fraction = 0;
    *us = second * 1000000;
    *digits = 0;
    if (second < 0 || second > 59 || !take_char(s, '.'))
        return second >= 0 && second <= 59;
    size_t before = s->len;
    fraction = take_number(s, 1, 6);
    *digits = (int) (before - s->len);
    for (int digit = *digits; digit < 6; digit++)
        fraction *= 10;
    *us += fraction;
    return fraction >= 0;
}

/* HH:MM:SS[.ffffff]; hours up to 24. */
static bool take_clock(struct str *s, struct moment *m)
{
    int64_t hour = take_number(s, 2, 2);
    int64_t minute = take_char(s, ':') ? take_number(s, 2, 2) : -1;
    if (hour < 0 || hour > 24 || minute < 0 || minute > 59 || !take_char(s, ':')
        || !take_seconds(s, &m->us, &m->fraction))
        return false;
    m->us += (hour * 60 + minute) * 60000000;
    return true;
}

/* [+-]HH[:MM[:SS]], or Z. */
static bool take_offset(struct str *s, int32_t *offset_s)
{
    *offset_s = 0;
    if (take_char(s, 'Z'))
        return true;
    bool west = s->len && s->p[0] == '-';
    if (!take_char(s, west ? '-' : '+'))
        return false;
    int64_t hour = take_number(s, 2, 2), minute = 0, second = 0;
    if (take_char(s, ':'))
        minute = take_number(s, 2, 2);
    if (take_char(s, ':'))
        second = take_number(s, 2, 2);
    if (hour < 0 || minute < 0 || second < 0)
        return false;
    int64_t all = (hour * 60 + minute) * 60 + second;
    *offset_s = (int32_t) (west ? -all : all);
    return true;
}

/* [ BC] and the end. Year 1 BC is year 0. */
static bool take_era(struct str s, struct ymd *d)
{
    if (str_is(s, " BC"))
        d->year = 1 - d->year;
    else if (s.len)
        return false;
    return true;
}

/* A whole date, timestamp or timestamptz of PostgreSQL. */
static bool parse_moment(struct str text, bool clock, bool zoned, struct moment *m)
{
    struct ymd d;
    *m = (struct moment){0};
    if (!take_ymd(&text, &d))
        return false;
    if (clock && (!take_char(&text, ' ') || !take_clock(&text, m)))
        return false;
    if (zoned && !take_offset(&text, &m->offset_s))
        return false;
    if (!take_era(text, &d))
        return false;
    m->days = days_of(d.year, d.month, d.day);
    return true;
}

/* ---- printing ---- */

static char *put_two(char *at, unsigned value)
{
    at[0] = (char) ('0' + value / 10 % 10);
    at[1] = (char) ('0' + value % 10);
    return at + 2;
}

void put_clock(struct buf *text, int64_t us, int digits)
{
    char out[24], *at = out;
    unsigned second = (unsigned) (us / 1000000), fraction = (unsigned) (us % 1000000);
    at = put_two(at, second / 3600);
    *at++ = ':';
    at = put_two(at, second / 60 % 60);
    *at++ = ':';
    at = put_two(at, second % 60);
    if (digits > 0 || (digits < 0 && fraction)) {
        *at++ = '.';
        char *begin = at;
        for (unsigned unit = 100000; unit; unit /= 10)
            *at++ = (char) ('0' + fraction / unit % 10);
        while (digits < 0 && at[-1] == '0')
            at--;
        if (digits > 0)
            at = begin + digits;
    }
    buf_add(text, out, (size_t) (at - out));
}

/* YYYY-MM-DD as PostgreSQL prints it; the caller adds " BC" at the end when told so. */
static bool put_days(struct buf *text, int64_t days)
{
    struct ymd d = ymd_of(days);
    bool bc = d.year < 1;
    char tail[6] = "-", *at = put_two(tail + 1, d.month);
    *at++ = '-';
    put_two(at, d.day);
    put_digits(text, (uint64_t) (bc ? 1 - d.year : d.year), 4);
    buf_add(text, tail, sizeof tail);
    return bc;
}

/* Of microseconds since 1970, the whole range. */
static struct moment moment_of(int64_t us)
{
    int64_t rest = us % DAY_US;
    return (struct moment){.days = us / DAY_US - (rest < 0), .us = rest + (rest < 0 ? DAY_US : 0)};
}

static void put_moment(struct buf *text, const struct moment *m, const char *zone)
{
    bool bc = put_days(text, m->days);
    buf_add_char(text, ' ');
    put_clock(text, m->us, -1);
    buf_add_text(text, zone);
    if (bc)
        buf_add_text(text, " BC");
}

static void put_timestamp(struct buf *text, int64_t us)
{
    struct moment m = moment_of(us);
    put_moment(text, &m, "");
}

/* ---- date ---- */

bool write_date(struct type_writer *w, const struct codec *c, struct str text)
{
    struct moment m;
    if (str_is(text, "infinity"))
        avro_put_long(w->out, c->strict ? STRICT_DATE_INFINITY : INT32_MAX);
    else if (str_is(text, "-infinity"))
        avro_put_long(w->out, c->strict ? STRICT_DATE_MINUS_INFINITY : INT32_MIN);
    else if (parse_moment(text, false, false, &m) && m.days < INT32_MAX && m.days > INT32_MIN)
        avro_put_long(w->out, m.days);
    else
        return false;
    return true;
}

static void put_date(struct buf *text, int64_t days)
{
    if (days == INT32_MAX || days == STRICT_DATE_INFINITY)
        buf_add_text(text, "infinity");
    else if (days == INT32_MIN || days == STRICT_DATE_MINUS_INFINITY)
        buf_add_text(text, "-infinity");
    else if (put_days(text, days))
        buf_add_text(text, " BC");
}

bool read_date(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    put_date(text, avro_get_int(&r->in));
    return !r->in.failed;
}

/* ---- time ---- */

static bool parse_time(struct str text, int64_t *us)
{
    struct moment m;
    bool whole = take_clock(&text, &m) && text.len == 0 && m.us <= DAY_US;
    *us = m.us;
    return whole;
}

bool write_time_ms(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    int64_t us;
    if (!parse_time(text, &us) || us % 1000)
        return false;
    avro_put_long(w->out, us / 1000);
    return true;
}

/* strict: Debezium takes an array's elements through a clock time of milliseconds. */
static bool take_time(struct type_writer *w, const struct codec *c, struct str text, int64_t *us)
{
    if (!parse_time(text, us))
        return false;
    if (c->strict && c->array) {
        int64_t kept = *us % DAY_US / 1000 * 1000;
        w->inexact |= kept != *us;
        *us = kept;
    }
    return true;
}

bool write_time_us(struct type_writer *w, const struct codec *c, struct str text)
{
    int64_t us;
    if (!take_time(w, c, text, &us))
        return false;
    avro_put_long(w->out, us);
    return true;
}

bool write_time_ns(struct type_writer *w, const struct codec *c, struct str text)
{
    int64_t us;
    if (!take_time(w, c, text, &us))
        return false;
    avro_put_long(w->out, us * 1000);
    return true;
}

/* In whole milliseconds: what is below them is lost. */
bool write_connect_time(struct type_writer *w, const struct codec *c, struct str text)
{
    int64_t us;
    if (!take_time(w, c, text, &us))
        return false;
    w->inexact |= us % 1000 != 0;
    avro_put_long(w->out, us / 1000);
    return true;
}

/* java.time has no 24:00: Debezium's clock goes on to 00:00. */
bool write_iso_time(struct type_writer *w, const struct codec *c, struct str text)
{
    int64_t us;
    if (!take_time(w, c, text, &us))
        return false;
    w->inexact |= us == DAY_US;
    buf_reset(&w->digits);
    put_clock(&w->digits, us % DAY_US, -1);
    buf_add_char(&w->digits, 'Z');
    avro_put_bytes(w->out, buf_str(&w->digits));
    return true;
}

static bool put_time(struct type_reader *r, int64_t us, struct buf *text)
{
    if (r->in.failed || us < 0 || us > DAY_US)
        return false;
    put_clock(text, us, -1);
    return true;
}

bool read_time_ms(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    return put_time(r, (int64_t) avro_get_int(&r->in) * 1000, text);
}

bool read_time_us(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    return put_time(r, avro_get_long(&r->in), text);
}

bool read_time_ns(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    return put_time(r, avro_get_long(&r->in) / 1000, text);
}

/* A text of a form that is never empty, which when it is stands for a value in a header. */
static bool take_iso(struct type_reader *r, struct str *s)
{
    *s = avro_get_bytes(&r->in);
    r->stand_in |= !r->in.failed && s->len == 0;
    return !r->in.failed;
}

bool read_iso_time(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    struct str s;
    struct moment m;
    if (!take_iso(r, &s) || !s.len)
        return !r->in.failed;
    return take_clock(&s, &m) && str_is(s, "Z") && put_time(r, m.us, text);
}

/* ---- timestamp ---- */

/* Microseconds since 1970; false when infinite or outside int64. */
static bool parse_timestamp(struct str text, int64_t *us)
{
    struct moment m;
    return parse_moment(text, true, false, &m) && !__builtin_mul_overflow(m.days, DAY_US, us)
        && !__builtin_add_overflow(*us, m.us, us);
}

static bool infinite(struct str text, int64_t *value)
{
    *value = text.len && text.p[0] == '-' ? TIMESTAMP_MINUS_INFINITY : TIMESTAMP_INFINITY;
    return str_is(text, "infinity") || str_is(text, "-infinity");
}

/* Milliseconds; with cut those of a text that has more digits too, else it is refused. */
static bool put_millis(struct type_writer *w, struct str text, bool cut)
{
    int64_t value;
    struct moment m;
    if (infinite(text, &value)) {
        value /= 1000;
    } else {
        if (!parse_moment(text, true, false, &m) || (m.us % 1000 && !cut))
            return false;
        value = m.days * (DAY_US / 1000) + m.us / 1000;
        if (value == TIMESTAMP_INFINITY / 1000 || value == TIMESTAMP_MINUS_INFINITY / 1000)
            return false;
        w->inexact |= m.us % 1000 != 0;
    }
    avro_put_long(w->out, value);
    return true;
}

bool write_timestamp_ms(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    return put_millis(w, text, false);
}

bool write_connect_timestamp(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    return put_millis(w, text, true);
}

/* The ends of int64 are the infinities; it holds the years 1677 to 2262. Debezium counts the days first, so that the
 * day in which int64 begins is outside for it. */
bool write_timestamp_ns(struct type_writer *w, const struct codec *c, struct str text)
{
    int64_t value;
    if (infinite(text, &value))
        value = value < 0 ? INT64_MIN : INT64_MAX;
    else if (!parse_timestamp(text, &value) || (c->strict && value < INT64_MIN / (DAY_US * 1000) * DAY_US)
             || __builtin_mul_overflow(value, INT64_C(1000), &value))
        return false;
    avro_put_long(w->out, value);
    return true;
}

bool write_timestamp_us(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    int64_t value;
    if (!infinite(text, &value)
        && (!parse_timestamp(text, &value) || value == TIMESTAMP_INFINITY
            || value == TIMESTAMP_MINUS_INFINITY))
        return false;
    avro_put_long(w->out, value);
    return true;
}

static bool put_infinite(struct buf *text, int64_t value)
{
    if (value == TIMESTAMP_INFINITY)
        buf_add_text(text, "infinity");
    else if (value == TIMESTAMP_MINUS_INFINITY)
        buf_add_text(text, "-infinity");
    return value == TIMESTAMP_INFINITY || value == TIMESTAMP_MINUS_INFINITY;
}

bool read_timestamp_us(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    int64_t us = avro_get_long(&r->in);
    if (!put_infinite(text, us))
        put_timestamp(text, us);
    return !r->in.failed;
}

bool read_timestamp_ns(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    int64_t ns = avro_get_long(&r->in);
    if (ns == INT64_MAX || ns == INT64_MIN)
        (void) put_infinite(text, ns < 0 ? TIMESTAMP_MINUS_INFINITY : TIMESTAMP_INFINITY);
    else
        put_timestamp(text, ns / 1000 - (ns % 1000 < 0));
    return !r->in.failed;
}

bool read_timestamp_ms(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    int64_t ms = avro_get_long(&r->in), day_ms = DAY_US / 1000;
    if (r->in.failed || ((ms == TIMESTAMP_INFINITY / 1000 || ms == TIMESTAMP_MINUS_INFINITY / 1000)
                         && put_infinite(text, ms * 1000)))
        return !r->in.failed;
    int64_t days = ms / day_ms - (ms % day_ms < 0);
    if (days > 200000000 || days < -200000000)
        return false;
    struct moment m = {.days = days, .us = (ms - days * day_ms) * 1000};
    put_moment(text, &m, "");
    return true;
}

/* ---- timestamptz ---- */

/* Move to UTC. */
static void shift(struct moment *m)
{
    m->us -= (int64_t) m->offset_s * 1000000;
    int64_t days = m->us / DAY_US - (m->us % DAY_US < 0);
    m->days += days;
    m->us -= days * DAY_US;
}

/* Year as java.time prints it: four digits at least, a sign before 0000 and after 9999. */
static void put_iso_date(struct buf *out, int64_t days)
{
    struct ymd d = ymd_of(days);
    if (d.year > 9999)
        buf_add_char(out, '+');
    buf_addf(out, "%s%04" PRId64 "-%02u-%02u", d.year < 0 ? "-" : "", d.year < 0 ? -d.year : d.year,
             d.month, d.day);
}

static void put_iso(struct buf *out, const struct moment *m, int digits)
{
    put_iso_date(out, m->days);
    buf_add_char(out, 'T');
    put_clock(out, m->us, digits);
    buf_add_char(out, 'Z');
}

/* The usual form needs no calendar: "2026-01-02 03:04:05[.ffffff]+00" only changes its signs. */
static bool common_form(struct str text)
{
    return text.len >= 22 && text.len <= 29 && text.p[4] == '-' && text.p[10] == ' '
        && memcmp(text.p + text.len - 3, "+00", 3) == 0 && (text.len == 22 || text.p[19] == '.')
        && text.len != 23 && memcmp(text.p, "0000", 4) != 0;
}

/* text has been parsed: it is well formed and has no more digits than are to be written. */
static void put_common(struct buf *out, struct str text, int digits)
{
    size_t have = text.len > 22 ? text.len - 23 : 0;
    char form[40];
    memcpy(form, text.p, 10);
    form[10] = 'T';
    memcpy(form + 11, text.p + 11, 8);
    size_t len = 19;
    if (digits) {
        form[len++] = '.';
        memset(form + len, '0', (size_t) digits);
        memcpy(form + len, text.p + 20, have);
        len += (size_t) digits;
    }
    form[len++] = 'Z';
    avro_put_bytes(out, (struct str){form, len});
}

bool write_zoned_timestamp(struct type_writer *w, const struct codec *c, struct str text)
{
    struct moment m;
    int64_t value;
    if (infinite(text, &value)) {
        avro_put_bytes(w->out, text);
        return true;
    }
    if (!parse_moment(text, true, true, &m) || m.fraction > c->scale)
        return false;
    if (common_form(text)) {
        put_common(w->out, text, c->scale);
        return true;
    }
    shift(&m);
    buf_reset(&w->digits);
    put_iso(&w->digits, &m, c->scale);
    avro_put_bytes(w->out, buf_str(&w->digits));
    return true;
}

/* A year with java.time's sign, then -MM-DD. */
static bool take_iso_date(struct str *s, struct moment *m)
{
    struct ymd d;
    bool before = take_char(s, '-');
    if (!before)
        (void) take_char(s, '+');
    if (!take_ymd(s, &d))
        return false;
    m->days = days_of(before ? -d.year : d.year, d.month, d.day);
    return true;
}

bool read_zoned_timestamp(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    struct str s;
    struct moment m = {0};
    int64_t value;
    if (!take_iso(r, &s) || !s.len || infinite(s, &value)) {
        buf_add_str(text, s);
        return !r->in.failed;
    }
    if (!take_iso_date(&s, &m) || !take_char(&s, 'T') || !take_clock(&s, &m)
        || !take_offset(&s, &m.offset_s) || s.len)
        return false;
    shift(&m);
    put_moment(text, &m, "+00");
    return true;
}

/* ---- date and timestamp as ISO 8601 texts ---- */

/* In strict the infinities are the dates that Debezium has for them. */
bool write_iso_date(struct type_writer *w, const struct codec *c, struct str text)
{
    struct moment m = {0};
    int64_t value;
    if (infinite(text, &value)) {
        if (!c->strict) {
            avro_put_bytes(w->out, text);
            return true;
        }
        m.days = value < 0 ? STRICT_DATE_MINUS_INFINITY : STRICT_DATE_INFINITY;
    } else if (!parse_moment(text, false, false, &m)) {
        return false;
    }
    buf_reset(&w->digits);
    put_iso_date(&w->digits, m.days);
    buf_add_char(&w->digits, 'Z');
    avro_put_bytes(w->out, buf_str(&w->digits));
    return true;
}

bool read_iso_date(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    struct str s;
    struct moment m;
    int64_t value;
    if (!take_iso(r, &s) || !s.len || infinite(s, &value)) {
        buf_add_str(text, s);
        return !r->in.failed;
    }
    if (!take_iso_date(&s, &m) || !str_is(s, "Z"))
        return false;
    put_date(text, m.days);
    return true;
}

/* The moments that Debezium has for the infinities. */
static bool stands_for_infinity(const struct moment *m, int64_t *us)
{
    for (int side = 0; side < 2; side++) {
        *us = side ? TIMESTAMP_MINUS_INFINITY : TIMESTAMP_INFINITY;
        struct moment other = moment_of(*us);
        if (m->days == other.days && m->us == other.us)
            return true;
    }
    return false;
}

bool write_iso_timestamp(struct type_writer *w, const struct codec *c, struct str text)
{
    struct moment m;
    int64_t value;
    if (infinite(text, &value)) {
        if (!c->strict) {
            avro_put_bytes(w->out, text);
            return true;
        }
        m = moment_of(value);
    } else if (!parse_moment(text, true, false, &m) || stands_for_infinity(&m, &value)) {
        return false;
    }
    buf_reset(&w->digits);
    put_iso(&w->digits, &m, -1);
    avro_put_bytes(w->out, buf_str(&w->digits));
    return true;
}

bool read_iso_timestamp(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    struct str s;
    struct moment m = {0};
    int64_t value;
    if (!take_iso(r, &s) || !s.len || infinite(s, &value)) {
        buf_add_str(text, s);
        return !r->in.failed;
    }
    if (!take_iso_date(&s, &m) || !take_char(&s, 'T') || !take_clock(&s, &m) || !str_is(s, "Z"))
        return false;
    if (stands_for_infinity(&m, &value))
        (void) put_infinite(text, value);
    else
        put_moment(text, &m, "");
    return true;
}

/* ---- timetz, as Debezium writes it ---- */

bool write_zoned_time(struct type_writer *w, const struct codec *c, struct str text)
{
    struct moment m = {0};
    if (!take_clock(&text, &m) || !take_offset(&text, &m.offset_s) || text.len || m.us > DAY_US)
        return false;
    w->inexact |= c->strict && m.us == DAY_US;
    if (m.us != DAY_US || m.offset_s || c->strict)
        shift(&m);
    buf_reset(&w->digits);
    put_clock(&w->digits, m.us, -1);
    buf_add_char(&w->digits, 'Z');
    avro_put_bytes(w->out, buf_str(&w->digits));
    return true;
}

bool read_zoned_time(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    struct str s = avro_get_bytes(&r->in);
    struct moment m = {0};
    if (s.len == 0) {
        r->stand_in = true;
        return !r->in.failed;
    }
    if (!take_clock(&s, &m) || !take_offset(&s, &m.offset_s) || s.len || m.us > DAY_US)
        return false;
    put_clock(text, m.us, -1);
    buf_addf(text, "%c%02d", m.offset_s < 0 ? '-' : '+', (int) (m.offset_s < 0 ? -m.offset_s : m.offset_s) / 3600);
    return true;
}
