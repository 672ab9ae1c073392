/* SPDX-License-Identifier: Apache-2.0
 * agent/source/spill: what is kept comes back in its order, or is told to be damaged. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/arena.h"
#include "agent/source/spill.h"
#include "tests/unit/source/suites.h"

static char dir[64];
static struct spill *sp;

static void open_spill(uint64_t max_bytes)
{
    snprintf(dir, sizeof dir, "/tmp/test_spill.XXXXXX");
    ck_assert(mkdtemp(dir) != NULL);
    sp = spill_open(dir, SPILL_FOLDER, max_bytes);
}

static void close_spill(void)
{
    spill_close(sp);
    ck_assert_int_eq(rmdir(dir), 0); /* nothing is left in it */
}

static struct decoder_part part_of(uint32_t xid, uint32_t subxid, uint64_t lsn, struct str rest)
{
    return (struct decoder_part){.xid = xid, .subxid = subxid, .lsn = lsn, .type = 'I', .rest = rest};
}

static void keep(uint32_t xid, uint32_t subxid, uint64_t lsn, struct str rest)
{
    struct err e = ERR_INIT;
    const struct decoder_part part = part_of(xid, subxid, lsn, rest);
    ck_assert_msg(spill_add(sp, &part, &e) == 0, "%s", e.msg);
}

/* The next part is lsn's, with this behind its type. */
static void expect(uint64_t lsn, struct str rest)
{
    struct err e = ERR_INIT;
    struct spill_part part;
    ck_assert_msg(spill_next(sp, &part, &e) == 1, "%llu: %s", (unsigned long long) lsn, e.msg);
    ck_assert_uint_eq(part.lsn, lsn);
    ck_assert_uint_eq(part.payload.len, rest.len + 1);
    ck_assert(part.payload.p[0] == 'I' && memcmp(part.payload.p + 1, rest.p, rest.len) == 0);
}

static void expect_end(void)
{
    struct err e = ERR_INIT;
    struct spill_part part;
    ck_assert_msg(spill_next(sp, &part, &e) == 0, "%s", e.msg);
}

static void read_from_start(uint32_t xid)
{
    struct err e = ERR_INIT;
    ck_assert_msg(spill_read(sp, xid, &e) == 0, "%s", e.msg);
}

START_TEST(two_transactions_in_turns)
{
    struct err e = ERR_INIT;
    open_spill(1 << 30);
    char *big = mem_zalloc(1, 700000); /* more than either buffer */
    for (uint64_t at = 0; at < 5000; at++)
        keep(at / 100 % 2 ? 8 : 7, at % 3 ? 70 : 7, at, STR("row"));
    keep(7, 7, 9000, (struct str){big, 700000});
    keep(8, 8, 9001, STR("last"));
    ck_assert_int_eq(spill_count(sp), 2);
    ck_assert(spill_abort(sp, 7, 71, &e) == 0 && spill_abort(sp, 7, 70, &e) == 0 && spill_abort(sp, 9, 70, &e) == 0);
    read_from_start(7);
    for (uint64_t at = 0; at < 5000; at++)
        if (at / 100 % 2 == 0 && at % 3 == 0)
            expect(at, STR("row"));
    expect(9000, (struct str){big, 700000});
    expect_end();
    spill_drop(sp, 7);
    read_from_start(8); /* a subtransaction of another one's number was given up, not this one's */
    for (uint64_t at = 0; at < 5000; at++)
        if (at / 100 % 2)
            expect(at, STR("row"));
    expect(9001, STR("last"));
    expect_end();
    ck_assert(spill_abort(sp, 8, 8, &e) == 0);
    ck_assert_uint_eq(spill_bytes(sp), 0);
    ck_assert_int_eq(spill_count(sp), 0);
    read_from_start(8);
    expect_end();
    free(big);
    close_spill();
}
END_TEST

START_TEST(limit_is_told)
{
    struct err e = ERR_INIT;
    const struct decoder_part part = part_of(7, 7, 1, STR("0123456789"));
    open_spill(1000);
    int kept = 0;
    while (spill_add(sp, &part, &e) == 0)
        kept++;
    ck_assert_int_eq(kept, 1000 / 31);
    ck_assert(e.code == E_SPILL && strstr(e.msg, "source.spill_max_mb"));
    close_spill();
}
END_TEST

START_TEST(leftovers_go)
{
    char path[128];
    open_spill(1 << 20);
    snprintf(path, sizeof path, "%s/spill", dir);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/spill/7", dir);
    ck_assert_int_eq(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    spill_clear(sp);
    ck_assert_int_ne(access(path, F_OK), 0);
    keep(7, 7, 1, STR("new"));
    read_from_start(7);
    expect(1, STR("new"));
    expect_end();
    close_spill();
}
END_TEST

START_TEST(damage_is_told)
{
    char path[128];
    open_spill(1 << 20);
    snprintf(path, sizeof path, "%s/spill/7", dir);
    for (off_t at = 0; at < 2 * 25; at++) {
        struct err e = ERR_INIT;
        struct spill_part part;
        uint8_t byte;
        int rc = 1;
        keep(7, 7, 1, STR("rows"));
        keep(7, 7, 2, STR("rows"));
        read_from_start(7); /* all of it is in the file now */
        int fd = open(path, O_RDWR);
        ck_assert(pread(fd, &byte, 1, at) == 1);
        byte ^= 4;
        ck_assert(pwrite(fd, &byte, 1, at) == 1 && close(fd) == 0);
        while (rc > 0)
            rc = spill_next(sp, &part, &e);
        ck_assert_msg(rc == -1 && e.code == E_SPILL, "byte %d", (int) at);
        spill_drop(sp, 7);
    }
    close_spill();
}
END_TEST

START_TEST(a_folder_that_cannot_be_made_is_told)
{
    struct err e = ERR_INIT;
    const struct decoder_part part = part_of(7, 7, 1, STR("x"));
    sp = spill_open("/proc/nowhere", SPILL_FOLDER, 1 << 20);
    ck_assert(spill_add(sp, &part, &e) == -1 && e.code == E_SPILL && strstr(e.msg, "/proc/nowhere/spill"));
    spill_close(sp);
}
END_TEST

/* A prepared transaction is there for another process; a file of which nobody knows is not. */
START_TEST(stays)
{
    struct err e = ERR_INIT;
    uint64_t bytes, none;
    open_spill(1 << 20);
    keep(7, 7, 1, STR("one"));
    keep(8, 8, 2, STR("other"));
    keep(7, 7, 3, STR("two"));
    ck_assert(spill_sync(sp, 7, &bytes, &e) == 0 && spill_sync(sp, 9, &none, &e) == 0 && none == 0);
    spill_leave(sp);
    sp = spill_open(dir, SPILL_FOLDER, 1 << 20);
    ck_assert_int_eq(spill_adopt(sp, 7, bytes + 1, &e), -1);
    ck_assert(e.code == E_CORRUPT && strstr(e.msg, "7"));
    ck_assert(spill_adopt(sp, 7, bytes, &e) == 0 && spill_adopt(sp, 9, 0, &e) == 0);
    spill_sweep(sp);
    ck_assert(spill_adopt(sp, 8, 1, &e) == -1 && e.code == E_STATE);
    ck_assert_uint_eq(spill_bytes(sp), bytes);
    ck_assert_int_eq(spill_read(sp, 7, &e), 0);
    expect(1, STR("one"));
    expect(3, STR("two"));
    expect_end();
    close_spill();
}
END_TEST

TCase *case_spill(void)
{
    TCase *t = tcase_create("spill");
    tcase_add_test(t, two_transactions_in_turns);
    tcase_add_test(t, limit_is_told);
    tcase_add_test(t, leftovers_go);
    tcase_add_test(t, damage_is_told);
    tcase_add_test(t, a_folder_that_cannot_be_made_is_told);
    tcase_add_test(t, stays);
    return t;
}
