/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs and lanes: who reads what, when it pauses, and what is told of it.
 */
#include "agent/source/snap.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/source/chunk.h"

#define LOOK_US 2000          /* between looks at a chunk that waits for its place */
#define RETRY_US 1000000      /* after a connection that broke */
#define PERSON_US 60000000    /* after what a person has to change */
#define FAILURES_MAX 3
#define TELL_US 10000000
#define LIST_US 250000        /* between lists for the status */

static int64_t now_us(const struct source *s)
{
    return clock_mono_us(s->env->clock);
}

void snap_say(struct source *s, struct run *r, const char *fmt, ...)
{
    char text[sizeof r->why];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (strcmp(text, r->why) == 0)
        return;
    snprintf(r->why, sizeof r->why, "%s", text);
    if (*text)
        log_info(s->env->log, "source", "snapshot of %s.%s: %s", r->space, r->name, text);
}

/* ---- life ---- */

void snap_open(struct source *s)
{
    struct snap *n = mem_zalloc(1, sizeof *n);
    n->lane_count = (int) s->config->source.snapshot_parallel;
    if (n->lane_count < 1 || n->lane_count > LANES_MAX)
        n->lane_count = 1;
    for (int at = 0; at < LANES_MAX; at++)
        n->lanes[at].s = s;
    n->unsettled = mem_zalloc(UNSETTLED_MAX, sizeof *n->unsettled);
    pthread_cond_init(&n->answered, NULL);
    s->snap = n;
}

void snap_close(struct source *s)
{
    struct snap *n = s->snap;
    snap_pause(s);
    for (int at = 0; at < n->run_count; at++)
        run_free(n->runs[at]);
    free(n->runs);
    free(n->unsettled);
    buf_free(&n->list);
    pthread_cond_destroy(&n->answered);
    free(n);
    s->snap = NULL;
}

int snap_load(struct source *s, struct err *e)
{
    struct snap *n = s->snap;
    struct bus_status bus;
    if (n->loaded)
        return 0;
    bus_get_status(s->parts.bus, &bus);
    if (run_load_all(s->parts.store, bus.committed_offset, &n->runs, &n->run_count, &s->copied, e))
        return -1;
    for (int at = 0; at < n->run_count; at++) {
        struct run *r = n->runs[at];
        r->rows_before = r->now.rows;
        r->taken_us = now_us(s);
        /* What the offset told is decided now: others will write behind it. */
        if (run_save(s->parts.store, r, NULL, RUN_NOT_PUT, &s->copied, e))
            return -1;
        log_info(s->env->log, "source", "snapshot of %s.%s goes on behind %lld rows", r->space, r->name,
                 (long long) r->now.rows);
    }
    n->loaded = true;
    snap_show(s);
    return 0;
}

/* What is open now may have been streamed before and not be visible yet. */
static int set_fence(struct source *s, uint64_t streamed_lsn, struct err *e)
{
    struct snap *n = s->snap;
    PGresult *res = pg_exec(s->env, s->sql, "look at the server's transactions",
                            "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())", 10000, e);
    if (!res)
        return -1;
    bool known = str_to_u64(pg_text(res, 0, 0), &n->fence_xid);
    PQclear(res);
    n->fence_lsn = streamed_lsn;
    n->unsettled_count = 0;
    return known ? 0 : err_set(e, E_PG_PROTOCOL, "snapshot of the server cannot be read");
}

/* From a new slot nothing was streamed yet, and making it has waited for all that was open. */
int snap_session(struct source *s, struct err *e)
{
    s->snap->fence_xid = s->snap->fence_lsn = 0;
    s->snap->unsettled_count = 0;
    return s->stream.durable_lsn == s->facts.start_lsn ? 0 : set_fence(s, s->stream.durable_lsn, e);
}

void snap_pause(struct source *s)
{
    for (int at = 0; at < LANES_MAX; at++)
        lane_close(&s->snap->lanes[at]);
    metric_set(s->env->metrics, M_COPY_ACTIVE, 0, 0);
}

/* ---- runs ---- */

struct run *run_find(const struct snap *n, uint32_t oid)
{
    for (int at = 0; at < n->run_count; at++)
        if (n->runs[at]->oid == oid)
            return n->runs[at];
    return NULL;
}

bool snap_copies(struct source *s, uint32_t oid, bool *begun)
{
    const struct run *r = run_find(s->snap, oid);
    *begun = r && r->now.begun;
    return r && r->fresh;
}

bool snap_reads(struct source *s, uint32_t oid)
{
    return run_find(s->snap, oid) != NULL;
}

void run_leave(struct snap *n, const struct run *r)
{
    for (int at = 0; at < LANES_MAX; at++)
        if (n->lanes[at].run == r)
            lane_close(&n->lanes[at]);
}

/* Take the run out of the list and out of the store. */
int run_drop(struct source *s, struct run *r, struct err *e)
{
    struct snap *n = s->snap;
    int at = 0;
    run_leave(n, r);
    if (run_forget(s->parts.store, r, &s->copied, e))
        return -1;
    while (n->runs[at] != r)
        at++;
    memmove(&n->runs[at], &n->runs[at + 1], (size_t) (n->run_count - at - 1) * sizeof *n->runs);
    n->run_count--;
    run_free(r);
    return feed_choose(s, e);
}

static int server_lsn(struct source *s, uint64_t *lsn, struct err *e)
{
    PGresult *res = pg_exec(s->env, s->sql, "look at the server's position",
                            "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()"
                            " ELSE pg_catalog.pg_current_wal_insert_lsn() END", 10000, e);
    if (!res)
        return -1;
    *lsn = pg_lsn(res, 0, 0);
    PQclear(res);
    return 0;
}

int run_add(struct source *s, const struct catalog_table *t, const char *where, bool fresh, struct err *e)
{
    struct snap *n = s->snap;
    struct run *r = run_new(t->space, t->name, where);
    r->id = n->run_count ? n->runs[n->run_count - 1]->id + 1 : 1;
    r->oid = t->oid;
    r->partitioned = t->partitioned;
    r->fresh = fresh;
    r->expected = *where ? -1 : t->rows;
    r->started_us = clock_wall_us(s->env->clock);
    r->taken_us = now_us(s);
    if (server_lsn(s, &r->lsn, e) || run_save(s->parts.store, r, NULL, RUN_NOT_PUT, &s->copied, e)) {
        run_free(r);
        return -1;
    }
    n->runs[n->run_count++] = r;
    log_info(s->env->log, "source", "snapshot of %s.%s begins%s%s", r->space, r->name, *where ? " where " : "", where);
    return feed_choose(s, e);
}

int snap_begin(struct source *s, const struct catalog_table *t, struct err *e)
{
    struct run *r = run_find(s->snap, t->oid);
    if (r && r->fresh)
        return 0;
    if (r && run_drop(s, r, e))
        return -1;
    if (s->snap->run_count >= RUNS_MAX)
        return err_set(e, E_CONFIG, "more than %d tables are to be copied at once", RUNS_MAX);
    return run_add(s, t, "", true, e);
}

int snap_restart(struct source *s, uint32_t oid, struct err *e)
{
    struct run *r = run_find(s->snap, oid);
    if (!r)
        return 0;
    if (!r->fresh)
        return run_drop(s, r, e);
    if (!r->now.begun)
        return 0;
    log_warn(s->env->log, "source", "table %s.%s was not fully published for a while: its copy is begun again",
             r->space, r->name);
    run_leave(s->snap, r);
    progress_free(&r->now);
    r->now = (struct run_progress){.begun = false};
    if (source_flush(s, e) || server_lsn(s, &r->lsn, e) ||
        run_save(s->parts.store, r, NULL, RUN_NOT_PUT, &s->copied, e))
        return -1;
    return feed_choose(s, e);
}

int snap_keep_only(struct source *s, const struct catalog_table *tables, int count, struct err *e)
{
    struct snap *n = s->snap;
    for (int at = n->run_count - 1; at >= 0; at--) {
        struct run *r = n->runs[at];
        bool there = false;
        for (int table = 0; table < count && !there; table++)
            there = tables[table].oid == r->oid && str_is(tables[table].name, r->name) &&
                    str_is(tables[table].space, r->space);
        if (there)
            continue;
        log_info(s->env->log, "source", "snapshot of %s.%s ends: the table is not chosen or not there any more",
                 r->space, r->name);
        if (run_drop(s, r, e))
            return -1;
    }
    return 0;
}

/* All of it is on the bus, durably. */
static int finish(struct source *s, struct run *r, struct err *e)
{
    const struct copy_fact fact = {true, r->oid, 0};
    log_info(s->env->log, "source", "copied %s.%s: %lld rows", r->space, r->name, (long long) r->now.rows);
    if (r->fresh && copies_put(s->parts.store, str_of(r->space), str_of(r->name), &fact, e))
        return -1;
    return run_drop(s, r, e);
}

static int finish_ended(struct source *s, struct err *e)
{
    struct snap *n = s->snap;
    struct bus_status bus;
    bus_get_status(s->parts.bus, &bus);
    for (int at = n->run_count - 1; at >= 0; at--)
        if (run_complete(n->runs[at]) && bus.durable_offset >= n->runs[at]->put_offset &&
            finish(s, n->runs[at], e))
            return -1;
    return 0;
}

/* ---- what the stream tells ---- */

static void note_key(struct lane *l, const struct change *change, const struct value *row, const struct txn *txn)
{
    struct buf key = BUF_INIT;
    if (key_add(change->rel, row, &key))
        keyset_add(&l->touched, buf_str(&key), txn->xid, txn->commit_lsn);
    buf_free(&key);
    if (l->touched.count >= TOUCHED_MAX)
        l->spoiled = true;
}

void snap_note(struct source *s, const struct change *change, const struct txn *txn)
{
    s->in.touched = true;
    for (int at = 0; at < s->snap->lane_count; at++) {
        struct lane *l = &s->snap->lanes[at];
        if (!l->run || !l->noting || l->spoiled || l->run->oid != change->rel->oid ||
            (l->viewed && view_sees(&l->view, txn->xid, txn->commit_lsn)))
            continue;
        if (change->op == OP_TRUNCATE) {
            l->spoiled = true;
            continue;
        }
        note_key(l, change, change->before, txn);
        note_key(l, change, change->after, txn);
    }
}

void snap_spoil(struct source *s, uint32_t oid)
{
    for (int at = 0; at < s->snap->lane_count; at++)
        if (s->snap->lanes[at].run && s->snap->lanes[at].run->oid == oid)
            s->snap->lanes[at].spoiled = true;
}

/* With too many to remember, whatever is open now is waited for. */
void snap_settle(struct source *s, const struct txn *txn)
{
    struct snap *n = s->snap;
    if (n->unsettled_count == UNSETTLED_MAX) {
        struct err e = ERR_INIT;
        if (set_fence(s, txn->commit_lsn, &e)) {
            n->fence_xid = n->fence_lsn = UINT64_MAX; /* the connection: the session ends soon */
            n->unsettled_count = 0;
            log_err(s->env->log, "source", &e);
        }
    }
    n->unsettled[n->unsettled_count++] = (struct unsettled){txn->xid, txn->commit_lsn};
}

/* ---- lanes ---- */

/* A reason of the run, or of its connection: the stream goes on. */
static int lane_failed(struct source *s, struct lane *l, struct err *e)
{
    struct run *r = l->run;
    if (env_stop(s->env) != STOP_NONE || e->class == ERR_FATAL)
        return -1;
    /* An ALTER TABLE in the middle of a chunk looks like a fault of the table; it passes. */
    bool person = !err_is_transient(e) && e->class != ERR_CONFLICT && ++r->failures >= FAILURES_MAX;
    r->retry_us = now_us(s) + (person ? PERSON_US : RETRY_US);
    err_prefix(e, "snapshot of %s.%s", r->space, r->name);
    log_err(s->env->log, "source", e);
    snprintf(r->why, sizeof r->why, "%.*s", (int) sizeof r->why - 1, e->msg);
    lane_close(l);
    if (person)
        atomic_store(&s->tables_changed, true); /* it may be gone, or have no key any more */
    if (person && !r->fresh && run_drop(s, r, e))
        return -1;
    err_clear(e);
    return 0;
}

static void assign(struct source *s)
{
    struct snap *n = s->snap;
    for (int lane = 0; lane < n->lane_count; lane++) {
        for (int at = 0; at < n->run_count && !n->lanes[lane].run; at++) {
            struct run *r = n->runs[at];
            if (!r->working && !r->paused && !run_complete(r) && now_us(s) >= r->retry_us)
                lane_open(&n->lanes[lane], r);
        }
    }
}

static void tell_progress(struct source *s, struct run *r)
{
    if (now_us(s) - s->snap->told_us < TELL_US)
        return;
    s->snap->told_us = now_us(s);
    char table[140];
    snprintf(table, sizeof table, "%s.%s", r->space, r->name);
    chunk_tell_progress(s, str_of(table), r->now.rows, r->expected);
}

/* Put what is due. A failure here is the bus's, or the schema's: it ends the session. */
static int place_lane(struct source *s, struct lane *l, struct err *e)
{
    bool again;
    if (!place_due(l))
        return 0;
    if (place_chunk(l, &again, e))
        return -1;
    lane_next(l, again ? "younger rows were streamed" : NULL);
    if (!again) {
        l->run->failures = 0;
        snap_say(s, l->run, "%s", "");
        tell_progress(s, l->run);
    }
    if (run_complete(l->run))
        lane_close(l);
    return 0;
}

static int lanes_turn(struct source *s, bool boundary, struct err *e)
{
    for (int at = 0; at < s->snap->lane_count; at++) {
        struct lane *l = &s->snap->lanes[at];
        if (!l->run)
            continue;
        if (lane_turn(l, e) && lane_failed(s, l, e))
            return -1;
        if (boundary && l->run && l->state == LANE_READY && place_lane(s, l, e))
            return -1;
    }
    return 0;
}

void snap_receive(struct source *s)
{
    struct err e = ERR_INIT;
    if (lanes_turn(s, false, &e))
        log_err(s->env->log, "source", &e); /* a fatal one comes back at the boundary */
}

/* ---- the WAL that the slot keeps ---- */

/* The server is about to lose the slot, or the budget is near: whatever keeps the stream from
 * going as fast as it can has to stop. It goes on when half of it is free again. */
static void look_at_risk(struct source *s)
{
    struct snap *n = s->snap;
    pthread_mutex_lock(&s->lock);
    int64_t retained = (int64_t) s->status.retained_bytes, safe = s->status.safe_bytes;
    pthread_mutex_unlock(&s->lock);
    int64_t budget = s->config->source.wal_budget_mb << 20;
    int64_t parts = n->risk ? 50 : 80;
    bool risk = (budget > 0 && retained > budget / 100 * parts) ||
                (safe >= 0 && retained > (retained + safe) / 100 * parts);
    if (risk == n->risk)
        return;
    n->risk = risk;
    if (!risk) {
        log_info(s->env->log, "source", "snapshots go on: the slot keeps %lld MB of WAL", (long long) retained >> 20);
        return;
    }
    log_warn(s->env->log, "source", "snapshots pause: the slot keeps %lld MB of WAL, and %s", (long long) retained >> 20,
             safe >= 0 && retained > (retained + safe) / 100 * parts ? "the server may soon invalidate it"
                                                                     : "source.wal_budget_mb is near");
    snap_pause(s);
}

/* ---- the turn ---- */

int64_t snap_wait_us(struct source *s)
{
    for (int at = 0; at < s->snap->lane_count; at++) {
        const struct lane *l = &s->snap->lanes[at];
        if (l->run && (l->state == LANE_READY || l->state == LANE_IDLE || l->state == LANE_UNDO))
            return LOOK_US;
    }
    return SOURCE_TURN_US;
}

int snap_turn(struct source *s, struct err *e)
{
    struct snap *n = s->snap;
    ask_answer(s);
    if (!n->run_count && !n->turned_us)
        return 0;
    if (now_us(s) - n->turned_us >= LIST_US) {
        n->turned_us = n->run_count ? now_us(s) : 0;
        look_at_risk(s);
        snap_show(s);
    }
    if (finish_ended(s, e))
        return -1;
    if (!n->risk)
        assign(s);
    return lanes_turn(s, true, e);
}
