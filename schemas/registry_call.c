/* SPDX-License-Identifier: Apache-2.0 */
#include "schemas/registry_call.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/base/arena.h"

#define CONTENT_TYPE "application/vnd.schemaregistry.v1+json"

struct address {
    const char *url;
    int64_t rest_until_us; /* 0: it works, as far as known */
};

struct caller {
    const struct env *env;
    const struct config_registry *config;
    struct http_access access;
    struct http_client *http;
    struct http_response response; /* its memory is used again */
    struct address *addresses;
    int count;
    int ok, refused, failed; /* metric series */
};

struct caller *caller_open(const struct env *env, const struct config_registry *config, struct err *e)
{
    struct http_client *http = http_client_open(env, e);
    if (!http)
        return NULL;
    struct caller *c = mem_zalloc(1, sizeof *c);
    c->env = env;
    c->config = config;
    c->access = (struct http_access){.user = config->user, .password = config->password, .token = config->token,
                                     .ca_file = config->ca_file, .cert_file = config->cert_file,
                                     .key_file = config->key_file, .insecure = !config->verify};
    c->http = http;
    c->response.body.max = CALL_BODY_MAX;
    c->count = config->url.count;
    c->addresses = mem_zalloc((size_t) c->count + 1, sizeof *c->addresses);
    for (int at = 0; at < c->count; at++)
        c->addresses[at].url = config->url.items[at];
    c->ok = metric_series(env->metrics, M_REGISTRY_REQUESTS, STR("ok"));
    c->refused = metric_series(env->metrics, M_REGISTRY_REQUESTS, STR("refused"));
    c->failed = metric_series(env->metrics, M_REGISTRY_REQUESTS, STR("failed"));
    return c;
}

void caller_close(struct caller *c)
{
    if (!c)
        return;
    http_client_close(c->http);
    buf_free(&c->response.body);
    free(c->addresses);
    free(c);
}

int64_t call_until(const struct caller *c)
{
    int64_t ms = c->config->timeout_ms > CALL_BUDGET_MS ? c->config->timeout_ms : CALL_BUDGET_MS;
    return clock_mono_us(c->env->clock) + ms * 1000;
}

void call_answer_free(struct call_answer *a)
{
    json_decref(a->json);
    a->json = NULL;
}

/* ---- answers ---- */

/* {"error_code":40401,"message":"Subject not found."}; 0 when it is no such thing. */
static int read_refusal(const json_t *json, struct call_answer *out)
{
    const char *message = json_string_value(json_object_get(json, "message"));
    int code = (int) json_integer_value(json_object_get(json, "error_code"));
    snprintf(out->words, sizeof out->words, "%s", message ? message : "");
    return code;
}

/* "registry https://host:port" */
static void add_name(struct buf *out, const char *url)
{
    buf_add_text(out, "registry ");
    http_url_origin(url, out);
}

static int take_refusal(const struct caller *c, const char *what, struct call_answer *out, struct err *e)
{
    const struct http_response *r = &c->response;
    struct str words = str_of(out->words);
    if (r->status == 422)
        return err_set(e, E_SCHEMA, "%s: %s", what, *out->words ? out->words : "the schema is invalid");
    if (r->status == 401 || r->status == 403 || !out->error_code)
        return http_status_err(e, r, what, words);
    return 0;
}

static int read_answer(const struct caller *c, const char *what, struct call_answer *out, struct err *e)
{
    const struct http_response *r = &c->response;
    *out = (struct call_answer){.status = r->status};
    json_t *json = json_loadb(r->body.p ? r->body.p : "", r->body.len, 0, NULL);
    if (r->status == 200 && json) {
        out->json = json;
        return 0;
    }
    if (r->status < 400)
        json_decref(json);
    if (r->status == 200)
        return err_set(e, E_HTTP_ANSWER, "%s: the answer is no JSON", what);
    if (r->status < 400)
        return http_status_err(e, r, what, STR_NONE);
    out->error_code = read_refusal(json, out);
    json_decref(json);
    if (r->status >= 500 || r->status == 408 || r->status == 429)
        return http_status_err(e, r, what, str_of(out->words));
    return take_refusal(c, what, out, e);
}

/* ---- one address ---- */

static int64_t left_ms(const struct caller *c, const struct call *call)
{
    int64_t ms = (call->until_us - clock_mono_us(c->env->clock)) / 1000;
    return ms < c->config->timeout_ms ? ms : c->config->timeout_ms;
}

static void count(const struct caller *c, const struct call_answer *out, int rc, const struct err *e)
{
    bool ok = rc == 0 && (out->status == 200 || out->status == 404); /* 404: not there yet, which is what was asked */
    int series = ok ? c->ok : rc == 0 || e->class == ERR_AUTH || e->code == E_SCHEMA ? c->refused : c->failed;
    metric_add(c->env->metrics, M_REGISTRY_REQUESTS, series, 1);
}

static int ask(struct caller *c, const struct address *a, const struct call *call, struct call_answer *out, struct err *e)
{
    static const char *const headers[] = {"Accept: " CONTENT_TYPE ", application/json", "Content-Type: " CONTENT_TYPE, NULL};
    struct buf url = BUF_INIT, name = BUF_INIT;
    size_t len = strlen(a->url);
    int64_t ms = left_ms(c, call);
    buf_addf(&url, "%.*s%s", (int) (len && a->url[len - 1] == '/' ? len - 1 : len), a->url, call->path);
    const struct http_request rq = {.method = call->method, .url = url.p, .headers = headers, .body = call->body, .access = &c->access,
                                    .connect_ms = ms > 0 ? ms : 1, .total_ms = ms > 0 ? ms : 1, .drain = call->drain};
    *out = (struct call_answer){.status = 0};
    add_name(&name, a->url);
    int rc = http_client_do(c->http, &rq, &c->response, e);
    rc = rc ? err_prefix(e, "registry") : read_answer(c, name.p, out, e);
    count(c, out, rc, e);
    buf_free(&url);
    buf_free(&name);
    return rc;
}

int call_ask_at(struct caller *c, int at, const struct call *call, struct call_answer *out, struct err *e)
{
    return ask(c, &c->addresses[at], call, out, e);
}

/* ---- all addresses ---- */

/* The registry has answered, or nobody wants the answer any more: another address would not help. */
static bool is_final(const struct err *e)
{
    return e->class == ERR_AUTH || e->code == E_SCHEMA || e->code == E_STOPPED || e->code == E_SYSTEM || e->code == E_CONFIG;
}

/* The first that works, else the one that has rested longest. */
static struct address *pick(struct caller *c, bool *works)
{
    int64_t now_us = clock_mono_us(c->env->clock);
    struct address *best = &c->addresses[0];
    for (int at = 0; at < c->count; at++) {
        struct address *a = &c->addresses[at];
        *works = a->rest_until_us <= now_us;
        if (*works)
            return a;
        if (a->rest_until_us < best->rest_until_us)
            best = a;
    }
    return best;
}

/* A passing error is worth more: it says that trying again may help. */
static void keep_error(struct err *kept, const struct err *e)
{
    if (kept->class == ERR_NONE || err_is_transient(e) || !err_is_transient(kept))
        *kept = *e;
}

static int64_t pause_ms(int tries, const struct err *e)
{
    int64_t ms = (int64_t) CALL_PAUSE_MS << tries;
    return e->class == ERR_RATE && e->retry_after_ms > ms ? e->retry_after_ms : ms;
}

/* Whether there is a next try, which the pause before it may rule out. */
static bool pause_before_next(const struct caller *c, const struct call *call, int tries, struct err *kept)
{
    int64_t ms = pause_ms(tries, kept);
    if (tries + 1 >= CALL_TRIES || !err_is_transient(kept) || clock_mono_us(c->env->clock) + ms * 1000 >= call->until_us)
        return false;
    if (env_sleep(c->env, ms))
        (void) err_set(kept, E_STOPPED, "asked to stop while waiting for the registry");
    return kept->code != E_STOPPED;
}

int call_ask(struct caller *c, const struct call *call, struct call_answer *out, struct err *e)
{
    struct err kept = ERR_INIT;
    for (int tries = 0, asked = 0; asked < c->count + CALL_TRIES; asked++) {
        struct err why = ERR_INIT;
        bool works;
        struct address *a = pick(c, &works);
        int rc = ask(c, a, call, out, &why);
        if (rc == 0 || is_final(&why)) {
            if (why.code != E_STOPPED)
                a->rest_until_us = 0;
            if (rc)
                *e = why;
            return rc;
        }
        keep_error(&kept, &why);
        a->rest_until_us = clock_mono_us(c->env->clock) + CALL_REST_MS * 1000;
        (void) pick(c, &works);
        if (!works && !pause_before_next(c, call, tries++, &kept))
            break;
    }
    *e = kept;
    return -1;
}
