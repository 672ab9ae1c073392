/* SPDX-License-Identifier: Apache-2.0
 * agent/source/preflight without a server: what can be told of a source that is not there, and of
 * places for the state. The findings about servers are tested by tests/integration/check.sh. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/source/preflight_local.h"

struct seen {
    struct buf text; /* "level name code\n" a finding */
};

static void take_finding(void *self, enum finding_level level, enum err_code code, const char *name,
                const char *sentence, const char *hint)
{
    struct seen *s = self;
    buf_addf(&s->text, "%d %s %s\n", (int) level, name, err_name(code));
    ck_assert_msg(sentence[0] != 0, "%s has no sentence", name);
    ck_assert_msg(level == FINDING_PASS || hint[0], "%s has no hint", name);
}

static struct str look(const char *state, int64_t max_mb, struct seen *s)
{
    const struct env env = {.clock = &clock_system, .stop_fd = -1};
    struct config config = {.state = state, .bus = {.max_mb = max_mb}};
    const struct finding_out out = {s, take_finding};
    struct err e = ERR_INIT;
    config.source.postgres = "host=/nowhere/at/all dbname=x";
    buf_reset(&s->text);
    ck_assert_int_eq(preflight_source(&env, &config, &out, &e), -1);
    ck_assert_int_eq(e.code, E_PG_CONNECT);
    return buf_str(&s->text);
}

START_TEST(places_for_the_state)
{
    struct seen s = {.text = BUF_INIT};
    char dir[] = "/var/tmp/tailrace-preflight-XXXXXX", path[128];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert(str_starts(look(dir, 1, &s), "2 connect pg_connect\n0 state none\n0 file_system none\n"));
    snprintf(path, sizeof path, "%s/a/b/c", dir);
    ck_assert(str_starts(look(path, 1, &s), "2 connect pg_connect\n0 state none\n"));
    ck_assert_ptr_null(strstr(s.text.p, "disk_full"));
    look(dir, INT64_C(1000000000), &s);
    ck_assert_ptr_nonnull(strstr(s.text.p, "1 disk_space disk_full\n"));
    ck_assert_int_eq(chmod(dir, 0755), 0);
    look(dir, 1, &s);
    ck_assert_ptr_nonnull(strstr(s.text.p, "1 state state_dir\n"));
    snprintf(path, sizeof path, "%s/file", dir);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fclose(f);
    ck_assert_int_eq(chmod(path, 0777), 0);
    look(path, 1, &s);
    ck_assert_ptr_nonnull(strstr(s.text.p, "2 state state_dir\n"));
    ck_assert_ptr_null(strstr(s.text.p, "file_system"));
    unlink(path);
    rmdir(dir);
    buf_free(&s.text);
}
END_TEST

START_TEST(lists_of_output_plugins)
{
    static const struct {
        const char *list;
        bool has;
    } rows[] = {{"pgoutput", true},
                {"pgoutput, test_decoding", true},
                {"test_decoding,pgoutput", true},
                {"\"pgoutput\"", true},
                {"$libdir/pgoutput", true},
                {"", false},
                {"test_decoding", false},
                {"pgoutput2, my_pgoutput", false},
                {"my_pgoutput, pgoutput", true}};
    for (size_t at = 0; at < sizeof rows / sizeof rows[0]; at++)
        ck_assert_msg(preflight_lists_plugin(rows[at].list, "pgoutput") == rows[at].has, "%s",
                      rows[at].list);
}
END_TEST

START_TEST(long_lists_of_names_are_cut)
{
    struct buf names = BUF_INIT;
    for (int at = 0; at < PREFLIGHT_NAMES_MAX + 7; at++)
        preflight_add_name(&names, at, STR("public"), STR("t"));
    preflight_end_names(&names, PREFLIGHT_NAMES_MAX + 7);
    ck_assert_ptr_nonnull(strstr(names.p, "public.t, public.t"));
    ck_assert_ptr_nonnull(strstr(names.p, "public.t and 7 more"));
    buf_free(&names);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("preflight");
    TCase *t = tcase_create("preflight");
    tcase_add_test(t, places_for_the_state);
    tcase_add_test(t, lists_of_output_plugins);
    tcase_add_test(t, long_lists_of_names_are_cut);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
