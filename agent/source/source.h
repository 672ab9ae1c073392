/* SPDX-License-Identifier: Apache-2.0
 *
 * The source: a PostgreSQL, from publication and slot to events on the bus.
 *
 * source_run is the body of the source thread: it prepares (publication, then slot, then first
 * copy), streams, reconnects with backoff, and returns when asked to stop or when a person is needed. What it knows
 * of the server (system id, timeline, slot, durable position) stands in the store; a server or slot that does
 * not fit it is refused.
 */
#ifndef TR_SOURCE_SOURCE_H
#define TR_SOURCE_SOURCE_H

#include "agent/base/config.h"
#include "agent/bus/bus.h"
#include "agent/lag/lag.h"
#include "agent/net/pg.h"
#include "schemas/envelope.h"

enum source_state {
    SOURCE_STARTING, SOURCE_WAITING /* slot busy, or an open transaction */, SOURCE_COPYING,
    SOURCE_STREAMING, SOURCE_RETRYING, SOURCE_BLOCKED /* bus takes nothing */, SOURCE_STOPPED, SOURCE_FAILED,
};

struct source_status {
    enum source_state state;
    char detail[512];        /* what it waits for, or the last error's sentence */
    struct err error;        /* the last one; class ERR_NONE when none since it streams */
    char slot[64], publication[64];
    uint64_t system_id;
    uint32_t timeline;
    uint64_t received_lsn, confirmed_lsn;
    uint64_t retained_bytes; /* WAL the slot keeps */
    int64_t safe_bytes;      /* -1 = no limit */
    int64_t loop_us;         /* mono time of the last turn of its loop: health */
    int copy_tables, copy_done;
    char copy_table[130];
    int64_t copy_rows, copy_rows_expected;
    char snapshot_xmin[24];  /* held by the copy; empty when none */
};

struct source;

/* What main lends; all of it outlives the source. */
struct source_parts {
    const struct env *env;
    const struct config *config;
    struct store *store;
    struct bus *bus;
    struct lag *lag;
    struct registry *registry;
};

/* A source that does nothing until source_run; parts is copied. */
struct source *source_open(const struct source_parts *parts);
/* 0 after a stop, -1 with the reason when a person is needed. */
int source_run(struct source *s, struct err *e) MUST_CHECK;
/* Use another table list from now on (SIGHUP): publication is changed, new tables are copied. Any
 * thread. */
void source_reload(struct source *s, const struct config *config);
void source_get_status(struct source *s, struct source_status *out);
void source_close(struct source *s);

#define SOURCE_SNAPSHOT_WAIT_MS 30000
struct source_snapshot_wish {
    const char *verb;  /* start, pause, resume or cancel */
    const char *table; /* pattern schema.table */
    const char *where; /* SQL condition, or NULL; for start */
};
/* Begin, pause, resume or cancel snapshots of tables with a key, and tell in report. Waits for the source thread.
 * E_USAGE; E_TIMEOUT when the source does not stream. Any thread. */
int source_snapshot(struct source *s, const struct source_snapshot_wish *wish, struct buf *report, struct err *e) MUST_CHECK;
/* The snapshots under way as a JSON array. Any thread. */
void source_list_snapshots(struct source *s, struct buf *out);

/* Take away slot, publications and, on success, let the caller delete the state. confirm must be
 * the slot's name. Tells by finding what was taken away and what was not there. */
int source_remove(const struct env *env, const struct config *config, const char *confirm,
                  struct buf *report, struct err *e) MUST_CHECK;

#endif
