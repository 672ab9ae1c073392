/* SPDX-License-Identifier: Apache-2.0
 * agent/hub: what the pump applies, skips, parks, holds and replays, against a bus and a sink in
 * memory. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/hub/route.h"
#include "tests/unit/hub/fake.h"

static struct fake *f;
static struct pump *pump;
static struct err e;

static void setup(void)
{
    f = fake_open();
    pump = fake_pump(f);
    e = ERR_INIT;
}

static void teardown(void)
{
    pump_close(pump);
    fake_close(f);
}

static void run(void)
{
    int done = fake_run(f, pump, &e);
    ck_assert_msg(!done, "%s: %s", err_name(e.code), e.msg);
}

static void logged(const char *want)
{
    ck_assert_str_eq(f->log.p ? f->log.p : "", want);
    buf_reset(&f->log);
}

START_TEST(groups_what_is_there_into_one_commit)
{
    fake_txn(f, 10, "c a 1 x");
    fake_txn(f, 20, "u a 1 y;d a 1");
    fake_txn(f, 30, "c hidden 1 x");
    run();
    logged("c a 1=x;u a 1=y;d a old 1;|");
    ck_assert_uint_eq(f->kept.stream.lsn, 30);
    ck_assert_uint_eq(f->taken, f->count);
    ck_assert_int_eq(f->applies, 1);
}
END_TEST

START_TEST(skips_what_the_target_has)
{
    f->kept = (struct sink_position){.known = true, .stream = {7, 1, 20, 0}, .copy = {7, 1, 5, 2}};
    struct mark copy = {.kind = MARK_COPY, .pos = {7, 1, 5, 2}, .topic = STR("p.s.a")};
    fake_marked(f, copy, "r a 1 x");
    copy.pos.seq = 3;
    fake_marked(f, copy, "r a 2 x");
    fake_txn(f, 10, "c a 3 x");
    fake_txn(f, 20, "c a 4 x");
    fake_txn(f, 30, "c a 5 x");
    run();
    logged("r a 2=x;|c a 5=x;|");
    ck_assert_uint_eq(f->taken, f->count);
    ck_assert_uint_eq(f->kept.copy.seq, 3);
}
END_TEST

START_TEST(refuses_events_of_another_server)
{
    f->kept = (struct sink_position){.known = true, .stream = {8, 1, 1, 0}};
    fake_txn(f, 10, "c a 1 x");
    ck_assert_int_eq(fake_run(f, pump, &e), -1);
    ck_assert_int_eq(e.code, E_OTHER_SERVER);
}
END_TEST

START_TEST(a_failed_commit_comes_again_and_a_lost_answer_does_not)
{
    f->fail_commits = 1;
    fake_txn(f, 10, "c n 1 x");
    run();
    logged("c n 1=x;|");
    ck_assert_int_ge(f->connects, 2);
    pump_close(pump);
    pump = fake_pump(f);
    f->lose_commits = 1;
    fake_txn(f, 20, "c n 2 x");
    run();
    logged("c n 2=x;|");
    ck_assert_uint_eq(f->taken, f->count);
}
END_TEST

START_TEST(a_large_transaction_goes_in_slices)
{
    struct buf rows = BUF_INIT;
    f->target.batch_kb = 4;
    for (int at = 0; at < 300; at++)
        buf_addf(&rows, "c a %d x;", at);
    fake_txn(f, 10, rows.p);
    run();
    ck_assert_int_gt(f->applies, 3);
    ck_assert(strstr(f->log.p, "c a 299=x;|"));
    ck_assert_ptr_eq(strchr(f->log.p, '|'), f->log.p + f->log.len - 1);
    buf_free(&rows);
}
END_TEST

START_TEST(copies_tell_first_and_last_once)
{
    struct mark copy = {.kind = MARK_COPY, .pos = {7, 1, 5, 1}, .topic = STR("p.s.a"),
                        .flags = MARK_COPY_FIRST | MARK_COPY_LAST};
    struct buf rows = BUF_INIT;
    f->target.batch_kb = 4;
    for (int at = 0; at < 60; at++)
        buf_addf(&rows, "r a %d x;", at);
    fake_marked(f, copy, rows.p);
    copy.pos.seq = 2;
    fake_marked(f, copy, "");
    copy.topic = STR("p.s.hidden");
    copy.pos.seq = 3;
    fake_marked(f, copy, "");
    run();
    ck_assert_int_gt(f->applies, 2);
    ck_assert(strstr(f->log.p, "[F p.s.a]r a 0=x;") == f->log.p);
    ck_assert_ptr_nonnull(strstr(f->log.p, "r a 59=x;|[FL p.s.a]|"));
    ck_assert_ptr_null(strstr(f->log.p, "hidden"));
    buf_free(&rows);
}
END_TEST

START_TEST(a_sentinel_is_committed)
{
    struct mark mark = {.kind = MARK_STREAM, .pos = {7, 1, 50, 0}, .flags = MARK_SENTINEL, .commit_us = 1};
    fake_marked(f, mark, "");
    run();
    logged("|");
    ck_assert_uint_eq(f->kept.stream.lsn, 50);
}
END_TEST

START_TEST(parks_the_bad_row_and_its_queue)
{
    fake_txn(f, 10, "c a 1 x;c a 2 bad;c a 3 x");
    fake_txn(f, 20, "u a 2 y;u a 3 y");
    fake_txn(f, 30, "k a 2>4 z;c b 2 x");
    fake_txn(f, 40, "u a 4 w;c n 1 x");
    run();
    logged("c a 1=x;c a 3=x;|u a 3=y;|c b 2=x;|c n 1=x;|");
    /* 2 bad, its update, both halves of the key change, the update of the new key */
    ck_assert_int_eq(park_count(f->park, "r"), 5);
    ck_assert_uint_eq(f->taken, f->count);
    struct pump_status status;
    pump_get_status(pump, &status);
    ck_assert_int_eq(status.parked, 5);
}
END_TEST

START_TEST(parks_once_when_the_commit_comes_again)
{
    fake_txn(f, 10, "c a 1 bad;u a 1 y;c a 2 x");
    f->fail_commits = 2;
    run();
    logged("c a 2=x;|");
    ck_assert_int_eq(park_count(f->park, "r"), 2);
}
END_TEST

START_TEST(a_truncate_drops_what_is_parked_before_it)
{
    fake_txn(f, 10, "c a 1 bad;c b 1 bad");
    fake_txn(f, 20, "c a 5 bad;t a;c a 1 x");
    run();
    logged("|t a;c a 1=x;|");
    ck_assert_int_eq(park_count(f->park, "r"), 1); /* that of b */
}
END_TEST

/* ---- with a thread ---- */

static int thread_result;

static void *body(void *unused)
{
    (void) unused;
    struct err ignored = ERR_INIT;
    thread_result = pump_run(pump, &ignored);
    return NULL;
}

static pthread_t start(void)
{
    pthread_t thread;
    f->stop_at_end = false;
    atomic_store(&f->env.stop, STOP_NONE);
    ck_assert_int_eq(pthread_create(&thread, NULL, body, NULL), 0);
    return thread;
}

static void stop(pthread_t thread)
{
    atomic_store(&f->env.stop, STOP_DRAIN);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

static void wait_state(enum pump_state state)
{
    struct pump_status status = {0};
    for (int turn = 0; turn < 3000; turn++) {
        pump_get_status(pump, &status);
        if (status.state == state)
            return;
        usleep(1000);
    }
    ck_abort_msg("state is %d: %s", (int) status.state, status.error.msg);
}

START_TEST(the_limit_stops_the_route_until_rows_are_dropped)
{
    struct buf report = BUF_INIT;
    f->target.parked_max = 1;
    fake_txn(f, 10, "c a 1 bad;c a 2 bad");
    pthread_t thread = start();
    wait_state(PUMP_FAILED);
    struct pump_status status;
    pump_get_status(pump, &status);
    ck_assert_int_eq(status.error.code, E_PARK_FULL);
    ck_assert_int_eq(pump_replay(pump, 0, true, 2000, &report, &e), 0);
    ck_assert_str_eq(report.p, "#1: dropped\n");
    stop(thread);
    buf_free(&report);
}
END_TEST

START_TEST(holds_before_a_position)
{
    struct position at;
    fake_txn(f, 10, "c a 1 x");
    fake_txn(f, 20, "c a 2 x");
    pump_hold(pump, 20, 5000);
    pthread_t thread = start();
    wait_state(PUMP_HELD);
    ck_assert(pump_held(pump, &at));
    ck_assert_uint_eq(at.lsn, 10);
    logged("c a 1=x;|");
    pump_release(pump);
    wait_state(PUMP_RUNNING);
    stop(thread);
    logged("c a 2=x;|");
    ck_assert(!pump_held(pump, &at));
}
END_TEST

START_TEST(a_second_hold_goes_on_to_its_place)
{
    struct position at;
    fake_txn(f, 10, "c a 1 x");
    fake_txn(f, 20, "c a 2 x");
    pump_hold(pump, 10, 5000);
    pthread_t thread = start();
    wait_state(PUMP_HELD);
    ck_assert(pump_held(pump, &at));
    logged("");
    pump_hold(pump, 20, 5000);
    ck_assert(!pump_held(pump, &at));
    for (int i = 0; i < 500 && !pump_held(pump, &at); i++)
        usleep(10000);
    ck_assert(pump_held(pump, &at));
    ck_assert_uint_eq(at.lsn, 10);
    logged("c a 1=x;|");
    pump_release(pump);
    stop(thread);
}
END_TEST

START_TEST(a_hold_ends_by_itself)
{
    struct position at;
    fake_txn(f, 10, "c a 1 x");
    pump_hold(pump, UINT64_MAX, 50);
    f->stop_at_end = true;
    run();
    ck_assert(!pump_held(pump, &at));
    logged("c a 1=x;|");
}
END_TEST

START_TEST(replays_a_queue_in_order)
{
    struct buf report = BUF_INIT;
    fake_txn(f, 10, "c a 2 bad;c a 9 bad");
    fake_txn(f, 20, "u a 2 y;k a 2>4 z");
    fake_txn(f, 30, "u a 4 w");
    run();
    buf_reset(&f->log);
    pump_close(pump);
    pump = fake_pump(f);
    pthread_t thread = start();
    wait_state(PUMP_RUNNING);
    ck_assert_int_eq(pump_replay(pump, 1, false, 2000, &report, &e), 0);
    ck_assert_ptr_nonnull(strstr(report.p, "bad row")); /* still bad: nothing of the queue was applied */
    ck_assert_int_eq(park_count(f->park, "r"), 6);
    logged("");
    f->heal = true;
    buf_reset(&report);
    ck_assert_int_eq(pump_replay(pump, 1, false, 2000, &report, &e), 0);
    ck_assert_str_eq(report.p, "#1 and 4 behind it: applied\n");
    logged("c a 2=bad;u a 2=y;u a old 2 4=z;u a 4=w;|");
    ck_assert_int_eq(park_count(f->park, "r"), 1);
    ck_assert_int_eq(pump_replay(pump, 77, false, 2000, &report, &e), -1);
    stop(thread);
    /* a crash after the target's commit and before ours: not a second time */
    struct parked again = {.route = STR("r"), .topic = STR("p.s.a"), .key = STR("k"), .pos = {7, 1, 60, 1},
                           .reason = STR("x"), .code = E_TARGET_ROW};
    ck_assert_int_eq(park_add(f->park, &again, &e), 0);
    f->kept.replayed = again.number;
    pump_close(pump);
    pump = fake_pump(f);
    f->stop_at_end = true;
    run();
    ck_assert_int_eq(park_count(f->park, "r"), 1);
    buf_free(&report);
}
END_TEST

START_TEST(gives_back_only_what_the_target_has_flushed)
{
    f->lazy = true;
    fake_txn(f, 10, "c a 1 x");
    fake_txn(f, 20, "c a 2 x");
    run(); /* bus_take asserts it */
    ck_assert_uint_eq(f->taken, f->count);
}
END_TEST

START_TEST(a_target_that_went_back_is_refused)
{
    fake_txn(f, 10, "c a 1 x");
    fake_txn(f, 20, "c a 2 x");
    pthread_t thread = start();
    for (int turn = 0; turn < 3000 && f->taken < f->count; turn++)
        usleep(1000);
    f->kept.stream.lsn = 5; /* restored from a backup */
    f->fail_commits = 1;
    fake_txn(f, 30, "c a 3 x");
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(thread_result, -1);
    struct pump_status status;
    pump_get_status(pump, &status);
    ck_assert_int_eq(status.error.code, E_STATE);
}
END_TEST

/* The pump again after its process ended. */
static void again(enum err_code want)
{
    pump_close(pump);
    pump = fake_pump(f);
    e = ERR_INIT;
    ck_assert_int_eq(fake_run(f, pump, &e), want ? -1 : 0);
    ck_assert_msg(e.code == want, "%s: %s", err_name(e.code), e.msg);
}

START_TEST(a_target_that_went_back_while_we_did_not_run_is_refused)
{
    struct mark copy = {.kind = MARK_COPY, .pos = {7, 1, 5, 2}, .topic = STR("p.s.a")};
    fake_marked(f, copy, "r a 1 x");
    fake_txn(f, 10, "c a 2 x");
    run();
    fake_txn(f, 20, "c a 3 x");
    again(E_NONE);
    struct sink_position kept = f->kept;
    f->kept = (struct sink_position){0}; /* made anew */
    fake_txn(f, 30, "c a 4 x");
    again(E_STATE);
    f->kept = kept;
    f->kept.stream.lsn = 10; /* an older one */
    again(E_STATE);
    f->kept = kept;
    f->kept.copy.seq = 1;
    again(E_STATE);
    f->kept = kept;
    buf_reset(&f->log);
    again(E_NONE);
    logged("c a 4=x;|");
}
END_TEST

START_TEST(a_route_that_came_later_is_refused_when_the_beginning_is_gone)
{
    fake_txn(f, 10, "c a 1 x");
    fake_txn(f, 20, "c a 2 x");
    f->taken = 3; /* where the bus begins by now */
    f->config.source.copy = true;
    again(E_READER_LOST);
    ck_assert(f->forgotten); /* the bus does not fill up for it */
    f->kept = (struct sink_position){.known = true, .stream = {7, 1, 5, 0}}; /* it was there long ago */
    again(E_READER_LOST);
    f->config.source.copy = false; /* who fills targets himself does so for this one too */
    again(E_NONE);
    logged("c a 2=x;|");
}
END_TEST

START_TEST(commits_of_a_new_timeline_are_not_taken_for_those_that_the_source_lost)
{
    struct mark mark = {.kind = MARK_STREAM, .pos = {7, 2, 15, 0}, .commit_us = 1};
    fake_txn(f, 10, "c a 1 x");
    fake_txn(f, 20, "c a 2 x");
    run();
    fake_marked(f, mark, "c a 3 x");
    again(E_TIMELINE);
    f->count -= 3;
    mark.pos.lsn = 21;
    fake_marked(f, mark, "c a 3 x");
    buf_reset(&f->log);
    again(E_NONE);
    logged("c a 3=x;|");
}
END_TEST

/* ---- the park alone ---- */

static int count_row(void *self, const struct parked *row, struct err *why)
{
    (void) why;
    ck_assert(str_is(row->key_json, "{\"id\":1}") && !strcmp(row->sqlstate, "23505"));
    ++*(int *) self;
    return 0;
}

START_TEST(parked_rows_survive_a_restart)
{
    struct parked row = {.route = STR("r"), .topic = STR("t"), .key = STR("k1"), .value = STR("v"), .headers = STR("h"),
                         .key_json = STR("{\"id\":1}"), .pos = {7, 1, 10, 3}, .code = E_TARGET_ROW,
                         .sqlstate = "23505", .reason = STR("why")};
    struct arena a;
    int count = 0;
    arena_init(&a, 0, "test");
    ck_assert_int_eq(park_add(f->park, &row, &e), 0);
    ck_assert_uint_eq(row.number, 1);
    row.pos.seq = 4;
    ck_assert_int_eq(park_add(f->park, &row, &e), 0);
    ck_assert_uint_eq(row.number, 2);
    row.pos.seq = 3;
    ck_assert_int_eq(park_add(f->park, &row, &e), 0); /* the same event */
    ck_assert_uint_eq(row.number, 1);
    ck_assert_int_eq(park_remove(f->park, STR("r"), 2, &e), 0);
    park_close(f->park);
    ck_assert_int_eq(park_open(f->store, &f->park, &e), 0);
    ck_assert_int_eq(park_count(f->park, "r"), 1);
    ck_assert_int_eq(park_count(f->park, "other"), 0);
    ck_assert_uint_eq(park_find(f->park, STR("r"), STR("t"), STR("k1")), 1);
    ck_assert_uint_eq(park_find(f->park, STR("r"), STR("t"), STR("k2")), 0);
    ck_assert_uint_eq(park_find(f->park, STR("r"), STR("t"), STR("")), 0);
    ck_assert_int_eq(park_each(f->park, NULL, &a, &count, count_row, &e), 0);
    ck_assert_int_eq(count, 1);
    row.pos.seq = 9;
    ck_assert_int_eq(park_add(f->park, &row, &e), 0);
    ck_assert_uint_eq(row.number, 3); /* 2 is not used again */
    arena_free(&a);
}
END_TEST

START_TEST(route_patterns)
{
    static const struct { const char *topic; bool takes; } rows[] = {
        {"p.s.a", true}, {"p.s.hidden", false}, {"p.s", false}, {"q.s.a", false}, {"p", false}, {"p.s.a.b", true},
    };
    struct route_cache cache;
    route_init(&cache, &f->route.from);
    for (size_t at = 0; at < sizeof rows / sizeof *rows; at++)
        ck_assert_msg(route_takes_topic(&cache, STR("p"), str_of(rows[at].topic)) == rows[at].takes, "%s", rows[at].topic);
    ck_assert(route_takes(&cache, fake_table(f, "a", true)));
    const struct relation *hidden = fake_table(f, "hidden", true);
    ck_assert(!route_takes(&cache, hidden) && !route_takes(&cache, hidden));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hub");
    TCase *all = tcase_create("hub");
    tcase_set_timeout(all, 20);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, groups_what_is_there_into_one_commit);
    tcase_add_test(all, skips_what_the_target_has);
    tcase_add_test(all, refuses_events_of_another_server);
    tcase_add_test(all, a_failed_commit_comes_again_and_a_lost_answer_does_not);
    tcase_add_test(all, a_large_transaction_goes_in_slices);
    tcase_add_test(all, copies_tell_first_and_last_once);
    tcase_add_test(all, a_sentinel_is_committed);
    tcase_add_test(all, parks_the_bad_row_and_its_queue);
    tcase_add_test(all, parks_once_when_the_commit_comes_again);
    tcase_add_test(all, a_truncate_drops_what_is_parked_before_it);
    tcase_add_test(all, the_limit_stops_the_route_until_rows_are_dropped);
    tcase_add_test(all, holds_before_a_position);
    tcase_add_test(all, a_second_hold_goes_on_to_its_place);
    tcase_add_test(all, a_hold_ends_by_itself);
    tcase_add_test(all, replays_a_queue_in_order);
    tcase_add_test(all, gives_back_only_what_the_target_has_flushed);
    tcase_add_test(all, a_target_that_went_back_is_refused);
    tcase_add_test(all, a_target_that_went_back_while_we_did_not_run_is_refused);
    tcase_add_test(all, a_route_that_came_later_is_refused_when_the_beginning_is_gone);
    tcase_add_test(all, commits_of_a_new_timeline_are_not_taken_for_those_that_the_source_lost);
    tcase_add_test(all, parked_rows_survive_a_restart);
    tcase_add_test(all, route_patterns);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
