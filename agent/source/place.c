/* SPDX-License-Identifier: Apache-2.0
 *
 * Putting a chunk into the stream, between two transactions.
 */
#include "agent/source/snap.h"

#include "agent/base/cursor.h"
#include "agent/source/chunk.h"

/* What is decided about a chunk before anything of it is put. */
struct placing {
    struct lane *l;
    struct keyset younger;     /* keys that the stream has told of, beyond what the snapshot sees */
    struct run_progress next;
    struct value *values;
    bool *kept;                /* of each row */
    int64_t kept_count;
    bool first, last, again;
};

/* ---- when ---- */

/* Chunks that targets have not taken yet: what the stream brings has to wait behind them. */
static size_t behind_bytes(struct snap *n, uint64_t taken_offset)
{
    size_t bytes = 0;
    int kept = 0;
    for (int at = 0; at < n->put_count; at++) {
        if (n->put[at].end_offset <= taken_offset)
            continue;
        bytes += n->put[at].bytes;
        n->put[kept++] = n->put[at];
    }
    n->put_count = kept;
    return bytes;
}

bool place_due(struct lane *l)
{
    struct source *s = l->s;
    struct bus_status bus;
    uint64_t at_lsn = s->stream.move_lsn > s->stream.put_end_lsn ? s->stream.move_lsn : s->stream.put_end_lsn;
    if (at_lsn < l->view.high_lsn) {
        stream_ask(s);
        return false;
    }
    if (bus_room(s->parts.bus) == 0)
        return false;
    bus_get_status(s->parts.bus, &bus);
    if (s->snap->put_count == PUT_MAX)
        (void) behind_bytes(s->snap, bus.taken_offset);
    return bus.durable_offset >= l->run->put_offset && s->snap->put_count < PUT_MAX &&
           behind_bytes(s->snap, bus.taken_offset) < BEHIND_BYTES;
}

/* ---- deciding ---- */

static void find_younger(struct placing *p)
{
    struct lane *l = p->l;
    for (int at = 0; at < l->touched.count; at++) {
        const struct keyset_entry *t = &l->touched.entries[at];
        if (!view_sees(&l->view, t->xid, t->commit_lsn))
            keyset_add(&p->younger, keyset_key(&l->touched, at), 0, 0);
    }
}

static void add_pending(struct buf *pending, struct str key)
{
    uint8_t len[4];
    put_be(len, key.len, 4);
    buf_add(pending, len, 4);
    buf_add_str(pending, key);
}

/* Which rows are put, which keys are read again, and where the next chunk begins. */
static int sort_rows(struct placing *p, struct err *e)
{
    struct lane *l = p->l;
    struct buf key = BUF_INIT;
    size_t at = 0, bytes;
    int rc = 0;
    for (int64_t row = 0; lane_next_row(l, &at, p->values, &bytes, &rc, e); row++) {
        buf_reset(&key);
        if (!key_add(l->rel, p->values, &key)) {
            rc = err_set(e, E_INTERNAL, "a row of %s.%s has no key", l->run->space, l->run->name);
            break;
        }
        p->kept[row] = !keyset_has(&p->younger, buf_str(&key));
        p->kept_count += p->kept[row];
        if (!p->kept[row] && !p->first)
            add_pending(&p->next.pending, buf_str(&key));
    }
    if (!rc && !l->keys && l->row_count) {
        buf_reset(&p->next.from);
        buf_add_str(&p->next.from, buf_str(&key));
    }
    buf_free(&key);
    return rc;
}

/* What was streamed of a table before its first chunk was dropped, rows that the chunk does not
 * have included: all of it is read again. */
static void pend_younger(struct placing *p)
{
    for (int at = 0; at < p->younger.count; at++)
        add_pending(&p->next.pending, keyset_key(&p->younger, at));
}

static int decide(struct placing *p, struct err *e)
{
    struct lane *l = p->l;
    struct run *r = l->run;
    p->first = !r->now.begun && r->fresh;
    progress_copy(&p->next, &r->now);
    if (l->keys) { /* what was asked is done, but for what comes back to it */
        struct str rest = buf_str(&r->now.pending);
        buf_reset(&p->next.pending);
        buf_add(&p->next.pending, rest.p + l->asked.len, rest.len - l->asked.len);
    }
    find_younger(p);
    if (sort_rows(p, e))
        return -1;
    if (p->first)
        pend_younger(p);
    p->next.begun = true;
    p->next.rows += p->kept_count;
    bool end = l->keys ? false : l->all_rows < l->limit && l->row_count == l->all_rows;
    p->next.ended = r->now.ended || end;
    p->last = p->next.ended && !p->next.pending.len;
    return 0;
}

/* ---- putting ---- */

static int put_rows(struct placing *p, struct chunk *c, struct err *e)
{
    struct lane *l = p->l;
    size_t at = 0, bytes;
    int rc = 0;
    for (int64_t row = 0; lane_next_row(l, &at, p->values, &bytes, &rc, e); row++)
        if (p->kept[row] && chunk_row(c, p->values, bytes, e))
            return -1;
    return rc;
}

static unsigned flags_of(const struct placing *p)
{
    if (!p->l->run->fresh)
        return 0;
    return (p->first ? MARK_COPY_FIRST : 0) | (p->last ? MARK_COPY_LAST : 0);
}

static int put_chunk(struct placing *p, struct err *e)
{
    struct lane *l = p->l;
    struct run *r = l->run;
    struct source *s = l->s;
    struct bus_status bus;
    struct chunk c = {.s = s, .rel = l->rel, .topic = l->topic, .lsn = r->lsn};
    unsigned flags = flags_of(p);
    chunk_table(&c, r->expected);
    bus_get_status(s->parts.bus, &bus);
    struct position pos = chunk_position(s, r->lsn, flags & MARK_COPY_FIRST);
    if (run_save(s->parts.store, r, &p->next, bus.committed_offset, &pos, e))
        return -1;
    if (chunk_open(&c, flags, e) || put_rows(p, &c, e) ||
        (p->first && p->next.rows == 0 && chunk_declare_empty(&c, e)) || chunk_close(&c, flags, e)) {
        chunk_abort(&c);
        return -1;
    }
    bus_get_status(s->parts.bus, &bus);
    r->put_offset = bus.committed_offset;
    s->snap->put[s->snap->put_count++] = (struct snap_put){bus.committed_offset, c.bytes};
    r->chunks++;
    return 0;
}

/* Rows of about this size again until a chunk has its bytes. */
static void set_limit(struct lane *l)
{
    if (l->keys || !l->row_count)
        return;
    int64_t fits = (int64_t) CHUNK_BYTES / ((int64_t) l->rows.len / l->row_count + 1) + 1;
    if (fits > l->limit * 8)
        fits = l->limit * 8;
    l->limit = fits < CHUNK_ROWS_MAX ? fits : CHUNK_ROWS_MAX;
}

static int place(struct placing *p, struct err *e)
{
    struct lane *l = p->l;
    struct run *r = l->run;
    p->values = arena_zalloc(&l->arena, (size_t) l->rel->column_count + 1, sizeof *p->values);
    p->kept = arena_zalloc(&l->arena, (size_t) l->row_count + 1, sizeof *p->kept);
    if (decide(p, e))
        return -1;
    /* Without a row it could not tell its columns in strict mode. */
    p->again = p->first && !p->kept_count && l->row_count;
    if (p->again)
        return 0;
    bool nothing = !p->kept_count && !flags_of(p);
    if (!nothing && put_chunk(p, e))
        return -1;
    bool begins = !r->now.begun;
    progress_copy(&r->now, &p->next);
    set_limit(l);
    return begins ? feed_choose(l->s, e) : 0;
}

int place_chunk(struct lane *l, bool *again, struct err *e)
{
    struct placing p = {.l = l};
    *again = l->spoiled;
    if (l->spoiled) {
        if (l->touched.count >= TOUCHED_MAX && l->limit > 1)
            l->limit /= 2;
        return 0;
    }
    int rc = place(&p, e);
    *again = p.again;
    keyset_free(&p.younger);
    progress_free(&p.next);
    return rc;
}
