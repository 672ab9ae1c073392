/* SPDX-License-Identifier: Apache-2.0
 *
 * Parked rows in the store, with an index in memory.
 *
 * The pump asks for every event whether its key is parked, so that question never goes to disk:
 * each parked row has a small entry here, found by (route, topic, key) and by (route, topic,
 * position). Bytes in memory grow with parked_max, the option that bounds the rows.
 */
#include "agent/hub/park.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/base/cursor.h"

#define BUCKETS 4096
#define COUNTER STR("parked.next")

struct entry {
    struct entry *next; /* in its bucket, ascending numbers */
    uint64_t number, behind;
    struct position pos;
    struct str route, topic, key; /* behind the entry, in one allocation */
};

struct park {
    struct store *store;
    pthread_mutex_t lock;
    uint64_t next; /* number to give out */
    int64_t count;
    struct entry *buckets[BUCKETS]; /* by route, topic and key */
    struct entry **tails[BUCKETS];
};

/* ---- the index ---- */

static uint64_t hash_add(uint64_t hash, struct str s)
{
    for (size_t at = 0; at < s.len; at++)
        hash = (hash ^ (uint8_t) s.p[at]) * UINT64_C(0x100000001b3);
    return (hash ^ s.len ^ UINT64_C(0x100)) * UINT64_C(0x100000001b3);
}

static size_t bucket_of(struct str route, struct str topic, struct str key)
{
    uint64_t hash = hash_add(UINT64_C(0xcbf29ce484222325), route);
    return hash_add(hash_add(hash, topic), key) % BUCKETS;
}

static struct str copy_to(char **to, struct str s)
{
    struct str copy = {*to, s.len};
    if (s.len)
        memcpy(*to, s.p, s.len);
    *to += s.len;
    return copy;
}

static void index_add(struct park *p, const struct parked *row)
{
    struct entry *entry = mem_alloc(sizeof *entry + row->route.len + row->topic.len + row->key.len);
    char *to = (char *) (entry + 1);
    *entry = (struct entry){.number = row->number, .behind = row->behind, .pos = row->pos};
    entry->route = copy_to(&to, row->route);
    entry->topic = copy_to(&to, row->topic);
    entry->key = copy_to(&to, row->key);
    size_t bucket = bucket_of(row->route, row->topic, row->key);
    if (!p->tails[bucket])
        p->tails[bucket] = &p->buckets[bucket];
    *p->tails[bucket] = entry;
    p->tails[bucket] = &entry->next;
    p->count++;
}

static bool listed(const uint64_t *numbers, size_t count, uint64_t number)
{
    for (size_t at = 0; at < count; at++)
        if (numbers[at] == number)
            return true;
    return false;
}

static void index_remove(struct park *p, struct str route, const uint64_t *numbers, size_t count)
{
    for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
        struct entry **at = &p->buckets[bucket];
        while (*at) {
            struct entry *entry = *at;
            if (str_eq(entry->route, route) && listed(numbers, count, entry->number)) {
                *at = entry->next;
                free(entry);
                p->count--;
            } else
                at = &entry->next;
        }
        p->tails[bucket] = at;
    }
}

/* ---- the stored form ---- */

static void add_uint(struct buf *out, uint64_t value, size_t len)
{
    uint8_t bytes[8];
    put_be(bytes, value, len);
    buf_add(out, bytes, len);
}

static void add_text(struct buf *out, struct str s)
{
    add_uint(out, s.len, 4);
    buf_add_str(out, s);
}

static void make_key(struct buf *out, struct str route, uint64_t number)
{
    buf_add_str(out, route);
    buf_add_char(out, 0);
    add_uint(out, number, 8);
}

/* The error's code goes by name: its number may change with the table of errors. */
static void make_value(struct buf *out, const struct parked *row)
{
    add_uint(out, row->pos.system_id, 8);
    add_uint(out, row->pos.timeline, 4);
    add_uint(out, row->pos.lsn, 8);
    add_uint(out, row->pos.seq, 8);
    add_uint(out, (uint64_t) row->commit_us, 8);
    add_uint(out, (uint64_t) row->parked_us, 8);
    add_uint(out, row->behind, 8);
    buf_add(out, row->sqlstate, sizeof row->sqlstate);
    add_text(out, str_of(err_name(row->code)));
    add_text(out, row->topic);
    add_text(out, row->key);
    add_text(out, row->value);
    add_text(out, row->headers);
    add_text(out, row->key_json);
    add_text(out, row->reason);
}

static enum err_code code_of(struct str name)
{
    for (int code = E_NONE; code < ERR_CODES; code++)
        if (str_is(name, err_name((enum err_code) code)))
            return (enum err_code) code;
    return E_TARGET_ROW;
}

static struct str take_text(struct cursor *c)
{
    return cursor_bytes(c, cursor_u32(c));
}

/* Texts are borrowed from key and value. */
static int read_row(struct str key, struct str value, struct parked *row, struct err *e)
{
    struct cursor c = cursor_of(value);
    *row = (struct parked){0};
    if (key.len < 9 || key.p[key.len - 9])
        return err_set(e, E_CORRUPT, "key of a parked row is malformed");
    struct cursor number = cursor_of((struct str){key.p + key.len - 8, 8});
    row->route = (struct str){key.p, key.len - 9};
    row->number = cursor_u64(&number);
    row->pos.system_id = cursor_u64(&c);
    row->pos.timeline = cursor_u32(&c);
    row->pos.lsn = cursor_u64(&c);
    row->pos.seq = cursor_u64(&c);
    row->commit_us = (int64_t) cursor_u64(&c);
    row->parked_us = (int64_t) cursor_u64(&c);
    row->behind = cursor_u64(&c);
    struct str sqlstate = cursor_bytes(&c, sizeof row->sqlstate);
    row->code = code_of(take_text(&c));
    row->topic = take_text(&c);
    row->key = take_text(&c);
    row->value = take_text(&c);
    row->headers = take_text(&c);
    row->key_json = take_text(&c);
    row->reason = take_text(&c);
    if (c.failed || c.left)
        return err_set(e, E_CORRUPT, "parked row %llu of route %.*s is malformed",
                       (unsigned long long) row->number, STR_ARG(row->route));
    memcpy(row->sqlstate, sqlstate.p, sizeof row->sqlstate);
    row->sqlstate[5] = 0;
    return 0;
}

/* ---- reading all ---- */

static void keep_texts(struct arena *a, struct parked *row)
{
    row->route = arena_str(a, row->route);
    row->topic = arena_str(a, row->topic);
    row->key = arena_str(a, row->key);
    row->value = arena_str(a, row->value);
    row->headers = arena_str(a, row->headers);
    row->key_json = arena_str(a, row->key_json);
    row->reason = arena_str(a, row->reason);
}

int park_each(struct park *p, const char *route, struct arena *a, void *self,
              int (*visit)(void *self, const struct parked *row, struct err *e), struct err *e)
{
    struct buf from = BUF_INIT, key = BUF_INIT, value = BUF_INIT;
    bool found = true;
    int done = 0;
    if (route)
        make_key(&from, str_of(route), 0);
    while (!done) {
        done = store_seek(p->store, STORE_PARKED, buf_str(&from), false, &key, &value, &found, e);
        if (done || !found)
            break;
        struct parked row;
        done = read_row(buf_str(&key), buf_str(&value), &row, e);
        if (done || (route && !str_is(row.route, route)))
            break;
        buf_reset(&from);
        make_key(&from, row.route, row.number + 1);
        keep_texts(a, &row);
        done = visit(self, &row, e);
    }
    buf_free(&from);
    buf_free(&key);
    buf_free(&value);
    return done;
}

int park_get(struct park *p, struct str route, uint64_t number, struct arena *a, struct parked *row,
             struct err *e)
{
    struct buf key = BUF_INIT, value = BUF_INIT;
    bool found = false;
    *row = (struct parked){0};
    make_key(&key, route, number);
    int done = store_get(p->store, STORE_PARKED, buf_str(&key), &value, &found, e);
    if (!done && found)
        done = read_row(buf_str(&key), buf_str(&value), row, e);
    if (!done && found)
        keep_texts(a, row);
    buf_free(&key);
    buf_free(&value);
    return done;
}

/* ---- open ---- */

struct filling {
    struct park *park;
    struct arena *arena;
};

static int fill(void *self, const struct parked *row, struct err *e)
{
    struct filling *f = self;
    (void) e;
    index_add(f->park, row);
    if (row->number >= f->park->next)
        f->park->next = row->number + 1;
    arena_reset(f->arena);
    return 0;
}

static int read_counter(struct park *p, struct err *e)
{
    struct buf value = BUF_INIT;
    bool found;
    int done = store_get(p->store, STORE_META, COUNTER, &value, &found, e);
    p->next = 1;
    if (!done && found) {
        struct cursor c = cursor_of(buf_str(&value));
        p->next = cursor_u64(&c);
    }
    buf_free(&value);
    return done;
}

int park_open(struct store *store, struct park **out, struct err *e)
{
    struct park *p = mem_zalloc(1, sizeof *p);
    struct arena arena;
    p->store = store;
    pthread_mutex_init(&p->lock, NULL);
    arena_init(&arena, 0, "parked rows");
    struct filling filling = {p, &arena};
    int done = read_counter(p, e) || park_each(p, NULL, &arena, &filling, fill, e) ? -1 : 0;
    arena_free(&arena);
    if (done)
        park_close(p);
    *out = done ? NULL : p;
    return done;
}

void park_close(struct park *p)
{
    if (!p)
        return;
    for (size_t bucket = 0; bucket < BUCKETS; bucket++)
        while (p->buckets[bucket]) {
            struct entry *entry = p->buckets[bucket];
            p->buckets[bucket] = entry->next;
            free(entry);
        }
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* ---- looking ---- */

static const struct entry *find_event(struct park *p, struct str route, struct str topic,
                                      const struct position *pos)
{
    for (size_t bucket = 0; p->count && bucket < BUCKETS; bucket++)
        for (const struct entry *at = p->buckets[bucket]; at; at = at->next)
            if (at->pos.lsn == pos->lsn && at->pos.seq == pos->seq &&
                at->pos.system_id == pos->system_id && str_eq(at->route, route) &&
                str_eq(at->topic, topic))
                return at;
    return NULL;
}

uint64_t park_find(struct park *p, struct str route, struct str topic, struct str key)
{
    uint64_t number = 0;
    if (!key.len)
        return 0;
    pthread_mutex_lock(&p->lock);
    for (const struct entry *at = p->buckets[bucket_of(route, topic, key)]; at && !number; at = at->next)
        if (str_eq(at->key, key) && str_eq(at->topic, topic) && str_eq(at->route, route))
            number = at->number;
    pthread_mutex_unlock(&p->lock);
    return number;
}

bool park_has(struct park *p, struct str route, struct str topic, const struct position *pos)
{
    pthread_mutex_lock(&p->lock);
    bool has = find_event(p, route, topic, pos) != NULL;
    pthread_mutex_unlock(&p->lock);
    return has;
}

uint64_t park_behind(struct park *p, struct str route, uint64_t number)
{
    uint64_t behind = 0;
    pthread_mutex_lock(&p->lock);
    for (size_t bucket = 0; bucket < BUCKETS; bucket++)
        for (const struct entry *at = p->buckets[bucket]; at; at = at->next)
            if (at->number == number && str_eq(at->route, route))
                behind = at->behind;
    pthread_mutex_unlock(&p->lock);
    return behind;
}

int64_t park_count(struct park *p, const char *route)
{
    int64_t count = 0;
    pthread_mutex_lock(&p->lock);
    for (size_t bucket = 0; p->count && bucket < BUCKETS; bucket++)
        for (const struct entry *at = p->buckets[bucket]; at; at = at->next)
            count += !route || str_is(at->route, route);
    pthread_mutex_unlock(&p->lock);
    return count;
}

/* ---- changing ---- */

static int store_row(struct park *p, const struct parked *row, struct err *e)
{
    struct store_txn *t;
    struct buf key = BUF_INIT, value = BUF_INIT;
    uint8_t next[8];
    put_be(next, row->number + 1, 8);
    make_key(&key, row->route, row->number);
    make_value(&value, row);
    int done = store_begin(p->store, &t, e);
    if (!done) {
        done = store_put(t, STORE_PARKED, buf_str(&key), buf_str(&value), e) ||
               store_put(t, STORE_META, COUNTER, (struct str){(const char *) next, 8}, e) ? -1 : 0;
        if (done)
            store_abort(t);
        else
            done = store_commit(t, e);
    }
    buf_free(&key);
    buf_free(&value);
    return done;
}

int park_add(struct park *p, struct parked *row, struct err *e)
{
    int done = 0;
    pthread_mutex_lock(&p->lock);
    const struct entry *known = find_event(p, row->route, row->topic, &row->pos);
    if (known)
        row->number = known->number;
    else {
        row->number = p->next;
        done = store_row(p, row, e);
        if (!done) {
            p->next++;
            index_add(p, row);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return done;
}

/* The lock is held. */
static int remove_rows(struct park *p, struct str route, const uint64_t *numbers, size_t count,
                       struct err *e)
{
    struct store_txn *t;
    if (!count)
        return 0;
    if (store_begin(p->store, &t, e))
        return -1;
    int done = 0;
    for (size_t at = 0; !done && at < count; at++) {
        struct buf key = BUF_INIT;
        make_key(&key, route, numbers[at]);
        done = store_delete(t, STORE_PARKED, buf_str(&key), e);
        buf_free(&key);
    }
    if (done) {
        store_abort(t);
        return -1;
    }
    if (store_commit(t, e))
        return -1;
    index_remove(p, route, numbers, count);
    return 0;
}

int park_remove_many(struct park *p, struct str route, const uint64_t *numbers, size_t count,
                     struct err *e)
{
    pthread_mutex_lock(&p->lock);
    int done = remove_rows(p, route, numbers, count, e);
    pthread_mutex_unlock(&p->lock);
    return done;
}

int park_remove(struct park *p, struct str route, uint64_t number, struct err *e)
{
    return park_remove_many(p, route, &number, 1, e);
}

int park_drop_topic(struct park *p, struct str route, struct str topic, const struct position *before,
                    int64_t *dropped, struct err *e)
{
    pthread_mutex_lock(&p->lock);
    uint64_t *numbers = mem_alloc((size_t) (p->count + 1) * sizeof *numbers);
    size_t count = 0;
    for (size_t bucket = 0; p->count && bucket < BUCKETS; bucket++)
        for (const struct entry *at = p->buckets[bucket]; at; at = at->next)
            if (str_eq(at->route, route) && str_eq(at->topic, topic) &&
                position_cmp(&at->pos, before) < 0)
                numbers[count++] = at->number;
    int done = remove_rows(p, route, numbers, count, e);
    *dropped = done ? 0 : (int64_t) count;
    pthread_mutex_unlock(&p->lock);
    free(numbers);
    return done;
}
