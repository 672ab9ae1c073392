/* SPDX-License-Identifier: Apache-2.0
 * agent/http/notify: what a service manager hears, on a socket of our own. */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/http/notify.h"

static int fd;
static struct sockaddr_un address;

static void setup(void)
{
    struct timeval limit = {.tv_usec = 200000};
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/tailrace-notify-%d", (int) getpid());
    unlink(address.sun_path);
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
}

static void teardown(void)
{
    close(fd);
    unlink(address.sun_path);
}

static void hear(const char *want)
{
    char got[1024] = "";
    ssize_t n = recv(fd, got, sizeof got - 1, 0);
#ifdef HAVE_SYSTEMD
    ck_assert_msg(n >= 0 && strcmp(got, want) == 0, "%s, not %s", got, want);
#else
    (void) want;
    ck_assert_int_lt(n, 0);
#endif
}

START_TEST(words_of_the_protocol)
{
    notify_ready();
    hear("READY=1");
    notify_status("lag %d ms\nREADY=1", 3);
    hear("STATUS=lag 3 ms READY=1");
    notify_reloading();
    hear("RELOADING=1");
    notify_stopping(30000);
    hear("STOPPING=1");
    hear("EXTEND_TIMEOUT_USEC=30000000");
}
END_TEST

START_TEST(the_watchdog_hears_only_loops_that_turn)
{
    char got[64];
    notify_watchdog(false);
    ck_assert_int_lt(recv(fd, got, sizeof got, 0), 0);
    notify_watchdog(true);
    hear("WATCHDOG=1");
    unsetenv("WATCHDOG_USEC");
    ck_assert_int_eq(notify_watchdog_ms(), 0);
#ifdef HAVE_SYSTEMD
    setenv("WATCHDOG_USEC", "10000000", 1);
    ck_assert_int_eq(notify_watchdog_ms(), 5000);
#endif
}
END_TEST

START_TEST(outside_a_unit_nothing_happens)
{
    unsetenv("NOTIFY_SOCKET");
    notify_ready();
    notify_status("x");
    char got[64];
    ck_assert_int_lt(recv(fd, got, sizeof got, 0), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("notify");
    TCase *t = tcase_create("notify");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, words_of_the_protocol);
    tcase_add_test(t, the_watchdog_hears_only_loops_that_turn);
    tcase_add_test(t, outside_a_unit_nothing_happens);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
