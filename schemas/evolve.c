/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether data written with an old schema can be read with a new one: Avro 1.11's "Schema
 * Resolution", as a work list of (reader, writer) pairs instead of recursion, so that depth is
 * bounded by a count. A pair either fits by itself and adds the pairs inside of it, or is the
 * answer. A union of the reader takes its first branch that matches by kind and name, as the
 * standard says, so nothing is ever tried and taken back. Aliases of the reader count. Decimals
 * must agree in precision and scale.
 */
#include <inttypes.h>
#include <jansson.h>

#include "schemas/registry.h"

#define PAIRS_MAX 20000
#define NAMES_MAX 4096

enum side { READER, WRITER };
static const char *const side_names[] = {"new schema", "old schema"};

/* A schema within its text: namespaces are inherited. */
struct node {
    json_t *json;
    struct str space;
};

/* A type with a name. */
struct named {
    struct str full;
    struct node node; /* space: its own */
};

struct names {
    struct named *list;
    int count;
};

struct pair {
    struct node reader, writer;
    const char *path;
};

struct check {
    struct arena scratch;
    struct names names[2];
    struct pair *pairs; /* all that were ever added: those before next are done */
    int count, next;
    struct err *e;
};

static const char *const primitives[] = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"};

static bool is_one_of(const char *word, const char *const *list, size_t count)
{
    for (size_t at = 0; at < count; at++)
        if (strcmp(word, list[at]) == 0)
            return true;
    return false;
}

static bool is_primitive(const char *type)
{
    return is_one_of(type, primitives, sizeof primitives / sizeof primitives[0]);
}

static bool is_named_kind(const char *type)
{
    static const char *const kinds[] = {"record", "error", "enum", "fixed"};
    return is_one_of(type, kinds, sizeof kinds / sizeof kinds[0]);
}

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* ---- names ---- */

static struct str before_last_dot(struct str name)
{
    size_t at = name.len;
    while (at > 0 && name.p[at - 1] != '.')
        at--;
    return (struct str){name.p, at > 0 ? at - 1 : 0};
}

static struct str after_last_dot(struct str name)
{
    struct str space = before_last_dot(name);
    size_t skip = space.len > 0 || (name.len > 0 && name.p[0] == '.') ? space.len + 1 : 0;
    return (struct str){name.p + skip, name.len - skip};
}

static struct str full_name(struct check *c, struct str name, struct str space)
{
    if (memchr(name.p ? name.p : "", '.', name.len) || space.len == 0)
        return name;
    return arena_printf(&c->scratch, "%.*s.%.*s", STR_ARG(space), STR_ARG(name));
}

/* Full name of a definition; its "namespace" is inherited when it has none. */
static struct str defined_name(struct check *c, struct node node)
{
    json_t *space = json_object_get(node.json, "namespace");
    return full_name(c, str_of(text_of(node.json, "name")),
                     json_is_string(space) ? str_of(json_string_value(space)) : node.space);
}

static const struct named *find_name(const struct check *c, enum side side, struct str full)
{
    const struct names *names = &c->names[side];
    for (int at = 0; at < names->count; at++)
        if (str_eq(names->list[at].full, full))
            return &names->list[at];
    return NULL;
}

static int bad_schema(struct check *c, enum side side, const char *why, struct str what)
{
    return err_set(c->e, E_SCHEMA, "%s %s%s%.*s", side_names[side], why, what.len ? " " : "", STR_ARG(what));
}

/* ---- collecting the names of one text ---- */

struct todo {
    struct node *list;
    int count;
};

static int add_todo(struct check *c, enum side side, struct todo *todo, json_t *json, struct str space)
{
    if (todo->count == PAIRS_MAX)
        return bad_schema(c, side, "has too many parts", STR_NONE);
    todo->list[todo->count++] = (struct node){json, space};
    return 0;
}

static int define(struct check *c, enum side side, struct node node, struct str *space)
{
    struct names *names = &c->names[side];
    struct str full = defined_name(c, node);
    *space = before_last_dot(full);
    if (full.len == 0)
        return bad_schema(c, side, "has a type without a name", STR_NONE);
    if (find_name(c, side, full))
        return bad_schema(c, side, "defines twice", full);
    if (names->count == NAMES_MAX)
        return bad_schema(c, side, "has too many types", STR_NONE);
    names->list[names->count++] = (struct named){full, {node.json, *space}};
    return 0;
}

/* The schemas inside of an object. */
static int collect_object(struct check *c, enum side side, struct todo *todo, struct node node)
{
    json_t *type = json_object_get(node.json, "type"), *field;
    size_t at;
    struct str space = node.space;
    const char *kind = json_string_value(type);
    if (!kind)
        return type ? add_todo(c, side, todo, type, space) : bad_schema(c, side, "has an object without a type", STR_NONE);
    if (is_named_kind(kind) && define(c, side, node, &space) != 0)
        return -1;
    if (strcmp(kind, "array") == 0 || strcmp(kind, "map") == 0) {
        json_t *inner = json_object_get(node.json, kind[0] == 'a' ? "items" : "values");
        return inner ? add_todo(c, side, todo, inner, space) : bad_schema(c, side, "lacks the inside of an", str_of(kind));
    }
    json_array_foreach(json_object_get(node.json, "fields"), at, field) {
        json_t *inner = json_object_get(field, "type");
        if (!inner || !text_of(field, "name")[0])
            return bad_schema(c, side, "has a field without a name or a type", STR_NONE);
        if (add_todo(c, side, todo, inner, space) != 0)
            return -1;
    }
    return 0;
}

static int collect(struct check *c, enum side side, json_t *root)
{
    struct todo todo = {.list = arena_alloc(&c->scratch, PAIRS_MAX * sizeof(struct node))};
    c->names[side].list = arena_alloc(&c->scratch, NAMES_MAX * sizeof(struct named));
    if (add_todo(c, side, &todo, root, STR_NONE) != 0)
        return -1;
    for (int next = 0; next < todo.count; next++) {
        struct node node = todo.list[next];
        json_t *branch;
        size_t at;
        int rc = 0;
        if (json_is_object(node.json))
            rc = collect_object(c, side, &todo, node);
        else if (!json_is_array(node.json) && !json_is_string(node.json))
            rc = bad_schema(c, side, "has a schema that is no text, list or object", STR_NONE);
        json_array_foreach(node.json, at, branch)
            if (rc == 0)
                rc = add_todo(c, side, &todo, branch, node.space);
        if (rc != 0)
            return -1;
    }
    return 0;
}

/* ---- one schema ---- */

/* A schema as far as matching goes: names are looked up, wrappers taken off. */
struct shape {
    const char *type;  /* "union", a kind or a primitive */
    struct node node;  /* the definition */
    struct str full;   /* of a named type */
};

static int shape_by_name(struct check *c, enum side side, struct node node, struct shape *out)
{
    const char *word = json_string_value(node.json);
    if (is_primitive(word)) {
        *out = (struct shape){word, node, STR_NONE};
        return 0;
    }
    const struct named *named = find_name(c, side, full_name(c, str_of(word), node.space));
    if (!named)
        named = find_name(c, side, str_of(word));
    if (!named)
        return bad_schema(c, side, "names a type that it does not define:", str_of(word));
    *out = (struct shape){text_of(named->node.json, "type"), named->node, named->full};
    return 0;
}

static int shape_of(struct check *c, enum side side, struct node node, struct shape *out)
{
    /* {"type": {"type": ...}}: each turn goes one level down in a text of bounded depth. */
    while (json_is_object(node.json) && !json_is_string(json_object_get(node.json, "type"))
           && !json_is_array(json_object_get(node.json, "type")))
        node.json = json_object_get(node.json, "type");
    if (json_is_object(node.json) && json_is_array(json_object_get(node.json, "type")))
        node.json = json_object_get(node.json, "type");
    if (json_is_array(node.json)) {
        *out = (struct shape){"union", node, STR_NONE};
        return 0;
    }
    if (json_is_string(node.json))
        return shape_by_name(c, side, node, out);
    const char *type = text_of(node.json, "type");
    if (is_named_kind(type)) {
        struct str full = defined_name(c, node);
        *out = (struct shape){type, {node.json, before_last_dot(full)}, full};
        return 0;
    }
    *out = (struct shape){type, node, STR_NONE};
    if (is_primitive(type) || strcmp(type, "array") == 0 || strcmp(type, "map") == 0)
        return 0;
    return shape_by_name(c, side, (struct node){json_object_get(node.json, "type"), node.space}, out);
}

/* ---- matching ---- */

static bool promotes(const char *writer, const char *reader)
{
    static const char *const table[][2] = {
        {"int", "long"},     {"int", "float"},    {"int", "double"},   {"long", "float"},
        {"long", "double"},  {"float", "double"}, {"string", "bytes"}, {"bytes", "string"},
    };
    for (size_t at = 0; at < sizeof table / sizeof table[0]; at++)
        if (strcmp(writer, table[at][0]) == 0 && strcmp(reader, table[at][1]) == 0)
            return true;
    return false;
}

static bool has_alias(json_t *of, struct str writer_full)
{
    json_t *alias;
    size_t at;
    json_array_foreach(json_object_get(of, "aliases"), at, alias) {
        struct str name = str_of(json_string_value(alias));
        if (str_eq(name, writer_full) || str_eq(name, after_last_dot(writer_full)))
            return true;
    }
    return false;
}

static bool names_match(const struct shape *reader, const struct shape *writer, bool exact)
{
    if (exact)
        return str_eq(reader->full, writer->full);
    return str_eq(after_last_dot(reader->full), after_last_dot(writer->full))
        || has_alias(reader->node.json, writer->full);
}

static bool decimals_match(const struct shape *reader, const struct shape *writer)
{
    bool r = strcmp(text_of(reader->node.json, "logicalType"), "decimal") == 0;
    bool w = strcmp(text_of(writer->node.json, "logicalType"), "decimal") == 0;
    if (!r || !w)
        return true;
    static const char *const keys[] = {"precision", "scale"};
    for (int at = 0; at < 2; at++)
        if (json_integer_value(json_object_get(reader->node.json, keys[at]))
            != json_integer_value(json_object_get(writer->node.json, keys[at])))
            return false;
    return true;
}

/* By kind and name alone, without a look inside. */
static bool shapes_match(const struct shape *reader, const struct shape *writer, bool exact)
{
    if (strcmp(reader->type, writer->type) != 0)
        return !exact && promotes(writer->type, reader->type);
    if (is_named_kind(reader->type) && !names_match(reader, writer, exact))
        return false;
    if (strcmp(reader->type, "fixed") == 0
        && json_integer_value(json_object_get(reader->node.json, "size"))
            != json_integer_value(json_object_get(writer->node.json, "size")))
        return false;
    return decimals_match(reader, writer);
}

static const char *show(struct check *c, const struct shape *s)
{
    if (s->full.len)
        return arena_printf(&c->scratch, "%s %.*s", s->type, STR_ARG(s->full)).p;
    const char *logical = text_of(s->node.json, "logicalType");
    return logical[0] ? arena_printf(&c->scratch, "%s (%s)", s->type, logical).p : s->type;
}

static int differ(struct check *c, const struct pair *at, const struct shape *reader, const struct shape *writer)
{
    return err_set(c->e, E_SCHEMA, "at %s: %s cannot be read as %s", at->path, show(c, writer), show(c, reader));
}

/* ---- pairs ---- */

static int add_pair(struct check *c, struct node reader, struct node writer, const char *path)
{
    bool named = json_is_object(reader.json) && is_named_kind(text_of(reader.json, "type"));
    /* Types that hold themselves come back to a pair that was seen. */
    for (int at = 0; at < c->count && named; at++)
        if (c->pairs[at].reader.json == reader.json && c->pairs[at].writer.json == writer.json)
            return 0;
    if (c->count == PAIRS_MAX)
        return err_set(c->e, E_SCHEMA, "schemas have too many parts to compare");
    c->pairs[c->count++] = (struct pair){reader, writer, path};
    return 0;
}

static const char *deeper(struct check *c, const char *path, const char *mark, const char *name)
{
    return arena_printf(&c->scratch, "%s%s%s", path, mark, name).p;
}

static int check_writer_union(struct check *c, const struct pair *at, const struct shape *writer)
{
    json_t *branch;
    size_t index;
    json_array_foreach(writer->node.json, index, branch)
        if (add_pair(c, at->reader, (struct node){branch, writer->node.space}, at->path) != 0)
            return -1;
    return 0;
}

static int check_reader_union(struct check *c, const struct pair *at, const struct shape *reader,
                              const struct shape *writer)
{
    json_t *branch;
    size_t index;
    for (int exact = 1; exact >= 0; exact--) {
        json_array_foreach(reader->node.json, index, branch) {
            struct node node = {branch, reader->node.space};
            struct shape shape;
            if (shape_of(c, READER, node, &shape) != 0)
                return -1;
            if (shapes_match(&shape, writer, exact == 1))
                return add_pair(c, shape.node, writer->node, at->path);
        }
    }
    return err_set(c->e, E_SCHEMA, "at %s: %s is in no branch of the union", at->path, show(c, writer));
}

/* The writer's field for a reader's: by name, then by the reader's aliases. */
static json_t *find_field(json_t *fields, json_t *reader_field)
{
    json_t *field, *alias;
    size_t at, which;
    json_array_foreach(fields, at, field)
        if (strcmp(text_of(field, "name"), text_of(reader_field, "name")) == 0)
            return field;
    json_array_foreach(json_object_get(reader_field, "aliases"), which, alias)
        json_array_foreach(fields, at, field)
            if (json_is_string(alias) && strcmp(text_of(field, "name"), json_string_value(alias)) == 0)
                return field;
    return NULL;
}

static int check_record(struct check *c, const struct pair *at, const struct shape *reader,
                        const struct shape *writer)
{
    json_t *field, *old_fields = json_object_get(writer->node.json, "fields");
    size_t index;
    json_array_foreach(json_object_get(reader->node.json, "fields"), index, field) {
        const char *path = deeper(c, at->path, ".", text_of(field, "name"));
        json_t *old = find_field(old_fields, field);
        if (!old && !json_object_get(field, "default"))
            return err_set(c->e, E_SCHEMA, "at %s: new field without a default", path);
        if (old && add_pair(c, (struct node){json_object_get(field, "type"), reader->node.space},
                            (struct node){json_object_get(old, "type"), writer->node.space}, path) != 0)
            return -1;
    }
    return 0;
}

static int check_enum(struct check *c, const struct pair *at, const struct shape *reader,
                      const struct shape *writer)
{
    json_t *symbol, *known;
    size_t index, which;
    if (json_is_string(json_object_get(reader->node.json, "default")))
        return 0;
    json_array_foreach(json_object_get(writer->node.json, "symbols"), index, symbol) {
        bool found = false;
        json_array_foreach(json_object_get(reader->node.json, "symbols"), which, known)
            found = found || json_equal(symbol, known);
        if (!found)
            return err_set(c->e, E_SCHEMA, "at %s: symbol %s of enum %.*s is gone and there is no default",
                           at->path, json_is_string(symbol) ? json_string_value(symbol) : "?",
                           STR_ARG(reader->full));
    }
    return 0;
}

static int check_pair(struct check *c, const struct pair *at)
{
    struct shape reader, writer;
    if (shape_of(c, READER, at->reader, &reader) != 0 || shape_of(c, WRITER, at->writer, &writer) != 0)
        return -1;
    if (strcmp(writer.type, "union") == 0)
        return check_writer_union(c, at, &writer);
    if (strcmp(reader.type, "union") == 0)
        return check_reader_union(c, at, &reader, &writer);
    if (!shapes_match(&reader, &writer, false))
        return differ(c, at, &reader, &writer);
    if (strcmp(reader.type, "record") == 0 || strcmp(reader.type, "error") == 0)
        return check_record(c, at, &reader, &writer);
    if (strcmp(reader.type, "enum") == 0)
        return check_enum(c, at, &reader, &writer);
    if (strcmp(reader.type, "array") != 0 && strcmp(reader.type, "map") != 0)
        return 0;
    const char *inside = reader.type[0] == 'a' ? "items" : "values";
    return add_pair(c, (struct node){json_object_get(reader.node.json, inside), reader.node.space},
                    (struct node){json_object_get(writer.node.json, inside), writer.node.space},
                    deeper(c, at->path, reader.type[0] == 'a' ? "[]" : "{}", ""));
}

static int check_all(struct check *c, json_t *reader, json_t *writer)
{
    struct shape root;
    if (collect(c, READER, reader) != 0 || collect(c, WRITER, writer) != 0
        || shape_of(c, READER, (struct node){reader, STR_NONE}, &root) != 0)
        return -1;
    c->pairs = arena_alloc(&c->scratch, PAIRS_MAX * sizeof *c->pairs);
    const char *path = root.full.len ? arena_str(&c->scratch, after_last_dot(root.full)).p : root.type;
    if (add_pair(c, (struct node){reader, STR_NONE}, (struct node){writer, STR_NONE}, path) != 0)
        return -1;
    while (c->next < c->count) {
        struct pair at = c->pairs[c->next++];
        if (check_pair(c, &at) != 0)
            return -1;
    }
    return 0;
}

static json_t *parse(struct str text, enum side side, struct err *e)
{
    json_error_t why;
    json_t *json = json_loadb(text.p ? text.p : "", text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
    if (!json)
        (void) err_set(e, E_SCHEMA, "%s is no JSON: line %d: %s", side_names[side], why.line, why.text);
    return json;
}

int schema_check_backward(struct str new_text, struct str old_text, struct err *e)
{
    struct check c = {.e = e};
    json_t *reader = parse(new_text, READER, e);
    json_t *writer = reader ? parse(old_text, WRITER, e) : NULL;
    int rc = -1;
    arena_init(&c.scratch, 0, "schema");
    if (reader && writer)
        rc = check_all(&c, reader, writer);
    arena_free(&c.scratch);
    json_decref(reader);
    json_decref(writer);
    return rc;
}
