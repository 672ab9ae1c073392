/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines: text or JSON, levels, repeated lines held back and counted.
 *
 * One line an event, lower case, no full stop, one subject; never a column's value, never a
 * secret. A line with the same format string as one written less than 10 s ago by the same part is held
 * back and counted; the next one that is written, or log_flush, says how many. Errors (log_err)
 * print their sentence, then their hint, and are never held back at level error.
 * Safe from any thread.
 */
#ifndef TR_BASE_LOG_H
#define TR_BASE_LOG_H

#include "agent/base/clock.h"
#include "agent/base/err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log;

/* A log that writes whole lines to fd (not closed by log_close). Never fails. */
struct log *log_open(int fd, const struct clock *clock);
void log_close(struct log *l);

/* May be called while others log. */
void log_configure(struct log *l, enum log_level level, enum log_format format);

/* part names the speaker: "source", "bus", "target warehouse", ... */
void log_line(struct log *l, enum log_level level, const char *part, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
#define log_error(l, part, ...) log_line((l), LOG_LEVEL_ERROR, (part), __VA_ARGS__)
#define log_warn(l, part, ...) log_line((l), LOG_LEVEL_WARN, (part), __VA_ARGS__)
#define log_info(l, part, ...) log_line((l), LOG_LEVEL_INFO, (part), __VA_ARGS__)
#define log_debug(l, part, ...) log_line((l), LOG_LEVEL_DEBUG, (part), __VA_ARGS__)

/* The same for what has to be told each time it happens; never held back. */
void log_each(struct log *l, enum log_level level, const char *part, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* An error: "sentence (code)", its hint, its SQLSTATE. Transient ones log at warn. */
void log_err(struct log *l, const char *part, const struct err *e);

/* Say what was held back, now. */
void log_flush(struct log *l);

#endif
