/* SPDX-License-Identifier: Apache-2.0
 * agent/lag: the decision table of tests/cases/lag.tsv on a clock of its own, the bounded memory
 * of waiting commits, threads. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/lag/lag.h"

#define BASE_WALL_US INT64_C(1700000000000000)
#define BASE_MONO_US INT64_C(5000000)
#define COLUMNS 7

static int64_t test_wall_us(void *self)
{
    return BASE_WALL_US + *(const _Atomic int64_t *) self;
}

static int64_t test_mono_us(void *self)
{
    return BASE_MONO_US + *(const _Atomic int64_t *) self;
}

struct world {
    _Atomic int64_t now_us;
    struct clock clock;
    struct env env;
    struct lag *lag;
};

static void world_begin(struct world *w, int64_t now_us)
{
    static const char *const routes[] = {"one", "two"};
    w->now_us = now_us;
    w->clock = (struct clock){test_wall_us, test_mono_us, &w->now_us};
    w->env = (struct env){.clock = &w->clock, .metrics = metrics_open(), .stop_fd = -1};
    w->lag = lag_open(&w->env, 5000000, routes, 2);
}

static void world_end(struct world *w)
{
    lag_close(w->lag);
    metrics_close(w->env.metrics);
    w->lag = NULL;
}

static int64_t number(const char *text)
{
    int64_t value = 0;
    ck_assert_msg(str_to_i64(str_of(text), &value), "no number: %s", text);
    return value;
}

static enum lag_stage stage_of(const char *text, int *route)
{
    static const char *const names[] = {"received", "decoded", "durable", "applied0", "applied1"};
    for (int at = 0; at < 5; at++)
        if (strcmp(names[at], text) == 0) {
            *route = at == 4;
            return at > LAG_APPLIED ? LAG_APPLIED : (enum lag_stage) at;
        }
    ck_abort_msg("no stage: %s", text);
}

static int64_t commit_us(const char *ms)
{
    return BASE_WALL_US + number(ms) * 1000;
}

/* A row that does something; false when its word is none of these. */
static bool do_row(struct lag *l, char **f)
{
    int route = 0;
    if (strcmp(f[2], "seed") == 0)
        lag_seed(l, (uint64_t) number(f[3]), commit_us(f[4]));
    else if (strcmp(f[2], "seen") == 0)
        lag_commit_seen(l, (uint64_t) number(f[3]), commit_us(f[4]));
    else if (strcmp(f[2], "head") == 0)
        lag_head(l, (uint64_t) number(f[3]), strchr(f[4], 's') != NULL, strchr(f[4], 'i') != NULL);
    else if (strcmp(f[2], "server") == 0)
        lag_server_lsn(l, (uint64_t) number(f[3]));
    else if (strcmp(f[2], "up") == 0 || strcmp(f[2], "down") == 0)
        lag_connected(l, f[2][0] == 'u');
    else if (strcmp(f[2], "mark") == 0) {
        enum lag_stage stage = stage_of(f[3], &route);
        lag_mark(l, stage, route, (uint64_t) number(f[4]), commit_us(f[5]));
    } else
        return false;
    return true;
}

static void read_row(struct lag *l, char **f, int line)
{
    struct lag_reading r;
    int route = 0;
    int64_t got, want;
    if (strcmp(f[2], "sentinel") == 0) {
        int64_t age_us = lag_sentinel_age_us(l);
        got = age_us < 0 ? age_us : age_us / 1000;
        want = number(f[3]);
    } else {
        enum lag_stage stage = stage_of(f[3], &route);
        lag_read(l, stage, route, &r);
        ck_assert_msg(strcmp(f[2], "lag") == 0 || strcmp(f[2], "bytes") == 0, "no word: %s", f[2]);
        got = f[2][0] == 'l' ? r.time_us / 1000 : (int64_t) r.bytes;
        want = number(f[4]);
    }
    ck_assert_msg(got == want, "lag.tsv line %d, %s at %s: %s %s is %lld, not %s", line, f[0], f[1],
                  f[2], f[3], (long long) got, f[2][0] == 's' ? f[3] : f[4]);
}

static void split_row(char *text, char *fields[COLUMNS])
{
    text[strcspn(text, "\n")] = 0;
    for (int at = 0; at < COLUMNS; at++) {
        fields[at] = text;
        char *tab = strchr(text, '\t');
        if (tab) {
            *tab = 0;
            text = tab + 1;
        } else {
            text += strlen(text);
        }
    }
}

START_TEST(decision_table)
{
    char path[512], text[512], name[128] = "", *f[COLUMNS];
    struct world w = {.lag = NULL};
    int line = 0, reads = 0;
    snprintf(path, sizeof path, "%s/tests/cases/lag.tsv", getenv("TR_SRCDIR"));
    FILE *table = fopen(path, "r");
    ck_assert_msg(table != NULL, "%s", path);
    while (fgets(text, sizeof text, table)) {
        line++;
        if (text[0] == '#')
            continue;
        split_row(text, f);
        if (strcmp(name, f[0]) != 0) {
            if (w.lag)
                world_end(&w);
            world_begin(&w, number(f[1]) * 1000);
            snprintf(name, sizeof name, "%s", f[0]);
        }
        ck_assert_msg(number(f[1]) * 1000 >= w.now_us, "line %d: time goes back", line);
        w.now_us = number(f[1]) * 1000;
        if (!do_row(w.lag, f)) {
            read_row(w.lag, f, line);
            reads++;
        }
    }
    fclose(table);
    world_end(&w);
    ck_assert_int_gt(reads, 40);
}
END_TEST

/* A target is down while 100,000 commits pass: memory is bounded, the oldest is never forgotten,
 * and on the way back the lag is never below the truth nor far above it. */
START_TEST(a_long_outage_keeps_the_oldest_commit)
{
    struct world w;
    struct lag_reading r;
    world_begin(&w, 0);
    lag_connected(w.lag, true);
    for (int64_t at = 1; at <= 100000; at++) {
        w.now_us = at * 1000;
        lag_commit_seen(w.lag, (uint64_t) at * 10, BASE_WALL_US + at * 1000);
        lag_mark(w.lag, LAG_APPLIED, 1, (uint64_t) at * 10, BASE_WALL_US + at * 1000);
        lag_read(w.lag, LAG_APPLIED, 1, &r);
        ck_assert_int_eq(r.time_us, 0);
    }
    lag_read(w.lag, LAG_APPLIED, 0, &r);
    ck_assert_int_eq(r.time_us, 99999000);
    for (int64_t at = 1; at < 100000; at++) {
        lag_mark(w.lag, LAG_APPLIED, 0, (uint64_t) at * 10, BASE_WALL_US + at * 1000);
        lag_read(w.lag, LAG_APPLIED, 0, &r);
        int64_t truth_us = w.now_us - (at + 1) * 1000;
        ck_assert_int_ge(r.time_us, truth_us);
        ck_assert_int_le(r.time_us, truth_us + 1000);
    }
    lag_mark(w.lag, LAG_APPLIED, 0, 1000000, BASE_WALL_US + 100000000);
    lag_read(w.lag, LAG_APPLIED, 0, &r);
    ck_assert_int_eq(r.time_us, 0);
    world_end(&w);
}
END_TEST

START_TEST(gauges_are_written)
{
    struct world w;
    struct buf page = BUF_INIT;
    world_begin(&w, 0);
    w.now_us = 2500000;
    lag_connected(w.lag, true);
    lag_commit_seen(w.lag, 100, BASE_WALL_US + 4000000);
    lag_server_lsn(w.lag, 300);
    w.now_us = 6000000;
    lag_publish(w.lag);
    metrics_write(w.env.metrics, &page);
    ck_assert_ptr_nonnull(strstr(page.p, "\ntailrace_lag_seconds{stage=\"applied:two\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(page.p, "\ntailrace_lag_bytes{stage=\"received\"} 200\n"));
    ck_assert_ptr_nonnull(strstr(page.p, "\ntailrace_source_clock_ahead_seconds 1.5\n"));
    ck_assert_ptr_nonnull(strstr(page.p, "\ntailrace_sentinel_age_seconds 6\n"));
    buf_free(&page);
    world_end(&w);
}
END_TEST

#define THREAD_TURNS 20000

static void *mark_route(void *arg)
{
    struct world *w = arg;
    for (int64_t at = 1; at <= THREAD_TURNS; at++)
        lag_mark(w->lag, LAG_APPLIED, 0, (uint64_t) at, BASE_WALL_US);
    return NULL;
}

static void *read_all(void *arg)
{
    struct world *w = arg;
    struct lag_reading r;
    for (int at = 0; at < THREAD_TURNS; at++) {
        lag_read(w->lag, LAG_APPLIED, 0, &r);
        ck_assert_int_ge(r.time_us, 0);
        if (at % 64 == 0)
            lag_publish(w->lag);
    }
    return NULL;
}

START_TEST(threads_do_not_meet)
{
    struct world w;
    struct lag_reading r;
    pthread_t marker, reader;
    world_begin(&w, 0);
    lag_connected(w.lag, true);
    ck_assert_int_eq(pthread_create(&marker, NULL, mark_route, &w), 0);
    ck_assert_int_eq(pthread_create(&reader, NULL, read_all, &w), 0);
    for (int64_t at = 1; at <= THREAD_TURNS; at++) {
        lag_commit_seen(w.lag, (uint64_t) at, BASE_WALL_US);
        lag_mark(w.lag, LAG_RECEIVED, 0, (uint64_t) at, BASE_WALL_US);
        lag_head(w.lag, (uint64_t) at, at % 100 == 0, true);
    }
    ck_assert_int_eq(pthread_join(marker, NULL), 0);
    ck_assert_int_eq(pthread_join(reader, NULL), 0);
    lag_read(w.lag, LAG_APPLIED, 0, &r);
    ck_assert_uint_eq(r.lsn, THREAD_TURNS);
    ck_assert_int_eq(r.time_us, 0);
    world_end(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("lag");
    TCase *t = tcase_create("lag");
    tcase_add_test(t, decision_table);
    tcase_add_test(t, a_long_outage_keeps_the_oldest_commit);
    tcase_add_test(t, gauges_are_written);
    tcase_add_test(t, threads_do_not_meet);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
