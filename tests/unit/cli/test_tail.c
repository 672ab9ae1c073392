/* SPDX-License-Identifier: Apache-2.0
 * agent/cli/tail: changes as lines of text, and what the printers write. */
#include <avro.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

static struct tail_printer *printer(enum tail_format format, struct buf *out)
{
    return tail_printer_open(format, false, STR("shop"), &clock_system, out);
}

START_TEST(json_is_a_line_an_event)
{
    struct err e = ERR_INIT;
    struct buf out = BUF_INIT;
    struct tail_printer *p = printer(TAIL_JSON, &out);
    const struct value old[] = {SET("1"), ABSENT, ABSENT}, new[] = {SET("2"), SET("b"), NONE};
    struct change c = {.op = OP_UPDATE, .rel = &rel, .old = OLD_KEY, .before = old, .after = new};
    ck_assert_msg(!tail_print(p, &c, &txn, &e), "%s", e.msg);
    /* a key change is a delete and a create, as on the bus */
    const char *second = strchr(out.p, '\n') + 1;
    ck_assert(strstr(out.p, "\"op\":\"d\"") && strstr(out.p, "\"op\":\"d\"") < second);
    ck_assert(strstr(second, "\"op\":\"c\"") && strstr(second, "\"db\":\"shop\""));
    ck_assert_ptr_eq(strchr(second, '\n') + 1, out.p + out.len);
    tail_printer_close(p);
    buf_free(&out);
}
END_TEST

/* Records that avro-c reads from a container file; -1 when it cannot. The name field of each row
 * is put to names. */
static int read_container(struct str bytes, struct buf *names)
{
    char path[] = "/tmp/tailrace-test-avro-XXXXXX";
    int fd = mkstemp(path), count = 0;
    ck_assert(fd >= 0 && write(fd, bytes.p, bytes.len) == (ssize_t) bytes.len);
    close(fd);
    avro_file_reader_t reader;
    ck_assert_msg(!avro_file_reader(path, &reader), "%s", avro_strerror());
    avro_schema_t schema = avro_file_reader_get_writer_schema(reader);
    avro_value_iface_t *type = avro_generic_class_from_schema(schema);
    avro_value_t value, after, row, name, text;
    avro_generic_value_new(type, &value);
    while (!avro_file_reader_read_value(reader, &value)) {
        const char *p;
        size_t len;
        count++;
        ck_assert(!avro_value_get_by_name(&value, "after", &after, NULL));
        ck_assert(!avro_value_get_current_branch(&after, &row));
        ck_assert(!avro_value_get_by_name(&row, "name", &name, NULL));
        ck_assert(!avro_value_get_current_branch(&name, &text));
        ck_assert(!avro_value_get_string(&text, &p, &len));
        buf_addf(names, "%s ", p);
        avro_value_reset(&value);
    }
    avro_value_decref(&value);
    avro_value_iface_decref(type);
    avro_schema_decref(schema);
    avro_file_reader_close(reader);
    unlink(path);
    return count;
}

START_TEST(avro_is_a_container_file)
{
    struct err e = ERR_INIT;
    struct buf out = BUF_INIT, names = BUF_INIT;
    struct tail_printer *p = printer(TAIL_AVRO, &out);
    const struct value first[] = {SET("1"), SET("a"), NONE}, second[] = {SET("2"), SET("b"), NONE};
    struct change c = {.op = OP_CREATE, .rel = &rel, .after = first};
    ck_assert_msg(!tail_print(p, &c, &txn, &e), "%s", e.msg);
    c.after = second;
    ck_assert_msg(!tail_print(p, &c, &txn, &e), "%s", e.msg);
    ck_assert(!tail_print_end(p, &rel, &e));
    ck_assert_int_eq(read_container(buf_str(&out), &names), 2);
    ck_assert_str_eq(names.p, "a b ");
    /* other columns are another schema */
    struct relation less = rel;
    less.version = 2;
    less.column_count = 2;
    c.rel = &less;
    ck_assert_int_eq(tail_print(p, &c, &txn, &e), -1);
    ck_assert_int_eq(e.code, E_SCHEMA);
    tail_printer_close(p);
    buf_free(&out);
    buf_free(&names);
}
END_TEST

START_TEST(avro_without_changes_is_a_file_too)
{
    struct err e = ERR_INIT;
    struct buf out = BUF_INIT, names = BUF_INIT;
    struct tail_printer *p = printer(TAIL_AVRO, &out);
    ck_assert_msg(!tail_print_end(p, &rel, &e), "%s", e.msg);
    ck_assert_int_eq(read_container(buf_str(&out), &names), 0);
    tail_printer_close(p);
    buf_reset(&out);
    p = printer(TAIL_JSON, &out);
    ck_assert(!tail_print_end(p, &rel, &e) && !out.len);
    tail_printer_close(p);
    buf_free(&out);
    buf_free(&names);
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
    t = tcase_create("events");
    tcase_add_test(t, json_is_a_line_an_event);
    tcase_add_test(t, avro_is_a_container_file);
    tcase_add_test(t, avro_without_changes_is_a_file_too);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
