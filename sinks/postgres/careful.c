/* SPDX-License-Identifier: Apache-2.0
 *
 * The careful way, after the fast one failed: find the bad rows, park them, apply the rest.
 *
 * A chunk is tried as a whole under a savepoint; only a chunk that fails goes row by row. Each row
 * then has a savepoint of its own, so that the transaction outlives it. What is parked is durable
 * in our state before the target commits; a crash between the two parks it again under the same
 * number. Later rows of a parked key queue behind it: applying them alone would turn the order of
 * that key around.
 */
#include <stdlib.h>

#include "sinks/postgres/session.h"

#define CHUNK_ROWS 256
#define PARKED_KEYS_MAX ((size_t) 1 << 20) /* then the rest of the call is parked too */

/* Hashes of the keys parked in this call. */
struct keys {
    uint64_t *hash;
    size_t count, room;
};

static uint64_t key_of(const struct pgs_table *t, const struct change *c, bool old)
{
    uint64_t hash = (uint64_t) (uintptr_t) t->rel->oid * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t at = 0; at < t->label.len; at++)
        hash = (hash ^ (uint8_t) t->label.p[at]) * UINT64_C(0x100000001b3);
    for (int column = 0; column < t->rel->column_count; column++) {
        if (!t->rel->columns[column].key_position)
            continue;
        struct value v = old ? pgs_old_value(c, column) : pgs_new_value(c, column);
        for (size_t at = 0; at < v.text.len; at++)
            hash = (hash ^ (uint8_t) v.text.p[at]) * UINT64_C(0x100000001b3);
        hash = (hash ^ v.text.len ^ UINT64_C(0x100)) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static bool keys_has(const struct keys *k, uint64_t hash)
{
    for (size_t at = 0; at < k->count; at++)
        if (k->hash[at] == hash)
            return true;
    return k->count >= PARKED_KEYS_MAX;
}

static void keys_add(struct keys *k, uint64_t hash)
{
    if (keys_has(k, hash))
        return;
    if (k->count == k->room) {
        k->room = k->room ? k->room * 2 : 64;
        k->hash = mem_realloc(k->hash, k->room * sizeof *k->hash);
    }
    k->hash[k->count++] = hash;
}

static int park(struct pgs *s, struct keys *keys, const struct pgs_table *t, const struct change *c,
                struct err *e)
{
    struct err why = *e;
    err_clear(e);
    if (s->env.park(s->env.park_self, c, &why, e))
        return -1;
    if (t->rel->key_count) {
        keys_add(keys, key_of(t, c, true));
        if (c->after)
            keys_add(keys, key_of(t, c, false));
    }
    return 0;
}

static bool behind_parked(const struct keys *keys, const struct pgs_table *t, const struct change *c)
{
    if (!keys->count || !t->rel->key_count)
        return false;
    return keys_has(keys, key_of(t, c, true)) || (c->after && keys_has(keys, key_of(t, c, false)));
}

/* What was prepared in a stretch that failed may not be there. */
static void unprepare(struct pgs *s)
{
    for (size_t bucket = 0; bucket < PGS_BUCKETS; bucket++)
        for (struct pgs_table *t = s->tables[bucket]; t; t = t->next)
            for (struct pgs_stmt *st = t->statements; st; st = st->next)
                st->prepared = false;
}

static int send_text(struct pgs *s, const char *sql, struct err *e)
{
    struct pipe_call call = {.sql = sql, .owed = {.kind = OWED_COMMAND, .name = sql, .rows = -1}};
    return pipe_send(&s->pipe, &call, e);
}

/* Back to the savepoint after a failure; the transaction goes on. missing as it was before. */
static int undo(struct pgs *s, int64_t missing, struct err *e)
{
    struct err ignored = ERR_INIT;
    if (pipe_sync(&s->pipe, &ignored) && !s->pipe.failed) {
        *e = ignored; /* the connection, not the statement */
        return -1;
    }
    pipe_reset(&s->pipe);
    s->pipe.missing = missing;
    unprepare(s);
    if (send_text(s, "ROLLBACK TO SAVEPOINT tailrace", e) || send_text(s, "RELEASE SAVEPOINT tailrace", e))
        return -1;
    return pipe_sync(&s->pipe, e);
}

/* Apply changes under a savepoint. 1 when they were undone for a reason of their own (told in
 * why), -1 when the transaction is over. */
static int try_changes(struct pgs *s, const struct change *changes, int count, struct err *why,
                       struct err *e)
{
    int64_t missing = s->pipe.missing;
    err_clear(why);
    if (send_text(s, "SAVEPOINT tailrace", e))
        return -1;
    int failed = pgs_apply_fast(s, changes, count, why);
    if (!failed && s->strict)
        failed = send_text(s, "SET CONSTRAINTS ALL IMMEDIATE", why) ||
                 send_text(s, "SET CONSTRAINTS ALL DEFERRED", why);
    if (!failed)
        failed = send_text(s, "RELEASE SAVEPOINT tailrace", why) || pipe_drain(&s->pipe, why);
    if (!failed)
        return 0;
    if (why->class != ERR_ITEM) {
        *e = *why;
        return -1;
    }
    return undo(s, missing, e) ? -1 : 1;
}

/* An update whose row is not there becomes an insert, when the row is known whole. */
static int try_insert(struct pgs *s, struct pgs_table *t, const struct change *c, struct err *why,
                      struct err *e)
{
    if (c->op != OP_UPDATE || !pgs_complete(t, c))
        return 1;
    struct change insert = *c;
    struct err refused = ERR_INIT;
    insert.op = OP_CREATE;
    insert.before = NULL;
    struct value *after = mem_zalloc((size_t) t->rel->column_count, sizeof *after);
    for (int at = 0; at < t->rel->column_count; at++)
        after[at] = pgs_new_value(c, at);
    insert.after = after;
    int done = try_changes(s, &insert, 1, &refused, e);
    free(after);
    if (done > 0)
        *why = refused;
    else if (!done) {
        s->pipe.missing++;
        log_warn(s->env.env->log, s->part, "an update of %.*s found no row; the row was inserted",
                 STR_ARG(t->label));
    }
    return done;
}

static int apply_row(struct pgs *s, struct keys *keys, const struct change *c, struct err *e)
{
    struct pgs_table *t;
    struct err why = ERR_INIT;
    if (pgs_table(s, c->rel, c->pos.lsn, &t, e))
        return -1;
    if (behind_parked(keys, t, c)) {
        (void) err_set(e, E_TARGET_ROW, "queued behind a parked row of its key in %.*s", STR_ARG(t->label));
        return park(s, keys, t, c, e);
    }
    if (t->unfit) {
        *e = *t->unfit;
        return park(s, keys, t, c, e);
    }
    int done = try_changes(s, c, 1, &why, e);
    bool no_row = done > 0 && why.code == E_TARGET_ROW && !why.sqlstate[0];
    if (no_row)
        done = try_insert(s, t, c, &why, e);
    if (done <= 0)
        return done;
    *e = why;
    return park(s, keys, t, c, e);
}

/* Tables are described, and made, before the savepoint: undoing it must not take them away. */
static int describe_all(struct pgs *s, const struct change *changes, int count, struct err *e)
{
    struct pgs_table *t;
    for (int at = 0; at < count; at++)
        if (changes[at].rel && changes[at].op != OP_NONE && changes[at].op != OP_MESSAGE &&
            pgs_table(s, changes[at].rel, changes[at].pos.lsn, &t, e))
            return -1;
    return 0;
}

static bool any_behind(struct pgs *s, const struct keys *keys, const struct change *changes, int count)
{
    struct pgs_table *t;
    struct err ignored = ERR_INIT;
    for (int at = 0; keys->count && at < count; at++)
        if (changes[at].rel && changes[at].op != OP_NONE &&
            !pgs_table(s, changes[at].rel, changes[at].pos.lsn, &t, &ignored) && behind_parked(keys, t, &changes[at]))
            return true;
    return false;
}

static int apply_chunk(struct pgs *s, struct keys *keys, const struct change *changes, int count,
                       struct err *e)
{
    struct err why;
    if (describe_all(s, changes, count, e))
        return -1;
    if (!s->strict && !any_behind(s, keys, changes, count)) {
        int done = try_changes(s, changes, count, &why, e);
        if (done <= 0)
            return done;
    }
    for (int at = 0; at < count; at++)
        if (changes[at].op != OP_NONE && changes[at].op != OP_MESSAGE &&
            apply_row(s, keys, &changes[at], e))
            return -1;
    return 0;
}

int pgs_apply_careful(struct pgs *s, const struct change *changes, int count, struct err *e)
{
    struct keys keys = {0};
    int done = 0;
    for (int at = 0, take; !done && at < count; at += take) {
        for (take = 0; take < CHUNK_ROWS && at + take < count && changes[at + take].op != OP_TRUNCATE &&
                       (!take || !changes[at + take].rel || pgs_knows(s, changes[at + take].rel));)
            take++; /* a new description may alter the table: not before what was made under the older one */
        if (take) {
            done = apply_chunk(s, &keys, changes + at, take, e);
            continue;
        }
        take = count - at;
        done = pgs_truncate(s, changes + at, &take, e) || pipe_drain(&s->pipe, e) ? -1 : 0;
        keys.count = 0; /* the keys of other tables are found by their parked rows */
        take += done;   /* on failure take may be 0; the loop ends anyway */
    }
    free(keys.hash);
    return done;
}
