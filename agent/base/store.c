/* SPDX-License-Identifier: Apache-2.0
 *
 * LMDB with what it lacks: a lock that names its holder, values that prove themselves, errors that
 * say what to do.
 *
 * A value is framed as format (1 byte), CRC32C (4, little-endian) over table, key and value, then
 * the value; a value that strayed to another key does not match. Each write transaction also
 * stores its own number, so that a damaged meta page that makes LMDB take an older tree for the
 * newest is seen at open. LMDB syncs data pages, then writes its meta page through a descriptor
 * opened with O_DSYNC, all inside mdb_txn_commit. MDB_WRITEMAP is not used: a stray pointer could
 * then write into the file, and a full disk would be SIGBUS instead of an error.
 */
#include "agent/base/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/base/arena.h"
#include "agent/base/store_local.h"

#define FRAME_FORMAT 1
#define FRAME_LEN ((size_t) 5)
#define KEY_MAX ((size_t) 511)
#define FORMAT_FILE "format"
#define FORMAT_TEXT "tailrace state 1\n"
#define SEAL_KEY STR("store.txn")
#define FULL_DISK_BYTES ((uint64_t) 1 << 20)

struct store {
    MDB_env *env;
    MDB_dbi dbi[STORE_TABLES];
    bool there[STORE_TABLES];
    char *dir;
    int lock_fd;
    _Atomic uint64_t map_bytes;
    pthread_rwlock_t map; /* held for reading by every transaction: LMDB moves the map only between them */
    size_t page_bytes;
    _Atomic bool failed; /* a sync failed: what is on disk is unknown, nothing is written any more */
};

struct store_txn {
    struct store *s;
    MDB_txn *txn;
    bool dirty;
};

static const char *const table_names[STORE_TABLES] = {"meta",     "blocks", "readers", "schemas",
                                                      "subjects", "parked", "copies", "ddl", "registry"};

/* ---- errors ---- */

/* Whether the file system under the state has no room left for this process. */
static bool disk_is_full(const struct store *s)
{
    struct statvfs fs;
    if (statvfs(s->dir, &fs) != 0)
        return false;
    uint64_t blocks = geteuid() == 0 ? fs.f_bfree : fs.f_bavail;
    return blocks * (uint64_t) fs.f_frsize < FULL_DISK_BYTES;
}

static int fail_write(struct store *s, int rc, const char *what, struct err *e)
{
    /* LMDB says EIO for a short write: only the file system knows whether it is full. */
    if (rc != MDB_PANIC && (rc == ENOSPC || rc == EDQUOT || disk_is_full(s)))
        return err_set(e, E_DISK_FULL, "%s in %s: no space left on the disk", what, s->dir);
    atomic_store(&s->failed, true);
    return err_set(e, E_SYNC, "%s in %s: %s", what, s->dir, mdb_strerror(rc));
}

static int fail(struct store *s, int rc, const char *what, struct err *e)
{
    switch (rc) {
    case MDB_MAP_FULL:
        /* A reader of another process that died keeps its pages until somebody looks. */
        (void) mdb_reader_check(s->env, NULL);
        return err_set(e, E_BUS_FULL, "%s in %s: all %llu bytes of the map are taken", what, s->dir,
                       (unsigned long long) s->map_bytes);
    case ENOSPC: case EDQUOT: case EIO: case MDB_PANIC:
        return fail_write(s, rc, what, e);
    case MDB_CORRUPTED: case MDB_PAGE_NOTFOUND: case MDB_INVALID: case MDB_VERSION_MISMATCH:
        return err_set(e, E_CORRUPT, "%s in %s/data.mdb: %s", what, s->dir, mdb_strerror(rc));
    case EACCES: case EPERM: case EROFS:
        return err_set(e, E_STATE_DIR, "%s in %s: %s", what, s->dir, mdb_strerror(rc));
    default:
        return err_set(e, E_SYSTEM, "%s in %s: %s", what, s->dir, mdb_strerror(rc));
    }
}

/* "table meta, key 62757300": keys are shown as text where they are. */
static int corrupt(const struct store *s, enum store_table t, struct str key, const char *why,
                   struct err *e)
{
    char text[2 * 40 + 1];
    size_t shown = key.len < 40 ? key.len : 40, out = 0;
    bool plain = true;
    for (size_t at = 0; at < shown; at++)
        plain = plain && key.p[at] >= ' ' && key.p[at] <= '~';
    for (size_t at = 0; at < shown && plain; at++)
        text[out++] = key.p[at];
    for (size_t at = 0; at < shown && !plain; at++)
        out += (size_t) snprintf(text + out, 3, "%02x", (uint8_t) key.p[at]);
    text[out] = 0;
    return err_set(e, E_CORRUPT, "%s/data.mdb, table %s, key %s%s: %s", s->dir, table_names[t],
                   plain ? "" : "0x", text, why);
}

/* ---- frames ---- */

static uint32_t frame_crc(enum store_table t, struct str key, struct str value)
{
    uint8_t head[2] = {(uint8_t) t, (uint8_t) key.len};
    uint32_t crc = crc32c(0, head, sizeof head);
    crc = crc32c(crc, key.p, key.len);
    return crc32c(crc, value.p, value.len);
}

static struct str val_str(MDB_val v)
{
    return (struct str){v.mv_data, v.mv_size};
}

static MDB_val str_val(struct str s)
{
    return (MDB_val){s.len, (void *) (uintptr_t) s.p};
}

uint64_t store_value_pages(size_t len, size_t key_len, size_t page_bytes)
{
    /* LMDB keeps two nodes a page at least; a node has 8 bytes of head and 2 of index. */
    size_t node_max = (((page_bytes - 16) / 2) & ~(size_t) 1) - 2;
    if (8 + key_len + len <= node_max)
        return 0;
    return (15 + len) / page_bytes + 1;
}

/* A large value has pages of its own, whose header counts them; a count that is wrong would free
 * pages of others when the value is deleted. */
static bool pages_sound(const struct store *s, MDB_val key, MDB_val v)
{
    uint64_t pages = store_value_pages(v.mv_size, key.mv_size, s->page_bytes);
    if (pages == 0)
        return true;
    const char *head = (const char *) v.mv_data - 16;
    uint16_t flags;
    uint32_t count;
    memcpy(&flags, head + 10, sizeof flags);
    memcpy(&count, head + 12, sizeof count);
    return (flags & 0x0f) == 0x04 && count == pages;
}

/* Check a framed value and give what is inside. */
static int unframe(const struct store *s, enum store_table t, MDB_val key, MDB_val v,
                   struct str *value, struct err *e)
{
    struct str framed = val_str(v), k = val_str(key);
    if (framed.len < FRAME_LEN || !pages_sound(s, key, v))
        return corrupt(s, t, k, "value is malformed", e);
    if (framed.p[0] != FRAME_FORMAT)
        return corrupt(s, t, k, "value has an unknown format", e);
    uint32_t crc;
    memcpy(&crc, framed.p + 1, sizeof crc);
    *value = (struct str){framed.p + FRAME_LEN, framed.len - FRAME_LEN};
    if (crc != frame_crc(t, k, *value))
        return corrupt(s, t, k, "checksum does not match", e);
    return 0;
}

static int copy_out(struct store *s, struct str bytes, struct buf *out, struct err *e)
{
    buf_reset(out);
    buf_add_str(out, bytes);
    if (out->over)
        return err_set(e, E_INTERNAL, "value of %zu bytes in %s is larger than its reader allows",
                       bytes.len, s->dir);
    return 0;
}

/* ---- open ---- */

const char *store_network_fs(const char *path)
{
    static const struct { unsigned long magic; const char *name; } remote[] = {
        {0x6969, "NFS"},          {0x517B, "SMB"},        {0xFE534D42, "SMB2"},
        {0xFF534D42, "CIFS"},     {0x5346414F, "AFS"},    {0x00C36400, "CephFS"},
        {0x01021997, "9P"},       {0x0BD00BD0, "Lustre"}, {0x01161970, "GFS2"},
        {0x7461636F, "OCFS2"},
    };
    struct statfs fs;
    if (statfs(path, &fs) != 0)
        return NULL;
    for (size_t at = 0; at < sizeof remote / sizeof remote[0]; at++)
        if (((unsigned long) fs.f_type & 0xffffffff) == remote[at].magic)
            return remote[at].name;
    return NULL;
}

static int refuse_network(const char *dir, struct err *e)
{
    const char *name = store_network_fs(dir);
    return name ? err_set(e, E_STATE_DIR, "state directory %s is on %s, a network file system",
                          dir, name) : 0;
}

static int sync_dir(const char *dir, struct err *e)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);
    int why = errno;
    if (fd >= 0)
        close(fd);
    return rc == 0 ? 0 : err_set(e, E_SYNC, "sync of %s: %s", dir, strerror(why));
}

static int prepare_dir(const char *dir, bool read_only, struct err *e)
{
    struct stat st;
    if (!read_only && mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_set(e, E_STATE_DIR, "cannot make state directory %s: %s", dir, strerror(errno));
    if (stat(dir, &st) != 0)
        return err_set(e, E_STATE_DIR, "state directory %s: %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(e, E_STATE_DIR, "state directory %s is not a directory", dir);
    if (st.st_uid != geteuid() && geteuid() != 0)
        return err_set(e, E_STATE_DIR, "state directory %s belongs to user %u, not to user %u", dir,
                       (unsigned) st.st_uid, (unsigned) geteuid());
    if (st.st_mode & S_IWOTH) {
        err_set(e, E_STATE_DIR, "state directory %s can be written by everybody", dir);
        return err_hint(e, "chmod 700 %s, or give another directory", dir);
    }
    if (access(dir, read_only ? R_OK | X_OK : R_OK | W_OK | X_OK) != 0)
        return err_set(e, E_STATE_DIR, "state directory %s: %s", dir, strerror(errno));
    return refuse_network(dir, e);
}

static void path_in(char out[PATH_MAX], const char *dir, const char *name)
{
    snprintf(out, PATH_MAX, "%s/%s", dir, name);
}

static int take_lock(struct store *s, struct err *e)
{
    char path[PATH_MAX], pid[32] = "";
    path_in(path, s->dir, "lock");
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0)
        return err_set(e, E_STATE_DIR, "cannot open %s: %s", path, strerror(errno));
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return err_set(e, E_STATE_DIR, "cannot lock %s: %s", path, strerror(errno));
        ssize_t len = pread(s->lock_fd, pid, sizeof pid - 1, 0);
        pid[len > 0 ? len : 0] = 0;
        pid[strcspn(pid, "\n")] = 0;
        return err_set(e, E_STATE_LOCKED, "state directory %s is in use by process %s", s->dir,
                       pid[0] ? pid : "(not yet named)");
    }
    int len = snprintf(pid, sizeof pid, "%ld\n", (long) getpid());
    if (ftruncate(s->lock_fd, 0) != 0 || pwrite(s->lock_fd, pid, (size_t) len, 0) != len)
        return fail(s, errno ? errno : EIO, "writing the lock file", e);
    return 0;
}

/* The format file says that a data file has been here: without it a missing or empty one would be
 * a new start. *there tells whether it is. */
static int read_format(const struct store *s, bool *there, struct err *e)
{
    char path[PATH_MAX], text[64] = "";
    path_in(path, s->dir, FORMAT_FILE);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *there = fd >= 0;
    if (fd < 0 && errno != ENOENT)
        return err_set(e, E_STATE_DIR, "cannot open %s: %s", path, strerror(errno));
    if (fd < 0)
        return 0;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    if (len < 0 || strcmp(text, FORMAT_TEXT) != 0)
        return err_set(e, E_STATE,
                       "%s says \"%.*s\", not \"%.*s\": it was written by another version of tailrace, or is damaged",
                       path, (int) strcspn(text, "\n"), text, (int) sizeof FORMAT_TEXT - 2, FORMAT_TEXT);
    return 0;
}

static int write_format(struct store *s, struct err *e)
{
    char path[PATH_MAX], temp[PATH_MAX];
    path_in(path, s->dir, FORMAT_FILE);
    path_in(temp, s->dir, FORMAT_FILE ".new");
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(e, E_STATE_DIR, "cannot make %s: %s", temp, strerror(errno));
    ssize_t len = write(fd, FORMAT_TEXT, sizeof FORMAT_TEXT - 1);
    int why = len < 0 ? errno : EIO;
    bool good = len == (ssize_t) sizeof FORMAT_TEXT - 1;
    if (good && fsync(fd) != 0) {
        good = false;
        why = errno;
    }
    close(fd);
    if (!good)
        return fail(s, why, "writing the format file", e);
    if (rename(temp, path) != 0)
        return fail(s, errno, "renaming the format file", e);
    return sync_dir(s->dir, e);
}

/* Put the transaction's own number into it. */
static int seal(struct store_txn *t, struct err *e)
{
    uint64_t id = mdb_txn_id(t->txn);
    return store_put(t, STORE_META, SEAL_KEY, (struct str){(const char *) &id, sizeof id}, e);
}

static int open_tables(struct store *s, bool read_only, struct err *e)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, read_only ? MDB_RDONLY : 0, &txn);
    if (rc != 0)
        return fail(s, rc, "opening tables", e);
    bool made = false;
    for (int t = 0; t < STORE_TABLES; t++) {
        rc = mdb_dbi_open(txn, table_names[t], 0, &s->dbi[t]);
        if (rc == MDB_NOTFOUND && !read_only) {
            rc = mdb_dbi_open(txn, table_names[t], MDB_CREATE, &s->dbi[t]);
            made = true;
        }
        s->there[t] = rc == 0;
        if (rc != 0 && !(read_only && rc == MDB_NOTFOUND)) {
            mdb_txn_abort(txn);
            return fail(s, rc, "opening tables", e);
        }
    }
    if (made && seal(&(struct store_txn){.s = s, .txn = txn}, e) != 0) {
        mdb_txn_abort(txn);
        return -1;
    }
    /* A read transaction is committed too: that is how LMDB keeps the handles. */
    rc = mdb_txn_commit(txn);
    return rc == 0 ? 0 : fail(s, rc, "opening tables", e);
}

static int open_env(struct store *s, bool read_only, struct err *e)
{
    MDB_stat st;
    int rc = mdb_env_create(&s->env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(s->env, STORE_TABLES);
    if (rc == 0)
        rc = mdb_env_set_mapsize(s->env, s->map_bytes);
    if (rc == 0)
        rc = mdb_env_open(s->env, s->dir, MDB_NOTLS | (read_only ? MDB_RDONLY : 0), 0600);
    if (rc == ENOENT)
        return err_set(e, E_STATE_DIR, "there is no state in %s", s->dir);
    /* A reader that died with its read transaction open would keep pages for ever. */
    if (rc == 0)
        rc = mdb_reader_check(s->env, NULL);
    if (rc == 0)
        rc = mdb_env_stat(s->env, &st);
    if (rc != 0)
        return fail(s, rc, "opening the store", e);
    s->page_bytes = st.ms_psize;
    return open_tables(s, read_only, e);
}

/* Each value of the small tables is read once, so that damage there is met at the start and not
 * taken for absence. The bus looks after its blocks. */
static int check_values(struct store *s, struct err *e)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn), bad = 0;
    if (rc != 0)
        return fail(s, rc, "checking tables", e);
    for (int t = 0; t < STORE_TABLES && rc == 0 && bad == 0; t++) {
        MDB_cursor *cursor;
        MDB_val key, v;
        struct str value;
        if (t == STORE_BLOCKS)
            continue;
        rc = mdb_cursor_open(txn, s->dbi[t], &cursor);
        if (rc != 0)
            break;
        while (bad == 0 && (rc = mdb_cursor_get(cursor, &key, &v, MDB_NEXT)) == 0)
            bad = unframe(s, (enum store_table) t, key, v, &value, e);
        mdb_cursor_close(cursor);
        rc = rc == MDB_NOTFOUND ? 0 : rc;
    }
    mdb_txn_abort(txn);
    return bad != 0 ? -1 : rc == 0 ? 0 : fail(s, rc, "checking tables", e);
}

/* The number stored by the last write transaction must be that of the tree that holds it. */
static int check_seal(struct store *s, uint64_t txn, struct err *e)
{
    struct buf value = BUF_INIT;
    uint64_t sealed = 0;
    bool found;
    if (store_get(s, STORE_META, SEAL_KEY, &value, &found, e) != 0)
        return -1;
    if (found && value.len == sizeof sealed)
        memcpy(&sealed, value.p, sizeof sealed);
    buf_free(&value);
    /* Transaction 0 is a file in which no table has been made yet. */
    if (found ? sealed == txn : txn == 0)
        return 0;
    return err_set(e, E_CORRUPT, "%s/data.mdb: its last transaction is %llu but holds the seal of "
                   "%llu", s->dir, (unsigned long long) txn, (unsigned long long) sealed);
}

static int open_writable(struct store *s, struct err *e)
{
    bool formatted, empty;
    uint64_t txn = 0;
    if (take_lock(s, e) != 0 || read_format(s, &formatted, e) != 0
        || store_check_file(s->dir, &empty, &txn, e) != 0)
        return -1;
    if (formatted && empty)
        return err_set(e, E_CORRUPT, "%s/data.mdb is missing or empty, though the state was in use",
                       s->dir);
    if (open_env(s, false, e) != 0 || check_values(s, e) != 0)
        return -1;
    if (!empty && check_seal(s, txn, e) != 0)
        return -1;
    return formatted ? 0 : write_format(s, e);
}

int store_open(const char *dir, uint64_t map_bytes, bool read_only, struct store **out, struct err *e)
{
    if (strlen(dir) > PATH_MAX - 32)
        return err_set(e, E_STATE_DIR, "state directory's path is too long");
    if (prepare_dir(dir, read_only, e) != 0)
        return -1;
    struct store *s = mem_zalloc(1, sizeof *s);
    s->dir = mem_strdup(dir);
    s->lock_fd = -1;
    s->map_bytes = (map_bytes + 65535) / 65536 * 65536;
    pthread_rwlock_init(&s->map, NULL);
    if ((read_only ? open_env(s, true, e) : open_writable(s, e)) != 0) {
        store_close(s);
        return -1;
    }
    *out = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    if (s->env)
        mdb_env_close(s->env);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    pthread_rwlock_destroy(&s->map);
    free(s->dir);
    free(s);
}

/* ---- transactions ---- */

static int begin_txn(struct store *s, unsigned flags, MDB_txn **txn)
{
    pthread_rwlock_rdlock(&s->map);
    int rc = mdb_txn_begin(s->env, NULL, flags, txn);
    if (rc != 0)
        pthread_rwlock_unlock(&s->map);
    return rc;
}

static void abort_txn(struct store *s, MDB_txn *txn)
{
    mdb_txn_abort(txn);
    pthread_rwlock_unlock(&s->map);
}

int store_reserve(struct store *s, uint64_t bytes, struct err *e)
{
    int rc = 0;
    if (bytes <= s->map_bytes)
        return 0;
    pthread_rwlock_wrlock(&s->map);
    bytes = (bytes + 65535) / 65536 * 65536;
    if (bytes > s->map_bytes && (rc = mdb_env_set_mapsize(s->env, bytes)) == 0)
        s->map_bytes = bytes;
    pthread_rwlock_unlock(&s->map);
    return rc == 0 ? 0 : fail(s, rc, "growing the map", e);
}

/* ---- reading ---- */

uint64_t store_map_bytes(struct store *s)
{
    return s->map_bytes;
}

uint64_t store_used_bytes(struct store *s)
{
    MDB_txn *txn;
    uint64_t pages = 0;
    if (begin_txn(s, MDB_RDONLY, &txn) != 0)
        return 0;
    /* 0 is the list of free pages and 1 the table of tables, which LMDB opens by itself. */
    for (int t = -2; t < STORE_TABLES; t++) {
        MDB_stat st;
        MDB_dbi dbi = t < 0 ? (MDB_dbi) (t + 2) : s->dbi[t];
        if ((t < 0 || s->there[t]) && mdb_stat(txn, dbi, &st) == 0)
            pages += st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages;
    }
    abort_txn(s, txn);
    return pages * s->page_bytes;
}

/* A place to read: a table within a transaction. */
struct place {
    struct store *s;
    MDB_txn *txn;
    enum store_table t;
};

static int get_in(struct place at, struct str key, struct buf *out, bool *found, struct err *e)
{
    struct store *s = at.s;
    MDB_txn *txn = at.txn;
    enum store_table t = at.t;
    MDB_val k = str_val(key), v;
    struct str value;
    int rc = s->there[t] && key.len > 0 ? mdb_get(txn, s->dbi[t], &k, &v) : MDB_NOTFOUND;
    *found = rc == 0;
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc != 0)
        return fail(s, rc, "reading", e);
    if (unframe(s, t, k, v, &value, e) != 0)
        return -1;
    return copy_out(s, value, out, e);
}

int store_get(struct store *s, enum store_table t, struct str key, struct buf *out, bool *found, struct err *e)
{
    MDB_txn *txn;
    int rc = begin_txn(s, MDB_RDONLY, &txn);
    if (rc != 0)
        return fail(s, rc, "reading", e);
    rc = get_in((struct place){s, txn, t}, key, out, found, e);
    abort_txn(s, txn);
    return rc;
}

/* Place cursor at the first key >= from, or with last at the last key <= from. */
static int seek_cursor(MDB_cursor *cursor, struct str from, bool last, MDB_val *key, MDB_val *v)
{
    if (from.len == 0)
        return last ? MDB_NOTFOUND : mdb_cursor_get(cursor, key, v, MDB_FIRST);
    *key = str_val(from);
    int rc = mdb_cursor_get(cursor, key, v, MDB_SET_RANGE);
    if (!last)
        return rc;
    if (rc == MDB_NOTFOUND)
        return mdb_cursor_get(cursor, key, v, MDB_LAST);
    if (rc == 0 && str_cmp(val_str(*key), from) > 0)
        return mdb_cursor_get(cursor, key, v, MDB_PREV);
    return rc;
}

static int seek_in(struct place at, struct str from, bool last, MDB_val pair[2])
{
    MDB_cursor *cursor;
    int rc = at.s->there[at.t] ? mdb_cursor_open(at.txn, at.s->dbi[at.t], &cursor) : MDB_NOTFOUND;
    if (rc != 0)
        return rc;
    rc = seek_cursor(cursor, from, last, &pair[0], &pair[1]);
    mdb_cursor_close(cursor);
    return rc;
}

int store_seek(struct store *s, enum store_table t, struct str from, bool last, struct buf *key, struct buf *value,
               bool *found, struct err *e)
{
    MDB_txn *txn;
    MDB_val pair[2];
    struct str inside;
    int rc = begin_txn(s, MDB_RDONLY, &txn), bad = 0;
    if (rc != 0)
        return fail(s, rc, "reading", e);
    rc = seek_in((struct place){s, txn, t}, from, last, pair);
    *found = rc == 0;
    if (rc == 0 && value) {
        bad = unframe(s, t, pair[0], pair[1], &inside, e);
        if (bad == 0)
            bad = copy_out(s, inside, value, e);
    }
    if (rc == 0 && bad == 0)
        bad = copy_out(s, val_str(pair[0]), key, e);
    abort_txn(s, txn);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return fail(s, rc, "reading", e);
    return bad;
}

/* ---- writing ---- */

int store_begin(struct store *s, struct store_txn **out, struct err *e)
{
    MDB_txn *txn;
    if (atomic_load(&s->failed))
        return err_set(e, E_SYNC, "an earlier write to %s failed: what is on disk is not known", s->dir);
    int rc = begin_txn(s, 0, &txn);
    if (rc != 0)
        return fail(s, rc, "beginning to write", e);
    struct store_txn *t = mem_alloc(sizeof *t);
    *t = (struct store_txn){.s = s, .txn = txn};
    *out = t;
    return 0;
}

int store_delete(struct store_txn *t, enum store_table table, struct str key, struct err *e)
{
    struct store *s = t->s;
    MDB_val k = str_val(key), v;
    int rc = mdb_get(t->txn, s->dbi[table], &k, &v);
    if (rc == 0 && !pages_sound(s, k, v))
        return corrupt(s, table, key, "value is malformed", e);
    if (rc == 0)
        rc = mdb_del(t->txn, s->dbi[table], &k, NULL);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return fail(s, rc, "deleting", e);
    t->dirty = t->dirty || rc == 0;
    return 0;
}

static bool large_value_there(const struct store_txn *t, enum store_table table, MDB_val key)
{
    MDB_val old;
    return mdb_get(t->txn, t->s->dbi[table], &key, &old) == 0
        && store_value_pages(old.mv_size, key.mv_size, t->s->page_bytes) > 0;
}

int store_put(struct store_txn *t, enum store_table table, struct str key, struct str value, struct err *e)
{
    struct store *s = t->s;
    MDB_val k = str_val(key), v = {FRAME_LEN + value.len, NULL};
    if (key.len == 0 || key.len > KEY_MAX)
        return err_set(e, E_INTERNAL, "key of %zu bytes for table %s", key.len, table_names[table]);
    /* LMDB would put a smaller value over a large one of the same transaction without giving back
     * pages; deleting first keeps the number of pages a function of the length, which is checked. */
    if (large_value_there(t, table, k) && store_delete(t, table, key, e) != 0)
        return -1;
    int rc = mdb_put(t->txn, s->dbi[table], &k, &v, MDB_RESERVE);
    if (rc != 0)
        return fail(s, rc, "writing", e);
    char *framed = v.mv_data;
    uint32_t crc = frame_crc(table, key, value);
    framed[0] = FRAME_FORMAT;
    memcpy(framed + 1, &crc, sizeof crc);
    if (value.len)
        memcpy(framed + FRAME_LEN, value.p, value.len);
    t->dirty = true;
    return 0;
}

int store_txn_get(struct store_txn *t, enum store_table table, struct str key, struct buf *out, bool *found, struct err *e)
{
    return get_in((struct place){t->s, t->txn, table}, key, out, found, e);
}

int store_commit(struct store_txn *t, struct err *e)
{
    struct store *s = t->s;
    if (t->dirty && seal(t, e) != 0) {
        store_abort(t);
        return -1;
    }
    int rc = mdb_txn_commit(t->txn);
    pthread_rwlock_unlock(&s->map);
    free(t);
    if (rc == 0)
        return 0;
    /* Whatever else it is called, a commit that failed is a write that failed. */
    return rc == MDB_MAP_FULL || rc == MDB_CORRUPTED ? fail(s, rc, "writing", e)
                                                     : fail_write(s, rc, "writing", e);
}

void store_abort(struct store_txn *t)
{
    abort_txn(t->s, t->txn);
    free(t);
}

int store_put_one(struct store *s, enum store_table table, struct str key, struct str value, struct err *e)
{
    struct store_txn *t;
    if (store_begin(s, &t, e) != 0)
        return -1;
    if (store_put(t, table, key, value, e) != 0) {
        store_abort(t);
        return -1;
    }
    return store_commit(t, e);
}
