/* SPDX-License-Identifier: Apache-2.0
 * agent/net: error classes by SQLSTATE, quoting. What needs a server is in tests/integration. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/net/pg.h"

START_TEST(error_codes_follow_the_table)
{
    char path[512], line[256], state[8], name[32];
    int rows = 0;
    snprintf(path, sizeof path, "%s/tests/cases/pg_err_code.tsv", getenv("TR_SRCDIR"));
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#')
            continue;
        ck_assert_int_eq(sscanf(line, "%7s %31s", state, name), 2);
        ck_assert_msg(strcmp(err_name(pg_err_code(state)), name) == 0, "%s is %s, not %s", state,
                      err_name(pg_err_code(state)), name);
        rows++;
    }
    fclose(f);
    ck_assert_int_ge(rows, 20);
    ck_assert_int_eq(pg_err_code(""), E_PG_CONNECT);
    ck_assert_int_eq(pg_err_code(NULL), E_PG_CONNECT);
}
END_TEST

START_TEST(quoting_doubles_the_quote)
{
    struct buf b = BUF_INIT;
    pg_add_table(&b, STR("a\"b"), STR("c'd.e"));
    ck_assert_str_eq(b.p, "\"a\"\"b\".\"c'd.e\"");
    buf_reset(&b);
    pg_add_literal(&b, STR("it's \\ \"x\""));
    ck_assert_str_eq(b.p, "'it''s \\ \"x\"'");
    buf_reset(&b);
    pg_add_ident(&b, STR_NONE);
    ck_assert_str_eq(b.p, "\"\"");
    buf_free(&b);
}
END_TEST

static struct env test_env(void)
{
    struct env env = {.log = log_open(2, &clock_system), .clock = &clock_system, .stop_fd = -1};
    return env;
}

START_TEST(connecting_never_tells_the_secret)
{
    struct env env = test_env();
    struct err e = ERR_INIT;
    ck_assert_ptr_null(pg_connect(&env, "password=geheim nonsense", PG_SQL, "source", &e));
    ck_assert_int_eq(e.code, E_CONFIG);
    ck_assert_ptr_null(strstr(e.msg, "geheim"));
    err_clear(&e);
    ck_assert_ptr_null(pg_connect(&env, "host=/nonexistent password=geheim", PG_SQL, "source", &e));
    ck_assert_int_eq(e.code, E_PG_CONNECT);
    ck_assert_ptr_null(strstr(e.msg, "geheim"));
    ck_assert_ptr_nonnull(strstr(e.msg, "source: "));
    log_close(env.log);
}
END_TEST

START_TEST(stop_now_ends_a_connect)
{
    struct env env = test_env();
    struct err e = ERR_INIT;
    atomic_store(&env.stop, STOP_NOW);
    /* An address of the documentation range answers nobody. */
    ck_assert_ptr_null(pg_connect(&env, "host=192.0.2.1 user=x", PG_SQL, "source", &e));
    ck_assert(e.code == E_STOPPED || e.code == E_PG_CONNECT);
    log_close(env.log);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("net");
    TCase *t = tcase_create("pg");
    tcase_add_test(t, error_codes_follow_the_table);
    tcase_add_test(t, quoting_doubles_the_quote);
    tcase_add_test(t, connecting_never_tells_the_secret);
    tcase_add_test(t, stop_now_ends_a_connect);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
