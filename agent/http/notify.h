/* SPDX-License-Identifier: Apache-2.0
 *
 * Words to the service manager (systemd's notify protocol). Without libsystemd, and outside a unit
 * with Type=notify, every function does nothing. Never fails: a manager that does not listen is no
 * reason to stop. Any thread.
 */
#ifndef TR_HTTP_NOTIFY_H
#define TR_HTTP_NOTIFY_H

#include "agent/base/str.h"

/* READY=1: prepared, or a reload is over. */
void notify_ready(void);

/* One line for `systemctl status`. */
void notify_status(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* How often notify_watchdog wants to be called at least, in ms (half of WatchdogSec); 0 when the
 * unit has no watchdog. */
int64_t notify_watchdog_ms(void);

/* WATCHDOG=1, only when the data loops turned: with false the manager's time runs out. */
void notify_watchdog(bool loops_turn);

/* RELOADING=1; notify_ready ends it. */
void notify_reloading(void);

/* STOPPING=1, and that the drain may take this long. */
void notify_stopping(int64_t drain_ms);

/* EXTEND_TIMEOUT_USEC: start or stop takes up to ms more from now (a long first copy, a drain). */
void notify_extend(int64_t ms);

#endif
