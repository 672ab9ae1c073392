/* SPDX-License-Identifier: Apache-2.0
 *
 * The event: what stands on the bus.
 *
 * A source transaction is BEGIN, its rows, COMMIT. Rows are key and value in Confluent wire format
 * (0x00, schema id, Avro) with headers; the bus never looks inside. A copy's chunk is a transaction
 * of its own with kind MARK_COPY.
 */
#ifndef TR_SCHEMAS_EVENT_H
#define TR_SCHEMAS_EVENT_H

#include "schemas/change.h"

enum event_kind { EVENT_BEGIN = 1, EVENT_ROW = 2, EVENT_COMMIT = 3 };

enum mark_kind { MARK_STREAM = 1, MARK_COPY = 2 };

#define MARK_SENTINEL 1u   /* holds nothing but our own sentinel */
#define MARK_COPY_FIRST 2u /* first chunk of a table: the sink clears what an earlier, unfinished copy left */
#define MARK_COPY_LAST 4u  /* last chunk of a table */

struct mark {
    enum mark_kind kind;
    struct position pos;  /* stream: commit LSN, seq 0; copy: snapshot LSN and chunk number from 1 */
    uint64_t end_lsn;     /* what may be confirmed once this is durable; 0 in BEGIN and for copies */
    uint32_t xid;
    uint32_t flags;
    int64_t commit_us;    /* on the source */
    int64_t received_us;  /* by us */
    struct str topic;     /* copies: topic of the table; else empty */
    struct str origin;    /* replication origin; empty when local */
};

struct event {
    enum event_kind kind;
    /* ---- set by the bus when read ---- */
    uint64_t offset;      /* dense from 0 */
    uint32_t epoch;       /* tr-seq is (epoch, offset + 1), see event_seq */
    /* ---- EVENT_ROW ---- */
    struct str topic;
    struct str key;       /* empty: no key */
    struct str value;
    bool tombstone;       /* value is null */
    struct str headers;   /* as headers_add writes them; may be empty */
    int64_t timestamp_us; /* commit time */
    /* ---- EVENT_BEGIN, EVENT_COMMIT ---- */
    struct mark mark;
};

/* tr-seq: 12 bytes, our epoch (4) and a dense counter (8), big-endian. */
#define TR_SEQ_LEN 12
void event_seq(const struct event *ev, uint8_t out[TR_SEQ_LEN]);

/* Headers: (varint name length, name, varint value length, value)*, in order, like Kafka's. */
void headers_add(struct buf *headers, struct str name, struct str value);
/* The next header at *at (0 to begin); false at the end, or, with *at left before it, when malformed. */
bool headers_next(struct str headers, size_t *at, struct str *name, struct str *value);
/* The first one with this name; false when there is none. */
bool headers_find(struct str headers, const char *name, struct str *value);

/* Names of the headers we write. */
#define HEADER_NEWKEY "__debezium.newkey"   /* JSON; on the delete half of a key change */
#define HEADER_OLDKEY "__debezium.oldkey"   /* JSON; on the create half */
#define HEADER_UNCHANGED "__tailrace.unchanged" /* JSON array: columns whose value was not sent */
#define HEADER_SPECIAL "__tailrace.special" /* JSON {"before":{},"after":{}}: column to PostgreSQL text that the Avro type cannot hold, or null */
#define HEADER_ABSENT "__tailrace.absent" /* "key": before holds the identity columns only; else JSON {"before":[],"after":[]} of columns the event does not have */
#define HEADER_TRUNCATE "__tailrace.truncate" /* "cascade", "restart", both with a comma */

#endif
