/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded registry: ids and texts in one table of the store, subjects and versions in another.
 *
 * Everything is read at open, so that add and text, which the hot paths call on a new table or
 * after a restart, are answered from memory. Texts are a few kilobytes each and change with the
 * tables' columns; past CACHE_MAX bytes further ones are read from the store each time. A new text
 * is durable before its id is given out: an event must never name an id that a crash takes back.
 */
#include "schemas/registry.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "agent/base/cursor.h"

#define CACHE_MAX ((size_t) 32 << 20)
#define IDS_MAX 1000000
#define SUBJECT_MAX ((size_t) 500)

struct entry {
    uint64_t hash; /* of the text */
    char *text;    /* NULL when it is not cached */
    size_t len;
};

struct version {
    char *subject;
    int version, id;
};

struct local {
    struct registry base;
    struct store *store;
    enum compatibility level;
    pthread_mutex_t lock; /* all below */
    struct entry *entries; /* id - 1 is the index */
    int entry_count, entry_room;
    struct version *versions; /* ordered by subject, then version */
    int version_count, version_room;
    size_t cached_bytes;
};

static struct local *local_of(struct registry *r)
{
    return (struct local *) r;
}

/* FNV-1a: only to find candidates, texts are compared. */
static uint64_t text_hash(struct str s)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t at = 0; at < s.len; at++)
        hash = (hash ^ (uint8_t) s.p[at]) * UINT64_C(1099511628211);
    return hash;
}

/* ---- keys ---- */

static struct str id_key(uint8_t out[4], int id)
{
    put_be(out, (uint64_t) id, 4);
    return (struct str){(const char *) out, 4};
}

static void version_key(struct buf *out, struct str subject, int version)
{
    uint8_t number[4];
    put_be(number, (uint64_t) version, 4);
    buf_reset(out);
    buf_add_str(out, subject);
    buf_add_char(out, 0);
    buf_add(out, number, sizeof number);
}

/* ---- memory ---- */

static void remember_text(struct local *l, struct str text)
{
    if (l->entry_count == l->entry_room) {
        l->entry_room = l->entry_room ? l->entry_room * 2 : 64;
        l->entries = mem_realloc(l->entries, (size_t) l->entry_room * sizeof *l->entries);
    }
    bool cache = text.len <= CACHE_MAX - l->cached_bytes;
    l->entries[l->entry_count++] = (struct entry){
        .hash = text_hash(text), .text = cache ? mem_strndup(text) : NULL, .len = text.len};
    l->cached_bytes += cache ? text.len : 0;
}

/* Where (subject, version) is, or belongs. */
static int version_place(const struct local *l, struct str subject, int version)
{
    int low = 0, high = l->version_count;
    while (low < high) {
        int middle = (low + high) / 2;
        int order = str_cmp(str_of(l->versions[middle].subject), subject);
        if (order < 0 || (order == 0 && l->versions[middle].version < version))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void remember_version(struct local *l, struct str subject, int version, int id)
{
    if (l->version_count == l->version_room) {
        l->version_room = l->version_room ? l->version_room * 2 : 64;
        l->versions = mem_realloc(l->versions, (size_t) l->version_room * sizeof *l->versions);
    }
    int at = version_place(l, subject, version);
    memmove(&l->versions[at + 1], &l->versions[at], (size_t) (l->version_count - at) * sizeof *l->versions);
    l->versions[at] = (struct version){mem_strndup(subject), version, id};
    l->version_count++;
}

/* Text of an id that is there, into out. */
static int text_of(struct local *l, int id, struct buf *out, struct err *e)
{
    const struct entry *entry = &l->entries[id - 1];
    uint8_t key[4];
    bool found;
    buf_reset(out);
    if (entry->text) {
        buf_add_str(out, (struct str){entry->text, entry->len});
        return 0;
    }
    if (store_get(l->store, STORE_SCHEMAS, id_key(key, id), out, &found, e) != 0)
        return -1;
    return found ? 0 : err_set(e, E_CORRUPT, "schema %d is missing from the state", id);
}

/* The id of a text, 0 when it is new. */
static int find_text(struct local *l, struct str text, int *id, struct err *e)
{
    struct buf known = BUF_INIT;
    uint64_t hash = text_hash(text);
    int rc = 0;
    *id = 0;
    for (int at = 0; at < l->entry_count && *id == 0 && rc == 0; at++) {
        if (l->entries[at].hash != hash || l->entries[at].len != text.len)
            continue;
        rc = text_of(l, at + 1, &known, e);
        if (rc == 0 && str_eq(buf_str(&known), text))
            *id = at + 1;
    }
    buf_free(&known);
    return rc;
}

/* ---- add ---- */

/* The text has a version of subject already; otherwise *next is its version and *latest the id of
 * the one before (0 when none). */
static bool has_version(const struct local *l, struct str subject, int id, int *next, int *latest)
{
    *next = 1;
    *latest = 0;
    for (int at = version_place(l, subject, 1); at < l->version_count; at++) {
        const struct version *v = &l->versions[at];
        if (!str_is(subject, v->subject))
            break;
        if (v->id == id)
            return true;
        *next = v->version + 1;
        *latest = v->id;
    }
    return false;
}

static int check_level(struct local *l, struct str subject, struct str text, int latest, struct err *e)
{
    struct buf old = BUF_INIT;
    if (l->level == COMPAT_NONE || latest == 0)
        return 0;
    int rc = text_of(l, latest, &old, e);
    if (rc == 0 && schema_check_backward(text, buf_str(&old), e) != 0)
        rc = err_prefix(e, "subject %.*s", STR_ARG(subject));
    buf_free(&old);
    return rc;
}

static int store_version(struct local *l, struct str subject, int version, int id, struct str text,
                         struct err *e)
{
    struct store_txn *t;
    struct buf key = BUF_INIT;
    uint8_t number[4];
    if (store_begin(l->store, &t, e) != 0)
        return -1;
    version_key(&key, subject, version);
    int rc = store_put(t, STORE_SUBJECTS, buf_str(&key), id_key(number, id), e);
    if (rc == 0 && id > l->entry_count)
        rc = store_put(t, STORE_SCHEMAS, id_key(number, id), text, e);
    buf_free(&key);
    if (rc != 0) {
        store_abort(t);
        return -1;
    }
    return store_commit(t, e);
}

static int add_locked(struct local *l, struct str subject, struct str text, int *id, struct err *e)
{
    int known, next, latest;
    if (find_text(l, text, &known, e) != 0)
        return -1;
    if (has_version(l, subject, known ? known : -1, &next, &latest)) {
        *id = known;
        return 0;
    }
    if (check_level(l, subject, text, latest, e) != 0)
        return -1;
    if (!known && l->entry_count == IDS_MAX)
        return err_set(e, E_SCHEMA, "registry holds %d schemas, its limit", IDS_MAX);
    int fresh = known ? known : l->entry_count + 1;
    if (store_version(l, subject, next, fresh, text, e) != 0)
        return -1;
    if (!known)
        remember_text(l, text);
    remember_version(l, subject, next, fresh);
    *id = fresh;
    return 0;
}

static int local_add(struct registry *r, struct str subject, struct str text, int *id, struct err *e)
{
    struct local *l = local_of(r);
    if (subject.len == 0 || subject.len > SUBJECT_MAX || memchr(subject.p, 0, subject.len))
        return err_set(e, E_SCHEMA, "subject of %zu bytes is not possible", subject.len);
    pthread_mutex_lock(&l->lock);
    int rc = add_locked(l, subject, text, id, e);
    pthread_mutex_unlock(&l->lock);
    return rc;
}

/* ---- reading ---- */

static int local_text(struct registry *r, int id, struct arena *a, struct str *text, struct err *e)
{
    struct local *l = local_of(r);
    struct buf out = BUF_INIT;
    pthread_mutex_lock(&l->lock);
    int rc = id < 1 || id > l->entry_count ? err_set(e, E_SCHEMA, "schema %d is not known", id)
                                           : text_of(l, id, &out, e);
    pthread_mutex_unlock(&l->lock);
    if (rc == 0)
        *text = arena_str(a, buf_str(&out));
    buf_free(&out);
    return rc;
}

static int local_each(struct registry *r, void *self,
                      int (*visit)(void *self, struct str subject, int version, int id), struct err *e)
{
    struct local *l = local_of(r);
    int rc = 0;
    (void) e;
    pthread_mutex_lock(&l->lock);
    for (int at = 0; at < l->version_count && rc == 0; at++)
        rc = visit(self, str_of(l->versions[at].subject), l->versions[at].version, l->versions[at].id);
    pthread_mutex_unlock(&l->lock);
    return rc;
}

static void local_close(struct registry *r)
{
    struct local *l = local_of(r);
    for (int at = 0; at < l->entry_count; at++)
        free(l->entries[at].text);
    for (int at = 0; at < l->version_count; at++)
        free(l->versions[at].subject);
    free(l->entries);
    free(l->versions);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* ---- open ---- */

static int load_texts(struct local *l, struct err *e)
{
    struct buf key = BUF_INIT, text = BUF_INIT;
    uint8_t from[4];
    bool found = true;
    int rc = 0;
    while (rc == 0 && l->entry_count < IDS_MAX) {
        rc = store_seek(l->store, STORE_SCHEMAS, id_key(from, l->entry_count + 1), false, &key, &text, &found, e);
        if (rc != 0 || !found)
            break;
        struct cursor c = cursor_of(buf_str(&key));
        if (cursor_u32(&c) != (uint32_t) l->entry_count + 1 || c.failed || c.left != 0)
            rc = err_set(e, E_CORRUPT, "schema %d is missing from the state", l->entry_count + 1);
        else
            remember_text(l, buf_str(&text));
    }
    buf_free(&key);
    buf_free(&text);
    return rc;
}

/* One entry of STORE_SUBJECTS. */
static int load_version(struct local *l, struct str key, struct str value, struct err *e)
{
    struct cursor v = cursor_of(value);
    uint32_t id = cursor_u32(&v);
    size_t subject_len = key.len > 5 ? key.len - 5 : 0;
    struct cursor k = cursor_of((struct str){key.p + subject_len, key.len - subject_len});
    uint8_t nul = cursor_u8(&k);
    uint32_t version = cursor_u32(&k);
    if (subject_len == 0 || nul != 0 || v.failed || v.left != 0 || version < 1 || version > INT32_MAX
        || id < 1 || id > (uint32_t) l->entry_count)
        return err_set(e, E_CORRUPT, "subject %.*s of the registry is malformed or its schema %" PRIu32
                       " is missing", (int) subject_len, key.p, id);
    remember_version(l, (struct str){key.p, subject_len}, (int) version, (int) id);
    return 0;
}

static int load_versions(struct local *l, struct err *e)
{
    struct buf key = BUF_INIT, value = BUF_INIT, from = BUF_INIT;
    bool found = true;
    int rc = 0;
    while (rc == 0) {
        rc = store_seek(l->store, STORE_SUBJECTS, buf_str(&from), false, &key, &value, &found, e);
        if (rc != 0 || !found)
            break;
        rc = load_version(l, buf_str(&key), buf_str(&value), e);
        buf_reset(&from);
        buf_add_str(&from, buf_str(&key));
        buf_add_char(&from, 0);
    }
    buf_free(&key);
    buf_free(&value);
    buf_free(&from);
    return rc;
}

static const struct registry_driver local_driver = {
    .add = local_add, .text = local_text, .each = local_each, .close = local_close};

struct registry *registry_local_open(struct store *store, enum compatibility level, struct err *e)
{
    struct local *l = mem_zalloc(1, sizeof *l);
    l->base.driver = &local_driver;
    l->store = store;
    l->level = level;
    pthread_mutex_init(&l->lock, NULL);
    if (load_texts(l, e) != 0 || load_versions(l, e) != 0) {
        local_close(&l->base);
        return NULL;
    }
    return &l->base;
}
