/* SPDX-License-Identifier: Apache-2.0
 *
 * A schema text as an array of nodes, for readers. avro-c would parse it too, but drops defaults and
 * connect.* properties, which hold the types. Internal to schemas/.
 */
#ifndef TR_SCHEMAS_SCHEMA_PARSE_H
#define TR_SCHEMAS_SCHEMA_PARSE_H

#include <jansson.h>

#include "schemas/plan.h"

enum avro_type {
    AVRO_T_NULL, AVRO_T_BOOLEAN, AVRO_T_INT, AVRO_T_LONG, AVRO_T_FLOAT, AVRO_T_DOUBLE, AVRO_T_STRING,
    AVRO_T_BYTES, AVRO_T_RECORD, AVRO_T_ENUM, AVRO_T_FIXED, AVRO_T_ARRAY, AVRO_T_MAP, AVRO_T_UNION,
    AVRO_T_NAME, /* a name not yet looked up; none is left after parsing */
};

struct avro_node {
    enum avro_type type;
    const json_t *json;   /* its definition, for properties */
    struct str name;      /* full name of a named type */
    struct str space;     /* namespace that names inside it get */
    int kids, kid_count;  /* fields, branches, or the one item type: indexes in avro_schema.kids */
    int64_t size;         /* fixed: bytes; enum: symbols */
};

struct avro_schema {
    struct arena arena;
    json_t *root;
    struct avro_node *nodes;
    int node_count, node_room;
    int *kids;
    int kid_count, kid_room;
};

/* Node 0 is the root. E_AVRO when the text is no schema, or none we can read (recursive types may
 * be parsed, reading bounds their depth). On failure nothing is left to free. */
int schema_parse(struct str text, struct avro_schema *s, struct err *e) MUST_CHECK;
void schema_free(struct avro_schema *s);

static inline int schema_kid(const struct avro_schema *s, const struct avro_node *node, int at)
{
    return s->kids[node->kids + at];
}

/* Index of null among a union's branches when it has just null and one other, whose node is in
 * *other; -1 with *other = node when it is no union; -2 when it is another union. */
int schema_optional(const struct avro_schema *s, int node, int *other);
/* Index of a record's field, or -1; and its JSON (name, type, default, properties). */
int schema_field(const struct avro_node *record, const char *name);
const json_t *schema_field_json(const struct avro_node *record, int at);
/* A text property of a definition, empty when there is none. */
struct str schema_text(const json_t *json, const char *name);

/* Advance over one value of a node; with out, print it as JSON on the way. False when malformed. */
bool schema_walk(const struct avro_schema *s, int node, struct cursor *in, struct buf *out);

/* ---- schema_relation.c ---- */

struct column_reader {
    struct codec codec;
    int null_branch; /* -1: no union */
};

struct row_reader {
    const struct relation *rel;
    struct column_reader *columns; /* in the order of the record's fields */
    struct str *fields;            /* their Avro names */
    bool described;                /* the schema says by itself what the relation is (sane) */
};

/* What a relation is made of. */
struct relation_parts {
    const struct avro_schema *value;
    int record;                    /* node of the Value record */
    const struct avro_schema *key; /* NULL: no key */
    struct str space, name;        /* used when the schema does not tell them (strict) */
};

/* The relation and column codecs of a Value record, built in a. E_AVRO when a column's type is none
 * that tailrace reads. */
int schema_relation(const struct relation_parts *parts, struct arena *a, struct row_reader *out,
                    struct err *e) MUST_CHECK;

#endif
