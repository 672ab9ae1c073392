/* SPDX-License-Identifier: Apache-2.0
 *
 * The second pair of eyes: a thread with a connection of its own, so that a look never delays a row.
 *
 * It emits sentinels while the stream runs, reads what the slot keeps, looks whether tables came
 * or went, and has running transactions logged while the slot keeps WAL: only at such a record can
 * the slot let go of WAL, and the server by itself writes one every 15 s, of which two may be needed.
 * Sentinels commit with synchronous_commit = local: they must reach our own server's WAL at once,
 * but need not wait for its standbys. On a standby nothing can be emitted: they go to its primary by
 * a connection of their own (source.primary); without one keepalives must do.
 * When its connection fails it tries again quietly: the stream, which has the same troubles, tells.
 */
#include "agent/source/inner.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "agent/source/sign.h"

#define TICK_MS 1000
#define TABLES_US 5000000
#define QUERY_MS 5000
#define RETRY_US 5000000
#define LOG_FROM_BYTES (8u << 20)    /* half a segment */
#define NUDGE_FROM_BYTES (32u << 20) /* two segments */
#define NUDGE_US 5000000
#define NUDGE_LATER_US 60000000      /* after one that could not be had */
#define NUDGE_WAIT_MS 1500
#define STUCK_US 30000000            /* over budget and nothing confirmed for so long */

struct watch {
    struct source *s;
    pthread_t thread;
    _Atomic bool ended;
    int wake_fd;
    PGconn *c;
    PGconn *primary; /* where sentinels are written: c, or another when c is a standby; NULL = nowhere */
    bool standby, may_log, told_standby;
    uint64_t system_id, server_lsn, retained_bytes, confirmed_lsn;
    int64_t moved_us; /* mono: when confirmed_lsn became what it is */
    int64_t retry_us, sentinel_us, tables_us, told_budget_us, nudge_us; /* mono: not before */
};

static int64_t now_us(const struct watch *w)
{
    return clock_mono_us(w->s->env->clock);
}

/* The server that sentinels go to has to be the one that the standby follows. */
static int open_primary(struct watch *w, struct err *e)
{
    struct source *s = w->s;
    const char *dsn = s->config->source.primary;
    w->primary = w->standby ? NULL : w->c;
    if (!w->standby || !*dsn)
        return 0;
    w->primary = pg_connect(s->env, dsn, PG_SQL, "source/sentinel", e);
    if (!w->primary || pg_run(s->env, w->primary, "prepare watch", "SET synchronous_commit = local", e))
        return -1;
    PGresult *res = pg_exec(s->env, w->primary, "look at source.primary",
                            "SELECT pg_catalog.pg_is_in_recovery(), system_identifier"
                            " FROM pg_catalog.pg_control_system()", QUERY_MS, e);
    if (!res)
        return -1;
    bool fits = !pg_bool(res, 0, 0) && (uint64_t) pg_int(res, 0, 1) == w->system_id;
    PQclear(res);
    return fits ? 0 : err_set(e, E_OTHER_SERVER, "source.primary is not the primary of source.postgres");
}

static int open_connection(struct watch *w, struct err *e)
{
    struct source *s = w->s;
    w->c = pg_connect(s->env, s->config->source.postgres, PG_SQL, "source/watch", e);
    if (!w->c || pg_run(s->env, w->c, "prepare watch", "SET synchronous_commit = local", e))
        return -1;
    const char *sql = PQserverVersion(w->c) >= 160000
                          ? "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.has_function_privilege("
                            "'pg_catalog.pg_log_standby_snapshot()', 'EXECUTE'), system_identifier"
                            " FROM pg_catalog.pg_control_system()"
                          : "SELECT pg_catalog.pg_is_in_recovery(), false, 0";
    PGresult *res = pg_exec(s->env, w->c, "prepare watch", sql, QUERY_MS, e);
    if (!res)
        return -1;
    w->standby = pg_bool(res, 0, 0);
    w->may_log = pg_bool(res, 0, 1);
    w->system_id = (uint64_t) pg_int(res, 0, 2);
    PQclear(res);
    return open_primary(w, e);
}

static void close_connections(struct watch *w)
{
    if (w->primary != w->c)
        PQfinish(w->primary);
    PQfinish(w->c);
    w->c = w->primary = NULL;
}

/* ---- what the slot keeps ---- */

static void tell_budget(struct watch *w, const struct slot_view *slot)
{
    struct source *s = w->s;
    int64_t budget_mb = s->config->source.wal_budget_mb, at_us = now_us(w);
    if (slot->confirmed_lsn != w->confirmed_lsn || !w->moved_us)
        w->moved_us = at_us;
    w->confirmed_lsn = slot->confirmed_lsn;
    if (budget_mb == 0 || slot->retained_bytes >> 20 <= (uint64_t) budget_mb)
        return;
    bool stop = s->config->source.wal_over_budget == CONFIG_OVER_STOP;
    if (stop && at_us - w->moved_us > STUCK_US)
        atomic_store(&s->over_budget, true);
    if (at_us < w->told_budget_us)
        return;
    w->told_budget_us = at_us + 60 * SOURCE_TURN_US;
    log_warn(s->env->log, "source", "slot %s keeps %llu MB of WAL on the server, more than "
             "source.wal_budget_mb (%lld)", s->config->source.slot,
             (unsigned long long) (slot->retained_bytes >> 20), (long long) budget_mb);
}

static void note_slot(struct watch *w, const struct slot_view *slot)
{
    struct source *s = w->s;
    struct metrics *m = s->env->metrics;
    int64_t unconfirmed = w->server_lsn > slot->confirmed_lsn
                              ? (int64_t) (w->server_lsn - slot->confirmed_lsn) : 0;
    metric_set(m, M_SLOT_RETAINED_BYTES, 0, (int64_t) slot->retained_bytes);
    metric_set(m, M_SLOT_SAFE_BYTES, 0, slot->safe_bytes);
    metric_set(m, M_SLOT_UNCONFIRMED_BYTES, 0, unconfirmed);
    pthread_mutex_lock(&s->lock);
    s->status.retained_bytes = slot->retained_bytes;
    s->status.safe_bytes = slot->safe_bytes;
    pthread_mutex_unlock(&s->lock);
    tell_budget(w, slot);
}

static int read_figures(struct watch *w, struct err *e)
{
    struct source *s = w->s;
    struct slot_view slot;
    PGresult *res = pg_exec(s->env, w->c, "read WAL position",
                            w->standby ? "SELECT pg_catalog.pg_last_wal_replay_lsn()"
                                       : "SELECT pg_catalog.pg_current_wal_lsn()", QUERY_MS, e);
    if (!res)
        return -1;
    w->server_lsn = pg_lsn(res, 0, 0);
    PQclear(res);
    lag_server_lsn(s->parts.lag, w->server_lsn);
    if (slot_look(s->env, w->c, s->config->source.slot, &slot, e))
        return -1;
    w->retained_bytes = slot.retained_bytes;
    if (slot.exists)
        note_slot(w, &slot);
    return 0;
}

/* Without the right to ask for such a record: making a logical slot writes one. The slot is
 * temporary and dropped at once. An open transaction makes it wait, and then it would not help. */
static int nudge(struct watch *w, struct err *e)
{
    struct source *s = w->s;
    char name[64];
    const char *const values[] = {name};
    snprintf(name, sizeof name, "%.40s_nudge_%d", s->config->source.slot, PQbackendPID(w->c));
    w->nudge_us = now_us(w) + NUDGE_US;
    PGresult *res = pg_exec_params(s->env, w->c, "make temporary slot",
                                   "SELECT pg_catalog.pg_create_logical_replication_slot($1,"
                                   " 'pgoutput', true)", 1, values, NUDGE_WAIT_MS, e);
    if (!res) {
        w->nudge_us = now_us(w) + NUDGE_LATER_US;
        log_debug(s->env->log, "source", "watch: %s", e->msg);
        bool lost = PQstatus(w->c) == CONNECTION_BAD || PQtransactionStatus(w->c) != PQTRANS_IDLE;
        return lost ? -1 : 0;
    }
    PQclear(res);
    res = pg_exec_params(s->env, w->c, "drop temporary slot",
                         "SELECT pg_catalog.pg_drop_replication_slot($1)", 1, values, QUERY_MS, e);
    PQclear(res);
    return res ? 0 : -1;
}

static int log_running(struct watch *w, struct err *e)
{
    /* Each record makes the walsender write and sync the slot, a pause for the stream: not before
     * there is something to let go of. */
    if (!w->primary || w->retained_bytes < LOG_FROM_BYTES)
        return 0;
    if (!w->may_log)
        return !w->standby && w->retained_bytes >= NUDGE_FROM_BYTES && now_us(w) >= w->nudge_us ? nudge(w, e) : 0;
    return pg_run(w->s->env, w->primary, "log running transactions",
                  "SELECT pg_catalog.pg_log_standby_snapshot()", e);
}

/* ---- sentinels and tables ---- */

static int emit_sentinel(struct watch *w, struct err *e)
{
    struct source *s = w->s;
    char text[SENTINEL_LEN + 1];
    const char *const values[] = {text};
    uint64_t nonce;
    struct facts f;
    if (getrandom(&nonce, sizeof nonce, 0) != (ssize_t) sizeof nonce)
        return err_set(e, E_SYSTEM, "getrandom failed with errno %d", errno);
    pthread_mutex_lock(&s->lock);
    f = s->signing;
    pthread_mutex_unlock(&s->lock);
    sentinel_write(&f, nonce, text);
    PGresult *res = pg_exec_params(s->env, w->primary, "emit sentinel",
                                   "SELECT pg_catalog.pg_logical_emit_message(true, '" SENTINEL_PREFIX
                                   "', $1)", 1, values, QUERY_MS, e);
    PQclear(res);
    return res ? 0 : -1;
}

static int sentinel_turn(struct watch *w, struct err *e)
{
    struct source *s = w->s;
    if (now_us(w) < w->sentinel_us)
        return 0;
    w->sentinel_us = now_us(w) + s->config->source.sentinel_ms * 1000;
    if (w->primary)
        return emit_sentinel(w, e);
    if (!w->told_standby)
        log_warn(s->env->log, "source", "server is a standby and takes no sentinels, and source.primary is not "
                 "given: health comes from its keepalives");
    w->told_standby = true;
    return 0;
}

static int tables_turn(struct watch *w, struct err *e)
{
    struct source *s = w->s;
    uint64_t digest;
    if (now_us(w) < w->tables_us)
        return 0;
    w->tables_us = now_us(w) + TABLES_US;
    pthread_mutex_lock(&s->lock);
    const struct config_list *list = &s->patterns->list; /* kept until the source closes */
    pthread_mutex_unlock(&s->lock);
    if (tables_digest(s, w->c, list, &digest, e))
        return -1;
    if (digest != atomic_load(&s->tables_seen))
        source_wake_tables(s);
    return 0;
}

/* ---- the thread ---- */

static int tick(struct watch *w, struct err *e)
{
    if (!w->c && open_connection(w, e))
        return -1;
    if (read_figures(w, e))
        return -1;
    if (!atomic_load(&w->s->streaming)) {
        w->sentinel_us = 0; /* the first one at once when it streams again */
        return 0;
    }
    return sentinel_turn(w, e) || log_running(w, e) || tables_turn(w, e) ? -1 : 0;
}

static void rest(struct watch *w)
{
    struct pollfd fds[2] = {{.fd = w->wake_fd, .events = POLLIN},
                            {.fd = w->s->env->stop_fd, .events = POLLIN}};
    int64_t wait_ms = w->s->config->source.sentinel_ms < TICK_MS ? w->s->config->source.sentinel_ms
                                                                  : TICK_MS;
    uint64_t count;
    if (poll(fds, 2, (int) wait_ms) > 0 && fds[0].revents && read(w->wake_fd, &count, sizeof count) < 0)
        atomic_store(&w->ended, true); /* an eventfd that cannot be read is broken */
}

static void *run(void *self)
{
    struct watch *w = self;
    while (!atomic_load(&w->ended) && env_stop(w->s->env) == STOP_NONE) {
        struct err e = ERR_INIT;
        if (now_us(w) >= w->retry_us && tick(w, &e)) {
            log_debug(w->s->env->log, "source", "watch: %s", e.msg);
            close_connections(w);
            w->retry_us = now_us(w) + RETRY_US;
        }
        rest(w);
    }
    close_connections(w);
    return NULL;
}

int watch_start(struct source *s, struct err *e)
{
    struct watch *w = mem_zalloc(1, sizeof *w);
    w->s = s;
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->tables_us = now_us(w) + TABLES_US;
    w->retry_us = now_us(w) + TICK_MS * 1000; /* a refused login is not tried twice at once */
    if (w->wake_fd < 0 || pthread_create(&w->thread, NULL, run, w)) {
        if (w->wake_fd >= 0)
            close(w->wake_fd);
        free(w);
        return err_set(e, E_SYSTEM, "watch thread of the source cannot be started");
    }
    s->watch = w;
    return 0;
}

void watch_stop(struct source *s)
{
    struct watch *w = s->watch;
    const uint64_t one = 1;
    if (!w)
        return;
    atomic_store(&w->ended, true);
    if (write(w->wake_fd, &one, sizeof one) < 0)
        log_debug(s->env->log, "source", "watch could not be woken: it ends with its next tick");
    pthread_join(w->thread, NULL);
    close(w->wake_fd);
    free(w);
    s->watch = NULL;
}
