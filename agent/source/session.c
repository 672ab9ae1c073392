/* SPDX-License-Identifier: Apache-2.0
 *
 * One connected life of the source. Nothing on the server is changed before state_decide has
 * agreed; publications come before the slot, since a slot that is older than its publication
 * cannot read past that point.
 */
#include "config.h" /* PACKAGE_VERSION */

#include "agent/source/inner.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/source/timeline.h"

#define STANDBY_LOOK_MS 500 /* how often a standby looks whether the slot is free */

static int check_server(struct source *s, struct err *e)
{
    int version = PQserverVersion(s->sql);
    if (version < 140000)
        return err_set(e, E_SERVER_VERSION, "server is PostgreSQL %d", version / 10000);
    PGresult *res = pg_exec(s->env, s->sql, "look at server",
                            "SELECT pg_catalog.current_setting('wal_level'),"
                            " pg_catalog.pg_encoding_to_char(encoding), pg_catalog.pg_is_in_recovery()"
                            " FROM pg_catalog.pg_database"
                            " WHERE datname = pg_catalog.current_database()", 10000, e);
    if (!res)
        return -1;
    int rc = 0;
    s->server.standby = pg_bool(res, 0, 2);
    if (!str_is(pg_text(res, 0, 0), "logical"))
        rc = err_set(e, E_WAL_LEVEL, "wal_level is %.*s", STR_ARG(pg_text(res, 0, 0)));
    else if (str_is(pg_text(res, 0, 1), "SQL_ASCII"))
        rc = err_set(e, E_ENCODING, "database %s has encoding SQL_ASCII", PQdb(s->sql));
    PQclear(res);
    return rc;
}

/* An option that the server cannot follow would give a false sense of safety. */
static int check_failover(struct source *s, struct err *e)
{
    if (!s->config->source.failover)
        return 0;
    if (PQserverVersion(s->sql) < 170000) {
        (void) err_set(e, E_CONFIG, "source.failover needs PostgreSQL 17 or later");
        return err_hint(e, "take source.failover out: after a failover everything is copied again");
    }
    PGresult *res = pg_exec(s->env, s->sql, "look at standbys",
                            "SELECT pg_catalog.current_setting('synchronized_standby_slots')", 10000, e);
    if (!res)
        return -1;
    if (!PQgetvalue(res, 0, 0)[0] && !s->server.standby)
        log_warn(s->env->log, "source", "synchronized_standby_slots is empty: a standby that takes over may lack "
                 "what targets already have, and would then be refused; name the slots of the standbys there");
    PQclear(res);
    return 0;
}

static int check_two_phase(struct source *s, struct err *e)
{
    if (!s->config->source.two_phase)
        return 0;
    if (PQserverVersion(s->sql) < 150000)
        (void) err_set(e, E_CONFIG, "source.two_phase needs PostgreSQL 15 or later");
    else if (s->config->source.failover)
        (void) err_set(e, E_CONFIG, "source.two_phase and source.failover exclude each other: a standby's slot may not know from where on"
                                    " transactions were prepared, and would leave one out (PostgreSQL 18 refuses such slots)");
    else
        return 0;
    return err_hint(e, "take source.two_phase out: prepared transactions then come whole at COMMIT PREPARED");
}

static int read_history(struct source *s, struct err *e)
{
    char sql[40];
    s->server.left_known = false;
    if (s->facts.phase == PHASE_NONE || s->server.timeline == s->facts.timeline)
        return 0;
    snprintf(sql, sizeof sql, "TIMELINE_HISTORY %u", s->server.timeline);
    /* Timeline 1 has no history, and then comes from no other. */
    if (s->server.timeline == 1)
        return 0;
    PGresult *res = pg_exec(s->env, s->repl, "read timeline history", sql, 10000, e);
    if (!res)
        return -1;
    if (PQntuples(res) == 1)
        s->server.left_known = timeline_left(pg_text(res, 0, 1), s->facts.timeline, &s->server.left_lsn);
    PQclear(res);
    return 0;
}

static int connect_both(struct source *s, struct err *e)
{
    const char *dsn = s->config->source.postgres;
    s->server = (struct server_view){.system_id = 0};
    s->sql = pg_connect(s->env, dsn, PG_SQL, "source", e);
    if (!s->sql || check_server(s, e) || check_failover(s, e) || check_two_phase(s, e))
        return -1;
    s->repl = pg_connect(s->env, dsn, PG_REPLICATION, "source", e);
    if (!s->repl || pg_identify(s->env, s->repl, &s->server.system_id, &s->server.timeline,
                                &s->server.lsn, e))
        return -1;
    return read_history(s, e);
}

static void tell_unable(void *self, const struct relation *rel, struct str columns)
{
    const struct source *s = self;
    log_each(s->env->log, LOG_LEVEL_WARN, "source", "columns of %.*s.%.*s are dropped, because the rule that takes them cannot "
             "act on their type: %.*s", STR_ARG(rel->space), STR_ARG(rel->name), STR_ARG(columns));
}

/* A bus that outlives the state directory (Kafka) may stand where another server was, or this one before it went back: what is behind its
 * position would be taken for what it has. */
static int check_bus(struct source *s, struct err *e)
{
    struct bus_status st;
    bus_get_status(s->parts.bus, &st);
    if (!st.durable.lsn || s->facts.phase != PHASE_NONE)
        return 0; /* nothing there, or state_decide knows */
    if (st.durable.system_id == s->server.system_id && st.durable_end_lsn <= s->server.lsn)
        return 0;
    (void) err_set(e, E_OTHER_SERVER, "bus stands at %s of system %llu, and the server is at %s of system %llu", LSN_STR(st.durable_end_lsn),
                   (unsigned long long) st.durable.system_id, LSN_STR(s->server.lsn), (unsigned long long) s->server.system_id);
    return err_hint(e, "give this installation another name, or delete its topics on Kafka before its first start with another server");
}

static void open_writer(struct source *s)
{
    const struct config *c = s->config;
    const struct envelope_options o = {
        .prefix = str_of(c->name),
        .database = str_of(PQdb(s->sql)),
        .version = STR(PACKAGE_VERSION),
        .strict = strcmp(c->events.mode, "strict") == 0,
        .decimal = (enum decimal_mode) c->events.decimal,
        .time = (enum time_mode) c->events.time,
        .interval = (enum interval_mode) c->events.interval,
        .binary = (enum binary_mode) c->events.binary,
        .hstore = (enum hstore_mode) c->events.hstore,
        .tombstones = c->events.tombstones,
        .transactions = c->events.transactions,
        .placeholder = str_of(c->events.placeholder),
        .rules = shape_rules_of(c),
        .unable = tell_unable,
        .unable_self = s,
    };
    if (s->writer)
        return;
    if (o.strict)
        log_warn(s->env->log, "source", "events.mode is strict: what Debezium's values lose (parts of intervals, "
                 "the zone of timetz, trailing zeros of numeric) is lost on targets too");
    s->writer = envelope_writer_open(&o, s->parts.registry);
}

/* ---- the first time ---- */

static void tell_wait(void *self, const char *sentence)
{
    source_say(self, SOURCE_WAITING, sentence);
}

static int save_phase(struct source *s, enum state_phase phase, struct err *e)
{
    s->facts.phase = phase;
    return facts_save(s->parts.store, &s->facts, e);
}

static int make_facts(struct source *s, bool inserts_exists, struct err *e)
{
    struct facts *f = &s->facts;
    f->system_id = s->server.system_id;
    f->timeline = s->server.timeline;
    f->start_lsn = 0;
    f->inserts_publication = inserts_exists;
    snprintf(f->slot, sizeof f->slot, "%s", s->config->source.slot);
    if (facts_make_key(f, e))
        return -1;
    return save_phase(s, PHASE_CREATING, e);
}

static int copy_first(struct source *s, const struct slot_made *made, const struct tables_view *view,
                      struct err *e)
{
    if (!s->config->source.copy || view->copy_count == 0) {
        for (int at = 0; at < view->copy_count; at++) {
            const struct catalog_table *t = &view->copy[at];
            const struct copy_fact fact = {true, t->oid, made->lsn};
            if (copies_put(s->parts.store, t->space, t->name, &fact, e))
                return -1;
        }
        return 0;
    }
    PGconn *c = pg_connect(s->env, s->config->source.postgres, PG_SQL, "source/copy", e);
    if (!c)
        return -1;
    const struct copy_order order = {c, made->snapshot, made->lsn, view->copy, view->copy_count};
    source_say(s, SOURCE_COPYING, NULL);
    int rc = copy_run(s, &order, e);
    PQfinish(c);
    return rc;
}

/* Tables with a key are read beside the stream. */
static int copy_keyless(struct source *s, const struct slot_made *made, const struct tables_view *all, struct err *e)
{
    struct catalog_table *tables = mem_zalloc((size_t) all->copy_count + 1, sizeof *tables);
    struct tables_view some = {.copy = tables};
    for (int at = 0; at < all->copy_count; at++)
        if (!s->config->source.copy || !all->copy[at].has_key)
            some.copy[some.copy_count++] = all->copy[at];
    int rc = copy_first(s, made, &some, e);
    free(tables);
    return rc;
}

static int make_slot_and_copy(struct source *s, struct tables_view *view, struct err *e)
{
    const struct slot_order order = {.name = s->config->source.slot, .failover = s->config->source.failover};
    const struct slot_waiter waiter = {s, tell_wait};
    struct slot_made made;
    if (make_facts(s, view->inserts_exists, e) ||
        slot_create(s->env, s->repl, s->sql, &order, &waiter, &made, e))
        return -1;
    log_info(s->env->log, "source", "made slot %s at %s", order.name, LSN_STR(made.lsn));
    s->facts.start_lsn = made.lsn;
    if (save_phase(s, PHASE_COPYING, e))
        return -1;
    if (copy_keyless(s, &made, view, e)) {
        /* Half a copy cannot be gone on with; do not keep WAL for it. */
        struct err ignored = ERR_INIT;
        if (slot_drop(s->env, s->sql, order.name, &ignored) == 0)
            log_info(s->env->log, "source", "dropped slot %s of the unfinished copy", order.name);
        return -1;
    }
    if (save_phase(s, PHASE_READY, e))
        return -1;
    return s->config->source.copy ? tables_copy(s, view, e) : 0;
}

static int begin(struct source *s, struct err *e)
{
    struct tables_view view;
    int rc = tables_sync(s, true, &view, e);
    if (!rc && view.copy_count == 0)
        log_warn(s->env->log, "source", "no table is chosen by source.tables");
    if (!rc)
        rc = make_slot_and_copy(s, &view, e);
    arena_free(&view.arena);
    return rc ? rc : feed_choose(s, e);
}

/* ---- coming back ---- */

static uint64_t durable_lsn(const struct source *s)
{
    struct bus_status st;
    bus_get_status(s->parts.bus, &st);
    return st.durable_end_lsn;
}

static int go_on(struct source *s, struct err *e)
{
    struct tables_view view;
    if (s->facts.timeline != s->server.timeline) {
        log_info(s->env->log, "source", "server went from timeline %u to %u at %s, behind nothing "
                 "that we have", s->facts.timeline, s->server.timeline, LSN_STR(s->server.left_lsn));
        s->facts.timeline = s->server.timeline;
        if (facts_save(s->parts.store, &s->facts, e))
            return -1;
    }
    if (ddl_sweep(s, durable_lsn(s), e))
        return -1;
    int rc = tables_sync(s, false, &view, e);
    if (!rc && view.copy_count)
        atomic_store(&s->tables_changed, true); /* copied beside the stream */
    if (!rc && view.inserts_exists && !s->facts.inserts_publication)
        log_warn(s->env->log, "source", "publication %s" PUBLICATION_INSERTS_SUFFIX " is younger than "
                 "the slot and is not read", s->config->source.publication);
    arena_free(&view.arena);
    return rc;
}

static void stand_by(struct source *s, const struct slot_view *slot)
{
    char sentence[160];
    snprintf(sentence, sizeof sentence, "slot %s is in use by pid %d: standing by",
             s->config->source.slot, slot->active_pid);
    source_say(s, SOURCE_WAITING, sentence);
    source_turn(s);
    (void) env_sleep(s->env, STANDBY_LOOK_MS);
}

/* Look and decide, waiting while somebody else reads from the slot. */
static int decide(struct source *s, enum state_verdict *verdict, struct slot_view *slot, struct err *e)
{
    do {
        if (slot_look(s->env, s->sql, s->config->source.slot, slot, e))
            return -1;
        *verdict = state_decide(&s->facts, s->config->source.slot, &s->server, slot, durable_lsn(s), e);
        if (*verdict == VERDICT_WAIT)
            stand_by(s, slot);
        if (env_stop(s->env) != STOP_NONE)
            return err_set(e, E_STOPPED, "asked to stop");
    } while (*verdict == VERDICT_WAIT);
    return *verdict == VERDICT_REFUSE ? -1 : 0;
}

static int prepare(struct source *s, struct err *e)
{
    enum state_verdict verdict;
    struct slot_view slot;
    /* What counts from here on is only what the bus has durably. */
    if (source_flush(s, e) || facts_load(s->parts.store, &s->facts, e) || snap_load(s, e) ||
        connect_both(s, e) || check_bus(s, e) || decide(s, &verdict, &slot, e))
        return -1;
    open_writer(s);
    if (verdict == VERDICT_RECREATE) {
        log_info(s->env->log, "source", "slot %s is of a copy that did not end: it is made anew",
                 s->config->source.slot);
        if (slot_drop(s->env, s->sql, s->config->source.slot, e) || snap_keep_only(s, NULL, 0, e))
            return -1;
    }
    if (verdict != VERDICT_STREAM)
        return begin(s, e);
    if (s->config->source.failover && !slot.failover && slot_set_failover(s->env, s->repl, s->config->source.slot, e))
        return -1;
    return go_on(s, e);
}

int session_run(struct source *s, struct err *e)
{
    int rc = prepare(s, e);
    if (!rc) {
        pthread_mutex_lock(&s->lock);
        s->signing = s->facts;
        s->status.system_id = s->facts.system_id;
        s->status.timeline = s->facts.timeline;
        pthread_mutex_unlock(&s->lock);
        rc = stream_run(s, s->facts.inserts_publication, e);
    }
    PQfinish(s->repl);
    PQfinish(s->sql);
    s->repl = s->sql = NULL;
    return rc;
}
