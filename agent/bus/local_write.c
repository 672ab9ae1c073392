/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer thread: group commits.
 *
 * One round takes everything that is committed (and full segments of an open transaction, so that
 * it may be larger than memory), makes blocks of it, and writes blocks, readers' offsets, trimming
 * and the meta record in one transaction of the store: either all of it happened or none. Each
 * round's company is whoever came while the round before was syncing.
 */
#include "agent/bus/local.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/base/arena.h"
#include "agent/base/cursor.h"

#define IDLE_US INT64_C(1000000)  /* between syncs that nobody waits for */
#define RETRY_US INT64_C(1000000) /* after a full disk */
#define MAP_SLACK_BYTES ((uint64_t) 256 << 20) /* so that the map grows in few steps */
#define TRIM_MAX 256              /* blocks a round */
#define META_LEN ((size_t) 65)
#define META_VERSION 1
#define BLOCK_MIN_BYTES ((size_t) 2048)

/* A part of a segment to be written. */
struct range {
    struct local_seg *seg;
    size_t from, to;
    uint64_t first;
    uint32_t count;
    bool open; /* of a transaction that was not committed when it was taken */
};

struct take {
    const char *name;
    uint64_t offset;
    char note[BUS_NOTE_MAX];
    size_t note_len;
    bool forget;
};

/* One round, copied out of the bus so that the lock is free while it is written. */
struct job {
    struct range *ranges;
    size_t range_count, range_room;
    struct take takes[LOCAL_GROUPS_MAX];
    int take_count;
    uint64_t committed, first, low, durable, drop_from;
    struct local_tip tip;
    uint64_t abort_turn;
    bool drop_tail, more_to_trim, trim_only;
    size_t block_bytes;
    int64_t started_us;
    struct buf block, key;
};

/* ---- small records ---- */

struct str local_key(uint8_t out[LOCAL_OFFSET_LEN], uint64_t offset)
{
    put_be(out, offset, LOCAL_OFFSET_LEN);
    return (struct str){(const char *) out, LOCAL_OFFSET_LEN};
}

bool local_key_read(struct str key, uint64_t *offset)
{
    struct cursor c = cursor_of(key);
    *offset = cursor_u64(&c);
    return !c.failed && c.left == 0;
}

struct str local_place(char out[LOCAL_OFFSET_LEN + BUS_NOTE_MAX], uint64_t offset, struct str note)
{
    put_be((uint8_t *) out, offset, LOCAL_OFFSET_LEN);
    if (note.len)
        memcpy(out + LOCAL_OFFSET_LEN, note.p, note.len);
    return (struct str){out, LOCAL_OFFSET_LEN + note.len};
}

bool local_place_read(struct str value, struct local_group *group)
{
    struct cursor c = cursor_of(value);
    group->taken = cursor_u64(&c);
    if (c.failed || c.left > sizeof group->note)
        return false;
    group->note_len = c.left;
    memcpy(group->note, c.p, c.left);
    return true;
}

void local_meta_write(struct buf *out, uint32_t epoch, uint64_t first, uint64_t committed,
                      const struct local_tip *tip)
{
    buf_add_be(out, META_VERSION, 1);
    buf_add_be(out, epoch, 4);
    buf_add_be(out, first, 8);
    buf_add_be(out, committed, 8);
    buf_add_be(out, tip->pos.system_id, 8);
    buf_add_be(out, tip->pos.timeline, 4);
    buf_add_be(out, tip->pos.lsn, 8);
    buf_add_be(out, tip->pos.seq, 8);
    buf_add_be(out, tip->end_lsn, 8);
    buf_add_be(out, (uint64_t) tip->commit_us, 8);
}

bool local_meta_read(struct str value, uint32_t *epoch, uint64_t *first, uint64_t *committed,
                     struct local_tip *tip)
{
    struct cursor c = cursor_of(value);
    bool known = cursor_u8(&c) == META_VERSION;
    *epoch = cursor_u32(&c);
    *first = cursor_u64(&c);
    *committed = cursor_u64(&c);
    tip->pos.system_id = cursor_u64(&c);
    tip->pos.timeline = cursor_u32(&c);
    tip->pos.lsn = cursor_u64(&c);
    tip->pos.seq = cursor_u64(&c);
    tip->end_lsn = cursor_u64(&c);
    tip->commit_us = (int64_t) cursor_u64(&c);
    return known && !c.failed && c.left == 0 && *first <= *committed;
}

/* ---- when ---- */

static bool sooner(int64_t at, int64_t *deadline)
{
    if (at < *deadline)
        *deadline = at;
    return false;
}

/* Something is committed and not on disk: who waits for it decides. */
static bool commits_due(const struct local_bus *b, int64_t now, int64_t *deadline)
{
    if (b->stop || b->waiting_flush > 0 || b->waiting_durable > 0 || b->blocked
        || (b->waiting_ahead > 0 && b->ahead < b->committed)
        || atomic_load(&b->pending) >= b->spill_bytes)
        return true;
    int64_t at = b->pending_since_us + b->o.sync_ms * 1000;
    return now >= at || sooner(at, deadline);
}

/* Whether a round is due now; otherwise *deadline is when to look again. */
static bool due(const struct local_bus *b, int64_t now, int64_t *deadline)
{
    *deadline = INT64_MAX;
    if (now < b->retry_at_us && !b->stop)
        return sooner(b->retry_at_us, deadline);
    if (b->committed != b->durable && commits_due(b, now, deadline))
        return true;
    if (b->drop_tail || b->more_to_trim || b->trim_only || (b->takes_dirty && (b->blocked || b->stop)))
        return true;
    if (b->closed_unwritten > 0 && (b->blocked || b->closed_unwritten >= b->spill_bytes))
        return true;
    if (b->takes_dirty && (now >= b->takes_since_us + IDLE_US || sooner(b->takes_since_us + IDLE_US, deadline)))
        return true;
    if (b->tip.turn != b->durable_tip.turn) {
        if (b->waiting_flush > 0 || b->stop)
            return true;
        return now >= b->last_sync_us + IDLE_US || sooner(b->last_sync_us + IDLE_US, deadline);
    }
    return false;
}

/* ---- gathering ---- */

static void add_range(struct job *j, const struct range *range)
{
    if (range->from == range->to)
        return;
    if (j->range_count == j->range_room) {
        j->range_room = j->range_room ? j->range_room * 2 : 64;
        j->ranges = mem_realloc(j->ranges, j->range_room * sizeof *j->ranges);
    }
    j->ranges[j->range_count++] = *range;
    range->seg->refs++;
}

/* The committed part first, then the part of an open transaction: a block never holds both. */
static void gather_seg(struct local_bus *b, struct job *j, struct local_seg *seg)
{
    bool whole = seg->closed && seg->first + seg->count <= b->committed;
    size_t committed = whole ? seg->used : seg->committed;
    uint32_t committed_count = whole ? seg->count : seg->committed_count;
    size_t from = seg->written;
    uint32_t from_count = seg->written_count;
    if (from < committed) {
        add_range(j, &(struct range){seg, from, committed, seg->first + from_count,
                                     committed_count - from_count, false});
        from = committed;
        from_count = committed_count;
    }
    if (seg->closed)
        add_range(j, &(struct range){seg, from, seg->used, seg->first + from_count,
                                     seg->count - from_count, true});
}

/* Offsets of all groups, and the lowest of them: what lies before it may go. Without any group
 * nothing goes: nobody has said that it is done. */
static void gather_takes(struct local_bus *b, struct job *j)
{
    bool any = false;
    j->take_count = 0;
    j->low = j->committed;
    for (int at = 0; at < b->group_count; at++) {
        struct local_group *group = &b->groups[at];
        if (!group->name)
            continue;
        /* A reader ahead of the disk starts again where the disk ends. */
        uint64_t offset = group->taken < j->committed ? group->taken : j->committed;
        struct take *take = &j->takes[j->take_count++];
        *take = (struct take){.name = group->name, .offset = offset, .note_len = group->note_len,
                              .forget = group->forgotten};
        memcpy(take->note, group->note, group->note_len);
        any = any || !group->forgotten;
        if (!group->forgotten && offset < j->low)
            j->low = offset;
    }
    if (!any)
        j->low = j->first;
}

static void gather(struct local_bus *b, struct job *j)
{
    j->range_count = 0;
    j->started_us = local_now_us();
    j->committed = b->committed;
    j->durable = b->durable;
    j->first = b->first;
    j->tip = b->tip;
    j->abort_turn = b->abort_turn;
    j->drop_tail = b->drop_tail;
    j->drop_from = b->drop_from;
    j->trim_only = b->trim_only;
    j->block_bytes = b->block_bytes;
    if (j->trim_only) {
        j->committed = b->durable;
        j->tip = b->durable_tip;
    }
    for (struct local_seg *seg = b->head; seg && !j->trim_only; seg = seg->next)
        gather_seg(b, j, seg);
    gather_takes(b, j);
    b->takes_dirty = false;
    b->drop_tail = false;
}

/* ---- writing ---- */

static int write_block(struct store_txn *t, struct job *j, const struct local_block *head,
                       struct str raw, struct err *e)
{
    uint8_t key[LOCAL_OFFSET_LEN];
    buf_reset(&j->block);
    if (local_block_write(&j->block, head, raw, e) != 0)
        return -1;
    return store_put(t, STORE_BLOCKS, local_key(key, head->first), buf_str(&j->block), e);
}

static int write_range(struct local_bus *b, struct store_txn *t, struct job *j,
                       const struct range *range, struct err *e)
{
    struct str bytes = {range->seg->bytes + range->from, range->to - range->from};
    struct local_block head = {.first = range->first, .epoch = b->epoch};
    size_t from = 0, at = 0;
    for (uint32_t count = 0; count < range->count; count++) {
        size_t len = bus_event_skip(bytes, at);
        if (len == 0)
            return err_set(e, E_INTERNAL, "event %" PRIu64 " is malformed in memory", range->first + count);
        if (at > from && at + len - from > j->block_bytes) {
            if (write_block(t, j, &head, (struct str){bytes.p + from, at - from}, e) != 0)
                return -1;
            head = (struct local_block){.first = head.first + head.count, .epoch = b->epoch};
            from = at;
        }
        head.count++;
        at += len;
    }
    return write_block(t, j, &head, (struct str){bytes.p + from, at - from}, e);
}

/* What aborted transactions left on disk: all blocks from where the first of them began. What is
 * found is as of before this transaction, and so it is not changed by what is being deleted. */
static int drop_tail(struct local_bus *b, struct store_txn *t, struct job *j, struct err *e)
{
    uint8_t key[LOCAL_OFFSET_LEN];
    uint64_t at = j->drop_from;
    bool found = true;
    for (;;) {
        if (store_seek(b->store, STORE_BLOCKS, local_key(key, at), false, &j->key, NULL, &found, e) != 0)
            return -1;
        if (!found)
            return 0;
        if (store_delete(t, STORE_BLOCKS, buf_str(&j->key), e) != 0)
            return -1;
        if (!local_key_read(buf_str(&j->key), &at))
            return err_set(e, E_CORRUPT, "bus block has a key of %zu bytes", j->key.len);
        at++;
    }
}

/* Delete blocks that end at or before low: those whose successor starts there. */
static int trim(struct local_bus *b, struct store_txn *t, struct job *j, struct err *e)
{
    uint8_t key[LOCAL_OFFSET_LEN];
    uint64_t next;
    bool found;
    j->more_to_trim = false;
    for (int count = 0; j->first < j->low; count++) {
        if (store_seek(b->store, STORE_BLOCKS, local_key(key, j->first + 1), false, &j->key, NULL, &found, e) != 0)
            return -1;
        if (found && !local_key_read(buf_str(&j->key), &next))
            return err_set(e, E_CORRUPT, "bus block has a key of %zu bytes", j->key.len);
        /* The last block on disk ends where the durable part does. */
        if (!found || next > j->durable)
            next = j->durable;
        if (next > j->low || next <= j->first)
            return 0;
        if (count == TRIM_MAX) {
            j->more_to_trim = true;
            return 0;
        }
        if (store_delete(t, STORE_BLOCKS, local_key(key, j->first), e) != 0)
            return -1;
        j->first = next;
    }
    return 0;
}

static int write_takes(struct store_txn *t, struct job *j, struct err *e)
{
    char place[LOCAL_OFFSET_LEN + BUS_NOTE_MAX];
    for (int at = 0; at < j->take_count; at++) {
        struct take *take = &j->takes[at];
        struct str note = {take->note, take->note_len};
        int rc = take->forget ? store_delete(t, STORE_READERS, str_of(take->name), e)
                              : store_put(t, STORE_READERS, str_of(take->name), local_place(place, take->offset, note), e);
        if (rc != 0)
            return -1;
    }
    return 0;
}

static int write_all(struct local_bus *b, struct store_txn *t, struct job *j, struct err *e)
{
    if (j->drop_tail && drop_tail(b, t, j, e) != 0)
        return -1;
    if (trim(b, t, j, e) != 0)
        return -1;
    for (size_t at = 0; at < j->range_count; at++)
        if (write_range(b, t, j, &j->ranges[at], e) != 0)
            return -1;
    buf_reset(&j->block);
    local_meta_write(&j->block, b->epoch, j->first, j->committed, &j->tip);
    if (store_put(t, STORE_META, LOCAL_META_KEY, buf_str(&j->block), e) != 0)
        return -1;
    return write_takes(t, j, e);
}

static int write_job(struct local_bus *b, struct job *j, struct err *e)
{
    struct store_txn *t;
    if (store_begin(b->store, &t, e) != 0)
        return -1;
    if (write_all(b, t, j, e) != 0) {
        store_abort(t);
        return -1;
    }
    return store_commit(t, e);
}

/* ---- what came of it ---- */

static void forget_groups(struct local_bus *b, const struct job *j)
{
    for (int at = 0; at < j->take_count; at++) {
        struct local_group *group = j->takes[at].forget ? local_group_find(b, str_of(j->takes[at].name)) : NULL;
        if (!group || !group->forgotten)
            continue;
        /* Readers hold a pointer to their group: places are not moved while one reads. */
        free(group->name);
        *group = (struct local_group){0};
    }
    while (b->group_count > 0 && !b->groups[b->group_count - 1].name)
        b->group_count--;
}

static void mark_written(struct local_bus *b, const struct job *j)
{
    for (size_t at = 0; at < j->range_count; at++) {
        const struct range *range = &j->ranges[at];
        if (range->open && j->abort_turn != b->abort_turn)
            continue; /* it was given up meanwhile */
        range->seg->written = range->to;
        range->seg->written_count += range->count;
        atomic_fetch_sub(&b->pending, range->to - range->from);
        if (range->seg->closed)
            b->closed_unwritten -= range->to - range->from;
    }
}

static void leave_ranges(struct job *j)
{
    for (size_t at = 0; at < j->range_count; at++)
        local_seg_leave(j->ranges[at].seg);
    j->range_count = 0;
}

static void succeed(struct local_bus *b, struct job *j, uint64_t stored)
{
    mark_written(b, j);
    forget_groups(b, j);
    b->durable = j->committed;
    b->durable_tip = j->tip;
    b->first = j->first;
    b->more_to_trim = j->more_to_trim;
    b->ahead = b->copy_end <= b->durable ? b->committed : b->ahead > b->durable ? b->ahead : b->durable;
    if (b->committed != b->durable)
        b->pending_since_us = j->started_us;
    atomic_store(&b->stored, stored);
    if (b->trim_only) {
        b->trim_only = false; /* space may have come back: blocks again, at once */
        b->retry_at_us = 0;
        return;
    }
    b->block_bytes = b->seg_bytes < 65536 ? b->seg_bytes : 65536;
    b->map_full_times = 0;
    b->error = ERR_INIT;
    b->retry_at_us = 0;
    atomic_store(&b->state, BUS_OK);
    if (!local_at_budget(b) && atomic_load(&b->pending) < b->o.memory_bytes)
        b->blocked = false;
}

/* The map is full though the budget may not be reached. LMDB uses pages again two transactions
 * after they were freed, so just after much was trimmed this passes by itself: the first time
 * nothing is said, and a round that only trims moves the transactions on. If it stays, free pages
 * are pinned by a reader of another process, or lie in pieces too small for a block. */
static bool map_full_passes(struct local_bus *b, const struct job *j, struct err *e)
{
    uint64_t used = store_used_bytes(b->store), map = store_map_bytes(b->store);
    b->trim_only = !j->trim_only;
    if (b->block_bytes > BLOCK_MIN_BYTES)
        b->block_bytes /= 4;
    if (b->map_full_times++ == 0)
        return true;
    if (used < b->o.max_bytes) {
        (void) err_set(e, E_BUS_FULL, "map is full with %" PRIu64 " of %" PRIu64 " bytes in use: a "
                       "reader pinned the free pages, or they lie in pieces", used, map);
        (void) err_hint(e, "end other processes that read the state directory; it goes on by itself");
    }
    return false;
}

static enum bus_state state_of(const struct err *e)
{
    return e->code == E_DISK_FULL ? BUS_DISK_FULL : e->code == E_BUS_FULL ? BUS_AT_BUDGET : BUS_FAILED;
}

static void fail(struct local_bus *b, struct job *j, struct err *e)
{
    b->takes_dirty = true;
    if (j->drop_tail) {
        b->drop_from = b->drop_tail && b->drop_from < j->drop_from ? b->drop_from : j->drop_from;
        b->drop_tail = true;
    }
    if (e->code == E_BUS_FULL && map_full_passes(b, j, e)) {
        b->retry_at_us = 0;
        return;
    }
    b->retry_at_us = local_now_us() + RETRY_US;
    if (b->error.code != e->code)
        log_err(b->env->log, "bus", e);
    b->error = *e;
    atomic_store(&b->state, state_of(e));
}

static void publish(struct local_bus *b, const struct job *j, bool good)
{
    struct metrics *m = b->env->metrics;
    bool disk = atomic_load(&b->state) == BUS_DISK_FULL;
    if (good) {
        metric_add(m, M_BUS_SYNCS, 0, 1);
        metric_observe(m, M_BUS_SYNC_TIME, 0, local_now_us() - j->started_us);
    }
    metric_set(m, M_BUS_STORED_BYTES, 0, (int64_t) atomic_load(&b->stored));
    metric_set(m, M_BUS_LIMIT_BYTES, 0, (int64_t) b->o.max_bytes);
    metric_set(m, M_BUS_PENDING_BYTES, 0, (int64_t) atomic_load(&b->pending));
    metric_set(m, M_BUS_STATE, metric_series(m, M_BUS_STATE, STR("budget")), local_at_budget(b));
    metric_set(m, M_BUS_STATE, metric_series(m, M_BUS_STATE, STR("disk_full")), disk);
}

static void ring(struct local_bus *b)
{
    uint64_t one = 1;
    /* Full means that it rings already. */
    if (write(b->notify, &one, sizeof one) < 0)
        return;
}

/* Beyond the budget the map is no measure of it: it follows what is there. */
static int make_map_room(struct local_bus *b, struct err *e)
{
    uint64_t there = atomic_load(&b->stored) + atomic_load(&b->pending);
    if (atomic_load(&b->limit) <= b->o.max_bytes && there <= b->o.max_bytes)
        return 0;
    return store_reserve(b->store, there / 4 * 5 + b->o.max_bytes / 4 + MAP_SLACK_BYTES, e);
}

/* One round, the lock held before and after. False when the thread is to end. */
static bool round_once(struct local_bus *b, struct job *j)
{
    struct err e = ERR_INIT;
    gather(b, j);
    pthread_mutex_unlock(&b->lock);
    int rc = make_map_room(b, &e) ? -1 : write_job(b, j, &e);
    uint64_t stored = rc == 0 ? store_used_bytes(b->store) : 0;
    pthread_mutex_lock(&b->lock);
    if (rc == 0 && atomic_load(&b->state) != BUS_OK && !j->trim_only)
        log_info(b->env->log, "bus", "writing again: space has come back");
    if (rc == 0)
        succeed(b, j, stored);
    else
        fail(b, j, &e);
    leave_ranges(j);
    b->last_sync_us = local_now_us();
    publish(b, j, rc == 0);
    pthread_cond_broadcast(&b->readable);
    pthread_cond_broadcast(&b->synced);
    ring(b);
    return atomic_load(&b->state) != BUS_FAILED;
}

void *local_writer(void *bus)
{
    struct local_bus *b = bus;
    struct job j = {.block = {.max = BUS_EVENT_MAX + (BUS_EVENT_MAX >> 6)}};
    int64_t deadline;
    bool going = true;
    pthread_mutex_lock(&b->lock);
    while (going) {
        if (due(b, local_now_us(), &deadline))
            going = round_once(b, &j) && !(b->stop && atomic_load(&b->state) != BUS_OK);
        else if (b->stop)
            going = false;
        else
            local_wait(b, &b->work, deadline);
    }
    pthread_mutex_unlock(&b->lock);
    free(j.ranges);
    buf_free(&j.block);
    buf_free(&j.key);
    return NULL;
}
