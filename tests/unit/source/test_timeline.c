/* SPDX-License-Identifier: Apache-2.0
 * Timeline histories as servers write them. */
#include "agent/source/timeline.h"

#include "tests/unit/source/suites.h"

START_TEST(history_tells_where_a_timeline_ended)
{
    /* pg_wal/00000003.history of a cluster that was promoted twice */
    struct str history = STR("1\t0/3000148\tno recovery target specified\n\n"
                             "2\t1F/A0000028\tno recovery target specified\n");
    uint64_t lsn;
    ck_assert(timeline_left(history, 1, &lsn));
    ck_assert_uint_eq(lsn, 0x3000148);
    ck_assert(timeline_left(history, 2, &lsn));
    ck_assert_uint_eq(lsn, UINT64_C(0x1FA0000028));
    ck_assert(!timeline_left(history, 3, &lsn));
}
END_TEST

START_TEST(what_is_no_history_knows_nothing)
{
    uint64_t lsn;
    ck_assert(!timeline_left(STR_NONE, 1, &lsn));
    ck_assert(!timeline_left(STR("# 1\t0/3000148\tcomment\n"), 1, &lsn));
    ck_assert(!timeline_left(STR("1\n"), 1, &lsn));
    ck_assert(!timeline_left(STR("1\tnonsense\n"), 1, &lsn));
    ck_assert(timeline_left(STR("  1   0/10"), 1, &lsn) && lsn == 16);
}
END_TEST

TCase *case_timeline(void)
{
    TCase *t = tcase_create("timeline");
    tcase_add_test(t, history_tells_where_a_timeline_ended);
    tcase_add_test(t, what_is_no_history_knows_nothing);
    return t;
}
