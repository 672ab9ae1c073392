/* SPDX-License-Identifier: Apache-2.0
 * agent/cli: runs its suites in a known environment. */
#include "tests/unit/cli/test_cli.h"

#include <stdio.h>
#include <stdlib.h>

struct buf test_file(const char *path)
{
    char full[4096], part[4096];
    struct buf text = BUF_INIT;
    size_t got;
    snprintf(full, sizeof full, "%s/%s", getenv("TR_SRCDIR"), path);
    FILE *file = fopen(full, "r");
    ck_assert_msg(file != NULL, "cannot open %s", full);
    while ((got = fread(part, 1, sizeof part, file)) > 0)
        buf_add(&text, part, got);
    fclose(file);
    return text;
}

int test_rows(const char *path, int columns, void (*row)(const struct str *column))
{
    struct buf text = test_file(path);
    struct str left = buf_str(&text), column[8];
    int rows = 0;
    while (left.len) {
        const char *end = memchr(left.p, '\n', left.len);
        ck_assert_msg(end != NULL, "%s: last line has no end", path);
        struct str line = {left.p, (size_t) (end - left.p)};
        left = (struct str){end + 1, left.len - line.len - 1};
        if (str_starts(line, "# "))
            continue;
        for (int at = 0; at < columns; at++) {
            const char *tab = line.len ? memchr(line.p, '\t', line.len) : NULL;
            ck_assert_msg(tab || at == columns - 1, "%s: too few columns", path);
            column[at] = tab ? (struct str){line.p, (size_t) (tab - line.p)} : line;
            if (tab)
                line = (struct str){tab + 1, line.len - column[at].len - 1};
        }
        row(column);
        rows++;
    }
    buf_free(&text);
    return rows;
}

int main(void)
{
    Suite *suite = suite_create("agent/cli");
    unsetenv("CREDENTIALS_DIRECTORY");
    unsetenv("PGHOST");
    unsetenv("PGSSLMODE");
    unsetenv("STATE_DIRECTORY");
    unsetenv("TR_TEST_UNSET");
    setenv("TR_TEST_LINES", "a\nb", 1);
    add_config_tests(suite);
    add_secret_tests(suite);
    add_parse_tests(suite);
    add_docs_tests(suite);
    add_init_tests(suite);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
