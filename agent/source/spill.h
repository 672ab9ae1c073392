/* SPDX-License-Identifier: Apache-2.0
 *
 * Parts of transactions that are not committed yet, one file a transaction, in a folder of the state
 * directory.
 *
 * Of transactions that are open nothing outlives a connection: what was not committed, or not confirmed, is sent again. So
 * nothing is synced, and what an earlier process left is deleted. Those that were prepared for two-phase commit are synced and stay,
 * in another folder (prepared.c). Every part carries a checksum.
 * Memory: one buffer for writing and one for reading, and four bytes for each subtransaction that
 * was given up. One thread.
 */
#ifndef TR_SOURCE_SPILL_H
#define TR_SOURCE_SPILL_H

#include "agent/base/err.h"
#include "decoders/decoder.h"

struct spill;

struct spill_part {
    struct str payload; /* until the next call */
    uint64_t lsn;
};

#define SPILL_FOLDER "spill"
#define PREPARED_FOLDER "prepared"

/* Files go into state_dir/folder, which is made when it is needed; max_bytes is for all of them. */
struct spill *spill_open(const char *state_dir, const char *folder, uint64_t max_bytes);
/* Delete all, and free. */
void spill_close(struct spill *sp);
/* Free, and leave the files. */
void spill_leave(struct spill *sp);
/* Forget everything, and delete what lies in the folder. */
void spill_clear(struct spill *sp);

/* Keep a part. E_SPILL at max_bytes, or when the disk does not take it. */
int spill_add(struct spill *sp, const struct decoder_part *part, struct err *e) MUST_CHECK;
/* A subtransaction was given up; with subxid = xid all of the transaction, as spill_drop. E_SPILL when they are too many. */
int spill_abort(struct spill *sp, uint32_t xid, uint32_t subxid, struct err *e) MUST_CHECK;
/* Read xid's parts from the first one on; one of which nothing was kept has none. E_SPILL. */
int spill_read(struct spill *sp, uint32_t xid, struct err *e) MUST_CHECK;
/* The next part that was not given up: 1, 0 at the end. E_SPILL, also for a file that is damaged. */
int spill_next(struct spill *sp, struct spill_part *out, struct err *e) MUST_CHECK;
/* The transaction is not needed any more. */
void spill_drop(struct spill *sp, uint32_t xid);

/* Sync xid's parts to disk, and tell their bytes; none were kept: 0. E_SYNC: nobody knows what is on disk. */
int spill_sync(struct spill *sp, uint32_t xid, uint64_t *bytes, struct err *e) MUST_CHECK;
/* Parts that an earlier process synced; E_STATE when the file is not there, E_CORRUPT when it does not have so many bytes. */
int spill_adopt(struct spill *sp, uint32_t xid, uint64_t bytes, struct err *e) MUST_CHECK;
/* Delete files of transactions that are not known. */
void spill_sweep(struct spill *sp);

/* Bytes kept, and of how many transactions. */
uint64_t spill_bytes(const struct spill *sp);
int spill_count(const struct spill *sp);

#endif
