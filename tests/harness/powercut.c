/* SPDX-License-Identifier: Apache-2.0
 *
 * A power cut for tests, first half: LD_PRELOAD=powercut.so POWERCUT_DIR=/the/state
 * POWERCUT_LOG=/elsewhere/undo program. Journals are /elsewhere/undo.NAME, one a file.
 *
 * kill -9 leaves what the program had written in the kernel's cache; a power cut does not. For
 * each file under POWERCUT_DIR this library writes down what a write is about to change, until
 * fsync or fdatasync of that file says that it is durable. After the program was killed,
 * powercut_undo takes back what had not been synced. Writes through descriptors opened with
 * O_DSYNC or O_SYNC are durable at once, and stay whatever is taken back around them.
 * One lock holds over each call and its record, so that a sync never covers a write that began
 * after it. Not modelled: names (a file made, renamed or deleted is taken for durable), writes
 * through shared maps, more than one process at a time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/harness/powercut.h"

#define FDS_MAX 4096
#define FILES_MAX 256

struct file {
    char path[PATH_MAX];
    int journal;
    bool pending; /* has records since its last sync */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file *files[FILES_MAX];
static int file_count;
static struct { struct file *file; bool durable; } fds[FDS_MAX];

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "powercut: %s: %s\n", what, strerror(errno));
    abort();
}

/* The function behind the one of the same name here. */
static void *real(const char *name)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (!symbol)
        die(name);
    return symbol;
}

#define REAL(name) ((__typeof__(&name)) (uintptr_t) real(#name))

/* ---- which descriptors ---- */

static struct file *file_of(const char *path)
{
    const char *log = getenv("POWERCUT_LOG");
    char name[PATH_MAX + 256];
    for (int at = 0; at < file_count; at++)
        if (strcmp(files[at]->path, path) == 0)
            return files[at];
    struct file *file = file_count < FILES_MAX ? calloc(1, sizeof *file) : NULL;
    if (!file || !log)
        die(log ? "too many files" : "POWERCUT_LOG is not set");
    snprintf(file->path, sizeof file->path, "%s", path);
    snprintf(name, sizeof name, "%s.%s", log, strrchr(path, '/') + 1);
    file->journal = REAL(open)(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file->journal < 0)
        die(name);
    files[file_count++] = file;
    return file;
}

/* A descriptor was opened: is it one of ours? */
static void opened(int fd, int flags)
{
    const char *dir = getenv("POWERCUT_DIR");
    char link[64], path[PATH_MAX], root[PATH_MAX];
    struct stat st;
    if (fd < 0 || fd >= FDS_MAX || !dir)
        return;
    fds[fd].file = NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len <= 0 || !realpath(dir, root) || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    path[len] = 0;
    size_t root_len = strlen(root);
    if (strncmp(path, root, root_len) != 0 || path[root_len] != '/')
        return;
    fds[fd].file = file_of(path);
    fds[fd].durable = (flags & (O_DSYNC | O_SYNC)) != 0;
}

static struct file *ours(int fd)
{
    return fd >= 0 && fd < FDS_MAX ? fds[fd].file : NULL;
}

/* ---- the journal ---- */

static void put(const struct file *file, const void *bytes, size_t len)
{
    const char *p = bytes;
    while (len > 0) {
        ssize_t done = REAL(write)(file->journal, p, len);
        if (done <= 0)
            die("writing a journal");
        p += done;
        len -= (size_t) done;
    }
}

static void record(const struct file *file, struct powercut_head head, const void *bytes)
{
    head.magic = POWERCUT_MAGIC;
    head.path_len = (uint32_t) strlen(file->path);
    put(file, &head, sizeof head);
    put(file, file->path, head.path_len);
    put(file, bytes, head.len);
}

static uint64_t size_of(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        die("fstat");
    return (uint64_t) st.st_size;
}

/* What stands in [offset, offset + len), read through a descriptor of its own: fd may be
 * write-only. */
static void record_before(struct file *file, int fd, enum powercut_kind kind, uint64_t offset, uint64_t len)
{
    struct powercut_head head = {.kind = kind, .offset = offset, .old_size = size_of(fd)};
    uint64_t there = offset >= head.old_size ? 0 : head.old_size - offset;
    head.len = (uint32_t) (len < there ? len : there);
    char *bytes = malloc(head.len + 1);
    int in = REAL(open)(file->path, O_RDONLY | O_CLOEXEC);
    if (!bytes || in < 0 || pread(in, bytes, head.len, (off_t) offset) != (ssize_t) head.len)
        die(file->path);
    REAL(close)(in);
    record(file, head, bytes);
    free(bytes);
    file->pending = true;
}

/* All of it is durable now: there is nothing to take back. */
static void record_sync(struct file *file)
{
    if (file->pending && REAL(ftruncate64)(file->journal, 0) != 0)
        die("emptying a journal");
    file->pending = false;
}

/* One write of any kind: bytes go to offset of fd by `call`. */
struct job {
    int fd;
    uint64_t offset;
    const struct iovec *parts;
    int count;
};

static size_t total(const struct iovec *parts, int count)
{
    size_t sum = 0;
    for (int at = 0; at < count; at++)
        sum += parts[at].iov_len;
    return sum;
}

static void record_kept(struct file *file, const struct job *j, size_t done)
{
    struct powercut_head head = {.kind = POWERCUT_KEEP, .offset = j->offset, .len = (uint32_t) done};
    char *bytes = malloc(done + 1);
    size_t len = 0;
    if (!bytes)
        die("memory");
    for (int at = 0; at < j->count && len < done; at++) {
        size_t part = j->parts[at].iov_len < done - len ? j->parts[at].iov_len : done - len;
        memcpy(bytes + len, j->parts[at].iov_base, part);
        len += part;
    }
    /* Without anything to take back there is nothing to protect it from. */
    if (file->pending)
        record(file, head, bytes);
    free(bytes);
}

static void before(struct file *file, const struct job *j)
{
    if (!fds[j->fd].durable)
        record_before(file, j->fd, POWERCUT_WRITE, j->offset, total(j->parts, j->count));
}

static void after(struct file *file, const struct job *j, ssize_t done)
{
    if (done > 0 && fds[j->fd].durable)
        record_kept(file, j, (size_t) done);
}

/* ---- calls ---- */

static int mode_of(int flags, va_list args)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;
}

#define OPENER(name)                                          \
    int name(const char *path, int flags, ...)                \
    {                                                         \
        va_list args;                                         \
        va_start(args, flags);                                \
        int mode = mode_of(flags, args);                      \
        va_end(args);                                         \
        int fd = REAL(name)(path, flags, mode);               \
        int why = errno;                                      \
        pthread_mutex_lock(&lock);                            \
        opened(fd, flags);                                    \
        pthread_mutex_unlock(&lock);                          \
        errno = why;                                          \
        return fd;                                            \
    }

#define OPENER_AT(name)                                       \
    int name(int dir, const char *path, int flags, ...)       \
    {                                                         \
        va_list args;                                         \
        va_start(args, flags);                                \
        int mode = mode_of(flags, args);                      \
        va_end(args);                                         \
        int fd = REAL(name)(dir, path, flags, mode);          \
        int why = errno;                                      \
        pthread_mutex_lock(&lock);                            \
        opened(fd, flags);                                    \
        pthread_mutex_unlock(&lock);                          \
        errno = why;                                          \
        return fd;                                            \
    }

OPENER(open)
OPENER(open64)
OPENER_AT(openat)
OPENER_AT(openat64)

int close(int fd)
{
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < FDS_MAX)
        fds[fd].file = NULL;
    pthread_mutex_unlock(&lock);
    return REAL(close)(fd);
}

static ssize_t run_write(struct job *j, ssize_t (*call)(const struct job *j))
{
    pthread_mutex_lock(&lock);
    struct file *file = ours(j->fd);
    if (file)
        before(file, j);
    ssize_t done = call(j);
    int why = errno;
    if (file)
        after(file, j, done);
    pthread_mutex_unlock(&lock);
    errno = why;
    return done;
}

static ssize_t call_pwrite(const struct job *j)
{
    return REAL(pwrite64)(j->fd, j->parts[0].iov_base, j->parts[0].iov_len, (off_t) j->offset);
}

static ssize_t call_pwritev(const struct job *j)
{
    return REAL(pwritev64)(j->fd, j->parts, j->count, (off_t) j->offset);
}

static ssize_t call_writev(const struct job *j)
{
    return REAL(writev)(j->fd, j->parts, j->count);
}

static ssize_t call_write(const struct job *j)
{
    return REAL(write)(j->fd, j->parts[0].iov_base, j->parts[0].iov_len);
}

/* Where write and writev go. */
static uint64_t place_of(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    off_t at = flags >= 0 && flags & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    return at < 0 ? 0 : (uint64_t) at;
}

static struct iovec part_of(const void *bytes, size_t len)
{
    return (struct iovec){(void *) (uintptr_t) bytes, len};
}

/* Others' descriptors (pipes, sockets) must not wait for each other under the lock. */
static bool is_ours(int fd)
{
    pthread_mutex_lock(&lock);
    bool yes = ours(fd) != NULL;
    pthread_mutex_unlock(&lock);
    return yes;
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    if (!is_ours(fd))
        return REAL(write)(fd, bytes, len);
    struct iovec part = part_of(bytes, len);
    return run_write(&(struct job){fd, place_of(fd), &part, 1}, call_write);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    if (!is_ours(fd))
        return REAL(writev)(fd, parts, count);
    return run_write(&(struct job){fd, place_of(fd), parts, count}, call_writev);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
    struct iovec part = part_of(bytes, len);
    return run_write(&(struct job){fd, (uint64_t) offset, &part, 1}, call_pwrite);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    return pwrite64(fd, bytes, len, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    return run_write(&(struct job){fd, (uint64_t) offset, parts, count}, call_pwritev);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return pwritev64(fd, parts, count, offset);
}

static int run_truncate(int fd, off64_t len)
{
    pthread_mutex_lock(&lock);
    struct file *file = ours(fd);
    if (file)
        record_before(file, fd, POWERCUT_CUT, (uint64_t) len, UINT32_MAX);
    int rc = REAL(ftruncate64)(fd, len);
    int why = errno;
    pthread_mutex_unlock(&lock);
    errno = why;
    return rc;
}

int ftruncate64(int fd, off64_t len)
{
    return run_truncate(fd, len);
}

int ftruncate(int fd, off_t len)
{
    return ftruncate64(fd, len);
}

static int run_sync(int fd, int (*call)(int fd))
{
    /* A disk that takes POWERCUT_SLOW_US to sync: so that kills land between a write and its sync. */
    const char *slow_us = getenv("POWERCUT_SLOW_US");
    if (slow_us)
        usleep((useconds_t) strtoul(slow_us, NULL, 10));
    pthread_mutex_lock(&lock);
    struct file *file = ours(fd);
    int rc = call(fd), why = errno;
    if (rc == 0 && file)
        record_sync(file);
    pthread_mutex_unlock(&lock);
    errno = why;
    return rc;
}

int fsync(int fd)
{
    return run_sync(fd, REAL(fsync));
}

int fdatasync(int fd)
{
    return run_sync(fd, REAL(fdatasync));
}
