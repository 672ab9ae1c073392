/* SPDX-License-Identifier: Apache-2.0
 *
 * The decoder of test_decoding, the output plugin that comes with every server and needs no publication.
 */
#ifndef TR_DECODERS_TEST_DECODING_H
#define TR_DECODERS_TEST_DECODING_H

#include "decoders/decoder.h"

/* Row of decoders.c; the contract is decoders/decoder.h. Relations have OID 0 and no types but their names (type_sql, without
 * a modifier): who refines them looks them up by name, and by the identity of the refined one it is known whether an old row is
 * whole. The form of the lines is that of contrib/test_decoding/test_decoding.c of PostgreSQL 14 to 18. */
extern const struct decoder_driver decoder_test_decoding;

#endif
