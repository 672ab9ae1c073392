/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan is made from what is published in effect (pg_publication_tables: an administrator may
 * have chosen FOR TABLES IN SCHEMA), but takes out only what is listed by table, since the rest is
 * not ours to narrow. What is published and not chosen is dropped in the stream anyway.
 */
#include "agent/source/publication.h"

#include <stdio.h>

#define CATALOG_MS 30000

/* One publication as it is. */
struct found {
    const char *name;
    bool exists, all_tables, flags_right, via_root, generated;
    int version;
    PGresult *effective; /* schema, table */
    PGresult *listed;    /* schema, table, is partitioned: named one by one */
};

static PGresult *ask(const struct env *env, PGconn *c, const char *sql, const char *name,
                     struct err *e)
{
    const char *const values[] = {name};
    return pg_exec_params(env, c, "read publication", sql, 1, values, CATALOG_MS, e);
}

static int look_one(const struct env *env, PGconn *c, bool inserts, struct found *f, struct err *e)
{
    PGresult *res = ask(env, c, "SELECT puballtables, pubinsert AND pubtruncate, "
                        "pubupdate AND pubdelete, pubupdate OR pubdelete, pubviaroot, "
                        "COALESCE(pg_catalog.to_jsonb(p) ->> 'pubgencols', 's') = 's' " /* PostgreSQL 18 */
                        "FROM pg_catalog.pg_publication p WHERE pubname = $1", f->name, e);
    if (!res)
        return -1;
    f->exists = PQntuples(res) > 0;
    f->version = PQserverVersion(c);
    if (f->exists) {
        f->all_tables = pg_bool(res, 0, 0);
        f->flags_right = pg_bool(res, 0, 1) && (inserts ? !pg_bool(res, 0, 3) : pg_bool(res, 0, 2));
        f->via_root = pg_bool(res, 0, 4);
        f->generated = pg_bool(res, 0, 5);
    }
    PQclear(res);
    f->effective = ask(env, c, "SELECT schemaname, tablename FROM pg_catalog.pg_publication_tables "
                       "WHERE pubname = $1", f->name, e);
    if (!f->effective)
        return -1;
    f->listed = ask(env, c, "SELECT n.nspname, c.relname, c.relkind = 'p' "
                    "FROM pg_catalog.pg_publication p "
                    "JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid "
                    "JOIN pg_catalog.pg_class c ON c.oid = r.prrelid "
                    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
                    "WHERE p.pubname = $1 ORDER BY n.nspname, c.relname", f->name, e);
    return f->listed ? 0 : -1;
}

static bool has(const PGresult *res, struct str space, struct str name)
{
    for (int row = 0; row < PQntuples(res); row++)
        if (str_eq(pg_text(res, row, 0), space) && str_eq(pg_text(res, row, 1), name))
            return true;
    return false;
}

/* ---- the plan ---- */

static void add_member(struct buf *out, bool *first, bool partitioned, struct str space,
                       struct str name)
{
    buf_add_text(out, *first ? " " : ", ");
    if (!partitioned) /* tables that inherit from it are tables of their own to us */
        buf_add_text(out, "ONLY ");
    pg_add_table(out, space, name);
    *first = false;
}

static void begin_alter(struct buf *out, const struct found *f, const char *verb)
{
    buf_add_text(out, "ALTER PUBLICATION ");
    pg_add_ident(out, str_of(f->name));
    buf_add_text(out, verb);
}

void publication_add_options(struct buf *out, bool inserts, int server_version)
{
    buf_addf(out, "(publish = '%s', publish_via_partition_root = true%s);",
             inserts ? "insert, truncate" : "insert, update, delete, truncate",
             server_version >= 180000 ? ", publish_generated_columns = stored" : "");
}

static void add_options(struct buf *out, const struct found *f, bool inserts)
{
    publication_add_options(out, inserts, f->version);
    buf_add_char(out, '\n');
}

static const struct catalog_table *find(const struct publication_wanted *w, struct str space, struct str name)
{
    for (int at = 0; at < w->count; at++)
        if (str_eq(w->tables[at].space, space) && str_eq(w->tables[at].name, name))
            return &w->tables[at];
    return NULL;
}

/* Listed tables that do not belong there: not chosen, or of the other publication. */
static void plan_drop(const struct found *f, const struct publication_wanted *w, bool inserts, struct buf *out)
{
    bool first = true;
    for (int row = 0; row < PQntuples(f->listed); row++) {
        struct str space = pg_text(f->listed, row, 0), name = pg_text(f->listed, row, 1);
        const struct catalog_table *t = find(w, space, name);
        if (t && t->has_identity != inserts)
            continue;
        if (first)
            begin_alter(out, f, " DROP TABLE");
        add_member(out, &first, pg_bool(f->listed, row, 2), space, name);
    }
    buf_add_text(out, first ? "" : ";\n");
}

/* Tables that belong there and are not. */
static void plan_add(const struct found *f, const struct publication_wanted *w, bool inserts, struct buf *out)
{
    bool first = true;
    for (int at = 0; at < w->count; at++) {
        const struct catalog_table *t = &w->tables[at];
        if (t->has_identity == inserts ||
            has(f->effective, t->space, t->name) || has(f->listed, t->space, t->name))
            continue;
        if (first && f->exists)
            begin_alter(out, f, " ADD TABLE");
        else if (first)
            buf_add_text(out, " FOR TABLE");
        add_member(out, &first, t->partitioned, t->space, t->name);
    }
    if (f->exists)
        buf_add_text(out, first ? "" : ";\n");
}

/* Only partitioned tables ask for publishing through the root. */
static bool any_partitioned(const struct publication_wanted *w)
{
    bool any = false;
    for (int at = 0; at < w->count; at++)
        any = any || w->tables[at].partitioned;
    return any;
}

static bool any_generated(const struct publication_wanted *w)
{
    bool any = false;
    for (int at = 0; at < w->count; at++)
        any = any || w->tables[at].generated;
    return any;
}

static bool any_without_identity(const struct publication_wanted *w)
{
    bool any = false;
    for (int at = 0; at < w->count; at++)
        any = any || !w->tables[at].has_identity;
    return any;
}

static void plan_one(const struct found *f, const struct publication_wanted *w, bool inserts, struct buf *out)
{
    if (!f->exists) {
        buf_add_text(out, "CREATE PUBLICATION ");
        pg_add_ident(out, str_of(f->name));
        plan_add(f, w, inserts, out);
        buf_add_text(out, " WITH ");
        add_options(out, f, inserts);
        return;
    }
    if (!f->flags_right || (!f->via_root && any_partitioned(w)) || (!f->generated && any_generated(w))) {
        begin_alter(out, f, " SET ");
        add_options(out, f, inserts);
    }
    if (!f->all_tables)
        plan_add(f, w, inserts, out);
}

/* What a start cannot do without: each chosen table published by one of them, in full. */
static void judge(const struct found *main, const struct found *ins, const struct publication_wanted *w,
                  struct publication_plan *plan)
{
    bool roots = any_partitioned(w);
    plan->serves = main->exists && main->flags_right && (!roots || main->via_root) &&
                   (!ins->exists || (ins->flags_right && (!roots || ins->via_root)));
    for (int at = 0; at < w->count; at++) {
        const struct catalog_table *t = &w->tables[at];
        plan->missing[at] = !has(main->effective, t->space, t->name) &&
                            (t->has_identity || !has(ins->effective, t->space, t->name));
        plan->serves = plan->serves && !plan->missing[at];
        if (t->has_identity)
            continue;
        buf_addf(&plan->inserts_names, "%s%.*s.%.*s", plan->inserts_only ? ", " : "",
                 STR_ARG(t->space), STR_ARG(t->name));
        plan->inserts_only++;
    }
}

int publication_look(const struct env *env, PGconn *c, const struct publication_wanted *w,
                     struct arena *a, struct publication_plan *plan, struct err *e)
{
    struct found main = {.name = w->name};
    struct found ins = {.name = arena_printf(a, "%s" PUBLICATION_INSERTS_SUFFIX, w->name).p};
    int rc = -1;
    if (look_one(env, c, false, &main, e) || look_one(env, c, true, &ins, e))
        goto done;
    plan->exists = main.exists;
    plan->inserts_exists = ins.exists;
    plan->missing = arena_zalloc(a, (size_t) w->count + 1, sizeof *plan->missing);
    buf_reset(&plan->sql);
    /* First out of the one, then into the other: never in a publication of updates without identity. */
    if (main.exists)
        plan_drop(&main, w, false, &plan->sql);
    if (ins.exists)
        plan_drop(&ins, w, true, &plan->sql);
    plan_one(&main, w, false, &plan->sql);
    const struct publication_wanted none = {w->name, w->tables, 0, w->lean};
    if (ins.exists || !w->lean || (any_without_identity(w) && !main.all_tables))
        plan_one(&ins, main.all_tables ? &none : w, true, &plan->sql);
    judge(&main, &ins, w, plan);
    rc = 0;
done:
    PQclear(main.effective);
    PQclear(main.listed);
    PQclear(ins.effective);
    PQclear(ins.listed);
    return rc;
}

void publication_plan_free(struct publication_plan *plan)
{
    buf_free(&plan->sql);
    buf_free(&plan->inserts_names);
}

/* ---- doing it ---- */

int publication_refuse(const char *name, const struct publication_plan *plan, struct err *e)
{
    err_set(e, E_PUBLICATION, "publication %s is %s", name,
            plan->exists ? "incomplete" : "missing");
    /* One line, as long as it fits; tailrace check prints all of it. */
    char line[sizeof e->hint - 80];
    size_t len = plan->sql.len < sizeof line ? plan->sql.len : sizeof line - 1;
    for (size_t at = 0; at < len; at++)
        line[at] = plan->sql.p[at] == '\n' ? ' ' : plan->sql.p[at];
    line[len] = 0;
    return err_hint(e, "let its owner run on the primary: %s%s", line,
                    len < plan->sql.len ? "... (tailrace check prints all of it)" : "");
}

int publication_apply(const struct env *env, PGconn *c, const char *name,
                      const struct publication_plan *plan, struct err *e)
{
    struct buf sql = BUF_INIT;
    if (plan->sql.len == 0)
        return 0;
    /* One simple query is one transaction; a lock that is not to be had is a reason to try later. */
    buf_add_text(&sql, "SET LOCAL lock_timeout = '5s';\n");
    buf_add_str(&sql, buf_str(&plan->sql));
    int rc = pg_run(env, c, "alter publication", sql.p, e);
    buf_free(&sql);
    bool read_only = rc && strcmp(e->sqlstate, "25006") == 0; /* a standby */
    return rc && (e->code == E_PG_RIGHT || read_only) ? publication_refuse(name, plan, e) : rc;
}

int publication_drop(const struct env *env, PGconn *c, const char *name, int *dropped, struct err *e)
{
    static const char *const suffixes[] = {"", PUBLICATION_INSERTS_SUFFIX};
    *dropped = 0;
    for (size_t at = 0; at < 2; at++) {
        char full[96];
        struct buf sql = BUF_INIT;
        snprintf(full, sizeof full, "%s%s", name, suffixes[at]);
        PGresult *res = ask(env, c, "SELECT 1 FROM pg_catalog.pg_publication WHERE pubname = $1",
                            full, e);
        if (!res)
            return -1;
        bool exists = PQntuples(res) > 0;
        PQclear(res);
        if (!exists)
            continue;
        buf_add_text(&sql, "DROP PUBLICATION ");
        pg_add_ident(&sql, str_of(full));
        int rc = pg_run(env, c, "drop publication", sql.p, e);
        buf_free(&sql);
        if (rc)
            return -1;
        (*dropped)++;
    }
    return 0;
}
