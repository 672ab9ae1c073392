/* SPDX-License-Identifier: Apache-2.0
 * schemas/envelope: Debezium's vector in strict, and every kind of change out and back in sane. */
#define _GNU_SOURCE /* memmem */
#include <string.h>

#include "tests/unit/schemas/support.h"

#include "schemas/avro.h"

#define SET(t) {VALUE_SET, {(t), sizeof(t) - 1}}
#define IS_NULL {VALUE_NULL, {NULL, 0}}
#define GONE {VALUE_ABSENT, {NULL, 0}}
#define SAME {VALUE_UNCHANGED, {NULL, 0}}

struct fixture {
    struct arena arena;
    struct fake_registry registry;
    struct envelope_writer *writer;
    struct envelope_reader *reader;
    struct sink_list list;
    struct txn txn;
    struct err err;
};

static void fixture_open(struct fixture *f, bool strict)
{
    *f = (struct fixture){.txn = {.xid = 771, .commit_lsn = 24023200, .commit_us = 1767323045678900}};
    arena_init(&f->arena, 0, "test");
    fake_open(&f->registry);
    struct envelope_options o = {.prefix = STR("shop"), .database = STR("shopdb"), .version = STR("3.6.0.Final"),
                                 .strict = strict, .tombstones = true};
    f->writer = envelope_writer_open(&o, &f->registry.registry);
    f->reader = envelope_reader_open(&f->registry.registry);
    f->list.arena = &f->arena;
}

static void fixture_close(struct fixture *f)
{
    envelope_writer_close(f->writer);
    envelope_reader_close(f->reader);
    fake_close(&f->registry);
    arena_free(&f->arena);
}

static void fixture_write(struct fixture *f, const struct change *change)
{
    f->list.count = 0;
    struct event_out out = list_out(&f->list);
    int result = envelope_write(f->writer, change, &f->txn, 1767323045700123, &out, &f->err);
    ck_assert_msg(result == 0, "%s", f->err.msg);
}

static struct change fixture_read(struct fixture *f, int at)
{
    struct change change;
    int result = envelope_read(f->reader, &f->list.events[at], &f->arena, &change, &f->err);
    ck_assert_msg(result == 0, "%s", f->err.msg);
    return change;
}

/* create table public.customers(id serial primary key, name varchar(50) not null, price
 * numeric(10,2), note text, created_at timestamptz default now(), tags text[]) */
static const struct column customer_columns[] = {
    {.name = {"id", 2}, .type_oid = 23, .typmod = -1, .kind = TYPE_INT4, .not_null = true,
     .identity = true, .key_position = 1, .type_name = {"int4", 4}, .type_sql = {"integer", 7},
     .default_sql = {"nextval('customers_id_seq'::regclass)", 37}},
    {.name = {"name", 4}, .type_oid = 1043, .typmod = 54, .kind = TYPE_TEXT, .not_null = true,
     .type_name = {"varchar", 7}, .type_sql = {"character varying(50)", 21}},
    {.name = {"price", 5}, .type_oid = 1700, .typmod = (10 << 16 | 2) + 4, .kind = TYPE_NUMERIC,
     .type_name = {"numeric", 7}, .type_sql = {"numeric(10,2)", 13}},
    {.name = {"note", 4}, .type_oid = 25, .typmod = -1, .kind = TYPE_TEXT, .type_name = {"text", 4},
     .type_sql = {"text", 4}},
    {.name = {"created_at", 10}, .type_oid = 1184, .typmod = -1, .kind = TYPE_TIMESTAMPTZ,
     .type_name = {"timestamptz", 11}, .type_sql = {"timestamp with time zone", 24},
     .default_sql = {"now()", 5}},
    {.name = {"tags", 4}, .type_oid = 1009, .typmod = -1, .kind = TYPE_TEXT, .array = true,
     .type_name = {"_text", 5}, .type_sql = {"text[]", 6}},
};

static const struct relation customers = {
    .oid = 16385, .version = 1, .space = {"public", 6}, .name = {"customers", 9}, .identity = 'd',
    .column_count = 6, .key_count = 1, .columns = customer_columns,
};

static const struct value ada[] = {
    SET("1"), SET("Ada"), SET("19.99"), IS_NULL, SET("2026-01-02 03:04:05.6789+00"), SET("{a,NULL}"),
};

START_TEST(strict_is_debezium_to_the_byte)
{
    struct fixture f;
    fixture_open(&f, true);
    struct change change = {.op = OP_CREATE, .rel = &customers, .after = ada, .lsn = 24023128};
    fixture_write(&f, &change);
    ck_assert_int_eq(f.list.count, 1);
    const struct event *ev = &f.list.events[0];
    ck_assert(str_is(ev->topic, "shop.public.customers") && str_is(f.registry.subjects[0], "shop.public.customers-key"));
    struct lines lines = lines_open("debezium-customers.tsv");
    struct str row[2];
    int seen = 0;
    while (lines_next(&lines, row, 2)) {
        struct str have = str_is(row[0], "key schema") ? f.registry.texts[0]
            : str_is(row[0], "value schema") ? f.registry.texts[1]
            : bytes_hex(&f.arena, (struct str){ev->value.p + 5, ev->value.len - 5});
        ck_assert_msg(str_eq(have, row[1]), "%s\n%.*s\ninstead of\n%s", row[0].p, STR_ARG(have), row[1].p);
        seen++;
    }
    lines_close(&lines);
    ck_assert_int_eq(seen, 3);
    ck_assert(str_is(bytes_hex(&f.arena, ev->key), "000000000102"));
    ck_assert(memcmp(ev->value.p, "\0\0\0\0\2", 5) == 0);
    ck_assert_int_eq(ev->timestamp_us, f.txn.commit_us);
    struct str name, value;
    size_t header = 0;
    ck_assert(headers_next(ev->headers, &header, &name, &value) && str_is(name, "__debezium.context.connectorLogicalName"));
    ck_assert(str_is(value, "shop"));
    ck_assert(headers_next(ev->headers, &header, &name, &value) && str_is(value, "postgresql"));
    ck_assert(!headers_next(ev->headers, &header, &name, &value));
    fixture_close(&f);
}
END_TEST

START_TEST(strict_comes_back_by_what_avro_tells)
{
    struct fixture f;
    fixture_open(&f, true);
    struct change change = {.op = OP_CREATE, .rel = &customers, .after = ada, .lsn = 24023128};
    fixture_write(&f, &change);
    struct change back = fixture_read(&f, 0);
    ck_assert(str_is(back.rel->space, "public") && str_is(back.rel->name, "customers"));
    ck_assert_int_eq(back.rel->key_count, 1);
    ck_assert_int_eq(back.rel->columns[0].key_position, 1);
    ck_assert(str_is(back.rel->columns[2].type_sql, "numeric(10,2)"));
    ck_assert(back.rel->columns[1].not_null && !back.rel->columns[2].not_null);
    rows_equal(&customers, back.after, ada);
    fixture_close(&f);
}
END_TEST

START_TEST(sane_gives_the_relation_back)
{
    struct fixture f;
    fixture_open(&f, false);
    struct change change = {.op = OP_READ, .rel = &customers, .after = ada, .pos = {.lsn = 77}};
    fixture_write(&f, &change);
    struct change back = fixture_read(&f, 0);
    ck_assert(relation_equal(back.rel, &customers));
    ck_assert_uint_eq(back.rel->oid, customers.oid);
    ck_assert_int_eq(back.op, OP_READ);
    ck_assert_uint_eq(back.lsn, 77);
    ck_assert_int_eq(back.seen_us, 1767323045700123);
    ck_assert(back.before == NULL && back.old == OLD_NONE);
    rows_equal(&customers, back.after, ada);
    struct change again = fixture_read(&f, 0);
    ck_assert_ptr_eq(back.rel, again.rel);
    fixture_close(&f);
}
END_TEST

/* One change out and back, as one event that reads as the same change. */
static void round_trip(struct fixture *f, const struct change *change)
{
    fixture_write(f, change);
    ck_assert_int_eq(f->list.count, change->op == OP_DELETE && f->list.events[0].key.len ? 2 : 1);
    struct change back = fixture_read(f, 0);
    ck_assert_int_eq(back.op, change->op);
    ck_assert_int_eq(back.old, change->old);
    ck_assert_uint_eq(back.lsn, change->lsn);
    ck_assert(back.truncate_cascade == change->truncate_cascade);
    ck_assert(back.truncate_restart == change->truncate_restart);
    rows_equal(change->rel, back.before, change->before);
    rows_equal(change->rel, back.after, change->after);
}

START_TEST(states_come_back_as_they_were)
{
    static const struct value key_row[] = {SET("1"), GONE, GONE, GONE, GONE, GONE};
    static const struct value toast[] = {SET("1"), SET("Ada"), SAME, SAME, IS_NULL, SAME};
    static const struct value late[] = {SET("1"), IS_NULL, SET("NaN"), SET(""), SET("infinity"), SET("{{a},{b}}")};
    for (int strict = 0; strict < 2; strict++) {
        struct fixture f;
        fixture_open(&f, strict);
        struct change changes[] = {
            {.op = OP_UPDATE, .rel = &customers, .after = ada, .lsn = 5},
            {.op = OP_UPDATE, .rel = &customers, .after = toast, .lsn = 6},
            {.op = OP_UPDATE, .rel = &customers, .after = late, .lsn = 7},
            {.op = OP_UPDATE, .rel = &customers, .old = OLD_KEY, .before = key_row, .after = toast, .lsn = 8},
            {.op = OP_UPDATE, .rel = &customers, .old = OLD_FULL, .before = late, .after = ada, .lsn = 9},
            {.op = OP_DELETE, .rel = &customers, .old = OLD_KEY, .before = key_row, .lsn = 10},
            {.op = OP_DELETE, .rel = &customers, .old = OLD_FULL, .before = late, .lsn = 11},
            {.op = OP_TRUNCATE, .rel = &customers, .lsn = 12, .truncate_cascade = true},
            {.op = OP_TRUNCATE, .rel = &customers, .lsn = 13, .truncate_restart = true},
            {.op = OP_TRUNCATE, .rel = &customers, .lsn = 14, .truncate_restart = true, .truncate_cascade = true},
        };
        for (size_t at = 0; at < sizeof changes / sizeof *changes; at++)
            round_trip(&f, &changes[at]);
        fixture_close(&f);
    }
}
END_TEST

START_TEST(foreign_readers_get_the_placeholder_or_fail)
{
    static const struct value toast[] = {SET("1"), SET("Ada"), SAME, SAME, IS_NULL, SAME};
    struct fixture f;
    fixture_open(&f, false);
    struct change change = {.op = OP_UPDATE, .rel = &customers, .after = toast, .lsn = 6};
    fixture_write(&f, &change);
    struct str text;
    ck_assert(headers_find(f.list.events[0].headers, HEADER_UNCHANGED, &text));
    ck_assert(str_is(text, "[\"price\",\"note\",\"tags\"]"));
    struct buf json = BUF_INIT;
    ck_assert_int_eq(envelope_json(f.reader, f.list.events[0].value, &json, &f.err), 0);
    ck_assert_ptr_nonnull(strstr(json.p, "\"after\":{\"id\":1,\"name\":\"Ada\",\"price\":null,"
                                         "\"note\":\"__debezium_unavailable_value\",\"created_at\":null,"
                                         "\"tags\":[\"__debezium_unavailable_value\"]}"));
    buf_free(&json);
    /* Without its header the price has no bytes to read a number from. */
    f.list.events[0].headers = STR_NONE;
    struct change back;
    ck_assert_int_eq(envelope_read(f.reader, &f.list.events[0], &f.arena, &back, &f.err), -1);
    ck_assert_int_eq(f.err.code, E_AVRO);
    fixture_close(&f);
}
END_TEST

START_TEST(old_full_row_fills_what_was_not_sent)
{
    static const struct value toast[] = {SET("1"), SET("Eve"), SAME, SAME, IS_NULL, SAME};
    static const struct value want[] = {SET("1"), SET("Eve"), SET("19.99"), SAME, IS_NULL, SET("{a,NULL}")};
    struct fixture f;
    fixture_open(&f, false);
    struct change change = {.op = OP_UPDATE, .rel = &customers, .old = OLD_FULL, .before = ada, .after = toast};
    fixture_write(&f, &change);
    struct change back = fixture_read(&f, 0);
    rows_equal(&customers, back.before, ada);
    rows_equal(&customers, back.after, want);
    fixture_close(&f);
}
END_TEST

START_TEST(key_change_is_three_events_and_one_update)
{
    static const struct value old[] = {SET("1"), GONE, GONE, GONE, GONE, GONE};
    static const struct value new[] = {SET("2"), SET("Ada"), SET("1.50"), SAME, IS_NULL, SET("{}")};
    for (int strict = 0; strict < 2; strict++) {
        struct fixture f;
        fixture_open(&f, strict);
        struct change change = {.op = OP_UPDATE, .rel = &customers, .old = OLD_KEY, .before = old, .after = new};
        fixture_write(&f, &change);
        ck_assert_int_eq(f.list.count, 3);
        struct str text;
        ck_assert(headers_find(f.list.events[0].headers, HEADER_NEWKEY, &text) && str_is(text, "{\"id\":2}"));
        ck_assert(f.list.events[1].tombstone && str_eq(f.list.events[1].key, f.list.events[0].key));
        ck_assert(headers_find(f.list.events[2].headers, HEADER_OLDKEY, &text) && str_is(text, "{\"id\":1}"));
        ck_assert(!str_eq(f.list.events[2].key, f.list.events[0].key));
        ck_assert_int_eq(fixture_read(&f, 0).op, OP_NONE);
        ck_assert_int_eq(fixture_read(&f, 1).op, OP_NONE);
        struct change back = fixture_read(&f, 2);
        ck_assert_int_eq(back.op, OP_UPDATE);
        ck_assert_int_eq(back.old, OLD_KEY);
        rows_equal(&customers, back.before, old);
        rows_equal(&customers, back.after, new);
        fixture_close(&f);
    }
}
END_TEST

/* Identity by an index that is not the key: the old row does not tell the key. */
START_TEST(identity_beside_the_key_is_no_key_change)
{
    static const struct value old[] = {GONE, SET("Ada"), GONE, GONE, GONE, GONE};
    static const struct value new[] = {SET("1"), SET("Eve"), SET("1.50"), IS_NULL, IS_NULL, IS_NULL};
    struct fixture f;
    fixture_open(&f, false);
    struct column columns[6];
    memcpy(columns, customer_columns, sizeof columns);
    columns[0].identity = false;
    columns[1].identity = true;
    struct relation rel = customers;
    rel.columns = columns;
    rel.identity = 'i';
    struct change update = {.op = OP_UPDATE, .rel = &rel, .old = OLD_KEY, .before = old, .after = new};
    round_trip(&f, &update);
    ck_assert_uint_gt(f.list.events[0].key.len, 0);
    struct change gone = {.op = OP_DELETE, .rel = &rel, .old = OLD_KEY, .before = old};
    round_trip(&f, &gone);
    ck_assert_uint_eq(f.list.events[0].key.len, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(messages_come_back)
{
    struct fixture f;
    fixture_open(&f, false);
    struct change message = {.op = OP_MESSAGE, .prefix = STR("tailrace"), .content = {"a\0b", 3},
                             .transactional = true, .lsn = 9};
    fixture_write(&f, &message);
    ck_assert(str_is(f.list.events[0].topic, "shop.message"));
    struct change back = fixture_read(&f, 0);
    ck_assert(back.op == OP_MESSAGE && back.rel == NULL && back.transactional);
    ck_assert(str_eq(back.prefix, message.prefix) && str_eq(back.content, message.content));
    message.transactional = false;
    fixture_write(&f, &message);
    ck_assert(!fixture_read(&f, 0).transactional);
    fixture_close(&f);
}
END_TEST

START_TEST(strict_has_no_key_of_types_it_leaves_out)
{
    struct fixture f;
    fixture_open(&f, true);
    struct column columns[] = {column_of("at", TYPE_OTHER, false, -1), column_of("v", TYPE_TEXT, false, -1)};
    columns[0].key_position = 1;
    columns[0].identity = columns[0].not_null = true;
    struct relation rel = {.oid = 7, .version = 1, .space = STR("public"), .name = STR("lsns"), .identity = 'd',
                           .column_count = 2, .key_count = 1, .columns = columns};
    static const struct value row[] = {SET("0/1"), SET("x")};
    struct change change = {.op = OP_CREATE, .rel = &rel, .after = row};
    fixture_write(&f, &change);
    ck_assert_uint_eq(f.list.events[0].key.len, 0);
    struct change back = fixture_read(&f, 0);
    ck_assert_int_eq(back.rel->column_count, 1);
    ck_assert_int_eq(back.rel->key_count, 0);
    fixture_close(&f);
}
END_TEST

static void fixture_mark(struct fixture *f, bool end)
{
    f->list.count = 0;
    struct event_out out = list_out(&f->list);
    ck_assert_int_eq(envelope_mark(f->writer, &f->txn, end, &out, &f->err), 0);
}

static bool value_holds(const struct fixture *f, const char *bytes, size_t len)
{
    return memmem(f->list.events[0].value.p, f->list.events[0].value.len, bytes, len) != NULL;
}

/* Bytes are Avro's: lengths and numbers as zigzag, "771:24023200" is 12 long. */
START_TEST(transactions_are_marked_and_counted)
{
    struct fixture f;
    fixture_open(&f, false);
    fixture_mark(&f, false);
    ck_assert_int_eq(f.list.count, 0); /* off */
    fixture_close(&f);
    fixture_open(&f, false);
    envelope_writer_close(f.writer);
    const struct envelope_options o = {.prefix = STR("shop"), .database = STR("shopdb"), .transactions = true};
    f.writer = envelope_writer_open(&o, &f.registry.registry);
    struct change change = {.op = OP_CREATE, .rel = &customers, .after = ada, .lsn = 5};
    for (int round = 0; round < 2; round++) { /* counts begin anew */
        fixture_mark(&f, false);
        ck_assert(str_is(f.list.events[0].topic, "shop.transaction"));
        ck_assert(value_holds(&f, "\nBEGIN\x18" "771:24023200\0\0", 21));
        ck_assert(fixture_read(&f, 0).op == OP_NONE);
        fixture_write(&f, &change);
        ck_assert(value_holds(&f, "\2\x18" "771:24023200\2\2", 16));
        fixture_write(&f, &change);
        ck_assert(value_holds(&f, "\2\x18" "771:24023200\4\4", 16));
        ck_assert(fixture_read(&f, 0).op == OP_CREATE);
        fixture_mark(&f, true);
        ck_assert(value_holds(&f, "\6END\x18" "771:24023200\2\4\2\2\2\x20public.customers\4\0", 41));
        ck_assert(fixture_read(&f, 0).op == OP_NONE);
    }
    change.op = OP_READ;
    fixture_write(&f, &change);
    ck_assert(!value_holds(&f, "771:24023200", 12));
    fixture_close(&f);
}
END_TEST

START_TEST(names_are_adjusted_and_come_back)
{
    struct fixture f;
    fixture_open(&f, false);
    struct column columns[] = {column_of("1st gr\xc3\xb6\xc3\x9f" "e", TYPE_INT4, false, -1),
                               column_of("a-b", TYPE_TEXT, false, -1)};
    struct relation rel = {.oid = 5, .version = 1, .space = STR("my-shop"), .name = STR("t t"), .identity = 'd',
                           .column_count = 2, .columns = columns};
    static const struct value row[] = {SET("1"), SET("x")};
    struct change change = {.op = OP_CREATE, .rel = &rel, .after = row};
    fixture_write(&f, &change);
    ck_assert(str_is(f.list.events[0].topic, "shop.my-shop.t_t"));
    ck_assert_ptr_nonnull(strstr(f.registry.texts[0].p, "\"namespace\":\"shop.my_shop.t_t\""));
    ck_assert_ptr_nonnull(strstr(f.registry.texts[0].p, "{\"name\":\"_1st_gr__e\""));
    struct change back = fixture_read(&f, 0);
    ck_assert(relation_equal(back.rel, &rel));
    columns[0].name = STR("a_b");
    rel.version = 2;
    struct event_out out = list_out(&f.list);
    ck_assert_int_eq(envelope_write(f.writer, &change, &f.txn, 0, &out, &f.err), -1);
    ck_assert_int_eq(f.err.code, E_CONFIG);
    fixture_close(&f);
}
END_TEST

START_TEST(same_change_same_bytes)
{
    struct fixture f, g;
    fixture_open(&f, false);
    fixture_open(&g, false);
    struct change change = {.op = OP_CREATE, .rel = &customers, .after = ada, .lsn = 24023128};
    fixture_write(&f, &change);
    g.txn.commit_lsn = 1; /* another history before */
    fixture_write(&g, &change);
    g.txn.commit_lsn = f.txn.commit_lsn;
    fixture_write(&g, &change);
    ck_assert(str_eq(f.list.events[0].value, g.list.events[0].value));
    ck_assert(str_holds(f.list.events[0].value, "[\"24023200\",\"24023128\"]"));
    fixture_close(&f);
    fixture_close(&g);
}
END_TEST

START_TEST(headers_round_trip)
{
    struct buf headers = BUF_INIT;
    char large[300];
    memset(large, 'x', sizeof large);
    headers_add(&headers, STR("a"), STR(""));
    headers_add(&headers, STR("b"), (struct str){large, sizeof large});
    headers_add(&headers, STR("a"), STR("second"));
    struct str name, value;
    ck_assert(headers_find(buf_str(&headers), "b", &value) && value.len == sizeof large);
    ck_assert(headers_find(buf_str(&headers), "a", &value) && value.len == 0);
    ck_assert(!headers_find(buf_str(&headers), "c", &value));
    size_t at = 0;
    int count = 0;
    while (headers_next(buf_str(&headers), &at, &name, &value))
        count++;
    ck_assert_int_eq(count, 3);
    for (size_t len = 0; len < headers.len; len++)
        for (at = 0; headers_next((struct str){headers.p, len}, &at, &name, &value);)
            ck_assert_uint_le(at, len);
    struct event ev = {.epoch = 0x01020304, .offset = 0x0a};
    uint8_t seq[TR_SEQ_LEN];
    event_seq(&ev, seq);
    ck_assert_mem_eq(seq, "\1\2\3\4\0\0\0\0\0\0\0\x0b", TR_SEQ_LEN);
    buf_free(&headers);
}
END_TEST

TCase *case_envelope(void)
{
    TCase *t = tcase_create("envelope");
    tcase_add_test(t, strict_is_debezium_to_the_byte);
    tcase_add_test(t, strict_comes_back_by_what_avro_tells);
    tcase_add_test(t, sane_gives_the_relation_back);
    tcase_add_test(t, states_come_back_as_they_were);
    tcase_add_test(t, foreign_readers_get_the_placeholder_or_fail);
    tcase_add_test(t, old_full_row_fills_what_was_not_sent);
    tcase_add_test(t, key_change_is_three_events_and_one_update);
    tcase_add_test(t, identity_beside_the_key_is_no_key_change);
    tcase_add_test(t, messages_come_back);
    tcase_add_test(t, transactions_are_marked_and_counted);
    tcase_add_test(t, strict_has_no_key_of_types_it_leaves_out);
    tcase_add_test(t, names_are_adjusted_and_come_back);
    tcase_add_test(t, same_change_same_bytes);
    tcase_add_test(t, headers_round_trip);
    return t;
}
