/* SPDX-License-Identifier: Apache-2.0
 *
 * From changes to runs: what a change means for its table, and which neighbours share a statement.
 *
 * A run keeps the order of the source: it ends where the next change is of another table, kind or
 * shape, and where a key comes a second time (one statement sees each row once). A key change
 * counts with both of its keys. Two keys with the same hash merely end a run early.
 */
#include "sinks/postgres/table.h"

#include <stdlib.h>

static bool known(struct value v)
{
    return v.state == VALUE_SET || v.state == VALUE_NULL;
}

struct value pgs_new_value(const struct change *c, int column)
{
    struct value v = c->after ? c->after[column] : (struct value){0};
    if (v.state == VALUE_UNCHANGED && c->before && known(c->before[column]))
        return c->before[column];
    return v;
}

struct value pgs_old_value(const struct change *c, int column)
{
    if (c->before && known(c->before[column]))
        return c->before[column];
    return c->after ? c->after[column] : (struct value){0};
}

static bool value_eq(struct value a, struct value b)
{
    return a.state == b.state && (a.state != VALUE_SET || str_eq(a.text, b.text));
}

bool pgs_key_changes(const struct pgs_table *t, const struct change *c)
{
    for (int at = 0; at < t->rel->column_count; at++)
        if (t->rel->columns[at].key_position &&
            !value_eq(pgs_old_value(c, at), pgs_new_value(c, at)))
            return true;
    return false;
}

bool pgs_complete(const struct pgs_table *t, const struct change *c)
{
    for (int at = 0; at < t->rel->column_count; at++)
        if (t->columns[at].used && pgs_new_value(c, at).state == VALUE_UNCHANGED)
            return false;
    return c->after != NULL;
}

/* Columns that an update assigns: never empty, since SQL wants one. */
static void update_mask(const struct pgs_table *t, const struct change *c, uint8_t *mask)
{
    const struct relation *rel = t->rel;
    bool any = false, moved = rel->key_count && pgs_key_changes(t, c);
    for (int at = 0; at < rel->column_count; at++) {
        bool key = rel->columns[at].key_position > 0;
        mask[at] = t->columns[at].used && known(pgs_new_value(c, at)) &&
                   (key ? moved : !t->columns[at].always_identity);
        any = any || mask[at];
    }
    for (int at = 0; !any && at < rel->column_count; at++) {
        mask[at] = t->columns[at].used && known(pgs_old_value(c, at)) && !t->columns[at].always_identity;
        any = mask[at];
    }
}

enum pgs_kind pgs_classify(const struct pgs_table *t, const struct change *c, uint8_t *mask)
{
    const struct relation *rel = t->rel;
    memset(mask, 0, (size_t) rel->column_count);
    switch (c->op) {
    case OP_TRUNCATE:
        return PGS_TRUNCATE;
    case OP_DELETE:
        return rel->key_count ? PGS_DELETE : PGS_DELETE_ROW;
    case OP_UPDATE:
        update_mask(t, c, mask);
        return rel->key_count ? PGS_UPDATE : PGS_UPDATE_ROW;
    case OP_READ:
    case OP_CREATE:
    case OP_MESSAGE:
    case OP_NONE:
        break;
    }
    for (int at = 0; at < rel->column_count; at++)
        mask[at] = t->columns[at].used && known(pgs_new_value(c, at));
    return PGS_INSERT;
}

/* FNV-1a over the key's values with their lengths; never 0. */
static uint64_t key_hash(const struct pgs_table *t, const struct change *c, bool old)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (int at = 0; at < t->rel->column_count; at++) {
        if (!t->rel->columns[at].key_position)
            continue;
        struct value v = old ? pgs_old_value(c, at) : pgs_new_value(c, at);
        for (size_t byte = 0; byte < v.text.len; byte++)
            hash = (hash ^ (uint8_t) v.text.p[byte]) * UINT64_C(0x100000001b3);
        hash = (hash ^ v.text.len ^ UINT64_C(0x100)) * UINT64_C(0x100000001b3);
    }
    return hash ? hash : 1;
}

/* True when the hash is there already; otherwise it is now. The table is four times the rows, each
 * of which adds two at most, so that a free place is always found. */
static bool seen_add(struct pgs_run *run, uint64_t hash)
{
    const size_t places = sizeof run->seen / sizeof run->seen[0];
    for (size_t at = hash % places;; at = (at + 1) % places) {
        if (run->seen[at] == hash)
            return true;
        if (!run->seen[at]) {
            run->seen[at] = hash;
            return false;
        }
    }
}

static bool seen_has(const struct pgs_run *run, uint64_t hash)
{
    const size_t places = sizeof run->seen / sizeof run->seen[0];
    for (size_t at = hash % places; run->seen[at]; at = (at + 1) % places)
        if (run->seen[at] == hash)
            return true;
    return false;
}

static size_t change_bytes(const struct change *c)
{
    size_t bytes = 0;
    for (int at = 0; at < c->rel->column_count; at++)
        bytes += (c->after ? c->after[at].text.len : 0) + (c->before ? c->before[at].text.len : 0) + 4;
    return bytes;
}

void pgs_run_clear(struct pgs_run *run)
{
    if (run->count)
        memset(run->seen, 0, sizeof run->seen);
    run->count = 0;
    run->bytes = 0;
    run->table = NULL;
}

void pgs_run_free(struct pgs_run *run)
{
    free(run->mask);
    run->mask = NULL;
    run->mask_room = 0;
}

static void run_begin(struct pgs_run *run, struct pgs_table *t, enum pgs_kind kind,
                      const uint8_t *mask)
{
    size_t columns = (size_t) t->rel->column_count;
    if (columns > run->mask_room) {
        run->mask = mem_realloc(run->mask, columns);
        run->mask_room = columns;
    }
    if (columns)
        memcpy(run->mask, mask, columns);
    run->table = t;
    run->kind = kind;
}

/* The key, or for an update both keys, is not yet in the run; now it is. */
static bool take_keys(struct pgs_run *run, const struct change *c)
{
    if (!run->table->rel->key_count)
        return true;
    uint64_t old = key_hash(run->table, c, run->kind != PGS_INSERT);
    uint64_t moved = run->kind == PGS_UPDATE ? key_hash(run->table, c, false) : old;
    if (seen_has(run, old) || seen_has(run, moved))
        return false;
    (void) seen_add(run, old);
    if (moved != old)
        (void) seen_add(run, moved);
    return true;
}

bool pgs_run_take(struct pgs_run *run, struct pgs_table *t, enum pgs_kind kind,
                  const uint8_t *mask, const struct change *c)
{
    if (kind == PGS_TRUNCATE)
        return false;
    if (!run->count)
        run_begin(run, t, kind, mask);
    else if (run->table != t || run->kind != kind || run->count == PGS_RUN_ROWS ||
             run->bytes >= PGS_RUN_BYTES ||
             memcmp(run->mask, mask, (size_t) t->rel->column_count) != 0)
        return false;
    if (!take_keys(run, c))
        return false;
    run->rows[run->count++] = c;
    run->bytes += change_bytes(c);
    return true;
}

void pgs_array_element(struct buf *out, const struct value *v)
{
    if (v->state != VALUE_SET) {
        buf_add_text(out, "NULL");
        return;
    }
    /* Quoted always: an unquoted NULL, blank or brace would mean something else. */
    char *to = buf_grow(out, v->text.len * 2 + 2);
    if (!to)
        return;
    size_t len = 0;
    to[len++] = '"';
    for (size_t at = 0; at < v->text.len; at++) {
        char c = v->text.p[at];
        if (c == '"' || c == '\\')
            to[len++] = '\\';
        to[len++] = c;
    }
    to[len++] = '"';
    out->len += len;
}
