/* SPDX-License-Identifier: Apache-2.0
 *
 * Types that only strict maps, as Debezium does: bit strings, money, hstore, point. In sane they travel as
 * PostgreSQL's text, which loses nothing.
 */
#include <stdlib.h>

#include "schemas/types.h"

/* ---- bit strings: BitSet.toByteArray, the last bit first, no zero bytes at the end ---- */

bool write_bits(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    size_t zeros = 0;
    while (zeros < text.len && text.p[zeros] == '0')
        zeros++;
    size_t len = (text.len - zeros + 7) / 8;
    avro_put_long(w->out, (int64_t) len);
    uint8_t *to = (uint8_t *) buf_grow(w->out, len);
    if (!to)
        return false;
    memset(to, 0, len);
    for (size_t at = zeros; at < text.len; at++) {
        size_t bit = text.len - 1 - at;
        if (text.p[at] == '1')
            to[bit / 8] |= (uint8_t) (1 << bit % 8);
        else if (text.p[at] != '0')
            return false;
    }
    w->out->len += len;
    return true;
}

/* As many digits as the column has; up to the highest bit where that is not known. */
bool read_bits(struct type_reader *r, const struct codec *c, struct buf *text)
{
    struct str bytes = avro_get_bytes(&r->in);
    size_t bits = bytes.len * 8;
    if (c->scale > 0 && (size_t) c->scale >= bits && c->scale <= BITS_MAX)
        bits = (size_t) c->scale;
    else
        while (bits > 0 && !((uint8_t) bytes.p[(bits - 1) / 8] >> (bits - 1) % 8 & 1))
            bits--;
    for (size_t bit = bits; bit-- > 0;)
        buf_add_char(text, bit / 8 < bytes.len && ((uint8_t) bytes.p[bit / 8] >> bit % 8 & 1) ? '1' : '0');
    return !r->in.failed && !text->over;
}

bool write_bit(struct type_writer *w, const struct codec *c, struct str text)
{
    return text.len == 1 && write_bool(w, c, str_is(text, "1") ? STR("t") : STR("f"));
}

/* ---- money: its text without what the locale puts around the digits ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Where the fraction begins: a point or comma with two digits behind it, since thousands come in threes. */
static size_t money_point(struct str text)
{
    size_t end = text.len;
    while (end > 0 && !is_digit(text.p[end - 1]))
        end--;
    bool fraction = end > 3 && (text.p[end - 3] == '.' || text.p[end - 3] == ',');
    return fraction ? end - 3 : text.len;
}

bool write_money(struct type_writer *w, const struct codec *c, struct str text)
{
    char plain[40];
    size_t len = 0, point = money_point(text);
    if (memchr(text.p, '-', text.len) || memchr(text.p, '(', text.len))
        plain[len++] = '-';
    for (size_t at = 0; at < text.len && len < sizeof plain - 4; at++) {
        if (is_digit(text.p[at]))
            plain[len++] = text.p[at];
        else if (at == point)
            plain[len++] = '.';
    }
    if (point == text.len) {
        memcpy(plain + len, ".00", 3);
        len += 3;
    }
    return write_decimal(w, c, (struct str){plain, len});
}

/* ---- point ---- */

static void put_double(uint8_t *to, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (int byte = 0; byte < 8; byte++)
        to[byte] = (uint8_t) (bits >> 8 * byte);
}

/* x, y, the point as little-endian WKB, and no srid. */
bool write_point(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    uint8_t wkb[21] = {1, 1};
    const char *comma = memchr(text.p, ',', text.len);
    double x, y;
    if (!comma || text.len < 5 || text.p[0] != '(' || text.p[text.len - 1] != ')')
        return false;
    struct str first = {text.p + 1, (size_t) (comma - text.p) - 1};
    struct str second = {comma + 1, text.len - first.len - 3};
    if (!text_to_double(first, &x) || !text_to_double(second, &y))
        return false;
    put_double(wkb + 5, x);
    put_double(wkb + 13, y);
    buf_add(w->out, wkb + 5, 16);
    avro_put_long(w->out, 1);
    avro_put_bytes(w->out, (struct str){(const char *) wkb, sizeof wkb});
    avro_put_long(w->out, 0);
    return true;
}

bool read_point(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    double x = avro_get_double(&r->in), y = avro_get_double(&r->in);
    if (avro_get_index(&r->in, 2) == 1)
        (void) avro_get_bytes(&r->in);
    if (avro_get_index(&r->in, 2) == 1)
        (void) avro_get_int(&r->in);
    buf_add_char(text, '(');
    put_float_text(text, x, false);
    buf_add_char(text, ',');
    put_float_text(text, y, false);
    buf_add_char(text, ')');
    return !r->in.failed;
}

/* ---- hstore: as JSON, in the order of Java's HashMap, where Debezium takes it from ---- */

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
    while (in.len) {
        struct pair p = {.at = *count};
        if ((*count && !skip(&in, ", ")) || !take_pair(w, &in, &p))
            return false;
        buf_add(&w->digits, &p, sizeof p);
        ++*count;
    }
    return !w->digits.over && !w->text.over;
}

bool write_hstore(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    uint32_t count, buckets = 16;
    buf_reset(&w->digits);
    buf_reset(&w->text);
    buf_reset(&w->json);
    if (!take_pairs(w, text, &count))
        return false;
    while (count > buckets / 4 * 3)
        buckets *= 2;
    struct pair *pairs = (struct pair *) (void *) w->digits.p;
    for (uint32_t at = 0; at < count; at++)
        pairs[at].hash &= buckets - 1;
    if (count)
        qsort(pairs, count, sizeof *pairs, by_bucket);
    buf_add_char(&w->json, '{');
    for (uint32_t at = 0; at < count; at++) {
        const struct pair *p = &pairs[at];
        if (at)
            buf_add_char(&w->json, ',');
        buf_add_json(&w->json, (struct str){w->text.p + p->key, p->key_len});
        buf_add_char(&w->json, ':');
        if (p->value_len == UINT32_MAX)
            buf_add_text(&w->json, "null");
        else
            buf_add_json(&w->json, (struct str){w->text.p + p->value, p->value_len});
    }
    buf_add_char(&w->json, '}');
    avro_put_bytes(w->out, buf_str(&w->json));
    return !w->json.over;
}
