/* SPDX-License-Identifier: Apache-2.0
 * Rows of COPY text: every escape, NULL against its look-alikes, wrong numbers of columns. */
#include "agent/source/copytext.h"

#include "tests/unit/source/suites.h"

static struct value values[8];
static char line[256];

static int parse(const char *text, int count, struct err *e)
{
    size_t len = strlen(text);
    memcpy(line, text, len + 1);
    return copytext_parse(line, len, values, count, e);
}

static void is_set(int at, const char *text, size_t len)
{
    ck_assert_int_eq(values[at].state, VALUE_SET);
    ck_assert_uint_eq(values[at].text.len, len);
    ck_assert_mem_eq(values[at].text.p, text, len);
}

START_TEST(columns_null_and_empty)
{
    struct err e = ERR_INIT;
    ck_assert_int_eq(parse("1\t\\N\t\tx y\n", 4, &e), 0);
    is_set(0, "1", 1);
    ck_assert_int_eq(values[1].state, VALUE_NULL);
    ck_assert_int_eq(values[2].state, VALUE_SET);
    ck_assert_uint_eq(values[2].text.len, 0);
    is_set(3, "x y", 3);
    /* a text of backslash and N is sent as two backslashes and N; "\\NN" is no NULL either */
    ck_assert_int_eq(parse("\\\\N\t\\NN\n", 2, &e), 0);
    is_set(0, "\\N", 2);
    is_set(1, "NN", 2);
}
END_TEST

START_TEST(every_escape)
{
    struct err e = ERR_INIT;
    ck_assert_int_eq(parse("\\b\\f\\n\\r\\t\\v\\\\\t\\101\\7\\60x\t\\x41\\xag\\xz\t\\q\\.\n", 4, &e), 0);
    is_set(0, "\b\f\n\r\t\v\\", 7);
    is_set(1, "A\a0x", 4);
    is_set(2, "A\ngxz", 5);
    is_set(3, "q.", 2);
}
END_TEST

START_TEST(escape_at_the_end_is_itself)
{
    struct err e = ERR_INIT;
    ck_assert_int_eq(parse("a\\\n", 1, &e), 0);
    is_set(0, "a\\", 2);
}
END_TEST

START_TEST(number_of_columns_is_checked)
{
    struct err e = ERR_INIT;
    ck_assert_int_eq(parse("1\t2\n", 3, &e), -1);
    ck_assert_int_eq(e.code, E_PG_PROTOCOL);
    ck_assert_int_eq(parse("1\t2\t3\t4\n", 3, &e), -1);
    ck_assert_int_eq(parse("\n", 0, &e), 0);
    ck_assert_int_eq(parse("1\n", 0, &e), -1);
    ck_assert_int_eq(parse("\n", 1, &e), 0);
    ck_assert_int_eq(values[0].state, VALUE_SET);
}
END_TEST

TCase *case_copytext(void)
{
    TCase *t = tcase_create("copytext");
    tcase_add_test(t, columns_null_and_empty);
    tcase_add_test(t, every_escape);
    tcase_add_test(t, escape_at_the_end_is_itself);
    tcase_add_test(t, number_of_columns_is_checked);
    return t;
}
