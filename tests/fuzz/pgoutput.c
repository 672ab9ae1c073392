/* SPDX-License-Identifier: Apache-2.0
 *
 * libFuzzer target: a stream of pgoutput messages, each behind its length in two bytes.
 *
 * What must hold for any bytes: no crash, no read past the end of a message (each is fed from an
 * allocation of its own length), errors are E_DECODE, and the same stream gives the same calls.
 */
#include <stdlib.h>

#include "agent/base/cursor.h"
#include "tests/unit/decoders/dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed_one(struct keeper *k, struct str bytes)
{
    struct arena scratch;
    struct err e = ERR_INIT;
    struct decoder_out calls = keeper_to(k);
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

static void feed_all(const uint8_t *data, size_t size, struct buf *out)
{
    struct keeper *k = mem_zalloc(1, sizeof *k);
    k->driver = decoder_find("pgoutput");
    k->d = k->driver->open();
    struct cursor c = cursor_of((struct str){(const char *) data, size});
    while (c.left > 2) {
        size_t len = cursor_u16(&c);
        feed_one(k, cursor_bytes(&c, len < c.left ? len : c.left));
    }
    k->driver->close(k->d);
    keeper_clear(k);
    *out = k->out;
    free(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf first = BUF_INIT, second = BUF_INIT;
    feed_all(data, size, &first);
    feed_all(data, size, &second);
    if (!str_eq(buf_str(&first), buf_str(&second)))
        abort();
    buf_free(&first);
    buf_free(&second);
    return 0;
}
