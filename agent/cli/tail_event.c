/* SPDX-License-Identifier: Apache-2.0
 *
 * Printers of `tailrace tail`: lines of text, lines of JSON, an Avro object container file.
 *
 * JSON and Avro show what would stand on the bus, made by the same envelope; only the registry is
 * one of this file, in memory, since a look at a database must leave nothing on disk. The header
 * of the container file is ours: the schema text goes into it unchanged, with all its properties.
 */
#include <stdlib.h>

#include "agent/cli/tail.h"
#include <config.h> /* not the one of this folder */

#define WIRE_HEAD 5           /* magic byte and schema id in front of each value */
#define SCHEMAS_MAX 10000
#define SYNC_LEN 16

/* ---- registry in memory: the id is the place in the list ---- */

struct memory_schema {
    struct str subject, text;
};

struct memory_registry {
    struct registry base;
    struct arena arena;
    struct memory_schema *schemas;
    int count;
};

static int memory_add(struct registry *r, struct str subject, struct str text, int *id,
                      struct err *e)
{
    struct memory_registry *m = (struct memory_registry *) r;
    for (int at = 0; at < m->count; at++) {
        if (str_eq(m->schemas[at].text, text)) {
            *id = at + 1;
            return 0;
        }
    }
    if (m->count == SCHEMAS_MAX)
        return err_set(e, E_SCHEMA, "more than %d schemas in one run", SCHEMAS_MAX);
    m->schemas[m->count] = (struct memory_schema){arena_str(&m->arena, subject),
                                                  arena_str(&m->arena, text)};
    *id = ++m->count;
    return 0;
}

static int memory_text(struct registry *r, int id, struct arena *a, struct str *text, struct err *e)
{
    struct memory_registry *m = (struct memory_registry *) r;
    if (id < 1 || id > m->count)
        return err_set(e, E_SCHEMA, "schema %d is unknown", id);
    *text = arena_str(a, m->schemas[id - 1].text);
    return 0;
}

static int memory_each(struct registry *r, void *self,
                       int (*visit)(void *self, struct str subject, int version, int id),
                       struct err *e)
{
    struct memory_registry *m = (struct memory_registry *) r;
    for (int at = 0; at < m->count; at++)
        if (visit(self, m->schemas[at].subject, 1, at + 1))
            return err_set(e, E_STOPPED, "visit of schemas was ended");
    return 0;
}

static void memory_close(struct registry *r)
{
    struct memory_registry *m = (struct memory_registry *) r;
    arena_free(&m->arena);
    free(m->schemas);
    free(m);
}

static struct registry *memory_open(void)
{
    static const struct registry_driver driver = {.add = memory_add, .text = memory_text,
                                                  .each = memory_each, .close = memory_close};
    struct memory_registry *m = mem_zalloc(1, sizeof *m);
    m->base.driver = &driver;
    m->schemas = mem_zalloc(SCHEMAS_MAX, sizeof *m->schemas);
    arena_init(&m->arena, 0, "schemas");
    return &m->base;
}

/* ---- printer ---- */

struct tail_printer {
    enum tail_format format;
    bool color;
    const struct clock *clock;
    struct buf *out;
    struct registry *registry;
    struct envelope_options options;
    struct envelope_writer *writer;
    struct envelope_reader *reader;
    struct arena arena;       /* schema of the container file */
    struct str schema;        /* what the header said; empty before it */
    uint8_t sync[SYNC_LEN];
};

struct tail_printer *tail_printer_open(enum tail_format format, bool color, struct str database,
                                       const struct clock *clock, struct buf *out)
{
    struct tail_printer *p = mem_zalloc(1, sizeof *p);
    *p = (struct tail_printer){.format = format, .color = color, .clock = clock, .out = out};
    arena_init(&p->arena, 0, "schemas");
    if (format == TAIL_TEXT)
        return p;
    p->options = (struct envelope_options){.prefix = STR("tailrace"), .database = database,
                                           .version = STR(PACKAGE_VERSION)};
    p->registry = memory_open();
    p->writer = envelope_writer_open(&p->options, p->registry);
    p->reader = envelope_reader_open(p->registry);
    return p;
}

void tail_printer_close(struct tail_printer *p)
{
    if (!p)
        return;
    if (p->format != TAIL_TEXT) {
        envelope_writer_close(p->writer);
        envelope_reader_close(p->reader);
        registry_close(p->registry);
    }
    arena_free(&p->arena);
    free(p);
}

/* An Avro long. */
static void add_long(struct buf *out, uint64_t value)
{
    uint64_t left = value << 1; /* zigzag of what is never negative */
    while (left >= 0x80) {
        buf_add_char(out, (char) (left | 0x80));
        left >>= 7;
    }
    buf_add_char(out, (char) left);
}

static void add_bytes(struct buf *out, struct str bytes)
{
    add_long(out, bytes.len);
    buf_add_str(out, bytes);
}

/* Avro specification, "Object Container Files". The marker need only be unlikely within data. */
static void add_header(struct tail_printer *p, struct str schema)
{
    uint64_t seed = (uint64_t) clock_wall_us(p->clock) ^ schema.len << 48;
    for (int at = 0; at < SYNC_LEN; at++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        p->sync[at] = (uint8_t) (seed >> 56);
    }
    p->schema = arena_str(&p->arena, schema);
    buf_add(p->out, "Obj\1", 4);
    add_long(p->out, 2);
    add_bytes(p->out, STR("avro.codec"));
    add_bytes(p->out, STR("null"));
    add_bytes(p->out, STR("avro.schema"));
    add_bytes(p->out, schema);
    add_long(p->out, 0);
    buf_add(p->out, p->sync, SYNC_LEN);
}

static int put_avro(struct tail_printer *p, struct str wire, struct err *e)
{
    struct arena scratch;
    struct str schema;
    int id = 0;
    for (int at = 1; at < WIRE_HEAD; at++)
        id = (int) ((unsigned) id << 8 | (uint8_t) wire.p[at]);
    arena_init(&scratch, 0, "schemas");
    int rc = registry_text(p->registry, id, &scratch, &schema, e);
    if (!rc && !p->schema.len)
        add_header(p, schema);
    else if (!rc && !str_eq(schema, p->schema))
        rc = err_set(e, E_SCHEMA, "the table's columns changed, and an Avro file holds one schema");
    arena_free(&scratch);
    if (rc)
        return -1;
    struct str value = {wire.p + WIRE_HEAD, wire.len - WIRE_HEAD};
    add_long(p->out, 1);
    add_bytes(p->out, value);
    buf_add(p->out, p->sync, SYNC_LEN);
    return 0;
}

static int put_event(void *self, const struct event *ev, struct err *e)
{
    struct tail_printer *p = self;
    if (ev->kind != EVENT_ROW || ev->tombstone)
        return 0;
    if (ev->value.len < WIRE_HEAD)
        return err_set(e, E_INTERNAL, "event of %zu bytes", ev->value.len);
    if (p->format == TAIL_AVRO)
        return put_avro(p, ev->value, e);
    if (envelope_json(p->reader, ev->value, p->out, e))
        return -1;
    buf_add_char(p->out, '\n');
    return 0;
}

int tail_print(struct tail_printer *p, const struct change *change, const struct txn *txn,
               struct err *e)
{
    struct event_out events = {.self = p, .put = put_event};
    if (p->format == TAIL_TEXT)
        tail_text_add(p->out, change, txn, p->color);
    else if (envelope_write(p->writer, change, txn, clock_wall_us(p->clock), &events, e))
        return -1;
    if (p->out->over)
        return err_set(e, E_VALUE, "a change takes more than %zu bytes as text", p->out->len);
    return 0;
}

int tail_print_end(struct tail_printer *p, const struct relation *rel, struct err *e)
{
    struct str key, value;
    if (p->format != TAIL_AVRO || p->schema.len)
        return 0;
    if (envelope_schema_texts(&p->options, rel, &p->arena, &key, &value, e))
        return -1;
    add_header(p, value);
    return 0;
}
