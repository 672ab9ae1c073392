/* SPDX-License-Identifier: Apache-2.0
 *
 * One question to a registry with Confluent's API, at whichever of its addresses answers.
 *
 * An address that fails (no connection, time over, 5xx, an answer that is none of the API's) is left alone for
 * CALL_REST_MS while others work. A question is asked again up to CALL_TRIES times with pauses between, within
 * CALL_BUDGET_MS or one timeout_ms altogether: who asks has a loop whose turns are watched. One thread at a time.
 * API: Confluent Schema Registry API reference, "Subjects", "Schemas", "Compatibility", "Config", "Errors".
 */
#ifndef TR_SCHEMAS_REGISTRY_CALL_H
#define TR_SCHEMAS_REGISTRY_CALL_H

#include <jansson.h>

#include "agent/base/config.h"
#include "agent/net/http_client.h"

#define CALL_TRIES 3
#define CALL_PAUSE_MS 200 /* doubles */
#define CALL_BUDGET_MS 4000
#define CALL_REST_MS 15000
#define CALL_BODY_MAX ((size_t) 8 << 20)

struct caller;

struct call {
    const char *method;
    const char *path; /* "/subjects/x/versions", escaped */
    struct str body;  /* JSON; p NULL = none */
    bool drain;       /* also during a drain */
    int64_t until_us; /* monotonic; call_until's */
};

/* What the registry said: status 200, or 4xx with its own error code. */
struct call_answer {
    int status;
    int error_code;  /* 40401, 42201 and so on; 0 with status 200 */
    json_t *json;    /* of 200; NULL otherwise. To be freed by call_answer_free. */
    char words[600]; /* the registry's message; "" without one */
};

/* config and env outlive it. */
struct caller *caller_open(const struct env *env, const struct config_registry *config, struct err *e) MUST_CHECK;
void caller_close(struct caller *c);

/* When questions that begin now have to be answered. */
int64_t call_until(const struct caller *c);

/* E_HTTP_AUTH for 401 and 403, E_SCHEMA for 422; without an answer the last error of an address, a passing one when
 * there was one: E_HTTP_CONNECT, E_TIMEOUT, E_HTTP_STATUS, E_HTTP_RATE, E_HTTP_ANSWER, E_HTTP_TLS, E_HTTP_REFUSED, E_STOPPED. */
int call_ask(struct caller *c, const struct call *call, struct call_answer *out, struct err *e) MUST_CHECK;
/* The same at address number at alone, once. */
int call_ask_at(struct caller *c, int at, const struct call *call, struct call_answer *out, struct err *e) MUST_CHECK;
void call_answer_free(struct call_answer *a);

#endif
