/* SPDX-License-Identifier: Apache-2.0
 *
 * From the bus to the batch: whole transactions, skipped, chosen, decoded.
 *
 * A group is what one commit of the target carries: the stream transactions that are there now, up
 * to a batch; one copy chunk; or one transaction when it is applied carefully. Nothing waits for
 * company: the first empty look ends the group. A transaction larger than the batch goes to the
 * sink in slices, and its end commits all of it.
 */
#include <stdlib.h>

#include "agent/hub/pump_local.h"

enum step { STEP_ON, STEP_END };

bool pump_is_careful(const struct pump *p)
{
    return p->group.from < p->careful_until;
}

void pump_drop_batch(struct pump *p)
{
    arena_reset(&p->batch.arena);
    p->batch.count = 0;
}

static void batch_room(struct batch *b)
{
    if (b->count < b->room)
        return;
    b->room = b->room ? b->room * 2 : 64;
    b->changes = mem_realloc(b->changes, (size_t) b->room * sizeof *b->changes);
    b->items = mem_realloc(b->items, (size_t) b->room * sizeof *b->items);
}

/* A copy's first slice carries its FIRST, the last one its LAST, even when they have no rows. */
int pump_apply_batch(struct pump *p, bool last, struct err *e)
{
    struct group *g = &p->group;
    struct mark mark = g->in_txn ? g->mark : g->last;
    if (!last)
        mark.flags &= ~MARK_COPY_LAST;
    if (g->applied)
        mark.flags &= ~MARK_COPY_FIRST;
    bool told = g->copy && g->ours && last && mark.flags & (MARK_COPY_FIRST | MARK_COPY_LAST);
    if (!p->batch.count && !told)
        return 0;
    pump_tick(p);
    if (p->driver->apply(p->sink, &mark, p->batch.changes, p->batch.count, pump_is_careful(p), e))
        return -1;
    g->applied = true;
    g->rows += p->batch.count;
    pump_drop_batch(p);
    return 0;
}

static struct raw raw_of(struct pump *p, const struct event *ev)
{
    struct group *g = &p->group;
    struct raw raw = {ev->topic, ev->key, ev->value, ev->headers, g->mark.pos, g->mark.commit_us};
    raw.pos.seq = g->copy ? g->mark.pos.seq << 32 | g->row : g->row;
    return raw;
}

/* A copy in the batch arena: events live only until the next one. */
static struct raw raw_keep(struct pump *p, const struct raw *from)
{
    struct arena *a = &p->batch.arena;
    struct raw raw = *from;
    raw.topic = arena_str(a, from->topic);
    raw.key = arena_str(a, from->key);
    raw.value = arena_str(a, from->value);
    raw.headers = arena_str(a, from->headers);
    return raw;
}

/* ---- rows ---- */

static int take_truncate(struct pump *p, const struct pump_item *item, struct err *e)
{
    /* Careful: rows before it may still have to be parked, and are then void. */
    if (pump_is_careful(p) && pump_apply_batch(p, false, e))
        return -1;
    return pump_park_truncate(p, item->event.topic, &item->event.pos, e);
}

static void add_change(struct pump *p, const struct change *c, const struct pump_item *item)
{
    struct batch *b = &p->batch;
    batch_room(b);
    b->changes[b->count] = *c;
    b->changes[b->count].pos = item->event.pos;
    if (pump_is_careful(p))
        b->items[b->count] = (struct pump_item){raw_keep(p, &item->event), item->old};
    b->count++;
}

/* A row that cannot even be read is parked when we are careful. */
static int read_change(struct pump *p, const struct event *ev, const struct pump_item *item,
                       struct change *c, bool *parked, struct err *e)
{
    struct err why = ERR_INIT;
    *parked = false;
    if (!envelope_read(p->envelope, ev, &p->batch.arena, c, &why))
        return 0;
    *parked = why.class == ERR_ITEM && pump_is_careful(p);
    if (*parked)
        return pump_park_item(p, item, &why, e);
    *e = why;
    return -1;
}

static int take_row(struct pump *p, const struct event *ev, struct err *e)
{
    struct group *g = &p->group;
    struct change c;
    struct str newkey;
    bool parked;
    if (++g->row % 4096 == 0)
        pump_tick(p);
    if (g->skipping || ev->tombstone)
        return 0;
    struct pump_item item = {.event = raw_of(p, ev), .old = g->half};
    if (read_change(p, ev, &item, &c, &parked, e))
        return -1;
    if (parked)
        return 0;
    if (c.op == OP_NONE) {
        if ((pump_is_careful(p) || p->parked) && headers_find(ev->headers, HEADER_NEWKEY, &newkey))
            g->half = raw_keep(p, &item.event);
        return 0;
    }
    g->half = (struct raw){0};
    if (c.op == OP_MESSAGE || !route_takes(&p->route, c.rel))
        return 0;
    if (c.op == OP_TRUNCATE && take_truncate(p, &item, e))
        return -1;
    if (c.op != OP_TRUNCATE && pump_key_parked(p, &item)) {
        struct err why = ERR_INIT;
        (void) err_set(&why, E_TARGET_ROW, "queued behind a parked row of its key");
        return pump_park_item(p, &item, &why, e);
    }
    add_change(p, &c, &item);
    if (arena_used(&p->batch.arena) >= (size_t) p->target->batch_kb * 1024)
        return pump_apply_batch(p, false, e);
    return 0;
}

/* ---- transactions ---- */

static bool covered(const struct pump *p, const struct mark *mark)
{
    if (mark->kind == MARK_STREAM)
        return mark->pos.lsn <= p->group.to.stream.lsn;
    return position_cmp(&mark->pos, &p->group.to.copy) <= 0;
}

static int check_system(struct pump *p, const struct mark *mark, struct err *e)
{
    uint64_t known = p->pos.stream.system_id;
    if (!known || !mark->pos.system_id || known == mark->pos.system_id)
        return 0;
    return err_set(e, E_OTHER_SERVER, "target %s holds positions of system %llu, events are of system %llu",
                   p->target->name, (unsigned long long) known, (unsigned long long) mark->pos.system_id);
}

/* A sink may run ahead of the disk. When a power cut then takes the bus's tail and the source comes
 * back as a standby that never had it, commits of the new timeline stand where the target has
 * others: by the LSN alone they would be skipped. */
static int check_timeline(const struct pump *p, const struct mark *mark, struct err *e)
{
    const struct position *to = &p->group.to.stream;
    if (mark->kind != MARK_STREAM || !to->timeline || mark->pos.timeline <= to->timeline || mark->pos.lsn > to->lsn)
        return 0;
    return err_set(e, E_TIMELINE, "target %s stands at %s of timeline %u, but timeline %u of the source has a "
                   "commit at %s: the target has changes that the source lost", p->target->name,
                   LSN_STR(to->lsn), to->timeline, mark->pos.timeline, LSN_STR(mark->pos.lsn));
}

/* This transaction cannot join the group: a hold, a copy chunk, careful mode, or enough already. */
static bool ends_group(struct pump *p, const struct mark *mark)
{
    struct group *g = &p->group;
    if (pump_must_hold(p, mark)) {
        p->holding = true;
        return true;
    }
    bool some = g->txns > 0 || g->skipped > 0;
    if (g->skipped >= PUMP_GROUP_TXNS)
        return true;
    return some && (g->copy || mark->kind == MARK_COPY || pump_is_careful(p) ||
                    g->txns == PUMP_GROUP_TXNS);
}

static int begin_txn(struct pump *p, const struct event *ev, enum step *step, struct err *e)
{
    struct group *g = &p->group;
    if (check_system(p, &ev->mark, e) || check_timeline(p, &ev->mark, e))
        return -1;
    if (ends_group(p, &ev->mark)) {
        *step = STEP_END;
        p->seen_until = ev->offset;
        return bus_seek(p->reader, ev->offset, e);
    }
    g->in_txn = true;
    g->row = 0;
    g->half = (struct raw){0};
    g->mark = ev->mark;
    g->mark.origin = STR_NONE;
    g->copy = ev->mark.kind == MARK_COPY;
    g->skipping = covered(p, &ev->mark);
    buf_reset(&p->topic); /* a copy's topic has to outlive slices, which reset the batch */
    buf_add_str(&p->topic, ev->mark.topic);
    g->mark.topic = buf_str(&p->topic);
    g->ours = g->copy && !g->skipping &&
              route_takes_topic(&p->route, str_of(p->parts.config->name), ev->mark.topic);
    return 0;
}

static void end_txn(struct pump *p, const struct event *ev)
{
    struct group *g = &p->group;
    g->in_txn = false;
    g->next = ev->offset + 1;
    g->last = g->mark;
    g->last.end_lsn = ev->mark.end_lsn;
    g->last.flags |= ev->mark.flags;
    if (g->skipping) {
        g->skipped++;
        return;
    }
    if (g->copy)
        g->to.copy = g->mark.pos;
    else
        g->to.stream = g->mark.pos;
    g->to.known = true;
    g->sentinel = g->sentinel || (g->last.flags & MARK_SENTINEL);
    g->commit_us[g->txns++] = g->mark.commit_us;
}

static int take_event(struct pump *p, const struct event *ev, enum step *step, struct err *e)
{
    p->seen_until = ev->offset + 1;
    switch (ev->kind) {
    case EVENT_BEGIN:
        return begin_txn(p, ev, step, e);
    case EVENT_ROW:
        if (!p->group.in_txn)
            return err_set(e, E_CORRUPT, "event %llu is a row outside of a transaction",
                           (unsigned long long) ev->offset);
        return take_row(p, ev, e);
    case EVENT_COMMIT:
        if (!p->group.in_txn)
            return err_set(e, E_CORRUPT, "event %llu ends a transaction that did not begin",
                           (unsigned long long) ev->offset);
        end_txn(p, ev);
        *step = p->group.copy || p->group.applied ? STEP_END : STEP_ON;
        return 0;
    }
    return err_set(e, E_CORRUPT, "event %llu is of no kind that is known", (unsigned long long) ev->offset);
}

static void begin_group(struct pump *p)
{
    struct group *g = &p->group;
    uint64_t from = g->next;
    *g = (struct group){.from = from, .next = from, .to = p->pos};
    pump_drop_batch(p);
}

int pump_read_group(struct pump *p, struct err *e)
{
    struct group *g = &p->group;
    enum step step = STEP_ON;
    begin_group(p);
    while (step == STEP_ON) {
        struct event ev;
        bool idle = !g->in_txn && !g->txns && !g->skipped;
        int got = bus_next(p->reader, idle ? PUMP_WAIT_US : 0, &ev, e);
        if (got < 0)
            return -1;
        if (!got && !g->in_txn)
            break;
        if (got && take_event(p, &ev, &step, e))
            return -1;
        if (env_stop(p->parts.env) == STOP_NOW)
            return err_set(e, E_STOPPED, "stopped while reading");
    }
    return 0;
}
