/* SPDX-License-Identifier: Apache-2.0
 * agent/cli/docs, man, completion: every row is on every page. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/err.h"
#include "agent/base/metric.h"
#include "agent/cli/command.h"
#include "agent/cli/docs.h"
#include "agent/cli/option.h"
#include "tests/unit/cli/test_cli.h"

START_TEST(pages_hold_every_row)
{
    struct buf metrics = BUF_INIT, errors = BUF_INIT, cli = BUF_INIT;
    const struct command *command;
    char text[128];
    docs_metrics(&metrics);
    docs_errors(&errors);
    docs_cli(&cli);
    for (int id = 0; id < METRIC_COUNT; id++) {
        snprintf(text, sizeof text, "| `%s` | ", metric_name((enum metric_id) id));
        ck_assert_msg(strstr(metrics.p, text), "%s", text);
    }
    for (int code = 1; code < ERR_CODES; code++) {
        snprintf(text, sizeof text, "| `%s` | ", err_name((enum err_code) code));
        ck_assert_msg(strstr(errors.p, text), "%s", text);
    }
    for (int at = 0; (command = command_row(at)); at++) {
        snprintf(text, sizeof text, "## tailrace %s\n", command->name);
        ck_assert_msg(strstr(cli.p, text), "%s", text);
    }
    buf_free(&metrics);
    buf_free(&errors);
    buf_free(&cli);
}
END_TEST

START_TEST(cells_keep_tables_whole)
{
    struct buf cell = BUF_INIT;
    docs_add_cell(&cell, "a|b <c>");
    ck_assert_str_eq(cell.p, "a\\|b \\<c>");
    buf_free(&cell);
}
END_TEST

/* What mandoc's lint does not tell: the page is about what its name says, and it is whole. */
START_TEST(man_pages)
{
    struct buf page = BUF_INIT;
    const struct command *command;
    const struct flag *flag;
    char name[64], text[128];
    ck_assert(!man_page(STR("tailrace-nothing"), &page) && !page.len);
    ck_assert(!man_page(STR("nothing"), &page) && !page.len);
    ck_assert(man_page(STR("tailrace"), &page));
    for (int at = 0; (command = command_row(at)); at++) {
        snprintf(text, sizeof text, ".Xr tailrace-%s 1 ,\n", command->name);
        ck_assert_msg(strstr(page.p, text), "%s", text);
    }
    for (int at = 0; (command = command_row(at)); at++) {
        buf_reset(&page);
        snprintf(name, sizeof name, "tailrace-%s", command->name);
        ck_assert(man_page(str_of(name), &page));
        for (int row = 0; (flag = flag_row(row)); row++) {
            snprintf(text, sizeof text, ".It Fl \\-%s%s", flag->name, *flag->metavar ? " " : "\n");
            ck_assert_msg(!command_flag(command, str_of(flag->name)) == !strstr(page.p, text),
                          "%s: %s", name, text);
        }
    }
    buf_reset(&page);
    ck_assert(man_page(STR("tailrace.yaml"), &page));
    for (int row = 0; row < OPTION_ROWS; row++) {
        snprintf(text, sizeof text, "\n.It Cm %s ", option_row(row)->name);
        ck_assert_msg(strstr(page.p, text), "%s", text);
    }
    buf_free(&page);
}
END_TEST

START_TEST(completions)
{
    static const char *const shells[] = {"bash", "zsh", "fish"};
    const struct command *command;
    const struct flag *flag;
    struct buf script = BUF_INIT;
    ck_assert(!completion(STR("tcsh"), &script) && !script.len);
    for (int shell = 0; shell < 3; shell++) {
        buf_reset(&script);
        ck_assert(completion(str_of(shells[shell]), &script));
        for (int at = 0; (command = command_row(at)); at++)
            ck_assert_msg(strstr(script.p, command->name), "%s: %s", shells[shell], command->name);
        for (int at = 0; (flag = flag_row(at)); at++)
            ck_assert_msg(strstr(script.p, flag->name), "%s: --%s", shells[shell], flag->name);
    }
    buf_free(&script);
}
END_TEST

/* bash itself completes; what it offers is in the table. */
START_TEST(bash_completes)
{
    struct buf script = BUF_INIT;
    static const char *const asks[][2] = {
        {"tailrace co", "config"},
        {"tailrace config ch", "check"},
        {"tailrace run --l", "--live"},
        {"tailrace --config x.yaml ve", "verify version"},
        {"tailrace help pa", "parked"},
    };
    ck_assert(completion(STR("bash"), &script));
    for (size_t at = 0; at < sizeof asks / sizeof *asks; at++) {
        char got[256] = "";
        setenv("TR_TEST_SCRIPT", script.p, 1);
        setenv("TR_TEST_WORDS", asks[at][0], 1);
        FILE *shell = popen("bash -c 'eval \"$TR_TEST_SCRIPT\"; COMP_WORDS=($TR_TEST_WORDS); "
                            "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _tailrace; "
                            "echo \"${COMPREPLY[*]}\"'", "r");
        ck_assert_ptr_nonnull(shell);
        ck_assert_ptr_nonnull(fgets(got, sizeof got, shell));
        ck_assert_int_eq(pclose(shell), 0);
        got[strcspn(got, "\n")] = 0;
        ck_assert_str_eq(got, asks[at][1]);
    }
    buf_free(&script);
}
END_TEST

void add_docs_tests(Suite *suite)
{
    TCase *tests = tcase_create("docs");
    tcase_add_test(tests, pages_hold_every_row);
    tcase_add_test(tests, cells_keep_tables_whole);
    tcase_add_test(tests, man_pages);
    tcase_add_test(tests, completions);
    tcase_add_test(tests, bash_completes);
    suite_add_tcase(suite, tests);
}
