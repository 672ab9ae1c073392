/* SPDX-License-Identifier: Apache-2.0
 *
 * The target's side of a relation, from its catalog: once per relation version and session.
 *
 * Types and key come from the target, not from the source, so that a target may keep a column as
 * bigint where the source has integer. Operators of the key are taken from its index and named
 * with their schema: an equality found by search_path might not be the one the index serves.
 */
#include <stdlib.h>

#include "agent/net/pg.h"
#include "sinks/postgres/session.h"

static const char sql_columns[] =
    "SELECT c.relkind, a.attname, a.attgenerated <> '', a.attidentity = 'a',"
    " pg_catalog.format_type(a.atttypid, -1), pg_catalog.format_type(b.typarray, -1),"
    " b.typcategory IN ('A', 'C') OR b.typarray = 0 OR b.typdelim <> ',',"
    " k.typtype IN ('e', 'r', 'm') OR k.oid = 1043 OR EXISTS (SELECT FROM pg_catalog.pg_opclass o"
    "  JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod WHERE o.opcdefault AND o.opcintype = k.oid"
    "  AND k.typcategory <> 'A' AND m.amname IN ('btree', 'hash')),"
    " pg_catalog.format_type(a.atttypid, a.atttypmod),"
    " a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " LEFT JOIN pg_catalog.pg_type b ON b.oid = a.atttypid"
    " LEFT JOIN pg_catalog.pg_type k ON k.oid = CASE WHEN b.typtype = 'd' THEN b.typbasetype ELSE b.oid END"
    " WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
    " ORDER BY a.attnum";

/* Unique indexes that can find a row: whole, valid, on plain columns. */
static const char sql_indexes[] =
    "SELECT i.indexrelid, i.indimmediate, a.attname,"
    " 'OPERATOR(' || pg_catalog.quote_ident(s.nspname) || '.' || p.oprname || ')'"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisunique AND i.indisvalid"
    "  AND i.indpred IS NULL AND i.indexprs IS NULL"
    " CROSS JOIN LATERAL pg_catalog.generate_series(0, i.indnkeyatts - 1) k(n)"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[k.n]"
    " JOIN pg_catalog.pg_opclass o ON o.oid = i.indclass[k.n]"
    " JOIN pg_catalog.pg_amop f ON f.amopfamily = o.opcfamily AND f.amoplefttype = o.opcintype"
    "  AND f.amoprighttype = o.opcintype AND f.amopstrategy = 3"
    " JOIN pg_catalog.pg_operator p ON p.oid = f.amopopr"
    " JOIN pg_catalog.pg_namespace s ON s.oid = p.oprnamespace"
    " WHERE n.nspname = $1 AND c.relname = $2 ORDER BY i.indisprimary DESC, i.indexrelid, k.n";

struct str pgs_space(const struct pgs *s, const struct relation *rel)
{
    const char *schema = s->env.target->schema;
    return schema && *schema ? str_of(schema) : rel->space;
}

static int ask(struct pgs *s, const struct relation *rel, const char *sql, PGresult **res,
               struct err *e)
{
    char *space = mem_strndup(pgs_space(s, rel)), *name = mem_strndup(rel->name);
    const char *values[] = {space, name, NULL};
    int done = pipe_query(&s->pipe, "look at a table of the target", sql, values, res, e);
    free(space);
    free(name);
    return done;
}

static struct str quoted(struct arena *a, struct str name)
{
    struct buf text = BUF_INIT;
    pg_add_ident(&text, name);
    struct str copy = arena_str(a, buf_str(&text));
    buf_free(&text);
    return copy;
}

static int find_row(const PGresult *res, struct str column)
{
    for (int row = 0; row < PQntuples(res); row++)
        if (str_eq(pg_text(res, row, 1), column))
            return row;
    return -1;
}

static int no_column(const struct pgs_table *t, const struct column *col, struct err *e)
{
    (void) err_set(e, E_TARGET_TABLE, "table %.*s on the target has no column %.*s",
                   STR_ARG(t->label), STR_ARG(col->name));
    return err_hint(e, "ALTER TABLE %.*s ADD COLUMN \"%.*s\" %.*s; it then goes on by itself",
                    STR_ARG(t->sql), STR_ARG(col->name), STR_ARG(col->type_sql));
}

static int fill_columns(struct pgs *s, struct pgs_table *t, const PGresult *res, struct err *e)
{
    for (int at = 0; at < t->rel->column_count; at++) {
        const struct column *from = &t->rel->columns[at];
        struct pgs_column *col = &t->columns[at];
        int row = find_row(res, from->name);
        if (row < 0 && !from->generated)
            return no_column(t, from, e);
        if (row < 0)
            continue;
        *col = (struct pgs_column){.used = !pg_bool(res, row, 2),
                                   .always_identity = pg_bool(res, row, 3),
                                   .array_as_text = pg_bool(res, row, 6),
                                   .equality = pg_bool(res, row, 7)};
        col->name = quoted(&s->cache, from->name);
        col->type = arena_str(&s->cache, pg_text(res, row, 4));
        col->array = arena_str(&s->cache, pg_text(res, row, 5));
        t->overriding = t->overriding || col->always_identity;
    }
    return 0;
}

/* The index whose rows begin at first has exactly the key's columns; gives them its operators. */
static bool index_fits(struct pgs *s, struct pgs_table *t, const PGresult *res, int first, int count)
{
    if (count != t->rel->key_count)
        return false;
    for (int at = 0; at < count; at++) {
        int column = relation_find(t->rel, pg_text(res, first + at, 2));
        if (column < 0 || !t->rel->columns[column].key_position)
            return false;
        t->columns[column].equals = arena_str(&s->cache, pg_text(res, first + at, 3));
    }
    return true;
}

static int no_index(const struct pgs_table *t, struct err *e)
{
    (void) err_set(e, E_TARGET_TABLE, "table %.*s on the target has no unique index on exactly (%.*s)",
                   STR_ARG(t->label), STR_ARG(t->keys));
    return err_hint(e, "ALTER TABLE %.*s ADD PRIMARY KEY (%.*s); it then goes on by itself",
                    STR_ARG(t->sql), STR_ARG(t->keys));
}

/* An index that is not deferrable is preferred: only that one can carry an upsert. */
static int fill_key(struct pgs *s, struct pgs_table *t, const PGresult *res, struct err *e)
{
    bool found = false;
    for (int row = 0, count; row < PQntuples(res) && !t->upsert; row += count) {
        for (count = 1; row + count < PQntuples(res) &&
                        str_eq(pg_text(res, row + count, 0), pg_text(res, row, 0));)
            count++;
        if (found && !pg_bool(res, row, 1))
            continue;
        if (index_fits(s, t, res, row, count)) {
            found = true;
            t->upsert = pg_bool(res, row, 1);
        }
    }
    return found ? 0 : no_index(t, e);
}

static void name_table(struct pgs *s, struct pgs_table *t)
{
    struct buf text = BUF_INIT;
    struct str space = pgs_space(s, t->rel);
    pg_add_table(&text, space, t->rel->name);
    t->sql = arena_str(&s->cache, buf_str(&text));
    t->label = arena_printf(&s->cache, "%.*s.%.*s", STR_ARG(space), STR_ARG(t->rel->name));
    buf_reset(&text);
    for (int position = 1; position <= t->rel->key_count; position++)
        for (int at = 0; at < t->rel->column_count; at++)
            if (t->rel->columns[at].key_position == position)
                buf_addf(&text, "%s%.*s", text.len ? ", " : "", STR_ARG(t->rel->columns[at].name));
    t->keys = arena_str(&s->cache, buf_str(&text));
    buf_free(&text);
}

static int no_table(struct pgs *s, const struct pgs_table *t, struct err *e)
{
    (void) s;
    (void) err_set(e, E_TARGET_TABLE, "table %.*s is missing on the target", STR_ARG(t->label));
    return err_hint(e, "create it there (pg_dump --schema-only --table), or set create: true; "
                       "it then goes on by itself");
}

/* Columns and kind; *found false when there is no such table. */
static int describe_columns(struct pgs *s, struct pgs_table *t, uint64_t lsn, bool *found, struct err *e)
{
    PGresult *res;
    bool altered = false;
    if (ask(s, t->rel, sql_columns, &res, e))
        return -1;
    int done = 0;
    *found = PQntuples(res) > 0;
    char kind = *found ? *PQgetvalue(res, 0, 0) : 'r';
    t->only = kind == 'r';
    if (*found && kind != 'r' && kind != 'p')
        done = err_set(e, E_TARGET_TABLE, "%.*s on the target is a %s, not a table",
                       STR_ARG(t->label), kind == 'f' ? "foreign table" : "view");
    else if (*found)
        done = pgs_follow(s, t, lsn, res, &altered, e);
    if (!done && altered) {
        PQclear(res);
        if (ask(s, t->rel, sql_columns, &res, e))
            return -1;
    }
    if (!done && *found)
        done = fill_columns(s, t, res, e);
    PQclear(res);
    return done;
}

/* A copy of this table into this target has begun and not come to its end. */
static int describe_copy(struct pgs *s, struct pgs_table *t, struct err *e)
{
    char *space = mem_strndup(pgs_space(s, t->rel)), *name = mem_strndup(t->rel->name);
    const char *values[] = {s->env.route, space, name, NULL};
    PGresult *res;
    int done = pipe_query(&s->pipe, "look for a copy under way",
                          "SELECT EXISTS (SELECT FROM tailrace.copy WHERE route = $1 AND table_schema = $2"
                          " AND table_name = $3 AND NOT done)", values, &res, e);
    free(space);
    free(name);
    if (done)
        return -1;
    t->incomplete = pg_bool(res, 0, 0);
    PQclear(res);
    return 0;
}

static int describe_key(struct pgs *s, struct pgs_table *t, struct err *e)
{
    PGresult *res;
    if (ask(s, t->rel, sql_indexes, &res, e))
        return -1;
    int done = fill_key(s, t, res, e);
    PQclear(res);
    return done;
}

static int describe(struct pgs *s, struct pgs_table *t, uint64_t lsn, struct err *e)
{
    bool found, altered;
    if (describe_columns(s, t, lsn, &found, e))
        return -1;
    if (!found && !s->env.target->create)
        return no_table(s, t, e);
    if (!found) {
        if (pgs_create(s, t->rel, e) || describe_columns(s, t, lsn, &found, e))
            return -1;
        if (!found)
            return no_table(s, t, e);
        log_info(s->env.env->log, s->part, "created table %.*s", STR_ARG(t->label));
    }
    if (!t->rel->key_count)
        return 0;
    if (describe_copy(s, t, e))
        return -1;
    struct err why = ERR_INIT;
    if (!describe_key(s, t, &why))
        return 0;
    *e = why;
    if (why.code != E_TARGET_TABLE || pgs_follow_key(s, t, &altered, &why) || !altered)
        return -1;
    err_clear(e);
    return describe_key(s, t, e);
}

static size_t bucket_of(const struct relation *rel)
{
    return ((uintptr_t) rel / sizeof(void *) * UINT64_C(0x9e3779b97f4a7c15) >> 32) % PGS_BUCKETS;
}

static struct pgs_table *find(const struct pgs *s, const struct relation *rel)
{
    struct pgs_table *t = s->tables[bucket_of(rel)];
    while (t && t->rel != rel)
        t = t->next;
    return t;
}

bool pgs_knows(const struct pgs *s, const struct relation *rel)
{
    return find(s, rel) != NULL;
}

/* Its rows are refused one by one, with this reason. */
static void mark_unfit(struct pgs *s, struct pgs_table *t, struct err *e)
{
    struct err *why = arena_alloc(&s->cache, sizeof *why);
    *why = *e;
    why->code = E_TARGET_ROW;
    why->class = ERR_ITEM;
    t->unfit = why;
    err_clear(e);
}

int pgs_table(struct pgs *s, const struct relation *rel, uint64_t lsn, struct pgs_table **out, struct err *e)
{
    *out = find(s, rel);
    if (*out)
        return 0;
    struct pgs_table *t = arena_zalloc(&s->cache, 1, sizeof *t);
    t->rel = rel;
    t->columns = arena_zalloc(&s->cache, (size_t) rel->column_count, sizeof *t->columns);
    name_table(s, t);
    if (describe(s, t, lsn, e)) {
        if (e->code != E_TARGET_TABLE || s->env.target->ddl != DDL_PARK)
            return -1;
        mark_unfit(s, t, e);
    }
    size_t bucket = bucket_of(rel);
    t->next = s->tables[bucket];
    s->tables[bucket] = t;
    *out = t;
    return 0;
}
