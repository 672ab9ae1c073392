/* SPDX-License-Identifier: Apache-2.0
 *
 * Labels that an enum got since its table was announced: the server announces nothing then.
 *
 * A value that is not among the labels known makes the catalog be read again. It may have another name
 * by now: then the row goes on with the labels that are known, and for a second none are read.
 */
#include "agent/source/inner.h"

#define AGAIN_US INT64_C(1000000)

/* labels is a JSON array as the server writes it. */
static bool has_label(struct str labels, struct str label)
{
    struct buf quoted = BUF_INIT;
    buf_add_json(&quoted, label);
    bool found = false;
    for (size_t at = 0; !found && at + quoted.len <= labels.len; at++)
        found = labels.p[at] == '"' && memcmp(labels.p + at, quoted.p, quoted.len) == 0;
    buf_free(&quoted);
    return found;
}

static bool covers(const struct relation *rel, const struct value *values)
{
    for (int at = 0; values && at < rel->column_count; at++) {
        const struct column *col = &rel->columns[at];
        if (col->kind == TYPE_ENUM && !col->array && col->enum_labels.len && values[at].state == VALUE_SET &&
            !has_label(col->enum_labels, values[at].text))
            return false;
    }
    return true;
}

static bool covered(const struct change *change)
{
    return covers(change->rel, change->before) && covers(change->rel, change->after);
}

bool labels_there(const struct relation *rel)
{
    for (int at = 0; at < rel->column_count; at++)
        if (rel->columns[at].kind == TYPE_ENUM)
            return true;
    return false;
}

int labels_follow(struct source *s, struct change *change, struct err *e)
{
    struct rel_entry *entry = s->in.entry;
    int64_t now_us = clock_mono_us(s->env->clock);
    const struct relation *announced = change->rel, *full;
    if (entry->announced == change->rel)
        change->rel = entry->relabelled;
    if (covered(change) || now_us < entry->relabel_us)
        return 0;
    struct arena a;
    arena_init(&a, RELS_MAX_BYTES, "description of a table");
    int rc = visible_refine(s, change->rel, &a, &full, e);
    if (!rc) {
        entry = rels_adopt(&s->rels, full);
        s->in.entry = entry;
        entry->announced = announced;
        entry->relabelled = change->rel = entry->rel;
        entry->relabel_us = covered(change) ? 0 : now_us + AGAIN_US;
    }
    arena_free(&a);
    return rc;
}
