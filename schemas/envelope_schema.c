/* SPDX-License-Identifier: Apache-2.0
 *
 * The envelope's writer, and what it keeps of each relation version: its shape under the rules, the plan of
 * that, and the ids of the schemas.
 */
#include <stdlib.h>

#include "schemas/envelope_local.h"

/* ---- open and close ---- */

static struct str encoded(struct arena *a, struct str one, struct str two, struct str three)
{
    struct buf b = BUF_INIT;
    avro_put_bytes(&b, one);
    if (two.p)
        avro_put_bytes(&b, two);
    if (three.p)
        avro_put_bytes(&b, three);
    struct str out = arena_str(a, buf_str(&b));
    buf_free(&b);
    return out;
}

struct envelope_writer *envelope_writer_open(const struct envelope_options *o, struct registry *r)
{
    struct envelope_writer *w = mem_zalloc(1, sizeof *w);
    arena_init(&w->arena, 0, "envelope");
    w->registry = r;
    w->options = *o;
    w->options.prefix = arena_str(&w->arena, o->prefix);
    w->options.database = arena_str(&w->arena, o->database);
    w->options.version = arena_str(&w->arena, o->version);
    w->options.placeholder = arena_str(&w->arena, plan_placeholder(o));
    w->source_head = encoded(&w->arena, w->options.version, STR("postgresql"), w->options.prefix);
    w->source_db = encoded(&w->arena, o->database, STR_NONE, STR_NONE);
    w->mark_topic = envelope_topic(&w->arena, o->prefix, STR("transaction"), STR_NONE);
    w->message_topic = envelope_topic(&w->arena, o->prefix, STR("message"), STR_NONE);
    return w;
}

static void schema_free(struct envelope_schema *s)
{
    shape_free(s->shape);
    arena_free(&s->arena);
    free(s);
}

void envelope_writer_close(struct envelope_writer *w)
{
    if (!w)
        return;
    for (unsigned bucket = 0; bucket < ENVELOPE_BUCKETS; bucket++) {
        struct envelope_schema *s = w->buckets[bucket];
        while (s) {
            struct envelope_schema *next = s->next;
            schema_free(s);
            s = next;
        }
    }
    struct buf *all[] = {&w->key, &w->value, &w->headers, &w->json, &w->unchanged, &w->special[0],
                         &w->special[1], &w->absent[0], &w->absent[1]};
    for (size_t at = 0; at < sizeof all / sizeof *all; at++)
        buf_free(all[at]);
    type_writer_reset(&w->types, 0);
    arena_free(&w->arena);
    free(w);
}

/* ---- schemas ---- */

int envelope_register(struct envelope_writer *w, struct str topic, const char *suffix, const struct buf *text, int *id,
                      struct err *e)
{
    struct buf subject = BUF_INIT;
    buf_addf(&subject, "%.*s-%s", STR_ARG(topic), suffix);
    int result = text->over
        ? err_set(e, E_SCHEMA, "schema of %.*s is too large", STR_ARG(topic))
        : registry_add(w->registry, buf_str(&subject), buf_str(text), id, e);
    buf_free(&subject);
    return result;
}

static int schema_fill(struct envelope_writer *w, struct envelope_schema *s, const struct relation *rel,
                       struct err *e)
{
    arena_init(&s->arena, 0, "envelope");
    s->given = relation_copy(&s->arena, rel);
    if (shape_make(s->given, &w->options.rules, &s->shape, e))
        return -1;
    const struct relation *copy = s->shape ? shape_relation(s->shape) : s->given;
    if (plan_make(&s->arena, copy, &w->options, &s->plan, e))
        return -1;
    s->seen = rel;
    s->merged = arena_zalloc(&s->arena, (size_t) copy->column_count + 1, sizeof *s->merged);
    s->source_table = encoded(&s->arena, copy->space, copy->name.p ? copy->name : STR(""), STR_NONE);
    struct buf text = BUF_INIT;
    int result = 0;
    if (s->plan.key_count) {
        schema_build_key(&s->plan, &text);
        result = envelope_register(w, s->plan.topic, "key", &text, &s->key_id, e);
    }
    if (!result) {
        buf_reset(&text);
        schema_build_value(&s->plan, &text);
        result = envelope_register(w, s->plan.topic, "value", &text, &s->value_id, e);
    }
    buf_free(&text);
    return result;
}

/* Once a table, and again when the columns are others. */
static void tell_unable(const struct envelope_writer *w, const struct envelope_schema *s)
{
    struct str unable = s->shape ? shape_unable(s->shape) : STR_NONE;
    const struct envelope_schema *before = w->buckets[s->given->oid % ENVELOPE_BUCKETS];
    while (before && before->given->oid != s->given->oid)
        before = before->next;
    bool told = before && before->shape && str_eq(unable, shape_unable(before->shape));
    if (unable.len && !told && w->options.unable)
        w->options.unable(w->options.unable_self, s->given, unable);
}

static int schema_make(struct envelope_writer *w, const struct relation *rel,
                       struct envelope_schema **out, struct err *e)
{
    struct envelope_schema *s = mem_zalloc(1, sizeof *s);
    if (schema_fill(w, s, rel, e)) {
        schema_free(s);
        return -1;
    }
    tell_unable(w, s);
    struct envelope_schema **bucket = &w->buckets[rel->oid % ENVELOPE_BUCKETS];
    s->next = *bucket;
    *bucket = s;
    *out = s;
    return 0;
}

/* Newer ones stand in front. The same pointer is taken for the same relation; another pointer with
 * the same numbers (the copy describes tables on its own) is compared. */
int envelope_schema_find(struct envelope_writer *w, const struct relation *rel, struct envelope_schema **out,
                         struct err *e)
{
    for (struct envelope_schema *s = w->buckets[rel->oid % ENVELOPE_BUCKETS]; s; s = s->next) {
        const struct relation *known = s->given;
        if (known->oid != rel->oid || known->version != rel->version)
            continue;
        if (s->seen != rel && !relation_equal(known, rel))
            continue;
        s->seen = rel;
        *out = s;
        return 0;
    }
    return schema_make(w, rel, out, e);
}

int envelope_relation(struct envelope_writer *w, const struct relation *rel,
                      const struct envelope_schema **out, struct err *e)
{
    struct envelope_schema *s;
    if (envelope_schema_find(w, rel, &s, e))
        return -1;
    *out = s;
    return 0;
}
