/* SPDX-License-Identifier: Apache-2.0
 *
 * Types that only strict maps, as Debezium does: bit strings, money, point. In sane they travel as
 * PostgreSQL's text, which loses nothing.
 */
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

#define MONEY_MAX 40

/* "-12345.60"; its length. */
static size_t plain_money(struct str text, char plain[MONEY_MAX])
{
    size_t len = 0, point = money_point(text);
    if (memchr(text.p, '-', text.len) || memchr(text.p, '(', text.len))
        plain[len++] = '-';
    for (size_t at = 0; at < text.len && len < MONEY_MAX - 4; at++) {
        if (is_digit(text.p[at]))
            plain[len++] = text.p[at];
        else if (at == point)
            plain[len++] = '.';
    }
    if (point == text.len) {
        memcpy(plain + len, ".00", 3);
        len += 3;
    }
    return len;
}

bool write_money(struct type_writer *w, const struct codec *c, struct str text)
{
    char plain[MONEY_MAX];
    return write_decimal(w, c, (struct str){plain, plain_money(text, plain)});
}

bool write_money_double(struct type_writer *w, const struct codec *c, struct str text)
{
    char plain[MONEY_MAX];
    return write_numeric_double(w, c, (struct str){plain, plain_money(text, plain)});
}

bool write_money_string(struct type_writer *w, const struct codec *c, struct str text)
{
    char plain[MONEY_MAX];
    return write_string(w, c, (struct str){plain, plain_money(text, plain)});
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
