/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/expand.h"

#include <stdlib.h>

#define EXPAND_MAX_BYTES ((size_t) 64 * 1024)

static bool is_name_char(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'
        || (!first && c >= '0' && c <= '9');
}

/* "NAME", "NAME:-default" or "NAME:?message", without the braces. */
static int expand_one(struct arena *a, struct str inside, struct buf *out, struct err *e)
{
    size_t len = 0;
    while (len < inside.len && is_name_char(inside.p[len], len == 0))
        len++;
    struct str name = arena_str(a, (struct str){inside.p, len});
    struct str rest = {inside.p + len, inside.len - len};
    bool fallback = str_starts(rest, ":-"), demand = str_starts(rest, ":?");
    if (!len || (rest.len && !fallback && !demand))
        return err_set(e, E_CONFIG,
                       "\"${%.*s}\" is not ${NAME}, ${NAME:-default} or ${NAME:?message}; "
                       "write $$ for a dollar sign", STR_ARG(inside));
    const char *value = getenv(name.p);
    struct str argument = rest.len ? (struct str){rest.p + 2, rest.len - 2} : STR_NONE;
    bool missing = !value || (rest.len && !*value); /* as in the shell: with a colon, empty is unset */
    if (missing && fallback) {
        buf_add_str(out, argument);
    } else if (missing && demand && argument.len) {
        return err_set(e, E_CONFIG, "environment variable %s: %.*s", name.p, STR_ARG(argument));
    } else if (missing) {
        return err_set(e, E_CONFIG, "environment variable %s is not set; ${%s:-default} gives one",
                       name.p, name.p);
    } else {
        for (const char *p = value; *p; p++)
            if ((unsigned char) *p < ' ')
                return err_set(e, E_CONFIG, "environment variable %s holds a control character",
                               name.p);
        buf_add_text(out, value);
    }
    return 0;
}

int expand_text(struct arena *a, struct str in, struct str *out, struct err *e)
{
    struct buf text = {.max = EXPAND_MAX_BYTES};
    int rc = 0;
    for (size_t at = 0; at < in.len && rc == 0; at++) {
        struct str rest = {in.p + at, in.len - at};
        const char *end = str_starts(rest, "${") ? memchr(rest.p, '}', rest.len) : NULL;
        if (str_starts(rest, "$$")) {
            buf_add_char(&text, '$');
            at++;
        } else if (end) {
            rc = expand_one(a, (struct str){rest.p + 2, (size_t) (end - rest.p) - 2}, &text, e);
            at += (size_t) (end - rest.p);
        } else if (str_starts(rest, "${")) {
            rc = err_set(e, E_CONFIG, "\"${\" without \"}\"; write $$ for a dollar sign");
        } else {
            buf_add_char(&text, in.p[at]);
        }
    }
    if (rc == 0 && text.over)
        rc = err_set(e, E_CONFIG, "text is longer than %zu bytes", EXPAND_MAX_BYTES);
    if (rc == 0)
        *out = arena_str(a, buf_str(&text));
    buf_free(&text);
    return rc;
}
