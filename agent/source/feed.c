/* SPDX-License-Identifier: Apache-2.0
 *
 * From the decoder's calls to events on the bus.
 *
 * A transaction is opened on the bus with its first event, so that one whose changes are all
 * dropped leaves nothing but a position; lag counts commits only from there too, since an empty
 * transaction never reaches a target. One that holds nothing but our sentinel is put as an empty
 * transaction and followed to the targets.
 */
#include "agent/source/inner.h"
#include "agent/source/keyset.h"
#include "agent/source/sign.h"

struct position source_position(const struct source *s, uint64_t lsn)
{
    return (struct position){.system_id = s->facts.system_id, .timeline = s->facts.timeline, .lsn = lsn};
}

static struct mark mark_of(const struct source *s, const struct txn *txn, bool sentinel)
{
    return (struct mark){
        .kind = MARK_STREAM,
        .pos = source_position(s, txn->commit_lsn),
        .xid = txn->xid,
        .flags = sentinel ? MARK_SENTINEL : 0,
        .commit_us = txn->commit_us,
        .received_us = s->in.received_us,
        .origin = txn->origin,
    };
}

static int put_row(void *self, const struct event *ev, struct err *e)
{
    return source_put(self, ev, e);
}

static int put_begin(struct source *s, const struct txn *txn, bool sentinel, struct err *e)
{
    const struct event ev = {.kind = EVENT_BEGIN, .mark = mark_of(s, txn, sentinel)};
    if (source_put(s, &ev, e))
        return -1;
    s->in.opened = true;
    lag_commit_seen(s->parts.lag, txn->commit_lsn, txn->commit_us);
    const struct event_out out = {s, put_row};
    return sentinel ? 0 : envelope_mark(s->writer, txn, false, &out, e);
}

void feed_abort(struct source *s)
{
    if (s->in.opened)
        bus_abort(s->parts.bus);
    s->in.opened = s->in.in_txn = false;
}

/* ---- calls of the decoder ---- */

static int on_begin(void *self, const struct txn *txn, struct err *e)
{
    struct source *s = self;
    (void) e;
    s->in.in_txn = true;
    s->in.opened = s->in.sentinel = s->in.touched = s->in.visible = false;
    s->in.ddl_count = 0;
    ddl_drop(s->ddl);
    s->in.xid = txn->xid;
    s->in.commit_lsn = txn->commit_lsn;
    s->in.skip = txn->commit_lsn <= s->in.last_commit_lsn;
    s->in.received_us = clock_wall_us(s->env->clock);
    return 0;
}

static int on_origin(void *self, const struct txn *txn, struct err *e)
{
    (void) self;
    (void) txn;
    (void) e;
    return 0;
}

/* A chosen table without a copy gets one: until then its changes are dropped, the copy will hold them. */
static int decide_relation(struct source *s, struct rel_entry *entry, bool *lacks, struct err *e)
{
    const struct relation *rel = entry->rel;
    struct copy_fact fact = {.found = false};
    entry->chosen = config_list_matches(s->tables, rel->space, rel->name);
    entry->drop_below_lsn = 0;
    entry->noted = entry->incomplete = false;
    *lacks = false;
    if (!entry->chosen)
        return 0;
    if (copies_get(s->parts.store, rel->space, rel->name, &fact, e))
        return -1;
    bool begun, copies = snap_copies(s, rel->oid, &begun);
    entry->noted = snap_reads(s, rel->oid);
    if (copies) {
        entry->drop_below_lsn = begun ? 0 : UINT64_MAX;
        entry->incomplete = true;
    } else if (fact.found && fact.oid == rel->oid) {
        entry->drop_below_lsn = fact.lsn;
    } else if (s->config->source.copy) {
        entry->drop_below_lsn = UINT64_MAX;
        entry->noted = *lacks = true;
    }
    return 0;
}

/* What was told in the stream is of that moment; the catalog is of now. */
static int refine(struct source *s, const struct relation *wire, struct arena *a, const struct relation **full,
                  struct err *e)
{
    int told = ddl_refine(s, wire, a, full, e);
    if (told)
        return told < 0 ? -1 : 0;
    return visible_refine(s, wire, a, full, e);
}

static int on_relation(void *self, const struct relation *wire, const struct relation **refined,
                       struct err *e)
{
    struct source *s = self;
    struct arena a;
    const struct relation *full = wire;
    bool lacks = false;
    int rc = 0;
    arena_init(&a, RELS_MAX_BYTES, "description of a table");
    if (config_list_matches(s->tables, wire->space, wire->name))
        rc = refine(s, wire, &a, &full, e);
    if (!rc) {
        struct rel_entry *known = rels_find(&s->rels, full->oid);
        const struct relation *before = known ? known->rel : NULL;
        struct rel_entry *entry = rels_adopt(&s->rels, full);
        *refined = entry->rel;
        entry->has_enum = labels_there(full);
        entry->announced = NULL;
        if (entry->rel != before)
            snap_spoil(s, full->oid);
        rc = decide_relation(s, entry, &lacks, e);
        s->in.rel = NULL;
        if (lacks)
            atomic_store(&s->tables_changed, true);
    }
    arena_free(&a);
    return rc;
}

static void on_sentinel(struct source *s, const struct change *change)
{
    if (change->transactional && sentinel_verify(&s->facts, change->content))
        s->in.sentinel = true;
    else
        metric_add(s->env->metrics, M_SOURCE_FOREIGN_MESSAGES, 0, 1);
}

/* One of the patterns, which have blanks between, takes it. */
static bool message_wanted(const char *patterns, struct str prefix)
{
    while (*patterns) {
        size_t len = strcspn(patterns, " ");
        if (len && str_match((struct str){patterns, len}, prefix))
            return true;
        patterns += len + strspn(patterns + len, " ");
    }
    return false;
}

static bool dropped(struct source *s, const struct change *change, const struct txn *txn)
{
    if (change->rel != s->in.rel) {
        s->in.rel = change->rel;
        s->in.entry = rels_find(&s->rels, change->rel->oid);
    }
    const struct rel_entry *entry = s->in.entry;
    if (entry && entry->chosen) {
        if (entry->noted)
            snap_note(s, change, txn);
        if (entry->drop_below_lsn == UINT64_MAX)
            s->in.dropped_lsn = txn->commit_lsn;
        return txn->commit_lsn < entry->drop_below_lsn;
    }
    metric_add(s->env->metrics, M_SOURCE_FILTERED, 0, 1);
    return true;
}

static void count_change(struct source *s, enum change_op op)
{
    static const char ops[] = "cudt";
    const char *at = strchr(ops, (int) op);
    if (at)
        metric_add(s->env->metrics, M_SOURCE_CHANGES, s->op_series[at - ops], 1);
}

/* ---- key changes during a first copy ---- */

static bool changes_key(const struct change *change)
{
    struct buf old = BUF_INIT, new = BUF_INIT;
    bool both = change->op == OP_UPDATE && key_add(change->rel, change->before, &old) &&
                key_add(change->rel, change->after, &new);
    bool differs = both && !str_eq(buf_str(&old), buf_str(&new));
    buf_free(&old);
    buf_free(&new);
    return differs;
}

static int write_change(struct source *s, const struct change *change, const struct txn *txn, struct err *e)
{
    const struct event_out out = {s, put_row};
    return envelope_write(s->writer, change, txn, clock_wall_us(s->env->clock), &out, e);
}

/* No chunk may bring the row under its new key, and a target may not have it under the old one: it
 * goes as a whole. */
static int put_moved(struct source *s, const struct change *change, const struct txn *txn, struct err *e)
{
    struct arena a;
    struct change gone = *change, come = *change;
    gone.op = OP_DELETE;
    gone.after = NULL;
    if (write_change(s, &gone, txn, e))
        return -1;
    arena_init(&a, 0, "source.row_max_mb");
    struct reread row = {.a = &a};
    row.after = arena_zalloc(&a, (size_t) change->rel->column_count + 1, sizeof *row.after);
    int rc = reread_row(s, change, txn, &row, e);
    come.op = OP_CREATE;
    come.old = OLD_NONE;
    come.before = NULL;
    come.after = row.after;
    if (!rc && !row.gone)
        rc = write_change(s, &come, txn, e);
    arena_free(&a);
    return rc;
}

static int put_commit(struct source *s, const struct txn *txn, bool sentinel, struct err *e)
{
    struct mark mark = mark_of(s, txn, sentinel);
    const struct event_out out = {s, put_row};
    if (!sentinel && envelope_mark(s->writer, txn, true, &out, e))
        return -1;
    envelope_passed(s->writer, txn->end_lsn);
    mark.end_lsn = txn->end_lsn;
    s->in.opened = false;
    if (bus_commit(s->parts.bus, &mark, e))
        return -1;
    s->stream.put_end_lsn = txn->end_lsn;
    lag_mark(s->parts.lag, LAG_RECEIVED, 0, txn->commit_lsn, txn->commit_us);
    lag_mark(s->parts.lag, LAG_DECODED, 0, txn->commit_lsn, txn->commit_us);
    metric_add(s->env->metrics, M_SOURCE_TXNS, 0, 1);
    return 0;
}

/* Not of a transaction, and sent at once: it is one of its own on the bus. Its LSN is the end of its record,
 * where the record of a commit may begin: its position lies before that, and behind all commits that
 * were sent. */
static int put_lone_message(struct source *s, const struct change *change, struct err *e)
{
    struct txn txn = {.commit_lsn = change->lsn - 1, .end_lsn = change->lsn};
    if (s->in.in_txn)
        return err_set(e, E_DECODE, "a message without a transaction came within one");
    if (txn.commit_lsn <= s->in.last_commit_lsn)
        return 0;
    s->in.received_us = txn.commit_us = clock_wall_us(s->env->clock);
    if (put_begin(s, &txn, false, e) || write_change(s, change, &txn, e) || put_commit(s, &txn, false, e))
        return -1;
    s->in.last_commit_lsn = txn.commit_lsn;
    s->in.last_commit_us = txn.commit_us;
    return 0;
}

static int on_message(struct source *s, const struct change *change, const struct txn *txn, struct err *e)
{
    if (str_is(change->prefix, SENTINEL_PREFIX)) {
        on_sentinel(s, change);
        return 0;
    }
    if (str_is(change->prefix, DDL_PREFIX) && ddl_take(s, change, txn, e))
        return -1;
    if (!message_wanted(s->config->source.messages, change->prefix))
        return 0;
    if (!change->transactional)
        return put_lone_message(s, change, e);
    if (s->in.skip)
        return 0;
    if (!s->in.opened && put_begin(s, txn, false, e))
        return -1;
    return write_change(s, change, txn, e);
}

static int on_change(void *self, const struct change *change, const struct txn *txn, struct err *e)
{
    struct source *s = self;
    if (change->op == OP_MESSAGE)
        return on_message(s, change, txn, e);
    if (s->in.skip || dropped(s, change, txn))
        return 0;
    if (!s->in.opened && put_begin(s, txn, false, e))
        return -1;
    struct change full = *change;
    full.pos.system_id = s->facts.system_id;
    full.pos.timeline = s->facts.timeline;
    full.seen_us = s->in.received_us;
    if (s->in.entry->has_enum && labels_follow(s, &full, e))
        return -1;
    count_change(s, change->op);
    if (s->in.entry->incomplete && changes_key(&full))
        return put_moved(s, &full, txn, e);
    return write_change(s, &full, txn, e);
}

/* Nothing of the transaction went to the bus: it only moves the position. */
static void note_empty(struct source *s, const struct txn *txn)
{
    if (txn->end_lsn > s->stream.move_lsn)
        s->stream.move_lsn = txn->end_lsn;
}

static int on_commit(void *self, const struct txn *txn, struct err *e)
{
    struct source *s = self;
    bool alone = s->in.sentinel && !s->in.opened;
    s->in.in_txn = false;
    if (s->in.skip)
        return 0;
    if (ddl_store(s, e))
        return -1;
    if (s->in.touched)
        snap_settle(s, txn);
    if (alone && put_begin(s, txn, true, e))
        return -1;
    if (!s->in.opened)
        note_empty(s, txn);
    else if (put_commit(s, txn, alone, e))
        return -1;
    s->in.last_commit_lsn = txn->commit_lsn;
    s->in.last_commit_us = txn->commit_us;
    if (s->in.sentinel) {
        lag_head(s->parts.lag, txn->end_lsn, true, true);
        metric_add(s->env->metrics, M_SENTINELS, 0, 1);
    }
    return 0;
}

/* Who calls has just looked at the tables: one that lacks its copy here was dropped or renamed, or
 * waits for a right, and looking again at once would find the same for ever. */
int feed_choose(struct source *s, struct err *e)
{
    bool lacks;
    s->in.rel = NULL;
    for (size_t at = 0; at < s->rels.room; at++)
        if (s->rels.entries[at].oid && decide_relation(s, &s->rels.entries[at], &lacks, e))
            return -1;
    return 0;
}

/* self is filled in by who feeds: see stream.c. */
const struct decoder_out feed_out = {NULL, on_begin, on_origin, on_relation, on_change, on_commit,
                                     streamed_part, streamed_abort, streamed_commit, prepared_step, prepared_end};
