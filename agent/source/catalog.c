/* SPDX-License-Identifier: Apache-2.0
 *
 * Two questions make a relation: what are its columns (by table), and what is a type (by OID).
 *
 * They are kept apart because a RELATION message tells the types as they were when the row was
 * written: only the facts of these types are looked up, never those of a column that was given
 * another type since. Facts that no message has (not null, default, key) come by column name.
 * All names are qualified and search_path is emptied, so that format_type and pg_get_expr name
 * schemas too.
 */
#include "agent/source/catalog.h"

#include <stdio.h>

#define CATALOG_MS 30000
#define FIRST_OWN_OID 16384 /* FirstNormalObjectId: those below are the server's own */
#define INDEX_KEYS_MAX 32 /* of a server as built by default */

/* A table can publish updates when each table that holds its rows has an identity, and no column of that is
 * virtual: these are never published, and PostgreSQL 18 lets the application's update fail then. */
static const char tables_sql[] =
    "WITH t AS (SELECT c.oid, n.nspname, c.relname, c.relreplident, c.relkind, c.relowner,"
    "  CASE WHEN c.relkind = 'p' THEN ARRAY(SELECT p.relid::pg_catalog.oid"
    "    FROM pg_catalog.pg_partition_tree(c.oid) p WHERE p.isleaf)"
    "    ELSE ARRAY[c.oid] END AS leaves"
    "  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    "  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'"
    "  AND pg_catalog.left(n.nspname, 3) <> 'pg_'"
    "  AND n.nspname NOT IN ('information_schema', 'tailrace'))"
    "SELECT t.oid, t.nspname, t.relname, t.relreplident,"
    " NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class l WHERE l.oid = ANY (t.leaves || t.oid)"
    "   AND NOT CASE l.relreplident WHEN 'n' THEN false"
    "   WHEN 'f' THEN NOT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a"
    "     WHERE a.attrelid = l.oid AND a.attgenerated = 'v')"
    "   WHEN 'd' THEN EXISTS (SELECT 1 FROM pg_catalog.pg_index i"
    "     WHERE i.indrelid = l.oid AND i.indisprimary AND i.indisvalid)"
    "   ELSE EXISTS (SELECT 1 FROM pg_catalog.pg_index i"
    "     WHERE i.indrelid = l.oid AND i.indisreplident AND i.indisvalid) END),"
    " EXISTS (SELECT 1 FROM pg_catalog.pg_index i"
    "   WHERE i.indrelid = t.oid AND i.indisprimary),"
    " t.relkind = 'p',"
    " (SELECT CASE WHEN pg_catalog.max(l.reltuples) < 0 THEN -1"
    "   ELSE pg_catalog.sum(GREATEST(l.reltuples, 0))::pg_catalog.int8 END"
    "   FROM pg_catalog.pg_class l WHERE l.oid = ANY (t.leaves)),"
    " pg_catalog.pg_has_role(t.relowner, 'USAGE'),"
    " EXISTS (SELECT 1 FROM pg_catalog.pg_attribute a WHERE a.attrelid = ANY (t.leaves) AND a.attgenerated = 's'),"
    " EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
    "   AND d.objid = t.oid AND d.deptype = 'e')"
    " FROM t ORDER BY t.nspname COLLATE \"C\", t.relname COLLATE \"C\"";

/* What rows hold that are older than a column stands where rows are: with the leaves of a partitioned table.
 * Key columns of a table: of the identity index, where that is the identity, since deletes then tell
 * nothing else; else of the primary key. $1 is the table. */
const char catalog_columns_sql[] =
    "WITH k AS (SELECT i.indexrelid, i.indkey, i.indnkeyatts FROM pg_catalog.pg_index i"
    "  JOIN pg_catalog.pg_class c ON c.oid = i.indrelid"
    "  WHERE i.indrelid = $1::pg_catalog.oid"
    "  AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident ELSE i.indisprimary END LIMIT 1),"
    " kc AS (SELECT u.attnum, u.at FROM k,"
    "  LATERAL unnest(k.indkey::pg_catalog.int2[]) WITH ORDINALITY u (attnum, at)"
    "  WHERE u.at <= k.indnkeyatts),"
    " ic AS (SELECT u.attnum FROM pg_catalog.pg_class c"
    "  JOIN pg_catalog.pg_index i ON i.indrelid = c.oid,"
    "  LATERAL unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY u (attnum, at)"
    "  WHERE c.oid = $1::pg_catalog.oid AND u.at <= i.indnkeyatts"
    "  AND CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident"
    "  ELSE false END)"
    "SELECT n.nspname, c.relname, c.relreplident, a.attname, a.atttypid, a.atttypmod,"
    " a.attnotnull, a.attgenerated = 's', COALESCE(kc.at, 0),"
    " c.relreplident = 'f' OR ic.attnum IS NOT NULL,"
    " CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END, a.attnum,"
    " CASE WHEN a.atthasmissing THEN (a.attmissingval::pg_catalog.text::pg_catalog.text[])[1]"
    "  WHEN c.relkind = 'p' THEN (SELECT (l.attmissingval::pg_catalog.text::pg_catalog.text[])[1]"
    "   FROM pg_catalog.pg_partition_tree(c.oid) p JOIN pg_catalog.pg_attribute l ON l.attrelid = p.relid"
    "   WHERE l.attname = a.attname AND l.atthasmissing LIMIT 1) END"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
    "  AND NOT a.attisdropped AND a.attgenerated <> 'v'"
    " LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum"
    " LEFT JOIN kc ON kc.attnum = a.attnum LEFT JOIN ic ON ic.attnum = a.attnum"
    " WHERE c.oid = $1::pg_catalog.oid ORDER BY a.attnum";

/* Types by OID and modifier: domains are followed to what they rest on, also below an array. */
const char catalog_types_sql[] =
    "WITH RECURSIVE w AS (SELECT u.at, u.oid, u.mod FROM unnest($1::pg_catalog.oid[],"
    "  $2::pg_catalog.int4[]) WITH ORDINALITY u (oid, mod, at)),"
    " d AS (SELECT w.at, w.oid, w.mod, 0 AS deep, false AS arr FROM w"
    "  UNION ALL SELECT d.at,"
    "  CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END,"
    "  CASE WHEN t.typtype = 'd' AND d.mod < 0 THEN t.typtypmod ELSE d.mod END,"
    "  d.deep + 1, d.arr OR t.typtype <> 'd'"
    "  FROM d JOIN pg_catalog.pg_type t ON t.oid = d.oid WHERE d.deep < 32"
    "  AND (t.typtype = 'd' OR (NOT d.arr AND t.typtype = 'b' AND t.typelem <> 0"
    "   AND EXISTS (SELECT 1 FROM pg_catalog.pg_type e"
    "    WHERE e.oid = t.typelem AND e.typarray = t.oid)))),"
    " b AS (SELECT DISTINCT ON (at) at, oid, mod, arr FROM d ORDER BY at, deep DESC)"
    "SELECT t.typname, pg_catalog.format_type(w.oid, w.mod), b.oid, b.mod, b.arr, bt.typtype,"
    " bt.typname, (SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)"
    "  FROM pg_catalog.pg_enum e WHERE e.enumtypid = b.oid)"
    " FROM w LEFT JOIN pg_catalog.pg_type t ON t.oid = w.oid LEFT JOIN b ON b.at = w.at"
    " LEFT JOIN pg_catalog.pg_type bt ON bt.oid = b.oid ORDER BY w.at";

static int qualify_names(const struct env *env, PGconn *c, struct err *e)
{
    return pg_run(env, c, "read catalog", "SET search_path = ''", e);
}

static struct str kept(struct arena *a, const PGresult *res, int row, int col)
{
    return arena_str(a, pg_text(res, row, col));
}

static bool chosen(const struct config_list *patterns, const PGresult *res, int row)
{
    struct str space = pg_text(res, row, 1), name = pg_text(res, row, 2);
    bool of_extension = pg_bool(res, row, 10);
    return config_list_matches(patterns, space, name) && (!of_extension || config_list_names(patterns, space, name));
}

int catalog_tables(const struct env *env, PGconn *c, const struct config_list *patterns,
                   struct arena *a, struct catalog_table **tables, int *count, struct err *e)
{
    if (qualify_names(env, c, e))
        return -1;
    PGresult *res = pg_exec(env, c, "list tables", tables_sql, CATALOG_MS, e);
    if (!res)
        return -1;
    int rows = PQntuples(res);
    *tables = arena_zalloc(a, (size_t) rows + 1, sizeof **tables);
    *count = 0;
    for (int row = 0; row < rows; row++) {
        if (!chosen(patterns, res, row))
            continue;
        (*tables)[(*count)++] = (struct catalog_table){
            .oid = (uint32_t) pg_int(res, row, 0),
            .space = kept(a, res, row, 1),
            .name = kept(a, res, row, 2),
            .identity = pg_text(res, row, 3).p[0],
            .has_identity = pg_bool(res, row, 4),
            .has_key = pg_bool(res, row, 5),
            .partitioned = pg_bool(res, row, 6),
            .rows = PQgetisnull(res, row, 7) ? -1 : pg_int(res, row, 7),
            .owned = pg_bool(res, row, 8),
            .generated = pg_bool(res, row, 9),
        };
    }
    PQclear(res);
    return 0;
}

static PGresult *read_columns(const struct env *env, PGconn *c, uint32_t oid, struct err *e)
{
    char text[16];
    const char *const values[] = {text};
    snprintf(text, sizeof text, "%u", oid);
    return pg_exec_params(env, c, "read columns", catalog_columns_sql, 1, values, CATALOG_MS, e);
}

static void take_type(struct column *col, const PGresult *res, int row, struct arena *a)
{
    uint32_t base = (uint32_t) pg_int(res, row, 2);
    bool array;
    if (PQgetisnull(res, row, 0) || !base) { /* the type is gone, or not visible yet: its values come as text */
        col->type_sql = STR("text");
        return;
    }
    col->type_name = kept(a, res, row, 0);
    col->type_sql = kept(a, res, row, 1);
    col->typmod = (int32_t) pg_int(res, row, 3);
    col->array = pg_bool(res, row, 4);
    if (str_is(pg_text(res, row, 5), "e")) {
        col->kind = TYPE_ENUM;
        col->enum_labels = kept(a, res, row, 7);
    } else {
        enum type_kind named = base < FIRST_OWN_OID ? TYPE_OTHER : type_kind_of_name(pg_text(res, row, 6));
        col->kind = named != TYPE_OTHER ? named : type_kind_of_oid(base, &array);
    }
}

/* Complete columns by the types that their type_oid and typmod name. */
static int take_types(const struct env *env, PGconn *c, struct column *cols, int count,
                      struct arena *a, struct err *e)
{
    struct buf oids = BUF_INIT, mods = BUF_INIT;
    for (int at = 0; at < count; at++) {
        buf_addf(&oids, "%c%u", at ? ',' : '{', cols[at].type_oid);
        buf_addf(&mods, "%c%d", at ? ',' : '{', cols[at].typmod);
    }
    buf_add_text(&oids, count ? "}" : "{}");
    buf_add_text(&mods, count ? "}" : "{}");
    const char *const values[] = {oids.p, mods.p};
    PGresult *res = pg_exec_params(env, c, "read types", catalog_types_sql, 2, values, CATALOG_MS, e);
    buf_free(&oids);
    buf_free(&mods);
    if (!res)
        return -1;
    if (PQntuples(res) != count) {
        PQclear(res);
        return err_set(e, E_INTERNAL, "types asked for and types found differ in number");
    }
    for (int at = 0; at < count; at++)
        take_type(&cols[at], res, at, a);
    PQclear(res);
    return 0;
}

/* What only the catalog knows of a column, by name. */
static void take_facts(struct column *col, const PGresult *res, int row, struct arena *a)
{
    col->not_null = pg_bool(res, row, 6);
    col->generated = pg_bool(res, row, 7);
    col->key_position = (int) pg_int(res, row, 8);
    col->default_sql = kept(a, res, row, 10);
    col->attnum = (int) pg_int(res, row, 11);
    col->has_missing = !PQgetisnull(res, row, 12);
    col->missing = kept(a, res, row, 12);
}

static struct relation *new_relation(struct arena *a, const struct relation *like, int count,
                                     struct column **cols)
{
    struct relation *rel = arena_zalloc(a, 1, sizeof *rel);
    *rel = *like;
    *cols = arena_zalloc(a, (size_t) count + 1, sizeof **cols);
    rel->columns = *cols;
    rel->column_count = count;
    return rel;
}

/* Positions in a key are dense from 1; key columns that are not there leave no hole. */
static int number_keys(struct column *cols, int count)
{
    int keys = 0, last = count > INDEX_KEYS_MAX ? count : INDEX_KEYS_MAX;
    for (int from = 1; from <= last; from++)
        for (int at = 0; at < count; at++)
            if (cols[at].key_position == from)
                cols[at].key_position = ++keys;
    return keys;
}

int catalog_describe(const struct env *env, PGconn *c, uint32_t oid, struct arena *a,
                     const struct relation **out, struct err *e)
{
    if (qualify_names(env, c, e))
        return -1;
    PGresult *res = read_columns(env, c, oid, e);
    if (!res)
        return -1;
    int rows = PQntuples(res);
    if (rows == 0) {
        PQclear(res);
        err_set(e, E_PG_QUERY, "table with oid %u is not there", oid);
        e->class = ERR_GONE;
        return -1;
    }
    int count = PQgetisnull(res, 0, 3) ? 0 : rows;
    struct relation like = {.oid = oid, .version = 1, .identity = pg_text(res, 0, 2).p[0]};
    struct column *cols;
    struct relation *rel = new_relation(a, &like, count, &cols);
    rel->space = kept(a, res, 0, 0);
    rel->name = kept(a, res, 0, 1);
    for (int row = 0; row < count; row++) {
        cols[row].name = kept(a, res, row, 3);
        cols[row].type_oid = (uint32_t) pg_int(res, row, 4);
        cols[row].typmod = (int32_t) pg_int(res, row, 5);
        cols[row].identity = pg_bool(res, row, 9);
        take_facts(&cols[row], res, row, a);
    }
    PQclear(res);
    rel->key_count = number_keys(cols, count);
    if (take_types(env, c, cols, count, a, e))
        return -1;
    *out = rel;
    return 0;
}

/* The catalog is of now, the message of when the row was written: since then the key may have got
 * other columns, or other names for them, or be gone with its table. What the old rows were sent
 * with is then the key; the catalog's has the order that the message lacks. */
static void key_as_sent(struct column *cols, int count, char identity)
{
    bool same = true;
    if (identity != 'd' && identity != 'i') /* the whole row, or nothing, is no key */
        return;
    for (int at = 0; at < count; at++)
        same = same && cols[at].identity == (cols[at].key_position > 0);
    for (int at = 0; at < count && !same; at++)
        cols[at].key_position = cols[at].identity ? at + 1 : 0;
}

/* Columns of the table that the message lacks: the publication does not send them, or they are younger. */
static struct str left_out(const struct relation *wire, const PGresult *res, struct arena *a)
{
    struct buf list = BUF_INIT;
    for (int row = 0; row < PQntuples(res); row++)
        if (!PQgetisnull(res, row, 3) && !pg_bool(res, row, 7) && relation_find(wire, pg_text(res, row, 3)) < 0)
            relation_add_left_out(&list, (int) pg_int(res, row, 11), pg_text(res, row, 3));
    struct str out = relation_left_out(a, &list);
    buf_free(&list);
    return out;
}

/* wire with the catalog's facts; its types are still to be filled in. */
static struct relation *with_facts(const struct relation *wire, const PGresult *facts, struct arena *a, struct column **cols)
{
    int count = wire->column_count;
    struct relation *rel = new_relation(a, relation_copy(a, wire), count, cols);
    for (int at = 0; at < count; at++) {
        struct column *col = &(*cols)[at];
        *col = wire->columns[at];
        col->name = arena_str(a, wire->columns[at].name);
        for (int row = 0; row < PQntuples(facts); row++)
            if (str_eq(pg_text(facts, row, 3), col->name))
                take_facts(col, facts, row, a);
    }
    rel->left_out = left_out(wire, facts, a);
    key_as_sent(*cols, count, wire->identity);
    rel->key_count = number_keys(*cols, count);
    return rel;
}

int catalog_refine(const struct env *env, PGconn *c, const struct relation *wire, struct arena *a,
                   const struct relation **out, struct err *e)
{
    struct column *cols;
    if (qualify_names(env, c, e))
        return -1;
    PGresult *res = read_columns(env, c, wire->oid, e);
    if (!res)
        return -1;
    *out = with_facts(wire, res, a, &cols);
    PQclear(res);
    return take_types(env, c, cols, wire->column_count, a, e);
}

/* The row of the column that wire has with this type; -1 when another form of the table is told of. */
static int told_row(const PGresult *columns, const struct column *col)
{
    for (int row = 0; row < PQntuples(columns); row++)
        if (str_eq(pg_text(columns, row, 3), col->name))
            return (uint32_t) pg_int(columns, row, 4) == col->type_oid ? row : -1;
    return -1;
}

bool catalog_refine_told(const PGresult *columns, const PGresult *types, const struct relation *wire, struct arena *a,
                         const struct relation **out)
{
    struct column *cols;
    if (PQntuples(columns) != PQntuples(types))
        return false;
    for (int at = 0; at < wire->column_count; at++)
        if (told_row(columns, &wire->columns[at]) < 0)
            return false;
    *out = with_facts(wire, columns, a, &cols);
    for (int at = 0; at < wire->column_count; at++)
        take_type(&cols[at], types, told_row(columns, &cols[at]), a);
    return true;
}
