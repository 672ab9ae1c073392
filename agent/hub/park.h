/* SPDX-License-Identifier: Apache-2.0
 *
 * Parked rows: bad ones and those queued behind them, durable in the store.
 *
 * A parked row is the event as it stood on the bus with the reason; it is found by (route, number), numbers grow. Parking the
 * same event again (same route, position and topic) keeps the first number: retries after a crash do not double it.
 * Numbers are never used again, not even after the store was emptied of them. Thread-safe.
 */
#ifndef TR_HUB_PARK_H
#define TR_HUB_PARK_H

#include "agent/base/store.h"
#include "schemas/event.h"

struct park;

struct parked {
    uint64_t number;
    struct str route;
    struct str topic, key, value, headers; /* the event */
    struct str key_json;       /* key for people */
    struct position pos;       /* commit LSN and number in the transaction */
    int64_t commit_us, parked_us;
    enum err_code code;
    char sqlstate[6];
    struct str reason;         /* "behind #3" for those that queue */
    uint64_t behind;           /* number of the row it queues behind; 0 = itself bad */
};

/* The parked rows that store holds; their keys are read into memory. store outlives it. */
/* Reads the index of what is parked; store may be read-only for park_each and park_count. */
int park_open(struct store *store, struct park **out, struct err *e) MUST_CHECK;
void park_close(struct park *p);
/* Durable when it returns 0; fills number. */
int park_add(struct park *p, struct parked *row, struct err *e) MUST_CHECK;
/* The first parked row of this route, topic and key: its number, 0 when none. From memory, cheap. */
uint64_t park_find(struct park *p, struct str route, struct str topic, struct str key);
/* Parked rows of a route (NULL = all) in order. Texts live in a. visit -1 stops. */
int park_each(struct park *p, const char *route, struct arena *a, void *self,
              int (*visit)(void *self, const struct parked *row, struct err *e), struct err *e) MUST_CHECK;
/* One row by its number, texts in a; row->number is 0 when it is not there. */
int park_get(struct park *p, struct str route, uint64_t number, struct arena *a, struct parked *row,
             struct err *e) MUST_CHECK;
/* Remove one; what is not there is no error. */
int park_remove(struct park *p, struct str route, uint64_t number, struct err *e) MUST_CHECK;
/* Remove all of these at once or none. */
int park_remove_many(struct park *p, struct str route, const uint64_t *numbers, size_t count,
                     struct err *e) MUST_CHECK;
/* Remove what is parked of a topic from before this position: a truncate made it void. */
int park_drop_topic(struct park *p, struct str route, struct str topic, const struct position *before,
                    int64_t *dropped, struct err *e) MUST_CHECK;
/* This very event is parked already. */
bool park_has(struct park *p, struct str route, struct str topic, const struct position *pos);
/* The number that the row with this number queues behind; 0 = it is itself bad, or unknown. */
uint64_t park_behind(struct park *p, struct str route, uint64_t number);
/* One row as a JSON object, without its value: number, route, topic, key, lsn, seq, commit_us,
 * parked_us, code, sqlstate, behind, reason. */
void park_row_json(const struct parked *row, struct buf *out);
/* Rows parked of a route (NULL = all). */
int64_t park_count(struct park *p, const char *route);

#endif
