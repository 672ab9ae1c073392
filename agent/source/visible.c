/* SPDX-License-Identifier: Apache-2.0
 *
 * A commit is streamed before it is visible: its record is in the WAL, but the server has not yet taken the transaction from the
 * list of those that run (with synchronous replication that may last). The catalog, read then for what the transaction
 * made, would lack it: a type without a name, a column without its default. So its reader waits.
 */
#include "agent/source/inner.h"

#include "agent/source/view.h"

#define LOOK_MS 5
#define TELL_US 5000000

static int look(struct source *s, bool *seen, struct err *e)
{
    PGresult *res = pg_exec(s->env, s->sql, "look whether a commit is visible",
                            "SELECT pg_catalog.pg_current_snapshot(), pg_catalog.pg_is_in_recovery(),"
                            " CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() END", 10000, e);
    if (!res)
        return -1;
    struct view view;
    struct arena a;
    arena_init(&a, 0, "snapshot");
    bool parsed = view_parse(pg_text(res, 0, 0), &a, &view);
    if (parsed && pg_bool(res, 0, 1)) {
        view.by_lsn = true;
        view.low_lsn = pg_lsn(res, 0, 2);
    }
    *seen = parsed && view_sees(&view, s->in.xid, s->in.commit_lsn);
    arena_free(&a);
    PQclear(res);
    return parsed ? 0 : err_set(e, E_PG_PROTOCOL, "the server's snapshot is none");
}

int visible_await(struct source *s, struct err *e)
{
    int64_t from_us = clock_mono_us(s->env->clock);
    bool told = false;
    while (s->in.in_txn && s->in.xid && !s->in.visible) {
        if (look(s, &s->in.visible, e))
            return -1;
        if (s->in.visible)
            break;
        if (!told && clock_mono_us(s->env->clock) - from_us > TELL_US) {
            told = true;
            log_warn(s->env->log, "source", "transaction %u altered tables and is committed, but not yet visible on the server"
                     " (synchronous replication waits?): the stream waits for it", (unsigned) s->in.xid);
        }
        source_turn(s);
        (void) env_sleep(s->env, LOOK_MS);
        if (env_stop(s->env) != STOP_NONE)
            return err_set(e, E_STOPPED, "asked to stop while waiting");
    }
    return 0;
}
