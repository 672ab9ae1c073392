/* SPDX-License-Identifier: Apache-2.0
 *
 * Chosen by the patterns, published, copied: a table is streamed when it is all three.
 *
 * A table that was streamed and is found outside the publications may have lost changes, so its
 * copy no longer counts and it is copied again. A table that leaves the patterns is forgotten,
 * and copied when it comes back. What the role may not do to a publication is told with its SQL;
 * tables that came after the start wait for it, the others go on.
 */
#include "agent/source/inner.h"

#include <stdio.h>

#include "schemas/envelope.h"

struct sync {
    struct source *s;
    const struct catalog_table *tables;
    int count;
    struct publication_plan plan;
    bool published; /* the plan was carried out */
};

static bool known_copied(const struct sync *y, const struct catalog_table *t, bool *copied,
                         struct err *e)
{
    struct copy_fact fact;
    if (copies_get(y->s->parts.store, t->space, t->name, &fact, e))
        return false;
    *copied = fact.found && fact.oid == t->oid;
    return true;
}

/* ---- publications ---- */

/* What was lost while it was not published cannot be had from the stream. */
static int check_lost(struct sync *y, struct err *e)
{
    struct source *s = y->s;
    const char *name = s->config->source.publication;
    if (s->facts.phase != PHASE_READY)
        return 0;
    if (!y->plan.exists || (s->facts.inserts_publication && !y->plan.inserts_exists))
        return err_set(e, E_PUBLICATION_LOST, "publication %s%s is gone", name,
                       y->plan.exists ? PUBLICATION_INSERTS_SUFFIX : "");
    for (int at = 0; at < y->count; at++) {
        const struct catalog_table *t = &y->tables[at];
        bool copied;
        if (!y->plan.missing[at])
            continue;
        if (snap_restart(s, t->oid, e))
            return -1;
        if (!known_copied(y, t, &copied, e))
            return -1;
        if (!copied)
            continue;
        if (!s->config->source.copy)
            return err_set(e, E_PUBLICATION_LOST, "table %.*s.%.*s was taken out of publication %s",
                           STR_ARG(t->space), STR_ARG(t->name), name);
        log_warn(s->env->log, "source", "table %.*s.%.*s was not fully published for a while: it is "
                 "copied again", STR_ARG(t->space), STR_ARG(t->name));
        if (copies_forget(s->parts.store, t->space, t->name, e))
            return -1;
    }
    return 0;
}

static int publish(struct sync *y, bool first, struct err *e)
{
    struct source *s = y->s;
    const char *name = s->config->source.publication;
    struct err why = ERR_INIT;
    if (y->plan.sql.len == 0) {
        y->published = true;
        return 0;
    }
    int rc = s->config->source.create_publication
                 ? publication_apply(s->env, s->sql, name, &y->plan, &why)
                 : publication_refuse(name, &y->plan, &why);
    y->published = rc == 0;
    if (y->published) {
        y->plan.inserts_exists = true;
        return 0;
    }
    bool rights = why.code == E_PUBLICATION;
    if (!rights || (first && !y->plan.serves)) {
        *e = why;
        return -1;
    }
    log_warn(s->env->log, "source", "publication %s does not follow the chosen tables: %s", name,
             why.hint);
    return 0;
}

static void tell_inserts_only(const struct sync *y)
{
    if (y->plan.inserts_only)
        log_each(y->s->env->log, LOG_LEVEL_WARN, "source", "%d tables have no replica identity, only inserts and "
                 "truncates are streamed of them (give them a primary key, or REPLICA IDENTITY "
                 "FULL): %s", y->plan.inserts_only, y->plan.inserts_names.p);
}

/* ---- copies ---- */

/* The first start refuses; later the table waits until it may be read. */
static int may_read(struct source *s, const struct catalog_table *t, bool first, bool *may, struct err *e)
{
    char oid[16];
    const char *const values[] = {oid};
    snprintf(oid, sizeof oid, "%u", t->oid);
    PGresult *res = pg_exec_params(s->env, s->sql, "look at rights",
                                   "SELECT pg_catalog.has_table_privilege($1::pg_catalog.oid, 'SELECT')",
                                   1, values, 10000, e);
    if (!res)
        return -1;
    *may = pg_bool(res, 0, 0);
    PQclear(res);
    if (!*may && first)
        return err_set(e, E_PG_RIGHT, "permission denied for table %.*s.%.*s: the role has no SELECT on it",
                       STR_ARG(t->space), STR_ARG(t->name));
    if (!*may)
        log_error(s->env->log, "source", "table %.*s.%.*s is not copied: the role has no SELECT on it",
                  STR_ARG(t->space), STR_ARG(t->name));
    return 0;
}

static int list_copies(struct sync *y, bool first, struct tables_view *out, struct err *e)
{
    struct source *s = y->s;
    out->copy = arena_zalloc(&out->arena, (size_t) y->count + 1, sizeof *out->copy);
    for (int at = 0; at < y->count; at++) {
        const struct catalog_table *t = &y->tables[at];
        bool copied, may = true;
        if (!y->published && y->plan.missing[at])
            continue;
        if (!known_copied(y, t, &copied, e))
            return -1;
        bool begun;
        if ((copied && !first) || (snap_copies(s, t->oid, &begun) && !first))
            continue;
        if (s->config->source.copy && may_read(s, t, first, &may, e))
            return -1;
        if (may)
            out->copy[out->copy_count++] = *t;
        else
            s->look_again_us = clock_mono_us(s->env->clock) + 60 * SOURCE_TURN_US;
    }
    return 0;
}

/* Without copies a new table is streamed from now on. */
static int skip_copies(struct source *s, struct tables_view *out, struct err *e)
{
    for (int at = 0; at < out->copy_count; at++) {
        const struct catalog_table *t = &out->copy[at];
        const struct copy_fact fact = {true, t->oid, 0};
        if (copies_put(s->parts.store, t->space, t->name, &fact, e))
            return -1;
    }
    out->copy_count = 0;
    return 0;
}

static int forget_unchosen(void *self, struct str space, struct str name, struct err *e)
{
    struct sync *y = self;
    for (int at = 0; at < y->count; at++)
        if (str_eq(y->tables[at].space, space) && str_eq(y->tables[at].name, name))
            return 0;
    log_info(y->s->env->log, "source", "table %.*s.%.*s is no longer chosen or no longer there",
             STR_ARG(space), STR_ARG(name));
    return copies_forget(y->s->parts.store, space, name, e);
}

/* ---- topics ---- */

/* The topic names the table and no other: nothing was replaced, and no dot may be read two ways. */
static bool plain(const struct catalog_table *t, struct str topic)
{
    struct str at = {topic.p + topic.len - t->name.len, t->name.len};
    size_t dots = 0;
    for (size_t byte = 0; byte < t->space.len; byte++)
        dots += t->space.p[byte] == '.';
    for (size_t byte = 0; byte < t->name.len; byte++)
        dots += t->name.p[byte] == '.';
    return dots == 0 && topic.len > t->name.len + t->space.len && str_eq(at, t->name) &&
           !memcmp(at.p - 1 - t->space.len, t->space.p, t->space.len);
}

/* Another table has the topic, and the better right to it: by its name, or by coming first. */
static bool clashes(const struct catalog_table *tables, const struct str *topics, int count, int at)
{
    if (plain(&tables[at], topics[at]))
        return false;
    for (int other = 0; other < count; other++)
        if (other != at && str_eq(topics[other], topics[at]) &&
            (other < at || plain(&tables[other], topics[other])))
            return true;
    return false;
}

/* Characters that topics cannot have are replaced, which may give two tables one topic; what is
 * parked, cleared or copied by topic would then be mixed up. The first start refuses; later the
 * newcomer is left out. */
static int leave_out_clashes(struct sync *y, bool first, struct catalog_table *tables, struct arena *a,
                             struct err *e)
{
    struct source *s = y->s;
    struct str *topics = arena_zalloc(a, (size_t) y->count + 1, sizeof *topics);
    bool *out = arena_zalloc(a, (size_t) y->count + 1, sizeof *out);
    int kept = 0;
    for (int at = 0; at < y->count; at++)
        topics[at] = envelope_topic(a, str_of(s->config->name), tables[at].space, tables[at].name);
    for (int at = 0; at < y->count; at++) {
        out[at] = clashes(tables, topics, y->count, at);
        if (!out[at])
            continue;
        (void) err_set(e, E_CONFIG, "table %.*s.%.*s has the topic of another one, %.*s", STR_ARG(tables[at].space),
                       STR_ARG(tables[at].name), STR_ARG(topics[at]));
        (void) err_hint(e, "rename it, or leave one of the two out of source.tables");
        if (first)
            return -1;
        log_err(s->env->log, "source", e);
        err_clear(e);
    }
    for (int at = 0; at < y->count; at++)
        if (!out[at])
            tables[kept++] = tables[at];
    y->count = kept;
    return 0;
}

/* ---- all of it ---- */

static int sync_all(struct sync *y, bool first, struct tables_view *out, struct err *e)
{
    struct source *s = y->s;
    const struct publication_wanted wanted = {s->config->source.publication, y->tables, y->count,
                                              !s->config->source.create_publication};
    uint64_t digest;
    if (publication_look(s->env, s->sql, &wanted, &out->arena, &y->plan, e) ||
        check_lost(y, e) || publish(y, first, e))
        return -1;
    tell_inserts_only(y);
    out->inserts_exists = y->plan.inserts_exists;
    if (copies_each(s->parts.store, y, forget_unchosen, e) ||
        snap_keep_only(s, y->tables, y->count, e) || list_copies(y, first, out, e))
        return -1;
    if (!first && !s->config->source.copy && skip_copies(s, out, e))
        return -1;
    if (s->facts.phase == PHASE_READY && attached_read(s, y->tables, y->count, e))
        return -1;
    if (tables_digest(s, s->sql, s->tables, &digest, e))
        return -1;
    atomic_store(&s->tables_seen, digest);
    return feed_choose(s, e);
}

int tables_sync(struct source *s, bool first, struct tables_view *out, struct err *e)
{
    struct sync y = {.s = s};
    struct catalog_table *tables;
    *out = (struct tables_view){.copy_count = 0};
    arena_init(&out->arena, 0, "list of tables");
    s->look_again_us = 0;
    atomic_store(&s->tables_changed, false);
    source_adopt_patterns(s);
    if (catalog_tables(s->env, s->sql, s->tables, &out->arena, &tables, &y.count, e) ||
        leave_out_clashes(&y, first, tables, &out->arena, e))
        return -1;
    y.tables = tables;
    int rc = sync_all(&y, first, out, e);
    publication_plan_free(&y.plan);
    return rc;
}

int tables_copy(struct source *s, struct tables_view *view, struct err *e)
{
    int kept = 0;
    for (int at = 0; at < view->copy_count; at++) {
        const struct catalog_table *t = &view->copy[at];
        if (t->has_key && snap_begin(s, t, e))
            return -1;
        if (!t->has_key)
            view->copy[kept++] = *t;
    }
    view->copy_count = kept;
    snap_show(s);
    return 0;
}

static void digest_add(uint64_t *digest, struct str bytes)
{
    for (size_t at = 0; at < bytes.len; at++)
        *digest = (*digest ^ (uint8_t) bytes.p[at]) * UINT64_C(0x100000001b3);
    *digest = (*digest ^ 0xff) * UINT64_C(0x100000001b3); /* no byte of UTF-8 */
}

int tables_digest(const struct source *s, PGconn *c, const struct config_list *patterns,
                  uint64_t *digest, struct err *e)
{
    struct arena a;
    struct catalog_table *tables;
    const char *const values[] = {s->config->source.publication};
    int count, rc = -1;
    arena_init(&a, 0, "list of tables");
    PGresult *res = pg_exec_params(s->env, c, "list published tables",
                                   "SELECT pubname, schemaname, tablename"
                                   " FROM pg_catalog.pg_publication_tables"
                                   " WHERE pubname IN ($1::pg_catalog.text, $1::pg_catalog.text || '" PUBLICATION_INSERTS_SUFFIX "')"
                                   " UNION ALL SELECT 'partitions', '', pg_catalog.md5(pg_catalog.string_agg("
                                   "  i.inhrelid::pg_catalog.oid::pg_catalog.text, ',' ORDER BY i.inhrelid))"
                                   " FROM pg_catalog.pg_inherits i ORDER BY 1, 2, 3", 1, values, 10000, e);
    if (!res || catalog_tables(s->env, c, patterns, &a, &tables, &count, e))
        goto done;
    *digest = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (int row = 0; row < PQntuples(res); row++)
        for (int col = 0; col < 3; col++)
            digest_add(digest, pg_text(res, row, col));
    for (int at = 0; at < count; at++) {
        digest_add(digest, (struct str){(const char *) &tables[at].oid, sizeof tables[at].oid});
        digest_add(digest, tables[at].has_identity ? STR("identity") : STR("none"));
        digest_add(digest, tables[at].space);
        digest_add(digest, tables[at].name);
    }
    rc = 0;
done:
    PQclear(res);
    arena_free(&a);
    return rc;
}
