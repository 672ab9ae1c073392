/* SPDX-License-Identifier: Apache-2.0
 *
 * The slot against the state directory, by the same decision that a start makes; then what the
 * slot keeps on the primary and how long that can go on, from the WAL written in one second.
 */
#include <stdio.h>
#include <unistd.h>

#include "agent/base/store.h"
#include "agent/bus/bus.h"
#include "agent/source/preflight_local.h"
#include "agent/source/slot.h"

#define RATE_MS 1000
#define LOSS_WARN_S 3600
#define MAP_BYTES (UINT64_C(1) << 20) /* of a reader; LMDB takes the file's size when it is larger */

/* What the state knows; nothing when there is none yet. */
static int load_state(const struct preflight *p, struct facts *facts, uint64_t *durable_lsn,
                      struct err *e)
{
    char path[4096];
    struct store *store;
    *facts = (struct facts){.phase = PHASE_NONE};
    *durable_lsn = 0;
    snprintf(path, sizeof path, "%s/data.mdb", p->config->state);
    if (access(path, F_OK) != 0)
        return 0;
    if (store_open(p->config->state, MAP_BYTES, true, &store, e) < 0)
        return -1;
    const struct kafka_options kafka = bus_kafka_options(p->config, false);
    int failed = facts_load(store, facts, e) ||
                 (*kafka.brokers ? bus_kafka_look(p->env, &kafka, durable_lsn, e) : bus_local_look(store, durable_lsn, e));
    store_close(store);
    return failed ? -1 : 0;
}

/* An open transaction that has written holds up the making of a slot until it ends. */
static void check_open_transactions(const struct preflight *p)
{
    PGresult *res = preflight_ask(
        p, "open_transactions",
        "SELECT pid, application_name, (extract(epoch FROM clock_timestamp() - xact_start))"
        "::pg_catalog.int8 FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
        " AND xact_start < clock_timestamp() - interval '10 s' ORDER BY xact_start LIMIT 1",
        0, NULL);
    if (!res)
        return;
    if (PQntuples(res))
        preflight_say(p, FINDING_WARN, E_NONE, "open_transactions",
                      "let it end, or SELECT pg_terminate_backend(pid)",
                      "making the slot waits for every open transaction; the oldest that wrote is "
                      "of pid %s (%s), open for %s s", PQgetvalue(res, 0, 0), PQgetvalue(res, 0, 1),
                      PQgetvalue(res, 0, 2));
    else
        preflight_pass(p, "open_transactions", "no long transaction would hold up the slot");
    PQclear(res);
}

static void tell_verdict(const struct preflight *p, enum state_verdict verdict,
                         const struct slot_view *slot, const struct err *why)
{
    const char *name = p->config->source.slot;
    switch (verdict) {
    case VERDICT_CREATE:
        preflight_pass(p, "slot", "slot %s is not there yet; the run will create it", name);
        check_open_transactions(p);
        break;
    case VERDICT_RECREATE:
        preflight_pass(p, "slot", "slot %s is of an unfinished first copy, which will begin again",
                       name);
        break;
    case VERDICT_STREAM:
        preflight_pass(p, "slot", "slot %s fits the state; streaming goes on from %s", name,
                       LSN_STR(slot->confirmed_lsn));
        break;
    case VERDICT_WAIT:
        preflight_say(p, FINDING_WARN, E_SLOT_BUSY, "slot",
                      "if that is the tailrace of this state directory, all is well",
                      "slot %s is being read by the server process with pid %d", name,
                      slot->active_pid);
        break;
    case VERDICT_REFUSE:
        preflight_error(p, "slot", why);
        break;
    }
}

static void check_fit(const struct preflight *p, const struct slot_view *slot)
{
    struct facts facts;
    uint64_t durable_lsn;
    struct err e = ERR_INIT;
    if (load_state(p, &facts, &durable_lsn, &e) < 0) {
        preflight_error(p, "slot", &e);
        return;
    }
    if (!p->identified) /* told as finding replication */
        return;
    struct server_view server = {.system_id = p->system_id, .timeline = p->timeline,
                                 .lsn = p->lsn, .standby = p->standby};
    /* A process that runs has gone on since its state was read. */
    if (slot->active && facts.phase == PHASE_READY && durable_lsn < slot->confirmed_lsn)
        durable_lsn = slot->confirmed_lsn;
    if (durable_lsn > server.lsn && slot->active)
        server.lsn = durable_lsn;
    /* Another timeline is judged from its history when the run starts. */
    if (facts.phase != PHASE_NONE && facts.system_id == server.system_id
        && facts.timeline != server.timeline) {
        preflight_say(p, FINDING_WARN, E_TIMELINE, "timeline", NULL,
                      "server is on timeline %u, the state on %u: the run will look where they "
                      "parted and refuse when our position is not on the new one",
                      server.timeline, facts.timeline);
        server.timeline = facts.timeline;
    }
    enum state_verdict verdict =
        state_decide(&facts, p->config->source.slot, &server, slot, durable_lsn, &e);
    tell_verdict(p, verdict, slot, &e);
    explicit_bzero(&facts, sizeof facts);
}

/* Bytes of WAL written in about a second; -1 when that cannot be asked. */
static double wal_rate(const struct preflight *p)
{
    static const char sql[] = "SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery()"
                              " THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,"
                              " '0/0')::pg_catalog.int8";
    int64_t start_us = clock_mono_us(p->env->clock);
    PGresult *first = preflight_ask(p, "wal_rate", sql, 0, NULL);
    (void) env_sleep(p->env, RATE_MS);
    PGresult *second = first ? preflight_ask(p, "wal_rate", sql, 0, NULL) : NULL;
    double seconds = (double) (clock_mono_us(p->env->clock) - start_us) / 1e6;
    double rate = second ? (double) (pg_int(second, 0, 0) - pg_int(first, 0, 0)) / seconds : -1;
    PQclear(first);
    PQclear(second);
    return rate;
}

static void check_retained(const struct preflight *p, const struct slot_view *slot)
{
    double budget = (double) p->config->source.wal_budget_mb * 1024 * 1024;
    struct buf kept = BUF_INIT, allowed = BUF_INIT;
    preflight_add_bytes(&kept, (double) slot->retained_bytes);
    preflight_add_bytes(&allowed, budget);
    if (!slot->exists)
        preflight_pass(p, "retained_wal", "no WAL is kept yet");
    else if (budget > 0 && (double) slot->retained_bytes > budget)
        preflight_say(p, FINDING_WARN, E_NONE, "retained_wal",
                      "let tailrace run and look at tailrace status; tailrace remove when it is "
                      "not to run any more",
                      "slot keeps %s of WAL on the primary, more than source.wal_budget_mb (%s)",
                      kept.p, allowed.p);
    else
        preflight_pass(p, "retained_wal", "slot keeps %s of WAL on the primary", kept.p);
    buf_free(&kept);
    buf_free(&allowed);
}

static void add_duration(struct buf *out, double s)
{
    if (s < 120)
        buf_addf(out, "%.0f s", s);
    else if (s < 7200)
        buf_addf(out, "%.0f min", s / 60);
    else if (s < 172800)
        buf_addf(out, "%.1f h", s / 3600);
    else
        buf_addf(out, "%.0f days", s / 86400);
}

/* How long the slot would live if tailrace stopped now. */
static void tell_loss(const struct preflight *p, double safe, double rate)
{
    struct buf room = BUF_INIT, speed = BUF_INIT, time = BUF_INIT;
    double left_s = rate > 0 ? safe / rate : 1e9;
    preflight_add_bytes(&room, safe);
    preflight_add_bytes(&speed, rate);
    add_duration(&time, left_s);
    if (left_s < LOSS_WARN_S)
        preflight_say(p, FINDING_WARN, E_NONE, "time_to_loss",
                      "raise max_slot_wal_keep_size (no restart needed)",
                      "%s of WAL may be written before the slot is lost: %s at the %s/s of now",
                      room.p, time.p, speed.p);
    else
        preflight_pass(p, "time_to_loss",
                       "%s of WAL may be written before the slot is lost: %s at the %s/s of now",
                       room.p, rate > 0 && left_s < 1e9 ? time.p : "very long", speed.p);
    buf_free(&room);
    buf_free(&speed);
    buf_free(&time);
}

static void check_loss(const struct preflight *p, const struct slot_view *slot)
{
    PGresult *res = preflight_ask(
        p, "time_to_loss",
        "SELECT setting::pg_catalog.int8 FROM pg_settings WHERE name = 'max_slot_wal_keep_size'",
        0, NULL);
    if (!res)
        return;
    int64_t limit_mb = pg_int(res, 0, 0);
    PQclear(res);
    double rate = wal_rate(p);
    struct buf speed = BUF_INIT;
    if (rate < 0)
        return;
    preflight_add_bytes(&speed, rate * 3600);
    if (limit_mb < 0)
        preflight_say(p, FINDING_WARN, E_NONE, "time_to_loss",
                      "ALTER SYSTEM SET max_slot_wal_keep_size = '50GB'; SELECT pg_reload_conf(); "
                      "with a size that the disk has and that outlasts a night",
                      "max_slot_wal_keep_size is not set: when tailrace stands still, the slot "
                      "keeps all WAL (%s an hour at the pace of now) until the primary's disk "
                      "is full", speed.p);
    else
        tell_loss(p, slot->exists && slot->safe_bytes >= 0 ? (double) slot->safe_bytes
                                                           : (double) limit_mb * 1024 * 1024, rate);
    buf_free(&speed);
}

/* A failover slot that the standbys are not waited for can be ahead of them when one takes over. */
static void check_failover(const struct preflight *p)
{
    const char *const values[] = {p->config->source.slot};
    if (p->major < 17 && p->config->source.failover) {
        preflight_say(p, FINDING_FAIL, E_CONFIG, "failover", "take source.failover out",
                      "source.failover needs PostgreSQL 17 or later, this is %d", p->major);
        return;
    }
    if (p->major < 17) {
        preflight_pass(p, "failover", "slots do not move to standbys before PostgreSQL 17: after "
                       "a failover everything is copied again");
        return;
    }
    PGresult *res = preflight_ask(
        p, "failover",
        "SELECT COALESCE((SELECT failover FROM pg_replication_slots WHERE slot_name = $1), false),"
        " current_setting('synchronized_standby_slots')", 1, values);
    if (!res)
        return;
    bool failover = p->config->source.failover || pg_bool(res, 0, 0);
    if (failover && !PQgetvalue(res, 0, 1)[0])
        preflight_say(p, FINDING_FAIL, E_CONFIG, "failover",
                      "ALTER SYSTEM SET synchronized_standby_slots = 'slot of each standby'; "
                      "SELECT pg_reload_conf();",
                      "slot %s is a failover slot, but synchronized_standby_slots is empty: we "
                      "could be ahead of the standby that takes over", p->config->source.slot);
    else if (failover)
        preflight_pass(p, "failover", "slot moves to standbys, which are waited for: %s",
                       PQgetvalue(res, 0, 1));
    else
        preflight_pass(p, "failover",
                       "slot stays on this server: after a failover everything is copied again");
    PQclear(res);
}

static void check_two_phase(const struct preflight *p)
{
    const char *hint = "take source.two_phase out: prepared transactions then come whole at COMMIT PREPARED";
    if (!p->config->source.two_phase)
        preflight_pass(p, "two_phase", "prepared transactions come whole at COMMIT PREPARED");
    else if (p->major < 15)
        preflight_say(p, FINDING_FAIL, E_CONFIG, "two_phase", hint, "source.two_phase needs PostgreSQL 15 or later, this is %d", p->major);
    else if (p->config->source.failover)
        preflight_say(p, FINDING_FAIL, E_CONFIG, "two_phase", hint, "source.two_phase and source.failover exclude each other");
    else
        preflight_pass(p, "two_phase", "prepared transactions are kept here until they are committed; the slot cannot be switched back");
}

void preflight_check_slot(struct preflight *p)
{
    struct slot_view slot;
    struct err e = ERR_INIT;
    if (slot_look(p->env, p->sql, p->config->source.slot, &slot, &e) < 0) {
        preflight_error(p, "slot", &e);
        return;
    }
    check_fit(p, &slot);
    check_retained(p, &slot);
    check_loss(p, &slot);
    check_failover(p);
    check_two_phase(p);
}
