/* SPDX-License-Identifier: Apache-2.0
 *
 * What a decoder emits, as one line of text a call: how the vectors write what they expect.
 */
#ifndef TR_TESTS_DECODERS_DUMP_H
#define TR_TESTS_DECODERS_DUMP_H

#include "decoders/decoder.h"

/* A decoder_out whose calls append to out, "; " between two. */
struct decoder_out dump_to(struct buf *out);

#define KEEPER_PARTS 256

/* Keeps parts of streamed transactions, and feeds them at the commit as the source does. The first
 * member is what dump_to would append to. */
struct keeper {
    struct buf out;
    const struct decoder_driver *driver;
    struct decoder *d;
    struct arena *scratch;
    struct decoder_part parts[KEEPER_PARTS];
    bool gone[KEEPER_PARTS];
    int count;
};

/* dump_to(&k->out), with streamed transactions. The others of k are set by the caller. */
struct decoder_out keeper_to(struct keeper *k);
/* Forget the parts. */
void keeper_clear(struct keeper *k);

/* The bytes that hex digits stand for; false when it is not an even number of those. */
bool hex_bytes(struct str hex, struct buf *out);

#endif
