/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "agent/source/ddl_script.h"
#include "agent/source/preflight_local.h"
#include "schemas/envelope.h"

static void choose_tables(struct preflight *p)
{
    struct err e = ERR_INIT;
    int64_t rows = 0;
    if (catalog_tables(p->env, p->sql, &p->config->source.tables, &p->arena, &p->tables,
                       &p->table_count, &e) < 0) {
        p->table_count = 0;
        preflight_error(p, "tables", &e);
        return;
    }
    int unknown = 0;
    for (int at = 0; at < p->table_count; at++) {
        rows += p->tables[at].rows > 0 ? p->tables[at].rows : 0;
        unknown += p->tables[at].rows < 0;
    }
    if (!p->table_count)
        preflight_say(p, FINDING_FAIL, E_CONFIG, "tables", "correct source.tables",
                      "source.tables chooses no table of database %s", PQdb(p->sql));
    else
        preflight_pass(p, "tables", "%d tables chosen, about %lld rows%s", p->table_count,
                       (long long) rows, unknown ? ", not counting tables that were never analyzed" : "");
}

/* For each chosen table in order: may be read; and row security would hide rows from us. */
static const char rights_sql[] =
    "SELECT has_table_privilege(x.oid, 'SELECT')"
    " AND has_schema_privilege(c.relnamespace, 'USAGE'), row_security_active(x.oid)"
    " FROM unnest($1::pg_catalog.oid[]) WITH ORDINALITY x (oid, at)"
    " JOIN pg_catalog.pg_class c ON c.oid = x.oid ORDER BY x.at";

static void tell_unreadable(const struct preflight *p, const PGresult *res)
{
    struct buf names = BUF_INIT, hint = BUF_INIT;
    int count = 0;
    for (int at = 0; at < PQntuples(res) && at < p->table_count; at++) {
        const struct catalog_table *t = &p->tables[at];
        if (pg_bool(res, at, 0))
            continue;
        preflight_add_name(&names, count, t->space, t->name);
        buf_add_text(&hint, count ? " GRANT USAGE ON SCHEMA " : "GRANT USAGE ON SCHEMA ");
        pg_add_ident(&hint, t->space);
        buf_addf(&hint, " TO \"%s\"; GRANT SELECT ON ", p->role);
        pg_add_table(&hint, t->space, t->name);
        buf_addf(&hint, " TO \"%s\";", p->role);
        count++;
    }
    preflight_end_names(&names, count);
    if (count)
        preflight_say(p, FINDING_FAIL, E_PG_RIGHT, "select_right", hint.p,
                      "role %s may not read %d of the tables to copy: %s", p->role, count, names.p);
    else
        preflight_pass(p, "select_right", "role may read all chosen tables");
    buf_free(&names);
    buf_free(&hint);
}

static void tell_row_security(const struct preflight *p, const PGresult *res)
{
    struct buf names = BUF_INIT, hint = BUF_INIT;
    int count = 0;
    for (int at = 0; at < PQntuples(res) && at < p->table_count; at++)
        if (pg_bool(res, at, 1))
            preflight_add_name(&names, count++, p->tables[at].space, p->tables[at].name);
    preflight_end_names(&names, count);
    buf_addf(&hint, "ALTER ROLE \"%s\" BYPASSRLS;", p->role);
    if (count)
        preflight_say(p, FINDING_FAIL, E_PG_RIGHT, "row_security", hint.p,
                      "row security would hide rows of %s from the first copy", names.p);
    else
        preflight_pass(p, "row_security", "row security hides nothing from this role");
    buf_free(&names);
    buf_free(&hint);
}

static void check_rights(const struct preflight *p)
{
    struct buf oids = BUF_INIT;
    if (!p->config->source.copy) {
        preflight_pass(p, "select_right", "not needed: source.copy is false");
        return;
    }
    preflight_add_oids(p, &oids);
    const char *const values[] = {oids.p};
    PGresult *res = preflight_ask(p, "select_right", rights_sql, 1, values);
    buf_free(&oids);
    if (!res)
        return;
    tell_unreadable(p, res);
    tell_row_security(p, res);
    PQclear(res);
}

static void check_identity(const struct preflight *p)
{
    struct buf names = BUF_INIT, hint = BUF_INIT;
    int count = 0;
    for (int at = 0; at < p->table_count; at++) {
        const struct catalog_table *t = &p->tables[at];
        if (t->has_identity)
            continue;
        preflight_add_name(&names, count, t->space, t->name);
        buf_add_text(&hint, count ? " ALTER TABLE " : "give each a primary key, or: ALTER TABLE ");
        pg_add_table(&hint, t->space, t->name);
        buf_add_text(&hint, " REPLICA IDENTITY FULL;");
        count++;
    }
    preflight_end_names(&names, count);
    if (count)
        preflight_say(p, FINDING_WARN, E_NO_IDENTITY, "identity", hint.p,
                      "%d of %d tables have no replica identity, so that only inserts and "
                      "truncates of theirs are replicated, no updates and deletes: %s", count,
                      p->table_count, names.p);
    else
        preflight_pass(p, "identity", "every chosen table has a replica identity");
    buf_free(&names);
    buf_free(&hint);
}

/* Identity FULL without a key: each change is found by all columns, and equal rows are one. */
static void check_keys(const struct preflight *p)
{
    struct buf names = BUF_INIT;
    int count = 0;
    for (int at = 0; at < p->table_count; at++)
        if (p->tables[at].identity == 'f' && !p->tables[at].has_key)
            preflight_add_name(&names, count++, p->tables[at].space, p->tables[at].name);
    preflight_end_names(&names, count);
    if (count)
        preflight_say(p, FINDING_WARN, E_NONE, "keys", "give each a primary key",
                      "%d of %d tables have replica identity FULL and no primary key: their "
                      "updates and deletes are found by whole rows, which is slow: %s", count,
                      p->table_count, names.p);
    else
        preflight_pass(p, "keys", "no table has to be matched by whole rows");
    buf_free(&names);
}

static bool is_strict(const struct preflight *p)
{
    return strcmp(p->config->events.mode, "strict") == 0;
}

/* Columns of types without a mapping of their own; a table that goes away meanwhile is left out. */
static int add_columns(const struct preflight *p, const struct catalog_table *t, int count,
                            struct buf *names, struct err *e)
{
    struct arena arena;
    const struct relation *rel;
    const struct envelope_options o = {.strict = is_strict(p), .hstore = (enum hstore_mode) p->config->events.hstore};
    arena_init(&arena, 0, "source.tables");
    int failed = catalog_describe(p->env, p->sql, t->oid, &arena, &rel, e);
    for (int at = 0; !failed && at < rel->column_count; at++) {
        const struct column *col = &rel->columns[at];
        if (envelope_column_way(col, &o) == COLUMN_MAPPED)
            continue;
        preflight_add_name(names, count, t->space, t->name);
        if (count < PREFLIGHT_NAMES_MAX)
            buf_addf(names, ".%.*s (%.*s)", STR_ARG(col->name), STR_ARG(col->type_sql));
        count++;
    }
    arena_free(&arena);
    return failed && e->class != ERR_GONE ? -1 : count;
}

static void check_types(const struct preflight *p)
{
    struct buf names = BUF_INIT;
    struct err e = ERR_INIT;
    int count = 0;
    for (int at = 0; count >= 0 && at < p->table_count; at++)
        count = add_columns(p, &p->tables[at], count, &names, &e);
    preflight_end_names(&names, count);
    if (count < 0)
        preflight_error(p, "types", &e);
    else if (count && is_strict(p))
        preflight_say(p, FINDING_WARN, E_NONE, "types",
                      "leave events.mode at sane to have them",
                      "columns that strict events do not have, as Debezium cannot convert their types: %d: %s", count, names.p);
    else if (count)
        preflight_say(p, FINDING_WARN, E_NONE, "types",
                      "nothing is lost on the way to PostgreSQL; other consumers read a string",
                      "columns whose type travels as its text: %d: %s", count, names.p);
    else
        preflight_pass(p, "types", "every column's type has a mapping of its own");
    buf_free(&names);
}

/* 1: the key of captured DDL can be read; 0 it cannot; -1 told. */
static int may_read_key(const struct preflight *p)
{
    PGresult *res = preflight_ask(p, "ddl_capture",
                                  "SELECT COALESCE(pg_catalog.has_schema_privilege(pg_catalog.to_regnamespace('tailrace'), 'USAGE')"
                                  " AND pg_catalog.has_table_privilege(pg_catalog.to_regclass('tailrace.ddl'), 'SELECT'), false)", 0, NULL);
    int may = res ? pg_bool(res, 0, 0) : -1;
    PQclear(res);
    return may;
}

static void check_capture(const struct preflight *p)
{
    struct err e = ERR_INIT;
    const char *name = p->config->name;
    int triggers = ddl_installed(p->env, p->sql, name, &e);
    int may = triggers > 0 ? may_read_key(p) : 1;
    if (triggers < 0)
        preflight_error(p, "ddl_capture", &e);
    else if (triggers == 0)
        preflight_pass(p, "ddl_capture", "altered tables are looked up in the catalog (`tailrace ddl install` would have the stream tell)");
    else if (triggers < DDL_TRIGGERS)
        preflight_say(p, FINDING_WARN, E_NONE, "ddl_capture", "run `tailrace ddl install` again",
                      "%d of %d event triggers of %s are there and enabled", triggers, DDL_TRIGGERS, name);
    else if (may == 0)
        preflight_say(p, FINDING_WARN, E_PG_RIGHT, "ddl_capture", "GRANT USAGE ON SCHEMA tailrace TO the role; GRANT SELECT ON tailrace.ddl TO the role",
                      "role %s may not read the key of captured DDL, and believes none", p->role);
    else if (may > 0)
        preflight_pass(p, "ddl_capture", "event triggers tell of altered tables in the stream");
}

void preflight_check_tables(struct preflight *p)
{
    choose_tables(p);
    check_rights(p);
    check_identity(p);
    check_keys(p);
    check_types(p);
    check_capture(p);
}
