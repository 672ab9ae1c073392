/* SPDX-License-Identifier: Apache-2.0
 *
 * tailrace config check|print|schema. Faults and warnings go to standard error, the rest is data.
 */
#include <stdio.h>
#include <string.h>

#include "agent/cli/cli.h"
#include "agent/cli/config.h"

int cmd_config(struct cli *c, struct err *e)
{
    struct buf out = BUF_INIT;
    if (strcmp(c->args[0], "schema") == 0) {
        config_schema(&out);
    } else {
        struct config *config = cli_config(c, e);
        if (!config) {
            if (strstr(e->msg, " fault")) /* they are on the screen, and say all */
                (void) err_hint(e, "docs/options.md, or man tailrace.yaml, lists the options");
            return -1;
        }
        if (strcmp(c->args[0], "print") == 0)
            config_print(config, &out);
        else
            buf_addf(&out, "%s: ok\n", config->path);
        config_free(config);
    }
    fwrite(out.p, 1, out.len, stdout);
    buf_free(&out);
    return 0;
}
