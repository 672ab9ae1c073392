/* SPDX-License-Identifier: Apache-2.0
 *
 * Whom the server waits for is asked of the lock table (pg_blocking_pids of our walsender): it
 * tells the one transaction that counts, and any role may read it.
 */
#include "agent/source/slot.h"

#include <stdio.h>

#define LOOK_MS 10000
#define TELL_US 1000000

int slot_look(const struct env *env, PGconn *sql, const char *name, struct slot_view *out,
              struct err *e)
{
    int version = PQserverVersion(sql);
    struct buf text = BUF_INIT;
    const char *const values[] = {name};
    *out = (struct slot_view){.safe_bytes = -1};
    buf_addf(&text,
             "SELECT active, active_pid, COALESCE(wal_status, '') = 'lost'%s%s,"
             " slot_type <> 'logical' OR plugin <> 'pgoutput'"
             "  OR database <> pg_catalog.current_database(),"
             " COALESCE(confirmed_flush_lsn, restart_lsn), restart_lsn,"
             " pg_catalog.pg_wal_lsn_diff(CASE WHEN pg_catalog.pg_is_in_recovery()"
             "  THEN pg_catalog.pg_last_wal_replay_lsn()"
             "  ELSE pg_catalog.pg_current_wal_lsn() END, restart_lsn)::pg_catalog.int8,"
             " safe_wal_size, %s, %s"
             " FROM pg_catalog.pg_replication_slots WHERE slot_name = $1",
             version >= 160000 ? " OR COALESCE(conflicting, false)" : "",
             version >= 170000 ? " OR invalidation_reason IS NOT NULL" : "",
             version >= 170000 ? "COALESCE(invalidation_reason, wal_status, '')"
             : version >= 160000
                 ? "CASE WHEN conflicting THEN 'conflicting' ELSE COALESCE(wal_status, '') END"
                 : "COALESCE(wal_status, '')",
             version >= 170000 ? "failover" : "false");
    PGresult *res = pg_exec_params(env, sql, "look at slot", text.p, 1, values, LOOK_MS, e);
    buf_free(&text);
    if (!res)
        return -1;
    if (PQntuples(res) > 0) {
        out->exists = true;
        out->active = pg_bool(res, 0, 0);
        out->active_pid = (int) pg_int(res, 0, 1);
        out->lost = pg_bool(res, 0, 2);
        out->foreign = pg_bool(res, 0, 3);
        out->confirmed_lsn = pg_lsn(res, 0, 4);
        out->restart_lsn = pg_lsn(res, 0, 5);
        int64_t retained = pg_int(res, 0, 6);
        out->retained_bytes = retained > 0 ? (uint64_t) retained : 0;
        out->safe_bytes = PQgetisnull(res, 0, 7) ? -1 : pg_int(res, 0, 7);
        snprintf(out->why, sizeof out->why, "%.*s", STR_ARG(pg_text(res, 0, 8)));
        out->failover = pg_bool(res, 0, 9);
    }
    PQclear(res);
    return 0;
}

/* ---- making ---- */

static void tell_blocker(const PGresult *res, const struct slot_waiter *waiter)
{
    char sentence[320];
    if (PQntuples(res) == 0)
        snprintf(sentence, sizeof sentence, "waiting for the server to make the slot");
    else if (pg_int(res, 0, 0) == 0)
        snprintf(sentence, sizeof sentence, "waiting for a prepared transaction to end");
    else
        snprintf(sentence, sizeof sentence, "waiting for the transaction of pid %lld (%.*s%s%.*s)",
                 (long long) pg_int(res, 0, 0), STR_ARG(pg_text(res, 0, 1)),
                 PQgetisnull(res, 0, 2) ? "" : ", since ", STR_ARG(pg_text(res, 0, 2)));
    waiter->waits(waiter->self, sentence);
}

int slot_create_look(const struct env *env, PGconn *repl, PGconn *sql,
                     const struct slot_waiter *waiter, struct err *e)
{
    char pid[16];
    const char *const values[] = {pid};
    snprintf(pid, sizeof pid, "%d", PQbackendPID(repl));
    PGresult *res = pg_exec_params(env, sql, "look whom the slot waits for",
                                   "SELECT b.pid, COALESCE(NULLIF(a.application_name, ''),"
                                   " 'application not known'),"
                                   " pg_catalog.to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZ')"
                                   " FROM unnest(pg_catalog.pg_blocking_pids($1)) b (pid)"
                                   " LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)"
                                   " ORDER BY a.xact_start LIMIT 1", 1, values, LOOK_MS, e);
    if (!res)
        return -1;
    tell_blocker(res, waiter);
    PQclear(res);
    return 0;
}

static int take_made(PGconn *repl, const struct slot_order *order, struct slot_made *out,
                     struct err *e)
{
    PGresult *res = PQgetResult(repl);
    int rc = 0;
    if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1) {
        rc = pg_err(e, repl, res, "create slot");
        if (strcmp(e->sqlstate, "53400") == 0)
            err_set(e, E_SLOT_LIMIT, "slot %s cannot be made: all slots are in use", order->name);
        else if (strcmp(e->sqlstate, "42710") == 0)
            err_set(e, E_STATE, "slot %s was made by somebody else meanwhile", order->name);
    } else {
        out->lsn = pg_lsn(res, 0, 1);
        snprintf(out->snapshot, sizeof out->snapshot, "%.*s", STR_ARG(pg_text(res, 0, 2)));
    }
    PQclear(res);
    while ((res = PQgetResult(repl)))
        PQclear(res);
    return rc;
}

int slot_create_send(PGconn *repl, const struct slot_order *order, struct err *e)
{
    struct buf text = BUF_INIT;
    buf_add_text(&text, "CREATE_REPLICATION_SLOT ");
    pg_add_ident(&text, str_of(order->name));
    /* All versions from 14 on take the older form of the options. */
    buf_addf(&text, "%s LOGICAL %s %s", order->temporary ? " TEMPORARY" : "",
             order->plugin ? order->plugin : "pgoutput",
             order->failover ? "(SNAPSHOT 'export', FAILOVER true)" : "EXPORT_SNAPSHOT");
    int sent = PQsendQuery(repl, text.p);
    buf_free(&text);
    return sent ? 0 : pg_err(e, repl, NULL, "create slot");
}

int slot_create_done(PGconn *repl, const struct slot_order *order, struct slot_made *out,
                     struct err *e)
{
    if (!PQconsumeInput(repl))
        return pg_err(e, repl, NULL, "create slot");
    if (PQisBusy(repl))
        return 0;
    return take_made(repl, order, out, e) ? -1 : 1;
}

/* A server that waits for a lock does not see that its client has gone: it would make the slot in
 * the end, for nobody. */
void slot_create_cancel(PGconn *repl)
{
    char why[256];
    PGcancel *handle = PQgetCancel(repl);
    if (handle)
        (void) PQcancel(handle, why, sizeof why);
    PQfreeCancel(handle);
}

int slot_create(const struct env *env, PGconn *repl, PGconn *sql, const struct slot_order *order,
                const struct slot_waiter *waiter, struct slot_made *out, struct err *e)
{
    int done = slot_create_send(repl, order, e);
    while (done == 0) {
        int ready = pg_wait(env, repl, false, -1, TELL_US);
        if (ready & PG_WAIT_STOP)
            done = err_set(e, E_STOPPED, "asked to stop while slot %s was made", order->name);
        else if (ready)
            done = slot_create_done(repl, order, out, e);
        else if (slot_create_look(env, repl, sql, waiter, e))
            done = -1;
    }
    if (done < 0 && PQtransactionStatus(repl) == PQTRANS_ACTIVE)
        slot_create_cancel(repl);
    return done < 0 ? -1 : 0;
}

int slot_set_failover(const struct env *env, PGconn *repl, const char *name, struct err *e)
{
    struct buf text = BUF_INIT;
    buf_add_text(&text, "ALTER_REPLICATION_SLOT ");
    pg_add_ident(&text, str_of(name));
    buf_add_text(&text, " (FAILOVER true)");
    int rc = pg_run(env, repl, "make the slot a failover slot", text.p, e);
    buf_free(&text);
    return rc;
}

int slot_drop(const struct env *env, PGconn *sql, const char *name, struct err *e)
{
    const char *const values[] = {name};
    PGresult *res = pg_exec_params(env, sql, "drop slot",
                                   "SELECT pg_catalog.pg_drop_replication_slot($1)", 1, values,
                                   LOOK_MS, e);
    PQclear(res);
    if (res)
        return 0;
    if (strcmp(e->sqlstate, "55006") == 0) {
        struct slot_view slot;
        struct err ignored = ERR_INIT;
        int pid = slot_look(env, sql, name, &slot, &ignored) ? 0 : slot.active_pid;
        return err_set(e, E_SLOT_BUSY, "slot %s is in use by pid %d", name, pid);
    }
    return -1;
}
