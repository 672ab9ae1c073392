/* SPDX-License-Identifier: Apache-2.0
 *
 * Relations that came by name only, with the names of their types. The catalog is of now, the line of when the row was
 * written: a column that has another type by now keeps its name alone, and travels as text.
 */
#include "agent/source/catalog.h"

#include <stdlib.h>

/* Names of types as the line has them, but with their schemas. $1 is the schema, $2 the table. */
static const char named_sql[] =
    "SELECT c.oid, c.relreplident, a.attname, a.atttypid, a.atttypmod, pg_catalog.format_type(a.atttypid, NULL),"
    " c.relreplident = 'f' OR EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid"
    "  AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END"
    "  AND a.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1]))"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p') ORDER BY a.attnum";

static bool same_type(struct str line, struct str catalog)
{
    size_t head = catalog.len - line.len;
    return str_eq(line, catalog) ||
           (catalog.len > line.len && catalog.p[head - 1] == '.' && !memcmp(catalog.p + head, line.p, line.len));
}

static void take(struct column *col, const PGresult *res)
{
    for (int row = 0; row < PQntuples(res); row++) {
        if (PQgetisnull(res, row, 2) || !str_eq(pg_text(res, row, 2), col->name))
            continue;
        col->identity = pg_bool(res, row, 6);
        if (!same_type(col->type_sql, pg_text(res, row, 5)))
            continue;
        col->type_oid = (uint32_t) pg_int(res, row, 3);
        col->typmod = (int32_t) pg_int(res, row, 4);
    }
}

int catalog_refine_named(const struct env *env, PGconn *c, const struct relation *wire, struct arena *a,
                         const struct relation **out, struct err *e)
{
    char *space = mem_strndup(wire->space), *name = mem_strndup(wire->name);
    const char *const values[] = {space, name};
    PGresult *res = pg_run(env, c, "read catalog", "SET search_path = ''", e)
                        ? NULL : pg_exec_params(env, c, "look for a table", named_sql, 2, values, 30000, e);
    free(space);
    free(name);
    if (!res)
        return -1;
    if (PQntuples(res) == 0) {
        PQclear(res);
        *out = wire;
        return 0;
    }
    struct relation *rel = arena_zalloc(a, 1, sizeof *rel);
    struct column *cols = arena_zalloc(a, (size_t) wire->column_count + 1, sizeof *cols);
    *rel = *wire;
    rel->oid = (uint32_t) pg_int(res, 0, 0);
    rel->identity = pg_text(res, 0, 1).p[0];
    rel->columns = cols;
    for (int at = 0; at < wire->column_count; at++) {
        cols[at] = wire->columns[at];
        take(&cols[at], res);
    }
    PQclear(res);
    return catalog_refine(env, c, rel, a, out, e);
}
