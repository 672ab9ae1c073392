/* SPDX-License-Identifier: Apache-2.0
 * agent/net: the HTTP client against a server in this process. */
#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/net/http_client.h"
#include "tests/unit/net/mock.h"

static struct env env;
static struct http_client *client;
static struct mock *server;
static struct http_response response;

/* /status/N answers N, /slow after two seconds, /large and /chunks with 100000 bytes, /hangup not at all, the rest tells
 * what came. */
static void handle(void *self, const struct mock_request *rq, struct mock_answer *out)
{
    (void) self;
    out->status = 200;
    if (strncmp(rq->path, "/status/", 8) == 0) {
        out->status = (int) strtol(rq->path + 8, NULL, 10);
        out->header = out->status < 400 ? "Location" : "Retry-After";
        out->header_value = out->status < 400 ? "http://elsewhere.invalid/" : "7";
    } else if (strcmp(rq->path, "/slow") == 0) {
        out->delay_ms = 2000;
    } else if (strcmp(rq->path, "/hangup") == 0) {
        out->status = 0;
    } else if (strcmp(rq->path, "/large") == 0 || strcmp(rq->path, "/chunks") == 0) {
        out->no_length = rq->path[1] == 'c';
        for (int at = 0; at < 10000; at++)
            buf_add_text(&out->body, "0123456789");
    } else {
        out->header = "X-Seen";
        out->header_value = "yes";
        buf_addf(&out->body, "%s %s %.*s auth=%s type=%s body=%.*s", rq->method, rq->path, STR_ARG(rq->query),
                 rq->authorization ? rq->authorization : "-", rq->content_type ? rq->content_type : "-", STR_ARG(rq->body));
    }
}

static void setup(void)
{
    struct err e = ERR_INIT;
    setenv("no_proxy", "*", 1);
    env = (struct env){.clock = &clock_system, .stop_fd = eventfd(0, 0)};
    client = http_client_open(&env, &e);
    ck_assert_msg(client != NULL, "%s", e.msg);
    server = mock_open(handle, NULL, NULL, 0);
    response = (struct http_response){.body.max = 1 << 20};
}

static void teardown(void)
{
    http_client_close(client);
    mock_close(server);
    buf_free(&response.body);
    close(env.stop_fd);
}

static const char *url_of(const struct mock *m, const char *path)
{
    static char url[200];
    snprintf(url, sizeof url, "%s%s", mock_url(m), path);
    return url;
}

static struct http_request get(const char *url)
{
    return (struct http_request){.method = "GET", .url = url, .connect_ms = 2000, .total_ms = 5000};
}

static void expect(const struct http_request *rq, int status)
{
    struct err e = ERR_INIT;
    ck_assert_msg(http_client_do(client, rq, &response, &e) == 0, "%s", e.msg);
    ck_assert_int_eq(response.status, status);
}

static struct err expect_error(const struct http_request *rq, enum err_code code)
{
    struct err e = ERR_INIT;
    ck_assert_int_eq(http_client_do(client, rq, &response, &e), -1);
    ck_assert_msg(e.code == code, "%s (%s), not %s", e.msg, err_name(e.code), err_name(code));
    return e;
}

START_TEST(a_request_arrives_as_it_is)
{
    static const char *const headers[] = {"Content-Type: text/x", NULL};
    struct http_request rq = get(url_of(server, "/a%2Fb?x=y"));
    rq.method = "PUT";
    rq.headers = headers;
    rq.body = STR("{\"a\":\"\0\"}");
    expect(&rq, 200);
    ck_assert(str_starts(buf_str(&response.body), "PUT /a/b x=y auth=- type=text/x body={\"a\":\""));
    ck_assert_str_eq(http_client_header(client, "x-seen"), "yes");
    ck_assert_ptr_null(http_client_header(client, "x-other"));
}
END_TEST

START_TEST(connections_are_kept_and_nothing_else)
{
    const struct http_access basic = {.user = "me", .password = "geheim"}, bearer = {.user = "me", .token = "t0ken"};
    struct http_request rq = get(url_of(server, "/x"));
    rq.access = &basic;
    expect(&rq, 200);
    ck_assert_str_eq(response.body.p, "GET /x  auth=Basic bWU6Z2VoZWlt type=- body=");
    rq.access = &bearer;
    expect(&rq, 200);
    ck_assert_str_eq(response.body.p, "GET /x  auth=Bearer t0ken type=- body=");
    rq.access = NULL;
    rq.body = STR("b");
    rq.method = "POST";
    expect(&rq, 200);
    ck_assert_ptr_nonnull(strstr(response.body.p, "POST /x  auth=- "));
    rq = get(rq.url);
    expect(&rq, 200);
    ck_assert_str_eq(response.body.p, "GET /x  auth=- type=- body=");
    rq.method = "HEAD";
    expect(&rq, 200);
    ck_assert_int_eq(response.body.len, 0);
    ck_assert_int_eq(mock_connections(server), 1);
}
END_TEST

START_TEST(statuses_have_their_class)
{
    static const struct {
        int status;
        enum err_code code;
        enum err_class class;
    } rows[] = {
        {301, E_HTTP_REFUSED, ERR_CONFIG}, {307, E_HTTP_REFUSED, ERR_CONFIG}, {400, E_HTTP_REFUSED, ERR_CONFIG},
        {401, E_HTTP_AUTH, ERR_AUTH},      {403, E_HTTP_AUTH, ERR_AUTH},      {404, E_HTTP_REFUSED, ERR_CONFIG},
        {408, E_HTTP_STATUS, ERR_RETRY},   {409, E_HTTP_REFUSED, ERR_CONFIG}, {429, E_HTTP_RATE, ERR_RATE},
        {500, E_HTTP_STATUS, ERR_RETRY},   {502, E_HTTP_STATUS, ERR_RETRY},   {503, E_HTTP_RATE, ERR_RATE},
    };
    for (size_t at = 0; at < sizeof rows / sizeof *rows; at++) {
        char path[40];
        struct err e = ERR_INIT;
        snprintf(path, sizeof path, "/status/%d", rows[at].status);
        struct http_request rq = get(url_of(server, path));
        expect(&rq, rows[at].status);
        ck_assert_int_eq(response.retry_after_ms, rows[at].status < 400 ? 0 : 7000);
        ck_assert_int_eq(http_status_err(&e, &response, "shop", STR("no\nway")), -1);
        ck_assert_msg(e.code == rows[at].code && e.class == rows[at].class, "%d is %s", rows[at].status, err_name(e.code));
        ck_assert_int_eq(e.retry_after_ms, e.class == ERR_RATE ? 7000 : 0);
        ck_assert_ptr_nonnull(strstr(e.msg, ": no way"));
    }
}
END_TEST

START_TEST(answers_are_bounded)
{
    struct http_request rq = get(url_of(server, "/large"));
    expect(&rq, 200);
    ck_assert_int_eq(response.body.len, 100000);
    buf_free(&response.body);
    response.body.max = 99999;
    (void) expect_error(&rq, E_HTTP_ANSWER);
    rq.url = url_of(server, "/chunks");
    struct err e = expect_error(&rq, E_HTTP_ANSWER);
    ck_assert_ptr_nonnull(strstr(e.msg, "more than 99999 bytes"));
    ck_assert_int_le(response.body.len, 99999);
}
END_TEST

START_TEST(a_slow_answer_is_left)
{
    struct http_request rq = get(url_of(server, "/slow"));
    rq.total_ms = 200;
    int64_t from = clock_mono_us(&clock_system);
    struct err e = expect_error(&rq, E_TIMEOUT);
    ck_assert_int_lt(clock_mono_us(&clock_system) - from, 1500000);
    ck_assert_ptr_nonnull(strstr(e.msg, mock_url(server)));
}
END_TEST

START_TEST(no_server_is_a_passing_error)
{
    char url[80];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/geheim?token=geheim", mock_free_port());
    const struct http_access access = {.user = "geheim", .password = "geheim"};
    struct http_request rq = get(url);
    rq.access = &access;
    struct err e = expect_error(&rq, E_HTTP_CONNECT);
    ck_assert_int_eq(e.class, ERR_RETRY);
    ck_assert_ptr_null(strstr(e.msg, "geheim"));
    rq.url = url_of(server, "/hangup");
    (void) expect_error(&rq, E_HTTP_CONNECT);
}
END_TEST

/* ---- stop ---- */

static void *stop_soon(void *mode)
{
    (void) poll(NULL, 0, 300);
    atomic_store(&env.stop, *(int *) mode);
    return NULL;
}

START_TEST(a_wish_to_stop_ends_it)
{
    struct http_request rq = get(url_of(server, "/slow"));
    int mode = STOP_DRAIN;
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, stop_soon, &mode), 0);
    int64_t from = clock_mono_us(&clock_system);
    (void) expect_error(&rq, E_STOPPED);
    ck_assert_int_lt(clock_mono_us(&clock_system) - from, 1800000);
    pthread_join(thread, NULL);
    rq.drain = true;
    rq.url = url_of(server, "/x");
    expect(&rq, 200);
    atomic_store(&env.stop, STOP_NOW);
    rq.url = url_of(server, "/slow");
    (void) expect_error(&rq, E_STOPPED);
}
END_TEST

/* ---- TLS ---- */

START_TEST(certificates_are_verified)
{
    char ca[] = "/tmp/test_http_ca.XXXXXX";
    close(mkstemp(ca));
    struct mock *secure = mock_open(handle, NULL, "localhost", 0);
    struct http_access access = {.ca_file = NULL};
    struct http_request rq = get(url_of(secure, "/x"));
    char wrong[80];
    mock_write_ca(secure, ca);
    rq.access = &access;
    struct err e = expect_error(&rq, E_HTTP_TLS);
    ck_assert_int_eq(e.class, ERR_CONFIG);
    ck_assert_ptr_nonnull(strstr(e.msg, "https://localhost:"));
    ck_assert_ptr_nonnull(strstr(e.hint, "ca_file"));
    access.ca_file = ca;
    expect(&rq, 200);
    snprintf(wrong, sizeof wrong, "https://127.0.0.1:%d/x", mock_port(secure));
    rq.url = wrong;
    (void) expect_error(&rq, E_HTTP_TLS); /* not the name that the certificate has */
    access.insecure = true;
    expect(&rq, 200);
    access = (struct http_access){.ca_file = "/nonexistent/ca.pem"};
    rq.url = url_of(secure, "/x");
    (void) expect_error(&rq, E_HTTP_TLS);
    access = (struct http_access){.ca_file = ca, .cert_file = "/nonexistent/cert.pem", .key_file = "/nonexistent/key.pem"};
    (void) expect_error(&rq, E_HTTP_TLS);
    mock_close(secure);
    unlink(ca);
}
END_TEST

START_TEST(plain_where_tls_is_wanted_is_no_connection)
{
    char url[80];
    snprintf(url, sizeof url, "https://127.0.0.1:%d/x", mock_port(server));
    struct http_request rq = get(url);
    (void) expect_error(&rq, E_HTTP_CONNECT);
}
END_TEST

/* ---- addresses ---- */

START_TEST(addresses)
{
    static const struct {
        const char *url;
        bool good, open;
        const char *origin;
    } rows[] = {
        {"http://registry:8081", true, true, "http://registry:8081"},
        {"https://registry/api/ccompat", true, false, "https://registry:443"},
        {"HTTP://[::1]:80/", true, false, "http://[::1]:80"},
        {"http://localhost:8081", true, false, "http://localhost:8081"},
        {"http://127.0.0.1:8081/x", true, false, "http://127.0.0.1:8081"},
        {"http://me:geheim@registry:8081", false, true, "http://registry:8081"},
        {"http://registry/?token=geheim", false, true, "http://registry:80"},
        {"http://registry/#x", false, true, "http://registry:80"},
        {"registry:8081", false, false, NULL},
        {"ftp://registry", false, false, NULL},
        {"file:///etc/passwd", false, false, NULL},
        {"http://", false, false, NULL},
        {"http://re gistry", false, false, NULL},
        {"", false, false, NULL},
    };
    for (size_t at = 0; at < sizeof rows / sizeof *rows; at++) {
        struct err e = ERR_INIT;
        struct buf origin = BUF_INIT;
        ck_assert_msg((http_url_check(rows[at].url, &e) == 0) == rows[at].good, "%s: %s", rows[at].url, e.msg);
        ck_assert_ptr_null(strstr(e.msg, "geheim"));
        ck_assert(rows[at].good || e.code == E_CONFIG);
        ck_assert_msg(http_url_is_open(rows[at].url) == rows[at].open, "%s", rows[at].url);
        http_url_origin(rows[at].url, &origin);
        if (rows[at].origin)
            ck_assert_str_eq(origin.p, rows[at].origin);
        buf_free(&origin);
    }
    struct http_request rq = get("http://me:geheim@127.0.0.1/");
    struct err e = expect_error(&rq, E_CONFIG);
    ck_assert_ptr_null(strstr(e.msg, "geheim"));
    rq.url = "file:///etc/passwd";
    (void) expect_error(&rq, E_CONFIG);
}
END_TEST

START_TEST(pieces_of_a_path_are_escaped)
{
    struct buf out = BUF_INIT;
    http_add_escaped(&out, STR("shop.a-b_c~\0/%?#\xc3\xa4"));
    ck_assert_str_eq(out.p, "shop.a-b_c~%00%2F%25%3F%23%C3%A4");
    buf_free(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("http_client");
    TCase *t = tcase_create("http_client");
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_request_arrives_as_it_is);
    tcase_add_test(t, connections_are_kept_and_nothing_else);
    tcase_add_test(t, statuses_have_their_class);
    tcase_add_test(t, answers_are_bounded);
    tcase_add_test(t, a_slow_answer_is_left);
    tcase_add_test(t, no_server_is_a_passing_error);
    tcase_add_test(t, a_wish_to_stop_ends_it);
    tcase_add_test(t, certificates_are_verified);
    tcase_add_test(t, plain_where_tls_is_wanted_is_no_connection);
    tcase_add_test(t, addresses);
    tcase_add_test(t, pieces_of_a_path_are_escaped);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
