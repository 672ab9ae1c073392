/* SPDX-License-Identifier: Apache-2.0
 *
 * Publications of `tailrace tail`: made for one run, named after its session, dropped at its end.
 *
 * A tail that is killed cannot drop them, so each new one does that for those whose session is gone.
 * The name carries the server's process id of the session that made it; a process of that id that
 * is not a tail is another one that got the number later.
 */
#include <stdio.h>

#include "agent/cli/tail.h"

#define STATEMENT_MS 10000
#define PREPARED "tailrace_tail" /* made by an owner, for roles that may not */

int tail_publish_sweep(struct tail_watch *w, struct err *e)
{
    PGresult *res = pg_exec(
        w->env, w->sql, "look for publications of earlier tails",
        "SELECT p.pubname FROM pg_catalog.pg_publication p"
        " WHERE p.pubname ~ '^" PREPARED "_[0-9]+(_ins)?$'"
        " AND pg_catalog.pg_has_role(p.pubowner, 'USAGE')"
        " AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity a"
        "  WHERE a.pid <> pg_catalog.pg_backend_pid() AND a.application_name = 'tailrace/tail'"
        "  AND a.pid::pg_catalog.text = pg_catalog.substring(p.pubname::pg_catalog.text, '[0-9]+'))",
        STATEMENT_MS, e);
    if (!res)
        return -1;
    int rc = 0;
    for (int row = 0; row < PQntuples(res) && !rc; row++) {
        struct buf sql = BUF_INIT;
        buf_add_text(&sql, "DROP PUBLICATION IF EXISTS ");
        pg_add_ident(&sql, pg_text(res, row, 0));
        rc = pg_run(w->env, w->sql, "drop a publication that an earlier tail left", sql.p, e);
        if (!rc)
            fprintf(stderr, "tailrace: dropped publication %s, left by a tail that was killed\n",
                    PQgetvalue(res, row, 0));
        buf_free(&sql);
    }
    PQclear(res);
    return rc;
}

/* The statement for the tables with an identity, or for those without; false when there are none. */
static bool make_sql(const struct tail_watch *w, const char *name, bool identity, struct buf *sql)
{
    int count = 0;
    buf_reset(sql);
    buf_add_text(sql, "CREATE PUBLICATION ");
    struct buf full = BUF_INIT;
    buf_addf(&full, "%s%s", name, identity ? "" : "_ins");
    pg_add_ident(sql, buf_str(&full));
    buf_free(&full);
    for (int at = 0; at < w->table_count; at++) {
        if (w->tables[at].has_identity != identity)
            continue;
        buf_add_text(sql, count++ ? ", " : " FOR TABLE ");
        pg_add_table(sql, w->tables[at].space, w->tables[at].name);
    }
    buf_addf(sql, " WITH (publish = '%s', publish_via_partition_root = true)",
             identity ? "insert, update, delete, truncate" : "insert, truncate");
    return count > 0;
}

static void add_publication(struct tail_watch *w, struct str name)
{
    if (w->publications.len)
        buf_add_char(&w->publications, ',');
    pg_add_ident(&w->publications, name);
}

/* The ones that an owner made, when they are there. */
static int find_prepared(struct tail_watch *w, struct err *e)
{
    PGresult *res = pg_exec(w->env, w->sql, "look for prepared publications",
                            "SELECT pubname FROM pg_catalog.pg_publication WHERE pubname IN ('"
                            PREPARED "', '" PREPARED "_ins') ORDER BY 1",
                            STATEMENT_MS, e);
    if (!res)
        return -1;
    for (int row = 0; row < PQntuples(res); row++)
        add_publication(w, pg_text(res, row, 0));
    PQclear(res);
    return 0;
}

/* After a refusal: the prepared ones, or what an owner has to run. */
static int make_without_right(struct tail_watch *w, struct err *refusal)
{
    struct err e = ERR_INIT;
    struct buf sql = BUF_INIT;
    if (find_prepared(w, &e)) {
        *refusal = e;
        return -1;
    }
    if (w->publications.len) {
        fprintf(stderr, "tailrace: this role may not make publications; using %s\n",
                w->publications.p);
        return 0;
    }
    fprintf(stderr, "tailrace: this role may not make publications. Run this as owner of the "
                    "tables, then tail again:\n");
    for (int identity = 1; identity >= 0; identity--)
        if (make_sql(w, PREPARED, identity, &sql))
            fprintf(stderr, "    %s;\n", sql.p);
    buf_free(&sql);
    return err_hint(refusal, "run the SQL printed above; drop the publications when done");
}

int tail_publish_make(struct tail_watch *w, struct err *e)
{
    struct buf sql = BUF_INIT, both = BUF_INIT;
    bool identity = make_sql(w, w->name, true, &sql);
    if (identity)
        buf_add_str(&both, buf_str(&sql));
    bool none = make_sql(w, w->name, false, &sql);
    if (none)
        buf_addf(&both, "%s%s", both.len ? "; " : "", sql.p);
    /* Both or none; and a table that somebody locks is not waited for behind his back. */
    buf_reset(&sql);
    buf_addf(&sql, "BEGIN; SET LOCAL lock_timeout = '5s'; %s; COMMIT", both.p);
    int rc = pg_run(w->env, w->sql, "make publications", sql.p, e);
    if (!rc) {
        w->made = true;
        char ins[sizeof w->name + 8];
        snprintf(ins, sizeof ins, "%s_ins", w->name);
        if (identity)
            add_publication(w, str_of(w->name));
        if (none)
            add_publication(w, str_of(ins));
    } else {
        struct err ignored = ERR_INIT;
        if (PQtransactionStatus(w->sql) != PQTRANS_IDLE &&
            pg_run(w->env, w->sql, "roll back", "ROLLBACK", &ignored))
            log_err(w->env->log, "tail", &ignored);
        /* no right, or a server that is read-only */
        if (!strcmp(e->sqlstate, "42501") || !strcmp(e->sqlstate, "25006"))
            rc = make_without_right(w, e);
    }
    buf_free(&sql);
    buf_free(&both);
    return rc;
}

int tail_publish_drop(struct tail_watch *w, struct err *e)
{
    struct buf sql = BUF_INIT;
    if (!w->made)
        return 0;
    buf_addf(&sql, "SET lock_timeout = '5s'; DROP PUBLICATION IF EXISTS %s, %s_ins", w->name,
             w->name);
    int rc = pg_run(w->env, w->sql, "drop publications", sql.p, e);
    buf_free(&sql);
    w->made = rc != 0;
    return rc;
}
