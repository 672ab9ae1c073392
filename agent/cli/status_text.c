/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <time.h>

#include "agent/cli/status.h"

#define RED "\033[31m"
#define PLAIN "\033[0m"

/* ---- reading ---- */

static double num(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static const char *text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static bool is(const json_t *object, const char *key, const char *want)
{
    return strcmp(text(object, key), want) == 0;
}

static json_t *load(struct str status_json)
{
    return json_loadb(status_json.p ? status_json.p : "", status_json.len, JSON_ALLOW_NUL, NULL);
}

/* The route that is most behind; NULL when there is none. */
static const json_t *latest_route(const json_t *routes)
{
    const json_t *latest = NULL, *route;
    size_t at;
    json_array_foreach(routes, at, route)
        if (!latest || num(route, "lag_ms") > num(latest, "lag_ms"))
            latest = route;
    return latest;
}

static double sum(const json_t *routes, const char *key)
{
    const json_t *route;
    double total = 0;
    size_t at;
    json_array_foreach(routes, at, route)
        total += num(route, key);
    return total;
}

static void take_sample(const json_t *status, struct status_past *past)
{
    double uptime_s = num(status, "uptime_s");
    double rows = sum(json_object_get(status, "routes"), "rows");
    bool same_run = past->uptime_s > 0 && uptime_s >= past->uptime_s && rows >= past->rows;
    if (!same_run)
        past->rate = 0;
    else if (uptime_s > past->uptime_s)
        past->rate = (rows - past->rows) / (uptime_s - past->uptime_s);
    else
        return;
    past->uptime_s = uptime_s;
    past->rows = rows;
}

/* ---- writing ---- */

/* Words from elsewhere (error messages, names) must not move the cursor. */
static void add_safe(struct buf *out, const char *words)
{
    for (; *words; words++)
        buf_add_char(out, (unsigned char) *words < ' ' || *words == 127 ? ' ' : *words);
}

/* As PostgreSQL's pg_size_pretty counts: 1 kB = 1024 bytes. */
static void add_bytes(struct buf *out, double bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    int unit = 0;
    for (; fabs(bytes) >= 1000 && unit < 4; unit++)
        bytes /= 1024;
    buf_addf(out, fabs(bytes) < 9.95 && unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

static void add_time(struct buf *out, double ms)
{
    double s = ms / 1000;
    if (ms < 9.95)
        buf_addf(out, ms == 0 ? "%.0f ms" : "%.1f ms", ms);
    else if (s < 9.995)
        buf_addf(out, ms < 999.5 ? "%.0f ms" : "%.2f s", ms < 999.5 ? ms : s);
    else if (s < 120)
        buf_addf(out, "%.0f s", s);
    else if (s < 7200)
        buf_addf(out, "%.0f min", s / 60);
    else if (s < 172800)
        buf_addf(out, "%.1f h", s / 3600);
    else
        buf_addf(out, "%.1f days", s / 86400);
}

/* ---- what is wrong ---- */

struct trouble {
    struct buf *out;
    const char *before, *after; /* around each one */
    int count;
};

static void begin_trouble(struct trouble *t)
{
    buf_add_text(t->out, t->before);
    t->count++;
}

static void add_error(struct buf *out, const json_t *error)
{
    if (!json_is_object(error))
        return;
    buf_add_text(out, ": ");
    add_safe(out, text(error, "message"));
    if (text(error, "hint")[0]) {
        buf_add_text(out, "; ");
        add_safe(out, text(error, "hint"));
    }
}

static void tell_source(struct trouble *t, const json_t *source)
{
    const json_t *error = json_object_get(source, "error");
    if (is(source, "state", "streaming") || is(source, "state", "copying"))
        return;
    begin_trouble(t);
    buf_add_text(t->out, "source is ");
    add_safe(t->out, text(source, "state"));
    if (json_is_object(error)) {
        add_error(t->out, error);
    } else if (text(source, "detail")[0]) {
        buf_add_text(t->out, ": ");
        add_safe(t->out, text(source, "detail"));
    }
    buf_add_text(t->out, t->after);
}

static void tell_bus(struct trouble *t, const json_t *bus)
{
    const char *state = text(bus, "state");
    if (!state[0] || strcmp(state, "ok") == 0)
        return;
    begin_trouble(t);
    if (strcmp(state, "at_budget") == 0)
        buf_add_text(t->out, "bus is at its byte budget and takes nothing; the slot keeps the WAL: "
                             "a target is behind, or raise bus.max_mb");
    else if (strcmp(state, "disk_full") == 0)
        buf_add_text(t->out, "disk under the bus is full, nothing is taken; the slot keeps the "
                             "WAL: free space under the state directory");
    else {
        buf_add_text(t->out, "bus is ");
        add_safe(t->out, state);
    }
    buf_add_text(t->out, t->after);
}

static void tell_route(struct trouble *t, const json_t *route)
{
    if (!is(route, "state", "running")) {
        begin_trouble(t);
        buf_add_text(t->out, "route ");
        add_safe(t->out, text(route, "name"));
        buf_add_text(t->out, " is ");
        add_safe(t->out, text(route, "state"));
        add_error(t->out, json_object_get(route, "error"));
        buf_add_text(t->out, t->after);
    }
    if (num(route, "parked") > 0) {
        begin_trouble(t);
        buf_addf(t->out, "%.0f rows parked on route ", num(route, "parked"));
        add_safe(t->out, text(route, "name"));
        buf_add_text(t->out, ": see tailrace parked list");
        buf_add_text(t->out, t->after);
    }
}

static void tell_trouble(struct trouble *t, const json_t *status)
{
    const json_t *route;
    size_t at;
    tell_source(t, json_object_get(status, "source"));
    tell_bus(t, json_object_get(status, "bus"));
    json_array_foreach(json_object_get(status, "routes"), at, route)
        tell_route(t, route);
}

/* ---- one line ---- */

static void add_clock(struct buf *out, int64_t wall_us)
{
    time_t seconds = (time_t) (wall_us / 1000000);
    struct tm tm;
    localtime_r(&seconds, &tm);
    buf_addf(out, "%02d:%02d:%02d ", tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void add_line_body(struct buf *out, const json_t *status, const struct status_past *past)
{
    const json_t *routes = json_object_get(status, "routes");
    const json_t *source = json_object_get(status, "source");
    const json_t *latest = latest_route(routes);
    add_safe(out, text(source, "state"));
    buf_add_text(out, "  lag ");
    add_time(out, num(latest, "lag_ms"));
    buf_add_text(out, " (p99 ");
    add_time(out, num(latest, "p99_ms"));
    buf_addf(out, ")  rows %.0f (+%.0f/s)  bus ", sum(routes, "rows"), past->rate);
    add_bytes(out, num(json_object_get(status, "bus"), "stored_bytes"));
    buf_add_text(out, "  slot keeps ");
    add_bytes(out, num(source, "retained_bytes"));
    buf_addf(out, "  parked %.0f", sum(routes, "parked"));
}

static void add_copy_short(struct buf *out, const json_t *copy)
{
    if (!json_is_true(json_object_get(copy, "active")))
        return;
    buf_add_text(out, "  copying ");
    add_safe(out, text(copy, "table"));
    buf_addf(out, " %.0f", num(copy, "rows"));
    if (num(copy, "expected") > 0)
        buf_addf(out, " of about %.0f", num(copy, "expected"));
    buf_addf(out, " rows, table %.0f of %.0f",
             fmin(num(copy, "done") + 1, num(copy, "tables")), num(copy, "tables"));
}

void status_line(struct str status_json, int64_t wall_us, struct status_past *past,
                 struct buf *out)
{
    json_t *status = load(status_json);
    struct trouble t = {out, "  ! ", "", 0};
    add_clock(out, wall_us);
    if (status) {
        take_sample(status, past);
        add_line_body(out, status, past);
        add_copy_short(out, json_object_get(json_object_get(status, "source"), "copy"));
        tell_trouble(&t, status);
    } else {
        buf_add_text(out, "no status");
    }
    json_decref(status);
}

/* ---- a screen ---- */

/* What was taken from the source is on disk here or still kept there: say where, and how long. */
static void add_data(struct buf *out, const json_t *status)
{
    const json_t *source = json_object_get(status, "source"), *bus = json_object_get(status, "bus");
    const json_t *safe = json_object_get(source, "safe_bytes");
    buf_add_text(out, "data   confirmed to ");
    add_safe(out, text(source, "confirmed_lsn"));
    buf_add_text(out, ", all of it on disk here or at the targets\n       slot ");
    add_safe(out, text(source, "slot"));
    buf_add_text(out, " keeps ");
    add_bytes(out, num(source, "retained_bytes"));
    buf_add_text(out, " of WAL; ");
    if (json_is_number(safe)) {
        add_bytes(out, json_number_value(safe));
        buf_add_text(out, " more may be written before it is lost\n");
    } else {
        buf_add_text(out, "it is never lost (no max_slot_wal_keep_size)\n");
    }
    buf_add_text(out, "       bus ");
    add_bytes(out, num(bus, "stored_bytes"));
    buf_add_text(out, " of ");
    add_bytes(out, num(bus, "max_bytes"));
    buf_add_text(out, ", ");
    add_bytes(out, num(bus, "pending_bytes"));
    buf_add_text(out, " on the way to disk\n");
}

static void add_lag(struct buf *out, const json_t *status)
{
    const json_t *lag = json_object_get(status, "lag");
    const json_t *latest = latest_route(json_object_get(status, "routes"));
    double sentinel_ms = num(lag, "sentinel_age_ms");
    buf_add_text(out, "lag    ");
    add_time(out, num(latest, "lag_ms"));
    buf_add_text(out, " commit to applied, ");
    add_bytes(out, num(latest, "lag_bytes"));
    buf_add_text(out, " of WAL (received ");
    add_time(out, num(lag, "received_ms"));
    buf_add_text(out, ", decoded ");
    add_time(out, num(lag, "decoded_ms"));
    buf_add_text(out, ", on disk ");
    add_time(out, num(lag, "durable_ms"));
    buf_add_text(out, ")\n       ");
    if (json_is_number(json_object_get(lag, "sentinel_age_ms")) && sentinel_ms >= 0) {
        buf_add_text(out, "sentinel came back ");
        add_time(out, sentinel_ms);
        buf_add_text(out, " ago\n");
    } else {
        buf_add_text(out, "no sentinel has come back yet\n");
    }
}

static void add_stuck(struct buf *out, const json_t *status, bool color)
{
    struct trouble t = {out, color ? RED "stuck  " : "stuck  ", color ? PLAIN "\n" : "\n", 0};
    tell_trouble(&t, status);
    if (!t.count)
        buf_add_text(out, "stuck  nothing\n");
}

static void add_copy(struct buf *out, const json_t *copy)
{
    if (!json_is_true(json_object_get(copy, "active")))
        return;
    buf_add_text(out, "copy   ");
    struct buf words = BUF_INIT;
    add_copy_short(&words, copy);
    buf_add_str(out, (struct str){words.p + 2, words.len - 2}); /* without its two spaces */
    buf_free(&words);
    if (text(copy, "xmin")[0]) {
        buf_add_text(out, "; holds xmin ");
        add_safe(out, text(copy, "xmin"));
        buf_add_text(out, " on the source");
    }
    buf_add_char(out, '\n');
}

#define BAR_MARKS 20

static void add_bar(struct buf *out, double share)
{
    buf_add_char(out, '[');
    for (int mark = 0; mark < BAR_MARKS; mark++)
        buf_add_char(out, mark < share * BAR_MARKS ? '#' : '.');
    buf_addf(out, "] %3.0f %%  ", share * 100);
}

void status_add_snapshots(struct buf *out, const json_t *snapshots)
{
    const json_t *one;
    size_t at;
    json_array_foreach(snapshots, at, one) {
        double rows = num(one, "rows"), expected = num(one, "expected");
        buf_add_text(out, "copy   ");
        add_safe(out, text(one, "table"));
        buf_add_text(out, "  ");
        if (expected > 0)
            add_bar(out, fmin(rows / expected, 1));
        buf_addf(out, "%.0f", rows);
        if (expected > 0)
            buf_addf(out, " of about %.0f", expected);
        buf_add_text(out, " rows, ");
        add_safe(out, text(one, "state"));
        if (json_is_number(json_object_get(one, "eta_s"))) {
            buf_add_text(out, ", left ");
            add_time(out, num(one, "eta_s") * 1000);
        }
        if (text(one, "detail")[0]) {
            buf_add_text(out, ": ");
            add_safe(out, text(one, "detail"));
        }
        buf_add_char(out, '\n');
    }
}

/* Left-aligned in width columns, counting UTF-8 characters; longer texts stay whole. */
static void add_cell(struct buf *out, struct str cell, int width)
{
    int columns = 0;
    for (size_t at = 0; at < cell.len; at++)
        columns += ((unsigned char) cell.p[at] & 0xc0) != 0x80;
    buf_add_str(out, cell);
    for (; columns < width; columns++)
        buf_add_char(out, ' ');
    buf_add_char(out, ' ');
}

static void add_route(struct buf *out, const json_t *route)
{
    struct buf cell = BUF_INIT;
    static const char *const texts[] = {"name", "target", "state"};
    static const char *const times[] = {"lag_ms", "p50_ms", "p99_ms"};
    static const char *const counts[] = {"parked", "rows", "txns"}; /* what matters left */
    for (int at = 0; at < 3; at++) {
        buf_reset(&cell);
        add_safe(&cell, text(route, texts[at]));
        add_cell(out, buf_str(&cell), at < 2 ? 14 : 9);
    }
    for (int at = 0; at < 3; at++) {
        buf_reset(&cell);
        add_time(&cell, num(route, times[at]));
        add_cell(out, buf_str(&cell), 9);
    }
    for (int at = 0; at < 3; at++) {
        buf_reset(&cell);
        buf_addf(&cell, "%.0f", num(route, counts[at]));
        add_cell(out, buf_str(&cell), at ? 11 : 7);
    }
    add_safe(out, text(route, "applied_lsn"));
    buf_add_char(out, '\n');
    buf_free(&cell);
}

void status_screen(struct str status_json, struct status_past *past, bool color, struct buf *out)
{
    json_t *status = load(status_json);
    const json_t *routes = json_object_get(status, "routes"), *route;
    const json_t *source = json_object_get(status, "source");
    size_t at;
    if (!status) {
        buf_add_text(out, "no status\n");
        return;
    }
    take_sample(status, past);
    add_safe(out, text(status, "name"));
    buf_add_text(out, ": ");
    add_safe(out, text(source, "state"));
    buf_add_text(out, ", up ");
    add_time(out, num(status, "uptime_s") * 1000);
    buf_addf(out, ", %.0f rows applied", past->rows);
    if (past->rate > 0)
        buf_addf(out, " (+%.0f/s)", past->rate);
    buf_add_char(out, '\n');
    add_data(out, status);
    add_lag(out, status);
    add_stuck(out, status, color);
    add_copy(out, json_object_get(source, "copy"));
    status_add_snapshots(out, json_object_get(status, "snapshots"));
    buf_add_text(out, "\nROUTE          TARGET         STATE     LAG       P50       P99       "
                      "PARKED  ROWS        TXNS        APPLIED\n");
    json_array_foreach(routes, at, route)
        add_route(out, route);
    json_decref(status);
}

int status_exit_code(struct str status_json)
{
    json_t *status = load(status_json);
    const json_t *routes = json_object_get(status, "routes"), *route;
    size_t at;
    bool failed = !status || is(json_object_get(status, "source"), "state", "failed")
        || is(json_object_get(status, "bus"), "state", "failed");
    json_array_foreach(routes, at, route)
        failed = failed || is(route, "state", "failed");
    bool parked = sum(routes, "parked") > 0;
    json_decref(status);
    return failed ? 1 : parked ? 4 : 0;
}
