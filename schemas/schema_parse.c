/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON to nodes. The nodes are their own work list: a node's kids are appended behind it and
 * parsed when their turn comes, so that no depth of nesting costs stack. Names are looked up at the end,
 * when all definitions are known.
 */
#include "schemas/schema_parse.h"

#define NODES_MAX 100000
#define TEXT_MAX ((size_t) 16 << 20)

static const struct {
    const char *name;
    enum avro_type type;
} type_names[] = {
    {"null", AVRO_T_NULL}, {"boolean", AVRO_T_BOOLEAN}, {"int", AVRO_T_INT}, {"long", AVRO_T_LONG},
    {"float", AVRO_T_FLOAT}, {"double", AVRO_T_DOUBLE}, {"string", AVRO_T_STRING},
    {"bytes", AVRO_T_BYTES}, {"record", AVRO_T_RECORD}, {"enum", AVRO_T_ENUM},
    {"fixed", AVRO_T_FIXED}, {"array", AVRO_T_ARRAY}, {"map", AVRO_T_MAP},
};

static enum avro_type type_find(struct str name)
{
    for (size_t at = 0; at < sizeof type_names / sizeof *type_names; at++)
        if (str_is(name, type_names[at].name))
            return type_names[at].type;
    return AVRO_T_NAME;
}

struct str schema_text(const json_t *json, const char *name)
{
    const json_t *value = json_object_get(json, name);
    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)}
                                 : STR_NONE;
}

static int add_node(struct avro_schema *s, const json_t *json, struct str space)
{
    if (s->node_count == s->node_room) {
        int room = s->node_room ? s->node_room * 2 : 64;
        struct avro_node *nodes = arena_zalloc(&s->arena, (size_t) room, sizeof *nodes);
        if (s->node_count)
            memcpy(nodes, s->nodes, (size_t) s->node_count * sizeof *nodes);
        s->nodes = nodes;
        s->node_room = room;
    }
    s->nodes[s->node_count] = (struct avro_node){.json = json, .space = space};
    return s->node_count++;
}

static void add_kid(struct avro_schema *s, const json_t *json, struct str space)
{
    int node = add_node(s, json, space);
    if (s->kid_count == s->kid_room) {
        int room = s->kid_room ? s->kid_room * 2 : 64;
        int *kids = arena_zalloc(&s->arena, (size_t) room, sizeof *kids);
        if (s->kid_count)
            memcpy(kids, s->kids, (size_t) s->kid_count * sizeof *kids);
        s->kids = kids;
        s->kid_room = room;
    }
    s->kids[s->kid_count++] = node;
}

/* The full name by Avro's rules, and the namespace it gives to what is inside. */
static void set_name(struct avro_schema *s, struct avro_node *n)
{
    struct str name = schema_text(n->json, "name");
    const json_t *own = json_object_get(n->json, "namespace");
    size_t dot = name.len;
    while (dot > 0 && name.p[dot - 1] != '.')
        dot--;
    if (dot > 0) {
        n->name = name;
        n->space = (struct str){name.p, dot - 1};
        return;
    }
    if (own)
        n->space = schema_text(n->json, "namespace");
    n->name = n->space.len ? arena_printf(&s->arena, "%.*s.%.*s", STR_ARG(n->space), STR_ARG(name)) : name;
}

static int parse_record(struct avro_schema *s, int at, struct err *e)
{
    const json_t *fields = json_object_get(s->nodes[at].json, "fields");
    if (!json_is_array(fields))
        return err_set(e, E_AVRO, "record without fields in a schema");
    struct str space = s->nodes[at].space;
    for (size_t field = 0; field < json_array_size(fields); field++) {
        const json_t *type = json_object_get(json_array_get(fields, field), "type");
        if (!type || !schema_text(json_array_get(fields, field), "name").len)
            return err_set(e, E_AVRO, "field without name or type in a schema");
        add_kid(s, type, space);
    }
    return 0;
}

static int parse_object(struct avro_schema *s, int at, struct err *e)
{
    const json_t *json = s->nodes[at].json;
    struct str type = schema_text(json, "type");
    s->nodes[at].type = type_find(type);
    switch (s->nodes[at].type) {
    case AVRO_T_RECORD:
        set_name(s, &s->nodes[at]);
        return parse_record(s, at, e);
    case AVRO_T_ARRAY: case AVRO_T_MAP: {
        const json_t *items = json_object_get(json, s->nodes[at].type == AVRO_T_MAP ? "values" : "items");
        if (!items)
            return err_set(e, E_AVRO, "array or map without its item type in a schema");
        add_kid(s, items, s->nodes[at].space);
        return 0;
    }
    case AVRO_T_ENUM:
        set_name(s, &s->nodes[at]);
        s->nodes[at].size = (int64_t) json_array_size(json_object_get(json, "symbols"));
        return 0;
    case AVRO_T_FIXED:
        set_name(s, &s->nodes[at]);
        s->nodes[at].size = json_integer_value(json_object_get(json, "size"));
        return s->nodes[at].size < 0 ? err_set(e, E_AVRO, "fixed of a negative size in a schema") : 0;
    case AVRO_T_NAME:
        s->nodes[at].name = type;
        return type.len ? 0 : err_set(e, E_AVRO, "schema without a type");
    case AVRO_T_NULL: case AVRO_T_BOOLEAN: case AVRO_T_INT: case AVRO_T_LONG: case AVRO_T_FLOAT:
    case AVRO_T_DOUBLE: case AVRO_T_STRING: case AVRO_T_BYTES: case AVRO_T_UNION:
        return 0;
    }
    return 0;
}

static int parse_node(struct avro_schema *s, int at, struct err *e)
{
    const json_t *json = s->nodes[at].json;
    int kids = s->kid_count, result = 0;
    if (json_is_string(json)) {
        s->nodes[at].name = (struct str){json_string_value(json), json_string_length(json)};
        s->nodes[at].type = type_find(s->nodes[at].name);
    } else if (json_is_array(json)) {
        s->nodes[at].type = AVRO_T_UNION;
        struct str space = s->nodes[at].space;
        for (size_t branch = 0; branch < json_array_size(json); branch++)
            add_kid(s, json_array_get(json, branch), space);
    } else if (json_is_object(json)) {
        result = parse_object(s, at, e);
    } else {
        result = err_set(e, E_AVRO, "schema is no text, list or object");
    }
    s->nodes[at].kids = kids;
    s->nodes[at].kid_count = s->kid_count - kids;
    if (!result && s->node_count > NODES_MAX)
        result = err_set(e, E_AVRO, "schema has more than %d types", NODES_MAX);
    return result;
}

/* The definition a name stands for, in its namespace first. -1 when there is none. */
static int find_name(const struct avro_schema *s, const struct avro_node *n)
{
    bool dotted = memchr(n->name.p, '.', n->name.len) != NULL;
    for (int at = 0; at < s->node_count; at++) {
        const struct avro_node *one = &s->nodes[at];
        if (one->type < AVRO_T_RECORD || one->type > AVRO_T_FIXED)
            continue;
        if (str_eq(one->name, n->name))
            return at;
        if (!dotted && n->space.len && one->name.len == n->space.len + 1 + n->name.len
            && memcmp(one->name.p, n->space.p, n->space.len) == 0
            && memcmp(one->name.p + n->space.len + 1, n->name.p, n->name.len) == 0)
            return at;
    }
    return -1;
}

static int resolve(struct avro_schema *s, struct err *e)
{
    for (int kid = 0; kid < s->kid_count; kid++) {
        const struct avro_node *n = &s->nodes[s->kids[kid]];
        if (n->type != AVRO_T_NAME)
            continue;
        s->kids[kid] = find_name(s, n);
        if (s->kids[kid] < 0)
            return err_set(e, E_AVRO, "schema names the type %.*s, which it does not define",
                           STR_ARG(n->name));
    }
    return s->nodes[0].type == AVRO_T_NAME ? err_set(e, E_AVRO, "schema is only a name") : 0;
}

int schema_parse(struct str text, struct avro_schema *s, struct err *e)
{
    json_error_t why;
    *s = (struct avro_schema){0};
    if (text.len > TEXT_MAX)
        return err_set(e, E_AVRO, "schema text has %zu bytes, more than %zu", text.len, TEXT_MAX);
    s->root = json_loadb(text.p ? text.p : "", text.len, JSON_DECODE_ANY, &why);
    if (!s->root)
        return err_set(e, E_AVRO, "schema text is no JSON: line %d: %s", why.line, why.text);
    arena_init(&s->arena, 0, "schema");
    add_node(s, s->root, STR_NONE);
    int result = 0;
    for (int at = 0; !result && at < s->node_count; at++)
        result = parse_node(s, at, e);
    if (!result)
        result = resolve(s, e);
    if (result)
        schema_free(s);
    return result;
}

void schema_free(struct avro_schema *s)
{
    if (s->root) {
        json_decref(s->root);
        arena_free(&s->arena);
    }
    *s = (struct avro_schema){0};
}

int schema_optional(const struct avro_schema *s, int node, int *other)
{
    const struct avro_node *n = &s->nodes[node];
    *other = node;
    if (n->type != AVRO_T_UNION)
        return -1;
    for (int at = 0; n->kid_count == 2 && at < 2; at++)
        if (s->nodes[schema_kid(s, n, at)].type == AVRO_T_NULL) {
            *other = schema_kid(s, n, !at);
            return at;
        }
    return -2;
}

const json_t *schema_field_json(const struct avro_node *record, int at)
{
    return json_array_get(json_object_get(record->json, "fields"), (size_t) at);
}

int schema_field(const struct avro_node *record, const char *name)
{
    for (int at = 0; record->type == AVRO_T_RECORD && at < record->kid_count; at++)
        if (str_is(schema_text(schema_field_json(record, at), "name"), name))
            return at;
    return -1;
}
