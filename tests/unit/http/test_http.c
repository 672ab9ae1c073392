/* SPDX-License-Identifier: Apache-2.0
 * agent/http: raw bytes against the HTTP server, and lines against the control socket. */
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/arena.h"
#include "agent/http/http.h"

/* ---- answers for both servers ---- */

struct script {
    int verdict;            /* of health, ready, started */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool entered, released; /* of the control request "wait" */
};

static int say_verdict(void *self, struct buf *json)
{
    const struct script *s = self;
    buf_addf(json, "{\"status\":\"%s\"}", s->verdict ? "no" : "ok");
    return s->verdict;
}

static void say_metrics(void *self, struct buf *text)
{
    (void) self;
    buf_add_text(text, "tailrace_up 1\n");
}

static void say_control(void *self, struct str request, struct buf *answer)
{
    struct script *s = self;
    if (str_is(request, "{\"cmd\":\"wait\"}")) {
        pthread_mutex_lock(&s->lock);
        s->entered = true;
        pthread_cond_broadcast(&s->changed);
        while (!s->released)
            pthread_cond_wait(&s->changed, &s->lock);
        pthread_mutex_unlock(&s->lock);
    }
    if (str_is(request, "{\"cmd\":\"nothing\"}"))
        return;
    if (str_is(request, "{\"cmd\":\"large\"}"))
        for (int at = 0; at < 300000; at++)
            buf_add_text(answer, "0123456789");
    else
        buf_addf(answer, "{\"ok\":true,\n\"len\":%zu}", request.len);
}

static struct script script;
static const struct http_answers answers = {&script,     say_verdict, say_verdict,
                                            say_verdict, say_metrics, say_control};
static const struct env env = {.clock = &clock_system, .stop_fd = -1};

static void setup(void)
{
    script = (struct script){.verdict = 0};
    pthread_mutex_init(&script.lock, NULL);
    pthread_cond_init(&script.changed, NULL);
}

/* ---- HTTP ---- */

static int connect_port(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t) port)};
    struct timeval limit = {.tv_sec = 5};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *) &a, sizeof a), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    return fd;
}

static void send_bytes(int fd, struct str bytes)
{
    while (bytes.len) {
        ssize_t n = send(fd, bytes.p, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return; /* the server may end the connection early: that is an answer */
        bytes = (struct str){bytes.p + n, bytes.len - (size_t) n};
    }
}

/* All that comes until the server ends the connection. */
static void read_to_end(int fd, struct buf *out)
{
    char bytes[4096];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
        buf_add(out, bytes, (size_t) n);
    ck_assert_msg(n == 0 || errno == ECONNRESET, "server left the connection open");
}

static void exchange(int port, struct str request, struct buf *out)
{
    int fd = connect_port(port);
    buf_reset(out);
    send_bytes(fd, request);
    read_to_end(fd, out);
    buf_add_char(out, 0);
    close(fd);
}

static struct http *open_http(const char *listen)
{
    struct err e = ERR_INIT;
    struct http *h;
    ck_assert_msg(http_open(&env, listen, &answers, &h, &e) == 0, "%s", e.msg);
    return h;
}

#define END " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

START_TEST(pages_and_refusals)
{
    static const struct {
        const char *request, *starts, *holds;
    } rows[] = {
        {"GET /metrics" END, "HTTP/1.1 200 ", "\r\n\r\ntailrace_up 1\n"},
        {"GET /metrics?x=y" END, "HTTP/1.1 200 ", "version=0.0.4"},
        {"GET /healthz" END, "HTTP/1.1 200 ", "{\"status\":\"ok\"}"},
        {"GET /readyz" END, "HTTP/1.1 200 ", "application/json"},
        {"GET /startupz" END, "HTTP/1.1 200 ", "{\"status\":\"ok\"}"},
        {"GET /" END, "HTTP/1.1 200 ", "<a href=\"/metrics\">"},
        {"GET /nothing" END, "HTTP/1.1 404 ", "no such page"},
        {"GET /metrics/" END, "HTTP/1.1 404 ", ""},
        {"GET /../etc/passwd" END, "HTTP/1.1 404 ", ""},
        {"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
         "HTTP/1.1 405 ", "Allow: GET, HEAD"},
        {"DELETE /" END, "HTTP/1.1 405 ", "read only"},
        {"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\nConnection: "
         "close\r\n\r\nabc",
         "HTTP/1.1 413 ", "no body"},
        {"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: "
         "close\r\n\r\n0\r\n\r\n",
         "HTTP/1.1 413 ", "no body"},
    };
    struct http *h = open_http("127.0.0.1:0");
    struct buf got = BUF_INIT;
    for (size_t at = 0; at < sizeof rows / sizeof rows[0]; at++) {
        exchange(http_port(h), str_of(rows[at].request), &got);
        ck_assert_msg(str_starts(buf_str(&got), rows[at].starts), "%s -> %s", rows[at].request,
                      got.p);
        ck_assert_msg(strstr(got.p, rows[at].holds) != NULL, "%s -> %s", rows[at].request, got.p);
    }
    script.verdict = -1;
    exchange(http_port(h), STR("GET /readyz" END), &got);
    ck_assert(str_starts(buf_str(&got), "HTTP/1.1 503 ") && strstr(got.p, "{\"status\":\"no\"}"));
    exchange(http_port(h), STR("HEAD /readyz" END), &got);
    ck_assert(str_starts(buf_str(&got), "HTTP/1.1 503 ") && !strstr(got.p, "status"));
    buf_free(&got);
    http_close(h);
}
END_TEST

static void still_answers(int port)
{
    struct buf got = BUF_INIT;
    exchange(port, STR("GET /healthz" END), &got);
    ck_assert_msg(str_starts(buf_str(&got), "HTTP/1.1 200 "), "%s", got.p);
    buf_free(&got);
}

START_TEST(garbage_does_not_hurt)
{
    struct http *h = open_http("127.0.0.1:0");
    struct buf bytes = BUF_INIT;
    unsigned seed = 7;
    for (int turn = 0; turn < 50; turn++) {
        buf_reset(&bytes);
        for (int at = 0; at < 3000; at++)
            buf_add_char(&bytes, (char) (seed = seed * 1103515245u + 12345u, seed >> 16));
        int fd = connect_port(http_port(h));
        send_bytes(fd, buf_str(&bytes));
        shutdown(fd, SHUT_WR);
        close(fd);
    }
    still_answers(http_port(h));
    buf_free(&bytes);
    http_close(h);
}
END_TEST

START_TEST(a_large_head_is_refused)
{
    struct http *h = open_http("127.0.0.1:0");
    struct buf request = BUF_INIT, got = BUF_INIT;
    buf_add_text(&request, "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Large: ");
    for (int at = 0; at < 200000; at++)
        buf_add_char(&request, 'a');
    buf_add_text(&request, "\r\n\r\n");
    exchange(http_port(h), buf_str(&request), &got);
    ck_assert_msg(!str_starts(buf_str(&got), "HTTP/1.1 2"), "%s", got.p);
    still_answers(http_port(h));
    buf_free(&request);
    buf_free(&got);
    http_close(h);
}
END_TEST

/* Clients that send half a request and wait hold their own connections, not the server. */
START_TEST(half_requests_wait_alone)
{
    struct http *h = open_http("127.0.0.1:0");
    int fds[40];
    for (int at = 0; at < 40; at++) {
        fds[at] = connect_port(http_port(h));
        send_bytes(fds[at], STR("GET /metrics HTTP/1.1\r\nHost:"));
    }
    still_answers(http_port(h));
    for (int at = 0; at < 40; at++)
        close(fds[at]);
    http_close(h);
}
END_TEST

START_TEST(addresses)
{
    static const char *const bad[] = {"8088",       "localhost",         "127.0.0.1:",
                                      "::1:8088",   "127.0.0.1:65536",   "127.0.0.1:x",
                                      "[::1]",      "no.such.host.invalid:1"};
    struct err e = ERR_INIT;
    struct http *h = NULL, *second = NULL;
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++) {
        ck_assert_msg(http_open(&env, bad[at], &answers, &h, &e) == -1, "%s", bad[at]);
        ck_assert_int_eq(e.code, E_HTTP_LISTEN);
        ck_assert_msg(strstr(e.msg, bad[at]) != NULL, "%s", e.msg);
    }
    ck_assert_int_eq(http_open(&env, "off", &answers, &h, &e), 0);
    ck_assert_ptr_null(h);
    ck_assert_int_eq(http_open(&env, NULL, &answers, &h, &e), 0);
    ck_assert_int_eq(http_port(h), 0);
    http_close(h);
    h = open_http("localhost:0");
    char taken[32];
    snprintf(taken, sizeof taken, "127.0.0.1:%d", http_port(h));
    http_close(h);
    h = open_http(taken);
    ck_assert_int_eq(http_open(&env, taken, &answers, &second, &e), -1);
    ck_assert_ptr_nonnull(strstr(e.msg, "Address already in use"));
    http_close(h);
    int v6 = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (v6 >= 0 && bind(v6, (struct sockaddr *) &loopback, sizeof loopback) == 0) {
        h = open_http("[::1]:0");
        ck_assert_int_gt(http_port(h), 0);
        http_close(h);
    }
    if (v6 >= 0)
        close(v6);
}
END_TEST

/* ---- control ---- */

static char dir[4200];

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/tailrace-control-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void ask(const char *request, const char *want)
{
    struct err e = ERR_INIT;
    struct buf answer = BUF_INIT;
    ck_assert_msg(control_ask(dir, str_of(request), 5000, &answer, &e) == 0, "%s", e.msg);
    ck_assert_msg(strstr(answer.p, want) != NULL && !memchr(answer.p, '\n', answer.len),
                  "%s -> %s", request, answer.p);
    buf_free(&answer);
}

static struct control *open_control(void)
{
    struct err e = ERR_INIT;
    struct control *c;
    ck_assert_msg(control_open(&env, dir, &answers, &c, &e) == 0, "%s", e.msg);
    return c;
}

START_TEST(questions_and_answers)
{
    struct stat st;
    struct err e = ERR_INIT;
    struct buf answer = BUF_INIT;
    char path[4300];
    make_dir();
    ck_assert_int_eq(control_ask(dir, STR("{}"), 1000, &answer, &e), -1);
    ck_assert_int_eq(e.code, E_NOT_RUNNING);
    struct control *c = open_control();
    snprintf(path, sizeof path, "%s/control.sock", dir);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    ask("{}", "{\"ok\":true, \"len\":2}");
    ask("{\"cmd\":\"nothing\"}", "\"internal\"");
    ck_assert_int_eq(control_ask(dir, STR("{\"cmd\":\"large\"}"), 5000, &answer, &e), 0);
    ck_assert_uint_eq(answer.len, 3000000);
    control_close(c);
    ck_assert_int_eq(stat(path, &st), -1);
    ck_assert_int_eq(control_ask(dir, STR("{}"), 1000, &answer, &e), -1);
    ck_assert_int_eq(e.code, E_NOT_RUNNING);
    rmdir(dir);
    ck_assert_int_eq(control_ask(dir, STR("{}"), 1000, &answer, &e), -1);
    ck_assert_int_eq(e.code, E_NOT_RUNNING);
    ck_assert_int_eq(control_open(&env, dir, &answers, &c, &e), -1);
    ck_assert_int_eq(e.code, E_STATE_DIR);
    buf_free(&answer);
}
END_TEST

START_TEST(a_stale_socket_is_replaced)
{
    make_dir();
    struct control *c = open_control();
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    control_close(c);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%.90s/control.sock", dir);
    ck_assert_int_eq(bind(fd, (struct sockaddr *) &a, sizeof a), 0);
    close(fd); /* as a killed process leaves it */
    struct err e = ERR_INIT;
    struct buf answer = BUF_INIT;
    ck_assert_int_eq(control_ask(dir, STR("{}"), 1000, &answer, &e), -1);
    ck_assert_int_eq(e.code, E_NOT_RUNNING);
    c = open_control();
    ask("{}", "\"ok\":true");
    control_close(c);
    rmdir(dir);
    buf_free(&answer);
}
END_TEST

START_TEST(a_long_state_path_works)
{
    char base[64], part[128];
    make_dir();
    snprintf(base, sizeof base, "%.60s", dir);
    memset(part, 'd', 100);
    part[100] = 0;
    for (int depth = 0; depth < 3; depth++) {
        size_t len = strlen(dir);
        snprintf(dir + len, sizeof dir - len, "/%s", part);
        ck_assert_int_eq(mkdir(dir, 0700), 0);
    }
    struct control *c = open_control();
    ask("{}", "\"ok\":true");
    control_close(c);
    while (strlen(dir) >= strlen(base)) {
        ck_assert_int_eq(rmdir(dir), 0);
        *strrchr(dir, '/') = 0;
    }
}
END_TEST

static int connect_control(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = 5};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%.90s/control.sock", dir);
    ck_assert_int_eq(connect(fd, (struct sockaddr *) &a, sizeof a), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    return fd;
}

START_TEST(requests_are_lines_of_bounded_length)
{
    struct buf line = BUF_INIT, got = BUF_INIT;
    make_dir();
    struct control *c = open_control();
    for (int at = 0; at < 65000; at++)
        buf_add_char(&line, 'x');
    buf_add_text(&line, "\n\n{}\n{");
    int fd = connect_control();
    send_bytes(fd, buf_str(&line));
    shutdown(fd, SHUT_WR); /* the half line at the end is no request */
    read_to_end(fd, &got);
    ck_assert_str_eq(got.p, "{\"ok\":true, \"len\":65000}\n{\"ok\":true, \"len\":2}\n");
    close(fd);
    buf_reset(&got);
    buf_reset(&line);
    for (int at = 0; at < 80000; at++)
        buf_add_char(&line, 'x');
    fd = connect_control();
    send_bytes(fd, buf_str(&line));
    read_to_end(fd, &got);
    ck_assert_msg(strstr(got.p, "longer than") != NULL, "%s", got.p);
    close(fd);
    control_close(c);
    rmdir(dir);
    buf_free(&line);
    buf_free(&got);
}
END_TEST

static void *ask_wait(void *arg)
{
    (void) arg;
    ask("{\"cmd\":\"wait\"}", "\"ok\":true");
    return NULL;
}

/* Slow clients and slow answers stand in nobody's way; past the limit a client is told. */
START_TEST(slow_clients_wait_alone)
{
    pthread_t slow;
    int fds[CONTROL_CLIENTS_MAX - 1];
    char answer[64] = "";
    struct buf got = BUF_INIT;
    make_dir();
    struct control *c = open_control();
    ck_assert_int_eq(pthread_create(&slow, NULL, ask_wait, NULL), 0);
    pthread_mutex_lock(&script.lock);
    while (!script.entered)
        pthread_cond_wait(&script.changed, &script.lock);
    pthread_mutex_unlock(&script.lock);
    for (int at = 0; at < CONTROL_CLIENTS_MAX - 1; at++) {
        fds[at] = connect_control();
        send_bytes(fds[at], at ? STR("{\"cmd\":") : STR("{}\n"));
    }
    /* By one that stays: a place that was just left is free only when the server has seen it. */
    ck_assert_int_gt(recv(fds[0], answer, sizeof answer - 1, 0), 0);
    ck_assert_msg(strstr(answer, "\"len\":2") != NULL, "%s", answer);
    int extra = connect_control();
    read_to_end(extra, &got);
    ck_assert_msg(strstr(got.p, "too many") != NULL, "%s", got.p);
    close(extra);
    pthread_mutex_lock(&script.lock);
    script.released = true;
    pthread_cond_broadcast(&script.changed);
    pthread_mutex_unlock(&script.lock);
    pthread_join(slow, NULL);
    control_close(c); /* with clients connected */
    for (int at = 0; at < CONTROL_CLIENTS_MAX - 1; at++)
        close(fds[at]);
    rmdir(dir);
    buf_free(&got);
}
END_TEST

START_TEST(a_server_that_hangs_is_a_timeout)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct err e = ERR_INIT;
    struct buf answer = BUF_INIT;
    make_dir();
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%.90s/control.sock", dir);
    ck_assert_int_eq(bind(fd, (struct sockaddr *) &a, sizeof a), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(control_ask(dir, STR("{}"), 50, &answer, &e), -1);
    ck_assert_int_eq(e.code, E_TIMEOUT);
    close(fd);
    unlink(a.sun_path);
    rmdir(dir);
    buf_free(&answer);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("http");
    TCase *t = tcase_create("http"), *k = tcase_create("control");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_test(t, pages_and_refusals);
    tcase_add_test(t, garbage_does_not_hurt);
    tcase_add_test(t, a_large_head_is_refused);
    tcase_add_test(t, half_requests_wait_alone);
    tcase_add_test(t, addresses);
    tcase_add_checked_fixture(k, setup, NULL);
    tcase_add_test(k, questions_and_answers);
    tcase_add_test(k, a_stale_socket_is_replaced);
    tcase_add_test(k, a_long_state_path_works);
    tcase_add_test(k, requests_are_lines_of_bounded_length);
    tcase_add_test(k, slow_clients_wait_alone);
    tcase_add_test(k, a_server_that_hangs_is_a_timeout);
    suite_add_tcase(s, t);
    suite_add_tcase(s, k);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
