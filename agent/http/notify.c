/* SPDX-License-Identifier: Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "agent/http/notify.h"

#include <inttypes.h>
#include <stdio.h>

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>

static void tell(const char *text)
{
    (void) sd_notify(0, text);
}

int64_t notify_watchdog_ms(void)
{
    uint64_t us = 0;
    return sd_watchdog_enabled(0, &us) > 0 ? (int64_t) (us / 2000) : 0;
}
#else
static void tell(const char *text)
{
    (void) text;
}

int64_t notify_watchdog_ms(void)
{
    return 0;
}
#endif

void notify_ready(void)
{
    tell("READY=1");
}

void notify_status(const char *fmt, ...)
{
    char text[512] = "STATUS=";
    size_t start = strlen(text);
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text + start, sizeof text - start, fmt, args);
    va_end(args);
    if (len < 0)
        return;
    for (char *at = text; *at; at++)
        if (*at == '\n') /* a line of its own would be another word of the protocol */
            *at = ' ';
    tell(text);
}

void notify_watchdog(bool loops_turn)
{
    if (loops_turn)
        tell("WATCHDOG=1");
}

void notify_reloading(void)
{
    tell("RELOADING=1");
}

void notify_extend(int64_t ms)
{
    char text[64];
    snprintf(text, sizeof text, "EXTEND_TIMEOUT_USEC=%" PRId64, ms * 1000);
    tell(text);
}

void notify_stopping(int64_t drain_ms)
{
    tell("STOPPING=1");
    notify_extend(drain_ms);
}
