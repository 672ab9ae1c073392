/* SPDX-License-Identifier: Apache-2.0
 *
 * tailrace run: load the configuration, hand over to the running process.
 */
#include "agent/run.h"

#include "agent/cli/cli.h"

static const char *const levels[] = {"error", "warn", "info", "debug"};

int cmd_run(struct cli *c, struct err *e)
{
    struct config *config = cli_config(c, e);
    if (!config)
        return -1;
    enum log_level level = LOG_LEVEL_INFO;
    for (int i = 0; i < 4; i++)
        if (strcmp(config->log_level, levels[i]) == 0)
            level = (enum log_level) i;
    log_configure(c->env->log, level,
                  strcmp(config->log_format, "json") == 0 ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
    const struct run_wish wish = {.live = cli_flag(c, "live") != NULL, .standby = cli_flag(c, "standby") != NULL};
    return run_agent(c->env, config, &wish, e);
}
