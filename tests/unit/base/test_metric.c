/* SPDX-License-Identifier: Apache-2.0
 * agent/base/metric: values from many threads, series and their limit, the text format. */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/metric.h"

#define WRITERS 4
#define TURNS 20000

static void *write_many(void *arg)
{
    struct metrics *m = arg;
    int series = metric_series(m, M_APPLIED_ROWS, STR("warehouse"));
    for (int turn = 0; turn < TURNS; turn++) {
        metric_add(m, M_APPLIED_ROWS, series, 1);
        metric_observe(m, M_LATENCY, 0, 1000);
    }
    return NULL;
}

START_TEST(adds_of_many_threads_all_count)
{
    struct metrics *m = metrics_open();
    pthread_t threads[WRITERS];
    (void) metric_series(m, M_LATENCY, STR("warehouse"));
    for (int at = 0; at < WRITERS; at++)
        ck_assert_int_eq(pthread_create(&threads[at], NULL, write_many, m), 0);
    struct buf page = BUF_INIT;
    metrics_write(m, &page); /* a scrape in the middle must not disturb */
    for (int at = 0; at < WRITERS; at++)
        ck_assert_int_eq(pthread_join(threads[at], NULL), 0);
    int series = metric_series(m, M_APPLIED_ROWS, STR("warehouse"));
    ck_assert_int_eq(metric_get(m, M_APPLIED_ROWS, series), WRITERS * TURNS);
    buf_reset(&page);
    metrics_write(m, &page);
    ck_assert_ptr_nonnull(
        strstr(page.p, "tailrace_commit_to_applied_seconds_count{route=\"warehouse\"} 80000\n"));
    ck_assert_ptr_nonnull(
        strstr(page.p, "tailrace_commit_to_applied_seconds_sum{route=\"warehouse\"} 80\n"));
    buf_free(&page);
    metrics_close(m);
}
END_TEST

START_TEST(series_past_the_limit_share_other)
{
    struct metrics *m = metrics_open();
    char label[16];
    for (int at = 0; at < 200; at++) {
        snprintf(label, sizeof label, "t%d", at);
        int series = metric_series(m, M_COPY_ROWS, str_of(label));
        ck_assert_int_eq(series, at < METRIC_SERIES_MAX - 1 ? at : METRIC_SERIES_MAX - 1);
        ck_assert_int_eq(metric_series(m, M_COPY_ROWS, str_of(label)), series);
        metric_add(m, M_COPY_ROWS, series, 1);
    }
    struct buf page = BUF_INIT;
    metrics_write(m, &page);
    ck_assert_ptr_nonnull(strstr(page.p, "tailrace_copy_rows_total{table=\"other\"} 137\n"));
    ck_assert_ptr_nonnull(strstr(page.p, "tailrace_copy_rows_total{table=\"t62\"} 1\n"));
    ck_assert_ptr_null(strstr(page.p, "table=\"t63\""));
    buf_free(&page);
    metrics_close(m);
}
END_TEST

START_TEST(seconds_are_kept_in_microseconds)
{
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {{0, "0"},           {1, "0.000001"},  {1500000, "1.5"},
                {60000000, "60"},   {-1, "-0.000001"}, {100, "0.0001"},
                {INT64_MIN, "-9223372036854.775808"}};
    struct metrics *m = metrics_open();
    for (size_t at = 0; at < sizeof rows / sizeof rows[0]; at++) {
        struct buf page = BUF_INIT;
        char want[80];
        metric_set(m, M_SENTINEL_AGE, 0, rows[at].us);
        metric_set(m, M_BUS_STORED_BYTES, 0, rows[at].us);
        metrics_write(m, &page);
        snprintf(want, sizeof want, "\ntailrace_sentinel_age_seconds %s\n", rows[at].text);
        ck_assert_msg(strstr(page.p, want) != NULL, "%s", want);
        snprintf(want, sizeof want, "\ntailrace_bus_stored_bytes %lld\n", (long long) rows[at].us);
        ck_assert_msg(strstr(page.p, want) != NULL, "%s", want);
        buf_free(&page);
    }
    metrics_close(m);
}
END_TEST

START_TEST(labels_cannot_break_the_page)
{
    struct metrics *m = metrics_open();
    metric_set(m, M_PARKED_ROWS, metric_series(m, M_PARKED_ROWS, STR("a\"b\\c\nd\x01\xff\te/f")), 1);
    struct buf page = BUF_INIT;
    metrics_write(m, &page);
    ck_assert_ptr_nonnull(
        strstr(page.p, "\ntailrace_parked_rows{route=\"a\\\"b\\\\c\\nd?\xef\xbf\xbd?e/f\"} 1\n"));
    buf_free(&page);
    metrics_close(m);
}
END_TEST

START_TEST(every_row_is_printed_once_with_help_and_type)
{
    struct metrics *m = metrics_open();
    struct buf page = BUF_INIT;
    metrics_write(m, &page);
    for (int id = 0; id < METRIC_COUNT; id++) {
        char want[160];
        snprintf(want, sizeof want, "# HELP %s ", metric_name((enum metric_id) id));
        const char *at = strstr(page.p, want);
        ck_assert_msg(at != NULL && strstr(at + 1, want) == NULL, "%s", want);
        snprintf(want, sizeof want, "\n# TYPE %s ", metric_name((enum metric_id) id));
        ck_assert_msg(strstr(page.p, want) != NULL, "%s", want);
    }
    buf_free(&page);
    metrics_close(m);
}
END_TEST

START_TEST(quantiles_are_upper_bounds)
{
    struct metrics *m = metrics_open();
    ck_assert_int_eq(metric_quantile_us(m, M_BUS_SYNC_TIME, 0, 0.5), 0);
    for (int at = 0; at < 99; at++)
        metric_observe(m, M_BUS_SYNC_TIME, 0, 100);
    metric_observe(m, M_BUS_SYNC_TIME, 0, 101);
    ck_assert_int_eq(metric_quantile_us(m, M_BUS_SYNC_TIME, 0, 0.5), 100);
    ck_assert_int_eq(metric_quantile_us(m, M_BUS_SYNC_TIME, 0, 0.99), 100);
    ck_assert_int_eq(metric_quantile_us(m, M_BUS_SYNC_TIME, 0, 0.999), 200);
    ck_assert_int_eq(metric_quantile_us(m, M_BUS_SYNC_TIME, 0, 0), 100);
    metric_observe(m, M_BUS_SYNC_TIME, 0, INT64_C(3600000000));
    ck_assert_int_eq(metric_quantile_us(m, M_BUS_SYNC_TIME, 0, 1), 60000000);
    metrics_close(m);
}
END_TEST

START_TEST(without_metrics_nothing_happens)
{
    struct buf page = BUF_INIT;
    ck_assert_int_eq(metric_series(NULL, M_COPY_ROWS, STR("t")), 0);
    metric_add(NULL, M_COPY_ROWS, 0, 1);
    metric_set(NULL, M_COPY_ROWS, 0, 1);
    metric_observe(NULL, M_LATENCY, 0, 1);
    ck_assert_int_eq(metric_get(NULL, M_COPY_ROWS, 0), 0);
    ck_assert_int_eq(metric_quantile_us(NULL, M_LATENCY, 0, 0.5), 0);
    metrics_write(NULL, &page);
    ck_assert_uint_eq(page.len, 0);
    metrics_close(NULL);
}
END_TEST

/* The judge of the format is Prometheus' own tool, where it is installed. */
START_TEST(promtool_finds_nothing)
{
    struct metrics *m = metrics_open();
    for (int id = 0; id < METRIC_COUNT; id++)
        if (metric_label((enum metric_id) id)[0])
            (void) metric_series(m, (enum metric_id) id, STR("x\"y"));
    struct buf page = BUF_INIT;
    metrics_write(m, &page);
    if (system("command -v promtool >/dev/null 2>&1") == 0) {
        FILE *tool = popen("promtool check metrics >/dev/null", "w");
        ck_assert_ptr_nonnull(tool);
        ck_assert_uint_eq(fwrite(page.p, 1, page.len, tool), page.len);
        ck_assert_int_eq(pclose(tool), 0);
    }
    buf_free(&page);
    metrics_close(m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("metric");
    TCase *t = tcase_create("metric");
    tcase_add_test(t, adds_of_many_threads_all_count);
    tcase_add_test(t, series_past_the_limit_share_other);
    tcase_add_test(t, seconds_are_kept_in_microseconds);
    tcase_add_test(t, labels_cannot_break_the_page);
    tcase_add_test(t, every_row_is_printed_once_with_help_and_type);
    tcase_add_test(t, quantiles_are_upper_bounds);
    tcase_add_test(t, without_metrics_nothing_happens);
    tcase_add_test(t, promtool_finds_nothing);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
