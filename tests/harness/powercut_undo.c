/* SPDX-License-Identifier: Apache-2.0
 *
 * A power cut for tests, second half: powercut_undo LOG [SEED], after the program was killed.
 *
 * Takes back, newest first, what had been written since each file's last sync, then puts back what
 * was durable at once. With SEED each write is taken back or not by chance, as a disk may have
 * written any of them. LOG is what POWERCUT_LOG was. Prints undone=N bytes=M and empties the
 * journals LOG.*.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/powercut.h"

struct journal {
    char *bytes;
    size_t len;
    size_t *starts; /* of records */
    size_t count;
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "powercut_undo: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct powercut_head head_at(const struct journal *j, size_t record)
{
    struct powercut_head head;
    memcpy(&head, j->bytes + j->starts[record], sizeof head);
    return head;
}

static const char *path_at(const struct journal *j, size_t record)
{
    return j->bytes + j->starts[record] + sizeof(struct powercut_head);
}

/* A record that was not finished belongs to a write that had not begun. */
static void find_records(struct journal *j)
{
    size_t at = 0, room = 0;
    while (j->len - at >= sizeof(struct powercut_head)) {
        struct powercut_head head;
        memcpy(&head, j->bytes + at, sizeof head);
        size_t len = sizeof head + head.path_len + (size_t) head.len;
        if (head.magic != POWERCUT_MAGIC || len > j->len - at)
            break;
        if (j->count == room) {
            room = room ? room * 2 : 1024;
            j->starts = realloc(j->starts, room * sizeof *j->starts);
            if (!j->starts)
                die("memory");
        }
        j->starts[j->count++] = at;
        at += len;
    }
}

static void load(struct journal *j, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDWR);
    if (fd < 0 || fstat(fd, &st) != 0)
        die(path);
    j->len = (size_t) st.st_size;
    j->bytes = malloc(j->len + 1);
    for (size_t at = 0; at < j->len;) {
        ssize_t got = read(fd, j->bytes + at, j->len - at);
        if (got <= 0)
            die(path);
        at += (size_t) got;
    }
    find_records(j);
    close(fd);
}

static void put_back(const struct journal *j, size_t record, bool resize)
{
    struct powercut_head head = head_at(j, record);
    char path[PATH_MAX];
    if (head.path_len >= sizeof path)
        die("path");
    memcpy(path, path_at(j, record), head.path_len);
    path[head.path_len] = 0;
    int fd = open(path, O_WRONLY);
    if (fd < 0 && errno == ENOENT)
        return;
    const char *bytes = path_at(j, record) + head.path_len;
    if (fd < 0 || pwrite(fd, bytes, head.len, (off_t) head.offset) != (ssize_t) head.len
        || (resize && ftruncate(fd, (off_t) head.old_size) != 0))
        die(path);
    close(fd);
}

/* Some or all records of one journal; with a seed by chance. */
static void undo(const struct journal *j, unsigned *seed, size_t *undone, size_t *bytes)
{
    for (size_t at = j->count; at-- > 0;) {
        enum powercut_kind kind = (enum powercut_kind) head_at(j, at).kind;
        if (kind == POWERCUT_KEEP || (seed && rand_r(seed) % 2 == 0))
            continue;
        put_back(j, at, !seed);
        (*undone)++;
        *bytes += head_at(j, at).len;
    }
    for (size_t at = 0; at < j->count; at++)
        if (head_at(j, at).kind == POWERCUT_KEEP)
            put_back(j, at, false);
}

int main(int argc, char **argv)
{
    unsigned seed = argc > 2 ? (unsigned) strtoul(argv[2], NULL, 10) : 0;
    size_t undone = 0, bytes = 0;
    char pattern[PATH_MAX];
    glob_t found;
    if (argc < 2) {
        fprintf(stderr, "usage: powercut_undo LOG [SEED]\n");
        return 2;
    }
    snprintf(pattern, sizeof pattern, "%s.*", argv[1]);
    int rc = glob(pattern, 0, NULL, &found);
    if (rc != 0 && rc != GLOB_NOMATCH)
        die(pattern);
    for (size_t at = 0; rc == 0 && at < found.gl_pathc; at++) {
        struct journal j = {0};
        load(&j, found.gl_pathv[at]);
        undo(&j, argc > 2 ? &seed : NULL, &undone, &bytes);
        if (truncate(found.gl_pathv[at], 0) != 0)
            die(found.gl_pathv[at]);
        free(j.bytes);
        free(j.starts);
    }
    printf("undone=%zu bytes=%zu\n", undone, bytes);
    globfree(&found);
    return 0;
}
