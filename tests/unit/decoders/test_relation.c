/* SPDX-License-Identifier: Apache-2.0
 * schemas/relation: look up, copy, compare, kinds of built-in types. */
#include "schemas/relation.h"
#include "tests/unit/decoders/suites.h"

static const struct column columns[] = {
    {.name = {"id", 2}, .type_oid = 23, .typmod = -1, .kind = TYPE_INT4, .not_null = true,
     .identity = true, .key_position = 1, .type_name = {"int4", 4}, .type_sql = {"integer", 7}},
    {.name = {"mood", 4}, .type_oid = 16400, .typmod = -1, .kind = TYPE_ENUM,
     .type_name = {"mood", 4}, .enum_labels = {"[\"sad\"]", 7}, .default_sql = {"'sad'", 5}},
};
static const struct relation model = {
    .oid = 1, .version = 1, .space = {"public", 6}, .name = {"t", 1}, .identity = 'd',
    .column_count = 2, .key_count = 1, .columns = columns,
};

START_TEST(kinds_of_built_in_types)
{
    bool array = true;
    ck_assert_int_eq(type_kind_of_oid(23, &array), TYPE_INT4);
    ck_assert(!array);
    ck_assert_int_eq(type_kind_of_oid(1007, &array), TYPE_INT4);
    ck_assert(array);
    ck_assert_int_eq(type_kind_of_oid(1231, &array), TYPE_NUMERIC);
    ck_assert(array);
    ck_assert_int_eq(type_kind_of_oid(3802, &array), TYPE_JSON);
    ck_assert(!array);
    /* box, and an OID of a user's type */
    ck_assert_int_eq(type_kind_of_oid(603, &array), TYPE_OTHER);
    ck_assert_int_eq(type_kind_of_name(STR("hstore")), TYPE_HSTORE);
    ck_assert_int_eq(type_kind_of_name(STR("geometry")), TYPE_GEOMETRY);
    ck_assert_int_eq(type_kind_of_name(STR("sparsevec")), TYPE_SPARSEVEC);
    ck_assert_int_eq(type_kind_of_name(STR("citext")), TYPE_TEXT);
    ck_assert_int_eq(type_kind_of_name(STR("mood")), TYPE_OTHER);
    array = true;
    ck_assert_int_eq(type_kind_of_oid(16400, &array), TYPE_OTHER);
    ck_assert(!array);
    ck_assert_int_eq(type_kind_of_oid(0, &array), TYPE_OTHER);
}
END_TEST

START_TEST(finds_by_whole_name)
{
    ck_assert_int_eq(relation_find(&model, STR("mood")), 1);
    ck_assert_int_eq(relation_find(&model, STR("moo")), -1);
    ck_assert_int_eq(relation_find(&model, STR("")), -1);
}
END_TEST

START_TEST(copy_stands_alone)
{
    struct arena from, to;
    arena_init(&from, 0, "test");
    arena_init(&to, 0, "test");
    const struct relation *first = relation_copy(&from, &model);
    const struct relation *second = relation_copy(&to, first);
    arena_free(&from);
    ck_assert(relation_equal(second, &model));
    ck_assert_uint_eq(second->oid, 1);
    struct relation empty = {.identity = 'n'};
    ck_assert(relation_equal(relation_copy(&to, &empty), &empty));
    arena_free(&to);
}
END_TEST

/* Each field in turn must make the difference. */
START_TEST(equal_sees_every_field)
{
    struct relation r = model;
    r.oid = 9;
    r.version = 9;
    ck_assert(relation_equal(&r, &model));
#define DIFFERS(change) \
    do { \
        struct column c[2] = {columns[0], columns[1]}; \
        r = model; \
        r.columns = c; \
        ck_assert(relation_equal(&r, &model)); \
        change; \
        ck_assert_msg(!relation_equal(&r, &model), "%s", #change); \
    } while (0)
    DIFFERS(r.space = STR("x"));
    DIFFERS(r.name = STR("x"));
    DIFFERS(r.identity = 'f');
    DIFFERS(r.column_count = 1);
    DIFFERS(r.key_count = 2);
    DIFFERS(c[1].name = STR("x"));
    DIFFERS(c[1].type_oid = 25);
    DIFFERS(c[1].typmod = 4);
    DIFFERS(c[1].kind = TYPE_TEXT);
    DIFFERS(c[1].array = true);
    DIFFERS(c[1].not_null = true);
    DIFFERS(c[1].identity = true);
    DIFFERS(c[1].generated = true);
    DIFFERS(c[1].key_position = 2);
    DIFFERS(c[1].type_name = STR("x"));
    DIFFERS(c[1].type_sql = STR("x"));
    DIFFERS(c[1].enum_labels = STR("[]"));
    DIFFERS(c[1].default_sql = STR_NONE);
}
END_TEST

Suite *relation_suite(void)
{
    Suite *s = suite_create("relation");
    TCase *t = tcase_create("relation");
    tcase_add_test(t, kinds_of_built_in_types);
    tcase_add_test(t, finds_by_whole_name);
    tcase_add_test(t, copy_stands_alone);
    tcase_add_test(t, equal_sees_every_field);
    suite_add_tcase(s, t);
    return s;
}
