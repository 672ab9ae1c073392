/* SPDX-License-Identifier: Apache-2.0
 *
 * "Did you mean": the best of some names for a word that is none of them. The suggestion is told,
 * never taken.
 */
#ifndef TR_CLI_NEAREST_H
#define TR_CLI_NEAREST_H

#include "agent/base/str.h"

struct nearest {
    struct str word;
    const char *best; /* borrowed from the caller of nearest_try */
    unsigned distance;
};

static inline struct nearest nearest_to(struct str word)
{
    return (struct nearest){word, NULL, 0};
}

/* Take name into account; the first of equals stays. */
static inline void nearest_try(struct nearest *n, const char *name)
{
    unsigned distance = str_distance(n->word, str_of(name));
    if (!n->best || distance < n->distance) {
        n->best = name;
        n->distance = distance;
    }
}

/* The best name when it is near enough to be meant, else NULL: a third of the letters may differ, and
 * one more when the first letter is right (two letters swapped count as two). */
static inline const char *nearest_get(const struct nearest *n)
{
    if (!n->best || !n->word.len)
        return NULL;
    size_t longer = strlen(n->best) > n->word.len ? strlen(n->best) : n->word.len;
    size_t allowed = (longer + 2) / 3 + (n->best[0] == n->word.p[0]);
    return n->distance <= allowed && n->distance < longer ? n->best : NULL;
}

#endif
