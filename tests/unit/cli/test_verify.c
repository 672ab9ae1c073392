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

/* What rules change is not compared; a key that one of them changes is none. */
START_TEST(columns_of_rules_are_left_out)
{
    static const struct column cols[] = {
        {.name = {"id", 2}, .kind = TYPE_TEXT, .type_oid = 25, .key_position = 1},
        {.name = {"email", 5}, .kind = TYPE_TEXT, .type_oid = 25},
        {.name = {"city", 4}, .kind = TYPE_TEXT, .type_oid = 25},
    };
    static const struct relation people = {.space = {"public", 6}, .name = {"people", 6}, .column_count = 3, .key_count = 1, .columns = cols};
    const char *email = "public.people.email", *id = "public.people.id", *city = "city";
    const struct config_column rules[] = {{.of = {1, &email}, .what = RULE_DROP, .salt = ""},
                                          {.of = {1, &id}, .what = RULE_HASH, .salt = "x"}};
    const char *table = "*.people";
    const struct config_key key[] = {{.of = {1, &table}, .columns = {1, &city}}};
    const struct shape_rules one = {rules, 1, NULL, 0}, both = {rules, 2, NULL, 0}, other = {rules, 2, key, 1};
    struct arena a;
    struct err e = ERR_INIT;
    arena_init(&a, 0, "test");
    struct verify_table t = {.rel = &people};
    ck_assert_int_eq(verify_by_rules(&one, &a, &t, &e), 0);
    ck_assert_int_eq(t.rel->column_count, 2);
    ck_assert_int_eq(t.rel->key_count, 1);
    ck_assert_str_eq(t.left_out.p, "\"email\"");
    buf_free(&t.left_out);
    t.rel = &people;
    ck_assert_int_eq(verify_by_rules(&both, &a, &t, &e), 0);
    ck_assert_int_eq(t.rel->column_count, 1);
    ck_assert_int_eq(t.rel->key_count, 0);
    ck_assert_str_eq(t.left_out.p, "\"id\", \"email\"");
    buf_free(&t.left_out);
    t.rel = &people;
    ck_assert_int_eq(verify_by_rules(&other, &a, &t, &e), 0);
    ck_assert_int_eq(t.rel->key_count, 1);
    ck_assert_int_eq(t.rel->columns[0].key_position, 1);
    buf_free(&t.left_out);
    arena_free(&a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("verify");
    TCase *t = tcase_create("sql");
    tcase_add_test(t, digest_quotes_names_and_leaves_generated_columns_out);
    tcase_add_test(t, rows_without_a_key_stand_for_themselves);
    tcase_add_test(t, columns_of_rules_are_left_out);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
