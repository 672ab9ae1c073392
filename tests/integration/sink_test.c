/* SPDX-License-Identifier: Apache-2.0
 * The PostgreSQL sink against a real server (TR_TARGET holds its connection string): rows of all
 * shapes, what it makes itself, what it parks, and the watermark when a session is cut off. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/net/pg.h"
#include "sinks/sink.h"

static struct env env;
static struct config config;
static struct config_target target;
static struct sink *sink;
static struct sink_position pos;
static struct arena arena;
static PGconn *sql;
static int parked;
static struct err parked_why;

/* ---- helpers ---- */

static int keep_parked(void *self, const struct change *c, const struct err *why, struct err *e)
{
    (void) self;
    (void) c;
    (void) e;
    parked++;
    parked_why = *why;
    return 0;
}

static void run(const char *text)
{
    PGresult *res = PQexec(sql, text);
    ck_assert_msg(PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK,
                  "%s: %s", text, PQerrorMessage(sql));
    PQclear(res);
}

static void same(const char *query, const char *want)
{
    PGresult *res = PQexec(sql, query);
    ck_assert_msg(PQresultStatus(res) == PGRES_TUPLES_OK, "%s: %s", query, PQerrorMessage(sql));
    const char *got = PQntuples(res) ? PQgetvalue(res, 0, 0) : "(no row)";
    ck_assert_msg(!strcmp(got, want), "%s: got %s, want %s", query, got, want);
    PQclear(res);
}

/* "name type|name type": a leading * is a key column, ! NOT NULL, ~ generated. */
static const struct relation *rel_of(const char *name, const char *columns)
{
    struct relation *rel = arena_zalloc(&arena, 1, sizeof *rel);
    struct column *cols = arena_zalloc(&arena, 32, sizeof *cols);
    static uint32_t oid = 1;
    rel->oid = oid++;
    rel->space = STR("public");
    rel->name = arena_str(&arena, str_of(name));
    rel->identity = 'd';
    rel->columns = cols;
    for (const char *at = columns; *at;) {
        struct column *col = &cols[rel->column_count++];
        if (*at == '*')
            at++, col->key_position = ++rel->key_count, col->identity = col->not_null = true;
        if (*at == '!')
            at++, col->not_null = true;
        if (*at == '~')
            at++, col->generated = true;
        size_t len = strcspn(at, " ");
        col->name = arena_str(&arena, (struct str){at, len});
        at += len + 1;
        len = strcspn(at, "|");
        col->type_sql = col->type_name = arena_str(&arena, (struct str){at, len});
        col->typmod = -1;
        at += len;
        at += *at == '|';
    }
    return rel;
}

/* "1|text|\\N|\\U|\\A": NULL, unchanged, absent. */
static const struct value *row_of(const struct relation *rel, const char *text)
{
    if (!text)
        return NULL;
    struct value *v = arena_zalloc(&arena, (size_t) rel->column_count, sizeof *v);
    for (int at = 0; at < rel->column_count; at++) {
        size_t len = strcspn(text, "|");
        struct str s = {text, len};
        v[at].state = str_is(s, "\\N") ? VALUE_NULL : str_is(s, "\\U") ? VALUE_UNCHANGED
                      : str_is(s, "\\A") ? VALUE_ABSENT : VALUE_SET;
        if (v[at].state == VALUE_SET)
            v[at].text = arena_str(&arena, s);
        text += len;
        text += *text == '|';
    }
    return v;
}

static struct change change_of(const struct relation *rel, enum change_op op, const char *before,
                               const char *after)
{
    struct change c = {.op = op, .rel = rel, .before = row_of(rel, before), .after = row_of(rel, after)};
    c.old = !before ? OLD_NONE : strstr(before, "\\A") ? OLD_KEY : OLD_FULL;
    return c;
}

static uint64_t next_lsn = 100;

static int apply_as(enum mark_kind kind, uint32_t flags, const struct change *c, int count, bool careful,
                    struct err *e)
{
    struct mark mark = {.kind = kind, .flags = flags, .topic = STR("t.public.copied")};
    mark.pos = (struct position){.system_id = 7, .timeline = 1, .lsn = next_lsn++};
    struct sink_position to = pos;
    to.known = true;
    if (kind == MARK_STREAM)
        to.stream = mark.pos;
    else
        to.copy = mark.pos;
    if (sink->driver->apply(sink, &mark, c, count, careful, e) || sink->driver->commit(sink, &to, careful, e)) {
        sink->driver->rollback(sink);
        return -1;
    }
    pos = to;
    return 0;
}

/* Fast, and carefully when that fails for a row; as the pump does. */
static void apply(const struct change *c, int count)
{
    struct err e = ERR_INIT;
    for (int attempt = 0; attempt < 3; attempt++) {
        err_clear(&e);
        if (!apply_as(MARK_STREAM, 0, c, count, attempt > 0, &e))
            return;
        ck_assert_msg(e.class == ERR_ITEM, "%s [%s] %s", e.msg, e.sqlstate, e.hint);
    }
    ck_abort_msg("%s [%s]", e.msg, e.sqlstate);
}

static void connect_sink(void)
{
    struct err e = ERR_INIT;
    struct position source = {.system_id = 7, .timeline = 1};
    int done = sink->driver->connect(sink, &source, &pos, &e);
    ck_assert_msg(!done, "%s [%s] %s", e.msg, e.sqlstate, e.hint);
}

static void setup(void)
{
    static int stop_pipe[2];
    const char *dsn = getenv("TR_TARGET");
    ck_assert_msg(dsn != NULL, "TR_TARGET is not set: run tests/integration/sink.sh");
    ck_assert_int_eq(pipe(stop_pipe), 0);
    env = (struct env){.clock = &clock_system, .stop_fd = stop_pipe[0]};
    env.log = log_open(2, &clock_system);
    log_configure(env.log, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    env.metrics = metrics_open();
    target = (struct config_target){.name = "t", .url = dsn, .synchronous_commit = "on", .schema = "",
                                    .statement_timeout_ms = 60000};
    arena_init(&arena, 0, "test");
    sql = PQconnectdb(dsn);
    ck_assert_int_eq(PQstatus(sql), CONNECTION_OK);
    run("SET client_min_messages = warning; DROP SCHEMA IF EXISTS tailrace CASCADE; DROP SCHEMA public CASCADE;"
        " CREATE SCHEMA public");
    struct sink_env lent = {.env = &env, .config = &config, .target = &target, .route = "r", .park = keep_parked};
    struct err e = ERR_INIT;
    sink = sink_find("postgres")->open(&lent, &e);
    ck_assert_ptr_nonnull(sink);
    parked = 0;
    pos = (struct sink_position){0};
}

static void teardown(void)
{
    sink->driver->close(sink);
    PQfinish(sql);
    arena_free(&arena);
    metrics_close(env.metrics);
    log_close(env.log);
    close(env.stop_fd);
}

/* ---- tests ---- */

START_TEST(rows_by_key)
{
    run("CREATE TABLE a (id int PRIMARY KEY, t varchar(5), n numeric(10,2), b bytea)");
    connect_sink();
    ck_assert(!pos.known);
    const struct relation *rel = rel_of("a", "*id integer|t character varying(5)|n numeric(10,2)|b bytea");
    struct change c[] = {
        change_of(rel, OP_CREATE, NULL, "1|one|1.50|\\xff00"), change_of(rel, OP_CREATE, NULL, "2|\\N|\\N|\\N"),
        change_of(rel, OP_CREATE, NULL, "3|q\"\\,{|NaN|\\x"),  change_of(rel, OP_UPDATE, NULL, "1|uno|\\U|\\U"),
        change_of(rel, OP_DELETE, "2|\\A|\\A|\\A", NULL),      change_of(rel, OP_UPDATE, "3|\\A|\\A|\\A", "30|\\U|2.00|\\U"),
        change_of(rel, OP_CREATE, NULL, "1|again|0|\\N"),
    };
    apply(c, 7);
    same("SELECT string_agg(a::text, ';' ORDER BY id) FROM a", "(1,again,0.00,);(30,\"q\"\"\\\\,{\",2.00,\"\\\\x\")");
    same("SELECT commit_lsn::text || ' ' || system_id FROM tailrace.watermark", "0/64 7");
    ck_assert_int_eq(parked, 0);
    /* too long is refused, not cut */
    struct change bad[] = {change_of(rel, OP_CREATE, NULL, "5|toolong|1|\\N"), change_of(rel, OP_CREATE, NULL, "6|six|1|\\N")};
    apply(bad, 2);
    ck_assert_int_eq(parked, 1);
    ck_assert_str_eq(parked_why.sqlstate, "22001");
    ck_assert(!strstr(parked_why.msg, "toolong"));
    same("SELECT count(*)::text FROM a", "3");
}
END_TEST

START_TEST(many_rows)
{
    run("CREATE TABLE m (id int PRIMARY KEY, v int[], d date, t text, j json)");
    connect_sink();
    const struct relation *rel = rel_of("m", "*id integer|v integer[]|d date|t text|j json");
    struct change *c = arena_zalloc(&arena, 5000, sizeof *c);
    for (int at = 0; at < 5000; at++) {
        struct str row = arena_printf(&arena, "%d|{%d,NULL}|infinity|text %d|{\"a\": \"%d\"}", at, at, at, at);
        c[at] = change_of(rel, OP_CREATE, NULL, row.p);
    }
    apply(c, 5000);
    same("SELECT count(*) || ' ' || sum(v[1]) || ' ' || max(t) FROM m WHERE d = 'infinity'", "5000 12497500 text 999");
    for (int at = 0; at < 5000; at++)
        c[at] = change_of(rel, OP_UPDATE, NULL, arena_printf(&arena, "%d|\\U|2024-01-01|new|null", at).p);
    apply(c, 5000);
    same("SELECT count(*) || ' ' || sum(v[1]) FROM m WHERE d = '2024-01-01' AND t = 'new'", "5000 12497500");
    /* key changes, each into the next one's old key: 4999 -> 5000, 4998 -> 4999, ... */
    for (int at = 0; at < 5000; at++)
        c[at] = change_of(rel, OP_UPDATE, arena_printf(&arena, "%d|\\A|\\A|\\A|\\A", 4999 - at).p,
                          arena_printf(&arena, "%d|\\U|2024-01-01|new|null", 5000 - at).p);
    apply(c, 5000);
    same("SELECT min(id) || ' ' || max(id) || ' ' || count(*) FROM m", "1 5000 5000");
    for (int at = 0; at < 5000; at++)
        c[at] = change_of(rel, OP_DELETE, arena_printf(&arena, "%d|\\A|\\A|\\A|\\A", at + 1).p, NULL);
    apply(c, 5000);
    same("SELECT count(*)::text FROM m", "0");
    ck_assert_int_eq(metric_get(env.metrics, M_APPLY_MISSING, metric_series(env.metrics, M_APPLY_MISSING, STR("r"))), 0);
}
END_TEST

START_TEST(rows_without_key)
{
    run("CREATE TABLE n (a int, b numeric, j json, p point, x xml, f float8)");
    connect_sink();
    struct relation *rel = (struct relation *) (uintptr_t) rel_of("n", "a integer|b numeric|j json|p point|x xml|f double precision");
    rel->identity = 'f';
    struct change c[] = {
        change_of(rel, OP_CREATE, NULL, "1|1.0|{}|(1,2)|<a/>|NaN"), change_of(rel, OP_CREATE, NULL, "1|1.00|{}|(1,2)|<a/>|NaN"),
        change_of(rel, OP_CREATE, NULL, "1|1.00|{}|(1,2)|<a/>|NaN"), change_of(rel, OP_CREATE, NULL, "\\N|\\N|\\N|\\N|\\N|\\N"),
        change_of(rel, OP_DELETE, "1|1.00|{}|(1,2)|<a/>|NaN", NULL), change_of(rel, OP_UPDATE, "\\N|\\N|\\N|\\N|\\N|\\N", "9|\\N|[1]|\\N|\\N|\\N"),
    };
    apply(c, 6);
    same("SELECT string_agg(b::text, ' ' ORDER BY b::text) || ' ' || max(a) FROM n", "1.0 1.00 9");
    ck_assert_int_eq(parked, 0);
    struct change none = change_of(rel, OP_UPDATE, "5|\\N|\\N|\\N|\\N|\\N", "6|\\N|\\N|\\N|\\N|\\N");
    apply(&none, 1); /* not found, but known whole: inserted */
    same("SELECT count(*)::text FROM n WHERE a = 6", "1");
    ck_assert_int_eq(metric_get(env.metrics, M_APPLY_MISSING, metric_series(env.metrics, M_APPLY_MISSING, STR("r"))), 1);
}
END_TEST

START_TEST(parks_one_key_and_goes_on)
{
    run("CREATE TABLE a (id int PRIMARY KEY, n int CHECK (n < 100), u int UNIQUE)");
    connect_sink();
    const struct relation *rel = rel_of("a", "*id integer|n integer|u integer");
    struct change *c = arena_zalloc(&arena, 600, sizeof *c);
    for (int at = 0; at < 600; at++)
        c[at] = change_of(rel, OP_CREATE, NULL, arena_printf(&arena, "%d|%d|%d", at, at == 300 ? 100 : 1, at).p);
    c[400] = change_of(rel, OP_UPDATE, NULL, "300|2|300");          /* behind it */
    c[401] = change_of(rel, OP_UPDATE, "300|\\A|\\A", "1300|3|300"); /* moves the parked key */
    c[402] = change_of(rel, OP_UPDATE, NULL, "1300|4|300");
    apply(c, 600);
    ck_assert_int_eq(parked, 4);
    same("SELECT count(*)::text FROM a", "596");
    /* unchanged and unknown: no row to complete it from */
    struct change lost = change_of(rel, OP_UPDATE, NULL, "5000|\\U|1");
    apply(&lost, 1);
    ck_assert_int_eq(parked, 5);
}
END_TEST

START_TEST(deferred_constraint_is_met_inside)
{
    run("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE k (id int PRIMARY KEY, p int REFERENCES p DEFERRABLE INITIALLY DEFERRED)");
    target.triggers = TARGET_TRIGGERS_ON;
    connect_sink();
    const struct relation *p = rel_of("p", "*id integer"), *k = rel_of("k", "*id integer|p integer");
    struct change c[] = {change_of(k, OP_CREATE, NULL, "1|1"), change_of(p, OP_CREATE, NULL, "1")};
    apply(c, 2); /* child first is fine */
    ck_assert_int_eq(parked, 0);
    struct change bad[] = {change_of(k, OP_CREATE, NULL, "2|9"), change_of(k, OP_CREATE, NULL, "3|1")};
    apply(bad, 2);
    ck_assert_int_eq(parked, 1);
    ck_assert_str_eq(parked_why.sqlstate, "23503");
    same("SELECT string_agg(id::text, ',') FROM k", "1,3");
}
END_TEST

START_TEST(truncates)
{
    run("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE k (id int PRIMARY KEY, p int REFERENCES p);"
        " INSERT INTO p VALUES (1); INSERT INTO k VALUES (1, 1)");
    connect_sink();
    const struct relation *p = rel_of("p", "*id integer"), *k = rel_of("k", "*id integer|p integer");
    struct change c[] = {change_of(p, OP_CREATE, NULL, "2"), change_of(p, OP_TRUNCATE, NULL, NULL),
                         change_of(k, OP_TRUNCATE, NULL, NULL), change_of(p, OP_CREATE, NULL, "3")};
    apply(c, 4);
    same("SELECT (SELECT count(*) FROM k) || ' ' || (SELECT string_agg(id::text, ',') FROM p)", "0 3");
}
END_TEST

START_TEST(identity_and_generated)
{
    run("CREATE TABLE g (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED)");
    connect_sink();
    const struct relation *rel = rel_of("g", "*id integer|a integer|b integer");
    struct change c[] = {change_of(rel, OP_CREATE, NULL, "7|1|5"), change_of(rel, OP_UPDATE, NULL, "7|4|5"),
                         change_of(rel, OP_CREATE, NULL, "8|1|5")};
    apply(c, 3);
    same("SELECT string_agg(g::text, ';' ORDER BY id) FROM g", "(7,4,8);(8,1,2)");
}
END_TEST

START_TEST(makes_tables_and_types)
{
    target.create = true;
    connect_sink();
    struct relation *rel = (struct relation *) (uintptr_t) rel_of("odd \"name", "*id integer|*k text|m shop.mood|ms shop.mood[]|~z integer|!c character(3)");
    struct column *cols = (struct column *) (uintptr_t) rel->columns;
    cols[2].kind = cols[3].kind = TYPE_ENUM;
    cols[3].array = true;
    cols[2].enum_labels = cols[3].enum_labels = STR("[\"sad\",\"it's\"]");
    rel->space = STR("Shop");
    struct change c[] = {change_of(rel, OP_CREATE, NULL, "1|x|it's|{sad}|\\A|ab"), change_of(rel, OP_CREATE, NULL, "2|x|\\N|\\N|\\A|ab")};
    apply(c, 2);
    same("SELECT string_agg(t::text, ';' ORDER BY id) FROM \"Shop\".\"odd \"\"name\" t", "(1,x,it's,{sad},\"ab \");(2,x,,,\"ab \")");
    const struct relation *other = rel_of("o", "*id integer|t nosuchtype");
    struct change bad = change_of(other, OP_CREATE, NULL, "1|x");
    struct err e = ERR_INIT;
    ck_assert_int_eq(apply_as(MARK_STREAM, 0, &bad, 1, false, &e), -1);
    ck_assert_int_eq(e.code, E_TARGET_TABLE);
    ck_assert(strstr(e.msg, "nosuchtype"));
    apply(c, 2); /* the session goes on */
}
END_TEST

START_TEST(names_what_does_not_fit)
{
    run("CREATE TABLE a (id int)");
    connect_sink();
    struct err e = ERR_INIT;
    struct change none = change_of(rel_of("nowhere", "*id integer"), OP_CREATE, NULL, "1");
    ck_assert_int_eq(apply_as(MARK_STREAM, 0, &none, 1, false, &e), -1);
    ck_assert(e.code == E_TARGET_TABLE && strstr(e.msg, "public.nowhere"));
    struct change column = change_of(rel_of("a", "id integer|extra text"), OP_CREATE, NULL, "1|x");
    ck_assert_int_eq(apply_as(MARK_STREAM, 0, &column, 1, false, &e), -1);
    ck_assert(e.code == E_TARGET_TABLE && strstr(e.msg, "extra") && strstr(e.hint, "ADD COLUMN"));
    struct change key = change_of(rel_of("a", "*id integer"), OP_CREATE, NULL, "1");
    ck_assert_int_eq(apply_as(MARK_STREAM, 0, &key, 1, false, &e), -1);
    ck_assert(e.code == E_TARGET_TABLE && strstr(e.hint, "ADD PRIMARY KEY"));
    run("ALTER TABLE a ADD PRIMARY KEY (id)"); /* the cure is seen without a reconnect */
    apply(&key, 1);
    same("SELECT count(*)::text FROM a", "1");
}
END_TEST

START_TEST(watermark_stops_a_second_session)
{
    run("CREATE TABLE n (a int)");
    connect_sink();
    const struct relation *rel = rel_of("n", "a integer");
    struct change c = change_of(rel, OP_CREATE, NULL, "1");
    apply(&c, 1);
    /* another session of this route commits, as an old one that was still on its way */
    run("UPDATE tailrace.watermark SET version = version + 1, commit_lsn = '0/FFFF'");
    struct err e = ERR_INIT;
    ck_assert_int_eq(apply_as(MARK_STREAM, 0, &c, 1, false, &e), -1);
    ck_assert_int_eq(e.code, E_PG_RETRY);
    same("SELECT count(*)::text FROM n", "1");
    connect_sink();
    ck_assert_uint_eq(pos.stream.lsn, 0xffff);
    /* a session that dies in the middle leaves neither rows nor position */
    struct mark mark = {.kind = MARK_STREAM};
    ck_assert_int_eq(sink->driver->apply(sink, &mark, &c, 1, false, &e), 0);
    run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tailrace/r'");
    ck_assert_int_eq(apply_as(MARK_STREAM, 0, &c, 1, false, &e), -1);
    ck_assert_msg(err_is_transient(&e), "%s [%s]", e.msg, e.sqlstate);
    connect_sink();
    apply(&c, 1);
    same("SELECT count(*)::text FROM n", "2");
}
END_TEST

START_TEST(copies)
{
    run("CREATE TABLE copied (id int PRIMARY KEY); INSERT INTO copied VALUES (99)");
    connect_sink();
    const struct relation *rel = rel_of("copied", "*id integer");
    struct change c = change_of(rel, OP_READ, NULL, "1"), d = change_of(rel, OP_READ, NULL, "2");
    struct err e = ERR_INIT;
    ck_assert_int_eq(apply_as(MARK_COPY, MARK_COPY_FIRST, &c, 1, false, &e), -1);
    ck_assert(e.code == E_TARGET_TABLE && strstr(e.msg, "public.copied"));
    target.existing = EXISTING_KEEP;
    ck_assert_int_eq(apply_as(MARK_COPY, MARK_COPY_FIRST, &c, 1, false, &e), 0);
    same("SELECT string_agg(id::text, ',' ORDER BY id) FROM copied", "1,99");
    /* a newer copy clears what the unfinished one left */
    target.existing = EXISTING_REFUSE;
    ck_assert_int_eq(apply_as(MARK_COPY, MARK_COPY_FIRST | MARK_COPY_LAST, &d, 1, false, &e), 0);
    same("SELECT string_agg(id::text, ',' ORDER BY id) FROM copied", "2");
    same("SELECT done::text FROM tailrace.copy", "true");
}
END_TEST

START_TEST(lazy_commit_is_known_when_flushed)
{
    run("CREATE TABLE n (a int)");
    target.synchronous_commit = "off";
    connect_sink();
    struct change c = change_of(rel_of("n", "a integer"), OP_CREATE, NULL, "1");
    apply(&c, 1);
    struct err e = ERR_INIT;
    bool all = false;
    for (int turn = 0; turn < 100 && !all; turn++) {
        ck_assert_int_eq(sink->driver->flushed(sink, &all, &e), 0);
        env_sleep(&env, 20);
    }
    ck_assert(all);
    apply(&c, 1);
}
END_TEST

static void no_finding(void *self, enum finding_level level, enum err_code code, const char *name,
                       const char *sentence, const char *hint)
{
    (void) code;
    (void) hint;
    ck_assert_msg(level != FINDING_FAIL, "%s: %s", name, sentence);
    ++*(int *) self;
}

START_TEST(check_of_a_good_target)
{
    int count = 0;
    struct finding_out out = {&count, no_finding};
    struct sink_env lent = {.env = &env, .config = &config, .target = &target, .route = "r"};
    struct err e = ERR_INIT;
    ck_assert_int_eq(sink_find("postgres")->check(&lent, &out, &e), 0);
    ck_assert_int_ge(count, 5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sink");
    TCase *all = tcase_create("postgres");
    tcase_set_timeout(all, 60);
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, rows_by_key);
    tcase_add_test(all, many_rows);
    tcase_add_test(all, rows_without_key);
    tcase_add_test(all, parks_one_key_and_goes_on);
    tcase_add_test(all, deferred_constraint_is_met_inside);
    tcase_add_test(all, truncates);
    tcase_add_test(all, identity_and_generated);
    tcase_add_test(all, makes_tables_and_types);
    tcase_add_test(all, names_what_does_not_fit);
    tcase_add_test(all, watermark_stops_a_second_session);
    tcase_add_test(all, copies);
    tcase_add_test(all, lazy_commit_is_known_when_flushed);
    tcase_add_test(all, check_of_a_good_target);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
