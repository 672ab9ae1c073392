/* SPDX-License-Identifier: Apache-2.0
 *
 * The pump's own state and the calls between its files. Everything that is not under "shared" is
 * the pump thread's alone.
 */
#ifndef TR_HUB_PUMP_LOCAL_H
#define TR_HUB_PUMP_LOCAL_H

#include <pthread.h>

#include "agent/hub/pump.h"
#include "agent/hub/route.h"
#include "schemas/envelope.h"

#define PUMP_WAIT_US 100000      /* longest wait for an event: how soon a wish is noticed */
#define PUMP_RETRY_MS 30000      /* between attempts when a person is needed */
#define PUMP_BACKOFF_MS 100      /* the first one */
#define PUMP_FLUSH_LOOK_US 200000
#define PUMP_GROUP_TXNS 1024     /* source transactions in one commit of the target */
#define PUMP_CAREFUL_TRIES 3

/* An event as it stood on the bus; texts live in the batch arena. */
struct raw {
    struct str topic, key, value, headers;
    struct position pos; /* commit LSN and number in the transaction */
    int64_t commit_us;
};

struct pump_item {
    struct raw event;
    struct raw old; /* first half of a key change; topic empty when none */
};

/* What is read and not yet given to the sink. */
struct batch {
    struct arena arena;
    struct change *changes;
    struct pump_item *items; /* the events of changes, kept in careful mode only */
    int count, room;
};

/* What goes into one commit of the target. */
struct group {
    uint64_t from;             /* offset of its first event */
    uint64_t next;             /* offset after its last whole transaction */
    struct sink_position to;   /* position after it */
    struct mark last;          /* of its last transaction */
    int txns;                  /* whole transactions that were not skipped */
    int64_t commit_us[PUMP_GROUP_TXNS];
    int64_t rows, skipped;
    bool copy, sentinel, applied;
    bool ours;                 /* the copy's topic is one of this route */
    /* the transaction being read */
    bool in_txn, skipping;
    struct mark mark;
    uint64_t row;              /* number of its last row */
    struct raw half;           /* first half of a key change; topic empty when none */
};

struct replay {
    bool wanted, started, done, drop;
    uint64_t number;
    struct buf *report;
    struct err err;
    int result;
};

struct pump {
    struct pump_parts parts;
    const struct config_target *target;
    const struct sink_driver *driver;
    struct sink_env lent;
    struct str route_name;
    char part[80];
    struct sink *sink;
    struct bus_reader *reader;
    struct envelope_reader *envelope;
    struct route_cache route;
    struct batch batch;
    struct group group;
    struct buf topic;            /* of the copy in the group */
    struct sink_position pos;    /* reached, on the target or by skipping */
    struct sink_position committed; /* last position written on the target */
    struct sink_position given;  /* the same, when offsets were last given back to the bus */
    bool late;                   /* what it lacks is gone: the bus need not keep the rest for it */
    bool given_known;            /* offsets were given back, now or in an earlier run */
    bool connected, holding;
    uint64_t careful_until;      /* offsets below are applied carefully */
    uint64_t failed_at;          /* where careful failed last, and how often */
    int careful_tries;
    uint64_t table_failed_at;    /* offset + 1 of the last group whose table did not fit */
    uint64_t seen_until;         /* offset after the last event read */
    int64_t backoff_ms, flush_look_us, parked;
    uint64_t jitter;
    bool replaying;
    int latency, applied_rows, applied_txns, skipped_txns, errors, parked_rows, target_up, dropped; /* series */

    /* shared, under lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_mutex_t replay_lock; /* one who asks at a time */
    struct pump_status status;
    bool hold_wanted, held, ended;
    bool hold_met;               /* what was read goes as far as the hold that is wanted now */
    uint64_t hold_until;
    int64_t hold_deadline_us;
    struct replay replay;
};

/* ---- pump_batch.c: events to changes ---- */

/* Read what is there, up to a batch, into the group; slices of large transactions go to the sink on
 * the way. 0 when nothing came. */
int pump_read_group(struct pump *p, struct err *e) MUST_CHECK;
/* Forget what was read. */
void pump_drop_batch(struct pump *p);
/* This group is applied carefully. */
bool pump_is_careful(const struct pump *p);
/* Give what is in the batch to the sink and empty it; last at the end of the group. */
int pump_apply_batch(struct pump *p, bool last, struct err *e) MUST_CHECK;
/* The loop turns. */
void pump_tick(struct pump *p);
/* True when the transaction of this BEGIN has to wait for a release. */
bool pump_must_hold(struct pump *p, const struct mark *mark);

/* ---- pump_park.c ---- */

/* Park an event, with the first half of its key change when it has one. */
int pump_park_item(struct pump *p, const struct pump_item *item, const struct err *why, struct err *e) MUST_CHECK;
/* The key, or the old key, of this event is parked. */
bool pump_key_parked(struct pump *p, const struct pump_item *item);
/* sink_env.park */
int pump_park_change(void *self, const struct change *c, const struct err *why, struct err *e);
/* A truncate makes what is parked of its topic void. */
int pump_park_truncate(struct pump *p, struct str topic, const struct position *pos, struct err *e) MUST_CHECK;
/* Look again how many are parked. */
void pump_count_parked(struct pump *p);

/* ---- pump_replay.c ---- */

/* Do what was asked by pump_replay, if anything was. */
void pump_serve_replay(struct pump *p);
/* Rows that were replayed by the target's account, but still stand here after a crash. */
int pump_finish_replay(struct pump *p, uint64_t replayed, struct err *e) MUST_CHECK;

#endif
