/* SPDX-License-Identifier: Apache-2.0
 *
 * What the targets of decoders share: a stream of messages, each behind its length in two bytes.
 *
 * What must hold for any bytes: no crash, no read past the end of a message (each is fed from an
 * allocation of its own length), errors are E_DECODE, and the same stream gives the same calls.
 */
#ifndef TR_TESTS_FUZZ_LINES_H
#define TR_TESTS_FUZZ_LINES_H

#include <stddef.h>
#include <stdint.h>

/* Feed the stream twice to the named decoder, kept: with parts of open transactions kept until their commit. */
void fuzz_decoder(const char *name, int kept, const uint8_t *data, size_t size);

#endif
