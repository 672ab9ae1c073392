/* SPDX-License-Identifier: Apache-2.0
 *
 * The change: one row operation as every part of tailrace knows it.
 *
 * Values are PostgreSQL text (the form that text output functions give with DateStyle ISO,
 * IntervalStyle postgres, TimeZone UTC, extra_float_digits 3, bytea_output hex). All of it is
 * borrowed from the arena or message it was made from.
 */
#ifndef TR_SCHEMAS_CHANGE_H
#define TR_SCHEMAS_CHANGE_H

#include "schemas/relation.h"

enum value_state {
    VALUE_ABSENT,    /* not in this event */
    VALUE_NULL,      /* SQL NULL */
    VALUE_SET,       /* text holds it; may be empty */
    VALUE_UNCHANGED, /* a TOASTed value that this update did not touch and PostgreSQL did not send */
};

struct value {
    enum value_state state;
    struct str text;
};

enum change_op {
    OP_NONE = 0, /* carries nothing to apply (a tombstone, the first half of a key change) */
    OP_READ = 'r', OP_CREATE = 'c', OP_UPDATE = 'u', OP_DELETE = 'd', OP_TRUNCATE = 't',
    OP_MESSAGE = 'm',
};

enum old_row {
    OLD_NONE, /* update that left the identity alone: no old row */
    OLD_KEY,  /* before holds identity columns, the others are ABSENT */
    OLD_FULL, /* before holds all columns */
};

/* Where a change stands. An LSN alone is no position: it means something on one system and
 * timeline only. Copies have positions of their own: lsn is the snapshot's, seq the chunk's. */
struct position {
    uint64_t system_id;
    uint32_t timeline;
    uint64_t lsn; /* start of the commit record (pgoutput's commit LSN) */
    uint64_t seq; /* number of the change in its transaction, or of the chunk in its copy */
};

struct txn {
    uint32_t xid;
    uint64_t first_lsn;  /* where it begins, as the message of its BEGIN is headed; 0 unknown */
    uint64_t commit_lsn; /* start of the commit record, known at BEGIN */
    uint64_t end_lsn;    /* end of the commit record, known at COMMIT; what is confirmed */
    int64_t commit_us;   /* commit time, microseconds since 1970 UTC */
    struct str origin;   /* replication origin, empty when local */
    uint64_t origin_lsn;
};

struct change {
    enum change_op op;
    const struct relation *rel;  /* NULL for OP_MESSAGE */
    enum old_row old;
    const struct value *before;  /* rel->column_count values, or NULL */
    const struct value *after;   /* rel->column_count values, or NULL */
    struct position pos;
    uint64_t lsn;                /* of this change's own record */
    bool truncate_cascade, truncate_restart; /* OP_TRUNCATE */
    bool transactional;          /* OP_MESSAGE */
    struct str prefix, content;  /* OP_MESSAGE */
    int64_t seen_us;             /* when the event was made */
};

/* Before all others for b: same system and timeline assumed by the caller. */
static inline int position_cmp(const struct position *a, const struct position *b)
{
    if (a->lsn != b->lsn)
        return a->lsn < b->lsn ? -1 : 1;
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

#endif
