/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast the embedded bus is: `make tests/bench/bench_bus && tests/bench/bench_bus [events]`
 * prints name=value lines. Events are like a shop's: 300 bytes, mostly alike, ten a transaction.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/base/arena.h"
#include "agent/bus/bus.h"

#define MB ((uint64_t) 1 << 20)

struct bench {
    struct env env;
    struct store *store;
    struct bus *bus;
    char dir[64];
};

static void fail(const struct err *e)
{
    fprintf(stderr, "bench_bus: %s\n", e->msg);
    exit(1);
}

static double now_s(void)
{
    return (double) clock_mono_us(&clock_system) / 1e6;
}

static void open_bus(struct bench *b)
{
    static const char *const groups[] = {"bench"};
    struct bus_options o = {.max_bytes = 1024 * MB, .memory_bytes = 16 * MB, .sync_ms = 20};
    struct err e = ERR_INIT;
    if (store_open(b->dir, o.max_bytes / 4 * 5, false, &b->store, &e) != 0
        || bus_local_open(&b->env, b->store, &o, groups, 1, &b->bus, &e) != 0)
        fail(&e);
}

static void close_bus(struct bench *b)
{
    bus_close(b->bus);
    store_close(b->store);
}

/* Poll as the source does when there is no room. */
static void put(struct bench *b, const struct event *ev)
{
    struct err e = ERR_INIT;
    while (bus_room(b->bus) == 0)
        usleep(100);
    if (bus_put(b->bus, ev, &e) != 0)
        fail(&e);
}

static void put_all(struct bench *b, int events)
{
    char value[260], key[24];
    unsigned seed = 1;
    struct err e = ERR_INIT;
    for (int at = 0; at < events; at += 10) {
        struct mark mark = {.kind = MARK_STREAM, .pos.lsn = (uint64_t) at + 1, .end_lsn = (uint64_t) at + 5};
        put(b, &(struct event){.kind = EVENT_BEGIN, .mark = mark});
        for (int row = 0; row < 10; row++) {
            int len = snprintf(key, sizeof key, "customer-%08d", rand_r(&seed) % 100000000);
            int used = snprintf(value, sizeof value, "{\"id\":%d,\"name\":\"somebody %d\",\"amount\":%d,\"note\":\"",
                                rand_r(&seed), rand_r(&seed), rand_r(&seed));
            memset(value + used, 'x', sizeof value - (size_t) used);
            put(b, &(struct event){.kind = EVENT_ROW, .topic = STR("shop.public.orders"),
                                   .key = {key, (size_t) len}, .value = {value, sizeof value},
                                   .timestamp_us = 1700000000000000 + at});
        }
        if (bus_commit(b->bus, &mark, &e) != 0)
            fail(&e);
    }
    if (bus_flush(b->bus, 60000, &e) != 0)
        fail(&e);
}

static int64_t read_all(struct bench *b)
{
    struct err e = ERR_INIT;
    struct event ev;
    int64_t count = 0;
    struct bus_reader *r = bus_read(b->bus, "bench", false, &e);
    if (!r)
        fail(&e);
    int rc;
    while ((rc = bus_next(r, 0, &ev, &e)) == 1)
        count++;
    if (rc != 0)
        fail(&e);
    bus_leave(r);
    return count;
}

/* ---- latency ---- */

#define PINGS 2000

struct pings {
    struct bench *b;
    bool ahead;
    int64_t us[PINGS];
};

/* Tells one run's commits from what else is on the bus. */
static uint32_t ping_flag(bool ahead)
{
    return ahead ? 1001 : 1002;
}

static void *receive(void *self)
{
    struct pings *p = self;
    struct err e = ERR_INIT;
    struct event ev;
    struct bus_reader *r = bus_read(p->b->bus, "bench", p->ahead, &e);
    if (!r || bus_take(r, bus_taken(r), &e) != 0)
        fail(&e);
    for (int got = 0; got < PINGS;) {
        int rc = bus_next(r, 1000000, &ev, &e);
        if (rc < 0)
            fail(&e);
        if (rc == 1 && ev.kind == EVENT_COMMIT && ev.mark.flags == ping_flag(p->ahead))
            p->us[got++] = clock_mono_us(&clock_system) - ev.mark.commit_us;
    }
    bus_leave(r);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    int64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* From bus_commit to a reader's hand, a thousand small transactions a second. */
static void latency(struct bench *b, bool ahead)
{
    static const char *const names[] = {"durable", "ahead"};
    struct pings *p = mem_zalloc(1, sizeof *p);
    struct err e = ERR_INIT;
    pthread_t thread;
    p->b = b;
    p->ahead = ahead;
    if (pthread_create(&thread, NULL, receive, p) != 0)
        exit(1);
    usleep(500000); /* the reader first works off what is there */
    for (int at = 0; at < PINGS; at++) {
        struct mark mark = {.kind = MARK_STREAM, .flags = ping_flag(ahead)};
        put(b, &(struct event){.kind = EVENT_BEGIN, .mark = mark});
        put(b, &(struct event){.kind = EVENT_ROW, .value = STR("one row")});
        mark.commit_us = clock_mono_us(&clock_system);
        if (bus_commit(b->bus, &mark, &e) != 0)
            fail(&e);
        usleep(950);
    }
    pthread_join(thread, NULL);
    qsort(p->us, PINGS, sizeof p->us[0], compare);
    printf("%s_p50_us=%" PRId64 "\n%s_p99_us=%" PRId64 "\n", names[ahead], p->us[PINGS / 2], names[ahead],
           p->us[PINGS * 99 / 100]);
    free(p);
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double) u.ru_utime.tv_sec + (double) u.ru_utime.tv_usec / 1e6
        + (double) u.ru_stime.tv_sec + (double) u.ru_stime.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    struct bench b = {.env = {.clock = &clock_system}, .dir = "/tmp/bench_bus.XXXXXX"};
    int events = argc > 1 ? (int) strtol(argv[1], NULL, 10) : 1000000;
    char command[128];
    struct bus_status status;
    if (!mkdtemp(b.dir))
        return 1;
    b.env.log = log_open(2, &clock_system);
    open_bus(&b);
    double start = now_s();
    put_all(&b, events);
    printf("put_durable_events_per_s=%.0f\n", events / (now_s() - start));
    bus_get_status(b.bus, &status);
    printf("stored_mb=%.1f\n", (double) status.stored_bytes / (double) MB);
    close_bus(&b);
    start = now_s();
    open_bus(&b);
    printf("open_ms=%.1f\n", (now_s() - start) * 1e3);
    start = now_s();
    int64_t count = read_all(&b);
    printf("read_events_per_s=%.0f\n", (double) count / (now_s() - start));
    printf("cpu_s=%.2f\n", cpu_s());
    latency(&b, true);
    close_bus(&b);
    open_bus(&b);
    latency(&b, false);
    close_bus(&b);
    log_close(b.env.log);
    snprintf(command, sizeof command, "rm -rf %s", b.dir);
    return system(command);
}
