/* SPDX-License-Identifier: Apache-2.0
 *
 * The status of a running tailrace as text for people: one line, or a screen in the order in which
 * a DBA asks: is the data safe, how late is it, what is stuck.
 *
 * Pure: status JSON (the answer to {"cmd":"status"}) in, text out, no clock. What is missing or of
 * another type in the JSON reads as 0 or "". Text that came from elsewhere is printed without control characters.
 */
#ifndef TR_CLI_STATUS_H
#define TR_CLI_STATUS_H

#include "agent/base/err.h"

/* The sample before, for rates; {0} before the first. Each call of status_line or status_screen
 * replaces it. */
struct status_past {
    double uptime_s;
    double rows;
    double rate; /* rows a second between the last two samples; kept when they are the same */
};

/* "12:00:01 streaming  lag 1.2 ms (p99 3.4 ms)  rows 12345 (+1020/s)  bus 1.2 MB  slot keeps 16 MB
 * parked 0" without a newline; wall_us (microseconds since 1970) is shown as local time. The lag
 * is that of the route that is most behind. What is wrong is added at the end. */
void status_line(struct str status_json, int64_t wall_us, struct status_past *past,
                 struct buf *out);

/* Lines that end in newlines; with color the bad ones are red. */
void status_screen(struct str status_json, struct status_past *past, bool color, struct buf *out);

struct json_t;
/* A line, with a bar, for each snapshot of the list; nothing for an empty one. */
void status_add_snapshots(struct buf *out, const struct json_t *snapshots);

/* 0, 1 when source, bus or a route failed, 4 when rows are parked. */
int status_exit_code(struct str status_json);

/* Ask the process on this state directory for its status JSON. An answer that says no becomes an
 * error with its message. */
int status_ask(const char *state, struct buf *json, struct err *e) MUST_CHECK;

#endif
