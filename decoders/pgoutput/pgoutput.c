/* SPDX-License-Identifier: Apache-2.0
 *
 * pgoutput, protocol versions 1 to 4: transactions, logical messages, and what leads to the rows.
 *
 * Committed transactions come whole, one after the other: BEGIN, what it did, COMMIT; streamed.c
 * reads those that come before they are committed. A change outside of a transaction, a BEGIN within one, or a COMMIT of another one means that bytes
 * were lost or mixed up, and is refused: a position that is wrong would lose data silently later.
 * Formats: PostgreSQL documentation, "Logical Replication Message Formats".
 */
#include "decoders/pgoutput/pgoutput.h"

#include <stdio.h>
#include <stdlib.h>

#include "decoders/pgoutput/message.h"

/* Microseconds from 1970 to 2000, where PostgreSQL's timestamps begin. */
#define EPOCH_US INT64_C(946684800000000)

#define ORIGIN_MAX_BYTES ((size_t) 64 << 10)

int message_bad(const struct message *m, struct err *e, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void) vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    char type[8];
    if (m->type >= ' ' && m->type <= '~')
        (void) snprintf(type, sizeof type, "'%c'", m->type);
    else
        (void) snprintf(type, sizeof type, "%#x", (unsigned) m->type);
    return err_set(e, E_DECODE, "malformed pgoutput message %s at byte %zu of %zu: %s", type,
                   m->len - m->c.left, m->len, text);
}

int message_whole(const struct message *m, const char *what, struct err *e)
{
    return m->c.failed ? message_bad(m, e, "%s is cut off", what) : 0;
}

int message_end(const struct message *m, struct err *e)
{
    if (message_whole(m, "the end", e))
        return -1;
    return m->c.left ? message_bad(m, e, "%zu bytes after the end", m->c.left) : 0;
}

int message_in_txn(const struct message *m, struct err *e)
{
    return m->d->in_txn ? 0 : message_bad(m, e, "outside of a transaction");
}

int message_emit(const struct message *m, struct change *change, struct err *e)
{
    struct decoder *d = m->d;
    change->pos.lsn = d->txn.commit_lsn;
    change->pos.seq = ++d->seq;
    if (!change->lsn)
        change->lsn = m->lsn;
    return m->out->change(m->out->self, change, &d->txn, e);
}

/* A timestamp of the protocol as microseconds since 1970. */
int message_time(struct message *m, int64_t *us, struct err *e)
{
    int64_t since_2000_us = (int64_t) cursor_u64(&m->c);
    if (message_whole(m, "the time", e))
        return -1;
    if (__builtin_add_overflow(since_2000_us, EPOCH_US, us))
        return message_bad(m, e, "time is out of range");
    return 0;
}

static int message_begin(struct message *m, struct err *e)
{
    struct decoder *d = m->d;
    struct txn txn = {.first_lsn = m->lsn, .commit_lsn = cursor_u64(&m->c)};
    if (message_time(m, &txn.commit_us, e))
        return -1;
    txn.xid = cursor_u32(&m->c);
    if (message_end(m, e))
        return -1;
    if (d->in_txn)
        return message_bad(m, e, "transaction %u begins within transaction %u", (unsigned) txn.xid,
                           (unsigned) d->txn.xid);
    d->txn = txn;
    d->in_txn = true;
    d->replayed = m->type == REPLAY_BEGIN;
    d->released = 0;
    d->seq = 0;
    return m->out->begin(m->out->self, &d->txn, e);
}

static int message_commit(struct message *m, struct err *e)
{
    struct decoder *d = m->d;
    if (message_in_txn(m, e))
        return -1;
    uint8_t flags = cursor_u8(&m->c);
    uint64_t commit_lsn = cursor_u64(&m->c), end_lsn = cursor_u64(&m->c);
    int64_t commit_us;
    if (message_time(m, &commit_us, e) || message_end(m, e))
        return -1;
    if (flags)
        return message_bad(m, e, "unknown flags %#x", (unsigned) flags);
    if (commit_lsn != d->txn.commit_lsn || end_lsn < commit_lsn)
        return message_bad(m, e, "commit at %s ends at %s, the transaction began as %s",
                           LSN_STR(commit_lsn), LSN_STR(end_lsn), LSN_STR(d->txn.commit_lsn));
    d->txn.end_lsn = end_lsn;
    d->txn.commit_us = commit_us;
    d->in_txn = false;
    if (m->out->commit(m->out->self, &d->txn, e))
        return -1;
    return d->replayed ? message_replay_end(m, e) : 0;
}

static int message_origin(struct message *m, struct err *e)
{
    struct decoder *d = m->d;
    if (message_in_txn(m, e))
        return -1;
    uint64_t lsn = cursor_u64(&m->c);
    struct str name = cursor_cstr(&m->c);
    if (message_end(m, e))
        return -1;
    buf_reset(&d->origin);
    buf_add_str(&d->origin, name);
    if (d->origin.over)
        return message_bad(m, e, "origin's name has %zu bytes", name.len);
    d->txn.origin = buf_str(&d->origin);
    d->txn.origin_lsn = lsn;
    return m->out->origin(m->out->self, &d->txn, e);
}

/* A type that is not built in is announced by name; its kind comes from the catalog together with
 * what the name alone does not tell, so the message is checked and nothing else. */
static int message_type(struct message *m, struct err *e)
{
    (void) cursor_u32(&m->c);
    (void) cursor_cstr(&m->c);
    (void) cursor_cstr(&m->c);
    return message_end(m, e);
}

static int message_logical(struct message *m, struct err *e)
{
    uint8_t flags = cursor_u8(&m->c);
    struct change change = {.op = OP_MESSAGE, .transactional = flags & 1};
    change.lsn = cursor_u64(&m->c);
    change.prefix = cursor_cstr(&m->c);
    uint32_t len = cursor_u32(&m->c);
    if (message_whole(m, "the prefix", e))
        return -1;
    change.content = cursor_bytes(&m->c, len);
    if (m->c.failed)
        return message_bad(m, e, "content of %u bytes, %zu are left", (unsigned) len, m->c.left);
    if (flags & ~1)
        return message_bad(m, e, "unknown flags %#x", (unsigned) flags);
    if (message_end(m, e))
        return -1;
    if (change.transactional)
        return message_in_txn(m, e) ? -1 : message_emit(m, &change, e);
    /* written outside of any transaction, even when it is read between two of its messages */
    struct txn none = {0};
    change.pos.lsn = change.lsn;
    return m->out->change(m->out->self, &change, &none, e);
}

static int message_read(struct message *m, struct err *e)
{
    switch (m->type) {
    case 'B':
        return message_begin(m, e);
    case 'C':
        return message_commit(m, e);
    case 'O':
        return message_origin(m, e);
    case 'R':
        return message_relation(m, e);
    case 'Y':
        return message_type(m, e);
    case 'I':
        return message_insert(m, e);
    case 'U':
        return message_update(m, e);
    case 'D':
        return message_delete(m, e);
    case 'T':
        return message_truncate(m, e);
    case 'M':
        return message_logical(m, e);
    case 'S':
        return message_stream_start(m, e);
    case 'E':
        return message_stream_stop(m, e);
    case 'A':
        return message_stream_abort(m, e);
    case 'c':
        return message_stream_commit(m, e);
    case 'b':
        return message_begin_prepare(m, e);
    case 'P':
        return message_prepare(m, e);
    case 'p':
        return message_stream_prepare(m, e);
    case 'K':
        return message_commit_prepared(m, e);
    case 'r':
        return message_rollback_prepared(m, e);
    case REPLAY_RELATION:
        return message_replay_relation(m, e);
    default:
        return message_bad(m, e, "unknown type of message");
    }
}

static int pgoutput_feed(struct decoder *d, struct str payload, uint64_t start_lsn,
                         struct arena *scratch, const struct decoder_out *out, struct err *e)
{
    struct message m = {.d = d, .c = cursor_of(payload), .len = payload.len, .lsn = start_lsn,
                        .scratch = scratch, .out = out};
    m.type = cursor_u8(&m.c);
    if (message_whole(&m, "the type of message", e))
        return -1;
    if (d->released)
        return m.type == REPLAY_BEGIN ? message_begin(&m, e)
                                      : message_bad(&m, e, "streamed transaction %u is to be fed first",
                                                    (unsigned) d->released);
    if (d->prepared && m.type != 'P')
        return message_prepared_part(&m, e);
    return d->streamed && m.type != 'E' ? message_part(&m, e) : message_read(&m, e);
}

/* Publications are identifiers in double quotes, which stand inside of a literal here. Version 3 is for two-phase commit; nothing
 * of version 4 is of use without parallel apply. */
static void pgoutput_start_options(const struct decoder_wish *wish, struct buf *out)
{
    struct str publications = wish->publications;
    buf_addf(out, "\"proto_version\" '%d', \"publication_names\" '", wish->two_phase ? 3 : wish->streaming ? 2 : 1);
    for (size_t at = 0; at < publications.len; at++) {
        if (publications.p[at] == '\'')
            buf_add_char(out, '\'');
        buf_add_char(out, publications.p[at]);
    }
    buf_add_text(out, "', \"messages\" 'true'");
    if (wish->streaming)
        buf_add_text(out, ", \"streaming\" 'on'");
    if (wish->two_phase)
        buf_add_text(out, ", \"two_phase\" 'on'");
}

static uint32_t pgoutput_row_table(const struct decoder *d, struct str payload)
{
    struct cursor c = cursor_of(payload);
    uint8_t type = cursor_u8(&c);
    if (type != 'I' && type != 'U' && type != 'D')
        return 0;
    if (d->streamed)
        (void) cursor_u32(&c);
    return cursor_u32(&c);
}

static struct decoder *pgoutput_open(void)
{
    struct decoder *d = mem_zalloc(1, sizeof *d);
    relcache_init(&d->relations);
    d->origin.max = ORIGIN_MAX_BYTES;
    return d;
}

static void pgoutput_renew(struct decoder *d, uint32_t oid)
{
    relcache_renew(&d->relations, oid);
}

static void pgoutput_restart(struct decoder *d)
{
    d->in_txn = d->replayed = false;
    d->streamed = d->prepared = d->released = 0;
    buf_reset(&d->newer);
    relcache_restart(&d->relations);
}

static void pgoutput_close(struct decoder *d)
{
    if (!d)
        return;
    relcache_free(&d->relations);
    buf_free(&d->origin);
    buf_free(&d->newer);
    buf_free(&d->kept);
    free(d);
}

const struct decoder_driver decoder_pgoutput = {
    .name = "pgoutput",
    .start_options = pgoutput_start_options,
    .open = pgoutput_open,
    .feed = pgoutput_feed,
    .row_table = pgoutput_row_table,
    .renew = pgoutput_renew,
    .restart = pgoutput_restart,
    .close = pgoutput_close,
};
