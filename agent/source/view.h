/* SPDX-License-Identifier: Apache-2.0
 *
 * What a chunk's snapshot sees of the transactions in the stream. Pure.
 *
 * A commit is in the WAL before it is visible: a snapshot that was taken after the stream has
 * brought a commit may still not see it. So the LSN says nothing on a primary, only the xid does.
 * On a standby it is the other way around: pg_current_snapshot() does not list what is open there,
 * but a commit is visible exactly when it was replayed.
 */
#ifndef TR_SOURCE_VIEW_H
#define TR_SOURCE_VIEW_H

#include "agent/base/arena.h"

struct view {
    bool by_lsn;          /* of a standby */
    uint64_t low_lsn;     /* standby: replayed before the snapshot was taken */
    uint64_t high_lsn;    /* every commit that is visible begins before it */
    uint64_t xmin, xmax;
    uint64_t *open;       /* between xmin and xmax, in progress; in ascending order */
    int open_count;
};

/* pg_current_snapshot()::text, "xmin:xmax:xip,xip"; open lives in a. False when it is none. */
bool view_parse(struct str text, struct arena *a, struct view *out) MUST_CHECK;
/* The transaction's work is in what the snapshot reads. On a standby false also when that is not known. */
bool view_sees(const struct view *v, uint32_t xid, uint64_t commit_lsn);
/* Every transaction with an xid below fence, and every commit before fence_lsn, has ended and is seen. */
bool view_behind(const struct view *v, uint64_t fence_xid, uint64_t fence_lsn);
/* An insert position as the end of the last record: at the start of a page the two differ by the
 * page's header (24 bytes, 40 on a segment's first page), behind which a stream never comes. */
uint64_t view_record_end(uint64_t insert_lsn);

#endif
