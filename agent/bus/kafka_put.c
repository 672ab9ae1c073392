/* SPDX-License-Identifier: Apache-2.0
 *
 * The producer's side: events into segments. Nothing here waits for Kafka.
 */
#include <stdlib.h>

#include "agent/bus/kafka.h"

#define SEG_MAX_BYTES ((size_t) 256 << 10)
#define SEGS_MIN 8 /* in memory_bytes */

static void close_tail(struct kafka_bus *b)
{
    if (b->tail)
        b->tail->closed = true;
}

static struct kafka_seg *add_seg(struct kafka_bus *b, size_t len)
{
    size_t cap = b->o.memory_bytes / SEGS_MIN < SEG_MAX_BYTES ? b->o.memory_bytes / SEGS_MIN : SEG_MAX_BYTES;
    if (cap < len)
        cap = len;
    struct kafka_seg *seg = mem_alloc(sizeof *seg + cap);
    *seg = (struct kafka_seg){.cap = cap};
    pthread_mutex_lock(&b->lock);
    close_tail(b);
    if (b->tail)
        b->tail->next = seg;
    else
        b->head = seg;
    b->tail = seg;
    pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
    return seg;
}

/* The writer frees segments that are closed, so that the newest one stays ours. */
static void append(struct kafka_bus *b, const struct event *ev)
{
    size_t len = bus_event_len(ev);
    struct kafka_seg *seg = b->tail;
    if (!seg || seg->closed || seg->cap - seg->used < len)
        seg = add_seg(b, len);
    bus_event_write(seg->bytes + seg->used, ev, len);
    seg->used += len;
    b->next++;
    b->open_bytes += len;
    atomic_fetch_add(&b->pending, len);
}

/* Why nothing is taken; with reset this is told until the producer flushes. */
static int refuse(struct kafka_bus *b, struct err *e)
{
    pthread_mutex_lock(&b->lock);
    bool told = b->reset || atomic_load(&b->state) == BUS_FAILED;
    if (told)
        *e = b->error;
    pthread_mutex_unlock(&b->lock);
    if (told)
        return -1;
    return err_set(e, E_BUS_FULL, "%llu bytes wait for Kafka", (unsigned long long) atomic_load(&b->pending));
}

uint64_t kafka_room(struct bus *base)
{
    struct kafka_bus *b = kafka_of(base);
    uint64_t pending = atomic_load(&b->pending);
    if (atomic_load(&b->reset))
        return 1; /* the next put tells */
    return pending < b->o.memory_bytes ? b->o.memory_bytes - pending : 0;
}

int kafka_put(struct bus *base, const struct event *ev, struct err *e)
{
    struct kafka_bus *b = kafka_of(base);
    if (b->open ? ev->kind != EVENT_ROW : ev->kind != EVENT_BEGIN)
        return err_set(e, E_INTERNAL, "event of kind %d %s a transaction", (int) ev->kind, b->open ? "inside of" : "outside of");
    if (bus_event_len(ev) > BUS_EVENT_MAX)
        return err_set(e, E_VALUE, "row of %zu bytes is too large", bus_event_len(ev));
    if (atomic_load(&b->reset) || kafka_room(base) == 0)
        return refuse(b, e);
    if (ev->kind == EVENT_BEGIN) {
        b->open = true;
        b->open_bytes = 0;
    }
    append(b, ev);
    return 0;
}

int kafka_commit(struct bus *base, const struct mark *mark, struct err *e)
{
    struct kafka_bus *b = kafka_of(base);
    const struct event ev = {.kind = EVENT_COMMIT, .mark = *mark};
    if (atomic_load(&b->reset))
        return refuse(b, e);
    if (b->open)
        append(b, &ev);
    pthread_mutex_lock(&b->lock);
    if (b->open) {
        b->tail->committed = b->tail->used;
        metric_add(b->env->metrics, M_BUS_EVENTS, 0, (int64_t) (b->next - b->committed));
        metric_add(b->env->metrics, M_BUS_PUT_BYTES, 0, (int64_t) b->open_bytes);
        b->committed = b->next;
        b->open_taken = false;
    }
    if (mark->end_lsn > b->wanted_end_lsn)
        b->wanted_end_lsn = mark->end_lsn;
    pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
    b->open = false;
    return 0;
}

/* Where the last commit lies: in the last segment that has one, or before all that are left. */
static struct kafka_seg **last_commit(struct kafka_bus *b)
{
    struct kafka_seg **found = &b->head;
    for (struct kafka_seg **link = &b->head; *link; link = &(*link)->next)
        if ((*link)->committed)
            found = link;
    return found;
}

/* Cut what lies behind the last commit; what the writer has taken of it is its to give up. */
static void cut_open(struct kafka_bus *b)
{
    struct kafka_seg **link = last_commit(b), *last = NULL;
    while (*link) {
        struct kafka_seg *seg = *link;
        size_t keep = seg->committed > seg->sent ? seg->committed : seg->sent;
        atomic_fetch_sub(&b->pending, seg->used - keep);
        seg->used = keep;
        if (keep == 0 && seg->closed) { /* the writer is not in it */
            *link = seg->next;
            free(seg);
            continue;
        }
        last = seg;
        link = &seg->next;
    }
    b->tail = last;
}

void kafka_abort(struct bus *base)
{
    struct kafka_bus *b = kafka_of(base);
    if (!b->open)
        return;
    pthread_mutex_lock(&b->lock);
    if (!b->reset) {
        cut_open(b);
        b->aborts += b->open_taken;
        b->open_taken = false;
        b->next = b->committed;
        pthread_cond_signal(&b->work);
    }
    pthread_mutex_unlock(&b->lock);
    b->open = false;
}

void kafka_segs_free(struct kafka_bus *b)
{
    while (b->head) {
        struct kafka_seg *next = b->head->next;
        free(b->head);
        b->head = next;
    }
    b->tail = NULL;
}

/* All that was not durable is gone, and the producer knows. */
static void begin_again(struct kafka_bus *b)
{
    kafka_segs_free(b);
    atomic_store(&b->pending, 0);
    b->next = b->committed = b->durable.offset;
    b->wanted_end_lsn = b->durable.end_lsn;
    b->open_taken = false;
    atomic_store(&b->reset, false);
}

static bool all_durable(const struct kafka_bus *b)
{
    return b->durable.offset >= b->committed && b->durable.end_lsn >= b->wanted_end_lsn;
}

int kafka_flush(struct bus *base, int64_t wait_ms, struct err *e)
{
    struct kafka_bus *b = kafka_of(base);
    int64_t until_us = kafka_now_us() + wait_ms * 1000;
    int rc = 0;
    pthread_mutex_lock(&b->lock);
    b->waiting_flush++;
    pthread_cond_signal(&b->work);
    while (!rc) {
        bool failed = atomic_load(&b->state) == BUS_FAILED;
        if (failed) {
            *e = b->error;
            rc = -1;
        } else if (b->reset && atomic_load(&b->state) == BUS_OK) {
            begin_again(b);
        } else if (!b->reset && all_durable(b)) {
            break;
        } else {
            int64_t left_us = until_us - kafka_now_us();
            struct timespec at;
            clock_gettime(CLOCK_MONOTONIC, &at);
            int64_t ns = at.tv_nsec + (left_us < 200000 ? left_us : 200000) * 1000;
            at.tv_sec += ns / 1000000000;
            at.tv_nsec = ns % 1000000000;
            if (left_us <= 0)
                rc = err_set(e, E_TIMEOUT, "Kafka has not committed within %lld ms", (long long) wait_ms);
            else
                (void) pthread_cond_timedwait(&b->synced, &b->lock, &at);
        }
    }
    b->waiting_flush--;
    pthread_mutex_unlock(&b->lock);
    return rc;
}
