/* SPDX-License-Identifier: Apache-2.0
 * agent/bus against struct bus: what readers see, what is durable, what goes. */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/bus/bench.h"

static const char *const two[] = {"durable", "ahead"};
static const struct bus_options small = {.max_bytes = 16 * MB, .memory_bytes = 256 * KB, .sync_ms = 1};
/* Nothing is written by itself for the length of a test. */
static const struct bus_options lazy = {.max_bytes = 16 * MB, .memory_bytes = 8 * MB, .sync_ms = 60000};

START_TEST(whole_transactions_only)
{
    struct bench b;
    struct err e = ERR_INIT;
    bench_start(&b, &small, two, 2);
    struct bus_reader *r = bench_reader(&b, "durable", false);
    bench_begin(&b, MARK_STREAM);
    ck_assert(bench_row(&b, 100) && bench_row(&b, 0));
    ck_assert_uint_eq(bench_read(&b, r, 0, 3000), 0);
    bench_commit(&b);
    ck_assert_uint_eq(bench_read(&b, r, 0, 20000000), 4);
    /* Rows outside and BEGIN inside of a transaction are the caller's mistake. */
    struct event row = {.kind = EVENT_ROW}, begin = {.kind = EVENT_BEGIN, .mark.kind = MARK_STREAM};
    ck_assert(bus_put(b.bus, &row, &e) == -1 && e.code == E_INTERNAL);
    ck_assert(bus_put(b.bus, &begin, &e) == 0 && bus_put(b.bus, &begin, &e) == -1);
    bus_abort(b.bus);
    ck_assert_uint_eq(bench_read(&b, r, 4, 0), 4);
    bench_txn(&b, 0, 0);
    ck_assert_uint_eq(bench_read(&b, r, 4, 20000000), 6);
    bus_leave(r);
    bench_end(&b);
}
END_TEST

START_TEST(ahead_sees_streams_before_durable_and_copies_after)
{
    struct bench b;
    bench_start(&b, &lazy, two, 2);
    struct bus_reader *ahead = bench_reader(&b, "ahead", true);
    bench_txn(&b, 2, 50);
    ck_assert_uint_eq(bench_read(&b, ahead, 0, 0), 4);
    ck_assert_uint_eq(bench_status(&b).durable_offset, 0);
    bench_begin(&b, MARK_COPY);
    ck_assert(bench_row(&b, 50));
    bench_commit(&b);
    bench_txn(&b, 1, 50);
    /* The copy holds back what follows it, until it is durable. */
    ck_assert_uint_eq(bench_read(&b, ahead, 4, 0), 4);
    ck_assert_uint_eq(bench_status(&b).committed_offset, 10);
    bench_flush(&b);
    ck_assert_uint_eq(bench_status(&b).durable_offset, 10);
    ck_assert_uint_eq(bench_read(&b, ahead, 4, 0), 10);
    bench_txn(&b, 1, 50);
    ck_assert_uint_eq(bench_read(&b, ahead, 10, 0), 13);
    /* A reader that waits behind a copy makes the writer hurry. */
    bench_begin(&b, MARK_COPY);
    bench_commit(&b);
    ck_assert_uint_eq(bench_read(&b, ahead, 13, 20000000), 15);
    bus_leave(ahead);
    bench_end(&b);
}
END_TEST

START_TEST(positions_follow_stream_commits)
{
    struct bench b;
    struct err e = ERR_INIT;
    bench_start(&b, &lazy, two, 2);
    bench_txn(&b, 1, 10);
    struct bus_status s = bench_status(&b);
    ck_assert(s.durable.lsn == 0 && s.durable_end_lsn == 0);
    bench_flush(&b);
    s = bench_status(&b);
    ck_assert(s.durable.lsn == 1010 && s.durable_end_lsn == 1015 && s.durable_commit_us == 10100);
    /* A keepalive moves what may be confirmed, never the commit that was seen last. */
    struct mark keepalive = {.kind = MARK_STREAM, .pos.lsn = 2000, .end_lsn = 2000};
    ck_assert(bus_commit(b.bus, &keepalive, &e) == 0);
    bench_flush(&b);
    s = bench_status(&b);
    ck_assert(s.durable.lsn == 1010 && s.durable_end_lsn == 2000 && s.durable_commit_us == 10100);
    bench_begin(&b, MARK_COPY);
    bench_commit(&b);
    bench_flush(&b);
    bench_close(&b);
    bench_open(&b);
    s = bench_status(&b);
    ck_assert(s.durable.lsn == 1010 && s.durable.system_id == 7 && s.durable.timeline == 1);
    ck_assert(s.durable_end_lsn == 2000 && s.committed_offset == 5 && s.epoch == 2);
    bench_end(&b);
}
END_TEST

START_TEST(places_of_groups_last)
{
    struct bench b;
    struct err e = ERR_INIT;
    struct event ev;
    static const char *const one[] = {"durable"}, *const other[] = {"late", "durable"};
    bench_start(&b, &small, one, 1);
    for (int at = 0; at < 5; at++)
        bench_txn(&b, 2, 100);
    bench_flush(&b);
    struct bus_reader *r = bench_reader(&b, "durable", false);
    ck_assert(bus_read(b.bus, "durable", false, &e) == NULL);
    ck_assert_uint_eq(bench_read(&b, r, 0, 0), 20);
    ck_assert(bus_note(r).len == 0);
    ck_assert(bus_take_noted(r, 8, STR("stands at 7"), &e) == 0 && bus_taken(r) == 8);
    ck_assert(bus_seek(r, 7, &e) == -1 && e.code == E_READER_LOST);
    ck_assert(bus_seek(r, 12, &e) == 0 && bus_next(r, BENCH_NOW_US, &ev, &e) == 1);
    bench_check(&b, &ev, 12);
    ck_assert(bus_take(r, 14, &e) == -1);
    bus_leave(r);
    bench_close(&b);
    b.groups = other;
    b.group_count = 2;
    bench_open(&b);
    r = bench_reader(&b, "durable", true);
    ck_assert_uint_eq(bus_taken(r), 8);
    ck_assert(str_is(bus_note(r), "stands at 7"));
    ck_assert_uint_eq(bench_read(&b, r, 8, 0), 20);
    ck_assert(bus_forget(b.bus, "durable", &e) == -1);
    bus_leave(r);
    r = bench_reader(&b, "late", true);
    ck_assert_uint_eq(bus_taken(r), bench_status(&b).first_offset);
    bus_leave(r);
    ck_assert(bus_forget(b.bus, "durable", &e) == 0);
    bench_close(&b);
    bench_open(&b);
    r = bench_reader(&b, "durable", false);
    ck_assert(bus_note(r).len == 0);
    ck_assert_uint_eq(bus_taken(r), bench_status(&b).first_offset);
    bus_leave(r);
    bench_end(&b);
}
END_TEST

START_TEST(what_all_have_taken_goes)
{
    struct bench b;
    struct err e = ERR_INIT;
    bench_start(&b, &small, two, 2);
    struct bus_reader *d = bench_reader(&b, "durable", false), *a = bench_reader(&b, "ahead", true);
    for (int at = 0; at < 300; at++)
        bench_txn(&b, 10, 200);
    bench_flush(&b);
    uint64_t end = bench_read(&b, d, 0, 0), full = bench_status(&b).stored_bytes;
    ck_assert_uint_eq(end, 3600);
    ck_assert(bus_take(d, end, &e) == 0);
    bench_txn(&b, 0, 0);
    bench_flush(&b);
    ck_assert_uint_eq(bench_status(&b).first_offset, 0); /* the other has not */
    ck_assert_uint_eq(bench_read(&b, a, 0, 0), end + 2);
    ck_assert(bus_take(a, 1200, &e) == 0);
    bench_txn(&b, 0, 0);
    bench_flush(&b);
    struct bus_status s = bench_status(&b);
    ck_assert(s.first_offset > 0 && s.first_offset <= 1200 && s.stored_bytes < full);
    ck_assert(bus_take(a, end, &e) == 0);
    bus_leave(a);
    bus_leave(d);
    bench_close(&b); /* what was taken last is stored on the way out */
    bench_open(&b);
    d = bench_reader(&b, "durable", false);
    ck_assert_uint_eq(bus_taken(d), end);
    ck_assert_uint_eq(bench_read(&b, d, end, 0), end + 4);
    bus_leave(d);
    bench_end(&b);
}
END_TEST

/* When there is no room: the state says why, nothing committed was dropped for it, and taking it
 * gives room back, told by the notify descriptor. True when the budget was the reason. */
static bool make_room(struct bench *b, struct bus_reader *r, uint64_t *place, uint64_t committed)
{
    struct err e = ERR_INIT;
    if (bus_room(b->bus) > 0)
        return false;
    bench_flush(b);
    for (int wait = 0; bench_status(b).pending_bytes > 0 && wait < 5000; wait++)
        usleep(200);
    if (bus_room(b->bus) > 0)
        return false;
    ck_assert_int_eq(bench_status(b).state, BUS_AT_BUDGET);
    *place = bench_read(b, r, *place, 0);
    ck_assert_uint_eq(*place, committed);
    ck_assert(bus_take(r, *place, &e) == 0);
    for (int wait = 0; bus_room(b->bus) == 0 && wait < 5000; wait++) {
        struct pollfd ring = {.fd = bus_notify_fd(b->bus), .events = POLLIN};
        uint64_t times;
        ck_assert(poll(&ring, 1, 5000) == 1);
        ck_assert(read(ring.fd, &times, sizeof times) == sizeof times);
    }
    ck_assert_uint_gt(bus_room(b->bus), 0);
    return true;
}

START_TEST(a_budget_that_is_reached_and_freed)
{
    struct bench b;
    struct err e = ERR_INIT;
    struct bus_options o = {.max_bytes = 2 * MB, .memory_bytes = 256 * KB, .sync_ms = 1};
    uint64_t place = 0;
    unsigned seed = bench_seed(3), times = 0;
    bench_start(&b, &o, two, 1);
    struct bus_reader *r = bench_reader(&b, "durable", false);
    for (int at = 0; at < 4000; at++) {
        times += make_room(&b, r, &place, b.count);
        bench_begin(&b, MARK_STREAM);
        uint32_t size = (uint32_t) rand_r(&seed) % 3000;
        for (int row = rand_r(&seed) % 3; row >= 0; row--)
            while (!bench_row(&b, size)) {
                struct event ev = {.kind = EVENT_ROW};
                ck_assert(bus_room(b.bus) > 0 || (bus_put(b.bus, &ev, &e) == -1 && e.code == E_BUS_FULL));
                times += make_room(&b, r, &place, b.open_from);
            }
        bench_commit(&b);
    }
    ck_assert_uint_gt(times, 3);
    ck_assert_uint_le(bench_status(&b).stored_bytes, o.max_bytes + o.memory_bytes);
    bus_leave(r);
    bench_end(&b);
}
END_TEST

/* Taken beyond the budget only when it stands alone, and only so far. */
START_TEST(a_transaction_larger_than_the_budget)
{
    struct bench b;
    struct err e = ERR_INIT;
    struct bus_options o = {.max_bytes = 2 * MB, .large_bytes = 6 * MB, .memory_bytes = 256 * KB, .sync_ms = 1};
    bench_start(&b, &o, two, 1);
    struct bus_reader *r = bench_reader(&b, "durable", false);
    bench_txn(&b, 3, 100);
    bench_flush(&b);
    bench_begin(&b, MARK_STREAM);
    int refused = 0;
    for (int row = 0; row < 2000 && refused < 200; row++) /* 4 MB of what LZ4 cannot make smaller */
        while (!bench_row(&b, 2000) && refused++ < 200)
            usleep(1000);
    ck_assert_int_ge(refused, 200); /* the first one was not taken yet */
    ck_assert_uint_eq(bench_read(&b, r, 0, 0), 5);
    ck_assert(bus_take(r, 5, &e) == 0);
    uint64_t rows = 0;
    for (int wait = 0; rows < 2000 && wait < 20000; wait++)
        if (bench_row(&b, 2000))
            rows++;
        else
            usleep(1000);
    ck_assert_uint_eq(rows, 2000);
    ck_assert_uint_gt(bench_status(&b).stored_bytes, o.max_bytes);
    bench_commit(&b);
    bench_flush(&b);
    ck_assert_uint_eq(bus_room(b.bus), 0); /* the next one waits until it is taken */
    uint64_t end = bench_read(&b, r, 5, 20000000);
    ck_assert_uint_eq(end, bench_status(&b).committed_offset);
    ck_assert(bus_take(r, end, &e) == 0);
    for (int wait = 0; bus_room(b.bus) == 0 && wait < 20000; wait++)
        usleep(1000);
    bench_txn(&b, 3, 100);
    bus_leave(r);
    bench_end(&b);
}
END_TEST

START_TEST(a_transaction_larger_than_memory)
{
    struct bench b;
    bench_start(&b, &small, two, 2);
    struct bus_reader *d = bench_reader(&b, "durable", false), *a = bench_reader(&b, "ahead", true);
    bench_txn(&b, 3, 100);
    bench_txn(&b, 4000, 900); /* 3.6 MB through 256 KB */
    ck_assert_uint_le(bench_status(&b).pending_bytes, small.memory_bytes + 1000);
    ck_assert_uint_eq(bench_read(&b, a, 0, 0), 5 + 4002);
    ck_assert_uint_eq(bench_read(&b, d, 0, 20000000), 5 + 4002);
    bus_leave(a);
    bus_leave(d);
    bench_end(&b);
}
END_TEST

START_TEST(a_row_larger_than_memory)
{
    struct bench b;
    bench_start(&b, &small, two, 2);
    struct bus_reader *d = bench_reader(&b, "durable", false);
    bench_txn(&b, 2, 3 << 20);
    bench_flush(&b);
    bench_txn(&b, 2, 10);
    ck_assert_uint_eq(bench_read(&b, d, 0, 20000000), 8);
    bus_leave(d);
    bench_close(&b);
    bench_open(&b);
    d = bench_reader(&b, "durable", false);
    ck_assert_uint_eq(bench_read(&b, d, 0, 0), 8);
    bus_leave(d);
    bench_end(&b);
}
END_TEST

START_TEST(a_large_transaction_given_up)
{
    struct bench b;
    bench_start(&b, &small, two, 2);
    struct bus_reader *a = bench_reader(&b, "ahead", true);
    uint64_t place = 0;
    for (int round = 0; round < 8; round++) {
        /* A committed large one just before: its parts must not go with the next one's. */
        bench_txn(&b, round % 2 ? 600 : 1, 900);
        bench_begin(&b, MARK_STREAM);
        for (int at = 0; at < 900; at++)
            while (!bench_row(&b, 900))
                usleep(200);
        bench_abort(&b);
        if (round % 4 == 3) {
            bench_begin(&b, MARK_STREAM); /* and one that the process takes with it */
            for (int at = 0; at < 900; at++)
                while (!bench_row(&b, 900))
                    usleep(200);
            bus_leave(a);
            bench_close(&b);
            b.count = b.open_from;
            bench_open(&b);
            a = bench_reader(&b, "ahead", true);
            ck_assert_uint_eq(bench_read(&b, a, 0, 0), b.count);
            place = b.count;
        }
        bench_txn(&b, 5, 300);
        place = bench_read(&b, a, place, 0);
        ck_assert_uint_eq(place, b.count);
    }
    bench_flush(&b);
    struct bus_reader *d = bench_reader(&b, "durable", false);
    ck_assert_uint_eq(bench_read(&b, d, 0, 0), b.count);
    bus_leave(a);
    bus_leave(d);
    bench_end(&b);
}
END_TEST

/* ---- against the model ---- */

struct walker {
    struct bus_reader *r;
    uint64_t next, taken;
};

static void model_read(struct bench *b, struct walker *w, unsigned *seed)
{
    struct err e = ERR_INIT;
    struct event ev;
    for (int at = rand_r(seed) % 200; at > 0; at--) {
        int rc = bus_next(w->r, 0, &ev, &e);
        ck_assert_msg(rc >= 0, "%s", e.msg);
        if (rc == 0)
            break;
        bench_check(b, &ev, w->next++);
    }
    if (rand_r(seed) % 3 == 0) {
        w->taken += (uint64_t) rand_r(seed) % (w->next - w->taken + 1);
        ck_assert(bus_take(w->r, w->taken, &e) == 0);
    }
    if (rand_r(seed) % 5 == 0) {
        w->next = w->taken + (uint64_t) rand_r(seed) % (w->next - w->taken + 1);
        ck_assert(bus_seek(w->r, w->next, &e) == 0);
    }
}

static void model_reopen(struct bench *b, struct walker w[2])
{
    for (int at = 0; at < 2; at++)
        bus_leave(w[at].r);
    bench_close(b);
    bench_open(b);
    ck_assert_uint_eq(bench_status(b).committed_offset, b->count);
    for (int at = 0; at < 2; at++) {
        w[at].r = bench_reader(b, two[at], at == 1);
        ck_assert_uint_eq(bus_taken(w[at].r), w[at].taken);
        w[at].next = w[at].taken;
    }
}

static void model_produce(struct bench *b, unsigned *seed)
{
    if (bus_room(b->bus) == 0)
        return;
    bench_begin(b, rand_r(seed) % 8 ? MARK_STREAM : MARK_COPY);
    int rows = rand_r(seed) % 50 ? rand_r(seed) % 20 : 400;
    for (int at = 0; at < rows; at++)
        if (!bench_row(b, (uint32_t) rand_r(seed) % (rand_r(seed) % 20 ? 400 : 9000)))
            usleep(500);
    if (rand_r(seed) % 6 == 0)
        bench_abort(b);
    else
        bench_commit(b);
}

START_TEST(any_order_of_calls)
{
    struct bench b;
    struct err e = ERR_INIT;
    unsigned start = bench_seed(20240) + (unsigned) _i, seed = start;
    bench_start(&b, &small, two, 2);
    struct walker w[2] = {{.r = bench_reader(&b, two[0], false)}, {.r = bench_reader(&b, two[1], true)}};
    printf("any_order_of_calls seed %u\n", start);
    for (int step = 0; step < 800; step++) {
        int what = rand_r(&seed) % 100;
        if (what < 45)
            model_produce(&b, &seed);
        else if (what < 95)
            model_read(&b, &w[what % 2], &seed);
        else if (what < 97)
            bench_flush(&b);
        else if (what < 99)
            ck_assert(bus_commit(b.bus, &(struct mark){.kind = MARK_STREAM, .end_lsn = b.lsn + 6}, &e) == 0);
        else
            model_reopen(&b, w);
    }
    bench_flush(&b);
    for (int at = 0; at < 2; at++) {
        ck_assert_uint_eq(bench_read(&b, w[at].r, w[at].next, 0), b.count);
        bus_leave(w[at].r);
    }
    bench_end(&b);
}
END_TEST

/* ---- threads ---- */

#define CROWD_TXNS 3000

struct member {
    struct bench *b;
    const char *group;
    bool ahead;
    pthread_t thread;
    uint64_t seen, rows;
    char fault[900];
};

/* No ck_ calls here: they are for the test's own thread. */
static void *member_run(void *self)
{
    struct member *m = self;
    struct err e = ERR_INIT;
    struct event ev;
    uint64_t lsn = 0;
    struct bus_reader *r = bus_read(m->b->bus, m->group, m->ahead, &e);
    int rc = r ? 1 : -1;
    while (rc == 1 && lsn < CROWD_TXNS) {
        rc = bus_next(r, 20000000, &ev, &e);
        if (rc != 1)
            break;
        if (ev.offset != m->seen++)
            rc = err_set(&e, E_INTERNAL, "offset %llu", (unsigned long long) ev.offset);
        m->rows += ev.kind == EVENT_ROW;
        if (ev.kind == EVENT_COMMIT) {
            lsn = ev.mark.pos.lsn;
            if (lsn % 16 == 0 && bus_take(r, ev.offset + 1, &e) != 0)
                rc = -1;
        }
    }
    if (rc != 1)
        snprintf(m->fault, sizeof m->fault, "%s after %llu: %s", m->group, (unsigned long long) m->seen,
                 rc == 0 ? "nothing came" : e.msg);
    if (r)
        bus_leave(r);
    return NULL;
}

START_TEST(four_readers_and_a_producer)
{
    static const char *const four[] = {"a", "b", "c", "d"};
    struct bus_options o = {.max_bytes = 16 * MB, .memory_bytes = 512 * KB, .sync_ms = 2};
    struct bench b;
    struct err e = ERR_INIT;
    char value[200] = "x", topic[96];
    uint64_t rows = 0;
    struct member members[4];
    bench_start(&b, &o, four, 4);
    for (int at = 0; at < 4; at++) {
        members[at] = (struct member){.b = &b, .group = four[at], .ahead = at % 2 == 1};
        ck_assert(pthread_create(&members[at].thread, NULL, member_run, &members[at]) == 0);
    }
    for (uint64_t lsn = 1; lsn <= CROWD_TXNS; lsn++) {
        struct mark mark = {.kind = lsn % 50 ? MARK_STREAM : MARK_COPY, .pos.lsn = lsn, .end_lsn = lsn};
        struct event begin = {.kind = EVENT_BEGIN, .mark = mark};
        struct event row = {.kind = EVENT_ROW, .topic = bench_topic(&b, topic), .value = {value, sizeof value}};
        while (bus_room(b.bus) == 0)
            usleep(100);
        ck_assert(bus_put(b.bus, &begin, &e) == 0);
        for (uint64_t at = 0; at < lsn % 7; at++)
            while (bus_put(b.bus, &row, &e) != 0) {
                ck_assert_int_eq(e.code, E_BUS_FULL);
                usleep(100);
            }
        if (lsn % 11 == 0 && lsn != CROWD_TXNS) {
            bus_abort(b.bus);
            continue;
        }
        rows += lsn % 7;
        ck_assert(bus_commit(b.bus, &mark, &e) == 0);
    }
    for (int at = 0; at < 4; at++) {
        pthread_join(members[at].thread, NULL);
        ck_assert_msg(!members[at].fault[0], "%s", members[at].fault);
        ck_assert_uint_eq(members[at].rows, rows);
    }
    bench_end(&b);
}
END_TEST

START_TEST(tr_seq_is_dense_and_its_epoch_grows)
{
    struct bench b;
    struct event ev;
    struct err e = ERR_INIT;
    uint32_t epoch = 0;
    bench_start(&b, &small, two, 1);
    for (int round = 0; round < 3; round++) {
        bench_txn(&b, 1, 10);
        bench_close(&b);
        bench_open(&b);
    }
    struct bus_reader *r = bench_reader(&b, "durable", false);
    for (uint64_t offset = 0; offset < 9; offset++) {
        ck_assert(bus_next(r, BENCH_NOW_US, &ev, &e) == 1 && ev.offset == offset);
        ck_assert_uint_eq(ev.epoch, epoch + (offset % 3 == 0));
        epoch = ev.epoch;
    }
    bus_leave(r);
    bench_end(&b);
}
END_TEST

/* What a byte budget of our own means, and readers that run ahead of the disk: the embedded bus alone. */
static TCase *embedded(void)
{
    TCase *t = tcase_create("embedded");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, ahead_sees_streams_before_durable_and_copies_after);
    tcase_add_test(t, what_all_have_taken_goes);
    tcase_add_test(t, a_budget_that_is_reached_and_freed);
    tcase_add_test(t, a_transaction_larger_than_the_budget);
    tcase_add_test(t, a_row_larger_than_memory);
    return t;
}

static TCase *semantics(void)
{
    TCase *t = tcase_create("semantics");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, whole_transactions_only);
    tcase_add_test(t, positions_follow_stream_commits);
    tcase_add_test(t, places_of_groups_last);
    tcase_add_test(t, a_transaction_larger_than_memory);
    tcase_add_test(t, a_large_transaction_given_up);
    tcase_add_test(t, tr_seq_is_dense_and_its_epoch_grows);
    tcase_add_loop_test(t, any_order_of_calls, 0, 2);
    tcase_add_test(t, four_readers_and_a_producer);
    return t;
}

int main(void)
{
    Suite *s = suite_create("bus");
    suite_add_tcase(s, semantics());
    if (!bench_kafka()) {
        suite_add_tcase(s, embedded());
        suite_add_tcase(s, bus_faults());
    }
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
