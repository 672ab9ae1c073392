/* SPDX-License-Identifier: Apache-2.0
 *
 * First copy: what may stand in a table before its first chunk.
 *
 * tailrace.copy remembers which copy filled a table and whether it came to its end. Rows that an
 * earlier copy of ours left are taken away when a newer one begins, since rows deleted on the
 * source between the two would stay for ever. Rows of others are for the option "existing".
 */
#include <stdlib.h>

#include "agent/net/pg.h"
#include "schemas/envelope.h"
#include "sinks/postgres/session.h"

struct earlier {
    bool known; /* there was a copy of this table for this route */
    bool same;  /* it is this very copy */
    struct buf table; /* SQL name of the table it filled */
};

static int ask_earlier(struct pgs *s, const char *topic, const char *lsn, struct earlier *was,
                       struct err *e)
{
    PGresult *res;
    const char *values[] = {s->env.route, topic, lsn, NULL};
    if (pipe_query(&s->pipe, "look for an earlier copy",
                   "SELECT copy_lsn = $3::pg_catalog.pg_lsn, table_schema, table_name,"
                   " pg_catalog.to_regclass(pg_catalog.quote_ident(table_schema) || '.' ||"
                   " pg_catalog.quote_ident(table_name)) IS NOT NULL"
                   " FROM tailrace.copy WHERE route = $1 AND topic = $2", values, &res, e))
        return -1;
    was->known = PQntuples(res) > 0 && pg_bool(res, 0, 3);
    was->same = was->known && pg_bool(res, 0, 0);
    if (was->known)
        pg_add_table(&was->table, pg_text(res, 0, 1), pg_text(res, 0, 2));
    PQclear(res);
    return 0;
}

/* TRUNCATE where it is allowed and no foreign key points here, DELETE otherwise. */
static int clear_table(struct pgs *s, struct str table, struct err *e)
{
    PGresult *res;
    struct buf sql = BUF_INIT;
    char *name = mem_strndup(table);
    const char *values[] = {name, NULL};
    int done = pipe_query(&s->pipe, "look at the table to clear",
                          "SELECT pg_catalog.has_table_privilege($1::pg_catalog.regclass, 'TRUNCATE') AND NOT EXISTS"
                          " (SELECT FROM pg_catalog.pg_constraint WHERE contype = 'f' AND confrelid = $1::pg_catalog.regclass)",
                          values, &res, e);
    free(name);
    if (done)
        return -1;
    buf_addf(&sql, "%s %.*s", pg_bool(res, 0, 0) ? "TRUNCATE TABLE" : "DELETE FROM", STR_ARG(table));
    PQclear(res);
    done = pipe_run(&s->pipe, "clear a table before its copy", sql.p, e);
    buf_free(&sql);
    if (!done)
        log_info(s->env.env->log, s->part, "cleared %.*s for its copy", STR_ARG(table));
    return done;
}

static int has_rows(struct pgs *s, const struct pgs_table *t, bool *rows, struct err *e)
{
    PGresult *res;
    struct buf sql = BUF_INIT;
    buf_addf(&sql, "SELECT EXISTS (SELECT FROM %.*s)", STR_ARG(t->sql));
    int done = pipe_query(&s->pipe, "look for rows before the copy", sql.p, NULL, &res, e);
    buf_free(&sql);
    if (done)
        return -1;
    *rows = pg_bool(res, 0, 0);
    PQclear(res);
    return 0;
}

/* Rows that are not ours. */
static int meet_existing(struct pgs *s, const struct pgs_table *t, struct err *e)
{
    bool rows;
    if (s->env.target->existing == EXISTING_KEEP)
        return 0;
    if (has_rows(s, t, &rows, e))
        return -1;
    if (!rows)
        return 0;
    if (s->env.target->existing == EXISTING_CLEAR)
        return clear_table(s, t->sql, e);
    (void) err_set(e, E_TARGET_TABLE, "table %.*s on the target has rows that are not from here",
                   STR_ARG(t->label));
    return err_hint(e, "empty it, or set existing: keep (upsert over them) or existing: clear; "
                       "it then goes on by itself");
}

static int remember(struct pgs *s, const char *topic, const char *lsn, const struct relation *rel,
                    struct err *e)
{
    struct str none = STR("");
    char *space = mem_strndup(rel ? pgs_space(s, rel) : none), *name = mem_strndup(rel ? rel->name : none);
    const char *values[] = {s->env.route, topic, space, name, lsn, NULL};
    PGresult *res;
    int done = pipe_query(&s->pipe, "remember the copy",
                          "INSERT INTO tailrace.copy VALUES ($1, $2, $3, $4, $5::pg_catalog.pg_lsn,"
                          " false, pg_catalog.clock_timestamp()) ON CONFLICT (route, topic) DO UPDATE SET"
                          " table_schema = EXCLUDED.table_schema, table_name = EXCLUDED.table_name,"
                          " copy_lsn = EXCLUDED.copy_lsn, done = false, updated_at = EXCLUDED.updated_at"
                          " RETURNING done", values, &res, e);
    free(space);
    free(name);
    if (!done)
        PQclear(res);
    return done;
}

static int begin_copy(struct pgs *s, const char *topic, uint64_t at_lsn, const struct relation *rel,
                      struct err *e)
{
    char lsn[LSN_TEXT_LEN];
    lsn_text(at_lsn, lsn);
    struct earlier was = {0};
    struct pgs_table *t = NULL;
    int done = ask_earlier(s, topic, lsn, &was, e);
    if (!done && rel && was.known && !was.same)
        done = pgs_follow_forget(s, rel, e);
    if (!done && rel)
        done = pgs_table(s, rel, at_lsn, &t, e);
    if (!done && was.known && !was.same)
        done = clear_table(s, buf_str(&was.table), e);
    else if (!done && !was.known && t)
        done = meet_existing(s, t, e);
    if (!done && !was.same)
        done = remember(s, topic, lsn, rel, e);
    buf_free(&was.table);
    return done;
}

static int end_copy(struct pgs *s, const char *topic, struct err *e)
{
    const char *values[] = {s->env.route, topic, NULL};
    PGresult *res;
    if (pipe_query(&s->pipe, "remember the end of the copy",
                   "UPDATE tailrace.copy SET done = true, updated_at = pg_catalog.clock_timestamp()"
                   " WHERE route = $1 AND topic = $2 RETURNING done", values, &res, e))
        return -1;
    PQclear(res);
    return 0;
}

/* The descriptions of the topic's table tell whether its copy is under way. */
static void tell_tables(struct pgs *s, struct str topic, bool incomplete)
{
    struct arena a;
    struct str prefix = str_of(s->env.config->name);
    arena_init(&a, 0, "name of a topic");
    for (size_t bucket = 0; bucket < PGS_BUCKETS; bucket++)
        for (struct pgs_table *t = s->tables[bucket]; t; t = t->next) {
            if (str_eq(envelope_topic(&a, prefix, t->rel->space, t->rel->name), topic))
                t->incomplete = incomplete && t->rel->key_count;
            arena_reset(&a);
        }
    arena_free(&a);
}

int pgs_copy_mark(struct pgs *s, const struct mark *mark, const struct relation *rel, struct err *e)
{
    if (!(mark->flags & (MARK_COPY_FIRST | MARK_COPY_LAST)))
        return 0;
    char *topic = mem_strndup(mark->topic);
    int done = 0;
    if (mark->flags & MARK_COPY_FIRST)
        done = begin_copy(s, topic, mark->pos.lsn, rel, e);
    if (!done && mark->flags & MARK_COPY_LAST)
        done = end_copy(s, topic, e);
    if (!done)
        tell_tables(s, mark->topic, !(mark->flags & MARK_COPY_LAST));
    free(topic);
    return done;
}
