/* SPDX-License-Identifier: Apache-2.0
 *
 * Bus seam: durable, ordered, transactional, read by named groups.
 *
 * One producer puts events; bus_commit ends a transaction. Readers see whole transactions only. An
 * open transaction that the producer gives up (bus_abort, or the process dies) never was.
 * Durable means: survives power loss. Retention: what every configured reader has taken may go; at the byte
 * budget the bus refuses (bus_room is 0) and never drops what a reader lacks. An open transaction goes
 * beyond the budget when every reader has taken all before it: refusing would then never end.
 * Threads: producer calls from one thread; each reader from one thread; the bus has a writer
 * thread of its own for group commits.
 */
#ifndef TR_BUS_BUS_H
#define TR_BUS_BUS_H

#include "agent/base/config.h"
#include "agent/base/env.h"
#include "agent/base/store.h"
#include "schemas/event.h"

#define BUS_NOTE_MAX 64 /* bytes */

struct bus;
struct bus_reader;

struct bus_options {
    uint64_t max_bytes;      /* byte budget of what is stored */
    uint64_t large_bytes;    /* how far one transaction alone may go beyond it */
    uint64_t memory_bytes;   /* put but not yet durable, and kept for readers that run ahead */
    int64_t sync_ms;         /* longest wait for company before a group commit */
};

enum bus_state { BUS_OK, BUS_AT_BUDGET, BUS_DISK_FULL, BUS_FAILED, BUS_AWAY /* brokers cannot be reached */ };

struct bus_status {
    enum bus_state state;
    uint64_t first_offset, committed_offset, durable_offset; /* [first, committed) can be read */
    uint64_t taken_offset; /* before it every reader has taken all; committed_offset without readers */
    uint64_t stored_bytes, max_bytes, pending_bytes;
    struct position durable;  /* of the last durable stream transaction */
    uint64_t durable_end_lsn; /* what may be confirmed to the source */
    int64_t durable_commit_us; /* its commit time */
    uint32_t epoch;
    struct err error;         /* when BUS_FAILED or BUS_DISK_FULL */
};

struct bus_driver {
    int (*put)(struct bus *b, const struct event *ev, struct err *e) MUST_CHECK;
    int (*commit)(struct bus *b, const struct mark *mark, struct err *e) MUST_CHECK;
    void (*abort)(struct bus *b);
    uint64_t (*room)(struct bus *b);
    int (*flush)(struct bus *b, int64_t wait_ms, struct err *e) MUST_CHECK;
    void (*status)(struct bus *b, struct bus_status *out);
    int (*notify_fd)(struct bus *b);
    struct bus_reader *(*reader)(struct bus *b, const char *group, bool ahead, struct err *e);
    int (*next)(struct bus_reader *r, int64_t wait_us, struct event *ev, struct err *e) MUST_CHECK;
    int (*seek)(struct bus_reader *r, uint64_t offset, struct err *e) MUST_CHECK;
    uint64_t (*taken)(struct bus_reader *r);
    int (*take)(struct bus_reader *r, uint64_t offset, struct str note, struct err *e) MUST_CHECK;
    struct str (*note)(struct bus_reader *r);
    void (*leave)(struct bus_reader *r);
    int (*forget)(struct bus *b, const char *group, struct err *e) MUST_CHECK;
    void (*close)(struct bus *b);
};

struct bus { const struct bus_driver *driver; };
struct bus_reader { struct bus *bus; };

/* The embedded bus in store (docs: agent/bus/README.md). A new epoch begins. Everything behind the last commit is
 * dropped. E_CORRUPT names the block that does not match its CRC. groups are the configured
 * readers: retention waits for all of them, also for those that have not come yet (a new group
 * starts at the oldest offset that is stored); offsets of groups not named are dropped. */
int bus_local_open(const struct env *env, struct store *store, const struct bus_options *o,
                   const char *const *groups, int group_count, struct bus **out, struct err *e) MUST_CHECK;

/* The bus on Kafka. Rows go to a topic a table, in Kafka transactions that hold whole source transactions and the source's
 * position. With produce it becomes the only producer of prefix: one that is there is fenced and gets E_KAFKA_FENCED. After
 * a failure, and at the start, all that was not durable is void: put and commit say E_KAFKA, until bus_flush has answered 0, when the position is
 * known; the producer then goes on from it. Readers see durable transactions only, whole and in order; a group's place is
 * kept by Kafka. Offsets are counted by us and are the same for every reader. */
struct kafka_options {
    const char *brokers;     /* bootstrap.servers */
    const char *prefix;
    struct config_list properties; /* of librdkafka: "name=value" */
    const char *password;    /* sasl.password; empty = none */
    int partitions, replication; /* of topics that are made; replication -1 = the brokers' default */
    const char *cleanup;     /* cleanup.policy of these */
    uint64_t memory_bytes;   /* put and not durable */
    int64_t commit_ms;       /* least pause between two Kafka transactions */
    int64_t transaction_ms;  /* longest Kafka transaction */
    bool produce;
};
struct kafka_options bus_kafka_options(const struct config *c, bool produce);
int bus_kafka_open(const struct env *env, const struct kafka_options *o, struct bus **out, struct err *e) MUST_CHECK;

/* How far it has durably come, without taking over; 0 when nothing was ever put. */
int bus_kafka_look(const struct env *env, const struct kafka_options *o, uint64_t *durable_end_lsn, struct err *e) MUST_CHECK;

/* How far the embedded bus in store has durably come, without opening it (for a look beside a
 * process that runs): what may be confirmed to the source; 0 when nothing was ever put. */
int bus_local_look(struct store *store, uint64_t *durable_end_lsn, struct err *e) MUST_CHECK;

/* Copy ev (BEGIN or ROW) to the open transaction. E_BUS_FULL when there is no room: nothing was
 * taken; the caller keeps the connection alive and tries again. */
static inline int bus_put(struct bus *b, const struct event *ev, struct err *e) { return b->driver->put(b, ev, e); }
/* End the open transaction with an EVENT_COMMIT carrying mark: readers that run ahead see it now,
 * the others when durable. A commit is always taken, room or not. Without an open transaction
 * (no BEGIN put) it only moves the durable position to mark (keepalives). */
static inline int bus_commit(struct bus *b, const struct mark *m, struct err *e) { return b->driver->commit(b, m, e); }
/* Drop the open transaction; its offsets are used again. */
static inline void bus_abort(struct bus *b) { b->driver->abort(b); }
/* Bytes that may be put now; 0 at the budget, on a full disk or while memory is full. */
static inline uint64_t bus_room(struct bus *b) { return b->driver->room(b); }
/* Wait until all commits so far are durable. E_TIMEOUT, E_DISK_FULL, E_SYNC. */
static inline int bus_flush(struct bus *b, int64_t wait_ms, struct err *e) { return b->driver->flush(b, wait_ms, e); }
static inline void bus_get_status(struct bus *b, struct bus_status *out) { b->driver->status(b, out); }
/* An eventfd readable when something became durable or room came back: for the producer's poll. Read it to reset. */
static inline int bus_notify_fd(struct bus *b) { return b->driver->notify_fd(b); }

/* A reader of group, at its last taken offset (or the oldest). With ahead it also gets stream transactions
 * that are not yet durable (never copies: those wait); for sinks whose target keeps a source position. */
static inline struct bus_reader *bus_read(struct bus *b, const char *group, bool ahead, struct err *e) { return b->driver->reader(b, group, ahead, e); }
/* The next event: 1 and *ev (valid until the next call on this reader), 0 when none came within
 * wait_us (0 = do not wait), -1 on error. E_CORRUPT, E_READER_LOST. */
static inline int bus_next(struct bus_reader *r, int64_t wait_us, struct event *ev, struct err *e) { return r->bus->driver->next(r, wait_us, ev, e); }
/* Go back to offset, at least taken(): to read a batch again. */
static inline int bus_seek(struct bus_reader *r, uint64_t offset, struct err *e) { return r->bus->driver->seek(r, offset, e); }
/* The offset this group will start at after a restart. */
static inline uint64_t bus_taken(struct bus_reader *r) { return r->bus->driver->taken(r); }
/* Everything before offset is done for good. Durable with the next group commit at the latest, and
 * before anything of it goes from the bus. note, of at most BUS_NOTE_MAX bytes, is what the reader
 * wants to know again after a restart; it is kept with the offset, and replaced by the next one. */
static inline int bus_take_noted(struct bus_reader *r, uint64_t offset, struct str note, struct err *e) { return r->bus->driver->take(r, offset, note, e); }
static inline int bus_take(struct bus_reader *r, uint64_t offset, struct err *e) { return bus_take_noted(r, offset, STR_NONE, e); }
/* The note of the last take; empty when this group never gave one. Until the next take. */
static inline struct str bus_note(struct bus_reader *r) { return r->bus->driver->note(r); }
static inline void bus_leave(struct bus_reader *r) { r->bus->driver->leave(r); }
/* Forget a group's offset, so that retention no longer waits for it. */
static inline int bus_forget(struct bus *b, const char *group, struct err *e) { return b->driver->forget(b, group, e); }
/* Flush what is committed (bounded), stop the writer, free. */
static inline void bus_close(struct bus *b) { if (b) b->driver->close(b); }

#endif
