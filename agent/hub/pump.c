/* SPDX-License-Identifier: Apache-2.0
 *
 * The pump seen from other threads: open, status, hold, replay, close. What they want is written
 * down under the lock and done by the pump's own thread at its next boundary.
 */
#include "agent/hub/pump.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/hub/pump_local.h"

#define BATCH_SPARE_BYTES ((size_t) 16 << 20)

struct pump *pump_open(const struct pump_parts *parts)
{
    struct pump *p = mem_zalloc(1, sizeof *p);
    struct metrics *m = parts->env->metrics;
    pthread_condattr_t clock;
    p->parts = *parts;
    p->route_name = str_of(parts->route->name);
    snprintf(p->part, sizeof p->part, "route %s", parts->route->name);
    p->target = config_target_find(parts->config, parts->route->to);
    p->driver = parts->driver;
    if (!p->driver && p->target)
        p->driver = sink_find(p->target->connector);
    route_init(&p->route, &parts->route->from);
    pthread_mutex_init(&p->lock, NULL);
    pthread_mutex_init(&p->replay_lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &clock);
    pthread_condattr_destroy(&clock);
    p->latency = metric_series(m, M_LATENCY, p->route_name);
    p->applied_rows = metric_series(m, M_APPLIED_ROWS, p->route_name);
    p->applied_txns = metric_series(m, M_APPLIED_TXNS, p->route_name);
    p->skipped_txns = metric_series(m, M_APPLY_SKIPPED, p->route_name);
    p->errors = metric_series(m, M_APPLY_ERRORS, p->route_name);
    p->parked_rows = metric_series(m, M_PARKED_ROWS, p->route_name);
    p->dropped = metric_series(m, M_PARKED_DROPPED, p->route_name);
    p->target_up = metric_series(m, M_TARGET_CONNECTED, p->route_name);
    p->lent = (struct sink_env){.env = parts->env, .config = parts->config, .target = p->target,
                                .route = parts->route->name, .series = p->applied_rows,
                                .park_self = p, .park = pump_park_change};
    /* A batch is looked at after each row, and a row is kept in up to four forms. */
    size_t batch = p->target ? (size_t) p->target->batch_kb << 10 : 0;
    size_t row = (size_t) parts->config->source.row_max_mb << 20;
    arena_init(&p->batch.arena, 2 * batch + 8 * row + BATCH_SPARE_BYTES, "target.batch_kb");
    pump_tick(p);
    return p;
}

void pump_close(struct pump *p)
{
    if (!p)
        return;
    arena_free(&p->batch.arena);
    buf_free(&p->topic);
    free(p->batch.changes);
    free(p->batch.items);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->replay_lock);
    free(p);
}

void pump_get_status(struct pump *p, struct pump_status *out)
{
    pthread_mutex_lock(&p->lock);
    *out = p->status;
    pthread_mutex_unlock(&p->lock);
}

void pump_tick(struct pump *p)
{
    int64_t now_us = clock_mono_us(p->parts.env->clock);
    pthread_mutex_lock(&p->lock);
    p->status.loop_us = now_us;
    pthread_mutex_unlock(&p->lock);
}

/* ---- hold ---- */

void pump_hold(struct pump *p, uint64_t until_lsn, int64_t hold_ms)
{
    pthread_mutex_lock(&p->lock);
    p->hold_wanted = true;
    /* One who holds already has to go on to the new place, and does not stand there yet. */
    p->hold_met = false;
    p->held = false;
    p->hold_until = until_lsn;
    p->hold_deadline_us = clock_mono_us(p->parts.env->clock) + hold_ms * 1000;
    pthread_mutex_unlock(&p->lock);
}

bool pump_held(struct pump *p, struct position *at)
{
    pthread_mutex_lock(&p->lock);
    bool held = p->held;
    *at = p->status.applied;
    pthread_mutex_unlock(&p->lock);
    return held;
}

void pump_release(struct pump *p)
{
    pthread_mutex_lock(&p->lock);
    p->hold_wanted = false;
    p->held = false;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

bool pump_must_hold(struct pump *p, const struct mark *mark)
{
    int64_t now_us = clock_mono_us(p->parts.env->clock);
    pthread_mutex_lock(&p->lock);
    if (p->hold_wanted && now_us >= p->hold_deadline_us)
        p->hold_wanted = false;
    bool hold = p->hold_wanted && (p->hold_until == UINT64_MAX ||
                                   (mark && mark->kind == MARK_STREAM && mark->pos.lsn >= p->hold_until));
    if (hold)
        p->hold_met = true;
    pthread_mutex_unlock(&p->lock);
    return hold;
}

/* ---- replay ---- */

static void deadline_after(struct timespec *at, int64_t wait_ms)
{
    clock_gettime(CLOCK_MONOTONIC, at);
    at->tv_sec += wait_ms / 1000;
    at->tv_nsec += wait_ms % 1000 * 1000000;
    if (at->tv_nsec >= 1000000000) {
        at->tv_sec++;
        at->tv_nsec -= 1000000000;
    }
}

/* The lock is held. Once it has started its outcome is waited for: report is the caller's. */
static bool wait_replay(struct pump *p, int64_t wait_ms)
{
    struct timespec until;
    int late = 0;
    deadline_after(&until, wait_ms);
    while (!p->replay.done && !p->ended && (p->replay.started || !late))
        late = p->replay.started ? (pthread_cond_wait(&p->changed, &p->lock), 0)
                                 : pthread_cond_timedwait(&p->changed, &p->lock, &until);
    return p->replay.done;
}

int pump_replay(struct pump *p, uint64_t number, bool drop, int64_t wait_ms, struct buf *report,
                struct err *e)
{
    int result;
    pthread_mutex_lock(&p->replay_lock);
    pthread_mutex_lock(&p->lock);
    p->replay = (struct replay){.wanted = true, .drop = drop, .number = number, .report = report};
    if (wait_replay(p, wait_ms)) {
        result = p->replay.result;
        if (result)
            *e = p->replay.err;
    } else if (p->ended)
        result = err_set(e, E_NOT_RUNNING, "route %s has stopped", p->parts.route->name);
    else
        result = err_set(e, E_TIMEOUT, "route %s was busy for %lld ms", p->parts.route->name,
                         (long long) wait_ms);
    p->replay = (struct replay){0};
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_unlock(&p->replay_lock);
    return result;
}
