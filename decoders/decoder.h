/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoder seam: bytes of a logical decoding output plugin to changes.
 *
 * A decoder does no I/O, reads no clock and has no globals: the same bytes give the same calls.
 * It reads none past the end of a message; malformed bytes are E_DECODE with the message type and
 * offset. A decoder is one folder here and one line in decoders.c.
 */
#ifndef TR_DECODERS_DECODER_H
#define TR_DECODERS_DECODER_H

#include "agent/base/err.h"
#include "schemas/change.h"

/* What a decoder emits, in WAL order. Called from within feed; a return of -1 (err filled) unwinds
 * through feed, after which restart is due. Everything passed is borrowed until the call returns,
 * except relations, which live until the decoder closes, and texts of values, which are part of the
 * payload. Positions have lsn and seq (from 1 in each transaction); system id, timeline and seen_us
 * are the caller's. A message that is not transactional comes with an empty txn (xid 0) and its own
 * LSN as position, seq 0. */
struct decoder_out {
    void *self;
    int (*begin)(void *self, const struct txn *txn, struct err *e);
    /* origin of the running transaction is known: txn->origin is filled from here on */
    int (*origin)(void *self, const struct txn *txn, struct err *e);
    /* A RELATION message as the wire has it: kind by built-in OID, not_null, key_position,
     * type_name, type_sql unknown (false, 0, empty). The callee may return a refined one in
     * *refined (same column count and order, living as long as the decoder); changes then carry
     * that. Called only when the message differs from the one before, or is the first since open or
     * restart; each call has a higher version of that oid. */
    int (*relation)(void *self, const struct relation *wire, const struct relation **refined,
                    struct err *e);
    int (*change)(void *self, const struct change *change, const struct txn *txn, struct err *e);
    int (*commit)(void *self, const struct txn *txn, struct err *e);
};

struct decoder;

struct decoder_driver {
    const char *name; /* output plugin: "pgoutput" */
    /* Options for START_REPLICATION, as SQL text `"proto_version" '1', ...`; publications is a
     * comma-separated list of quoted identifiers. */
    void (*start_options)(struct str publications, int server_version, struct buf *out);
    struct decoder *(*open)(void);
    /* One CopyData payload after its 'w' header; start_lsn is that header's WAL start. scratch
     * holds rows until the caller resets it, at the earliest after feed returns. */
    int (*feed)(struct decoder *d, struct str payload, uint64_t start_lsn, struct arena *scratch,
                const struct decoder_out *out, struct err *e) MUST_CHECK;
    /* Forget a transaction that was begun and the relations (a new connection sends them anew). */
    void (*restart)(struct decoder *d);
    void (*close)(struct decoder *d);
};

/* By name, NULL when unknown. */
const struct decoder_driver *decoder_find(const char *name);

#endif
