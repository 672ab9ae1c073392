/* SPDX-License-Identifier: Apache-2.0
 *
 * Relations as values: look up, copy, compare; and the built-in types by OID.
 *
 * OIDs of built-in types never change between PostgreSQL versions, so that a RELATION message can
 * be understood without asking the server. The table is ordered by the type's OID and small enough
 * to be searched from the front: it is read once per column of a relation, never per row.
 */
#include "schemas/relation.h"

struct builtin {
    uint32_t oid, array_oid;
    enum type_kind kind;
};

/* oid and array_type_oid of src/include/catalog/pg_type.dat; typname at the end of the line. */
static const struct builtin builtins[] = {
    {16, 1000, TYPE_BOOL},          /* bool */
    {17, 1001, TYPE_BYTEA},         /* bytea */
    {18, 1002, TYPE_TEXT},          /* char */
    {19, 1003, TYPE_TEXT},          /* name */
    {20, 1016, TYPE_INT8},          /* int8 */
    {21, 1005, TYPE_INT2},          /* int2 */
    {23, 1007, TYPE_INT4},          /* int4 */
    {25, 1009, TYPE_TEXT},          /* text */
    {26, 1028, TYPE_OID},           /* oid */
    {114, 199, TYPE_JSON},          /* json */
    {142, 143, TYPE_XML},           /* xml */
    {600, 1017, TYPE_POINT},        /* point */
    {650, 651, TYPE_TEXT},          /* cidr */
    {700, 1021, TYPE_FLOAT4},       /* float4 */
    {701, 1022, TYPE_FLOAT8},       /* float8 */
    {774, 775, TYPE_TEXT},          /* macaddr8 */
    {790, 791, TYPE_MONEY},         /* money */
    {829, 1040, TYPE_TEXT},         /* macaddr */
    {869, 1041, TYPE_TEXT},         /* inet */
    {1042, 1014, TYPE_TEXT},        /* bpchar */
    {1043, 1015, TYPE_TEXT},        /* varchar */
    {1082, 1182, TYPE_DATE},        /* date */
    {1083, 1183, TYPE_TIME},        /* time */
    {1114, 1115, TYPE_TIMESTAMP},   /* timestamp */
    {1184, 1185, TYPE_TIMESTAMPTZ}, /* timestamptz */
    {1186, 1187, TYPE_INTERVAL},    /* interval */
    {1266, 1270, TYPE_TIMETZ},      /* timetz */
    {1560, 1561, TYPE_BIT},         /* bit */
    {1562, 1563, TYPE_VARBIT},      /* varbit */
    {1700, 1231, TYPE_NUMERIC},     /* numeric */
    {2950, 2951, TYPE_UUID},        /* uuid */
    {3614, 3643, TYPE_TSVECTOR},    /* tsvector */
    {3802, 3807, TYPE_JSON},        /* jsonb */
    {3904, 3905, TYPE_TEXT},        /* int4range */
    {3906, 3907, TYPE_TEXT},        /* numrange */
    {3908, 3909, TYPE_TEXT},        /* tsrange */
    {3910, 3911, TYPE_TEXT},        /* tstzrange */
    {3912, 3913, TYPE_TEXT},        /* daterange */
    {3926, 3927, TYPE_TEXT},        /* int8range */
};

enum type_kind type_kind_of_oid(uint32_t oid, bool *array)
{
    *array = false;
    for (size_t at = 0; at < sizeof builtins / sizeof *builtins; at++) {
        const struct builtin *b = &builtins[at];
        if (b->oid != oid && b->array_oid != oid)
            continue;
        *array = b->array_oid == oid;
        return b->kind;
    }
    return TYPE_OTHER;
}

enum type_kind type_kind_of_name(struct str name)
{
    static const struct {
        const char *name;
        enum type_kind kind;
    } named[] = {
        {"citext", TYPE_TEXT}, {"isbn", TYPE_TEXT}, {"hstore", TYPE_HSTORE}, {"ltree", TYPE_LTREE},
        {"geometry", TYPE_GEOMETRY}, {"geography", TYPE_GEOGRAPHY},
        {"vector", TYPE_VECTOR}, {"halfvec", TYPE_HALFVEC}, {"sparsevec", TYPE_SPARSEVEC},
    };
    for (size_t at = 0; at < sizeof named / sizeof *named; at++)
        if (str_is(name, named[at].name))
            return named[at].kind;
    return TYPE_OTHER;
}

int relation_find(const struct relation *rel, struct str name)
{
    for (int at = 0; at < rel->column_count; at++)
        if (str_eq(rel->columns[at].name, name))
            return at;
    return -1;
}

void relation_add_left_out(struct buf *list, int attnum, struct str name)
{
    buf_addf(list, "%s[%d,", list->len ? "," : "", attnum);
    buf_add_json(list, name);
    buf_add_char(list, ']');
}

struct str relation_left_out(struct arena *a, const struct buf *list)
{
    return list->len ? arena_printf(a, "[%.*s]", STR_ARG(buf_str(list))) : STR_NONE;
}

static void column_copy(struct arena *a, struct column *to, const struct column *from)
{
    *to = *from;
    to->name = arena_str(a, from->name);
    to->type_name = arena_str(a, from->type_name);
    to->type_sql = arena_str(a, from->type_sql);
    to->enum_labels = arena_str(a, from->enum_labels);
    to->default_sql = arena_str(a, from->default_sql);
    to->missing = arena_str(a, from->missing);
}

const struct relation *relation_copy(struct arena *a, const struct relation *rel)
{
    struct relation *copy = arena_zalloc(a, 1, sizeof *copy);
    *copy = *rel;
    copy->space = arena_str(a, rel->space);
    copy->name = arena_str(a, rel->name);
    copy->left_out = arena_str(a, rel->left_out);
    copy->columns = NULL;
    if (!rel->column_count)
        return copy;
    struct column *columns = arena_zalloc(a, (size_t) rel->column_count, sizeof *columns);
    for (int at = 0; at < rel->column_count; at++)
        column_copy(a, &columns[at], &rel->columns[at]);
    copy->columns = columns;
    return copy;
}

static bool column_equal(const struct column *a, const struct column *b)
{
    return a->type_oid == b->type_oid && a->typmod == b->typmod && a->kind == b->kind &&
           a->array == b->array && a->not_null == b->not_null && a->identity == b->identity &&
           a->generated == b->generated && a->key_position == b->key_position &&
           str_eq(a->name, b->name) && str_eq(a->type_name, b->type_name) &&
           str_eq(a->type_sql, b->type_sql) && str_eq(a->enum_labels, b->enum_labels) &&
           str_eq(a->default_sql, b->default_sql) && a->attnum == b->attnum &&
           a->has_missing == b->has_missing && str_eq(a->missing, b->missing);
}

bool relation_equal(const struct relation *a, const struct relation *b)
{
    if (a->identity != b->identity || a->column_count != b->column_count ||
        a->key_count != b->key_count || !str_eq(a->space, b->space) || !str_eq(a->name, b->name) ||
        !str_eq(a->left_out, b->left_out))
        return false;
    for (int at = 0; at < a->column_count; at++)
        if (!column_equal(&a->columns[at], &b->columns[at]))
            return false;
    return true;
}
