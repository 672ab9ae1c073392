/* SPDX-License-Identifier: Apache-2.0
 * agent/cli/secret and expand: files, credentials, commands, variables. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cli/expand.h"
#include "agent/cli/secret.h"
#include "tests/unit/cli/test_cli.h"

static struct arena arena;
static char directory[64], file[96];

static void set_up(void)
{
    arena_init(&arena, 0, "test");
    snprintf(directory, sizeof directory, "/tmp/tailrace-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/dsn", directory);
}

static void tear_down(void)
{
    unlink(file);
    rmdir(directory);
    arena_free(&arena);
}

static void write_file(const char *text, mode_t mode)
{
    unlink(file);
    FILE *out = fopen(file, "w");
    ck_assert_ptr_nonnull(out);
    fputs(text, out);
    fclose(out);
    ck_assert_int_eq(chmod(file, mode), 0);
}

static int read_it(struct str *out, struct err *e)
{
    return secret_file(&arena, directory, STR("dsn"), out, e);
}

START_TEST(file_of_one_line)
{
    struct err e = ERR_INIT;
    struct str out;
    write_file("dbname=x\r\n", 0600);
    ck_assert_msg(read_it(&out, &e) == 0, "%s", e.msg);
    ck_assert_str_eq(out.p, "dbname=x");
    write_file("dbname=x", 0440);
    ck_assert_int_eq(secret_file(&arena, "", str_of(file), &out, &e), 0);
    ck_assert_str_eq(out.p, "dbname=x");
}
END_TEST

START_TEST(files_refused)
{
    struct err e = ERR_INIT;
    struct str out;
    write_file("dbname=x\n", 0604);
    ck_assert_int_eq(read_it(&out, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.msg, "mode 604"));
    write_file("a\nb\n", 0600);
    ck_assert_int_eq(read_it(&out, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.msg, "more than one line"));
    write_file("\n", 0600);
    ck_assert_int_eq(read_it(&out, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.msg, "is empty"));
    ck_assert_int_eq(secret_file(&arena, "", str_of(directory), &out, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.msg, "regular file"));
    char *large = calloc(1, SECRET_MAX_BYTES + 2);
    memset(large, 'x', SECRET_MAX_BYTES + 1);
    write_file(large, 0600);
    free(large);
    ck_assert_int_eq(read_it(&out, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.msg, "holds more than"));
}
END_TEST

START_TEST(credentials)
{
    struct err e = ERR_INIT;
    struct str out;
    write_file("dbname=x\n", 0400);
    ck_assert_int_eq(secret_credential(&arena, STR("dsn"), &out, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.msg, "CREDENTIALS_DIRECTORY"));
    setenv("CREDENTIALS_DIRECTORY", directory, 1);
    ck_assert_msg(secret_credential(&arena, STR("dsn"), &out, &e) == 0, "%s", e.msg);
    ck_assert_str_eq(out.p, "dbname=x");
    ck_assert_int_eq(secret_credential(&arena, STR("../dsn"), &out, &e), -1);
    ck_assert_int_eq(secret_credential(&arena, STR(".."), &out, &e), -1);
    unsetenv("CREDENTIALS_DIRECTORY");
}
END_TEST

static int run(const char *script, struct str *out, struct err *e)
{
    char *argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, strdup(script), NULL};
    int rc = secret_command(&arena, argv, out, e);
    free(argv[2]);
    return rc;
}

START_TEST(commands)
{
    struct err e = ERR_INIT;
    struct str out;
    ck_assert_msg(run("echo 'dbname=x'", &out, &e) == 0, "%s", e.msg);
    ck_assert_str_eq(out.p, "dbname=x");
    ck_assert_int_eq(run("echo hunter2; exit 3", &out, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.msg, "exit code 3"));
    ck_assert_ptr_null(strstr(e.msg, "hunter2"));
    ck_assert_int_eq(run("kill -9 $$", &out, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.msg, "signal 9"));
    /* Without an end it is cut off, not followed. */
    ck_assert_int_eq(run("exec yes", &out, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.msg, "holds more than"));
    char *argv[] = {(char[]){"/nonexistent/command"}, NULL};
    ck_assert_int_eq(secret_command(&arena, argv, &out, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.msg, "cannot start"));
}
END_TEST

static void variable_row(const struct str *column)
{
    struct err e = ERR_INIT;
    struct str out = STR_NONE;
    bool ok = expand_text(&arena, column[0], &out, &e) == 0;
    struct str got = ok ? out : STR("error");
    ck_assert_msg(str_eq(got, column[1]), "%.*s gives %.*s", STR_ARG(column[0]), STR_ARG(got));
}

START_TEST(variables)
{
    setenv("TR_TEST_A", "one", 1);
    setenv("TR_TEST_EMPTY", "", 1);
    ck_assert_int_ge(test_rows("tests/cases/variables.tsv", 3, variable_row), 15);
}
END_TEST

void add_secret_tests(Suite *suite)
{
    TCase *tests = tcase_create("secret");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, file_of_one_line);
    tcase_add_test(tests, files_refused);
    tcase_add_test(tests, credentials);
    tcase_add_test(tests, commands);
    tcase_add_test(tests, variables);
    suite_add_tcase(suite, tests);
}
