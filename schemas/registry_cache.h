/* SPDX-License-Identifier: Apache-2.0
 *
 * What a registry elsewhere told us, kept in the store: text and subject to id, id to text.
 *
 * A schema that is here needs no registry, over outages and restarts. Keys of STORE_REGISTRY:
 *   'i' id (4, big-endian)                      -> text
 *   's' subject \0 SHA-256 of the text (16)     -> id (4)
 *   'v' subject                                 -> number of the subject that stands for it (4)
 * Bounded: above CACHE_TEXT_BYTES texts of the lowest ids go, above CACHE_IDS any other entry of its
 * kind; what went is asked for again. Thread-safe, as the store is; but one adder at a time.
 */
#ifndef TR_SCHEMAS_REGISTRY_CACHE_H
#define TR_SCHEMAS_REGISTRY_CACHE_H

#include "agent/base/store.h"

#define CACHE_TEXT_BYTES ((size_t) 64 << 20)
#define CACHE_IDS 50000
#define CACHE_SUBJECT_MAX ((size_t) 480) /* bytes; with the rest it is within LMDB's key */

struct registry_cache {
    struct store *store;
    size_t text_bytes, text_max; /* of texts stored */
    int ids, ids_max;            /* of 's' entries stored */
};

/* Count what store holds. */
int cache_open(struct registry_cache *c, struct store *store, struct err *e) MUST_CHECK;

/* Id of text under subject; 0 when it is not here. */
int cache_id(struct registry_cache *c, struct str subject, struct str text, int *id, struct err *e) MUST_CHECK;
/* Text of an id, replacing what out held; *found tells. */
int cache_text(struct registry_cache *c, int id, struct buf *out, bool *found, struct err *e) MUST_CHECK;
/* Number of the subject that stands for this one since it was refused; 1 when itself. */
int cache_number(struct registry_cache *c, struct str subject, int *number, struct err *e) MUST_CHECK;
/* The highest id whose text is here; 0 when none. */
int cache_last(struct registry_cache *c, int *id, struct err *e) MUST_CHECK;

struct cache_entry {
    struct str subject; /* empty: only id and text */
    struct str text;
    int id, number;     /* number 1: the subject itself */
};
/* Durable when it returns 0. A text larger than all texts may be is not kept. */
int cache_add(struct registry_cache *c, const struct cache_entry *entry, struct err *e) MUST_CHECK;

/* visit(self, subject, n, id) for the ids of each subject, n = 1, 2 ... within it; -1 stops. */
int cache_each(struct registry_cache *c, void *self,
               int (*visit)(void *self, struct str subject, int version, int id), struct err *e) MUST_CHECK;

#endif
