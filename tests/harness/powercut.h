/* SPDX-License-Identifier: Apache-2.0
 *
 * The journals between powercut.so and powercut_undo, one a file of the program: records one after
 * another, each a head, the file's path, then bytes. A sync of the file empties its journal.
 */
#ifndef TR_TEST_POWERCUT_H
#define TR_TEST_POWERCUT_H

#include <stdint.h>

#define POWERCUT_MAGIC 0x70637574u

enum powercut_kind {
    POWERCUT_WRITE = 1, /* bytes: what stood in [offset, offset + len) before, as far as the file reached */
    POWERCUT_CUT = 2,   /* ftruncate: bytes: what stood from offset on before */
    POWERCUT_KEEP = 3,  /* a write through O_DSYNC or O_SYNC: bytes: what was written, durable at once */
};

struct powercut_head {
    uint32_t magic;
    uint32_t kind;
    uint64_t offset;
    uint64_t old_size; /* of the file, before */
    uint32_t path_len;
    uint32_t len;      /* of the bytes */
};

#endif
