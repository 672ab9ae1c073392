/* SPDX-License-Identifier: Apache-2.0
 *
 * Wiring: makes what every part is lent (log, metrics, clock, the wish to stop) and hands over to
 * the command line. Signals belong to the commands that run for long.
 */
#include <config.h> /* the version of the package, see configure.ac */

#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/cli/cli.h"

/* Whoever started us may have closed a standard descriptor; then the first file that is opened, a
 * database of ours, would get what is written to it. */
static bool hold_standard_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    return fd >= 0 && close(fd) == 0;
}

/* Connection strings are in memory, so a crash writes no core. */
static bool forbid_cores(void)
{
    return setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) == 0;
}

int main(int argc, char **argv)
{
    if (!hold_standard_descriptors() || !forbid_cores()) {
        perror("tailrace");
        return 71;
    }
    struct env env = {
        .log = log_open(STDERR_FILENO, &clock_system),
        .metrics = metrics_open(),
        .clock = &clock_system,
        .stop = STOP_NONE,
        .stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    };
    if (env.stop_fd < 0) {
        perror("tailrace");
        return 71;
    }
    metric_set(env.metrics, M_BUILD_INFO,
               metric_series(env.metrics, M_BUILD_INFO, STR(PACKAGE_VERSION)), 1);
    int code = cli_main(&env, argc, argv);
    log_flush(env.log);
    log_close(env.log);
    metrics_close(env.metrics);
    close(env.stop_fd);
    return code;
}
