/* SPDX-License-Identifier: Apache-2.0
 * schemas: random relations and rows. avro-c parses the registered text, reads our bytes with it and
 * writes them again: the same bytes. Our reader gives the relation and the row back. */
#include <avro.h>
#include <stdlib.h>

#include "tests/unit/schemas/support.h"

#define COLUMNS_MAX 30

struct rng {
    uint64_t state;
};

static uint64_t rng_next(struct rng *r)
{
    r->state ^= r->state << 13;
    r->state ^= r->state >> 7;
    r->state ^= r->state << 17;
    return r->state * UINT64_C(0x2545F4914F6CDD1D);
}

static unsigned rng_below(struct rng *r, unsigned limit)
{
    return (unsigned) (rng_next(r) >> 33) % limit;
}

#define PICK(r, list) (list)[rng_below((r), sizeof(list) / sizeof *(list))]

/* ---- values: edge cases and random ones, as PostgreSQL prints them ---- */

static struct str digits_text(struct rng *r, struct arena *a, unsigned most)
{
    unsigned len = 1 + rng_below(r, most);
    char *out = arena_alloc(a, len);
    for (unsigned at = 0; at < len; at++)
        out[at] = (char) ('0' + rng_below(r, 10));
    if (out[0] == '0' && len > 1)
        out[0] = '7';
    return (struct str){out, len};
}

static struct str numeric_text(struct rng *r, struct arena *a, const struct column *c)
{
    const char *sign = rng_below(r, 2) ? "-" : "";
    struct str whole = digits_text(r, a, c->typmod >= 0 ? 8 : 60), fraction = digits_text(r, a, 40);
    if (rng_below(r, 20) == 0)
        return STR("NaN");
    if (c->typmod >= 0)
        return arena_printf(a, "%s%.*s.%02u", sign, STR_ARG(whole), rng_below(r, 99) + 1);
    if (rng_below(r, 20) == 0)
        return STR("-Infinity");
    if (rng_below(r, 3) == 0)
        return whole;
    return arena_printf(a, "%s%.*s.%.*s7", sign, STR_ARG(whole), STR_ARG(fraction));
}

static struct str time_text(struct rng *r, struct arena *a, int32_t typmod)
{
    struct str clock = arena_printf(a, "%02u:%02u:%02u", rng_below(r, 24), rng_below(r, 60), rng_below(r, 60));
    unsigned digits = rng_below(r, (typmod < 0 ? 6u : (unsigned) typmod) + 1);
    if (!digits)
        return clock;
    char fraction[8] = "";
    for (unsigned at = 0; at < digits; at++)
        fraction[at] = (char) ('1' + rng_below(r, 9));
    return arena_printf(a, "%.*s.%s", STR_ARG(clock), fraction);
}

static struct str date_text(struct rng *r, struct arena *a, unsigned last_year)
{
    return arena_printf(a, "%04u-%02u-%02u", 1 + rng_below(r, last_year), 1 + rng_below(r, 12), 1 + rng_below(r, 28));
}

static struct str moment_text(struct rng *r, struct arena *a, const struct column *c)
{
    const char *zone = c->kind == TYPE_TIMESTAMPTZ ? "+00" : "", *era = rng_below(r, 10) ? "" : " BC";
    if (rng_below(r, 12) == 0)
        return rng_below(r, 2) ? STR("infinity") : STR("-infinity");
    if (c->kind == TYPE_DATE)
        return arena_printf(a, "%s%s", date_text(r, a, *era ? 4700 : 5874897).p, era);
    unsigned last = *era ? 4700 : rng_below(r, 4) ? 9999 : 294276;
    return arena_printf(a, "%s %s%s%s", date_text(r, a, last).p, time_text(r, a, c->typmod).p, zone, era);
}

static struct str plain_text(struct rng *r, struct arena *a)
{
    static const char *const texts[] = {"", "a", "NULL", "null", "it's", "a\"b", "back\\slash", "{x}", "a,b", " ",
                                        "h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "tab\tline\nend", "\x01"};
    unsigned which = rng_below(r, 16);
    return which < 13 ? str_of(texts[which]) : arena_printf(a, "%0*d", (int) rng_below(r, 3000), 7);
}

static struct str float_text(struct rng *r, struct arena *a, bool single)
{
    static const char *const texts[] = {"0", "-0", "1", "NaN", "Infinity", "-Infinity", "0.1", "1e+20", "1.5e-07"};
    unsigned which = rng_below(r, 14);
    if (which < 9)
        return str_of(texts[which]);
    return arena_printf(a, "%u.%u", 1 + rng_below(r, single ? 9 : 99999), 1 + rng_below(r, 9) + rng_below(r, 999) * 10);
}

static struct str hex_text(struct rng *r, struct arena *a)
{
    unsigned len = 2 * rng_below(r, 40);
    char *out = arena_alloc(a, len + 2);
    memcpy(out, "\\x", 2);
    for (unsigned at = 0; at < len; at++)
        out[2 + at] = "0123456789abcdef"[rng_below(r, 16)];
    return (struct str){out, len + 2};
}

static struct str integer_text(struct rng *r, struct arena *a, enum type_kind kind)
{
    uint64_t bits = rng_next(r) >> rng_below(r, 64);
    long long value = kind == TYPE_INT2 ? (int16_t) bits : kind == TYPE_INT4 ? (int32_t) bits
        : kind == TYPE_OID ? (long long) (uint32_t) bits : (long long) bits;
    return arena_printf(a, "%lld", value);
}

static const char *const intervals[] = {
    "1 year -2 mons +3 days -04:05:06.5", "1 mon", "00:00:00", "-1 days +100:00:00.000001", "10 years 2 mons", "infinity",
};

static struct str scalar_text(struct rng *r, struct arena *a, const struct column *c)
{
    switch (c->kind) {
    case TYPE_BOOL: return rng_below(r, 2) ? STR("t") : STR("f");
    case TYPE_INT2: case TYPE_INT4: case TYPE_INT8: case TYPE_OID: return integer_text(r, a, c->kind);
    case TYPE_FLOAT4: return float_text(r, a, true);
    case TYPE_FLOAT8: return float_text(r, a, false);
    case TYPE_NUMERIC: return numeric_text(r, a, c);
    case TYPE_BYTEA: return hex_text(r, a);
    case TYPE_UUID:
        return arena_printf(a, "%08x-0000-4000-8000-%012x", rng_below(r, 1u << 30), rng_below(r, 1u << 30));
    case TYPE_ENUM: return rng_below(r, 2) ? STR("sad") : STR("ok, then");
    case TYPE_TIME: return rng_below(r, 9) ? time_text(r, a, c->typmod) : STR("24:00:00");
    case TYPE_DATE: case TYPE_TIMESTAMP: case TYPE_TIMESTAMPTZ: return moment_text(r, a, c);
    case TYPE_TIMETZ: return arena_printf(a, "%s+05:30", time_text(r, a, -1).p);
    case TYPE_INTERVAL: return str_of(PICK(r, intervals));
    case TYPE_BIT: return rng_below(r, 2) ? STR("1") : STR("0");
    case TYPE_VARBIT: return rng_below(r, 2) ? STR("0010110") : STR("");
    case TYPE_MONEY: return rng_below(r, 2) ? STR("-$12,345.60") : STR("$0.00");
    case TYPE_POINT: return rng_below(r, 2) ? STR("(1.5,-2e-07)") : STR("(NaN,Infinity)");
    case TYPE_HSTORE: return rng_below(r, 2) ? STR("\"a\"=>\"1\", \"b \\\"q\"=>NULL") : STR("");
    case TYPE_GEOMETRY: case TYPE_GEOGRAPHY: return rng_below(r, 2) ? STR("0101000020E6100000000000000000F03F0000000000000040") : STR("00000000010000000000000000");
    case TYPE_VECTOR: case TYPE_HALFVEC: return rng_below(r, 2) ? STR("[0.099975586,-1e-07,65504]") : STR("[0]");
    case TYPE_SPARSEVEC: return rng_below(r, 2) ? STR("{1:1.5,17:-2,33:0.1}/40") : STR("{}/40000");
    case TYPE_OTHER: case TYPE_TEXT: case TYPE_JSON: case TYPE_XML: case TYPE_TSVECTOR: case TYPE_LTREE: return plain_text(r, a);
    }
    return STR_NONE;
}

/* All items quoted is no form of array_out, so quote as it does: only where needed. */
static void add_item(struct buf *out, struct str item)
{
    bool quote = item.len == 0 || (item.len == 4 && (str_is(item, "NULL") || str_is(item, "null")));
    for (size_t at = 0; at < item.len; at++)
        quote |= strchr("\"\\{}, \t\n\r\v\f", item.p[at]) != NULL;
    if (quote)
        buf_add_char(out, '"');
    for (size_t at = 0; at < item.len; at++) {
        if (item.p[at] == '"' || item.p[at] == '\\')
            buf_add_char(out, '\\');
        buf_add_char(out, item.p[at]);
    }
    if (quote)
        buf_add_char(out, '"');
}

static struct str array_text(struct rng *r, struct arena *a, const struct column *c)
{
    struct buf out = BUF_INIT;
    if (rng_below(r, 15) == 0)
        return STR("{{1},{2}}");
    buf_add_char(&out, '{');
    for (unsigned left = rng_below(r, 5); left > 0; left--) {
        if (rng_below(r, 5))
            add_item(&out, scalar_text(r, a, c));
        else
            buf_add_text(&out, "NULL");
        if (left > 1)
            buf_add_char(&out, ',');
    }
    buf_add_char(&out, '}');
    struct str text = arena_str(a, buf_str(&out));
    buf_free(&out);
    return text;
}

/* ---- relations ---- */

static int32_t random_typmod(struct rng *r, enum type_kind kind)
{
    if (rng_below(r, 2))
        return -1;
    if (kind == TYPE_NUMERIC)
        return (10 << 16 | 2) + 4;
    return kind == TYPE_TIME || kind == TYPE_TIMESTAMP || kind == TYPE_TIMESTAMPTZ ? (int32_t) rng_below(r, 7) : -1;
}

static struct relation random_relation(struct rng *r, struct arena *a, uint32_t oid)
{
    struct relation rel = {.oid = oid, .version = 1, .space = STR("public"), .identity = "dfni"[rng_below(r, 4)]};
    struct column *columns = arena_zalloc(a, COLUMNS_MAX, sizeof *columns);
    rel.name = arena_printf(a, "t%u", oid);
    rel.column_count = 1 + (int) rng_below(r, COLUMNS_MAX);
    for (int at = 0; at < rel.column_count; at++) {
        enum type_kind kind = (enum type_kind) rng_below(r, TYPE_SPARSEVEC + 1);
        struct str name = arena_printf(a, "c %d", at);
        columns[at] = column_of(name.p, kind, rng_below(r, 4) == 0, random_typmod(r, kind));
        columns[at].not_null = rng_below(r, 3) == 0;
        columns[at].identity = rng_below(r, 3) == 0;
        columns[at].generated = rng_below(r, 9) == 0;
        if (rng_below(r, 5) == 0)
            columns[at].default_sql = STR("'a\\b\"c'::text");
        if (rng_below(r, 6) == 0)
            columns[at].key_position = ++rel.key_count;
    }
    rel.columns = columns;
    return rel;
}

static const struct value *random_row(struct rng *r, struct arena *a, const struct relation *rel, bool after)
{
    struct value *row = arena_zalloc(a, COLUMNS_MAX, sizeof *row);
    for (int at = 0; at < rel->column_count; at++) {
        const struct column *c = &rel->columns[at];
        unsigned which = rng_below(r, 10);
        row[at].state = which < 7 ? VALUE_SET : which < 8 ? VALUE_NULL : after ? VALUE_UNCHANGED : VALUE_ABSENT;
        if (row[at].state == VALUE_SET)
            row[at].text = c->array ? array_text(r, a, c) : scalar_text(r, a, c);
    }
    return row;
}

/* ---- the oracle ---- */

static void same_by_avro_c(struct str schema_text, struct str body)
{
    avro_schema_t schema;
    avro_value_t value;
    ck_assert_msg(avro_schema_from_json_length(schema_text.p, schema_text.len, &schema) == 0, "%s\n%.*s",
                  avro_strerror(), STR_ARG(schema_text));
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    ck_assert_int_eq(avro_generic_value_new(iface, &value), 0);
    avro_reader_t reader = avro_reader_memory(body.p, (int64_t) body.len);
    ck_assert_msg(avro_value_read(reader, &value) == 0, "avro-c: %s", avro_strerror());
    char *out = malloc(body.len + 1);
    avro_writer_t writer = avro_writer_memory(out, (int64_t) body.len + 1);
    ck_assert_int_eq(avro_value_write(writer, &value), 0);
    ck_assert_int_eq(avro_writer_tell(writer), (int64_t) body.len);
    ck_assert_mem_eq(out, body.p, body.len);
    avro_writer_free(writer);
    avro_reader_free(reader);
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    free(out);
}

struct property {
    struct arena arena;
    struct fake_registry registry;
    struct envelope_writer *writer;
    struct envelope_reader *reader;
    struct sink_list list;
    bool compare; /* in strict only what fits is compared */
};

/* The options of run number form. */
static void property_open(struct property *p, bool strict, int form)
{
    struct envelope_options o = {.prefix = STR("p"), .database = STR("db"), .version = STR("1"), .strict = strict,
                                 .decimal = (enum decimal_mode) (form % 3), .time = (enum time_mode) (form % 5),
                                 .interval = (enum interval_mode) (form % 4), .binary = (enum binary_mode) (form % 4),
                                 .hstore = (enum hstore_mode) (form / 2 % 4)};
    *p = (struct property){.compare = !strict};
    arena_init(&p->arena, 0, "test");
    fake_open(&p->registry);
    p->writer = envelope_writer_open(&o, &p->registry.registry);
    p->reader = envelope_reader_open(&p->registry.registry);
    p->list.arena = &p->arena;
}

static void property_close(struct property *p)
{
    envelope_writer_close(p->writer);
    envelope_reader_close(p->reader);
    fake_close(&p->registry);
    arena_free(&p->arena);
}

static struct str text_of_id(const struct property *p, struct str wire)
{
    return p->registry.texts[(uint8_t) wire.p[3] * 256 + (uint8_t) wire.p[4] - 1];
}

static void check_change(struct property *p, const struct change *change)
{
    struct err err = ERR_INIT;
    struct txn txn = {.xid = 5, .commit_lsn = 9, .commit_us = 1700000000000000, .origin = STR("o"), .origin_lsn = 3};
    struct event_out out = list_out(&p->list);
    struct change back;
    p->list.count = 0;
    ck_assert_msg(envelope_write(p->writer, change, &txn, 1, &out, &err) == 0, "%s", err.msg);
    for (int at = 0; at < p->list.count; at++) {
        const struct event *ev = &p->list.events[at];
        same_by_avro_c(text_of_id(p, ev->value), (struct str){ev->value.p + 5, ev->value.len - 5});
        if (ev->key.len)
            same_by_avro_c(text_of_id(p, ev->key), (struct str){ev->key.p + 5, ev->key.len - 5});
        struct buf json = BUF_INIT;
        ck_assert_msg(envelope_json(p->reader, ev->value, &json, &err) == 0, "%s", err.msg);
        buf_free(&json);
        ck_assert_msg(envelope_read(p->reader, ev, &p->arena, &back, &err) == 0, "%s", err.msg);
    }
    if (!p->compare || p->list.count != 1)
        return;
    ck_assert(relation_equal(back.rel, change->rel));
    ck_assert_int_eq(back.op, change->op);
    ck_assert_int_eq(back.old, change->old);
    rows_equal(change->rel, back.before, change->before);
    rows_equal(change->rel, back.after, change->after);
}

static void run(uint64_t seed, bool strict, int form)
{
    struct rng r = {seed};
    struct property p;
    property_open(&p, strict, form);
    for (uint32_t table = 1; table <= 25; table++) {
        struct relation rel = random_relation(&r, &p.arena, table);
        for (int row = 0; row < 12; row++) {
            struct change insert = {.op = OP_CREATE, .rel = &rel, .after = random_row(&r, &p.arena, &rel, true), .lsn = 1};
            struct change delete = {.op = OP_DELETE, .rel = &rel, .old = OLD_KEY, .lsn = 2,
                                    .before = random_row(&r, &p.arena, &rel, false)};
            check_change(&p, &insert);
            check_change(&p, &delete);
        }
    }
    property_close(&p);
}

START_TEST(sane_is_lossless) { run(0x1234567 + (uint64_t) _i, false, _i); }
END_TEST

START_TEST(strict_is_well_formed) { run(0x7654321 + (uint64_t) _i, true, _i); }
END_TEST

TCase *case_property(void)
{
    TCase *t = tcase_create("property");
    tcase_add_loop_test(t, sane_is_lossless, 0, 12);
    tcase_add_loop_test(t, strict_is_well_formed, 0, 10);
    tcase_set_timeout(t, 30);
    return t;
}
