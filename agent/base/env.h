/* SPDX-License-Identifier: Apache-2.0
 *
 * What main lends to every part: log, metrics, clock, the wish to stop. No part keeps global state.
 */
#ifndef TR_BASE_ENV_H
#define TR_BASE_ENV_H

#include <stdatomic.h>

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/metric.h"

enum stop_mode {
    STOP_NONE,
    STOP_DRAIN, /* finish what is in flight within shutdown_timeout, then end */
    STOP_NOW,   /* end at once; nothing is lost by it */
};

struct env {
    struct log *log;
    struct metrics *metrics;
    const struct clock *clock;
    _Atomic int stop;   /* enum stop_mode; set by main, read by all */
    int stop_fd;        /* becomes readable and stays so once stop is not STOP_NONE: add it to poll */
};

static inline enum stop_mode env_stop(const struct env *env)
{
    return (enum stop_mode) atomic_load(&((struct env *) (uintptr_t) env)->stop);
}

/* Sleep ms, or until the wish to stop; true when asked to stop. */
bool env_sleep(const struct env *env, int64_t ms);

#endif
