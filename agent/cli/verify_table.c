/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "agent/cli/verify.h"

/* Rows are looked at one by one in at most this many differing buckets, and in no further ones
 * once these hold so many rows: the rest is only counted. */
#define BUCKETS_LOOKED_AT 64
#define ROWS_LOOKED_AT 200000

/* ROW("a","b")::text of the key, or of all columns. */
static void add_row_text(const struct relation *rel, bool key, struct buf *out)
{
    const char *comma = "";
    buf_add_text(out, "ROW(");
    for (int i = 0; i < rel->column_count; i++) {
        const struct column *col = &rel->columns[i];
        if (col->generated || (key && !col->key_position))
            continue;
        buf_add_text(out, comma);
        pg_add_ident(out, col->name);
        comma = ",";
    }
    buf_add_text(out, ")::text");
}

static void add_bucket(const struct relation *rel, struct buf *out)
{
    buf_add_text(out, "(hashtextextended(");
    add_row_text(rel, rel->key_count > 0, out);
    buf_addf(out, " COLLATE \"C\",0) & %d)", VERIFY_BUCKETS - 1);
}

static void add_row_hash(const struct relation *rel, struct buf *out)
{
    buf_add_text(out, "hashtextextended(");
    add_row_text(rel, false, out);
    buf_add_text(out, " COLLATE \"C\",1)");
}

void verify_add_digest_sql(const struct relation *rel, struct str from, struct buf *out)
{
    buf_add_text(out, "SELECT b, count(*), sum(h::numeric) FROM (SELECT ");
    add_bucket(rel, out);
    buf_add_text(out, " AS b, ");
    add_row_hash(rel, out);
    buf_add_text(out, " AS h FROM ");
    buf_add_str(out, from);
    buf_add_text(out, ") d GROUP BY b ORDER BY b");
}

void verify_add_rows_sql(const struct relation *rel, struct str from, struct str buckets,
                         struct buf *out)
{
    buf_add_text(out, "SELECT ");
    add_row_text(rel, rel->key_count > 0, out);
    buf_add_text(out, " COLLATE \"C\" AS k, ");
    add_row_hash(rel, out);
    buf_add_text(out, " AS h FROM ");
    buf_add_str(out, from);
    buf_add_text(out, " WHERE ");
    add_bucket(rel, out);
    buf_add_text(out, " IN (");
    buf_add_str(out, buckets);
    buf_add_text(out, ") ORDER BY 1, 2");
}

int verify_by_rules(const struct shape_rules *rules, struct arena *a, struct verify_table *t, struct err *e)
{
    struct shape *s;
    if (shape_make(t->rel, rules, &s, e))
        return -1;
    if (!s)
        return 0;
    const struct relation *sent = shape_relation(s);
    struct relation *rel = arena_zalloc(a, 1, sizeof *rel);
    struct column *cols = arena_zalloc(a, (size_t) t->rel->column_count + 1, sizeof *cols);
    bool whole = true;
    *rel = *t->rel;
    rel->columns = cols;
    rel->column_count = 0;
    for (int at = 0; at < t->rel->column_count; at++) {
        int there = relation_find(sent, t->rel->columns[at].name);
        int position = there < 0 ? 0 : sent->columns[there].key_position;
        if (shape_way(s, at) == SHAPE_KEEP) {
            cols[rel->column_count] = t->rel->columns[at];
            cols[rel->column_count++].key_position = position;
            continue;
        }
        whole = whole && !position;
        buf_add_text(&t->left_out, t->left_out.len ? ", " : "");
        buf_add_json(&t->left_out, t->rel->columns[at].name);
    }
    rel->key_count = whole ? sent->key_count : 0;
    t->rel = rel;
    shape_free(s);
    return 0;
}

struct digest {
    int64_t rows[VERIFY_BUCKETS];
    struct str sums[VERIFY_BUCKETS];
    PGresult *res;
};

/* "space"."name", with ONLY unless it is partitioned: rows of tables that inherit are theirs. */
static int add_from(const struct env *env, PGconn *c, const struct relation *rel, struct str space,
                    struct buf *out, struct err *e)
{
    struct buf name = BUF_INIT;
    pg_add_table(&name, space, rel->name);
    const char *const values[] = {name.p};
    PGresult *res = pg_exec_params(env, c, "look at a table", "SELECT relkind = 'r' FROM pg_catalog.pg_class"
                                   " WHERE oid = $1::pg_catalog.regclass", 1, values, 0, e);
    if (res) {
        buf_add_text(out, PQntuples(res) > 0 && pg_bool(res, 0, 0) ? "ONLY " : "");
        buf_add_str(out, buf_str(&name));
    }
    PQclear(res);
    buf_free(&name);
    return res ? 0 : -1;
}

static int read_digest(const struct env *env, PGconn *c, const struct relation *rel, struct str from,
                       struct digest *d, struct err *e)
{
    struct buf sql = BUF_INIT;
    verify_add_digest_sql(rel, from, &sql);
    d->res = pg_exec(env, c, "digest a table", sql.p, 0, e);
    buf_free(&sql);
    if (!d->res)
        return -1;
    for (int row = 0; row < PQntuples(d->res); row++) {
        int64_t bucket = pg_int(d->res, row, 0);
        if (bucket < 0 || bucket >= VERIFY_BUCKETS)
            return err_set(e, E_INTERNAL, "bucket out of range");
        d->rows[bucket] = pg_int(d->res, row, 1);
        d->sums[bucket] = pg_text(d->res, row, 2);
    }
    return 0;
}

static void tell(struct verify_table *t, enum verify_kind kind, struct str key)
{
    static const char *const names[] = {"missing", "extra", "differs"};
    int64_t *const counts[] = {&t->missing, &t->extra, &t->differs};
    ++*counts[kind];
    if (t->shown++ >= VERIFY_SHOWN_MAX)
        return;
    buf_addf(&t->lines, "%s %.*s.%.*s %.*s\n", names[kind], STR_ARG(t->rel->space),
             STR_ARG(t->rel->name), STR_ARG(key));
}

/* Merge two lists ordered by key, then hash. With a key, the same key on both sides with another
 * hash differs; without one, every row stands for itself. */
static void merge(struct verify_table *t, const PGresult *a, const PGresult *b)
{
    int i = 0, j = 0, n = PQntuples(a), m = PQntuples(b);
    while (i < n || j < m) {
        int order = i == n ? 1 : j == m ? -1 : str_cmp(pg_text(a, i, 0), pg_text(b, j, 0));
        bool same = order == 0 && pg_int(a, i, 1) == pg_int(b, j, 1);
        if (order == 0 && !same && t->rel->key_count == 0)
            order = pg_int(a, i, 1) < pg_int(b, j, 1) ? -1 : 1;
        if (order < 0)
            tell(t, VERIFY_MISSING, pg_text(a, i, 0));
        else if (order > 0)
            tell(t, VERIFY_EXTRA, pg_text(b, j, 0));
        else if (!same)
            tell(t, VERIFY_DIFFERS, pg_text(a, i, 0));
        i += order <= 0;
        j += order >= 0;
    }
}

static int look_at_rows(const struct env *env, PGconn *conns[2], struct verify_table *t,
                        const struct buf from[2], struct str buckets, struct err *e)
{
    struct buf sql[2] = {BUF_INIT, BUF_INIT};
    PGresult *res[2] = {NULL, NULL};
    int result = 0;
    for (int side = 0; side < 2 && result == 0; side++) {
        verify_add_rows_sql(t->rel, buf_str(&from[side]), buckets, &sql[side]);
        res[side] = pg_exec(env, conns[side], "read differing rows", sql[side].p, 0, e);
        result = res[side] ? 0 : -1;
    }
    if (result == 0)
        merge(t, res[0], res[1]);
    for (int side = 0; side < 2; side++) {
        PQclear(res[side]);
        buf_free(&sql[side]);
    }
    return result;
}

int verify_compare(const struct env *env, PGconn *source, PGconn *target, struct verify_table *t,
                   struct err *e)
{
    struct digest *d = mem_zalloc(2, sizeof *d);
    struct buf buckets = BUF_INIT, from[2] = {BUF_INIT, BUF_INIT};
    PGconn *conns[2] = {source, target};
    int64_t looked_at = 0;
    const struct str spaces[2] = {t->rel->space, t->target_space};
    int result = 0;
    for (int side = 0; side < 2 && result == 0; side++) {
        result = add_from(env, conns[side], t->rel, spaces[side], &from[side], e);
        if (result == 0)
            result = read_digest(env, conns[side], t->rel, buf_str(&from[side]), &d[side], e);
    }
    for (int b = 0; b < VERIFY_BUCKETS && result == 0; b++) {
        t->source_rows += d[0].rows[b];
        t->target_rows += d[1].rows[b];
        if (d[0].rows[b] == d[1].rows[b] && str_eq(d[0].sums[b], d[1].sums[b]))
            continue;
        if (t->differing_buckets++ < BUCKETS_LOOKED_AT && looked_at < ROWS_LOOKED_AT) {
            buf_addf(&buckets, "%s%d", buckets.len ? "," : "", b);
            looked_at += d[0].rows[b] + d[1].rows[b];
        }
    }
    if (result == 0 && t->differing_buckets)
        result = look_at_rows(env, conns, t, from, buf_str(&buckets), e);
    PQclear(d[0].res);
    PQclear(d[1].res);
    free(d);
    buf_free(&buckets);
    buf_free(&from[0]);
    buf_free(&from[1]);
    if (result)
        (void) err_prefix(e, "table %.*s.%.*s", STR_ARG(t->rel->space), STR_ARG(t->rel->name));
    return result;
}
