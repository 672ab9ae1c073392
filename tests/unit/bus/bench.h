/* SPDX-License-Identifier: Apache-2.0
 *
 * What the bus's tests share: a bus in a directory of its own, events that say which they are, and
 * a model of what must be read. Tests know struct bus only; the driver under test is chosen in one
 * place, bench_open.
 */
#ifndef TR_TEST_BUS_BENCH_H
#define TR_TEST_BUS_BENCH_H

#include <check.h>

#include "agent/bus/bus.h"

#define KB ((uint64_t) 1 << 10)
#define MB ((uint64_t) 1 << 20)

/* A committed event as the model knows it. */
struct expected {
    enum event_kind kind;
    enum mark_kind mark_kind;
    uint32_t number; /* goes into key and value */
    uint32_t size;   /* of the value */
    uint32_t epoch;
};

struct bench {
    struct env env;
    struct store *store;
    struct bus *bus;
    char dir[64];
    struct bus_options o;
    uint64_t map_bytes; /* 0: 1.25 times the budget */
    const char *const *groups;
    int group_count;
    struct expected *events; /* committed: index is the offset */
    size_t count, room;
    size_t open_from;        /* count at the BEGIN of the open transaction */
    uint32_t epoch, number;
    uint64_t lsn;
    enum mark_kind open_kind;
};

/* Brokers, when it is the bus on Kafka that is tested; else NULL. */
const char *bench_kafka(void);
#define BENCH_KAFKA_US 10000000
/* Wait for an event that is there. */
#define BENCH_NOW_US (bench_kafka() ? BENCH_KAFKA_US : 0)
/* Name of the topic of rows, in out. */
struct str bench_topic(const struct bench *b, char out[96]);
/* A new directory and an open bus with these groups. */
void bench_start(struct bench *b, const struct bus_options *o, const char *const *groups, int count);
/* Open (again) what is in the directory; fails the test on an error. */
void bench_open(struct bench *b);
int bench_try_open(struct bench *b, struct err *e);
void bench_close(struct bench *b);
/* Close and remove the directory. */
void bench_end(struct bench *b);

/* Each fails the test on an error; the model follows. bench_row is false when there was no room. */
void bench_begin(struct bench *b, enum mark_kind kind);
bool bench_row(struct bench *b, uint32_t size);
void bench_commit(struct bench *b);
void bench_abort(struct bench *b);
void bench_flush(struct bench *b);
/* A transaction of rows rows of size bytes, waiting for room. */
void bench_txn(struct bench *b, int rows, uint32_t size);

/* TR_SEED, or fallback: what a random test begins with. */
unsigned bench_seed(unsigned fallback);
/* A reader of group; fails the test on an error. */
struct bus_reader *bench_reader(struct bench *b, const char *group, bool ahead);
/* The event must be the one at this offset of the model. */
void bench_check(const struct bench *b, const struct event *ev, uint64_t offset);
/* Read until nothing comes (within wait_us while the model has more), checking each; returns where
 * it ended. */
uint64_t bench_read(struct bench *b, struct bus_reader *r, uint64_t from, int64_t wait_us);
/* What bus_get_status says. */
struct bus_status bench_status(struct bench *b);

/* The tests of kills, damage and full disks. */
TCase *bus_faults(void);

#endif
