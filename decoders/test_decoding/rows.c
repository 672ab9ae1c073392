/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines about rows: "table public.t: INSERT: id[integer]:1 v[text]:'x'", and truncates, which name several.
 *
 * In an old row the plugin leaves out columns that are NULL. Where the identity is the whole row they were NULL; elsewhere
 * they are not part of the key.
 */
#include "decoders/test_decoding/line.h"

#define TRUNCATE_MAX 4096 /* relations in one statement */

int line_emit(const struct line *l, struct change *change, struct err *e)
{
    struct decoder *d = l->d;
    change->pos.lsn = d->txn.commit_lsn;
    change->pos.seq = ++d->seq;
    change->lsn = l->lsn;
    return l->out->change(l->out->self, change, &d->txn, e);
}

static bool same_columns(const struct named *n, const struct tuple *t)
{
    if (!n->wire || !n->whole || n->wire->column_count != t->count)
        return false;
    for (int at = 0; at < t->count; at++)
        if (!str_eq(n->wire->columns[at].name, t->cells[at].name) ||
            !str_eq(n->wire->columns[at].type_sql, t->cells[at].type))
            return false;
    return true;
}

/* Where the column stands, looked for from *from on first: columns of a line are in order. */
static int find(const struct relation *rel, const struct cell *cell, int *from)
{
    for (int step = 0; step < rel->column_count; step++) {
        int at = (*from + step) % rel->column_count;
        if (!str_eq(rel->columns[at].name, cell->name) || !str_eq(rel->columns[at].type_sql, cell->type))
            continue;
        *from = (at + 1) % rel->column_count;
        return at;
    }
    return -1;
}

static bool knows(const struct named *n, const struct tuple *t)
{
    int from = 0;
    if (!n->wire)
        return false;
    for (int at = 0; at < t->count; at++)
        if (find(n->wire, &t->cells[at], &from) < 0)
            return false;
    return true;
}

static int same_names(const struct line *l, const struct tuple *t, struct err *e)
{
    for (int at = 1; at < t->count; at++)
        for (int other = 0; other < at; other++)
            if (str_eq(t->cells[at].name, t->cells[other].name))
                return line_bad(l, e, "column %.*s comes twice", STR_ARG(t->cells[at].name));
    return 0;
}

/* The relation that has the columns of t, announced when it is new. */
static int relation_for(struct line *l, struct named *n, const struct tuple *t, bool whole, struct err *e)
{
    if (whole ? same_columns(n, t) : knows(n, t))
        return 0;
    return same_names(l, t, e) ? -1 : names_announce(l, n, t, whole, e);
}

static void take_new(const struct line *l, struct change *change)
{
    const struct tuple *t = &l->d->new;
    struct value *values = arena_alloc(l->scratch, ((size_t) t->count + 1) * sizeof *values);
    for (int at = 0; at < t->count; at++) {
        values[at] = t->cells[at].value;
        if (values[at].state == VALUE_UNCHANGED && change->before && change->before[at].state != VALUE_ABSENT)
            values[at] = change->before[at];
    }
    change->after = values;
}

static void take_old(const struct line *l, const struct named *n, struct change *change)
{
    const struct tuple *t = &l->d->old;
    size_t count = (size_t) n->known->column_count;
    bool full = n->known->identity == 'f';
    struct value *values = arena_zalloc(l->scratch, count + 1, sizeof *values);
    int from = 0;
    for (size_t at = 0; at < count; at++)
        values[at].state = full ? VALUE_NULL : VALUE_ABSENT;
    for (int at = 0; at < t->count; at++) {
        int column = find(n->wire, &t->cells[at], &from);
        if (column >= 0)
            values[column] = t->cells[at].value;
    }
    change->before = values;
    change->old = full ? OLD_FULL : OLD_KEY;
}

static int read_old(struct line *l, struct err *e)
{
    if (line_tuple(l, &l->d->old, e))
        return -1;
    for (int at = 0; at < l->d->old.count; at++)
        if (l->d->old.cells[at].value.state == VALUE_UNCHANGED)
            return line_bad(l, e, "unchanged value in an old row");
    return 0;
}

static int read_insert(struct line *l, struct named *n, struct err *e)
{
    struct change change = {.op = OP_CREATE};
    if (line_tuple(l, &l->d->new, e) || line_end(l, e) || relation_for(l, n, &l->d->new, true, e))
        return -1;
    change.rel = n->known;
    take_new(l, &change);
    return l->d->new.none ? line_bad(l, e, "insert without a row") : line_emit(l, &change, e);
}

static int read_update(struct line *l, struct named *n, struct err *e)
{
    struct change change = {.op = OP_UPDATE};
    bool old = line_skip(l, " old-key:");
    if (old && (read_old(l, e) || !line_skip(l, " new-tuple:")))
        return e->code == E_DECODE ? -1 : line_bad(l, e, "update without a new row");
    if (line_tuple(l, &l->d->new, e) || line_end(l, e))
        return -1;
    if (l->d->new.none)
        return line_bad(l, e, "update without a new row");
    if (relation_for(l, n, &l->d->new, true, e))
        return -1;
    change.rel = n->known;
    if (old && !knows(n, &l->d->old))
        return line_bad(l, e, "old row has columns that the new one lacks");
    if (old)
        take_old(l, n, &change);
    take_new(l, &change);
    return line_emit(l, &change, e);
}

/* Without a replica identity nothing tells which row it was: no change can be made of that. */
static int read_delete(struct line *l, struct named *n, struct err *e)
{
    struct change change = {.op = OP_DELETE};
    if (read_old(l, e) || line_end(l, e))
        return -1;
    if (l->d->old.none)
        return 0;
    if (relation_for(l, n, &l->d->old, false, e))
        return -1;
    change.rel = n->known;
    take_old(l, n, &change);
    return line_emit(l, &change, e);
}

static int read_truncate(struct line *l, struct named *const *names, int count, struct err *e)
{
    struct change change = {.op = OP_TRUNCATE};
    const struct tuple none = {.count = 0};
    if (!line_skip(l, " (no-flags)")) {
        change.truncate_restart = line_skip(l, " restart_seqs");
        change.truncate_cascade = line_skip(l, " cascade");
        if (!change.truncate_restart && !change.truncate_cascade)
            return line_bad(l, e, "no flags");
    }
    if (line_end(l, e))
        return -1;
    for (int at = 0; at < count; at++)
        if (!names[at]->wire && names_announce(l, names[at], &none, false, e))
            return -1;
    for (int at = 0; at < count; at++) {
        change.rel = names[at]->known;
        if (line_emit(l, &change, e))
            return -1;
    }
    return 0;
}

/* The names up to the colon. A place may move when another one is made, so that they are looked up when all are there. */
static int read_names(struct line *l, struct named ***names, int *count, struct err *e)
{
    struct str (*texts)[2] = arena_alloc(l->scratch, TRUNCATE_MAX * sizeof *texts);
    *count = 0;
    do {
        if (*count == TRUNCATE_MAX)
            return line_bad(l, e, "more than %d relations", TRUNCATE_MAX);
        if (line_ident(l, &texts[*count][0], e))
            return -1;
        if (!line_skip(l, "."))
            return line_bad(l, e, "a relation without its schema");
        if (line_ident(l, &texts[*count][1], e))
            return -1;
        if (!names_place(l, texts[*count][0], texts[*count][1], e))
            return -1;
        (*count)++;
    } while (line_skip(l, ", "));
    *names = arena_alloc(l->scratch, (size_t) *count * sizeof **names);
    for (int at = 0; at < *count; at++)
        if (!((*names)[at] = names_place(l, texts[at][0], texts[at][1], e)))
            return -1;
    return 0;
}

int line_table(struct line *l, struct err *e)
{
    struct named **names = NULL;
    int count = 0;
    if (read_names(l, &names, &count, e))
        return -1;
    if (line_skip(l, ": TRUNCATE:"))
        return read_truncate(l, names, count, e);
    if (count > 1)
        return line_bad(l, e, "several relations");
    if (line_skip(l, ": INSERT:"))
        return read_insert(l, names[0], e);
    if (line_skip(l, ": UPDATE:"))
        return read_update(l, names[0], e);
    if (line_skip(l, ": DELETE:"))
        return read_delete(l, names[0], e);
    return line_bad(l, e, "unknown operation");
}
