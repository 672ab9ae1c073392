/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions that were prepared for two-phase commit: kept until they are committed or rolled back by name.
 *
 * Once a PREPARE is confirmed the server never sends its rows again; COMMIT PREPARED tells the name only. So the parts are synced,
 * and a fact is stored, before the position moves behind the PREPARE. They are fed at COMMIT PREPARED, as one
 * transaction with the LSN of that, and deleted when it is durable on the bus; the fact names its end before it is
 * fed, so that after a kill those that are through are known.
 */
#include "agent/source/inner.h"
#include "agent/source/spill.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_PREFIX "prepared:" /* in STORE_META; the xid behind it */
#define KEY_MAX 24
#define GID_ROOM 200
#define TURN_PARTS 1000

struct fact {
    struct fact *next;
    uint32_t xid;
    uint64_t end_lsn; /* behind its commit; 0 = not committed yet */
    uint64_t bytes;
    char gid[GID_ROOM];
};

struct prepared {
    struct spill *files;
    struct fact *all;
    int count, ended;
    bool loaded;
};

struct prepared *prepared_open(const struct config *config)
{
    struct prepared *p = mem_zalloc(1, sizeof *p);
    p->files = spill_open(config->state, PREPARED_FOLDER, (uint64_t) config->source.spill_max_mb << 20);
    return p;
}

static void free_facts(struct prepared *p)
{
    while (p->all) {
        struct fact *next = p->all->next;
        free(p->all);
        p->all = next;
    }
    p->count = p->ended = 0;
}

void prepared_close(struct prepared *p)
{
    if (!p)
        return;
    free_facts(p);
    spill_leave(p->files);
    free(p);
}

int prepared_count(const struct prepared *p)
{
    return p->count;
}

uint64_t prepared_bytes(const struct prepared *p)
{
    return spill_bytes(p->files);
}

/* ---- facts ---- */

static struct fact *find(const struct prepared *p, uint32_t xid)
{
    struct fact *f = p->all;
    while (f && f->xid != xid)
        f = f->next;
    return f;
}

static struct str key_of(uint32_t xid, char key[KEY_MAX])
{
    int len = snprintf(key, KEY_MAX, KEY_PREFIX "%u", (unsigned) xid);
    return (struct str){key, (size_t) len};
}

static int save(struct source *s, const struct fact *f, struct err *e)
{
    char key[KEY_MAX];
    struct buf value = BUF_INIT;
    buf_addf(&value, "%s %" PRIu64 " %s", LSN_STR(f->end_lsn), f->bytes, f->gid);
    int rc = store_put_one(s->parts.store, STORE_META, key_of(f->xid, key), buf_str(&value), e);
    buf_free(&value);
    return rc;
}

static void unlink_fact(struct prepared *p, struct fact *f)
{
    struct fact **link = &p->all;
    while (*link != f)
        link = &(*link)->next;
    *link = f->next;
    p->count--;
    p->ended -= f->end_lsn != 0;
    free(f);
}

/* The fact first: a file without one is swept, a fact without its file would be damage. */
static int forget(struct source *s, uint32_t xid, struct err *e)
{
    char key[KEY_MAX];
    struct store_txn *t;
    struct prepared *p = s->prepared;
    struct fact *f = find(p, xid);
    if (f) {
        if (store_begin(s->parts.store, &t, e))
            return -1;
        if (store_delete(t, STORE_META, key_of(xid, key), e)) {
            store_abort(t);
            return -1;
        }
        if (store_commit(t, e))
            return -1;
        unlink_fact(p, f);
    }
    spill_drop(p->files, xid);
    return 0;
}

/* ---- what an earlier process stored ---- */

/* "LSN BYTES GID"; a name may have blanks. */
static bool read_fact(struct str key, struct str text, struct fact *f)
{
    uint64_t xid;
    const char *one = text.len ? memchr(text.p, ' ', text.len) : NULL;
    const char *two = one ? memchr(one + 1, ' ', text.len - (size_t) (one + 1 - text.p)) : NULL;
    size_t prefix = sizeof KEY_PREFIX - 1;
    if (!two || !str_to_u64((struct str){key.p + prefix, key.len - prefix}, &xid) || xid > UINT32_MAX)
        return false;
    struct str gid = {two + 1, text.len - (size_t) (two + 1 - text.p)};
    f->xid = (uint32_t) xid;
    if (gid.len >= sizeof f->gid)
        return false;
    memcpy(f->gid, gid.p, gid.len);
    return str_to_lsn((struct str){text.p, (size_t) (one - text.p)}, &f->end_lsn) &&
           str_to_u64((struct str){one + 1, (size_t) (two - one - 1)}, &f->bytes);
}

static int load_one(struct source *s, struct str key, struct str value, struct err *e)
{
    struct prepared *p = s->prepared;
    struct fact *f = mem_zalloc(1, sizeof *f);
    if (!read_fact(key, value, f)) {
        free(f);
        return err_set(e, E_CORRUPT, "fact %.*s about a prepared transaction cannot be read", STR_ARG(key));
    }
    f->next = p->all;
    p->all = f;
    p->count++;
    p->ended += f->end_lsn != 0;
    if (f->end_lsn && f->end_lsn <= s->stream.durable_lsn)
        return 0; /* prepared_turn forgets it, with whatever is left of its file */
    return spill_adopt(p->files, f->xid, f->bytes, e) ? err_prefix(e, "prepared transaction \"%s\"", f->gid) : 0;
}

static int load_all(struct source *s, struct err *e)
{
    struct buf from = BUF_INIT, key = BUF_INIT, value = BUF_INIT;
    bool found = true;
    int rc = 0;
    buf_add_text(&from, KEY_PREFIX);
    while (!rc && found) {
        buf_reset(&key);
        buf_reset(&value);
        rc = store_seek(s->parts.store, STORE_META, buf_str(&from), false, &key, &value, &found, e);
        if (rc || !found || !str_starts(buf_str(&key), KEY_PREFIX))
            break;
        rc = load_one(s, buf_str(&key), buf_str(&value), e);
        buf_reset(&from);
        buf_add_str(&from, buf_str(&key));
        buf_add_char(&from, 0);
    }
    buf_free(&from);
    buf_free(&key);
    buf_free(&value);
    return rc;
}

void prepared_give_up(struct source *s)
{
    if (s->in.preparing)
        spill_drop(s->prepared->files, s->in.preparing);
    s->in.preparing = 0;
}

int prepared_load(struct source *s, struct err *e)
{
    struct prepared *p = s->prepared;
    if (p->loaded)
        return 0;
    free_facts(p);
    if (load_all(s, e))
        return -1;
    spill_sweep(p->files);
    p->loaded = true;
    return 0;
}

/* ---- preparing ---- */

int prepared_part(struct source *s, const struct decoder_part *part, struct err *e)
{
    if (!spill_add(s->prepared->files, part, e))
        return 0;
    return err_hint(e, "prepared transactions are kept until they are committed or rolled back: give source.spill_max_mb, or the disk, more room");
}

/* What was streamed, without what its subtransactions gave up. */
static int take_streamed(struct source *s, uint32_t xid, struct err *e)
{
    struct spill_part from;
    int rc = spill_read(s->spill, xid, e) ? -1 : 1;
    for (int64_t count = 1; rc > 0 && (rc = spill_next(s->spill, &from, e)) > 0; count++) {
        const struct decoder_part part = {.xid = xid, .subxid = xid, .lsn = from.lsn, .type = (uint8_t) from.payload.p[0],
                                          .rest = {from.payload.p + 1, from.payload.len - 1}};
        if (prepared_part(s, &part, e))
            rc = -1;
        if (count % TURN_PARTS == 0)
            source_turn(s);
    }
    spill_drop(s->spill, xid);
    return rc;
}

/* Durable, and only then behind us. */
static int settle(struct source *s, const struct decoder_prepared *prepared, struct err *e)
{
    struct prepared *p = s->prepared;
    struct fact *f = mem_zalloc(1, sizeof *f);
    f->xid = prepared->xid;
    snprintf(f->gid, sizeof f->gid, "%.*s", STR_ARG(prepared->gid));
    if (spill_sync(p->files, f->xid, &f->bytes, e) || save(s, f, e)) {
        free(f);
        return -1;
    }
    f->next = p->all;
    p->all = f;
    p->count++;
    s->in.preparing = 0;
    if (prepared->end_lsn > s->stream.move_lsn)
        s->stream.move_lsn = prepared->end_lsn;
    return 0;
}

int prepared_step(void *self, const struct decoder_prepared *p, enum decoder_prepare step, struct err *e)
{
    struct source *s = self;
    if (step == PREPARE_ENDED)
        return settle(s, p, e);
    if (forget(s, p->xid, e)) /* of an earlier time that was not confirmed */
        return -1;
    if (step == PREPARE_BEGUN) {
        s->in.preparing = p->xid;
        return 0;
    }
    return take_streamed(s, p->xid, e) || settle(s, p, e) ? -1 : 0;
}

/* ---- the end ---- */

static int lacking(const struct decoder_prepared *p, struct err *e)
{
    return err_set(e, E_STATE, "prepared transaction \"%.*s\" (%u) was committed, and its rows are not in the state directory",
                   STR_ARG(p->gid), (unsigned) p->xid);
}

int prepared_end(void *self, const struct decoder_prepared *p, struct str begin, struct str commit, struct err *e)
{
    struct source *s = self;
    struct fact *f = find(s->prepared, p->xid);
    bool through = p->lsn <= s->in.last_commit_lsn; /* on the bus, and maybe forgotten */
    if (!begin.len) {
        if (p->end_lsn > s->stream.move_lsn)
            s->stream.move_lsn = p->end_lsn;
        return f ? forget(s, p->xid, e) : 0;
    }
    if (!through && (!f || !str_is(p->gid, f->gid)))
        return lacking(p, e);
    if (f && !f->end_lsn) {
        f->end_lsn = p->end_lsn;
        s->prepared->ended++;
        if (save(s, f, e))
            return -1;
    }
    return streamed_begin(s, s->prepared->files, p->xid, (const struct str[]){begin, commit}, e);
}

int prepared_turn(struct source *s, struct err *e)
{
    struct fact *next;
    if (!s->prepared->ended || s->release.active)
        return 0;
    for (struct fact *f = s->prepared->all; f; f = next) {
        next = f->next;
        if (f->end_lsn && f->end_lsn <= s->stream.durable_lsn && forget(s, f->xid, e))
            return -1;
    }
    return 0;
}
