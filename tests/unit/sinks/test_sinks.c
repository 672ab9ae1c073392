/* SPDX-License-Identifier: Apache-2.0
 * sinks/postgres, its pure parts: SQL texts, runs, arrays, classes of SQLSTATEs. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "sinks/postgres/pipe.h"
#include "sinks/sink.h"

static struct arena arena;
static uint8_t mask[8];

/* ---- tables: a(id key, v, w int[]), b the same, n without a key ---- */

static struct pgs_table *table(char name)
{
    struct pgs_table *t = arena_zalloc(&arena, 1, sizeof *t);
    struct relation *rel = arena_zalloc(&arena, 1, sizeof *rel);
    struct column *cols = arena_zalloc(&arena, 3, sizeof *cols);
    static const char *const names[] = {"\"id\"", "\"v\"", "\"w\""}, *const types[] = {"integer", "text", "integer[]"};
    t->columns = arena_zalloc(&arena, 3, sizeof *t->columns);
    for (int at = 0; at < 3; at++)
        t->columns[at] = (struct pgs_column){.used = true, .equality = at != 2, .array_as_text = at == 2,
                                             .name = str_of(names[at]), .type = str_of(types[at]),
                                             .array = at ? STR("text[]") : STR("integer[]"),
                                             .equals = STR("OPERATOR(pg_catalog.=)")};
    bool key = name != 'n';
    cols[0].key_position = key;
    *rel = (struct relation){.column_count = 3, .key_count = key, .columns = cols};
    t->rel = rel;
    t->sql = arena_printf(&arena, "\"s\".\"%c\"", name);
    t->label = arena_printf(&arena, "s.%c", name);
    t->upsert = key;
    t->only = true;
    return t;
}

static void setup(void) { arena_init(&arena, 0, "test"); }
static void teardown(void) { arena_free(&arena); }

/* Call row for every line of a file of cases, with its columns; the last one is its source. */
static void each_case(const char *name, int columns, void (*row)(char **fields))
{
    char path[1024], line[4096];
    const char *root = getenv("TR_SRCDIR");
    int rows = 0;
    snprintf(path, sizeof path, "%s/tests/cases/%s", root ? root : ".", name);
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    while (fgets(line, sizeof line, file)) {
        char *fields[8], *save = NULL;
        int count = 0;
        line[strcspn(line, "\n")] = 0;
        if (*line == '#' || !*line)
            continue;
        for (char *at = strtok_r(line, "\t", &save); at && count < 8; at = strtok_r(NULL, "\t", &save))
            fields[count++] = at;
        ck_assert_msg(count == columns, "%s: %s has %d columns", name, fields[0], count);
        row(fields);
        rows++;
    }
    fclose(file);
    ck_assert_int_gt(rows, 5);
}

/* ---- SQL ---- */

/* kind, width, features of the table, mask, SQL, source */
static void sql_case(char **fields)
{
    static const struct { const char *word; enum pgs_kind kind; } kinds[] = {
        {"insert", PGS_INSERT}, {"update", PGS_UPDATE}, {"delete", PGS_DELETE},
        {"update_row", PGS_UPDATE_ROW}, {"delete_row", PGS_DELETE_ROW},
    };
    struct pgs_table *t = table(strstr(fields[0], "_row") ? 'n' : 'a');
    if (strstr(fields[2], "nokey"))
        t = table('n');
    if (strstr(fields[2], "parted"))
        t->only = false;
    if (strstr(fields[2], "always"))
        t->overriding = t->columns[0].always_identity = true;
    if (strstr(fields[2], "deferrable"))
        t->upsert = false;
    uint8_t columns[3];
    for (int at = 0; at < 3; at++)
        columns[at] = fields[3][at] == '1';
    for (size_t at = 0; at < sizeof kinds / sizeof *kinds; at++) {
        if (strcmp(kinds[at].word, fields[0]) != 0)
            continue;
        struct pgs_stmt *st = pgs_statement(t, &arena, kinds[at].kind, columns, !strcmp(fields[1], "many"));
        ck_assert_str_eq(st->sql.p, fields[4]);
        ck_assert_ptr_eq(st, pgs_statement(t, &arena, kinds[at].kind, columns, st->many)); /* made once */
        return;
    }
    ck_abort_msg("kind %s", fields[0]);
}

START_TEST(sql_texts) { each_case("sink_sql.tsv", 6, sql_case); }
END_TEST

/* ---- runs ---- */

static struct pgs_table *tables[3];

static struct change change_of(const char *text, struct pgs_table **t)
{
    char op, name[8], key[32];
    ck_assert_int_eq(sscanf(text, " %c %7s %31s", &op, name, key), 3);
    *t = tables[*name == 'a' ? 0 : *name == 'b' ? 1 : 2];
    const char *moved = strchr(key, '>');
    struct value *before = arena_zalloc(&arena, 3, sizeof *before), *after = arena_zalloc(&arena, 3, sizeof *after);
    struct str old = arena_str(&arena, (struct str){key, moved ? (size_t) (moved - key) : strlen(key)});
    struct str new = moved ? arena_str(&arena, str_of(moved + 1)) : old;
    before[0] = (struct value){VALUE_SET, old};
    after[0] = (struct value){VALUE_SET, new};
    after[1] = (struct value){VALUE_NULL, STR_NONE};
    after[2].state = strchr(name, '?') ? VALUE_UNCHANGED : VALUE_NULL;
    struct change c = {.op = (enum change_op) op, .rel = (*t)->rel, .old = OLD_KEY};
    c.before = op == 'd' || moved ? before : NULL;
    c.after = op == 'd' || op == 't' ? NULL : after;
    return c;
}

static void runs_case(char **fields)
{
    static struct pgs_run run;
    struct buf got = BUF_INIT;
    char *save = NULL;
    for (int at = 0; at < 3; at++)
        tables[at] = table("abn"[at]);
    pgs_run_clear(&run);
    for (char *text = strtok_r(fields[0], ";", &save); text; text = strtok_r(NULL, ";", &save)) {
        struct pgs_table *t;
        struct change *c = arena_zalloc(&arena, 1, sizeof *c);
        *c = change_of(text, &t);
        enum pgs_kind kind = pgs_classify(t, c, mask);
        if (pgs_run_take(&run, t, kind, mask, c))
            continue;
        buf_addf(&got, "%s%d", got.len ? "," : "", run.count);
        pgs_run_clear(&run);
        ck_assert(pgs_run_take(&run, t, kind, mask, c) == (kind != PGS_TRUNCATE));
    }
    buf_addf(&got, "%s%d", got.len ? "," : "", run.count);
    ck_assert_msg(!strcmp(got.p, fields[1]), "%s: got %s, want %s", fields[2], got.p, fields[1]);
    pgs_run_clear(&run);
    pgs_run_free(&run);
    buf_free(&got);
}

START_TEST(runs_split_where_they_must) { each_case("sink_runs.tsv", 3, runs_case); }
END_TEST

START_TEST(a_run_has_limits)
{
    static struct pgs_run run;
    struct pgs_table *t;
    tables[0] = table('a');
    int taken = 0;
    for (; taken < 5000; taken++) {
        struct change *c = arena_zalloc(&arena, 1, sizeof *c);
        *c = change_of(arena_printf(&arena, "c a %d", taken).p, &t);
        enum pgs_kind kind = pgs_classify(t, c, mask);
        if (!pgs_run_take(&run, t, kind, mask, c))
            break;
    }
    ck_assert_int_eq(taken, PGS_RUN_ROWS);
    pgs_run_clear(&run);
    pgs_run_free(&run);
}
END_TEST

/* ---- values ---- */

START_TEST(unchanged_values_come_from_a_full_old_row)
{
    struct pgs_table *t = table('a');
    struct value before[3] = {{VALUE_SET, STR("1")}, {VALUE_SET, STR("old")}, {VALUE_NULL, STR_NONE}};
    struct value after[3] = {{VALUE_SET, STR("1")}, {VALUE_UNCHANGED, STR_NONE}, {VALUE_SET, STR("{}")}};
    struct change c = {.op = OP_UPDATE, .rel = t->rel, .old = OLD_FULL, .before = before, .after = after};
    ck_assert(str_is(pgs_new_value(&c, 1).text, "old"));
    ck_assert(pgs_complete(t, &c) && !pgs_key_changes(t, &c));
    ck_assert_int_eq(pgs_classify(t, &c, mask), PGS_UPDATE);
    ck_assert(!mask[0] && mask[1] && mask[2]);
    before[1].state = VALUE_ABSENT;
    ck_assert(!pgs_complete(t, &c));
    ck_assert_int_eq(pgs_classify(t, &c, mask), PGS_UPDATE);
    ck_assert(!mask[1] && mask[2]);
    before[0].text = STR("2");
    ck_assert(pgs_key_changes(t, &c));
    (void) pgs_classify(t, &c, mask);
    ck_assert(mask[0]);
}
END_TEST

START_TEST(array_elements)
{
    static const struct { struct value v; const char *want; } rows[] = {
        {{VALUE_NULL, {NULL, 0}}, "NULL"},     {{VALUE_SET, {"", 0}}, "\"\""},
        {{VALUE_SET, {"NULL", 4}}, "\"NULL\""}, {{VALUE_SET, {"a\"b\\c", 5}}, "\"a\\\"b\\\\c\""},
        {{VALUE_SET, {"{,}", 3}}, "\"{,}\""},
    };
    for (size_t at = 0; at < sizeof rows / sizeof *rows; at++) {
        struct buf out = BUF_INIT;
        pgs_array_element(&out, &rows[at].v);
        buf_add_char(&out, 0);
        ck_assert_str_eq(out.p, rows[at].want);
        buf_free(&out);
    }
}
END_TEST

static void sqlstate_case(char **fields)
{
    ck_assert_msg(!strcmp(err_name(pipe_error_code(fields[0])), fields[1]), "%s: got %s, want %s", fields[0],
                  err_name(pipe_error_code(fields[0])), fields[1]);
}

START_TEST(sqlstates) { each_case("sink_sqlstate.tsv", 3, sqlstate_case); }
END_TEST

START_TEST(sinks_by_name)
{
    ck_assert_ptr_nonnull(sink_find("postgres"));
    ck_assert_ptr_null(sink_find("nothing"));
    ck_assert_ptr_null(sink_find(NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sinks");
    TCase *all = tcase_create("sinks");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_test(all, sql_texts);
    tcase_add_test(all, runs_split_where_they_must);
    tcase_add_test(all, a_run_has_limits);
    tcase_add_test(all, unchanged_values_come_from_a_full_old_row);
    tcase_add_test(all, array_elements);
    tcase_add_test(all, sqlstates);
    tcase_add_test(all, sinks_by_name);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
