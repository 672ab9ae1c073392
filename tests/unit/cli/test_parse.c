/* SPDX-License-Identifier: Apache-2.0
 * agent/cli/cli: command lines; help. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/cli/cli.h"
#include "agent/cli/help.h"
#include "tests/unit/cli/test_cli.h"

#define WORDS_MAX 16

/* Words with one blank between them to an argv; the text is cut up. */
static int split(char *text, char **argv)
{
    char *save = NULL;
    int argc = 0;
    static char program[] = "tailrace";
    argv[argc++] = program;
    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        ck_assert_int_lt(argc, WORDS_MAX);
        argv[argc++] = word;
    }
    return argc;
}

static void line_row(const struct str *column)
{
    char text[256], *argv[WORDS_MAX + 1];
    struct buf got = BUF_INIT;
    struct err e = ERR_INIT;
    struct cli c;
    snprintf(text, sizeof text, "%.*s", STR_ARG(column[0]));
    int argc = split(text, argv);
    if (cli_parse(NULL, argc, argv, &c, &e) == 0) {
        buf_add_text(&got, c.command);
        for (int at = 0; at < c.arg_count; at++)
            buf_addf(&got, " %s", c.args[at]);
        for (int at = 0; at < c.flag_count; at++)
            if (strcmp(c.flags[at].name, "help") != 0)
                buf_addf(&got, " --%s=%s", c.flags[at].name, c.flags[at].value);
    } else {
        buf_add_text(&got, e.msg);
        ck_assert_int_eq(err_exit_code(&e), 2);
        ck_assert_msg(e.hint[0] != 0, "%s: no hint", e.msg);
    }
    ck_assert_msg(str_eq(buf_str(&got), column[1]), "\"%.*s\" is \"%s\", not \"%.*s\"",
                  STR_ARG(column[0]), got.p, STR_ARG(column[1]));
    buf_free(&got);
}

START_TEST(command_lines)
{
    ck_assert_int_ge(test_rows("tests/cases/command_lines.tsv", 3, line_row), 35);
}
END_TEST

static struct cli parse(char *text)
{
    char *argv[WORDS_MAX + 1];
    struct err e = ERR_INIT;
    struct cli c;
    int argc = split(text, argv);
    ck_assert_msg(cli_parse(NULL, argc, argv, &c, &e) == 0, "%s", e.msg);
    return c;
}

START_TEST(flags_have_defaults)
{
    char text[] = "tail dsn --count 3";
    struct err e = ERR_INIT;
    struct cli c = parse(text);
    int64_t number;
    ck_assert_str_eq(cli_flag(&c, "count"), "3");
    ck_assert_str_eq(cli_flag(&c, "table"), "*.*");
    ck_assert_str_eq(cli_flag(&c, "config"), "tailrace.yaml");
    ck_assert_ptr_null(cli_flag(&c, "format"));
    ck_assert_ptr_null(cli_flag(&c, "help"));
    ck_assert_int_eq(cli_number(&c, "count", 0, 10, &number, &e), 0);
    ck_assert_int_eq(number, 3);
    ck_assert_int_eq(cli_number(&c, "seconds", 0, 10, &number, &e), 0);
    ck_assert_int_eq(number, 0);
    ck_assert_int_eq(cli_number(&c, "count", 4, 10, &number, &e), -1);
    ck_assert_str_eq(e.msg, "--count is 3, not between 4 and 10");
    ck_assert_int_eq(err_exit_code(&e), 2);
    ck_assert_int_eq(cli_number(&c, "color", 4, 10, &number, &e), -1);
    ck_assert_str_eq(e.msg, "--color is \"auto\", not a whole number");
}
END_TEST

START_TEST(too_many_words)
{
    char text[] = "help a b c d e f g h i";
    char *argv[WORDS_MAX + 1];
    struct err e = ERR_INIT;
    struct cli c;
    int argc = split(text, argv);
    ck_assert_int_eq(cli_parse(NULL, argc, argv, &c, &e), -1);
    ck_assert_str_eq(e.msg, "more than 8 arguments");
}
END_TEST

static void check_lines(const struct buf *text)
{
    int width = 0;
    for (size_t at = 0; at < text->len; at++) {
        width = text->p[at] == '\n' ? 0 : width + 1;
        ck_assert_msg(width < 120, "a line of help is too wide: %.60s", text->p + at - 60);
    }
    ck_assert_int_eq(text->p[text->len - 1], '\n');
}

/* Every row is in the help, every flag and example belongs to a command that exists. */
START_TEST(help_is_complete)
{
    struct buf all = BUF_INIT, one = BUF_INIT;
    const struct command *command;
    const struct flag *flag;
    const struct example *example;
    help_program(&all);
    check_lines(&all);
    for (int at = 0; (command = command_row(at)); at++) {
        ck_assert_msg(strstr(all.p, command->summary) || strlen(command->summary) > 60, "%s",
                      command->name);
        buf_reset(&one);
        help_command(command, &one);
        check_lines(&one);
        ck_assert_ptr_nonnull(strstr(one.p, "--config=FILE"));
    }
    for (int at = 0; (flag = flag_row(at)); at++)
        ck_assert_msg(!*flag->command || command_find(str_of(flag->command)), "--%s", flag->name);
    for (int at = 0; (example = example_row(at)); at++)
        ck_assert_msg(command_find(str_of(example->command)) != NULL, "%s", example->line);
    buf_free(&all);
    buf_free(&one);
}
END_TEST

/* Every exit code of errors.def is explained. */
START_TEST(exit_codes_are_told)
{
    for (int error = 1; error < ERR_CODES; error++) {
        struct err e = ERR_INIT;
        const char *meaning;
        bool told = false;
        int code;
        (void) err_set(&e, (enum err_code) error, "x");
        for (int at = 0; help_exit_code(at, &code, &meaning); at++)
            told |= code == err_exit_code(&e);
        ck_assert_msg(told, "exit code %d of %s", err_exit_code(&e), err_name(e.code));
    }
}
END_TEST

void add_parse_tests(Suite *suite)
{
    TCase *tests = tcase_create("parse");
    tcase_add_test(tests, command_lines);
    tcase_add_test(tests, flags_have_defaults);
    tcase_add_test(tests, too_many_words);
    tcase_add_test(tests, help_is_complete);
    tcase_add_test(tests, exit_codes_are_told);
    suite_add_tcase(suite, tests);
}
