/* SPDX-License-Identifier: Apache-2.0
 *
 * The pipeline: libpq in nonblocking mode, one poll loop that writes and reads together.
 *
 * A pipeline deadlocks when the client only writes and the server, its own output full, stops
 * reading; so every wait for writing also reads. Without a Sync the server keeps its answers in a
 * buffer, hence a flush request before every wait for results.
 */
#include "sinks/postgres/pipe.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "agent/net/pg.h"

#define FLUSH_BYTES ((size_t) 64 << 10)
#define POLL_MS 100

int pipe_open(struct pipe *p, const struct env *env, PGconn *conn, struct err *e)
{
    *p = (struct pipe){.env = env, .conn = conn};
    if (PQsetnonblocking(conn, 1) != 0 || !PQenterPipelineMode(conn))
        return err_set(e, E_PG_CONNECT, "pipeline mode cannot be entered");
    return 0;
}

void pipe_close(struct pipe *p)
{
    PQclear(p->answer);
    PQfinish(p->conn);
    *p = (struct pipe){0};
}

void pipe_reset(struct pipe *p)
{
    p->failed = false;
    p->missing = 0;
    err_clear(&p->err);
}

static int broken(struct pipe *p, struct err *e)
{
    return err_set(e, E_PG_CONNECT, "connection to the target was lost%s",
                   PQstatus(p->conn) == CONNECTION_OK ? " while sending" : "");
}

static void keep_error(struct pipe *p, const PGresult *res, const struct pipe_owed *owed)
{
    if (p->failed)
        return;
    p->failed = true;
    (void) pipe_error(&p->err, p->conn, res, owed);
}

/* Rows that a delete should have found and did not. */
static void count_rows(struct pipe *p, const PGresult *res, const struct pipe_owed *owed)
{
    int64_t rows = 0;
    if (!str_to_i64(str_of(PQcmdTuples((PGresult *) (uintptr_t) res)), &rows))
        rows = 0;
    p->affected = rows;
    if (!owed->table || owed->rows < 0 || rows >= owed->rows)
        return;
    if (owed->what == PGS_DELETE || owed->what == PGS_DELETE_ROW)
        p->missing += owed->rows - rows;
}

static void drop_first(struct pipe *p)
{
    p->first = (p->first + 1) % PIPE_OWED_MAX;
    p->count--;
}

static void take_result(struct pipe *p, PGresult *res)
{
    const struct pipe_owed *owed = &p->owed[p->first];
    switch (PQresultStatus(res)) {
    case PGRES_COMMAND_OK:
        count_rows(p, res, owed);
        break;
    case PGRES_TUPLES_OK:
        if (owed->kind == OWED_QUERY) {
            PQclear(p->answer);
            p->answer = res;
            return;
        }
        break;
    case PGRES_PIPELINE_SYNC:
        drop_first(p);
        break;
    case PGRES_PIPELINE_ABORTED:
        break;
    default:
        keep_error(p, res, owed);
    }
    PQclear(res);
}

/* Take the results that are here. A statement's results end with a NULL, a Sync's does not. */
static void take_results(struct pipe *p)
{
    while (p->count > 0 && !PQisBusy(p->conn)) {
        PGresult *res = PQgetResult(p->conn);
        if (res)
            take_result(p, res);
        else if (p->owed[p->first].kind != OWED_SYNC)
            drop_first(p);
        else
            break;
    }
}

/* Until everything queued is written and at most owed_max results are owed. */
static int turn(struct pipe *p, int owed_max, struct err *e)
{
    for (;;) {
        int unsent = PQflush(p->conn);
        if (unsent < 0 || PQstatus(p->conn) != CONNECTION_OK)
            return broken(p, e);
        take_results(p);
        if (!unsent && p->count <= owed_max) {
            p->unflushed = 0;
            return 0;
        }
        struct pollfd fd = {.fd = PQsocket(p->conn),
                            .events = (short) (POLLIN | (unsent ? POLLOUT : 0))};
        int ready = poll(&fd, 1, POLL_MS);
        if (env_stop(p->env) == STOP_NOW)
            return err_set(e, E_STOPPED, "stopped while the target was at work");
        if (ready < 0 && errno != EINTR)
            return err_set(e, E_SYSTEM, "poll of the target's connection failed: %s", strerror(errno));
        if (ready > 0 && (fd.revents & (POLLIN | POLLERR | POLLHUP)) && !PQconsumeInput(p->conn))
            return broken(p, e);
    }
}

/* Owe one more result; makes room first. */
static int owe(struct pipe *p, const struct pipe_owed *owed, struct err *e)
{
    p->owed[(p->first + p->count++) % PIPE_OWED_MAX] = *owed;
    if (p->unflushed >= FLUSH_BYTES && turn(p, PIPE_OWED_MAX, e))
        return -1;
    if (p->count < PIPE_OWED_MAX - 2)
        return 0;
    if (!PQsendFlushRequest(p->conn))
        return broken(p, e);
    return turn(p, PIPE_OWED_MAX / 2, e);
}

int pipe_send(struct pipe *p, const struct pipe_call *call, struct err *e)
{
    int sent = call->sql ? PQsendQueryParams(p->conn, call->sql, call->count, NULL, call->values,
                                             NULL, NULL, 0)
                         : PQsendQueryPrepared(p->conn, call->name, call->count, call->values, NULL,
                                               NULL, 0);
    if (!sent)
        return broken(p, e);
    p->unflushed += call->bytes + 64;
    return owe(p, &call->owed, e);
}

int pipe_prepare(struct pipe *p, const char *name, const char *sql, const struct pipe_owed *owed,
                 struct err *e)
{
    struct pipe_owed none = *owed;
    none.rows = -1;
    if (!PQsendPrepare(p->conn, name, sql, 0, NULL))
        return broken(p, e);
    p->unflushed += strlen(sql) + 64;
    return owe(p, &none, e);
}

int pipe_sync(struct pipe *p, struct err *e)
{
    static const struct pipe_owed sync = {.kind = OWED_SYNC, .rows = -1};
    if (!PQpipelineSync(p->conn))
        return broken(p, e);
    if (owe(p, &sync, e) || turn(p, 0, e))
        return -1;
    if (p->failed)
        *e = p->err;
    return p->failed ? -1 : 0;
}

int pipe_drain(struct pipe *p, struct err *e)
{
    if (p->count && (!PQsendFlushRequest(p->conn) || turn(p, 0, e)))
        return e->code ? -1 : broken(p, e);
    if (p->failed)
        *e = p->err;
    return p->failed ? -1 : 0;
}

int pipe_query(struct pipe *p, const char *what, const char *sql, const char *const *values,
               PGresult **res, struct err *e)
{
    struct pipe_call call = {.sql = sql, .values = values,
                             .owed = {.kind = OWED_QUERY, .name = what, .rows = -1}};
    *res = NULL;
    while (values && values[call.count])
        call.count++;
    if (pipe_send(p, &call, e) || pipe_drain(p, e))
        return -1;
    *res = p->answer;
    p->answer = NULL;
    if (!*res)
        return err_set(e, E_INTERNAL, "%s gave no rows and no error", what);
    return 0;
}

int pipe_run(struct pipe *p, const char *name, const char *sql, struct err *e)
{
    struct pipe_call call = {.sql = sql, .owed = {.kind = OWED_COMMAND, .name = name, .rows = -1}};
    if (pipe_send(p, &call, e))
        return -1;
    return pipe_drain(p, e);
}

/* ---- errors ---- */

struct code_row {
    const char *sqlstate; /* a prefix */
    enum err_code code;
};

/* PostgreSQL's appendix "Error Codes". The first prefix that fits decides; what is not here is
 * classed as for every other statement. */
static const struct code_row code_rows[] = {
    {"22", E_TARGET_ROW},      /* data exception */
    {"23", E_TARGET_ROW},      /* integrity constraint violation */
    {"44", E_TARGET_ROW},      /* WITH CHECK OPTION violation */
    {"54000", E_TARGET_ROW},   /* row or index entry too big */
    {"P0", E_TARGET_ROW},      /* RAISE in a trigger */
    {"0A000", E_TARGET_TABLE}, /* truncate of a referenced table, and the like */
    {"42501", E_PG_RIGHT},     /* insufficient privilege */
    {"42", E_TARGET_TABLE},    /* undefined or mismatched table, column, type, conflict target */
    {"3F", E_TARGET_TABLE},    /* undefined schema */
    {"55000", E_TARGET_TABLE}, /* not in a state for it: view without trigger, unlogged... */
    {"57014", E_PG_RETRY},     /* cancelled: statement_timeout */
};

enum err_code pipe_error_code(const char *sqlstate)
{
    for (size_t at = 0; at < sizeof code_rows / sizeof code_rows[0]; at++)
        if (str_starts(str_of(sqlstate), code_rows[at].sqlstate))
            return code_rows[at].code;
    return pg_err_code(sqlstate);
}

/* The server's own sentence may quote a value in classes 22, 23, 44 and P0: there only the names
 * that it gives apart are told. */
static void add_detail(struct buf *out, const PGresult *res, bool item)
{
    static const struct { int field; const char *word; } fields[] = {
        {PG_DIAG_CONSTRAINT_NAME, "constraint"},
        {PG_DIAG_COLUMN_NAME, "column"},
        {PG_DIAG_DATATYPE_NAME, "type"},
    };
    const char *said = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    if (!item && said)
        buf_addf(out, ": %s", said);
    for (size_t at = 0; item && at < sizeof fields / sizeof fields[0]; at++) {
        const char *text = PQresultErrorField(res, fields[at].field);
        if (text)
            buf_addf(out, ", %s %s", fields[at].word, text);
    }
}

static const char *item_words(const char *sqlstate)
{
    static const struct { const char *sqlstate, *words; } rows[] = {
        {"23505", "a unique value is there already"}, {"23503", "a foreign key is not met"},
        {"23502", "a value is missing (NOT NULL)"},   {"23514", "a check constraint is not met"},
        {"23P01", "an exclusion constraint is not met"}, {"22001", "a text is too long"},
        {"22003", "a number is out of range"},        {"22P02", "a text is no value of its type"},
        {"22P05", "a character is not in the target's encoding"}, {"P0001", "a trigger refused it"},
        {"54000", "the row or an index entry is too big"},
    };
    for (size_t at = 0; at < sizeof rows / sizeof rows[0]; at++)
        if (!strcmp(rows[at].sqlstate, sqlstate))
            return rows[at].words;
    return "the data is refused";
}

int pipe_error(struct err *e, const PGconn *conn, const PGresult *res, const struct pipe_owed *owed)
{
    const char *sqlstate = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    if (!sqlstate)
        return pg_err(e, conn, res, owed->name ? owed->name : "apply");
    if (!owed->table && !strcmp(sqlstate, "22012")) {
        /* the watermark's own guard */
        (void) err_set(e, E_PG_RETRY, "another session moved the watermark of this route");
        return err_hint(e, "it is tried again from where the target stands; if it stays, two "
                           "processes use one route name on this target");
    }
    if (!owed->table && pipe_error_code(sqlstate) != E_TARGET_ROW)
        return pg_err(e, conn, res, owed->name ? owed->name : "apply");
    bool update = owed->what == PGS_UPDATE || owed->what == PGS_UPDATE_ROW;
    if (update && !strcmp(sqlstate, PGS_NO_ROW_SQLSTATE))
        return err_set(e, E_TARGET_ROW, "update of %.*s (key %.*s) found no row on the target",
                       STR_ARG(owed->table->label),
                       STR_ARG(owed->table->keys.len ? owed->table->keys : STR("none")));
    enum err_code code = pipe_error_code(sqlstate);
    bool item = code == E_TARGET_ROW;
    struct buf detail = {.max = sizeof e->msg};
    add_detail(&detail, res, item);
    if (owed->table)
        (void) err_set(e, code, "%s %.*s (key %.*s) failed: %s%s", pgs_kind_words(owed->what),
                       STR_ARG(owed->table->label),
                       STR_ARG(owed->table->keys.len ? owed->table->keys : STR("none")),
                       item ? item_words(sqlstate) : "SQLSTATE ", item ? "" : sqlstate);
    else
        (void) err_set(e, code, "%s failed: %s", owed->name, item_words(sqlstate));
    size_t len = strlen(e->msg);
    if (detail.len < sizeof e->msg - len)
        memcpy(e->msg + len, detail.p ? detail.p : "", detail.len + 1);
    buf_free(&detail);
    memcpy(e->sqlstate, sqlstate, 5);
    e->sqlstate[5] = 0;
    return -1;
}
