/* SPDX-License-Identifier: Apache-2.0
 *
 * Parking: what goes to the store before the target commits without it.
 *
 * A key change is two events, under the old and the new key. Both are parked, the second behind
 * the first, so that later events of either key are found to queue. A row that is parked again
 * after a crash keeps its number, because the store knows it by its position.
 */
#include "agent/hub/pump_local.h"

void pump_count_parked(struct pump *p)
{
    p->parked = park_count(p->parts.park, p->parts.route->name);
    metric_set(p->parts.env->metrics, M_PARKED_ROWS, p->parked_rows, p->parked);
    pthread_mutex_lock(&p->lock);
    p->status.parked = p->parked;
    pthread_mutex_unlock(&p->lock);
}

/* The bad row that a key's queue began with; 0 when the key is free. */
static uint64_t queue_of(struct pump *p, struct str topic, struct str key)
{
    uint64_t first = park_find(p->parts.park, p->route_name, topic, key);
    uint64_t behind = first ? park_behind(p->parts.park, p->route_name, first) : 0;
    return behind ? behind : first;
}

bool pump_key_parked(struct pump *p, const struct pump_item *item)
{
    if (!p->parked)
        return false;
    return park_find(p->parts.park, p->route_name, item->event.topic, item->event.key) ||
           (item->old.topic.len &&
            park_find(p->parts.park, p->route_name, item->old.topic, item->old.key));
}

static int park_raw(struct pump *p, const struct raw *raw, uint64_t behind, const struct err *why,
                    uint64_t *number, struct err *e)
{
    struct buf reason = BUF_INIT, key_json = BUF_INIT;
    if (p->parked >= p->target->parked_max &&
        !park_has(p->parts.park, p->route_name, raw->topic, &raw->pos))
        return err_set(e, E_PARK_FULL, "route %s has %lld parked rows", p->parts.route->name,
                       (long long) p->parked);
    if (raw->key.len && envelope_json(p->envelope, raw->key, &key_json, e)) {
        buf_free(&key_json);
        return -1;
    }
    if (behind)
        buf_addf(&reason, "behind #%llu", (unsigned long long) behind);
    else
        buf_add_text(&reason, why->msg);
    struct parked row = {.route = p->route_name, .topic = raw->topic, .key = raw->key,
                         .value = raw->value, .headers = raw->headers, .key_json = buf_str(&key_json),
                         .pos = raw->pos, .commit_us = raw->commit_us,
                         .parked_us = clock_wall_us(p->parts.env->clock), .code = why->code,
                         .reason = buf_str(&reason), .behind = behind};
    memcpy(row.sqlstate, why->sqlstate, sizeof row.sqlstate);
    int done = park_add(p->parts.park, &row, e);
    *number = row.number;
    buf_free(&reason);
    buf_free(&key_json);
    if (!done)
        pump_count_parked(p);
    return done;
}

int pump_park_item(struct pump *p, const struct pump_item *item, const struct err *why, struct err *e)
{
    bool pair = item->old.topic.len > 0;
    uint64_t number, behind = pair ? queue_of(p, item->old.topic, item->old.key) : 0;
    if (!behind)
        behind = queue_of(p, item->event.topic, item->event.key);
    if (pair) {
        if (park_raw(p, &item->old, behind, why, &number, e))
            return -1;
        behind = behind ? behind : number;
    }
    if (park_raw(p, &item->event, behind, why, &number, e))
        return -1;
    log_warn(p->parts.env->log, p->part, "parked row #%llu: %s", (unsigned long long) number,
             behind ? "its key is parked" : why->msg);
    return 0;
}

int pump_park_change(void *self, const struct change *c, const struct err *why, struct err *e)
{
    struct pump *p = self;
    if (p->replaying) { /* it is parked already; its reason is what is wanted */
        *e = *why;
        return -1;
    }
    ptrdiff_t at = c - p->batch.changes;
    if (at < 0 || at >= p->batch.count || !pump_is_careful(p))
        return err_set(e, E_INTERNAL, "a row to park is not of this batch");
    return pump_park_item(p, &p->batch.items[at], why, e);
}

/* Before the target commits: when it then does not, the truncate comes again, and finds nothing
 * left that it would have spared. */
int pump_park_truncate(struct pump *p, struct str topic, const struct position *pos, struct err *e)
{
    int64_t dropped = 0;
    if (!p->parked)
        return 0;
    if (park_drop_topic(p->parts.park, p->route_name, topic, pos, &dropped, e))
        return -1;
    if (dropped) {
        log_warn(p->parts.env->log, p->part, "dropped %lld parked rows of %.*s: the table was truncated",
                 (long long) dropped, STR_ARG(topic));
        metric_add(p->parts.env->metrics, M_PARKED_DROPPED, p->dropped, dropped);
        pump_count_parked(p);
    }
    return 0;
}
