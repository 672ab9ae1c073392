/* SPDX-License-Identifier: Apache-2.0
 *
 * A run: one table being read chunk by chunk, and what the store knows of it.
 *
 * The stored record tells how far the run was before the chunk that is about to be put, how far it
 * is after it, and at which offset of the bus that chunk stands. It is written before the chunk is
 * put, and only when the chunk before is durable; so after a kill the bus tells which of the two
 * holds, and no chunk is put twice or left out.
 */
#ifndef TR_SOURCE_RUN_H
#define TR_SOURCE_RUN_H

#include "agent/base/store.h"
#include "schemas/change.h"

#define RUN_NOT_PUT UINT64_MAX
#define RUNS_MAX 10000

struct run_progress {
    bool begun;         /* a chunk of it is on the bus */
    bool ended;         /* nothing is left to read */
    struct buf from;    /* key up to which rows are on the bus; empty = none (see keyset.h) */
    struct buf pending; /* keys to be read again, each as one column of a key */
    int64_t rows;
};

struct run {
    uint64_t id;
    uint32_t oid;
    char *space, *name;
    char *where;        /* SQL condition; empty = all rows */
    bool fresh;         /* first copy: targets clear the table, nothing of it was streamed before */
    bool partitioned;
    bool paused;        /* by command */
    bool cancelled;
    uint64_t lsn;       /* of the server when it began */
    int64_t expected;   /* rows; -1 = not known */
    int64_t started_us; /* wall */
    struct run_progress now;
    uint64_t put_offset; /* of the bus, behind the last chunk; 0 = none since the start */
    int64_t chunks, again; /* since the start of the process: put, and read again */
    int64_t rows_before; /* rows when this process took it up, and when (mono): for the rate */
    int64_t taken_us;
    int64_t retry_us;   /* mono: not before */
    int failures;       /* since its last chunk, of a kind that does not pass */
    bool working;       /* a lane has it */
    char why[256];      /* what it waits for, or the last error; empty = it works */
};

/* Nothing of it is left to read. */
static inline bool run_complete(const struct run *r)
{
    return r->now.ended && !r->now.pending.len;
}

/* A run of which nothing is known but the table and the condition, both copied; and parts of it. */
struct run *run_new(struct str space, struct str name, const char *where);
void run_free(struct run *r);
void progress_free(struct run_progress *p);
void progress_copy(struct run_progress *to, const struct run_progress *from);

/* Store the run and last, the last position given to a chunk, in one step. next is what holds once
 * the bus has committed beyond offset; NULL with RUN_NOT_PUT. Durable when it returns 0. */
int run_save(struct store *store, const struct run *r, const struct run_progress *next, uint64_t offset,
             const struct position *last, struct err *e) MUST_CHECK;
int run_forget(struct store *store, const struct run *r, const struct position *last, struct err *e) MUST_CHECK;
/* Positions up to last are given away. Durable when it returns 0. */
int run_save_last(struct store *store, const struct position *last, struct err *e) MUST_CHECK;
/* All stored runs, by id, and the last position given to a chunk; committed_offset is the bus's at
 * its start. runs is the caller's, as run_free and free. E_CORRUPT. */
int run_load_all(struct store *store, uint64_t committed_offset, struct run ***runs, int *count,
                 struct position *last, struct err *e) MUST_CHECK;

/* A record as bytes and back, for the store and for tests; NULL when the bytes are none. */
void run_write(const struct run *r, const struct run_progress *next, uint64_t offset, struct buf *out);
struct run *run_read(struct str bytes, uint64_t committed_offset) MUST_CHECK;

#endif
