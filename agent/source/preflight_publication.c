/* SPDX-License-Identifier: Apache-2.0
 *
 * The same plan that a run would carry out is made here and told instead.
 */
#include "agent/source/preflight_local.h"
#include "agent/source/publication.h"

/* A table without identity in a publication of updates makes the application's own UPDATE and DELETE fail, and
 * from PostgreSQL 18 on one whose identity holds generated columns that are not published (CheckCmdReplicaIdentity):
 * whoever made that publication should know, whether or not we read the table. */
static const char endangered_sql[] =
    "SELECT t.schemaname, t.tablename FROM pg_publication_tables t"
    " JOIN pg_publication p ON p.pubname = t.pubname"
    " JOIN pg_namespace n ON n.nspname = t.schemaname"
    " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename"
    " WHERE t.pubname = $1 AND (p.pubupdate OR p.pubdelete) AND c.relkind = 'r'"
    " AND (c.relreplident = 'n' OR (c.relreplident = 'd' AND NOT EXISTS"
    "  (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))"
    "  OR EXISTS (SELECT 1 FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = c.oid"
    "    AND CASE c.relreplident WHEN 'd' THEN i.indisprimary ELSE i.indisreplident END"
    "   WHERE a.attrelid = c.oid AND NOT a.attisdropped AND a.attgenerated <> ''"
    "   AND (c.relreplident = 'f' OR a.attnum = ANY (i.indkey))"
    "   AND (a.attgenerated = 'v' OR to_jsonb(p) ->> 'pubgencols' = 'n')))"
    " ORDER BY 1, 2";

static void check_endangered(const struct preflight *p, const char *name)
{
    const char *const values[] = {name};
    struct buf names = BUF_INIT;
    PGresult *res = preflight_ask(p, "publication_identity", endangered_sql, 1, values);
    if (!res)
        return;
    int count = PQntuples(res);
    for (int row = 0; row < count; row++)
        preflight_add_name(&names, row, pg_text(res, row, 0), pg_text(res, row, 1));
    preflight_end_names(&names, count);
    if (count)
        preflight_say(p, FINDING_FAIL, E_NO_IDENTITY, "publication_identity",
                      "take them out of the publication, or give them a primary key or REPLICA "
                      "IDENTITY FULL; SET (publish_generated_columns = stored) where it holds generated columns",
                      "the application's updates and deletes of these tables fail, because publication %s publishes "
                      "them and they have no replica identity, or one with unpublished generated columns: %s", name,
                      names.p);
    else
        preflight_pass(p, "publication_identity",
                       "no publication of ours makes updates or deletes fail");
    buf_free(&names);
    PQclear(res);
}

/* Row filters and column lists leave out what an equal copy would need: 15 and later. */
static void check_filters(const struct preflight *p, const char *name)
{
    const char *const values[] = {name};
    struct buf names = BUF_INIT;
    if (p->major < 15)
        return;
    PGresult *res = preflight_ask(
        p, "publication_filters",
        "SELECT n.nspname, c.relname FROM pg_publication_rel r"
        " JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname::pg_catalog.text IN ($1, $1 || '_ins')"
        " AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL) ORDER BY 1, 2", 1, values);
    if (!res)
        return;
    int count = PQntuples(res);
    for (int row = 0; row < count; row++)
        preflight_add_name(&names, row, pg_text(res, row, 0), pg_text(res, row, 1));
    preflight_end_names(&names, count);
    if (count)
        preflight_say(p, FINDING_WARN, E_PUBLICATION, "publication_filters",
                      "ALTER PUBLICATION ... SET TABLE without WHERE and column list, or leave the "
                      "table out of source.tables",
                      "publication %s has row filters or column lists: copies and changes of these tables "
                      "come only as filtered: %s", name, names.p);
    else
        preflight_pass(p, "publication_filters", "no row filters or column lists are in the way");
    buf_free(&names);
    PQclear(res);
}

/* Whether our role may carry the plan out: its owner's rights on publications and tables, and
 * CREATE on the database for new ones. */
static bool may_apply(const struct preflight *p, const struct publication_plan *plan)
{
    const char *const values[] = {p->config->source.publication};
    PGresult *res = preflight_ask(
        p, "publication",
        "SELECT has_database_privilege(pg_catalog.current_database(), 'CREATE'),"
        " NOT EXISTS (SELECT 1 FROM pg_publication WHERE pubname::pg_catalog.text"
        "  IN ($1, $1 || '_ins')"
        "  AND NOT pg_has_role(pubowner, 'USAGE'))", 1, values);
    if (!res)
        return false;
    bool may = pg_bool(res, 0, 1) && ((plan->exists && plan->inserts_exists) || pg_bool(res, 0, 0));
    PQclear(res);
    for (int at = 0; at < p->table_count; at++)
        may = may && (!plan->missing[at] || p->tables[at].owned);
    return may && p->config->source.create_publication && !p->standby;
}

static void tell_plan(const struct preflight *p, const struct publication_plan *plan)
{
    const char *name = p->config->source.publication;
    const char *state = plan->exists ? "incomplete" : "missing";
    struct buf hint = BUF_INIT;
    buf_addf(&hint, "let the owner of the tables run: %.*s", STR_ARG(buf_str(&plan->sql)));
    for (size_t at = 0; at < hint.len; at++)
        if (hint.p[at] == '\n')
            hint.p[at] = ' ';
    if (!plan->sql.len)
        preflight_pass(p, "publication", "publication %s holds the chosen tables", name);
    else if (may_apply(p, plan))
        preflight_pass(p, "publication", "publication %s is %s; the run will %s it", name, state,
                       plan->exists ? "complete" : "create");
    else if (plan->serves) /* it may publish more: that is dropped as it arrives */
        preflight_pass(p, "publication", "publication %s holds the chosen tables and others", name);
    else
        preflight_say(p, FINDING_FAIL, E_PUBLICATION, "publication", hint.p,
                      "publication %s is %s and role %s may not change it%s", name, state, p->role,
                      p->config->source.create_publication
                          ? "" : " (source.create_publication is false)");
    buf_free(&hint);
}

void preflight_check_publications(struct preflight *p)
{
    const char *name = p->config->source.publication;
    struct publication_plan plan = PUBLICATION_PLAN_INIT;
    struct err e = ERR_INIT;
    const struct publication_wanted wanted = {name, p->tables, p->table_count,
                                              !p->config->source.create_publication};
    if (publication_look(p->env, p->sql, &wanted, &p->arena, &plan, &e) < 0)
        preflight_error(p, "publication", &e);
    else
        tell_plan(p, &plan);
    publication_plan_free(&plan);
    check_endangered(p, name);
    check_filters(p, name);
}
