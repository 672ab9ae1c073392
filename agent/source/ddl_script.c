/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything that the functions name is qualified and their search_path is empty, so that a definer's rights serve nobody
 * else, and names of types come qualified as the stream has them.
 */
#include "agent/source/ddl_script.h"

#include "agent/source/catalog.h"

#define LOOK_MS 10000
#define INSTALL_MS 60000

/* c1, c2::text, ... of a sub-select with so many columns; PostgreSQL's text of each, as a client gets it. */
static void add_cells(struct buf *sql, int fields, const char *bools)
{
    for (int col = 1; col <= fields; col++) {
        bool is_bool = strchr(bools, 'a' + col - 1) != NULL;
        buf_addf(sql, is_bool ? "%sCASE WHEN c%d THEN 't' ELSE 'f' END" : "%sc%d::pg_catalog.text", col > 1 ? ", " : "", col);
    }
}

static void add_rows_function(struct buf *sql, const char *head, const char *query, int fields, const char *bools)
{
    buf_addf(sql, "CREATE OR REPLACE FUNCTION tailrace.%s RETURNS pg_catalog.json LANGUAGE sql STABLE SET search_path = '' AS $tailrace$\n"
                  "SELECT pg_catalog.json_agg(pg_catalog.json_build_array(", head);
    add_cells(sql, fields, bools);
    buf_addf(sql, ")) FROM (%s) q (", query);
    for (int col = 1; col <= fields; col++)
        buf_addf(sql, "%sc%d", col > 1 ? ", " : "", col);
    buf_add_text(sql, ") $tailrace$;\n");
}

/* A message is decoded as standing at the end of its record, where the next record begins; one of a subtransaction (an EXCEPTION
 * block is one) may then come behind the row that follows it. The empty message keeps the place between them.
 * ddl_tell: a table and those that inherit from it, since a command on the first alters all and names one. */
static const char tell_sql[] =
    "CREATE OR REPLACE FUNCTION tailrace.ddl_send(instance text, said pg_catalog.json) RETURNS pg_catalog.void LANGUAGE plpgsql"
    " SET search_path = '' AS $tailrace$\n"
    "DECLARE\n"
    "    bytes pg_catalog.bytea := pg_catalog.convert_to(said::pg_catalog.text, 'UTF8');\n"
    "    secret pg_catalog.bytea := (SELECT d.key FROM tailrace.ddl d WHERE d.name = instance);\n"
    "BEGIN\n"
    "    PERFORM pg_catalog.pg_logical_emit_message(true, 'tailrace.ddl', pg_catalog.convert_to('v1 ' || instance || ' '\n"
    "        || pg_catalog.encode(pg_catalog.sha256(secret || pg_catalog.sha256(secret || bytes)), 'hex') || ' ', 'UTF8') || bytes);\n"
    "    PERFORM pg_catalog.pg_logical_emit_message(true, 'tailrace.ddl', ''::pg_catalog.bytea);\n"
    "END $tailrace$;\n"
    "CREATE OR REPLACE FUNCTION tailrace.ddl_tell(instance text, tables pg_catalog.oid[]) RETURNS pg_catalog.void LANGUAGE plpgsql"
    " SET search_path = '' AS $tailrace$\n"
    "DECLARE\n"
    "    t pg_catalog.oid;\n"
    "BEGIN\n"
    "    FOR t IN WITH RECURSIVE w AS (SELECT pg_catalog.unnest(tables) AS oid\n"
    "            UNION SELECT i.inhrelid FROM w JOIN pg_catalog.pg_inherits i ON i.inhparent = w.oid)\n"
    "        SELECT c.oid FROM w JOIN pg_catalog.pg_class c ON c.oid = w.oid\n"
    "        WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'\n"
    "    LOOP\n"
    "        PERFORM tailrace.ddl_send(instance, (SELECT pg_catalog.json_build_object('table', t::pg_catalog.int8,\n"
    "            'xid', pg_catalog.pg_current_xact_id()::pg_catalog.text, 'columns', tailrace.ddl_columns(t),\n"
    "            'types', tailrace.ddl_types(pg_catalog.array_agg(a.atttypid ORDER BY a.attnum),\n"
    "                pg_catalog.array_agg(a.atttypmod ORDER BY a.attnum)))\n"
    "            FROM pg_catalog.pg_attribute a\n"
    "            WHERE a.attrelid = t AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'));\n"
    "    END LOOP;\n"
    "END $tailrace$;\n"
    "REVOKE ALL ON FUNCTION tailrace.ddl_columns(pg_catalog.oid), tailrace.ddl_types(pg_catalog.oid[], pg_catalog.int4[]),"
    " tailrace.ddl_send(text, pg_catalog.json), tailrace.ddl_tell(text, pg_catalog.oid[]) FROM PUBLIC;\n";

/* @ is the name of the installation, which is [a-z0-9_]. A rewrite of a table by a client that replicates is one as well: ALWAYS. */
static const char trigger_sql[] =
    "CREATE OR REPLACE FUNCTION tailrace.ddl_@() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $tailrace$\n"
    "BEGIN\n"
    "    PERFORM tailrace.ddl_tell('@', ARRAY(SELECT DISTINCT c.objid FROM pg_catalog.pg_event_trigger_ddl_commands() c\n"
    "        WHERE c.classid = 'pg_catalog.pg_class'::pg_catalog.regclass));\n"
    "EXCEPTION WHEN OTHERS THEN\n"
    "    RAISE WARNING 'tailrace (installation @) could not tell of this command: %', SQLERRM;\n"
    "END $tailrace$;\n"
    "CREATE OR REPLACE FUNCTION tailrace.ddl_@_drop() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $tailrace$\n"
    "DECLARE\n"
    "    t pg_catalog.oid;\n"
    "BEGIN\n"
    "    FOR t IN SELECT o.objid FROM pg_catalog.pg_event_trigger_dropped_objects() o WHERE o.object_type = 'table' AND NOT o.is_temporary LOOP\n"
    "        PERFORM tailrace.ddl_send('@', pg_catalog.json_build_object('table', t::pg_catalog.int8,\n"
    "            'xid', pg_catalog.pg_current_xact_id()::pg_catalog.text));\n"
    "    END LOOP;\n"
    "EXCEPTION WHEN OTHERS THEN\n"
    "    RAISE WARNING 'tailrace (installation @) could not tell of this command: %', SQLERRM;\n"
    "END $tailrace$;\n"
    "REVOKE ALL ON FUNCTION tailrace.ddl_@(), tailrace.ddl_@_drop() FROM PUBLIC;\n"
    "DROP EVENT TRIGGER IF EXISTS tailrace_ddl_@;\n"
    "CREATE EVENT TRIGGER tailrace_ddl_@ ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')\n"
    "    EXECUTE FUNCTION tailrace.ddl_@();\n"
    "ALTER EVENT TRIGGER tailrace_ddl_@ ENABLE ALWAYS;\n"
    "DROP EVENT TRIGGER IF EXISTS tailrace_ddl_@_drop;\n"
    "CREATE EVENT TRIGGER tailrace_ddl_@_drop ON sql_drop EXECUTE FUNCTION tailrace.ddl_@_drop();\n"
    "ALTER EVENT TRIGGER tailrace_ddl_@_drop ENABLE ALWAYS;\n";

static void add_named(struct buf *sql, const char *text, const char *name)
{
    for (const char *at = strchr(text, '@'); at; at = strchr(text, '@')) {
        buf_add(sql, text, (size_t) (at - text));
        buf_add_text(sql, name);
        text = at + 1;
    }
    buf_add_text(sql, text);
}

static void add_baseline(const struct config *config, const struct catalog_table *tables, int count, struct buf *sql)
{
    buf_addf(sql, "SELECT tailrace.ddl_tell('%s', ARRAY[", config->name);
    for (int at = 0; at < count; at++) {
        struct buf table = BUF_INIT;
        pg_add_table(&table, tables[at].space, tables[at].name);
        buf_add_text(sql, at ? ", " : "");
        pg_add_literal(sql, buf_str(&table));
        buf_add_text(sql, "::pg_catalog.regclass");
        buf_free(&table);
    }
    buf_add_text(sql, "]::pg_catalog.regclass[]::pg_catalog.oid[]);\n");
}

static void add_key(const struct config *config, struct str role, struct buf *sql)
{
    buf_addf(sql, "CREATE SCHEMA IF NOT EXISTS tailrace;\n"
                  "CREATE TABLE IF NOT EXISTS tailrace.ddl (name pg_catalog.text PRIMARY KEY, key pg_catalog.bytea NOT NULL);\n"
                  "REVOKE ALL ON tailrace.ddl FROM PUBLIC;\n"
                  "INSERT INTO tailrace.ddl VALUES ('%s', pg_catalog.sha256(pg_catalog.uuid_send(pg_catalog.gen_random_uuid())"
                  " || pg_catalog.uuid_send(pg_catalog.gen_random_uuid()))) ON CONFLICT DO NOTHING;\n", config->name);
    buf_add_text(sql, "GRANT USAGE ON SCHEMA tailrace TO ");
    pg_add_ident(sql, role);
    buf_add_text(sql, ";\nGRANT SELECT ON tailrace.ddl TO ");
    pg_add_ident(sql, role);
    buf_add_text(sql, ";\n");
}

int ddl_script_install(const struct env *env, PGconn *c, const struct config *config, struct buf *sql, struct err *e)
{
    struct arena a;
    struct catalog_table *tables;
    int count;
    arena_init(&a, 0, "list of tables");
    int rc = catalog_tables(env, c, &config->source.tables, &a, &tables, &count, e);
    if (!rc) {
        add_key(config, str_of(PQuser(c)), sql);
        add_rows_function(sql, "ddl_columns(pg_catalog.oid)", catalog_columns_sql, CATALOG_COLUMNS_FIELDS, "ghj");
        add_rows_function(sql, "ddl_types(pg_catalog.oid[], pg_catalog.int4[])", catalog_types_sql, CATALOG_TYPES_FIELDS, "e");
        buf_add_text(sql, tell_sql);
        add_named(sql, trigger_sql, config->name);
        add_baseline(config, tables, count, sql);
    }
    arena_free(&a);
    return rc;
}

static const char remove_sql[] =
    "DROP EVENT TRIGGER IF EXISTS tailrace_ddl_@;\n"
    "DROP EVENT TRIGGER IF EXISTS tailrace_ddl_@_drop;\n"
    "DROP FUNCTION IF EXISTS tailrace.ddl_@(), tailrace.ddl_@_drop();\n"
    "DO $tailrace$ BEGIN\n"
    "    IF pg_catalog.to_regclass('tailrace.ddl') IS NOT NULL THEN\n"
    "        DELETE FROM tailrace.ddl WHERE name = '@';\n"
    "        IF NOT EXISTS (SELECT FROM tailrace.ddl) THEN\n"
    "            DROP TABLE tailrace.ddl;\n"
    "            DROP FUNCTION tailrace.ddl_tell(text, pg_catalog.oid[]), tailrace.ddl_send(text, pg_catalog.json),\n"
    "                tailrace.ddl_columns(pg_catalog.oid), tailrace.ddl_types(pg_catalog.oid[], pg_catalog.int4[]);\n"
    "        END IF;\n"
    "    END IF;\n"
    "    IF NOT EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_namespace n ON n.oid = d.refobjid\n"
    "        WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND n.nspname = 'tailrace') THEN\n"
    "        DROP SCHEMA IF EXISTS tailrace;\n"
    "    END IF;\n"
    "END $tailrace$;\n";

void ddl_script_remove(const struct config *config, struct buf *sql)
{
    add_named(sql, remove_sql, config->name);
}

int ddl_installed(const struct env *env, PGconn *c, const char *name, struct err *e)
{
    const char *const values[] = {name};
    PGresult *res = pg_exec_params(env, c, "look for captured DDL",
                                   "SELECT count(*) FROM pg_catalog.pg_event_trigger"
                                   " WHERE evtname IN ('tailrace_ddl_' || $1, 'tailrace_ddl_' || $1 || '_drop') AND evtenabled IN ('A', 'O')",
                                   1, values, LOOK_MS, e);
    if (!res)
        return -1;
    int count = (int) pg_int(res, 0, 0);
    PQclear(res);
    return count;
}

int source_ddl(const struct env *env, const struct config *config, bool install, struct err *e)
{
    struct buf sql = BUF_INIT;
    PGresult *res = NULL;
    PGconn *c = pg_connect(env, config->source.postgres, PG_SQL, "ddl", e);
    if (!c)
        return -1;
    int rc = install ? ddl_script_install(env, c, config, &sql, e) : 0;
    if (!install)
        ddl_script_remove(config, &sql);
    if (!rc)
        res = pg_exec(env, c, install ? "install capture of DDL" : "remove capture of DDL", sql.p, INSTALL_MS, e);
    if (!res)
        rc = -1;
    if (rc && strcmp(e->sqlstate, "42501") == 0)
        (void) err_hint(e, "event triggers belong to a superuser: `tailrace ddl script%s` prints the SQL for one", install ? "" : " --remove");
    PQclear(res);
    PQfinish(c);
    buf_free(&sql);
    return rc;
}
