/* SPDX-License-Identifier: Apache-2.0
 * agent/cli/tail: changes as lines of text, and what the printers write. */
#include <check.h>
#include <stdlib.h>

#include "agent/cli/tail.h"


static const struct column columns[] = {
    {.name = {"id", 2}, .type_oid = 23, .typmod = -1, .kind = TYPE_INT4, .not_null = true,
     .identity = true, .key_position = 1, .type_name = {"int4", 4}, .type_sql = {"integer", 7}},
    {.name = {"name", 4}, .type_oid = 25, .typmod = -1, .kind = TYPE_TEXT,
     .type_name = {"text", 4}, .type_sql = {"text", 4}},
    {.name = {"note", 4}, .type_oid = 25, .typmod = -1, .kind = TYPE_TEXT,
     .type_name = {"text", 4}, .type_sql = {"text", 4}},
};
static const struct relation rel = {
    .oid = 5, .version = 1, .space = {"public", 6}, .name = {"t", 1}, .identity = 'd',
    .column_count = 3, .key_count = 1, .columns = columns,
};
static const struct txn txn = {.xid = 7, .commit_lsn = 100, .commit_us = 1704067200000042};

#define SET(text) {VALUE_SET, {(text), sizeof(text) - 1}}
#define NONE {VALUE_NULL, {NULL, 0}}
#define ABSENT {VALUE_ABSENT, {NULL, 0}}
#define SAME {VALUE_UNCHANGED, {NULL, 0}}

static void prints(const struct change *change, bool color, const char *expected)
{
    struct buf out = BUF_INIT;
    tail_text_add(&out, change, &txn, color);
    ck_assert_str_eq(out.p, expected);
    buf_free(&out);
}

START_TEST(insert_has_all_columns)
{
    const struct value row[] = {SET("1"), SET("a b"), NONE};
    struct change c = {.op = OP_CREATE, .rel = &rel, .after = row};
    prints(&c, false, "00:00:00.000042  INSERT   public.t  id=1  name=\"a b\"  note=NULL\n");
    prints(&c, true, "\033[2m00:00:00.000042  \033[0m\033[32mINSERT   \033[0mpublic.\033[1mt\033[0m  "
                     "\033[1mid\033[0m=1  \033[2mname\033[0m=\"a b\"  \033[2mnote\033[0m=NULL\n");
}
END_TEST

START_TEST(text_cannot_pass_for_something_else)
{
    /* the text NULL, an empty one, and one that would move the cursor */
    const struct value row[] = {SET("NULL"), SET(""), SET("\033[2J=")};
    struct change c = {.op = OP_CREATE, .rel = &rel, .after = row};
    prints(&c, false,
           "00:00:00.000042  INSERT   public.t  id=\"NULL\"  name=\"\"  note=\"\\u001b[2J=\"\n");
}
END_TEST

START_TEST(update_shows_what_differs)
{
    const struct value old[] = {SET("1"), SET("a"), NONE}, new[] = {SET("1"), SET("b"), NONE};
    struct change c = {.op = OP_UPDATE, .rel = &rel, .old = OLD_FULL, .before = old, .after = new};
    prints(&c, false, "00:00:00.000042  UPDATE   public.t  id=1  name=a -> b\n");
    /* without a key nothing else tells the row */
    struct relation keyless = rel;
    keyless.key_count = 0;
    c.rel = &keyless;
    prints(&c, false, "00:00:00.000042  UPDATE   public.t  id=1  name=a -> b  note=NULL\n");
}
END_TEST

START_TEST(update_with_a_key_or_nothing)
{
    const struct value old[] = {SET("1"), ABSENT, ABSENT}, new[] = {SET("2"), SET("b"), SAME};
    struct change c = {.op = OP_UPDATE, .rel = &rel, .old = OLD_KEY, .before = old, .after = new};
    prints(&c, false,
           "00:00:00.000042  UPDATE   public.t  id=1 -> 2  name=b  note=(unchanged)\n");
    c.old = OLD_NONE;
    c.before = NULL;
    prints(&c, false, "00:00:00.000042  UPDATE   public.t  id=2  name=b  note=(unchanged)\n");
}
END_TEST

START_TEST(others)
{
    const struct value old[] = {SET("1"), ABSENT, ABSENT};
    struct change c = {.op = OP_DELETE, .rel = &rel, .old = OLD_KEY, .before = old};
    prints(&c, false, "00:00:00.000042  DELETE   public.t  id=1\n");
    c = (struct change){.op = OP_TRUNCATE, .rel = &rel, .truncate_cascade = true};
    prints(&c, false, "00:00:00.000042  TRUNCATE public.t  cascade\n");
    c = (struct change){.op = OP_MESSAGE, .prefix = STR("app"), .content = STR("x\ny")};
    prints(&c, false, "00:00:00.000042  MESSAGE  \"app\"  \"x\\ny\"\n");
}
END_TEST

START_TEST(long_values_are_cut_between_characters)
{
    char text[302];
    struct buf out = BUF_INIT;
    memset(text, 'x', sizeof text);
    memcpy(text + 199, "\xc3\xa9", 2); /* would be cut at 200 */
    const struct value row[] = {SET("1"), NONE, {VALUE_SET, {text, sizeof text}}};
    struct change c = {.op = OP_CREATE, .rel = &rel, .after = row};
    tail_text_add(&out, &c, &txn, false);
    ck_assert_msg(strstr(out.p, "xxx...(302 bytes)\n") != NULL, "%s", out.p);
    ck_assert(strstr(out.p, "\xc3") == NULL && strstr(out.p, "\xef\xbf\xbd") == NULL);
    buf_free(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tail");
    TCase *t = tcase_create("text");
    tcase_add_test(t, insert_has_all_columns);
    tcase_add_test(t, text_cannot_pass_for_something_else);
    tcase_add_test(t, update_shows_what_differs);
    tcase_add_test(t, update_with_a_key_or_nothing);
    tcase_add_test(t, others);
    tcase_add_test(t, long_values_are_cut_between_characters);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
