/* SPDX-License-Identifier: Apache-2.0
 *
 * Look at a target and tell, for `tailrace check`. Changes nothing: what is tried is a setting of
 * the session that ends with it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/net/pg.h"
#include "sinks/postgres/session.h"

struct look {
    const struct sink_env *env;
    const struct finding_out *out;
    PGconn *conn;
    struct buf text; /* the sentence of the finding being made */
};

static void tell(struct look *k, enum finding_level level, enum err_code code, const char *name,
                 const char *hint)
{
    k->out->add(k->out->self, level, level == FINDING_PASS ? E_NONE : code, name, k->text.p, hint);
    buf_reset(&k->text);
}

static PGresult *ask(struct look *k, const char *sql, struct err *e)
{
    return pg_exec(k->env->env, k->conn, "look at the target", sql, 30000, e);
}

static int look_server(struct look *k, struct err *e)
{
    int version = PQserverVersion(k->conn);
    buf_addf(&k->text, "target %s is PostgreSQL %d", k->env->target->name, version / 10000);
    tell(k, version >= 140000 ? FINDING_PASS : FINDING_FAIL, version >= E_SERVER_VERSION,
         "target_version", "use PostgreSQL 14 to 18");
    PGresult *res = ask(k, "SELECT pg_catalog.pg_is_in_recovery()", e);
    if (!res)
        return -1;
    bool standby = pg_bool(res, 0, 0);
    PQclear(res);
    buf_addf(&k->text, "target %s %s", k->env->target->name, standby ? "is a standby and takes no writes" : "takes writes");
    tell(k, standby ? FINDING_FAIL : FINDING_PASS, E_CONFIG, "target_writable",
         "give the address of the primary");
    return 0;
}

static int look_watermark(struct look *k, struct err *e)
{
    struct buf hint = BUF_INIT;
    PGresult *res = ask(k, "SELECT pg_catalog.to_regclass('tailrace.watermark') IS NOT NULL,"
        " CASE WHEN pg_catalog.to_regclass('tailrace.watermark') IS NOT NULL"
        "  THEN pg_catalog.has_table_privilege('tailrace.watermark', 'INSERT, UPDATE')"
        "  AND pg_catalog.has_table_privilege('tailrace.watermark', 'SELECT')"
        " WHEN pg_catalog.to_regnamespace('tailrace') IS NOT NULL"
        "  THEN pg_catalog.has_schema_privilege('tailrace', 'CREATE')"
        " ELSE pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') END", e);
    if (!res)
        return -1;
    bool there = pg_bool(res, 0, 0), may = pg_bool(res, 0, 1);
    PQclear(res);
    buf_addf(&k->text, "table tailrace.watermark %s and the role may %s%s it", there ? "exists" : "is still to be made",
             may ? "" : "not ", there ? "write" : "make");
    buf_addf(&hint, "CREATE SCHEMA IF NOT EXISTS tailrace AUTHORIZATION \"%s\"", PQuser(k->conn));
    tell(k, may ? FINDING_PASS : FINDING_FAIL, E_PG_RIGHT, "target_watermark", hint.p);
    buf_free(&hint);
    return 0;
}

static int look_replica_role(struct look *k, struct err *e)
{
    struct buf hint = BUF_INIT;
    if (k->env->target->triggers == TARGET_TRIGGERS_ON) {
        buf_add_text(&k->text, "triggers and foreign keys of the target fire (triggers: on)");
        tell(k, FINDING_PASS, E_NONE, "target_triggers", "");
        return 0;
    }
    int refused = pg_run(k->env->env, k->conn, "set session_replication_role",
                         "SET session_replication_role = replica", e);
    if (refused && e->code != E_PG_RIGHT)
        return -1;
    buf_addf(&k->text, "the role may %sset session_replication_role, which keeps triggers and foreign keys quiet",
             refused ? "not " : "");
    buf_addf(&hint, "GRANT SET ON PARAMETER session_replication_role TO \"%s\" (PostgreSQL 15 and later), "
                    "or set triggers: on", PQuser(k->conn));
    tell(k, refused ? FINDING_FAIL : FINDING_PASS, E_PG_RIGHT, "target_triggers", hint.p);
    buf_free(&hint);
    err_clear(e);
    return 0;
}

/* Which tables a route will write is known only from its events: all that can be seen are looked at. */
static int look_tables(struct look *k, struct err *e)
{
    struct buf hint = BUF_INIT;
    PGresult *res = ask(k, "WITH t AS (SELECT c.oid::pg_catalog.regclass::text AS name,"
        " pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
        " AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_table_privilege(c.oid, 'INSERT')"
        " AND pg_catalog.has_table_privilege(c.oid, 'UPDATE') AND pg_catalog.has_table_privilege(c.oid, 'DELETE')"
        " AND pg_catalog.has_table_privilege(c.oid, 'TRUNCATE') AS may, c.relrowsecurity AND NOT"
        " (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = CURRENT_USER) AS secured"
        " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname NOT LIKE 'pg\\_%'"
        " AND n.nspname NOT IN ('information_schema', 'tailrace'))"
        " SELECT count(*), count(*) FILTER (WHERE NOT may), min(name) FILTER (WHERE NOT may),"
        " count(*) FILTER (WHERE secured), min(name) FILTER (WHERE secured) FROM t", e);
    if (!res)
        return -1;
    int64_t refused = pg_int(res, 0, 1), secured = pg_int(res, 0, 3);
    buf_addf(&k->text, "%lld tables on the target, %lld of them lack a right for this role",
             (long long) pg_int(res, 0, 0), (long long) refused);
    if (refused)
        buf_addf(&k->text, " (%s and others)", PQgetvalue(res, 0, 2));
    buf_addf(&hint, "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON the tables of the route TO \"%s\"",
             PQuser(k->conn));
    tell(k, refused ? FINDING_WARN : FINDING_PASS, E_PG_RIGHT, "target_tables", hint.p);
    if (secured) {
        buf_addf(&k->text, "%lld tables have row security that binds this role (%s)", (long long) secured,
                 PQgetvalue(res, 0, 4));
        tell(k, FINDING_WARN, E_PG_RIGHT, "target_row_security",
         "ALTER ROLE ... BYPASSRLS, or make the role owner of the tables; row_security is off in "
             "our session, so that a policy is an error and not a silent filter");
    }
    PQclear(res);
    buf_free(&hint);
    return 0;
}

/* A create: true target needs a place to create in. */
static int look_create(struct look *k, struct err *e)
{
    struct buf hint = BUF_INIT;
    if (!k->env->target->create)
        return 0;
    PGresult *res = ask(k, "SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')", e);
    if (!res)
        return -1;
    bool may = pg_bool(res, 0, 0);
    PQclear(res);
    buf_addf(&k->text, "the role may %screate schemas on the target (create: true)", may ? "" : "not ");
    buf_addf(&hint, "GRANT CREATE ON DATABASE \"%s\" TO \"%s\", or make the schemas and grant CREATE on them",
             PQdb(k->conn), PQuser(k->conn));
    tell(k, may ? FINDING_PASS : FINDING_WARN, E_PG_RIGHT, "target_create", hint.p);
    buf_free(&hint);
    return 0;
}

/* Name, start and port of a server's database: the same for two ways to the same place. */
static PGresult *identity(struct look *k, PGconn *c, struct err *e)
{
    return pg_exec(k->env->env, c, "compare source and target",
                   "SELECT pg_catalog.current_database() || ' ' || pg_catalog.pg_postmaster_start_time()"
                   " || ' ' || pg_catalog.current_setting('port')", 30000, e);
}

/* A target that is the source feeds on itself. A source that cannot be reached is told elsewhere. */
static void look_loop(struct look *k)
{
    struct err e = ERR_INIT;
    if (!k->env->config || !k->env->config->source.postgres)
        return;
    PGconn *source = pg_connect(k->env->env, k->env->config->source.postgres, PG_SQL, "check", &e);
    if (!source)
        return;
    PGresult *a = identity(k, source, &e), *b = a ? identity(k, k->conn, &e) : NULL;
    bool same = b && !strcmp(PQgetvalue(a, 0, 0), PQgetvalue(b, 0, 0));
    bool moved = k->env->target->schema && *k->env->target->schema;
    if (b) {
        buf_addf(&k->text, "target %s is %s database", k->env->target->name, same ? "the source's own" : "another");
        tell(k, !same ? FINDING_PASS : moved ? FINDING_WARN : FINDING_FAIL, E_CONFIG,
             "target_other", moved ? "leave the target's schema out of source.tables"
                                          : "give another database, or a schema of its own");
    }
    PQclear(a);
    PQclear(b);
    PQfinish(source);
}

int pgs_check(const struct sink_env *env, const struct finding_out *out, struct err *e)
{
    struct look k = {.env = env, .out = out};
    k.conn = pg_connect(env->env, env->target->url, PG_SQL, "check", e);
    if (!k.conn)
        return -1;
    int done = look_server(&k, e) || look_watermark(&k, e) || look_tables(&k, e) || look_create(&k, e) ||
               look_replica_role(&k, e) ? -1 : 0;
    if (!done)
        look_loop(&k);
    buf_free(&k.text);
    PQfinish(k.conn);
    return done;
}
