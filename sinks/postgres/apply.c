/* SPDX-License-Identifier: Apache-2.0
 *
 * The fast way: runs of changes become statements that are queued without waiting.
 *
 * A run of one to three rows is sent row by row with prepared statements whose generic plan is a
 * look-up by key. A longer one is one statement over arrays. Updates and deletes over arrays are
 * planned each time, because a plan made while the table was small (a scan) would be kept while it
 * grows; inserts have no plan to go wrong and are prepared.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sinks/postgres/session.h"

#define SINGLE_ROWS 3
#define TEXT_KEEP_BYTES ((size_t) 4 << 20) /* more than this was one large row */

enum pgs_kind pgs_shape(struct pgs *s, const struct pgs_table *t, const struct change *c)
{
    size_t columns = (size_t) t->rel->column_count;
    if (columns > s->mask_room) {
        s->mask = mem_realloc(s->mask, columns);
        s->mask_room = columns;
    }
    return pgs_classify(t, c, s->mask);
}

static void values_room(struct pgs *s, size_t count)
{
    if (count <= s->values_room)
        return;
    s->offsets = mem_realloc(s->offsets, count * sizeof *s->offsets);
    s->values = mem_realloc(s->values, count * sizeof *s->values);
    s->values_room = count;
}

static struct value param_value(const struct pgs_param *param, const struct change *c)
{
    return param->old ? pgs_old_value(c, param->column) : pgs_new_value(c, param->column);
}

/* Values of one row as parameters: libpq wants each ended by a NUL. */
static void put_single(struct pgs *s, const struct pgs_stmt *st, const struct change *c)
{
    for (int at = 0; at < st->param_count; at++) {
        struct value v = param_value(&st->params[at], c);
        s->offsets[at] = v.state == VALUE_SET ? s->text.len : SIZE_MAX;
        if (v.state == VALUE_SET) {
            buf_add_str(&s->text, v.text);
            buf_add_char(&s->text, 0);
        }
    }
}

/* Values of all rows as one array a parameter. */
static void put_arrays(struct pgs *s, const struct pgs_stmt *st, const struct change *const *rows,
                       int count)
{
    for (int at = 0; at < st->param_count; at++) {
        s->offsets[at] = s->text.len;
        for (int row = 0; row < count; row++) {
            struct value v = param_value(&st->params[at], rows[row]);
            buf_add_char(&s->text, row ? ',' : '{');
            pgs_array_element(&s->text, &v);
        }
        buf_add(&s->text, "}", 2); /* with its NUL */
    }
}

static int prepare(struct pgs *s, struct pgs_table *t, struct pgs_stmt *st, struct err *e)
{
    struct pipe_owed owed = {.kind = OWED_COMMAND, .table = t, .what = st->kind, .rows = -1};
    if (st->prepared)
        return 0;
    snprintf(st->name, sizeof st->name, "tr%llu", (unsigned long long) ++s->statement_count);
    st->prepared = true;
    return pipe_prepare(&s->pipe, st->name, st->sql.p, &owed, e);
}

static int send_values(struct pgs *s, struct pgs_table *t, struct pgs_stmt *st, int rows, struct err *e)
{
    if (s->text.over)
        return err_set(e, E_TARGET_ROW, "a row of %.*s is larger than one statement may be",
                       STR_ARG(t->label));
    char expected[16];
    for (int at = 0; at < st->param_count; at++)
        s->values[at] = s->offsets[at] == SIZE_MAX ? NULL : s->text.p + s->offsets[at];
    snprintf(expected, sizeof expected, "%d", rows);
    /* Without a number nothing is demanded: a chunk of the copy will bring the row. */
    s->values[st->param_count] = t->incomplete ? NULL : expected;
    bool by_name = !st->many || st->kind == PGS_INSERT;
    if (by_name && prepare(s, t, st, e))
        return -1;
    struct pipe_call call = {.sql = by_name ? NULL : st->sql.p, .name = st->name,
                             .count = st->param_count + st->counted, .values = s->values, .bytes = s->text.len,
                             .owed = {.kind = OWED_COMMAND, .table = t, .what = st->kind, .rows = rows}};
    return pipe_send(&s->pipe, &call, e);
}

/* Send the run as one statement, or row by row when it is short. */
static int send_run(struct pgs *s, const struct pgs_run *run, struct err *e)
{
    struct pgs_table *t = run->table;
    enum pgs_kind kind = run->kind;
    const uint8_t *mask = run->mask;
    const struct change *const *rows = run->rows;
    int count = run->count;
    bool many = kind == PGS_INSERT ? count > 1 : count > SINGLE_ROWS;
    if (kind == PGS_UPDATE_ROW || kind == PGS_DELETE_ROW)
        many = false;
    struct pgs_stmt *st = pgs_statement(t, &s->cache, kind, mask, many);
    if (many && !st->param_count) { /* a table of no columns */
        many = false;
        st = pgs_statement(t, &s->cache, kind, mask, many);
    }
    values_room(s, (size_t) st->param_count + 1);
    for (int at = 0; at < (many ? 1 : count); at++) {
        buf_reset(&s->text);
        if (many)
            put_arrays(s, st, rows, count);
        else
            put_single(s, st, rows[at]);
        if (send_values(s, t, st, many ? count : 1, e))
            return -1;
    }
    if (s->text.room > TEXT_KEEP_BYTES)
        buf_free(&s->text);
    return 0;
}

int pgs_truncate(struct pgs *s, const struct change *changes, int *count, struct err *e)
{
    struct buf sql = BUF_INIT;
    struct pgs_table *t = NULL;
    int taken = 0, done = 0;
    buf_add_text(&sql, "TRUNCATE TABLE ");
    while (!done && taken < *count && changes[taken].op == OP_TRUNCATE &&
           changes[taken].truncate_cascade == changes[0].truncate_cascade &&
           changes[taken].truncate_restart == changes[0].truncate_restart) {
        done = pgs_table(s, changes[taken].rel, changes[taken].pos.lsn, &t, e);
        if (!done)
            buf_addf(&sql, "%s%s%.*s", taken ? ", " : "", t->only ? "ONLY " : "", STR_ARG(t->sql));
        taken += !done;
    }
    buf_addf(&sql, "%s%s", changes[0].truncate_restart ? " RESTART IDENTITY" : "",
             changes[0].truncate_cascade ? " CASCADE" : "");
    struct pipe_call call = {.sql = sql.p, .bytes = sql.len,
                             .owed = {.kind = OWED_COMMAND, .table = t, .what = PGS_TRUNCATE, .rows = -1}};
    if (!done)
        done = pipe_send(&s->pipe, &call, e);
    buf_free(&sql);
    *count = taken;
    return done;
}

static int flush_run(struct pgs *s, struct err *e)
{
    struct pgs_run *run = &s->run;
    int done = 0;
    if (run->count)
        done = send_run(s, run, e);
    pgs_run_clear(run);
    return done;
}

/* The table must fit; update and delete need something to find their row by. */
static int check_row(const struct pgs_table *t, const struct change *c, struct err *e)
{
    if (t->unfit) {
        *e = *t->unfit;
        return -1;
    }
    bool row_wise = !t->rel->key_count && (c->op == OP_UPDATE || c->op == OP_DELETE);
    if (!row_wise || (c->before && c->old == OLD_FULL))
        return 0;
    (void) err_set(e, E_TARGET_ROW, "%s %.*s cannot find its row: the table has no key and the source sent no old row",
                   c->op == OP_DELETE ? "delete from" : "update of", STR_ARG(t->label));
    return err_hint(e, "on the source: ALTER TABLE %.*s REPLICA IDENTITY FULL, or add a primary key",
                    STR_ARG(t->sql));
}

int pgs_apply_fast(struct pgs *s, const struct change *changes, int count, struct err *e)
{
    pgs_run_clear(&s->run);
    for (int at = 0; at < count; at++) {
        const struct change *c = &changes[at];
        struct pgs_table *t;
        if (c->op == OP_NONE || c->op == OP_MESSAGE)
            continue;
        if (c->op == OP_TRUNCATE) {
            int taken = count - at;
            if (flush_run(s, e) || pgs_truncate(s, c, &taken, e))
                return -1;
            at += taken - 1;
            continue;
        }
        /* A description may alter the table: what was made under the older one goes out first. */
        if ((!pgs_knows(s, c->rel) && flush_run(s, e)) || pgs_table(s, c->rel, c->pos.lsn, &t, e) ||
            check_row(t, c, e))
            return -1;
        enum pgs_kind kind = pgs_shape(s, t, c);
        bool update = kind == PGS_UPDATE || kind == PGS_UPDATE_ROW;
        if (update && !memchr(s->mask, 1, (size_t) t->rel->column_count))
            continue; /* nothing that could be assigned */
        if (pgs_run_take(&s->run, t, kind, s->mask, c))
            continue;
        if (flush_run(s, e))
            return -1;
        if (!pgs_run_take(&s->run, t, kind, s->mask, c))
            return err_set(e, E_INTERNAL, "an empty run refused a change of %.*s", STR_ARG(t->label));
    }
    if (flush_run(s, e))
        return -1;
    if (s->pipe.failed) {
        *e = s->pipe.err;
        return -1;
    }
    return 0;
}
