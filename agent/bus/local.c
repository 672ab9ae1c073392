/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded bus: opening, closing, status.
 *
 * What the store holds of it: blocks under their first offset; one offset a group; one meta record
 * that says how far it goes. The meta record is written with the blocks, so a block at or behind
 * its end is a part of a transaction that never was, and goes. A block that is missing in front of
 * it is damage.
 */
#include "agent/bus/local.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/arena.h"

#define SEG_BYTES ((size_t) 256 << 10)
#define SPILL_BYTES ((size_t) 1 << 20)
#define BLOCK_BYTES ((size_t) 64 << 10)
#define CLOSE_WAIT_MS 10000

int64_t local_now_us(void)
{
    return clock_mono_us(&clock_system);
}

void local_wait(struct local_bus *b, pthread_cond_t *cond, int64_t deadline_us)
{
    if (deadline_us == INT64_MAX) {
        pthread_cond_wait(cond, &b->lock);
        return;
    }
    struct timespec at = {.tv_sec = deadline_us / 1000000, .tv_nsec = deadline_us % 1000000 * 1000};
    pthread_cond_timedwait(cond, &b->lock, &at);
}

/* ---- what is there ---- */

static int corrupt(struct err *e, uint64_t offset, const char *why)
{
    return err_set(e, E_CORRUPT, "bus block at offset %" PRIu64 ": %s", offset, why);
}

/* The first block at or behind from (or the last before it): its key. */
static int find_block(struct local_bus *b, uint64_t from, bool last, uint64_t *first, bool *found,
                      struct err *e)
{
    uint8_t key[LOCAL_OFFSET_LEN];
    struct buf out = BUF_INIT;
    int rc = store_seek(b->store, STORE_BLOCKS, local_key(key, from), last, &out, NULL, found, e);
    if (rc == 0 && *found && !local_key_read(buf_str(&out), first))
        rc = corrupt(e, from, "its key is malformed");
    buf_free(&out);
    return rc;
}

/* The blocks on disk must begin at first and end at committed. */
static int check_ends(struct local_bus *b, struct err *e)
{
    uint8_t key[LOCAL_OFFSET_LEN];
    struct local_block head = {0};
    struct buf block = {.max = BUS_EVENT_MAX + (BUS_EVENT_MAX >> 6)};
    uint64_t first = 0, last = 0;
    bool found;
    if (find_block(b, 0, false, &first, &found, e) != 0)
        return -1;
    if (b->first == b->committed)
        return found && first < b->committed ? corrupt(e, first, "it should have been trimmed") : 0;
    if (!found || first != b->first)
        return corrupt(e, b->first, "it is missing");
    if (find_block(b, b->committed - 1, true, &last, &found, e) != 0)
        return -1;
    int rc = store_get(b->store, STORE_BLOCKS, local_key(key, last), &block, &found, e);
    if (rc == 0)
        rc = local_block_head(last, buf_str(&block), &head, e);
    if (rc == 0 && last + head.count != b->committed)
        rc = corrupt(e, last + head.count, "it is missing, or goes too far");
    buf_free(&block);
    return rc;
}

int bus_local_look(struct store *store, uint64_t *durable_end_lsn, struct err *e)
{
    struct buf value = BUF_INIT;
    struct local_tip tip = {.end_lsn = 0};
    uint32_t epoch;
    uint64_t first, committed;
    bool found;
    int rc = store_get(store, STORE_META, LOCAL_META_KEY, &value, &found, e);
    if (rc == 0 && found && !local_meta_read(buf_str(&value), &epoch, &first, &committed, &tip))
        rc = err_set(e, E_STATE, "bus's meta record is of another version");
    buf_free(&value);
    *durable_end_lsn = tip.end_lsn;
    return rc;
}

static int load_meta(struct local_bus *b, struct err *e)
{
    struct buf value = BUF_INIT;
    uint64_t first;
    bool found, blocks;
    int rc = store_get(b->store, STORE_META, LOCAL_META_KEY, &value, &found, e);
    if (rc == 0 && found
        && !local_meta_read(buf_str(&value), &b->epoch, &b->first, &b->committed, &b->tip))
        rc = err_set(e, E_STATE, "bus's meta record is of another version");
    buf_free(&value);
    if (rc != 0)
        return -1;
    if (found)
        return check_ends(b, e);
    if (find_block(b, 0, false, &first, &blocks, e) != 0)
        return -1;
    return blocks ? err_set(e, E_CORRUPT, "bus has blocks from offset %" PRIu64 " but no meta record", first) : 0;
}

/* Offsets of groups that are configured; others are deleted in t. */
static int load_groups(struct local_bus *b, const char *const *groups, int count, struct store_txn *t,
                       struct err *e)
{
    struct buf value = BUF_INIT, key = BUF_INIT;
    bool found = true;
    int rc = 0;
    for (int at = 0; at < count && rc == 0; at++) {
        struct local_group *group = local_group_find(b, str_of(groups[at]));
        if (group)
            continue;
        rc = store_get(b->store, STORE_READERS, str_of(groups[at]), &value, &found, e);
        if (rc == 0 && !(group = local_group_add(b, str_of(groups[at]), b->first)))
            rc = err_set(e, E_CONFIG, "more than %d groups read the bus", LOCAL_GROUPS_MAX);
        if (rc == 0 && found && !local_place_read(buf_str(&value), group))
            rc = err_set(e, E_CORRUPT, "offset of group %s is malformed", groups[at]);
    }
    struct buf from = BUF_INIT;
    while (rc == 0 && found) {
        rc = store_seek(b->store, STORE_READERS, buf_str(&from), false, &key, NULL, &found, e);
        if (rc != 0 || !found)
            break;
        if (!local_group_find(b, buf_str(&key)))
            rc = store_delete(t, STORE_READERS, buf_str(&key), e);
        buf_reset(&from);
        buf_add_str(&from, buf_str(&key));
        buf_add_char(&from, 0);
        found = true;
    }
    buf_free(&from);
    buf_free(&key);
    buf_free(&value);
    return rc;
}

/* Parts of a transaction that never was. */
static int drop_open_blocks(struct local_bus *b, struct store_txn *t, struct err *e)
{
    uint8_t key[LOCAL_OFFSET_LEN];
    uint64_t at = b->committed;
    bool found = true;
    for (;;) {
        if (find_block(b, at, false, &at, &found, e) != 0)
            return -1;
        if (!found)
            return 0;
        if (store_delete(t, STORE_BLOCKS, local_key(key, at), e) != 0)
            return -1;
        at++;
    }
}

static int begin_epoch(struct local_bus *b, const char *const *groups, int count, struct err *e)
{
    struct store_txn *t;
    struct buf meta = BUF_INIT;
    char place[LOCAL_OFFSET_LEN + BUS_NOTE_MAX];
    if (b->epoch == UINT32_MAX)
        return err_set(e, E_STATE, "bus's epoch has reached its end");
    b->epoch++;
    if (store_begin(b->store, &t, e) != 0)
        return -1;
    local_meta_write(&meta, b->epoch, b->first, b->committed, &b->tip);
    int rc = drop_open_blocks(b, t, e);
    if (rc == 0)
        rc = load_groups(b, groups, count, t, e);
    for (int at = 0; at < b->group_count && rc == 0; at++) {
        const struct local_group *group = &b->groups[at];
        rc = store_put(t, STORE_READERS, str_of(group->name),
                       local_place(place, group->taken, (struct str){group->note, group->note_len}), e);
    }
    if (rc == 0)
        rc = store_put(t, STORE_META, LOCAL_META_KEY, buf_str(&meta), e);
    buf_free(&meta);
    if (rc != 0) {
        store_abort(t);
        return -1;
    }
    return store_commit(t, e);
}

/* ---- driver ---- */

static uint64_t lowest_taken(const struct local_bus *b)
{
    uint64_t low = b->committed;
    for (int at = 0; at < b->group_count; at++)
        if (b->groups[at].name && b->groups[at].taken < low)
            low = b->groups[at].taken;
    return low;
}

static void local_status(struct bus *base, struct bus_status *out)
{
    struct local_bus *b = local_of(base);
    pthread_mutex_lock(&b->lock);
    enum bus_state state = (enum bus_state) atomic_load(&b->state);
    *out = (struct bus_status){
        .state = state == BUS_OK && local_at_budget(b) ? BUS_AT_BUDGET : state,
        .first_offset = b->first,
        .committed_offset = b->committed,
        .durable_offset = b->durable,
        .taken_offset = lowest_taken(b),
        .stored_bytes = atomic_load(&b->stored),
        .max_bytes = b->o.max_bytes,
        .pending_bytes = atomic_load(&b->pending),
        .durable = b->durable_tip.pos,
        .durable_end_lsn = b->durable_tip.end_lsn,
        .durable_commit_us = b->durable_tip.commit_us,
        .epoch = b->epoch,
        .error = b->error,
    };
    pthread_mutex_unlock(&b->lock);
}

static int local_notify_fd(struct bus *base)
{
    return local_of(base)->notify;
}

static int local_flush(struct bus *base, int64_t wait_ms, struct err *e)
{
    struct local_bus *b = local_of(base);
    int64_t deadline = local_now_us() + wait_ms * 1000;
    int rc = 0;
    pthread_mutex_lock(&b->lock);
    uint64_t turn = b->tip.turn;
    b->waiting_flush++;
    pthread_cond_signal(&b->work);
    while (rc == 0 && b->durable_tip.turn < turn) {
        if (atomic_load(&b->state) == BUS_FAILED) {
            *e = b->error;
            rc = -1;
        } else if (local_now_us() >= deadline && atomic_load(&b->state) != BUS_OK) {
            *e = b->error;
            rc = -1;
        } else if (local_now_us() >= deadline) {
            rc = err_set(e, E_TIMEOUT, "bus has not written within %" PRId64 " ms", wait_ms);
        } else {
            local_wait(b, &b->synced, deadline);
        }
    }
    b->waiting_flush--;
    pthread_mutex_unlock(&b->lock);
    return rc;
}

static void free_bus(struct local_bus *b)
{
    while (b->head) {
        struct local_seg *seg = b->head;
        b->head = seg->next;
        local_seg_leave(seg);
    }
    for (int at = 0; at < b->group_count; at++)
        free(b->groups[at].name);
    if (b->notify >= 0)
        close(b->notify);
    pthread_cond_destroy(&b->work);
    pthread_cond_destroy(&b->readable);
    pthread_cond_destroy(&b->synced);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static void local_close(struct bus *base)
{
    struct local_bus *b = local_of(base);
    struct err e = ERR_INIT;
    if (local_flush(base, CLOSE_WAIT_MS, &e) != 0)
        log_err(b->env->log, "bus", &e);
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_signal(&b->work);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->writer, NULL);
    free_bus(b);
}

static const struct bus_driver local_driver = {
    .put = local_put,
    .commit = local_commit,
    .abort = local_abort,
    .room = local_room,
    .flush = local_flush,
    .status = local_status,
    .notify_fd = local_notify_fd,
    .reader = local_reader,
    .next = local_next,
    .seek = local_seek,
    .taken = local_taken,
    .take = local_take,
    .note = local_note,
    .leave = local_leave,
    .forget = local_forget,
    .close = local_close,
};

static struct local_bus *make_bus(const struct env *env, struct store *store, const struct bus_options *o)
{
    struct local_bus *b = mem_zalloc(1, sizeof *b);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&b->work, &monotonic);
    pthread_cond_init(&b->readable, &monotonic);
    pthread_cond_init(&b->synced, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&b->lock, NULL);
    b->base.driver = &local_driver;
    b->env = env;
    b->store = store;
    b->o = *o;
    /* Small memory has small segments, so that a full one can be written while the next fills. */
    b->seg_bytes = o->memory_bytes / 8 < SEG_BYTES ? o->memory_bytes / 8 : SEG_BYTES;
    atomic_store(&b->limit, o->max_bytes);
    b->spill_bytes = o->memory_bytes / 4 < SPILL_BYTES ? o->memory_bytes / 4 : SPILL_BYTES;
    b->block_bytes = b->seg_bytes < BLOCK_BYTES ? b->seg_bytes : BLOCK_BYTES;
    b->notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return b;
}

int bus_local_open(const struct env *env, struct store *store, const struct bus_options *o,
                   const char *const *groups, int group_count, struct bus **out, struct err *e)
{
    struct local_bus *b = make_bus(env, store, o);
    int rc = b->notify >= 0 ? 0 : err_set(e, E_SYSTEM, "eventfd: %s", strerror(errno));
    if (rc == 0)
        rc = load_meta(b, e);
    if (rc == 0)
        rc = begin_epoch(b, groups, group_count, e);
    b->next = b->durable = b->ahead = b->committed;
    b->durable_tip = b->tip;
    atomic_store(&b->stored, store_used_bytes(store));
    if (rc == 0 && pthread_create(&b->writer, NULL, local_writer, b) != 0)
        rc = err_set(e, E_SYSTEM, "cannot start the bus's writer thread");
    if (rc != 0) {
        free_bus(b);
        return -1;
    }
    *out = &b->base;
    return 0;
}
