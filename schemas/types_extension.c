/* SPDX-License-Identifier: Apache-2.0
 *
 * Types of the extensions PostGIS and pgvector, which only strict maps, as Debezium does. In sane they travel as
 * PostgreSQL's text, which loses nothing.
 */
#include <math.h>
#include <stdlib.h>

#include "schemas/types.h"

/* ---- geometry and geography: PostGIS prints EWKB, two upper-case hexadecimal digits a byte ---- */

#define EWKB_HEAD 9 /* byte order, type and, where the type says so, SRID */
#define EWKB_HAS_SRID 0x20000000u

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool put_unhexed(struct buf *out, struct str hex)
{
    size_t len = hex.len / 2;
    char *to = buf_grow(out, len);
    int bad = 0;
    if (!to)
        return false;
    for (size_t at = 0; at < len; at++) {
        int high = hex_digit(hex.p[2 * at]), low = hex_digit(hex.p[2 * at + 1]);
        bad |= high | low;
        to[at] = (char) (high * 16 + low);
    }
    out->len += len;
    return bad >= 0;
}

/* Four bytes in the order that the first byte of all tells. */
static uint32_t ewkb_word(const uint8_t *ewkb, size_t at)
{
    const uint8_t *p = ewkb + at;
    if (ewkb[0])
        return p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24;
    return p[3] | (uint32_t) p[2] << 8 | (uint32_t) p[1] << 16 | (uint32_t) p[0] << 24;
}

/* The EWKB whole, and the SRID that is in it once more. */
bool write_geometry(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    if (text.len % 2 || text.len < 2 * EWKB_HEAD)
        return false;
    avro_put_long(w->out, (int64_t) (text.len / 2));
    size_t begin = w->out->len;
    if (!put_unhexed(w->out, text))
        return false;
    const uint8_t *ewkb = (const uint8_t *) w->out->p + begin;
    bool has_srid = ewkb_word(ewkb, 1) & EWKB_HAS_SRID;
    int32_t srid = (int32_t) ewkb_word(ewkb, 5);
    avro_put_long(w->out, has_srid);
    if (has_srid)
        avro_put_long(w->out, srid);
    return true;
}

bool read_geometry(struct type_reader *r, const struct codec *c, struct buf *text)
{
    static const char digits[] = "0123456789ABCDEF";
    (void) c;
    struct str ewkb = avro_get_bytes(&r->in);
    if (avro_get_index(&r->in, 2) == 1)
        (void) avro_get_int(&r->in);
    char *to = buf_grow(text, 2 * ewkb.len);
    if (r->in.failed || !to)
        return false;
    for (size_t at = 0; at < ewkb.len; at++) {
        *to++ = digits[(uint8_t) ewkb.p[at] >> 4];
        *to++ = digits[ewkb.p[at] & 15];
    }
    text->len += 2 * ewkb.len;
    text->p[text->len] = 0;
    r->stand_in |= !ewkb.len;
    return true;
}

/* ---- vector and halfvec: "[1,2.5,-3]"; vector's elements are float4, of which Debezium parses the text as double ---- */

/* What stands between the brackets of "[...]". */
static bool unwrap(struct str *text, char open, char close)
{
    if (text->len < 2 || text->p[0] != open || text->p[text->len - 1] != close)
        return false;
    *text = (struct str){text->p + 1, text->len - 2};
    return true;
}

/* The part in front of the next comma, which is passed over; the last part is followed by none. */
static struct str take_part(struct str *rest)
{
    const char *comma = memchr(rest->p, ',', rest->len);
    struct str part = {rest->p, comma ? (size_t) (comma - rest->p) : rest->len};
    size_t taken = part.len + (comma != NULL);
    *rest = (struct str){rest->p + taken, rest->len - taken};
    return part;
}

static int64_t count_parts(struct str inner)
{
    int64_t count = inner.len > 0;
    for (size_t at = 0; at < inner.len; at++)
        count += inner.p[at] == ',';
    return count;
}

/* Half a step above the largest float4, which is what smaller ones are rounded to. */
#define FLOAT4_END 0x1.ffffffp127

/* One element as double; told when the float4 that it was cannot be had back from it. */
static bool take_element(struct type_writer *w, struct str part, double *value)
{
    float single;
    if (!text_to_double(part, value) || !text_to_float(part, &single))
        return false;
    w->inexact |= !(fabs(*value) < FLOAT4_END) || (double) (float) *value != (double) single;
    return true;
}

bool write_vector(struct type_writer *w, const struct codec *c, struct str text)
{
    double value;
    float single;
    bool half = c->repr == &repr_table[REPR_HALFVEC];
    if (!unwrap(&text, '[', ']'))
        return false;
    int64_t count = count_parts(text);
    if (count)
        avro_put_long(w->out, count);
    for (int64_t at = 0; at < count; at++) {
        struct str part = take_part(&text);
        if (half ? !text_to_float(part, &single) : !take_element(w, part, &value))
            return false;
        if (half)
            avro_put_float(w->out, single);
        else
            avro_put_double(w->out, value);
    }
    avro_put_long(w->out, 0);
    return true;
}

/* As the float4 that it was; a foreign double that is none stays what it is. */
static void put_element(struct buf *text, double value)
{
    bool single = fabs(value) < FLOAT4_END;
    put_float_text(text, single ? (double) (float) value : value, single);
}

bool read_vector(struct type_reader *r, const struct codec *c, struct buf *text)
{
    const char *glue = "[";
    bool half = c->repr == &repr_table[REPR_HALFVEC];
    for (int64_t left = avro_get_block(&r->in); left > 0; left = avro_get_block(&r->in))
        for (; left > 0 && !r->in.failed; left--, glue = ",") {
            buf_add_text(text, glue);
            if (half)
                put_float_text(text, (double) avro_get_float(&r->in), true);
            else
                put_element(text, avro_get_double(&r->in));
        }
    buf_add_text(text, *glue == '[' ? "[]" : "]");
    return !r->in.failed && !text->over;
}

/* ---- sparsevec: "{1:1.5,3:2}/5", the indices rising ---- */

struct entry {
    uint32_t bucket, index;
    double value;
};

static bool take_entry(struct type_writer *w, struct str part, struct entry *entry)
{
    int64_t index;
    const char *colon = part.len ? memchr(part.p, ':', part.len) : NULL;
    if (!colon)
        return false;
    struct str key = {part.p, (size_t) (colon - part.p)};
    struct str value = {colon + 1, part.len - key.len - 1};
    if (!str_to_i64(key, &index) || index < 1 || index > INT16_MAX)
        return false;
    *entry = (struct entry){.index = (uint32_t) index};
    return take_element(w, value, &entry->value);
}

/* The entries to w->digits, in the order of the text. */
static bool take_entries(struct type_writer *w, struct str text)
{
    uint32_t last = 0;
    struct entry entry;
    buf_reset(&w->digits);
    for (int64_t left = count_parts(text); left > 0; left--) {
        if (!take_entry(w, take_part(&text), &entry) || entry.index <= last)
            return false;
        last = entry.index;
        buf_add(&w->digits, &entry, sizeof entry);
    }
    return !w->digits.over;
}

/* How many of the entries in front of entries[at] are in its bucket. */
static int crowd(const struct entry *entries, size_t at, uint32_t buckets)
{
    int count = 0;
    for (size_t before = 0; before < at; before++)
        count += ((entries[before].index ^ entries[at].index) & (buckets - 1)) == 0;
    return count;
}

/* Buckets of Java's HashMap that was made for so many entries and then grew: above three quarters, and, as long as
 * it is small, when a ninth entry comes into one bucket. A crowded bucket of a large map becomes a tree, of which we
 * do not have the order: Avro readers make a map of it again. */
static uint32_t hash_buckets(const struct entry *entries, size_t count)
{
    uint32_t buckets = 1;
    while (buckets < count)
        buckets *= 2;
    for (size_t at = 0; at < count && buckets < 64; at++) {
        if (crowd(entries, at, buckets) >= 8)
            buckets *= 2;
        if (at + 1 > buckets * 3 / 4)
            buckets *= 2;
    }
    return count > buckets / 4 * 3 && buckets >= 64 ? buckets * 2 : buckets;
}

static int by_bucket(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->bucket != y->bucket)
        return x->bucket > y->bucket ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

/* The dimensions behind the slash, which is cut off; no more than Debezium's int16. */
static bool cut_dimensions(struct str *text, int64_t *dimensions)
{
    const char *slash = text->len ? memchr(text->p, '/', text->len) : NULL;
    if (!slash)
        return false;
    size_t len = (size_t) (slash - text->p);
    struct str behind = {slash + 1, text->len - len - 1};
    text->len = len;
    return str_to_i64(behind, dimensions) && *dimensions >= 0 && *dimensions <= INT16_MAX;
}

/* Of an array of them Debezium fails. */
bool write_sparsevec(struct type_writer *w, const struct codec *c, struct str text)
{
    int64_t dimensions;
    if (c->array || !cut_dimensions(&text, &dimensions) || !unwrap(&text, '{', '}') || !take_entries(w, text))
        return false;
    struct entry *entries = (struct entry *) (void *) w->digits.p;
    size_t count = w->digits.len / sizeof *entries;
    uint32_t buckets = hash_buckets(entries, count);
    for (size_t at = 0; at < count; at++)
        entries[at].bucket = entries[at].index & (buckets - 1);
    if (count)
        qsort(entries, count, sizeof *entries, by_bucket);
    avro_put_long(w->out, dimensions);
    if (count)
        avro_put_long(w->out, (int64_t) count);
    for (size_t at = 0; at < count; at++) {
        avro_put_long(w->out, entries[at].index);
        avro_put_double(w->out, entries[at].value);
    }
    avro_put_long(w->out, 0);
    return true;
}

static bool get_entries(struct type_reader *r)
{
    buf_reset(&r->digits);
    for (int64_t left = avro_get_block(&r->in); left > 0; left = avro_get_block(&r->in))
        for (; left > 0; left--) {
            int32_t index = avro_get_int(&r->in);
            struct entry entry = {.index = (uint32_t) index, .value = avro_get_double(&r->in)};
            if (r->in.failed || index < 1)
                return false;
            buf_add(&r->digits, &entry, sizeof entry);
        }
    return !r->in.failed && !r->digits.over;
}

bool read_sparsevec(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    int32_t dimensions = avro_get_int(&r->in);
    if (!get_entries(r))
        return false;
    struct entry *entries = (struct entry *) (void *) r->digits.p;
    size_t count = r->digits.len / sizeof *entries;
    if (count)
        qsort(entries, count, sizeof *entries, by_bucket);
    buf_add_char(text, '{');
    for (size_t at = 0; at < count; at++) {
        if (at && entries[at].index == entries[at - 1].index)
            return false;
        buf_addf(text, "%s%u:", at ? "," : "", (unsigned) entries[at].index);
        put_element(text, entries[at].value);
    }
    buf_addf(text, "}/%d", (int) dimensions);
    return !text->over;
}
