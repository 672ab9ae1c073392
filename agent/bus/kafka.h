/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of the bus on Kafka.
 *
 * The producer's thread encodes events into segments of memory; a writer thread gives them to librdkafka in Kafka
 * transactions, each of whole source transactions, together with where the source stands. What is not committed when a
 * Kafka transaction fails is dropped, and the source comes again from the position that is read back: see README.md.
 *
 * Topics: "<prefix>.<schema>.<table>" hold rows; "<prefix>.tailrace.transactions" (one partition) a record a source transaction,
 * which says where its rows are; "<prefix>.tailrace.positions" (one partition, compacted) the source's position and the counters.
 */
#ifndef TR_BUS_KAFKA_H
#define TR_BUS_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>

#include "agent/base/arena.h"
#include "agent/base/cursor.h"
#include "agent/bus/bus.h"
#include "agent/bus/coding.h"

#define KAFKA_SEQ "tr-seq" /* header: epoch (4), counter (8), big-endian: dense in a partition */
#define KAFKA_ORDER "tr-ord" /* header: number in its source transaction (4), big-endian */
#define KAFKA_WAIT_MS 30000

/* ---- segments ---- */

struct kafka_seg {
    struct kafka_seg *next;
    bool closed;        /* the producer adds no more; set under the lock */
    size_t cap, used;   /* used is the producer's until closed */
    size_t committed;   /* bytes up to the last commit in it; under the lock */
    size_t sent;        /* bytes that the writer has taken; under the lock */
    char bytes[];
};

/* ---- topics ---- */

struct kafka_part {
    uint64_t counter;   /* of the last record given to librdkafka */
    uint64_t committed; /* of the last one committed */
    uint64_t first;     /* of the running source transaction's first record */
    uint32_t count;     /* its records */
    bool dirty;         /* counter != committed */
};

struct kafka_topic {
    struct kafka_topic *next;      /* in its bucket */
    char *name;
    rd_kafka_topic_t *handle;
    int part_count;
    struct kafka_part *parts;
};

/* ---- where the source stands ---- */

struct kafka_tip {
    struct position pos;
    uint64_t end_lsn;
    int64_t commit_us;
    uint64_t offset;    /* of the next event */
    uint32_t epoch;
};

/* One counter read back. */
struct kafka_counter {
    char *topic;
    int part;
    uint64_t counter;
};

struct kafka_state {
    struct kafka_tip tip;
    struct kafka_counter *counters;
    size_t count, room;
};

/* Partitions that have something in common. */
struct kafka_touch {
    struct kafka_topic *topic;
    int part;
};

struct kafka_touches {
    struct kafka_touch *items;
    size_t count, room;
};

#define KAFKA_BUCKETS 1024

/* The writer thread's own. */
struct kafka_writer {
    rd_kafka_t *rk;
    rd_kafka_topic_t *positions, *transactions;
    struct kafka_topic *topics[KAFKA_BUCKETS]; /* by name */
    struct kafka_topic *last;      /* looked up */
    struct kafka_state state;      /* as read at the last start of rk */
    struct kafka_tip tip;          /* with what was given to librdkafka */
    uint64_t begin_offset;         /* of the running source transaction */
    uint32_t rows;                 /* of it so far */
    int old_key_part;              /* where the first half of a key change went; -1 none */
    struct kafka_touches touched;  /* with records of the running source transaction */
    struct kafka_touches dirty;    /* whose counters the open Kafka transaction moves */
    bool in_txn;                   /* a Kafka transaction is open */
    bool large;                    /* it holds a source transaction that is not complete */
    uint64_t abort_seen;
    uint64_t bytes;                /* encoded, in the open Kafka transaction */
    int64_t committed_us;          /* mono: end of the last commit */
    struct buf record, name;
};

struct kafka_reader;

struct kafka_bus {
    struct bus base;
    const struct env *env;
    struct arena arena;
    struct kafka_options o;        /* texts in arena */
    struct config_list properties;
    const char *positions, *transactions; /* names of our own topics */
    int notify;
    pthread_t writer;
    bool writes;                   /* opened to produce */
    struct kafka_writer w;

    /* the producer's own */
    bool open;
    uint64_t next, open_bytes;

    _Atomic uint64_t pending;      /* bytes put and not durable */
    _Atomic int state;             /* enum bus_state */
    _Atomic bool reset;            /* all that was not durable is void, and the producer has not begun again; changes under the lock */
    _Atomic bool doubtful;         /* a request timed out or a connection broke while a transaction was open */

    pthread_mutex_t lock;          /* all below */
    pthread_cond_t work, synced;
    struct kafka_seg *head, *tail;
    uint64_t committed;            /* offset behind the last commit */
    struct kafka_tip durable;
    uint64_t wanted_end_lsn;       /* of keepalives: what lies before may be confirmed once all so far is durable */
    bool open_taken;               /* the writer has taken parts of the transaction that is open */
    uint64_t aborts;               /* counts aborts of such */
    bool stop;
    unsigned waiting_flush;
    struct err error;
    struct kafka_reader *readers;
};

static inline struct kafka_bus *kafka_of(struct bus *b)
{
    return (struct kafka_bus *) b;
}

/* Monotonic time, as waits on conditions know it. */
int64_t kafka_now_us(void);

/* ---- kafka_conf.c ---- */

/* Configuration for a producer (role 'p'), a consumer of group ('c', group not NULL). NULL with E_CONFIG naming the property. */
rd_kafka_conf_t *kafka_conf(struct kafka_bus *b, char role, const char *group, struct err *e);
/* A client; takes conf over. E_CONFIG. */
rd_kafka_t *kafka_client(rd_kafka_type_t type, rd_kafka_conf_t *conf, struct err *e);
/* Fill e from an error of librdkafka, which is taken over, or its code; -1. */
int kafka_err(struct err *e, const char *what, rd_kafka_error_t *error);
int kafka_err_code(struct err *e, const char *what, rd_kafka_resp_err_t code);

/* ---- kafka_topic.c ---- */

/* Partition of a key, as Java's producer chooses it. Source: org.apache.kafka.common.utils.Utils.murmur2. */
int kafka_partition(struct str key, int count);
/* Make sure that a topic is there, and tell how many partitions it has. */
struct kafka_wish {
    const char *name;
    int partitions;
    const char *cleanup;
    bool ours;       /* one of tailrace.* */
};
int kafka_topic_ensure(struct kafka_bus *b, rd_kafka_t *rk, const struct kafka_wish *wish, int *partitions, struct err *e) MUST_CHECK;
/* The topic of rows with this name, looked up or made. */
struct kafka_topic *kafka_topic_of(struct kafka_bus *b, struct str name, struct err *e);
void kafka_topics_free(struct kafka_writer *w);

/* ---- kafka_state.c ---- */

/* Give back what was read; empty again. */
void kafka_state_free(struct kafka_state *s);
/* Read the positions topic to its end; nothing when it is not there. */
int kafka_state_read(struct kafka_bus *b, struct kafka_state *out, struct err *e) MUST_CHECK;
/* Key and value of the position's record, and of a counter's. */
#define KAFKA_POSITION_KEY STR("position")
void kafka_tip_write(const struct kafka_tip *tip, struct buf *out);
void kafka_counter_key(struct str topic, int part, struct buf *out);

/* ---- kafka_put.c ---- */

/* The driver's calls of the producer's side, as bus.h says; kafka_segs_free gives back what was not sent. */
int kafka_put(struct bus *base, const struct event *ev, struct err *e) MUST_CHECK;
int kafka_commit(struct bus *base, const struct mark *mark, struct err *e) MUST_CHECK;
void kafka_abort(struct bus *base);
uint64_t kafka_room(struct bus *base);
int kafka_flush(struct bus *base, int64_t wait_ms, struct err *e) MUST_CHECK;
void kafka_segs_free(struct kafka_bus *b);

/* ---- kafka_write.c ---- */

/* Begin as the only producer: fence others, read where the source stands. */
int kafka_take_over(struct kafka_bus *b, struct err *e) MUST_CHECK;
void *kafka_writer_run(void *bus);
void kafka_writer_close(struct kafka_writer *w);

/* ---- kafka_send.c ---- */

/* Give an encoded event to librdkafka, within the open Kafka transaction. E_VALUE when it is larger than may be. */
int kafka_send(struct kafka_bus *b, struct str bytes, struct err *e) MUST_CHECK;
/* The position and the counters that changed. */
int kafka_send_state(struct kafka_bus *b, struct err *e) MUST_CHECK;

/* ---- kafka_read.c ---- */

/* The driver's calls of a reader, as bus.h says. */
struct bus_reader *kafka_reader(struct bus *base, const char *group, bool ahead, struct err *e);
int kafka_next(struct bus_reader *base, int64_t wait_us, struct event *ev, struct err *e) MUST_CHECK;
int kafka_seek(struct bus_reader *base, uint64_t offset, struct err *e) MUST_CHECK;
uint64_t kafka_taken(struct bus_reader *base);
int kafka_take(struct bus_reader *base, uint64_t offset, struct str note, struct err *e) MUST_CHECK;
struct str kafka_note(struct bus_reader *base);
void kafka_leave(struct bus_reader *base);
int kafka_forget(struct bus *base, const char *group, struct err *e) MUST_CHECK;

#endif
