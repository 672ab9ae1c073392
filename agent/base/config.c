/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/config.h"

/* Schema and table are matched apart, so that public.* does not reach into "public.x"."y". A
 * pattern without a dot matches nothing; the loader refuses one. */
static bool pattern_matches(struct str pattern, struct str space, struct str table)
{
    const char *dot = pattern.len ? memchr(pattern.p, '.', pattern.len) : NULL;
    if (!dot)
        return false;
    size_t before = (size_t) (dot - pattern.p);
    return str_match((struct str){pattern.p, before}, space)
        && str_match((struct str){dot + 1, pattern.len - before - 1}, table);
}

bool config_list_matches(const struct config_list *patterns, struct str space, struct str table)
{
    for (int at = patterns->count; at-- > 0;) {
        struct str pattern = str_of(patterns->items[at]);
        bool exclude = str_starts(pattern, "!");
        if (exclude)
            pattern = (struct str){pattern.p + 1, pattern.len - 1};
        if (pattern_matches(pattern, space, table))
            return !exclude;
    }
    return false;
}

static bool column_pattern_matches(struct str pattern, struct str space, struct str table, struct str column)
{
    const char *dot = pattern.len ? memchr(pattern.p, '.', pattern.len) : NULL;
    if (!dot)
        return false;
    size_t before = (size_t) (dot - pattern.p);
    struct str left = {dot + 1, pattern.len - before - 1};
    return str_match((struct str){pattern.p, before}, space) && pattern_matches(left, table, column);
}

bool config_list_takes_column(const struct config_list *patterns, struct str space, struct str table,
                              struct str column)
{
    for (int at = 0; at < patterns->count; at++)
        if (column_pattern_matches(str_of(patterns->items[at]), space, table, column))
            return true;
    return false;
}

bool config_list_names(const struct config_list *patterns, struct str space, struct str table)
{
    for (int at = 0; at < patterns->count; at++) {
        const char *pattern = patterns->items[at];
        if (*pattern != '!' && !strpbrk(pattern, "*?") && pattern_matches(str_of(pattern), space, table))
            return true;
    }
    return false;
}

const struct config_target *config_target_find(const struct config *c, const char *name)
{
    for (int at = 0; at < c->target_count; at++)
        if (strcmp(c->targets[at].name, name) == 0)
            return &c->targets[at];
    return NULL;
}
