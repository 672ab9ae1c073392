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
    uint32_t streamed;   /* between STREAM START and STREAM STOP: its transaction; else 0 */
    uint32_t prepared;   /* between BEGIN PREPARE and PREPARE: its transaction; else 0 */
    uint32_t prepares;   /* such transactions so far */
    uint32_t released;   /* a streamed transaction that was committed, and is to be fed now; else 0 */
    bool replayed;       /* the running transaction was streamed */
    uint64_t heard;      /* relations announced by the server so far */
    struct buf newer;    /* struct announced[]: what the replayed transaction is older than */
    struct buf kept;     /* a part's rest, when it is not what the server sent */
};

/* Types of payloads that this decoder makes itself, for what is fed again; the server has none such. */
enum { REPLAY_BEGIN = 1, REPLAY_RELATION = 2 };

/* A relation, and when it was announced, as counted by heard. */
struct announced {
    const struct relation *wire;
    uint64_t heard;
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

/* Microseconds since 1970 of the timestamp that comes next. */
int message_time(struct message *m, int64_t *us, struct err *e) MUST_CHECK;

/* Tell of a relation, announced as number heard, unless nothing of it is new. */
int message_announce(struct message *m, const struct relation *wire, uint64_t heard, struct err *e) MUST_CHECK;

/* Messages 'S', 'E', 'A' and 'c' after their type byte, and any one between 'S' and 'E'. */
int message_stream_start(struct message *m, struct err *e) MUST_CHECK;
int message_stream_stop(struct message *m, struct err *e) MUST_CHECK;
int message_stream_abort(struct message *m, struct err *e) MUST_CHECK;
int message_stream_commit(struct message *m, struct err *e) MUST_CHECK;
int message_part(struct message *m, struct err *e) MUST_CHECK;

/* Messages 'b', 'P', 'p', 'K' and 'r' after their type byte, and any one between 'b' and 'P'. */
int message_begin_prepare(struct message *m, struct err *e) MUST_CHECK;
int message_prepare(struct message *m, struct err *e) MUST_CHECK;
int message_stream_prepare(struct message *m, struct err *e) MUST_CHECK;
int message_commit_prepared(struct message *m, struct err *e) MUST_CHECK;
int message_rollback_prepared(struct message *m, struct err *e) MUST_CHECK;
int message_prepared_part(struct message *m, struct err *e) MUST_CHECK;

/* Payloads that begin and end the replay of xid, from LSN, end LSN and time of its commit as the server sent them. */
#define REPLAY_BEGIN_LEN 21
#define REPLAY_COMMIT_LEN 26
struct replay_ends {
    uint8_t begin[REPLAY_BEGIN_LEN], commit[REPLAY_COMMIT_LEN];
};
void message_make_ends(uint32_t xid, const char lsns_and_time[24], struct replay_ends *out);

/* REPLAY_RELATION; and the end of a replay. */
int message_replay_relation(struct message *m, struct err *e) MUST_CHECK;
int message_replay_end(struct message *m, struct err *e) MUST_CHECK;

/* Message 'R' of a relation that nobody is to be told of before a row needs it. */
int message_relation_ahead(struct message *m, struct err *e) MUST_CHECK;

/* Messages 'R', 'I', 'U', 'D' and 'T' after their type byte. */
int message_relation(struct message *m, struct err *e) MUST_CHECK;
int message_insert(struct message *m, struct err *e) MUST_CHECK;
int message_update(struct message *m, struct err *e) MUST_CHECK;
int message_delete(struct message *m, struct err *e) MUST_CHECK;
int message_truncate(struct message *m, struct err *e) MUST_CHECK;

#endif
