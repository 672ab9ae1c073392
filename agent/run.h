/* SPDX-License-Identifier: Apache-2.0
 *
 * A running tailrace: opens the parts, connects them, runs their threads, drains. Used by
 * `tailrace run`; holds the only state that threads share.
 */
#ifndef TR_RUN_H
#define TR_RUN_H

#include "agent/base/config.h"
#include "agent/base/env.h"

/* Run until SIGTERM or SIGINT (drain, a second one ends at once) or until a person is needed; SIGHUP
 * reloads path in two phases. 0, or -1 with the reason. Takes over config. */
struct run_wish {
    bool live;    /* draw the lag on stdout */
    bool standby; /* while another process has the state directory: wait, and take over when it ends */
};
int run_agent(struct env *env, struct config *config, const struct run_wish *wish, struct err *e) MUST_CHECK;

#endif
