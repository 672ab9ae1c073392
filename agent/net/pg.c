/* SPDX-License-Identifier: Apache-2.0
 *
 * libpq without its blocking calls.
 *
 * Statements are sent and read in non-blocking mode around one poll, so that a server that hangs,
 * a firewall that drops and a wish to stop are all seen. A drain (STOP_DRAIN) lets statements end,
 * since the parts that drain need them; only STOP_NOW cuts a statement short. While the stop
 * descriptor is readable but not meant for us, it is left out of the poll and looked at by time.
 */
#include "config.h" /* ppoll */

#include "agent/net/pg.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CONNECT_MS 10000     /* for each host that the connection string names */
#define CANCEL_MS 2000       /* for a cancelled statement to end */
#define DRAIN_LOOK_US 100000 /* how often the stop mode is read again during a drain */
#define NO_DEADLINE INT64_MAX

/* ---- waiting ---- */

static int poll_us(struct pollfd *fds, nfds_t count, int64_t wait_us)
{
    struct timespec time = {wait_us / 1000000, wait_us % 1000000 * 1000};
    return ppoll(fds, count, wait_us < 0 ? NULL : &time, NULL);
}

int pg_wait(const struct env *env, PGconn *c, bool write, int extra_fd, int64_t wait_us)
{
    struct pollfd fds[3] = {
        {.fd = PQsocket(c), .events = write ? POLLIN | POLLOUT : POLLIN},
        {.fd = extra_fd, .events = POLLIN},
        {.fd = env->stop_fd, .events = POLLIN},
    };
    int mask = env_stop(env) == STOP_NONE ? 0 : PG_WAIT_STOP;
    if (poll_us(fds, 3, mask ? 0 : wait_us) > 0) {
        mask |= fds[0].revents ? PG_WAIT_SOCKET : 0;
        mask |= fds[1].revents ? PG_WAIT_EXTRA : 0;
        mask |= fds[2].revents ? PG_WAIT_STOP : 0;
    }
    return mask;
}

/* Wait for the socket until deadline_us (monotonic); E_TIMEOUT or, at STOP_NOW, E_STOPPED. */
static int wait_socket(const struct env *env, PGconn *c, short events, int64_t deadline_us,
                       const char *what, struct err *e)
{
    for (;;) {
        enum stop_mode stop = env_stop(env);
        if (stop == STOP_NOW)
            return err_set(e, E_STOPPED, "%s: asked to stop while waiting for PostgreSQL", what);
        int64_t left_us = -1;
        if (deadline_us != NO_DEADLINE) {
            left_us = deadline_us - clock_mono_us(env->clock);
            if (left_us <= 0)
                return err_set(e, E_TIMEOUT, "%s: no answer from PostgreSQL in time", what);
        }
        struct pollfd fds[2] = {
            {.fd = PQsocket(c), .events = events},
            {.fd = stop == STOP_NONE ? env->stop_fd : -1, .events = POLLIN},
        };
        if (stop != STOP_NONE && (left_us < 0 || left_us > DRAIN_LOOK_US))
            left_us = DRAIN_LOOK_US;
        int ready = poll_us(fds, 2, left_us);
        if (ready < 0 && errno != EINTR)
            return err_set(e, E_SYSTEM, "%s: poll failed with errno %d", what, errno);
        if (ready > 0 && fds[0].revents)
            return 0;
    }
}

static int64_t deadline_of(const struct env *env, int64_t wait_ms)
{
    return wait_ms > 0 ? clock_mono_us(env->clock) + wait_ms * 1000 : NO_DEADLINE;
}

/* ---- errors ---- */

enum err_code pg_err_code(const char *sqlstate)
{
    static const struct {
        const char *prefix;
        enum err_code code;
    } rows[] = {
        {"28", E_PG_AUTH},   {"42501", E_PG_RIGHT}, {"08", E_PG_RETRY},    {"57", E_PG_RETRY},
        {"53", E_PG_RETRY},  {"40", E_PG_RETRY},    {"55P03", E_PG_RETRY}, {"25006", E_PG_RETRY},
        {"58", E_PG_RETRY},  {"22", E_TARGET_ROW},  {"23", E_TARGET_ROW},
    };
    if (!sqlstate || !*sqlstate)
        return E_PG_CONNECT;
    for (size_t at = 0; at < sizeof rows / sizeof *rows; at++)
        if (strncmp(sqlstate, rows[at].prefix, strlen(rows[at].prefix)) == 0)
            return rows[at].code;
    return E_PG_QUERY;
}

/* One line of text without trailing blanks. With hide, what stands in double quotes is left out:
 * messages of class 22 quote the value that did not fit. */
static void one_line(const char *text, bool hide, char *out, size_t room)
{
    size_t len = 0;
    bool quoted = false;
    for (; *text && len + 4 < room; text++) {
        if (hide && *text == '"') {
            quoted = !quoted;
            if (!quoted)
                len += (size_t) snprintf(out + len, room - len, "...");
            continue;
        }
        if (hide && quoted)
            continue;
        bool space = isspace((unsigned char) *text);
        if (!space || (len && out[len - 1] != ' '))
            out[len++] = space ? ' ' : *text;
    }
    while (len && out[len - 1] == ' ')
        len--;
    out[len] = 0;
}

int pg_err(struct err *e, const PGconn *c, const PGresult *res, const char *what)
{
    const char *state = res ? PQresultErrorField(res, PG_DIAG_SQLSTATE) : NULL;
    const char *text = res ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    char line[600];
    if (!text)
        text = res ? PQresultErrorMessage(res) : c ? PQerrorMessage(c) : "";
    one_line(text, state && strncmp(state, "22", 2) == 0, line, sizeof line);
    err_set(e, pg_err_code(state), "%s: %s", what, *line ? line : "connection to PostgreSQL is gone");
    snprintf(e->sqlstate, sizeof e->sqlstate, "%s", state ? state : "");
    return -1;
}

/* libpq tells the SQLSTATE of a refused connection only as text, "FATAL:  28P01: ..." in verbose
 * mode; the last one counts when several hosts were tried. */
static int connect_err(PGconn *c, const char *role, struct err *e)
{
    const char *message = PQerrorMessage(c);
    char state[6] = "", line[600], text[600];
    size_t len = 0;
    for (const char *at = strstr(message, ":  "); at; at = strstr(at + 1, ":  "))
        if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && at[8] == ':')
            memcpy(state, at + 3, 5);
    /* The place in the server's source is of no use here. */
    for (const char *at = message; *at && len + 1 < sizeof text;) {
        size_t line_len = strcspn(at, "\n");
        if (strncmp(at, "LOCATION:", 9) != 0 && len + line_len + 2 < sizeof text) {
            memcpy(text + len, at, line_len);
            len += line_len;
            text[len++] = '\n';
        }
        at += line_len + (at[line_len] ? 1 : 0);
    }
    text[len] = 0;
    one_line(text, false, line, sizeof line);
    enum err_code code = *state ? pg_err_code(state)
                         : PQconnectionNeedsPassword(c) ? E_PG_AUTH : E_PG_CONNECT;
    err_set(e, code, "%s: %s", role, line);
    memcpy(e->sqlstate, state, sizeof e->sqlstate);
    return -1;
}

/* ---- connecting ---- */

/* Warnings of the server go to the log; notices only when debugging. */
static void log_notice(void *self, const PGresult *res)
{
    const struct env *env = self;
    const char *severity = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *text = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    bool warning = severity && strcmp(severity, "WARNING") == 0;
    log_line(env->log, warning ? LOG_LEVEL_WARN : LOG_LEVEL_DEBUG, "postgres", "%s",
             text ? text : "notice without text");
}

/* What the connection string says: its options, and how many hosts it names. */
static int read_dsn(const char *dsn, const char *role, struct buf *options, int *hosts,
                    struct err *e)
{
    char *why = NULL;
    PQconninfoOption *list = PQconninfoParse(dsn, &why);
    PQfreemem(why); /* may quote the secret */
    if (!list)
        return err_set(e, E_CONFIG, "%s: connection string cannot be parsed", role);
    *hosts = 1;
    for (const PQconninfoOption *o = list; o->keyword; o++) {
        if (!o->val)
            continue;
        if (strcmp(o->keyword, "options") == 0) {
            buf_add_text(options, o->val);
            buf_add_char(options, ' ');
        } else if (strcmp(o->keyword, "host") == 0) {
            for (const char *at = o->val; *at; at++)
                *hosts += *at == ',';
        }
    }
    PQconninfoFree(list);
    return 0;
}

static void add_settings(struct buf *options, enum pg_kind kind)
{
    buf_add_text(options,
                 "-c DateStyle=ISO -c IntervalStyle=postgres -c TimeZone=UTC -c extra_float_digits=3 "
                 "-c bytea_output=hex -c lc_monetary=C -c row_security=off "
                 "-c idle_in_transaction_session_timeout=0 -c lock_timeout=0 "
                 /* the server, too, finds out within 20 s that our host is gone */
                 "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=3 -c tcp_keepalives_count=3 "
                 "-c statement_timeout=0");
    /* An empty path makes names in values (regclass and its kin) say their schema. */
    if (kind == PG_REPLICATION)
        buf_add_text(options, " -c wal_sender_timeout=10s -c client_min_messages=notice "
                              "-c search_path=");
}

static PGconn *start(const char *dsn, enum pg_kind kind, const char *options, const char *role)
{
    static const char *const replication[] = {
        [PG_SQL] = NULL, [PG_REPLICATION] = "database", [PG_PHYSICAL] = "true"};
    char name[64];
    snprintf(name, sizeof name, "tailrace/%s", role);
    /* Before dbname: defaults that the connection string may change; behind it: what it may not. */
    const char *keys[] = {"keepalives", "keepalives_idle", "keepalives_interval",
                          "keepalives_count", "tcp_user_timeout", "dbname", "application_name",
                          "client_encoding", "options", "replication", NULL};
    const char *values[] = {"1", "10", "3", "3", "10000", dsn, name, "UTF8", options,
                            replication[kind], NULL};
    return PQconnectStartParams(keys, values, 1);
}

static int finish_connect(const struct env *env, PGconn *c, int64_t wait_ms, const char *role,
                          struct err *e)
{
    int64_t deadline_us = deadline_of(env, wait_ms);
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    if (PQstatus(c) == CONNECTION_BAD)
        return connect_err(c, role, e);
    while (next != PGRES_POLLING_OK) {
        short events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (wait_socket(env, c, events, deadline_us, role, e))
            return -1;
        next = PQconnectPoll(c);
        if (next == PGRES_POLLING_FAILED)
            return connect_err(c, role, e);
    }
    return 0;
}

PGconn *pg_connect(const struct env *env, const char *dsn, enum pg_kind kind, const char *role,
                   struct err *e)
{
    struct buf options = BUF_INIT;
    PGconn *c = NULL;
    int hosts = 1;
    if (read_dsn(dsn, role, &options, &hosts, e))
        goto done;
    add_settings(&options, kind);
    c = start(dsn, kind, options.p, role);
    if (!c) {
        err_set(e, E_SYSTEM, "%s: no memory for a connection", role);
        goto done;
    }
    PQsetErrorVerbosity(c, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(c, log_notice, (void *) (uintptr_t) env);
    if (finish_connect(env, c, (int64_t) CONNECT_MS * hosts, role, e)) {
        if (e->code == E_TIMEOUT)
            err_set(e, E_PG_CONNECT, "%s: no connection to PostgreSQL in time", role);
        PQfinish(c);
        c = NULL;
        goto done;
    }
    PQsetErrorVerbosity(c, PQERRORS_DEFAULT);
done:
    buf_free(&options);
    return c;
}

/* ---- statements ---- */

static bool is_copy(const PGresult *res)
{
    ExecStatusType status = PQresultStatus(res);
    return status == PGRES_COPY_OUT || status == PGRES_COPY_IN || status == PGRES_COPY_BOTH;
}

static int flush_out(const struct env *env, PGconn *c, int64_t deadline_us, const char *what,
                     struct err *e)
{
    int left;
    while ((left = PQflush(c)) > 0) {
        if (wait_socket(env, c, POLLIN | POLLOUT, deadline_us, what, e))
            return -1;
        if (!PQconsumeInput(c))
            return pg_err(e, c, NULL, what);
    }
    return left < 0 ? pg_err(e, c, NULL, what) : 0;
}

/* The last result of what was sent, or the first that fails; NULL with err when waiting failed. */
static PGresult *collect(const struct env *env, PGconn *c, int64_t deadline_us, const char *what,
                         struct err *e)
{
    PGresult *kept = NULL;
    for (;;) {
        while (PQisBusy(c)) {
            if (wait_socket(env, c, POLLIN, deadline_us, what, e)) {
                PQclear(kept);
                return NULL;
            }
            if (!PQconsumeInput(c))
                break; /* the next result tells the reason */
        }
        PGresult *res = PQgetResult(c);
        if (!res)
            break;
        if (kept && PQresultStatus(kept) == PGRES_FATAL_ERROR) {
            PQclear(res);
            continue;
        }
        PQclear(kept);
        kept = res;
        if (is_copy(res) || PQstatus(c) == CONNECTION_BAD)
            break;
    }
    if (!kept)
        pg_err(e, c, NULL, what);
    return kept;
}

/* Ask the server to end the statement and take its answer, so that the connection stays usable. */
static void cancel(const struct env *env, PGconn *c)
{
    char why[256];
    struct err ignored = ERR_INIT;
    PGcancel *handle = PQgetCancel(c);
    if (handle && PQcancel(handle, why, sizeof why) && env_stop(env) != STOP_NOW)
        PQclear(collect(env, c, deadline_of(env, CANCEL_MS), "cancel", &ignored));
    PQfreeCancel(handle);
}

static PGresult *take_answer(const struct env *env, PGconn *c, const char *what, int64_t wait_ms,
                             struct err *e)
{
    int64_t deadline_us = deadline_of(env, wait_ms);
    PGresult *res = NULL;
    if (!flush_out(env, c, deadline_us, what, e))
        res = collect(env, c, deadline_us, what, e);
    if (!res) {
        if (e->code == E_TIMEOUT || e->code == E_STOPPED)
            cancel(env, c);
        return NULL;
    }
    ExecStatusType status = PQresultStatus(res);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && !is_copy(res)) {
        pg_err(e, c, res, what);
        PQclear(res);
        return NULL;
    }
    return res;
}

PGresult *pg_exec(const struct env *env, PGconn *c, const char *what, const char *sql,
                  int64_t wait_ms, struct err *e)
{
    PQsetnonblocking(c, 1);
    PGresult *res = NULL;
    if (PQsendQuery(c, sql))
        res = take_answer(env, c, what, wait_ms, e);
    else
        pg_err(e, c, NULL, what);
    PQsetnonblocking(c, 0);
    return res;
}

PGresult *pg_exec_params(const struct env *env, PGconn *c, const char *what, const char *sql,
                         int count, const char *const *values, int64_t wait_ms, struct err *e)
{
    PQsetnonblocking(c, 1);
    PGresult *res = NULL;
    if (PQsendQueryParams(c, sql, count, NULL, values, NULL, NULL, 0))
        res = take_answer(env, c, what, wait_ms, e);
    else
        pg_err(e, c, NULL, what);
    PQsetnonblocking(c, 0);
    return res;
}

int pg_run(const struct env *env, PGconn *c, const char *what, const char *sql, struct err *e)
{
    PGresult *res = pg_exec(env, c, what, sql, 0, e);
    if (!res)
        return -1;
    PQclear(res);
    return 0;
}

/* ---- text ---- */

static void add_quoted(struct buf *out, struct str text, char quote)
{
    buf_add_char(out, quote);
    for (size_t at = 0; at < text.len; at++) {
        if (text.p[at] == quote)
            buf_add_char(out, quote);
        buf_add_char(out, text.p[at]);
    }
    buf_add_char(out, quote);
}

void pg_add_ident(struct buf *out, struct str name)
{
    add_quoted(out, name, '"');
}

void pg_add_table(struct buf *out, struct str space, struct str name)
{
    pg_add_ident(out, space);
    buf_add_char(out, '.');
    pg_add_ident(out, name);
}

/* standard_conforming_strings is on by default since 9.1 and a backslash is then an ordinary
 * character. */
void pg_add_literal(struct buf *out, struct str text)
{
    add_quoted(out, text, '\'');
}

struct str pg_text(const PGresult *res, int row, int col)
{
    int len = PQgetlength(res, row, col);
    return len > 0 ? (struct str){PQgetvalue(res, row, col), (size_t) len} : STR_NONE;
}

int64_t pg_int(const PGresult *res, int row, int col)
{
    int64_t value;
    return str_to_i64(pg_text(res, row, col), &value) ? value : 0;
}

bool pg_bool(const PGresult *res, int row, int col)
{
    return str_is(pg_text(res, row, col), "t");
}

uint64_t pg_lsn(const PGresult *res, int row, int col)
{
    uint64_t lsn;
    return str_to_lsn(pg_text(res, row, col), &lsn) ? lsn : 0;
}

int pg_identify(const struct env *env, PGconn *c, uint64_t *system_id, uint32_t *timeline,
                uint64_t *lsn, struct err *e)
{
    PGresult *res = pg_exec(env, c, "identify server", "IDENTIFY_SYSTEM", CONNECT_MS, e);
    if (!res)
        return -1;
    bool ok = PQntuples(res) == 1 && PQnfields(res) >= 3 &&
              str_to_u64(pg_text(res, 0, 0), system_id) && str_to_lsn(pg_text(res, 0, 2), lsn);
    *timeline = ok ? (uint32_t) pg_int(res, 0, 1) : 0;
    PQclear(res);
    return ok ? 0 : err_set(e, E_PG_PROTOCOL, "identify server: the answer has another form");
}
