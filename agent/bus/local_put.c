/* SPDX-License-Identifier: Apache-2.0
 *
 * The producer's side. A put encodes into the newest segment without the lock: nobody else looks
 * beyond the last commit there. The lock is taken to end a transaction and to change segments.
 */
#include "agent/bus/local.h"

#include <inttypes.h>
#include <stdlib.h>

#include "agent/base/arena.h"

void local_seg_leave(struct local_seg *seg)
{
    if (seg && --seg->refs == 0)
        free(seg);
}

/* ---- segments ---- */

/* No more goes into the newest segment, so that the writer may take all of it. */
static void close_tail(struct local_bus *b)
{
    struct local_seg *seg = b->tail;
    if (!seg || seg->closed)
        return;
    seg->closed = true;
    b->closed_unwritten += seg->used - seg->written;
    b->open_closed = b->open;
}

/* Let go of the oldest segments that are on disk until more bytes fit. */
static void evict(struct local_bus *b, size_t more)
{
    while (b->head && b->head->closed && b->head->written == b->head->used
           && b->seg_total + more > b->o.memory_bytes) {
        struct local_seg *seg = b->head;
        b->head = seg->next;
        if (!b->head)
            b->tail = NULL;
        b->seg_total -= seg->cap;
        local_seg_leave(seg);
    }
}

static struct local_seg *add_seg(struct local_bus *b, size_t len)
{
    size_t cap = len > b->seg_bytes ? len : b->seg_bytes;
    struct local_seg *seg = mem_alloc(sizeof *seg + cap);
    *seg = (struct local_seg){.refs = 1, .first = b->next, .cap = cap};
    pthread_mutex_lock(&b->lock);
    close_tail(b);
    evict(b, cap);
    if (b->tail)
        b->tail->next = seg;
    else
        b->head = seg;
    b->tail = seg;
    b->seg_total += cap;
    if (b->closed_unwritten >= b->spill_bytes)
        pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
    return seg;
}

static void append(struct local_bus *b, const struct event *ev, size_t len)
{
    struct local_seg *seg = b->tail;
    if (!seg || seg->closed || seg->cap - seg->used < len)
        seg = add_seg(b, len);
    bus_event_write(seg->bytes + seg->used, ev, len);
    seg->used += len;
    seg->count++;
    b->next++;
    b->open_bytes += len;
    atomic_fetch_add(&b->pending, len);
}

/* ---- room ---- */

bool local_at_budget(struct local_bus *b)
{
    return atomic_load(&b->stored) + atomic_load(&b->pending) >= atomic_load(&b->limit);
}

/* Readers have taken everything before the open transaction: nothing that they do makes room for it. */
static bool stands_alone(const struct local_bus *b)
{
    bool any = false;
    for (int at = 0; at < b->group_count; at++) {
        const struct local_group *group = &b->groups[at];
        if (!group->name || group->forgotten)
            continue;
        if (group->taken < b->committed)
            return false;
        any = true;
    }
    return any && b->open && b->durable == b->committed;
}

static void tell_large(struct local_bus *b)
{
    if (!b->o.large_bytes || atomic_load(&b->limit) > b->o.max_bytes || !local_at_budget(b) || !stands_alone(b))
        return;
    atomic_store(&b->limit, b->o.max_bytes + b->o.large_bytes);
    log_warn(b->env->log, "bus", "one transaction is larger than the budget of %" PRIu64 " MB (bus.max_mb): it is taken "
             "all the same, up to %" PRIu64 " MB more (bus.large_txn_max_mb)", b->o.max_bytes >> 20,
             b->o.large_bytes >> 20);
}

/* There is no room: what is open goes to disk as far as it has come, and what readers took goes
 * away at once. */
static void tell_blocked(struct local_bus *b)
{
    pthread_mutex_lock(&b->lock);
    tell_large(b);
    if (!b->blocked || (b->tail && !b->tail->closed)) {
        b->blocked = true;
        close_tail(b);
        pthread_cond_signal(&b->work);
    }
    pthread_mutex_unlock(&b->lock);
}

uint64_t local_room(struct bus *base)
{
    struct local_bus *b = local_of(base);
    uint64_t pending = atomic_load(&b->pending), stored = atomic_load(&b->stored);
    if (atomic_load(&b->state) != BUS_OK)
        return 0;
    uint64_t limit = atomic_load(&b->limit);
    if (pending >= b->o.memory_bytes || stored + pending >= limit) {
        tell_blocked(b);
        return 0;
    }
    uint64_t memory = b->o.memory_bytes - pending, disk = limit - stored - pending;
    return memory < disk ? memory : disk;
}

/* Why put does not take anything. */
static int refuse(struct local_bus *b, struct err *e)
{
    pthread_mutex_lock(&b->lock);
    struct err error = b->error;
    pthread_mutex_unlock(&b->lock);
    if (atomic_load(&b->state) != BUS_OK && error.code != E_NONE) {
        *e = error;
        return -1;
    }
    if (local_at_budget(b) && b->open && b->open_bytes >= b->o.max_bytes / 2)
        return err_set(e, E_BUS_FULL, "one transaction of %" PRIu64 " bytes so far does not fit in "
                       "the bus's budget of %" PRIu64, b->open_bytes, atomic_load(&b->limit));
    if (local_at_budget(b))
        return err_set(e, E_BUS_FULL, "bus holds %" PRIu64 " bytes, its budget", b->o.max_bytes);
    return err_set(e, E_BUS_FULL, "bus holds %" PRIu64 " bytes in memory that are not yet on disk",
                   b->o.memory_bytes);
}

/* ---- transactions ---- */

int local_put(struct bus *base, const struct event *ev, struct err *e)
{
    struct local_bus *b = local_of(base);
    bool fits = b->open ? ev->kind == EVENT_ROW : ev->kind == EVENT_BEGIN;
    if (!fits)
        return err_set(e, E_INTERNAL, "event of kind %d %s a transaction", (int) ev->kind,
                       b->open ? "inside of" : "outside of");
    size_t len = bus_event_len(ev);
    if (len > BUS_EVENT_MAX)
        return err_set(e, E_VALUE, "row of %zu bytes is larger than a block may be", len);
    if (local_room(base) == 0)
        return refuse(b, e);
    if (ev->kind == EVENT_BEGIN) {
        b->open = true;
        b->open_closed = false;
        b->open_bytes = 0;
    }
    append(b, ev, len);
    return 0;
}

static void move_tip(struct local_bus *b, const struct mark *mark, bool stream)
{
    /* A keepalive says how far the server has come, not where a commit stands: taken for a commit's
     * position it would cover a commit that starts just there. */
    if (stream) {
        b->tip.pos = mark->pos;
        b->tip.commit_us = mark->commit_us;
    }
    if (mark->end_lsn > b->tip.end_lsn)
        b->tip.end_lsn = mark->end_lsn;
    b->tip.turn++;
}

static void end_transaction(struct local_bus *b, const struct mark *mark)
{
    if (b->committed == b->durable)
        b->pending_since_us = local_now_us();
    b->tail->committed = b->tail->used;
    b->tail->committed_count = b->tail->count;
    b->committed = b->next;
    b->blocked = false;
    if (mark->kind == MARK_COPY)
        b->copy_end = b->committed;
    else if (b->copy_end <= b->durable)
        b->ahead = b->committed;
    move_tip(b, mark, mark->kind == MARK_STREAM);
}

int local_commit(struct bus *base, const struct mark *mark, struct err *e)
{
    struct local_bus *b = local_of(base);
    struct event ev = {.kind = EVENT_COMMIT, .mark = *mark};
    uint64_t before = b->next, count;
    if (atomic_load(&b->state) == BUS_FAILED)
        return refuse(b, e);
    if (b->open)
        append(b, &ev, bus_event_len(&ev));
    count = b->next - before;
    pthread_mutex_lock(&b->lock);
    count += b->open ? before - b->committed : 0;
    bool first = b->committed == b->durable;
    if (b->open)
        end_transaction(b, mark);
    else
        move_tip(b, mark, false);
    bool wake_readers = b->waiting_ahead > 0;
    bool wake_writer = first || b->waiting_durable > 0 || b->waiting_flush > 0
        || (wake_readers && b->ahead < b->committed) || atomic_load(&b->pending) >= b->spill_bytes;
    pthread_mutex_unlock(&b->lock);
    /* Readers that run ahead first: this is the way that latency counts. */
    if (wake_readers && b->open)
        pthread_cond_broadcast(&b->readable);
    if (wake_writer)
        pthread_cond_signal(&b->work);
    if (b->open) {
        metric_add(b->env->metrics, M_BUS_EVENTS, 0, (int64_t) count);
        metric_add(b->env->metrics, M_BUS_PUT_BYTES, 0, (int64_t) b->open_bytes);
    }
    b->open = false;
    atomic_store(&b->limit, b->o.max_bytes);
    return 0;
}

/* Take the open transaction's bytes out of seg, which then ends at used. */
static void cut(struct local_bus *b, struct local_seg *seg, size_t used, uint32_t count)
{
    size_t lost = seg->used - (seg->written > used ? seg->written : used); /* not on disk */
    atomic_fetch_sub(&b->pending, lost);
    if (seg->closed)
        b->closed_unwritten -= lost;
    seg->used = used;
    seg->count = count;
    if (seg->written > used) {
        seg->written = used;
        seg->written_count = count;
    }
}

void local_abort(struct bus *base)
{
    struct local_bus *b = local_of(base);
    if (!b->open)
        return;
    pthread_mutex_lock(&b->lock);
    struct local_seg **link = &b->head, *last = NULL;
    while (*link) {
        struct local_seg *seg = *link;
        if (seg->first >= b->committed) { /* all of it is open, as are those behind it */
            cut(b, seg, 0, 0);
            *link = seg->next;
            b->seg_total -= seg->cap;
            local_seg_leave(seg);
            continue;
        }
        if (seg->first + seg->count > b->committed)
            cut(b, seg, seg->committed, seg->committed_count);
        last = seg;
        link = &seg->next;
    }
    b->tail = last;
    b->next = b->committed;
    b->abort_turn++;
    b->blocked = false;
    /* Offsets from here on are used again; what is on disk there must go first. */
    if (b->open_closed && !b->drop_tail) {
        b->drop_tail = true;
        b->drop_from = b->committed;
    }
    pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
    b->open = false;
    atomic_store(&b->limit, b->o.max_bytes);
}
