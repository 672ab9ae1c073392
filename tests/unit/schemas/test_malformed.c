/* SPDX-License-Identifier: Apache-2.0
 * schemas: bytes that no writer makes. Every prefix and every flipped bit of real events is read; the
 * copies stand in memory of their exact size, so that a sanitizer sees a read past the end. */
#include <stdlib.h>

#include "tests/unit/schemas/support.h"

#include "schemas/avro.h"
#include "schemas/schema_parse.h"

struct broken {
    struct arena arena, scratch;
    struct fake_registry registry;
    struct envelope_reader *reader;
    struct sink_list list;
    int refused, taken;
};

static const struct value row[] = {
    {VALUE_SET, {"7", 1}}, {VALUE_SET, {"text", 4}}, {VALUE_SET, {"123456789012345678901.50", 24}},
    {VALUE_SET, {"{1,NULL,3}", 10}}, {VALUE_UNCHANGED, {NULL, 0}}, {VALUE_SET, {"2026-01-01 00:00:00+00", 22}},
    {VALUE_SET, {"NaN", 3}}, {VALUE_SET, {"2026-01-01", 10}},
};

static void broken_open(struct broken *b, struct column *columns, struct relation *rel)
{
    struct envelope_options o = {.prefix = STR("p"), .database = STR("db"), .version = STR("1")};
    struct err err = ERR_INIT;
    struct txn txn = {.xid = 5, .commit_lsn = 9, .commit_us = 1700000000000000};
    *b = (struct broken){0};
    arena_init(&b->arena, 0, "test");
    arena_init(&b->scratch, (size_t) 64 << 20, "test");
    fake_open(&b->registry);
    b->reader = envelope_reader_open(&b->registry.registry);
    b->list.arena = &b->arena;
    columns[0] = column_of("id", TYPE_INT8, false, -1);
    columns[0].key_position = 1;
    columns[1] = column_of("t", TYPE_TEXT, false, -1);
    columns[2] = column_of("n", TYPE_NUMERIC, false, -1);
    columns[3] = column_of("a", TYPE_INT4, true, -1);
    columns[4] = column_of("j", TYPE_JSON, false, -1);
    columns[5] = column_of("z", TYPE_TIMESTAMPTZ, false, -1);
    columns[6] = column_of("d", TYPE_NUMERIC, false, (10 << 16 | 2) + 4);
    columns[7] = column_of("day", TYPE_DATE, false, -1);
    *rel = (struct relation){.oid = 1, .version = 1, .space = STR("s"), .name = STR("t"), .identity = 'd',
                             .column_count = 8, .key_count = 1, .columns = columns};
    struct change change = {.op = OP_UPDATE, .rel = rel, .old = OLD_FULL, .before = row, .after = row};
    struct envelope_writer *w = envelope_writer_open(&o, &b->registry.registry);
    struct event_out out = list_out(&b->list);
    ck_assert_int_eq(envelope_write(w, &change, &txn, 1, &out, &err), 0);
    envelope_writer_close(w);
}

static void broken_close(struct broken *b)
{
    envelope_reader_close(b->reader);
    fake_close(&b->registry);
    arena_free(&b->arena);
    arena_free(&b->scratch);
}

/* Read one event with this value or these headers, in memory of exactly that size. */
static void read_exact(struct broken *b, struct str value, struct str headers)
{
    char *v = mem_alloc(value.len + !value.len), *h = mem_alloc(headers.len + !headers.len);
    memcpy(v, value.p, value.len);
    memcpy(h, headers.p, headers.len);
    struct event ev = b->list.events[0];
    ev.value = (struct str){v, value.len};
    ev.headers = (struct str){h, headers.len};
    struct change change;
    struct err err = ERR_INIT;
    struct buf json = {.max = 1 << 20};
    arena_reset(&b->scratch);
    if (envelope_read(b->reader, &ev, &b->scratch, &change, &err)) {
        ck_assert_msg(err.code == E_AVRO || err.code == E_SCHEMA, "%s", err.msg);
        b->refused++;
    } else {
        b->taken++;
    }
    if (envelope_json(b->reader, ev.value, &json, &err))
        ck_assert(err.code == E_AVRO || err.code == E_SCHEMA);
    buf_free(&json);
    free(v);
    free(h);
}

START_TEST(truncated_events_are_refused)
{
    struct broken b;
    struct column columns[8];
    struct relation rel;
    broken_open(&b, columns, &rel);
    struct str value = b.list.events[0].value, headers = b.list.events[0].headers;
    read_exact(&b, value, headers);
    ck_assert_int_eq(b.taken, 1);
    for (size_t len = 0; len < value.len; len++)
        read_exact(&b, (struct str){value.p, len}, headers);
    ck_assert_int_eq(b.taken, 1);
    ck_assert_int_eq(b.refused, (int) value.len);
    broken_close(&b);
}
END_TEST

START_TEST(flipped_bits_are_read_within_bounds)
{
    struct broken b;
    struct column columns[8];
    struct relation rel;
    broken_open(&b, columns, &rel);
    struct str value = b.list.events[0].value, headers = b.list.events[0].headers;
    char *copy = arena_alloc(&b.arena, value.len + headers.len);
    memcpy(copy, value.p, value.len);
    memcpy(copy + value.len, headers.p, headers.len);
    for (size_t bit = 0; bit < 8 * (value.len + headers.len); bit++) {
        copy[bit / 8] ^= (char) (1 << bit % 8);
        read_exact(&b, (struct str){copy, value.len}, (struct str){copy + value.len, headers.len});
        copy[bit / 8] ^= (char) (1 << bit % 8);
    }
    ck_assert_int_gt(b.refused, 1000);
    broken_close(&b);
}
END_TEST

/* A body for a schema of its own; how it is refused or taken. */
static int read_body(const char *schema, struct str body, struct buf *json)
{
    struct fake_registry f;
    struct err err = ERR_INIT;
    int id;
    fake_open(&f);
    ck_assert_int_eq(registry_add(&f.registry, STR("s"), str_of(schema), &id, &err), 0);
    struct envelope_reader *reader = envelope_reader_open(&f.registry);
    struct buf wire = BUF_INIT;
    avro_put_wire(&wire, id);
    buf_add_str(&wire, body);
    int result = envelope_json(reader, buf_str(&wire), json, &err);
    buf_free(&wire);
    envelope_reader_close(reader);
    fake_close(&f);
    return result;
}

START_TEST(few_bytes_cannot_ask_for_much)
{
    struct buf json = {.max = 1 << 16}, bytes = BUF_INIT;
    avro_put_long(&bytes, INT32_MAX); /* 2^31 nulls in six bytes */
    avro_put_long(&bytes, 0);
    ck_assert_int_eq(read_body("{\"type\":\"array\",\"items\":\"null\"}", buf_str(&bytes), &json), -1);
    buf_reset(&bytes);
    for (int block = 0; block < 20000; block++) { /* blocks whose items have no bytes */
        avro_put_long(&bytes, 8000);
    }
    ck_assert_int_eq(read_body("{\"type\":\"array\",\"items\":\"null\"}", buf_str(&bytes), &json), -1);
    buf_reset(&bytes);
    buf_reset(&json);
    avro_put_long(&bytes, INT64_MIN);
    avro_put_long(&bytes, 1);
    ck_assert_int_eq(read_body("{\"type\":\"array\",\"items\":\"string\"}", buf_str(&bytes), &json), -1);
    buf_reset(&bytes);
    for (int depth = 0; depth < 1000; depth++)
        avro_put_long(&bytes, 1);
    ck_assert_int_eq(read_body("{\"type\":\"record\",\"name\":\"N\",\"fields\":[{\"name\":\"n\",\"type\":[\"null\",\"N\"]}]}",
                               buf_str(&bytes), &json), -1);
    buf_free(&bytes);
    buf_free(&json);
}
END_TEST

START_TEST(foreign_schemas_print)
{
    struct buf json = BUF_INIT;
    const char *schema = "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"m\",\"type\":{\"type\":\"map\","
                         "\"values\":\"long\"}},{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":"
                         "[\"A\",\"B\"]}},{\"name\":\"f\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":2}}]}";
    ck_assert_int_eq(read_body(schema, (struct str){"\1\x06\2k\2\0\2xy", 9}, &json), 0);
    ck_assert_str_eq(json.p, "{\"m\":{\"k\":1},\"e\":\"B\",\"f\":\"eHk=\"}");
    buf_free(&json);
}
END_TEST

START_TEST(bad_schemas_are_refused)
{
    static const char *const texts[] = {
        "", "{", "1", "\"Missing\"", "{\"type\":\"record\",\"name\":\"R\"}", "{\"type\":\"array\"}", "{}",
        "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"a\"}]}", "[\"null\",\"Other\"]",
        "{\"type\":\"fixed\",\"name\":\"F\",\"size\":-1}",
    };
    for (size_t at = 0; at < sizeof texts / sizeof *texts; at++) {
        struct avro_schema s;
        struct err err = ERR_INIT;
        ck_assert_msg(schema_parse(str_of(texts[at]), &s, &err) == -1, "%s", texts[at]);
        ck_assert_int_eq(err.code, E_AVRO);
    }
}
END_TEST

TCase *case_malformed(void)
{
    TCase *t = tcase_create("malformed");
    tcase_add_test(t, truncated_events_are_refused);
    tcase_add_test(t, flipped_bits_are_read_within_bounds);
    tcase_add_test(t, few_bytes_cannot_ask_for_much);
    tcase_add_test(t, foreign_schemas_print);
    tcase_add_test(t, bad_schemas_are_refused);
    tcase_set_timeout(t, 30);
    return t;
}
