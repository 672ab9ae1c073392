/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of rows as bytes, and sets of them.
 *
 * A key is its columns in the order of the key, each as length (4 bytes, big-endian) and text, so
 * that equal bytes are equal keys. A set may also tell by which transaction each was touched; a key
 * then stands in it once a transaction.
 */
#ifndef TR_SOURCE_KEYSET_H
#define TR_SOURCE_KEYSET_H

#include "schemas/change.h"

struct keyset_entry {
    size_t at, len; /* in bytes */
    uint32_t xid;
    uint64_t commit_lsn;
};

struct keyset {
    struct buf bytes;
    struct keyset_entry *entries;
    int count, room;
    uint32_t *places; /* open hash of entry numbers + 1 */
    size_t place_room;
};

/* Append the key of a row; false, with nothing appended, when a column of it has no value. */
bool key_add(const struct relation *rel, const struct value *row, struct buf *out) MUST_CHECK;
/* The next column of a key at *at (0 to begin); false at its end. */
bool key_next(struct str key, size_t *at, struct str *column);

/* Put key in, when it is not there with this xid. */
void keyset_add(struct keyset *k, struct str key, uint32_t xid, uint64_t commit_lsn);
/* The key is there, with whatever xid. */
bool keyset_has(const struct keyset *k, struct str key);
struct str keyset_key(const struct keyset *k, int at);
/* Empty it; free also gives back. */
void keyset_reset(struct keyset *k);
void keyset_free(struct keyset *k);

#endif
