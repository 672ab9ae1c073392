/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/err.h"

#include <ctype.h>
#include <stdio.h>

struct row {
    enum err_class class;
    int exit_code;
    const char *name, *title, *hint;
};

static const struct row rows[ERR_CODES] = {
    [E_NONE] = {ERR_NONE, 0, "none", "no error", ""},
#define ERROR(code, class, exit_code, title, hint) [code] = {class, exit_code, #code, title, hint},
#include "agent/errors.def"
#undef ERROR
};

/* Identifiers are kept as written, E_SLOT_GONE; people see slot_gone. */
const char *err_name(enum err_code code)
{
    static char names[ERR_CODES][32];
    char *name = names[code];
    if (code == E_NONE)
        return rows[E_NONE].name;
    /* Idempotent: two threads write the same bytes. */
    for (size_t at = 0; at < sizeof names[0] - 1 && rows[code].name[at + 2]; at++)
        name[at] = (char) tolower((unsigned char) rows[code].name[at + 2]);
    return name;
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    va_list args;
    e->class = rows[code].class;
    e->code = code;
    e->retry_after_ms = 0;
    e->sqlstate[0] = 0;
    va_start(args, fmt);
    vsnprintf(e->msg, sizeof e->msg, fmt, args);
    va_end(args);
    snprintf(e->hint, sizeof e->hint, "%s", rows[code].hint);
    return -1;
}

int err_hint(struct err *e, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(e->hint, sizeof e->hint, fmt, args);
    va_end(args);
    return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    char old[sizeof e->msg];
    va_list args;
    memcpy(old, e->msg, sizeof old);
    va_start(args, fmt);
    int len = vsnprintf(e->msg, sizeof e->msg, fmt, args);
    va_end(args);
    if (len >= 0 && (size_t) len + 2 < sizeof e->msg)
        snprintf(e->msg + len, sizeof e->msg - (size_t) len, ": %s", old);
    return -1;
}

void err_clear(struct err *e)
{
    *e = ERR_INIT;
}

int err_exit_code(const struct err *e)
{
    return rows[e->code].exit_code;
}

const char *err_title(enum err_code code)
{
    return rows[code].title;
}

const char *err_default_hint(enum err_code code)
{
    return rows[code].hint;
}

enum err_class err_row_class(enum err_code code)
{
    return rows[code].class;
}

const char *err_class_name(enum err_class class)
{
    static const char *const names[] = {"none", "retry", "rate", "auth", "conflict",
                                        "gone", "exists", "item", "config", "fatal"};
    return names[class];
}

bool err_is_transient(const struct err *e)
{
    return e->class == ERR_RETRY || e->class == ERR_RATE;
}
