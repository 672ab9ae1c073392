/* SPDX-License-Identifier: Apache-2.0
 *
 * tailrace verify: source and target compared at one and the same point, under load.
 *
 * The source's point is the consistent point L of a temporary replication slot, whose exported
 * snapshot holds exactly the transactions that commit before L. The target's is made by the
 * running process: it holds the route before the first transaction at or behind L, and since a target
 * changes only by whole source transactions in commit order, a snapshot taken there is L too.
 * To be sure not to be past L already, the route is held first where it stands. It is released as soon as the
 * target's snapshot is taken; the comparing itself holds nobody up.
 * When nothing runs, the target stands still; source and target are then compared as they are.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/cli/cli.h"
#include "agent/cli/config.h"
#include "agent/cli/verify.h"
#include "agent/http/http.h"
#include "agent/source/catalog.h"

struct verify {
    struct env *env;
    struct config *config;
    bool json, running;
    int64_t hold_ms;
    int64_t parked;
    PGconn *slot_conn;  /* replication; its session owns the snapshot until the source's has it */
    PGconn *source, *target;
    char lsn[LSN_TEXT_LEN], snapshot[64];
    struct arena arena;
    int tables, differing;
    int64_t rows;
    struct buf out, left_out;
};

static int ask(struct verify *v, const char *cmd, const char *route, const char *until, json_t **answer,
               struct err *e)
{
    struct buf request = BUF_INIT, reply = BUF_INIT;
    buf_addf(&request, "{\"cmd\":\"%s\",\"ms\":%lld", cmd, (long long) v->hold_ms);
    if (route) {
        buf_add_text(&request, ",\"route\":");
        buf_add_json(&request, str_of(route));
    }
    if (until)
        buf_addf(&request, ",\"until\":\"%s\"", until);
    buf_add_text(&request, "}");
    int result = control_ask(v->config->state, buf_str(&request), 5000, &reply, e);
    *answer = result ? NULL : json_loadb(reply.p ? reply.p : "", reply.len, 0, NULL);
    if (!result && !json_is_true(json_object_get(*answer, "ok"))) {
        const char *why = json_string_value(json_object_get(json_object_get(*answer, "error"), "message"));
        result = err_set(e, E_INTERNAL, "%s: %s", cmd, why ? why : "no answer that can be read");
    }
    if (result && *answer) {
        json_decref(*answer);
        *answer = NULL;
    }
    buf_free(&request);
    buf_free(&reply);
    return result;
}

static int ask_only(struct verify *v, const char *cmd, const char *route, const char *until, struct err *e)
{
    json_t *answer = NULL;
    int result = ask(v, cmd, route, until, &answer, e);
    json_decref(answer);
    return result;
}

/* Wait until the route stands still; at most hold_ms. */
static int wait_held(struct verify *v, const char *route, struct err *e)
{
    int64_t until_us = clock_mono_us(v->env->clock) + v->hold_ms * 1000;
    while (clock_mono_us(v->env->clock) < until_us) {
        json_t *answer = NULL;
        if (ask(v, "held", route, NULL, &answer, e))
            return -1;
        bool held = json_is_true(json_object_get(answer, "held"));
        json_decref(answer);
        if (held)
            return 0;
        if (env_sleep(v->env, 5))
            return err_set(e, E_STOPPED, "stopped while route %s was to be held", route);
    }
    (void) err_set(e, E_TIMEOUT, "route %s did not reach the point of comparison in %lld ms", route,
                   (long long) v->hold_ms);
    return err_hint(e, "see tailrace status: it may be far behind or failing; --hold-ms raises the limit");
}

/* Read what runs: copying sources cannot be compared, parked rows are counted. */
static int look_at_status(struct verify *v, struct err *e)
{
    json_t *status = NULL;
    struct err why = ERR_INIT;
    if (ask(v, "status", NULL, NULL, &status, &why)) {
        v->running = false;
        if (why.code == E_NOT_RUNNING)
            return 0;
        *e = why;
        return -1;
    }
    v->running = true;
    const char *state = json_string_value(json_object_get(json_object_get(status, "source"), "state"));
    int result = 0;
    if (state && strcmp(state, "copying") == 0) {
        result = err_set(e, E_TIMEOUT, "the first copy still runs");
        (void) err_hint(e, "wait until tailrace status shows streaming, then verify");
    }
    size_t i;
    json_t *route;
    json_array_foreach(json_object_get(status, "routes"), i, route)
        v->parked += json_integer_value(json_object_get(route, "parked"));
    json_decref(status);
    return result;
}

/* A temporary slot: its consistent point and snapshot are the source's point. */
static int make_point(struct verify *v, struct err *e)
{
    char sql[200];
    v->slot_conn = pg_connect(v->env, v->config->source.postgres, PG_REPLICATION, "verify", e);
    if (!v->slot_conn)
        return -1;
    snprintf(sql, sizeof sql,
             "CREATE_REPLICATION_SLOT \"tailrace_verify_%d\" TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT", /* taken by 14, too */
             PQbackendPID(v->slot_conn));
    PGresult *res = pg_exec(v->env, v->slot_conn, "create a temporary slot for the point of comparison", sql,
                            v->hold_ms, e);
    if (!res) {
        if (e->code == E_TIMEOUT)
            (void) err_hint(e, "a slot waits for every open transaction: see pg_stat_activity where xact_start "
                               "is old; --hold-ms raises the limit");
        return -1;
    }
    struct str lsn = pg_text(res, 0, 1), snapshot = pg_text(res, 0, 2);
    snprintf(v->lsn, sizeof v->lsn, "%.*s", STR_ARG(lsn));
    snprintf(v->snapshot, sizeof v->snapshot, "%.*s", STR_ARG(snapshot));
    PQclear(res);
    return 0;
}

static int enter_source(struct verify *v, struct err *e)
{
    struct buf sql = BUF_INIT;
    v->source = pg_connect(v->env, v->config->source.postgres, PG_SQL, "verify", e);
    if (!v->source || pg_run(v->env, v->source, "begin", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e))
        return -1;
    buf_add_text(&sql, "SET TRANSACTION SNAPSHOT ");
    pg_add_literal(&sql, str_of(v->snapshot));
    int result = pg_run(v->env, v->source, "use the snapshot", sql.p, e);
    buf_free(&sql);
    return result;
}

/* Something behind L that reaches the route at once, so that it need not wait for the next commit
 * to know that it has everything before L. It is no row and changes nothing. */
static int push_past_point(struct verify *v, struct err *e)
{
    PGconn *c = pg_connect(v->env, v->config->source.postgres, PG_SQL, "verify", e);
    int result = c ? pg_run(v->env, c, "emit a message",
                            "SELECT pg_logical_emit_message(true, 'tailrace.verify', '')", e)
                   : -1;
    PQfinish(c);
    return result;
}

static int enter_target(struct verify *v, const struct config_target *target, struct err *e)
{
    v->target = pg_connect(v->env, target->url, PG_SQL, "verify", e);
    return !v->target
            || pg_run(v->env, v->target, "begin", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e)
            /* as the source's, so that names in values (regclass and its kin) say their schema on both */
            || pg_run(v->env, v->target, "name schemas", "SET search_path = ''", e)
            || pg_run(v->env, v->target, "take a snapshot", "SELECT 1", e)
        ? -1
        : 0;
}

/* Both snapshots at one point. The route is held for as long as this takes. */
static int meet(struct verify *v, const struct config_route *route, const struct config_target *target,
                struct err *e)
{
    struct err ignored = ERR_INIT;
    if (!v->running)
        return make_point(v, e) || enter_source(v, e) || enter_target(v, target, e) ? -1 : 0;
    if (ask_only(v, "hold", route->name, NULL, e))
        return -1;
    int result = wait_held(v, route->name, e) || make_point(v, e) || enter_source(v, e)
            || ask_only(v, "hold", route->name, v->lsn, e) || push_past_point(v, e)
            || wait_held(v, route->name, e) || enter_target(v, target, e)
        ? -1
        : 0;
    if (ask_only(v, "release", route->name, NULL, &ignored) && result == 0) {
        *e = ignored;
        result = -1;
    }
    return result;
}

static void leave(struct verify *v)
{
    PQfinish(v->slot_conn);
    PQfinish(v->source);
    PQfinish(v->target);
    v->slot_conn = v->source = v->target = NULL;
}

/* Said once for all targets. */
static void note_left_out(struct verify *v, const struct verify_table *t)
{
    struct buf line = BUF_INIT;
    buf_addf(&line, "left out by rules: %.*s.%.*s: %.*s\n", STR_ARG(t->rel->space), STR_ARG(t->rel->name),
             STR_ARG(buf_str(&t->left_out)));
    if (t->left_out.len && !(v->left_out.len && strstr(v->left_out.p, line.p)))
        buf_add_str(&v->left_out, buf_str(&line));
    buf_free(&line);
}

static void report_table(struct verify *v, const struct config_target *target, struct verify_table *t)
{
    bool equal = t->differing_buckets == 0;
    v->tables++;
    v->differing += !equal;
    v->rows += t->source_rows;
    note_left_out(v, t);
    if (v->json) {
        buf_add_text(&v->out, v->tables > 1 ? ",{\"target\":" : "{\"target\":");
        buf_add_json(&v->out, str_of(target->name));
        buf_add_text(&v->out, ",\"schema\":");
        buf_add_json(&v->out, t->rel->space);
        buf_add_text(&v->out, ",\"table\":");
        buf_add_json(&v->out, t->rel->name);
        buf_addf(&v->out, ",\"equal\":%s,\"source_rows\":%lld,\"target_rows\":%lld",
                 equal ? "true" : "false", (long long) t->source_rows, (long long) t->target_rows);
        buf_addf(&v->out, ",\"missing\":%lld,\"extra\":%lld,\"differs\":%lld,\"left_out\":[%.*s]}", (long long) t->missing,
                 (long long) t->extra, (long long) t->differs, STR_ARG(buf_str(&t->left_out)));
        return;
    }
    if (equal)
        return;
    printf("differs: %.*s.%.*s on %s: %lld rows on the source, %lld on the target; of those looked at "
           "%lld missing, %lld extra, %lld differ\n",
           STR_ARG(t->rel->space), STR_ARG(t->rel->name), target->name, (long long) t->source_rows,
           (long long) t->target_rows, (long long) t->missing, (long long) t->extra,
           (long long) t->differs);
    printf("%.*s", STR_ARG(buf_str(&t->lines)));
    if (t->shown > VERIFY_SHOWN_MAX)
        printf("  and %d more\n", t->shown - VERIFY_SHOWN_MAX);
}

static int compare_table(struct verify *v, const struct config_target *target, uint32_t oid, struct err *e)
{
    struct verify_table t = {.differing_buckets = 0};
    if (catalog_describe(v->env, v->source, oid, &v->arena, &t.rel, e))
        return -1;
    t.target_space = target->schema && target->schema[0] ? str_of(target->schema) : t.rel->space;
    const struct shape_rules rules = shape_rules_of(v->config);
    int result = verify_by_rules(&rules, &v->arena, &t, e) || verify_compare(v->env, v->source, v->target, &t, e) ? -1 : 0;
    if (result == 0)
        report_table(v, target, &t);
    buf_free(&t.lines);
    buf_free(&t.left_out);
    return result;
}

static int compare_route(struct verify *v, const struct config_route *route, struct err *e)
{
    const struct config_target *target = config_target_find(v->config, route->to);
    struct catalog_table *tables = NULL;
    int count = 0, result = -1;
    if (meet(v, route, target, e))
        goto done;
    if (catalog_tables(v->env, v->source, &v->config->source.tables, &v->arena, &tables, &count, e))
        goto done;
    result = 0;
    for (int i = 0; i < count && result == 0; i++)
        if (config_list_matches(&route->from, tables[i].space, tables[i].name))
            result = compare_table(v, target, tables[i].oid, e);
done:
    leave(v);
    return result;
}

static void report(struct verify *v)
{
    if (v->json) {
        printf("{\"version\":1,\"equal\":%s,\"tables\":%d,\"rows\":%lld,\"parked\":%lld,\"details\":[%.*s]}\n",
               v->differing ? "false" : "true", v->tables, (long long) v->rows, (long long) v->parked,
               STR_ARG(buf_str(&v->out)));
        return;
    }
    if (!v->differing)
        printf("equal: %d tables, %lld rows\n", v->tables, (long long) v->rows);
    printf("%.*s", STR_ARG(buf_str(&v->left_out)));
    if (v->parked)
        printf("parked: %lld rows (see tailrace parked list)\n", (long long) v->parked);
    if (!v->running)
        printf("note: no tailrace runs on %s; source and target were compared as they stand\n",
               v->config->state);
}

int cmd_verify(struct cli *c, struct err *e)
{
    struct verify v = {.env = c->env, .json = cli_flag(c, "json") != NULL};
    const char *only = cli_flag(c, "target");
    int result = -1;
    arena_init(&v.arena, 0, "verify");
    if (cli_number(c, "hold-ms", 100, 600000, &v.hold_ms, e))
        goto done;
    v.config = cli_config(c, e);
    if (!v.config || look_at_status(&v, e))
        goto done;
    if (only && only[0] && !config_target_find(v.config, only)) {
        (void) err_set(e, E_USAGE, "no target is named %s", only);
        goto done;
    }
    result = 0;
    for (int i = 0; i < v.config->route_count && result == 0; i++)
        if (!only || !only[0] || strcmp(v.config->routes[i].to, only) == 0)
            result = compare_route(&v, &v.config->routes[i], e);
    if (result == 0 && v.tables == 0)
        result = err_set(e, E_CONFIG, "no table is chosen, so nothing was compared");
    if (result == 0) {
        report(&v);
        result = v.differing ? 1 : v.parked ? 4 : 0;
    }
done:
    buf_free(&v.out);
    buf_free(&v.left_out);
    arena_free(&v.arena);
    if (v.config)
        config_free(v.config);
    return result;
}
