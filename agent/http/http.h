/* SPDX-License-Identifier: Apache-2.0
 *
 * The two ways to ask a running process: read-only HTTP (libmicrohttpd) and the control socket
 * (unix, 0600, in the state directory) that the command line uses. Both have threads of their own
 * and answer from copies; neither waits for PostgreSQL, and no client can make the data loops wait.
 *
 * HTTP: /metrics, /healthz (the data loops turned lately), /readyz (a sentinel arrived lately;
 * reasons as JSON), /startupz (prepared once), / (plain page with links). Anything else 404; other
 * methods than GET and HEAD 405; bodies 413.
 * Control: one JSON object a line in, one out, any number of times a connection: {"cmd":"status"}
 * and so on.
 */
#ifndef TR_HTTP_HTTP_H
#define TR_HTTP_HTTP_H

#include "agent/base/env.h"

/* Answers for both; filled by main. Called from the servers' threads, several at a time. */
struct http_answers {
    void *self;
    /* 0 healthy or ready, -1 not; json gets {"status":...,"reasons":[...]} either way */
    int (*health)(void *self, struct buf *json);
    int (*ready)(void *self, struct buf *json);
    int (*started)(void *self, struct buf *json);
    void (*metrics)(void *self, struct buf *text);
    /* A control request (JSON object text) to its answer (JSON object text). May take its time:
     * other clients are answered meanwhile. */
    void (*control)(void *self, struct str request, struct buf *answer);
};

struct http;

/* listen: "host:port", "[::1]:port", ":port" for every IPv4 address; NULL, "" or "off" makes none and
 * sets *out to NULL. Port 0 takes a free one. answers is copied. E_HTTP_LISTEN. */
int http_open(const struct env *env, const char *listen, const struct http_answers *answers,
              struct http **out, struct err *e) MUST_CHECK;
/* The port it listens on; 0 when there is none. */
int http_port(const struct http *h);
/* Waits for the requests that are being answered. NULL is allowed. */
void http_close(struct http *h);

struct control;

#define CONTROL_REQUEST_MAX ((size_t) 64 << 10)  /* bytes of a request line */
#define CONTROL_ANSWER_MAX ((size_t) 64 << 20)   /* bytes of an answer line */
#define CONTROL_CLIENTS_MAX 16                   /* connections at a time; more are told so */

/* Listen on <state>/control.sock; a stale socket is replaced (the state's lock is ours). state may
 * be longer than a socket address holds. answers is copied. E_STATE_DIR. */
int control_open(const struct env *env, const char *state, const struct http_answers *answers,
                 struct control **out, struct err *e) MUST_CHECK;
/* Waits for the requests that are being answered. NULL is allowed. */
void control_close(struct control *c);

/* The client side: send request, get one line (without its newline) within wait_ms, appended to
 * answer. E_NOT_RUNNING when nobody listens, E_TIMEOUT, E_STATE_DIR without the right. */
int control_ask(const char *state, struct str request, int64_t wait_ms, struct buf *answer,
                struct err *e) MUST_CHECK;

/* {"ok":false,"error":{"code","message","hint"}} for a control answer. */
void control_add_error(struct buf *answer, const struct err *e);

#endif
