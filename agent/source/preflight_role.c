/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "agent/source/preflight_local.h"

/* Managed services give replication by membership in a role of theirs instead of the attribute. */
static const char role_sql[] =
    "SELECT current_user, r.rolsuper, r.rolreplication OR EXISTS (SELECT 1 FROM pg_roles m"
    "  WHERE m.rolname IN ('rds_replication', 'azure_replication')"
    "  AND pg_has_role(current_user, m.oid, 'USAGE'))"
    " FROM pg_roles r WHERE r.rolname = current_user";

static void check_attributes(struct preflight *p)
{
    PGresult *res = preflight_ask(p, "role", role_sql, 0, NULL);
    char hint[256];
    if (!res)
        return;
    snprintf(p->role, sizeof p->role, "%s", PQgetvalue(res, 0, 0));
    p->superuser = pg_bool(res, 0, 1);
    snprintf(hint, sizeof hint, "ALTER ROLE \"%s\" REPLICATION;", p->role);
    if (p->superuser)
        preflight_say(p, FINDING_WARN, E_NONE, "role",
                      "use a role with LOGIN REPLICATION and SELECT on the copied tables only: "
                      "docs/security.md has the SQL",
                      "role %s is a superuser, far more than is needed", p->role);
    else if (!pg_bool(res, 0, 2))
        preflight_say(p, FINDING_FAIL, E_PG_RIGHT, "role", hint,
                      "role %s has no REPLICATION attribute", p->role);
    else
        preflight_pass(p, "role", "role %s may replicate and is no superuser", p->role);
    PQclear(res);
}

/* What our sessions set must hold on a replication connection as well: a dead host then gives the
 * slot back after 10 s and not after the server's default of a minute. */
static void check_timeout(const struct preflight *p, PGconn *c)
{
    struct err e = ERR_INIT;
    PGresult *res = pg_exec(p->env, c, "wal_sender_timeout", "SHOW wal_sender_timeout",
                            PREFLIGHT_WAIT_MS, &e);
    if (!res) {
        preflight_error(p, "wal_sender_timeout", &e);
        return;
    }
    if (strcmp(PQgetvalue(res, 0, 0), "10s") != 0)
        preflight_say(p, FINDING_WARN, E_NONE, "wal_sender_timeout",
                      "remove wal_sender_timeout from the settings of role, database and pooler",
                      "wal_sender_timeout of our session is %s and not the 10s it asks for: after "
                      "the death of this host the slot stays taken that long",
                      PQgetvalue(res, 0, 0));
    else
        preflight_pass(p, "wal_sender_timeout",
                       "slot is free again 10 s after this host dies (wal_sender_timeout)");
    PQclear(res);
}

static void check_replication(struct preflight *p)
{
    struct err e = ERR_INIT;
    PGconn *c = pg_connect(p->env, p->config->source.postgres, PG_REPLICATION, "check", &e);
    if (!c || pg_identify(p->env, c, &p->system_id, &p->timeline, &p->lsn, &e) < 0) {
        preflight_error(p, "replication", &e);
    } else {
        p->identified = true;
        preflight_pass(p, "replication", "logical replication connects to system %llu, timeline %u",
                       (unsigned long long) p->system_id, p->timeline);
        check_timeout(p, c);
    }
    PQfinish(c);
}

/* A role that may replicate can take a base backup of the whole cluster, passwords included,
 * unless pg_hba.conf refuses the keyword replication: logical decoding does not need it. */
static void check_physical(const struct preflight *p)
{
    struct err e = ERR_INIT;
    uint64_t system_id, lsn;
    uint32_t timeline;
    struct buf hint = BUF_INIT;
    PGconn *c = pg_connect(p->env, p->config->source.postgres, PG_PHYSICAL, "check", &e);
    buf_addf(&hint, "%sput above the other lines of pg_hba.conf: local replication %s reject, and: "
             "host replication %s all reject; then SELECT pg_reload_conf();",
             p->superuser ? "give tailrace a role of its own (docs/security.md), then " : "",
             p->superuser ? "ROLE" : p->role, p->superuser ? "ROLE" : p->role);
    if (c && pg_identify(p->env, c, &system_id, &timeline, &lsn, &e) == 0)
        preflight_say(p, FINDING_WARN, E_NONE, "physical", hint.p,
                      "whoever has the password of role %s can copy the whole cluster: pg_hba.conf "
                      "lets it open physical replication", p->role);
    else if (e.class == ERR_AUTH)
        preflight_pass(p, "physical", "server refuses physical replication to role %s", p->role);
    else
        preflight_say(p, FINDING_WARN, E_NONE, "physical", hint.p,
                      "could not find out whether role %s may open physical replication: %s",
                      p->role, e.msg);
    PQfinish(c);
    buf_free(&hint);
}

/* restart_lsn moves only at records of running transactions, every 15 s by default; the sentinel
 * writes one where it may. */
static void check_snapshot_right(const struct preflight *p)
{
    char hint[256];
    if (p->major < 16) {
        preflight_pass(p, "snapshot_right", "pg_log_standby_snapshot() is there from PostgreSQL 16 "
                       "on: an idle slot keeps the WAL of about 15 s");
        return;
    }
    PGresult *res = preflight_ask(
        p, "snapshot_right",
        "SELECT has_function_privilege('pg_catalog.pg_log_standby_snapshot()', 'EXECUTE')", 0,
        NULL);
    if (!res)
        return;
    snprintf(hint, sizeof hint,
             "GRANT EXECUTE ON FUNCTION pg_catalog.pg_log_standby_snapshot() TO \"%s\"; in "
             "database %s", p->role, PQdb(p->sql));
    if (pg_bool(res, 0, 0))
        preflight_pass(p, "snapshot_right", "role may call pg_log_standby_snapshot()");
    else
        preflight_say(p, FINDING_WARN, E_NONE, "snapshot_right", hint,
                      "role may not call pg_log_standby_snapshot(): an idle slot keeps the WAL "
                      "of about 15 s instead of that of one sentinel");
    PQclear(res);
}

void preflight_check_role(struct preflight *p)
{
    check_attributes(p);
    check_replication(p);
    check_physical(p);
    check_snapshot_right(p);
}
