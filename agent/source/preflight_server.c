/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "agent/source/preflight_local.h"

#define OLDEST_MAJOR 14
#define NEWEST_MAJOR 18
#define CLOCK_WARN_US 1000000

static void check_version(struct preflight *p)
{
    const char *text = PQparameterStatus(p->sql, "server_version");
    p->major = PQserverVersion(p->sql) / 10000;
    if (p->major < OLDEST_MAJOR)
        preflight_say(p, FINDING_FAIL, E_SERVER_VERSION, "version", NULL,
                      "server is PostgreSQL %s", text ? text : "of unknown version");
    else if (p->major > NEWEST_MAJOR)
        preflight_say(p, FINDING_WARN, E_SERVER_VERSION, "version",
                      "newer versions usually work; try it on a copy first",
                      "server is PostgreSQL %s, newer than any this was tested with", text);
    else
        preflight_pass(p, "version", "server is PostgreSQL %s", text);
}

/* SQL_ASCII means that nobody knows what the bytes are; any other encoding converts to UTF-8. */
static void check_encoding(const struct preflight *p)
{
    PGresult *res = preflight_ask(p, "encoding", "SHOW server_encoding", 0, NULL);
    if (!res)
        return;
    const char *encoding = PQgetvalue(res, 0, 0);
    if (strcmp(encoding, "SQL_ASCII") == 0)
        preflight_say(p, FINDING_FAIL, E_ENCODING, "encoding", NULL,
                      "database %s has encoding SQL_ASCII", PQdb(p->sql));
    else
        preflight_pass(p, "encoding", "database encoding is %s", encoding);
    PQclear(res);
}

static void check_standby(struct preflight *p)
{
    PGresult *res = preflight_ask(p, "primary", "SELECT pg_is_in_recovery()", 0, NULL);
    if (!res)
        return;
    p->standby = pg_bool(res, 0, 0);
    if (p->standby && p->major >= 16)
        preflight_say(p, *p->config->source.primary ? FINDING_PASS : FINDING_WARN, E_CONFIG, "primary",
                      "give source.primary, so that sentinels show that the whole way is alive",
                      *p->config->source.primary
                          ? "server is a standby; sentinels are written to source.primary"
                          : "server is a standby, where sentinels cannot be written: health comes from keepalives");
    else if (p->standby)
        preflight_say(p, FINDING_FAIL, E_CONFIG, "primary",
                      "give the primary's address, or several hosts with "
                      "target_session_attrs=read-write",
                      "server is a standby: publications and sentinels cannot be written there");
    else
        preflight_pass(p, "primary", "server is a primary");
    PQclear(res);
}

/* The connection option as libpq settled it, from string, environment and defaults. */
static void add_option(PGconn *c, const char *keyword, struct buf *out)
{
    PQconninfoOption *options = PQconninfo(c);
    for (const PQconninfoOption *o = options; o && o->keyword; o++)
        if (strcmp(o->keyword, keyword) == 0 && o->val)
            buf_add_text(out, o->val);
    PQconninfoFree(options);
    buf_add_text(out, "");
}

static void check_tls(const struct preflight *p)
{
    const char *host = PQhost(p->sql), *address = PQhostaddr(p->sql);
    bool local = host && host[0] == '/';
    bool loopback = address && (strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0);
    const char *hint = "put sslmode=verify-full and sslrootcert into source.postgres";
    struct buf mode = BUF_INIT;
    add_option(p->sql, "sslmode", &mode);
    if (local)
        preflight_pass(p, "tls", "connection is a unix socket");
    else if (!PQsslInUse(p->sql) && loopback)
        preflight_pass(p, "tls", "connection is not encrypted, on the loopback address");
    else if (!PQsslInUse(p->sql))
        preflight_say(p, FINDING_WARN, E_CONFIG, "tls", hint,
                      "connection to %s is not encrypted (sslmode=%s): password and data can be "
                      "read and changed on the way", host ? host : "the server", mode.p);
    else if (strcmp(mode.p, "verify-full") != 0)
        preflight_say(p, FINDING_WARN, E_CONFIG, "tls", hint,
                      "connection is encrypted, but sslmode=%s does not check that it is with %s",
                      mode.p, host ? host : "the right server");
    else
        preflight_pass(p, "tls", "connection is encrypted and the server's name is checked");
    buf_free(&mode);
}

/* Half a round trip is the doubt of the comparison. */
static void check_clock(const struct preflight *p)
{
    int64_t before_us = clock_wall_us(p->env->clock);
    PGresult *res = preflight_ask(
        p, "clock", "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::pg_catalog.int8", 0,
        NULL);
    int64_t after_us = clock_wall_us(p->env->clock);
    if (!res)
        return;
    int64_t off_us = pg_int(res, 0, 0) - (before_us + (after_us - before_us) / 2);
    int64_t doubt_us = (after_us - before_us) / 2;
    if (llabs(off_us) > CLOCK_WARN_US + doubt_us)
        preflight_say(p, FINDING_WARN, E_NONE, "clock",
                      "synchronise both machines (chrony, systemd-timesyncd)",
                      "server's clock is %.1f s %s of this machine's: lag reads wrong by that",
                      (double) llabs(off_us) / 1e6, off_us > 0 ? "ahead" : "behind");
    else
        preflight_pass(p, "clock", "clocks differ by less than %.1f s",
                       (double) (llabs(off_us) + doubt_us) / 1e6 + 0.1);
    PQclear(res);
}

static void check_wal_level(const struct preflight *p)
{
    PGresult *res = preflight_ask(p, "wal_level", "SHOW wal_level", 0, NULL);
    if (!res)
        return;
    const char *level = PQgetvalue(res, 0, 0);
    if (strcmp(level, "logical") != 0)
        preflight_say(p, FINDING_FAIL, E_WAL_LEVEL, "wal_level", NULL,
                      "wal_level is %s; it must be logical", level);
    else
        preflight_pass(p, "wal_level", "wal_level is logical");
    PQclear(res);
}

bool preflight_lists_plugin(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = strstr(list, word); at; at = strstr(at + 1, word)) {
        bool starts = at == list || strchr(", \"/", at[-1]);
        if (starts && (!at[len] || strchr(", \"", at[len])))
            return true;
    }
    return false;
}

/* A list of output plugins that may be loaded exists since minor releases of 2026. */
static void check_plugin(const struct preflight *p)
{
    PGresult *res = preflight_ask(
        p, "output_plugin", "SELECT current_setting('output_plugin_libraries', true)", 0, NULL);
    if (!res)
        return;
    if (PQgetisnull(res, 0, 0))
        preflight_pass(p, "output_plugin", "every output plugin may be loaded by this server");
    else if (preflight_lists_plugin(PQgetvalue(res, 0, 0), "pgoutput"))
        preflight_pass(p, "output_plugin", "output_plugin_libraries allows pgoutput");
    else
        preflight_say(p, FINDING_FAIL, E_CONFIG, "output_plugin",
                      "ALTER SYSTEM SET output_plugin_libraries = 'pgoutput, test_decoding'; "
                      "SELECT pg_reload_conf();",
                      "output_plugin_libraries is \"%s\", without pgoutput",
                      PQgetvalue(res, 0, 0));
    PQclear(res);
}

/* One slot, and one walsender beside it; a slot that is there already needs no other. */
static void check_limits(const struct preflight *p)
{
    const char *const values[] = {p->config->source.slot};
    PGresult *res = preflight_ask(
        p, "slots", "SELECT current_setting('max_replication_slots')::pg_catalog.int8,"
        " (SELECT count(*) FROM pg_replication_slots),"
        " current_setting('max_wal_senders')::pg_catalog.int8,"
        " (SELECT count(*) FROM pg_stat_get_wal_senders()),"
        " EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = $1),"
        " EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = $1 AND active)",
        1, values);
    if (!res)
        return;
    long long slots = pg_int(res, 0, 0), slots_used = pg_int(res, 0, 1);
    long long senders = pg_int(res, 0, 2), senders_used = pg_int(res, 0, 3);
    if (slots_used >= slots && !pg_bool(res, 0, 4))
        preflight_say(p, FINDING_FAIL, E_SLOT_LIMIT, "slots", NULL,
                      "all %lld replication slots of the server are taken", slots);
    else
        preflight_pass(p, "slots", "%lld of %lld replication slots are free", slots - slots_used,
                       slots);
    if (senders_used >= senders && !pg_bool(res, 0, 5))
        preflight_say(p, FINDING_FAIL, E_SENDER_LIMIT, "senders", NULL,
                      "all %lld walsenders of the server are taken", senders);
    else
        preflight_pass(p, "senders", "%lld of %lld walsenders are free", senders - senders_used,
                       senders);
    PQclear(res);
}

static void check_memory(const struct preflight *p)
{
    PGresult *res = preflight_ask(p, "decoding_memory", "SHOW logical_decoding_work_mem", 0, NULL);
    if (!res)
        return;
    preflight_pass(p, "decoding_memory",
                   "larger transactions than %s (logical_decoding_work_mem) spill to the server's "
                   "disk while they are decoded", PQgetvalue(res, 0, 0));
    PQclear(res);
}

void preflight_check_server(struct preflight *p)
{
    check_version(p);
    check_standby(p);
    check_encoding(p);
    check_tls(p);
    check_clock(p);
    check_wal_level(p);
    check_plugin(p);
    check_limits(p);
    check_memory(p);
}
