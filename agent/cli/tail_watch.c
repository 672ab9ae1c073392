/* SPDX-License-Identifier: Apache-2.0
 *
 * The watch of `tailrace tail` on a database: two sessions, a temporary slot, the stream's start.
 *
 * Publications are made before the slot: a slot cannot read with a publication that is younger than
 * the WAL it reads. The slot is temporary, so that the server drops it with its session whatever
 * becomes of this process.
 */
#include <stdio.h>

#include "agent/cli/tail.h"

#define LOOK_US 300000     /* how long a wait lasts before it is explained */
#define STATEMENT_MS 10000
#define SLOT_GONE_TRIES 100
#define SLOT_GONE_MS 20

static int read_server(struct tail_watch *w, struct err *e)
{
    PGresult *res = pg_exec(w->env, w->sql, "read settings",
                            "SELECT pg_catalog.pg_backend_pid(),"
                            " pg_catalog.current_setting('wal_level'),"
                            " pg_catalog.current_setting('server_version_num')::pg_catalog.int4",
                            STATEMENT_MS, e);
    if (!res)
        return -1;
    int rc = 0;
    snprintf(w->name, sizeof w->name, "tailrace_tail_%s", PQgetvalue(res, 0, 0));
    if (pg_int(res, 0, 2) < 140000)
        rc = err_set(e, E_SERVER_VERSION, "server version is %d", (int) pg_int(res, 0, 2) / 10000);
    else if (!str_is(pg_text(res, 0, 1), "logical"))
        rc = err_set(e, E_WAL_LEVEL, "wal_level is %s", PQgetvalue(res, 0, 1));
    PQclear(res);
    return rc;
}

int tail_watch_open(struct tail_watch *w, const char *dsn, const struct config_list *patterns,
                    struct err *e)
{
    uint64_t lsn;
    arena_init(&w->arena, 0, "tail");
    w->sql = pg_connect(w->env, dsn, PG_SQL, "tail", e);
    if (!w->sql || read_server(w, e))
        return -1;
    w->stream = pg_connect(w->env, dsn, PG_REPLICATION, "tail", e);
    if (!w->stream)
        return -1;
    if (pg_identify(w->env, w->stream, &w->system_id, &w->timeline, &lsn, e) ||
        catalog_tables(w->env, w->sql, patterns, &w->arena, &w->tables, &w->table_count, e))
        return -1;
    if (!w->table_count) {
        err_set(e, E_USAGE, "no table of database %s is chosen", PQdb(w->sql));
        return err_hint(e, "--table takes patterns schema.table, as in 'public.*,!public.audit'");
    }
    return 0;
}

/* Say for whom the slot's creation waits; told holds what was said last. */
static void tell_wait(struct tail_watch *w, struct buf *told)
{
    struct err e = ERR_INIT;
    struct buf sql = BUF_INIT, now = BUF_INIT;
    buf_addf(&sql,
             "SELECT b.pid, a.application_name, pg_catalog.date_trunc('second', a.xact_start)"
             " FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids(%d)) b (pid)"
             " LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = b.pid ORDER BY 1 LIMIT 5",
             PQbackendPID(w->stream));
    PGresult *res = pg_exec(w->env, w->sql, "look who is waited for", sql.p, STATEMENT_MS, &e);
    for (int row = 0; res && row < PQntuples(res); row++) {
        buf_add_text(&now, row ? "; " : "waiting for the open transaction of ");
        if (pg_int(res, row, 0) == 0)
            buf_add_text(&now, "a prepared transaction (see pg_prepared_xacts)");
        else
            buf_addf(&now, "pid %s (%s, since %s)", PQgetvalue(res, row, 0),
                     *PQgetvalue(res, row, 1) ? PQgetvalue(res, row, 1) : "no application name",
                     PQgetvalue(res, row, 2));
    }
    if (!res)
        log_err(w->env->log, "tail", &e);
    if (now.len && !str_eq(buf_str(&now), buf_str(told))) {
        fprintf(stderr, "tailrace: %s\n", now.p);
        buf_reset(told);
        buf_add_str(told, buf_str(&now));
    }
    PQclear(res);
    buf_free(&sql);
    buf_free(&now);
}

/* Wait until the answer is there, explaining the wait; E_STOPPED after a cancel. */
static int wait_answer(struct tail_watch *w, struct err *e)
{
    struct buf told = BUF_INIT;
    int rc = 0;
    while (!rc && PQisBusy(w->stream)) {
        int mask = pg_wait(w->env, w->stream, false, w->signal_fd, LOOK_US);
        if (mask & (PG_WAIT_EXTRA | PG_WAIT_STOP))
            rc = err_set(e, E_STOPPED, "stopped while waiting for the slot");
        else if (mask & PG_WAIT_SOCKET && !PQconsumeInput(w->stream))
            rc = pg_err(e, w->stream, NULL, "make a temporary slot");
        else if (!mask)
            tell_wait(w, &told);
    }
    buf_free(&told);
    return rc;
}

static int make_slot(struct tail_watch *w, struct err *e)
{
    struct buf sql = BUF_INIT;
    int rc = -1;
    buf_addf(&sql, "CREATE_REPLICATION_SLOT %s TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT",
             w->name);
    if (!PQsendQuery(w->stream, sql.p))
        (void) pg_err(e, w->stream, NULL, "make a temporary slot");
    else
        rc = wait_answer(w, e);
    buf_free(&sql);
    if (rc)
        return -1;
    PGresult *res, *last = NULL;
    while ((res = PQgetResult(w->stream))) {
        PQclear(last);
        last = res;
    }
    if (PQresultStatus(last) != PGRES_TUPLES_OK) {
        rc = pg_err(e, w->stream, last, "make a temporary slot");
        if (!strcmp(e->sqlstate, "53400"))
            rc = err_set(e, E_SLOT_LIMIT, "all replication slots of the server are in use");
    }
    PQclear(last);
    return rc;
}

int tail_watch_start(struct tail_watch *w, const struct decoder_driver *driver, struct err *e)
{
    struct buf sql = BUF_INIT;
    if (tail_publish_sweep(w, e) || tail_publish_make(w, e) || make_slot(w, e))
        return -1;
    buf_addf(&sql, "START_REPLICATION SLOT %s LOGICAL 0/0 (", w->name);
    driver->start_options(buf_str(&w->publications), PQserverVersion(w->sql), &sql);
    buf_add_char(&sql, ')');
    int rc = pg_run(w->env, w->stream, "start streaming", sql.p, e);
    buf_free(&sql);
    return rc;
}

/* The server ends a session some time after its connection: wait, so that nothing is left. */
static bool slot_is_gone(struct tail_watch *w)
{
    struct err e = ERR_INIT;
    struct buf sql = BUF_INIT;
    bool gone = false;
    buf_addf(&sql, "SELECT 1 FROM pg_catalog.pg_replication_slots WHERE slot_name = '%s'", w->name);
    for (int tries = 0; !gone && tries < SLOT_GONE_TRIES; tries++) {
        if (tries)
            (void) pg_wait(w->env, w->sql, false, -1, SLOT_GONE_MS * 1000);
        PGresult *res = pg_exec(w->env, w->sql, "look for the slot", sql.p, STATEMENT_MS, &e);
        if (!res)
            break;
        gone = PQntuples(res) == 0;
        PQclear(res);
    }
    buf_free(&sql);
    return gone;
}

void tail_watch_close(struct tail_watch *w)
{
    struct err e = ERR_INIT;
    bool streamed = w->stream != NULL;
    if (w->stream && PQstatus(w->stream) == CONNECTION_OK && PQisBusy(w->stream)) {
        char why[256];
        PGcancel *cancel = PQgetCancel(w->stream);
        (void) PQcancel(cancel, why, sizeof why);
        PQfreeCancel(cancel);
    }
    PQfinish(w->stream);
    if (w->made && tail_publish_drop(w, &e))
        fprintf(stderr, "tailrace: publications %s are left: %s\n", w->publications.p, e.msg);
    if (w->sql && streamed && PQstatus(w->sql) == CONNECTION_OK && !slot_is_gone(w))
        fprintf(stderr, "tailrace: the server still holds slot %s; it goes with its session\n",
                w->name);
    PQfinish(w->sql);
    buf_free(&w->publications);
    arena_free(&w->arena);
}
