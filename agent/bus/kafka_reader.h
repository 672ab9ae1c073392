/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the two files of a reader on Kafka: kafka_read.c reads, kafka_group.c opens, assigns and keeps places.
 */
#ifndef TR_BUS_KAFKA_READER_H
#define TR_BUS_KAFKA_READER_H

#include "agent/bus/kafka.h"

/* A partition that is read. */
struct kafka_source {
    struct kafka_source *next;
    char *topic;
    int number;
    rd_kafka_queue_t *queue;
    rd_kafka_message_t *head;  /* read and not given */
    uint32_t head_epoch, head_order;
    uint64_t head_counter;
    uint64_t need;             /* counter of the next record of the transaction at hand */
    uint32_t left;             /* its records that are not given */
    int64_t taken;             /* Kafka offset behind what was taken; -1 nothing */
};

/* Kafka offsets of a transaction's records in one partition; from -1: none was given. */
struct kafka_range {
    struct kafka_source *part;
    int64_t from, to;
};

/* A transaction that was opened and is not taken. */
struct kafka_entry {
    struct kafka_entry *next;
    int64_t at;                /* Kafka offset of its record */
    uint64_t base;             /* offset of its BEGIN */
    uint32_t count;            /* events */
    struct kafka_range *touched;
    size_t touched_count, last;
};

struct kafka_reader {
    struct bus_reader base;
    struct kafka_bus *b;
    char *group;
    rd_kafka_t *rk;
    rd_kafka_queue_t *control;
    struct kafka_source *parts, *found;
    struct kafka_source given; /* head: what the last event borrows from */
    struct kafka_entry *first, *last;
    struct kafka_entry *current; /* the one that is being read */
    bool begun, broken;
    uint32_t row, epoch;
    struct event end;          /* its COMMIT; borrows from commit */
    struct buf commit, headers;
    uint64_t next, taken;
    int64_t control_taken;     /* Kafka offset behind what was taken of the transactions topic; -1 nothing */
    char note[BUS_NOTE_MAX];
    size_t note_len;
    bool dirty;                /* the place is newer than what Kafka was told */
    int64_t stored_us;         /* mono: when it was told last */
    rd_kafka_topic_partition_list_t *places; /* offsets of the group at the start */
    struct kafka_reader *next_reader;
};

static inline struct kafka_reader *kafka_reader_of(struct bus_reader *r)
{
    return (struct kafka_reader *) r;
}

/* The partition, assigned when it is new. */
struct kafka_source *kafka_source_of(struct kafka_reader *r, struct str topic, int number, struct err *e);
void kafka_entry_free(struct kafka_entry *entry);
/* Behind all others, as the current one. */
void kafka_entry_add(struct kafka_reader *r, struct kafka_entry *entry);
/* Forget from and what is behind it. */
void kafka_entries_cut(struct kafka_reader *r, struct kafka_entry *from);
/* Let go of those that end before offset; their offsets are taken. */
void kafka_entries_take(struct kafka_reader *r, uint64_t offset);
/* Tell Kafka the place, when it has changed and was not told just now; last: in any case, and wait for it. */
int kafka_place_store(struct kafka_reader *r, bool last, struct err *e) MUST_CHECK;
/* Open the transaction of a record; see kafka_read.c. */
int kafka_entry_open(struct kafka_reader *r, const rd_kafka_message_t *m, struct err *e) MUST_CHECK;

#endif
