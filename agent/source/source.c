/* SPDX-License-Identifier: Apache-2.0
 *
 * States of the source, and what to do when a connected life ends: try again, with a pause that
 * doubles and jitters, or give up because a person is needed. A wait never blinds: each loop makes
 * its turn at least once a second, which is what health looks at.
 */
#include "agent/source/inner.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "agent/source/spill.h"

#define PAUSE_FIRST_MS 100
#define SOUND_US 30000000 /* a stream of this age has nothing to do with the troubles before */
#define HOLD_MS 200
#define FLUSH_MS 1000

/* A format of its own for each state: lines of one format that follow closely are held back. */
static void log_state(struct source *s, enum source_state state, const char *detail)
{
    const char *colon = detail ? ": " : "";
    struct log *l = s->env->log;
    detail = detail ? detail : "";
    switch (state) {
    case SOURCE_STARTING:
        log_info(l, "source", "starting%s%s", colon, detail);
        break;
    case SOURCE_WAITING:
        log_info(l, "source", "%s%s", *detail ? "" : "waiting", detail);
        break;
    case SOURCE_COPYING:
        log_info(l, "source", "copying%s%s", colon, detail);
        break;
    case SOURCE_STREAMING:
        log_info(l, "source", "streaming%s%s", colon, detail);
        break;
    case SOURCE_BLOCKED:
        log_warn(l, "source", "takes nothing%s%s", colon, detail);
        break;
    case SOURCE_STOPPED:
        log_info(l, "source", "stopped%s%s", colon, detail);
        break;
    case SOURCE_RETRYING: /* told as errors */
    case SOURCE_FAILED:
        break;
    }
}

/* ---- for the other files ---- */

void source_say(struct source *s, enum source_state state, const char *detail)
{
    pthread_mutex_lock(&s->lock);
    bool changed = s->status.state != state || strcmp(s->status.detail, detail ? detail : "") != 0;
    s->status.state = state;
    snprintf(s->status.detail, sizeof s->status.detail, "%s", detail ? detail : "");
    if (state == SOURCE_STREAMING)
        err_clear(&s->status.error);
    pthread_mutex_unlock(&s->lock);
    if (changed)
        log_state(s, state, detail);
}

void source_quiet(struct source *s)
{
    struct epoll_event events[4];
    uint64_t count;
    int ready = epoll_wait(s->poll_fd, events, 4, 0);
    for (int at = 0; at < ready; at++)
        if (events[at].data.fd > 0 && read(events[at].data.fd, &count, sizeof count) < 0 && errno != EAGAIN)
            log_warn(s->env->log, "source", "event descriptor cannot be read: errno %d", errno);
}

void source_turn(struct source *s)
{
    int64_t now_us = clock_mono_us(s->env->clock);
    pthread_mutex_lock(&s->lock);
    s->status.loop_us = now_us;
    pthread_mutex_unlock(&s->lock);
    if (s->look_again_us && now_us >= s->look_again_us) {
        s->look_again_us = 0;
        atomic_store(&s->tables_changed, true);
    }
    stream_feedback(s, false);
}

int source_wait(struct source *s, struct err *e)
{
    struct pollfd fds[2] = {{.fd = s->poll_fd, .events = POLLIN},
                            {.fd = s->env->stop_fd, .events = POLLIN}};
    if (poll(fds, 2, HOLD_MS) > 0 && fds[0].revents)
        source_quiet(s);
    source_turn(s);
    return env_stop(s->env) == STOP_NONE ? 0 : err_set(e, E_STOPPED, "asked to stop while waiting");
}

static const char *why_held(const struct source *s, const struct bus_status *st)
{
    switch (st->state) {
    case BUS_AT_BUDGET:
        return s->in.opened && st->first_offset == st->committed_offset
                   ? "one transaction of the source fits neither into bus.max_mb nor into bus.large_txn_max_mb: raise one"
                   : "bus is at its byte budget: a target is behind";
    case BUS_DISK_FULL:
        return "disk under the state directory is full";
    case BUS_AWAY:
        return "Kafka cannot be reached";
    default:
        return NULL;
    }
}

int source_over_budget(const struct source *s, struct err *e)
{
    return err_set(e, E_WAL_BUDGET, "slot %s keeps more WAL than source.wal_budget_mb (%lld), and nothing was confirmed for 30 s",
                   s->config->source.slot, (long long) s->config->source.wal_budget_mb);
}

int source_hold(struct source *s, struct err *e)
{
    struct bus_status st;
    enum source_state before = s->status.state; /* only this thread writes it */
    bool told = false;
    int rc = 0;
    while (!rc && bus_room(s->parts.bus) == 0) {
        if (atomic_load(&s->over_budget))
            return source_over_budget(s, e);
        bus_get_status(s->parts.bus, &st);
        if (st.state == BUS_FAILED) {
            *e = st.error;
            return -1;
        }
        /* Memory that waits for the next sync is no state of its own. */
        if (why_held(s, &st)) {
            source_say(s, SOURCE_BLOCKED, why_held(s, &st));
            told = true;
        }
        rc = source_wait(s, e);
    }
    s->stream.heard_us = clock_mono_us(s->env->clock);
    if (told && !rc)
        source_say(s, before, NULL);
    return rc;
}

int source_put(struct source *s, const struct event *ev, struct err *e)
{
    while (bus_put(s->parts.bus, ev, e)) {
        if (e->code != E_BUS_FULL)
            return -1;
        err_clear(e);
        if (bus_room(s->parts.bus) ? source_wait(s, e) : source_hold(s, e))
            return -1;
    }
    return 0;
}

int source_flush(struct source *s, struct err *e)
{
    while (bus_flush(s->parts.bus, FLUSH_MS, e)) {
        if (e->code != E_TIMEOUT && e->code != E_DISK_FULL)
            return -1;
        if (e->code == E_DISK_FULL)
            source_say(s, SOURCE_BLOCKED, e->msg);
        err_clear(e);
        if (source_wait(s, e))
            return -1;
    }
    return 0;
}

int source_check_size(const struct source *s, size_t bytes, struct str space, struct str name,
                      struct err *e)
{
    int64_t max_mb = s->config->source.row_max_mb;
    if (bytes <= (uint64_t) max_mb << 20)
        return 0;
    return err_set(e, E_CONFIG, "a row of %zu MB in table %.*s.%.*s is larger than source.row_max_mb "
                   "(%lld)", bytes >> 20, STR_ARG(space), STR_ARG(name), (long long) max_mb);
}

void source_wake_tables(struct source *s)
{
    const uint64_t one = 1;
    atomic_store(&s->tables_changed, true);
    if (write(s->wake_fd, &one, sizeof one) < 0)
        log_debug(s->env->log, "source", "loop was awake already");
}

/* ---- patterns ---- */

static void add_patterns(struct source *s, const struct config_list *list)
{
    struct patterns *p = mem_zalloc(1, sizeof *p);
    p->list.items = mem_zalloc((size_t) list->count + 1, sizeof *p->list.items);
    p->list.count = list->count;
    for (int at = 0; at < list->count; at++)
        p->list.items[at] = mem_strdup(list->items[at]);
    pthread_mutex_lock(&s->lock);
    p->before = s->patterns;
    s->patterns = p;
    pthread_mutex_unlock(&s->lock);
}

static void free_patterns(struct patterns *p)
{
    while (p) {
        struct patterns *before = p->before;
        for (int at = 0; at < p->list.count; at++)
            free((void *) (uintptr_t) p->list.items[at]);
        free(p->list.items);
        free(p);
        p = before;
    }
}

void source_adopt_patterns(struct source *s)
{
    pthread_mutex_lock(&s->lock);
    s->tables = &s->patterns->list;
    pthread_mutex_unlock(&s->lock);
}

void source_reload(struct source *s, const struct config *config)
{
    add_patterns(s, &config->source.tables);
    source_wake_tables(s);
}

/* ---- life ---- */

static int watch_fd(struct source *s, int fd)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    return fd < 0 ? -1 : epoll_ctl(s->poll_fd, EPOLL_CTL_ADD, fd, &ev);
}

struct source *source_open(const struct source_parts *parts)
{
    static const char *const ops[] = {"c", "u", "d", "t"};
    struct source *s = mem_zalloc(1, sizeof *s);
    s->parts = *parts;
    s->env = parts->env;
    s->config = parts->config;
    pthread_mutex_init(&s->lock, NULL);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->status.safe_bytes = -1;
    s->status.loop_us = clock_mono_us(s->env->clock);
    snprintf(s->status.slot, sizeof s->status.slot, "%s", s->config->source.slot);
    snprintf(s->status.publication, sizeof s->status.publication, "%s", s->config->source.publication);
    add_patterns(s, &s->config->source.tables);
    source_adopt_patterns(s);
    rels_init(&s->rels);
    arena_init(&s->scratch, 0, "source.row_max_mb");
    s->spill = spill_open(s->config->state, SPILL_FOLDER, (uint64_t) s->config->source.spill_max_mb << 20);
    s->driver = decoder_find("pgoutput");
    s->decoder = s->driver->open();
    snap_open(s);
    s->ddl = ddl_open();
    s->prepared = prepared_open(s->config);
    for (size_t at = 0; at < 4; at++)
        s->op_series[at] = metric_series(s->env->metrics, M_SOURCE_CHANGES, str_of(ops[at]));
    return s;
}

void source_close(struct source *s)
{
    if (!s)
        return;
    snap_close(s);
    ddl_close(s->ddl);
    prepared_close(s->prepared);
    if (s->writer)
        envelope_writer_close(s->writer);
    s->driver->close(s->decoder);
    spill_close(s->spill);
    rels_free(&s->rels);
    arena_free(&s->scratch);
    free_patterns(s->patterns);
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    if (s->poll_fd >= 0)
        close(s->poll_fd);
    explicit_bzero(&s->facts, sizeof s->facts);
    explicit_bzero(&s->signing, sizeof s->signing);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void source_get_status(struct source *s, struct source_status *out)
{
    pthread_mutex_lock(&s->lock);
    *out = s->status;
    pthread_mutex_unlock(&s->lock);
}

/* ---- running ---- */

static bool passes(const struct err *e)
{
    return err_is_transient(e) || e->class == ERR_CONFLICT;
}

static int64_t pause_ms(const struct source *s, int failures)
{
    int64_t ms = PAUSE_FIRST_MS, max_ms = s->config->source.backoff_max_ms;
    uint32_t dice = 0;
    for (int at = 1; at < failures && ms < max_ms; at++)
        ms *= 2;
    if (ms > max_ms)
        ms = max_ms;
    if (getrandom(&dice, sizeof dice, 0) != (ssize_t) sizeof dice)
        return ms;
    return ms / 2 + (int64_t) (dice % (uint32_t) (ms / 2 + 1));
}

static void note_error(struct source *s, enum source_state state, const struct err *e)
{
    log_err(s->env->log, "source", e);
    pthread_mutex_lock(&s->lock);
    s->status.error = *e;
    pthread_mutex_unlock(&s->lock);
    metric_add(s->env->metrics, M_LOG_ERRORS,
               metric_series(s->env->metrics, M_LOG_ERRORS, str_of(err_name(e->code))), 1);
    source_say(s, state, e->msg);
}

/* Pause before the next attempt, a turn each second. */
static void pause_for(struct source *s, int64_t ms)
{
    while (ms > 0 && env_stop(s->env) == STOP_NONE) {
        int64_t part = ms < SOURCE_TURN_US / 1000 ? ms : SOURCE_TURN_US / 1000;
        source_turn(s);
        (void) env_sleep(s->env, part);
        ms -= part;
    }
}

static int run_sessions(struct source *s, struct err *e)
{
    for (int failures = 0; env_stop(s->env) == STOP_NONE;) {
        s->streaming_us = 0;
        source_turn(s);
        if (session_run(s, e) == 0 || env_stop(s->env) != STOP_NONE)
            break;
        if (!passes(e)) {
            note_error(s, SOURCE_FAILED, e);
            return -1;
        }
        if (s->streaming_us && clock_mono_us(s->env->clock) - s->streaming_us > SOUND_US)
            failures = 0;
        note_error(s, SOURCE_RETRYING, e);
        err_clear(e);
        pause_for(s, pause_ms(s, ++failures));
    }
    source_say(s, SOURCE_STOPPED, NULL);
    return 0;
}

int source_run(struct source *s, struct err *e)
{
    source_say(s, SOURCE_STARTING, NULL);
    if (watch_fd(s, s->wake_fd) || watch_fd(s, bus_notify_fd(s->parts.bus)))
        return err_set(e, E_SYSTEM, "source cannot watch its descriptors: errno %d", errno);
    if (watch_start(s, e))
        return -1;
    int rc = run_sessions(s, e);
    watch_stop(s);
    return rc;
}
