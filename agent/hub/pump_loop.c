/* SPDX-License-Identifier: Apache-2.0
 *
 * The pump's thread: connect, read, apply, commit, give back; and what to do when that fails.
 *
 * Every connect goes back to the oldest offset that is not given back and lets the watermark say
 * what is there already: so an unknown outcome of a COMMIT needs no thought. An offset is given
 * back to the bus only when the target has flushed what stands before it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/cursor.h"
#include "agent/hub/pump_local.h"

#define NOTE_VERSION 1
#define NOTE_LEN 37

/* ---- state ---- */

static void set_state(struct pump *p, enum pump_state state, const struct err *e)
{
    pthread_mutex_lock(&p->lock);
    p->status.state = state;
    p->status.error = e ? *e : ERR_INIT;
    pthread_mutex_unlock(&p->lock);
}

static void show_position(struct pump *p)
{
    pthread_mutex_lock(&p->lock);
    p->status.applied = p->pos.stream;
    p->status.offset = p->group.next;
    p->status.rows += p->group.rows;
    p->status.txns += p->group.txns;
    pthread_mutex_unlock(&p->lock);
}

/* Wait, doing what is asked meanwhile. */
static void wait_ms(struct pump *p, int64_t ms)
{
    for (int64_t left = ms; left > 0 && env_stop(p->parts.env) == STOP_NONE; left -= 50) {
        pump_tick(p);
        pump_serve_replay(p);
        (void) env_sleep(p->parts.env, left < 50 ? left : 50);
    }
}

/* Half to one and a half of the pause, twice as long the next time. */
static int64_t next_pause_ms(struct pump *p)
{
    int64_t max_ms = p->parts.config->source.backoff_max_ms;
    p->jitter = p->jitter * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    int64_t base = p->backoff_ms ? p->backoff_ms : PUMP_BACKOFF_MS;
    p->backoff_ms = base * 2 > max_ms ? max_ms : base * 2;
    return base / 2 + (int64_t) ((p->jitter >> 33) % (uint64_t) (base + 1));
}

static void disconnect(struct pump *p)
{
    p->driver->disconnect(p->sink);
    p->connected = false;
    metric_set(p->parts.env->metrics, M_TARGET_CONNECTED, p->target_up, 0);
}

/* ---- what the target had when offsets were given back ---- */

/* The bus keeps it with the offset: what was given back is gone from the bus, so a target that has
 * less than this has lost it for good, also when that happened while we did not run. */
static struct str note_write(uint8_t out[NOTE_LEN], const struct sink_position *pos)
{
    put_be(out, NOTE_VERSION, 1);
    put_be(out + 1, pos->stream.system_id, 8);
    put_be(out + 9, pos->stream.timeline, 4);
    put_be(out + 13, pos->stream.lsn, 8);
    put_be(out + 21, pos->copy.lsn, 8);
    put_be(out + 29, pos->copy.seq, 8);
    return (struct str){(const char *) out, NOTE_LEN};
}

static int note_read(struct pump *p, struct err *e)
{
    struct str note = bus_note(p->reader);
    struct cursor c = cursor_of(note);
    p->given = (struct sink_position){0};
    p->given_known = note.len > 0;
    if (!note.len)
        return 0;
    bool known = cursor_u8(&c) == NOTE_VERSION;
    p->given.stream.system_id = cursor_u64(&c);
    p->given.stream.timeline = cursor_u32(&c);
    p->given.stream.lsn = cursor_u64(&c);
    p->given.copy.lsn = cursor_u64(&c);
    p->given.copy.seq = cursor_u64(&c);
    if (known && !c.failed && c.left == 0)
        return 0;
    return err_set(e, E_STATE, "what route %s gave back to the bus is told in another version", p->parts.route->name);
}

/* A route that came later finds a bus whose beginning, the copies above all, may be gone. */
static int check_beginning(struct pump *p, struct err *e)
{
    if (p->given_known || bus_taken(p->reader) == 0)
        return 0;
    if (!p->parts.config->source.copy) {
        log_warn(p->parts.env->log, p->part, "route is newer than the state: target %s gets changes from "
                 "here on", p->target->name);
        return 0;
    }
    p->late = true;
    (void) err_set(e, E_READER_LOST, "route %s is newer than the state: the bus no longer holds the copy that "
                   "target %s needs", p->parts.route->name, p->target->name);
    return err_hint(e, "give this route an agent of its own (another name and state), or tailrace remove "
                       "and copy all targets again");
}

/* ---- connect ---- */

static int check_position(struct pump *p, const struct sink_position *pos, struct err *e)
{
    const struct sink_position *given = &p->given;
    if (pos->stream.lsn < given->stream.lsn)
        (void) err_set(e, E_STATE, "target %s went back from %s to %s, before what was given back to the bus",
                       p->target->name, LSN_STR(given->stream.lsn), LSN_STR(pos->stream.lsn));
    else if (position_cmp(&pos->copy, &given->copy) < 0)
        (void) err_set(e, E_STATE, "target %s lost chunks of its copy that were given back to the bus",
                       p->target->name);
    else
        return 0;
    return err_hint(e, "the target was made anew, restored, or failed over without its last transactions: "
                       "compare with tailrace verify, then copy again");
}

static int connect_sink(struct pump *p, struct err *e)
{
    struct bus_status bus;
    struct sink_position pos;
    bus_get_status(p->parts.bus, &bus);
    if (p->driver->connect(p->sink, &bus.durable, &pos, e))
        return -1;
    if (check_position(p, &pos, e) || (pos.replayed && pump_finish_replay(p, pos.replayed, e)) ||
        bus_seek(p->reader, bus_taken(p->reader), e)) {
        p->driver->disconnect(p->sink);
        return -1;
    }
    p->pos = pos;
    p->committed = pos;
    p->connected = true;
    p->group.next = bus_taken(p->reader);
    set_state(p, PUMP_RUNNING, NULL);
    lag_mark(p->parts.lag, LAG_APPLIED, p->parts.index, pos.stream.lsn, 0);
    metric_set(p->parts.env->metrics, M_TARGET_CONNECTED, p->target_up, 1);
    pthread_mutex_lock(&p->lock);
    p->status.applied = pos.stream;
    p->status.offset = p->group.next;
    pthread_mutex_unlock(&p->lock);
    log_info(p->parts.env->log, p->part, "target %s stands at %s", p->target->name,
             LSN_STR(pos.stream.lsn));
    return 0;
}

/* ---- commit ---- */

static void observe(struct pump *p)
{
    const struct group *g = &p->group;
    struct metrics *m = p->parts.env->metrics;
    int64_t now_us = clock_wall_us(p->parts.env->clock);
    metric_add(m, M_APPLIED_ROWS, p->applied_rows, g->rows);
    metric_add(m, M_APPLIED_TXNS, p->applied_txns, g->txns);
    if (g->skipped)
        metric_add(m, M_APPLY_SKIPPED, p->skipped_txns, g->skipped);
    if (g->copy || !g->txns)
        return;
    for (int at = 0; at < g->txns; at++)
        metric_observe(m, M_LATENCY, p->latency, now_us - g->commit_us[at]);
    lag_mark(p->parts.lag, LAG_APPLIED, p->parts.index, g->last.pos.lsn, g->last.commit_us);
}

/* Give back to the bus what the target has flushed; asks it now and then at most. */
static int give_back(struct pump *p, struct err *e)
{
    bool all;
    uint8_t note[NOTE_LEN];
    if (bus_taken(p->reader) >= p->group.next)
        return 0;
    int64_t now_us = clock_mono_us(p->parts.env->clock);
    if (p->flush_look_us && now_us - p->flush_look_us < PUMP_FLUSH_LOOK_US)
        return 0;
    if (p->driver->flushed(p->sink, &all, e))
        return -1;
    p->flush_look_us = all ? 0 : now_us;
    if (!all)
        return 0;
    p->given = p->committed;
    return bus_take_noted(p->reader, p->group.next, note_write(note, &p->given), e);
}

/* Transactions of which this route takes nothing need no commit on the target: reading them again
 * after a restart does nothing. A sentinel gets one, to show that the target takes commits. */
static int finish_group(struct pump *p, struct err *e)
{
    struct group *g = &p->group;
    if (pump_apply_batch(p, true, e))
        return -1;
    if (g->applied || g->sentinel) {
        if (p->driver->commit(p->sink, &g->to, pump_is_careful(p), e))
            return -1;
        p->committed = g->to;
    }
    p->pos = g->to;
    p->backoff_ms = 0;
    if (g->applied)
        p->careful_tries = 0;
    if (g->txns || g->skipped) {
        observe(p);
        show_position(p);
    }
    g->rows = 0;
    g->txns = 0;
    g->skipped = 0;
    return give_back(p, e);
}

/* ---- hold ---- */

static void hold(struct pump *p)
{
    set_state(p, PUMP_HELD, NULL);
    pthread_mutex_lock(&p->lock);
    p->held = p->hold_wanted && p->hold_met;
    pthread_mutex_unlock(&p->lock);
    for (bool on = true; on;) {
        pump_tick(p);
        int64_t now_us = clock_mono_us(p->parts.env->clock);
        pthread_mutex_lock(&p->lock);
        if (now_us >= p->hold_deadline_us)
            p->hold_wanted = false;
        on = p->hold_wanted && p->hold_met && env_stop(p->parts.env) == STOP_NONE;
        pthread_mutex_unlock(&p->lock);
        if (on)
            (void) env_sleep(p->parts.env, 10);
    }
    pthread_mutex_lock(&p->lock);
    p->held = false;
    pthread_mutex_unlock(&p->lock);
    p->holding = false;
    set_state(p, PUMP_RUNNING, NULL);
}

/* ---- failure ---- */

/* A row is bad: go back and look for it. The third time in the same place a person is needed. */
static bool try_carefully(struct pump *p, uint64_t from, const struct err *e)
{
    if (p->careful_tries && p->failed_at != from)
        p->careful_tries = 0;
    p->failed_at = from;
    if (p->careful_tries++ >= PUMP_CAREFUL_TRIES)
        return false;
    if (p->seen_until > p->careful_until)
        p->careful_until = p->seen_until;
    log_info(p->parts.env->log, p->part, "a row was refused, going on row by row: %s", e->msg);
    return true;
}

/* 0 to go on, -1 when the route has to end. */
static int after_failure(struct pump *p, struct err *e)
{
    struct err seek = ERR_INIT;
    uint64_t from = p->group.from;
    metric_add(p->parts.env->metrics, M_APPLY_ERRORS, p->errors, 1);
    p->driver->rollback(p->sink);
    pump_drop_batch(p);
    p->holding = false; /* what lies before the hold was not applied: it is met again */
    bool careful = e->class == ERR_ITEM && try_carefully(p, from, e);
    bool passing = err_is_transient(e) || e->class == ERR_CONFLICT;
    if (e->class == ERR_GONE || e->class == ERR_FATAL)
        return -1;
    p->group = (struct group){.from = from, .next = from};
    if (p->connected && bus_seek(p->reader, from, &seek)) {
        *e = seek;
        return -1;
    }
    if (careful)
        return 0;
    if (e->code == E_TARGET_TABLE && p->table_failed_at != from + 1) {
        /* The table may have changed under its description, which the rollback has dropped: at once
         * again, and if it still does not fit, the new description says why. */
        p->table_failed_at = from + 1;
        return 0;
    }
    if (passing || e->class == ERR_AUTH)
        disconnect(p);
    if (e->code != E_STOPPED)
        log_err(p->parts.env->log, p->part, e);
    set_state(p, passing ? PUMP_RETRYING : PUMP_FAILED, e);
    wait_ms(p, passing ? next_pause_ms(p) : PUMP_RETRY_MS);
    if (p->connected)
        set_state(p, PUMP_RUNNING, NULL);
    return 0;
}

/* ---- the loop ---- */

static int turn(struct pump *p, struct err *e)
{
    pump_tick(p);
    if (!p->connected && connect_sink(p, e))
        return -1;
    pump_serve_replay(p);
    if (!p->connected) /* a replay may lose the connection */
        return 0;
    if (p->holding || pump_must_hold(p, NULL))
        hold(p);
    if (env_stop(p->parts.env) != STOP_NONE)
        return 0;
    if (pump_read_group(p, e))
        return -1;
    return finish_group(p, e);
}

static int open_parts(struct pump *p, struct err *e)
{
    if (!p->target || !p->driver)
        return err_set(e, E_CONFIG, "route %s has no target that can be used", p->parts.route->name);
    p->jitter = (uint64_t) clock_mono_us(p->parts.env->clock) ^ (uintptr_t) p;
    p->sink = p->driver->open(&p->lent, e);
    if (!p->sink)
        return -1;
    bool ahead = p->driver->features & SINK_KEEPS_POSITION;
    p->reader = bus_read(p->parts.bus, p->parts.route->name, ahead, e);
    if (!p->reader || note_read(p, e) || check_beginning(p, e))
        return -1;
    p->envelope = envelope_reader_open(p->parts.registry);
    pump_count_parked(p);
    return 0;
}

static void close_parts(struct pump *p)
{
    if (p->sink)
        p->driver->close(p->sink);
    if (p->reader)
        bus_leave(p->reader);
    envelope_reader_close(p->envelope);
    p->sink = NULL;
    p->reader = NULL;
    p->envelope = NULL;
    metric_set(p->parts.env->metrics, M_TARGET_CONNECTED, p->target_up, 0);
}

/* A bus that cannot be reached yet is waited for. */
static int open_patiently(struct pump *p, struct err *e)
{
    int rc = open_parts(p, e);
    while (rc && err_is_transient(e) && env_stop(p->parts.env) == STOP_NONE) {
        close_parts(p);
        log_err(p->parts.env->log, p->part, e);
        set_state(p, PUMP_RETRYING, e);
        for (int64_t left = next_pause_ms(p); left > 0 && !env_sleep(p->parts.env, 50); left -= 50)
            pump_tick(p);
        err_clear(e);
        rc = open_parts(p, e);
    }
    return rc;
}

int pump_run(struct pump *p, struct err *e)
{
    int done = open_patiently(p, e);
    while (!done && env_stop(p->parts.env) == STOP_NONE) {
        struct err why = ERR_INIT;
        if (turn(p, &why) && after_failure(p, &why)) {
            *e = why;
            done = -1;
        }
    }
    close_parts(p);
    struct err kept = ERR_INIT;
    if (p->late && bus_forget(p->parts.bus, p->parts.route->name, &kept))
        log_err(p->parts.env->log, p->part, &kept);
    set_state(p, done ? PUMP_FAILED : PUMP_STOPPED, done ? e : NULL);
    if (done)
        log_err(p->parts.env->log, p->part, e);
    pthread_mutex_lock(&p->lock);
    p->ended = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return done;
}
