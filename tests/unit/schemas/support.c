/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/schemas/support.h"

static int fake_add(struct registry *r, struct str subject, struct str text, int *id, struct err *e)
{
    struct fake_registry *f = (struct fake_registry *) r;
    for (int at = 0; at < f->count; at++)
        if (str_eq(f->texts[at], text)) {
            *id = at + 1;
            return 0;
        }
    if (f->count == TEXTS_MAX)
        return err_set(e, E_SCHEMA, "the test's registry is full");
    f->subjects[f->count] = arena_str(&f->arena, subject);
    f->texts[f->count++] = arena_str(&f->arena, text);
    *id = f->count;
    return 0;
}

static int fake_text(struct registry *r, int id, struct arena *a, struct str *text, struct err *e)
{
    struct fake_registry *f = (struct fake_registry *) r;
    if (id < 1 || id > f->count)
        return err_set(e, E_SCHEMA, "no schema %d", id);
    *text = arena_str(a, f->texts[id - 1]);
    return 0;
}

static const struct registry_driver fake_driver = {.add = fake_add, .text = fake_text};

void fake_open(struct fake_registry *f)
{
    f->registry.driver = &fake_driver;
    f->count = 0;
    arena_init(&f->arena, 0, "test");
}

void fake_close(struct fake_registry *f)
{
    arena_free(&f->arena);
}

static int list_put(void *self, const struct event *ev, struct err *e)
{
    struct sink_list *l = self;
    if (l->count == EVENTS_MAX)
        return err_set(e, E_VALUE, "the test's list is full");
    struct event *to = &l->events[l->count++];
    *to = *ev;
    to->topic = arena_str(l->arena, ev->topic);
    to->key = arena_str(l->arena, ev->key);
    to->value = arena_str(l->arena, ev->value);
    to->headers = arena_str(l->arena, ev->headers);
    return 0;
}

struct event_out list_out(struct sink_list *l)
{
    return (struct event_out){l, list_put};
}

struct str hex_bytes(struct arena *a, struct str hex)
{
    char *out = arena_alloc(a, hex.len / 2 + 1);
    for (size_t at = 0; at + 1 < hex.len; at += 2) {
        char two[3] = {hex.p[at], hex.p[at + 1], 0};
        out[at / 2] = (char) strtol(two, NULL, 16);
    }
    return (struct str){out, hex.len / 2};
}

struct str bytes_hex(struct arena *a, struct str bytes)
{
    char *out = arena_alloc(a, 2 * bytes.len + 1);
    out[0] = 0;
    for (size_t at = 0; at < bytes.len; at++)
        snprintf(out + 2 * at, 3, "%02x", (uint8_t) bytes.p[at]);
    return (struct str){out, 2 * bytes.len};
}

struct lines lines_open(const char *name)
{
    char path[1024];
    const char *root = getenv("TR_SRCDIR");
    snprintf(path, sizeof path, "%s/tests/cases/%s", root ? root : ".", name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "cannot open %s", path);
    struct buf text = BUF_INIT;
    char *at;
    size_t got;
    do {
        at = buf_grow(&text, 65536);
        got = fread(at, 1, 65536, file);
        text.len += got;
    } while (got > 0);
    fclose(file);
    buf_add_char(&text, '\n');
    return (struct lines){text.p, text.p};
}

bool lines_next(struct lines *l, struct str *fields, int count)
{
    for (char *end; (end = strchr(l->next, '\n')) != NULL; l->next = end + 1) {
        *end = 0;
        char *at = l->next;
        if (*at == 0 || *at == '#')
            continue;
        for (int field = 0; field < count; field++) {
            char *tab = strchr(at, '\t');
            size_t len = tab ? (size_t) (tab - at) : strlen(at);
            fields[field] = (struct str){at, len};
            at += len + (tab != NULL);
        }
        l->next = end + 1;
        return true;
    }
    return false;
}

void lines_close(struct lines *l)
{
    free(l->text);
}

/* In the order of enum type_kind: names, SQL names, OIDs of type and array. */
static const struct {
    const char *name, *sql;
    uint32_t oid, array_oid;
} facts[] = {
    [TYPE_OTHER] = {"inet", "inet", 869, 1041},
    [TYPE_BOOL] = {"bool", "boolean", 16, 1000},
    [TYPE_INT2] = {"int2", "smallint", 21, 1005},
    [TYPE_INT4] = {"int4", "integer", 23, 1007},
    [TYPE_INT8] = {"int8", "bigint", 20, 1016},
    [TYPE_OID] = {"oid", "oid", 26, 1028},
    [TYPE_FLOAT4] = {"float4", "real", 700, 1021},
    [TYPE_FLOAT8] = {"float8", "double precision", 701, 1022},
    [TYPE_NUMERIC] = {"numeric", "numeric", 1700, 1231},
    [TYPE_TEXT] = {"text", "text", 25, 1009},
    [TYPE_BYTEA] = {"bytea", "bytea", 17, 1001},
    [TYPE_UUID] = {"uuid", "uuid", 2950, 2951},
    [TYPE_JSON] = {"jsonb", "jsonb", 3802, 3807},
    [TYPE_ENUM] = {"mood", "public.mood", 16400, 16399},
    [TYPE_DATE] = {"date", "date", 1082, 1182},
    [TYPE_TIME] = {"time", "time without time zone", 1083, 1183},
    [TYPE_TIMETZ] = {"timetz", "time with time zone", 1266, 1270},
    [TYPE_TIMESTAMP] = {"timestamp", "timestamp without time zone", 1114, 1115},
    [TYPE_TIMESTAMPTZ] = {"timestamptz", "timestamp with time zone", 1184, 1185},
    [TYPE_INTERVAL] = {"interval", "interval", 1186, 1187},
    [TYPE_BIT] = {"bit", "bit(1)", 1560, 1561},
    [TYPE_VARBIT] = {"varbit", "bit varying", 1562, 1563},
    [TYPE_MONEY] = {"money", "money", 790, 791},
    [TYPE_XML] = {"xml", "xml", 142, 143},
    [TYPE_TSVECTOR] = {"tsvector", "tsvector", 3614, 3643},
    [TYPE_LTREE] = {"ltree", "public.ltree", 16401, 16402},
    [TYPE_HSTORE] = {"hstore", "public.hstore", 16403, 16404},
    [TYPE_POINT] = {"point", "point", 600, 1017},
    [TYPE_GEOMETRY] = {"geometry", "public.geometry", 16405, 16406},
    [TYPE_GEOGRAPHY] = {"geography", "public.geography", 16407, 16408},
    [TYPE_VECTOR] = {"vector", "public.vector", 16409, 16410},
    [TYPE_HALFVEC] = {"halfvec", "public.halfvec", 16411, 16412},
    [TYPE_SPARSEVEC] = {"sparsevec", "public.sparsevec", 16413, 16414},
};

struct column column_of(const char *name, enum type_kind kind, bool array, int32_t typmod)
{
    struct column c = {.name = str_of(name), .kind = kind, .array = array, .typmod = typmod};
    c.type_oid = array ? facts[kind].array_oid : facts[kind].oid;
    c.type_name = str_of(facts[kind].name);
    c.type_sql = str_of(facts[kind].sql);
    if (kind == TYPE_ENUM)
        c.enum_labels = STR("[\"sad\", \"ok, then\", \"happy\"]");
    return c;
}

void rows_equal(const struct relation *rel, const struct value *have, const struct value *want)
{
    ck_assert_msg((have == NULL) == (want == NULL), "one row is there, the other is not");
    for (int at = 0; want && at < rel->column_count; at++) {
        struct str name = rel->columns[at].name;
        ck_assert_msg(have[at].state == want[at].state, "%.*s: state %u instead of %u", STR_ARG(name),
                      have[at].state, want[at].state);
        ck_assert_msg(want[at].state != VALUE_SET || str_eq(have[at].text, want[at].text),
                      "%.*s: \"%.*s\" instead of \"%.*s\"", STR_ARG(name), STR_ARG(have[at].text),
                      STR_ARG(want[at].text));
    }
}

bool str_holds(struct str s, const char *part)
{
    size_t len = strlen(part);
    for (size_t at = 0; at + len <= s.len; at++)
        if (memcmp(s.p + at, part, len) == 0)
            return true;
    return false;
}
