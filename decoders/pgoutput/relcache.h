/* SPDX-License-Identifier: Apache-2.0
 *
 * The relations that a stream has announced, by OID.
 *
 * Relations are handed out for the life of the decoder, so nothing is evicted: the cache has a
 * byte limit instead, and reaching it is an error and never a forgotten table. A relation that is
 * announced again after a restart with the same fields shares its memory with the earlier one.
 */
#ifndef TR_DECODERS_RELCACHE_H
#define TR_DECODERS_RELCACHE_H

#include "agent/base/err.h"
#include "schemas/relation.h"

#define RELCACHE_MAX_BYTES ((size_t) 256 << 20)

struct relcache_entry {
    uint32_t oid;
    uint32_t round;                /* of the last announcement; an older one is not valid now */
    uint32_t version;              /* of the last announcement */
    uint64_t heard;                /* the caller's number of it */
    uint32_t user;                 /* the last one that asked by relcache_first_use since then; 0 = none */
    bool ahead;                    /* taken before anybody is told of it */
    bool renew;                    /* the next announcement is a new one, whatever it says */
    const struct relation *wire;   /* as announced */
    const struct relation *known;  /* what changes carry: wire, or refined by the caller */
};

struct relcache {
    struct arena arena;            /* relations; capped by relcache_add */
    struct relcache_entry *slots;  /* open addressing; oid 0 is a free slot */
    size_t slot_count, used;
    uint32_t round;                /* grows with each restart */
};

/* An empty cache. */
void relcache_init(struct relcache *c);

/* Give all memory back, that of relations handed out included. */
void relcache_free(struct relcache *c);

/* Nothing is announced any more; versions go on from where they were. */
void relcache_restart(struct relcache *c);

/* What changes of this relation carry now; NULL when it has not been announced since the last
 * restart. */
const struct relation *relcache_find(const struct relcache *c, uint32_t oid);

/* The last announcement and its number; NULL as above. */
const struct relation *relcache_wire(const struct relcache *c, uint32_t oid, uint64_t *heard);

/* Take an announcement. NULL in *added when it says what is known already; otherwise *added is a
 * copy of wire with the next version, to be confirmed by relcache_set, and until then changes of
 * the relation are refused. heard is a number of the caller's, kept with it. -1 (E_DECODE) at the byte
 * limit. oid 0 must not be given. */
int relcache_add(struct relcache *c, const struct relation *wire, uint64_t heard,
                 const struct relation **added, struct err *e) MUST_CHECK;

/* added may be told of later: relcache_ahead finds it until relcache_set. */
void relcache_set_ahead(struct relcache *c, const struct relation *added);
/* A relation to be told of now, before changes of it; NULL when there is none of this oid. */
const struct relation *relcache_ahead(const struct relcache *c, uint32_t oid);

/* Whether user, a number from 1, has not asked for oid since it was last announced. */
bool relcache_first_use(struct relcache *c, uint32_t oid, uint32_t user);

/* relcache_add takes the next announcement of oid as another one. */
void relcache_renew(struct relcache *c, uint32_t oid);

/* What changes of added's relation carry from now on. */
void relcache_set(struct relcache *c, const struct relation *added, const struct relation *known);

#endif
