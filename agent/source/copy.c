/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables without a key: rows of one exported snapshot to the bus, as transactions of about a megabyte.
 *
 * All tables are locked against rewriting first, in the mode that reading takes: a table that was
 * rewritten between snapshot and lock looks empty to the snapshot, which its file number betrays;
 * the copy then fails and is begun again. Each table ends with an empty chunk that says so, so
 * that no chunk has to be held back until the next row is known.
 */
#include "agent/source/inner.h"

#include <stdio.h>
#include <string.h>

#include "agent/source/chunk.h"
#include "agent/source/copytext.h"
#include "agent/source/narrow.h"
#include "agent/source/run.h"

#define CHUNK_BYTES ((size_t) 1 << 20)
#define TELL_US 10000000 /* between progress lines */

struct copy {
    struct source *s;
    const struct copy_order *order;
    struct chunk chunk;
    struct arena arena;      /* of the table */
    struct value *values;
    bool first;              /* the next chunk is the table's first */
    int64_t rows, told_us;
};

/* ---- chunks ---- */

static unsigned first_flag(const struct copy *y)
{
    return y->first ? MARK_COPY_FIRST : 0;
}

static void tell_progress(struct copy *y)
{
    struct source *s = y->s;
    int64_t now_us = clock_mono_us(s->env->clock);
    pthread_mutex_lock(&s->lock);
    s->status.copy_rows = y->rows;
    int64_t expected = s->status.copy_rows_expected;
    pthread_mutex_unlock(&s->lock);
    if (now_us - y->told_us < TELL_US)
        return;
    y->told_us = now_us;
    char table[140];
    snprintf(table, sizeof table, "%.*s.%.*s", STR_ARG(y->chunk.rel->space), STR_ARG(y->chunk.rel->name));
    chunk_tell_progress(s, str_of(table), y->rows, expected);
}

static int close_chunk(struct copy *y, unsigned flags, struct err *e)
{
    if (chunk_close(&y->chunk, flags | first_flag(y), e))
        return -1;
    y->first = false;
    tell_progress(y);
    source_turn(y->s);
    return env_stop(y->s->env) == STOP_NONE ? 0 : err_set(e, E_STOPPED, "asked to stop during the copy");
}

static int take_row(struct copy *y, char *line, size_t len, struct err *e)
{
    struct source *s = y->s;
    const struct relation *rel = y->chunk.rel;
    if (source_check_size(s, len, rel->space, rel->name, e) ||
        copytext_parse(line, len, y->values, rel->column_count, e) ||
        (!y->chunk.open && chunk_open(&y->chunk, first_flag(y), e)) ||
        chunk_row(&y->chunk, y->values, len, e))
        return -1;
    y->rows++;
    return y->chunk.bytes >= CHUNK_BYTES ? close_chunk(y, 0, e) : 0;
}

/* ---- one table ---- */

static int take_rows(struct copy *y, struct err *e)
{
    PGconn *c = y->order->c;
    for (;;) {
        char *line = NULL;
        int len = PQgetCopyData(c, &line, 1);
        if (len < 0)
            break;
        if (len > 0) {
            int rc = take_row(y, line, (size_t) len, e);
            PQfreemem(line);
            if (rc)
                return -1;
            continue;
        }
        int ready = pg_wait(y->s->env, c, false, -1, SOURCE_TURN_US);
        source_turn(y->s);
        if (ready & PG_WAIT_STOP)
            return err_set(e, E_STOPPED, "asked to stop during the copy");
        if (ready & PG_WAIT_SOCKET && !PQconsumeInput(c))
            return pg_err(e, c, NULL, "copy");
    }
    int rc = 0;
    PGresult *res = PQgetResult(c);
    if (PQresultStatus(res) != PGRES_COMMAND_OK)
        rc = pg_err(e, c, res, "copy");
    PQclear(res);
    while ((res = PQgetResult(c)))
        PQclear(res);
    return rc;
}

static void add_copy_sql(const struct relation *rel, bool partitioned, struct str filter, struct buf *sql)
{
    buf_add_text(sql, "COPY (SELECT ");
    for (int at = 0; at < rel->column_count; at++) {
        buf_add_text(sql, at ? ", " : "");
        pg_add_ident(sql, rel->columns[at].name);
    }
    buf_add_text(sql, partitioned ? " FROM " : " FROM ONLY ");
    pg_add_table(sql, rel->space, rel->name);
    if (filter.len)
        buf_addf(sql, " WHERE %.*s", STR_ARG(filter));
    buf_add_text(sql, ") TO STDOUT");
}

static void begin_table(struct copy *y, const struct catalog_table *t)
{
    struct source *s = y->s;
    struct str label = arena_printf(&y->arena, "%.*s.%.*s", STR_ARG(t->space), STR_ARG(t->name));
    y->rows = 0;
    y->first = true;
    y->told_us = clock_mono_us(s->env->clock);
    pthread_mutex_lock(&s->lock);
    snprintf(s->status.copy_table, sizeof s->status.copy_table, "%s", label.p);
    s->status.copy_rows = 0;
    s->status.copy_rows_expected = t->rows;
    pthread_mutex_unlock(&s->lock);
}

static int copy_rows(struct copy *y, const struct catalog_table *t, struct err *e)
{
    struct buf sql = BUF_INIT;
    const struct relation *rel;
    struct str filter;
    if (catalog_describe(y->s->env, y->order->c, t->oid, &y->arena, &rel, e))
        return -1;
    rel = chunk_relation(rel, &y->arena);
    if (narrow_relation(y->s->env, y->order->c, y->s->config->source.publication, &y->arena, &rel, &filter, e))
        return -1;
    rel = rels_adopt(&y->s->rels, rel)->rel;
    y->values = arena_zalloc(&y->arena, (size_t) rel->column_count + 1, sizeof *y->values);
    y->chunk = (struct chunk){.s = y->s, .rel = rel, .lsn = y->order->lsn};
    y->chunk.topic = envelope_topic(&y->arena, str_of(y->s->config->name), rel->space, rel->name);
    chunk_table(&y->chunk, t->rows);
    add_copy_sql(rel, t->partitioned, filter, &sql);
    PGresult *res = pg_exec(y->s->env, y->order->c, "copy", sql.p, 0, e);
    buf_free(&sql);
    if (!res)
        return -1;
    PQclear(res);
    if (take_rows(y, e) || (y->chunk.open && close_chunk(y, 0, e)) ||
        chunk_open(&y->chunk, MARK_COPY_LAST | first_flag(y), e) ||
        (y->rows == 0 && chunk_declare_empty(&y->chunk, e)))
        return -1;
    return close_chunk(y, MARK_COPY_LAST, e);
}

static int copy_table(struct copy *y, const struct catalog_table *t, struct err *e)
{
    struct source *s = y->s;
    arena_init(&y->arena, 0, "copy of a table");
    begin_table(y, t);
    int rc = copy_rows(y, t, e);
    if (rc) {
        chunk_abort(&y->chunk);
        err_prefix(e, "table %.*s.%.*s", STR_ARG(t->space), STR_ARG(t->name));
    } else {
        log_info(s->env->log, "source", "copied %.*s.%.*s: %lld rows", STR_ARG(t->space),
                 STR_ARG(t->name), (long long) y->rows);
        pthread_mutex_lock(&s->lock);
        s->status.copy_done++;
        pthread_mutex_unlock(&s->lock);
    }
    arena_free(&y->arena);
    return rc;
}

/* ---- the snapshot ---- */

/* Tables whose rows the snapshot cannot see any more because their files were made anew. */
static const char rewritten_sql[] =
    "SELECT c.oid::pg_catalog.regclass FROM pg_catalog.pg_class c"
    " WHERE c.relkind IN ('r', 'p') AND c.relfilenode IS DISTINCT FROM"
    "  COALESCE(pg_catalog.pg_relation_filenode(c.oid), 0)"
    " AND (c.oid = $1::pg_catalog.oid OR c.oid IN"
    "  (SELECT relid FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid))) LIMIT 1";

static int lock_table(struct copy *y, const struct catalog_table *t, struct err *e)
{
    struct buf sql = BUF_INIT;
    buf_add_text(&sql, t->partitioned ? "LOCK TABLE " : "LOCK TABLE ONLY ");
    pg_add_table(&sql, t->space, t->name);
    buf_add_text(&sql, " IN ACCESS SHARE MODE");
    int rc = pg_run(y->s->env, y->order->c, "lock table for the copy", sql.p, e);
    buf_free(&sql);
    source_turn(y->s);
    if (!rc)
        return env_stop(y->s->env) == STOP_NONE ? 0 : err_set(e, E_STOPPED, "asked to stop");
    if (strcmp(e->sqlstate, "42P01") == 0) /* dropped meanwhile: the next look will not list it */
        e->class = ERR_RETRY;
    return -1;
}

static int check_rewritten(struct copy *y, const struct catalog_table *t, struct err *e)
{
    char oid[16];
    const char *const values[] = {oid};
    snprintf(oid, sizeof oid, "%u", t->oid);
    PGresult *res = pg_exec_params(y->s->env, y->order->c, "look for rewritten tables", rewritten_sql,
                                   1, values, 30000, e);
    if (!res)
        return -1;
    int rc = 0;
    if (PQntuples(res) > 0)
        rc = err_set(e, E_PG_RETRY, "table %.*s was rewritten or truncated while the copy began",
                     STR_ARG(pg_text(res, 0, 0)));
    PQclear(res);
    return rc;
}

static int show_xmin(struct copy *y, struct err *e)
{
    struct source *s = y->s;
    PGresult *res = pg_exec(s->env, y->order->c, "read snapshot",
                            "SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())",
                            10000, e);
    if (!res)
        return -1;
    pthread_mutex_lock(&s->lock);
    snprintf(s->status.snapshot_xmin, sizeof s->status.snapshot_xmin, "%.*s",
             STR_ARG(pg_text(res, 0, 0)));
    s->status.copy_tables = y->order->count;
    s->status.copy_done = 0;
    pthread_mutex_unlock(&s->lock);
    log_info(s->env->log, "source", "%d tables at %s; the snapshot holds xmin %.*s on the "
             "server until it is done", y->order->count, LSN_STR(y->order->lsn),
             STR_ARG(pg_text(res, 0, 0)));
    PQclear(res);
    return 0;
}

static int take_snapshot(struct copy *y, struct err *e)
{
    struct buf sql = BUF_INIT;
    buf_add_text(&sql, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT ");
    pg_add_literal(&sql, str_of(y->order->snapshot));
    buf_add_text(&sql, "; SET search_path = ''");
    int rc = pg_run(y->s->env, y->order->c, "take snapshot", sql.p, e);
    buf_free(&sql);
    return rc ? -1 : show_xmin(y, e);
}

static int copy_all(struct copy *y, struct err *e)
{
    const struct copy_order *o = y->order;
    if (take_snapshot(y, e))
        return -1;
    for (int at = 0; at < o->count; at++)
        if (lock_table(y, &o->tables[at], e))
            return -1;
    for (int at = 0; at < o->count; at++)
        if (check_rewritten(y, &o->tables[at], e))
            return -1;
    for (int at = 0; at < o->count; at++)
        if (copy_table(y, &o->tables[at], e))
            return -1;
    return pg_run(y->s->env, o->c, "end of copy", "COMMIT", e);
}

int copy_run(struct source *s, const struct copy_order *order, struct err *e)
{
    struct copy y = {.s = s, .order = order};
    /* Positions of this copy are not stored one by one: others begin behind all of them. */
    const struct position behind = chunk_position(s, order->lsn, true);
    const struct position floor = {.lsn = behind.lsn + 1};
    if (run_save_last(s->parts.store, &floor, e))
        return -1;
    metric_set(s->env->metrics, M_COPY_ACTIVE, 0, 1);
    int rc = copy_all(&y, e);
    metric_set(s->env->metrics, M_COPY_ACTIVE, 0, 0);
    pthread_mutex_lock(&s->lock);
    s->status.snapshot_xmin[0] = s->status.copy_table[0] = 0;
    pthread_mutex_unlock(&s->lock);
    if (rc || source_flush(s, e))
        return -1;
    for (int at = 0; at < order->count; at++) {
        const struct catalog_table *t = &order->tables[at];
        const struct copy_fact fact = {true, t->oid, order->lsn};
        if (copies_put(s->parts.store, t->space, t->name, &fact, e))
            return -1;
    }
    return 0;
}
