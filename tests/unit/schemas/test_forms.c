/* SPDX-License-Identifier: Apache-2.0
 * schemas: the forms in which times, intervals, bytea and hstore travel, as events: what the schema says, what a header
 * tells, and that a reader has the row again. */
#include "tests/unit/schemas/support.h"

#include "schemas/avro.h"

#define SET(t) {VALUE_SET, {(t), sizeof(t) - 1}}
#define IS_NULL {VALUE_NULL, {NULL, 0}}
#define SAME {VALUE_UNCHANGED, {NULL, 0}}

enum { ID, DATE, TIME, STAMP, SPAN, BYTES, STORE, DATES, STAMPS, SPANS, BLOBS, STORES, COLUMNS };

struct forms {
    struct arena arena;
    struct fake_registry registry;
    struct envelope_writer *writer;
    struct envelope_reader *reader;
    struct sink_list list;
    struct column columns[COLUMNS];
    struct relation rel;
    struct err err;
};

static void forms_open(struct forms *f, struct envelope_options o)
{
    static const struct {
        const char *name;
        enum type_kind kind;
        bool array;
    } made[COLUMNS] = {
        {"id", TYPE_INT4, false}, {"d", TYPE_DATE, false}, {"t", TYPE_TIME, false}, {"ts", TYPE_TIMESTAMP, false},
        {"iv", TYPE_INTERVAL, false}, {"by", TYPE_BYTEA, false}, {"hs", TYPE_HSTORE, false}, {"ad", TYPE_DATE, true},
        {"ats", TYPE_TIMESTAMP, true}, {"aiv", TYPE_INTERVAL, true}, {"aby", TYPE_BYTEA, true}, {"ahs", TYPE_HSTORE, true},
    };
    *f = (struct forms){.rel = {.oid = 1, .version = 1, .space = STR("public"), .name = STR("t"), .identity = 'd',
                                .column_count = COLUMNS, .key_count = 1}};
    arena_init(&f->arena, 0, "test");
    fake_open(&f->registry);
    for (int at = 0; at < COLUMNS; at++)
        f->columns[at] = column_of(made[at].name, made[at].kind, made[at].array, -1);
    f->columns[ID].key_position = 1;
    f->columns[ID].not_null = f->columns[ID].identity = true;
    f->rel.columns = f->columns;
    o.prefix = STR("p");
    o.database = STR("d");
    o.version = STR("1");
    f->writer = envelope_writer_open(&o, &f->registry.registry);
    f->reader = envelope_reader_open(&f->registry.registry);
    f->list.arena = &f->arena;
}

static void forms_close(struct forms *f)
{
    envelope_writer_close(f->writer);
    envelope_reader_close(f->reader);
    fake_close(&f->registry);
    arena_free(&f->arena);
}

/* The row as an event and back; the header that tells what the bytes do not. */
static struct change there_and_back(struct forms *f, const struct value *row, struct str *special)
{
    struct change change = {.op = OP_CREATE, .rel = &f->rel, .after = row, .lsn = 1}, back;
    struct txn txn = {.xid = 1, .commit_lsn = 2, .commit_us = 3};
    struct event_out out = list_out(&f->list);
    f->list.count = 0;
    ck_assert_msg(envelope_write(f->writer, &change, &txn, 4, &out, &f->err) == 0, "%s", f->err.msg);
    if (!headers_find(f->list.events[0].headers, HEADER_SPECIAL, special))
        *special = STR_NONE;
    ck_assert_msg(envelope_read(f->reader, &f->list.events[0], &f->arena, &back, &f->err) == 0, "%s", f->err.msg);
    return back;
}

static const struct value exact[COLUMNS] = {
    SET("1"), SET("2026-01-02"), SET("03:04:05.678"), SET("2026-01-02 03:04:05.678"), SET("04:05:06.78"), SET("\\x00ff10"),
    SET("\"a\"=>\"1\", \"b\"=>NULL"), SET("{2026-01-02,NULL,1969-12-31}"), SET("{\"2026-01-02 03:04:05.5\",NULL}"),
    SET("{01:00:00,NULL}"), SET("{\"\\\\x00ff\",NULL,\"\\\\x\"}"), SET("{\"\\\"a\\\"=>\\\"1\\\"\",NULL,\"\"}"),
};
static const struct value hard[COLUMNS] = {
    SET("2"), SET("0044-03-15 BC"), SET("24:00:00"), SET("0044-03-15 12:00:00.123456 BC"),
    SET("1 year 2 mons -3 days +04:05:06.78"), SET("\\x"), SET(""), SET("{infinity,-infinity}"),
    SET("{infinity,-infinity,\"294276-12-31 23:59:59.999999\"}"), SET("{\"1 mon\",\"-1 days\"}"), SET("{}"), SET("{}"),
};
static const struct value ends[COLUMNS] = {
    SET("3"), SET("infinity"), SET("23:59:59.999999"), SET("-infinity"), SET("-00:00:00.000001"), IS_NULL, IS_NULL,
    SET("{{2026-01-02},{2026-01-03}}"), IS_NULL, IS_NULL, IS_NULL, IS_NULL,
};
static const struct value nothing[COLUMNS] = {
    SET("4"), IS_NULL, IS_NULL, IS_NULL, IS_NULL, IS_NULL, IS_NULL, IS_NULL, IS_NULL, IS_NULL, IS_NULL, IS_NULL,
};

/* Every combination of the four options. */
START_TEST(sane_gives_every_form_back)
{
    const struct value *const rows[] = {exact, hard, ends, nothing};
    struct forms f;
    struct str special;
    struct envelope_options o = {.time = (enum time_mode) (_i % 5), .interval = (enum interval_mode) (_i / 5 % 4),
                                 .binary = (enum binary_mode) (_i / 20 % 4), .hstore = (enum hstore_mode) (_i / 80)};
    forms_open(&f, o);
    for (size_t at = 0; at < sizeof rows / sizeof *rows; at++) {
        struct change back = there_and_back(&f, rows[at], &special);
        ck_assert(relation_equal(back.rel, &f.rel));
        rows_equal(&f.rel, back.after, rows[at]);
        ck_assert_msg((rows[at] != exact && rows[at] != nothing) || !special.len, "%.*s", STR_ARG(special));
    }
    forms_close(&f);
}
END_TEST

START_TEST(headers_tell_what_a_form_loses)
{
    struct forms f;
    struct str special;
    forms_open(&f, (struct envelope_options){.time = TIMES_CONNECT, .interval = INTERVAL_NUMERIC});
    (void) there_and_back(&f, hard, &special);
    ck_assert_msg(str_is(special, "{\"after\":{\"ts\":\"0044-03-15 12:00:00.123456 BC\",\"iv\":\"1 year 2 mons -3 days +04:05:06.78\","
                                  "\"ats\":\"{infinity,-infinity,\\\"294276-12-31 23:59:59.999999\\\"}\","
                                  "\"aiv\":\"{\\\"1 mon\\\",\\\"-1 days\\\"}\"}}"), "%.*s", STR_ARG(special));
    forms_close(&f);
    forms_open(&f, (struct envelope_options){.time = TIMES_ISOSTRING, .interval = INTERVAL_STRING, .hstore = HSTORE_MAP});
    (void) there_and_back(&f, hard, &special);
    ck_assert_msg(str_is(special, "{\"after\":{\"t\":\"24:00:00\"}}"), "%.*s", STR_ARG(special));
    forms_close(&f);
}
END_TEST

/* Nothing in a schema of strict says that a text is bytes, so that a header has them; all else is read by its name. */
START_TEST(strict_tells_the_bytes_of_a_text)
{
    struct forms f;
    struct str special;
    forms_open(&f, (struct envelope_options){.strict = true, .time = TIMES_ISOSTRING, .interval = INTERVAL_STRING,
                                             .binary = (enum binary_mode) (1 + _i), .hstore = HSTORE_MAP});
    f.rel.column_count = BYTES + 1;
    struct change back = there_and_back(&f, exact, &special);
    ck_assert_msg(str_is(special, "{\"after\":{\"by\":\"\\\\x00ff10\"}}"), "%.*s", STR_ARG(special));
    rows_equal(back.rel, back.after, exact);
    ck_assert_int_eq(back.rel->columns[DATE].kind, TYPE_DATE);
    ck_assert_int_eq(back.rel->columns[STAMP].kind, TYPE_TIMESTAMP);
    ck_assert_int_eq(back.rel->columns[SPAN].kind, TYPE_INTERVAL);
    forms_close(&f);
}
END_TEST

START_TEST(strict_has_null_for_a_moment_outside_nanoseconds)
{
    struct forms f;
    struct str special;
    struct buf json = BUF_INIT;
    forms_open(&f, (struct envelope_options){.strict = true, .time = TIMES_NANOSECONDS});
    f.rel.column_count = STAMP + 1;
    struct change back = there_and_back(&f, hard, &special);
    ck_assert_int_eq(envelope_json(f.reader, f.list.events[0].value, &json, &f.err), 0);
    ck_assert_ptr_nonnull(strstr(json.p, "\"ts\":null"));
    ck_assert(str_is(back.after[STAMP].text, "0044-03-15 12:00:00.123456 BC"));
    buf_free(&json);
    forms_close(&f);
}
END_TEST

START_TEST(schemas_name_the_forms)
{
    struct forms f;
    struct str special;
    forms_open(&f, (struct envelope_options){.time = TIMES_CONNECT, .binary = BINARY_BASE64_URL, .hstore = HSTORE_MAP});
    (void) there_and_back(&f, exact, &special);
    struct str text = f.registry.texts[1];
    ck_assert(str_holds(text, "\"connect.name\":\"org.apache.kafka.connect.data.Date\",\"logicalType\":\"date\"}"));
    ck_assert(str_holds(text, "\"connect.name\":\"org.apache.kafka.connect.data.Time\",\"logicalType\":\"time-millis\"}"));
    ck_assert(str_holds(text, "\"connect.name\":\"org.apache.kafka.connect.data.Timestamp\",\"logicalType\":\"timestamp-millis\"}"));
    ck_assert(str_holds(text, "{\"type\":\"map\",\"values\":[\"null\",\"string\"]"));
    ck_assert(str_holds(text, "\"__tailrace.column.form\":\"base64-url-safe\""));
    forms_close(&f);
}
END_TEST

/* A row whose large values were not sent. */
START_TEST(unchanged_values_have_placeholders_where_the_form_holds_them)
{
    static const struct value row[COLUMNS] = {SET("1"), IS_NULL, IS_NULL, IS_NULL, IS_NULL, SAME, SAME, SAME, SAME, SAME, SAME, SAME};
    static const char *const by[] = {"\"by\":\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"", "\"by\":null", "\"by\":null",
                                     "\"by\":\"__debezium_unavailable_value\""};
    static const char *const hs[] = {"\"hs\":\"__debezium_unavailable_value\"",
                                     "\"hs\":\"{\\\"__debezium_unavailable_value\\\":\\\"__debezium_unavailable_value\\\"}\"",
                                     "\"hs\":{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}",
                                     "\"hs\":\"__debezium_unavailable_value\""};
    struct forms f;
    struct str special;
    struct buf json = BUF_INIT;
    forms_open(&f, (struct envelope_options){.time = _i ? TIMES_ISOSTRING : TIMES_ADAPTIVE, .binary = (enum binary_mode) _i,
                                             .hstore = (enum hstore_mode) _i});
    struct change back = there_and_back(&f, row, &special);
    rows_equal(&f.rel, back.after, row);
    ck_assert_int_eq(envelope_json(f.reader, f.list.events[0].value, &json, &f.err), 0);
    ck_assert_msg(strstr(json.p, by[_i]) && strstr(json.p, hs[_i]), "%s", json.p);
    ck_assert((strstr(json.p, "\"ad\":[]") != NULL) == (_i > 0));
    ck_assert((strstr(json.p, "\"aby\":[]") != NULL) == (_i > 0));
    buf_free(&json);
    forms_close(&f);
}
END_TEST

/* A body of one column "c" by a type and parameters of ours; -1 when it is refused. */
static int read_column(const char *type, const char *params, struct str body)
{
    struct fake_registry registry;
    struct err err = ERR_INIT;
    struct arena a;
    struct change change;
    struct buf wire = BUF_INIT;
    int id;
    arena_init(&a, 0, "test");
    fake_open(&registry);
    struct str text = arena_printf(&a, "{\"type\":\"record\",\"name\":\"E\",\"fields\":[{\"name\":\"before\",\"type\":[\"null\",{\"type\":\"record\","
        "\"name\":\"Value\",\"fields\":[{\"name\":\"c\",\"type\":%s,\"connect.parameters\":{%s}}]}]},{\"name\":\"after\",\"type\":"
        "[\"null\",\"Value\"]},{\"name\":\"op\",\"type\":\"string\"}]}", type, params);
    ck_assert_int_eq(registry_add(&registry.registry, STR("s"), text, &id, &err), 0);
    avro_put_wire(&wire, id);
    buf_add(&wire, "\0\2", 2);
    buf_add_str(&wire, body);
    buf_add(&wire, "\2c", 2);
    struct envelope_reader *reader = envelope_reader_open(&registry.registry);
    struct event ev = {.kind = EVENT_ROW, .topic = STR("t"), .value = buf_str(&wire)};
    int result = envelope_read(reader, &ev, &a, &change, &err);
    ck_assert(result == 0 || err.code == E_AVRO);
    envelope_reader_close(reader);
    buf_free(&wire);
    fake_close(&registry);
    arena_free(&a);
    return result;
}

#define MAP "{\"type\":\"map\",\"values\":[\"null\",\"string\"]}"
#define KIND(kind) "\"__tailrace.column.kind\":\"" kind "\""
#define BODY(bytes) ((struct str){bytes, sizeof(bytes) - 1})

START_TEST(foreign_bytes_are_refused)
{
    ck_assert_int_eq(read_column(MAP, KIND("hstore"), BODY("\2\2a\2\2b\0")), 0);
    ck_assert_int_eq(read_column(MAP, KIND("hstore"), BODY("\2\2a\0\0")), 0);
    ck_assert_int_eq(read_column(MAP, KIND("hstore"), BODY("\4\2a\0\2a\0\0")), -1); /* a key twice */
    ck_assert_int_eq(read_column(MAP, KIND("hstore"), BODY("\4\2a\0\0")), -1);
    ck_assert_int_eq(read_column(MAP, KIND("hstore"), BODY("\xfe\xff\xff\xff\x0f\0\0")), -1); /* 2^31 pairs */
    ck_assert_int_eq(read_column(MAP, KIND("hstore"), BODY("\2\2a\4\2b\0")), -1); /* no such branch */
    ck_assert_int_eq(read_column("{\"type\":\"map\",\"values\":\"long\"}", KIND("hstore"), BODY("\0")), -1);
    ck_assert_int_eq(read_column("\"string\"", KIND("bytea"), BODY("\0")), -1); /* of no form */
    ck_assert_int_eq(read_column("\"string\"", KIND("bytea") ",\"__tailrace.column.form\":\"hex\"", BODY("\4ff")), 0);
    ck_assert_int_eq(read_column("\"string\"", KIND("bytea") ",\"__tailrace.column.form\":\"hex\"", BODY("\4fg")), -1);
    ck_assert_int_eq(read_column("\"string\"", KIND("bytea") ",\"__tailrace.column.form\":\"hex\"", BODY("\2f")), -1);
    ck_assert_int_eq(read_column("{\"type\":\"long\",\"connect.name\":\"io.debezium.time.MicroTimestamp\"}", KIND("timestamp"),
                                 BODY("\xff\xff\xff\xff\xff\xff\xff\xff\xff\1")), 0); /* the lowest there is */
    static const char *const no_base64[] = {"A", "AP8", "AP9=", "A===", "====", "AP8=AP8=", "AP_/", "AP8 "};
    for (size_t at = 0; at < sizeof no_base64 / sizeof *no_base64; at++) {
        struct buf body = BUF_INIT;
        avro_put_bytes(&body, str_of(no_base64[at]));
        ck_assert_int_eq(read_column("\"string\"", KIND("bytea") ",\"__tailrace.column.form\":\"base64\"", buf_str(&body)), -1);
        buf_free(&body);
    }
}
END_TEST

#define NAMED(name) "{\"type\":\"string\",\"connect.name\":\"io.debezium." name "\"}"

START_TEST(foreign_texts_are_refused)
{
    static const struct {
        const char *type, *kind, *text;
        int result;
    } rows[] = {
        {NAMED("time.IsoDate"), "date", "2026-01-02Z", 0}, {NAMED("time.IsoDate"), "date", "2026-01-02", -1},
        {NAMED("time.IsoDate"), "date", "2026-13-02Z", -1}, {NAMED("time.IsoTime"), "time", "24:00:01Z", -1},
        {NAMED("time.IsoTime"), "time", "12:00:00+01", -1}, {NAMED("time.IsoTimestamp"), "timestamp", "2026-01-02T03:04:05Z", 0},
        {NAMED("time.IsoTimestamp"), "timestamp", "2026-01-02 03:04:05Z", -1},
        {NAMED("time.Interval"), "interval", "P1Y2M3DT4H5M6.7800000009S", 0}, {NAMED("time.Interval"), "interval", "P1W", -1},
        {NAMED("time.Interval"), "interval", "P1.5D", -1}, {NAMED("time.Interval"), "interval", "P1", -1},
        {NAMED("time.Interval"), "interval", "1Y", -1}, {NAMED("time.Interval"), "interval", "PT999999999999999999H", -1},
        {NAMED("data.Json"), "hstore", "{\"a\":1}", -1}, {NAMED("data.Json"), "hstore", "[\"a\"]", -1},
        {NAMED("data.Json"), "hstore", "{\"a\":\"b\"", -1}, {NAMED("data.Json"), "hstore", "{\"a\":null}", 0},
        {NAMED("time.IsoDate"), "date", "", -1}, /* stands for a value of a header that is not there */
    };
    for (size_t at = 0; at < sizeof rows / sizeof *rows; at++) {
        struct buf body = BUF_INIT, params = BUF_INIT;
        avro_put_bytes(&body, str_of(rows[at].text));
        buf_addf(&params, KIND("%s"), rows[at].kind);
        ck_assert_msg(read_column(rows[at].type, params.p, buf_str(&body)) == rows[at].result, "%s %s", rows[at].kind, rows[at].text);
        buf_free(&body);
        buf_free(&params);
    }
}
END_TEST

TCase *case_forms(void)
{
    TCase *t = tcase_create("forms");
    tcase_add_loop_test(t, sane_gives_every_form_back, 0, 320);
    tcase_add_test(t, headers_tell_what_a_form_loses);
    tcase_add_loop_test(t, strict_tells_the_bytes_of_a_text, 0, 3);
    tcase_add_test(t, strict_has_null_for_a_moment_outside_nanoseconds);
    tcase_add_test(t, schemas_name_the_forms);
    tcase_add_loop_test(t, unchanged_values_have_placeholders_where_the_form_holds_them, 0, 4);
    tcase_add_test(t, foreign_bytes_are_refused);
    tcase_add_test(t, foreign_texts_are_refused);
    return t;
}
