/* SPDX-License-Identifier: Apache-2.0
 *
 * bytea: as bytes, and as texts in base64 or hexadecimal. PostgreSQL's text is \\x and two lower-case digits a byte
 * (bytea_output hex).
 */
#include "schemas/types.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_bytea(struct str text)
{
    return text.len % 2 == 0 && str_starts(text, "\\x");
}

/* The bytes of a text for which is_bytea holds, to the end of out. */
static bool put_unhexed(struct buf *out, struct str text)
{
    size_t len = text.len / 2 - 1;
    char *to = buf_grow(out, len);
    if (!to)
        return false;
    int bad = 0;
    for (size_t at = 0; at < len; at++) {
        int high = hex_digit(text.p[2 + 2 * at]), low = hex_digit(text.p[3 + 2 * at]);
        bad |= high | low;
        to[at] = (char) (high * 16 + low);
    }
    out->len += len;
    return bad >= 0;
}

bool write_bytes(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    if (!is_bytea(text))
        return false;
    avro_put_long(w->out, (int64_t) (text.len / 2 - 1));
    return put_unhexed(w->out, text);
}

static bool put_bytea(struct buf *text, struct str bytes)
{
    static const char digits[] = "0123456789abcdef";
    char *to = buf_grow(text, 2 + 2 * bytes.len);
    if (!to)
        return false;
    *to++ = '\\';
    *to++ = 'x';
    for (size_t at = 0; at < bytes.len; at++) {
        *to++ = digits[(uint8_t) bytes.p[at] >> 4];
        *to++ = digits[bytes.p[at] & 15];
    }
    text->len += 2 + 2 * bytes.len;
    text->p[text->len] = 0;
    return true;
}

bool read_bytes(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    struct str bytes = avro_get_bytes(&r->in);
    return !r->in.failed && put_bytea(text, bytes);
}

/* ---- hexadecimal ---- */

bool write_hex(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    int bad = 0;
    if (!is_bytea(text))
        return false;
    for (size_t at = 2; at < text.len; at++)
        bad |= hex_digit(text.p[at]);
    avro_put_bytes(w->out, (struct str){text.p + 2, text.len - 2});
    return bad >= 0;
}

/* What is none is the placeholder of an unchanged value, which a header tells. */
bool read_hex(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    struct str s = avro_get_bytes(&r->in);
    int bad = 0;
    for (size_t at = 0; at < s.len; at++)
        bad |= hex_digit(s.p[at]);
    r->stand_in |= bad < 0 || s.len % 2;
    buf_add_text(text, "\\x");
    buf_add_str(text, s);
    return !r->in.failed;
}

/* ---- base64, filled up with '=' ---- */

static void encode(struct buf *out, struct str bytes, const char *digits)
{
    const uint8_t *p = (const uint8_t *) bytes.p;
    char *to = buf_grow(out, (bytes.len + 2) / 3 * 4);
    for (size_t at = 0; to && at < bytes.len; at += 3) {
        size_t have = bytes.len - at < 3 ? bytes.len - at : 3;
        uint32_t bits = (uint32_t) p[at] << 16;
        bits |= have > 1 ? (uint32_t) p[at + 1] << 8 : 0;
        bits |= have > 2 ? p[at + 2] : 0;
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = have > 1 ? digits[bits >> 6 & 63] : '=';
        *to++ = have > 2 ? digits[bits & 63] : '=';
    }
    if (to)
        out->len += (bytes.len + 2) / 3 * 4;
}

void put_base64(struct buf *out, struct str bytes)
{
    encode(out, bytes, standard);
}

static bool write_encoded(struct type_writer *w, struct str text, const char *digits)
{
    buf_reset(&w->text);
    if (!is_bytea(text) || !put_unhexed(&w->text, text))
        return false;
    avro_put_long(w->out, (int64_t) ((w->text.len + 2) / 3 * 4));
    encode(w->out, buf_str(&w->text), digits);
    return !w->out->over;
}

bool write_base64(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    return write_encoded(w, text, standard);
}

bool write_base64_url(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    return write_encoded(w, text, url_safe);
}

/* Four digits as three bytes; the last four of a text end in up to two '='. -1 when they are no such digits. */
static int decode_four(const char *four, const char *digits, uint8_t out[3])
{
    uint32_t bits = 0;
    int have = four[3] != '=' ? 3 : four[2] != '=' ? 2 : 1;
    for (int at = 0; at <= have; at++) {
        const char *digit = memchr(digits, four[at], 64);
        if (!digit)
            return -1;
        bits |= (uint32_t) (digit - digits) << (18 - 6 * at);
    }
    if (have < 3 && bits << (8 + 8 * have)) /* bits that no byte has */
        return -1;
    for (int byte = 0; byte < 3; byte++)
        out[byte] = (uint8_t) (bits >> (16 - 8 * byte));
    return have;
}

static bool read_encoded(struct type_reader *r, const char *digits, struct buf *text)
{
    struct str s = avro_get_bytes(&r->in);
    if (r->in.failed || s.len % 4)
        return false;
    buf_reset(&r->digits);
    for (size_t at = 0; at < s.len; at += 4) {
        uint8_t three[3];
        int have = decode_four(s.p + at, digits, three);
        if (have < 0 || (have < 3 && at + 4 < s.len))
            return false;
        buf_add(&r->digits, three, (size_t) have);
    }
    return !r->digits.over && put_bytea(text, buf_str(&r->digits));
}

bool read_base64(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    return read_encoded(r, standard, text);
}

bool read_base64_url(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    return read_encoded(r, url_safe, text);
}
