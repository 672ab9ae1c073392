/* SPDX-License-Identifier: Apache-2.0
 * schemas: PostGIS's and pgvector's types in strict. Schemas are those that Debezium registered for the tables of
 * tests/cases/debezium.sql (debezium-extensions.tsv); a row comes back as it was. */
#include <stdlib.h>

#include "tests/unit/schemas/support.h"

#define SET(t) {VALUE_SET, {(t), sizeof(t) - 1}}
#define IS_NULL {VALUE_NULL, {NULL, 0}}
#define GONE {VALUE_ABSENT, {NULL, 0}}
#define SAME {VALUE_UNCHANGED, {NULL, 0}}
#define POINT "0101000000000000000000F03F0000000000000040"
#define POINT_4326 "0101000020E6100000000000000000F03F0000000000000040"

struct made {
    const char *name;
    enum type_kind kind;
    bool array, not_null;
};

/* The tables of debezium.sql, without the columns of which strict has none. */
static const struct made places[] = {
    {"id", TYPE_INT4, false, true}, {"g", TYPE_GEOMETRY, false, false}, {"gp", TYPE_GEOMETRY, false, false},
    {"gz", TYPE_GEOMETRY, false, false}, {"gg", TYPE_GEOGRAPHY, false, false}, {"ggp", TYPE_GEOGRAPHY, false, false},
    {"ag", TYPE_GEOMETRY, true, false}, {"agg", TYPE_GEOGRAPHY, true, false}, {"s", TYPE_GEOMETRY, false, false}, {0},
};
static const struct made places_required[] = {
    {"id", TYPE_INT4, false, true}, {"v", TYPE_INT4, false, false}, {"g", TYPE_GEOMETRY, false, true},
    {"gg", TYPE_GEOGRAPHY, false, true}, {"ag", TYPE_GEOMETRY, true, true}, {0},
};
static const struct made places_keyed[] = {{"g", TYPE_GEOMETRY, false, true}, {"v", TYPE_TEXT, false, false}, {0}};
static const struct made embeddings[] = {
    {"id", TYPE_INT4, false, true}, {"v", TYPE_VECTOR, false, false}, {"v3", TYPE_VECTOR, false, false},
    {"h", TYPE_HALFVEC, false, false}, {"h3", TYPE_HALFVEC, false, false}, {"s", TYPE_SPARSEVEC, false, false},
    {"s5", TYPE_SPARSEVEC, false, false}, {"av", TYPE_VECTOR, true, false}, {"ah", TYPE_HALFVEC, true, false},
    {"asv", TYPE_SPARSEVEC, true, false}, {"d", TYPE_VECTOR, false, false}, {0},
};
static const struct made embeddings_required[] = {
    {"id", TYPE_INT4, false, true}, {"n", TYPE_INT4, false, false}, {"v", TYPE_VECTOR, false, true},
    {"h", TYPE_HALFVEC, false, true}, {0},
};
static const struct made embeddings_keyed[] = {{"v", TYPE_VECTOR, false, true}, {"t", TYPE_TEXT, false, false}, {0}};

#define COLUMNS_MAX 16

struct table {
    struct relation rel;
    struct column columns[COLUMNS_MAX];
};

static void table_make(struct table *t, const char *name, const struct made *made)
{
    *t = (struct table){.rel = {.oid = 1, .version = 1, .space = STR("public"), .identity = 'd', .key_count = 1}};
    for (int at = 0; made[at].name; at++) {
        t->columns[at] = column_of(made[at].name, made[at].kind, made[at].array, -1);
        t->columns[at].not_null = made[at].not_null;
        t->rel.column_count++;
    }
    t->columns[0].key_position = 1;
    t->columns[0].identity = true;
    t->rel.name = str_of(name);
    t->rel.columns = t->columns;
}

/* text is among the schemas that Debezium registered. */
static bool is_kept(struct str text)
{
    struct lines lines = lines_open("debezium-extensions.tsv");
    struct str row[3];
    bool found = false;
    while (!found && lines_next(&lines, row, 3))
        found = str_is(row[0], "schema") && str_eq(row[2], text);
    lines_close(&lines);
    return found;
}

START_TEST(schemas_are_debeziums)
{
    static const struct {
        const char *name;
        const struct made *made;
    } tables[] = {
        {"places", places}, {"places_required", places_required}, {"places_keyed", places_keyed},
        {"embeddings", embeddings}, {"embeddings_required", embeddings_required}, {"embeddings_keyed", embeddings_keyed},
    };
    struct envelope_options o = {.prefix = STR("shop"), .database = STR("d"), .version = STR("1"), .strict = true};
    struct table t;
    struct arena a;
    struct str key, value;
    struct err err = ERR_INIT;
    arena_init(&a, 0, "test");
    table_make(&t, tables[_i].name, tables[_i].made);
    ck_assert_int_eq(envelope_schema_texts(&o, &t.rel, &a, &key, &value, &err), 0);
    ck_assert_msg(is_kept(key), "%.*s", STR_ARG(key));
    ck_assert_msg(is_kept(value), "%.*s", STR_ARG(value));
    arena_free(&a);
}
END_TEST

/* ---- events ---- */

struct fixture {
    struct arena arena;
    struct fake_registry registry;
    struct envelope_writer *writer;
    struct envelope_reader *reader;
    struct sink_list list;
    struct err err;
    struct str special; /* the header */
    const char *json;   /* of the event */
};

static void fixture_open(struct fixture *f, bool strict)
{
    *f = (struct fixture){.json = NULL};
    arena_init(&f->arena, 0, "test");
    fake_open(&f->registry);
    struct envelope_options o = {.prefix = STR("shop"), .database = STR("d"), .version = STR("1"), .strict = strict};
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

static struct change there_and_back(struct fixture *f, const struct change *change)
{
    struct change back;
    struct txn txn = {.xid = 1, .commit_lsn = 2, .commit_us = 3};
    struct event_out out = list_out(&f->list);
    struct buf json = BUF_INIT;
    f->list.count = 0;
    ck_assert_msg(envelope_write(f->writer, change, &txn, 4, &out, &f->err) == 0, "%s", f->err.msg);
    const struct event *ev = &f->list.events[0];
    if (!headers_find(ev->headers, HEADER_SPECIAL, &f->special))
        f->special = STR_NONE;
    ck_assert_int_eq(envelope_json(f->reader, ev->value, &json, &f->err), 0);
    f->json = arena_printf(&f->arena, "%s", json.p).p;
    buf_free(&json);
    ck_assert_msg(envelope_read(f->reader, ev, &f->arena, &back, &f->err) == 0, "%s", f->err.msg);
    return back;
}

static const struct value place[] = {
    SET("1"), SET(POINT), SET(POINT_4326), IS_NULL, SET(POINT_4326), IS_NULL, SET("{" POINT ":NULL:" POINT_4326 "}"), SET("{}"), IS_NULL,
};
static const struct value embedding[] = {
    SET("1"), SET("[1,2.5,-3]"), SET("[0.1,1e-30,-0]"), SET("[0.099975586,65504]"), IS_NULL, SET("{1:1,3:2,33:-0.5}/40"), SET("{}/5"),
    SET("{\"[1,2]\",[3]}"), SET("{}"), SET("{}"), IS_NULL,
};

/* In sane as text, in strict by the records; the same either way, and no header is needed. */
START_TEST(rows_come_back)
{
    static const char *const types[] = {"integer", "geometry", "geometry", "geometry", "geography", "geography", "geometry[]"};
    bool strict = _i & 1;
    struct table t;
    struct fixture f;
    fixture_open(&f, strict);
    table_make(&t, "t", _i & 2 ? embeddings : places);
    struct change change = {.op = OP_CREATE, .rel = &t.rel, .after = _i & 2 ? embedding : place, .lsn = 1};
    struct change back = there_and_back(&f, &change);
    rows_equal(back.rel, back.after, change.after);
    ck_assert_msg(f.special.len == 0, "%.*s", STR_ARG(f.special));
    ck_assert(strict || relation_equal(back.rel, &t.rel));
    for (int at = 0; strict && at < 7; at++)
        ck_assert((_i & 2) || str_is(back.rel->columns[at].type_sql, types[at]));
    for (int at = 1; at < t.rel.column_count; at++)
        ck_assert_int_eq(back.rel->columns[at].kind, t.columns[at].kind);
    fixture_close(&f);
}
END_TEST

/* What Debezium fails to convert is null, and what it was stands in a header. */
START_TEST(what_does_not_fit_is_null_and_told)
{
    static const struct value row[] = {
        SET("1"), IS_NULL, IS_NULL, IS_NULL, IS_NULL, SET("{1:1}/40000"), SET("{1:1}/2"), SET("{\"[1]\",NULL}"), IS_NULL,
        SET("{\"{1:1}/2\"}"), IS_NULL,
    };
    struct table t;
    struct fixture f;
    fixture_open(&f, true);
    table_make(&t, "t", embeddings);
    struct change change = {.op = OP_CREATE, .rel = &t.rel, .after = row, .lsn = 1};
    struct change back = there_and_back(&f, &change);
    rows_equal(&t.rel, back.after, row);
    ck_assert_ptr_nonnull(strstr(f.json, "\"s\":null,\"s5\":{\"dimensions\":2,\"vector\":[{\"key\":1,\"value\":1}]},\"av\":null,"));
    ck_assert_ptr_nonnull(strstr(f.json, "\"asv\":null"));
    ck_assert_msg(str_is(f.special, "{\"after\":{\"s\":\"{1:1}/40000\",\"av\":\"{\\\"[1]\\\",NULL}\",\"asv\":\"{\\\"{1:1}/2\\\"}\"}}"),
                  "%.*s", STR_ARG(f.special));
    fixture_close(&f);
}
END_TEST

/* Old rows are filled up as Debezium does, also where its schema would allow null; unchanged values are null there. */
START_TEST(absent_and_unchanged_values)
{
    static const struct value before[] = {SET("1"), GONE, GONE, GONE, GONE};
    static const struct value after[] = {SET("1"), SET("2"), SAME, SET(POINT_4326), SAME};
    struct table t;
    struct fixture f;
    fixture_open(&f, true);
    table_make(&t, "t", places_required);
    struct change change = {.op = OP_UPDATE, .rel = &t.rel, .old = OLD_KEY, .before = before, .after = after, .lsn = 1};
    struct change back = there_and_back(&f, &change);
    rows_equal(&t.rel, back.before, before);
    rows_equal(&t.rel, back.after, after);
    ck_assert_ptr_nonnull(strstr(f.json, "\"g\":{\"wkb\":\"AQcAAAAAAAAA\",\"srid\":null},\"gg\":{\"wkb\":\"AQcAAAAAAAAA\",\"srid\":null},\"ag\":[]}"));
    ck_assert_ptr_nonnull(strstr(f.json, "\"v\":2,\"g\":null,"));
    fixture_close(&f);
}
END_TEST

TCase *case_extension(void)
{
    TCase *t = tcase_create("extension");
    tcase_add_loop_test(t, schemas_are_debeziums, 0, 6);
    tcase_add_loop_test(t, rows_come_back, 0, 4);
    tcase_add_test(t, what_does_not_fit_is_null_and_told);
    tcase_add_test(t, absent_and_unchanged_values);
    return t;
}
