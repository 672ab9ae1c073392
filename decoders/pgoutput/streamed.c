/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions that the server sends before they are committed.
 *
 * They come in runs between STREAM START and STREAM STOP, each message with the subtransaction that
 * it belongs to, until STREAM COMMIT or STREAM ABORT. Nothing is decoded before the commit: a
 * message is handed on as a part, in the form that it has in a whole transaction, so that feeding
 * begin, parts and commit is all that is different. A relation's announcement belongs to its
 * transaction (others have to hear it again) and stays among the parts, also when its
 * subtransaction is given up, since the server does not announce it again for the others of the
 * same transaction. It carries its place among all announcements: one that another transaction heard
 * later is put back after the replay.
 * Formats: PostgreSQL documentation, "Logical Replication Message Formats", protocol version 2 on.
 */
#include "decoders/pgoutput/message.h"

int message_stream_start(struct message *m, struct err *e)
{
    uint32_t xid = cursor_u32(&m->c);
    (void) cursor_u8(&m->c); /* whether it is the first run */
    if (message_end(m, e))
        return -1;
    if (!xid)
        return message_bad(m, e, "streamed transaction without a number");
    if (m->d->in_txn)
        return message_bad(m, e, "transaction %u is streamed within transaction %u", (unsigned) xid,
                           (unsigned) m->d->txn.xid);
    m->d->streamed = xid;
    return 0;
}

int message_stream_stop(struct message *m, struct err *e)
{
    if (!m->d->streamed)
        return message_bad(m, e, "outside of a streamed transaction");
    m->d->streamed = 0;
    return message_end(m, e);
}

/* Bytes that stand for the relation when it is fed again. */
static int keep_relation(struct message *m, struct decoder_part *part, struct err *e)
{
    uint8_t heard[8];
    struct buf *kept = &m->d->kept;
    put_be(heard, ++m->d->heard, sizeof heard);
    buf_reset(kept);
    buf_add(kept, heard, sizeof heard);
    buf_add_str(kept, part->rest);
    part->type = REPLAY_RELATION;
    part->rest = buf_str(kept);
    part->subxid = part->xid;
    return kept->over ? message_bad(m, e, "relation of %zu bytes", part->rest.len) : 0;
}

int message_part(struct message *m, struct err *e)
{
    struct decoder_part part = {.xid = m->d->streamed, .subxid = m->d->streamed, .lsn = m->lsn, .type = m->type};
    if (!m->type || !strchr("RYIUDTMO", m->type))
        return message_bad(m, e, "does not belong into a streamed transaction");
    if (m->type != 'O') /* an origin is the whole transaction's */
        part.subxid = cursor_u32(&m->c);
    if (message_whole(m, "the transaction's number", e))
        return -1;
    if (!part.subxid)
        return message_bad(m, e, "no transaction's number");
    part.rest = cursor_bytes(&m->c, m->c.left);
    if (m->type == 'R' && keep_relation(m, &part, e))
        return -1;
    return m->out->part(m->out->self, &part, e);
}

int message_stream_abort(struct message *m, struct err *e)
{
    uint32_t xid = cursor_u32(&m->c), subxid = cursor_u32(&m->c);
    if (message_whole(m, "the transactions' numbers", e))
        return -1;
    if (m->c.left) { /* with parallel streaming: LSN and time of the abort */
        int64_t abort_us;
        (void) cursor_u64(&m->c);
        if (message_time(m, &abort_us, e))
            return -1;
    }
    if (message_end(m, e))
        return -1;
    if (!xid || !subxid)
        return message_bad(m, e, "no transaction's number");
    return m->out->part_abort(m->out->self, xid, subxid, e);
}

void message_make_ends(uint32_t xid, const char lsns_and_time[24], struct replay_ends *out)
{
    *out = (struct replay_ends){{REPLAY_BEGIN}, {'C', 0}};
    memcpy(out->begin + 1, lsns_and_time, 8);
    memcpy(out->begin + 9, lsns_and_time + 16, 8);
    put_be(out->begin + 17, xid, 4);
    memcpy(out->commit + 2, lsns_and_time, 24);
}

int message_stream_commit(struct message *m, struct err *e)
{
    uint32_t xid = cursor_u32(&m->c);
    uint8_t flags = cursor_u8(&m->c);
    struct str rest = {(const char *) m->c.p, m->c.left};
    uint64_t commit_lsn = cursor_u64(&m->c), end_lsn = cursor_u64(&m->c);
    (void) cursor_u64(&m->c);
    if (message_end(m, e))
        return -1;
    if (flags)
        return message_bad(m, e, "unknown flags %#x", (unsigned) flags);
    if (!xid || end_lsn < commit_lsn)
        return message_bad(m, e, "commit of transaction %u at %s ends at %s", (unsigned) xid,
                           LSN_STR(commit_lsn), LSN_STR(end_lsn));
    if (m->d->in_txn)
        return message_bad(m, e, "transaction %u ends within transaction %u", (unsigned) xid,
                           (unsigned) m->d->txn.xid);
    struct replay_ends ends;
    message_make_ends(xid, rest.p, &ends);
    m->d->released = xid;
    return m->out->part_commit(m->out->self, xid, (struct str){(const char *) ends.begin, sizeof ends.begin},
                               (struct str){(const char *) ends.commit, sizeof ends.commit}, e);
}
