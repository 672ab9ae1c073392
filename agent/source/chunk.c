/* SPDX-License-Identifier: Apache-2.0
 *
 * A sink takes a chunk when its position is above the last one it took, whatever the table; chunks
 * of several tables follow each other in any order, so one counter gives the positions of all.
 */
#include "agent/source/chunk.h"

#include <stdio.h>
#include <string.h>

static struct mark mark_of(const struct chunk *c, unsigned flags)
{
    const struct source *s = c->s;
    struct mark mark = {
        .kind = MARK_COPY,
        .pos = c->pos,
        .flags = flags,
        .commit_us = clock_wall_us(s->env->clock),
        .topic = c->topic,
    };
    mark.received_us = mark.commit_us;
    return mark;
}

void chunk_table(struct chunk *c, int64_t expected)
{
    char label[140];
    struct metrics *m = c->s->env->metrics;
    snprintf(label, sizeof label, "%.*s.%.*s", STR_ARG(c->rel->space), STR_ARG(c->rel->name));
    c->rows_series = metric_series(m, M_COPY_ROWS, str_of(label));
    c->bytes_series = metric_series(m, M_COPY_BYTES, str_of(label));
    metric_set(m, M_COPY_TOTAL, metric_series(m, M_COPY_TOTAL, str_of(label)), expected);
}

void chunk_tell_progress(struct source *s, struct str table, int64_t rows, int64_t expected)
{
    char of[40] = "";
    if (expected >= 0)
        snprintf(of, sizeof of, " of about %lld", (long long) expected);
    log_info(s->env->log, "source", "copying %.*s: %lld%s rows", STR_ARG(table), (long long) rows, of);
}

struct position chunk_position(const struct source *s, uint64_t lsn, bool first)
{
    const struct position *last = &s->copied;
    uint64_t least = last->lsn + (first && last->lsn != 0);
    struct position pos = source_position(s, lsn > least ? lsn : least);
    pos.seq = last->seq + 1;
    return pos;
}

int chunk_open(struct chunk *c, unsigned flags, struct err *e)
{
    c->pos = chunk_position(c->s, c->lsn, flags & MARK_COPY_FIRST);
    c->bytes = 0;
    c->rows = 0;
    const struct event ev = {.kind = EVENT_BEGIN, .mark = mark_of(c, flags)};
    if (source_put(c->s, &ev, e))
        return -1;
    c->open = true;
    return 0;
}

int chunk_close(struct chunk *c, unsigned flags, struct err *e)
{
    const struct mark mark = mark_of(c, flags);
    c->open = false;
    if (bus_commit(c->s->parts.bus, &mark, e))
        return -1;
    c->s->copied = c->pos;
    metric_add(c->s->env->metrics, M_COPY_ROWS, c->rows_series, c->rows);
    metric_add(c->s->env->metrics, M_COPY_BYTES, c->bytes_series, (int64_t) c->bytes);
    return 0;
}

void chunk_abort(struct chunk *c)
{
    if (c->open)
        bus_abort(c->s->parts.bus);
    c->open = false;
}

static int put_row(void *self, const struct event *ev, struct err *e)
{
    return source_put(self, ev, e);
}

static int put_change(struct chunk *c, struct change *change, struct err *e)
{
    int64_t now_us = clock_wall_us(c->s->env->clock);
    const struct txn txn = {.commit_lsn = c->lsn, .commit_us = now_us};
    const struct event_out out = {c->s, put_row};
    change->rel = c->rel;
    change->pos = c->pos;
    change->lsn = c->lsn;
    change->seen_us = now_us;
    return envelope_write(c->s->writer, change, &txn, now_us, &out, e);
}

int chunk_row(struct chunk *c, const struct value *values, size_t bytes, struct err *e)
{
    struct change change = {.op = OP_READ, .after = values};
    c->rows++;
    c->bytes += bytes;
    return put_change(c, &change, e);
}

/* A table without rows is told by a truncate in its copy: consumers learn its schema, a target can
 * make it. Nobody need take anything away for it. As Debezium writes it an event without a key
 * does not tell which columns the key has, and a table made from that would lack it. */
int chunk_declare_empty(struct chunk *c, struct err *e)
{
    struct change change = {.op = OP_TRUNCATE};
    if (strcmp(c->s->config->events.mode, "strict") == 0)
        return 0;
    return put_change(c, &change, e);
}

const struct relation *chunk_relation(const struct relation *rel, struct arena *a)
{
    struct relation *slim = arena_zalloc(a, 1, sizeof *slim);
    struct column *cols = arena_zalloc(a, (size_t) rel->column_count + 1, sizeof *cols);
    *slim = *rel;
    slim->columns = cols;
    slim->column_count = slim->key_count = 0;
    for (int at = 0; at < rel->column_count; at++) {
        if (rel->columns[at].generated)
            continue;
        cols[slim->column_count++] = rel->columns[at];
        slim->key_count += rel->columns[at].key_position > 0;
    }
    return slim;
}
