/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers. What is in hand is a segment of memory (held by a reference) or one unpacked block; the
 * lock is taken only when that is used up. A reader that keeps up with the producer so never
 * touches the disk, and one that is behind never holds memory of others.
 */
#include "agent/bus/local.h"

#include <inttypes.h>
#include <stdlib.h>

#include "agent/base/arena.h"

#define KEEP_BYTES ((size_t) 4 << 20) /* a giant block's memory is given back */

static struct local_reader *reader_of(struct bus_reader *r)
{
    return (struct local_reader *) r;
}

/* ---- groups ---- */

struct local_group *local_group_find(struct local_bus *b, struct str name)
{
    for (int at = 0; at < b->group_count; at++)
        if (b->groups[at].name && str_is(name, b->groups[at].name))
            return &b->groups[at];
    return NULL;
}

struct local_group *local_group_add(struct local_bus *b, struct str name, uint64_t taken)
{
    int at = 0;
    while (at < b->group_count && b->groups[at].name)
        at++;
    if (at == LOCAL_GROUPS_MAX)
        return NULL;
    if (at == b->group_count)
        b->group_count++;
    b->groups[at] = (struct local_group){.name = mem_strndup(name), .taken = taken};
    return &b->groups[at];
}

/* Offsets are to be stored, with the next group commit or in a second. The lock is held. */
static void mark_takes(struct local_bus *b)
{
    if (!b->takes_dirty)
        b->takes_since_us = local_now_us();
    if (!b->takes_dirty || b->blocked)
        pthread_cond_signal(&b->work);
    b->takes_dirty = true;
}

/* The group of a new reader; NULL with the reason. The lock is held. */
static struct local_group *join(struct local_bus *b, const char *name, struct err *e)
{
    struct local_group *group = local_group_find(b, str_of(name));
    if (!group)
        group = local_group_add(b, str_of(name), b->first);
    if (!group) {
        (void) err_set(e, E_INTERNAL, "more than %d groups read the bus", LOCAL_GROUPS_MAX);
        return NULL;
    }
    if (group->forgotten) {
        group->forgotten = false;
        group->note_len = 0;
        group->taken = b->first;
    }
    if (group->reading) {
        (void) err_set(e, E_INTERNAL, "group %s reads the bus already", name);
        return NULL;
    }
    if (group->taken < b->first || group->taken > b->committed) {
        (void) err_set(e, E_READER_LOST, "group %s stands at offset %" PRIu64 ", the bus holds %" PRIu64
                       " to %" PRIu64, name, group->taken, b->first, b->committed);
        return NULL;
    }
    group->reading = true;
    mark_takes(b); /* a new group's place is to be stored */
    return group;
}

struct bus_reader *local_reader(struct bus *base, const char *group, bool ahead, struct err *e)
{
    struct local_bus *b = local_of(base);
    pthread_mutex_lock(&b->lock);
    struct local_group *joined = join(b, group, e);
    if (!joined) {
        pthread_mutex_unlock(&b->lock);
        return NULL;
    }
    struct local_reader *r = mem_zalloc(1, sizeof *r);
    r->base.bus = base;
    r->b = b;
    r->group = joined;
    r->ahead = ahead;
    r->next = joined->taken;
    pthread_mutex_unlock(&b->lock);
    return &r->base;
}

static void drop_hand(struct local_reader *r)
{
    local_seg_leave(r->seg);
    r->seg = NULL;
    r->stop = 0;
    r->block.count = 0;
}

void local_leave(struct bus_reader *base)
{
    struct local_reader *r = reader_of(base);
    pthread_mutex_lock(&r->b->lock);
    drop_hand(r);
    r->group->reading = false;
    pthread_mutex_unlock(&r->b->lock);
    buf_free(&r->key);
    buf_free(&r->value);
    buf_free(&r->raw);
    free(r);
}

/* ---- finding the next event ---- */

static uint64_t visible(const struct local_reader *r)
{
    return r->ahead ? r->b->ahead : r->b->durable;
}

/* Wait until next may be seen: 1, 0 after wait_us, -1 when the bus failed. The lock is held. */
static int wait_visible(struct local_reader *r, int64_t wait_us, struct err *e)
{
    struct local_bus *b = r->b;
    int64_t deadline = wait_us > 0 ? local_now_us() + wait_us : 0;
    while (r->next >= visible(r)) {
        if (atomic_load(&b->state) == BUS_FAILED) {
            *e = b->error;
            return -1;
        }
        if (wait_us <= 0 || local_now_us() >= deadline)
            return 0;
        unsigned *waiting = r->ahead ? &b->waiting_ahead : &b->waiting_durable;
        (*waiting)++;
        /* Somebody waits for what is committed only: sync now. */
        if (r->next < b->committed)
            pthread_cond_signal(&b->work);
        local_wait(b, &b->readable, deadline);
        (*waiting)--;
    }
    return 1;
}

/* Take the segment that holds next in hand; false when memory does not reach back so far. The lock
 * is held. */
static bool take_segment(struct local_reader *r)
{
    struct local_bus *b = r->b;
    struct local_seg *found = NULL;
    for (struct local_seg *seg = b->head; seg && seg->first <= r->next; seg = seg->next)
        found = seg;
    if (found && found != r->seg) {
        drop_hand(r);
        found->refs++;
        r->seg = found;
        r->at = found->first;
        r->pos = 0;
    }
    if (!found)
        return false;
    r->stop = visible(r);
    if (found->next && found->next->first < r->stop)
        r->stop = found->next->first;
    return true;
}

static int bad(const struct local_reader *r, uint64_t offset, const char *why, struct err *e)
{
    return err_set(e, E_CORRUPT, "bus block at offset %" PRIu64 ", read at %" PRIu64 ": %s", offset,
                   r->next, why);
}

/* Unpack the block that holds next. Called without the lock: what a reader has not taken is not
 * trimmed, and what is not in memory any more is on disk. */
static int take_block(struct local_reader *r, uint64_t limit, struct err *e)
{
    uint8_t key[LOCAL_OFFSET_LEN];
    uint64_t first;
    bool found;
    r->value.max = BUS_EVENT_MAX + (BUS_EVENT_MAX >> 6);
    if (store_seek(r->b->store, STORE_BLOCKS, local_key(key, r->next), true, &r->key, &r->value, &found, e) != 0)
        return -1;
    if (!found || !local_key_read(buf_str(&r->key), &first))
        return bad(r, r->next, "it is missing", e);
    if (local_block_read(first, buf_str(&r->value), &r->block, &r->raw, e) != 0)
        return -1;
    if (r->next - first >= r->block.count)
        return bad(r, first + r->block.count, "it is missing", e);
    if (r->value.room > KEEP_BYTES)
        buf_free(&r->value);
    r->at = first;
    r->pos = 0;
    r->stop = first + r->block.count < limit ? first + r->block.count : limit;
    return 0;
}

static struct str hand(const struct local_reader *r)
{
    return r->seg ? (struct str){r->seg->bytes, r->seg->cap} : buf_str(&r->raw);
}

/* Move to next within what is in hand. */
static int skip_to_next(struct local_reader *r, struct err *e)
{
    for (; r->at < r->next; r->at++) {
        size_t len = bus_event_skip(hand(r), r->pos);
        if (len == 0)
            return bad(r, r->at, "an event is malformed", e);
        r->pos += len;
    }
    return 0;
}

/* Get something in hand: 1, 0 when nothing came, -1. */
static int refill(struct local_reader *r, int64_t wait_us, struct err *e)
{
    struct local_bus *b = r->b;
    pthread_mutex_lock(&b->lock);
    int rc = wait_visible(r, wait_us, e);
    uint64_t limit = visible(r);
    bool memory = rc == 1 && take_segment(r);
    bool block = rc == 1 && !memory;
    if (block && (r->seg || r->next - r->block.first >= r->block.count))
        drop_hand(r);
    pthread_mutex_unlock(&b->lock);
    if (rc != 1)
        return rc;
    if (r->raw.room > KEEP_BYTES && (memory || r->block.count == 0))
        buf_free(&r->raw);
    if (block && r->block.count > 0) /* the block in hand had a part that was not visible */
        r->stop = r->block.first + r->block.count < limit ? r->block.first + r->block.count : limit;
    else if (block && take_block(r, limit, e) != 0)
        return -1;
    return skip_to_next(r, e) == 0 ? 1 : -1;
}

int local_next(struct bus_reader *base, int64_t wait_us, struct event *ev, struct err *e)
{
    struct local_reader *r = reader_of(base);
    if (r->next >= r->stop) {
        int rc = refill(r, wait_us, e);
        if (rc != 1)
            return rc;
    }
    if (!bus_event_read(hand(r), &r->pos, ev))
        return bad(r, r->next, "an event is malformed", e);
    ev->offset = r->next++;
    ev->epoch = r->seg ? r->b->epoch : r->block.epoch;
    r->at = r->next;
    return 1;
}

/* ---- places ---- */

int local_seek(struct bus_reader *base, uint64_t offset, struct err *e)
{
    struct local_reader *r = reader_of(base);
    pthread_mutex_lock(&r->b->lock);
    uint64_t taken = r->group->taken, end = visible(r);
    drop_hand(r);
    pthread_mutex_unlock(&r->b->lock);
    if (offset < taken || offset > end)
        return err_set(e, E_READER_LOST, "group %s cannot go to offset %" PRIu64 ": it may read %" PRIu64
                       " to %" PRIu64, r->group->name, offset, taken, end);
    r->next = offset;
    return 0;
}

uint64_t local_taken(struct bus_reader *base)
{
    struct local_reader *r = reader_of(base);
    pthread_mutex_lock(&r->b->lock);
    uint64_t taken = r->group->taken;
    pthread_mutex_unlock(&r->b->lock);
    return taken;
}

int local_take(struct bus_reader *base, uint64_t offset, struct str note, struct err *e)
{
    struct local_reader *r = reader_of(base);
    struct local_bus *b = r->b;
    if (offset > r->next)
        return err_set(e, E_INTERNAL, "group %s takes up to offset %" PRIu64 " but has read up to %" PRIu64,
                       r->group->name, offset, r->next);
    if (note.len > BUS_NOTE_MAX)
        return err_set(e, E_INTERNAL, "group %s notes %zu bytes", r->group->name, note.len);
    pthread_mutex_lock(&b->lock);
    if (offset > r->group->taken) {
        r->group->taken = offset;
        r->group->note_len = note.len;
        if (note.len)
            memcpy(r->group->note, note.p, note.len);
        mark_takes(b);
    }
    pthread_mutex_unlock(&b->lock);
    return 0;
}

/* Changed by this reader's thread alone. */
struct str local_note(struct bus_reader *base)
{
    const struct local_group *group = reader_of(base)->group;
    return (struct str){group->note, group->note_len};
}

int local_forget(struct bus *base, const char *name, struct err *e)
{
    struct local_bus *b = local_of(base);
    int rc = 0;
    pthread_mutex_lock(&b->lock);
    struct local_group *group = local_group_find(b, str_of(name));
    if (group && group->reading)
        rc = err_set(e, E_INTERNAL, "group %s cannot be forgotten while it reads", name);
    if (group && rc == 0) {
        group->forgotten = true;
        mark_takes(b);
    }
    pthread_mutex_unlock(&b->lock);
    return rc;
}
