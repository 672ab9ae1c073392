/* SPDX-License-Identifier: Apache-2.0
 *
 * An HTTP server in the test's process, on libmicrohttpd: what each request gets is up to the test.
 */
#ifndef TR_TESTS_MOCK_H
#define TR_TESTS_MOCK_H

#include <pthread.h>

#include "agent/base/str.h"

struct mock_request {
    const char *method, *path; /* path unescaped, without its query */
    struct str query;          /* "verbose=true" of one argument; empty without */
    const char *authorization, *content_type; /* NULL without */
    struct str body;
};

struct mock_answer {
    int status;        /* 0: hang up */
    int delay_ms;      /* before it */
    const char *header, *header_value; /* one more, NULL = none */
    struct buf body;   /* freed by the mock */
    bool no_length;    /* chunked */
};

struct mock;
/* Called under the mock's lock, before the delay. */
typedef void mock_handler(void *self, const struct mock_request *rq, struct mock_answer *out);

/* On 127.0.0.1 at a free port, or at this one; with tls by a certificate for this host name that is made now. */
struct mock *mock_open(mock_handler *handler, void *self, const char *tls, int port);
void mock_close(struct mock *m);
int mock_port(const struct mock *m);
/* "http://127.0.0.1:PORT" or "https://HOST:PORT"; valid until it closes. */
const char *mock_url(const struct mock *m);
int mock_requests(struct mock *m);
int mock_connections(struct mock *m);
/* Write the certificate, PEM. */
void mock_write_ca(const struct mock *m, const char *path);

/* A port on which nothing listens. */
int mock_free_port(void);

#endif
