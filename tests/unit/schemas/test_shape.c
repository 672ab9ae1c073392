/* SPDX-License-Identifier: Apache-2.0
 * schemas/shape: what rules make of tables and rows, and that what they hide is in no byte of an event. */
#include <string.h>

#include "tests/unit/schemas/support.h"

#define SET(t) {VALUE_SET, {(t), sizeof(t) - 1}}
#define IS_NULL {VALUE_NULL, {NULL, 0}}
#define GONE {VALUE_ABSENT, {NULL, 0}}
#define SAME {VALUE_UNCHANGED, {NULL, 0}}
#define LIST(...) {sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__}}

/* people(id text key, email varchar(40), note text, born date, tags text[], city varchar(12)) */
enum { ID, EMAIL, NOTE, BORN, TAGS, CITY, COLUMNS };

struct fixture {
    struct arena arena;
    struct fake_registry registry;
    struct envelope_writer *writer;
    struct envelope_reader *reader;
    struct sink_list list;
    struct column columns[COLUMNS];
    struct relation people;
    struct err err;
    struct buf told;
};

static void tell(void *self, const struct relation *rel, struct str columns)
{
    struct fixture *f = self;
    buf_addf(&f->told, "%.*s: %.*s\n", STR_ARG(rel->name), STR_ARG(columns));
}

static void fixture_open(struct fixture *f, const struct shape_rules *rules)
{
    *f = (struct fixture){.people = {.oid = 16400, .version = 1, .space = STR("public"), .name = STR("people"), .identity = 'd',
                                     .column_count = COLUMNS, .key_count = 1}};
    f->columns[ID] = column_of("id", TYPE_TEXT, false, -1);
    f->columns[EMAIL] = column_of("email", TYPE_TEXT, false, 44);
    f->columns[NOTE] = column_of("note", TYPE_TEXT, false, -1);
    f->columns[BORN] = column_of("born", TYPE_DATE, false, -1);
    f->columns[TAGS] = column_of("tags", TYPE_TEXT, true, -1);
    f->columns[CITY] = column_of("city", TYPE_TEXT, false, 16);
    f->columns[EMAIL].type_oid = f->columns[CITY].type_oid = 1043;
    f->columns[ID].key_position = f->columns[ID].identity = f->columns[ID].not_null = 1;
    for (int at = 0; at < COLUMNS; at++)
        f->columns[at].attnum = at + 1;
    f->people.columns = f->columns;
    arena_init(&f->arena, 0, "test");
    fake_open(&f->registry);
    struct envelope_options o = {.prefix = STR("shop"), .database = STR("shopdb"), .version = STR("1"), .unable = tell,
                                 .unable_self = f};
    if (rules)
        o.rules = *rules;
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
    buf_free(&f->told);
}

static int fixture_write(struct fixture *f, enum change_op op, const struct value *before, const struct value *after)
{
    struct change change = {.op = op, .rel = &f->people, .before = before, .after = after, .lsn = 4711};
    const struct txn txn = {.xid = 771, .commit_lsn = 4800, .commit_us = 1767323045678900};
    struct event_out out = list_out(&f->list);
    change.old = !before ? OLD_NONE : f->people.identity == 'f' ? OLD_FULL : OLD_KEY;
    f->list.count = 0;
    return envelope_write(f->writer, &change, &txn, 1767323045700123, &out, &f->err);
}

static struct change fixture_read(struct fixture *f, int at)
{
    struct change change;
    int result = envelope_read(f->reader, &f->list.events[at], &f->arena, &change, &f->err);
    ck_assert_msg(result == 0, "%s", f->err.msg);
    return change;
}

/* The value of the column with this name, NULL when there is none. */
static const struct value *value_of(const struct relation *rel, const struct value *row, const char *name)
{
    int at = relation_find(rel, str_of(name));
    return at < 0 ? NULL : &row[at];
}

static void is_text(const struct relation *rel, const struct value *row, const char *name, const char *want)
{
    const struct value *v = value_of(rel, row, name);
    ck_assert_msg(v && v->state == VALUE_SET && str_is(v->text, want), "%s is \"%.*s\" instead of \"%s\"", name,
                  v ? (int) v->text.len : 0, v && v->text.p ? v->text.p : "", want);
}

static bool in_events(const struct fixture *f, const char *text)
{
    bool found = false;
    for (int at = 0; at < f->list.count; at++) {
        const struct event *ev = &f->list.events[at];
        found |= str_holds(ev->key, text) || str_holds(ev->value, text) || str_holds(ev->headers, text);
    }
    for (int at = 0; at < f->registry.count; at++)
        found |= str_holds(f->registry.texts[at], text);
    return found;
}

static const struct config_column hiding[] = {
    {.of = LIST("public.people.email"), .what = RULE_HASH, .salt = "salt"},
    {.of = LIST("public.people.note"), .what = RULE_TRUNCATE, .length = 3, .salt = ""},
    {.of = LIST("public.people.city"), .what = RULE_MASK, .length = 8, .salt = ""},
    {.of = LIST("*.*.born", "public.*.ta?s"), .what = RULE_DROP, .salt = ""},
    {.of = LIST("public.people.*"), .what = RULE_DROP, .salt = ""},
};
static const struct shape_rules hide = {hiding, 4, NULL, 0};

static const struct value ada[] = {SET("k1"), SET("hello"), SET("né\xe2\x82\xacxt secret"), SET("1815-12-10"), SET("{secret}"), SET("London")};

/* The hash is the vector of Debezium's own test of v2. */
START_TEST(values_are_hidden)
{
    struct fixture f;
    fixture_open(&f, &hide);
    ck_assert_int_eq(fixture_write(&f, OP_READ, NULL, ada), 0);
    struct change c = fixture_read(&f, 0);
    ck_assert_int_eq(c.rel->column_count, 4);
    is_text(c.rel, c.after, "id", "k1");
    is_text(c.rel, c.after, "email", "cd31b3b98ece60cb739c0bf770b2de892ae0ad13"); /* varchar(40) */
    is_text(c.rel, c.after, "note", "né\xe2\x82\xac");
    is_text(c.rel, c.after, "city", "********");
    ck_assert(str_is(c.rel->left_out, "[[4,\"born\"],[5,\"tags\"]]"));
    ck_assert(!f.told.len);
    const char *const hidden[] = {"hello", "secret", "1815", "London"};
    for (size_t at = 0; at < sizeof hidden / sizeof *hidden; at++)
        ck_assert_msg(!in_events(&f, hidden[at]), "%s is there", hidden[at]);
    /* The test can see them: without rules all of the texts are there. */
    fixture_close(&f);
    fixture_open(&f, NULL);
    ck_assert_int_eq(fixture_write(&f, OP_READ, NULL, ada), 0);
    ck_assert(in_events(&f, "hello") && in_events(&f, "secret") && in_events(&f, "London"));
    ck_assert(!in_events(&f, "left_out"));
    fixture_close(&f);
}
END_TEST

START_TEST(whole_hashes_and_short_columns)
{
    const struct config_column rules[] = {{.of = LIST("public.people.note"), .what = RULE_HASH, .salt = "salt"},
                                          {.of = LIST("public.people.city"), .what = RULE_MASK, .length = 100, .salt = ""},
                                          {.of = LIST("public.people.email"), .what = RULE_TRUNCATE, .length = 1000, .salt = ""}};
    const struct shape_rules all = {rules, 3, NULL, 0};
    const struct value row[] = {SET("k1"), SET("hello"), SET("hello"), IS_NULL, IS_NULL, SET("")};
    struct fixture f;
    fixture_open(&f, &all);
    ck_assert_int_eq(fixture_write(&f, OP_CREATE, NULL, row), 0);
    struct change c = fixture_read(&f, 0);
    is_text(c.rel, c.after, "note", "cd31b3b98ece60cb739c0bf770b2de892ae0ad133f645513c3d83f08757a843a");
    is_text(c.rel, c.after, "city", "************"); /* varchar(12) */
    is_text(c.rel, c.after, "email", "hello");
    ck_assert_int_eq(c.rel->column_count, COLUMNS);
    ck_assert(!c.rel->left_out.len);
    fixture_close(&f);
}
END_TEST

START_TEST(states_stay)
{
    const struct value before[] = {SET("k1"), SET("hello"), SET("secret"), SET("1815-12-10"), SET("{secret}"), SET("London")};
    const struct value after[] = {SET("k1"), IS_NULL, SAME, SET("1815-12-11"), SAME, SET("London")};
    const struct value key[] = {SET("k1"), GONE, GONE, GONE, GONE, GONE};
    struct fixture f;
    fixture_open(&f, &hide);
    ck_assert_int_eq(fixture_write(&f, OP_UPDATE, NULL, after), 0);
    struct change c = fixture_read(&f, 0);
    ck_assert_int_eq(value_of(c.rel, c.after, "email")->state, VALUE_NULL);
    ck_assert_int_eq(value_of(c.rel, c.after, "note")->state, VALUE_UNCHANGED);
    ck_assert_int_eq(fixture_write(&f, OP_DELETE, key, NULL), 0);
    c = fixture_read(&f, 0);
    ck_assert_int_eq(value_of(c.rel, c.before, "email")->state, VALUE_ABSENT);
    ck_assert_int_eq(c.old, OLD_KEY);
    /* A full old row is hidden as the new one, also where it fills what was not sent. */
    f.people.identity = 'f';
    f.people.version = 2;
    for (int at = 0; at < COLUMNS; at++)
        f.columns[at].identity = true;
    ck_assert_int_eq(fixture_write(&f, OP_UPDATE, before, after), 0);
    c = fixture_read(&f, 0);
    is_text(c.rel, c.before, "email", "cd31b3b98ece60cb739c0bf770b2de892ae0ad13");
    is_text(c.rel, c.before, "city", "********");
    is_text(c.rel, c.after, "note", "sec");
    ck_assert(!in_events(&f, "secret") && !in_events(&f, "hello") && !in_events(&f, "London"));
    fixture_close(&f);
}
END_TEST

START_TEST(other_types_are_dropped_and_told_once)
{
    const struct config_column rules[] = {{.of = LIST("public.people.born", "public.people.tags", "public.people.note"), .what = RULE_MASK,
                                           .length = 4, .salt = ""}};
    const struct shape_rules all = {rules, 1, NULL, 0};
    struct fixture f;
    fixture_open(&f, &all);
    f.columns[NOTE].type_oid = 16500; /* a domain, which may rest on anything */
    f.columns[NOTE].type_name = f.columns[NOTE].type_sql = STR("nick");
    ck_assert_int_eq(fixture_write(&f, OP_READ, NULL, ada), 0);
    struct change c = fixture_read(&f, 0);
    ck_assert_int_eq(c.rel->column_count, 3);
    ck_assert(!in_events(&f, "secret") && !in_events(&f, "****"));
    ck_assert_str_eq(f.told.p, "people: note (nick), born (date), tags (text)\n");
    f.people.version = 2;
    ck_assert_int_eq(fixture_write(&f, OP_READ, NULL, ada), 0);
    ck_assert_str_eq(f.told.p, "people: note (nick), born (date), tags (text)\n");
    fixture_close(&f);
}
END_TEST

START_TEST(schemas_hold_no_value)
{
    struct fixture f;
    fixture_open(&f, &hide);
    for (int at = EMAIL; at < COLUMNS; at++) {
        f.columns[at].default_sql = STR("'hello secret'::text");
        f.columns[at].has_missing = true;
        f.columns[at].missing = STR("hello");
    }
    ck_assert_int_eq(fixture_write(&f, OP_READ, NULL, ada), 0);
    ck_assert(!in_events(&f, "hello") && !in_events(&f, "secret"));
    struct change c = fixture_read(&f, 0);
    const struct column *note = &c.rel->columns[relation_find(c.rel, STR("note"))];
    const struct column *email = &c.rel->columns[relation_find(c.rel, STR("email"))];
    ck_assert(note->has_missing && str_is(note->missing, "hel") && !note->default_sql.len);
    ck_assert(str_is(email->missing, "cd31b3b98ece60cb739c0bf770b2de892ae0ad13"));
    fixture_close(&f);
}
END_TEST

START_TEST(first_rule_decides)
{
    const struct shape_rules all = {hiding, 5, NULL, 0}; /* the last takes every column */
    struct shape *s;
    struct fixture f;
    fixture_open(&f, NULL);
    f.columns[ID].key_position = f.people.key_count = 0;
    ck_assert_int_eq(shape_make(&f.people, &all, &s, &f.err), 0);
    ck_assert_int_eq(shape_way(s, EMAIL), SHAPE_HASH);
    ck_assert_int_eq(shape_way(s, ID), SHAPE_DROP);
    ck_assert_int_eq(shape_relation(s)->column_count, 3);
    shape_free(s);
    f.people.name = STR("others");
    f.columns[BORN].name = STR("died");
    f.columns[TAGS].name = STR("words");
    ck_assert_int_eq(shape_make(&f.people, &all, &s, &f.err), 0);
    ck_assert_ptr_null(s);
    fixture_close(&f);
}
END_TEST

/* One rule on the key column: its error, or "". */
static const char *key_error(struct fixture *f, enum config_rule what, int32_t typmod)
{
    const struct config_column rules[] = {{.of = LIST("public.people.id"), .what = what, .length = 4, .salt = "salt"}};
    const struct shape_rules all = {rules, 1, NULL, 0};
    struct shape *s;
    fixture_close(f);
    fixture_open(f, &all);
    f->columns[ID].type_oid = typmod > 0 ? 1043 : 25;
    f->columns[ID].typmod = typmod;
    if (shape_make(&f->people, &all, &s, &f->err) == 0) {
        shape_free(s);
        return "";
    }
    ck_assert_int_eq(f->err.code, E_CONFIG);
    return f->err.msg;
}

START_TEST(key_columns_stay_apart)
{
    struct fixture f;
    fixture_open(&f, NULL);
    ck_assert_str_eq(key_error(&f, RULE_DROP, -1), "rule drop of columns takes public.people.id, which is in the record key: rows could "
                                                   "not be told apart");
    ck_assert(strstr(key_error(&f, RULE_MASK, -1), "rule mask"));
    ck_assert(strstr(key_error(&f, RULE_TRUNCATE, -1), "rule truncate"));
    ck_assert_str_eq(key_error(&f, RULE_HASH, -1), "");
    ck_assert_str_eq(key_error(&f, RULE_HASH, 36), "");
    ck_assert(strstr(key_error(&f, RULE_HASH, 35), "rule hash"));
    /* The writer stops with it. */
    const struct config_column rules[] = {{.of = LIST("*.*.id"), .what = RULE_DROP, .salt = ""}};
    const struct shape_rules all = {rules, 1, NULL, 0};
    fixture_close(&f);
    fixture_open(&f, &all);
    ck_assert_int_eq(fixture_write(&f, OP_READ, NULL, ada), -1);
    ck_assert_int_eq(f.err.code, E_CONFIG);
    ck_assert_int_eq(f.list.count, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(hashed_key_changes_with_the_key)
{
    const struct config_column rules[] = {{.of = LIST("public.people.id"), .what = RULE_HASH, .salt = "salt"}};
    const struct shape_rules all = {rules, 1, NULL, 0};
    const struct value before[] = {SET("hello"), GONE, GONE, GONE, GONE, GONE};
    const struct value after[] = {SET("world"), SAME, SAME, IS_NULL, IS_NULL, IS_NULL};
    struct fixture f;
    fixture_open(&f, &all);
    ck_assert_int_eq(fixture_write(&f, OP_UPDATE, before, after), 0);
    ck_assert_int_eq(f.list.count, 2);
    ck_assert(!in_events(&f, "hello") && !in_events(&f, "world"));
    ck_assert(str_holds(f.list.events[0].headers, "e84ac3142870113ddc6710c06f76421befc8e8ca6de64e98d2993ed8d41f4085"));
    struct change c = fixture_read(&f, 1);
    ck_assert_int_eq(c.op, OP_UPDATE);
    is_text(c.rel, c.before, "id", "cd31b3b98ece60cb739c0bf770b2de892ae0ad133f645513c3d83f08757a843a");
    fixture_close(&f);
}
END_TEST

/* ---- keys ---- */

static const struct config_key city_note[] = {{.of = LIST("public.p*", "!public.pets"), .columns = LIST("city", "note")}};
static const struct shape_rules by_city = {NULL, 0, city_note, 1};

static void make_full(struct fixture *f)
{
    f->people.identity = 'f';
    for (int at = 0; at < COLUMNS; at++)
        f->columns[at].identity = true;
}

START_TEST(other_columns_as_the_key)
{
    const struct value moved[] = {SET("k1"), SET("hello"), SET("x"), IS_NULL, IS_NULL, SET("Paris")};
    struct fixture f;
    fixture_open(&f, &by_city);
    make_full(&f);
    ck_assert_int_eq(fixture_write(&f, OP_READ, NULL, ada), 0);
    ck_assert(str_holds(f.registry.texts[0], "\"name\":\"city\"") && !str_holds(f.registry.texts[0], "\"name\":\"id\""));
    ck_assert(strstr(f.registry.texts[0].p, "\"name\":\"city\"") < strstr(f.registry.texts[0].p, "\"name\":\"note\""));
    struct change c = fixture_read(&f, 0);
    ck_assert_int_eq(c.rel->key_count, 2);
    ck_assert_int_eq(c.rel->columns[CITY].key_position, 1);
    ck_assert_int_eq(c.rel->columns[ID].key_position, 0);
    ck_assert_int_eq(fixture_write(&f, OP_UPDATE, ada, moved), 0);
    ck_assert_int_eq(f.list.count, 2);
    ck_assert(str_holds(f.list.events[0].headers, "{\"city\":\"Paris\",\"note\":\"x\"}"));
    fixture_close(&f);
}
END_TEST

/* An old key with NULL is a key too: the record under it goes. */
START_TEST(keys_with_null)
{
    const struct value old[] = {SET("k1"), IS_NULL, SET("n"), IS_NULL, IS_NULL, IS_NULL};
    const struct value new[] = {SET("k1"), IS_NULL, SET("n"), IS_NULL, IS_NULL, SET("Rome")};
    struct fixture f;
    fixture_open(&f, &by_city);
    make_full(&f);
    ck_assert_int_eq(fixture_write(&f, OP_UPDATE, old, new), 0);
    ck_assert_int_eq(f.list.count, 2);
    struct change c = fixture_read(&f, 1);
    ck_assert_int_eq(value_of(c.rel, c.before, "city")->state, VALUE_NULL);
    is_text(c.rel, c.before, "note", "n");
    ck_assert_int_eq(fixture_write(&f, OP_UPDATE, old, old), 0);
    ck_assert_int_eq(f.list.count, 1);
    fixture_close(&f);
}
END_TEST

START_TEST(keys_that_cannot_be)
{
    const struct config_key missing[] = {{.of = LIST("*.*"), .columns = LIST("city", "nowhere")}};
    const struct shape_rules all = {NULL, 0, missing, 1}, both = {hiding, 4, city_note, 1};
    struct shape *s;
    struct fixture f;
    fixture_open(&f, NULL);
    ck_assert_int_eq(shape_make(&f.people, &by_city, &s, &f.err), -1);
    ck_assert_int_eq(f.err.code, E_CONFIG);
    ck_assert_str_eq(f.err.msg, "rule of keys for public.people: column city is not in the replica identity, so that deletes would "
                                "lack the key");
    ck_assert(strstr(f.err.hint, "ALTER TABLE public.people REPLICA IDENTITY FULL"));
    make_full(&f);
    ck_assert_int_eq(shape_make(&f.people, &all, &s, &f.err), -1);
    ck_assert_str_eq(f.err.msg, "rule of keys for public.people: column nowhere is not among those that are sent");
    ck_assert_int_eq(shape_make(&f.people, &both, &s, &f.err), -1); /* city is masked */
    ck_assert(strstr(f.err.msg, "rule truncate of columns takes public.people.note"));
    /* Nothing but inserts is published without an identity. */
    for (int at = 0; at < COLUMNS; at++)
        f.columns[at].identity = false;
    f.people.identity = 'n';
    ck_assert_int_eq(shape_make(&f.people, &by_city, &s, &f.err), 0);
    shape_free(s);
    f.people.name = STR("pets");
    ck_assert_int_eq(shape_make(&f.people, &by_city, &s, &f.err), 0);
    ck_assert_ptr_null(s);
    fixture_close(&f);
}
END_TEST

/* What the publication leaves out goes on being told. */
START_TEST(left_out_adds_up)
{
    struct fixture f;
    struct shape *s;
    fixture_open(&f, NULL);
    f.people.left_out = STR("[[9,\"pin\"]]");
    ck_assert_int_eq(shape_make(&f.people, &hide, &s, &f.err), 0);
    ck_assert(str_is(shape_relation(s)->left_out, "[[9,\"pin\"],[4,\"born\"],[5,\"tags\"]]"));
    shape_free(s);
    fixture_close(&f);
}
END_TEST

TCase *case_shape(void)
{
    TCase *t = tcase_create("shape");
    tcase_add_test(t, values_are_hidden);
    tcase_add_test(t, whole_hashes_and_short_columns);
    tcase_add_test(t, states_stay);
    tcase_add_test(t, other_types_are_dropped_and_told_once);
    tcase_add_test(t, schemas_hold_no_value);
    tcase_add_test(t, first_rule_decides);
    tcase_add_test(t, key_columns_stay_apart);
    tcase_add_test(t, hashed_key_changes_with_the_key);
    tcase_add_test(t, other_columns_as_the_key);
    tcase_add_test(t, keys_with_null);
    tcase_add_test(t, keys_that_cannot_be);
    tcase_add_test(t, left_out_adds_up);
    return t;
}
