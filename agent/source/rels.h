/* SPDX-License-Identifier: Apache-2.0
 *
 * Relations as the source has handed them out, by OID, with what is decided about each.
 *
 * A relation that says the same as the last one of its OID keeps its pointer and version, also
 * over reconnects and between copy and stream, so that its schemas are built and registered once.
 */
#ifndef TR_SOURCE_RELS_H
#define TR_SOURCE_RELS_H

#include "agent/base/err.h"
#include "schemas/relation.h"

struct rel_entry {
    uint32_t oid;              /* 0 = free */
    const struct relation *rel;
    bool chosen;               /* by the patterns in use */
    bool noted;                /* its rows are being read, or will be: changes are noted */
    bool incomplete;           /* a first copy is under way: targets may lack rows of it */
    uint64_t drop_below_lsn;   /* commits below are in a copy, or will be (UINT64_MAX) */
    bool has_enum;
    const struct relation *announced, *relabelled; /* changes that come with announced go on with relabelled */
    int64_t relabel_us;        /* mono: labels are not read again before */
};

struct rels {
    struct arena arena;
    struct rel_entry *entries; /* open addressing, at most half full */
    size_t room, count;
};

#define RELS_MAX_BYTES ((size_t) 128 << 20)

/* Begin empty, and give everything back. */
void rels_init(struct rels *r);
void rels_free(struct rels *r);
/* The entry of rel's OID, made when new, now holding an equal relation that lives as long as r. The entry pointer
 * is valid until the next adopt. */
struct rel_entry *rels_adopt(struct rels *r, const struct relation *rel);
/* NULL when never adopted. */
struct rel_entry *rels_find(const struct rels *r, uint32_t oid);

#endif
