/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole row of a key change, during a first copy.
 *
 * The server does not send large values that an update left alone. Mostly the target has them; where it
 * may not, they are read from the table, as soon as the transaction is visible there. What is read
 * may be younger than the transaction: then the change that made it so comes later in the stream.
 */
#include "agent/source/inner.h"
#include "agent/source/view.h"

#define LOOK_MS 5

static bool take_old(const struct change *change, struct value *after)
{
    bool whole = true;
    for (int at = 0; at < change->rel->column_count; at++) {
        after[at] = change->after[at];
        if (after[at].state == VALUE_UNCHANGED && change->old == OLD_FULL &&
            change->before[at].state != VALUE_ABSENT)
            after[at] = change->before[at];
        whole = whole && after[at].state != VALUE_UNCHANGED;
    }
    return whole;
}

static void add_sql(const struct change *change, struct buf *sql)
{
    const struct relation *rel = change->rel;
    const char *and = "";
    buf_add_text(sql, "SELECT pg_catalog.pg_current_snapshot(), pg_catalog.pg_is_in_recovery(),"
                      " CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() END,"
                      " t.tableoid IS NOT NULL");
    for (int at = 0; at < rel->column_count; at++) {
        buf_add_text(sql, ", t.");
        pg_add_ident(sql, rel->columns[at].name);
    }
    buf_add_text(sql, " FROM (SELECT) one LEFT JOIN ");
    pg_add_table(sql, rel->space, rel->name);
    buf_add_text(sql, " t ON ");
    for (int at = 0; at < rel->column_count; at++) {
        if (!rel->columns[at].key_position)
            continue;
        buf_addf(sql, "%st.", and);
        pg_add_ident(sql, rel->columns[at].name);
        buf_add_text(sql, " = ");
        pg_add_literal(sql, change->after[at].text);
        buf_add_text(sql, "::");
        buf_add_str(sql, rel->columns[at].type_sql);
        and = " AND ";
    }
}

/* 1 when the transaction is visible, and what was found is taken. */
static int look(struct source *s, const char *sql, const struct txn *txn, uint64_t *replayed_lsn,
                PGresult **out, struct err *e)
{
    struct arena a;
    struct view view = {.by_lsn = false};
    PGresult *res = pg_exec(s->env, s->sql, "read a row again", sql, 30000, e);
    if (!res)
        return -1;
    arena_init(&a, 0, "snapshot of the server");
    int rc = view_parse(pg_text(res, 0, 0), &a, &view)
                 ? 0 : err_set(e, E_PG_PROTOCOL, "snapshot of the server cannot be read");
    view.by_lsn = pg_bool(res, 0, 1);
    view.low_lsn = *replayed_lsn; /* before this look */
    *replayed_lsn = view.by_lsn ? pg_lsn(res, 0, 2) : 0;
    if (!rc && view_sees(&view, txn->xid, txn->commit_lsn))
        rc = 1;
    arena_free(&a);
    *out = rc > 0 ? res : NULL;
    if (rc <= 0)
        PQclear(res);
    return rc;
}

static void take_found(const struct relation *rel, const PGresult *res, struct reread *out)
{
    struct value *after = out->after;
    for (int at = 0; at < rel->column_count; at++) {
        if (after[at].state != VALUE_UNCHANGED)
            continue;
        bool null = PQgetisnull(res, 0, 4 + at);
        after[at] = (struct value){null ? VALUE_NULL : VALUE_SET, arena_str(out->a, pg_text(res, 0, 4 + at))};
    }
}

int reread_row(struct source *s, const struct change *change, const struct txn *txn, struct reread *out,
               struct err *e)
{
    struct buf sql = BUF_INIT;
    PGresult *res = NULL;
    uint64_t replayed_lsn = 0;
    int rc = 0;
    out->gone = false;
    if (take_old(change, out->after))
        return 0;
    add_sql(change, &sql);
    while (!rc) {
        rc = look(s, sql.p, txn, &replayed_lsn, &res, e);
        if (rc)
            break;
        source_turn(s);
        if (env_sleep(s->env, LOOK_MS))
            rc = err_set(e, E_STOPPED, "asked to stop");
    }
    if (rc < 0 && e->code == E_PG_QUERY) { /* table or column went since: later changes tell */
        log_err(s->env->log, "source", e);
        err_clear(e);
        out->gone = true;
        rc = 0;
    }
    if (rc > 0) {
        out->gone = !pg_bool(res, 0, 3);
        if (!out->gone)
            take_found(change->rel, res, out);
    }
    PQclear(res);
    buf_free(&sql);
    return rc < 0 ? -1 : 0;
}
