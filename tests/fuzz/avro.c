/* SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer target: the Avro reader. First byte even: headers (length in two bytes) and value of an event whose schemas are
 * ours, read as a change and as JSON; half of it chooses among three: values in their usual forms, in the forms that options give,
 * and, in strict, those of PostGIS and pgvector. Odd: a schema (length in two bytes) and a body, read as JSON.
 *
 * What must hold for any bytes: no crash, no read past the end (each part is read from an allocation of its own length),
 * errors are E_AVRO or E_SCHEMA, and memory stays within the caps that the reader was given.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/cursor.h"
#include "schemas/avro.h"
#include "schemas/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define TEXTS_MAX 8

struct memory {
    struct registry registry;
    struct arena arena;
    struct str texts[TEXTS_MAX];
    int count;
};

static int memory_add(struct registry *r, struct str subject, struct str text, int *id, struct err *e)
{
    struct memory *m = (struct memory *) r;
    (void) subject;
    if (m->count == TEXTS_MAX)
        return err_set(e, E_SCHEMA, "full");
    m->texts[m->count] = arena_str(&m->arena, text);
    *id = ++m->count;
    return 0;
}

static int memory_text(struct registry *r, int id, struct arena *a, struct str *text, struct err *e)
{
    struct memory *m = (struct memory *) r;
    if (id < 1 || id > m->count)
        return err_set(e, E_SCHEMA, "schema %d is unknown", id);
    *text = arena_str(a, m->texts[id - 1]);
    return 0;
}

static const struct registry_driver driver = {.add = memory_add, .text = memory_text};

/* ---- events of ours ---- */

static struct memory ours = {.registry = {&driver}};
#define EVENTS 3
static struct event events[EVENTS];

static int keep_event(void *self, const struct event *ev, struct err *e)
{
    struct event *event = self;
    (void) e;
    *event = *ev;
    event->topic = arena_str(&ours.arena, ev->topic);
    event->key = arena_str(&ours.arena, ev->key);
    event->value = arena_str(&ours.arena, ev->value);
    event->headers = arena_str(&ours.arena, ev->headers);
    return 0;
}

#define COLUMN(text, of, is_array) {.name = {text, sizeof text - 1}, .kind = (of), .array = (is_array), .typmod = -1}
static struct column columns[] = {
    COLUMN("id", TYPE_INT8, false), COLUMN("t", TYPE_TEXT, false), COLUMN("n", TYPE_NUMERIC, false),
    COLUMN("a", TYPE_INT4, true), COLUMN("j", TYPE_JSON, false), COLUMN("z", TYPE_TIMESTAMPTZ, false),
    COLUMN("f", TYPE_FLOAT8, false), COLUMN("d", TYPE_DATE, false), COLUMN("b", TYPE_BOOL, false),
    COLUMN("y", TYPE_BYTEA, false), COLUMN("u", TYPE_UUID, false), COLUMN("v", TYPE_INTERVAL, false),
    COLUMN("ta", TYPE_TEXT, true), COLUMN("o", TYPE_OTHER, false),
};
#define COLUMNS ((int) (sizeof columns / sizeof *columns))
static const struct value row[COLUMNS] = {
    {VALUE_SET, {"7", 1}}, {VALUE_SET, {"text", 4}}, {VALUE_SET, {"123456789012345678901.50", 24}},
    {VALUE_SET, {"{1,NULL,3}", 10}}, {VALUE_UNCHANGED, {NULL, 0}}, {VALUE_SET, {"2026-01-01 00:00:00+00", 22}},
    {VALUE_SET, {"NaN", 3}}, {VALUE_SET, {"infinity", 8}}, {VALUE_SET, {"t", 1}}, {VALUE_SET, {"\\x00ff", 6}},
    {VALUE_SET, {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", 36}}, {VALUE_SET, {"1 mon", 5}},
    {VALUE_SET, {"{\"a b\",NULL}", 12}}, {VALUE_NULL, {NULL, 0}},
};

static struct column form_columns[] = {
    COLUMN("id", TYPE_INT8, false), COLUMN("h", TYPE_HSTORE, false), COLUMN("y", TYPE_BYTEA, false),
    COLUMN("v", TYPE_INTERVAL, false), COLUMN("d", TYPE_DATE, false), COLUMN("t", TYPE_TIME, false),
    COLUMN("s", TYPE_TIMESTAMP, false), COLUMN("ha", TYPE_HSTORE, true), COLUMN("ya", TYPE_BYTEA, true),
};
#define FORM_COLUMNS ((int) (sizeof form_columns / sizeof *form_columns))
static const struct value form_row[FORM_COLUMNS] = {
    {VALUE_SET, {"7", 1}}, {VALUE_SET, {"\"a\"=>\"1\", \"b\"=>NULL", 19}}, {VALUE_SET, {"\\x00ff", 6}},
    {VALUE_SET, {"1 mon -00:00:01.5", 17}}, {VALUE_SET, {"infinity", 8}}, {VALUE_SET, {"24:00:00", 8}},
    {VALUE_SET, {"0001-01-01 00:00:00 BC", 22}}, {VALUE_SET, {"{\"\\\"a\\\"=>\\\"1\\\"\",NULL}", 21}},
    {VALUE_SET, {"{\"\\\\x00\",NULL}", 14}},
};

static struct column extension_columns[] = {
    COLUMN("id", TYPE_INT8, false), COLUMN("g", TYPE_GEOMETRY, false), COLUMN("y", TYPE_GEOGRAPHY, false),
    COLUMN("ga", TYPE_GEOMETRY, true), COLUMN("v", TYPE_VECTOR, false), COLUMN("h", TYPE_HALFVEC, false),
    COLUMN("s", TYPE_SPARSEVEC, false), COLUMN("va", TYPE_VECTOR, true), COLUMN("sa", TYPE_SPARSEVEC, true),
};
#define EXTENSION_COLUMNS ((int) (sizeof extension_columns / sizeof *extension_columns))
static const struct value extension_row[EXTENSION_COLUMNS] = {
    {VALUE_SET, {"7", 1}}, {VALUE_SET, {"0101000020E6100000000000000000F03F0000000000000040", 50}},
    {VALUE_SET, {"010700000000000000", 18}}, {VALUE_SET, {"{010700000000000000:NULL}", 25}}, {VALUE_SET, {"[1,-2.5,1e-07]", 14}},
    {VALUE_SET, {"[0.5]", 5}}, {VALUE_SET, {"{1:1,17:-2,33:0.1}/40", 21}}, {VALUE_SET, {"{\"[1,2]\",[3]}", 13}},
    {VALUE_SET, {"{\"{1:1}/2\"}", 11}},
};

static void write_seed(const char *path, uint8_t mode, const struct event *ev)
{
    FILE *out = fopen(path, "wb");
    const uint8_t head[3] = {mode, (uint8_t) (ev->headers.len >> 8), (uint8_t) ev->headers.len};
    if (!out || fwrite(head, 1, sizeof head, out) != sizeof head ||
        fwrite(ev->headers.p, 1, ev->headers.len, out) != ev->headers.len ||
        fwrite(ev->value.p, 1, ev->value.len, out) != ev->value.len || fclose(out))
        abort();
}

static void write_event(const struct envelope_options *o, const struct relation *rel, const struct value *values,
                        struct event *event)
{
    struct err e = ERR_INIT;
    const struct txn txn = {.xid = 5, .commit_lsn = 9, .commit_us = 1700000000000000};
    const struct change change = {.op = OP_UPDATE, .rel = rel, .old = OLD_FULL, .before = values, .after = values};
    const struct event_out out = {event, keep_event};
    struct envelope_writer *w = envelope_writer_open(o, &ours.registry);
    if (envelope_write(w, &change, &txn, 1, &out, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        abort();
    }
    envelope_writer_close(w);
}

/* Write the events, and with TR_FUZZ_SEED also the seeds that hold them. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void) argc;
    (void) argv;
    struct envelope_options o = {.prefix = STR("p"), .database = STR("db"), .version = STR("1")};
    struct relation rel = {.oid = 1, .version = 1, .space = STR("s"), .name = STR("t"), .identity = 'd',
                           .column_count = COLUMNS, .key_count = 1, .columns = columns};
    const char *seed = getenv("TR_FUZZ_SEED");
    columns[0].key_position = form_columns[0].key_position = extension_columns[0].key_position = 1;
    arena_init(&ours.arena, 0, "fuzz");
    write_event(&o, &rel, row, &events[0]);
    rel.oid = 2;
    rel.name = STR("f");
    rel.columns = form_columns;
    rel.column_count = FORM_COLUMNS;
    o.time = TIMES_ISOSTRING;
    o.interval = INTERVAL_STRING;
    o.binary = BINARY_BASE64;
    o.hstore = HSTORE_MAP;
    write_event(&o, &rel, form_row, &events[1]);
    rel.oid = 3;
    rel.name = STR("e");
    rel.columns = extension_columns;
    rel.column_count = EXTENSION_COLUMNS;
    o.strict = true;
    write_event(&o, &rel, extension_row, &events[2]);
    for (uint8_t at = 0; seed && at < EVENTS; at++) {
        char path[512];
        snprintf(path, sizeof path, "%s%u", seed, at);
        write_seed(path, (uint8_t) (2 * at), &events[at]);
    }
    return 0;
}

/* ---- one input ---- */

static void check(int rc, const struct err *e)
{
    if (rc && ((e->code != E_AVRO && e->code != E_SCHEMA) || !e->msg[0])) {
        fprintf(stderr, "code %d: %s\n", (int) e->code, e->msg);
        abort();
    }
}

static char *copy_of(struct str bytes)
{
    char *copy = mem_alloc(bytes.len ? bytes.len : 1);
    if (bytes.len)
        memcpy(copy, bytes.p, bytes.len);
    return copy;
}

static void read_json(struct envelope_reader *reader, struct str wire)
{
    struct err e = ERR_INIT;
    struct buf json = {.max = 1 << 20};
    check(envelope_json(reader, wire, &json, &e), &e);
    buf_free(&json);
}

static void read_event(const struct event *of, struct str headers, struct str value)
{
    struct envelope_reader *reader = envelope_reader_open(&ours.registry);
    struct arena scratch;
    struct change change;
    struct err e = ERR_INIT;
    struct event ev = *of;
    char *h = copy_of(headers), *v = copy_of(value);
    arena_init(&scratch, (size_t) 64 << 20, "fuzz");
    ev.headers = (struct str){h, headers.len};
    ev.value = (struct str){v, value.len};
    check(envelope_read(reader, &ev, &scratch, &change, &e), &e);
    read_json(reader, ev.value);
    arena_free(&scratch);
    free(h);
    free(v);
    envelope_reader_close(reader);
}

static void read_foreign(struct str schema, struct str body)
{
    struct memory m = {.registry = {&driver}};
    struct err e = ERR_INIT;
    struct buf wire = BUF_INIT;
    int id = 0;
    arena_init(&m.arena, 0, "fuzz");
    check(registry_add(&m.registry, STR("s"), schema, &id, &e), &e);
    struct envelope_reader *reader = envelope_reader_open(&m.registry);
    avro_put_wire(&wire, id);
    buf_add_str(&wire, body);
    char *copy = copy_of(buf_str(&wire));
    read_json(reader, (struct str){copy, wire.len});
    free(copy);
    buf_free(&wire);
    envelope_reader_close(reader);
    arena_free(&m.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor c = cursor_of((struct str){(const char *) data, size});
    uint8_t mode = cursor_u8(&c);
    size_t len = cursor_u16(&c);
    if (c.failed)
        return 0;
    struct str head = cursor_bytes(&c, len < c.left ? len : c.left);
    struct str rest = {(const char *) c.p, c.left};
    if (mode % 2)
        read_foreign(head, rest);
    else
        read_event(&events[mode / 2 % EVENTS], head, rest);
    return 0;
}
