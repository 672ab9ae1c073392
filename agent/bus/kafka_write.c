/* SPDX-License-Identifier: Apache-2.0
 *
 * The writer thread. A Kafka transaction takes what is there, and is committed at once unless the last one was just
 * committed; meanwhile more gathers. A source transaction that does not fit into memory has a Kafka transaction for itself, which
 * stays open until its end.
 *
 * librdkafka's transactions alone do not give exactly-once: it repeats a request that timed out by itself, and a broker may see
 * the late one when the next transaction is open (KIP-890). So after any failure, timeout or broken connection while one was open,
 * also when the call then succeeds, the client is thrown away, a new one fences it, and what is committed is read back.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/bus/kafka.h"

#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS 5000
#define KEEPALIVE_US 1000000 /* a commit for a keepalive alone, at most so often */
#define IDLE_US 200000
#define COMMIT_STEP_MS 1000
#define TXN_BYTES ((uint64_t) 16 << 20) /* encoded bytes after which one is committed */

static void drop_client(struct kafka_writer *w)
{
    kafka_topics_free(w);
    if (w->positions)
        rd_kafka_topic_destroy(w->positions);
    if (w->transactions)
        rd_kafka_topic_destroy(w->transactions);
    w->positions = w->transactions = NULL;
    if (w->rk) {
        rd_kafka_purge(w->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
        rd_kafka_destroy(w->rk);
    }
    w->rk = NULL;
    w->in_txn = w->large = false;
    w->bytes = 0;
}

void kafka_writer_close(struct kafka_writer *w)
{
    drop_client(w);
    kafka_state_free(&w->state);
    free(w->touched.items);
    free(w->dirty.items);
    buf_free(&w->record);
    buf_free(&w->name);
}

static void notify(struct kafka_bus *b)
{
    uint64_t one = 1;
    if (write(b->notify, &one, sizeof one) < 0)
        log_debug(b->env->log, "kafka", "the notify descriptor is full");
}

/* ---- the ends of a Kafka transaction ---- */

static int begin(struct kafka_bus *b, struct err *e)
{
    struct kafka_writer *w = &b->w;
    if (w->in_txn)
        return 0;
    atomic_store(&b->doubtful, false);
    rd_kafka_error_t *error = rd_kafka_begin_transaction(w->rk);
    if (error)
        return kafka_err(e, "begin transaction", error);
    w->in_txn = true;
    w->bytes = 0;
    return 0;
}

static void settle_counters(struct kafka_writer *w, bool committed)
{
    for (size_t at = 0; at < w->dirty.count; at++) {
        struct kafka_part *part = &w->dirty.items[at].topic->parts[w->dirty.items[at].part];
        if (committed)
            part->committed = part->counter;
        part->counter = part->committed;
        part->dirty = false;
        part->count = 0;
    }
    w->touched.count = w->dirty.count = 0;
}

static void tell_durable(struct kafka_bus *b)
{
    struct kafka_writer *w = &b->w;
    pthread_mutex_lock(&b->lock);
    b->durable = w->tip;
    pthread_cond_broadcast(&b->synced);
    pthread_mutex_unlock(&b->lock);
    atomic_fetch_sub(&b->pending, w->bytes);
    w->bytes = 0;
    notify(b);
}

/* In short steps, so that a doubt ends it soon. */
static int commit(struct kafka_bus *b, struct err *e)
{
    int64_t until_us = kafka_now_us() + (int64_t) KAFKA_WAIT_MS * 1000;
    rd_kafka_error_t *error;
    while ((error = rd_kafka_commit_transaction(b->w.rk, COMMIT_STEP_MS))) {
        bool again = rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__TIMED_OUT && rd_kafka_error_is_retriable(error) &&
                     !atomic_load(&b->doubtful) && kafka_now_us() < until_us;
        if (!again)
            return kafka_err(e, "commit transaction", error);
        rd_kafka_error_destroy(error);
    }
    if (atomic_load(&b->doubtful))
        return err_set(e, E_KAFKA, "Kafka: a request timed out or a connection broke around a commit: what is committed is read back");
    return 0;
}

static int end(struct kafka_bus *b, struct err *e)
{
    struct kafka_writer *w = &b->w;
    if (kafka_send_state(b, e))
        return -1;
    int64_t from_us = kafka_now_us();
    if (commit(b, e))
        return -1;
    w->committed_us = kafka_now_us();
    metric_add(b->env->metrics, M_BUS_SYNCS, 0, 1);
    metric_observe(b->env->metrics, M_BUS_SYNC_TIME, 0, w->committed_us - from_us);
    w->in_txn = w->large = false;
    settle_counters(w, true);
    tell_durable(b);
    return 0;
}

/* The producer gave up what the open Kafka transaction holds. */
static int give_up(struct kafka_bus *b, struct err *e)
{
    struct kafka_writer *w = &b->w;
    /* A partition that the broker has not heard of yet makes the abort fail with Kafka 4. */
    rd_kafka_resp_err_t flushed = rd_kafka_flush(w->rk, KAFKA_WAIT_MS);
    if (flushed)
        return kafka_err_code(e, "flush before an abort", flushed);
    rd_kafka_error_t *error = rd_kafka_abort_transaction(w->rk, KAFKA_WAIT_MS);
    if (error)
        return kafka_err(e, "abort transaction", error);
    w->in_txn = w->large = false;
    settle_counters(w, false);
    pthread_mutex_lock(&b->lock);
    w->tip = b->durable;
    pthread_mutex_unlock(&b->lock);
    atomic_fetch_sub(&b->pending, w->bytes);
    w->bytes = 0;
    return 0;
}

/* ---- taking over ---- */

static int ensure_own(struct kafka_bus *b, struct err *e)
{
    int partitions;
    const struct kafka_wish positions = {b->positions, 1, "compact", true};
    const struct kafka_wish transactions = {b->transactions, 1, "delete", true};
    if (kafka_topic_ensure(b, b->w.rk, &positions, &partitions, e) || kafka_topic_ensure(b, b->w.rk, &transactions, &partitions, e))
        return -1;
    b->w.positions = rd_kafka_topic_new(b->w.rk, b->positions, NULL);
    b->w.transactions = rd_kafka_topic_new(b->w.rk, b->transactions, NULL);
    return b->w.positions && b->w.transactions ? 0 : kafka_err_code(e, "open topics", rd_kafka_last_error());
}

static int connect_client(struct kafka_bus *b, struct err *e)
{
    struct kafka_writer *w = &b->w;
    drop_client(w);
    rd_kafka_conf_t *conf = kafka_conf(b, 'p', NULL, e);
    w->rk = conf ? kafka_client(RD_KAFKA_PRODUCER, conf, e) : NULL;
    if (!w->rk || ensure_own(b, e))
        return -1;
    rd_kafka_error_t *error = rd_kafka_init_transactions(w->rk, KAFKA_WAIT_MS);
    return error ? kafka_err(e, "begin as the only producer", error) : 0;
}

int kafka_take_over(struct kafka_bus *b, struct err *e)
{
    struct kafka_writer *w = &b->w;
    if (connect_client(b, e) || kafka_state_read(b, &w->state, e))
        return -1;
    w->tip = w->state.tip;
    w->tip.epoch++;
    if (begin(b, e) || end(b, e)) /* from here on an older one is told apart */
        return -1;
    log_info(b->env->log, "kafka", "the only producer of %s, epoch %" PRIu32 ", at %s", b->o.prefix, w->tip.epoch, LSN_STR(w->tip.pos.lsn));
    return 0;
}

/* What was not durable is void. True when it is to be tried again. */
static bool tell_lost(struct kafka_bus *b, const struct err *e)
{
    bool again = e->class == ERR_RETRY;
    pthread_mutex_lock(&b->lock);
    b->reset = true;
    b->error = *e;
    atomic_store(&b->state, again ? BUS_AWAY : BUS_FAILED);
    pthread_cond_broadcast(&b->synced);
    pthread_mutex_unlock(&b->lock);
    log_err(b->env->log, "kafka", e);
    notify(b);
    return again;
}

static bool stopping(struct kafka_bus *b)
{
    pthread_mutex_lock(&b->lock);
    bool stop = b->stop;
    pthread_mutex_unlock(&b->lock);
    return stop;
}

/* Until there is a client whose transactions count. */
static void come_back(struct kafka_bus *b, struct err *e)
{
    int64_t wait_ms = RETRY_FIRST_MS;
    bool again = true;
    while (again && !stopping(b)) {
        err_clear(e);
        if (!kafka_take_over(b, e)) {
            atomic_store(&b->state, BUS_OK);
            pthread_mutex_lock(&b->lock);
            pthread_cond_broadcast(&b->synced);
            pthread_mutex_unlock(&b->lock);
            notify(b);
            return;
        }
        again = tell_lost(b, e);
        if (env_sleep(b->env, wait_ms))
            return;
        wait_ms = wait_ms * 2 < RETRY_MAX_MS ? wait_ms * 2 : RETRY_MAX_MS;
    }
}

/* ---- the loop ---- */

struct portion {
    struct kafka_seg *seg;
    size_t from, whole, to; /* up to whole lie complete transactions */
};

static void wait_work(struct kafka_bus *b, int64_t until_us)
{
    struct timespec at = {.tv_sec = until_us / 1000000, .tv_nsec = until_us % 1000000 * 1000};
    (void) pthread_cond_timedwait(&b->work, &b->lock, &at);
}

/* Segments that are done; the newest is the producer's, which looks at it without the lock. */
static void drop_done(struct kafka_bus *b)
{
    while (b->head != b->tail && b->head->closed && b->head->sent >= b->head->used) {
        struct kafka_seg *done = b->head;
        b->head = done->next;
        free(done);
    }
}

static bool committed_behind(const struct kafka_seg *seg)
{
    bool any = false;
    for (seg = seg->next; seg && !any; seg = seg->next)
        any = seg->committed > 0;
    return any;
}

/* Claim what the oldest segment has. The lock is held. */
static bool claim(struct kafka_bus *b, struct portion *p)
{
    drop_done(b);
    struct kafka_seg *seg = b->head;
    if (!seg || b->reset)
        return false;
    size_t to = seg->closed ? seg->used : seg->committed;
    if (to <= seg->sent)
        return false;
    *p = (struct portion){seg, seg->sent, seg->committed > seg->sent ? seg->committed : seg->sent, to};
    seg->sent = to;
    if (to > p->whole && !committed_behind(seg))
        b->open_taken = true;
    return true;
}

static int send_bytes(struct kafka_bus *b, const struct kafka_seg *seg, size_t from, size_t to, struct err *e)
{
    struct str all = {seg->bytes, to};
    if (b->w.large) /* more than memory holds: what librdkafka has is counted there */
        atomic_fetch_sub(&b->pending, to - from);
    else
        b->w.bytes += to - from;
    while (from < to) {
        size_t len = bus_event_skip(all, from);
        if (!len)
            return err_set(e, E_INTERNAL, "an event in memory has no length");
        if (kafka_send(b, (struct str){seg->bytes + from, len}, e))
            return -1;
        from += len;
    }
    rd_kafka_poll(b->w.rk, 0);
    return 0;
}

static int send_portion(struct kafka_bus *b, const struct portion *p, struct err *e)
{
    struct kafka_writer *w = &b->w;
    if (p->whole > p->from) {
        if (begin(b, e) || send_bytes(b, p->seg, p->from, p->whole, e))
            return -1;
        if (w->large && end(b, e)) /* its end came */
            return -1;
    }
    if (p->to == p->whole)
        return 0;
    /* The beginning of a large one, or more of it: alone. */
    if (!w->large && w->in_txn && end(b, e))
        return -1;
    if (begin(b, e))
        return -1;
    w->large = true;
    return send_bytes(b, p->seg, p->whole, p->to, e);
}

/* A commit is due: something waits, and the last one was a while ago. */
static int64_t due_us(const struct kafka_bus *b)
{
    const struct kafka_writer *w = &b->w;
    if (w->large)
        return INT64_MAX;
    if (w->in_txn)
        return w->bytes >= TXN_BYTES || b->waiting_flush ? 0 : w->committed_us + b->o.commit_ms * 1000;
    if (b->wanted_end_lsn > w->tip.end_lsn && b->committed == w->tip.offset)
        return w->committed_us + (b->waiting_flush ? 0 : KEEPALIVE_US);
    return INT64_MAX;
}

/* The keepalives' word, once all before it is in the transaction. The lock is held. */
static void take_wanted(struct kafka_bus *b)
{
    if (!b->w.large && b->committed == b->w.tip.offset && b->wanted_end_lsn > b->w.tip.end_lsn)
        b->w.tip.end_lsn = b->wanted_end_lsn;
}

static int turn(struct kafka_bus *b, struct err *e)
{
    struct kafka_writer *w = &b->w;
    struct portion p;
    pthread_mutex_lock(&b->lock);
    bool void_now = w->large && b->aborts != w->abort_seen;
    w->abort_seen = b->aborts;
    bool claimed = !void_now && claim(b, &p);
    int64_t due = due_us(b), now_us = kafka_now_us();
    if (!claimed && !void_now && due > now_us && !b->stop)
        wait_work(b, due < now_us + IDLE_US ? due : now_us + IDLE_US);
    bool commit = !claimed && !void_now && due <= now_us && !b->reset;
    if (commit)
        take_wanted(b);
    pthread_mutex_unlock(&b->lock);
    rd_kafka_poll(w->rk, 0);
    if (void_now)
        return give_up(b, e);
    if (claimed && send_portion(b, &p, e))
        return -1;
    if (claimed && w->bytes >= TXN_BYTES && !w->large)
        return end(b, e);
    return commit && (begin(b, e) || end(b, e)) ? -1 : 0;
}

void *kafka_writer_run(void *bus)
{
    struct kafka_bus *b = bus;
    struct err e = ERR_INIT;
    come_back(b, &e);
    while (!stopping(b) && atomic_load(&b->state) == BUS_OK) {
        err_clear(&e);
        if (turn(b, &e) && tell_lost(b, &e))
            come_back(b, &e);
    }
    return NULL;
}
