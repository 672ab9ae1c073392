/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/lines.h"

#include <stdlib.h>

#include "agent/base/cursor.h"
#include "tests/unit/decoders/dump.h"

static void feed_one(struct keeper *k, int kept, struct str bytes)
{
    struct arena scratch;
    struct err e = ERR_INIT;
    struct decoder_out calls = kept ? keeper_to(k) : dump_to(&k->out);
    char *copy = mem_alloc(bytes.len ? bytes.len : 1);
    if (bytes.len)
        memcpy(copy, bytes.p, bytes.len);
    arena_init(&scratch, 0, "fuzz");
    k->scratch = &scratch;
    if (k->driver->feed(k->d, (struct str){copy, bytes.len}, 1, &scratch, &calls, &e)) {
        if (e.code != E_DECODE || !e.msg[0])
            abort();
        buf_add_text(&k->out, e.msg);
    }
    arena_free(&scratch);
    free(copy);
}

static void feed_all(const char *name, int kept, struct str bytes, struct buf *out)
{
    struct keeper *k = mem_zalloc(1, sizeof *k);
    k->driver = decoder_find(name);
    k->d = k->driver->open();
    struct cursor c = cursor_of(bytes);
    while (c.left > 2) {
        size_t len = cursor_u16(&c);
        feed_one(k, kept, cursor_bytes(&c, len < c.left ? len : c.left));
    }
    k->driver->close(k->d);
    keeper_clear(k);
    *out = k->out;
    free(k);
}

void fuzz_decoder(const char *name, int kept, const uint8_t *data, size_t size)
{
    struct buf first = BUF_INIT, second = BUF_INIT;
    struct str bytes = {(const char *) data, size};
    feed_all(name, kept, bytes, &first);
    feed_all(name, kept, bytes, &second);
    if (!str_eq(buf_str(&first), buf_str(&second)))
        abort();
    buf_free(&first);
    buf_free(&second);
}
