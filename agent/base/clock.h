/* SPDX-License-Identifier: Apache-2.0
 *
 * Time as a dependency: whoever needs time is lent a clock, so that tests own it.
 */
#ifndef TR_BASE_CLOCK_H
#define TR_BASE_CLOCK_H

#include <stdint.h>

struct clock {
    int64_t (*wall_us)(void *self); /* microseconds since 1970 UTC; may step */
    int64_t (*mono_us)(void *self); /* microseconds that only grow */
    void *self;
};

/* The machine's clocks. */
extern const struct clock clock_system;

static inline int64_t clock_wall_us(const struct clock *c) { return c->wall_us(c->self); }
static inline int64_t clock_mono_us(const struct clock *c) { return c->mono_us(c->self); }

#endif
