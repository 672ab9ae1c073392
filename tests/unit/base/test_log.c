/* SPDX-License-Identifier: Apache-2.0
 * agent/base/log: levels, forms, and lines that are held back. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/log.h"

/* 2026-01-02T03:04:05.678Z */
#define WALL_US INT64_C(1767323045678000)

struct hand {
    struct clock clock;
    int64_t mono_us;
};

static int64_t hand_wall(void *self)
{
    (void) self;
    return WALL_US;
}

static int64_t hand_mono(void *self)
{
    return ((struct hand *) self)->mono_us;
}

static struct hand hand;
static struct log *l;
static int ends[2];

static void open_log(void)
{
    hand = (struct hand){.clock = {.wall_us = hand_wall, .mono_us = hand_mono, .self = &hand}};
    ck_assert_int_eq(pipe(ends), 0);
    l = log_open(ends[1], &hand.clock);
}

static void close_log(void)
{
    log_close(l);
    close(ends[0]);
    close(ends[1]);
}

/* What was written since the last look. */
static const char *said(void)
{
    static char text[8192];
    ck_assert_int_eq(write(ends[1], "$", 1), 1);
    ssize_t n = read(ends[0], text, sizeof text - 1);
    ck_assert_int_gt(n, 0);
    text[n - 1] = 0;
    return text;
}

START_TEST(text_and_json)
{
    log_info(l, "source", "streaming%s%s", ": ", "a \"slot\"");
    ck_assert_str_eq(said(), "2026-01-02T03:04:05.678Z info  source: streaming: a \"slot\"\n");
    log_configure(l, LOG_LEVEL_WARN, LOG_FORMAT_JSON);
    log_info(l, "source", "not %s", "shown");
    log_warn(l, "source", "a \"%s\"", "b");
    ck_assert_str_eq(said(), "{\"time\":\"2026-01-02T03:04:05.678Z\",\"level\":\"warn\",\"part\":\"source\","
                             "\"msg\":\"a \\\"b\\\"\"}\n");
}
END_TEST

START_TEST(alike_lines_are_held_back_and_counted)
{
    for (int at = 0; at < 4; at++)
        log_info(l, "route a", "try %d", at);
    log_info(l, "route b", "try %d", 9); /* another speaker */
    ck_assert_str_eq(said(), "2026-01-02T03:04:05.678Z info  route a: try 0\n"
                             "2026-01-02T03:04:05.678Z info  route b: try 9\n");
    hand.mono_us += 10 * 1000000;
    log_info(l, "route a", "try %d", 4);
    ck_assert_str_eq(said(), "2026-01-02T03:04:05.678Z info  route a: held back 3 more lines like this in 10 s, the last: try 3\n"
                             "2026-01-02T03:04:05.678Z info  route a: try 4\n");
    log_info(l, "route a", "try %d", 5);
    log_flush(l);
    ck_assert_str_eq(said(), "2026-01-02T03:04:05.678Z info  route a: held back 1 more lines like this in 0 s, the last: try 5\n");
    log_flush(l);
    ck_assert_str_eq(said(), "");
}
END_TEST

START_TEST(errors_are_never_held_back)
{
    struct err e = ERR_INIT;
    (void) err_set(&e, E_CONFIG, "no good");
    log_err(l, "run", &e);
    log_err(l, "run", &e);
    const char *first = said();
    ck_assert_ptr_nonnull(strstr(first, "error run: no good (config"));
    ck_assert_ptr_nonnull(strstr(strstr(first, "\n"), "error run: no good"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("log");
    TCase *c = tcase_create("log");
    tcase_add_checked_fixture(c, open_log, close_log);
    tcase_add_test(c, text_and_json);
    tcase_add_test(c, alike_lines_are_held_back_and_counted);
    tcase_add_test(c, errors_are_never_held_back);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
