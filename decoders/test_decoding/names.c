/* SPDX-License-Identifier: Apache-2.0
 *
 * Relations by name. A line has the columns of its own row only: all of them in a new row, those of an old
 * key that are not NULL otherwise. So a relation that is first met in a delete grows until a new row shows the whole.
 */
#include <stdlib.h>

#include "decoders/test_decoding/line.h"

#define SLOTS_FIRST 64 /* a power of two, as every size after it */

static uint64_t hash_add(uint64_t hash, struct str text)
{
    for (size_t at = 0; at < text.len; at++)
        hash = (hash ^ (uint8_t) text.p[at]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return (hash ^ 0xff) * UINT64_C(0x100000001b3);
}

/* The slot of a name, or the free one where it would go. There is always a free one. */
static struct named *slot_of(struct named *slots, size_t count, struct str space, struct str name)
{
    size_t at = hash_add(hash_add(UINT64_C(0xcbf29ce484222325), space), name) & (count - 1);
    while (slots[at].name.len && !(str_eq(slots[at].name, name) && str_eq(slots[at].space, space)))
        at = (at + 1) & (count - 1);
    return &slots[at];
}

static void grow(struct decoder *d)
{
    size_t count = d->slot_count ? d->slot_count * 2 : SLOTS_FIRST;
    struct named *slots = mem_zalloc(count, sizeof *slots);
    for (size_t at = 0; at < d->slot_count; at++)
        if (d->slots[at].name.len)
            *slot_of(slots, count, d->slots[at].space, d->slots[at].name) = d->slots[at];
    free(d->slots);
    d->slots = slots;
    d->slot_count = count;
}

static bool room(const struct decoder *d, size_t bytes)
{
    return arena_used(&d->arena) + d->slot_count * sizeof *d->slots + bytes <= NAMES_MAX_BYTES;
}

static int full(const struct line *l, struct err *e)
{
    return line_bad(l, e, "descriptions of relations take more than %zu MB", NAMES_MAX_BYTES >> 20);
}

struct named *names_place(struct line *l, struct str space, struct str name, struct err *e)
{
    struct decoder *d = l->d;
    if (d->used * 4 >= d->slot_count * 3)
        grow(d);
    struct named *n = slot_of(d->slots, d->slot_count, space, name);
    if (n->name.len)
        return n;
    if (!room(d, space.len + name.len + 64)) {
        (void) full(l, e);
        return NULL;
    }
    *n = (struct named){.space = arena_str(&d->arena, space), .name = arena_str(&d->arena, name)};
    d->used++;
    return n;
}

static bool holds(const struct tuple *t, struct str name)
{
    for (int at = 0; at < t->count; at++)
        if (str_eq(t->cells[at].name, name))
            return true;
    return false;
}

/* Columns that are known of n and not in t, then those of t, to cols when that is not NULL. Returns how many. */
static int merge(const struct named *n, const struct tuple *t, bool whole, struct column *cols)
{
    int count = 0;
    for (int at = 0; !whole && !n->whole && n->wire && at < n->wire->column_count; at++) {
        if (holds(t, n->wire->columns[at].name))
            continue;
        if (cols)
            cols[count] = n->wire->columns[at];
        count++;
    }
    for (int at = 0; at < t->count; at++, count++)
        if (cols)
            cols[count] = (struct column){.name = t->cells[at].name, .type_sql = t->cells[at].type, .typmod = -1};
    return count;
}

int names_announce(struct line *l, struct named *n, const struct tuple *t, bool whole, struct err *e)
{
    struct decoder *d = l->d;
    const struct relation *refined = NULL;
    int count = merge(n, t, whole, NULL);
    if (count > COLUMNS_MAX)
        return line_bad(l, e, "more than %d columns", COLUMNS_MAX);
    struct column *cols = arena_zalloc(l->scratch, (size_t) count + 1, sizeof *cols);
    (void) merge(n, t, whole, cols);
    size_t bytes = sizeof(struct relation) + 64;
    for (int at = 0; at < count; at++)
        bytes += sizeof *cols + cols[at].name.len + cols[at].type_sql.len + 64;
    if (!room(d, bytes))
        return full(l, e);
    const struct relation wire = {.version = ++d->version, .space = n->space, .name = n->name, .identity = 'd',
                                  .column_count = count, .columns = cols};
    const struct relation *copy = relation_copy(&d->arena, &wire);
    n->wire = NULL; /* until the callee has taken it */
    if (l->out->relation(l->out->self, copy, &refined, e))
        return -1;
    if (refined && refined->column_count != count)
        return err_set(e, E_INTERNAL, "refined relation has %d columns instead of %d", refined->column_count, count);
    n->wire = copy;
    n->known = refined ? refined : copy;
    n->whole = whole;
    return 0;
}

void names_restart(struct decoder *d)
{
    for (size_t at = 0; at < d->slot_count; at++) {
        d->slots[at].wire = d->slots[at].known = NULL;
        d->slots[at].whole = false;
    }
}
