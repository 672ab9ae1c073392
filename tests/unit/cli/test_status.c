/* SPDX-License-Identifier: Apache-2.0
 * agent/cli/status_text: status JSON (tests/cases/status/NAME.json) to the text beside it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agent/cli/status.h"

#define NOON_US (INT64_C(1700049601) * 1000000) /* 12:00:01 UTC */

static void read_case(const char *name, const char *end, struct buf *out)
{
    char path[512], bytes[4096];
    size_t n;
    snprintf(path, sizeof path, "%s/tests/cases/status/%s.%s", getenv("TR_SRCDIR"), name, end);
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s", path);
    while ((n = fread(bytes, 1, sizeof bytes, f)) > 0)
        buf_add(out, bytes, n);
    fclose(f);
}

START_TEST(samples)
{
    static const char *const names[] = {"quiet", "stuck", "copying"};
    setenv("TZ", "UTC", 1);
    tzset();
    struct buf json = BUF_INIT, want = BUF_INIT, got = BUF_INIT;
    read_case(names[_i], "json", &json);
    read_case(names[_i], "txt", &want);
    status_line(buf_str(&json), NOON_US, &(struct status_past){0}, &got);
    buf_addf(&got, "\nexit %d\n", status_exit_code(buf_str(&json)));
    status_screen(buf_str(&json), &(struct status_past){0}, false, &got);
    ck_assert_str_eq(got.p, want.p);
    buf_free(&json);
    buf_free(&want);
    buf_free(&got);
}
END_TEST

static void line_of(double uptime_s, int rows, struct status_past *past, struct buf *out)
{
    struct buf json = BUF_INIT;
    buf_addf(&json, "{\"uptime_s\":%g,\"routes\":[{\"rows\":%d}]}", uptime_s, rows);
    buf_reset(out);
    status_line(buf_str(&json), NOON_US, past, out);
    buf_free(&json);
}

START_TEST(rates_come_from_two_samples_of_one_run)
{
    struct status_past past = {0};
    struct buf out = BUF_INIT;
    line_of(10, 1000, &past, &out);
    ck_assert_ptr_nonnull(strstr(out.p, "rows 1000 (+0/s)"));
    line_of(12, 3040, &past, &out);
    ck_assert_ptr_nonnull(strstr(out.p, "rows 3040 (+1020/s)"));
    line_of(12, 3040, &past, &out);
    ck_assert_ptr_nonnull(strstr(out.p, "rows 3040 (+1020/s)"));
    line_of(1, 5, &past, &out); /* it was started again */
    ck_assert_ptr_nonnull(strstr(out.p, "rows 5 (+0/s)"));
    line_of(2, 105, &past, &out);
    ck_assert_ptr_nonnull(strstr(out.p, "rows 105 (+100/s)"));
    buf_free(&out);
}
END_TEST

START_TEST(any_json_gives_text)
{
    static const char *const rows[] = {"",   "nonsense", "[]",  "{}", "{\"source\":7,\"routes\":{}}",
                                       "{\"routes\":[null,1,{\"rows\":\"x\"}],\"lag\":[]}"};
    for (size_t at = 0; at < sizeof rows / sizeof rows[0]; at++) {
        struct buf out = BUF_INIT;
        status_line(str_of(rows[at]), NOON_US, &(struct status_past){0}, &out);
        status_screen(str_of(rows[at]), &(struct status_past){0}, true, &out);
        ck_assert_uint_gt(out.len, 0);
        (void) status_exit_code(str_of(rows[at]));
        buf_free(&out);
    }
    ck_assert_int_eq(status_exit_code(STR("nonsense")), 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("status");
    TCase *t = tcase_create("status");
    tcase_add_loop_test(t, samples, 0, 3);
    tcase_add_test(t, rates_come_from_two_samples_of_one_run);
    tcase_add_test(t, any_json_gives_text);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
