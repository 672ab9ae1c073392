/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of a snapshot to the bus: a chunk is a transaction of kind MARK_COPY. Positions of chunks
 * grow over all tables and restarts, since that is how targets know which they have.
 */
#ifndef TR_SOURCE_CHUNK_H
#define TR_SOURCE_CHUNK_H

#include "agent/source/inner.h"

struct chunk {
    struct source *s;
    const struct relation *rel;
    struct str topic;
    uint64_t lsn;            /* where the snapshot stands */
    struct position pos;     /* of the open or last chunk */
    bool open;
    size_t bytes;            /* of the open or last chunk */
    int64_t rows;
    int rows_series, bytes_series;
};

/* Series of its metrics; topic and rel are set by then. expected is for M_COPY_TOTAL. */
void chunk_table(struct chunk *c, int64_t expected);
/* The position that comes next; first tells that it is the first one of a copy, whose LSN is then
 * another than those of all earlier ones. */
struct position chunk_position(const struct source *s, uint64_t lsn, bool first);
/* Begin with flags MARK_COPY_...; row; end with flags. A row's values are borrowed for the call. */
int chunk_open(struct chunk *c, unsigned flags, struct err *e) MUST_CHECK;
int chunk_row(struct chunk *c, const struct value *values, size_t bytes, struct err *e) MUST_CHECK;
/* Put what tells the schema of a table without rows; nothing in strict mode. */
int chunk_declare_empty(struct chunk *c, struct err *e) MUST_CHECK;
int chunk_close(struct chunk *c, unsigned flags, struct err *e) MUST_CHECK;
void chunk_abort(struct chunk *c);

/* A log line of how far a table's copy is: rows so far, of expected when that is known (not
 * negative). */
void chunk_tell_progress(struct source *s, struct str table, int64_t rows, int64_t expected);

/* What the stream will send of the table too: generated columns are the target's own affair. */
const struct relation *chunk_relation(const struct relation *rel, struct arena *a);

#endif
