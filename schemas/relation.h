/* SPDX-License-Identifier: Apache-2.0
 *
 * A relation: what is known of a table at one moment. Immutable once handed out; a change of any
 * field makes a new one with a higher version. Everything is borrowed from the arena it was built in.
 */
#ifndef TR_SCHEMAS_RELATION_H
#define TR_SCHEMAS_RELATION_H

#include "agent/base/arena.h"

/* Kinds of types that have a mapping of their own; the rest travel as their PostgreSQL text. */
enum type_kind {
    TYPE_OTHER, /* as text */
    TYPE_BOOL, TYPE_INT2, TYPE_INT4, TYPE_INT8, TYPE_OID, TYPE_FLOAT4, TYPE_FLOAT8, TYPE_NUMERIC,
    TYPE_TEXT,  /* text, varchar, bpchar, "char", name, citext, isbn; network addresses and ranges */
    TYPE_BYTEA, TYPE_UUID, TYPE_JSON /* json, jsonb */, TYPE_ENUM,
    TYPE_DATE, TYPE_TIME, TYPE_TIMETZ, TYPE_TIMESTAMP, TYPE_TIMESTAMPTZ, TYPE_INTERVAL,
    TYPE_BIT, TYPE_VARBIT, TYPE_MONEY, TYPE_XML, TYPE_TSVECTOR, TYPE_LTREE, TYPE_HSTORE, TYPE_POINT,
    TYPE_GEOMETRY, TYPE_GEOGRAPHY /* PostGIS */, TYPE_VECTOR, TYPE_HALFVEC, TYPE_SPARSEVEC /* pgvector */,
};

struct column {
    struct str name;
    uint32_t type_oid;
    int32_t typmod;        /* atttypmod; -1 none */
    enum type_kind kind;   /* of the element when array */
    bool array;            /* one dimension is modelled; others travel as text */
    bool not_null;
    bool identity;         /* part of the replica identity as pgoutput flags it */
    bool generated;        /* GENERATED ALWAYS AS (...) STORED */
    int key_position;      /* 1.. in the record key, 0 when not part of it */
    struct str type_name;  /* pg_type.typname of the column: "int4", "_text", "mood" */
    struct str type_sql;   /* format_type(): "character varying(50)", "shop.mood" */
    struct str enum_labels; /* JSON array of labels in order, for TYPE_ENUM; else empty */
    struct str default_sql; /* pg_get_expr of the default; empty when none */
    int attnum;            /* pg_attribute.attnum, which a renamed column keeps; 0 = not known */
    bool has_missing;      /* rows that are older than the column have the value missing, as text */
    struct str missing;
};

struct relation {
    uint32_t oid;
    uint32_t version;      /* grows with every RELATION message that differs */
    struct str space;      /* schema */
    struct str name;
    char identity;         /* 'd' default, 'n' nothing, 'f' full, 'i' index */
    int column_count;
    int key_count;         /* columns in the record key; 0 = table without a key */
    const struct column *columns;
    struct str left_out;   /* columns that the table has and that are not sent: JSON [[attnum, name], ...]; empty = none */
};

/* The kind of a built-in type by OID, and whether it is an array of that kind. Types that the
 * catalog must name (enum, extensions' types, domains) are TYPE_OTHER here; source/catalog refines them.
 * Source: PostgreSQL src/include/catalog/pg_type.dat. */
enum type_kind type_kind_of_oid(uint32_t oid, bool *array);
/* The kind of an extension's type by its name: citext, hstore, isbn, ltree, geometry, vector and their like; else TYPE_OTHER. */
enum type_kind type_kind_of_name(struct str name);

/* Index of the column with this name, or -1. */
int relation_find(const struct relation *rel, struct str name);

/* Add a column to a list of those that are left out; the list as rel->left_out has it, empty when there are none. */
void relation_add_left_out(struct buf *list, int attnum, struct str name);
struct str relation_left_out(struct arena *a, const struct buf *list);

/* A deep copy in another arena. */
const struct relation *relation_copy(struct arena *a, const struct relation *rel);

/* True when nothing differs but oid and version. */
bool relation_equal(const struct relation *a, const struct relation *b);

#endif
