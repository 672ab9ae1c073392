/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread of libmicrohttpd with epoll serves all connections. Its limits keep a hostile or
 * broken client cheap: 64 connections, 32 KB each (a larger head is refused), 10 s of silence.
 * The listening socket is made here, so that an address that cannot be used is told by its reason.
 */
#include "agent/http/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/arena.h"

#define CONNECTIONS_MAX 64u
#define CONNECTION_BYTES ((size_t) 32 << 10)
#define SILENCE_S 10u

struct http {
    const struct env *env;
    struct http_answers answers;
    struct MHD_Daemon *daemon;
    int port;
};

/* ---- answering ---- */

static const char front_page[] =
    "<!doctype html>\n<html lang=\"en\"><title>tailrace</title>\n<h1>tailrace</h1>\n<ul>\n"
    "<li><a href=\"/metrics\">/metrics</a> for Prometheus</li>\n"
    "<li><a href=\"/healthz\">/healthz</a> the data loops turn</li>\n"
    "<li><a href=\"/readyz\">/readyz</a> changes flow</li>\n"
    "<li><a href=\"/startupz\">/startupz</a> it has been prepared</li>\n</ul>\n</html>\n";

static enum MHD_Result send_page(struct MHD_Connection *connection, unsigned status,
                                 const char *type, struct str body)
{
    /* The library copies the body; its prototype merely lacks const. */
    struct MHD_Response *response = MHD_create_response_from_buffer(
        body.len, (void *) (uintptr_t) body.p, MHD_RESPMEM_MUST_COPY);
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "Content-Security-Policy", "default-src 'none'");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD");
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result send_line(struct MHD_Connection *connection, unsigned status,
                                 struct str line)
{
    return send_page(connection, status, "text/plain; charset=utf-8", line);
}

static enum MHD_Result send_verdict(struct MHD_Connection *connection, void *self,
                                    int (*ask)(void *self, struct buf *json))
{
    struct buf json = BUF_INIT;
    bool good = ask(self, &json) == 0;
    if (!json.len || json.p[json.len - 1] != '\n')
        buf_add_char(&json, '\n');
    enum MHD_Result queued =
        send_page(connection, good ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                  "application/json", buf_str(&json));
    buf_free(&json);
    return queued;
}

static enum MHD_Result send_metrics(struct MHD_Connection *connection,
                                    const struct http_answers *answers)
{
    struct buf text = BUF_INIT;
    answers->metrics(answers->self, &text);
    enum MHD_Result queued =
        send_page(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                  buf_str(&text));
    buf_free(&text);
    return queued;
}

static enum MHD_Result send_path(struct http *h, struct MHD_Connection *connection,
                                 const char *path)
{
    const struct http_answers *answers = &h->answers;
    if (strcmp(path, "/metrics") == 0)
        return send_metrics(connection, answers);
    if (strcmp(path, "/healthz") == 0)
        return send_verdict(connection, answers->self, answers->health);
    if (strcmp(path, "/readyz") == 0)
        return send_verdict(connection, answers->self, answers->ready);
    if (strcmp(path, "/startupz") == 0)
        return send_verdict(connection, answers->self, answers->started);
    if (strcmp(path, "/") == 0)
        return send_page(connection, MHD_HTTP_OK, "text/html; charset=utf-8",
                         (struct str){front_page, sizeof front_page - 1});
    return send_line(connection, MHD_HTTP_NOT_FOUND, STR("no such page\n"));
}

static bool has_body(struct MHD_Connection *connection)
{
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    return (length && strcmp(length, "0") != 0)
        || MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Transfer-Encoding");
}

/* Called once the head is read, before any body: a refusal then ends the connection. */
static enum MHD_Result on_request(void *self, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_len, void **request)
{
    (void) version, (void) upload, (void) upload_len, (void) request;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return send_line(connection, MHD_HTTP_METHOD_NOT_ALLOWED, STR("read only\n"));
    if (has_body(connection))
        return send_line(connection, MHD_HTTP_CONTENT_TOO_LARGE, STR("no body is taken\n"));
    return send_path(self, connection, path);
}

static void PRINTF_LIKE(2, 0) on_library_log(void *self, const char *fmt, va_list args)
{
    struct http *h = self;
    char text[512];
    int len = vsnprintf(text, sizeof text, fmt, args);
    while (len > 0 && len < (int) sizeof text && text[len - 1] == '\n')
        text[--len] = 0;
    log_debug(h->env->log, "http", "%s", text);
}

/* ---- opening ---- */

/* "host:port" or "[host]:port" into its parts; false when it has no such form. */
static bool split_listen(struct str listen, char host[256], char port[16])
{
    size_t colon = listen.len;
    while (colon > 0 && listen.p[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    struct str name = {listen.p, colon - 1}, digits = {listen.p + colon, listen.len - colon};
    uint64_t number;
    if (!str_to_u64(digits, &number) || number > 65535 || digits.len >= 16)
        return false;
    bool bracket = name.len >= 2 && name.p[0] == '[' && name.p[name.len - 1] == ']';
    if (bracket)
        name = (struct str){name.p + 1, name.len - 2};
    else if (name.len && memchr(name.p, ':', name.len))
        return false; /* an IPv6 address needs its brackets */
    if (name.len >= 256)
        return false;
    if (name.len)
        memcpy(host, name.p, name.len);
    host[name.len] = 0;
    memcpy(port, digits.p, digits.len);
    port[digits.len] = 0;
    return true;
}

static int socket_on(const struct addrinfo *address)
{
    int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    (void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, 64) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

static int open_socket(const char *text, int *out, struct err *e)
{
    char host[256], port[16];
    if (!split_listen(str_of(text), host, port))
        return err_set(e, E_HTTP_LISTEN, "http.listen \"%s\" is not host:port", text);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int failed = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
    if (failed)
        return err_set(e, E_HTTP_LISTEN, "http.listen \"%s\": %s", text, gai_strerror(failed));
    *out = -1;
    for (const struct addrinfo *at = found; at && *out < 0; at = at->ai_next)
        *out = socket_on(at);
    int why = errno;
    freeaddrinfo(found);
    if (*out < 0)
        return err_set(e, E_HTTP_LISTEN, "cannot listen on http.listen \"%s\": %s", text,
                       strerror(why));
    return 0;
}

static int port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    char port[16] = "0";
    uint64_t number = 0;
    if (getsockname(fd, (struct sockaddr *) &address, &len) == 0)
        (void) getnameinfo((struct sockaddr *) &address, len, NULL, 0, port, sizeof port,
                           NI_NUMERICSERV);
    return str_to_u64(str_of(port), &number) ? (int) number : 0;
}

static struct MHD_Daemon *start_daemon(struct http *h, int fd)
{
    /* Signals are for main: the thread made here inherits a full mask. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, h,
        MHD_OPTION_EXTERNAL_LOGGER, on_library_log, h, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        CONNECTION_BYTES, MHD_OPTION_CONNECTION_TIMEOUT, SILENCE_S, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return daemon;
}

int http_open(const struct env *env, const char *listen, const struct http_answers *answers,
              struct http **out, struct err *e)
{
    int fd;
    *out = NULL;
    if (!listen || !listen[0] || strcmp(listen, "off") == 0)
        return 0;
    if (open_socket(listen, &fd, e) < 0)
        return -1;
    struct http *h = mem_zalloc(1, sizeof *h);
    h->env = env;
    h->answers = *answers;
    h->port = port_of(fd);
    h->daemon = start_daemon(h, fd);
    if (!h->daemon) {
        close(fd);
        free(h);
        return err_set(e, E_HTTP_LISTEN, "HTTP server on \"%s\" did not start", listen);
    }
    *out = h;
    return 0;
}

int http_port(const struct http *h)
{
    return h ? h->port : 0;
}

void http_close(struct http *h)
{
    if (!h)
        return;
    MHD_stop_daemon(h->daemon); /* closes the socket too */
    free(h);
}
