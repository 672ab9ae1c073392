/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies of tables that were chosen after the start.
 *
 * A temporary slot gives a snapshot and the LSN where it stands; making it may wait long for
 * somebody's open transaction, so the stream goes on meanwhile and drops the changes of these
 * tables, which the copy will hold. Once the snapshot is there the rows go to the bus between two
 * transactions, before anything of the tables that is younger.
 * The snapshot is there a moment before we hear of it, and in that moment the stream may drop what
 * was committed behind it. Such a snapshot is given up; while the next one is made the stream
 * waits, for HOLD_US at most, since somebody's transaction may take longer than others may wait.
 */
#include "agent/source/inner.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#define HOLD_US 10000000

struct added {
    struct tables_view view;
    PGconn *repl, *sql;
    char slot[64];
    int64_t told_us;
    int64_t hold_until_us; /* mono; 0 = the stream goes on */
};

static void tell_wait(void *self, const char *sentence)
{
    struct source *s = self;
    log_info(s->env->log, "source", "copy of %d new tables: %s", s->added->view.copy_count, sentence);
}

void added_drop(struct source *s)
{
    struct added *x = s->added;
    if (!x)
        return;
    if (x->repl && PQtransactionStatus(x->repl) == PQTRANS_ACTIVE)
        slot_create_cancel(x->repl);
    PQfinish(x->repl); /* the temporary slot goes with it; the descriptor leaves the epoll set */
    PQfinish(x->sql);
    arena_free(&x->view.arena);
    free(x);
    s->added = NULL;
}

/* A reason that concerns these tables only must not end the stream of the others. */
static int fail(struct source *s, struct err *e)
{
    added_drop(s);
    bool here = e->class == ERR_CONFIG || e->class == ERR_AUTH || e->class == ERR_GONE;
    if (!here || env_stop(s->env) != STOP_NONE)
        return -1;
    err_prefix(e, "copy of new tables");
    log_err(s->env->log, "source", e);
    err_clear(e);
    s->look_again_us = clock_mono_us(s->env->clock) + 60 * SOURCE_TURN_US;
    source_say(s, SOURCE_STREAMING, NULL);
    return 0;
}

/* A connection and a slot of it that is being made. */
static int ask_slot(struct source *s, struct err *e)
{
    struct added *x = s->added;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    x->repl = pg_connect(s->env, s->config->source.postgres, PG_REPLICATION, "source/copy", e);
    if (!x->repl)
        return fail(s, e);
    snprintf(x->slot, sizeof x->slot, "%.40s_copy_%d", s->config->source.slot, PQbackendPID(x->repl));
    const struct slot_order order = {.name = x->slot, .temporary = true};
    if (slot_create_send(x->repl, &order, e))
        return fail(s, e);
    if (epoll_ctl(s->poll_fd, EPOLL_CTL_ADD, PQsocket(x->repl), &ev))
        return err_set(e, E_SYSTEM, "epoll takes no further descriptor");
    x->told_us = clock_mono_us(s->env->clock);
    return 0;
}

int added_begin(struct source *s, struct tables_view *view, struct err *e)
{
    struct added *x = mem_zalloc(1, sizeof *x);
    x->view = *view;
    s->added = x;
    x->sql = pg_connect(s->env, s->config->source.postgres, PG_SQL, "source/copy", e);
    return x->sql ? ask_slot(s, e) : fail(s, e);
}

bool added_holds(struct source *s)
{
    struct added *x = s->added;
    if (!x || !x->hold_until_us)
        return false;
    if (clock_mono_us(s->env->clock) < x->hold_until_us)
        return true;
    x->hold_until_us = 0;
    return false;
}

/* The stream has dropped what was committed behind the snapshot. */
static int ask_again(struct source *s, struct err *e)
{
    struct added *x = s->added;
    log_info(s->env->log, "source", "copy of %d new tables: the stream was ahead of the snapshot and "
             "waits for another one", x->view.copy_count);
    PQfinish(x->repl);
    x->repl = NULL;
    x->hold_until_us = clock_mono_us(s->env->clock) + HOLD_US;
    return ask_slot(s, e);
}

static int copy_now(struct source *s, const struct slot_made *made, struct err *e)
{
    struct added *x = s->added;
    const struct copy_order order = {x->sql, made->snapshot, made->lsn, x->view.copy,
                                     x->view.copy_count};
    source_say(s, SOURCE_COPYING, NULL);
    if (copy_run(s, &order, e))
        return fail(s, e);
    added_drop(s);
    s->stream.heard_us = clock_mono_us(s->env->clock);
    source_say(s, SOURCE_STREAMING, NULL);
    return feed_choose(s, e);
}

int added_turn(struct source *s, struct err *e)
{
    struct added *x = s->added;
    struct slot_made made;
    const struct slot_order order = {.name = x->slot, .temporary = true};
    int done = slot_create_done(x->repl, &order, &made, e);
    if (done < 0)
        return fail(s, e);
    if (done)
        return s->in.dropped_lsn >= made.lsn ? ask_again(s, e) : copy_now(s, &made, e);
    int64_t now_us = clock_mono_us(s->env->clock);
    if (now_us - x->told_us < SOURCE_TURN_US)
        return 0;
    x->told_us = now_us;
    const struct slot_waiter waiter = {s, tell_wait};
    return slot_create_look(s->env, x->repl, x->sql, &waiter, e) ? fail(s, e) : 0;
}
