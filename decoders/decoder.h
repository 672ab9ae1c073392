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

/* A message of a streamed transaction: to feed it, its payload is type followed by rest. */
struct decoder_part {
    uint32_t xid, subxid; /* the transaction; which of its subtransactions, or itself */
    uint64_t lsn;         /* of the header it came in */
    uint8_t type;
    struct str rest;
};

/* A transaction that was prepared for two-phase commit. */
struct decoder_prepared {
    uint32_t xid;
    struct str gid;        /* its name, as the client gave it */
    uint64_t lsn, end_lsn; /* of the record that prepared it; of the one that ended it, for prepared_end */
};

/* begun: its parts come now, and then ended. streamed: they came before, as those of a transaction that is open. */
enum decoder_prepare { PREPARE_BEGUN, PREPARE_ENDED, PREPARE_STREAMED };

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
    /* The rest is of transactions that the server sends before they are committed ("streamed"). Their
     * messages are not looked into yet: the callee keeps them, in order, and when the transaction
     * commits feeds begin, those not given up, and commit, with the LSN of each. */
    int (*part)(void *self, const struct decoder_part *part, struct err *e);
    /* Give up what is kept of a subtransaction, or of all of xid when subxid is the same. */
    int (*part_abort)(void *self, uint32_t xid, uint32_t subxid, struct err *e);
    /* Both payloads are borrowed until the call returns. Nothing else may be fed before commit is. */
    int (*part_commit)(void *self, uint32_t xid, struct str begin, struct str commit, struct err *e);
    /* Two-phase commit, on slots that have it: what was prepared is never sent again once it is confirmed, so its parts have
     * to be durable before. NULL: such messages are E_DECODE. */
    int (*prepare)(void *self, const struct decoder_prepared *p, enum decoder_prepare step, struct err *e);
    /* What was prepared is committed, as part_commit, or rolled back: begin and commit are empty then. Maybe long after, behind
     * restarts. */
    int (*prepared_end)(void *self, const struct decoder_prepared *p, struct str begin, struct str commit, struct err *e);
};

struct decoder;

/* What is asked of the output plugin. */
struct decoder_wish {
    struct str publications; /* comma-separated list of quoted identifiers */
    int server_version;      /* PQserverVersion */
    bool streaming;          /* large transactions while they are open */
    bool two_phase;          /* prepared transactions when they are prepared; the slot keeps that for ever */
};

struct decoder_driver {
    const char *name; /* output plugin: "pgoutput" */
    /* Options for START_REPLICATION, as SQL text `"proto_version" '1', ...`. */
    void (*start_options)(const struct decoder_wish *wish, struct buf *out);
    struct decoder *(*open)(void);
    /* One CopyData payload after its 'w' header; start_lsn is that header's WAL start. scratch
     * holds rows until the caller resets it, at the earliest after feed returns. */
    int (*feed)(struct decoder *d, struct str payload, uint64_t start_lsn, struct arena *scratch,
                const struct decoder_out *out, struct err *e) MUST_CHECK;
    /* OID of the table that a message is a row of, 0 when it is another one: for an error about its
     * size before it is fed. */
    uint32_t (*row_table)(const struct decoder *d, struct str payload);
    /* The next announcement of this relation counts as a new one, although it may say what the last one said. NULL: the plugin
     * announces none. May be called from within feed. */
    void (*renew)(struct decoder *d, uint32_t oid);
    /* Forget a transaction that was begun and the relations (a new connection sends them anew). */
    void (*restart)(struct decoder *d);
    void (*close)(struct decoder *d);
};

/* By name, NULL when unknown. */
const struct decoder_driver *decoder_find(const char *name);

#endif
