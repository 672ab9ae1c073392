/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements in flight on one libpq connection in pipeline mode.
 *
 * Statements are queued and their results taken as they come; memory on both sides stays bounded
 * because every send drains what it filled (bytes) and waits when too many results are owed. The
 * first failure is kept until pipe_reset. Single thread. Waits end when the process is told to
 * stop now; a drain does not end them, because a batch in flight is to be finished.
 */
#ifndef TR_SINKS_POSTGRES_PIPE_H
#define TR_SINKS_POSTGRES_PIPE_H

#include <libpq-fe.h>

#include "agent/base/env.h"
#include "sinks/postgres/table.h"

#define PIPE_OWED_MAX 256

/* What a result is checked against. */
struct pipe_owed {
    enum pipe_owed_kind { OWED_COMMAND, OWED_QUERY, OWED_SYNC } kind;
    const struct pgs_table *table; /* for the message; NULL for our own statements */
    enum pgs_kind what;
    const char *name;              /* our own statement's name for the message */
    int rows;                      /* of the run; -1 = not counted */
};

struct pipe {
    const struct env *env;
    PGconn *conn;
    struct pipe_owed owed[PIPE_OWED_MAX];
    int first, count;
    size_t unflushed;   /* bytes queued since the last flush */
    bool failed;        /* err holds the first failure */
    struct err err;
    PGresult *answer;   /* of the last OWED_QUERY */
    int64_t affected;   /* rows of the last OWED_COMMAND */
    int64_t missing;    /* rows that deletes did not find, since pipe_reset */
};

/* Take over a connected session: nonblocking, pipeline mode. */
int pipe_open(struct pipe *p, const struct env *env, PGconn *conn, struct err *e) MUST_CHECK;
/* Finish the connection and forget all. */
void pipe_close(struct pipe *p);

/* Queue a text (sql) or a prepared statement (name, with sql NULL) with text parameters; NULL
 * values are NULLs. bytes is their size, roughly. -1 when the connection broke. */
struct pipe_call {
    const char *sql, *name;
    int count;
    const char *const *values;
    size_t bytes;
    struct pipe_owed owed;
};
int pipe_send(struct pipe *p, const struct pipe_call *call, struct err *e) MUST_CHECK;
/* Queue the preparation of a statement. */
int pipe_prepare(struct pipe *p, const char *name, const char *sql, const struct pipe_owed *owed,
                 struct err *e) MUST_CHECK;

/* End the stretch: Sync, then wait for all results. -1 with the first failure since the last one. */
int pipe_sync(struct pipe *p, struct err *e) MUST_CHECK;

/* Wait for all results without ending the stretch. */
int pipe_drain(struct pipe *p, struct err *e) MUST_CHECK;

/* One query and its rows, after all that was queued before it; what names the attempt in a
 * message. values end with a NULL; NULL for none. The caller clears *res. */
int pipe_query(struct pipe *p, const char *what, const char *sql, const char *const *values,
               PGresult **res, struct err *e) MUST_CHECK;
/* One statement without rows, at once. */
int pipe_run(struct pipe *p, const char *name, const char *sql, struct err *e) MUST_CHECK;

/* Forget failure and counts. */
void pipe_reset(struct pipe *p);

/* The error of a failed result in our words: table, key columns, SQLSTATE, kind; no values. */
int pipe_error(struct err *e, const PGconn *conn, const PGresult *res, const struct pipe_owed *owed);

/* Our code for a SQLSTATE of a statement on a table. */
enum err_code pipe_error_code(const char *sqlstate);

#endif
