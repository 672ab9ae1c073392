/* SPDX-License-Identifier: Apache-2.0
 *
 * tailrace init: look at a database, change nothing, print a configuration for it.
 */
#include "agent/cli/init.h"

#include <stdio.h>

#include "agent/cli/cli.h"

#define ASK_MS 30000

static const char server_sql[] =
    "SELECT current_setting('server_version'), current_setting('wal_level'),"
    " pg_catalog.pg_is_in_recovery(), pg_catalog.current_database(),"
    " pg_catalog.pg_encoding_to_char(d.encoding),"
    " current_setting('max_replication_slots'),"
    " (SELECT count(*) FROM pg_catalog.pg_replication_slots),"
    " current_setting('max_wal_senders'),"
    " (SELECT count(*) FROM pg_catalog.pg_stat_get_wal_senders()),"
    /* In megabytes, whatever the unit of the shown text. */
    " (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size'),"
    " r.rolname, r.rolsuper, r.rolreplication, r.rolbypassrls,"
    " pg_catalog.has_database_privilege(d.oid, 'CREATE'),"
    " p.oid IS NOT NULL, COALESCE(pg_catalog.has_function_privilege(p.oid, 'EXECUTE'), false)"
    " FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.rolname = current_user"
    " LEFT JOIN pg_catalog.pg_proc p ON p.proname = 'pg_log_standby_snapshot'"
    "  AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace"
    " WHERE d.datname = pg_catalog.current_database()";

/* Per table in $1: readable; policies apply to the role. In the order of $1. */
static const char rights_sql[] =
    "SELECT pg_catalog.has_table_privilege(c.oid, 'SELECT')"
    " AND pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE'),"
    " pg_catalog.row_security_active(c.oid)"
    " FROM unnest($1::pg_catalog.oid[]) WITH ORDINALITY u (oid, at)"
    " JOIN pg_catalog.pg_class c ON c.oid = u.oid ORDER BY u.at";

static const char *copy_text(struct arena *a, const PGresult *res, int col)
{
    return arena_str(a, pg_text(res, 0, col)).p;
}

static int ask_server(const struct env *env, PGconn *pg, struct arena *a, struct init_facts *f,
                      struct err *e)
{
    PGresult *res = pg_exec(env, pg, "look at the server", server_sql, ASK_MS, e);
    if (!res)
        return -1;
    if (PQntuples(res) != 1) {
        PQclear(res);
        return err_set(e, E_PG_QUERY, "look at the server: no row");
    }
    f->version_num = PQserverVersion(pg);
    f->version = copy_text(a, res, 0);
    f->wal_level = copy_text(a, res, 1);
    f->standby = pg_bool(res, 0, 2);
    f->database = copy_text(a, res, 3);
    f->encoding = copy_text(a, res, 4);
    f->slots_max = pg_int(res, 0, 5);
    f->slots_used = pg_int(res, 0, 6);
    f->senders_max = pg_int(res, 0, 7);
    f->senders_used = pg_int(res, 0, 8);
    f->slot_wal_keep_mb = pg_int(res, 0, 9);
    f->role = copy_text(a, res, 10);
    f->superuser = pg_bool(res, 0, 11);
    f->replication = pg_bool(res, 0, 12);
    f->bypass_rls = pg_bool(res, 0, 13);
    f->may_create = pg_bool(res, 0, 14);
    f->snapshot_function = pg_bool(res, 0, 15);
    f->snapshot_granted = pg_bool(res, 0, 16);
    PQclear(res);
    return 0;
}

static int ask_publication(const struct env *env, PGconn *pg, struct arena *a, struct init_facts *f,
                           struct err *e)
{
    const char *name = arena_printf(a, "tailrace_%s", init_name(a, f->database)).p;
    PGresult *res = pg_exec_params(env, pg, "look for the publication",
                                   "SELECT FROM pg_catalog.pg_publication WHERE pubname = $1", 1,
                                   &name, ASK_MS, e);
    if (!res)
        return -1;
    f->publication_exists = PQntuples(res) > 0;
    PQclear(res);
    return 0;
}

static int ask_rights(const struct env *env, PGconn *pg, struct arena *a, struct init_facts *f,
                      struct err *e)
{
    struct buf oids = BUF_INIT;
    bool *readable = arena_zalloc(a, (size_t) f->table_count + 1, sizeof *readable);
    buf_add_char(&oids, '{');
    for (int at = 0; at < f->table_count; at++)
        buf_addf(&oids, "%s%u", at ? "," : "", f->tables[at].oid);
    buf_add_char(&oids, '}');
    const char *value = oids.p;
    PGresult *res = pg_exec_params(env, pg, "look at rights on tables", rights_sql, 1, &value, ASK_MS,
                                   e);
    buf_free(&oids);
    if (!res)
        return -1;
    f->readable = readable;
    /* A table dropped since makes the rows fewer: then what is printed is one table behind. */
    for (int at = 0; at < f->table_count && at < PQntuples(res); at++) {
        readable[at] = pg_bool(res, at, 0);
        f->row_security |= pg_bool(res, at, 1);
    }
    PQclear(res);
    return 0;
}

static int ask_tables(const struct env *env, PGconn *pg, struct arena *a, struct init_facts *f,
                      struct err *e)
{
    const char *all[] = {"*.*"};
    struct config_list patterns = {1, all};
    struct catalog_table *tables;
    if (catalog_tables(env, pg, &patterns, a, &tables, &f->table_count, e) != 0)
        return -1;
    f->tables = tables;
    return ask_rights(env, pg, a, f, e);
}

static int ask(const struct env *env, const char *dsn, struct arena *a, struct init_facts *f,
               struct err *e)
{
    PGconn *pg = pg_connect(env, dsn, PG_SQL, "init", e);
    int rc = -1;
    if (!pg)
        return -1;
    if (PQserverVersion(pg) < 140000)
        (void) err_set(e, E_SERVER_VERSION, "PostgreSQL %s is too old",
                       PQparameterStatus(pg, "server_version"));
    else if (ask_server(env, pg, a, f, e) == 0 && ask_publication(env, pg, a, f, e) == 0)
        rc = ask_tables(env, pg, a, f, e);
    PQfinish(pg);
    return rc;
}

int cmd_init(struct cli *c, struct err *e)
{
    struct arena a;
    struct buf out = BUF_INIT;
    struct init_facts facts = {0};
    int rc = -1;
    arena_init(&a, (size_t) 256 * 1024 * 1024, "init");
    facts.dsn = init_dsn_shown(&a, c->args[0], &facts.had_password);
    if (!facts.dsn) {
        (void) err_set(e, E_USAGE, "DSN is not a libpq connection string");
        (void) err_hint(e, "\"host=db dbname=shop\" or postgresql://user@host/database");
    } else if (ask(c->env, c->args[0], &a, &facts, e) == 0) {
        init_write(&facts, &a, &out);
        fwrite(out.p, 1, out.len, stdout);
        rc = 0;
    }
    buf_free(&out);
    arena_free(&a);
    return rc;
}
