/* SPDX-License-Identifier: Apache-2.0
 *
 * A part in a file: length of the payload, subtransaction, LSN, checksum of these and of the
 * payload, payload.
 */
#include "agent/source/spill.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/arena.h"
#include "agent/base/cursor.h"
#include "agent/base/store.h"

#define HEAD_LEN ((size_t) 20)
#define WRITE_BYTES ((size_t) 256 << 10)
#define READ_BYTES ((size_t) 256 << 10)
#define GONE_MAX (4u << 20) /* subtransactions given up, in one transaction */

struct streamed {
    struct streamed *next;
    uint32_t xid;
    uint64_t bytes;
    uint32_t *gone; /* subtransactions given up; sorted by spill_read */
    size_t gone_count, gone_room;
};

struct spill {
    char dir[PATH_MAX];
    uint64_t max_bytes, bytes;
    struct streamed *all;
    int count;
    struct streamed *writing; /* whose bytes are in out, and whose file fd is */
    int fd;
    struct buf out;
    struct streamed *reading;
    int read_fd;
    struct buf in;
    size_t in_at;
};

/* ---- files ---- */

static void path_of(const struct spill *sp, const char *name, char path[PATH_MAX])
{
    if (snprintf(path, PATH_MAX, "%s%s%s", sp->dir, *name ? "/" : "", name) >= PATH_MAX)
        path[0] = 0; /* such a state directory was refused before */
}

static void path_of_xid(const struct spill *sp, uint32_t xid, char path[PATH_MAX])
{
    char name[16];
    snprintf(name, sizeof name, "%u", xid);
    path_of(sp, name, path);
}

static int file_error(const struct spill *sp, const char *what, struct err *e)
{
    return err_set(e, E_SPILL, "transactions under way cannot be kept: %s in %s: %s", what, sp->dir, strerror(errno));
}

static int write_all(int fd, const char *p, size_t len)
{
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        p += n;
        len -= (size_t) n;
    }
    return 0;
}

/* Let go of the file that is written to; what is in memory of it goes there first. */
static int flush(struct spill *sp, struct err *e)
{
    int rc = 0;
    if (sp->out.len && write_all(sp->fd, sp->out.p, sp->out.len))
        rc = file_error(sp, "write", e);
    buf_reset(&sp->out);
    return rc;
}

static void leave_file(struct spill *sp)
{
    if (sp->fd >= 0)
        close(sp->fd);
    sp->fd = -1;
    sp->writing = NULL;
    buf_reset(&sp->out);
}

static int enter_file(struct spill *sp, struct streamed *t, struct err *e)
{
    char path[PATH_MAX];
    if (sp->writing == t)
        return 0;
    if (flush(sp, e))
        return -1;
    leave_file(sp);
    if (mkdir(sp->dir, 0700) && errno != EEXIST)
        return file_error(sp, "make the folder", e);
    path_of_xid(sp, t->xid, path);
    sp->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (t->bytes ? 0 : O_TRUNC), 0600);
    if (sp->fd < 0)
        return file_error(sp, "open a file", e);
    sp->writing = t;
    return 0;
}

/* ---- life ---- */

struct spill *spill_open(const char *state_dir, const char *folder, uint64_t max_bytes)
{
    struct spill *sp = mem_zalloc(1, sizeof *sp);
    snprintf(sp->dir, sizeof sp->dir, "%s/%s", state_dir, folder);
    sp->max_bytes = max_bytes;
    sp->fd = sp->read_fd = -1;
    return sp;
}

static void forget(struct spill *sp, struct streamed *t)
{
    struct streamed **link = &sp->all;
    while (*link != t)
        link = &(*link)->next;
    *link = t->next;
    if (sp->writing == t)
        leave_file(sp);
    if (sp->reading == t) {
        close(sp->read_fd);
        sp->read_fd = -1;
        sp->reading = NULL;
    }
    sp->bytes -= t->bytes;
    sp->count--;
    free(t->gone);
    free(t);
}

static struct streamed *find(const struct spill *sp, uint32_t xid)
{
    struct streamed *t = sp->writing && sp->writing->xid == xid ? sp->writing : sp->all;
    while (t && t->xid != xid)
        t = t->next;
    return t;
}

void spill_sweep(struct spill *sp)
{
    char path[PATH_MAX];
    DIR *dir = opendir(sp->dir);
    if (!dir)
        return;
    for (struct dirent *at = readdir(dir); at; at = readdir(dir)) {
        uint64_t xid;
        if (!str_to_u64(str_of(at->d_name), &xid) || xid > UINT32_MAX || find(sp, (uint32_t) xid))
            continue;
        path_of(sp, at->d_name, path);
        (void) unlink(path);
    }
    closedir(dir);
}

void spill_clear(struct spill *sp)
{
    while (sp->all)
        forget(sp, sp->all);
    spill_sweep(sp);
}

void spill_leave(struct spill *sp)
{
    if (!sp)
        return;
    while (sp->all)
        forget(sp, sp->all);
    buf_free(&sp->out);
    buf_free(&sp->in);
    free(sp);
}

void spill_close(struct spill *sp)
{
    if (!sp)
        return;
    spill_clear(sp);
    (void) rmdir(sp->dir);
    spill_leave(sp);
}

/* ---- keeping ---- */

static struct streamed *add(struct spill *sp, uint32_t xid)
{
    struct streamed *t = mem_zalloc(1, sizeof *t);
    t->xid = xid;
    t->next = sp->all;
    sp->all = t;
    sp->count++;
    return t;
}

static uint32_t checksum(const uint8_t head[HEAD_LEN], const void *type, struct str rest)
{
    return crc32c(crc32c(crc32c(0, head, HEAD_LEN - 4), type, 1), rest.p, rest.len);
}

int spill_add(struct spill *sp, const struct decoder_part *part, struct err *e)
{
    struct streamed *t = find(sp, part->xid);
    size_t len = HEAD_LEN + 1 + part->rest.len;
    if (sp->bytes + len > sp->max_bytes)
        return err_set(e, E_SPILL, "transactions under way take %llu MB, with source.spill_max_mb at %llu",
                       (unsigned long long) (sp->bytes >> 20), (unsigned long long) (sp->max_bytes >> 20));
    if (!t)
        t = add(sp, part->xid);
    if (enter_file(sp, t, e) || (sp->out.len + len > WRITE_BYTES && flush(sp, e)))
        return -1;
    uint8_t head[HEAD_LEN];
    put_be(head, part->rest.len + 1, 4);
    put_be(head + 4, part->subxid, 4);
    put_be(head + 8, part->lsn, 8);
    put_be(head + 16, checksum(head, &part->type, part->rest), 4);
    buf_add(&sp->out, head, sizeof head);
    buf_add(&sp->out, &part->type, 1);
    buf_add_str(&sp->out, part->rest);
    t->bytes += len;
    sp->bytes += len;
    return sp->out.len > WRITE_BYTES ? flush(sp, e) : 0;
}

int spill_abort(struct spill *sp, uint32_t xid, uint32_t subxid, struct err *e)
{
    struct streamed *t = find(sp, xid);
    if (!t)
        return 0;
    if (subxid == xid) {
        spill_drop(sp, xid);
        return 0;
    }
    if (t->gone_count >= GONE_MAX)
        return err_set(e, E_SPILL, "transaction %u has given up more than %u subtransactions", xid, GONE_MAX);
    if (t->gone_count == t->gone_room) {
        t->gone_room = t->gone_room ? t->gone_room * 2 : 64;
        t->gone = mem_realloc(t->gone, t->gone_room * sizeof *t->gone);
    }
    t->gone[t->gone_count++] = subxid;
    return 0;
}

void spill_drop(struct spill *sp, uint32_t xid)
{
    char path[PATH_MAX];
    struct streamed *t = find(sp, xid);
    if (!t)
        return;
    forget(sp, t);
    path_of_xid(sp, xid, path);
    (void) unlink(path);
}

uint64_t spill_bytes(const struct spill *sp)
{
    return sp->bytes;
}

int spill_count(const struct spill *sp)
{
    return sp->count;
}

/* ---- staying ---- */

static int sync_error(const struct spill *sp, struct err *e)
{
    return err_set(e, E_SYNC, "syncing a prepared transaction in %s failed: %s", sp->dir, strerror(errno));
}

/* The file's name is durable too. */
static int sync_folder(const struct spill *sp, struct err *e)
{
    int fd = open(sp->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return sync_error(sp, e);
    int rc = fsync(fd) ? sync_error(sp, e) : 0;
    close(fd);
    return rc;
}

int spill_sync(struct spill *sp, uint32_t xid, uint64_t *bytes, struct err *e)
{
    struct streamed *t = find(sp, xid);
    *bytes = t ? t->bytes : 0;
    if (!t)
        return 0;
    if (enter_file(sp, t, e) || flush(sp, e))
        return -1;
    if (fsync(sp->fd))
        return sync_error(sp, e);
    leave_file(sp);
    return sync_folder(sp, e);
}

int spill_adopt(struct spill *sp, uint32_t xid, uint64_t bytes, struct err *e)
{
    char path[PATH_MAX];
    struct stat st;
    if (!bytes)
        return 0;
    path_of_xid(sp, xid, path);
    if (stat(path, &st))
        return err_set(e, E_STATE, "file of prepared transaction %u in %s is not there: %s", xid, sp->dir, strerror(errno));
    if ((uint64_t) st.st_size != bytes)
        return err_set(e, E_CORRUPT, "file of prepared transaction %u in %s does not have its %llu bytes", xid, sp->dir,
                       (unsigned long long) bytes);
    add(sp, xid)->bytes = bytes;
    sp->bytes += bytes;
    return 0;
}

/* ---- reading ---- */

static int compare_xids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;
    return (x > y) - (x < y);
}

int spill_read(struct spill *sp, uint32_t xid, struct err *e)
{
    char path[PATH_MAX];
    struct streamed *t = find(sp, xid);
    buf_reset(&sp->in);
    sp->in_at = 0;
    if (!t)
        return 0;
    if (sp->writing == t && flush(sp, e))
        return -1;
    if (t->gone_count)
        qsort(t->gone, t->gone_count, sizeof *t->gone, compare_xids);
    path_of_xid(sp, xid, path);
    sp->read_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (sp->read_fd < 0)
        return file_error(sp, "open a file", e);
    sp->reading = t;
    return 0;
}

/* At least want bytes from in_at on; 1, 0 at the end of the file, -1. */
static int fill(struct spill *sp, size_t want, struct err *e)
{
    size_t left = sp->in.len - sp->in_at;
    if (left >= want)
        return 1;
    if (left)
        memmove(sp->in.p, sp->in.p + sp->in_at, left);
    sp->in_at = 0;
    sp->in.len = left;
    size_t room = want > READ_BYTES ? want : READ_BYTES;
    if (!buf_grow(&sp->in, room - left))
        return err_set(e, E_SPILL, "part of %zu bytes in %s", want, sp->dir);
    while (sp->in.len < want) {
        ssize_t n = read(sp->read_fd, sp->in.p + sp->in.len, room - sp->in.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return file_error(sp, "read", e);
        if (n == 0)
            return sp->in.len ? err_set(e, E_SPILL, "file of transaction %u in %s is cut off", sp->reading->xid, sp->dir) : 0;
        sp->in.len += (size_t) n;
    }
    return 1;
}

static bool was_given_up(const struct streamed *t, uint32_t subxid)
{
    return t->gone_count && bsearch(&subxid, t->gone, t->gone_count, sizeof subxid, compare_xids);
}

/* The part at in_at, wherever it belongs. */
static int next_part(struct spill *sp, struct spill_part *out, uint32_t *subxid, struct err *e)
{
    int rc = fill(sp, HEAD_LEN, e);
    if (rc <= 0)
        return rc;
    const uint8_t *head = (const uint8_t *) sp->in.p + sp->in_at;
    struct cursor c = cursor_of((struct str){(const char *) head, HEAD_LEN});
    uint32_t len = cursor_u32(&c);
    *subxid = cursor_u32(&c);
    out->lsn = cursor_u64(&c);
    uint32_t sum = cursor_u32(&c);
    if (len && len <= sp->reading->bytes && (rc = fill(sp, HEAD_LEN + len, e)) < 0)
        return -1;
    head = (const uint8_t *) sp->in.p + sp->in_at;
    const char *payload = (const char *) head + HEAD_LEN;
    if (!len || len > sp->reading->bytes || rc == 0 ||
        sum != checksum(head, payload, (struct str){payload + 1, len - 1}))
        return err_set(e, E_SPILL, "file of transaction %u in %s does not match its checksum",
                       sp->reading->xid, sp->dir);
    out->payload = (struct str){payload, len};
    sp->in_at += HEAD_LEN + len;
    return 1;
}

int spill_next(struct spill *sp, struct spill_part *out, struct err *e)
{
    uint32_t subxid;
    int rc = 0;
    while (sp->reading && (rc = next_part(sp, out, &subxid, e)) > 0 && was_given_up(sp->reading, subxid))
        ;
    return rc;
}
