/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/base/env.h"

#include <poll.h>
#include <time.h>

static int64_t system_time_us(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_wall_us(void *self)
{
    (void) self;
    return system_time_us(CLOCK_REALTIME);
}

static int64_t system_mono_us(void *self)
{
    (void) self;
    return system_time_us(CLOCK_MONOTONIC);
}

const struct clock clock_system = {system_wall_us, system_mono_us, NULL};

bool env_sleep(const struct env *env, int64_t ms)
{
    struct pollfd stop = {.fd = env->stop_fd, .events = POLLIN};
    if (env_stop(env) == STOP_NONE && ms > 0)
        (void) poll(&stop, 1, ms > 86400000 ? 86400000 : (int) ms);
    return env_stop(env) != STOP_NONE;
}
