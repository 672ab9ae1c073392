/* SPDX-License-Identifier: Apache-2.0
 * agent/cli/init: facts of a server to a file that loads. */
#include <stdio.h>

#include "agent/cli/config.h"
#include "agent/cli/init.h"
#include "tests/unit/cli/test_cli.h"

static struct arena arena;

static void set_up(void)
{
    arena_init(&arena, 0, "test");
}

static void tear_down(void)
{
    arena_free(&arena);
}

static const struct catalog_table tables[] = {
    {.space = {"public", 6}, .name = {"log", 3}, .identity = 'd', .rows = -1},
    {.space = {"public", 6}, .name = {"orders", 6}, .has_identity = true, .has_key = true,
     .rows = 1000},
    {.space = {"sales", 5}, .name = {"x\nname: evil", 12}, .has_identity = true, .has_key = true,
     .partitioned = true},
    {.space = {"we.ird$!", 8}, .name = {"y", 1}, .has_identity = true, .has_key = true},
};
static const bool unreadable[] = {false, true, false, true};

static struct init_facts facts_ready(void)
{
    return (struct init_facts){
        .dsn = "host=db dbname=shop sslmode=verify-full",
        .version = "18.1", .version_num = 180001, .database = "shop", .encoding = "UTF8",
        .wal_level = "logical", .slots_max = 10, .senders_max = 10, .slot_wal_keep_mb = 100,
        .role = "app", .replication = true, .may_create = true, .snapshot_function = true,
        .snapshot_granted = true,
    };
}

/* The text; it must load without a fault or warning. */
static struct buf write_it(const struct init_facts *facts, struct config **config)
{
    struct buf text = BUF_INIT, faults = BUF_INIT;
    struct err e = ERR_INIT;
    init_write(facts, &arena, &text);
    *config = config_parse(buf_str(&text), "t.yaml", &faults, &e);
    ck_assert_msg(*config != NULL, "%s", faults.p);
    ck_assert_msg(!faults.len, "%s", faults.p);
    buf_free(&faults);
    return text;
}

static void has(const struct buf *text, const char *part)
{
    ck_assert_msg(strstr(text->p, part), "\"%s\" is not in:\n%s", part, text->p);
}

static void lacks(const struct buf *text, const char *part)
{
    ck_assert_msg(!strstr(text->p, part), "\"%s\" is in:\n%s", part, text->p);
}

START_TEST(server_that_is_ready)
{
    struct init_facts facts = facts_ready();
    struct config *config;
    struct buf text = write_it(&facts, &config);
    ck_assert(str_starts(buf_str(&text), "# yaml-language-server: $schema="));
    lacks(&text, "todo");
    lacks(&text, "GRANT");
    has(&text, "Role: \"app\" has the rights");
    ck_assert_str_eq(config->name, "shop");
    ck_assert_str_eq(config->source.postgres, facts.dsn);
    ck_assert_str_eq(config->source.tables.items[0], "public.*");
    ck_assert_int_eq(config->target_count, 1);
    config_free(config);
    buf_free(&text);
}
END_TEST

START_TEST(server_that_lacks_everything)
{
    struct init_facts facts = facts_ready();
    struct config *config;
    facts.wal_level = "replica";
    facts.slots_used = 9;
    facts.senders_used = 10;
    facts.slot_wal_keep_mb = -1;
    facts.replication = facts.snapshot_granted = facts.may_create = false;
    facts.row_security = true;
    facts.had_password = true;
    facts.table_count = 4;
    facts.tables = tables;
    facts.readable = unreadable;
    struct buf text = write_it(&facts, &config);
    has(&text, "#       ALTER SYSTEM SET wal_level = logical;\n");
    has(&text, "#       ALTER SYSTEM SET max_replication_slots = 14;\n");
    has(&text, "#       ALTER SYSTEM SET max_wal_senders = 15;\n");
    has(&text, "max_slot_wal_keep_size is -1");
    has(&text, "#       ALTER ROLE \"app\" REPLICATION BYPASSRLS;\n");
    has(&text, "#       GRANT USAGE ON SCHEMA \"public\" TO \"app\";\n");
    has(&text, "#       GRANT SELECT ON \"public\".\"log\" TO \"app\";\n");
    has(&text, "#       GRANT SELECT ON \"sales\".\"x\n# name: evil\" TO \"app\";\n");
    lacks(&text, "SELECT ON \"we.ird$!\"");
    has(&text, "#       GRANT EXECUTE ON FUNCTION pg_catalog.pg_log_standby_snapshot() TO \"app\";\n");
    has(&text, "#       ALTER TABLE \"public\".\"log\" REPLICA IDENTITY FULL;\n");
    lacks(&text, "ALTER TABLE \"public\".\"orders\"");
    has(&text, "#       CREATE PUBLICATION tailrace_shop FOR TABLE ONLY \"public\".\"orders\", \"sales\".");
    has(&text, "#       CREATE PUBLICATION tailrace_shop_ins FOR TABLE ONLY \"public\".\"log\"\n"
               "#           WITH (publish = 'insert, truncate', ");
    has(&text, "!secret {file: source.dsn}");
    lacks(&text, "\nname: evil");
    ck_assert_int_eq(config->source.tables.count, 3);
    ck_assert(config_list_matches(&config->source.tables, tables[3].space, tables[3].name));
    ck_assert(!config_list_matches(&config->source.tables, STR("other"), STR("t")));
    config_free(config);
    buf_free(&text);
}
END_TEST

START_TEST(superuser_gets_a_role_of_its_own)
{
    struct init_facts facts = facts_ready();
    struct config *config;
    static const bool readable[] = {true, true, true, true};
    facts.superuser = true;
    facts.role = "postgres";
    facts.table_count = 2;
    facts.tables = tables;
    facts.readable = readable;
    struct buf text = write_it(&facts, &config);
    has(&text, "#       CREATE ROLE \"tailrace\" LOGIN REPLICATION PASSWORD '...';\n");
    has(&text, "#       GRANT CONNECT ON DATABASE \"shop\" TO \"tailrace\";\n");
    has(&text, "#       GRANT SELECT ON \"public\".\"log\", \"public\".\"orders\" TO \"tailrace\";\n");
    has(&text, "CREATE PUBLICATION");
    config_free(config);
    buf_free(&text);
}
END_TEST

static void dsn_row(const struct str *column)
{
    char dsn[256];
    bool had;
    snprintf(dsn, sizeof dsn, "%.*s", STR_ARG(column[0]));
    const char *shown = init_dsn_shown(&arena, dsn, &had);
    ck_assert_msg(str_eq(str_of(shown ? shown : "refused"), column[1]), "%s shows as %s", dsn,
                  shown ? shown : "refused");
    ck_assert_msg(had == str_is(column[2], "yes"), "%s", dsn);
}

START_TEST(passwords_are_left_out)
{
    ck_assert_int_ge(test_rows("tests/cases/dsn_shown.tsv", 4, dsn_row), 8);
}
END_TEST

START_TEST(names_are_made_legal)
{
    ck_assert_str_eq(init_name(&arena, "shop"), "shop");
    ck_assert_str_eq(init_name(&arena, "My Shop-2 "), "my_shop_2");
    ck_assert_str_eq(init_name(&arena, "2nd"), "nd");
    ck_assert_str_eq(init_name(&arena, "\xe2\x82\xac"), "tailrace");
    ck_assert_uint_eq(strlen(init_name(&arena, "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuv")),
                      40);
}
END_TEST

void add_init_tests(Suite *suite)
{
    TCase *tests = tcase_create("init");
    tcase_add_checked_fixture(tests, set_up, tear_down);
    tcase_add_test(tests, server_that_is_ready);
    tcase_add_test(tests, server_that_lacks_everything);
    tcase_add_test(tests, superuser_gets_a_role_of_its_own);
    tcase_add_test(tests, passwords_are_left_out);
    tcase_add_test(tests, names_are_made_legal);
    suite_add_tcase(suite, tests);
}
