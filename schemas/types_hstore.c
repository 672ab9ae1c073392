/* SPDX-License-Identifier: Apache-2.0
 *
 * hstore: as JSON or as an Avro map, in the order of Java's HashMap, where Debezium takes it from.
 *
 * PostgreSQL's text has the pairs in the order in which it keeps them, by length of the key and then by its bytes, so
 * that a reader can print it again.
 */
#include <jansson.h>
#include <stdlib.h>

#include "schemas/types.h"

/* ---- writing ---- */

struct pair {
    uint32_t key, key_len;     /* in w->text */
    uint32_t value, value_len; /* UINT32_MAX: NULL */
    uint32_t hash, at;
};

/* String.hashCode over UTF-16, with the upper half mixed in as HashMap does. */
static uint32_t java_hash(const char *p, size_t len)
{
    uint32_t hash = 0;
    for (size_t at = 0; at < len;) {
        uint8_t lead = (uint8_t) p[at];
        int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
        uint32_t code = more == 3 ? lead & 7 : more == 2 ? lead & 15 : more == 1 ? lead & 31 : lead;
        for (at++; more > 0 && at < len; more--, at++)
            code = code << 6 | ((uint8_t) p[at] & 63);
        if (code >= 0x10000) {
            hash = 31 * hash + (0xd800 + ((code - 0x10000) >> 10));
            code = 0xdc00 + ((code - 0x10000) & 0x3ff);
        }
        hash = 31 * hash + code;
    }
    return hash ^ hash >> 16;
}

/* "..." at the front of in, unescaped to the end of out. */
static bool take_string(struct str *in, struct buf *out)
{
    size_t at = 1;
    if (!in->len || in->p[0] != '"')
        return false;
    while (at < in->len && in->p[at] != '"') {
        at += in->p[at] == '\\';
        if (at < in->len)
            buf_add_char(out, in->p[at++]);
    }
    if (at >= in->len)
        return false;
    *in = (struct str){in->p + at + 1, in->len - at - 1};
    return true;
}

static bool skip(struct str *in, const char *word)
{
    size_t len = strlen(word);
    if (!str_starts(*in, word))
        return false;
    *in = (struct str){in->p + len, in->len - len};
    return true;
}

/* "k"=>"v" or "k"=>NULL */
static bool take_pair(struct type_writer *w, struct str *in, struct pair *p)
{
    struct buf *text = &w->text;
    p->key = (uint32_t) text->len;
    if (!take_string(in, text) || !skip(in, "=>"))
        return false;
    p->key_len = (uint32_t) text->len - p->key;
    p->value = (uint32_t) text->len;
    p->value_len = UINT32_MAX;
    p->hash = java_hash(text->p + p->key, p->key_len);
    if (skip(in, "NULL"))
        return true;
    if (!take_string(in, text))
        return false;
    p->value_len = (uint32_t) text->len - p->value;
    return !text->over;
}

static int by_bucket(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return x->hash != y->hash ? (x->hash > y->hash) - (x->hash < y->hash) : (x->at > y->at) - (x->at < y->at);
}

static bool take_pairs(struct type_writer *w, struct str in, uint32_t *count)
{
    *count = 0;
    while (in.len && *count < HSTORE_MAX_PAIRS) {
        struct pair p = {.at = *count};
        if ((*count && !skip(&in, ", ")) || !take_pair(w, &in, &p))
            return false;
        buf_add(&w->digits, &p, sizeof p);
        ++*count;
    }
    return !in.len && !w->digits.over && !w->text.over;
}

/* Buckets of a HashMap that took the pairs one by one. It grows when it is three quarters full; below 64 also when a
 * bucket gets its ninth pair. (A larger one makes a tree of such a bucket, whose root then comes first; ours does not.) */
static uint32_t count_buckets(const struct pair *pairs, uint32_t count)
{
    uint32_t buckets = 16;
    for (uint32_t at = 0; at < count; at++) {
        uint32_t same = 0;
        for (uint32_t before = 0; buckets < 64 && before < at; before++)
            same += ((pairs[before].hash ^ pairs[at].hash) & (buckets - 1)) == 0;
        if (same >= 8)
            buckets *= 2;
        if (at + 1 > buckets / 4 * 3)
            buckets *= 2;
    }
    return buckets;
}

/* The pairs of a text in w->digits, in the order of that map. */
static bool order_pairs(struct type_writer *w, struct str text, struct pair **pairs, uint32_t *count)
{
    buf_reset(&w->digits);
    buf_reset(&w->text);
    if (!take_pairs(w, text, count))
        return false;
    *pairs = (struct pair *) (void *) w->digits.p;
    uint32_t buckets = count_buckets(*pairs, *count);
    for (uint32_t at = 0; at < *count; at++)
        (*pairs)[at].hash &= buckets - 1;
    if (*count)
        qsort(*pairs, *count, sizeof **pairs, by_bucket);
    return true;
}

static struct str key_of(const struct type_writer *w, const struct pair *p)
{
    return (struct str){w->text.p + p->key, p->key_len};
}

static struct str value_of(const struct type_writer *w, const struct pair *p)
{
    return (struct str){w->text.p + p->value, p->value_len};
}

bool write_hstore_json(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    struct pair *pairs;
    uint32_t count;
    if (!order_pairs(w, text, &pairs, &count))
        return false;
    buf_reset(&w->json);
    buf_add_char(&w->json, '{');
    for (uint32_t at = 0; at < count; at++) {
        if (at)
            buf_add_char(&w->json, ',');
        buf_add_json(&w->json, key_of(w, &pairs[at]));
        buf_add_char(&w->json, ':');
        if (pairs[at].value_len == UINT32_MAX)
            buf_add_text(&w->json, "null");
        else
            buf_add_json(&w->json, value_of(w, &pairs[at]));
    }
    buf_add_char(&w->json, '}');
    avro_put_bytes(w->out, buf_str(&w->json));
    return !w->json.over;
}

bool write_hstore_map(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    struct pair *pairs;
    uint32_t count;
    if (!order_pairs(w, text, &pairs, &count))
        return false;
    if (count)
        avro_put_long(w->out, count);
    for (uint32_t at = 0; at < count; at++) {
        bool null = pairs[at].value_len == UINT32_MAX;
        avro_put_bytes(w->out, key_of(w, &pairs[at]));
        avro_put_long(w->out, !null);
        if (!null)
            avro_put_bytes(w->out, value_of(w, &pairs[at]));
    }
    avro_put_long(w->out, 0);
    return true;
}

/* ---- reading ---- */

struct entry {
    struct str key, value; /* in the Avro bytes, or in the JSON */
    bool null;
};

static int by_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->key.len != y->key.len)
        return x->key.len > y->key.len ? 1 : -1;
    return x->key.len ? memcmp(x->key.p, y->key.p, x->key.len) : 0;
}

static void put_quoted(struct buf *text, struct str s)
{
    buf_add_char(text, '"');
    for (size_t at = 0; at < s.len; at++) {
        if (s.p[at] == '"' || s.p[at] == '\\')
            buf_add_char(text, '\\');
        buf_add_char(text, s.p[at]);
    }
    buf_add_char(text, '"');
}

/* The entries in r->digits as PostgreSQL prints them; false when a key is there twice. */
static bool put_entries(struct type_reader *r, struct buf *text)
{
    struct entry *entries = (struct entry *) (void *) r->digits.p;
    size_t count = r->digits.len / sizeof *entries;
    if (r->digits.over)
        return false;
    if (count)
        qsort(entries, count, sizeof *entries, by_key);
    for (size_t at = 0; at < count; at++) {
        if (at && by_key(&entries[at - 1], &entries[at]) == 0)
            return false;
        buf_add_text(text, at ? ", " : "");
        put_quoted(text, entries[at].key);
        buf_add_text(text, "=>");
        if (entries[at].null)
            buf_add_text(text, "NULL");
        else
            put_quoted(text, entries[at].value);
    }
    return true;
}

static bool add_entry(struct type_reader *r, const struct entry *entry)
{
    buf_add(&r->digits, entry, sizeof *entry);
    return !r->in.failed && r->digits.len <= HSTORE_MAX_PAIRS * sizeof *entry;
}

/* Each pair has two bytes at least, so that a count cannot ask for more than the bytes are worth. */
static bool take_map(struct type_reader *r)
{
    for (int64_t left = avro_get_block(&r->in); left > 0; left = avro_get_block(&r->in))
        for (; left > 0; left--) {
            struct entry entry = {.key = avro_get_bytes(&r->in)};
            entry.null = avro_get_index(&r->in, 2) == 0;
            if (!entry.null)
                entry.value = avro_get_bytes(&r->in);
            if (!add_entry(r, &entry))
                return false;
        }
    return !r->in.failed;
}

bool read_hstore_map(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    buf_reset(&r->digits);
    return take_map(r) && put_entries(r, text);
}

static bool take_object(struct type_reader *r, json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        struct entry entry = {.key = str_of(key), .null = json_is_null(value)};
        if (!entry.null && !json_is_string(value))
            return false;
        if (!entry.null)
            entry.value = (struct str){json_string_value(value), json_string_length(value)};
        if (!add_entry(r, &entry))
            return false;
    }
    return json_is_object(object);
}

bool read_hstore_json(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    struct str s = avro_get_bytes(&r->in);
    if (r->in.failed || !s.len) { /* the empty value: a header holds the real one */
        r->stand_in |= !r->in.failed;
        return !r->in.failed;
    }
    buf_reset(&r->digits);
    json_t *object = json_loadb(s.p, s.len, 0, NULL);
    bool good = take_object(r, object) && put_entries(r, text);
    json_decref(object);
    return good;
}
