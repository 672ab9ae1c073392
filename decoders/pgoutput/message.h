/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this decoder share: its state, and one message while it is read.
 */
#ifndef TR_DECODERS_PGOUTPUT_MESSAGE_H
#define TR_DECODERS_PGOUTPUT_MESSAGE_H

#include "agent/base/cursor.h"
#include "decoders/decoder.h"
#include "decoders/pgoutput/relcache.h"

struct decoder {
    struct relcache relations;
    bool in_txn;
    struct txn txn;      /* valid while in_txn */
    uint64_t seq;        /* changes emitted in this transaction */
    struct buf origin;   /* txn.origin points into it */
};

struct message {
    struct decoder *d;
    struct cursor c;     /* what is left of the payload */
    size_t len;          /* of the whole payload */
    uint8_t type;        /* first byte */
    uint64_t lsn;        /* WAL start of the header around it */
    struct arena *scratch;
    const struct decoder_out *out;
};

/* Fill e with E_DECODE: "malformed pgoutput message 'U' at byte 17 of 40: " and the sentence given,
 * the byte being the next one to be read. Returns -1. */
int message_bad(const struct message *m, struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* 0 when all reads so far lay within the message; else -1 and E_DECODE. what names the part read. */
int message_whole(const struct message *m, const char *what, struct err *e) MUST_CHECK;

/* 0 when the message ends here, within bounds; else -1 and E_DECODE. */
int message_end(const struct message *m, struct err *e) MUST_CHECK;

/* 0 within a transaction; else -1 and E_DECODE. */
int message_in_txn(const struct message *m, struct err *e) MUST_CHECK;

/* Give a change of the running transaction to the caller, with its number in it. */
int message_emit(const struct message *m, struct change *change, struct err *e) MUST_CHECK;

/* Messages 'R', 'I', 'U', 'D' and 'T' after their type byte. */
int message_relation(struct message *m, struct err *e) MUST_CHECK;
int message_insert(struct message *m, struct err *e) MUST_CHECK;
int message_update(struct message *m, struct err *e) MUST_CHECK;
int message_delete(struct message *m, struct err *e) MUST_CHECK;
int message_truncate(struct message *m, struct err *e) MUST_CHECK;

#endif
