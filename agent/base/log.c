/* SPDX-License-Identifier: Apache-2.0
 *
 * A line is held back when the same part said a line from the same format string less than HOLD_US
 * ago. The table of recent formats is small and fixed: a format that falls out of it is merely
 * written again.
 */
#include "agent/base/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/arena.h"

#define HOLD_US INT64_C(10000000)
#define RECENT_MAX 64

#define TEXT_MAX 2048

struct recent {
    const char *fmt;
    char part[48];
    int64_t since_us; /* when it was last written */
    unsigned held;    /* held back since */
    char last[160];   /* the last one of these, or its beginning */
};

struct log {
    pthread_mutex_t lock;
    int fd;
    const struct clock *clock;
    _Atomic int level, format;
    struct recent recent[RECENT_MAX];
    unsigned next; /* the recent to reuse */
    struct buf line;
};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

struct log *log_open(int fd, const struct clock *clock)
{
    struct log *l = mem_zalloc(1, sizeof *l);
    pthread_mutex_init(&l->lock, NULL);
    l->fd = fd;
    l->clock = clock;
    l->level = LOG_LEVEL_INFO;
    return l;
}

void log_close(struct log *l)
{
    if (!l)
        return;
    log_flush(l);
    pthread_mutex_destroy(&l->lock);
    buf_free(&l->line);
    free(l);
}

void log_configure(struct log *l, enum log_level level, enum log_format format)
{
    atomic_store(&l->level, level);
    atomic_store(&l->format, format);
}

static void add_time(struct buf *out, int64_t wall_us)
{
    time_t seconds = (time_t) (wall_us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    buf_addf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
             tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int) (wall_us / 1000 % 1000));
}

/* Write one whole line; a reader that is gone must not end us, so failures are let go. */
static void write_line(struct log *l, enum log_level level, const char *part, struct str text)
{
    struct buf *line = &l->line;
    buf_reset(line);
    if (l->format == LOG_FORMAT_JSON) {
        buf_add_text(line, "{\"time\":\"");
        add_time(line, clock_wall_us(l->clock));
        buf_addf(line, "\",\"level\":\"%s\",\"part\":", level_names[level]);
        buf_add_json(line, str_of(part));
        buf_add_text(line, ",\"msg\":");
        buf_add_json(line, text);
        buf_add_text(line, "}\n");
    } else {
        add_time(line, clock_wall_us(l->clock));
        buf_addf(line, " %-5s %s: %.*s\n", level_names[level], part, STR_ARG(text));
    }
    for (size_t at = 0; at < line->len;) {
        ssize_t n = write(l->fd, line->p + at, line->len - at);
        if (n <= 0)
            break;
        at += (size_t) n;
    }
}

static void tell_held(struct log *l, struct recent *r)
{
    char text[256];
    if (!r->held)
        return;
    int len = snprintf(text, sizeof text, "held back %u more lines like this in %lld s, the last: %s", r->held,
                       (long long) ((clock_mono_us(l->clock) - r->since_us) / 1000000), r->last);
    r->held = 0;
    write_line(l, LOG_LEVEL_INFO, r->part, (struct str){text, (size_t) len});
}

static struct recent *find_recent(struct log *l, const char *part, const char *fmt)
{
    for (unsigned at = 0; at < RECENT_MAX; at++)
        if (l->recent[at].fmt == fmt && strncmp(l->recent[at].part, part, sizeof l->recent[at].part - 1) == 0)
            return &l->recent[at];
    struct recent *r = &l->recent[l->next++ % RECENT_MAX];
    tell_held(l, r);
    *r = (struct recent){.fmt = fmt, .since_us = INT64_MIN};
    snprintf(r->part, sizeof r->part, "%s", part);
    return r;
}

/* True when this line is to be held back. fmt is what makes lines alike. */
static bool hold_back(struct log *l, enum log_level level, const char *part, const char *fmt, const char *text)
{
    struct recent *r = find_recent(l, part, fmt);
    int64_t now_us = clock_mono_us(l->clock);
    if (level != LOG_LEVEL_ERROR && r->since_us != INT64_MIN && now_us - r->since_us < HOLD_US) {
        r->held++;
        snprintf(r->last, sizeof r->last, "%s", text);
        return true;
    }
    tell_held(l, r);
    r->since_us = now_us;
    return false;
}

/* key is what makes lines alike; NULL = none is like this one. */
static void write_text(struct log *l, enum log_level level, const char *part, const char *key, const char *text)
{
    pthread_mutex_lock(&l->lock);
    if (!key || !hold_back(l, level, part, key, text))
        write_line(l, level, part, str_of(text));
    pthread_mutex_unlock(&l->lock);
}

void log_line(struct log *l, enum log_level level, const char *part, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list args;
    if (!l || (int) level > atomic_load(&l->level))
        return;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (len >= 0)
        write_text(l, level, part, fmt, text);
}

void log_each(struct log *l, enum log_level level, const char *part, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list args;
    if (!l || (int) level > atomic_load(&l->level))
        return;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (len >= 0)
        write_text(l, level, part, NULL, text);
}

void log_err(struct log *l, const char *part, const struct err *e)
{
    enum log_level level = err_is_transient(e) ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR;
    const char *state = e->sqlstate[0] ? ", SQLSTATE " : "";
    /* The title as format key: errors of different kinds do not hold each other back. */
    pthread_mutex_lock(&l->lock);
    bool held = (int) level > l->level || hold_back(l, level, part, err_title(e->code), e->msg);
    if (!held) {
        char text[2048];
        int len = snprintf(text, sizeof text, "%s (%s%s%s); %s", e->msg, err_name(e->code), state,
                           e->sqlstate, e->hint);
        write_line(l, level, part, (struct str){text, len < (int) sizeof text ? (size_t) len : sizeof text - 1});
    }
    pthread_mutex_unlock(&l->lock);
}

void log_flush(struct log *l)
{
    pthread_mutex_lock(&l->lock);
    for (unsigned at = 0; at < RECENT_MAX; at++)
        if (l->recent[at].fmt)
            tell_held(l, &l->recent[at]);
    pthread_mutex_unlock(&l->lock);
}
