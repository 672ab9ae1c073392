/* SPDX-License-Identifier: Apache-2.0
 *
 * History files are short: one line a promotion in the life of the cluster.
 */
#include "agent/source/timeline.h"

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of line, taken off it; the empty string at its end. */
static struct str next_word(struct str *line)
{
    size_t from = 0, to;
    while (from < line->len && blank(line->p[from]))
        from++;
    for (to = from; to < line->len && !blank(line->p[to]);)
        to++;
    struct str word = {line->p + from, to - from};
    *line = (struct str){line->p + to, line->len - to};
    return word;
}

bool timeline_left(struct str history, uint32_t known, uint64_t *lsn)
{
    while (history.len) {
        const char *nl = memchr(history.p, '\n', history.len);
        size_t len = nl ? (size_t) (nl - history.p) : history.len;
        struct str line = {history.p, len};
        history = (struct str){history.p + len + (nl ? 1 : 0), history.len - len - (nl ? 1 : 0)};
        uint64_t number;
        if (str_to_u64(next_word(&line), &number) && number == known)
            return str_to_lsn(next_word(&line), lsn);
    }
    return false;
}
