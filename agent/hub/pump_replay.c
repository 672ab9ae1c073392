/* SPDX-License-Identifier: Apache-2.0
 *
 * Parked rows again: a queue at a time, in order, in one transaction of the target.
 *
 * A queue is all rows that hang together: by key, and by the two keys of a key change. The target
 * notes the number of the queue's first row with its commit; only then are the rows taken away
 * here, at once. A crash between the two is seen by that number when we connect again, and the rows
 * are taken away instead of being applied a second time.
 */
#include <stdlib.h>

#include "agent/hub/pump_local.h"

#define REPLAY_BYTES ((size_t) 1 << 30) /* of one queue: it is one transaction, read as a whole */

struct row_ref {
    uint64_t number, behind;
    struct str topic, key;
    size_t root; /* of the union of queues */
};

struct rows {
    struct arena arena; /* topics and keys */
    struct arena scratch;
    struct row_ref *refs;
    size_t count, room;
};

static int add_ref(void *self, const struct parked *row, struct err *e)
{
    struct rows *r = self;
    (void) e;
    if (r->count == r->room) {
        r->room = r->room ? r->room * 2 : 64;
        r->refs = mem_realloc(r->refs, r->room * sizeof *r->refs);
    }
    r->refs[r->count] = (struct row_ref){row->number, row->behind, arena_str(&r->arena, row->topic),
                                         arena_str(&r->arena, row->key), r->count};
    r->count++;
    arena_reset(&r->scratch);
    return 0;
}

static size_t root_of(const struct rows *r, size_t at)
{
    while (r->refs[at].root != at)
        at = r->refs[at].root;
    return at;
}

/* The lower row becomes the root, so that a root is the first of its queue. */
static void join(struct rows *r, size_t a, size_t b)
{
    a = root_of(r, a);
    b = root_of(r, b);
    if (a < b)
        r->refs[b].root = a;
    else
        r->refs[a].root = b;
}

static int by_key(const void *a, const void *b)
{
    const struct row_ref *x = *(const struct row_ref *const *) a, *y = *(const struct row_ref *const *) b;
    int order = str_cmp(x->topic, y->topic);
    if (!order)
        order = str_cmp(x->key, y->key);
    return order ? order : x->number < y->number ? -1 : x->number > y->number;
}

static void join_keys(struct rows *r)
{
    const struct row_ref **sorted = mem_alloc((r->count + 1) * sizeof *sorted);
    for (size_t at = 0; at < r->count; at++)
        sorted[at] = &r->refs[at];
    qsort(sorted, r->count, sizeof *sorted, by_key);
    for (size_t at = 1; at < r->count; at++)
        if (sorted[at]->key.len && str_eq(sorted[at]->key, sorted[at - 1]->key) &&
            str_eq(sorted[at]->topic, sorted[at - 1]->topic))
            join(r, (size_t) (sorted[at - 1] - r->refs), (size_t) (sorted[at] - r->refs));
    free(sorted);
}

static void join_queues(struct rows *r)
{
    for (size_t at = 0; at < r->count; at++) {
        size_t low = 0, high = at;
        while (r->refs[at].behind && low < high) { /* numbers ascend */
            size_t middle = low + (high - low) / 2;
            if (r->refs[middle].number < r->refs[at].behind)
                low = middle + 1;
            else
                high = middle;
        }
        if (r->refs[at].behind && low < at && r->refs[low].number == r->refs[at].behind)
            join(r, low, at);
    }
}

static int read_rows(struct pump *p, struct rows *r, struct err *e)
{
    *r = (struct rows){0};
    arena_init(&r->arena, 0, "target.parked_max");
    arena_init(&r->scratch, 0, "target.parked_max");
    if (park_each(p->parts.park, p->parts.route->name, &r->scratch, r, add_ref, e))
        return -1;
    join_keys(r);
    join_queues(r);
    return 0;
}

static void free_rows(struct rows *r)
{
    arena_free(&r->arena);
    arena_free(&r->scratch);
    free(r->refs);
}

/* Numbers of the rows of a queue, in order. The caller frees them. */
static uint64_t *queue_numbers(const struct rows *r, size_t root, size_t *count)
{
    uint64_t *numbers = mem_alloc((r->count + 1) * sizeof *numbers);
    *count = 0;
    for (size_t at = root; at < r->count; at++)
        if (root_of(r, at) == root)
            numbers[(*count)++] = r->refs[at].number;
    return numbers;
}

/* A queue read back. */
struct queue {
    struct arena arena;
    uint64_t *numbers;
    size_t count; /* rows */
    struct change *changes;
    int taken;    /* of them that are changes, not first halves of key changes */
};

static int read_changes(struct pump *p, struct queue *q, struct err *e)
{
    for (size_t at = 0; at < q->count; at++) {
        struct parked row;
        if (arena_used(&q->arena) > REPLAY_BYTES)
            return err_set(e, E_USAGE, "queue of row #%llu is too large to be replayed",
                           (unsigned long long) q->numbers[0]);
        if (park_get(p->parts.park, p->route_name, q->numbers[at], &q->arena, &row, e))
            return -1;
        if (!row.number)
            continue;
        struct event ev = {.kind = EVENT_ROW, .topic = row.topic, .key = row.key, .value = row.value,
                           .headers = row.headers, .timestamp_us = row.commit_us};
        struct change *c = &q->changes[q->taken];
        if (envelope_read(p->envelope, &ev, &q->arena, c, e))
            return -1;
        c->pos = row.pos;
        q->taken += c->op != OP_NONE;
    }
    return 0;
}

/* 0 applied, 1 refused again (told in e), -1 when the target or the store failed. */
static int replay_queue(struct pump *p, const struct rows *r, size_t root, size_t *count, struct err *e)
{
    struct queue q = {.numbers = queue_numbers(r, root, count)};
    struct mark mark = {.kind = MARK_STREAM, .pos = p->pos.stream};
    struct sink_position to = p->pos;
    q.count = *count;
    q.changes = mem_zalloc(q.count + 1, sizeof *q.changes);
    arena_init(&q.arena, 0, "the size of parked rows");
    to.replayed = r->refs[root].number;
    p->replaying = true;
    int done = read_changes(p, &q, e);
    if (!done)
        done = p->driver->apply(p->sink, &mark, q.changes, q.taken, true, e) ||
               p->driver->commit(p->sink, &to, true, e) ? -1 : 0;
    p->replaying = false;
    if (done)
        p->driver->rollback(p->sink);
    else {
        p->pos = to;
        done = park_remove_many(p->parts.park, p->route_name, q.numbers, q.count, e);
    }
    arena_free(&q.arena);
    free(q.changes);
    free(q.numbers);
    return done && e->class == ERR_ITEM ? 1 : done;
}

static int replay_rows(struct pump *p, const struct rows *r, struct replay *ask, struct err *e)
{
    bool any = false;
    for (size_t at = 0, count; at < r->count; at++) {
        struct err why = ERR_INIT;
        bool wanted = root_of(r, at) == at && !ask->number;
        for (size_t row = at; ask->number && root_of(r, at) == at && row < r->count; row++)
            wanted = wanted || (r->refs[row].number == ask->number && root_of(r, row) == at);
        if (!wanted)
            continue;
        any = true;
        int done = replay_queue(p, r, at, &count, &why);
        if (done < 0) {
            *e = why;
            return -1;
        }
        buf_addf(ask->report, "#%llu and %zu behind it: %s\n", (unsigned long long) r->refs[at].number,
                 count - 1, done ? why.msg : "applied");
    }
    return any || !ask->number ? 0 : err_set(e, E_USAGE, "no row #%llu is parked on route %s",
                                             (unsigned long long) ask->number, p->parts.route->name);
}

static int drop_rows(struct pump *p, const struct rows *r, struct replay *ask, struct err *e)
{
    uint64_t *numbers = mem_alloc((r->count + 1) * sizeof *numbers);
    size_t count = 0;
    for (size_t at = 0; at < r->count; at++)
        if (!ask->number || r->refs[at].number == ask->number)
            numbers[count++] = r->refs[at].number;
    int done = park_remove_many(p->parts.park, p->route_name, numbers, count, e);
    for (size_t at = 0; !done && at < count; at++)
        buf_addf(ask->report, "#%llu: dropped\n", (unsigned long long) numbers[at]);
    if (!done && !count && ask->number)
        done = err_set(e, E_USAGE, "no row #%llu is parked on route %s",
                       (unsigned long long) ask->number, p->parts.route->name);
    free(numbers);
    return done;
}

static int serve(struct pump *p, struct replay *ask, struct err *e)
{
    struct rows rows;
    if (!ask->drop && !p->connected)
        return err_set(e, E_NOT_RUNNING, "target %s is not connected", p->target->name);
    int done = read_rows(p, &rows, e);
    if (!done)
        done = ask->drop ? drop_rows(p, &rows, ask, e) : replay_rows(p, &rows, ask, e);
    free_rows(&rows);
    pump_count_parked(p);
    return done;
}

void pump_serve_replay(struct pump *p)
{
    struct err e = ERR_INIT;
    pthread_mutex_lock(&p->lock);
    bool wanted = p->replay.wanted && !p->replay.started;
    p->replay.started = p->replay.started || wanted;
    struct replay ask = p->replay;
    pthread_mutex_unlock(&p->lock);
    if (!wanted)
        return;
    int result = serve(p, &ask, &e);
    if (result && err_is_transient(&e) && p->connected) {
        p->driver->disconnect(p->sink);
        p->connected = false;
    }
    pthread_mutex_lock(&p->lock);
    p->replay.result = result;
    p->replay.err = e;
    p->replay.done = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

int pump_finish_replay(struct pump *p, uint64_t replayed, struct err *e)
{
    struct rows rows;
    size_t count = 0;
    int done = read_rows(p, &rows, e);
    for (size_t at = 0; !done && at < rows.count; at++) {
        if (rows.refs[at].number != replayed)
            continue;
        uint64_t *numbers = queue_numbers(&rows, root_of(&rows, at), &count);
        done = park_remove_many(p->parts.park, p->route_name, numbers, count, e);
        free(numbers);
        log_info(p->parts.env->log, p->part, "%zu parked rows had been replayed before the last end", count);
    }
    free_rows(&rows);
    pump_count_parked(p);
    return done;
}
