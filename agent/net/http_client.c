/* SPDX-License-Identifier: Apache-2.0
 *
 * libcurl's easy interface. The handle is reset before each request, which keeps its connections,
 * sessions and names but no option, so that nothing of one request stays for the next.
 */
#include "agent/net/http_client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>

#include "agent/base/arena.h"

#define WORDS_MAX 300 /* of a server, in a message */
#define RATE_DEFAULT_MS 1000

struct http_client {
    const struct env *env;
    CURL *curl;
    char error[CURL_ERROR_SIZE];
    bool drain;       /* of the request under way */
    struct buf *body; /* of its answer */
};

/* libcurl counts its users and locks around that, which a build without atomics does not. */
struct http_client *http_client_open(const struct env *env, struct err *e)
{
    bool safe = curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_THREADSAFE;
    if (!safe || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        (void) err_set(e, E_SYSTEM, "libcurl %s cannot be used", safe ? "does not start and" : "is not safe with threads and");
        return NULL;
    }
    CURL *curl = curl_easy_init();
    if (!curl) {
        curl_global_cleanup();
        (void) err_set(e, E_SYSTEM, "libcurl gives no handle");
        return NULL;
    }
    struct http_client *c = mem_zalloc(1, sizeof *c);
    c->env = env;
    c->curl = curl;
    return c;
}

void http_client_close(struct http_client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    curl_global_cleanup();
    free(c);
}

/* ---- addresses ---- */

static CURLU *url_parse(const char *url)
{
    CURLU *u = curl_url();
    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK)
        return u;
    curl_url_cleanup(u);
    return NULL;
}

static bool url_has(CURLU *u, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(u, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return has;
}

static bool url_is_ours(const char *url)
{
    return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

/* Why the url cannot be used; NULL when it can. */
static const char *url_fault(const char *url, bool query)
{
    CURLU *u = url_is_ours(url) ? url_parse(url) : NULL;
    const char *why = NULL;
    if (!u)
        why = "is not http://host:port or https://host:port, with a path or without";
    else if (url_has(u, CURLUPART_USER) || url_has(u, CURLUPART_PASSWORD))
        why = "holds a user or password: these have options of their own";
    else if (!query && (url_has(u, CURLUPART_QUERY) || url_has(u, CURLUPART_FRAGMENT)))
        why = "has a query or fragment (\"?\", \"#\")";
    curl_url_cleanup(u);
    return why;
}

int http_url_check(const char *url, struct err *e)
{
    const char *why = url_fault(url, false);
    return why ? err_set(e, E_CONFIG, "address %s", why) : 0;
}

void http_url_origin(const char *url, struct buf *out)
{
    CURLU *u = url_parse(url);
    char *scheme = NULL, *host = NULL, *port = NULL;
    if (u && curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK && curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK
        && curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK)
        buf_addf(out, "%s://%s:%s", scheme, host, port);
    else
        buf_add_char(out, '?');
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
}

bool http_url_is_open(const char *url)
{
    static const char *const local[] = {"http://localhost:", "http://127.", "http://[::1]:"};
    struct buf origin = BUF_INIT;
    http_url_origin(url, &origin);
    bool open = str_starts(buf_str(&origin), "http://");
    for (size_t at = 0; at < sizeof local / sizeof *local; at++)
        open = open && !str_starts(buf_str(&origin), local[at]);
    buf_free(&origin);
    return open;
}

void http_add_escaped(struct buf *out, struct str text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-";
    for (size_t at = 0; at < text.len; at++) {
        char c = text.p[at];
        if (c && strchr(plain, c))
            buf_add_char(out, c);
        else
            buf_addf(out, "%%%02X", (unsigned) (uint8_t) c);
    }
}

/* ---- errors ---- */

/* The server's words in one line, without control characters. */
static void add_words(struct buf *out, struct str words)
{
    size_t len = words.len < WORDS_MAX ? words.len : WORDS_MAX;
    for (size_t at = 0; at < len; at++) {
        unsigned char c = (unsigned char) words.p[at];
        buf_add_char(out, c < ' ' || c == 0x7f ? ' ' : (char) c);
    }
    if (len < words.len)
        buf_add_text(out, "...");
}

static enum err_code status_code(const struct http_response *r)
{
    if (r->status == 401 || r->status == 403 || r->status == 407)
        return E_HTTP_AUTH;
    if (r->status == 429 || (r->status == 503 && r->retry_after_ms > 0))
        return E_HTTP_RATE;
    return r->status == 408 || r->status >= 500 ? E_HTTP_STATUS : E_HTTP_REFUSED;
}

int http_status_err(struct err *e, const struct http_response *r, const char *what, struct str words)
{
    struct buf text = BUF_INIT;
    enum err_code code = status_code(r);
    add_words(&text, words);
    (void) err_set(e, code, "%s: status %d%s%s", what, r->status, text.len ? ": " : "", text.len ? text.p : "");
    if (code == E_HTTP_RATE)
        e->retry_after_ms = r->retry_after_ms ? r->retry_after_ms : RATE_DEFAULT_MS;
    if (r->status >= 300 && r->status < 400)
        (void) err_hint(e, "redirects are not followed: give the address where it leads");
    buf_free(&text);
    return -1;
}

static enum err_code code_of(CURLcode rc)
{
    switch (rc) {
    case CURLE_ABORTED_BY_CALLBACK:
        return E_STOPPED;
    case CURLE_OPERATION_TIMEDOUT:
        return E_TIMEOUT;
    case CURLE_PEER_FAILED_VERIFICATION: case CURLE_SSL_CACERT_BADFILE: case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR: case CURLE_SSL_CIPHER: case CURLE_SSL_ENGINE_NOTFOUND:
        return E_HTTP_TLS;
    case CURLE_WRITE_ERROR: case CURLE_FILESIZE_EXCEEDED:
        return E_HTTP_ANSWER;
    case CURLE_UNSUPPORTED_PROTOCOL: case CURLE_URL_MALFORMAT:
        return E_CONFIG;
    case CURLE_OUT_OF_MEMORY: case CURLE_FAILED_INIT:
        return E_SYSTEM;
    default: /* no name, no connection, or one that broke */
        return E_HTTP_CONNECT;
    }
}

static size_t body_max(const struct http_client *c)
{
    return c->body->max ? c->body->max : BUF_MAX_DEFAULT;
}

static int fail(const struct http_client *c, const struct http_request *rq, CURLcode rc, struct err *e)
{
    struct buf origin = BUF_INIT;
    enum err_code code = code_of(rc);
    http_url_origin(rq->url, &origin);
    if (code == E_STOPPED)
        (void) err_set(e, code, "%s: asked to stop while waiting", origin.p);
    else if (code == E_HTTP_ANSWER)
        (void) err_set(e, code, "%s: the answer has more than %zu bytes", origin.p, body_max(c));
    else
        (void) err_set(e, code, "%s: %s", origin.p, *c->error ? c->error : curl_easy_strerror(rc));
    buf_free(&origin);
    return -1;
}

/* ---- a request ---- */

static size_t on_body(char *bytes, size_t one, size_t len, void *self)
{
    struct http_client *c = self;
    (void) one; /* always 1 */
    buf_add(c->body, bytes, len);
    return c->body->over ? 0 : len;
}

/* Called at least once a second while anything is waited for. */
static int on_progress(void *self, curl_off_t a, curl_off_t b, curl_off_t x, curl_off_t y)
{
    const struct http_client *c = self;
    (void) a, (void) b, (void) x, (void) y;
    return env_stop(c->env) >= (c->drain ? STOP_NOW : STOP_DRAIN);
}

static bool given(const char *text)
{
    return text && *text;
}

static void set_access(CURL *h, const struct http_access *a)
{
    if (given(a->token)) {
        curl_easy_setopt(h, CURLOPT_HTTPAUTH, (long) CURLAUTH_BEARER);
        curl_easy_setopt(h, CURLOPT_XOAUTH2_BEARER, a->token);
    } else if (given(a->user)) {
        curl_easy_setopt(h, CURLOPT_HTTPAUTH, (long) CURLAUTH_BASIC);
        curl_easy_setopt(h, CURLOPT_USERNAME, a->user);
        curl_easy_setopt(h, CURLOPT_PASSWORD, a->password ? a->password : "");
    }
    if (given(a->ca_file))
        curl_easy_setopt(h, CURLOPT_CAINFO, a->ca_file);
    if (given(a->cert_file))
        curl_easy_setopt(h, CURLOPT_SSLCERT, a->cert_file);
    if (given(a->key_file))
        curl_easy_setopt(h, CURLOPT_SSLKEY, a->key_file);
    curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, a->insecure ? 0L : 1L);
    curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, a->insecure ? 0L : 2L);
}

static void set_limits(struct http_client *c, const struct http_request *rq)
{
    CURL *h = c->curl;
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long) rq->connect_ms);
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long) rq->total_ms);
    curl_easy_setopt(h, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) body_max(c));
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, c);
}

static void set_request(CURL *h, const struct http_request *rq)
{
    curl_easy_setopt(h, CURLOPT_URL, rq->url);
    if (rq->body.p) {
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) rq->body.len);
        curl_easy_setopt(h, CURLOPT_POSTFIELDS, rq->body.p);
    }
    if (strcmp(rq->method, "HEAD") == 0)
        curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, rq->method);
}

/* The caller's, and none that would wait for "100 Continue". False when memory is short. */
static bool add_headers(const struct http_request *rq, struct curl_slist **list)
{
    struct curl_slist *longer = curl_slist_append(NULL, "Expect:");
    *list = longer;
    for (int at = 0; longer && rq->headers && rq->headers[at]; at++) {
        longer = curl_slist_append(*list, rq->headers[at]);
        *list = longer ? longer : *list;
    }
    return longer != NULL;
}

static int perform(struct http_client *c, const struct http_request *rq, struct http_response *out, struct err *e)
{
    long status = 0;
    curl_off_t after = 0;
    CURLcode rc = curl_easy_perform(c->curl);
    if (rc != CURLE_OK)
        return fail(c, rq, rc, e);
    (void) curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    (void) curl_easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &after);
    out->status = (int) status;
    out->retry_after_ms = after > 86400 ? 86400000 : (int64_t) after * 1000;
    return 0;
}

int http_client_do(struct http_client *c, const struct http_request *rq, struct http_response *out, struct err *e)
{
    static const struct http_access nobody = {.insecure = false};
    struct curl_slist *headers;
    const char *why = url_fault(rq->url, true);
    if (why)
        return err_set(e, E_CONFIG, "address of a request %s", why);
    buf_reset(&out->body);
    c->body = &out->body;
    c->drain = rq->drain;
    *c->error = 0;
    curl_easy_reset(c->curl);
    set_limits(c, rq);
    set_request(c->curl, rq);
    set_access(c->curl, rq->access ? rq->access : &nobody);
    int rc = add_headers(rq, &headers) ? 0 : err_set(e, E_SYSTEM, "no memory for the headers of a request");
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, headers);
    if (rc == 0)
        rc = perform(c, rq, out, e);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(headers);
    c->body = NULL;
    return rc;
}

const char *http_client_header(struct http_client *c, const char *name)
{
    struct curl_header *header;
    return curl_easy_header(c->curl, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : NULL;
}
