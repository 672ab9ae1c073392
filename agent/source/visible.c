/* SPDX-License-Identifier: Apache-2.0
 *
 * A commit is streamed before it is visible: its record is in the WAL, but the server has not yet taken the transaction from the
 * list of those that run (with synchronous replication that may last). The catalog, read then for what the transaction
 * made, lacks it: a type without a name, a column without its default. So what is lacking is waited for and read again.
 * Not for ever: a synchronous standby may be we ourselves, and the commit waits for us then. Then the message and the OIDs must do.
 */
#include "agent/source/inner.h"

#include "agent/source/view.h"

#define LOOK_MS 5
#define WAIT_US 10000000

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

static int await(struct source *s, struct err *e)
{
    int64_t until_us = clock_mono_us(s->env->clock) + WAIT_US;
    while (!s->in.visible) {
        if (look(s, &s->in.visible, e))
            return -1;
        if (s->in.visible)
            break;
        if (clock_mono_us(s->env->clock) > until_us) {
            log_warn(s->env->log, "source", "transaction %u altered tables, and its commit is still not visible on the server "
                     "(it may wait for a synchronous standby): going on without what the catalog would tell", (unsigned) s->in.xid);
            s->in.visible = true; /* not waited for again */
        }
        source_turn(s);
        (void) env_sleep(s->env, LOOK_MS);
        if (env_stop(s->env) != STOP_NONE)
            return err_set(e, E_STOPPED, "asked to stop while waiting");
    }
    return 0;
}

/* A column that the catalog does not have, or a type. Either may also be gone by now. And one that the catalog has and the
 * message has not is either not sent or dropped by this transaction. */
static bool lacks(const struct relation *rel)
{
    if (rel->left_out.len)
        return true;
    for (int at = 0; at < rel->column_count; at++)
        if (!rel->columns[at].attnum || !rel->columns[at].type_name.len)
            return true;
    return false;
}

int visible_refine(struct source *s, const struct relation *wire, struct arena *a, const struct relation **out,
                   struct err *e)
{
    if (catalog_refine(s->env, s->sql, wire, a, out, e))
        return -1;
    if (!s->in.in_txn || !s->in.xid || s->in.visible || !lacks(*out))
        return 0;
    return await(s, e) || catalog_refine(s->env, s->sql, wire, a, out, e) ? -1 : 0;
}
