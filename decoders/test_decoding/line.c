/* SPDX-License-Identifier: Apache-2.0
 *
 * The words of a line: identifiers, types, values, times. Nothing is taken for granted: a quote that does not
 * end, a type without its bracket, a word that is not known are errors with their place.
 */
#include "decoders/test_decoding/line.h"

#include <ctype.h>
#include <stdio.h>

int line_bad(const struct line *l, struct err *e, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void) vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return err_set(e, E_DECODE, "malformed test_decoding line at byte %zu of %zu: %s", l->at, l->text.len, text);
}

static int next(const struct line *l)
{
    return l->at < l->text.len ? (unsigned char) l->text.p[l->at] : -1;
}

static struct str since(const struct line *l, size_t from)
{
    return (struct str){l->text.p + from, l->at - from};
}

bool line_skip(struct line *l, const char *word)
{
    size_t len = strlen(word);
    if (l->text.len - l->at < len || memcmp(l->text.p + l->at, word, len) != 0)
        return false;
    l->at += len;
    return true;
}

int line_end(const struct line *l, struct err *e)
{
    return l->at == l->text.len ? 0 : line_bad(l, e, "%zu bytes after the end", l->text.len - l->at);
}

int line_number(struct line *l, uint64_t *value, struct err *e)
{
    size_t from = l->at;
    while (next(l) >= '0' && next(l) <= '9')
        l->at++;
    return str_to_u64(since(l, from), value) ? 0 : line_bad(l, e, "no number");
}

/* Text between two quotes, doubled ones being one of it; the first one is next. */
static int quoted(struct line *l, char quote, struct str *text, struct err *e)
{
    bool doubled = false;
    size_t from = ++l->at;
    for (;; l->at++) {
        if (next(l) < 0)
            return line_bad(l, e, "a quote does not end");
        if (next(l) != quote)
            continue;
        if (l->at + 1 == l->text.len || l->text.p[l->at + 1] != quote)
            break;
        doubled = true;
        l->at++;
    }
    *text = since(l, from);
    l->at++;
    if (!doubled)
        return 0;
    char *to = arena_alloc(l->scratch, text->len);
    size_t len = 0;
    for (size_t at = 0; at < text->len; at++) {
        to[len++] = text->p[at];
        at += text->p[at] == quote;
    }
    *text = (struct str){to, len};
    return 0;
}

int line_ident(struct line *l, struct str *name, struct err *e)
{
    if (next(l) == '"') {
        if (quoted(l, '"', name, e))
            return -1;
    } else {
        size_t from = l->at;
        while (islower(next(l)) || isdigit(next(l)) || next(l) == '_')
            l->at++;
        *name = since(l, from);
    }
    return name->len ? 0 : line_bad(l, e, "no name");
}

/* "[integer[]]": up to the bracket that closes it, brackets in quoted names not counted. */
static int read_type(struct line *l, struct str *type, struct err *e)
{
    int deep = 0;
    bool inside = false;
    size_t from = l->at + 1;
    do {
        if (next(l) < 0)
            return line_bad(l, e, "a type does not end");
        inside = inside != (next(l) == '"');
        if (!inside && next(l) == '[')
            deep++;
        if (!inside && next(l) == ']')
            deep--;
        l->at++;
    } while (deep > 0);
    *type = (struct str){l->text.p + from, l->at - 1 - from};
    return deep == 0 && type->len && l->at > from ? 0 : line_bad(l, e, "no type");
}

/* A word without quotes: a number, true, false, or a state of its own. Booleans get PostgreSQL's text. */
static int read_word(struct line *l, struct cell *cell, struct err *e)
{
    size_t from = l->at;
    while (next(l) >= 0 && next(l) != ' ')
        l->at++;
    struct str word = since(l, from);
    if (!word.len)
        return line_bad(l, e, "no value");
    if (str_is(word, "null"))
        cell->value.state = VALUE_NULL;
    else if (str_is(word, "unchanged-toast-datum"))
        cell->value.state = VALUE_UNCHANGED;
    else if (str_is(cell->type, "boolean") && (str_is(word, "true") || str_is(word, "false")))
        cell->value.text.len = 1; /* t or f */
    else
        cell->value.text = word;
    if (cell->value.text.len == 1 && !cell->value.text.p)
        cell->value.text.p = word.p;
    return 0;
}

static int read_cell(struct line *l, struct cell *cell, struct err *e)
{
    *cell = (struct cell){.value = {VALUE_SET, STR_NONE}};
    if (line_ident(l, &cell->name, e))
        return -1;
    if (next(l) != '[')
        return line_bad(l, e, "a column without a type");
    if (read_type(l, &cell->type, e))
        return -1;
    if (!line_skip(l, ":"))
        return line_bad(l, e, "a column without a value");
    if (next(l) == '\'')
        return quoted(l, '\'', &cell->value.text, e);
    if (line_skip(l, "B'")) { /* bits */
        l->at--;
        return quoted(l, '\'', &cell->value.text, e);
    }
    return read_word(l, cell, e);
}

int line_tuple(struct line *l, struct tuple *t, struct err *e)
{
    t->count = 0;
    t->none = line_skip(l, " (no-tuple-data)");
    while (l->at < l->text.len && !t->none) {
        size_t from = l->at;
        if (line_skip(l, " new-tuple:")) {
            l->at = from;
            return 0;
        }
        if (!line_skip(l, " "))
            return line_bad(l, e, "no blank before a column");
        if (t->count == COLUMNS_MAX)
            return line_bad(l, e, "more than %d columns", COLUMNS_MAX);
        if (read_cell(l, &t->cells[t->count], e))
            return -1;
        t->count++;
    }
    return 0;
}

/* ---- time ---- */

/* Digits in a row, at most nine of them, followed by one of the characters of after. */
static int part(struct line *l, const char *after, int64_t *value, struct err *e)
{
    size_t from = l->at;
    for (*value = 0; isdigit(next(l)) && l->at - from < 9; l->at++)
        *value = *value * 10 + (next(l) - '0');
    if (l->at == from || next(l) <= 0 || !strchr(after, next(l)))
        return line_bad(l, e, "no time of commit");
    return 0;
}

/* Days from 1970 to a day of the Gregorian calendar. Source: H. Hinnant, chrono-compatible date algorithms. */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* "+05:30": seconds east of Greenwich. */
static int zone(struct line *l, int64_t *seconds, struct err *e)
{
    int64_t sign = next(l) == '-' ? -1 : 1, each = 3600, value;
    *seconds = 0;
    do {
        l->at++;
        if (part(l, ":)", &value, e))
            return -1;
        if (value > 59)
            return line_bad(l, e, "no time zone");
        *seconds += sign * value * each;
        each /= 60;
    } while (next(l) == ':' && each);
    return 0;
}

int line_time(struct line *l, int64_t *us, struct err *e)
{
    static const char *const after[] = {"-", "-", " ", ":", ":", ".+-"};
    int64_t v[6], fraction = 0, east;
    if (!line_skip(l, "(at "))
        return line_bad(l, e, "no time of commit");
    for (int at = 0; at < 6; at++) {
        if (part(l, after[at], &v[at], e))
            return -1;
        l->at += at < 5;
    }
    if (line_skip(l, ".")) {
        size_t from = l->at;
        if (part(l, "+-", &fraction, e))
            return -1;
        for (size_t digits = l->at - from; digits < 6; digits++)
            fraction *= 10;
        if (l->at - from > 6)
            return line_bad(l, e, "no time of commit");
    }
    if (v[0] < 1 || v[0] > 294276 || v[1] < 1 || v[1] > 12 || v[2] < 1 || v[2] > 31 || v[3] > 23 || v[4] > 59 || v[5] > 60)
        return line_bad(l, e, "no time of commit");
    if (zone(l, &east, e))
        return -1;
    int64_t seconds = days_since_1970(v[0], v[1], v[2]) * 86400 + v[3] * 3600 + v[4] * 60 + v[5] - east;
    *us = seconds * 1000000 + fraction;
    return line_skip(l, ")") ? 0 : line_bad(l, e, "no time of commit");
}
