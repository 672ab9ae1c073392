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
#include "agent/source/publication.h"

#define STATEMENT_MS 10000
#define PREPARED "tailrace_tail" /* made by an owner, for roles that may not */

int tail_publish_sweep(struct tail_watch *w, struct err *e)
{
    PGresult *res = pg_exec(
        w->env, w->sql, "look for publications of earlier tails",
        "SELECT p.pubname FROM pg_catalog.pg_publication p"
        " WHERE p.pubname ~ '^" PREPARED "_[0-9]+(" PUBLICATION_INSERTS_SUFFIX ")?$'"
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

static void use(struct tail_watch *w, const char *name, bool inserts)
{
    char full[sizeof w->name + sizeof PUBLICATION_INSERTS_SUFFIX];
    snprintf(full, sizeof full, "%s" PUBLICATION_INSERTS_SUFFIX, name);
    pg_add_ident(&w->publications, str_of(name));
    if (!inserts)
        return;
    buf_add_char(&w->publications, ',');
    pg_add_ident(&w->publications, str_of(full));
}

/* The prepared publications when they hold the chosen tables; otherwise what an owner has to run. */
static int use_prepared(struct tail_watch *w, bool needed, struct err *e)
{
    struct publication_plan plan = PUBLICATION_PLAN_INIT;
    const struct publication_wanted wanted = {PREPARED, w->tables, w->table_count, true};
    int rc = publication_look(w->env, w->sql, &wanted, &w->arena, &plan, e);
    if (!rc && plan.serves) {
        use(w, PREPARED, plan.inserts_exists);
        fprintf(stderr, "tailrace: this role may not make publications; using %s\n",
                w->publications.p);
    } else if (!rc && !needed) {
        fprintf(stderr, "tailrace: no publication covers the tables, and this role may not make one; using test_decoding\n");
    } else if (!rc) {
        fprintf(stderr, "tailrace: an owner of the tables has to run this first:\n%.*s",
                STR_ARG(buf_str(&plan.sql)));
        rc = err_set(e, E_PG_RIGHT, "this role may not make the publications of a tail");
        (void) err_hint(e, "run the SQL printed above, then tail again; it is not taken away by tail");
    }
    publication_plan_free(&plan);
    return rc;
}

int tail_publish_make(struct tail_watch *w, bool needed, struct err *e)
{
    struct publication_plan plan = PUBLICATION_PLAN_INIT;
    const struct publication_wanted wanted = {w->name, w->tables, w->table_count, false};
    int rc = publication_look(w->env, w->sql, &wanted, &w->arena, &plan, e);
    if (!rc)
        rc = publication_apply(w->env, w->sql, w->name, &plan, e);
    publication_plan_free(&plan);
    if (!rc) {
        w->made = true;
        use(w, w->name, true);
        return 0;
    }
    /* no right, or a server that is read-only */
    bool refused = e->code == E_PUBLICATION || !strcmp(e->sqlstate, "25006");
    if (!refused)
        return -1;
    err_clear(e);
    return use_prepared(w, needed, e);
}

int tail_publish_drop(struct tail_watch *w, struct err *e)
{
    int dropped;
    if (w->made && publication_drop(w->env, w->sql, w->name, &dropped, e))
        return -1;
    w->made = false;
    return 0;
}
