/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/arena.h"
#include "agent/base/str.h"

char *buf_grow(struct buf *b, size_t len)
{
    size_t max = b->max ? b->max : BUF_MAX_DEFAULT;
    if (b->len > max || len > max - b->len) {
        b->over = true;
        return NULL;
    }
    if (b->room - b->len <= len) { /* one byte stays for the NUL */
        size_t room = b->room ? b->room : 64;
        while (room - b->len <= len)
            room *= 2;
        b->p = mem_realloc(b->p, room);
        b->room = room;
    }
    return b->p + b->len;
}

void buf_add(struct buf *b, const void *bytes, size_t len)
{
    char *at = buf_grow(b, len);
    if (!at)
        return;
    if (len)
        memcpy(at, bytes, len);
    b->len += len;
    b->p[b->len] = 0;
}

void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.len);
}

void buf_add_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_add_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_vaddf(struct buf *b, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, fmt, args);
    char *at = len < 0 ? NULL : buf_grow(b, (size_t) len);
    if (at) {
        vsnprintf(at, (size_t) len + 1, fmt, again);
        b->len += (size_t) len;
    }
    va_end(again);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    buf_vaddf(b, fmt, args);
    va_end(args);
}

/* Length of the UTF-8 sequence at the start of s by RFC 3629; 0 when it is none. */
static size_t utf8_len(struct str s)
{
    const uint8_t *p = (const uint8_t *) s.p;
    size_t need = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (need == 0 || need > s.len)
        return 0;
    for (size_t at = 1; at < need; at++)
        if ((p[at] & 0xc0) != 0x80)
            return 0;
    bool bad = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f)
        || (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f);
    return bad ? 0 : need;
}

static void add_json_char(struct buf *b, struct str s, size_t len)
{
    unsigned char c = (unsigned char) s.p[0];
    if (len == 0)
        buf_add_text(b, "\xef\xbf\xbd");
    else if (c == '"' || c == '\\')
        buf_addf(b, "\\%c", c);
    else if (c == '\n')
        buf_add_text(b, "\\n");
    else if (c == '\t')
        buf_add_text(b, "\\t");
    else if (c == '\r')
        buf_add_text(b, "\\r");
    else if (c < 0x20)
        buf_addf(b, "\\u%04x", c);
    else
        buf_add(b, s.p, len);
}

void buf_add_json(struct buf *b, struct str s)
{
    buf_add_char(b, '"');
    while (s.len) {
        size_t len = utf8_len(s), step = len ? len : 1;
        add_json_char(b, s, len);
        s = (struct str){s.p + step, s.len - step};
    }
    buf_add_char(b, '"');
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->over = false;
    if (b->p)
        b->p[0] = 0;
}

void buf_free(struct buf *b)
{
    free(b->p);
    *b = (struct buf){.max = b->max};
}
