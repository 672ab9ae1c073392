/* SPDX-License-Identifier: Apache-2.0
 *
 * Values are relaxed atomics: a scrape may see one counter a moment before another, never half a
 * number. A series is published by the release store of its row's count after its label is
 * written; labels never change afterwards, so that readers need no lock. A histogram's _count is
 * the sum of the buckets just read, so that +Inf and _count agree whatever is observed meanwhile.
 */
#include "agent/base/metric.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "agent/base/arena.h"

struct fact {
    enum metric_kind kind;
    const char *name, *label, *help;
};

static const struct fact facts[METRIC_COUNT] = {
#define METRIC(id, kind, name, label, help) [id] = {kind, name, label, help},
#include "agent/metrics.def"
#undef METRIC
};

/* Close enough that a quantile read from them is of use below a second, where latencies live. */
static const int64_t bounds_us[] = {
    100,    200,    300,    500,    750,     1000,    1500,    2000,     3000,     5000,
    7500,   10000,  15000,  20000,  30000,   50000,   75000,   100000,   150000,   200000,
    300000, 500000, 750000, 1000000, 2000000, 5000000, 10000000, 30000000, 60000000,
};
#define BOUNDS ((int) (sizeof bounds_us / sizeof bounds_us[0]))
#define OTHER (METRIC_SERIES_MAX - 1)

struct histogram {
    _Atomic int64_t sum_us;
    _Atomic int64_t buckets[BOUNDS + 1]; /* the last one has no upper bound */
};

struct row {
    _Atomic int count; /* series in use */
    char *labels[METRIC_SERIES_MAX];
    _Atomic int64_t values[METRIC_SERIES_MAX];
    struct histogram *histograms; /* METRIC_SERIES_MAX of them; NULL for other kinds */
};

struct metrics {
    pthread_mutex_t lock; /* making series */
    struct row rows[METRIC_COUNT];
};

struct metrics *metrics_open(void)
{
    struct metrics *m = mem_zalloc(1, sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
    for (int id = 0; id < METRIC_COUNT; id++) {
        if (facts[id].kind == METRIC_HISTOGRAM)
            m->rows[id].histograms = mem_zalloc(METRIC_SERIES_MAX, sizeof *m->rows[id].histograms);
        if (!facts[id].label[0])
            atomic_store(&m->rows[id].count, 1);
    }
    return m;
}

void metrics_close(struct metrics *m)
{
    if (!m)
        return;
    for (int id = 0; id < METRIC_COUNT; id++) {
        for (int series = 0; series < METRIC_SERIES_MAX; series++)
            free(m->rows[id].labels[series]);
        free(m->rows[id].histograms);
    }
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static int find_or_make(struct row *row, struct str label_value)
{
    int count = atomic_load(&row->count);
    for (int series = 0; series < count; series++)
        if (str_is(label_value, row->labels[series]))
            return series;
    if (count >= OTHER) {
        if (count == OTHER) {
            row->labels[OTHER] = mem_strdup("other");
            atomic_store(&row->count, METRIC_SERIES_MAX);
        }
        return OTHER;
    }
    row->labels[count] = mem_strndup(label_value);
    atomic_store(&row->count, count + 1);
    return count;
}

int metric_series(struct metrics *m, enum metric_id id, struct str label_value)
{
    if (!m || !facts[id].label[0])
        return 0;
    pthread_mutex_lock(&m->lock);
    int series = find_or_make(&m->rows[id], label_value);
    pthread_mutex_unlock(&m->lock);
    return series;
}

static bool is_series(const struct metrics *m, int series)
{
    return m && series >= 0 && series < METRIC_SERIES_MAX;
}

void metric_add(struct metrics *m, enum metric_id id, int series, int64_t n)
{
    if (is_series(m, series))
        atomic_fetch_add_explicit(&m->rows[id].values[series], n, memory_order_relaxed);
}

void metric_set(struct metrics *m, enum metric_id id, int series, int64_t value)
{
    if (is_series(m, series))
        atomic_store_explicit(&m->rows[id].values[series], value, memory_order_relaxed);
}

/* C11 has no atomic load from a const object, though a load changes nothing. */
static int64_t load(const _Atomic int64_t *value)
{
    return atomic_load_explicit((_Atomic int64_t *) (uintptr_t) value, memory_order_relaxed);
}

static int series_count(const struct row *row)
{
    return atomic_load((_Atomic int *) (uintptr_t) &row->count);
}

int64_t metric_get(const struct metrics *m, enum metric_id id, int series)
{
    return is_series(m, series) ? load(&m->rows[id].values[series]) : 0;
}

void metric_observe(struct metrics *m, enum metric_id id, int series, int64_t us)
{
    if (!is_series(m, series) || !m->rows[id].histograms)
        return;
    struct histogram *h = &m->rows[id].histograms[series];
    int low = 0, high = BOUNDS; /* the first bound >= us, BOUNDS when none is */
    while (low < high) {
        int middle = (low + high) / 2;
        if (bounds_us[middle] >= us)
            high = middle;
        else
            low = middle + 1;
    }
    atomic_fetch_add_explicit(&h->sum_us, us, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->buckets[low], 1, memory_order_relaxed);
}

/* A copy of the buckets; returns their sum. */
static int64_t read_buckets(const struct histogram *h, int64_t out[BOUNDS + 1])
{
    int64_t count = 0;
    for (int at = 0; at <= BOUNDS; at++)
        count += out[at] = load(&h->buckets[at]);
    return count;
}

int64_t metric_quantile_us(const struct metrics *m, enum metric_id id, int series, double q)
{
    int64_t buckets[BOUNDS + 1], seen = 0;
    if (!is_series(m, series) || !m->rows[id].histograms)
        return 0;
    int64_t count = read_buckets(&m->rows[id].histograms[series], buckets);
    if (!count)
        return 0;
    double wanted = q * (double) count;
    for (int at = 0; at < BOUNDS; at++) {
        seen += buckets[at];
        if (seen && (double) seen >= wanted)
            return bounds_us[at];
    }
    return bounds_us[BOUNDS - 1];
}

/* ---- writing ---- */

static bool in_seconds(enum metric_id id)
{
    static const char end[] = "_seconds";
    size_t len = strlen(facts[id].name), end_len = sizeof end - 1;
    return len > end_len && strcmp(facts[id].name + len - end_len, end) == 0;
}

static void add_seconds(struct buf *out, int64_t us)
{
    uint64_t size = us < 0 ? 0 - (uint64_t) us : (uint64_t) us;
    buf_addf(out, "%s%" PRIu64, us < 0 ? "-" : "", size / 1000000);
    if (size % 1000000) {
        buf_addf(out, ".%06" PRIu64, size % 1000000);
        while (out->len && out->p[out->len - 1] == '0')
            out->p[--out->len] = 0;
    }
}

/* Text after a backslash escape of what the format gives meaning to; bytes that are no UTF-8 are
 * replaced, since one such label would make the whole page unreadable. */
static void add_escaped(struct buf *out, const char *text, bool quote)
{
    struct buf json = BUF_INIT;
    buf_add_json(&json, str_of(text)); /* makes it UTF-8; its other escapes are undone below */
    for (size_t at = 1; at + 1 < json.len; at++) {
        char c = json.p[at];
        if (c != '\\') {
            buf_add_char(out, c);
            continue;
        }
        c = json.p[++at];
        if (c == 'n')
            buf_add_text(out, "\\n");
        else if (c == '"')
            buf_add_text(out, quote ? "\\\"" : "\"");
        else if (c == '\\')
            buf_add_text(out, "\\\\");
        else if (c == 'u')
            buf_add_char(out, '?'), at += 4; /* a control character */
        else
            buf_add_char(out, c == '/' ? '/' : '?');
    }
    buf_free(&json);
}

/* "name_suffix{label="value",le="bound"} " */
static void add_sample(struct buf *out, enum metric_id id, const char *suffix, const char *value,
                       const char *le)
{
    const struct fact *fact = &facts[id];
    buf_addf(out, "%s%s", fact->name, suffix);
    if (fact->label[0] || le)
        buf_add_char(out, '{');
    if (fact->label[0]) {
        buf_addf(out, "%s=\"", fact->label);
        add_escaped(out, value, true);
        buf_add_char(out, '"');
    }
    if (le)
        buf_addf(out, "%sle=\"%s\"", fact->label[0] ? "," : "", le);
    buf_add_text(out, fact->label[0] || le ? "} " : " ");
}

static void write_histogram(struct buf *out, enum metric_id id, const char *value,
                            const struct histogram *h)
{
    int64_t buckets[BOUNDS + 1], below = 0;
    int64_t sum_us = load(&h->sum_us), count = read_buckets(h, buckets);
    struct buf le = BUF_INIT;
    for (int at = 0; at < BOUNDS; at++) {
        below += buckets[at];
        buf_reset(&le);
        add_seconds(&le, bounds_us[at]);
        add_sample(out, id, "_bucket", value, le.p);
        buf_addf(out, "%" PRId64 "\n", below);
    }
    add_sample(out, id, "_bucket", value, "+Inf");
    buf_addf(out, "%" PRId64 "\n", count);
    add_sample(out, id, "_sum", value, NULL);
    add_seconds(out, sum_us);
    buf_add_char(out, '\n');
    add_sample(out, id, "_count", value, NULL);
    buf_addf(out, "%" PRId64 "\n", count);
    buf_free(&le);
}

static void write_row(struct buf *out, enum metric_id id, const struct row *row)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    buf_addf(out, "# HELP %s ", facts[id].name);
    add_escaped(out, facts[id].help, false);
    buf_addf(out, "\n# TYPE %s %s\n", facts[id].name, kinds[facts[id].kind]);
    int count = series_count(row);
    for (int series = 0; series < count; series++) {
        const char *value = row->labels[series] ? row->labels[series] : "";
        if (row->histograms) {
            write_histogram(out, id, value, &row->histograms[series]);
            continue;
        }
        add_sample(out, id, "", value, NULL);
        if (in_seconds(id))
            add_seconds(out, load(&row->values[series]));
        else
            buf_addf(out, "%" PRId64, load(&row->values[series]));
        buf_add_char(out, '\n');
    }
}

void metrics_write(const struct metrics *m, struct buf *out)
{
    for (int id = 0; m && id < METRIC_COUNT; id++)
        write_row(out, (enum metric_id) id, &m->rows[id]);
}

const char *metric_name(enum metric_id id)
{
    return facts[id].name;
}

const char *metric_help(enum metric_id id)
{
    return facts[id].help;
}

enum metric_kind metric_row_kind(enum metric_id id)
{
    return facts[id].kind;
}

const char *metric_label(enum metric_id id)
{
    return facts[id].label;
}
