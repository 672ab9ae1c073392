/* SPDX-License-Identifier: Apache-2.0
 *
 * The decoder of PostgreSQL's built-in output plugin, protocol version 1, text tuples.
 */
#ifndef TR_DECODERS_PGOUTPUT_H
#define TR_DECODERS_PGOUTPUT_H

#include "decoders/decoder.h"

/* Row of decoders.c; the contract is decoders/decoder.h. The message formats are those of
 * PostgreSQL's documentation, "Logical Replication Message Formats". */
extern const struct decoder_driver decoder_pgoutput;

#endif
