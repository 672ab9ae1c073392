/* SPDX-License-Identifier: Apache-2.0
 *
 * Two-phase commit: what was prepared comes as parts, to be fed when it is committed.
 *
 * Between BEGIN PREPARE and PREPARE the messages are those of a whole transaction, and relations are announced in them for all
 * that follow. What is kept must be readable alone, maybe behind a restart: the first row of a relation is preceded by
 * its announcement, written anew from what is known of it. The caller is told of a relation when a row outside needs it, not here:
 * what is prepared is not visible yet, and may hold the table's lock.
 * Formats: PostgreSQL documentation, "Logical Replication Message Formats", protocol version 3 on.
 */
#include "decoders/pgoutput/message.h"

#define GID_MAX 200 /* GIDSIZE of the server, with its NUL */

static int read_gid(struct message *m, struct decoder_prepared *p, struct err *e)
{
    p->xid = cursor_u32(&m->c);
    p->gid = cursor_cstr(&m->c);
    if (message_end(m, e))
        return -1;
    if (!p->xid || !p->gid.len || p->gid.len >= GID_MAX)
        return message_bad(m, e, "prepared transaction %u with a name of %zu bytes", (unsigned) p->xid, p->gid.len);
    if (!m->out->prepare)
        return message_bad(m, e, "prepared transactions were not asked for");
    return 0;
}

/* LSN, end LSN, time, xid, name. */
static int read_prepared(struct message *m, struct decoder_prepared *p, struct err *e)
{
    p->lsn = cursor_u64(&m->c);
    p->end_lsn = cursor_u64(&m->c);
    (void) cursor_u64(&m->c);
    if (read_gid(m, p, e))
        return -1;
    return p->end_lsn < p->lsn ? message_bad(m, e, "record at %s ends at %s", LSN_STR(p->lsn), LSN_STR(p->end_lsn)) : 0;
}

static int no_flags(struct message *m, struct err *e)
{
    uint8_t flags = cursor_u8(&m->c);
    if (message_whole(m, "flags", e))
        return -1;
    return flags ? message_bad(m, e, "unknown flags %#x", (unsigned) flags) : 0;
}

int message_begin_prepare(struct message *m, struct err *e)
{
    struct decoder_prepared p;
    if (read_prepared(m, &p, e))
        return -1;
    if (m->d->in_txn)
        return message_bad(m, e, "transaction %u is prepared within transaction %u", (unsigned) p.xid, (unsigned) m->d->txn.xid);
    m->d->prepared = p.xid;
    m->d->prepares++;
    return m->out->prepare(m->out->self, &p, PREPARE_BEGUN, e);
}

int message_prepare(struct message *m, struct err *e)
{
    struct decoder_prepared p;
    if (no_flags(m, e) || read_prepared(m, &p, e))
        return -1;
    if (p.xid != m->d->prepared)
        return message_bad(m, e, "end of prepared transaction %u, which did not begin", (unsigned) p.xid);
    m->d->prepared = 0;
    return m->out->prepare(m->out->self, &p, PREPARE_ENDED, e);
}

int message_stream_prepare(struct message *m, struct err *e)
{
    struct decoder_prepared p;
    if (no_flags(m, e) || read_prepared(m, &p, e))
        return -1;
    return m->out->prepare(m->out->self, &p, PREPARE_STREAMED, e);
}

/* ---- parts ---- */

static void add_cstr(struct buf *out, struct str text)
{
    buf_add_str(out, text);
    buf_add_char(out, 0);
}

/* REPLAY_RELATION without its type. */
static void write_relation(struct buf *out, const struct relation *wire, uint64_t heard)
{
    buf_reset(out);
    buf_add_be(out, heard, 8);
    buf_add_be(out, wire->oid, 4);
    add_cstr(out, wire->space);
    add_cstr(out, wire->name);
    buf_add_char(out, wire->identity);
    buf_add_be(out, (uint64_t) wire->column_count, 2);
    for (int at = 0; at < wire->column_count; at++) {
        const struct column *col = &wire->columns[at];
        buf_add_char(out, col->identity);
        add_cstr(out, col->name);
        buf_add_be(out, col->type_oid, 4);
        buf_add_be(out, (uint32_t) col->typmod, 4);
    }
}

static int tell_relation(struct message *m, uint32_t oid, struct err *e)
{
    struct decoder *d = m->d;
    uint64_t heard;
    const struct relation *wire = relcache_wire(&d->relations, oid, &heard);
    if (!wire)
        return message_bad(m, e, "relation %u was not announced", (unsigned) oid);
    if (!relcache_first_use(&d->relations, oid, d->prepares))
        return 0;
    write_relation(&d->kept, wire, heard);
    const struct decoder_part part = {.xid = d->prepared, .subxid = d->prepared, .lsn = m->lsn, .type = REPLAY_RELATION,
                                      .rest = buf_str(&d->kept)};
    return d->kept.over ? message_bad(m, e, "relation is too large") : m->out->part(m->out->self, &part, e);
}

/* The relations that a message of rows names. */
static int tell_relations(struct message *m, struct cursor c, struct err *e)
{
    uint32_t count = m->type == 'T' ? cursor_u32(&c) : 1;
    if (m->type == 'T')
        (void) cursor_u8(&c);
    if (count > c.left / 4)
        return message_bad(m, e, "%u relations do not fit into %zu bytes", (unsigned) count, c.left);
    for (uint32_t at = 0; at < count; at++)
        if (tell_relation(m, cursor_u32(&c), e))
            return -1;
    return 0;
}

int message_prepared_part(struct message *m, struct err *e)
{
    struct decoder_part part = {.xid = m->d->prepared, .subxid = m->d->prepared, .lsn = m->lsn, .type = m->type};
    if (m->type == 'R')
        return message_relation_ahead(m, e);
    if (!m->type || !strchr("YIUDTMO", m->type))
        return message_bad(m, e, "does not belong into a prepared transaction");
    if (strchr("IUDT", m->type) && tell_relations(m, m->c, e))
        return -1;
    part.rest = cursor_bytes(&m->c, m->c.left);
    return m->out->part(m->out->self, &part, e);
}

/* ---- the end ---- */

int message_commit_prepared(struct message *m, struct err *e)
{
    struct decoder_prepared p;
    struct replay_ends ends;
    if (no_flags(m, e))
        return -1;
    const char *lsns = (const char *) m->c.p;
    if (read_prepared(m, &p, e))
        return -1;
    if (m->d->in_txn)
        return message_bad(m, e, "transaction %u ends within transaction %u", (unsigned) p.xid, (unsigned) m->d->txn.xid);
    message_make_ends(p.xid, lsns, &ends);
    m->d->released = p.xid;
    return m->out->prepared_end(m->out->self, &p, (struct str){(const char *) ends.begin, sizeof ends.begin},
                                (struct str){(const char *) ends.commit, sizeof ends.commit}, e);
}

int message_rollback_prepared(struct message *m, struct err *e)
{
    struct decoder_prepared p = {0};
    if (no_flags(m, e))
        return -1;
    p.lsn = cursor_u64(&m->c); /* where the prepare ended */
    p.end_lsn = cursor_u64(&m->c);
    (void) cursor_u64(&m->c);
    (void) cursor_u64(&m->c);
    return read_gid(m, &p, e) ? -1 : m->out->prepared_end(m->out->self, &p, STR_NONE, STR_NONE, e);
}
