/* SPDX-License-Identifier: Apache-2.0
 *
 * Lag: where every stage stands, in time and bytes.
 *
 * commit (on the source) -> received -> decoded -> durable -> applied (per route). A stage is
 * marked with the LSN it has passed and the commit time of that. Its lag in time is 0 when it has
 * passed everything that the stage before the whole chain (the source's head, as told by commits, keepalives and
 * sentinels) is known to hold, otherwise the age of the oldest commit it has not passed. A source
 * that falls silent (no sentinel, no keepalive) makes the lag grow from the last sign of life plus
 * the sentinel interval. Marks are monotone; late and repeated ones are ignored. Thread-safe.
 */
#ifndef TR_LAG_LAG_H
#define TR_LAG_LAG_H

#include "agent/base/env.h"

enum lag_stage { LAG_RECEIVED, LAG_DECODED, LAG_DURABLE, LAG_APPLIED };

#define LAG_ROUTES_MAX 32

struct lag;

struct lag *lag_open(const struct env *env, int64_t sentinel_us, const char *const *routes, int count);
void lag_close(struct lag *l);

/* A transaction with this commit (start of record) was begun to be received: it now is the head to catch up with. */
void lag_commit_seen(struct lag *l, uint64_t commit_lsn, int64_t commit_us);
/* The stage has passed lsn, whose commit was at commit_us. route is the index for LAG_APPLIED,
 * ignored otherwise. */
void lag_mark(struct lag *l, enum lag_stage stage, int route, uint64_t lsn, int64_t commit_us);
/* The server says its WAL ends at head_lsn, at now (keepalive, or sentinel as is_sentinel). idle: nothing that concerns us lies before head_lsn. */
void lag_head(struct lag *l, uint64_t head_lsn, bool sentinel, bool idle);
/* The source connection is up or down. While down, lag grows from the last sign of life. */
void lag_connected(struct lag *l, bool up);
/* The server's current LSN, from the statistics query, for lag in bytes. */
void lag_server_lsn(struct lag *l, uint64_t lsn);

struct lag_reading {
    int64_t time_us;
    uint64_t bytes;
    uint64_t lsn; /* passed by the stage */
};
void lag_read(struct lag *l, enum lag_stage stage, int route, struct lag_reading *out);
/* Microseconds since the last sentinel came back; -1 before the first. */
int64_t lag_sentinel_age_us(struct lag *l);
/* Write the gauges of metrics.def. */
void lag_publish(struct lag *l);

#endif
