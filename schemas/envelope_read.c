/* SPDX-License-Identifier: Apache-2.0
 *
 * Events to changes. A schema pair is parsed once into an entry: what each field of the envelope is,
 * and a codec for each column; an event is then one pass. Fields are found by name, so that the
 * orders of older Debezium versions read as well.
 */
#include <stdlib.h>

#include "schemas/schema_parse.h"

#define BUCKETS 256u
#define KEEP_BYTES ((size_t) 1 << 20) /* a buffer that grew larger for one value is given back */
#define JSON_SLOTS 64u

enum tag {
    TAG_SKIP, TAG_BEFORE, TAG_AFTER, TAG_SOURCE, TAG_MESSAGE, TAG_OP, TAG_TS_MS, TAG_TS_US,
    TAG_SCHEMA, TAG_TABLE, TAG_TXID, TAG_LSN, TAG_PREFIX, TAG_CONTENT,
};

static const struct {
    const char *name;
    enum tag tag;
} envelope_tags[] = {
    {"before", TAG_BEFORE}, {"after", TAG_AFTER}, {"source", TAG_SOURCE}, {"message", TAG_MESSAGE},
    {"op", TAG_OP}, {"ts_ms", TAG_TS_MS}, {"ts_us", TAG_TS_US},
}, inner_tags[] = {
    {"schema", TAG_SCHEMA}, {"table", TAG_TABLE}, {"txId", TAG_TXID}, {"lsn", TAG_LSN},
    {"prefix", TAG_PREFIX}, {"content", TAG_CONTENT},
};

struct field_reader {
    enum tag tag;
    int node;          /* union looked through */
    int null_branch;   /* as schema_optional */
    int whole;         /* node with its union */
    int kids, kid_count; /* of source and message: field readers */
};

struct entry {
    struct entry *next;
    int value_id, key_id;
    struct arena arena;
    struct avro_schema schema;
    struct field_reader *fields;
    int field_count;   /* of the envelope; those of source and message follow */
    int record;        /* node of the Value record; -1: a logical message, or a transaction's mark */
    bool ready;        /* rows is made */
    struct row_reader rows;
};

/* A schema that envelope_json used: keys have no entry, and parsing costs more than printing. */
struct json_slot {
    int id; /* 0 = free */
    struct avro_schema schema;
};

struct envelope_reader {
    struct registry *registry;
    struct entry *buckets[BUCKETS];
    struct json_slot json[JSON_SLOTS]; /* at id % JSON_SLOTS; a later one takes the place */
    struct type_reader types;
    struct buf text;
    uint32_t versions; /* handed out to relations */
};

struct envelope_reader *envelope_reader_open(struct registry *r)
{
    struct envelope_reader *rd = mem_zalloc(1, sizeof *rd);
    rd->registry = r;
    return rd;
}

static void entry_free(struct entry *en)
{
    schema_free(&en->schema);
    arena_free(&en->arena);
    free(en);
}

void envelope_reader_close(struct envelope_reader *rd)
{
    if (!rd)
        return;
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
        struct entry *en = rd->buckets[bucket];
        while (en) {
            struct entry *next = en->next;
            entry_free(en);
            en = next;
        }
    }
    for (unsigned slot = 0; slot < JSON_SLOTS; slot++)
        if (rd->json[slot].id)
            schema_free(&rd->json[slot].schema);
    buf_free(&rd->text);
    buf_free(&rd->types.element);
    buf_free(&rd->types.digits);
    free(rd);
}

/* ---- entries ---- */

static int load_schema(struct envelope_reader *rd, int id, struct avro_schema *s, struct err *e)
{
    struct arena scratch;
    struct str text;
    arena_init(&scratch, 0, "schema");
    int result = registry_text(rd->registry, id, &scratch, &text, e);
    if (!result && schema_parse(text, s, e))
        result = err_prefix(e, "schema %d", id);
    arena_free(&scratch);
    return result;
}

static enum tag tag_of(struct str name, bool inner)
{
    size_t count = inner ? sizeof inner_tags / sizeof *inner_tags
                         : sizeof envelope_tags / sizeof *envelope_tags;
    for (size_t at = 0; at < count; at++)
        if (str_is(name, inner ? inner_tags[at].name : envelope_tags[at].name))
            return inner ? inner_tags[at].tag : envelope_tags[at].tag;
    return TAG_SKIP;
}

static void tag_fields(const struct avro_schema *s, int record, struct field_reader *out, bool inner)
{
    const struct avro_node *n = &s->nodes[record];
    for (int at = 0; at < n->kid_count; at++) {
        out[at].tag = tag_of(schema_text(schema_field_json(n, at), "name"), inner);
        out[at].whole = schema_kid(s, n, at);
        out[at].null_branch = schema_optional(s, out[at].whole, &out[at].node);
        if (out[at].null_branch < -1)
            out[at].tag = TAG_SKIP;
    }
}

/* Types that the tags' readers rely on. */
static bool fits(const struct avro_schema *s, const struct field_reader *f)
{
    enum avro_type type = s->nodes[f->node].type;
    switch (f->tag) {
    case TAG_SKIP: return true;
    case TAG_BEFORE: case TAG_AFTER: case TAG_SOURCE: case TAG_MESSAGE: return type == AVRO_T_RECORD;
    case TAG_OP: case TAG_SCHEMA: case TAG_TABLE: case TAG_PREFIX: return type == AVRO_T_STRING;
    case TAG_TS_MS: case TAG_TS_US: case TAG_TXID: case TAG_LSN: return type == AVRO_T_LONG;
    case TAG_CONTENT: return type == AVRO_T_BYTES || type == AVRO_T_STRING;
    }
    return false;
}

static int entry_fields(struct entry *en, struct err *e)
{
    const struct avro_schema *s = &en->schema;
    const struct avro_node *root = &s->nodes[0];
    int room = root->kid_count, after = -1;
    for (int at = 0; root->type == AVRO_T_RECORD && at < root->kid_count; at++) {
        int node;
        (void) schema_optional(s, schema_kid(s, root, at), &node);
        room += s->nodes[node].type == AVRO_T_RECORD ? s->nodes[node].kid_count : 0;
    }
    en->fields = arena_zalloc(&en->arena, (size_t) room + 1, sizeof *en->fields);
    en->field_count = root->type == AVRO_T_RECORD ? root->kid_count : 0;
    if (en->field_count)
        tag_fields(s, 0, en->fields, false);
    int used = en->field_count;
    en->record = -1;
    for (int at = 0; at < en->field_count; at++) {
        struct field_reader *f = &en->fields[at];
        if (f->tag == TAG_BEFORE)
            en->record = f->node;
        if (f->tag == TAG_AFTER)
            after = f->node;
        if ((f->tag != TAG_SOURCE && f->tag != TAG_MESSAGE) || !fits(s, f))
            continue;
        f->kids = used;
        f->kid_count = s->nodes[f->node].kid_count;
        tag_fields(s, f->node, en->fields + used, true);
        used += f->kid_count;
    }
    for (int at = 0; at < used; at++)
        if (!fits(s, &en->fields[at]))
            return err_set(e, E_AVRO, "schema %d is no envelope", en->value_id);
    return en->field_count == 0 || after != en->record
        ? err_set(e, E_AVRO, "schema %d is no envelope", en->value_id) : 0;
}

static int entry_make(struct envelope_reader *rd, int value_id, int key_id, struct entry **out,
                      struct err *e)
{
    struct entry *en = mem_zalloc(1, sizeof *en);
    arena_init(&en->arena, 0, "schema");
    en->value_id = value_id;
    en->key_id = key_id;
    if (load_schema(rd, value_id, &en->schema, e) || entry_fields(en, e)) {
        entry_free(en);
        return -1;
    }
    struct entry **bucket = &rd->buckets[(unsigned) value_id % BUCKETS];
    en->next = *bucket;
    *bucket = en;
    *out = en;
    return 0;
}

/* In sane the value's schema tells all, so any key fits it; without a key (a truncate) any entry of
 * the value's schema does. */
static int entry_find(struct envelope_reader *rd, int value_id, int key_id, struct entry **out,
                      struct err *e)
{
    for (struct entry *en = rd->buckets[(unsigned) value_id % BUCKETS]; en; en = en->next)
        if (en->value_id == value_id
            && (en->key_id == key_id || key_id == 0 || en->record < 0 || (en->ready && en->rows.described))) {
            *out = en;
            return 0;
        }
    return entry_make(rd, value_id, key_id, out, e);
}

/* ---- one event ---- */

struct reading {
    struct envelope_reader *rd;
    struct entry *en;
    struct arena *a;
    struct change *out;
    struct str space, name; /* source.schema, source.table */
};

static const char stand_in[] = ""; /* text of a value that a header must tell */

/* Through an optional field's union: true when there is a value. */
static bool present(struct cursor *in, const struct field_reader *f)
{
    return f->null_branch < 0 || avro_get_index(in, 2) != f->null_branch;
}

static bool read_column(struct reading *r, int at, struct value *value)
{
    struct envelope_reader *rd = r->rd;
    const struct column_reader *c = &r->en->rows.columns[at];
    if (c->null_branch >= 0 && avro_get_index(&rd->types.in, 2) == c->null_branch) {
        value->state = VALUE_NULL;
        return !rd->types.in.failed;
    }
    buf_reset(&rd->text);
    rd->types.stand_in = false;
    if (rd->types.in.failed || !codec_read(&rd->types, &c->codec, &rd->text) || rd->text.over)
        return false;
    value->state = VALUE_SET;
    value->text = rd->types.stand_in ? (struct str){stand_in, 0} : arena_str(r->a, buf_str(&rd->text));
    return true;
}

static bool read_row(struct reading *r, const struct field_reader *f, const struct value **row)
{
    *row = NULL;
    if (!r->en->ready)
        return schema_walk(&r->en->schema, f->whole, &r->rd->types.in, NULL);
    if (!present(&r->rd->types.in, f) || r->rd->types.in.failed)
        return !r->rd->types.in.failed;
    int count = r->en->rows.rel->column_count;
    struct value *values = arena_zalloc(r->a, (size_t) count + 1, sizeof *values);
    for (int at = 0; at < count; at++)
        if (!read_column(r, at, &values[at]))
            return false;
    *row = values;
    return true;
}

/* A field of source or message. */
static bool read_inner(struct reading *r, const struct field_reader *f)
{
    struct cursor *in = &r->rd->types.in;
    if (f->tag == TAG_SKIP)
        return schema_walk(&r->en->schema, f->whole, in, NULL);
    if (!present(in, f))
        return !in->failed;
    switch (f->tag) {
    case TAG_SCHEMA: r->space = avro_get_bytes(in); break;
    case TAG_TABLE: r->name = avro_get_bytes(in); break;
    case TAG_LSN: r->out->lsn = (uint64_t) avro_get_long(in); break;
    case TAG_TXID: r->out->transactional = true; (void) avro_get_long(in); break;
    case TAG_PREFIX: r->out->prefix = arena_str(r->a, avro_get_bytes(in)); break;
    case TAG_CONTENT: r->out->content = arena_str(r->a, avro_get_bytes(in)); break;
    case TAG_SKIP: case TAG_BEFORE: case TAG_AFTER: case TAG_SOURCE: case TAG_MESSAGE: case TAG_OP:
    case TAG_TS_MS: case TAG_TS_US: return false;
    }
    return !in->failed;
}

static bool read_struct(struct reading *r, const struct field_reader *f)
{
    if (!present(&r->rd->types.in, f))
        return !r->rd->types.in.failed;
    for (int at = 0; at < f->kid_count; at++)
        if (!read_inner(r, &r->en->fields[f->kids + at]))
            return false;
    return true;
}

static bool read_op(struct reading *r, const struct field_reader *f)
{
    struct cursor *in = &r->rd->types.in;
    struct str op = present(in, f) ? avro_get_bytes(in) : STR_NONE;
    if (in->failed || op.len != 1 || !memchr("rcudtm", op.p[0], 6))
        return false;
    r->out->op = (enum change_op) op.p[0];
    return true;
}

static bool read_envelope_field(struct reading *r, const struct field_reader *f)
{
    struct cursor *in = &r->rd->types.in;
    switch (f->tag) {
    case TAG_BEFORE: return read_row(r, f, &r->out->before);
    case TAG_AFTER: return read_row(r, f, &r->out->after);
    case TAG_SOURCE: case TAG_MESSAGE: return read_struct(r, f);
    case TAG_OP: return read_op(r, f);
    case TAG_TS_MS:
        if (present(in, f) && !r->out->seen_us)
            r->out->seen_us = (int64_t) ((uint64_t) avro_get_long(in) * 1000);
        return !in->failed;
    case TAG_TS_US:
        if (present(in, f))
            r->out->seen_us = avro_get_long(in);
        return !in->failed;
    case TAG_SKIP: case TAG_SCHEMA: case TAG_TABLE: case TAG_TXID: case TAG_LSN: case TAG_PREFIX:
    case TAG_CONTENT: break;
    }
    return schema_walk(&r->en->schema, f->whole, in, NULL);
}

static int read_body(struct reading *r, struct cursor in, struct err *e)
{
    r->rd->types.in = in;
    for (int at = 0; at < r->en->field_count; at++)
        if (!read_envelope_field(r, &r->en->fields[at]) || r->rd->types.in.failed)
            return err_set(e, E_AVRO, "value does not fit schema %d", r->en->value_id);
    if (r->rd->types.in.left)
        return err_set(e, E_AVRO, "%zu bytes are left behind a value of schema %d", r->rd->types.in.left,
                       r->en->value_id);
    return 0;
}

/* The relation, at an entry's first event: names that only the event tells come from a first pass. */
static int entry_ready(struct reading *r, struct cursor in, struct err *e)
{
    struct entry *en = r->en;
    struct avro_schema key = {0};
    struct change nothing = {0}, *out = r->out;
    if (en->ready || en->record < 0)
        return 0;
    r->out = &nothing;
    int result = read_body(r, in, e);
    r->out = out;
    if (result || (en->key_id && load_schema(r->rd, en->key_id, &key, e)))
        return -1;
    struct relation_parts parts = {&en->schema, en->record, en->key_id ? &key : NULL, r->space, r->name};
    result = schema_relation(&parts, &en->arena, &en->rows, e);
    schema_free(&key);
    if (result)
        return -1;
    struct relation *rel = arena_alloc(&en->arena, sizeof *rel);
    *rel = *en->rows.rel;
    rel->version = ++r->rd->versions;
    en->rows.rel = rel;
    en->ready = true;
    return 0;
}

/* ---- headers ---- */

static int bad_header(struct err *e, const char *name)
{
    return err_set(e, E_AVRO, "header %s does not fit its event", name);
}

static struct value *column_value(const struct relation *rel, const struct value *row, struct str name)
{
    int at = row ? relation_find(rel, name) : -1;
    return at < 0 ? NULL : (struct value *) (uintptr_t) &row[at];
}

static struct str json_str(const json_t *value)
{
    return (struct str){json_string_value(value), json_string_length(value)};
}

/* Give the columns of a JSON array of names this state. */
static bool set_states(const struct relation *rel, const json_t *names, const struct value *row,
                       enum value_state state)
{
    for (size_t at = 0; at < json_array_size(names); at++) {
        struct value *value = column_value(rel, row, json_str(json_array_get(names, at)));
        if (!value)
            return false;
        *value = (struct value){state, STR_NONE};
    }
    return true;
}

static bool set_specials(struct reading *r, json_t *texts, const struct value *row)
{
    const char *name;
    json_t *text;
    json_object_foreach(texts, name, text) {
        struct value *value = column_value(r->en->rows.rel, row, str_of(name));
        if (!value || !(json_is_string(text) || json_is_null(text)))
            return false;
        *value = json_is_null(text) ? (struct value){VALUE_NULL, STR_NONE}
                                    : (struct value){VALUE_SET, arena_str(r->a, json_str(text))};
    }
    return true;
}

static bool set_old_key(struct reading *r, json_t *key)
{
    const struct row_reader *rows = &r->en->rows;
    struct value *row = arena_zalloc(r->a, (size_t) rows->rel->column_count + 1, sizeof *row);
    for (int at = 0; at < rows->rel->column_count; at++) {
        const json_t *part = json_object_get(key, rows->fields[at].p);
        if (!part)
            continue;
        row[at].state = json_is_null(part) ? VALUE_NULL : VALUE_SET;
        if (json_is_null(part))
            continue;
        if (json_is_string(part))
            row[at].text = arena_str(r->a, json_str(part));
        else if (json_is_integer(part))
            row[at].text = arena_printf(r->a, "%lld", (long long) json_integer_value(part));
        else if (json_is_boolean(part))
            row[at].text = json_is_true(part) ? STR("t") : STR("f");
        else
            return false;
    }
    r->out->op = OP_UPDATE;
    r->out->old = OLD_KEY;
    r->out->before = row;
    return json_object_size(key) > 0;
}

static bool set_absent(struct reading *r, struct str text, json_t *lists)
{
    const struct relation *rel = r->en->rows.rel;
    if (str_is(text, "key")) {
        for (int at = 0; r->out->before && at < rel->column_count; at++)
            if (!rel->columns[at].identity)
                *column_value(rel, r->out->before, rel->columns[at].name)
                    = (struct value){VALUE_ABSENT, STR_NONE};
    } else if (!set_states(rel, json_object_get(lists, "before"), r->out->before, VALUE_ABSENT)
               || !set_states(rel, json_object_get(lists, "after"), r->out->after, VALUE_ABSENT)) {
        return false;
    }
    if (r->out->before)
        r->out->old = OLD_KEY;
    return true;
}

static bool apply_header(struct reading *r, struct str name, struct str text, json_t *json)
{
    struct change *out = r->out;
    if (str_is(name, HEADER_UNCHANGED))
        return json_is_array(json) && set_states(r->en->rows.rel, json, out->after, VALUE_UNCHANGED);
    if (str_is(name, HEADER_SPECIAL))
        return json_is_object(json) && set_specials(r, json_object_get(json, "before"), out->before)
            && set_specials(r, json_object_get(json, "after"), out->after);
    if (str_is(name, HEADER_ABSENT))
        return set_absent(r, text, json);
    if (str_is(name, HEADER_OLDKEY))
        return json_is_object(json) && set_old_key(r, json);
    if (str_is(name, HEADER_NEWKEY)) {
        out->op = OP_NONE;
        return true;
    }
    out->truncate_cascade = str_starts(text, "cascade");
    out->truncate_restart = str_is(text, "restart") || str_is(text, "cascade,restart");
    return true;
}

static int apply_headers(struct reading *r, struct str headers, struct err *e)
{
    static const char *const ours[] = {HEADER_UNCHANGED, HEADER_SPECIAL, HEADER_ABSENT, HEADER_OLDKEY,
                                       HEADER_NEWKEY, HEADER_TRUNCATE};
    struct str name, text;
    size_t at = 0;
    while (headers_next(headers, &at, &name, &text)) {
        for (size_t one = 0; one < sizeof ours / sizeof *ours; one++) {
            if (!str_is(name, ours[one]))
                continue;
            json_t *json = json_loadb(text.p ? text.p : "", text.len, 0, NULL);
            bool good = apply_header(r, name, text, json);
            json_decref(json);
            if (!good)
                return bad_header(e, ours[one]);
        }
    }
    return at < headers.len ? bad_header(e, "list") : 0;
}

/* An empty stand-in that no header filled in would be read as a value that nobody wrote. */
static int check_stand_ins(const struct reading *r, const struct value *row, struct err *e)
{
    for (int at = 0; row && at < r->en->rows.rel->column_count; at++)
        if (row[at].state == VALUE_SET && row[at].text.p == stand_in)
            return err_set(e, E_AVRO, "column %.*s of %.*s has no value and no header that tells it",
                           STR_ARG(r->en->rows.rel->columns[at].name), STR_ARG(r->en->rows.rel->name));
    return 0;
}

static int check_rows(const struct change *out, int value_id, struct err *e)
{
    bool after = out->op == OP_READ || out->op == OP_CREATE || out->op == OP_UPDATE;
    if ((after && !out->after) || (out->op == OP_DELETE && !out->before)
        || ((out->op == OP_MESSAGE || out->op == OP_NONE) != (out->rel == NULL)))
        return err_set(e, E_AVRO, "operation and rows of schema %d do not fit", value_id);
    return 0;
}

static int read_event(struct reading *r, const struct event *ev, struct cursor in, struct err *e)
{
    struct change *out = r->out;
    if (entry_ready(r, in, e) || read_body(r, in, e))
        return -1;
    out->rel = r->en->record < 0 ? NULL : r->en->rows.rel;
    out->old = out->before ? OLD_FULL : OLD_NONE;
    if (check_rows(out, r->en->value_id, e))
        return -1;
    if (!out->rel)
        return 0;
    if (apply_headers(r, ev->headers, e) || check_stand_ins(r, out->before, e))
        return -1;
    return check_stand_ins(r, out->after, e);
}

static void give_back(struct envelope_reader *rd)
{
    struct buf *all[] = {&rd->text, &rd->types.element, &rd->types.digits};
    for (size_t at = 0; at < sizeof all / sizeof *all; at++)
        if (all[at]->room > KEEP_BYTES)
            buf_free(all[at]);
}

int envelope_read(struct envelope_reader *rd, const struct event *ev, struct arena *a, struct change *out,
                  struct err *e)
{
    *out = (struct change){.op = OP_NONE};
    if (ev->tombstone)
        return 0;
    struct cursor in = cursor_of(ev->value), key = cursor_of(ev->key);
    struct reading r = {.rd = rd, .a = a, .out = out};
    int value_id = avro_get_wire(&in), key_id = ev->key.len ? avro_get_wire(&key) : 0;
    if (in.failed || key.failed)
        return err_set(e, E_AVRO, "event of %.*s has no schema id in front", STR_ARG(ev->topic));
    int result = entry_find(rd, value_id, key_id, &r.en, e) || read_event(&r, ev, in, e) ? -1 : 0;
    give_back(rd);
    return result ? err_prefix(e, "%.*s", STR_ARG(ev->topic)) : 0;
}

int envelope_json(struct envelope_reader *rd, struct str wire, struct buf *out, struct err *e)
{
    struct cursor in = cursor_of(wire);
    int id = avro_get_wire(&in);
    if (in.failed)
        return err_set(e, E_AVRO, "no schema id in front");
    struct json_slot *slot = &rd->json[(unsigned) id % JSON_SLOTS];
    if (slot->id != id) {
        struct avro_schema schema;
        if (load_schema(rd, id, &schema, e))
            return -1;
        if (slot->id)
            schema_free(&slot->schema);
        *slot = (struct json_slot){id, schema};
    }
    bool good = schema_walk(&slot->schema, 0, &in, out) && in.left == 0;
    return good ? 0 : err_set(e, E_AVRO, "value does not fit schema %d", id);
}
