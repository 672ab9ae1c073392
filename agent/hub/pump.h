/* SPDX-License-Identifier: Apache-2.0
 *
 * The pump: one route from the bus to its sink.
 *
 * pump_run is the body of a route's thread: pull events, make changes, choose by the route's patterns, hand whole
 * transactions to the sink, commit, take the offset. What the target already has (its watermark) is skipped. A bad
 * row is parked before the target commits; later events of its key queue behind it.
 */
#ifndef TR_HUB_PUMP_H
#define TR_HUB_PUMP_H

#include "agent/base/config.h"
#include "agent/bus/bus.h"
#include "agent/hub/park.h"
#include "agent/lag/lag.h"
#include "schemas/registry.h"
#include "sinks/sink.h"

enum pump_state { PUMP_STARTING, PUMP_RUNNING, PUMP_RETRYING, PUMP_HELD, PUMP_FAILED, PUMP_STOPPED };

struct pump_status {
    enum pump_state state;
    struct err error;
    struct position applied;  /* last stream position on the target */
    uint64_t offset;          /* next event to read */
    int64_t rows, txns, parked;
    int64_t loop_us;          /* mono time of the last turn of its loop */
};

struct pump_parts {
    const struct env *env;
    const struct config *config;
    const struct config_route *route;
    int index;                /* route index for lag */
    struct bus *bus;
    struct lag *lag;
    struct registry *registry;
    struct park *park;
    const struct sink_driver *driver; /* NULL: by the target's connector; tests give their own */
};

struct pump;
/* A pump that does nothing until pump_run; what parts names outlives it, parts itself is copied. */
struct pump *pump_open(const struct pump_parts *parts);
/* 0 after a stop, -1 with the reason when a person is needed (the other routes go on). */
int pump_run(struct pump *p, struct err *e) MUST_CHECK;
void pump_get_status(struct pump *p, struct pump_status *out);

/* Hold the target: apply every stream transaction with commit LSN < until_lsn (UINT64_MAX = as far as the next boundary), then stop
 * until pump_release or hold_ms passed. For verify. Any thread. pump_held is true once it stands
 * there; *at is the position reached. */
void pump_hold(struct pump *p, uint64_t until_lsn, int64_t hold_ms);
bool pump_held(struct pump *p, struct position *at);
void pump_release(struct pump *p);

/* Try parked rows again (number 0 = all of the route) or drop them; done by the pump's own thread
 * between batches. Waits up to wait_ms for the outcome; report gets a line a row. Any thread. */
int pump_replay(struct pump *p, uint64_t number, bool drop, int64_t wait_ms, struct buf *report, struct err *e) MUST_CHECK;
void pump_close(struct pump *p);

#endif
