/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of a running process, shared by run.c (threads and signals), run_answers.c (what it
 * tells), run_registry.c and run_reload.c (SIGHUP). Nobody else includes this.
 *
 * Ownership: everything here belongs to the main thread. Other threads own what they were opened
 * with and are asked by their status functions. lock guards config and routes against
 * the answering threads (which read) while a reload swaps them (which writes).
 */
#ifndef TR_RUN_PARTS_H
#define TR_RUN_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "agent/base/config.h"
#include "agent/base/env.h"
#include "agent/bus/bus.h"
#include "agent/http/http.h"
#include "agent/hub/park.h"
#include "agent/hub/pump.h"
#include "agent/lag/lag.h"
#include "agent/source/source.h"

/* One thread with its outcome. */
struct run_thread {
    pthread_t thread;
    bool running;      /* made and not yet joined */
    _Atomic bool done; /* its body has returned */
    int result;        /* of the body; read after done */
    struct err error;
};

struct run_route {
    struct env env; /* own wish to stop, so that a reload can stop one route */
    struct pump *pump;
    struct run_thread thread;
};

struct run {
    struct env *env;
    pthread_rwlock_t lock;
    struct config *config;
    struct config **retired; /* earlier ones: the source may still look at them */
    int retired_count;
    struct store *store;
    struct registry *registry;
    struct bus *bus;
    struct lag *lag;
    struct park *park;
    struct source *source;
    struct run_thread source_thread;
    struct run_route *routes;
    int route_count;
    struct http *http;
    struct control *control;
    int64_t started_us;  /* mono time of the start */
    _Atomic bool streamed; /* has streamed once: start-up is over */
    bool told_ready;     /* the service manager knows */
};

/* Open the routes of run->config and start their threads. Under the write lock, or before anybody
 * can ask. */
int run_routes_start(struct run *run, struct err *e) MUST_CHECK;
/* Ask the routes to end their batch and wait until their threads are gone, at most wait_ms before
 * they are told to end at once. Without the lock: answers go on. */
void run_routes_end(struct run *run, int64_t wait_ms);
/* Free routes that have ended. Under the write lock. */
void run_routes_close(struct run *run);

/* The registry that the configuration asks for. */
int run_registry_open(struct run *run, struct err *e) MUST_CHECK;
/* Once bus and parked rows are open: E_CONFIG when they name ids of a registry of the other kind; remembers the kind. */
int run_registry_check(struct run *run, struct err *e) MUST_CHECK;

/* Answers for HTTP and the control socket; self is the struct run. Any thread. */
struct http_answers run_answers(struct run *run);
/* Every data loop has turned within the last seconds; never depends on PostgreSQL. */
bool run_loops_turn(struct run *run);
/* The status object as one line of JSON. */
void run_status(struct run *run, struct buf *out);

/* Read the file again and take it when it can be taken; otherwise keep what runs and say why. */
void run_reload(struct run *run);

#endif
