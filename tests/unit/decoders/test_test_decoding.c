/* SPDX-License-Identifier: Apache-2.0
 * decoders/test_decoding: lines of real servers, then lines that no server writes. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/decoders/dump.h"
#include "tests/unit/decoders/suites.h"
#include "tests/unit/decoders/vectors.h"

#define VECTORS_MAX 512

struct fixture {
    struct arena arena, scratch;
    struct vector vectors[VECTORS_MAX];
    int count;
    const struct decoder_driver *driver;
    struct decoder *d;
    struct keeper k;
    char identity; /* that on_relation gives; 0: the decoder's own */
    struct relation refined;
};

static struct fixture f;

static void setup(void)
{
    f = (struct fixture){.driver = decoder_find("test_decoding")};
    ck_assert_ptr_nonnull(f.driver);
    arena_init(&f.arena, 0, "test");
    arena_init(&f.scratch, 0, "test");
    f.count = vectors_load("test_decoding.tsv", f.vectors, VECTORS_MAX, &f.arena);
    f.d = f.driver->open();
    f.k.driver = f.driver;
    f.k.d = f.d;
    f.k.scratch = &f.scratch;
}

static void teardown(void)
{
    f.driver->close(f.d);
    keeper_clear(&f.k);
    buf_free(&f.k.out);
    arena_free(&f.arena);
    arena_free(&f.scratch);
}

static void reopen(void)
{
    f.driver->close(f.d);
    f.d = f.driver->open();
    f.k.d = f.d;
    keeper_clear(&f.k);
}

static int refine(void *self, const struct relation *wire, const struct relation **refined, struct err *e)
{
    (void) self;
    (void) e;
    f.refined = *wire;
    f.refined.identity = f.identity;
    *refined = &f.refined;
    return 0;
}

/* Feed a copy that ends where its allocation ends, so that a sanitizer sees a read past it. */
static int feed_to(struct str bytes, uint64_t lsn, struct decoder_out out, struct err *e)
{
    char *copy = malloc(bytes.len ? bytes.len : 1);
    ck_assert_ptr_nonnull(copy);
    if (bytes.len)
        memcpy(copy, bytes.p, bytes.len);
    arena_reset(&f.scratch);
    buf_reset(&f.k.out);
    if (f.identity)
        out.relation = refine;
    int rc = f.driver->feed(f.d, (struct str){copy, bytes.len}, lsn, &f.scratch, &out, e);
    free(copy);
    return rc;
}

static int feed(struct str bytes, uint64_t lsn, struct err *e)
{
    return feed_to(bytes, lsn, dump_to(&f.k.out), e);
}

static void feed_text(const char *text)
{
    struct err e = ERR_INIT;
    ck_assert_msg(!feed(str_of(text), 4096, &e), "%s: %s", text, e.msg);
}

static bool same_case(int a, int b)
{
    return str_eq(f.vectors[a].name, f.vectors[b].name) && str_eq(f.vectors[a].server, f.vectors[b].server);
}

START_TEST(real_lines)
{
    ck_assert_int_gt(f.count, 200);
    for (int at = 0; at < f.count; at++) {
        const struct vector *v = &f.vectors[at];
        struct err e = ERR_INIT;
        if (!at || !same_case(at - 1, at))
            reopen();
        int rc = feed(v->bytes, v->lsn, &e);
        ck_assert_msg(!rc, "%s %s, row %d: %s", v->name.p, v->server.p, at, e.msg);
        ck_assert_msg(str_eq(buf_str(&f.k.out), v->expected), "%s %s, row %d: got\n%.*s\nnot\n%s", v->name.p,
                      v->server.p, at, STR_ARG(buf_str(&f.k.out)), v->expected.p);
    }
}
END_TEST

/* Kept until the commit, each transaction gives the changes that it gives at once, with its place. */
START_TEST(kept_until_commit)
{
    for (int at = 0; at < f.count; at++) {
        const struct vector *v = &f.vectors[at];
        struct err e = ERR_INIT;
        if (!at || !same_case(at - 1, at))
            reopen();
        ck_assert_msg(!feed_to(v->bytes, v->lsn, keeper_to(&f.k), &e), "%s %s, row %d: %s", v->name.p, v->server.p,
                      at, e.msg);
        bool commits = str_starts(v->bytes, "COMMIT");
        buf_add_char(&f.k.out, 0);
        ck_assert_int_eq(strstr(f.k.out.p, "begin ") != NULL, commits);
        char begin[64];
        snprintf(begin, sizeof begin, " %s ", LSN_STR(v->lsn - 1));
        ck_assert(!commits || strstr(f.k.out.p, begin) != NULL);
        ck_assert(strstr(f.k.out.p, "POSITION IS NOT") == NULL);
    }
}
END_TEST

/* What is cut is refused by name, or a shorter value; it never reads on. */
START_TEST(cut_at_every_byte)
{
    int refused = 0;
    for (int at = 0; at < f.count; at++) {
        const struct vector *v = &f.vectors[at];
        size_t bytes = v->bytes.len < 600 ? v->bytes.len : 600;
        for (size_t len = 0; len < bytes; len++) {
            struct err e = ERR_INIT;
            f.driver->restart(f.d);
            if (!str_starts(v->bytes, "BEGIN") && !str_starts(v->bytes, "message: transactional: 0"))
                feed_text("BEGIN 5");
            if (!feed((struct str){v->bytes.p, len}, v->lsn, &e))
                continue;
            refused++;
            ck_assert_int_eq(e.code, E_DECODE);
            ck_assert(str_starts(str_of(e.msg), "malformed test_decoding line at byte "));
        }
    }
    ck_assert_int_gt(refused, 1000);
}
END_TEST

static const char *const bad[][2] = {
    {"", "empty"},
    {"\x01", "no transaction is to be fed"},
    {"\x02", "no transaction is being fed"},
    {"BEGIN", "unknown line"},
    {"BEGIN 0", "no number"},
    {"BEGIN 4294967296", "no number"},
    {"BEGIN 7", "within another one"},
    {"COMMIT 7 (at 2026-01-01 00:00:00+00)", "which has not begun"},
    {"COMMIT 5", "no time of commit"},
    {"COMMIT 5 (at 2026-13-01 00:00:00+00)", "no time of commit"},
    {"COMMIT 5 (at 2026-01-01 00:00:00)", "no time of commit"},
    {"COMMIT 5 (at 2026-01-01 00:00:00.1234567+00)", "no time of commit"},
    {"COMMIT 5 (at 2026-01-01 00:00:00+00) x", "after the end"},
    {"PREPARE TRANSACTION 'x', txid 5", "unknown line"},
    {"opening a streamed block for transaction TXN 5", "unknown line"},
    {"table t: INSERT: a[integer]:1", "without its schema"},
    {"table public.: INSERT: a[integer]:1", "no name"},
    {"table public.t: MERGE: a[integer]:1", "unknown operation"},
    {"table public.t, public.u: INSERT: a[integer]:1", "several relations"},
    {"table public.t: INSERT: a:1", "without a type"},
    {"table public.t: INSERT: a[integer:1", "a type does not end"},
    {"table public.t: INSERT: a[]:1", "no type"},
    {"table public.t: INSERT: a[integer]1", "without a value"},
    {"table public.t: INSERT: a[integer]:", "no value"},
    {"table public.t: INSERT: a[text]:'x", "a quote does not end"},
    {"table public.t: INSERT: a[text]:'x''", "a quote does not end"},
    {"table public.t: INSERT: a[text]:'x'y", "no blank"},
    {"table public.t: INSERT: \"a[text]:'x'", "a quote does not end"},
    {"table public.t: INSERT: a[integer]:1 a[integer]:2", "comes twice"},
    {"table public.t: INSERT: (no-tuple-data)", "without a row"},
    {"table public.t: INSERT: a[integer]:1 new-tuple: b[integer]:1", "after the end"},
    {"table public.t: UPDATE: old-key: a[integer]:1", "without a new row"},
    {"table public.t: UPDATE: old-key: a[integer]:1 new-tuple: b[integer]:1", "that the new one lacks"},
    {"table public.t: DELETE: a[text]:unchanged-toast-datum", "unchanged value in an old row"},
    {"table public.t: TRUNCATE:", "no flags"},
    {"table public.t: TRUNCATE: (no-flags) cascade", "after the end"},
    {"message: transactional: 2 prefix: x, sz: 0 content:", "whether it is transactional"},
    {"message: transactional: 1 prefix: x, sz: 2 content:y", "no content"},
};

START_TEST(refused)
{
    struct err e = ERR_INIT;
    f.driver->restart(f.d);
    feed_text("BEGIN 5");
    ck_assert_int_eq(feed(str_of(bad[_i][0]), 4096, &e), -1);
    ck_assert_int_eq(e.code, E_DECODE);
    ck_assert_msg(strstr(e.msg, bad[_i][1]) != NULL, "%s: %s", bad[_i][0], e.msg);
}
END_TEST

static void expect(const char *text, const char *calls)
{
    feed_text(text);
    ck_assert_msg(str_is(buf_str(&f.k.out), calls), "%s: got %.*s", text, STR_ARG(buf_str(&f.k.out)));
}

/* With the whole row as identity a column that is not there was NULL; a value that was not sent comes from it. */
START_TEST(identity_full)
{
    f.identity = 'f';
    feed_text("BEGIN 5");
    expect("table public.t: UPDATE: old-key: a[integer]:1 b[text]:'x' new-tuple: a[integer]:2 b[text]:unchanged-toast-datum c[text]:null",
           "u public.t v1 #1 old(\"1\" \"x\" null) new(\"2\" \"x\" null)");
    expect("table public.t: DELETE: b[text]:'x'", "d public.t v1 #2 old(null \"x\" null)");
    f.identity = 'd';
}
END_TEST

START_TEST(unchanged_is_marked)
{
    feed_text("BEGIN 5");
    expect("table public.t: UPDATE: a[integer]:2 b[text]:unchanged-toast-datum c[text]:'unchanged-toast-datum'",
           "relation v1 public.t d(a:0/-1 b:0/-1 c:0/-1); u public.t v1 #1 new(\"2\" ~ \"unchanged-toast-datum\")");
}
END_TEST

/* Without an identity a delete tells no row: nothing can be told, and what follows is understood. */
START_TEST(delete_without_identity)
{
    feed_text("BEGIN 5");
    expect("table public.t: DELETE: (no-tuple-data)", "");
    expect("table public.t: INSERT:", "relation v1 public.t d(); c public.t v1 #1 new()");
}
END_TEST

START_TEST(times)
{
    struct err e = ERR_INIT;
    ck_assert(!feed_to(STR("BEGIN 5"), 1, keeper_to(&f.k), &e));
    ck_assert(!feed_to(STR("COMMIT 5 (at 2000-02-29 12:00:00.25+01)"), 0x100, keeper_to(&f.k), &e));
    ck_assert_msg(str_is(buf_str(&f.k.out), "begin 5 0/FF 951822000250000; commit 0/100"), "%.*s", STR_ARG(buf_str(&f.k.out)));
    ck_assert(!feed_to(STR("BEGIN 6"), 1, keeper_to(&f.k), &e));
    ck_assert(!feed_to(STR("COMMIT 6 (at 1969-12-31 18:30:00.5-05:30)"), 0x100, keeper_to(&f.k), &e));
    ck_assert_msg(str_is(buf_str(&f.k.out), "begin 6 0/FF 500000; commit 0/100"), "%.*s", STR_ARG(buf_str(&f.k.out)));
}
END_TEST

/* After a restart relations are told anew, and a transaction that was begun is forgotten. */
START_TEST(restarted)
{
    feed_text("BEGIN 5");
    feed_text("table public.t: INSERT: a[integer]:1");
    f.driver->restart(f.d);
    feed_text("BEGIN 6");
    expect("table public.t: INSERT: a[integer]:1", "relation v2 public.t d(a:0/-1); c public.t v2 #1 new(\"1\")");
}
END_TEST

START_TEST(options)
{
    struct buf out = BUF_INIT;
    const struct decoder_wish wish = {STR("\"p\""), 180000, true, false};
    f.driver->start_options(&wish, &out);
    ck_assert(strstr(out.p, "include-timestamp") && !strstr(out.p, "publication") && !strstr(out.p, "stream"));
    buf_free(&out);
}
END_TEST

Suite *test_decoding_suite(void)
{
    Suite *s = suite_create("test_decoding");
    TCase *t = tcase_create("lines");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, real_lines);
    tcase_add_test(t, kept_until_commit);
    tcase_add_test(t, cut_at_every_byte);
    tcase_add_loop_test(t, refused, 0, (int) (sizeof bad / sizeof *bad));
    tcase_add_test(t, identity_full);
    tcase_add_test(t, unchanged_is_marked);
    tcase_add_test(t, delete_without_identity);
    tcase_add_test(t, times);
    tcase_add_test(t, restarted);
    tcase_add_test(t, options);
    suite_add_tcase(s, t);
    return s;
}
