/* SPDX-License-Identifier: Apache-2.0
 *
 * What a decoder emits, as one line of text a call: how the vectors write what they expect.
 */
#ifndef TR_TESTS_DECODERS_DUMP_H
#define TR_TESTS_DECODERS_DUMP_H

#include "decoders/decoder.h"

/* A decoder_out whose calls append to out, "; " between two. */
struct decoder_out dump_to(struct buf *out);

/* The bytes that hex digits stand for; false when it is not an even number of those. */
bool hex_bytes(struct str hex, struct buf *out);

#endif
