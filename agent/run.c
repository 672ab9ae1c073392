/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads: main (signals, gauges, the live line), source, one a route, the bus's writer, HTTP,
 * control. Main owns the parts and closes them in the reverse order of opening. A drain stops the
 * source first, then lets routes end their batch, then waits until the bus is durable; each within
 * what is left of shutdown_timeout_ms. Ending earlier loses nothing: what is not confirmed comes again.
 */
#include "agent/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "agent/cli/config.h"
#include "agent/cli/status.h"
#include "agent/http/notify.h"
#include "agent/run_parts.h"

#define TICK_MS 250
#define STANDBY_MS 200 /* how often a standby tries the lock */
#define LIVE_MS 1000
#define MB ((uint64_t) 1 << 20)
/* Address space beside the bus budget for schemas, parked rows and positions. */
#define STATE_MAP_BYTES (256 * MB)

/* ---- threads ---- */

static void *source_body(void *arg)
{
    struct run *run = arg;
    run->source_thread.result = source_run(run->source, &run->source_thread.error);
    atomic_store(&run->source_thread.done, true);
    return NULL;
}

static void *route_body(void *arg)
{
    struct run_route *route = arg;
    route->thread.result = pump_run(route->pump, &route->thread.error);
    atomic_store(&route->thread.done, true);
    return NULL;
}

static int thread_start(struct run_thread *t, void *(*body)(void *), void *arg, struct err *e)
{
    int failed = pthread_create(&t->thread, NULL, body, arg);
    if (failed)
        return err_set(e, E_SYSTEM, "cannot start a thread: %s", strerror(failed));
    t->running = true;
    return 0;
}

static void thread_join(struct run_thread *t)
{
    if (t->running)
        (void) pthread_join(t->thread, NULL);
    t->running = false;
}

static void ask_to_stop(struct env *env, enum stop_mode mode)
{
    uint64_t one = 1;
    atomic_store(&env->stop, mode);
    if (write(env->stop_fd, &one, sizeof one) != (ssize_t) sizeof one)
        log_warn(env->log, "run", "cannot wake the threads: %s", strerror(errno));
}

/* Wait until done or until wait_ms are over; true when done. */
static bool wait_done(const struct env *env, const struct run_thread *t, int64_t wait_ms)
{
    int64_t until_us = clock_mono_us(env->clock) + wait_ms * 1000;
    while (t->running && !atomic_load(&t->done) && clock_mono_us(env->clock) < until_us)
        (void) poll(NULL, 0, 5);
    return !t->running || atomic_load(&t->done);
}

/* ---- routes ---- */

static int route_start(struct run *run, int index, struct err *e)
{
    struct run_route *route = &run->routes[index];
    route->env = *run->env;
    atomic_store(&route->env.stop, STOP_NONE);
    route->env.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (route->env.stop_fd < 0)
        return err_set(e, E_SYSTEM, "cannot make an eventfd: %s", strerror(errno));
    struct pump_parts parts = {.env = &route->env,
                               .config = run->config,
                               .route = &run->config->routes[index],
                               .index = index,
                               .bus = run->bus,
                               .lag = run->lag,
                               .registry = run->registry,
                               .park = run->park};
    route->pump = pump_open(&parts);
    return thread_start(&route->thread, route_body, route, e);
}

int run_routes_start(struct run *run, struct err *e)
{
    run->route_count = run->config->route_count;
    run->routes = mem_zalloc((size_t) run->route_count, sizeof *run->routes);
    for (int i = 0; i < run->route_count; i++)
        run->routes[i].env.stop_fd = -1;
    for (int i = 0; i < run->route_count; i++)
        if (route_start(run, i, e))
            return -1;
    return 0;
}

static void route_end(struct run *run, struct run_route *route, int64_t wait_ms)
{
    if (!wait_done(run->env, &route->thread, wait_ms)) {
        ask_to_stop(&route->env, STOP_NOW);
        if (!wait_done(run->env, &route->thread, 3000)) {
            /* It hangs in a call that heeds no stop. Everything durable is; leave. */
            log_error(run->env->log, "run", "a route does not end; leaving without it");
            _exit(0);
        }
    }
    thread_join(&route->thread);
}

void run_routes_end(struct run *run, int64_t wait_ms)
{
    int64_t until_us = clock_mono_us(run->env->clock) + wait_ms * 1000;
    for (int i = 0; i < run->route_count; i++)
        if (run->routes[i].env.stop_fd >= 0)
            ask_to_stop(&run->routes[i].env, STOP_DRAIN);
    for (int i = 0; i < run->route_count; i++) {
        int64_t left_ms = (until_us - clock_mono_us(run->env->clock)) / 1000;
        route_end(run, &run->routes[i], left_ms > 0 ? left_ms : 0);
    }
}

void run_routes_close(struct run *run)
{
    for (int i = 0; i < run->route_count; i++) {
        if (run->routes[i].pump)
            pump_close(run->routes[i].pump);
        if (run->routes[i].env.stop_fd >= 0)
            close(run->routes[i].env.stop_fd);
    }
    free(run->routes);
    run->routes = NULL;
    run->route_count = 0;
}

/* ---- opening and closing ---- */

static int open_store(struct run *run, struct err *e)
{
    uint64_t budget = (uint64_t) run->config->bus.max_mb * MB;
    if (store_open(run->config->state, budget / 4 * 5 + STATE_MAP_BYTES, false, &run->store, e))
        return -1;
    return run_registry_open(run, e) || park_open(run->store, &run->park, e) ? -1 : 0;
}

static int open_bus(struct run *run, struct err *e)
{
    const struct config *c = run->config;
    struct bus_options options = {.max_bytes = (uint64_t) c->bus.max_mb * MB,
                                  .large_bytes = (uint64_t) c->bus.large_txn_max_mb * MB,
                                  .memory_bytes = (uint64_t) c->bus.memory_mb * MB,
                                  .sync_ms = c->bus.sync_ms};
    const char *groups[LAG_ROUTES_MAX];
    for (int i = 0; i < c->route_count; i++)
        groups[i] = c->routes[i].name;
    const struct kafka_options kafka = bus_kafka_options(c, true);
    if (*c->kafka.brokers ? bus_kafka_open(run->env, &kafka, &run->bus, e)
                          : bus_local_open(run->env, run->store, &options, groups, c->route_count, &run->bus, e))
        return -1;
    run->lag = lag_open(run->env, c->source.sentinel_ms * 1000, groups, c->route_count);
    struct bus_status held;
    bus_get_status(run->bus, &held);
    if (held.durable.lsn) /* what routes have to catch up with before a commit is seen */
        lag_seed(run->lag, held.durable.lsn, held.durable_commit_us);
    return 0;
}

static int open_source(struct run *run, struct err *e)
{
    struct source_parts parts = {.env = run->env,
                                 .config = run->config,
                                 .store = run->store,
                                 .bus = run->bus,
                                 .lag = run->lag,
                                 .registry = run->registry};
    run->source = source_open(&parts);
    return run->source ? 0 : err_set(e, E_INTERNAL, "cannot open the source");
}

static int open_parts(struct run *run, struct err *e)
{
    if (run->config->route_count > LAG_ROUTES_MAX)
        return err_set(e, E_CONFIG, "%d routes are more than %d", run->config->route_count,
                       LAG_ROUTES_MAX);
    if (open_store(run, e) || open_bus(run, e) || run_registry_check(run, e) || open_source(run, e))
        return -1;
    struct http_answers answers = run_answers(run);
    if (http_open(run->env, run->config->http_listen, &answers, &run->http, e)
        || control_open(run->env, run->config->state, &answers, &run->control, e))
        return -1;
    if (run_routes_start(run, e))
        return -1;
    return thread_start(&run->source_thread, source_body, run, e);
}

static void close_parts(struct run *run)
{
    control_close(run->control);
    http_close(run->http);
    run_routes_close(run);
    source_close(run->source);
    bus_close(run->bus);
    lag_close(run->lag);
    park_close(run->park);
    registry_close(run->registry);
    store_close(run->store);
    for (int i = 0; i < run->retired_count; i++)
        config_free(run->retired[i]);
    free(run->retired);
    config_free(run->config);
    pthread_rwlock_destroy(&run->lock);
}

/* Source first, then routes, then the bus. */
static void drain(struct run *run)
{
    struct env *env = run->env;
    struct err e = ERR_INIT;
    int64_t until_us = clock_mono_us(env->clock) + run->config->shutdown_timeout_ms * 1000;
    if (env_stop(env) == STOP_NONE)
        ask_to_stop(env, STOP_DRAIN);
    notify_stopping(run->config->shutdown_timeout_ms);
    if (!wait_done(env, &run->source_thread, run->config->shutdown_timeout_ms)) {
        ask_to_stop(env, STOP_NOW);
        if (!wait_done(env, &run->source_thread, 3000)) {
            log_error(env->log, "run", "the source does not end; leaving without it");
            _exit(0);
        }
    }
    thread_join(&run->source_thread);
    int64_t left_ms = (until_us - clock_mono_us(env->clock)) / 1000;
    if (env_stop(env) == STOP_DRAIN && run->bus && bus_flush(run->bus, left_ms > 0 ? left_ms : 0, &e))
        log_err(env->log, "run", &e);
    left_ms = env_stop(env) == STOP_NOW ? 0 : (until_us - clock_mono_us(env->clock)) / 1000;
    run_routes_end(run, left_ms > 0 ? left_ms : 0);
}

/* ---- the main loop ---- */

/* Gauges, and what the service manager wants to hear. */
static void tell_state(struct run *run)
{
    struct source_status source;
    lag_publish(run->lag);
    source_get_status(run->source, &source);
    if (source.state == SOURCE_STREAMING)
        run->streamed = true;
    if (source.state != SOURCE_STARTING && !run->told_ready) {
        run->told_ready = true;
        notify_ready();
    }
    notify_watchdog(run_loops_turn(run));
}

static void draw_live(struct run *run, struct status_past *past)
{
    struct buf json = BUF_INIT, line = BUF_INIT;
    bool terminal = isatty(STDOUT_FILENO);
    run_status(run, &json);
    status_line(buf_str(&json), clock_wall_us(run->env->clock), past, &line);
    if (terminal)
        printf("\r\033[K%.*s", STR_ARG(buf_str(&line)));
    else
        printf("%.*s\n", STR_ARG(buf_str(&line)));
    fflush(stdout);
    buf_free(&json);
    buf_free(&line);
}

/* A signal that came in: SIGHUP reloads, the first end signal drains, a second one ends at once. */
static bool take_signal(struct run *run, int signal_fd)
{
    struct signalfd_siginfo info;
    if (read(signal_fd, &info, sizeof info) != (ssize_t) sizeof info)
        return false;
    if (info.ssi_signo == SIGHUP) {
        run_reload(run);
        return false;
    }
    log_info(run->env->log, "run", "%s: draining, at most %lld s; a second signal ends at once",
             info.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT",
             (long long) (run->config->shutdown_timeout_ms / 1000));
    return true;
}

/* True when going on makes no sense: the source needs a person, every route has ended, or the bus
 * cannot be written. */
static bool has_failed(struct run *run, struct err *e)
{
    struct bus_status bus;
    bus_get_status(run->bus, &bus);
    if (bus.state == BUS_FAILED) {
        /* After a failed sync nobody knows what is on disk: end without writing more. */
        log_err(run->env->log, "bus", &bus.error);
        _exit(err_exit_code(&bus.error));
    }
    if (atomic_load(&run->source_thread.done)) {
        *e = run->source_thread.error;
        return true;
    }
    for (int i = 0; i < run->route_count; i++)
        if (!atomic_load(&run->routes[i].thread.done))
            return false;
    *e = run->routes[0].thread.error;
    return run->route_count > 0;
}

/* A thread that watches for the second end signal while main drains. */
static void *second_signal_body(void *arg)
{
    int signal_fd = *(int *) arg;
    struct signalfd_siginfo info;
    while (read(signal_fd, &info, sizeof info) != (ssize_t) sizeof info || info.ssi_signo == SIGHUP) {
        struct pollfd p = {.fd = signal_fd, .events = POLLIN};
        (void) poll(&p, 1, -1);
    }
    _exit(1); /* the state is safe to leave at any instant */
}

static void main_loop(struct run *run, int signal_fd, bool live, struct err *e)
{
    int64_t next_live_us = 0;
    struct status_past past = {0};
    for (;;) {
        struct pollfd p = {.fd = signal_fd, .events = POLLIN};
        if (poll(&p, 1, TICK_MS) > 0 && take_signal(run, signal_fd))
            return;
        tell_state(run);
        int64_t now_us = clock_mono_us(run->env->clock);
        if (live && now_us >= next_live_us) {
            draw_live(run, &past);
            next_live_us = now_us + LIVE_MS * 1000;
        }
        if (has_failed(run, e))
            return;
    }
}

static int block_signals(struct err *e)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL))
        return err_set(e, E_SYSTEM, "cannot block signals");
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd >= 0 ? fd : err_set(e, E_SYSTEM, "cannot make a signalfd: %s", strerror(errno));
}

/* Whoever has the state directory holds its lock until it ends, however it ends. What the file says then may be other than
 * what it said at our start, so that it is read again. */
static int open_or_stand_by(struct run *run, int signal_fd, bool standby, struct err *e)
{
    struct pollfd p = {.fd = signal_fd, .events = POLLIN};
    struct signalfd_siginfo info;
    int rc = open_parts(run, e);
    if (!rc || !standby || e->code != E_STATE_LOCKED)
        return rc;
    log_info(run->env->log, "run", "%s: standing by", e->msg);
    notify_ready();
    run->told_ready = true;
    while (rc && e->code == E_STATE_LOCKED) {
        notify_status("standing by: %s", e->msg);
        notify_watchdog(true);
        err_clear(e);
        if (poll(&p, 1, STANDBY_MS) > 0 && read(signal_fd, &info, sizeof info) == (ssize_t) sizeof info && info.ssi_signo != SIGHUP)
            return err_set(e, E_STOPPED, "asked to stop");
        rc = open_parts(run, e);
    }
    if (rc)
        return -1;
    log_info(run->env->log, "run", "took over state directory %s", run->config->state);
    run_reload(run);
    return 0;
}

int run_agent(struct env *env, struct config *config, const struct run_wish *wish, struct err *e)
{
    struct run run = {.env = env, .config = config, .started_us = clock_mono_us(env->clock)};
    struct err why = ERR_INIT;
    pthread_t second;
    pthread_rwlock_init(&run.lock, NULL);
    metric_set(env->metrics, M_CONFIG_OK, 0, 1); /* what runs was taken */
    int signal_fd = block_signals(e); /* before any thread is made: all inherit it */
    int result = signal_fd < 0 || open_or_stand_by(&run, signal_fd, wish->standby, &why) ? -1 : 0;
    if (why.code == E_STOPPED) {
        result = 0;
    } else if (result == 0) {
        main_loop(&run, signal_fd, wish->live, &why);
        result = why.class == ERR_NONE ? 0 : -1;
    }
    if (signal_fd >= 0 && pthread_create(&second, NULL, second_signal_body, &signal_fd) == 0)
        pthread_detach(second);
    drain(&run);
    close_parts(&run);
    if (wish->live && isatty(STDOUT_FILENO))
        printf("\n");
    if (result && why.class != ERR_NONE)
        *e = why;
    return result;
}
