/* SPDX-License-Identifier: Apache-2.0
 *
 * One probe for every replication between two PostgreSQL servers: how long after its commit a row can be seen.
 *
 * A writer thread commits single-row transactions at a steady rate on the source and notes when each commit was
 * answered. The reader polls the target by primary key, without sleeping, for the first row it has not
 * seen yet and notes when it came. The probe knows nothing of what copies the rows, so tailrace and a subscription of
 * PostgreSQL itself are measured alike. The writer keeps to a schedule of absolute times: a stall of the source makes
 * it late, never slower, and that is told (late_ms_max).
 *
 * Prints name=value lines: p50_ms, p99_ms, max_ms, mean_ms, rows, rate, late_ms_max. Exit 1 when a row never came.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROWS_MAX 10000000 /* bounds the two arrays of times: 160 MB */

struct probe {
    const char *source, *target, *table, *sync;
    int64_t rate, seconds, warm_seconds, wait_seconds;
    int64_t rows;                  /* to write: rate * (warm + seconds) */
    int64_t *committed_ns, *seen_ns; /* by row number, from 1 */
    _Atomic int64_t written;       /* rows whose committed_ns is set */
    _Atomic bool failed;
    int64_t late_ns_max;           /* of the writer, read after it was joined */
};

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void sleep_until(int64_t at_ns) {
    struct timespec t = {.tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
        ;
}

/* A connection with one prepared statement named p; NULL after saying why. */
static PGconn *probe_connect(const char *dsn, const char *sync, const char *sql) {
    PGconn *c = PQconnectdb(dsn);
    if (PQstatus(c) != CONNECTION_OK) {
        fprintf(stderr, "probe: %s", PQerrorMessage(c));
        PQfinish(c);
        return NULL;
    }
    char set[128];
    snprintf(set, sizeof set, "SET synchronous_commit = %s", sync);
    PGresult *r = PQexec(c, set);
    bool good = PQresultStatus(r) == PGRES_COMMAND_OK;
    PQclear(r);
    if (good) {
        r = PQprepare(c, "p", sql, 1, NULL);
        good = PQresultStatus(r) == PGRES_COMMAND_OK;
        PQclear(r);
    }
    if (good) return c;
    fprintf(stderr, "probe: %s", PQerrorMessage(c));
    PQfinish(c);
    return NULL;
}

/* Run p with a number; the first value of the answer as a number, 0 without rows, -1 after an error. */
static int64_t probe_call(PGconn *c, int64_t number) {
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, number);
    const char *values[1] = {text};
    PGresult *r = PQexecPrepared(c, "p", 1, values, NULL, NULL, 0);
    int64_t out = -1;
    if (PQresultStatus(r) == PGRES_COMMAND_OK) out = 0;
    if (PQresultStatus(r) == PGRES_TUPLES_OK)
        out = PQntuples(r) ? strtoll(PQgetvalue(r, 0, 0), NULL, 10) : 0;
    if (out < 0) fprintf(stderr, "probe: %s", PQerrorMessage(c));
    PQclear(r);
    return out;
}

static void *writer_run(void *self) {
    struct probe *p = self;
    char sql[256];
    snprintf(sql, sizeof sql, "INSERT INTO %s VALUES ($1::bigint, 'probe')", p->table);
    PGconn *c = probe_connect(p->source, p->sync, sql);
    if (!c) atomic_store(&p->failed, true);
    int64_t start = now_ns();
    for (int64_t n = 1; n <= p->rows && !atomic_load(&p->failed); n++) {
        int64_t due = start + n * 1000000000 / p->rate;
        if (due > now_ns()) sleep_until(due);
        int64_t late = now_ns() - due;
        if (late > p->late_ns_max) p->late_ns_max = late;
        if (probe_call(c, n) < 0) atomic_store(&p->failed, true);
        p->committed_ns[n] = now_ns();
        atomic_store(&p->written, n);
    }
    PQfinish(c);
    return NULL;
}

/* Rows become visible in the order of their commits, so the highest one that is there stands for all below it. */
static void reader_run(struct probe *p) {
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT id FROM %s WHERE id >= $1::bigint ORDER BY id DESC LIMIT 1", p->table);
    PGconn *c = probe_connect(p->target, p->sync, sql);
    if (!c) atomic_store(&p->failed, true);
    int64_t next = 1, moved_ns = now_ns();
    while (next <= p->rows && !atomic_load(&p->failed)) {
        int64_t top = probe_call(c, next), at = now_ns();
        if (top < 0) atomic_store(&p->failed, true);
        if (top >= next) moved_ns = at;
        for (; next <= top && next <= p->rows; next++) p->seen_ns[next] = at;
        if (at - moved_ns > p->wait_seconds * 1000000000) {
            fprintf(stderr, "probe: row %" PRId64 " did not come within %" PRId64 " s\n", next, p->wait_seconds);
            atomic_store(&p->failed, true);
        }
    }
    PQfinish(c);
}

static int compare_ns(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void report(struct probe *p) {
    int64_t first = p->rate * p->warm_seconds + 1, count = p->rows - first + 1, sum = 0;
    int64_t *took = p->seen_ns + first;
    for (int64_t i = 0; i < count; i++) {
        /* The target may show a row before the source's answer has reached the writer. */
        took[i] -= p->committed_ns[first + i];
        if (took[i] < 0) took[i] = 0;
        sum += took[i];
    }
    double seconds = (double)(p->committed_ns[p->rows] - p->committed_ns[first]) / 1e9;
    qsort(took, (size_t)count, sizeof *took, compare_ns);
    printf("p50_ms=%.3f\np99_ms=%.3f\nmax_ms=%.3f\nmean_ms=%.3f\nrows=%" PRId64 "\nrate=%.0f\nlate_ms_max=%.3f\n",
           (double)took[count / 2] / 1e6, (double)took[count * 99 / 100] / 1e6, (double)took[count - 1] / 1e6,
           (double)sum / (double)count / 1e6, count, seconds > 0 ? (double)(count - 1) / seconds : 0,
           (double)p->late_ns_max / 1e6);
}

/* A number in [low, high], or the end of the program. */
static int64_t number_read(const char *name, const char *text, int64_t low, int64_t high) {
    char *end = NULL;
    int64_t n = strtoll(text, &end, 10);
    if (end != text && *end == '\0' && n >= low && n <= high) return n;
    fprintf(stderr, "probe: %s wants a number from %" PRId64 " to %" PRId64 "\n", name, low, high);
    exit(2);
}

static bool option_read(struct probe *p, const char *name, const char *text) {
    if (!strcmp(name, "--source")) p->source = text;
    else if (!strcmp(name, "--target")) p->target = text;
    else if (!strcmp(name, "--table")) p->table = text;
    else if (!strcmp(name, "--sync")) p->sync = text;
    else if (!strcmp(name, "--rate")) p->rate = number_read(name, text, 1, 100000);
    else if (!strcmp(name, "--seconds")) p->seconds = number_read(name, text, 1, 3600);
    else if (!strcmp(name, "--warm")) p->warm_seconds = number_read(name, text, 0, 600);
    else if (!strcmp(name, "--wait")) p->wait_seconds = number_read(name, text, 1, 600);
    else return false;
    return true;
}

int main(int argc, char **argv) {
    struct probe p = {.table = "lat", .sync = "on", .rate = 1000, .seconds = 10, .warm_seconds = 1, .wait_seconds = 30};
    bool good = argc % 2 == 1;
    for (int i = 1; good && i + 1 < argc; i += 2) good = option_read(&p, argv[i], argv[i + 1]);
    p.rows = p.rate * (p.seconds + p.warm_seconds);
    if (!good || !p.source || !p.target || p.rows > ROWS_MAX) {
        fprintf(stderr, "usage: probe --source DSN --target DSN [--table T] [--sync on] [--rate 1000] [--seconds 10]"
                        " [--warm 1] [--wait 30]\nThe table: (id bigint primary key, note text), empty, on both.\n");
        return 2;
    }
    p.committed_ns = calloc((size_t)p.rows + 1, sizeof *p.committed_ns);
    p.seen_ns = calloc((size_t)p.rows + 1, sizeof *p.seen_ns);
    pthread_t writer;
    if (!p.committed_ns || !p.seen_ns || pthread_create(&writer, NULL, writer_run, &p) != 0) {
        fprintf(stderr, "probe: no memory or thread\n");
        return 1;
    }
    reader_run(&p);
    pthread_join(writer, NULL);
    bool failed = atomic_load(&p.failed);
    if (!failed) report(&p);
    free(p.committed_ns);
    free(p.seen_ns);
    return failed ? 1 : 0;
}
