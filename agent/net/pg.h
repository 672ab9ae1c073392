/* SPDX-License-Identifier: Apache-2.0
 *
 * libpq with our errors, our session settings and our wish to stop.
 *
 * Statements and connects go on during STOP_DRAIN (whoever drains needs them) and end at STOP_NOW;
 * pg_wait tells of either. Errors carry the SQLSTATE and are classed by it:
 * 28xxx auth; 42501 right; 08, 57P, 53, 40, 55P03, 25006 retry; 22, 23 item; the rest query.
 * Rule of the classes: PostgreSQL appendix "Error Codes". Connection strings never reach a message.
 */
#ifndef TR_NET_PG_H
#define TR_NET_PG_H

#include <libpq-fe.h>

#include "agent/base/env.h"

enum pg_kind {
    PG_SQL,         /* ordinary session */
    PG_REPLICATION, /* replication=database */
    PG_PHYSICAL,    /* replication=true: only to test that pg_hba refuses it */
};

/* Connect within 10 s a host. Sets application_name "tailrace/<role>", client_encoding UTF8,
 * DateStyle ISO, IntervalStyle postgres, TimeZone UTC, extra_float_digits 3, bytea_output hex,
 * lc_monetary C, row_security off, idle_in_transaction_session_timeout 0, lock_timeout and
 * statement_timeout 0, TCP keepalives; for replication also wal_sender_timeout 10s and an empty
 * search_path, so that names in values say their schema. Warnings of the server are logged.
 * NULL and err on failure. */
PGconn *pg_connect(const struct env *env, const char *dsn, enum pg_kind kind, const char *role,
                   struct err *e) MUST_CHECK;

/* Run one statement and return its result (PGRES_COMMAND_OK, PGRES_TUPLES_OK, or PGRES_COPY_*);
 * NULL and err otherwise. Waits at most wait_ms (0 = for ever), cancels the statement on timeout
 * or STOP_NOW. what names the attempt in the message: "create slot tailrace_shop". Afterwards the
 * connection is in libpq's blocking mode. */
PGresult *pg_exec(const struct env *env, PGconn *c, const char *what, const char *sql, int64_t wait_ms,
                  struct err *e) MUST_CHECK;
/* The same with text parameters. */
PGresult *pg_exec_params(const struct env *env, PGconn *c, const char *what, const char *sql, int count,
                         const char *const *values, int64_t wait_ms, struct err *e) MUST_CHECK;

/* For statements without a result of interest. */
int pg_run(const struct env *env, PGconn *c, const char *what, const char *sql, struct err *e) MUST_CHECK;

/* Fill e from a failed result (or the connection when res is NULL). Returns -1. */
int pg_err(struct err *e, const PGconn *c, const PGresult *res, const char *what);

/* Code for a SQLSTATE; res may be lost: sqlstate "" means the connection broke. */
enum err_code pg_err_code(const char *sqlstate);

/* Wait until the socket is readable (or writable), wake_fd is, stop is set, or wait_us passed.
 * Returns a mask of PG_WAIT_. Negative wait_us = for ever. extra_fd may be -1. */
#define PG_WAIT_SOCKET 1
#define PG_WAIT_EXTRA 2
#define PG_WAIT_STOP 4
int pg_wait(const struct env *env, PGconn *c, bool write, int extra_fd, int64_t wait_us);

/* Append a quoted identifier, a quoted "space"."name", a quoted literal (E'' never needed). */
void pg_add_ident(struct buf *out, struct str name);
void pg_add_table(struct buf *out, struct str space, struct str name);
void pg_add_literal(struct buf *out, struct str text);

/* Column of a result as a view; NULL values give the empty one. */
struct str pg_text(const PGresult *res, int row, int col);
int64_t pg_int(const PGresult *res, int row, int col);
bool pg_bool(const PGresult *res, int row, int col);
uint64_t pg_lsn(const PGresult *res, int row, int col);

/* (system identifier, timeline) of the server, by IDENTIFY_SYSTEM on a replication connection. */
int pg_identify(const struct env *env, PGconn *c, uint64_t *system_id, uint32_t *timeline, uint64_t *lsn,
                struct err *e) MUST_CHECK;

/* Microseconds since 1970 for a PostgreSQL timestamp (microseconds since 2000). */
#define PG_EPOCH_US INT64_C(946684800000000)

#endif
