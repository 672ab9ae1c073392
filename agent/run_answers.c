/* SPDX-License-Identifier: Apache-2.0
 *
 * What a running process tells: status JSON, health, readiness, and the control requests.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/run_parts.h"

#define LOOP_MAX_US 5000000
#define REPLAY_WAIT_MS 60000

static const char *source_state_name(enum source_state s)
{
    static const char *const names[] = {"starting", "waiting", "copying", "streaming",
                                        "retrying", "blocked", "stopped", "failed"};
    return names[s];
}

static const char *pump_state_name(enum pump_state s)
{
    static const char *const names[] = {"starting", "running", "retrying", "held", "failed", "stopped"};
    return names[s];
}

static const char *bus_state_name(enum bus_state s)
{
    static const char *const names[] = {"ok", "at_budget", "disk_full", "failed", "away"};
    return names[s];
}

static void add_error(struct buf *out, const struct err *e)
{
    if (e->class == ERR_NONE) {
        buf_add_text(out, "\"error\":null");
        return;
    }
    buf_addf(out, "\"error\":{\"code\":\"%s\",\"message\":", err_name(e->code));
    buf_add_json(out, str_of(e->msg));
    buf_add_text(out, ",\"hint\":");
    buf_add_json(out, str_of(e->hint));
    buf_add_text(out, "}");
}

/* ,"name":"text" */
static void add_text(struct buf *out, const char *name, const char *text)
{
    buf_addf(out, ",\"%s\":", name);
    buf_add_json(out, str_of(text));
}

static void add_ms(struct buf *out, const char *name, int64_t us)
{
    buf_addf(out, ",\"%s\":%.3f", name, (double) us / 1000);
}

static void add_source(struct buf *out, const struct source_status *s)
{
    buf_addf(out, ",\"source\":{\"state\":\"%s\"", source_state_name(s->state));
    add_text(out, "detail", s->detail);
    add_text(out, "slot", s->slot);
    add_text(out, "publication", s->publication);
    buf_addf(out, ",\"system_id\":\"%llu\",\"timeline\":%u", (unsigned long long) s->system_id,
             s->timeline);
    buf_addf(out, ",\"received_lsn\":\"%s\"", LSN_STR(s->received_lsn));
    buf_addf(out, ",\"confirmed_lsn\":\"%s\"", LSN_STR(s->confirmed_lsn));
    buf_addf(out, ",\"retained_bytes\":%llu", (unsigned long long) s->retained_bytes);
    if (s->safe_bytes < 0)
        buf_add_text(out, ",\"safe_bytes\":null,");
    else
        buf_addf(out, ",\"safe_bytes\":%lld,", (long long) s->safe_bytes);
    add_error(out, &s->error);
    buf_addf(out, ",\"copy\":{\"active\":%s,\"tables\":%d,\"done\":%d",
             s->state == SOURCE_COPYING ? "true" : "false", s->copy_tables, s->copy_done);
    add_text(out, "table", s->copy_table);
    buf_addf(out, ",\"rows\":%lld,\"expected\":%lld", (long long) s->copy_rows,
             (long long) s->copy_rows_expected);
    add_text(out, "xmin", s->snapshot_xmin);
    buf_add_text(out, "}}");
}

static void add_bus(struct buf *out, const struct bus_status *b)
{
    buf_addf(out, ",\"bus\":{\"state\":\"%s\",\"first_offset\":%llu,\"committed_offset\":%llu",
             bus_state_name(b->state), (unsigned long long) b->first_offset,
             (unsigned long long) b->committed_offset);
    buf_addf(out, ",\"durable_offset\":%llu,\"stored_bytes\":%llu,\"max_bytes\":%llu",
             (unsigned long long) b->durable_offset, (unsigned long long) b->stored_bytes,
             (unsigned long long) b->max_bytes);
    buf_addf(out, ",\"pending_bytes\":%llu,\"epoch\":%u}", (unsigned long long) b->pending_bytes,
             b->epoch);
}

static void add_lag(struct buf *out, struct lag *lag)
{
    struct lag_reading received, decoded, durable;
    lag_read(lag, LAG_RECEIVED, 0, &received);
    lag_read(lag, LAG_DECODED, 0, &decoded);
    lag_read(lag, LAG_DURABLE, 0, &durable);
    buf_addf(out, ",\"lag\":{\"received_ms\":%.3f", (double) received.time_us / 1000);
    add_ms(out, "decoded_ms", decoded.time_us);
    add_ms(out, "durable_ms", durable.time_us);
    int64_t age_us = lag_sentinel_age_us(lag);
    add_ms(out, "sentinel_age_ms", age_us < 0 ? -1000 : age_us);
    buf_add_text(out, "}");
}

static void add_route(struct run *run, int index, struct buf *out)
{
    struct pump_status p;
    struct lag_reading lag;
    const struct config_route *route = &run->config->routes[index];
    pump_get_status(run->routes[index].pump, &p);
    lag_read(run->lag, LAG_APPLIED, index, &lag);
    int series = metric_series(run->env->metrics, M_LATENCY, str_of(route->name));
    buf_addf(out, "%s{\"name\":\"%s\",\"target\":\"%s\",\"state\":\"%s\"", index ? "," : "",
             route->name, route->to, pump_state_name(p.state));
    add_ms(out, "lag_ms", lag.time_us);
    buf_addf(out, ",\"lag_bytes\":%llu", (unsigned long long) lag.bytes);
    add_ms(out, "p50_ms", metric_quantile_us(run->env->metrics, M_LATENCY, series, 0.5));
    add_ms(out, "p99_ms", metric_quantile_us(run->env->metrics, M_LATENCY, series, 0.99));
    buf_addf(out, ",\"rows\":%lld,\"txns\":%lld,\"parked\":%lld", (long long) p.rows,
             (long long) p.txns, (long long) p.parked);
    buf_addf(out, ",\"applied_lsn\":\"%s\",", LSN_STR(p.applied.lsn));
    add_error(out, &p.error);
    buf_add_text(out, "}");
}

void run_status(struct run *run, struct buf *out)
{
    struct source_status source;
    struct bus_status bus;
    source_get_status(run->source, &source);
    bus_get_status(run->bus, &bus);
    pthread_rwlock_rdlock(&run->lock);
    buf_add_text(out, "{\"ok\":true,\"version\":1,\"name\":");
    buf_add_json(out, str_of(run->config->name));
    buf_addf(out, ",\"uptime_s\":%.1f",
             (double) (clock_mono_us(run->env->clock) - run->started_us) / 1e6);
    add_source(out, &source);
    buf_add_text(out, ",\"snapshots\":");
    source_list_snapshots(run->source, out);
    add_bus(out, &bus);
    add_lag(out, run->lag);
    buf_add_text(out, ",\"routes\":[");
    for (int i = 0; i < run->route_count; i++)
        if (run->routes[i].pump)
            add_route(run, i, out);
    buf_add_text(out, "]}");
    pthread_rwlock_unlock(&run->lock);
}

/* ---- health ---- */

struct reasons {
    struct buf text;
    int count;
};

static void add_reason(struct reasons *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void add_reason(struct reasons *r, const char *fmt, ...)
{
    char text[900];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    buf_add_text(&r->text, r->count++ ? "," : "");
    buf_add_json(&r->text, str_of(text));
}

static int answer_reasons(struct reasons *r, struct buf *json)
{
    int count = r->count;
    buf_addf(json, "{\"status\":\"%s\",\"reasons\":[", count ? "fail" : "pass");
    buf_add_str(json, buf_str(&r->text));
    buf_add_text(json, "]}\n");
    buf_free(&r->text);
    return count ? -1 : 0;
}

/* The loops turn. Waiting for PostgreSQL is a turn of its own, so a server that is away does not
 * make a healthy process look dead. */
static int answer_health(void *self, struct buf *json)
{
    struct run *run = self;
    struct reasons r = {.count = 0};
    struct source_status source;
    int64_t now_us = clock_mono_us(run->env->clock);
    source_get_status(run->source, &source);
    if (source.loop_us && now_us - source.loop_us > LOOP_MAX_US)
        add_reason(&r, "source loop has not turned for %.1f s", (double) (now_us - source.loop_us) / 1e6);
    pthread_rwlock_rdlock(&run->lock);
    for (int i = 0; i < run->route_count; i++) {
        struct pump_status p;
        pump_get_status(run->routes[i].pump, &p);
        if (p.loop_us && now_us - p.loop_us > LOOP_MAX_US)
            add_reason(&r, "route %s has not turned for %.1f s", run->config->routes[i].name,
                       (double) (now_us - p.loop_us) / 1e6);
    }
    pthread_rwlock_unlock(&run->lock);
    return answer_reasons(&r, json);
}

static void source_reasons(struct run *run, struct reasons *r)
{
    struct source_status source;
    source_get_status(run->source, &source);
    int64_t age_us = lag_sentinel_age_us(run->lag);
    int64_t limit_us = run->config->source.sentinel_ms * 3000 + 2000000;
    if (source.state != SOURCE_STREAMING)
        add_reason(r, "source is %s%s%s", source_state_name(source.state),
                   source.detail[0] ? ": " : "", source.detail);
    if (source.error.class != ERR_NONE)
        add_reason(r, "source: %s (%s)", source.error.msg, err_name(source.error.code));
    if (age_us < 0)
        add_reason(r, "no sentinel has come back yet");
    else if (age_us > limit_us)
        add_reason(r, "last sentinel came back %.1f s ago", (double) age_us / 1e6);
}

static int answer_ready(void *self, struct buf *json)
{
    struct run *run = self;
    struct reasons r = {.count = 0};
    struct bus_status bus;
    bus_get_status(run->bus, &bus);
    if (bus.state != BUS_OK)
        add_reason(&r, "bus is %s", bus_state_name(bus.state));
    pthread_rwlock_rdlock(&run->lock);
    source_reasons(run, &r);
    for (int i = 0; i < run->route_count; i++) {
        struct pump_status p;
        pump_get_status(run->routes[i].pump, &p);
        if (p.state != PUMP_RUNNING && p.state != PUMP_HELD)
            add_reason(&r, "route %s is %s%s%s", run->config->routes[i].name, pump_state_name(p.state),
                       p.error.msg[0] ? ": " : "", p.error.msg);
    }
    pthread_rwlock_unlock(&run->lock);
    return answer_reasons(&r, json);
}

bool run_loops_turn(struct run *run)
{
    struct buf ignored = BUF_INIT;
    bool turn = answer_health(run, &ignored) == 0;
    buf_free(&ignored);
    return turn;
}

static int answer_started(void *self, struct buf *json)
{
    struct run *run = self;
    struct reasons r = {.count = 0};
    if (!run->streamed)
        add_reason(&r, "has not streamed yet");
    return answer_reasons(&r, json);
}

static void answer_metrics(void *self, struct buf *text)
{
    metrics_write(((struct run *) self)->env->metrics, text);
}

/* ---- control ---- */

static void refuse(struct buf *answer, const struct err *e)
{
    buf_reset(answer);
    buf_add_text(answer, "{\"ok\":false,");
    add_error(answer, e);
    buf_add_text(answer, "}");
}

/* The pump of the named route, or NULL with err. */
static struct pump *find_pump(struct run *run, json_t *request, struct err *e)
{
    const char *name = json_string_value(json_object_get(request, "route"));
    for (int i = 0; name && i < run->route_count; i++)
        if (strcmp(run->config->routes[i].name, name) == 0)
            return run->routes[i].pump;
    (void) err_set(e, E_USAGE, "no route is named %s", name ? name : "(none given)");
    return NULL;
}

static int control_hold(struct run *run, json_t *request, struct err *e)
{
    const char *until = json_string_value(json_object_get(request, "until"));
    uint64_t lsn = UINT64_MAX;
    struct pump *pump = find_pump(run, request, e);
    if (!pump)
        return -1;
    if (until && !str_to_lsn(str_of(until), &lsn))
        return err_set(e, E_USAGE, "until is no LSN");
    pump_hold(pump, lsn, json_integer_value(json_object_get(request, "ms")));
    return 0;
}

static int control_held(struct run *run, json_t *request, struct buf *answer, struct err *e)
{
    struct position at = {0};
    struct pump *pump = find_pump(run, request, e);
    if (!pump)
        return -1;
    bool held = pump_held(pump, &at);
    buf_addf(answer, "{\"ok\":true,\"held\":%s,\"lsn\":\"%s\"}", held ? "true" : "false",
             LSN_STR(at.lsn));
    return 0;
}

static int control_release(struct run *run, json_t *request, struct err *e)
{
    struct pump *pump = find_pump(run, request, e);
    if (pump)
        pump_release(pump);
    return pump ? 0 : -1;
}

static int control_replay(struct run *run, json_t *request, bool drop, struct buf *answer, struct err *e)
{
    struct buf report = BUF_INIT;
    struct pump *pump = find_pump(run, request, e);
    uint64_t number = (uint64_t) json_integer_value(json_object_get(request, "number"));
    int result = pump ? pump_replay(pump, number, drop, REPLAY_WAIT_MS, &report, e) : -1;
    if (result == 0) {
        buf_add_text(answer, "{\"ok\":true,\"report\":");
        buf_add_json(answer, buf_str(&report));
        buf_add_text(answer, "}");
    }
    buf_free(&report);
    return result;
}

static int add_parked(void *self, const struct parked *row, struct err *e)
{
    struct buf *out = self;
    (void) e;
    buf_add_text(out, out->p[out->len - 1] == '[' ? "" : ",");
    park_row_json(row, out);
    return 0;
}

static int control_parked(struct run *run, json_t *request, struct buf *answer, struct err *e)
{
    struct arena a;
    arena_init(&a, 0, "parked list");
    buf_add_text(answer, "{\"ok\":true,\"parked\":[");
    int result = park_each(run->park, json_string_value(json_object_get(request, "route")), &a,
                           answer, add_parked, e);
    buf_add_text(answer, "]}");
    arena_free(&a);
    return result;
}

static int control_snapshot(struct run *run, json_t *request, struct buf *answer, struct err *e)
{
    struct buf report = BUF_INIT;
    const struct source_snapshot_wish wish = {
        .verb = json_string_value(json_object_get(request, "verb")),
        .table = json_string_value(json_object_get(request, "table")),
        .where = json_string_value(json_object_get(request, "where")),
    };
    if (!wish.verb || !wish.table)
        return err_set(e, E_USAGE, "a snapshot needs a verb and a table");
    int result = source_snapshot(run->source, &wish, &report, e);
    if (result == 0) {
        buf_add_text(answer, "{\"ok\":true,\"report\":");
        buf_add_json(answer, buf_str(&report));
        buf_add_text(answer, "}");
    }
    buf_free(&report);
    return result;
}

static int control_snapshots(struct run *run, struct buf *answer)
{
    buf_add_text(answer, "{\"ok\":true,\"snapshots\":");
    source_list_snapshots(run->source, answer);
    buf_add_text(answer, "}");
    return 0;
}

static int control_dispatch(struct run *run, json_t *request, struct buf *answer, struct err *e)
{
    const char *cmd = json_string_value(json_object_get(request, "cmd"));
    cmd = cmd ? cmd : "";
    if (strcmp(cmd, "hold") == 0)
        return control_hold(run, request, e);
    if (strcmp(cmd, "held") == 0)
        return control_held(run, request, answer, e);
    if (strcmp(cmd, "release") == 0)
        return control_release(run, request, e);
    if (strcmp(cmd, "parked.list") == 0)
        return control_parked(run, request, answer, e);
    if (strcmp(cmd, "parked.replay") == 0)
        return control_replay(run, request, false, answer, e);
    if (strcmp(cmd, "parked.drop") == 0)
        return control_replay(run, request, true, answer, e);
    if (strcmp(cmd, "snapshot") == 0)
        return control_snapshot(run, request, answer, e);
    if (strcmp(cmd, "snapshot.list") == 0)
        return control_snapshots(run, answer);
    return err_set(e, E_USAGE, "unknown control request");
}

static void answer_control(void *self, struct str text, struct buf *answer)
{
    struct run *run = self;
    struct err e = ERR_INIT;
    json_error_t where;
    json_t *request = json_loadb(text.p ? text.p : "", text.len, JSON_REJECT_DUPLICATES, &where);
    const char *cmd = json_string_value(json_object_get(request, "cmd"));
    if (cmd && strcmp(cmd, "status") == 0) {
        run_status(run, answer);
    } else {
        pthread_rwlock_rdlock(&run->lock);
        int result = request ? control_dispatch(run, request, answer, &e)
                             : err_set(&e, E_USAGE, "request is no JSON: %s", where.text);
        pthread_rwlock_unlock(&run->lock);
        if (result)
            refuse(answer, &e);
        else if (answer->len == 0)
            buf_add_text(answer, "{\"ok\":true}");
    }
    json_decref(request);
}

struct http_answers run_answers(struct run *run)
{
    return (struct http_answers){.self = run,
                                 .health = answer_health,
                                 .ready = answer_ready,
                                 .started = answer_started,
                                 .metrics = answer_metrics,
                                 .control = answer_control};
}
