/* SPDX-License-Identifier: Apache-2.0
 * agent/base: text, buffers, arenas, errors. */
#include <check.h>
#include <stdlib.h>

#include "agent/base/arena.h"
#include "agent/base/cursor.h"
#include "agent/base/err.h"

START_TEST(numbers_at_their_limits)
{
    int64_t i;
    uint64_t u;
    ck_assert(str_to_i64(STR("-9223372036854775808"), &i) && i == INT64_MIN);
    ck_assert(str_to_i64(STR("9223372036854775807"), &i) && i == INT64_MAX);
    ck_assert(!str_to_i64(STR("9223372036854775808"), &i));
    ck_assert(str_to_u64(STR("18446744073709551615"), &u) && u == UINT64_MAX);
    ck_assert(!str_to_u64(STR("18446744073709551616"), &u));
    ck_assert(!str_to_u64(STR(""), &u) && !str_to_u64(STR("1 "), &u) && !str_to_i64(STR("-"), &i));
}
END_TEST

START_TEST(lsn_round_trip)
{
    uint64_t lsn;
    ck_assert(str_to_lsn(STR("16/B374D848"), &lsn));
    ck_assert_uint_eq(lsn, UINT64_C(0x16B374D848));
    ck_assert_str_eq(LSN_STR(lsn), "16/B374D848");
    ck_assert(!str_to_lsn(STR("16"), &lsn) && !str_to_lsn(STR("/1"), &lsn) && !str_to_lsn(STR("1/123456789"), &lsn));
    uint8_t bytes[2];
    ck_assert(str_to_bytes(STR("0fa1"), bytes, 2) && bytes[0] == 0x0f && bytes[1] == 0xa1);
    ck_assert(!str_to_bytes(STR("0FA1"), bytes, 2) && !str_to_bytes(STR("0fa"), bytes, 2) && !str_to_bytes(STR("0fag"), bytes, 2));
    ck_assert(str_to_bytes(STR(""), bytes, 0) && str_hex_digit('F') == 15 && str_hex_digit('/') == -1);
}
END_TEST

START_TEST(patterns)
{
    ck_assert(str_match(STR("public.*"), STR("public.orders")));
    ck_assert(str_match(STR("*.a?c*"), STR("x.abcd")));
    ck_assert(str_match(STR("*"), STR("")));
    ck_assert(!str_match(STR("public.*"), STR("publicorders")));
    ck_assert(!str_match(STR("a*b"), STR("ac")));
    /* Many stars on a long text must not explode. */
    char text[4096];
    memset(text, 'a', sizeof text);
    ck_assert(!str_match(STR("*a*a*a*a*a*a*a*a*b"), (struct str){text, sizeof text}));
    ck_assert_uint_eq(str_distance(STR("tabels"), STR("tables")), 2);
}
END_TEST

START_TEST(buffer_refuses_and_says_so)
{
    struct buf b = {.max = 8};
    buf_add_text(&b, "12345678");
    ck_assert(!b.over);
    buf_add_char(&b, '9');
    ck_assert(b.over && b.len == 8);
    buf_reset(&b);
    buf_addf(&b, "%d", 42);
    ck_assert_str_eq(b.p, "42");
    buf_free(&b);
}
END_TEST

START_TEST(json_text_is_always_utf8)
{
    struct buf b = BUF_INIT;
    buf_add_json(&b, STR("a\"\\\n\x01\xc3\xa9\xff\xed\xa0\x80"));
    ck_assert_str_eq(b.p, "\"a\\\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    buf_free(&b);
}
END_TEST

START_TEST(arena_keeps_what_it_gave)
{
    struct arena a;
    arena_init(&a, 0, "test");
    struct str first = arena_str(&a, STR("first"));
    for (int at = 0; at < 5000; at++)
        memset(arena_alloc(&a, 100), 'x', 100);
    memset(arena_alloc(&a, 5 << 20), 'y', 5 << 20);
    ck_assert(str_is(first, "first"));
    ck_assert_uint_ge(arena_used(&a), 5000 * 100);
    arena_reset(&a);
    ck_assert_uint_eq(arena_used(&a), 0);
    arena_free(&a);
}
END_TEST

START_TEST(arena_past_its_cap_ends_the_process)
{
    struct arena a;
    arena_init(&a, 1024, "target.batch_kb");
    arena_alloc(&a, 2048);
}
END_TEST

START_TEST(cursor_fails_once_and_for_good)
{
    struct cursor c = cursor_of(STR("\x01\x02\x03"));
    ck_assert_uint_eq(cursor_u16(&c), 0x0102);
    ck_assert_uint_eq(cursor_u16(&c), 0);
    ck_assert(c.failed);
    ck_assert_uint_eq(cursor_u8(&c), 0);
    c = cursor_of((struct str){"ab\0cd", 5});
    ck_assert(str_is(cursor_cstr(&c), "ab"));
    ck_assert(cursor_cstr(&c).len == 0 && c.failed);
}
END_TEST

START_TEST(errors_carry_their_row)
{
    struct err e = ERR_INIT;
    ck_assert_int_eq(err_set(&e, E_SLOT_GONE, "slot %s is gone", "s"), -1);
    ck_assert_int_eq(e.class, ERR_GONE);
    ck_assert_str_eq(err_name(e.code), "slot_gone");
    (void) err_prefix(&e, "source");
    ck_assert_str_eq(e.msg, "source: slot s is gone");
    ck_assert(e.hint[0]);
    for (int code = 1; code < ERR_CODES; code++)
        ck_assert(err_title((enum err_code) code)[0] && err_default_hint((enum err_code) code)[0]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("base");
    TCase *t = tcase_create("base");
    tcase_add_test(t, numbers_at_their_limits);
    tcase_add_test(t, lsn_round_trip);
    tcase_add_test(t, patterns);
    tcase_add_test(t, buffer_refuses_and_says_so);
    tcase_add_test(t, json_text_is_always_utf8);
    tcase_add_test(t, arena_keeps_what_it_gave);
    tcase_add_exit_test(t, arena_past_its_cap_ends_the_process, 71);
    tcase_add_test(t, cursor_fails_once_and_for_good);
    tcase_add_test(t, errors_carry_their_row);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
