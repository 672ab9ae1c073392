/* SPDX-License-Identifier: Apache-2.0
 *
 * Old versions stay in the arena: events refer to them until the source closes. They come with
 * DDL only, and the arena's cap ends the process with its name before they fill the memory.
 */
#include "agent/source/rels.h"

#include <stdlib.h>

#define ROOM_FIRST 64 /* a power of two */

void rels_init(struct rels *r)
{
    *r = (struct rels){.room = ROOM_FIRST};
    arena_init(&r->arena, RELS_MAX_BYTES, "descriptions of tables");
    r->entries = mem_zalloc(r->room, sizeof *r->entries);
}

void rels_free(struct rels *r)
{
    arena_free(&r->arena);
    free(r->entries);
    r->entries = NULL;
}

static struct rel_entry *place(struct rel_entry *entries, size_t room, uint32_t oid)
{
    size_t at = (oid * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (room - 1);
    while (entries[at].oid && entries[at].oid != oid)
        at = (at + 1) & (room - 1);
    return &entries[at];
}

static void grow(struct rels *r)
{
    size_t room = r->room * 2;
    struct rel_entry *entries = mem_zalloc(room, sizeof *entries);
    for (size_t at = 0; at < r->room; at++)
        if (r->entries[at].oid)
            *place(entries, room, r->entries[at].oid) = r->entries[at];
    free(r->entries);
    r->entries = entries;
    r->room = room;
}

struct rel_entry *rels_find(const struct rels *r, uint32_t oid)
{
    struct rel_entry *entry = place(r->entries, r->room, oid);
    return entry->oid ? entry : NULL;
}

struct rel_entry *rels_adopt(struct rels *r, const struct relation *rel)
{
    if (r->count * 2 >= r->room)
        grow(r);
    struct rel_entry *entry = place(r->entries, r->room, rel->oid);
    if (!entry->oid) {
        entry->oid = rel->oid;
        r->count++;
    }
    if (entry->rel && relation_equal(entry->rel, rel))
        return entry;
    struct relation next = *rel;
    next.version = entry->rel ? entry->rel->version + 1 : 1;
    entry->rel = relation_copy(&r->arena, &next);
    return entry;
}
