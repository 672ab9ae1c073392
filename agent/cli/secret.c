/* SPDX-License-Identifier: Apache-2.0 */
#include <config.h> /* in pointed brackets: quotes would find the header beside this file */

#include "agent/cli/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"

extern char **environ;

/* Cut the line break at the end; refuse what no password or connection string holds. */
static int accept(struct arena *a, struct buf *bytes, const char *what, struct str *out,
                  struct err *e)
{
    struct str s = buf_str(bytes);
    if (bytes->over)
        return err_set(e, E_CONFIG, "%s holds more than %zu bytes", what, SECRET_MAX_BYTES);
    if (s.len && s.p[s.len - 1] == '\n')
        s.len--;
    if (s.len && s.p[s.len - 1] == '\r')
        s.len--;
    if (!s.len)
        return err_set(e, E_CONFIG, "%s is empty", what);
    for (size_t at = 0; at < s.len; at++)
        if ((unsigned char) s.p[at] < ' ')
            return err_set(e, E_CONFIG, "%s holds more than one line, or a control character",
                           what);
    *out = arena_str(a, s);
    return 0;
}

/* Wipe before the memory goes back; the volatile pointer keeps the compiler from dropping it. */
static void wipe(struct buf *bytes)
{
    volatile char *p = bytes->p;
    for (size_t at = 0; p && at < bytes->len; at++)
        p[at] = 0;
    buf_free(bytes);
}

/* Append what fd holds until its end, or until it is more than fits. */
static int read_all(int fd, const char *what, struct buf *bytes, struct err *e)
{
    char part[4096];
    while (!bytes->over) {
        ssize_t got = read(fd, part, sizeof part);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(e, E_CONFIG, "cannot read %s: %s", what, strerror(errno));
        if (got == 0)
            break;
        buf_add(bytes, part, (size_t) got);
    }
    return 0;
}

static int read_file(struct arena *a, const char *path, struct str *out, struct err *e)
{
    const char *what = arena_printf(a, "secret file %s", path).p;
    struct buf bytes = {.max = SECRET_MAX_BYTES};
    struct stat st;
    int rc = -1, fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return err_set(e, E_CONFIG, "cannot open %s: %s", what, strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        err_set(e, E_CONFIG, "%s is not a regular file", what);
    else if (st.st_mode & 037)
        err_set(e, E_CONFIG, "%s has mode %03o, so others may read or change it; chmod 600 it",
                what, (unsigned) st.st_mode & 0777);
    else if (read_all(fd, what, &bytes, e) == 0)
        rc = accept(a, &bytes, what, out, e);
    wipe(&bytes);
    close(fd);
    return rc;
}

int secret_file(struct arena *a, const char *directory, struct str path, struct str *out,
                struct err *e)
{
    const char *full = path.len && path.p[0] != '/' && *directory
        ? arena_printf(a, "%s/%.*s", directory, STR_ARG(path)).p
        : arena_str(a, path).p;
    return read_file(a, full, out, e);
}

int secret_credential(struct arena *a, struct str name, struct str *out, struct err *e)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    if (!name.len || memchr(name.p, '/', name.len) || str_is(name, "..") || str_is(name, "."))
        return err_set(e, E_CONFIG, "\"%.*s\" is not a credential's name; !secret {file: PATH} "
                       "reads a file", STR_ARG(name));
    if (!directory || !*directory)
        return err_set(e, E_CONFIG, "CREDENTIALS_DIRECTORY is not set: start under systemd with "
                       "LoadCredential=%.*s:PATH, or use !secret {file: PATH}", STR_ARG(name));
    return read_file(a, arena_printf(a, "%s/%.*s", directory, STR_ARG(name)).p, out, e);
}

/* Start argv in a process group of its own, with standard output into out_fd. 0 or an errno. */
static int start(char *const *argv, int out_fd, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, pipe_only;
    sigemptyset(&none);
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ENOMEM;
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return ENOMEM;
    }
    int rc = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
    if (rc == 0)
        rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK
                                          | POSIX_SPAWN_SETSIGDEF);
    if (rc == 0)
        rc = posix_spawnattr_setpgroup(&attr, 0);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(&attr, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(&attr, &pipe_only);
    if (rc == 0)
        rc = posix_spawn(pid, argv[0], &actions, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

/* Read until the end of the pipe or the deadline. */
static int read_until(int fd, int64_t deadline_us, const char *what, struct buf *bytes,
                      struct err *e)
{
    char part[4096];
    while (!bytes->over) {
        int64_t left_us = deadline_us - clock_mono_us(&clock_system);
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (left_us <= 0)
            return err_set(e, E_CONFIG, "%s did not end within %d ms", what, SECRET_COMMAND_MS);
        int ready = poll(&wait, 1, (int) (left_us / 1000) + 1);
        if (ready <= 0)
            continue;
        ssize_t got = read(fd, part, sizeof part);
        if (got == 0)
            return 0;
        if (got < 0 && errno != EINTR)
            return err_set(e, E_CONFIG, "cannot read from %s: %s", what, strerror(errno));
        if (got > 0)
            buf_add(bytes, part, (size_t) got);
    }
    return 0;
}

/* Wait for the command, which may have closed its output and gone on, until the deadline. Polling
 * is enough: this is the rare case, and SIGCHLD belongs to whoever runs the process. */
static int reap(pid_t pid, int64_t deadline_us, bool failed, const char *what, struct err *e)
{
    int status = 0;
    pid_t got = 0;
    while (!failed && (got = waitpid(pid, &status, WNOHANG)) == 0) {
        if (clock_mono_us(&clock_system) >= deadline_us)
            break;
        poll(NULL, 0, 2);
    }
    if (got != pid) {
        kill(-pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
        return failed ? -1
                      : err_set(e, E_CONFIG, "%s did not end within %d ms", what, SECRET_COMMAND_MS);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(e, E_CONFIG, "%s failed with %s %d", what,
                       WIFEXITED(status) ? "exit code" : "signal",
                       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return 0;
}

int secret_command(struct arena *a, char *const *argv, struct str *out, struct err *e)
{
    int64_t deadline_us = clock_mono_us(&clock_system) + SECRET_COMMAND_MS * INT64_C(1000);
    const char *what = arena_printf(a, "secret command %s", argv[0]).p;
    struct buf bytes = {.max = SECRET_MAX_BYTES};
    int ends[2];
    pid_t pid;
    if (!strchr(argv[0], '/'))
        return err_set(e, E_CONFIG, "%s must be given with its path; no shell and no PATH are used",
                       what);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_set(e, E_SYSTEM, "cannot make a pipe for %s: %s", what, strerror(errno));
    int rc = start(argv, ends[1], &pid);
    close(ends[1]);
    if (rc != 0) {
        close(ends[0]);
        return err_set(e, E_CONFIG, "cannot start %s: %s", what, strerror(rc));
    }
    rc = read_until(ends[0], deadline_us, what, &bytes, e);
    bool stop = rc != 0 || bytes.over;
    if (reap(pid, deadline_us, stop, what, e) != 0 && !stop)
        rc = -1;
    close(ends[0]);
    if (rc == 0)
        rc = accept(a, &bytes, what, out, e);
    wipe(&bytes);
    return rc;
}
