/* SPDX-License-Identifier: Apache-2.0
 * schemas: the embedded registry and the rules of compatibility (tests/cases/evolve.tsv). */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/arena.h"
#include "schemas/registry.h"

static char dir[64];
static struct store *store;

static void open_store(void)
{
    struct err e = ERR_INIT;
    ck_assert_msg(store_open(dir, (uint64_t) 64 << 20, false, &store, &e) == 0, "%s", e.msg);
}

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/test_registry.XXXXXX");
    ck_assert(mkdtemp(dir) != NULL);
    open_store();
}

static void drop_dir(void)
{
    char command[128];
    store_close(store);
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

static struct registry *open_registry(enum compatibility level)
{
    struct err e = ERR_INIT;
    struct registry *r = registry_local_open(store, level, &e);
    ck_assert_msg(r != NULL, "%s", e.msg);
    return r;
}

static int add(struct registry *r, const char *subject, const char *text)
{
    struct err e = ERR_INIT;
    int id = -1;
    ck_assert_msg(registry_add(r, str_of(subject), str_of(text), &id, &e) == 0, "%s", e.msg);
    return id;
}

static void expect_text(struct registry *r, int id, const char *want)
{
    struct err e = ERR_INIT;
    struct arena a;
    struct str text;
    arena_init(&a, 0, "test");
    ck_assert_msg(registry_text(r, id, &a, &text, &e) == 0, "%s", e.msg);
    ck_assert(str_is(text, want));
    arena_free(&a);
}

static int list(void *self, struct str subject, int version, int id)
{
    buf_addf(self, "%.*s %d %d\n", STR_ARG(subject), version, id);
    return 0;
}

static void expect_list(struct registry *r, const char *want)
{
    struct buf out = BUF_INIT;
    struct err e = ERR_INIT;
    ck_assert(r->driver->each(r, &out, list, &e) == 0);
    ck_assert_str_eq(out.p ? out.p : "", want);
    buf_free(&out);
}

START_TEST(one_text_one_id)
{
    struct registry *r = open_registry(COMPAT_NONE);
    struct err e = ERR_INIT;
    struct arena a;
    struct str text;
    const char *want = "a-key 1 2\na-value 1 1\na-value 2 3\nb-value 1 1\n";
    expect_list(r, "");
    ck_assert_int_eq(add(r, "a-value", "\"int\""), 1);
    ck_assert_int_eq(add(r, "a-key", "\"string\""), 2);
    ck_assert_int_eq(add(r, "b-value", "\"int\""), 1);
    ck_assert_int_eq(add(r, "a-value", "\"boolean\""), 3);
    ck_assert_int_eq(add(r, "a-value", "\"int\""), 1); /* an old version again is no new one */
    expect_list(r, want);
    registry_close(r);
    store_close(store);
    open_store();
    r = open_registry(COMPAT_NONE);
    expect_list(r, want);
    expect_text(r, 3, "\"boolean\"");
    arena_init(&a, 0, "test");
    ck_assert(registry_text(r, 4, &a, &text, &e) == -1 && e.code == E_SCHEMA);
    ck_assert(registry_text(r, 0, &a, &text, &e) == -1 && e.code == E_SCHEMA);
    arena_free(&a);
    int id;
    ck_assert(registry_add(r, STR_NONE, STR("\"int\""), &id, &e) == -1 && e.code == E_SCHEMA);
    ck_assert_int_eq(add(r, "a-value", "\"long\""), 4);
    registry_close(r);
}
END_TEST

START_TEST(backward_is_held_against_the_latest)
{
    struct registry *r = open_registry(COMPAT_BACKWARD);
    struct err e = ERR_INIT;
    int id = -1;
    add(r, "t-value", "\"int\"");
    add(r, "t-value", "\"long\"");
    ck_assert(registry_add(r, STR("t-value"), STR("\"string\""), &id, &e) == -1);
    ck_assert_int_eq(e.code, E_SCHEMA);
    ck_assert_msg(strstr(e.msg, "t-value") && strstr(e.msg, "long cannot be read as string"), "%s", e.msg);
    ck_assert_int_eq(add(r, "other-value", "\"string\""), 3); /* nothing was kept of it */
    expect_list(r, "other-value 1 3\nt-value 1 1\nt-value 2 2\n");
    registry_close(r);
}
END_TEST

START_TEST(a_hole_in_the_state_is_told)
{
    struct registry *r = open_registry(COMPAT_NONE);
    struct err e = ERR_INIT;
    struct store_txn *t;
    add(r, "a", "\"int\"");
    add(r, "a", "\"long\"");
    add(r, "a", "\"float\"");
    registry_close(r);
    ck_assert(store_begin(store, &t, &e) == 0);
    ck_assert(store_delete(t, STORE_SCHEMAS, (struct str){"\0\0\0\2", 4}, &e) == 0);
    ck_assert(store_commit(t, &e) == 0);
    ck_assert(registry_local_open(store, COMPAT_NONE, &e) == NULL);
    ck_assert_int_eq(e.code, E_CORRUPT);
}
END_TEST

static void *add_many(void *self)
{
    char text[64];
    struct err e = ERR_INIT;
    for (int at = 0; at < 40; at++) {
        int id;
        snprintf(text, sizeof text, "{\"type\":\"fixed\",\"name\":\"f%d\",\"size\":1}", at);
        if (registry_add(self, STR("s-value"), str_of(text), &id, &e) != 0 || id < 1 || id > 40)
            return "failed";
    }
    return NULL;
}

START_TEST(many_threads_one_id_each)
{
    struct registry *r = open_registry(COMPAT_NONE);
    pthread_t threads[4];
    void *fault;
    for (int at = 0; at < 4; at++)
        ck_assert(pthread_create(&threads[at], NULL, add_many, r) == 0);
    for (int at = 0; at < 4; at++)
        ck_assert(pthread_join(threads[at], &fault) == 0 && !fault);
    ck_assert_int_eq(add(r, "s-value", "\"int\""), 41);
    registry_close(r);
}
END_TEST

/* ---- compatibility ---- */

static void check_case(char *line, int number)
{
    char *fields[4], *rest = line;
    struct err e = ERR_INIT;
    for (int at = 0; at < 4; at++)
        fields[at] = strsep(&rest, "\t");
    ck_assert_msg(fields[3] != NULL && fields[3][0], "line %d has no source", number);
    int rc = schema_check_backward(str_of(fields[1]), str_of(fields[0]), &e);
    if (strcmp(fields[2], "ok") == 0) {
        ck_assert_msg(rc == 0, "line %d: %s", number, e.msg);
        return;
    }
    ck_assert_msg(rc == -1 && e.code == E_SCHEMA, "line %d: should be refused", number);
    ck_assert_msg(strstr(e.msg, fields[2]) != NULL, "line %d: %s", number, e.msg);
}

START_TEST(rules_of_compatibility)
{
    char path[512], line[4096];
    int number = 0, cases = 0;
    snprintf(path, sizeof path, "%s/tests/cases/evolve.tsv", getenv("TR_SRCDIR") ? getenv("TR_SRCDIR") : ".");
    FILE *in = fopen(path, "r");
    ck_assert_msg(in != NULL, "%s", path);
    while (fgets(line, sizeof line, in)) {
        number++;
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '#' || !line[0])
            continue;
        check_case(line, number);
        cases++;
    }
    fclose(in);
    ck_assert_int_gt(cases, 50);
}
END_TEST

START_TEST(deep_and_wide_schemas_end)
{
    struct buf deep = BUF_INIT, wide = BUF_INIT;
    struct err e = ERR_INIT;
    for (int at = 0; at < 500; at++)
        buf_add_text(&deep, "{\"type\":\"array\",\"items\":");
    buf_add_text(&deep, "\"int\"");
    for (int at = 0; at < 500; at++)
        buf_add_char(&deep, '}');
    ck_assert_msg(schema_check_backward(buf_str(&deep), buf_str(&deep), &e) == 0, "%s", e.msg);
    buf_add_text(&wide, "{\"type\":\"record\",\"name\":\"r\",\"fields\":[");
    for (int at = 0; at < 30000; at++)
        buf_addf(&wide, "%s{\"name\":\"f%d\",\"type\":\"int\"}", at ? "," : "", at);
    buf_add_text(&wide, "]}");
    ck_assert(schema_check_backward(buf_str(&wide), buf_str(&wide), &e) == -1 && e.code == E_SCHEMA);
    buf_free(&deep);
    buf_free(&wide);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("registry");
    TCase *t = tcase_create("registry");
    tcase_add_checked_fixture(t, make_dir, drop_dir);
    tcase_set_timeout(t, 30);
    tcase_add_test(t, one_text_one_id);
    tcase_add_test(t, backward_is_held_against_the_latest);
    tcase_add_test(t, a_hole_in_the_state_is_told);
    tcase_add_test(t, many_threads_one_id_each);
    tcase_add_test(t, rules_of_compatibility);
    tcase_add_test(t, deep_and_wide_schemas_end);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
