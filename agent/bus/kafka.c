/* SPDX-License-Identifier: Apache-2.0
 *
 * The bus on Kafka: opening, closing, status.
 */
#include "agent/bus/kafka.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define CLOSE_FLUSH_MS 3000

int64_t kafka_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void get_status(struct bus *base, struct bus_status *out)
{
    struct kafka_bus *b = kafka_of(base);
    pthread_mutex_lock(&b->lock);
    *out = (struct bus_status){
        .state = (enum bus_state) atomic_load(&b->state),
        .committed_offset = b->reset || b->committed < b->durable.offset ? b->durable.offset : b->committed,
        .durable_offset = b->durable.offset,
        .max_bytes = b->o.memory_bytes,
        .pending_bytes = atomic_load(&b->pending),
        .durable = b->durable.pos,
        .durable_end_lsn = b->durable.end_lsn,
        .durable_commit_us = b->durable.commit_us,
        .epoch = b->durable.epoch,
        .error = b->error,
    };
    out->taken_offset = out->committed_offset;
    pthread_mutex_unlock(&b->lock);
}

static int notify_fd(struct bus *base)
{
    return kafka_of(base)->notify;
}

static void free_all(struct kafka_bus *b)
{
    kafka_writer_close(&b->w);
    kafka_segs_free(b);
    if (b->notify >= 0)
        close(b->notify);
    pthread_cond_destroy(&b->work);
    pthread_cond_destroy(&b->synced);
    pthread_mutex_destroy(&b->lock);
    arena_free(&b->arena);
    free(b);
}

static void kafka_close(struct bus *base)
{
    struct kafka_bus *b = kafka_of(base);
    struct err e = ERR_INIT;
    if (b->writes) {
        bus_abort(base);
        if (atomic_load(&b->state) == BUS_OK && kafka_flush(base, CLOSE_FLUSH_MS, &e))
            log_err(b->env->log, "kafka", &e);
        pthread_mutex_lock(&b->lock);
        b->stop = true;
        pthread_cond_signal(&b->work);
        pthread_mutex_unlock(&b->lock);
        pthread_join(b->writer, NULL);
    }
    free_all(b);
}

static const struct bus_driver driver = {
    .put = kafka_put,
    .commit = kafka_commit,
    .abort = kafka_abort,
    .room = kafka_room,
    .flush = kafka_flush,
    .status = get_status,
    .notify_fd = notify_fd,
    .reader = kafka_reader,
    .next = kafka_next,
    .seek = kafka_seek,
    .taken = kafka_taken,
    .take = kafka_take,
    .note = kafka_note,
    .leave = kafka_leave,
    .forget = kafka_forget,
    .close = kafka_close,
};

static void copy_options(struct kafka_bus *b, const struct kafka_options *o)
{
    const char **items = arena_zalloc(&b->arena, (size_t) o->properties.count + 1, sizeof *items);
    b->o = *o;
    b->o.brokers = arena_str(&b->arena, str_of(o->brokers)).p;
    b->o.prefix = arena_str(&b->arena, str_of(o->prefix)).p;
    b->o.password = o->password ? arena_str(&b->arena, str_of(o->password)).p : "";
    b->o.cleanup = arena_str(&b->arena, str_of(o->cleanup)).p;
    for (int at = 0; at < o->properties.count; at++)
        items[at] = arena_str(&b->arena, str_of(o->properties.items[at])).p;
    b->properties = (struct config_list){o->properties.count, items};
    b->positions = arena_printf(&b->arena, "%s.tailrace.positions", b->o.prefix).p;
    b->transactions = arena_printf(&b->arena, "%s.tailrace.transactions", b->o.prefix).p;
}

static void init_conditions(struct kafka_bus *b)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->work, &attr);
    pthread_cond_init(&b->synced, &attr);
    pthread_condattr_destroy(&attr);
}

/* Where the source stands is not known before the writer has taken over: as after a failure, the producer flushes first. */
static int start_writer(struct kafka_bus *b, struct err *e)
{
    b->reset = true;
    (void) err_set(&b->error, E_KAFKA, "Kafka has not been reached yet");
    atomic_store(&b->state, BUS_AWAY);
    int failed = pthread_create(&b->writer, NULL, kafka_writer_run, b);
    if (failed)
        return err_set(e, E_SYSTEM, "cannot start a thread: %s", strerror(failed));
    b->writes = true;
    return 0;
}

struct kafka_options bus_kafka_options(const struct config *c, bool produce)
{
    return (struct kafka_options){
        .brokers = c->kafka.brokers,
        .prefix = c->name,
        .properties = c->kafka.properties,
        .password = c->kafka.password,
        .partitions = (int) c->kafka.partitions,
        .replication = (int) c->kafka.replication,
        .cleanup = c->kafka.cleanup,
        .memory_bytes = (uint64_t) c->bus.memory_mb << 20,
        .commit_ms = c->kafka.commit_ms,
        .transaction_ms = c->kafka.transaction_ms,
        .produce = produce,
    };
}

int bus_kafka_look(const struct env *env, const struct kafka_options *o, uint64_t *durable_end_lsn, struct err *e)
{
    struct bus *base;
    struct kafka_options look = *o;
    look.produce = false;
    if (bus_kafka_open(env, &look, &base, e))
        return -1;
    struct kafka_bus *b = kafka_of(base);
    int rc = kafka_state_read(b, &b->w.state, e);
    *durable_end_lsn = b->w.state.tip.end_lsn;
    bus_close(base);
    return rc;
}

int bus_kafka_open(const struct env *env, const struct kafka_options *o, struct bus **out, struct err *e)
{
    struct kafka_bus *b = mem_zalloc(1, sizeof *b);
    b->base.driver = &driver;
    b->env = env;
    arena_init(&b->arena, 0, "Kafka");
    copy_options(b, o);
    init_conditions(b);
    b->notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (b->notify < 0 || (o->produce && start_writer(b, e))) {
        if (b->notify < 0)
            (void) err_set(e, E_SYSTEM, "cannot make an eventfd: %s", strerror(errno));
        free_all(b);
        return -1;
    }
    *out = &b->base;
    return 0;
}
