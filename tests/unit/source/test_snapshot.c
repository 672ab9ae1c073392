/* SPDX-License-Identifier: Apache-2.0
 * Snapshots without a server: what a snapshot sees, sets of keys, and the record of a run. */
#include "agent/source/keyset.h"
#include "agent/source/run.h"
#include "agent/source/view.h"

#include <stdlib.h>

#include "tests/unit/source/suites.h"

static struct arena mem;

static void set_up(void)
{
    arena_init(&mem, 0, "test");
}

static void tear_down(void)
{
    arena_free(&mem);
}

START_TEST(a_primary_sees_by_xid)
{
    struct view v = {.by_lsn = false};
    ck_assert(view_parse(STR("100:110:102,105"), &mem, &v));
    ck_assert_int_eq(v.open_count, 2);
    ck_assert(view_sees(&v, 99, UINT64_MAX)); /* whatever its LSN */
    ck_assert(view_sees(&v, 101, 0));
    ck_assert(!view_sees(&v, 102, 0));
    ck_assert(view_sees(&v, 104, 0));
    ck_assert(!view_sees(&v, 105, 0));
    ck_assert(view_sees(&v, 109, 0));
    ck_assert(!view_sees(&v, 110, 0));
    ck_assert(!view_sees(&v, 4000, 0));
    ck_assert(view_behind(&v, 100, UINT64_MAX));
    ck_assert(!view_behind(&v, 101, 0));
}
END_TEST

START_TEST(xids_of_another_epoch)
{
    struct view v = {.by_lsn = false};
    ck_assert(view_parse(STR("8589934590:8589934600:8589934591,8589934595"), &mem, &v)); /* 2^33 - 2 and on */
    ck_assert(view_sees(&v, 0xfffffff0u, 0)); /* before the wrap */
    ck_assert(view_sees(&v, 0xfffffffeu, 0));
    ck_assert(!view_sees(&v, 0xffffffffu, 0));
    ck_assert(view_sees(&v, 2, 0));
    ck_assert(!view_sees(&v, 3, 0));
    ck_assert(!view_sees(&v, 8, 0));
}
END_TEST

START_TEST(a_standby_sees_what_was_replayed)
{
    struct view v = {.by_lsn = false};
    ck_assert(view_parse(STR("100:110:"), &mem, &v));
    v.by_lsn = true;
    v.low_lsn = 5000;
    ck_assert(view_sees(&v, 105, 4999));
    ck_assert(!view_sees(&v, 50, 5000));
    ck_assert(view_behind(&v, UINT64_MAX, 5000));
    ck_assert(!view_behind(&v, 0, 5001));
}
END_TEST

START_TEST(what_is_no_snapshot)
{
    static const char *const texts[] = {"", "1", "1:", "a:b:", "5:4:", "1:9:2,", "1:9:x", "1:9:2,,3"};
    struct view v;
    for (size_t at = 0; at < sizeof texts / sizeof *texts; at++) {
        bool ok = view_parse(str_of(texts[at]), &mem, &v);
        ck_assert_msg(!ok || strcmp(texts[at], "1:9:2,") == 0, "%s", texts[at]);
    }
    ck_assert(view_parse(STR("7:7:"), &mem, &v) && v.open_count == 0);
}
END_TEST

START_TEST(a_page_header_is_no_record)
{
    ck_assert_uint_eq(view_record_end(8192 * 5 + 24), 8192 * 5);
    ck_assert_uint_eq(view_record_end(8192 * 2048 + 40), 8192 * 2048);
    ck_assert_uint_eq(view_record_end(8192 * 5 + 48), 8192 * 5 + 48);
    ck_assert_uint_eq(view_record_end(8192 * 5), 8192 * 5);
}
END_TEST

START_TEST(keys_are_columns_in_their_order)
{
    const struct column cols[] = {{.name = STR("a"), .key_position = 2}, {.name = STR("b")},
                                  {.name = STR("c"), .key_position = 1}};
    const struct relation rel = {.column_count = 3, .key_count = 2, .columns = cols};
    struct value row[] = {{VALUE_SET, STR("1")}, {VALUE_NULL, STR_NONE}, {VALUE_SET, STR("xy")}};
    struct buf key = BUF_INIT, other = BUF_INIT;
    struct str column;
    size_t at = 0;
    ck_assert(key_add(&rel, row, &key));
    ck_assert(key_next(buf_str(&key), &at, &column) && str_is(column, "xy"));
    ck_assert(key_next(buf_str(&key), &at, &column) && str_is(column, "1"));
    ck_assert(!key_next(buf_str(&key), &at, &column));
    row[0].text = STR("y1"); /* not the same bytes one after the other */
    row[2].text = STR("x");
    ck_assert(key_add(&rel, row, &other) && !str_eq(buf_str(&key), buf_str(&other)));
    row[2].state = VALUE_ABSENT;
    size_t before = key.len;
    ck_assert(!key_add(&rel, row, &key) && key.len == before);
    ck_assert(!key_add(&rel, NULL, &key));
    buf_free(&key);
    buf_free(&other);
}
END_TEST

START_TEST(a_set_knows_each_key_once_a_transaction)
{
    struct keyset k = {.count = 0};
    ck_assert(!keyset_has(&k, STR("0")));
    for (int round = 0; round < 2; round++)
        for (int n = 0; n < 5000; n++)
            for (uint32_t xid = 7; xid < 9; xid++) {
                struct str key = arena_printf(&mem, "%d", n);
                keyset_add(&k, key, xid, 1);
            }
    ck_assert_int_eq(k.count, 10000);
    ck_assert(keyset_has(&k, STR("4999")) && !keyset_has(&k, STR("5000")));
    ck_assert_uint_eq(k.entries[9999].xid, 8);
    ck_assert(str_is(keyset_key(&k, 9999), "4999"));
    keyset_reset(&k);
    ck_assert(!keyset_has(&k, STR("4999")) && k.count == 0);
    keyset_add(&k, STR("4999"), 1, 1);
    ck_assert(keyset_has(&k, STR("4999")) && k.count == 1);
    keyset_free(&k);
}
END_TEST

/* Before the chunk, and after it. */
START_TEST(a_record_tells_by_the_offset_whether_its_chunk_was_put)
{
    struct buf bytes = BUF_INIT;
    struct run *r = run_new(STR("a b"), STR("t\"x"), "n > 1");
    struct run_progress next = {.begun = true, .rows = 70};
    r->id = 12;
    r->oid = 4000000000u;
    r->fresh = r->paused = true;
    r->lsn = UINT64_MAX - 1;
    r->now.rows = 60;
    buf_add(&r->now.from, "k\0one", 5);
    buf_add_text(&next.from, "k two");
    buf_add_text(&next.pending, "again");
    run_write(r, &next, 1000, &bytes);
    struct run *before = run_read(buf_str(&bytes), 1000), *after = run_read(buf_str(&bytes), 1001);
    ck_assert(before && after);
    ck_assert(str_eq(buf_str(&before->now.from), (struct str){"k\0one", 5}) && !before->now.begun);
    ck_assert_int_eq(before->now.rows, 60);
    ck_assert(str_is(buf_str(&after->now.from), "k two") && after->now.begun && !after->now.ended);
    ck_assert(str_is(buf_str(&after->now.pending), "again") && after->now.rows == 70);
    ck_assert(str_is(str_of(after->space), "a b") && str_is(str_of(after->name), "t\"x"));
    ck_assert(str_is(str_of(after->where), "n > 1") && after->fresh && after->paused && !after->partitioned);
    ck_assert(after->oid == 4000000000u && after->id == 12 && after->lsn == UINT64_MAX - 1 && after->expected == -1);
    run_free(before);
    run_free(after);
    buf_reset(&bytes);
    run_write(r, NULL, RUN_NOT_PUT, &bytes);
    after = run_read(buf_str(&bytes), UINT64_MAX - 1);
    ck_assert(after && after->now.rows == 60);
    run_free(after);
    for (size_t len = 0; len < bytes.len; len++) /* no cut one is read past its end */
        run_free(run_read((struct str){bytes.p, len}, 0));
    progress_free(&next);
    run_free(r);
    buf_free(&bytes);
}
END_TEST

TCase *case_snapshot(void)
{
    TCase *t = tcase_create("snapshot");
    tcase_add_checked_fixture(t, set_up, tear_down);
    tcase_add_test(t, a_primary_sees_by_xid);
    tcase_add_test(t, xids_of_another_epoch);
    tcase_add_test(t, a_standby_sees_what_was_replayed);
    tcase_add_test(t, what_is_no_snapshot);
    tcase_add_test(t, a_page_header_is_no_record);
    tcase_add_test(t, keys_are_columns_in_their_order);
    tcase_add_test(t, a_set_knows_each_key_once_a_transaction);
    tcase_add_test(t, a_record_tells_by_the_offset_whether_its_chunk_was_put);
    return t;
}
