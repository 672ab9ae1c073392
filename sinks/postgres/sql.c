/* SPDX-License-Identifier: Apache-2.0
 *
 * SQL texts, from a description of the table alone.
 *
 * A single row travels as one parameter a column, cast to the column's type without its length:
 * the length is then enforced by the assignment, which refuses what an explicit cast would cut.
 * Many rows travel as one array a column and are joined by position with unnest(). Arrays are of
 * the column's own type, so that each element goes through the same input function as a single
 * value; types that unnest() would flatten (arrays), spread over several columns (composites), or
 * that have no array go as text[].
 * An update counts its rows on the server and fails there when one is missing (a logarithm of zero,
 * the error that nothing else in such a statement gives).
 * An update by key leaves the key columns alone unless the key changes, so that triggers "of" them
 * do not fire.
 */
#include "sinks/postgres/table.h"

#include <stdio.h>

struct sql {
    struct buf text;
    struct pgs_param *params;
    int count;
    const struct pgs_table *t;
    bool many;
};

const char *pgs_kind_words(enum pgs_kind kind)
{
    switch (kind) {
    case PGS_INSERT:
        return "insert into";
    case PGS_UPDATE:
    case PGS_UPDATE_ROW:
        return "update of";
    case PGS_DELETE:
    case PGS_DELETE_ROW:
        return "delete from";
    case PGS_TRUNCATE:
        return "truncate of";
    }
    return "statement on";
}

static int new_param(struct sql *q, int column, bool old)
{
    q->params[q->count] = (struct pgs_param){column, old};
    return ++q->count;
}

/* The value of a column as an expression: a parameter, or a column of the unnested arrays. */
static void add_value(struct sql *q, int column, bool old)
{
    const struct pgs_column *col = &q->t->columns[column];
    int number = new_param(q, column, old);
    if (!q->many)
        buf_addf(&q->text, "$%d::%.*s", number, STR_ARG(col->type));
    else if (col->array_as_text)
        buf_addf(&q->text, "u.a%d::%.*s", number, STR_ARG(col->type));
    else
        buf_addf(&q->text, "u.a%d", number);
}

/* unnest($1::integer[], $2::text[]) AS u(a1, a2), for the parameters made so far. */
static void add_unnest(struct sql *q)
{
    buf_add_text(&q->text, "unnest(");
    for (int at = 0; at < q->count; at++) {
        const struct pgs_column *col = &q->t->columns[q->params[at].column];
        buf_addf(&q->text, "%s$%d::%.*s", at ? ", " : "", at + 1,
                 STR_ARG(col->array_as_text ? STR("text[]") : col->array));
    }
    buf_add_text(&q->text, ") AS u(");
    for (int at = 0; at < q->count; at++)
        buf_addf(&q->text, "%sa%d", at ? ", " : "", at + 1);
    buf_add_char(&q->text, ')');
}

static void add_table(struct sql *q)
{
    if (q->t->only)
        buf_add_text(&q->text, "ONLY ");
    buf_addf(&q->text, "%.*s AS t", STR_ARG(q->t->sql));
}

/* t."id" OPERATOR(pg_catalog.=) $1::integer AND ... */
static void add_key_match(struct sql *q)
{
    const char *glue = "";
    for (int at = 0; at < q->t->rel->column_count; at++) {
        const struct pgs_column *col = &q->t->columns[at];
        if (!q->t->rel->columns[at].key_position)
            continue;
        buf_addf(&q->text, "%st.%.*s %.*s ", glue, STR_ARG(col->name), STR_ARG(col->equals));
        add_value(q, at, true);
        glue = " AND ";
    }
}

/* One row that equals the old one, by its place. Types without equality, and arrays of them,
 * compare by text. The exact text is preferred among rows that are merely equal (1.0 and 1.00). */
static void add_row_match(struct sql *q)
{
    struct buf exact = BUF_INIT;
    const char *glue = "";
    buf_add_text(&q->text, "(SELECT r.tableoid AS o, r.ctid AS i FROM ");
    buf_addf(&q->text, "%s%.*s AS r WHERE ", q->t->only ? "ONLY " : "", STR_ARG(q->t->sql));
    for (int at = 0; at < q->t->rel->column_count; at++) {
        const struct pgs_column *col = &q->t->columns[at];
        if (!col->used)
            continue;
        int number = new_param(q, at, true);
        if (col->equality)
            buf_addf(&q->text, "%sr.%.*s IS NOT DISTINCT FROM $%d::text::%.*s", glue,
                     STR_ARG(col->name), number, STR_ARG(col->type));
        else
            buf_addf(&q->text, "%sr.%.*s::text IS NOT DISTINCT FROM $%d::text", glue,
                     STR_ARG(col->name), number);
        if (col->equality)
            buf_addf(&exact, "%sr.%.*s::text IS NOT DISTINCT FROM $%d::text",
                     exact.len ? " AND " : "", STR_ARG(col->name), number);
        glue = " AND ";
    }
    if (!*glue)
        buf_add_text(&q->text, "true");
    if (exact.len)
        buf_addf(&q->text, " ORDER BY (%s) DESC", exact.p);
    buf_add_text(&q->text, " LIMIT 1) AS x");
    buf_free(&exact);
}

static void add_assignments(struct sql *q, const uint8_t *mask)
{
    const char *glue = "";
    for (int at = 0; at < q->t->rel->column_count; at++) {
        if (!mask[at])
            continue;
        buf_addf(&q->text, "%s%.*s = ", glue, STR_ARG(q->t->columns[at].name));
        add_value(q, at, false);
        glue = ", ";
    }
}

static void add_conflict(struct sql *q, const uint8_t *mask)
{
    const struct relation *rel = q->t->rel;
    const char *glue = "";
    buf_add_text(&q->text, " ON CONFLICT (");
    for (int at = 0; at < rel->column_count; at++)
        if (rel->columns[at].key_position) {
            buf_addf(&q->text, "%s%.*s", glue, STR_ARG(q->t->columns[at].name));
            glue = ", ";
        }
    glue = ") DO UPDATE SET ";
    for (int at = 0; at < rel->column_count; at++) {
        const struct pgs_column *col = &q->t->columns[at];
        if (!mask[at] || rel->columns[at].key_position || col->always_identity)
            continue;
        buf_addf(&q->text, "%s%.*s = EXCLUDED.%.*s", glue, STR_ARG(col->name), STR_ARG(col->name));
        glue = ", ";
    }
    if (*glue == ')')
        buf_add_text(&q->text, ") DO NOTHING");
}

static void build_insert(struct sql *q, const uint8_t *mask)
{
    const char *glue = " (";
    buf_addf(&q->text, "INSERT INTO %.*s AS t", STR_ARG(q->t->sql));
    for (int at = 0; at < q->t->rel->column_count; at++)
        if (mask[at]) {
            buf_addf(&q->text, "%s%.*s", glue, STR_ARG(q->t->columns[at].name));
            glue = ", ";
        }
    if (*glue == ' ') {
        buf_add_text(&q->text, " DEFAULT VALUES");
        return;
    }
    buf_addf(&q->text, ")%s %s", q->t->overriding ? " OVERRIDING SYSTEM VALUE" : "",
             q->many ? "SELECT " : "VALUES (");
    glue = "";
    for (int at = 0; at < q->t->rel->column_count; at++)
        if (mask[at]) {
            buf_add_text(&q->text, glue);
            add_value(q, at, false);
            glue = ", ";
        }
    if (q->many) {
        buf_add_text(&q->text, " FROM ");
        add_unnest(q);
        if (q->t->upsert) /* without it ON would be read as a join's condition */
            buf_add_text(&q->text, " WHERE true");
    } else
        buf_add_char(&q->text, ')');
    if (q->t->upsert)
        add_conflict(q, mask);
}

/* The key's parameters are made by the match, which stands after FROM unnest(...): build it first
 * aside, so that unnest() knows all of them. */
static void build_keyed(struct sql *q, enum pgs_kind kind, const uint8_t *mask)
{
    buf_add_text(&q->text, kind == PGS_UPDATE ? "UPDATE " : "DELETE FROM ");
    add_table(q);
    if (kind == PGS_UPDATE) {
        buf_add_text(&q->text, " SET ");
        add_assignments(q, mask);
    }
    struct buf head = q->text;
    q->text = BUF_INIT;
    add_key_match(q);
    struct buf match = q->text;
    q->text = head;
    if (q->many) {
        buf_add_text(&q->text, kind == PGS_UPDATE ? " FROM " : " USING ");
        add_unnest(q);
    }
    buf_addf(&q->text, " WHERE %.*s", STR_ARG(buf_str(&match)));
    buf_free(&match);
}

static void build_row(struct sql *q, enum pgs_kind kind, const uint8_t *mask)
{
    buf_add_text(&q->text, kind == PGS_UPDATE_ROW ? "UPDATE " : "DELETE FROM ");
    add_table(q);
    if (kind == PGS_UPDATE_ROW) {
        buf_add_text(&q->text, " SET ");
        add_assignments(q, mask);
        buf_add_text(&q->text, " FROM ");
    } else
        buf_add_text(&q->text, " USING ");
    add_row_match(q);
    buf_add_text(&q->text, " WHERE t.tableoid = x.o AND t.ctid = x.i");
}

static struct pgs_stmt *build(struct pgs_table *t, struct arena *a, enum pgs_kind kind,
                              const uint8_t *mask, bool many)
{
    size_t columns = (size_t) t->rel->column_count;
    struct pgs_stmt *st = arena_zalloc(a, 1, sizeof *st);
    uint8_t *copy = arena_zalloc(a, columns, 1);
    if (columns)
        memcpy(copy, mask, columns);
    struct sql q = {.t = t, .many = many};
    q.params = arena_zalloc(a, columns * 2, sizeof *q.params);
    *st = (struct pgs_stmt){.kind = kind, .many = many, .mask = copy};
    st->counted = kind == PGS_UPDATE || kind == PGS_UPDATE_ROW;
    if (st->counted)
        buf_add_text(&q.text, "WITH w AS (");
    if (kind == PGS_INSERT)
        build_insert(&q, mask);
    else if (kind == PGS_UPDATE || kind == PGS_DELETE)
        build_keyed(&q, kind, mask);
    else
        build_row(&q, kind, mask);
    if (st->counted)
        buf_addf(&q.text, " RETURNING 1) SELECT pg_catalog.ln((pg_catalog.count(*) = $%d::pg_catalog.int8)"
                          "::pg_catalog.int4::pg_catalog.float8) FROM w", q.count + 1);
    st->sql = arena_str(a, buf_str(&q.text));
    st->params = q.params;
    st->param_count = q.count;
    buf_free(&q.text);
    return st;
}

struct pgs_stmt *pgs_statement(struct pgs_table *t, struct arena *a, enum pgs_kind kind,
                               const uint8_t *mask, bool many)
{
    for (struct pgs_stmt *st = t->statements; st; st = st->next)
        if (st->kind == kind && st->many == many &&
            !memcmp(st->mask, mask, (size_t) t->rel->column_count))
            return st;
    struct pgs_stmt *st = build(t, a, kind, mask, many);
    st->next = t->statements;
    t->statements = st;
    return st;
}
