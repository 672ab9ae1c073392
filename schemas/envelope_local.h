/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of the envelope's writer: envelope_schema.c has the tables' plans and ids,
 * envelope_write.c writes rows by them. Internal to schemas/.
 */
#ifndef TR_SCHEMAS_ENVELOPE_LOCAL_H
#define TR_SCHEMAS_ENVELOPE_LOCAL_H

#include "schemas/plan.h"

#define ENVELOPE_BUCKETS 1024u

struct envelope_schema {
    struct envelope_schema *next; /* in its bucket */
    struct arena arena;
    const struct relation *given; /* as it comes */
    struct shape *shape;          /* what the rules make of it; NULL = it is sent as it comes */
    struct plan plan;             /* of the relation that is sent */
    const struct relation *seen;  /* the pointer that was last found equal to given */
    struct value *merged;         /* room for one row */
    struct str source_table;      /* source.schema and source.table, encoded */
    int key_id, value_id;
    uint64_t txn_count;           /* events of the running transaction */
    struct envelope_schema *next_touched;
};

struct envelope_writer {
    struct arena arena;
    struct envelope_options options;
    struct registry *registry;
    struct envelope_schema *buckets[ENVELOPE_BUCKETS];
    struct type_writer types;
    struct buf key, value, headers, json;
    struct buf unchanged, special[2], absent[2]; /* lists of one event; [0] before, [1] after */
    struct str source_head, source_db;           /* source's fields in front of ts_ms; db; encoded */
    uint64_t last_lsn;                           /* end of the transaction before this one */
    bool copying;                                /* the row at hand is one of a copy */
    struct str message_topic;
    int message_key_id, message_value_id;        /* 0 until the first message */
    struct str mark_topic;
    int mark_key_id, mark_value_id;              /* 0 until the first transaction */
    uint64_t txn_total, txn_messages;            /* events of the running transaction; messages of it */
    struct envelope_schema *touched;             /* tables with events in it */
    struct change shaped;                        /* the change at hand, when rules concern its table */
};

/* The schema of a relation, registered when it is new. */
int envelope_schema_find(struct envelope_writer *w, const struct relation *rel, struct envelope_schema **out,
                         struct err *e) MUST_CHECK;
/* Register the text as "<topic>-<suffix>". */
int envelope_register(struct envelope_writer *w, struct str topic, const char *suffix, const struct buf *text, int *id,
                      struct err *e) MUST_CHECK;

#endif
