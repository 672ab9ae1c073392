/* SPDX-License-Identifier: Apache-2.0
 *
 * Walking over a value by its schema, with a stack of its own and a cap on depth: to skip what a
 * reader has no use for, and to print it as JSON.
 */
#include <math.h>

#include "schemas/schema_parse.h"

struct frame {
    int node;
    int next;      /* record: next field */
    int64_t left;  /* array, map: items left in this block */
    bool first;
};

struct walk {
    const struct avro_schema *s;
    struct cursor *in;
    struct buf *out; /* NULL: skip */
    struct buf digits;
    int64_t items_left; /* in all arrays and maps: items without bytes must not cost more than bytes */
    int depth;
    struct frame stack[AVRO_DEPTH_MAX];
};

static void print(struct walk *w, const char *text)
{
    if (w->out)
        buf_add_text(w->out, text);
}

static void print_base64(struct buf *out, struct str s)
{
    buf_add_char(out, '"');
    put_base64(out, s);
    buf_add_char(out, '"');
}

/* Decimals as plain text in quotes, so that no reader rounds them; the empty stand-in as null. */
static bool print_decimal(struct walk *w, struct str unscaled, int scale)
{
    if (!w->out)
        return true;
    if (!unscaled.len) {
        buf_add_text(w->out, "null");
        return true;
    }
    buf_add_char(w->out, '"');
    bool fits = put_decimal_text(&w->digits, unscaled, scale, w->out);
    buf_add_char(w->out, '"');
    return fits;
}

static bool is_named(const struct avro_node *n, enum repr_id id)
{
    return str_is(schema_text(n->json, "connect.name"), repr_table[id].connect_name);
}

static void print_float(struct walk *w, double value, bool single)
{
    if (!w->out)
        return;
    bool quote = isnan(value) || isinf(value);
    if (quote)
        buf_add_char(w->out, '"');
    put_float_text(w->out, value, single);
    if (quote)
        buf_add_char(w->out, '"');
}

static bool walk_bytes(struct walk *w, const struct avro_node *n, struct str bytes)
{
    if (n->type == AVRO_T_BYTES && is_named(n, REPR_DECIMAL)) {
        const json_t *scale = json_object_get(n->json, "scale");
        return print_decimal(w, bytes, (int) json_integer_value(scale));
    }
    if (w->out)
        print_base64(w->out, bytes);
    return true;
}

static bool walk_symbol(struct walk *w, const struct avro_node *n)
{
    int index = avro_get_index(w->in, n->size > INT32_MAX ? INT32_MAX : (int) n->size);
    const json_t *symbol = json_array_get(json_object_get(n->json, "symbols"), (size_t) index);
    if (w->out)
        buf_add_json(w->out, str_of(json_string_value(symbol)));
    return true;
}

/* A value without parts. */
static bool walk_scalar(struct walk *w, const struct avro_node *n)
{
    struct str text;
    switch (n->type) {
    case AVRO_T_NULL: print(w, "null"); break;
    case AVRO_T_BOOLEAN: print(w, avro_get_bool(w->in) ? "true" : "false"); break;
    case AVRO_T_INT: case AVRO_T_LONG: {
        int64_t value = n->type == AVRO_T_INT ? avro_get_int(w->in) : avro_get_long(w->in);
        if (w->out)
            put_signed(w->out, value);
        break;
    }
    case AVRO_T_FLOAT: print_float(w, (double) avro_get_float(w->in), true); break;
    case AVRO_T_DOUBLE: print_float(w, avro_get_double(w->in), false); break;
    case AVRO_T_STRING:
        text = avro_get_bytes(w->in);
        if (w->out)
            buf_add_json(w->out, text);
        break;
    case AVRO_T_BYTES: return walk_bytes(w, n, avro_get_bytes(w->in));
    case AVRO_T_FIXED: return walk_bytes(w, n, cursor_bytes(w->in, (size_t) n->size));
    case AVRO_T_ENUM: return walk_symbol(w, n);
    case AVRO_T_RECORD: case AVRO_T_ARRAY: case AVRO_T_MAP: case AVRO_T_UNION: case AVRO_T_NAME:
        return false;
    }
    return true;
}

static bool push(struct walk *w, int node)
{
    if (w->depth == AVRO_DEPTH_MAX)
        return false;
    w->stack[w->depth++] = (struct frame){.node = node, .first = true};
    print(w, w->s->nodes[node].type == AVRO_T_ARRAY ? "[" : "{");
    return true;
}

/* Through unions to a value: printed, or begun. */
static bool visit(struct walk *w, int node)
{
    const struct avro_node *n = &w->s->nodes[node];
    for (int step = 0; n->type == AVRO_T_UNION && step < AVRO_DEPTH_MAX; step++) {
        int branch = avro_get_index(w->in, n->kid_count);
        if (w->in->failed)
            return false;
        node = schema_kid(w->s, n, branch);
        n = &w->s->nodes[node];
    }
    if (n->type == AVRO_T_RECORD && is_named(n, REPR_VARIABLE)) {
        int scale = avro_get_int(w->in);
        return print_decimal(w, avro_get_bytes(w->in), scale);
    }
    if (n->type == AVRO_T_RECORD || n->type == AVRO_T_ARRAY || n->type == AVRO_T_MAP)
        return push(w, node);
    return walk_scalar(w, n);
}

static bool step_record(struct walk *w, struct frame *f, const struct avro_node *n)
{
    if (f->next == n->kid_count) {
        print(w, "}");
        w->depth--;
        return true;
    }
    if (w->out) {
        buf_add_text(w->out, f->first ? "" : ",");
        buf_add_json(w->out, schema_text(schema_field_json(n, f->next), "name"));
        buf_add_char(w->out, ':');
    }
    f->first = false;
    return visit(w, schema_kid(w->s, n, f->next++));
}

static bool step_items(struct walk *w, struct frame *f, const struct avro_node *n)
{
    bool map = n->type == AVRO_T_MAP;
    if (!f->left) {
        f->left = avro_get_block(w->in);
        w->items_left -= f->left;
    }
    if (w->in->failed || w->items_left < 0)
        return false;
    if (!f->left) {
        print(w, map ? "}" : "]");
        w->depth--;
        return true;
    }
    f->left--;
    print(w, f->first ? "" : ",");
    f->first = false;
    if (map) {
        struct str key = avro_get_bytes(w->in);
        if (w->out) {
            buf_add_json(w->out, key);
            buf_add_char(w->out, ':');
        }
    }
    return visit(w, schema_kid(w->s, n, 0));
}

bool schema_walk(const struct avro_schema *s, int node, struct cursor *in, struct buf *out)
{
    struct walk w; /* the stack is left as it is: clearing it would cost more than most values */
    w.s = s;
    w.in = in;
    w.out = out;
    w.digits = BUF_INIT;
    w.items_left = (int64_t) in->left;
    w.depth = 0;
    bool good = visit(&w, node) && !in->failed;
    while (good && w.depth > 0) {
        struct frame *f = &w.stack[w.depth - 1];
        const struct avro_node *n = &s->nodes[f->node];
        good = n->type == AVRO_T_RECORD ? step_record(&w, f, n) : step_items(&w, f, n);
        good = good && !in->failed && !(out && out->over);
    }
    buf_free(&w.digits);
    return good;
}
