/* SPDX-License-Identifier: Apache-2.0
 * agent/bus against faults: kills, damage, a full disk. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/bus/bench.h"

/* LMDB syncs by this name, and finds this one first: a disk that fails on demand. */
static _Atomic bool sync_fails;

int fdatasync(int fd)
{
    if (sync_fails) {
        errno = EIO;
        return -1;
    }
    return fsync(fd);
}

static const char *const groups[] = {"durable"};
static const struct bus_options small = {.max_bytes = 16 * MB, .memory_bytes = 256 * KB, .sync_ms = 1};

/* ---- kill ---- */

/* The child puts numbered transactions and tells through the pipe what was said to be durable. */
static _Noreturn void child_run(struct bench *b, int pipe_fd, uint64_t from)
{
    struct err e = ERR_INIT;
    char value[700];
    memset(value, 'x', sizeof value);
    if (bench_try_open(b, &e) != 0)
        _exit(3);
    for (uint64_t lsn = from + 1;; lsn++) {
        struct mark mark = {.kind = MARK_STREAM, .pos.lsn = lsn, .end_lsn = lsn};
        struct event ev = {.kind = EVENT_BEGIN, .mark = mark};
        struct event row = {.kind = EVENT_ROW, .value = {value, sizeof value}, .timestamp_us = (int64_t) lsn};
        while (bus_put(b->bus, &ev, &e) != 0)
            usleep(100);
        for (uint64_t at = 0; at < (lsn % 40 ? lsn % 5 : 1000); at++)
            while (bus_put(b->bus, &row, &e) != 0)
                usleep(100);
        if (bus_commit(b->bus, &mark, &e) != 0)
            _exit(4);
        struct bus_status s;
        bus_get_status(b->bus, &s);
        if (write(pipe_fd, &s.durable.lsn, sizeof s.durable.lsn) != sizeof s.durable.lsn)
            _exit(5);
    }
}

/* Read all: transactions from `from` up to the last one, each whole; returns the last. */
static uint64_t check_after_kill(struct bench *b, uint64_t from)
{
    struct err e = ERR_INIT;
    struct event ev;
    uint64_t lsn = from, rows = 0;
    int rc;
    bench_open(b);
    struct bus_reader *r = bench_reader(b, "durable", true);
    while ((rc = bus_next(r, 0, &ev, &e)) == 1) {
        if (ev.kind == EVENT_BEGIN) {
            ck_assert_uint_eq(ev.mark.pos.lsn, lsn + 1);
            rows = 0;
        } else if (ev.kind == EVENT_ROW) {
            ck_assert_int_eq(ev.timestamp_us, (int64_t) lsn + 1);
            rows++;
        } else {
            lsn++;
            ck_assert_uint_eq(rows, lsn % 40 ? lsn % 5 : 1000);
        }
        if (ev.kind == EVENT_COMMIT && lsn % 3 == 0)
            ck_assert(bus_take(r, ev.offset + 1, &e) == 0);
    }
    ck_assert_msg(rc == 0, "%s", e.msg);
    ck_assert_uint_eq(bench_status(b).durable.lsn, lsn);
    ck_assert(bus_take(r, bench_status(b).committed_offset, &e) == 0);
    bus_leave(r);
    bench_close(b);
    return lsn;
}

START_TEST(killed_at_any_moment)
{
    struct bench b;
    struct bus_options o = {.max_bytes = 64 * MB, .memory_bytes = 256 * KB, .sync_ms = 1};
    unsigned seed = bench_seed(99);
    uint64_t last = 0;
    bench_start(&b, &o, groups, 1);
    bench_close(&b);
    for (int round = 0; round < 10; round++) {
        int ends[2], status;
        uint64_t told = 0, word;
        ck_assert(pipe(ends) == 0);
        pid_t child = fork();
        if (child == 0)
            child_run(&b, ends[1], last);
        close(ends[1]);
        /* The pipe is drained meanwhile, so that it does not hold the child back. */
        int64_t until = clock_mono_us(&clock_system) + 5000 + rand_r(&seed) % 80000;
        struct pollfd in = {.fd = ends[0], .events = POLLIN};
        while (clock_mono_us(&clock_system) < until)
            if (poll(&in, 1, 1) == 1 && read(ends[0], &word, sizeof word) == sizeof word)
                told = word;
        ck_assert(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status));
        while (read(ends[0], &word, sizeof word) == sizeof word)
            told = word;
        close(ends[0]);
        uint64_t now = check_after_kill(&b, last);
        ck_assert_msg(now >= told, "durable %llu, found %llu", (unsigned long long) told, (unsigned long long) now);
        last = now;
    }
    ck_assert_uint_gt(last, 50);
    bench_end(&b);
}
END_TEST

/* ---- damage and full disks ---- */

static void data_path(const struct bench *b, char out[128])
{
    snprintf(out, 128, "%s/data.mdb", b->dir);
}

static void load(const struct bench *b, struct buf *file)
{
    char path[128];
    struct stat st;
    data_path(b, path);
    int fd = open(path, O_RDONLY);
    ck_assert(fd >= 0 && fstat(fd, &st) == 0);
    ck_assert(read(fd, buf_grow(file, (size_t) st.st_size), (size_t) st.st_size) == st.st_size);
    file->len = (size_t) st.st_size;
    close(fd);
}

/* The file as it was, but for one bit. */
static void save_flipped(const struct bench *b, struct buf *file, size_t place, int bit)
{
    char path[128];
    data_path(b, path);
    int fd = open(path, O_RDWR | O_TRUNC);
    file->p[place] ^= (char) bit;
    ck_assert(fd >= 0 && write(fd, file->p, file->len) == (ssize_t) file->len && close(fd) == 0);
    file->p[place] ^= (char) bit;
}

/* Open and read: all of it, or a typed error; never other data. */
static bool read_or_told(struct bench *b)
{
    struct err e = ERR_INIT;
    struct event ev;
    uint64_t place = 0;
    uint32_t epoch = b->epoch;
    int rc = bench_try_open(b, &e);
    if (rc == 0) {
        struct bus_reader *r = bench_reader(b, "durable", false);
        while ((rc = bus_next(r, 0, &ev, &e)) == 1) {
            ev.epoch = epoch;
            bench_check(b, &ev, place++);
        }
        bus_leave(r);
        ck_assert(rc == -1 || place == b->count);
        bench_close(b);
    }
    ck_assert_msg(rc == 0 || e.code == E_CORRUPT, "%s: %s", err_name(e.code), e.msg);
    return rc != 0;
}

START_TEST(damage_is_named_and_never_skipped)
{
    struct bench b;
    struct buf file = BUF_INIT;
    unsigned seed = bench_seed(5), told = 0;
    bench_start(&b, &small, groups, 1);
    for (int at = 0; at < 100; at++)
        bench_txn(&b, 4, 700);
    bench_close(&b);
    load(&b, &file);
    for (int at = 0; at < 100; at++) {
        save_flipped(&b, &file, (size_t) rand_r(&seed) % file.len, 1 << rand_r(&seed) % 8);
        told += read_or_told(&b);
    }
    ck_assert_msg(told > 30, "only %u of 100 were told", told);
    save_flipped(&b, &file, 0, 0);
    ck_assert(!read_or_told(&b));
    buf_free(&file);
    bench_end(&b);
}
END_TEST

START_TEST(a_block_that_is_missing_is_told)
{
    struct bench b;
    struct err e = ERR_INIT;
    struct event ev;
    struct store *s;
    struct store_txn *t;
    struct buf key = BUF_INIT;
    bool found;
    bench_start(&b, &small, groups, 1);
    for (int at = 0; at < 30; at++) {
        bench_txn(&b, 4, 3000);
        bench_flush(&b);
    }
    bench_close(&b);
    ck_assert(store_open(b.dir, 20 * MB, false, &s, &e) == 0);
    uint8_t middle[8] = {0, 0, 0, 0, 0, 0, 0, 90};
    ck_assert(store_seek(s, STORE_BLOCKS, (struct str){(char *) middle, 8}, false, &key, NULL, &found, &e) == 0);
    ck_assert(found && store_begin(s, &t, &e) == 0);
    ck_assert(store_delete(t, STORE_BLOCKS, buf_str(&key), &e) == 0 && store_commit(t, &e) == 0);
    store_close(s);
    bench_open(&b);
    struct bus_reader *r = bench_reader(&b, "durable", false);
    int rc;
    while ((rc = bus_next(r, 0, &ev, &e)) == 1)
        ck_assert_uint_lt(ev.offset, 96);
    ck_assert(rc == -1 && e.code == E_CORRUPT);
    ck_assert_msg(strstr(e.msg, "offset 90") != NULL, "%s", e.msg);
    bus_leave(r);
    buf_free(&key);
    bench_end(&b);
}
END_TEST

START_TEST(a_group_out_of_range_is_told)
{
    struct bench b;
    struct err e = ERR_INIT;
    struct store *s;
    bench_start(&b, &small, groups, 1);
    bench_txn(&b, 1, 10);
    bench_close(&b);
    ck_assert(store_open(b.dir, 20 * MB, false, &s, &e) == 0);
    uint8_t far[8] = {0, 0, 0, 0, 0, 0, 1, 0};
    ck_assert(store_put_one(s, STORE_READERS, STR("durable"), (struct str){(char *) far, 8}, &e) == 0);
    store_close(s);
    bench_open(&b);
    ck_assert(bus_read(b.bus, "durable", false, &e) == NULL && e.code == E_READER_LOST);
    bench_end(&b);
}
END_TEST

START_TEST(a_full_disk_is_told_and_survived)
{
    struct bench b = {.dir = ""};
    struct err e = ERR_INIT;
    char ballast[128], command[256];
    struct bus_options o = {.max_bytes = 64 * MB, .memory_bytes = 256 * KB, .sync_ms = 1};
    bench_start(&b, &o, groups, 1);
    bench_close(&b);
    if (geteuid() != 0 || mount("none", b.dir, "tmpfs", 0, "size=6m,mode=0700") != 0) {
        fprintf(stderr, "SKIPPED a_full_disk_is_told_and_survived: needs root to mount a tmpfs\n");
        bench_end(&b);
        return;
    }
    snprintf(ballast, sizeof ballast, "%s/ballast", b.dir);
    snprintf(command, sizeof command, "dd if=/dev/zero of=%s bs=1M count=4 2>/dev/null", ballast);
    ck_assert_int_eq(system(command), 0);
    b.epoch = 0;
    bench_open(&b);
    for (int at = 0; at < 2000 && bench_status(&b).state != BUS_DISK_FULL; at++) {
        while (bus_room(b.bus) == 0 && bench_status(&b).state == BUS_OK)
            usleep(200);
        if (bus_room(b.bus) == 0)
            break;
        bench_begin(&b, MARK_STREAM);
        if (bench_row(&b, 4000))
            bench_commit(&b);
        else
            bench_abort(&b);
    }
    struct bus_status s = bench_status(&b);
    ck_assert_int_eq(s.state, BUS_DISK_FULL);
    ck_assert_int_eq(s.error.code, E_DISK_FULL);
    ck_assert(s.pending_bytes > 0 && s.durable_offset < s.committed_offset && bus_room(b.bus) == 0);
    ck_assert(bus_flush(b.bus, 10, &e) == -1 && e.code == E_DISK_FULL);
    ck_assert_int_eq(unlink(ballast), 0);
    bench_flush(&b); /* it goes on by itself */
    ck_assert_int_eq(bench_status(&b).state, BUS_OK);
    bench_txn(&b, 1, 100);
    bench_flush(&b);
    bench_close(&b);
    bench_open(&b);
    struct bus_reader *r = bench_reader(&b, "durable", false);
    ck_assert_uint_eq(bench_read(&b, r, 0, 0), b.count);
    bus_leave(r);
    bench_close(&b);
    ck_assert_int_eq(umount(b.dir), 0);
    bench_end(&b);
}
END_TEST

/* A sync that failed ends it for good: the kernel may have dropped what it could not write. */
START_TEST(a_failed_sync_is_the_end)
{
    struct bench b;
    struct err e = ERR_INIT;
    struct event ev, begin = {.kind = EVENT_BEGIN, .mark.kind = MARK_STREAM};
    bench_start(&b, &small, groups, 1);
    bench_txn(&b, 2, 100);
    bench_flush(&b);
    size_t durable = b.count;
    struct bus_reader *r = bench_reader(&b, "durable", false);
    sync_fails = true;
    bench_txn(&b, 2, 100);
    ck_assert(bus_flush(b.bus, 5000, &e) == -1);
    ck_assert_msg(e.code == E_SYNC && e.class == ERR_FATAL, "%s", e.msg);
    sync_fails = false; /* too late */
    struct bus_status s = bench_status(&b);
    ck_assert(s.state == BUS_FAILED && s.error.code == E_SYNC && s.durable_offset == durable);
    ck_assert(bus_room(b.bus) == 0 && bus_put(b.bus, &begin, &e) == -1 && e.code == E_SYNC);
    ck_assert(bus_commit(b.bus, &begin.mark, &e) == -1 && e.code == E_SYNC);
    for (uint64_t at = 0; at < durable; at++) {
        ck_assert(bus_next(r, 0, &ev, &e) == 1);
        bench_check(&b, &ev, at);
    }
    ck_assert(bus_next(r, 1000, &ev, &e) == -1 && e.code == E_SYNC);
    struct store_txn *t;
    ck_assert(store_begin(b.store, &t, &e) == -1 && e.code == E_SYNC);
    bus_leave(r);
    bench_close(&b);
    b.count = durable;
    bench_open(&b);
    r = bench_reader(&b, "durable", true);
    ck_assert_uint_eq(bench_read(&b, r, 0, 0), durable);
    bus_leave(r);
    bench_end(&b);
}
END_TEST

/* Another process with a read transaction: it keeps every page that is freed meanwhile. */
static _Noreturn void pin(const char *dir, int tell)
{
    MDB_env *env;
    MDB_txn *txn;
    if (mdb_env_create(&env) != 0 || mdb_env_open(env, dir, MDB_RDONLY, 0) != 0
        || mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0 || write(tell, "x", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

START_TEST(a_pinned_map_is_told_and_survived)
{
    struct bench b;
    struct err e = ERR_INIT;
    struct bus_options o = {.max_bytes = 2 * MB, .memory_bytes = 256 * KB, .sync_ms = 1};
    uint64_t place = 0;
    int ends[2], status;
    char byte;
    bench_start(&b, &o, groups, 1);
    bench_txn(&b, 1, 100);
    bench_flush(&b);
    ck_assert(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0)
        pin(b.dir, ends[1]);
    ck_assert(read(ends[0], &byte, 1) == 1);
    struct bus_reader *r = bench_reader(&b, "durable", true);
    struct bus_status s = bench_status(&b);
    for (int at = 0; at < 3000 && s.state == BUS_OK; at++) {
        if (bus_room(b.bus) > 0) {
            bench_begin(&b, MARK_STREAM);
            ck_assert(bench_row(&b, 4000));
            bench_commit(&b);
        }
        place = bench_read(&b, r, place, 0);
        ck_assert(bus_take(r, place, &e) == 0);
        (void) bus_flush(b.bus, 1, &e);
        s = bench_status(&b);
    }
    ck_assert_int_eq(s.state, BUS_AT_BUDGET);
    ck_assert_int_eq(s.error.code, E_BUS_FULL);
    ck_assert_msg(strstr(s.error.msg, "pinned") != NULL, "%s", s.error.msg);
    ck_assert_uint_lt(s.stored_bytes, o.max_bytes);
    ck_assert(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
    bench_flush(&b); /* by itself */
    bench_txn(&b, 1, 4000);
    place = bench_read(&b, r, place, 0);
    ck_assert_uint_eq(place, b.count);
    bus_leave(r);
    close(ends[0]);
    close(ends[1]);
    bench_end(&b);
}
END_TEST

TCase *bus_faults(void)
{
    TCase *t = tcase_create("faults");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, killed_at_any_moment);
    tcase_add_test(t, damage_is_named_and_never_skipped);
    tcase_add_test(t, a_block_that_is_missing_is_told);
    tcase_add_test(t, a_group_out_of_range_is_told);
    tcase_add_test(t, a_full_disk_is_told_and_survived);
    tcase_add_test(t, a_failed_sync_is_the_end);
    tcase_add_test(t, a_pinned_map_is_told_and_survived);
    return t;
}
