/* SPDX-License-Identifier: Apache-2.0
 *
 * Records are (name, value) pairs in STORE_META under "snapshot/" and the run's number; the last
 * position stands under "snapshot".
 */
#include "agent/source/run.h"

#include <stdio.h>
#include <stdlib.h>

#include "schemas/event.h"

#define PREFIX "snapshot/"

struct run *run_new(struct str space, struct str name, const char *where)
{
    struct run *r = mem_zalloc(1, sizeof *r);
    r->space = mem_strndup(space);
    r->name = mem_strndup(name);
    r->where = mem_strdup(where);
    r->expected = -1;
    return r;
}

void progress_free(struct run_progress *p)
{
    buf_free(&p->from);
    buf_free(&p->pending);
}

void progress_copy(struct run_progress *to, const struct run_progress *from)
{
    buf_reset(&to->from);
    buf_reset(&to->pending);
    buf_add_str(&to->from, buf_str(&from->from));
    buf_add_str(&to->pending, buf_str(&from->pending));
    to->begun = from->begun;
    to->ended = from->ended;
    to->rows = from->rows;
}

void run_free(struct run *r)
{
    if (!r)
        return;
    progress_free(&r->now);
    free(r->space);
    free(r->name);
    free(r->where);
    free(r);
}

/* ---- records ---- */

static void add_number(struct buf *out, const char *name, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long) number);
    headers_add(out, str_of(name), str_of(text));
}

static uint64_t find_number(struct str bytes, const char *name)
{
    struct str text;
    uint64_t number = 0;
    if (!headers_find(bytes, name, &text) || !str_to_u64(text, &number))
        return 0;
    return number;
}

static void add_progress(struct buf *out, const struct run_progress *p)
{
    struct buf part = BUF_INIT;
    headers_add(&part, STR("from"), buf_str(&p->from));
    headers_add(&part, STR("pending"), buf_str(&p->pending));
    add_number(&part, "begun", p->begun);
    add_number(&part, "ended", p->ended);
    add_number(&part, "rows", (uint64_t) p->rows);
    headers_add(out, STR("progress"), buf_str(&part));
    buf_free(&part);
}

static void find_progress(struct str bytes, struct run_progress *p)
{
    struct str text;
    if (headers_find(bytes, "from", &text))
        buf_add_str(&p->from, text);
    if (headers_find(bytes, "pending", &text))
        buf_add_str(&p->pending, text);
    p->begun = find_number(bytes, "begun") != 0;
    p->ended = find_number(bytes, "ended") != 0;
    p->rows = (int64_t) find_number(bytes, "rows");
}

void run_write(const struct run *r, const struct run_progress *next, uint64_t offset, struct buf *out)
{
    headers_add(out, STR("space"), str_of(r->space));
    headers_add(out, STR("name"), str_of(r->name));
    headers_add(out, STR("where"), str_of(r->where));
    add_number(out, "id", r->id);
    add_number(out, "oid", r->oid);
    add_number(out, "fresh", r->fresh);
    add_number(out, "partitioned", r->partitioned);
    add_number(out, "paused", r->paused);
    add_number(out, "lsn", r->lsn);
    add_number(out, "expected", (uint64_t) (r->expected + 1));
    add_number(out, "started", (uint64_t) r->started_us);
    add_number(out, "offset", offset);
    add_progress(out, &r->now);
    if (next)
        add_progress(out, next);
}

/* The first progress, or the second when the chunk between them is on the bus. */
static bool take_progress(struct str bytes, bool put, struct run_progress *out)
{
    struct str name, value, found[2] = {STR_NONE, STR_NONE};
    int count = 0;
    for (size_t at = 0; headers_next(bytes, &at, &name, &value);)
        if (str_is(name, "progress") && count < 2)
            found[count++] = value;
    if (!count)
        return false;
    find_progress(found[put && count == 2], out);
    return true;
}

struct run *run_read(struct str bytes, uint64_t committed_offset)
{
    struct str space, name, where;
    if (!headers_find(bytes, "space", &space) || !headers_find(bytes, "name", &name) ||
        !headers_find(bytes, "where", &where) || !find_number(bytes, "oid"))
        return NULL;
    char *condition = mem_strndup(where);
    struct run *r = run_new(space, name, condition);
    free(condition);
    r->id = find_number(bytes, "id");
    r->oid = (uint32_t) find_number(bytes, "oid");
    r->fresh = find_number(bytes, "fresh") != 0;
    r->partitioned = find_number(bytes, "partitioned") != 0;
    r->paused = find_number(bytes, "paused") != 0;
    r->lsn = find_number(bytes, "lsn");
    r->expected = (int64_t) find_number(bytes, "expected") - 1;
    r->started_us = (int64_t) find_number(bytes, "started");
    if (take_progress(bytes, committed_offset > find_number(bytes, "offset"), &r->now))
        return r;
    run_free(r);
    return NULL;
}

/* ---- the store ---- */

static struct str key_of(const struct run *r, char out[40])
{
    snprintf(out, 40, PREFIX "%020llu", (unsigned long long) r->id);
    return str_of(out);
}

static int put_last(struct store_txn *t, const struct position *last, struct err *e)
{
    struct buf value = BUF_INIT;
    add_number(&value, "lsn", last->lsn);
    add_number(&value, "seq", last->seq);
    int rc = store_put(t, STORE_META, STR("snapshot"), buf_str(&value), e);
    buf_free(&value);
    return rc;
}

/* value NULL: delete. */
static int change(struct store *store, const struct run *r, const struct buf *value,
                  const struct position *last, struct err *e)
{
    struct store_txn *t;
    char key[40];
    if (store_begin(store, &t, e))
        return -1;
    int rc = value ? store_put(t, STORE_META, key_of(r, key), buf_str(value), e)
                   : store_delete(t, STORE_META, key_of(r, key), e);
    if (rc || put_last(t, last, e)) {
        store_abort(t);
        return -1;
    }
    return store_commit(t, e);
}

int run_save(struct store *store, const struct run *r, const struct run_progress *next, uint64_t offset,
             const struct position *last, struct err *e)
{
    struct buf value = BUF_INIT;
    run_write(r, next, offset, &value);
    int rc = change(store, r, &value, last, e);
    buf_free(&value);
    return rc;
}

int run_forget(struct store *store, const struct run *r, const struct position *last, struct err *e)
{
    return change(store, r, NULL, last, e);
}

int run_save_last(struct store *store, const struct position *last, struct err *e)
{
    struct store_txn *t;
    if (store_begin(store, &t, e))
        return -1;
    if (put_last(t, last, e)) {
        store_abort(t);
        return -1;
    }
    return store_commit(t, e);
}

static int load_last(struct store *store, struct position *last, struct err *e)
{
    struct buf value = BUF_INIT;
    bool found;
    *last = (struct position){.lsn = 0};
    int rc = store_get(store, STORE_META, STR("snapshot"), &value, &found, e);
    if (!rc && found) {
        last->lsn = find_number(buf_str(&value), "lsn");
        last->seq = find_number(buf_str(&value), "seq");
    }
    buf_free(&value);
    return rc;
}

/* The record at or behind *from, which becomes the smallest key behind it. 1 when there was one. */
static int load_one(struct store *store, uint64_t committed_offset, struct buf *from, struct run **out, struct err *e)
{
    struct buf key = BUF_INIT, value = BUF_INIT;
    bool found;
    int rc = store_seek(store, STORE_META, buf_str(from), false, &key, &value, &found, e);
    if (!rc && found && str_starts(buf_str(&key), PREFIX)) {
        *out = run_read(buf_str(&value), committed_offset);
        rc = *out ? 1 : err_set(e, E_CORRUPT, "record of %.*s cannot be read", STR_ARG(buf_str(&key)));
        buf_reset(from);
        buf_add_str(from, buf_str(&key));
        buf_add_char(from, 0);
    }
    buf_free(&key);
    buf_free(&value);
    return rc;
}

int run_load_all(struct store *store, uint64_t committed_offset, struct run ***runs, int *count,
                 struct position *last, struct err *e)
{
    struct buf from = BUF_INIT;
    int rc = load_last(store, last, e) ? -1 : 1;
    *runs = mem_zalloc(RUNS_MAX, sizeof **runs);
    *count = 0;
    buf_add_text(&from, PREFIX);
    while (rc == 1 && *count < RUNS_MAX) {
        rc = load_one(store, committed_offset, &from, &(*runs)[*count], e);
        *count += rc == 1;
    }
    buf_free(&from);
    return rc < 0 ? -1 : 0;
}
