/* SPDX-License-Identifier: Apache-2.0
 * schemas/types: each row of tests/cases/types.tsv is one value to Avro bytes and back. */
#include "tests/unit/schemas/support.h"

#include "schemas/plan.h"

/* The index among words of the one that follows key in mode; 0 when key is not there. */
static unsigned form(struct str mode, const char *key, const char *const *words)
{
    size_t len = strlen(key);
    for (size_t at = 0; at + len < mode.len; at++) {
        struct str rest = {mode.p + at, mode.len - at};
        if (!str_starts(rest, key))
            continue;
        const char *end = memchr(rest.p, ' ', rest.len);
        struct str word = {rest.p + len, (end ? (size_t) (end - rest.p) : rest.len) - len};
        for (unsigned index = 0; words[index]; index++)
            if (str_is(word, words[index]))
                return index;
        ck_abort_msg("no word of %s: %.*s", key, STR_ARG(word));
    }
    return 0;
}

/* "sane time=connect": the options by their words in options.def. */
static struct envelope_options options_of(struct str mode)
{
    static const char *const decimal[] = {"precise", "double", "string", NULL};
    static const char *const time[] = {"adaptive", "microseconds", "nanoseconds", "connect", "isostring", NULL};
    static const char *const interval[] = {"auto", "numeric", "string", "postgres", NULL};
    static const char *const binary[] = {"bytes", "base64", "base64-url-safe", "hex", NULL};
    static const char *const hstore[] = {"auto", "json", "map", "text", NULL};
    return (struct envelope_options){
        .strict = str_starts(mode, "strict"),
        .decimal = (enum decimal_mode) form(mode, "decimal=", decimal),
        .time = (enum time_mode) form(mode, "time=", time),
        .interval = (enum interval_mode) form(mode, "interval=", interval),
        .binary = (enum binary_mode) form(mode, "binary=", binary),
        .hstore = (enum hstore_mode) form(mode, "hstore=", hstore),
    };
}

/* kind[[]], typmod, mode, text, Avro hex or "special" or "inexact HEX", text that comes back */
static void check_row(const struct str *row, struct arena *a)
{
    struct str kind = row[0];
    bool array = kind.len > 2 && kind.p[kind.len - 1] == ']';
    if (array)
        kind.len -= 2;
    int64_t typmod;
    ck_assert(str_to_i64(row[1], &typmod));
    struct column column = column_of("c", type_kind_find(kind), array, (int32_t) typmod);
    struct envelope_options o = options_of(row[2]);
    struct codec codec = codec_choose(&column, &o);
    struct buf out = BUF_INIT, text = BUF_INIT;
    struct type_writer w = {.out = &out};
    struct type_reader r = {{0}, BUF_INIT, BUF_INIT, false};
    bool held = codec_write(&w, &codec, row[3]);
    struct str have = !held ? STR("special") : bytes_hex(a, buf_str(&out));
    if (held && w.inexact)
        have = arena_printf(a, "inexact %.*s", STR_ARG(have));
    ck_assert_msg(str_eq(have, row[4]), "%s %s %s %s: %.*s instead of %.*s", row[0].p, row[1].p, row[2].p,
                  row[3].p, STR_ARG(have), STR_ARG(row[4]));
    if (held) {
        r.in = cursor_of(buf_str(&out));
        ck_assert_msg(codec_read(&r, &codec, &text) && r.in.left == 0, "%s does not read back", row[3].p);
        ck_assert_msg(str_eq(buf_str(&text), row[5]), "%s comes back as \"%s\" instead of \"%s\"", row[3].p,
                      text.p, row[5].p);
    }
    buf_free(&out);
    buf_free(&text);
    type_writer_reset(&w, 0);
    buf_free(&r.element);
    buf_free(&r.digits);
}

START_TEST(types_by_the_table)
{
    struct lines lines = lines_open("types.tsv");
    struct arena a;
    arena_init(&a, 0, "test");
    struct str row[7];
    int count = 0;
    for (; lines_next(&lines, row, 7); count++) {
        for (int at = 0; at < 7; at++)
            row[at] = arena_str(&a, row[at]);
        ck_assert_msg(row[6].len > 0, "row %d has no source", count);
        check_row(row, &a);
    }
    ck_assert_int_gt(count, 100);
    lines_close(&lines);
    arena_free(&a);
}
END_TEST

TCase *case_types(void)
{
    TCase *t = tcase_create("types");
    tcase_add_test(t, types_by_the_table);
    return t;
}
