/* SPDX-License-Identifier: Apache-2.0
 * agent/cli/config: files that are right, files that are wrong, what is printed. */
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/cli/config.h"
#include "agent/cli/fault.h"
#include "agent/cli/option.h"
#include "tests/unit/cli/test_cli.h"

#define FULL                                                                                       \
    "name: shop\nstate: ${TR_TEST_STATE:-/tmp/x}\nsource: {postgres: dbname=shop}\n"

static struct config *parse(const char *text, struct buf *faults)
{
    struct err e = ERR_INIT;
    struct config *c = config_parse(str_of(text), "t.yaml", faults, &e);
    ck_assert_msg(c || e.code == E_CONFIG, "without a configuration there is an error");
    return c;
}

static struct config *parse_right(const char *text)
{
    struct buf faults = BUF_INIT;
    struct config *c = parse(text, &faults);
    ck_assert_msg(c != NULL, "%s", faults.p);
    ck_assert_msg(!faults.len, "%s", faults.p);
    return c;
}

START_TEST(defaults_and_derived_values)
{
    struct config *c = parse_right(FULL "targets: {w: {url: dbname=w}}\n");
    ck_assert_str_eq(c->name, "shop");
    ck_assert_str_eq(c->state, "/tmp/x");
    ck_assert_str_eq(c->path, "t.yaml");
    ck_assert_str_eq(c->source.slot, "tailrace_shop");
    ck_assert_str_eq(c->source.publication, "tailrace_shop");
    ck_assert(c->source.create_publication && c->source.copy);
    ck_assert_int_eq(c->source.sentinel_ms, 5000);
    ck_assert_int_eq(c->source.tables.count, 1);
    ck_assert_str_eq(c->source.tables.items[0], "public.*");
    ck_assert_str_eq(c->events.mode, "sane");
    ck_assert_int_eq(c->events.decimal, CONFIG_DECIMAL_PRECISE);
    ck_assert_int_eq(c->events.time, CONFIG_TIME_ADAPTIVE);
    ck_assert_int_eq(c->events.hstore, CONFIG_HSTORE_AUTO);
    ck_assert_int_eq(c->bus.max_mb, 10240);
    ck_assert_str_eq(c->http_listen, "127.0.0.1:8088");
    ck_assert_int_eq(c->registry.url.count, 0);
    ck_assert(c->registry.verify && c->registry.subjects == SUBJECTS_TOPIC && c->registry.timeout_ms == 3000);
    ck_assert_int_eq(c->target_count, 1);
    ck_assert_ptr_null(c->targets[0].schema);
    ck_assert_int_eq(c->targets[0].triggers, TARGET_TRIGGERS_OFF);
    ck_assert_int_eq(c->route_count, 1);
    ck_assert_str_eq(c->routes[0].name, "w");
    ck_assert_str_eq(c->routes[0].to, "w");
    ck_assert_str_eq(c->routes[0].from.items[0], "*.*");
    ck_assert_ptr_eq(config_target_find(c, "w"), &c->targets[0]);
    ck_assert_ptr_null(config_target_find(c, "v"));
    config_free(c);
}
END_TEST

START_TEST(registry_given)
{
    struct config *c = parse_right(FULL "registry: {url: [https://a:8081/x, http://127.0.0.1:1], token: t, subjects: topic_record, "
                                        "on_incompatible: new_subject, timeout_ms: 100}\ntargets: {w: {url: dbname=w}}\n");
    ck_assert_int_eq(c->registry.url.count, 2);
    ck_assert_str_eq(c->registry.url.items[0], "https://a:8081/x");
    ck_assert_str_eq(c->registry.url.items[1], "http://127.0.0.1:1");
    ck_assert_str_eq(c->registry.token, "t");
    ck_assert_str_eq(c->registry.user, "");
    ck_assert_int_eq(c->registry.subjects, SUBJECTS_TOPIC_RECORD);
    ck_assert_int_eq(c->registry.on_incompatible, INCOMPATIBLE_NEW_SUBJECT);
    config_free(c);
    c = parse_right(FULL "registry: {url: http://localhost:8081}\ntargets: {w: {url: dbname=w}}\n");
    ck_assert_int_eq(c->registry.url.count, 1);
    config_free(c);
}
END_TEST

START_TEST(values_given)
{
    setenv("TR_TEST_STATE", "/srv/a b", 1);
    struct config *c = parse_right(
        FULL "bus: {sync_ms: 0}\nhttp: {listen: off}\nevents: {decimal: string, tombstones: true, time: isostring,\n"
             "  interval: string, binary: base64-url-safe, hstore: map}\ntargets:\n  w: {url: \"dbname=w application_name=a$$b$c\", existing: clear, triggers: on}\n"
             "  v: {url: dbname=v, schema: s, synchronous_commit: remote_apply}\n"
             "routes: [{to: v, from: public.orders, name: orders}, {to: w}]\n");
    ck_assert_str_eq(c->state, "/srv/a b");
    ck_assert_int_eq(c->bus.sync_ms, 0);
    ck_assert_int_eq(c->bus.max_mb, 10240);
    ck_assert_str_eq(c->http_listen, "");
    ck_assert_int_eq(c->events.decimal, CONFIG_DECIMAL_STRING);
    ck_assert_int_eq(c->events.time, CONFIG_TIME_ISOSTRING);
    ck_assert_int_eq(c->events.interval, CONFIG_INTERVAL_STRING);
    ck_assert_int_eq(c->events.binary, CONFIG_BINARY_BASE64_URL);
    ck_assert_int_eq(c->events.hstore, CONFIG_HSTORE_MAP);
    ck_assert(c->events.tombstones);
    ck_assert_str_eq(c->targets[0].url, "dbname=w application_name=a$b$c");
    ck_assert_int_eq(c->targets[0].existing, EXISTING_CLEAR);
    ck_assert_int_eq(c->targets[0].triggers, TARGET_TRIGGERS_ON);
    ck_assert_str_eq(c->targets[1].synchronous_commit, "remote_apply");
    ck_assert_str_eq(c->routes[0].name, "orders");
    ck_assert_int_eq(c->routes[0].from.count, 1);
    ck_assert_str_eq(c->routes[1].name, "w");
    config_free(c);
    unsetenv("TR_TEST_STATE");
}
END_TEST

START_TEST(rules_of_columns_and_keys)
{
    char dir[] = "/tmp/tailrace-salt-XXXXXX", path[64], text[1024];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/salt", dir);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs("pepper9\n", file);
    fclose(file);
    ck_assert_int_eq(chmod(path, 0600), 0);
    snprintf(text, sizeof text, FULL "targets: {w: {url: dbname=w}}\ncolumns:\n"
             "  - { of: public.customers.email, do: hash, salt: !secret {file: %s} }\n"
             "  - { of: [\"public.*.ssn\", \"hr.*.*salary*\"], do: drop }\n"
             "  - { of: [public.c.note], do: truncate, length: 40 }\n"
             "keys: [{ of: [\"public.o*\", \"!public.old\"], columns: [customer_id, \"No.\"] }]\n", path);
    struct buf printed = BUF_INIT;
    struct config *c = parse_right(text);
    ck_assert_int_eq(c->column_count, 3);
    ck_assert_int_eq(c->columns[0].what, RULE_HASH);
    ck_assert_str_eq(c->columns[0].salt, "pepper9");
    ck_assert_int_eq(c->columns[1].what, RULE_DROP);
    ck_assert_int_eq(c->columns[1].of.count, 2);
    ck_assert_int_eq(c->columns[2].length, 40);
    ck_assert_int_eq(c->key_count, 1);
    ck_assert_str_eq(c->keys[0].columns.items[1], "No.");
    config_print(c, &printed);
    ck_assert_ptr_null(strstr(printed.p, "pepper9"));
    ck_assert_ptr_nonnull(strstr(printed.p, "columns:\n  - of: [public.customers.email] # t.yaml:6\n    do: hash # t.yaml:6\n"
                                            "    length: 0 # default\n    salt: \"‹set›\" # t.yaml:6, !secret\n"));
    ck_assert_ptr_nonnull(strstr(printed.p, "    salt: \"\" # default\n"));
    ck_assert_ptr_nonnull(strstr(printed.p, "    columns: [customer_id, No.] # t.yaml:9\n"));
    config_free(c);
    buf_free(&printed);
    unlink(path);
    rmdir(dir);
}
END_TEST

static void column_pattern_row(const struct str *column)
{
    const char *item = mem_strndup(column[0]);
    const struct config_list list = {1, &item};
    ck_assert_msg(config_list_takes_column(&list, column[1], column[2], column[3]) == str_is(column[4], "yes"),
                  "%s of %.*s.%.*s.%.*s", item, STR_ARG(column[1]), STR_ARG(column[2]), STR_ARG(column[3]));
    free((char *) (uintptr_t) item);
}

START_TEST(patterns_choose_columns)
{
    ck_assert_int_ge(test_rows("tests/cases/column_patterns.tsv", 6, column_pattern_row), 12);
}
END_TEST

START_TEST(json_is_a_subset_and_bus_may_be_local)
{
    struct config *c = parse_right(
        "{\"name\": \"shop\", \"state\": \"/tmp/x\", \"source\": {\"postgres\": \"dbname=shop\"},\n"
        " \"bus\": \"local\", \"targets\": {\"w\": {\"url\": \"dbname=w\", \"create\": true}}}");
    ck_assert(c->targets[0].create);
    ck_assert_int_eq(c->bus.memory_mb, 16);
    config_free(c);
}
END_TEST

/* Each NAME.yaml of the folder gives NAME.expected, to the letter. */
START_TEST(every_fault_is_told)
{
    char path[512];
    int files = 0;
    snprintf(path, sizeof path, "%s/tests/cases/config_faults", getenv("TR_SRCDIR"));
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char *dot = strrchr(entry->d_name, '.');
        struct buf faults = BUF_INIT;
        struct err e = ERR_INIT;
        if (!dot || strcmp(dot, ".yaml") != 0)
            continue;
        snprintf(path, sizeof path, "tests/cases/config_faults/%s", entry->d_name);
        struct buf text = test_file(path);
        snprintf(path, sizeof path, "tests/cases/config_faults/%.*s.expected",
                 (int) (dot - entry->d_name), entry->d_name);
        struct buf expected = test_file(path);
        struct config *c = config_parse(buf_str(&text), entry->d_name, &faults, &e);
        ck_assert_msg(str_eq(buf_str(&faults), buf_str(&expected)), "%s is:\n%s\nnot:\n%s",
                      entry->d_name, faults.p, expected.p);
        ck_assert_msg(!strstr(faults.p, "hunter2"), "%s shows a password", entry->d_name);
        ck_assert_msg((c != NULL) == !strstr(faults.p, ": error: "), "%s", entry->d_name);
        config_free(c);
        buf_free(&faults);
        buf_free(&text);
        buf_free(&expected);
        files++;
    }
    closedir(dir);
    ck_assert_int_ge(files, 25);
}
END_TEST

START_TEST(example_holds)
{
    struct buf text = test_file("examples/tailrace.yaml");
    struct config *c = parse_right(text.p);
    ck_assert_str_eq(c->state, "/var/lib/tailrace");
    ck_assert_int_eq(c->column_count, 3);
    /* It shows every option there is. */
    for (int row = 0; row < OPTION_ROWS; row++) {
        char key[64];
        snprintf(key, sizeof key, "%s:", option_row(row)->name);
        ck_assert_msg(strstr(text.p, key), "the example lacks %s", key);
    }
    config_free(c);
    buf_free(&text);
}
END_TEST

/* What is printed loads again, once its secrets are put back, and prints the same values. */
START_TEST(print_round_trip)
{
    struct buf first = BUF_INIT, second = BUF_INIT, text = test_file("examples/tailrace.yaml");
    struct config *c = parse_right(text.p);
    config_print(c, &first);
    ck_assert_ptr_nonnull(strstr(first.p, "name: shop # t.yaml:7\n"));
    ck_assert_ptr_nonnull(strstr(first.p, "  postgres: \"‹set›\" # t.yaml:"));
    ck_assert_ptr_nonnull(strstr(first.p, "  - name: warehouse # derived\n"));
    ck_assert_ptr_nonnull(strstr(first.p, "    connector: postgres # default\n"));
    ck_assert_ptr_null(strstr(first.p, "example.com"));
    config_free(c);
    for (char *at = first.p; (at = strstr(at, "‹set›")); at += 9)
        memcpy(at, "dbname=xy", 9); /* as long as ‹set› in UTF-8 */
    c = parse_right(first.p);
    ck_assert_str_eq(c->routes[1].name, "orders_to_reports");
    ck_assert_int_eq(c->routes[1].from.count, 2);
    config_print(c, &second);
    ck_assert_ptr_nonnull(strstr(second.p, "  listen: \"127.0.0.1:8088\" # t.yaml:"));
    config_free(c);
    buf_free(&first);
    buf_free(&second);
    buf_free(&text);
}
END_TEST

static json_t *item_properties(json_t *top, const char *part)
{
    return json_object_get(json_object_get(json_object_get(top, part), "items"), "properties");
}

START_TEST(schema_knows_every_option)
{
    struct buf schema = BUF_INIT;
    json_error_t error;
    config_schema(&schema);
    json_t *json = json_loadb(schema.p, schema.len, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(json != NULL, "%s at line %d", error.text, error.line);
    json_t *top = json_object_get(json, "properties");
    json_t *target = json_object_get(
        json_object_get(json_object_get(top, "targets"), "additionalProperties"), "properties");
    json_t *route = item_properties(top, "routes"), *column = item_properties(top, "columns"), *key = item_properties(top, "keys");
    for (int row = 0; row < OPTION_ROWS; row++) {
        const struct option *o = option_row(row);
        json_t *part = json_object_get(top, option_section_path(o->section)), *in = top;
        if (o->section == SECTION_bus)
            part = json_array_get(json_object_get(part, "anyOf"), 1);
        if (o->section == SECTION_target)
            in = target;
        else if (o->section == SECTION_route)
            in = route;
        else if (o->section == SECTION_column)
            in = column;
        else if (o->section == SECTION_key)
            in = key;
        else if (o->section != SECTION_top)
            in = json_object_get(part, "properties");
        ck_assert_msg(json_object_get(in, o->name), "the schema lacks %s", o->name);
    }
    /* As the loader: "events:" alone is right, "source:" alone is not. */
    ck_assert(json_is_array(json_object_get(json_object_get(top, "events"), "type")));
    ck_assert(json_is_string(json_object_get(json_object_get(top, "source"), "type")));
    json_decref(json);
    buf_free(&schema);
}
END_TEST

START_TEST(reference_page_knows_every_option)
{
    struct buf page = BUF_INIT;
    config_docs(&page);
    for (int row = 0; row < OPTION_ROWS; row++) {
        char cell[64];
        snprintf(cell, sizeof cell, "| `%s` | ", option_row(row)->name);
        ck_assert_msg(strstr(page.p, cell), "the page lacks %s", cell);
    }
    buf_free(&page);
}
END_TEST

/* A default that the loader would refuse is a wrong row. */
START_TEST(defaults_are_legal)
{
    for (int row = 0; row < OPTION_ROWS; row++) {
        const struct option *o = option_row(row);
        int64_t number;
        bool found = false;
        struct str word;
        if (o->type == OPTION_INT) {
            ck_assert_msg(str_to_i64(str_of(o->default_value), &number) && number >= o->low
                              && number <= o->high, "%s", o->name);
        } else if (o->type == OPTION_ENUM || o->type == OPTION_WORD) {
            for (int at = 0; o->default_value && (word = option_word(o, at)).len; at++)
                found |= str_is(word, o->default_value);
            ck_assert_msg(found || !o->default_value, "%s", o->name);
        }
        ck_assert_msg(o->help[0] && o->help[strlen(o->help) - 1] == '.', "%s: help is a sentence",
                      o->name);
    }
}
END_TEST

static void pattern_row(const struct str *column)
{
    const char *items[8];
    char text[256];
    struct config_list list = {0, items};
    snprintf(text, sizeof text, "%.*s", STR_ARG(column[0]));
    for (char *save = NULL, *one = strtok_r(text, " ", &save); one; one = strtok_r(NULL, " ", &save))
        items[list.count++] = one;
    ck_assert_msg(config_list_matches(&list, column[1], column[2]) == str_is(column[3], "yes"),
                  "%.*s of %.*s.%.*s", STR_ARG(column[0]), STR_ARG(column[1]), STR_ARG(column[2]));
}

START_TEST(patterns_choose_tables)
{
    ck_assert_int_ge(test_rows("tests/cases/table_patterns.tsv", 5, pattern_row), 15);
}
END_TEST

static void masked_row(const struct str *column)
{
    struct buf shown = BUF_INIT;
    fault_add_masked(&shown, column[0]);
    ck_assert_msg(str_eq(buf_str(&shown), column[1]), "%.*s shows as %s", STR_ARG(column[0]),
                  shown.p);
    buf_free(&shown);
}

START_TEST(source_lines_hide_passwords)
{
    ck_assert_int_ge(test_rows("tests/cases/masked_lines.tsv", 3, masked_row), 12);
}
END_TEST

START_TEST(file_that_is_not_there)
{
    struct buf faults = BUF_INIT;
    struct err e = ERR_INIT;
    ck_assert_ptr_null(config_load("/nonexistent/t.yaml", &faults, &e));
    ck_assert_int_eq(e.code, E_CONFIG);
    ck_assert_ptr_nonnull(strstr(e.msg, "/nonexistent/t.yaml"));
    ck_assert_ptr_nonnull(strstr(e.hint, "tailrace init"));
    buf_free(&faults);
}
END_TEST

/* A huge or deep file is refused, not followed. */
START_TEST(hostile_files)
{
    struct buf text = BUF_INIT, faults = BUF_INIT;
    for (int at = 0; at < 100000; at++)
        buf_add_char(&text, '[');
    ck_assert_ptr_null(parse(text.p, &faults));
    buf_reset(&text);
    buf_reset(&faults);
    for (int at = 0; at < 5000; at++)
        buf_addf(&text, "key%d: x\n", at);
    ck_assert_ptr_null(parse(text.p, &faults));
    ck_assert_ptr_nonnull(strstr(faults.p, "more\n"));
    buf_free(&text);
    buf_free(&faults);
}
END_TEST

void add_config_tests(Suite *suite)
{
    TCase *tests = tcase_create("config");
    tcase_add_test(tests, defaults_and_derived_values);
    tcase_add_test(tests, values_given);
    tcase_add_test(tests, rules_of_columns_and_keys);
    tcase_add_test(tests, patterns_choose_columns);
    tcase_add_test(tests, registry_given);
    tcase_add_test(tests, json_is_a_subset_and_bus_may_be_local);
    tcase_add_test(tests, every_fault_is_told);
    tcase_add_test(tests, example_holds);
    tcase_add_test(tests, print_round_trip);
    tcase_add_test(tests, schema_knows_every_option);
    tcase_add_test(tests, reference_page_knows_every_option);
    tcase_add_test(tests, defaults_are_legal);
    tcase_add_test(tests, patterns_choose_tables);
    tcase_add_test(tests, source_lines_hide_passwords);
    tcase_add_test(tests, file_that_is_not_there);
    tcase_add_test(tests, hostile_files);
    suite_add_tcase(suite, tests);
}
