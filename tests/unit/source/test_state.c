/* SPDX-License-Identifier: Apache-2.0
 * What a start may do, by the decision table; facts as text. */
#include "agent/source/state.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/source/suites.h"

enum { PHASE, SYSTEM, NAME, TIMELINE, LEFT, SERVER, STANDBY, SLOT, CONFIRMED, START, DURABLE, VERDICT,
       ERROR_NAME, COLUMNS };

static uint64_t lsn_of(const char *text)
{
    uint64_t lsn = 0;
    ck_assert(strcmp(text, "-") == 0 || str_to_lsn(str_of(text), &lsn));
    return lsn;
}

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static void check_row(char *col[COLUMNS])
{
    static const char *const phases[] = {"none", "creating", "copying", "ready"};
    static const char *const verdicts[] = {"create", "recreate", "stream", "wait", "refuse"};
    struct facts f = {.system_id = 7, .timeline = 3, .slot = "tailrace_shop",
                      .start_lsn = lsn_of(col[START])};
    struct server_view server = {
        .system_id = is(col[SYSTEM], "same") ? 7 : 8,
        .timeline = is(col[TIMELINE], "same") ? 3 : 4,
        .lsn = lsn_of(col[SERVER]),
        .standby = is(col[STANDBY], "yes"),
        .left_known = is(col[TIMELINE], "child"),
        .left_lsn = lsn_of(col[LEFT]),
    };
    struct slot_view slot = {
        .exists = !is(col[SLOT], "none"),
        .active = is(col[SLOT], "active"),
        .lost = is(col[SLOT], "lost"),
        .foreign = is(col[SLOT], "foreign"),
        .confirmed_lsn = lsn_of(col[CONFIRMED]),
    };
    struct err e = ERR_INIT;
    while (!is(phases[f.phase], col[PHASE]))
        ck_assert_int_lt(++f.phase, 4);
    enum state_verdict v = state_decide(&f, is(col[NAME], "same") ? "tailrace_shop" : "other", &server,
                                        &slot, lsn_of(col[DURABLE]), &e);
    ck_assert_msg(is(verdicts[v], col[VERDICT]), "%s, not %s: %s", verdicts[v], col[VERDICT],
                  col[COLUMNS - 1]);
    ck_assert_str_eq(is(col[ERROR_NAME], "-") ? "none" : col[ERROR_NAME], err_name(e.code));
}

START_TEST(decisions_follow_the_table)
{
    char path[512], line[512];
    int rows = 0;
    snprintf(path, sizeof path, "%s/tests/cases/source_state.tsv", getenv("TR_SRCDIR"));
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(f);
    while (fgets(line, sizeof line, f)) {
        char *col[COLUMNS], *rest = line;
        if (line[0] == '#')
            continue;
        for (int at = 0; at < COLUMNS; at++) {
            col[at] = strsep(&rest, "\t\n");
            ck_assert_ptr_nonnull(col[at]);
        }
        check_row(col);
        rows++;
    }
    fclose(f);
    ck_assert_int_ge(rows, 25);
}
END_TEST

START_TEST(facts_survive_the_text)
{
    struct facts f = {.phase = PHASE_COPYING, .system_id = UINT64_MAX, .timeline = 9,
                      .slot = "tailrace_shop", .start_lsn = UINT64_C(0x1600000028),
                      .inserts_publication = true}, back;
    struct err e = ERR_INIT;
    struct buf text = BUF_INIT;
    ck_assert_int_eq(facts_make_key(&f, &e), 0);
    facts_write(&f, &text);
    ck_assert(facts_read(buf_str(&text), &back));
    ck_assert_int_eq(back.phase, f.phase);
    ck_assert_uint_eq(back.system_id, f.system_id);
    ck_assert_uint_eq(back.timeline, f.timeline);
    ck_assert_str_eq(back.slot, f.slot);
    ck_assert_uint_eq(back.start_lsn, f.start_lsn);
    ck_assert(back.inserts_publication);
    ck_assert_mem_eq(back.key, f.key, sizeof f.key);
    ck_assert_str_eq(back.instance, f.instance);
    ck_assert_uint_eq(strlen(f.instance), STATE_INSTANCE_LEN);
    for (size_t len = 0; len + 1 < text.len; len++) /* cut anywhere it must not be taken for whole */
        ck_assert(text.p[len] == '\n' || !facts_read((struct str){text.p, len + 1}, &back));
    ck_assert(!facts_read(STR("phase=sometimes\n"), &back));
    ck_assert(!facts_read(STR("phase=ready\nkey=abc\n"), &back));
    buf_free(&text);
}
END_TEST

TCase *case_state(void)
{
    TCase *t = tcase_create("state");
    tcase_add_test(t, decisions_follow_the_table);
    tcase_add_test(t, facts_survive_the_text);
    return t;
}
