/* SPDX-License-Identifier: Apache-2.0
 *
 * What others ask of snapshots: a list, a new one, a pause. The list is made by the source thread
 * now and then; a wish waits, on the stack of who asks, for the next turn between transactions.
 */
#include "agent/source/snap.h"

#include <stdio.h>
#include <stdlib.h>

static int64_t now_us(const struct source *s)
{
    return clock_mono_us(s->env->clock);
}

/* ---- the list ---- */

static void add_run_json(struct source *s, const struct run *r, struct buf *out)
{
    const char *state = r->paused ? "paused" : s->snap->risk ? "paused_wal" : run_complete(r) ? "ending"
                                  : r->working ? "reading" : *r->why ? "retrying" : "waiting";
    int64_t took_us = now_us(s) - r->taken_us, rows = r->now.rows - r->rows_before;
    int64_t left = r->expected > r->now.rows ? r->expected - r->now.rows : 0;
    buf_addf(out, "{\"id\":%llu,\"table\":", (unsigned long long) r->id);
    struct buf name = BUF_INIT;
    buf_addf(&name, "%s.%s", r->space, r->name);
    buf_add_json(out, buf_str(&name));
    buf_free(&name);
    buf_addf(out, ",\"state\":\"%s\",\"first_copy\":%s,\"where\":", state, r->fresh ? "true" : "false");
    buf_add_json(out, str_of(r->where));
    buf_addf(out, ",\"rows\":%lld,\"expected\":%lld,\"chunks\":%lld,\"again\":%lld", (long long) r->now.rows,
             (long long) r->expected, (long long) r->chunks, (long long) r->again);
    if (r->working && rows > 0 && took_us > 0 && r->expected >= 0)
        buf_addf(out, ",\"eta_s\":%lld", (long long) ((double) left * (double) took_us / (double) rows / 1e6));
    else
        buf_add_text(out, ",\"eta_s\":null");
    buf_add_text(out, ",\"detail\":");
    buf_add_json(out, str_of(r->why));
    buf_add_char(out, '}');
}

void snap_show(struct source *s)
{
    struct snap *n = s->snap;
    struct buf out = BUF_INIT;
    int64_t active = 0;
    buf_add_char(&out, '[');
    for (int at = 0; at < n->run_count; at++) {
        buf_add_text(&out, at ? "," : "");
        add_run_json(s, n->runs[at], &out);
        active += n->runs[at]->working;
    }
    buf_add_char(&out, ']');
    metric_set(s->env->metrics, M_COPY_ACTIVE, 0, active);
    pthread_mutex_lock(&s->lock);
    struct buf old = n->list;
    n->list = out;
    pthread_mutex_unlock(&s->lock);
    buf_free(&old);
}

void source_list_snapshots(struct source *s, struct buf *out)
{
    pthread_mutex_lock(&s->lock);
    if (s->snap->list.len)
        buf_add_str(out, buf_str(&s->snap->list));
    else
        buf_add_text(out, "[]");
    pthread_mutex_unlock(&s->lock);
}

/* ---- wishes ---- */

static bool named(const char *pattern, const char *space, const char *name)
{
    struct buf full = BUF_INIT;
    buf_addf(&full, "%s.%s", space, name);
    bool match = str_match(str_of(pattern), buf_str(&full));
    buf_free(&full);
    return match;
}

static int start_one(struct source *s, const struct catalog_table *t, const struct snap_ask *a, struct err *e)
{
    struct copy_fact fact;
    if (copies_get(s->parts.store, t->space, t->name, &fact, e))
        return -1;
    if (run_find(s->snap, t->oid))
        return err_set(e, E_USAGE, "a snapshot of %.*s.%.*s is under way", STR_ARG(t->space), STR_ARG(t->name));
    if (!fact.found || fact.oid != t->oid)
        return err_set(e, E_USAGE, "table %.*s.%.*s waits for its first copy", STR_ARG(t->space), STR_ARG(t->name));
    if (!t->has_key) {
        (void) err_set(e, E_USAGE, "table %.*s.%.*s has no key", STR_ARG(t->space), STR_ARG(t->name));
        return err_hint(e, "rows without a key cannot be told apart: leave it out of source.tables, reload, take it in "
                           "again, and it is copied anew");
    }
    if (s->snap->run_count >= RUNS_MAX)
        return err_set(e, E_USAGE, "too many snapshots are under way");
    buf_addf(a->answer, "snapshot of %.*s.%.*s begins\n", STR_ARG(t->space), STR_ARG(t->name));
    return run_add(s, t, a->where ? a->where : "", false, e);
}

/* Of several that a pattern names, one that cannot be read again does not keep the others from it: it is told. */
static int leave_out(const struct snap_ask *a, struct err *e)
{
    if (e->code != E_USAGE || !strpbrk(a->table, "*?"))
        return -1;
    buf_addf(a->answer, "left out: %s\n", e->msg);
    err_clear(e);
    return 0;
}

static int start_runs(struct source *s, const struct snap_ask *a, struct err *e)
{
    struct arena mem;
    struct catalog_table *tables;
    int count, found = 0, started = 0, rc;
    arena_init(&mem, 0, "list of tables");
    rc = catalog_tables(s->env, s->sql, s->tables, &mem, &tables, &count, e);
    for (int at = 0; at < count && !rc; at++) {
        char *space = mem_strndup(tables[at].space), *name = mem_strndup(tables[at].name);
        if (named(a->table, space, name)) {
            found++;
            rc = start_one(s, &tables[at], a, e);
            started += rc == 0;
            rc = rc ? leave_out(a, e) : 0;
        }
        free(space);
        free(name);
    }
    arena_free(&mem);
    if (!rc && !found)
        rc = err_set(e, E_USAGE, "no table of source.tables is named %s", a->table);
    else if (!rc && !started)
        rc = err_set(e, E_USAGE, "no table that %s names can be read again: %s", a->table, a->answer->len ? a->answer->p : "");
    return rc;
}

/* A first copy that is given up leaves the table as it is; it is streamed from here on. */
static int cancel(struct source *s, struct run *r, struct err *e)
{
    const struct copy_fact fact = {true, r->oid, 0};
    if (r->fresh)
        log_warn(s->env->log, "source", "first copy of %s.%s was cancelled: rows that are not copied stay missing on "
                 "the targets", r->space, r->name);
    if (r->fresh && copies_put(s->parts.store, str_of(r->space), str_of(r->name), &fact, e))
        return -1;
    return run_drop(s, r, e);
}

static int change_run(struct source *s, struct run *r, const struct snap_ask *a, struct err *e)
{
    buf_addf(a->answer, "snapshot of %s.%s: %s\n", r->space, r->name, a->verb);
    if (strcmp(a->verb, "cancel") == 0)
        return cancel(s, r, e);
    r->paused = strcmp(a->verb, "pause") == 0;
    r->retry_us = 0;
    r->why[0] = 0;
    r->rows_before = r->now.rows;
    r->taken_us = now_us(s);
    if (r->paused)
        run_leave(s->snap, r);
    return run_save(s->parts.store, r, NULL, RUN_NOT_PUT, &s->copied, e);
}

static int change_runs(struct source *s, const struct snap_ask *a, struct err *e)
{
    struct snap *n = s->snap;
    int found = 0;
    if (source_flush(s, e)) /* what is stored from here on counts on what was put */
        return -1;
    for (int at = n->run_count - 1; at >= 0; at--) {
        struct run *r = n->runs[at];
        if (!named(a->table, r->space, r->name))
            continue;
        found++;
        if (change_run(s, r, a, e))
            return -1;
    }
    return found ? 0 : err_set(e, E_USAGE, "no snapshot of %s is under way", a->table);
}

void ask_answer(struct source *s)
{
    pthread_mutex_lock(&s->lock);
    struct snap_ask *a = s->snap->ask;
    pthread_mutex_unlock(&s->lock);
    if (!a)
        return;
    a->rc = strcmp(a->verb, "start") == 0 ? start_runs(s, a, a->e) : change_runs(s, a, a->e);
    snap_show(s);
    pthread_mutex_lock(&s->lock);
    s->snap->ask = NULL;
    a->done = true;
    pthread_cond_broadcast(&s->snap->answered);
    pthread_mutex_unlock(&s->lock);
}

static struct timespec deadline(int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += ms / 1000;
    return t;
}

int source_snapshot(struct source *s, const struct source_snapshot_wish *wish, struct buf *report, struct err *e)
{
    struct snap_ask a = {.verb = wish->verb, .table = wish->table, .where = wish->where, .answer = report, .e = e};
    struct timespec until = deadline(SOURCE_SNAPSHOT_WAIT_MS);
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    if (s->snap->ask)
        rc = err_set(e, E_USAGE, "another request is being answered: try again");
    else
        s->snap->ask = &a;
    while (!rc && !a.done) {
        bool late = pthread_cond_timedwait(&s->snap->answered, &s->lock, &until) != 0;
        if (late && !a.done && s->snap->ask == &a) {
            s->snap->ask = NULL;
            rc = err_set(e, E_TIMEOUT, "the source did not answer in time: it does not stream now");
        }
    }
    pthread_mutex_unlock(&s->lock);
    return rc ? rc : a.rc;
}
