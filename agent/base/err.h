/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors as values: a class, a code, a sentence and a hint.
 *
 * The class says what the caller may do next, not where the error came from. The code is a row of
 * errors.def, which also gives the class, the exit code and a default hint. A function that can
 * fail returns 0 or -1, is MUST_CHECK, and fills the struct err it was given; on success it leaves
 * it untouched. err_set returns -1, so that `return err_set(...)` is the idiom. Messages are lower
 * case without a full stop, name the thing concerned, and never hold a secret or a column's value.
 */
#ifndef TR_BASE_ERR_H
#define TR_BASE_ERR_H

#include "agent/base/str.h"

enum err_class {
    ERR_NONE,
    ERR_RETRY,    /* the same call may work later: back off */
    ERR_RATE,     /* as retry, not before retry_after_ms */
    ERR_AUTH,     /* credentials or rights: read secrets again once, then stop */
    ERR_CONFLICT, /* somebody else holds it or changed it first */
    ERR_GONE,     /* what we relied on is no longer there: going on would lose data */
    ERR_EXISTS,   /* it is there already */
    ERR_ITEM,     /* this one record is bad; its neighbours are not */
    ERR_CONFIG,   /* a person has to change configuration or set-up */
    ERR_FATAL,    /* the process must end */
};

enum err_code {
    E_NONE,
#define ERROR(code, class, exit_code, title, hint) code,
#include "agent/errors.def"
#undef ERROR
    ERR_CODES
};

struct err {
    enum err_class class;
    enum err_code code;
    int64_t retry_after_ms; /* with ERR_RATE; 0 otherwise */
    char sqlstate[6];       /* of PostgreSQL, when it was one; "" otherwise */
    char msg[768];          /* what happened, to what */
    char hint[768];         /* what to do; the row's default unless set */
};

#define ERR_INIT ((struct err){0})

/* Fill e from the row of code; class and hint come from the row. Returns -1. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Replace the hint of an error that is set. Returns -1. */
int err_hint(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Put "text: " in front of the message of an error that is set. Returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Forget. */
void err_clear(struct err *e);

/* Facts of a row: its exit code, its identifier ("E_SLOT_GONE" prints as "slot_gone"), its title,
 * its default hint; and the name of a class. */
int err_exit_code(const struct err *e);
const char *err_name(enum err_code code);
const char *err_title(enum err_code code);
const char *err_default_hint(enum err_code code);
enum err_class err_row_class(enum err_code code);
const char *err_class_name(enum err_class class);

/* The class lets the same call be made again later (ERR_RETRY, ERR_RATE). */
bool err_is_transient(const struct err *e);

#endif
