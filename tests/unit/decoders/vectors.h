/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables of messages under tests/cases: case, server, LSN, bytes in hex, what is expected, source.
 */
#ifndef TR_TESTS_DECODERS_VECTORS_H
#define TR_TESTS_DECODERS_VECTORS_H

#include "agent/base/arena.h"

struct vector {
    struct str name, server, bytes, expected;
    uint64_t lsn;
};

/* The rows of a file, comments and empty lines left out; returns how many. Fails the test when there are more than max. */
int vectors_load(const char *file, struct vector *vectors, int max, struct arena *a);

#endif
