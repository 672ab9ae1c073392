/* SPDX-License-Identifier: Apache-2.0
 *
 * The control socket, server side. One thread accepts; each connection gets a thread of a bounded
 * number, because an answer may take seconds (a parked row tried again) while `tailrace top` goes
 * on asking. A client that sends or takes nothing for CLIENT_WAIT_MS in the middle of a line is
 * let go; between lines it may stay for IDLE_WAIT_MS.
 */
#ifdef HAVE_CONFIG_H
#include "config.h" /* GNU extensions: O_PATH, accept4 */
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/arena.h"
#include "agent/http/control.h"
#include "agent/http/http.h"

#define CLIENT_WAIT_MS 10000
#define IDLE_WAIT_MS 60000

struct client {
    struct control *owner;
    pthread_t thread;
    bool started;      /* thread is to be joined */
    _Atomic bool done; /* thread has ended its work */
    int fd;
};

struct control {
    const struct env *env;
    struct http_answers answers;
    int dir_fd, listen_fd, stop_fd;
    pthread_t thread;
    struct client clients[CONTROL_CLIENTS_MAX];
};

void control_add_error(struct buf *answer, const struct err *e)
{
    buf_add_text(answer, "{\"ok\":false,\"error\":{\"code\":");
    buf_add_json(answer, str_of(err_name(e->code)));
    buf_add_text(answer, ",\"message\":");
    buf_add_json(answer, str_of(e->msg));
    buf_add_text(answer, ",\"hint\":");
    buf_add_json(answer, str_of(e->hint));
    buf_add_text(answer, "}}");
}

/* Wait for events on fd; false on timeout, error or when the server closes. */
static bool wait_for(const struct client *client, short events, int wait_ms)
{
    struct pollfd fds[2] = {{client->fd, events, 0}, {client->owner->stop_fd, POLLIN, 0}};
    int n;
    do
        n = poll(fds, 2, wait_ms);
    while (n < 0 && errno == EINTR);
    return n > 0 && !fds[1].revents;
}

static bool send_all(const struct client *client, struct str bytes)
{
    while (bytes.len) {
        ssize_t n = send(client->fd, bytes.p, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return false;
        if (n < 0 && !wait_for(client, POLLOUT, CLIENT_WAIT_MS))
            return false;
        if (n > 0)
            bytes = (struct str){bytes.p + n, bytes.len - (size_t) n};
    }
    return true;
}

static bool send_error(const struct client *client, const struct err *e)
{
    struct buf line = BUF_INIT;
    control_add_error(&line, e);
    buf_add_char(&line, '\n');
    bool sent = send_all(client, buf_str(&line));
    buf_free(&line);
    return sent;
}

static bool answer_line(const struct client *client, struct str request)
{
    const struct http_answers *answers = &client->owner->answers;
    struct buf answer = {.max = CONTROL_ANSWER_MAX};
    answers->control(answers->self, request, &answer);
    for (size_t at = 0; at < answer.len; at++)
        if (answer.p[at] == '\n') /* between JSON's tokens, where a space says the same */
            answer.p[at] = ' ';
    buf_add_char(&answer, '\n');
    bool sent;
    if (answer.over || answer.len == 1) {
        struct err e = ERR_INIT;
        (void) err_set(&e, E_INTERNAL, "the answer is %s", answer.over ? "too large" : "empty");
        sent = send_error(client, &e);
    } else {
        sent = send_all(client, buf_str(&answer));
    }
    buf_free(&answer);
    return sent;
}

/* Answer each whole line in the buffer; what is left of it stays. False when the client is lost. */
static bool answer_lines(const struct client *client, struct buf *in)
{
    size_t start = 0;
    const char *newline;
    while (start < in->len && (newline = memchr(in->p + start, '\n', in->len - start))) {
        struct str line = {in->p + start, (size_t) (newline - in->p) - start};
        start += line.len + 1;
        if (line.len && !answer_line(client, line))
            return false;
    }
    if (start)
        memmove(in->p, in->p + start, in->len - start);
    in->len -= start;
    return true;
}

static void serve(struct client *client)
{
    struct buf in = BUF_INIT;
    for (;;) {
        char bytes[4096];
        if (!wait_for(client, POLLIN, in.len ? CLIENT_WAIT_MS : IDLE_WAIT_MS))
            break;
        ssize_t n = recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            break;
        buf_add(&in, bytes, (size_t) n);
        if (!answer_lines(client, &in))
            break;
        if (in.len > CONTROL_REQUEST_MAX) {
            struct err e = ERR_INIT;
            (void) err_set(&e, E_USAGE, "control request is longer than %zu bytes",
                           CONTROL_REQUEST_MAX);
            (void) send_error(client, &e);
            break;
        }
    }
    buf_free(&in);
}

static void *client_main(void *arg)
{
    struct client *client = arg;
    serve(client);
    close(client->fd);
    atomic_store(&client->done, true);
    return NULL;
}

/* A place without a running thread, or NULL. */
static struct client *free_place(struct control *c)
{
    struct client *place = NULL;
    for (int at = 0; at < CONTROL_CLIENTS_MAX; at++) {
        struct client *client = &c->clients[at];
        if (client->started && atomic_load(&client->done)) {
            pthread_join(client->thread, NULL);
            client->started = false;
        }
        if (!client->started)
            place = client;
    }
    return place;
}

static void take_client(struct control *c, int fd)
{
    struct client *client = free_place(c);
    if (client) {
        client->owner = c;
        client->fd = fd;
        atomic_store(&client->done, false);
        client->started = pthread_create(&client->thread, NULL, client_main, client) == 0;
        if (client->started)
            return;
    }
    static const char busy[] = "{\"ok\":false,\"error\":{\"code\":\"timeout\",\"message\":"
                               "\"too many control connections\",\"hint\":\"try again\"}}\n";
    (void) !send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

static void *accept_main(void *arg)
{
    struct control *c = arg;
    struct pollfd fds[2] = {{c->listen_fd, POLLIN, 0}, {c->stop_fd, POLLIN, 0}};
    for (;;) {
        int n = poll(fds, 2, -1);
        if (n > 0 && fds[1].revents)
            return NULL;
        if (n <= 0)
            continue;
        int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            take_client(c, fd);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
            (void) poll(&fds[1], 1, 100); /* the caller stays in the queue: do not spin on it */
    }
}

/* ---- opening ---- */

static int listen_at(struct control *c, const char *state, struct err *e)
{
    struct sockaddr_un address;
    c->dir_fd = open(state, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (c->dir_fd < 0)
        return err_set(e, E_STATE_DIR, "cannot open state directory %s: %s", state,
                       strerror(errno));
    control_address(state, c->dir_fd, &address);
    c->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* On Linux bind takes over the mode of the socket's own inode: it is 0600 from the start. */
    if (c->listen_fd < 0 || fchmod(c->listen_fd, S_IRUSR | S_IWUSR) < 0)
        return err_set(e, E_STATE_DIR, "cannot make a socket: %s", strerror(errno));
    if (unlinkat(c->dir_fd, CONTROL_NAME, 0) < 0 && errno != ENOENT)
        return err_set(e, E_STATE_DIR, "cannot replace %s/%s: %s", state, CONTROL_NAME,
                       strerror(errno));
    if (bind(c->listen_fd, (struct sockaddr *) &address, sizeof address) < 0
        || fchmodat(c->dir_fd, CONTROL_NAME, S_IRUSR | S_IWUSR, 0) < 0
        || listen(c->listen_fd, CONTROL_CLIENTS_MAX) < 0)
        return err_set(e, E_STATE_DIR, "cannot listen on %s/%s: %s", state, CONTROL_NAME,
                       strerror(errno));
    return 0;
}

static int start_accepting(struct control *c, struct err *e)
{
    c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->stop_fd < 0)
        return err_set(e, E_SYSTEM, "cannot make an event: %s", strerror(errno));
    /* Signals are for main: the threads made here inherit a full mask. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&c->thread, NULL, accept_main, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? err_set(e, E_SYSTEM, "cannot start a thread: %s", strerror(failed)) : 0;
}

static void close_fds(struct control *c)
{
    if (c->listen_fd >= 0)
        close(c->listen_fd);
    if (c->stop_fd >= 0)
        close(c->stop_fd);
    if (c->dir_fd >= 0)
        close(c->dir_fd);
}

int control_open(const struct env *env, const char *state, const struct http_answers *answers,
                 struct control **out, struct err *e)
{
    struct control *c = mem_zalloc(1, sizeof *c);
    *out = NULL;
    c->env = env;
    c->answers = *answers;
    c->listen_fd = c->stop_fd = -1;
    if (listen_at(c, state, e) < 0 || start_accepting(c, e) < 0) {
        close_fds(c);
        free(c);
        return -1;
    }
    *out = c;
    return 0;
}

void control_close(struct control *c)
{
    uint64_t one = 1;
    if (!c)
        return;
    while (write(c->stop_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
    pthread_join(c->thread, NULL);
    for (int at = 0; at < CONTROL_CLIENTS_MAX; at++)
        if (c->clients[at].started)
            pthread_join(c->clients[at].thread, NULL);
    (void) unlinkat(c->dir_fd, CONTROL_NAME, 0);
    close_fds(c);
    free(c);
}
