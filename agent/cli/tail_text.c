/* SPDX-License-Identifier: Apache-2.0
 *
 * A change as one line for people.
 *
 * What identifies the row comes first, then what changed: an update whose old row is known shows
 * old and new of the columns that differ and leaves the others out. Values that could confuse a
 * terminal or a reader (blanks, quotes, control characters) are printed as JSON strings.
 */
#include <ctype.h>
#include <time.h>

#include "agent/cli/tail.h"

#define VALUE_SHOWN 200 /* bytes of one value */

#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define RED "\033[31m"
#define MAGENTA "\033[35m"
#define BOLD "\033[1m"
#define DIM "\033[2m"
#define PLAIN "\033[0m"

static void colored(struct buf *out, bool color, const char *code, struct str text)
{
    if (color)
        buf_add_text(out, code);
    buf_add_str(out, text);
    if (color)
        buf_add_text(out, PLAIN);
}

static bool is_simple(struct str text)
{
    for (size_t at = 0; at < text.len; at++)
        if (!isalnum((unsigned char) text.p[at]) && !strchr("._:+-/@%{},", text.p[at]))
            return false;
    return text.len > 0;
}

static void add_value(struct buf *out, const struct value *v)
{
    if (v->state == VALUE_NULL) {
        buf_add_text(out, "NULL");
        return;
    }
    if (v->state != VALUE_SET) {
        buf_add_text(out, v->state == VALUE_UNCHANGED ? "(unchanged)" : "(not sent)");
        return;
    }
    struct str shown = v->text;
    if (shown.len > VALUE_SHOWN) {
        shown.len = VALUE_SHOWN;
        while (shown.len && ((uint8_t) shown.p[shown.len] & 0xc0) == 0x80)
            shown.len--; /* not within a character */
    }
    if (is_simple(shown) && !str_is(shown, "NULL"))
        buf_add_str(out, shown);
    else
        buf_add_json(out, shown);
    if (shown.len < v->text.len)
        buf_addf(out, "...(%zu bytes)", v->text.len);
}

static bool same_value(const struct value *a, const struct value *b)
{
    return a->state == b->state && (a->state != VALUE_SET || str_eq(a->text, b->text));
}

/* One column, or nothing when it tells nothing. */
static void add_column(struct buf *out, const struct change *c, int at, bool color)
{
    const struct column *column = &c->rel->columns[at];
    const struct value *old = c->before ? &c->before[at] : NULL;
    const struct value *new = c->after ? &c->after[at] : NULL;
    bool key = column->key_position || column->identity;
    bool known = old && new && old->state != VALUE_ABSENT;
    bool differs = known && new->state != VALUE_UNCHANGED && !same_value(old, new);
    if (!new && old && old->state == VALUE_ABSENT)
        return;
    if (c->old == OLD_FULL && new && !differs && c->rel->key_count && !column->key_position)
        return;
    buf_add_text(out, "  ");
    colored(out, color, key ? BOLD : DIM, column->name);
    buf_add_char(out, '=');
    if (differs) {
        add_value(out, old);
        buf_add_text(out, " -> ");
    }
    add_value(out, new ? new : old);
}

static void add_message(struct buf *out, const struct change *c, bool color)
{
    colored(out, color, MAGENTA, STR("MESSAGE  "));
    buf_add_json(out, c->prefix);
    buf_add_text(out, "  ");
    struct value content = {VALUE_SET, c->content};
    add_value(out, &content);
}

static void add_time(struct buf *out, int64_t us, bool color)
{
    struct tm tm;
    time_t seconds = (time_t) (us / 1000000);
    char text[64] = "-";
    if (us > 0 && gmtime_r(&seconds, &tm))
        (void) strftime(text, sizeof text, "%H:%M:%S", &tm);
    struct buf full = BUF_INIT;
    buf_addf(&full, "%s.%06d  ", text, us > 0 ? (int) (us % 1000000) : 0);
    colored(out, color, DIM, buf_str(&full));
    buf_free(&full);
}

void tail_text_add(struct buf *out, const struct change *c, const struct txn *txn, bool color)
{
    static const struct {
        enum change_op op;
        const char *color;
        struct str name;
    } ops[] = {
        {OP_CREATE, GREEN, {"INSERT   ", 9}},
        {OP_UPDATE, YELLOW, {"UPDATE   ", 9}},
        {OP_DELETE, RED, {"DELETE   ", 9}},
        {OP_TRUNCATE, MAGENTA, {"TRUNCATE ", 9}},
    };
    add_time(out, txn->commit_us, color);
    if (c->op == OP_MESSAGE) {
        add_message(out, c, color);
    } else {
        for (size_t at = 0; at < sizeof ops / sizeof *ops; at++)
            if (ops[at].op == c->op)
                colored(out, color, ops[at].color, ops[at].name);
        buf_add_str(out, c->rel->space);
        buf_add_char(out, '.');
        colored(out, color, BOLD, c->rel->name);
        for (int at = 0; at < c->rel->column_count && (c->before || c->after); at++)
            add_column(out, c, at, color);
        if (c->truncate_cascade)
            buf_add_text(out, "  cascade");
        if (c->truncate_restart)
            buf_add_text(out, "  restart identity");
    }
    buf_add_char(out, '\n');
}
