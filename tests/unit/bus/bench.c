/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/bus/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/arena.h"

void bench_start(struct bench *b, const struct bus_options *o, const char *const *groups, int count)
{
    *b = (struct bench){.env = {.clock = &clock_system}, .o = *o, .groups = groups, .group_count = count,
                        .dir = "/tmp/test_bus.XXXXXX", .lsn = 1000};
    b->env.log = log_open(getenv("TR_SHOW_LOG") ? 2 : -1, &clock_system);
    ck_assert(mkdtemp(b->dir) != NULL);
    bench_open(b);
}

/* With TR_KAFKA set to brokers the tests are about the bus on Kafka, under a prefix of their own. */
const char *bench_kafka(void)
{
    return getenv("TR_KAFKA");
}

static int open_kafka(struct bench *b, struct err *e)
{
    const struct kafka_options o = {.brokers = bench_kafka(), .prefix = strrchr(b->dir, '/') + 1, .partitions = 3, .replication = -1,
                                    .cleanup = "delete", .memory_bytes = b->o.memory_bytes, .commit_ms = b->o.sync_ms, .transaction_ms = 60000,
                                    .produce = true};
    return bus_kafka_open(&b->env, &o, &b->bus, e) || bus_flush(b->bus, 30000, e) ? -1 : 0;
}

int bench_try_open(struct bench *b, struct err *e)
{
    if (bench_kafka())
        return open_kafka(b, e);
    uint64_t map = b->map_bytes ? b->map_bytes : b->o.max_bytes / 4 * 5;
    if (store_open(b->dir, map, false, &b->store, e) != 0) {
        b->store = NULL;
        return -1;
    }
    if (bus_local_open(&b->env, b->store, &b->o, b->groups, b->group_count, &b->bus, e) == 0)
        return 0;
    store_close(b->store);
    b->store = NULL;
    return -1;
}

void bench_open(struct bench *b)
{
    struct err e = ERR_INIT;
    ck_assert_msg(bench_try_open(b, &e) == 0, "%s", e.msg);
    uint32_t epoch = bench_status(b).epoch;
    ck_assert_uint_gt(epoch, b->epoch);
    b->epoch = epoch;
}

void bench_close(struct bench *b)
{
    bus_close(b->bus);
    store_close(b->store);
    b->bus = NULL;
    b->store = NULL;
}

void bench_end(struct bench *b)
{
    char command[128];
    if (b->bus)
        bench_close(b);
    log_close(b->env.log);
    free(b->events);
    snprintf(command, sizeof command, "rm -rf '%s'", b->dir);
    ck_assert_int_eq(system(command), 0);
}

static void model_add(struct bench *b, enum event_kind kind, uint32_t number, uint32_t size)
{
    if (b->count == b->room) {
        b->room = b->room ? b->room * 2 : 1024;
        b->events = mem_realloc(b->events, b->room * sizeof *b->events);
    }
    b->events[b->count++] = (struct expected){kind, b->open_kind, number, size, b->epoch};
}

static struct mark mark_of(const struct bench *b)
{
    bool copy = b->open_kind == MARK_COPY;
    return (struct mark){.kind = b->open_kind,
                         .pos = {.system_id = 7, .timeline = 1, .lsn = b->lsn, .seq = copy ? 3 : 0},
                         .end_lsn = copy ? 0 : b->lsn + 5,
                         .xid = 42,
                         .flags = copy ? MARK_COPY_FIRST : 0,
                         .commit_us = (int64_t) b->lsn * 10,
                         .received_us = (int64_t) b->lsn * 10 + 1,
                         .topic = copy ? STR("shop.public.items") : STR_NONE,
                         .origin = copy ? STR_NONE : STR("somewhere")};
}

void bench_begin(struct bench *b, enum mark_kind kind)
{
    struct err e = ERR_INIT;
    b->open_kind = kind;
    b->open_from = b->count;
    b->lsn += 10;
    struct event ev = {.kind = EVENT_BEGIN, .mark = mark_of(b)};
    ck_assert_msg(bus_put(b->bus, &ev, &e) == 0, "%s", e.msg);
    model_add(b, EVENT_BEGIN, (uint32_t) b->lsn, 0);
}

#define BENCH_HEADERS ((struct str){"\2hh\2vv", 6}) /* one, as headers_add writes it */

struct str bench_topic(const struct bench *b, char out[96])
{
    if (!bench_kafka())
        return STR("shop.public.items");
    snprintf(out, 96, "%s.public.items", strrchr(b->dir, '/') + 1);
    return str_of(out);
}

/* Bytes that compress about as rows do: half of them vary. */
static void fill_value(char *out, uint32_t number, uint32_t size)
{
    uint32_t x = number * 2654435761u + 1;
    for (uint32_t at = 0; at < size; at++) {
        x = x * 1664525u + 1013904223u;
        out[at] = (char) (at % 2 ? x >> 24 : 'v');
    }
}

bool bench_row(struct bench *b, uint32_t size)
{
    struct err e = ERR_INIT;
    char key[16];
    if (bus_room(b->bus) == 0)
        return false;
    char *value = mem_alloc(size);
    fill_value(value, ++b->number, size);
    snprintf(key, sizeof key, "key%u", b->number);
    char topic[96];
    struct event ev = {.kind = EVENT_ROW, .topic = bench_topic(b, topic), .key = str_of(key),
                       .value = {value, size}, .headers = BENCH_HEADERS, .timestamp_us = b->number * INT64_C(1000),
                       .tombstone = size == 0};
    int rc = bus_put(b->bus, &ev, &e);
    free(value);
    /* Pending bytes only fall by themselves, so room that was there is there. */
    ck_assert_msg(rc == 0 || e.code == E_BUS_FULL || e.code == E_DISK_FULL, "%s", e.msg);
    if (rc == 0)
        model_add(b, EVENT_ROW, b->number, size);
    return rc == 0;
}

void bench_commit(struct bench *b)
{
    struct err e = ERR_INIT;
    struct mark mark = mark_of(b);
    ck_assert_msg(bus_commit(b->bus, &mark, &e) == 0, "%s", e.msg);
    model_add(b, EVENT_COMMIT, (uint32_t) b->lsn, 0);
}

void bench_abort(struct bench *b)
{
    bus_abort(b->bus);
    b->count = b->open_from;
}

void bench_flush(struct bench *b)
{
    struct err e = ERR_INIT;
    ck_assert_msg(bus_flush(b->bus, 20000, &e) == 0, "%s", e.msg);
}

void bench_txn(struct bench *b, int rows, uint32_t size)
{
    while (bus_room(b->bus) == 0)
        usleep(200);
    bench_begin(b, MARK_STREAM);
    for (int at = 0; at < rows; at++)
        while (!bench_row(b, size))
            usleep(200);
    bench_commit(b);
}

unsigned bench_seed(unsigned fallback)
{
    const char *text = getenv("TR_SEED");
    return text ? (unsigned) strtoul(text, NULL, 10) : fallback;
}

struct bus_reader *bench_reader(struct bench *b, const char *group, bool ahead)
{
    struct err e = ERR_INIT;
    struct bus_reader *r = bus_read(b->bus, group, ahead, &e);
    ck_assert_msg(r != NULL, "%s", e.msg);
    return r;
}

static void check_row(const struct bench *b, const struct event *ev, const struct expected *want)
{
    char topic[96];
    char key[16];
    snprintf(key, sizeof key, "key%u", want->number);
    ck_assert_msg(str_is(ev->key, key), "key %.*s instead of %s", STR_ARG(ev->key), key);
    ck_assert_uint_eq(ev->value.len, want->size);
    char *value = mem_alloc(want->size);
    fill_value(value, want->number, want->size);
    ck_assert(str_eq(ev->value, (struct str){value, want->size}));
    free(value);
    ck_assert(str_eq(ev->topic, bench_topic(b, topic)) && str_eq(ev->headers, BENCH_HEADERS));
    if (!bench_kafka()) /* there it is the time of producing */
        ck_assert_int_eq(ev->timestamp_us, want->number * INT64_C(1000));
    ck_assert_int_eq(ev->tombstone, want->size == 0);
}

static void check_mark(const struct event *ev, const struct expected *want)
{
    const struct mark *m = &ev->mark;
    bool copy = want->mark_kind == MARK_COPY;
    ck_assert_int_eq(m->kind, want->mark_kind);
    ck_assert_uint_eq(m->pos.lsn, want->number);
    ck_assert_uint_eq(m->pos.seq, copy ? 3 : 0);
    ck_assert(m->pos.system_id == 7 && m->pos.timeline == 1 && m->xid == 42);
    ck_assert_uint_eq(m->end_lsn, copy ? 0 : want->number + 5);
    ck_assert_int_eq(m->commit_us, (int64_t) want->number * 10);
    ck_assert_int_eq(m->received_us, (int64_t) want->number * 10 + 1);
    ck_assert(str_is(m->topic, copy ? "shop.public.items" : ""));
    ck_assert(str_is(m->origin, copy ? "" : "somewhere"));
}

void bench_check(const struct bench *b, const struct event *ev, uint64_t offset)
{
    ck_assert_uint_eq(ev->offset, offset);
    ck_assert_uint_lt(offset, b->count);
    const struct expected *want = &b->events[offset];
    ck_assert_msg(ev->kind == want->kind, "offset %llu: kind %d instead of %d", (unsigned long long) offset,
                  (int) ev->kind, (int) want->kind);
    ck_assert_uint_eq(ev->epoch, want->epoch);
    if (ev->kind == EVENT_ROW)
        check_row(b, ev, want);
    else
        check_mark(ev, want);
}

uint64_t bench_read(struct bench *b, struct bus_reader *r, uint64_t from, int64_t wait_us)
{
    struct err e = ERR_INIT;
    struct event ev;
    int rc;
    if (bench_kafka())
        bench_flush(b); /* nobody reads ahead */
    /* What is durable comes, but not from memory. */
    if (bench_kafka() && wait_us < BENCH_KAFKA_US)
        wait_us = from < bench_status(b).durable_offset ? BENCH_KAFKA_US : wait_us;
    while ((rc = bus_next(r, from < b->count ? wait_us : 0, &ev, &e)) == 1)
        bench_check(b, &ev, from++);
    ck_assert_msg(rc == 0, "%s", e.msg);
    return from;
}

struct bus_status bench_status(struct bench *b)
{
    struct bus_status status;
    bus_get_status(b->bus, &status);
    return status;
}
