/* SPDX-License-Identifier: Apache-2.0
 * decoders/pgoutput: messages of real servers, then the same ones damaged. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/cursor.h"
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
};

static struct fixture f;

static void setup_with(const char *file)
{
    f = (struct fixture){.driver = decoder_find("pgoutput")};
    ck_assert_ptr_nonnull(f.driver);
    arena_init(&f.arena, 0, "test");
    arena_init(&f.scratch, 0, "test");
    f.count = vectors_load(file, f.vectors, VECTORS_MAX, &f.arena);
    f.d = f.driver->open();
    f.k.driver = f.driver;
    f.k.d = f.d;
    f.k.scratch = &f.scratch;
}

static void setup(void)
{
    setup_with("pgoutput.tsv");
}

static void setup_streamed(void)
{
    setup_with("pgoutput_streamed.tsv");
}

static void setup_bad(void)
{
    setup_with("pgoutput_bad.tsv");
}

static void teardown(void)
{
    f.driver->close(f.d);
    keeper_clear(&f.k);
    buf_free(&f.k.out);
    arena_free(&f.arena);
    arena_free(&f.scratch);
}

/* Feed a copy that ends where its allocation ends, so that a sanitizer sees a read past it. */
static int feed(struct str bytes, uint64_t lsn, struct err *e)
{
    struct decoder_out out = keeper_to(&f.k);
    char *copy = malloc(bytes.len ? bytes.len : 1);
    ck_assert_ptr_nonnull(copy);
    if (bytes.len)
        memcpy(copy, bytes.p, bytes.len);
    arena_reset(&f.scratch);
    buf_reset(&f.k.out);
    int rc = f.driver->feed(f.d, (struct str){copy, bytes.len}, lsn, &f.scratch, &out, e);
    free(copy);
    return rc;
}

static bool same_case(int a, int b)
{
    return str_eq(f.vectors[a].name, f.vectors[b].name) &&
           str_eq(f.vectors[a].server, f.vectors[b].server);
}

/* A new decoder that has read what stands before vector at in its case. */
static void replay(int at)
{
    struct err e = ERR_INIT;
    f.driver->close(f.d);
    f.d = f.driver->open();
    f.k.d = f.d;
    keeper_clear(&f.k);
    int from = at;
    while (from > 0 && same_case(from - 1, at))
        from--;
    for (; from < at; from++)
        ck_assert_msg(!feed(f.vectors[from].bytes, f.vectors[from].lsn, &e), "%s", e.msg);
}

START_TEST(real_messages)
{
    struct err e = ERR_INIT;
    ck_assert_int_gt(f.count, 60);
    for (int at = 0; at < f.count; at++) {
        const struct vector *v = &f.vectors[at];
        if (!at || !same_case(at - 1, at))
            replay(at);
        int rc = feed(v->bytes, v->lsn, &e);
        ck_assert_msg(!rc, "%s %s, row %d: %s", v->name.p, v->server.p, at, e.msg);
        ck_assert_msg(str_eq(buf_str(&f.k.out), v->expected), "%s %s, row %d: got\n%s\nnot\n%s",
                      v->name.p, v->server.p, at, f.k.out.len ? f.k.out.p : "", v->expected.p);
    }
}
END_TEST

START_TEST(cut_at_every_byte)
{
    for (int at = 0; at < f.count; at++) {
        const struct vector *v = &f.vectors[at];
        replay(at);
        for (size_t len = 0; len < v->bytes.len; len++) {
            struct err e = ERR_INIT;
            ck_assert_msg(feed((struct str){v->bytes.p, len}, v->lsn, &e) == -1,
                          "%s %s row %d taken when cut to %zu bytes", v->name.p, v->server.p, at,
                          len);
            ck_assert_int_eq(e.code, E_DECODE);
            ck_assert(str_starts(str_of(e.msg), "malformed pgoutput message "));
            ck_assert_uint_eq(f.k.out.len, 0);
        }
        /* the cut ones left no trace: the whole one is still understood */
        struct err e = ERR_INIT;
        ck_assert_msg(!feed(v->bytes, v->lsn, &e), "%s", e.msg);
        ck_assert(str_eq(buf_str(&f.k.out), v->expected));
    }
}
END_TEST

START_TEST(one_byte_too_many)
{
    for (int at = 0; at < f.count; at++) {
        const struct vector *v = &f.vectors[at];
        struct err e = ERR_INIT;
        struct buf longer = BUF_INIT;
        buf_add_str(&longer, v->bytes);
        buf_add_char(&longer, 0);
        replay(at);
        ck_assert_int_eq(feed(buf_str(&longer), v->lsn, &e), -1);
        ck_assert_int_eq(e.code, E_DECODE);
        ck_assert(strstr(e.msg, "1 bytes after the end") != NULL);
        buf_free(&longer);
    }
}
END_TEST

START_TEST(flipped_bits)
{
    int refused = 0, taken = 0;
    for (int at = 0; at < f.count; at++) {
        const struct vector *v = &f.vectors[at];
        /* long ones are long by repetition */
        size_t bytes = v->bytes.len < 128 ? v->bytes.len : 128;
        for (size_t bit = 0; bit < bytes * 8; bit++) {
            struct err e = ERR_INIT;
            struct str copy = arena_str(&f.arena, v->bytes);
            ((char *) (uintptr_t) copy.p)[bit / 8] ^= (char) (1 << bit % 8);
            replay(at);
            if (!feed(copy, v->lsn, &e)) {
                taken++;
                continue;
            }
            refused++;
            ck_assert_int_eq(e.code, E_DECODE);
            ck_assert(e.msg[0] && e.hint[0]);
        }
    }
    ck_assert_int_gt(refused, 1000);
    ck_assert_int_gt(taken, 1000);
}
END_TEST

START_TEST(malformed_messages)
{
    ck_assert_int_gt(f.count, 20);
    for (int at = 0; at < f.count; at++) {
        const struct vector *v = &f.vectors[at];
        struct err e = ERR_INIT;
        if (!at || !same_case(at - 1, at))
            replay(at);
        int rc = feed(v->bytes, v->lsn, &e);
        if (str_is(v->expected, "ok")) {
            ck_assert_msg(!rc, "%s: %s", v->name.p, e.msg);
            continue;
        }
        ck_assert_msg(rc == -1, "%s was taken", v->name.p);
        ck_assert_msg(e.code == E_DECODE && strstr(e.msg, v->expected.p), "%s: got\n%s\nnot\n%s",
                      v->name.p, e.msg, v->expected.p);
    }
}
END_TEST

/* Parts are not looked into until the commit, so that damage may show there only: any end but a
 * crash, and E_DECODE where it is refused. */
START_TEST(damaged_streams)
{
    int refused = 0;
    for (int at = 0; at < f.count; at++) {
        const struct vector *v = &f.vectors[at];
        size_t bytes = v->bytes.len < 48 ? v->bytes.len : 48;
        for (size_t bit = 0; bit < bytes * 8; bit += 3) {
            struct err e = ERR_INIT;
            struct str copy = arena_str(&f.arena, v->bytes);
            ((char *) (uintptr_t) copy.p)[bit / 8] ^= (char) (1 << bit % 8);
            replay(at);
            int rc = feed(copy, v->lsn, &e);
            for (int next = at + 1; !rc && next < f.count && same_case(next, at); next++)
                rc = feed(f.vectors[next].bytes, f.vectors[next].lsn, &e);
            refused += rc != 0;
            ck_assert(!rc || e.code == E_DECODE);
        }
    }
    ck_assert_int_gt(refused, 100);
}
END_TEST

static int feed_to(const struct decoder_out *out, struct str bytes, struct err *e)
{
    return f.driver->feed(f.d, bytes, 0, &f.scratch, out, e);
}

#define STREAM_START ((struct str){"S\0\0\0\7\1", 6})
#define STREAM_RELATION ((struct str){"R\0\0\0\7\0\0\0\5s\0t\0d\0\1\1c\0\0\0\0\x17\xff\xff\xff\xff", 27})
#define STREAM_INSERT ((struct str){"I\0\0\0\7\0\0\0\5N\0\1n", 13})
#define STREAM_STOP ((struct str){"E", 1})
#define STREAM_COMMIT ((struct str){"c\0\0\0\7\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0\0", 30})
#define BEGIN_OTHER ((struct str){"B\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\x08", 21})
#define RELATION_WIDE ((struct str){"R\0\0\0\5s\0t\0d\0\2\1c\0\0\0\0\x17\xff\xff\xff\xff\0d\0\0\0\0\x17\xff\xff\xff\xff", 34})
#define COMMIT_OTHER ((struct str){"C\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0", 26})
#define INSERT_WIDE ((struct str){"I\0\0\0\5N\0\2nn", 10})

/* A column list was changed while a streamed transaction was open: its rows are of the old form, those
 * behind it of the one that was announced in between, and the server does not announce that again. */
START_TEST(older_relation_is_put_back)
{
    struct err e = ERR_INIT;
    const struct str before[] = {STREAM_START, STREAM_RELATION, STREAM_INSERT, STREAM_STOP,
                                 BEGIN_OTHER, RELATION_WIDE, COMMIT_OTHER};
    for (size_t at = 0; at < sizeof before / sizeof *before; at++)
        ck_assert_msg(!feed(before[at], 0, &e), "%zu: %s", at, e.msg);
    ck_assert_msg(!feed(STREAM_COMMIT, 0, &e), "%s", e.msg);
    ck_assert_str_eq(f.k.out.p, "begin 7 0/5 946684800000000; relation v2 s.t d(c*:23/-1); "
                                "c s.t v2 #1 new(null); commit 0/6; relation v3 s.t d(c*:23/-1 d:23/-1)");
    ck_assert(!feed(BEGIN_OTHER, 0, &e) && !feed(INSERT_WIDE, 0, &e));
    ck_assert_str_eq(f.k.out.p, "c s.t v3 #1 new(null null)");
}
END_TEST

#define PREPARED_ENDS "\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0\0"
#define BEGIN_PREPARE ((struct str){"b" PREPARED_ENDS "\0\0\0\7gid", 33})
#define PREPARE ((struct str){"P\0" PREPARED_ENDS "\0\0\0\7gid", 34})
#define STREAM_PREPARE ((struct str){"p\0" PREPARED_ENDS "\0\0\0\7gid", 34})
#define COMMIT_PREPARED ((struct str){"K\0" PREPARED_ENDS "\0\0\0\7gid", 34})
#define ROLLBACK_PREPARED ((struct str){"r\0" PREPARED_ENDS "\0\0\0\0\0\0\0\0\0\0\0\7gid", 42})

/* What is kept is read by a decoder that knows nothing: each relation is told in front of its first row. */
START_TEST(prepared_stands_alone)
{
    struct err e = ERR_INIT;
    const struct str before[] = {BEGIN_OTHER, RELATION_WIDE, COMMIT_OTHER, BEGIN_PREPARE, INSERT_WIDE, INSERT_WIDE, PREPARE};
    for (size_t at = 0; at < sizeof before / sizeof *before; at++) {
        ck_assert_msg(!feed(before[at], 0, &e), "%zu: %s", at, e.msg);
        if (at == 4)
            ck_assert_str_eq(f.k.out.p, "part 7/7 r; part 7/7 I");
    }
    f.driver->restart(f.d);
    ck_assert_msg(!feed(COMMIT_PREPARED, 0, &e), "%s", e.msg);
    ck_assert_str_eq(f.k.out.p, "commit prepared 7 gid; begin 7 0/5 946684800000000; relation v2 s.t d(c*:23/-1 d:23/-1); "
                                "c s.t v2 #1 new(null null); c s.t v2 #2 new(null null); commit 0/6");
    /* one without rows; one that is rolled back; what nobody asked for */
    ck_assert(!feed(BEGIN_PREPARE, 0, &e) && !feed(PREPARE, 0, &e) && !feed(ROLLBACK_PREPARED, 0, &e));
    ck_assert_str_eq(f.k.out.p, "rollback prepared 7 gid; abort 7/7");
    ck_assert(!feed(STREAM_PREPARE, 0, &e));
    ck_assert_str_eq(f.k.out.p, "prepare streamed 7 gid 0/6");
    ck_assert_int_eq(feed(PREPARE, 0, &e), -1);
    const struct decoder_out none = dump_to(&f.k.out);
    ck_assert_int_eq(feed_to(&none, BEGIN_PREPARE, &e), -1);
}
END_TEST

/* A relation that is announced within is announced to all, and told again where it is used. */
START_TEST(prepared_announces)
{
    struct err e = ERR_INIT;
    const struct str before[] = {BEGIN_PREPARE, RELATION_WIDE, INSERT_WIDE, PREPARE, BEGIN_OTHER};
    for (size_t at = 0; at < sizeof before / sizeof *before; at++)
        ck_assert_msg(!feed(before[at], 0, &e), "%zu: %s", at, e.msg);
    ck_assert(!feed(INSERT_WIDE, 0, &e));
    ck_assert_str_eq(f.k.out.p, "relation v1 s.t d(c*:23/-1 d:23/-1); c s.t v1 #1 new(null null)");
    ck_assert(!feed(INSERT_WIDE, 0, &e));
    ck_assert_str_eq(f.k.out.p, "c s.t v1 #2 new(null null)");
}
END_TEST

static int relation_refined(void *self, const struct relation *wire, const struct relation **refined,
                            struct err *e)
{
    (void) wire;
    (void) e;
    *refined = self;
    return 0;
}

static int relation_refused(void *self, const struct relation *wire, const struct relation **refined,
                            struct err *e)
{
    (void) self;
    (void) wire;
    (void) refined;
    return err_set(e, E_STOPPED, "test");
}


#define BEGIN ((struct str){"B\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\7", 21})
#define RELATION ((struct str){"R\0\0\0\5s\0t\0d\0\1\1c\0\0\0\0\x17\xff\xff\xff\xff", 23})
#define INSERT ((struct str){"I\0\0\0\5N\0\1n", 9})

START_TEST(relation_is_told_when_it_differs)
{
    struct err e = ERR_INIT;
    ck_assert_int_eq(feed(BEGIN, 0, &e), 0);
    ck_assert_int_eq(feed(RELATION, 0, &e), 0);
    ck_assert_str_eq(f.k.out.p, "relation v1 s.t d(c*:23/-1)");
    ck_assert_int_eq(feed(RELATION, 0, &e), 0);
    ck_assert_uint_eq(f.k.out.len, 0);
    /* what was told to count as another one, once */
    f.driver->renew(f.d, 6);
    ck_assert(!feed(RELATION, 0, &e) && !f.k.out.len);
    f.driver->renew(f.d, 5);
    ck_assert(!feed(INSERT, 0, &e) && !feed(RELATION, 0, &e));
    ck_assert_str_eq(f.k.out.p, "relation v2 s.t d(c*:23/-1)");
    ck_assert(!feed(RELATION, 0, &e) && !f.k.out.len);
    /* a new connection knows no relations and no transaction */
    f.driver->restart(f.d);
    ck_assert_int_eq(feed(BEGIN, 0, &e), 0);
    ck_assert_int_eq(feed(INSERT, 0, &e), -1);
    ck_assert_int_eq(feed(RELATION, 0, &e), 0);
    ck_assert_str_eq(f.k.out.p, "relation v3 s.t d(c*:23/-1)");
    ck_assert_int_eq(feed(INSERT, 0, &e), 0);
    ck_assert_str_eq(f.k.out.p, "c s.t v3 #1 new(null)");
}
END_TEST

START_TEST(relation_is_refined_by_the_caller)
{
    struct err e = ERR_INIT;
    static const struct column columns[2] = {{.name = {"c", 1}, .key_position = 1}};
    struct relation refined = {.oid = 5, .version = 77, .space = STR("s"), .name = STR("fine"),
                               .identity = 'd', .column_count = 1, .columns = columns};
    struct decoder_out out = dump_to(&f.k.out);
    ck_assert_int_eq(feed_to(&out, BEGIN, &e), 0);
    out.relation = relation_refused;
    ck_assert_int_eq(feed_to(&out, RELATION, &e), -1);
    ck_assert_int_eq(e.code, E_STOPPED);
    ck_assert_int_eq(feed_to(&out, INSERT, &e), -1);
    ck_assert_int_eq(e.code, E_DECODE);
    out.relation = relation_refined;
    out.self = &refined;
    refined.column_count = 2;
    ck_assert_int_eq(feed_to(&out, RELATION, &e), -1);
    ck_assert_int_eq(e.code, E_INTERNAL);
    refined.column_count = 1;
    ck_assert_int_eq(feed_to(&out, RELATION, &e), 0);
    ck_assert_int_eq(feed(INSERT, 0, &e), 0);
    ck_assert_str_eq(f.k.out.p, "c s.fine v77 #1 new(null)");
}
END_TEST

START_TEST(many_relations)
{
    struct err e = ERR_INIT;
    uint8_t relation[23], insert[9];
    memcpy(relation, RELATION.p, sizeof relation);
    memcpy(insert, INSERT.p, sizeof insert);
    ck_assert_int_eq(feed(BEGIN, 0, &e), 0);
    for (uint32_t oid = 1; oid <= 5000; oid++) {
        put_be(relation + 1, oid * 64, 4);
        ck_assert_int_eq(feed((struct str){(char *) relation, sizeof relation}, 0, &e), 0);
    }
    for (uint32_t oid = 1; oid <= 5000; oid++) {
        put_be(insert + 1, oid * 64, 4);
        ck_assert_int_eq(feed((struct str){(char *) insert, sizeof insert}, 0, &e), 0);
    }
}
END_TEST

START_TEST(origin_of_absurd_length)
{
    struct err e = ERR_INIT;
    struct buf origin = BUF_INIT;
    char *name = calloc(1, 70000);
    ck_assert_ptr_nonnull(name);
    memset(name, 'x', 69999);
    buf_add(&origin, "O\0\0\0\0\0\0\0\1", 9);
    buf_add(&origin, name, 70000);
    ck_assert_int_eq(feed(BEGIN, 0, &e), 0);
    ck_assert_int_eq(feed(buf_str(&origin), 0, &e), -1);
    ck_assert_msg(strstr(e.msg, "origin's name has 69999 bytes") != NULL, "%s", e.msg);
    free(name);
    buf_free(&origin);
}
END_TEST

START_TEST(options_quote_the_publications)
{
    struct decoder_wish wish = {STR("\"a\",\"it's\""), 150000, false, false};
    f.driver->start_options(&wish, &f.k.out);
    ck_assert_str_eq(f.k.out.p, "\"proto_version\" '1', \"publication_names\" '\"a\",\"it''s\"', "
                                "\"messages\" 'true'");
    wish.streaming = true;
    buf_reset(&f.k.out);
    f.driver->start_options(&wish, &f.k.out);
    ck_assert_str_eq(f.k.out.p, "\"proto_version\" '2', \"publication_names\" '\"a\",\"it''s\"', "
                                "\"messages\" 'true', \"streaming\" 'on'");
    ck_assert_ptr_null(decoder_find("wal2json"));
}
END_TEST

Suite *pgoutput_suite(void)
{
    Suite *s = suite_create("pgoutput");
    TCase *t = tcase_create("real");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, real_messages);
    tcase_add_test(t, cut_at_every_byte);
    tcase_add_test(t, one_byte_too_many);
    tcase_add_test(t, flipped_bits);
    suite_add_tcase(s, t);
    t = tcase_create("streamed");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup_streamed, teardown);
    tcase_add_test(t, real_messages);
    tcase_add_test(t, damaged_streams);
    tcase_add_test(t, older_relation_is_put_back);
    tcase_add_test(t, prepared_stands_alone);
    tcase_add_test(t, prepared_announces);
    suite_add_tcase(s, t);
    t = tcase_create("made");
    tcase_add_checked_fixture(t, setup_bad, teardown);
    tcase_add_test(t, malformed_messages);
    tcase_add_test(t, relation_is_told_when_it_differs);
    tcase_add_test(t, relation_is_refined_by_the_caller);
    tcase_add_test(t, many_relations);
    tcase_add_test(t, origin_of_absurd_length);
    tcase_add_test(t, options_quote_the_publications);
    suite_add_tcase(s, t);
    return s;
}
