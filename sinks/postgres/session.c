/* SPDX-License-Identifier: Apache-2.0
 *
 * The session with the target: connect, the watermark, commit, flush.
 *
 * The watermark is one row a route, written in the transaction of the rows. Each commit moves its
 * version from the one this session read: a commit of an older session that was still on its way
 * when we read (its process was killed) makes ours fail instead of applying its rows twice.
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "agent/net/pg.h"
#include "sinks/postgres/session.h"

#define SILENCE_MS 10000 /* beyond the longest statement */

#define FORCE_FLUSH_US INT64_C(1000000)

static const char *const sql_make[] = {
    "CREATE SCHEMA IF NOT EXISTS tailrace",
    "CREATE TABLE IF NOT EXISTS tailrace.watermark (route text PRIMARY KEY, system_id text NOT NULL,"
    " timeline bigint NOT NULL, commit_lsn pg_lsn NOT NULL, copy_lsn pg_lsn NOT NULL,"
    " copy_seq bigint NOT NULL, replayed bigint NOT NULL, version bigint NOT NULL,"
    " updated_at timestamptz NOT NULL) WITH (fillfactor = 10)",
    "CREATE TABLE IF NOT EXISTS tailrace.copy (route text, topic text, table_schema text NOT NULL,"
    " table_name text NOT NULL, copy_lsn pg_lsn NOT NULL, done boolean NOT NULL,"
    " updated_at timestamptz NOT NULL, PRIMARY KEY (route, topic))",
    /* what stands there of each table of the source: [attnum, name, type] of each column */
    "CREATE TABLE IF NOT EXISTS tailrace.columns (route text, table_schema text, table_name text,"
    " columns jsonb NOT NULL, lsn pg_lsn NOT NULL, updated_at timestamptz NOT NULL,"
    " PRIMARY KEY (route, table_schema, table_name))",
};

static const char sql_read[] =
    "SELECT system_id, timeline, commit_lsn, copy_lsn, copy_seq, replayed, version"
    " FROM tailrace.watermark WHERE route = $1 FOR UPDATE";

/* 1/count: an error, and with it no commit, when the row is not as we left it. */
static const char sql_mark[] =
    "WITH w AS (UPDATE tailrace.watermark SET system_id = $2, timeline = $3, commit_lsn = $4,"
    " copy_lsn = $5, copy_seq = $6, replayed = $7, version = version + 1,"
    " updated_at = pg_catalog.clock_timestamp() WHERE route = $1 AND version = $8 RETURNING 1)"
    " SELECT 1 / pg_catalog.count(*) FROM w";

static const struct { const char *name, *sql; } own[] = {
    {"tr_begin", "BEGIN"},
    {"tr_defer", "SET CONSTRAINTS ALL DEFERRED"},
    {"tr_mark", sql_mark},
    {"tr_commit", "COMMIT"},
};

static struct pgs *pgs_of(struct sink *sink)
{
    return (struct pgs *) sink;
}

/* ---- connect ---- */

static int no_right(struct pgs *s, PGconn *c, struct err *e)
{
    (void) err_prefix(e, "target %s", s->env.target->name);
    return err_hint(e, "run as the owner of the database: CREATE SCHEMA IF NOT EXISTS tailrace "
                       "AUTHORIZATION \"%s\"; or GRANT CREATE ON DATABASE \"%s\" TO \"%s\";",
                    PQuser(c), PQdb(c), PQuser(c));
}

/* Two routes that begin at once on a new target must not race for the names: hence the lock. */
static int make_tables(struct pgs *s, PGconn *c, struct err *e)
{
    const struct env *env = s->env.env;
    PGresult *res = pg_exec(env, c, "look for the watermark",
                            "SELECT pg_catalog.to_regclass('tailrace.watermark') IS NULL"
                            " OR pg_catalog.to_regclass('tailrace.copy') IS NULL"
                            " OR pg_catalog.to_regclass('tailrace.columns') IS NULL", 0, e);
    if (!res)
        return -1;
    bool missing = pg_bool(res, 0, 0);
    PQclear(res);
    if (!missing)
        return 0;
    if (pg_run(env, c, "make the watermark", "BEGIN", e) ||
        pg_run(env, c, "make the watermark",
               "SELECT pg_catalog.pg_advisory_xact_lock(7521978130)", e))
        return -1;
    res = pg_exec(env, c, "look for schema tailrace",
                  "SELECT pg_catalog.to_regnamespace('tailrace') IS NOT NULL", 0, e);
    if (!res)
        return -1;
    bool schema = pg_bool(res, 0, 0);
    PQclear(res);
    for (size_t at = schema ? 1 : 0; at < sizeof sql_make / sizeof sql_make[0]; at++)
        if (pg_run(env, c, "make the watermark", sql_make[at], e))
            return e->code == E_PG_RIGHT ? no_right(s, c, e) : -1;
    return pg_run(env, c, "make the watermark", "COMMIT", e);
}

/* A server that is busy with a long statement takes nothing, and a window that stays closed counts as
 * silence for TCP_USER_TIMEOUT although every probe of it is answered. So it has to outlast the longest
 * statement (0: the system's own); keepalives find a dead host where nothing is on its way. */
static void outlast_statements(PGconn *c, int64_t statement_timeout_ms)
{
    unsigned wait_ms = statement_timeout_ms ? (unsigned) statement_timeout_ms + SILENCE_MS : 0;
    /* refused on a unix socket, which has none */
    (void) setsockopt(PQsocket(c), IPPROTO_TCP, TCP_USER_TIMEOUT, &wait_ms, sizeof wait_ms);
}

static int set_session(struct pgs *s, PGconn *c, struct err *e)
{
    const struct config_target *t = s->env.target;
    char timeout[32];
    snprintf(timeout, sizeof timeout, "%" PRId64, t->statement_timeout_ms);
    const char *values[] = {t->synchronous_commit ? t->synchronous_commit : "on", timeout};
    PGresult *res = pg_exec_params(
        s->env.env, c, "set up the session",
        "SELECT pg_catalog.set_config('synchronous_commit', $1, false),"
        " pg_catalog.set_config('statement_timeout', $2, false),"
        " pg_catalog.set_config('row_security', 'off', false),"
        /* when our host is gone, the rows that we had locked must not wait for hours */
        " pg_catalog.set_config('idle_in_transaction_session_timeout', '12s', false),"
        " pg_catalog.set_config('jit', 'off', false)", 2, values, 0, e);
    PQclear(res);
    if (!res)
        return -1;
    if (t->triggers == TARGET_TRIGGERS_ON)
        return 0;
    if (pg_run(s->env.env, c, "set session_replication_role", "SET session_replication_role = replica", e)) {
        if (e->code != E_PG_RIGHT)
            return -1;
        return err_hint(e, "GRANT SET ON PARAMETER session_replication_role TO \"%s\" (PostgreSQL 15 "
                           "and later; a superuser before), or set triggers: on", PQuser(c));
    }
    return 0;
}

static void fill_position(const PGresult *res, struct sink_position *pos)
{
    *pos = (struct sink_position){0};
    if (!str_to_u64(pg_text(res, 0, 0), &pos->stream.system_id))
        pos->stream.system_id = 0;
    pos->stream.timeline = (uint32_t) pg_int(res, 0, 1);
    pos->stream.lsn = pg_lsn(res, 0, 2);
    pos->copy = pos->stream;
    pos->copy.lsn = pg_lsn(res, 0, 3);
    pos->copy.seq = (uint64_t) pg_int(res, 0, 4);
    pos->replayed = (uint64_t) pg_int(res, 0, 5);
    pos->known = pos->stream.lsn || pos->copy.lsn;
}

/* Waits for a transaction of an older session of ours that has written the row already. */
static int read_watermark(struct pgs *s, PGconn *c, struct sink_position *pos, struct err *e)
{
    const struct env *env = s->env.env;
    const char *values[] = {s->env.route};
    PGresult *res = pg_exec_params(
        env, c, "make the route's watermark",
        "INSERT INTO tailrace.watermark VALUES ($1, '0', 0, '0/0', '0/0', 0, 0, 0,"
        " pg_catalog.clock_timestamp()) ON CONFLICT (route) DO NOTHING", 1, values, 0, e);
    PQclear(res);
    if (!res)
        return e->code == E_PG_RIGHT ? no_right(s, c, e) : -1;
    res = pg_exec_params(env, c, "read the watermark", sql_read, 1, values, 0, e);
    if (!res)
        return -1;
    if (PQntuples(res) != 1) {
        PQclear(res);
        return err_set(e, E_PG_RETRY, "watermark of route %s went away while it was read", s->env.route);
    }
    fill_position(res, pos);
    s->version = pg_int(res, 0, 6);
    PQclear(res);
    return 0;
}

static int check_source(struct pgs *s, const struct position *source, const struct sink_position *pos,
                        struct err *e)
{
    if (!source->system_id || !pos->stream.system_id || source->system_id == pos->stream.system_id)
        return 0;
    (void) err_set(e, E_OTHER_SERVER, "target %s holds positions of system %" PRIu64
                   " for route %s, the source is system %" PRIu64,
                   s->env.target->name, pos->stream.system_id, s->env.route, source->system_id);
    return err_hint(e, "check both addresses; for a new source: DELETE FROM tailrace.watermark WHERE "
                       "route = '%s', then copy again", s->env.route);
}

static void pgs_disconnect(struct sink *sink)
{
    struct pgs *s = pgs_of(sink);
    if (s->pipe.conn)
        pipe_close(&s->pipe);
    s->in_txn = s->prepared = false;
    s->statement_count = 0;
    pgs_forget(s);
}

static int pgs_connect(struct sink *sink, const struct position *source, struct sink_position *pos,
                       struct err *e)
{
    struct pgs *s = pgs_of(sink);
    pgs_disconnect(sink);
    PGconn *c = pg_connect(s->env.env, s->env.target->url, PG_SQL, s->env.route, e);
    if (!c)
        return -1;
    outlast_statements(c, s->env.target->statement_timeout_ms);
    if (set_session(s, c, e) || make_tables(s, c, e) || read_watermark(s, c, pos, e) ||
        check_source(s, source, pos, e) || pipe_open(&s->pipe, s->env.env, c, e)) {
        PQfinish(c);
        s->pipe.conn = NULL;
        return -1;
    }
    s->flush_lsn = 0;
    s->commit_us = s->forced_us = 0;
    return 0;
}

/* ---- transactions ---- */

void pgs_forget(struct pgs *s)
{
    pgs_run_clear(&s->run);
    memset(s->tables, 0, sizeof s->tables);
    arena_reset(&s->cache);
}

static int send_own(struct pgs *s, size_t which, int count, const char *const *values, struct err *e)
{
    struct pipe_call call = {.name = own[which].name, .count = count, .values = values,
                             .owed = {.kind = OWED_COMMAND, .name = own[which].sql, .rows = -1}};
    if (which == 2)
        call.owed.name = "write the watermark";
    return pipe_send(&s->pipe, &call, e);
}

int pgs_begin(struct pgs *s, struct err *e)
{
    if (s->in_txn)
        return 0;
    if (!s->pipe.conn)
        return err_set(e, E_PG_CONNECT, "target %s is not connected", s->env.target->name);
    for (size_t at = 0; !s->prepared && at < sizeof own / sizeof own[0]; at++) {
        struct pipe_owed owed = {.kind = OWED_COMMAND, .name = "prepare our own statements"};
        if (pipe_prepare(&s->pipe, own[at].name, own[at].sql, &owed, e))
            return -1;
    }
    s->prepared = true;
    s->in_txn = true;
    if (send_own(s, 0, 0, NULL, e))
        return -1;
    /* The source may have relied on deferred constraints; where they fire, they are ours too. */
    return s->env.target->triggers == TARGET_TRIGGERS_ON ? send_own(s, 1, 0, NULL, e) : 0;
}

static int send_mark(struct pgs *s, const struct sink_position *pos, struct err *e)
{
    char system[24], timeline[16], seq[24], replayed[24], version[24];
    char stream[LSN_TEXT_LEN], copy[LSN_TEXT_LEN];
    snprintf(system, sizeof system, "%" PRIu64, pos->stream.system_id);
    snprintf(timeline, sizeof timeline, "%" PRIu32, pos->stream.timeline);
    snprintf(seq, sizeof seq, "%" PRIu64, pos->copy.seq);
    snprintf(replayed, sizeof replayed, "%" PRIu64, pos->replayed);
    snprintf(version, sizeof version, "%" PRId64, s->version);
    const char *values[] = {s->env.route, system, timeline, lsn_text(pos->stream.lsn, stream),
                            lsn_text(pos->copy.lsn, copy), seq, replayed, version};
    return send_own(s, 2, 8, values, e);
}

/* A deferred constraint must be met while there is still something to park. */
static int check_deferred(struct pgs *s, struct err *e)
{
    if (!pipe_run(&s->pipe, "check deferred constraints", "SET CONSTRAINTS ALL IMMEDIATE", e))
        return 0;
    if (e->class == ERR_ITEM)
        s->strict = true;
    return -1;
}

static int pgs_commit(struct sink *sink, const struct sink_position *pos, bool careful, struct err *e)
{
    struct pgs *s = pgs_of(sink);
    if (pgs_begin(s, e) || (careful && check_deferred(s, e)) || send_mark(s, pos, e) ||
        send_own(s, 3, 0, NULL, e) || pipe_sync(&s->pipe, e))
        return -1;
    s->in_txn = false;
    s->strict = false;
    s->version++;
    s->flush_lsn = 0;
    s->commit_us = clock_mono_us(s->env.env->clock);
    if (s->pipe.missing)
        metric_add(s->env.env->metrics, M_APPLY_MISSING, s->missing_series, s->pipe.missing);
    pipe_reset(&s->pipe);
    /* careful leaves statements behind whose preparation was undone */
    if (!careful && arena_used(&s->cache) < PGS_CACHE_BYTES)
        return 0;
    pgs_forget(s);
    s->prepared = false;
    return pipe_run(&s->pipe, "forget statements", "DEALLOCATE ALL", e) ? -1 : pipe_sync(&s->pipe, e);
}

static void pgs_rollback(struct sink *sink)
{
    struct pgs *s = pgs_of(sink);
    struct err ignored = ERR_INIT;
    if (!s->pipe.conn)
        return;
    /* The failure that led here is known; what counts is that the session answers again. */
    int failed = pipe_sync(&s->pipe, &ignored);
    if (failed && !s->pipe.failed) {
        pgs_disconnect(sink);
        return;
    }
    pipe_reset(&s->pipe);
    err_clear(&ignored);
    s->in_txn = s->prepared = false;
    pgs_forget(s);
    if (pipe_run(&s->pipe, "roll back", "ROLLBACK", &ignored) ||
        pipe_run(&s->pipe, "forget statements", "DEALLOCATE ALL", &ignored) ||
        pipe_sync(&s->pipe, &ignored))
        pgs_disconnect(sink);
}

/* ---- flush ---- */

/* A commit that waits for the disk flushes all WAL before it. */
static int force_flush(struct pgs *s, struct err *e)
{
    static const char *const sql[] = {
        "BEGIN", "SET LOCAL synchronous_commit = on",
        "UPDATE tailrace.watermark SET updated_at = pg_catalog.clock_timestamp() WHERE route = ", "COMMIT"};
    for (size_t at = 0; at < sizeof sql / sizeof sql[0]; at++) {
        struct buf text = BUF_INIT;
        buf_add_text(&text, sql[at]);
        if (at == 2)
            pg_add_literal(&text, str_of(s->env.route));
        int done = pipe_run(&s->pipe, "flush the target", text.p, e);
        buf_free(&text);
        if (done)
            return -1;
    }
    return pipe_sync(&s->pipe, e);
}

static int ask_flushed(struct pgs *s, bool *all, struct err *e)
{
    PGresult *res;
    if (pipe_query(&s->pipe, "ask for the flushed position",
                   "SELECT pg_catalog.pg_current_wal_insert_lsn(), pg_catalog.pg_current_wal_flush_lsn()",
                   NULL, &res, e))
        return -1;
    if (!s->flush_lsn)
        s->flush_lsn = pg_lsn(res, 0, 0);
    *all = pg_lsn(res, 0, 1) >= s->flush_lsn;
    PQclear(res);
    return pipe_sync(&s->pipe, e);
}

static int pgs_flushed(struct sink *sink, bool *all, struct err *e)
{
    struct pgs *s = pgs_of(sink);
    const char *mode = s->env.target->synchronous_commit;
    *all = !mode || strcmp(mode, "off") != 0 || !s->commit_us;
    if (*all)
        return 0;
    if (!s->pipe.conn || s->in_txn)
        return err_set(e, E_INTERNAL, "flush asked without a session or inside of a transaction");
    int64_t now_us = clock_mono_us(s->env.env->clock);
    if (now_us - s->forced_us >= FORCE_FLUSH_US) {
        s->forced_us = now_us;
        *all = true;
        return force_flush(s, e);
    }
    return ask_flushed(s, all, e);
}

/* ---- the driver ---- */

static int pgs_apply(struct sink *sink, const struct mark *mark, const struct change *changes, int count,
                     bool careful, struct err *e)
{
    struct pgs *s = pgs_of(sink);
    if (pgs_begin(s, e))
        return -1;
    if (mark->kind == MARK_COPY &&
        pgs_copy_mark(s, mark, count ? changes[0].rel : NULL, e))
        return -1;
    /* In a copy a truncate only names a table without rows; what may stand there is decided above. */
    if (mark->kind == MARK_COPY && count == 1 && changes[0].op == OP_TRUNCATE)
        return 0;
    return careful ? pgs_apply_careful(s, changes, count, e) : pgs_apply_fast(s, changes, count, e);
}

static struct sink *pgs_open(const struct sink_env *env, struct err *e)
{
    if (!env->target->url || !*env->target->url) {
        (void) err_set(e, E_CONFIG, "target %s has no url", env->target->name);
        return NULL;
    }
    struct pgs *s = mem_zalloc(1, sizeof *s);
    s->sink.driver = &sink_postgres;
    s->env = *env;
    snprintf(s->part, sizeof s->part, "target %s", env->target->name);
    s->missing_series = metric_series(env->env->metrics, M_APPLY_MISSING, str_of(env->route));
    arena_init(&s->cache, 0, "descriptions of target tables");
    return &s->sink;
}

static void pgs_close(struct sink *sink)
{
    struct pgs *s = pgs_of(sink);
    if (!s)
        return;
    pgs_disconnect(sink);
    pgs_run_free(&s->run);
    arena_free(&s->cache);
    buf_free(&s->text);
    free(s->offsets);
    free(s->values);
    free(s->mask);
    free(s);
}

const struct sink_driver sink_postgres = {
    .name = "postgres",
    .features = SINK_KEEPS_POSITION,
    .open = pgs_open,
    .check = pgs_check,
    .connect = pgs_connect,
    .apply = pgs_apply,
    .commit = pgs_commit,
    .flushed = pgs_flushed,
    .rollback = pgs_rollback,
    .disconnect = pgs_disconnect,
    .close = pgs_close,
};
