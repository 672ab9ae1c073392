/* SPDX-License-Identifier: Apache-2.0
 *
 * Lag: where every stage stands, in time and bytes.
 *
 * commit (on the source) -> received -> decoded -> durable -> applied (per route). A stage is
 * marked with the LSN it has passed and the commit time of that. Its lag in time is
 *  - the age of the oldest commit that was seen and that it has not passed, if there is one;
 *  - else, while commits arrive more than a second old and nothing says that the stream has caught
 *    up, the age of the last one: what comes next is about as old;
 *  - else 0 while the source shows life. A sign of life is a commit or a sentinel; keepalives
 *    count only until the first sentinel, because a walsender that no longer decodes still sends
 *    them. A sentinel interval after the last sign the lag grows from 0. While the connection is
 *    down, and until the first sign after that, it is the time since the last sign.
 * Never negative: commit times that lie in our future count as now, and M_CLOCK_AHEAD and a log
 * line say by how much. Marks are monotone; late and repeated ones are ignored, so that what the
 * server sends again after a reconnect changes nothing. Thread-safe.
 */
#ifndef TR_LAG_LAG_H
#define TR_LAG_LAG_H

#include "agent/base/env.h"

enum lag_stage { LAG_RECEIVED, LAG_DECODED, LAG_DURABLE, LAG_APPLIED };

#define LAG_ROUTES_MAX 32

struct lag;

/* routes are the names of the routes, copied; count at most LAG_ROUTES_MAX. The lag counts as
 * not connected. env must outlive it. */
struct lag *lag_open(const struct env *env, int64_t sentinel_us, const char *const *routes,
                     int count);
void lag_close(struct lag *l);

/* At start, before the first commit is seen: the last transaction that the bus holds from before.
 * A route that has not passed it is behind, by the age of what it last passed. */
void lag_seed(struct lag *l, uint64_t commit_lsn, int64_t commit_us);

/* A transaction with this commit (start of record) was begun to be received: it now is the head to
 * catch up with. */
void lag_commit_seen(struct lag *l, uint64_t commit_lsn, int64_t commit_us);

/* The stage has passed lsn, whose commit was at commit_us (microseconds since 1970; 0 = not
 * known). route is the index for LAG_APPLIED, ignored otherwise. */
void lag_mark(struct lag *l, enum lag_stage stage, int route, uint64_t lsn, int64_t commit_us);

/* The stream has come to head_lsn, now: a keepalive, or our sentinel. idle: nothing that concerns
 * us and was not told by lag_commit_seen lies before head_lsn. */
void lag_head(struct lag *l, uint64_t head_lsn, bool sentinel, bool idle);

/* The source connection is up or down. */
void lag_connected(struct lag *l, bool up);

/* The server's current LSN, from the statistics query, for lag in bytes. */
void lag_server_lsn(struct lag *l, uint64_t lsn);

struct lag_reading {
    int64_t time_us;
    uint64_t bytes; /* WAL from what the stage has passed to the server's current position */
    uint64_t lsn;   /* passed by the stage; 0 = it was never marked */
};
void lag_read(struct lag *l, enum lag_stage stage, int route, struct lag_reading *out);

/* Microseconds since the last sentinel came back; -1 before the first. */
int64_t lag_sentinel_age_us(struct lag *l);

/* Write the gauges of metrics.def. The stage of a route is labelled "applied:NAME". Before the
 * first sentinel its age is written as the time since lag_open, so that its alert works too. */
void lag_publish(struct lag *l);

#endif
