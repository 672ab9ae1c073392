/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP and HTTPS on libcurl with our errors, our limits and our wish to stop.
 *
 * One client is one libcurl handle: its connections are kept and used again, and it belongs to one
 * thread at a time. An answer of any status is a success of http_client_do; http_status_err makes an
 * error of it. Redirects are not followed, no cookies, no .netrc, no compression; proxies are those
 * of the environment (https_proxy, no_proxy). Certificates are verified unless told not to.
 * Messages name scheme, host and port, never path, query, headers, bodies or credentials.
 * Rules: RFC 9110 (statuses, Retry-After), RFC 7617 (Basic), RFC 6750 (Bearer).
 */
#ifndef TR_NET_HTTP_CLIENT_H
#define TR_NET_HTTP_CLIENT_H

#include "agent/base/env.h"
#include "agent/base/err.h"

struct http_client;

/* Who we are and whom we trust. NULL and "" both mean none; borrowed for the call. */
struct http_access {
    const char *user, *password;      /* Basic */
    const char *token;                /* Bearer; wins over user */
    const char *ca_file;              /* PEM of the authorities that are trusted instead of the system's */
    const char *cert_file, *key_file; /* PEM of our own certificate and its key */
    bool insecure;                    /* take any certificate */
};

struct http_request {
    const char *method;         /* "GET", "POST", ... */
    const char *url;            /* as http_url_check wants it; may have a query */
    const char *const *headers; /* "Name: value", NULL behind the last; NULL = none */
    struct str body;            /* p NULL = none */
    const struct http_access *access; /* NULL = none */
    int64_t connect_ms, total_ms; /* limits, > 0 */
    bool drain;                 /* goes on during STOP_DRAIN; otherwise any wish to stop ends it, within a second */
};

/* body.max is the cap of the answer, set by the caller, who also frees body. */
struct http_response {
    int status;
    int64_t retry_after_ms; /* of Retry-After; 0 = none */
    struct buf body;
};

/* NULL with E_SYSTEM when libcurl cannot be used. env outlives it. */
struct http_client *http_client_open(const struct env *env, struct err *e) MUST_CHECK;
void http_client_close(struct http_client *c);

/* One request and its whole answer; what was in out->body is replaced. E_HTTP_CONNECT (no connection, or it broke),
 * E_HTTP_TLS, E_TIMEOUT, E_HTTP_ANSWER (larger than the cap), E_STOPPED, E_CONFIG (url). */
int http_client_do(struct http_client *c, const struct http_request *rq, struct http_response *out, struct err *e) MUST_CHECK;

/* A header of the last answer, NULL when it had none; valid until the next request. */
const char *http_client_header(struct http_client *c, const char *name);

/* Fill e for an answer that is no success; what names the attempt, words are the server's and may be empty.
 * 401 403 407: E_HTTP_AUTH; 429, and 503 with Retry-After: E_HTTP_RATE; 408 and 5xx: E_HTTP_STATUS; others: E_HTTP_REFUSED. Returns -1. */
int http_status_err(struct err *e, const struct http_response *r, const char *what, struct str words);

/* http or https with a host, without user, password, query and fragment; otherwise E_CONFIG, which does not
 * quote it. */
int http_url_check(const char *url, struct err *e) MUST_CHECK;

/* Append "https://host:port" of a url, for messages; "?" when it is none. */
void http_url_origin(const char *url, struct buf *out);

/* The url leaves this machine without encryption. */
bool http_url_is_open(const char *url);

/* Append text with all but [A-Za-z0-9._~-] as %XX: one piece of a path. */
void http_add_escaped(struct buf *out, struct str text);

#endif
