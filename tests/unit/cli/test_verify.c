/* SPDX-License-Identifier: Apache-2.0
 * agent/cli/verify_table.c: the statements that digest a table. */
#include <check.h>
#include <stdlib.h>

#include "agent/cli/verify.h"

static const struct column columns[] = {
    {.name = {"id", 2}, .key_position = 1},
    {.name = {"say \"hi\"", 8}},
    {.name = {"total", 5}, .generated = true},
};
static const struct relation keyed = {
    .space = {"public", 6}, .name = {"Orders", 6}, .column_count = 3, .key_count = 1, .columns = columns};
static const struct relation keyless = {
    .space = {"public", 6}, .name = {"log", 3}, .column_count = 2, .columns = columns + 1};

START_TEST(digest_quotes_names_and_leaves_generated_columns_out)
{
    struct buf sql = BUF_INIT;
    verify_add_digest_sql(&keyed, STR("\"copy\".\"Orders\""), &sql);
    ck_assert_str_eq(sql.p,
                     "SELECT b, count(*), sum(h::numeric) FROM (SELECT "
                     "(hashtextextended(ROW(\"id\")::text COLLATE \"C\",0) & 1023) AS b, "
                     "hashtextextended(ROW(\"id\",\"say \"\"hi\"\"\")::text COLLATE \"C\",1) AS h "
                     "FROM \"copy\".\"Orders\") d GROUP BY b ORDER BY b");
    buf_free(&sql);
}
END_TEST

START_TEST(rows_without_a_key_stand_for_themselves)
{
    struct buf sql = BUF_INIT;
    verify_add_rows_sql(&keyless, STR("ONLY \"public\".\"log\""), STR("3,7"), &sql);
    ck_assert_str_eq(sql.p,
                     "SELECT ROW(\"say \"\"hi\"\"\")::text COLLATE \"C\" AS k, "
                     "hashtextextended(ROW(\"say \"\"hi\"\"\")::text COLLATE \"C\",1) AS h "
                     "FROM ONLY \"public\".\"log\" WHERE "
                     "(hashtextextended(ROW(\"say \"\"hi\"\"\")::text COLLATE \"C\",0) & 1023) "
                     "IN (3,7) ORDER BY 1, 2");
    buf_free(&sql);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("verify");
    TCase *t = tcase_create("sql");
    tcase_add_test(t, digest_quotes_names_and_leaves_generated_columns_out);
    tcase_add_test(t, rows_without_a_key_stand_for_themselves);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
