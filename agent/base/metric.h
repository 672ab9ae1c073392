/* SPDX-License-Identifier: Apache-2.0
 *
 * Metrics: one row of metrics.def each, written from any thread, read without stopping anyone.
 *
 * A metric has at most METRIC_SERIES_MAX series, told apart by one label value (route, table,
 * target, reason); a series is made once by metric_series and then addressed by number, so that a write is one
 * atomic add. Series past the limit fall into the series "other" (slot METRIC_SERIES_MAX - 1).
 * Histograms have the fixed upper bounds of metric.c (100 us to 60 s, in seconds when written out).
 * Every function takes NULL for the metrics and then does nothing or returns 0, so that a part
 * under test needs none.
 */
#ifndef TR_BASE_METRIC_H
#define TR_BASE_METRIC_H

#include "agent/base/str.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum metric_id {
#define METRIC(id, kind, name, label, help) id,
#include "agent/metrics.def"
#undef METRIC
    METRIC_COUNT
};

#define METRIC_SERIES_MAX 64

struct metrics;

/* All rows at zero, to be given back by metrics_close once nobody writes. */
struct metrics *metrics_open(void);
void metrics_close(struct metrics *m);

/* The number of the series with this label value, made when new; series 0 is the one without a
 * label, for rows whose label is "". Takes a lock: call it once, keep the number. */
int metric_series(struct metrics *m, enum metric_id id, struct str label_value);

/* Counters and gauges. Values are integers; rows whose name ends in _seconds are kept in
 * microseconds and written out as seconds. */
void metric_add(struct metrics *m, enum metric_id id, int series, int64_t n);
void metric_set(struct metrics *m, enum metric_id id, int series, int64_t value);
int64_t metric_get(const struct metrics *m, enum metric_id id, int series);

/* Histograms: one observation in microseconds. */
void metric_observe(struct metrics *m, enum metric_id id, int series, int64_t us);
/* The upper bound in microseconds of the bucket that holds quantile q (0..1); 0 when empty, the
 * highest bound for what lies above it. */
int64_t metric_quantile_us(const struct metrics *m, enum metric_id id, int series, double q);

/* All metrics in Prometheus text format 0.0.4. */
void metrics_write(const struct metrics *m, struct buf *out);

/* Facts of the row, for docs. */
const char *metric_name(enum metric_id id);
const char *metric_help(enum metric_id id);
enum metric_kind metric_row_kind(enum metric_id id);
const char *metric_label(enum metric_id id);

#endif
