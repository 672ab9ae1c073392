/* SPDX-License-Identifier: Apache-2.0
 *
 * The stream obeys column lists and row filters by itself. A copy that did not would bring columns
 * that the DBA keeps back, and rows that no later change takes away. Several filters mean any of them.
 */
#include "agent/source/narrow.h"

#include <stdlib.h>

#include "agent/source/publication.h"

static const char narrow_sql[] =
    "WITH p AS (SELECT t.attnames, t.rowfilter FROM pg_catalog.pg_publication_tables t"
    "  WHERE t.pubname IN ($1::pg_catalog.text, $1::pg_catalog.text || '" PUBLICATION_INSERTS_SUFFIX "')"
    "  AND t.schemaname = $2 AND t.tablename = $3)"
    "SELECT x.name, (SELECT CASE WHEN pg_catalog.bool_and(p.rowfilter IS NOT NULL)"
    "  THEN pg_catalog.string_agg('(' || p.rowfilter || ')', ' OR ') END FROM p)"
    " FROM (SELECT DISTINCT pg_catalog.unnest(p.attnames) AS name FROM p) x";

static bool listed(const PGresult *res, struct str name)
{
    for (int row = 0; row < PQntuples(res); row++)
        if (str_eq(pg_text(res, row, 0), name))
            return true;
    return false;
}

static const struct relation *keep_listed(const struct relation *rel, const PGresult *res, struct arena *a)
{
    struct relation *slim = arena_zalloc(a, 1, sizeof *slim);
    struct column *cols = arena_zalloc(a, (size_t) rel->column_count + 1, sizeof *cols);
    *slim = *rel;
    slim->columns = cols;
    slim->column_count = slim->key_count = 0;
    struct buf left_out = BUF_INIT;
    for (int at = 0; at < rel->column_count; at++) {
        const struct column *col = &rel->columns[at];
        if (!listed(res, col->name)) {
            if (!col->generated)
                relation_add_left_out(&left_out, col->attnum, col->name);
            continue;
        }
        cols[slim->column_count++] = *col;
        slim->key_count += col->key_position > 0;
    }
    slim->left_out = relation_left_out(a, &left_out);
    buf_free(&left_out);
    return slim;
}

int narrow_relation(const struct env *env, PGconn *c, const char *publication, struct arena *a,
                    const struct relation **rel, struct str *filter, struct err *e)
{
    *filter = STR_NONE;
    if (PQserverVersion(c) < 150000)
        return 0;
    char *space = mem_strndup((*rel)->space), *name = mem_strndup((*rel)->name);
    const char *const values[] = {publication, space, name};
    PGresult *res = pg_exec_params(env, c, "read column list and row filter", narrow_sql, 3, values, 30000, e);
    free(space);
    free(name);
    if (!res)
        return -1;
    if (PQntuples(res)) { /* none: it is about to be published */
        *filter = arena_str(a, pg_text(res, 0, 1));
        *rel = keep_listed(*rel, res, a);
    }
    PQclear(res);
    return 0;
}
