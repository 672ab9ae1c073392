/* SPDX-License-Identifier: Apache-2.0
 *
 * The control socket, client side: one question, one answer, within a time.
 */
#ifdef HAVE_CONFIG_H
#include "config.h" /* GNU extensions: O_PATH, accept4 */
#endif

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/http/control.h"
#include "agent/http/http.h"

void control_address(const char *state, int dir_fd, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    int len = snprintf(out->sun_path, sizeof out->sun_path, "%s/" CONTROL_NAME, state);
    if (len < 0 || (size_t) len >= sizeof out->sun_path)
        snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/" CONTROL_NAME, dir_fd);
}

static int connect_to(const char *state, int *out, struct err *e)
{
    struct sockaddr_un address;
    int dir_fd = open(state, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0 && errno == ENOENT)
        return err_set(e, E_NOT_RUNNING, "state directory %s does not exist", state);
    if (dir_fd < 0)
        return err_set(e, E_STATE_DIR, "cannot open state directory %s: %s", state,
                       strerror(errno));
    control_address(state, dir_fd, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* A unix socket connects at once or fails; EAGAIN is a full queue of a process that hangs. */
    int failed = fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof address) < 0;
    int why = errno;
    close(dir_fd);
    if (!failed) {
        *out = fd;
        return 0;
    }
    if (fd >= 0)
        close(fd);
    if (why == ENOENT || why == ECONNREFUSED)
        return err_set(e, E_NOT_RUNNING, "no tailrace runs on state directory %s", state);
    if (why == EAGAIN)
        return err_set(e, E_TIMEOUT, "tailrace on state directory %s takes no connection", state);
    return err_set(e, E_STATE_DIR, "cannot ask tailrace on state directory %s: %s", state,
                   strerror(why));
}

/* Wait for events until the time is over. */
static int wait_until(int fd, short events, int64_t end_us, struct err *e)
{
    for (;;) {
        int64_t left_ms = (end_us - clock_mono_us(&clock_system)) / 1000;
        struct pollfd p = {fd, events, 0};
        int n = left_ms <= 0 ? 0 : poll(&p, 1, left_ms > 1000000 ? 1000000 : (int) left_ms);
        if (n > 0)
            return 0;
        if (left_ms <= 0)
            return err_set(e, E_TIMEOUT, "tailrace did not answer in time");
    }
}

static int lost(struct err *e)
{
    return err_set(e, E_NOT_RUNNING, "tailrace ended while it was asked");
}

static int send_line(int fd, struct str request, int64_t end_us, struct err *e)
{
    struct buf line = BUF_INIT;
    int failed = 0;
    buf_add_str(&line, request);
    buf_add_char(&line, '\n');
    for (size_t at = 0; at < line.len && !failed;) {
        ssize_t n = send(fd, line.p + at, line.len - at, MSG_NOSIGNAL);
        if (n > 0)
            at += (size_t) n;
        else if (errno == EAGAIN || errno == EINTR)
            failed = wait_until(fd, POLLOUT, end_us, e);
        else
            failed = lost(e);
    }
    buf_free(&line);
    return failed;
}

static int take_line(int fd, int64_t end_us, struct buf *answer, struct err *e)
{
    struct buf line = {.max = CONTROL_ANSWER_MAX + 1};
    int failed = 0;
    bool whole = false;
    while (!failed && !whole) {
        char bytes[16384];
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n > 0) {
            const char *newline = memchr(bytes, '\n', (size_t) n);
            whole = newline != NULL;
            buf_add(&line, bytes, whole ? (size_t) (newline - bytes) : (size_t) n);
            if (line.over)
                failed = err_set(e, E_SYSTEM, "the answer is longer than %zu bytes",
                                 CONTROL_ANSWER_MAX);
        } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            failed = wait_until(fd, POLLIN, end_us, e);
        } else {
            failed = lost(e);
        }
    }
    if (!failed)
        buf_add_str(answer, buf_str(&line));
    buf_free(&line);
    return failed;
}

int control_ask(const char *state, struct str request, int64_t wait_ms, struct buf *answer,
                struct err *e)
{
    int64_t end_us = clock_mono_us(&clock_system) + wait_ms * 1000;
    int fd = -1;
    if (connect_to(state, &fd, e) < 0)
        return -1;
    int failed = send_line(fd, request, end_us, e);
    if (!failed)
        failed = take_line(fd, end_us, answer, e);
    close(fd);
    return failed;
}
