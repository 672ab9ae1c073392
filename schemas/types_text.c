/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts and one-dimensional arrays.
 */
#include "schemas/types.h"

bool write_string(struct type_writer *w, const struct codec *c, struct str text)
{
    (void) c;
    avro_put_bytes(w->out, text);
    return true;
}

bool read_string(struct type_reader *r, const struct codec *c, struct buf *text)
{
    (void) c;
    buf_add_str(text, avro_get_bytes(&r->in));
    return !r->in.failed;
}

/* ---- arrays ---- */

/* typdelim of the element's type: PostGIS has a colon. */
static char delimiter(const struct codec *c)
{
    return c->repr->write == write_geometry ? ':' : ',';
}

/* Delimiters outside quotes plus one. */
static int64_t count_items(struct str inner, char delim)
{
    int64_t count = 1;
    bool quoted = false;
    for (size_t at = 0; at < inner.len; at++) {
        if (quoted && inner.p[at] == '\\')
            at++;
        else if (inner.p[at] == '"')
            quoted = !quoted;
        else if (!quoted && inner.p[at] == delim)
            count++;
    }
    return count;
}

struct item {
    struct str text;
    bool null;
};

/* A quoted item, unescaped when it must be. */
static bool take_quoted(struct type_writer *w, struct str *inner, struct item *item)
{
    size_t at = 1;
    bool escaped = false;
    while (at < inner->len && inner->p[at] != '"') {
        escaped |= inner->p[at] == '\\';
        at += inner->p[at] == '\\' ? 2 : 1;
    }
    if (at >= inner->len)
        return false;
    item->text = (struct str){inner->p + 1, at - 1};
    *inner = (struct str){inner->p + at + 1, inner->len - at - 1};
    if (!escaped)
        return true;
    buf_reset(&w->element);
    char *to = buf_grow(&w->element, item->text.len);
    if (!to)
        return false;
    size_t len = 0;
    for (size_t from = 0; from < item->text.len; from++) {
        from += item->text.p[from] == '\\';
        to[len++] = item->text.p[from];
    }
    w->element.len = len;
    item->text = buf_str(&w->element);
    return true;
}

/* The next item and the delimiter behind it. A brace outside quotes is a second dimension. */
static bool take_item(struct type_writer *w, struct str *inner, char delim, struct item *item)
{
    *item = (struct item){{inner->p, 0}, false};
    if (inner->len && inner->p[0] == '"') {
        if (!take_quoted(w, inner, item))
            return false;
    } else {
        size_t at = 0;
        while (at < inner->len && inner->p[at] != delim)
            if (memchr("{}\"\\", inner->p[at++], 4))
                return false;
        item->text.len = at;
        item->null = str_is(item->text, "NULL");
        *inner = (struct str){inner->p + at, inner->len - at};
        if (at == 0)
            return false;
    }
    if (inner->len && inner->p[0] != delim)
        return false;
    if (inner->len)
        *inner = (struct str){inner->p + 1, inner->len - 1};
    return true;
}

/* Debezium has NULL for a moment outside its nanoseconds. */
static bool null_instead(const struct codec *c)
{
    return c->strict && c->element_null >= 0 && c->repr == &repr_table[REPR_TIMESTAMP_NS];
}

static bool write_item(struct type_writer *w, const struct codec *c, const struct item *item)
{
    size_t begin = w->out->len;
    if (c->element_null >= 0)
        avro_put_long(w->out, item->null ? c->element_null : !c->element_null);
    if (item->null || c->repr->write(w, c, item->text))
        return true;
    if (!null_instead(c))
        return false;
    w->out->len = begin;
    avro_put_long(w->out, c->element_null);
    w->inexact = true;
    return true;
}

/* Only "{...}" with one dimension and bounds from 1; "[0:2]={...}" says other bounds. */
bool write_array(struct type_writer *w, const struct codec *c, struct str text)
{
    if (text.len < 2 || text.p[0] != '{' || text.p[text.len - 1] != '}')
        return false;
    struct str inner = {text.p + 1, text.len - 2};
    int64_t count = inner.len ? count_items(inner, delimiter(c)) : 0;
    if (count)
        avro_put_long(w->out, count);
    for (int64_t at = 0; at < count; at++) {
        struct item item;
        if (!take_item(w, &inner, delimiter(c), &item) || (item.null && c->element_null < 0))
            return false;
        if (!write_item(w, c, &item))
            return false;
    }
    avro_put_long(w->out, 0);
    return inner.len == 0;
}

/* As array_out decides: empty, NULL in any case, or with a character that has a meaning. */
static bool needs_quotes(struct str s)
{
    if (s.len == 0 || (s.len == 4 && (s.p[0] | 32) == 'n' && (s.p[1] | 32) == 'u'
                       && (s.p[2] | 32) == 'l' && (s.p[3] | 32) == 'l'))
        return true;
    for (size_t at = 0; at < s.len; at++)
        if (memchr("\"\\{}, \t\n\r\v\f", s.p[at], 11))
            return true;
    return false;
}

static void put_item(struct buf *text, struct str item)
{
    bool quotes = needs_quotes(item);
    if (!quotes) {
        buf_add_str(text, item);
        return;
    }
    buf_add_char(text, '"');
    for (size_t at = 0; at < item.len; at++) {
        if (item.p[at] == '"' || item.p[at] == '\\')
            buf_add_char(text, '\\');
        buf_add_char(text, item.p[at]);
    }
    buf_add_char(text, '"');
}

static bool read_item(struct type_reader *r, const struct codec *c, struct buf *text)
{
    if (c->element_null >= 0 && avro_get_index(&r->in, 2) == c->element_null) {
        buf_add_text(text, "NULL");
        return !r->in.failed;
    }
    buf_reset(&r->element);
    if (r->in.failed || !c->repr->read(r, c, &r->element))
        return false;
    put_item(text, buf_str(&r->element));
    return true;
}

bool read_array(struct type_reader *r, const struct codec *c, struct buf *text)
{
    bool first = true;
    buf_add_char(text, '{');
    for (int64_t left = avro_get_block(&r->in); left > 0; left = avro_get_block(&r->in)) {
        for (; left > 0; left--) {
            if (!first)
                buf_add_char(text, delimiter(c));
            first = false;
            if (!read_item(r, c, text))
                return false;
        }
    }
    buf_add_char(text, '}');
    return !r->in.failed && !text->over;
}
