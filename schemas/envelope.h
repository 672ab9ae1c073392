/* SPDX-License-Identifier: Apache-2.0
 *
 * Envelope: changes to Debezium-shaped events in Avro and back.
 *
 * Writing goes straight from the tuple to Avro bytes, no tree between; a schema pair (key, value)
 * is built and registered once per relation version. Reading rebuilds the relation from the
 * registered schema text (types travel in connect.parameters) and gives changes again, so that a
 * reader needs nothing but the registry.
 * Modes: sane (default, lossless from PostgreSQL to PostgreSQL) and strict (bytes as Debezium 3.6
 * writes them). Same change, same bytes. Not thread-safe: one writer a source, one reader a route.
 */
#ifndef TR_SCHEMAS_ENVELOPE_H
#define TR_SCHEMAS_ENVELOPE_H

#include "schemas/event.h"
#include "schemas/registry.h"
#include "schemas/shape.h"

/* How values travel: Debezium's decimal.handling.mode, time.precision.mode, interval.handling.mode,
 * binary.handling.mode and hstore.handling.mode. AUTO: PostgreSQL's text in sane, Debezium's default in strict. */
enum decimal_mode { DECIMAL_PRECISE, DECIMAL_DOUBLE, DECIMAL_STRING };
enum time_mode { TIMES_ADAPTIVE, TIMES_MICROSECONDS, TIMES_NANOSECONDS, TIMES_CONNECT, TIMES_ISOSTRING };
enum interval_mode { INTERVAL_AUTO, INTERVAL_NUMERIC, INTERVAL_STRING, INTERVAL_POSTGRES };
enum binary_mode { BINARY_BYTES, BINARY_BASE64, BINARY_BASE64_URL, BINARY_HEX };
enum hstore_mode { HSTORE_AUTO, HSTORE_JSON, HSTORE_MAP, HSTORE_TEXT };

struct envelope_options {
    struct str prefix;           /* topic prefix: config name */
    struct str database;         /* source.db */
    struct str version;          /* source.version */
    bool strict;
    enum decimal_mode decimal;
    enum time_mode time;
    enum interval_mode interval;
    enum binary_mode binary;
    enum hstore_mode hstore;
    bool tombstones;             /* a tombstone after each delete */
    bool transactions;           /* rows tell their place in the transaction; see envelope_mark */
    struct str placeholder;      /* unchanged TOAST; empty = "__debezium_unavailable_value" */
    struct shape_rules rules;    /* on columns and keys; what they point to outlives the writer */
    /* Told of columns that a rule drops because it cannot act on their type; may be NULL. */
    void (*unable)(void *self, const struct relation *rel, struct str columns);
    void *unable_self;
};

/* Where events go: put copies what it keeps. -1 unwinds through the call. */
struct event_out {
    void *self;
    int (*put)(void *self, const struct event *ev, struct err *e);
};

struct envelope_writer;
struct envelope_schema; /* of one relation version; lives as long as the writer */

/* Options are copied. */
struct envelope_writer *envelope_writer_open(const struct envelope_options *o, struct registry *r);
void envelope_writer_close(struct envelope_writer *w);

/* Build and register the schemas of a relation; kept by (oid, version). E_SCHEMA when refused,
 * E_CONFIG when two columns fall on one Avro name, or a rule cannot be kept. */
int envelope_relation(struct envelope_writer *w, const struct relation *rel,
                      const struct envelope_schema **out, struct err *e) MUST_CHECK;

/* The events of one change (none, one, or three for a key change with tombstones), given to out in
 * order. The relation is looked up, and built when new. now_us is the envelope's own time;
 * txn->commit_us the source's (now_us for copies). */
int envelope_write(struct envelope_writer *w, const struct change *change, const struct txn *txn,
                   int64_t now_us, const struct event_out *out, struct err *e) MUST_CHECK;

/* With options.transactions: the event of the transaction's BEGIN, before its first change, or END,
 * behind its last, on "<prefix>.transaction". Nothing without. Debezium: TransactionMetadataValue. */
int envelope_mark(struct envelope_writer *w, const struct txn *txn, bool end, const struct event_out *out,
                  struct err *e) MUST_CHECK;

/* A transaction was committed and passed on, or seen and not; strict names its end in source.sequence. */
void envelope_passed(struct envelope_writer *w, uint64_t end_lsn);

/* How a column's values travel: in a type of their own, as PostgreSQL's text, or (strict) not at all, as Debezium has
 * no converter for the type. */
enum column_way { COLUMN_MAPPED, COLUMN_TEXT, COLUMN_LEFT_OUT };
enum column_way envelope_column_way(const struct column *column, const struct envelope_options *o);

/* Debezium's topic of a table: "<prefix>.<space>.<name>", other characters than [A-Za-z0-9._-]
 * replaced by '_', at most 249 bytes. */
struct str envelope_topic(struct arena *a, struct str prefix, struct str space, struct str name);

/* Schema texts of a relation (key may be empty), for docs, tests and `tailrace tail --format avro`. */
int envelope_schema_texts(const struct envelope_options *o, const struct relation *rel, struct arena *a,
                          struct str *key, struct str *value, struct err *e) MUST_CHECK;

struct envelope_reader;

/* A reader of events by the schemas of r, which outlives it. */
struct envelope_reader *envelope_reader_open(struct registry *r);
void envelope_reader_close(struct envelope_reader *rd);

/* One EVENT_ROW back to a change; values live in a, relations as long as the reader. op is OP_NONE
 * for tombstones, transaction marks and the delete half of a key change; the create half comes back as OP_UPDATE
 * with old = OLD_KEY and the old key in before. Values named by HEADER_UNCHANGED come back
 * VALUE_UNCHANGED, those of HEADER_SPECIAL as they were. E_AVRO when bytes and schema do not fit. */
int envelope_read(struct envelope_reader *rd, const struct event *ev, struct arena *a,
                  struct change *out, struct err *e) MUST_CHECK;

/* The event's value (or key) as JSON text by its schema, as Kafka Connect's JsonConverter without
 * schemas would print it, decimals as plain text. */
int envelope_json(struct envelope_reader *rd, struct str wire, struct buf *out, struct err *e) MUST_CHECK;

#endif
