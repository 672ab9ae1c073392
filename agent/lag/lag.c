/* SPDX-License-Identifier: Apache-2.0
 *
 * Commits on their way are kept as groups in a bounded array, oldest first. A group is one commit
 * at first; when the array is full neighbours are merged in pairs, so that memory stays the same
 * while a target is down for days. A merged group keeps its oldest commit's time: a stage that
 * stands inside it counts as late as its own last commit, which is never less than the truth.
 */
#include "agent/lag/lag.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/arena.h"

#define GROUPS_MAX 1024
#define LATE_US 1000000        /* a commit older than this on arrival comes out of a backlog */
#define AHEAD_TELL_US 1000000  /* less is the jitter of synchronised clocks */

struct group {
    uint64_t first_lsn, last_lsn;
    int64_t first_us; /* commit time of the oldest */
};

struct place {
    uint64_t lsn;
    int64_t commit_us; /* of lsn; 0 = not known */
    int time_series, bytes_series;
};

struct lag {
    pthread_mutex_t lock;
    const struct env *env;
    int64_t sentinel_us;
    int place_count;
    struct place places[LAG_APPLIED + LAG_ROUTES_MAX]; /* by place_of */
    struct group groups[GROUPS_MAX]; /* in use: group_count from group_first on */
    int group_first, group_count;
    uint64_t seen_lsn;    /* newest commit seen */
    int64_t seen_us;      /* its commit time */
    bool late;            /* it came out of a backlog and nothing has said since that it is over */
    uint64_t idle_lsn;    /* nothing of ours lies before it but what was seen */
    uint64_t server_lsn;
    int64_t open_us, life_us, last_sentinel_us; /* mono; last_sentinel_us -1 = none yet */
    bool up;
    bool unproven;        /* no sign of life since the connection was last down */
};

static int place_of(enum lag_stage stage, int route)
{
    return stage == LAG_APPLIED ? (int) LAG_APPLIED + route : (int) stage;
}

static void name_places(struct lag *l, const char *const *routes)
{
    static const char *const stages[] = {"received", "decoded", "durable"};
    struct metrics *m = l->env->metrics;
    for (int at = 0; at < l->place_count; at++) {
        char name[160];
        if (at < (int) LAG_APPLIED)
            snprintf(name, sizeof name, "%s", stages[at]);
        else
            snprintf(name, sizeof name, "applied:%s", routes[at - (int) LAG_APPLIED]);
        l->places[at].time_series = metric_series(m, M_LAG_TIME, str_of(name));
        l->places[at].bytes_series = metric_series(m, M_LAG_BYTES, str_of(name));
    }
}

struct lag *lag_open(const struct env *env, int64_t sentinel_us, const char *const *routes,
                     int count)
{
    struct lag *l = mem_zalloc(1, sizeof *l);
    pthread_mutex_init(&l->lock, NULL);
    l->env = env;
    l->sentinel_us = sentinel_us;
    l->place_count = (int) LAG_APPLIED + (count < LAG_ROUTES_MAX ? count : LAG_ROUTES_MAX);
    l->open_us = l->life_us = clock_mono_us(env->clock);
    l->last_sentinel_us = -1;
    l->unproven = true;
    name_places(l, routes);
    return l;
}

void lag_close(struct lag *l)
{
    if (!l)
        return;
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* ---- what happened ---- */

static void show_life(struct lag *l)
{
    l->life_us = clock_mono_us(l->env->clock);
    l->unproven = !l->up; /* a late call of a connection that is gone proves nothing */
}

static struct group merge(struct group a, struct group b)
{
    /* Commit times need not follow commit order. */
    int64_t first_us = a.first_us < b.first_us ? a.first_us : b.first_us;
    return (struct group){a.first_lsn, b.last_lsn, first_us};
}

/* Make the array start at 0 again, and half empty: by moving when few are in use, else by
 * merging. Either way it costs a constant time a commit. */
static void make_room(struct lag *l)
{
    const struct group *from = l->groups + l->group_first;
    if (l->group_count <= GROUPS_MAX / 2) {
        memmove(l->groups, from, (size_t) l->group_count * sizeof *from);
    } else {
        int kept = 0;
        for (int at = 0; at < l->group_count; at += 2)
            l->groups[kept++] =
                at + 1 < l->group_count ? merge(from[at], from[at + 1]) : from[at];
        l->group_count = kept;
    }
    l->group_first = 0;
}

static void add_group(struct lag *l, struct group g)
{
    if (l->group_first + l->group_count == GROUPS_MAX)
        make_room(l);
    l->groups[l->group_first + l->group_count++] = g;
}

void lag_seed(struct lag *l, uint64_t commit_lsn, int64_t commit_us)
{
    pthread_mutex_lock(&l->lock);
    if (commit_lsn > l->seen_lsn) {
        add_group(l, (struct group){0, commit_lsn, commit_us});
        l->seen_lsn = commit_lsn;
        l->seen_us = commit_us;
        for (int at = 0; at < (int) LAG_APPLIED; at++) { /* what is stored has passed these */
            l->places[at].lsn = commit_lsn;
            l->places[at].commit_us = commit_us;
        }
    }
    pthread_mutex_unlock(&l->lock);
}

static void tell_ahead(struct lag *l, int64_t ahead_us)
{
    metric_set(l->env->metrics, M_CLOCK_AHEAD, 0, ahead_us > 0 ? ahead_us : 0);
    if (ahead_us > AHEAD_TELL_US)
        log_warn(l->env->log, "lag",
                 "commit times are %.1f s in the future of this machine's clock, so lag reads too "
                 "low: synchronise the clocks",
                 (double) ahead_us / 1e6);
}

void lag_commit_seen(struct lag *l, uint64_t commit_lsn, int64_t commit_us)
{
    int64_t age_us = clock_wall_us(l->env->clock) - commit_us;
    pthread_mutex_lock(&l->lock);
    bool is_new = commit_lsn > l->seen_lsn; /* what is sent again proves nothing */
    if (is_new) {
        show_life(l);
        add_group(l, (struct group){commit_lsn, commit_lsn, commit_us});
        l->seen_lsn = commit_lsn;
        l->seen_us = commit_us;
        l->late = age_us > LATE_US;
    }
    pthread_mutex_unlock(&l->lock);
    if (is_new)
        tell_ahead(l, -age_us);
}

/* Groups that every stage has passed are of no more use. */
static void drop_passed(struct lag *l)
{
    uint64_t lowest = UINT64_MAX;
    for (int at = 0; at < l->place_count; at++)
        if (l->places[at].lsn < lowest)
            lowest = l->places[at].lsn;
    while (l->group_count && l->groups[l->group_first].last_lsn <= lowest) {
        l->group_first++;
        l->group_count--;
    }
}

void lag_mark(struct lag *l, enum lag_stage stage, int route, uint64_t lsn, int64_t commit_us)
{
    int at = place_of(stage, route);
    pthread_mutex_lock(&l->lock);
    if (at >= 0 && at < l->place_count && lsn > l->places[at].lsn) {
        l->places[at].lsn = lsn;
        if (commit_us)
            l->places[at].commit_us = commit_us;
        if (l->group_count && l->groups[l->group_first].last_lsn <= lsn)
            drop_passed(l);
    }
    pthread_mutex_unlock(&l->lock);
}

void lag_head(struct lag *l, uint64_t head_lsn, bool sentinel, bool idle)
{
    pthread_mutex_lock(&l->lock);
    if (sentinel || l->last_sentinel_us < 0)
        show_life(l);
    if (sentinel)
        l->last_sentinel_us = clock_mono_us(l->env->clock);
    if (idle && head_lsn > l->idle_lsn)
        l->idle_lsn = head_lsn;
    /* A walsender deep in other databases' WAL tells its own place, not the server's end. */
    if (idle && head_lsn >= l->server_lsn)
        l->late = false;
    if (head_lsn > l->server_lsn)
        l->server_lsn = head_lsn;
    pthread_mutex_unlock(&l->lock);
}

void lag_connected(struct lag *l, bool up)
{
    pthread_mutex_lock(&l->lock);
    if (!up)
        l->unproven = true;
    l->up = up;
    pthread_mutex_unlock(&l->lock);
}

void lag_server_lsn(struct lag *l, uint64_t lsn)
{
    pthread_mutex_lock(&l->lock);
    if (lsn > l->server_lsn)
        l->server_lsn = lsn;
    pthread_mutex_unlock(&l->lock);
}

/* ---- what it means ---- */

/* The oldest group that is not wholly passed; NULL when there is none. */
static const struct group *oldest_ahead(const struct lag *l, uint64_t lsn)
{
    int end = l->group_first + l->group_count;
    int low = l->group_first, high = end;
    while (low < high) {
        int middle = (low + high) / 2;
        if (l->groups[middle].last_lsn > lsn)
            high = middle;
        else
            low = middle + 1;
    }
    return low < end ? &l->groups[low] : NULL;
}

/* Commit time of the oldest thing in g that the stage has not passed. */
static int64_t oldest_us(const struct group *g, const struct place *p)
{
    bool inside = g->first_lsn <= p->lsn;
    bool seeded = g->first_lsn == 0;
    if (!inside || !p->commit_us)
        return g->first_us;
    return seeded || p->commit_us > g->first_us ? p->commit_us : g->first_us;
}

static int64_t silence_us(const struct lag *l)
{
    int64_t since_us = clock_mono_us(l->env->clock) - l->life_us;
    if (!l->up || l->unproven)
        return since_us;
    return since_us > l->sentinel_us ? since_us - l->sentinel_us : 0;
}

static void read_place(const struct lag *l, const struct place *p, struct lag_reading *out)
{
    const struct group *ahead = oldest_ahead(l, p->lsn);
    int64_t now_us = clock_wall_us(l->env->clock);
    int64_t time_us = silence_us(l);
    uint64_t reached = p->lsn;
    int64_t age_us = 0;
    if (ahead)
        age_us = now_us - oldest_us(ahead, p);
    else if (l->late)
        age_us = now_us - l->seen_us;
    if (!ahead && l->idle_lsn > reached)
        reached = l->idle_lsn;
    if (ahead && !reached)
        reached = ahead->first_lsn;
    out->time_us = age_us > time_us ? age_us : time_us;
    out->bytes = reached && l->server_lsn > reached ? l->server_lsn - reached : 0;
    out->lsn = p->lsn;
}

void lag_read(struct lag *l, enum lag_stage stage, int route, struct lag_reading *out)
{
    int at = place_of(stage, route);
    *out = (struct lag_reading){0};
    pthread_mutex_lock(&l->lock);
    if (at >= 0 && at < l->place_count)
        read_place(l, &l->places[at], out);
    pthread_mutex_unlock(&l->lock);
}

int64_t lag_sentinel_age_us(struct lag *l)
{
    pthread_mutex_lock(&l->lock);
    int64_t last_us = l->last_sentinel_us;
    pthread_mutex_unlock(&l->lock);
    return last_us < 0 ? -1 : clock_mono_us(l->env->clock) - last_us;
}

void lag_publish(struct lag *l)
{
    struct metrics *m = l->env->metrics;
    int64_t sentinel_us = lag_sentinel_age_us(l);
    if (sentinel_us < 0)
        sentinel_us = clock_mono_us(l->env->clock) - l->open_us;
    metric_set(m, M_SENTINEL_AGE, 0, sentinel_us);
    pthread_mutex_lock(&l->lock);
    for (int at = 0; at < l->place_count; at++) {
        const struct place *p = &l->places[at];
        struct lag_reading r;
        read_place(l, p, &r);
        metric_set(m, M_LAG_TIME, p->time_series, r.time_us);
        metric_set(m, M_LAG_BYTES, p->bytes_series,
                   r.bytes > INT64_MAX ? INT64_MAX : (int64_t) r.bytes);
    }
    pthread_mutex_unlock(&l->lock);
}
