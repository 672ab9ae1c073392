/* SPDX-License-Identifier: Apache-2.0
 *
 * Topic names and Avro names of tables and columns.
 */
#include "schemas/plan.h"

#define TOPIC_MAX 249 /* what Kafka takes */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* '_' for each UTF-16 unit that the UTF-8 byte c begins: none for a continuation byte. */
static size_t units(char c)
{
    uint8_t byte = (uint8_t) c;
    return byte >= 0xf0 ? 2 : byte >= 0x80 && byte < 0xc0 ? 0 : 1;
}

struct str schema_name(struct arena *a, struct str text, bool dots)
{
    char *out = arena_alloc(a, 2 * text.len + 2);
    size_t len = 0;
    bool start = true; /* of a part */
    for (size_t at = 0; at < text.len; at++) {
        char c = text.p[at];
        if (dots && c == '.') {
            if (start)
                out[len++] = '_';
            out[len++] = c;
            start = true;
            continue;
        }
        if (start && is_digit(c))
            out[len++] = '_';
        if (is_letter(c) || is_digit(c))
            out[len++] = c;
        else
            for (size_t unit = units(c); unit > 0; unit--)
                out[len++] = '_';
        start = false;
    }
    if (start)
        out[len++] = '_';
    return (struct str){out, len};
}

static void add_part(struct buf *out, struct str part)
{
    if (!part.len)
        return;
    if (out->len)
        buf_add_char(out, '.');
    for (size_t at = 0; at < part.len; at++) {
        char c = part.p[at];
        if (is_letter(c) || is_digit(c) || c == '.' || c == '-')
            buf_add_char(out, c);
        else
            for (size_t unit = units(c); unit > 0; unit--)
                buf_add_char(out, '_');
    }
}

struct str envelope_topic(struct arena *a, struct str prefix, struct str space, struct str name)
{
    struct buf topic = BUF_INIT;
    add_part(&topic, prefix);
    add_part(&topic, space);
    add_part(&topic, name);
    if (topic.len > TOPIC_MAX)
        topic.len = TOPIC_MAX;
    struct str out = arena_str(a, buf_str(&topic));
    buf_free(&topic);
    if (str_is(out, "."))
        return STR("_");
    return str_is(out, "..") ? STR("__") : out;
}
