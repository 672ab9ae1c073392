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
#include "agent/source/slot.h"

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

/* Say for whom the slot's creation waits, once for each. */
static void tell_wait(void *self, const char *sentence)
{
    struct tail_watch *w = self;
    if (!strcmp(w->told, sentence))
        return;
    snprintf(w->told, sizeof w->told, "%s", sentence);
    fprintf(stderr, "tailrace: %s\n", sentence);
}

static int make_slot(struct tail_watch *w, struct err *e)
{
    const struct slot_order order = {.name = w->name, .temporary = true, .plugin = w->driver->name};
    const struct slot_waiter waiter = {.self = w, .waits = tell_wait};
    struct slot_made made;
    struct env env = *w->env; /* that a signal ends the wait of */
    env.stop_fd = w->signal_fd;
    return slot_create(&env, w->stream, w->sql, &order, &waiter, &made, e);
}

int tail_watch_start(struct tail_watch *w, const char *decoder, struct err *e)
{
    struct buf sql = BUF_INIT;
    bool published = strcmp(decoder, "test_decoding") != 0;
    if (published && (tail_publish_sweep(w, e) || tail_publish_make(w, !strcmp(decoder, "pgoutput"), e)))
        return -1;
    w->driver = decoder_find(w->publications.len ? "pgoutput" : "test_decoding");
    if (make_slot(w, e))
        return -1;
    buf_addf(&sql, "START_REPLICATION SLOT %s LOGICAL 0/0 (", w->name);
    const struct decoder_wish wish = {buf_str(&w->publications), PQserverVersion(w->sql), false, false};
    w->driver->start_options(&wish, &sql);
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
