/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash table from OID to the relation announced last.
 */
#include "decoders/pgoutput/relcache.h"

#include <stdlib.h>

#define SLOTS_FIRST 64 /* a power of two, as every size after it */

void relcache_init(struct relcache *c)
{
    *c = (struct relcache){.round = 1};
    arena_init(&c->arena, 0, "relation cache");
}

void relcache_free(struct relcache *c)
{
    arena_free(&c->arena);
    free(c->slots);
    c->slots = NULL;
    c->slot_count = c->used = 0;
}

void relcache_restart(struct relcache *c)
{
    c->round++;
}

/* The slot of oid, or the free one where it would go. There is always a free one. */
static struct relcache_entry *slot_of(struct relcache_entry *slots, size_t count, uint32_t oid)
{
    /* Fibonacci hashing: OIDs are handed out in runs */
    size_t at = (oid * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (count - 1);
    while (slots[at].oid && slots[at].oid != oid)
        at = (at + 1) & (count - 1);
    return &slots[at];
}

static const struct relcache_entry *valid_entry(const struct relcache *c, uint32_t oid)
{
    if (!c->slot_count || !oid)
        return NULL;
    const struct relcache_entry *entry = slot_of(c->slots, c->slot_count, oid);
    return entry->oid && entry->round == c->round ? entry : NULL;
}

const struct relation *relcache_find(const struct relcache *c, uint32_t oid)
{
    const struct relcache_entry *entry = valid_entry(c, oid);
    return entry ? entry->known : NULL;
}

const struct relation *relcache_wire(const struct relcache *c, uint32_t oid, uint64_t *heard)
{
    const struct relcache_entry *entry = valid_entry(c, oid);
    *heard = entry ? entry->heard : 0;
    return entry ? entry->wire : NULL;
}

static void grow(struct relcache *c)
{
    size_t count = c->slot_count ? c->slot_count * 2 : SLOTS_FIRST;
    struct relcache_entry *slots = mem_zalloc(count, sizeof *slots);
    for (size_t at = 0; at < c->slot_count; at++)
        if (c->slots[at].oid)
            *slot_of(slots, count, c->slots[at].oid) = c->slots[at];
    free(c->slots);
    c->slots = slots;
    c->slot_count = count;
}

static size_t bytes_of(const struct relation *rel)
{
    size_t bytes = sizeof *rel + rel->space.len + rel->name.len + 64;
    for (int at = 0; at < rel->column_count; at++)
        bytes += sizeof *rel->columns + rel->columns[at].name.len + 64;
    return bytes;
}

int relcache_add(struct relcache *c, const struct relation *wire, uint64_t heard,
                 const struct relation **added, struct err *e)
{
    *added = NULL;
    if (c->used * 4 >= c->slot_count * 3)
        grow(c);
    struct relcache_entry *entry = slot_of(c->slots, c->slot_count, wire->oid);
    bool same = entry->oid && relation_equal(entry->wire, wire);
    entry->user = 0;
    if (same && entry->round == c->round && entry->known && !entry->renew) {
        entry->heard = heard;
        return 0;
    }
    size_t table_bytes = c->slot_count * sizeof *c->slots;
    if (arena_used(&c->arena) + bytes_of(wire) + table_bytes > RELCACHE_MAX_BYTES)
        return err_set(e, E_DECODE, "descriptions of relations take more than %zu MB at %.*s.%.*s",
                       RELCACHE_MAX_BYTES >> 20, STR_ARG(wire->space), STR_ARG(wire->name));

    struct relation next = same ? *entry->wire : *wire;
    next.version = entry->version + 1;
    const struct relation *copy;
    if (same) { /* a restart: the fields in memory serve again */
        struct relation *shared = arena_alloc(&c->arena, sizeof *shared);
        *shared = next;
        copy = shared;
    } else {
        copy = relation_copy(&c->arena, &next);
    }
    if (!entry->oid)
        c->used++;
    entry->oid = wire->oid;
    entry->version = next.version;
    entry->heard = heard;
    entry->wire = copy;
    entry->known = NULL;
    entry->renew = entry->ahead = false;
    entry->round = c->round;
    *added = copy;
    return 0;
}

bool relcache_first_use(struct relcache *c, uint32_t oid, uint32_t user)
{
    if (!c->slot_count)
        return true;
    struct relcache_entry *entry = slot_of(c->slots, c->slot_count, oid);
    bool first = entry->user != user;
    entry->user = user;
    return first;
}

void relcache_renew(struct relcache *c, uint32_t oid)
{
    if (c->slot_count && oid && slot_of(c->slots, c->slot_count, oid)->oid)
        slot_of(c->slots, c->slot_count, oid)->renew = true;
}

void relcache_set(struct relcache *c, const struct relation *added, const struct relation *known)
{
    struct relcache_entry *entry = slot_of(c->slots, c->slot_count, added->oid);
    entry->known = known;
    entry->ahead = false;
}

void relcache_set_ahead(struct relcache *c, const struct relation *added)
{
    slot_of(c->slots, c->slot_count, added->oid)->ahead = true;
}

const struct relation *relcache_ahead(const struct relcache *c, uint32_t oid)
{
    const struct relcache_entry *entry = valid_entry(c, oid);
    return entry && entry->ahead ? entry->wire : NULL;
}
