/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots of tables with a key, beside the stream: what snap.c, lane.c and place.c share.
 *
 * A lane reads one run at a time. A chunk is read in one REPEATABLE READ transaction together with
 * pg_current_snapshot(), and put on the bus between two transactions of the stream when
 *  - every transaction that was streamed before the lane began to note keys is seen by the snapshot
 *    (otherwise the snapshot is taken again, which costs nothing: no row was read yet);
 *  - the stream has passed everything that the snapshot sees, so that none of it comes later;
 *  - rows whose key was noted of a transaction that the snapshot does not see are left out: the
 *    stream has brought something younger. They are read again, by key, as a small chunk.
 * So a row of a chunk is, where it stands, the newest that the stream has told.
 */
#ifndef TR_SOURCE_SNAP_H
#define TR_SOURCE_SNAP_H

#include "agent/source/inner.h"
#include "agent/source/keyset.h"
#include "agent/source/run.h"
#include "agent/source/view.h"

#define LANES_MAX 8
#define UNSETTLED_MAX 16384
#define CHUNK_BYTES ((size_t) 1 << 20)  /* aimed at */
#define CHUNK_MAX_BYTES ((size_t) 8 << 20) /* rows behind it wait for the next chunk */
#define CHUNK_ROWS_FIRST 500
#define CHUNK_ROWS_MAX 50000
#define CHUNK_KEYS_MAX 256              /* read again at once */
#define TOUCHED_MAX 100000              /* keys noted for one chunk; with more it is read again */
#define AGAIN_US 3000                   /* between snapshots that do not see enough */

enum lane_state {
    LANE_IDLE,   /* nothing asked */
    LANE_UNDO,   /* a transaction is being given up */
    LANE_VIEW,   /* the snapshot is asked for */
    LANE_ROWS,   /* rows come */
    LANE_END,    /* the transaction is being ended */
    LANE_READY,  /* waits for its place in the stream */
};

struct lane {
    struct source *s;
    struct run *run;         /* NULL: free */
    PGconn *c;
    enum lane_state state;
    struct arena arena;      /* of one chunk */
    const struct relation *rel;
    struct str topic;
    struct buf topic_text;
    struct buf filter;       /* the publication's row filter, empty when all rows are sent */
    char shape[80];          /* digest of the table's columns and keys that rel was made from */
    char asked_shape[80];
    struct view view;
    bool viewed;             /* view is of the chunk in work */
    bool noting;             /* keys are noted */
    bool spoiled;            /* read it again: the table was truncated or changed meanwhile */
    bool rewritten;
    uint64_t noting_lsn;     /* last commit that was streamed before */
    struct keyset touched;
    struct buf line;         /* one of them, parsed */
    struct buf rows;         /* each as length (4 bytes, big-endian) and a COPY line */
    int64_t row_count, all_rows, limit;
    bool keys;               /* reads what is pending, not the next rows */
    struct buf asked;        /* the keys it reads */
    int64_t until_us;        /* mono: nothing before */
    int64_t told_us;
};

#define PUT_MAX 256
#define BEHIND_BYTES ((size_t) 4 << 20) /* of chunks that targets lack, before more are put */
struct snap_put { uint64_t end_offset; size_t bytes; };

struct unsettled { uint32_t xid; uint64_t commit_lsn; };

/* A wish from another thread, on its stack. */
struct snap_ask {
    const char *verb, *table, *where;
    struct buf *answer;
    struct err *e;
    int rc;
    bool done;
};

struct snap {
    struct run **runs;
    int run_count;
    struct lane lanes[LANES_MAX];
    int lane_count;
    struct unsettled *unsettled; /* streamed, of tables here, and not yet seen by a snapshot */
    int unsettled_count;
    uint64_t fence_xid, fence_lsn; /* what ended before counts as streamed and not yet seen */
    struct snap_put put[PUT_MAX]; /* chunks that targets may lack */
    int put_count;
    bool loaded, risk;
    int64_t told_us, turned_us;
    struct snap_ask *ask;    /* under the source's lock */
    pthread_cond_t answered;
    struct buf list;         /* JSON of the runs, under the source's lock */
};

/* ---- lane.c ---- */

/* Take up a run; the connection is made when it is needed. */
void lane_open(struct lane *l, struct run *run);
/* Give up what it does and its connection. */
void lane_close(struct lane *l);
/* Go on as far as goes without waiting. -1 when only the run, or its connection, failed. */
int lane_turn(struct lane *l, struct err *e) MUST_CHECK;
/* The chunk is done with; with a reason it is read again, in a moment. */
void lane_next(struct lane *l, const char *why);
/* The next row in rows from *at on, to values; false at the end. */
bool lane_next_row(struct lane *l, size_t *at, struct value *values, size_t *bytes, int *rc, struct err *e);

/* ---- place.c ---- */

/* The stream stands where the chunk may be put. */
bool place_due(struct lane *l);
/* Put the chunk. -1 ends the session, unless *again: it has to be read again. */
int place_chunk(struct lane *l, bool *again, struct err *e) MUST_CHECK;

/* ---- snap_ask.c ---- */

/* Answer who asks, if anybody does. */
void ask_answer(struct source *s);

/* ---- snap.c ---- */

/* The run of this table, or NULL. */
struct run *run_find(const struct snap *n, uint32_t oid);
/* A new run of the table; and one that ends, also in the store. */
int run_add(struct source *s, const struct catalog_table *t, const char *where, bool fresh, struct err *e) MUST_CHECK;
int run_drop(struct source *s, struct run *r, struct err *e) MUST_CHECK;
/* Nobody reads it now. */
void run_leave(struct snap *n, const struct run *r);

/* A sentence about the run, logged when new. */
void snap_say(struct source *s, struct run *r, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
