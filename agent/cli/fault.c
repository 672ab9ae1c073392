/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/fault.h"

#include <stdlib.h>
#include <strings.h>

static void keep(struct faults *f, struct place at, bool warning, const char *fmt, va_list args)
    PRINTF_LIKE(4, 0);

static void keep(struct faults *f, struct place at, bool warning, const char *fmt, va_list args)
{
    struct buf text = {.max = 4096};
    if (warning)
        f->warnings++;
    else
        f->errors++;
    if (f->count == FAULTS_MAX) {
        f->dropped++;
        return;
    }
    buf_vaddf(&text, fmt, args);
    f->list[f->count++] = (struct fault){at, warning, arena_str(f->arena, buf_str(&text))};
    buf_free(&text);
}

void fault_add(struct faults *f, struct place at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    keep(f, at, false, fmt, args);
    va_end(args);
}

void fault_warn(struct faults *f, struct place at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    keep(f, at, true, fmt, args);
    va_end(args);
}

/* By place; the sort is not stable, so what was found first in one place is told by its address. */
static int by_place(const void *left, const void *right)
{
    const struct fault *a = left, *b = right;
    if (a->at.line != b->at.line)
        return a->at.line < b->at.line ? -1 : 1;
    if (a->at.column != b->at.column)
        return a->at.column < b->at.column ? -1 : 1;
    return str_cmp(a->text, b->text);
}

static struct str line_of(struct str source, int line)
{
    for (int at = 1; source.len; at++) {
        const char *end = memchr(source.p, '\n', source.len);
        size_t len = end ? (size_t) (end - source.p) : source.len;
        if (at == line)
            return (struct str){source.p, len && source.p[len - 1] == '\r' ? len - 1 : len};
        if (!end)
            break;
        source = (struct str){end + 1, source.len - len - 1};
    }
    return STR_NONE;
}

/* A key that is about a secret: what follows it is hidden. !secret and ${..} name one, and show. */
static bool is_secret_word(const char *p, size_t left, size_t *len)
{
    static const char *const words[] = {"password", "passwd", "pasword", "passphrase", "secret",
                                        "token",    "pwd",    "pass",    "salt"};
    for (size_t at = 0; at < sizeof words / sizeof *words; at++) {
        *len = strlen(words[at]);
        if (left >= *len && strncasecmp(p, words[at], *len) == 0)
            return true;
    }
    return false;
}

/* Bytes of the value that starts behind the blanks, ':' or '=' at p; 0 when it is none to hide. */
static size_t secret_span(const char *p, size_t left, size_t *before)
{
    size_t at = 0;
    while (at < left && (p[at] == ' ' || p[at] == '"' || p[at] == '\''))
        at++;
    if (at == left || (p[at] != ':' && p[at] != '='))
        return 0;
    at++;
    while (at < left && (p[at] == ' ' || p[at] == '\''))
        at++;
    *before = at;
    if (at < left && (p[at] == '!' || p[at] == '$'))
        return 0;
    return left - at; /* to the end of the line: where the value ends depends on its quotes */
}

/* Length of "user:password" of "://user:password@host" at p, and where the password starts. */
static size_t uri_password(const char *p, size_t left, size_t *colon)
{
    size_t end = 0, last_at = 0;
    *colon = 0;
    while (end < left && p[end] != ' ' && p[end] != '"' && p[end] != '\'') {
        if (p[end] == '@')
            last_at = end;
        if (p[end] == ':' && !*colon)
            *colon = end;
        end++;
    }
    return *colon && last_at > *colon ? last_at : 0;
}

void fault_add_masked(struct buf *out, struct str line)
{
    size_t at = 0;
    while (at < line.len) {
        size_t left = line.len - at, len, before = 0, colon, hide;
        const char *p = line.p + at;
        if (left > 3 && memcmp(p, "://", 3) == 0 && (len = uri_password(p + 3, left - 3, &colon))) {
            buf_add(out, p, 3 + colon + 1);
            buf_add_text(out, "***");
            at += 3 + len;
        } else if (is_secret_word(p, left, &len)
                   && (hide = secret_span(p + len, left - len, &before))) {
            buf_add(out, p, len + before);
            buf_add_text(out, "***");
            at += len + before + hide;
        } else {
            buf_add_char(out, *p < ' ' && *p >= 0 && *p != '\t' ? '?' : *p);
            at++;
        }
    }
}

/* Bytes before a column, columns being characters. */
static size_t byte_of_column(struct str line, int column)
{
    size_t byte = 0;
    for (int at = 1; at < column && byte < line.len; at++) {
        byte++;
        while (byte < line.len && ((unsigned char) line.p[byte] & 0xc0) == 0x80)
            byte++;
    }
    return byte;
}

/* The blanks before the caret copy the tabs of the line, so that it stands right at any tab width. */
static void add_caret(struct buf *out, struct str line, struct place at)
{
    size_t byte = byte_of_column(line, at.column);
    for (size_t before = 0; before < byte; before++)
        if (((unsigned char) line.p[before] & 0xc0) != 0x80)
            buf_add_char(out, line.p[before] == '\t' ? '\t' : ' ');
    buf_add_char(out, '^');
    size_t room = line.len > byte ? line.len - byte : 0;
    for (int more = 1; more < at.width && (size_t) more < room; more++)
        buf_add_char(out, '~');
}

static void fault_write(const struct fault *fault, const char *name, struct str source,
                        struct buf *out)
{
    int line = fault->at.line ? fault->at.line : 1, column = fault->at.column;
    struct str text = line_of(source, line);
    buf_addf(out, "%s:%d:%d: %s: %.*s\n", name, line, column ? column : 1,
             fault->warning ? "warning" : "error", STR_ARG(fault->text));
    if (!text.len || text.len > 400 || !fault->at.line)
        return;
    buf_addf(out, "%5d | ", line);
    size_t before = out->len;
    struct str shown = text;
    if (fault->at.hide)
        shown.len = byte_of_column(text, column);
    fault_add_masked(out, shown);
    if (fault->at.hide)
        buf_add_text(out, "***");
    bool masked = !str_eq((struct str){out->p + before, out->len - before}, text);
    buf_add_text(out, "\n      | ");
    /* The underline of a masked value would tell its length. */
    add_caret(out, text, masked ? (struct place){line, column, 1, false} : fault->at);
    buf_add_char(out, '\n');
}

void faults_write(struct faults *f, const char *name, struct str source, struct buf *out)
{
    qsort(f->list, (size_t) f->count, sizeof *f->list, by_place);
    for (int at = 0; at < f->count; at++)
        fault_write(&f->list[at], name, source, out);
    if (f->dropped)
        buf_addf(out, "%s: and %d more\n", name, f->dropped);
}
