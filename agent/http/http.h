/* SPDX-License-Identifier: Apache-2.0
 *
 * The two ways to ask a running process: read-only HTTP (libmicrohttpd) and the control socket (unix, 0600, in the
 * state directory) that the command line uses. Both answer from copies; neither waits for PostgreSQL.
 *
 * HTTP: /metrics, /healthz (the data loops turned within 5 s), /readyz (a sentinel arrived lately; reasons as JSON),
 * /startupz (prepared once), / (plain page with links). Anything else 404; other methods than GET and HEAD 405; bodies refused.
 * Control: one JSON object a line in, one out: {"cmd":"status"} and so on.
 */
#ifndef TR_HTTP_HTTP_H
#define TR_HTTP_HTTP_H

#include "agent/base/env.h"

/* Answers for both; filled by main. Called from the server's threads. */
struct http_answers {
    void *self;
    /* 0 healthy or ready, -1 not; json gets {"status":...,"reasons":[...]} either way */
    int (*health)(void *self, struct buf *json);
    int (*ready)(void *self, struct buf *json);
    int (*started)(void *self, struct buf *json);
    void (*metrics)(void *self, struct buf *text);
    /* A control request (JSON object text) to its answer (JSON object text, one line). */
    void (*control)(void *self, struct str request, struct buf *answer);
};

struct http;
/* listen "host:port"; NULL or "off" makes none. E_HTTP_LISTEN. */
int http_open(const struct env *env, const char *listen, const struct http_answers *answers,
              struct http **out, struct err *e) MUST_CHECK;
void http_close(struct http *h);

struct control;
/* Listen on <state>/control.sock; a stale socket is replaced (the state's lock is ours). */
int control_open(const struct env *env, const char *state, const struct http_answers *answers,
                 struct control **out, struct err *e) MUST_CHECK;
void control_close(struct control *c);
/* The client side: send request, get one line. E_NOT_RUNNING when nobody listens. */
int control_ask(const char *state, struct str request, int64_t wait_ms, struct buf *answer, struct err *e) MUST_CHECK;

#endif
