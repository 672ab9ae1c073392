/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading one chunk: snapshot, rows, end, each asked for without waiting.
 *
 * Nothing is locked but what reading locks. Between two chunks the connection has no transaction,
 * so the server keeps nothing for us however long the run takes.
 */
#include "agent/source/snap.h"

#include <stdio.h>
#include <sys/epoll.h>

#include "agent/base/cursor.h"
#include "agent/source/chunk.h"
#include "agent/source/copytext.h"
#include "agent/source/narrow.h"

/* Columns and keys as text: another digest means that the table was altered. */
#define SHAPE_SQL \
    "(SELECT pg_catalog.md5(pg_catalog.concat(c.relreplident, c.relname, n.nspname," \
    " (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(':', a.attnum, a.attname, a.atttypid, a.atttypmod," \
    "  a.attnotnull, a.attgenerated, a.attisdropped), ',' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a" \
    "  WHERE a.attrelid = c.oid AND a.attnum > 0)," \
    " (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(':', i.indexrelid, i.indkey, i.indisprimary," \
    "  i.indisreplident), ',' ORDER BY i.indexrelid) FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid)))" \
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %u)"

/* Tables whose rows the snapshot cannot see any more because their files were made anew. */
#define REWRITTEN_SQL \
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relkind IN ('r', 'p')" \
    " AND c.relfilenode IS DISTINCT FROM COALESCE(pg_catalog.pg_relation_filenode(c.oid), 0)" \
    " AND (c.oid = %u OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(%u))))"

static int64_t now_us(const struct lane *l)
{
    return clock_mono_us(l->s->env->clock);
}

/* ---- connection ---- */

void lane_open(struct lane *l, struct run *run)
{
    l->run = run;
    l->state = LANE_IDLE;
    l->rel = NULL;
    l->shape[0] = 0;
    l->limit = CHUNK_ROWS_FIRST;
    l->until_us = 0;
    run->working = true;
    arena_init(&l->arena, 0, "chunk of a snapshot");
}

static void forget_chunk(struct lane *l)
{
    l->noting = l->viewed = false;
    keyset_reset(&l->touched);
    buf_reset(&l->rows);
    l->row_count = l->all_rows = 0;
}

void lane_close(struct lane *l)
{
    if (!l->run)
        return;
    PQfinish(l->c); /* its descriptor leaves the epoll set */
    l->c = NULL;
    l->run->working = false;
    l->run = NULL;
    forget_chunk(l);
    keyset_free(&l->touched);
    buf_free(&l->rows);
    buf_free(&l->line);
    buf_free(&l->asked);
    buf_free(&l->filter);
    buf_free(&l->topic_text);
    arena_free(&l->arena);
}

static const char *dsn_of(const struct source *s)
{
    const char *other = s->config->source.snapshot_postgres;
    return other && *other ? other : s->config->source.postgres;
}

/* Another server than the source's would have other rows, and other xids. */
static int check_server(struct lane *l, struct err *e)
{
    PGresult *res = pg_exec(l->s->env, l->c, "look at the server of the snapshot",
                            "SELECT system_identifier, pg_catalog.pg_is_in_recovery()"
                            " FROM pg_catalog.pg_control_system()", 10000, e);
    if (!res)
        return -1;
    int rc = 0;
    uint64_t id;
    bool other = dsn_of(l->s) != l->s->config->source.postgres;
    if (!str_to_u64(pg_text(res, 0, 0), &id) || id != l->s->facts.system_id)
        rc = err_set(e, E_OTHER_SERVER, "source.snapshot_postgres is not of the source's cluster");
    else if (other && !pg_bool(res, 0, 1))
        rc = err_set(e, E_CONFIG, "source.snapshot_postgres is no standby (any more)");
    PQclear(res);
    if (rc && e->class == ERR_GONE)
        e->class = ERR_CONFIG; /* the stream is well */
    return rc;
}

static int connect_lane(struct lane *l, struct err *e)
{
    struct epoll_event ev = {.events = EPOLLIN};
    l->c = pg_connect(l->s->env, dsn_of(l->s), PG_SQL, "source/snapshot", e);
    if (!l->c || check_server(l, e) || pg_run(l->s->env, l->c, "prepare a snapshot", "SET search_path = ''", e))
        return -1;
    if (epoll_ctl(l->s->poll_fd, EPOLL_CTL_ADD, PQsocket(l->c), &ev))
        return err_set(e, E_SYSTEM, "epoll takes no further descriptor");
    return 0;
}

static int ask(struct lane *l, const char *sql, enum lane_state state, struct err *e)
{
    if (!PQsendQuery(l->c, sql))
        return pg_err(e, l->c, NULL, "snapshot");
    l->state = state;
    return 0;
}

/* ---- the snapshot ---- */

static int ask_view(struct lane *l, struct err *e)
{
    struct buf sql = BUF_INIT;
    buf_addf(&sql, "BEGIN; SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn() END;"
                   " COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                   " SELECT pg_catalog.pg_current_snapshot(), CASE WHEN pg_catalog.pg_is_in_recovery()"
                   " THEN GREATEST(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())"
                   " ELSE pg_catalog.pg_current_wal_insert_lsn() END, pg_catalog.pg_is_in_recovery(), " SHAPE_SQL,
             l->run->oid);
    l->viewed = l->rewritten = false;
    l->view = (struct view){.by_lsn = false};
    arena_reset(&l->arena);
    int rc = ask(l, sql.p, LANE_VIEW, e);
    buf_free(&sql);
    return rc;
}

static int begin_chunk(struct lane *l, struct err *e)
{
    if (!l->c && connect_lane(l, e))
        return -1;
    if (!l->noting || l->spoiled) {
        l->noting = true;
        l->spoiled = false;
        l->noting_lsn = l->s->in.last_commit_lsn;
        keyset_reset(&l->touched);
    }
    return ask_view(l, e);
}

static int take_view(struct lane *l, const PGresult *res, struct err *e)
{
    if (PQnfields(res) == 1) { /* the statement before */
        l->view.low_lsn = pg_lsn(res, 0, 0);
        return 0;
    }
    uint64_t low_lsn = l->view.low_lsn;
    if (!view_parse(pg_text(res, 0, 0), &l->arena, &l->view))
        return err_set(e, E_PG_PROTOCOL, "snapshot of the server cannot be read");
    l->view.by_lsn = pg_bool(res, 0, 2);
    l->view.low_lsn = low_lsn;
    l->view.high_lsn = view_record_end(pg_lsn(res, 0, 1));
    if (PQgetisnull(res, 0, 3)) {
        (void) err_set(e, E_PG_QUERY, "table %s.%s is not there any more", l->run->space, l->run->name);
        e->class = ERR_GONE;
        return -1;
    }
    snprintf(l->asked_shape, sizeof l->asked_shape, "%.*s", STR_ARG(pg_text(res, 0, 3)));
    l->viewed = true;
    return 0;
}

/* Everything that was streamed before keys were noted is in the snapshot. */
static bool sees_streamed(struct lane *l)
{
    struct snap *n = l->s->snap;
    int kept = 0;
    bool all = view_behind(&l->view, n->fence_xid, n->fence_lsn);
    for (int at = 0; at < n->unsettled_count; at++) {
        struct unsettled u = n->unsettled[at];
        if (view_sees(&l->view, u.xid, u.commit_lsn))
            continue;
        all = all && u.commit_lsn > l->noting_lsn;
        n->unsettled[kept++] = u;
    }
    n->unsettled_count = kept;
    return all;
}

static void undo(struct lane *l, const char *why)
{
    struct err e = ERR_INIT;
    if (now_us(l) - l->told_us > 5000000) {
        l->told_us = now_us(l);
        snap_say(l->s, l->run, "%s", why);
    }
    l->until_us = now_us(l) + AGAIN_US;
    if (ask(l, "ROLLBACK", LANE_UNDO, &e)) {
        PQfinish(l->c);
        l->c = NULL;
        l->state = LANE_IDLE;
    }
}

/* ---- rows ---- */

static int describe(struct lane *l, struct err *e)
{
    const struct relation *rel;
    struct source *s = l->s;
    if (l->rel && strcmp(l->shape, l->asked_shape) == 0)
        return 0;
    if (catalog_describe(s->env, l->c, l->run->oid, &l->arena, &rel, e))
        return -1;
    const struct relation *slim = chunk_relation(rel, &l->arena);
    struct str filter;
    if (narrow_relation(s->env, l->c, s->config->source.publication, &l->arena, &slim, &filter, e))
        return -1;
    buf_reset(&l->filter);
    buf_add_str(&l->filter, filter);
    struct rel_entry *known = rels_find(&s->rels, slim->oid);
    l->rel = known && known->rel && relation_equal(known->rel, slim) ? known->rel
                                                                     : rels_adopt(&s->rels, slim)->rel;
    s->in.rel = NULL;
    snprintf(l->shape, sizeof l->shape, "%s", l->asked_shape);
    struct str topic = envelope_topic(&l->arena, str_of(s->config->name), l->rel->space, l->rel->name);
    buf_reset(&l->topic_text);
    buf_add_str(&l->topic_text, topic);
    l->topic = buf_str(&l->topic_text);
    if (l->rel->key_count)
        return 0;
    (void) err_set(e, E_PG_QUERY, "table %s.%s has no key any more", l->run->space, l->run->name);
    return err_hint(e, "it is looked at again with the next look at the tables");
}

/* What parts is: a column, or a value of the key cast to it. */
static void add_key(const struct relation *rel, const struct str *key, struct buf *sql)
{
    size_t at = 0;
    struct str text;
    buf_add_char(sql, '(');
    for (int position = 1; position <= rel->key_count; position++)
        for (int col = 0; col < rel->column_count; col++) {
            if (rel->columns[col].key_position != position)
                continue;
            buf_add_text(sql, position > 1 ? ", " : "");
            if (!key) {
                pg_add_ident(sql, rel->columns[col].name);
            } else if (key_next(*key, &at, &text)) {
                pg_add_literal(sql, text);
                buf_add_text(sql, "::");
                buf_add_str(sql, rel->columns[col].type_sql);
            }
        }
    buf_add_char(sql, ')');
}

/* The first keys of pending, to be read again. */
static void add_asked(struct lane *l, struct buf *sql)
{
    struct str pending = buf_str(&l->run->now.pending), key;
    size_t at = 0;
    buf_reset(&l->asked);
    buf_add_text(sql, " IN (VALUES ");
    for (int count = 0; count < CHUNK_KEYS_MAX && count < l->limit && key_next(pending, &at, &key); count++) {
        buf_add_text(sql, count ? ", " : "");
        add_key(l->rel, &key, sql);
    }
    buf_add(&l->asked, pending.p, at);
    buf_add_char(sql, ')');
}

static void add_rows_sql(struct lane *l, struct buf *sql)
{
    const struct run *r = l->run;
    buf_add_text(sql, "COPY (SELECT ");
    for (int at = 0; at < l->rel->column_count; at++) {
        buf_add_text(sql, at ? ", " : "");
        pg_add_ident(sql, l->rel->columns[at].name);
    }
    buf_add_text(sql, r->partitioned ? " FROM " : " FROM ONLY ");
    pg_add_table(sql, l->rel->space, l->rel->name);
    buf_add_text(sql, " WHERE ");
    if (*r->where)
        buf_addf(sql, "(%s) AND ", r->where);
    if (l->filter.len)
        buf_addf(sql, "(%.*s) AND ", STR_ARG(buf_str(&l->filter)));
    l->keys = r->now.pending.len > 0;
    struct str from = buf_str(&r->now.from);
    if (l->keys || from.len)
        add_key(l->rel, NULL, sql);
    if (l->keys) {
        add_asked(l, sql);
    } else if (from.len) {
        buf_add_text(sql, " > ");
        add_key(l->rel, &from, sql);
    } else {
        buf_add_text(sql, "true");
    }
    if (!l->keys) {
        buf_add_text(sql, " ORDER BY ");
        size_t open = sql->len;
        add_key(l->rel, NULL, sql);
        sql->p[open] = ' '; /* a list, not a row */
        sql->p[sql->len - 1] = ' ';
        buf_addf(sql, "LIMIT %lld", (long long) l->limit);
    }
    buf_add_text(sql, ") TO STDOUT");
}

static int ask_rows(struct lane *l, struct err *e)
{
    struct buf sql = BUF_INIT;
    if (describe(l, e))
        return -1;
    add_rows_sql(l, &sql);
    buf_reset(&l->rows);
    l->row_count = l->all_rows = 0;
    int rc = ask(l, sql.p, LANE_ROWS, e);
    buf_free(&sql);
    return rc;
}

/* Rows behind what may be held are left for the next chunk: they come in the order of the key. */
static void keep_row(struct lane *l, const char *line, size_t len)
{
    uint8_t head[4];
    l->all_rows++;
    if (l->row_count != l->all_rows - 1 || (l->row_count && !l->keys && l->rows.len + len > CHUNK_MAX_BYTES))
        return;
    put_be(head, len, 4);
    buf_add(&l->rows, head, 4);
    buf_add(&l->rows, line, len);
    l->row_count++;
}

bool lane_next_row(struct lane *l, size_t *at, struct value *values, size_t *bytes, int *rc, struct err *e)
{
    *rc = 0;
    if (*at >= l->rows.len)
        return false;
    struct cursor c = cursor_of((struct str){l->rows.p + *at, l->rows.len - *at});
    *bytes = cursor_u32(&c);
    buf_reset(&l->line); /* a copy, since a row is looked at twice and parsing changes it */
    buf_add(&l->line, l->rows.p + *at + 4, *bytes);
    *at += 4 + *bytes;
    *rc = copytext_parse(l->line.p, *bytes, values, l->rel->column_count, e);
    return *rc == 0;
}

/* Rows come until the copy ends. 1 when it has. */
static int take_rows(struct lane *l, struct err *e)
{
    for (;;) {
        char *line = NULL;
        int len = PQgetCopyData(l->c, &line, 1);
        if (len == 0)
            return 0;
        if (len == -1)
            return 1;
        if (len < 0)
            return pg_err(e, l->c, NULL, "snapshot");
        int rc = source_check_size(l->s, (size_t) len, str_of(l->run->space), str_of(l->run->name), e);
        if (!rc)
            keep_row(l, line, (size_t) len);
        PQfreemem(line);
        if (rc)
            return -1;
    }
}

/* ---- results ---- */

static int ask_end(struct lane *l, struct err *e)
{
    char sql[700];
    snprintf(sql, sizeof sql, REWRITTEN_SQL "; COMMIT", l->run->oid, l->run->oid);
    return ask(l, sql, LANE_END, e);
}

/* All results of what was asked are there. */
static int step(struct lane *l, struct err *e)
{
    switch (l->state) {
    case LANE_VIEW:
        if (!l->viewed)
            return err_set(e, E_PG_RETRY, "server gave no snapshot");
        if (sees_streamed(l))
            return ask_rows(l, e);
        undo(l, "waits until transactions that were streamed are visible to new snapshots");
        return 0;
    case LANE_ROWS:
        return ask_end(l, e);
    case LANE_END:
        l->state = LANE_READY;
        if (l->rewritten)
            lane_next(l, "the table was rewritten meanwhile");
        return 0;
    case LANE_UNDO:
    case LANE_IDLE:
    case LANE_READY:
        l->state = LANE_IDLE;
        return 0;
    }
    return 0;
}

static int take_result(struct lane *l, PGresult *res, struct err *e)
{
    switch (PQresultStatus(res)) {
    case PGRES_COPY_OUT:
    case PGRES_COMMAND_OK:
        return 0;
    case PGRES_TUPLES_OK:
        if (l->state == LANE_VIEW)
            return take_view(l, res, e);
        if (l->state == LANE_END)
            l->rewritten = pg_bool(res, 0, 0);
        return 0;
    default:
        return l->state == LANE_UNDO ? 0 : pg_err(e, l->c, res, "snapshot");
    }
}

/* Results that are there. 1 when all of what was asked are. */
static int take_results(struct lane *l, struct err *e)
{
    while (!PQisBusy(l->c)) {
        PGresult *res = PQgetResult(l->c);
        if (!res)
            return 1;
        bool rows = PQresultStatus(res) == PGRES_COPY_OUT;
        int rc = take_result(l, res, e);
        PQclear(res);
        if (rc)
            return -1;
        if (rows) {
            rc = take_rows(l, e);
            if (rc <= 0)
                return rc;
        }
    }
    return 0;
}

void lane_next(struct lane *l, const char *why)
{
    if (why) {
        log_debug(l->s->env->log, "source", "snapshot of %s.%s: a chunk is read again: %s", l->run->space,
                  l->run->name, why);
        l->run->again++;
        l->until_us = now_us(l) + AGAIN_US;
    }
    forget_chunk(l);
    l->state = LANE_IDLE;
}

int lane_turn(struct lane *l, struct err *e)
{
    if (l->state == LANE_READY || now_us(l) < l->until_us)
        return 0;
    /* Keys are noted of whole transactions only. */
    if (l->state == LANE_IDLE)
        return run_complete(l->run) || l->s->in.in_txn ? 0 : begin_chunk(l, e);
    if (!PQconsumeInput(l->c))
        return pg_err(e, l->c, NULL, "snapshot");
    int rc = take_results(l, e);
    return rc > 0 ? step(l, e) : rc;
}
