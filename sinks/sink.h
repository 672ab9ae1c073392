/* SPDX-License-Identifier: Apache-2.0
 *
 * Sink seam: apply changes to a target.
 *
 * The pump (agent/hub) hands over whole source transactions in order: sink_apply for their changes,
 * in slices, then sink_commit with the position reached; several source transactions may share one
 * commit. The rows and the position become visible together or not at all. A sink opens its own
 * connections, knows no bus and no hub, and is used by one thread.
 * A sink in C is one folder here and one line in sinks.c.
 */
#ifndef TR_SINKS_SINK_H
#define TR_SINKS_SINK_H

#include "agent/base/config.h"
#include "agent/base/env.h"
#include "schemas/change.h"
#include "schemas/event.h"

#define SINK_KEEPS_POSITION 1u /* its target keeps a source position: may be fed before the bus is durable */

struct sink;

/* What the pump lends. */
struct sink_env {
    const struct env *env;
    const struct config *config;
    const struct config_target *target;
    const char *route;  /* name for log lines and metric labels */
    int series;         /* of the route, for M_APPLIED_ROWS and its like (same label order) */
    /* Store a bad row before the target commits: durable when it returns 0. */
    void *park_self;
    int (*park)(void *self, const struct change *change, const struct err *why, struct err *e);
};

/* One finding of a check, as printed by tailrace check. */
enum finding_level { FINDING_PASS, FINDING_WARN, FINDING_FAIL };
struct finding_out {
    void *self;
    void (*add)(void *self, enum finding_level level, enum err_code code, const char *name,
                const char *sentence, const char *hint);
};

struct sink_position {
    bool known;            /* false: this target has never taken anything from us */
    struct position stream; /* last stream transaction applied */
    struct position copy;   /* last copy chunk applied */
    uint64_t replayed;      /* number of the last parked row that was replayed; 0 = none */
};

struct sink_driver {
    const char *name;  /* connector: "postgres" */
    unsigned features; /* SINK_... */
    struct sink *(*open)(const struct sink_env *env, struct err *e);
    /* Look at the target and tell; changes nothing. -1 only when it cannot be looked at at all. */
    int (*check)(const struct sink_env *env, const struct finding_out *out, struct err *e) MUST_CHECK;
    /* Connect (again); fills what the target has. E_OTHER_SERVER when its position is of another system. */
    int (*connect)(struct sink *s, const struct position *source, struct sink_position *pos, struct err *e) MUST_CHECK;
    /* Changes of one or several consecutive source transactions of one kind, or a slice of one; mark is
     * that of the last. careful: bad ones are parked by env.park, and so are later ones of the
     * same key in this call. Fast: the first failure, here or in commit, is -1; the pump then calls
     * rollback, goes back and comes again with careful. The changes are borrowed until it returns. */
    int (*apply)(struct sink *s, const struct mark *mark, const struct change *changes, int count,
                 bool careful, struct err *e) MUST_CHECK;
    /* Make all since the last commit visible with these positions. Whether it also survives a
     * crash of the target now is for flushed to tell. careful: as the changes were applied; a violation
     * that shows only here makes the next careful attempt check after each row. */
    int (*commit)(struct sink *s, const struct sink_position *pos, bool careful, struct err *e) MUST_CHECK;
    /* True when everything committed so far has been flushed on the target; may ask the target. */
    int (*flushed)(struct sink *s, bool *all, struct err *e) MUST_CHECK;
    void (*rollback)(struct sink *s);
    void (*disconnect)(struct sink *s);
    void (*close)(struct sink *s);
};

struct sink { const struct sink_driver *driver; };

/* By connector name, NULL when unknown. The list is in sinks.c. */
const struct sink_driver *sink_find(const char *connector);

#endif
