/* SPDX-License-Identifier: Apache-2.0
 *
 * An open hash, at most half full; entries are kept in the order in which they came.
 */
#include "agent/source/keyset.h"

#include <stdlib.h>

#include "agent/base/cursor.h"

#define PLACES_FIRST 64 /* a power of two */

/* ---- one key ---- */

static bool has_value(const struct value *v)
{
    return v->state == VALUE_SET;
}

bool key_add(const struct relation *rel, const struct value *row, struct buf *out)
{
    size_t begin = out->len;
    for (int position = 1; position <= rel->key_count; position++)
        for (int at = 0; at < rel->column_count; at++) {
            uint8_t len[4];
            if (rel->columns[at].key_position != position)
                continue;
            if (!row || !has_value(&row[at])) {
                out->len = begin;
                return false;
            }
            put_be(len, row[at].text.len, 4);
            buf_add(out, len, 4);
            buf_add_str(out, row[at].text);
        }
    return rel->key_count > 0;
}

bool key_next(struct str key, size_t *at, struct str *column)
{
    if (*at + 4 > key.len)
        return false;
    struct cursor c = cursor_of((struct str){key.p + *at, key.len - *at});
    size_t len = cursor_u32(&c);
    if (len > key.len - *at - 4)
        return false;
    *column = (struct str){key.p + *at + 4, len};
    *at += 4 + len;
    return true;
}

/* ---- sets ---- */

struct str keyset_key(const struct keyset *k, int at)
{
    return (struct str){k->bytes.p + k->entries[at].at, k->entries[at].len};
}

static size_t hash_of(struct str key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t at = 0; at < key.len; at++)
        hash = (hash ^ (uint8_t) key.p[at]) * UINT64_C(0x100000001b3);
    return (size_t) (hash ^ hash >> 32);
}

static void place(struct keyset *k, int entry)
{
    size_t at = hash_of(keyset_key(k, entry)) & (k->place_room - 1);
    while (k->places[at])
        at = (at + 1) & (k->place_room - 1);
    k->places[at] = (uint32_t) entry + 1;
}

static void grow(struct keyset *k)
{
    if (k->count == k->room) {
        k->room = k->room ? k->room * 2 : PLACES_FIRST / 2;
        k->entries = mem_realloc(k->entries, (size_t) k->room * sizeof *k->entries);
    }
    if ((size_t) k->count * 2 < k->place_room)
        return;
    free(k->places);
    k->place_room = k->place_room ? k->place_room * 2 : PLACES_FIRST;
    k->places = mem_zalloc(k->place_room, sizeof *k->places);
    for (int at = 0; at < k->count; at++)
        place(k, at);
}

/* The entry with this key, and with xid unless any will do; -1 when there is none. */
static int find(const struct keyset *k, struct str key, bool any, uint32_t xid)
{
    if (!k->place_room)
        return -1;
    for (size_t at = hash_of(key) & (k->place_room - 1); k->places[at];
         at = (at + 1) & (k->place_room - 1)) {
        int entry = (int) k->places[at] - 1;
        if (str_eq(keyset_key(k, entry), key) && (any || k->entries[entry].xid == xid))
            return entry;
    }
    return -1;
}

void keyset_add(struct keyset *k, struct str key, uint32_t xid, uint64_t commit_lsn)
{
    if (find(k, key, false, xid) >= 0)
        return;
    grow(k);
    k->entries[k->count] = (struct keyset_entry){k->bytes.len, key.len, xid, commit_lsn};
    buf_add_str(&k->bytes, key);
    place(k, k->count++);
}

bool keyset_has(const struct keyset *k, struct str key)
{
    return find(k, key, true, 0) >= 0;
}

void keyset_reset(struct keyset *k)
{
    buf_reset(&k->bytes);
    k->count = 0;
    if (k->place_room)
        memset(k->places, 0, k->place_room * sizeof *k->places);
}

void keyset_free(struct keyset *k)
{
    buf_free(&k->bytes);
    free(k->entries);
    free(k->places);
    *k = (struct keyset){.count = 0};
}
