/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan of a relation version: everything about its events that does not depend on a row, made
 * once, so that writing a row is one pass over ready pieces. Internal to schemas/.
 */
#ifndef TR_SCHEMAS_PLAN_H
#define TR_SCHEMAS_PLAN_H

#include "schemas/types.h"

struct column_plan {
    const struct column *column;
    struct str field;     /* Avro name */
    struct str listed;    /* name in headers: the source's in sane, the Avro name in strict, where a
                           * reader knows no other */
    struct codec codec;
    bool omitted;         /* strict: Debezium has no such field */
    bool unstreamed;      /* strict: Debezium's stream has NULL in its place */
    bool required;        /* no union in Value */
    bool key_required;    /* no union in Key */
    struct str standard;  /* strict: JSON of the column's default; empty when it has none */
    uint8_t null_branch, set_branch; /* the byte in front when it is a union */
    struct str zero;      /* value that stands where a header has the real one; no branch */
    struct str refused;   /* in Value, for a value that the type cannot hold; branch included */
    struct str null;      /* for NULL, when it is no required one; branch included. strict: Debezium's converter
                           * takes the default instead */
    struct str absent;    /* for a column that the event does not have; branch included */
    struct str unchanged; /* for an unchanged TOASTed value; branch included */
};

struct plan {
    const struct relation *rel;
    const struct envelope_options *options;
    struct column_plan *columns; /* rel->column_count */
    int *key_columns, key_count; /* in key order; without those that strict leaves out */
    struct str topic;
    struct str names;            /* "<prefix>.<schema>.<table>", Avro-legal */
};

/* Everything is allocated in a; rel and options must outlive it. E_CONFIG when two columns get the
 * same Avro name, E_SCHEMA when the key's columns cannot be found. */
int plan_make(struct arena *a, const struct relation *rel, const struct envelope_options *o,
              struct plan *plan, struct err *e) MUST_CHECK;

/* The placeholder of unchanged values under these options. */
struct str plan_placeholder(const struct envelope_options *o);

/* Schema texts, appended to out. */
void schema_build_key(const struct plan *plan, struct buf *out);
void schema_build_value(const struct plan *plan, struct buf *out);
void schema_build_message_key(struct buf *out);
void schema_build_message_value(struct buf *out);
void schema_build_transaction_key(struct buf *out);
void schema_build_transaction_value(struct buf *out);

/* An Avro name made of text: other characters than [A-Za-z0-9_] become '_' (one for each UTF-16
 * unit, as Java counts), a leading digit gets '_' in front. With dots, each part between them. */
struct str schema_name(struct arena *a, struct str text, bool dots);

/* PostgreSQL text of what Debezium takes for the column's default: a literal parsed, a function
 * replaced by a constant of the type; false when it has none. */
bool schema_default(struct arena *a, const struct column *column, struct str *text);
/* Digits filled up behind the point, for a number that is to be written at this scale. */
struct str schema_rescale(struct arena *a, struct str number, int scale);

/* Names of parameters in schemas that are ours, and where tailrace's begin. */
#define PARAM_COLUMN "__tailrace.column."
#define PARAM_TABLE "__tailrace.table."

#endif
