/* SPDX-License-Identifier: Apache-2.0
 *
 * A bus, a sink and a registry in memory, for the pump's tests. Events are real ones, written by
 * the envelope; the park is the real one in a temporary store.
 */
#ifndef TR_TESTS_UNIT_HUB_FAKE_H
#define TR_TESTS_UNIT_HUB_FAKE_H

#include "agent/hub/pump.h"
#include "schemas/envelope.h"

#define FAKE_EVENTS_MAX 4096

struct fake {
    struct env env;
    struct config config;
    struct config_target target;
    struct config_route route;
    const char *patterns[4];
    struct arena arena;
    char dir[64];
    struct store *store;
    struct park *park;
    struct lag *lag;
    /* registry */
    struct registry registry;
    struct str texts[64];
    int text_count;
    struct envelope_writer *writer;
    /* bus */
    struct bus bus;
    struct bus_reader reader;
    struct event events[FAKE_EVENTS_MAX];
    char note[BUS_NOTE_MAX];
    size_t note_len;
    bool forgotten;
    uint64_t count, next, taken;
    int seeks;
    bool stop_at_end; /* the end of the events is a wish to drain */
    /* sink */
    struct sink_env lent;
    struct sink sink;
    struct sink_position kept;   /* what the target holds */
    struct buf open, log;        /* of the open transaction; of what was committed */
    int fail_commits;            /* next commits fail for a passing reason */
    int lose_commits;            /* next commits happen, but the answer is lost */
    bool lazy, flushed;          /* synchronous_commit off, and whether it was flushed */
    bool heal;                   /* bad rows are good now */
    int connects, applies;
};

/* Everything opened, nothing on the bus. */
struct fake *fake_open(void);
void fake_close(struct fake *f);

/* A table with columns id (key) and v, or a single column without a key. */
const struct relation *fake_table(struct fake *f, const char *name, bool key);

/* Events of one source transaction: lines "op table id v" parted by ';'. ops: c u d t, and k with
 * "old>new" as id. A row whose v is "bad" is refused by the sink. */
void fake_txn(struct fake *f, uint64_t lsn, const char *rows);
/* The same for a copy chunk of one table, and for an arbitrary mark. */
void fake_marked(struct fake *f, struct mark mark, const char *rows);

/* A pump on all this. */
struct pump *fake_pump(struct fake *f);
/* Run the pump until the events end; its result. */
int fake_run(struct fake *f, struct pump *p, struct err *e);

#endif
