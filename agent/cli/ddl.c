/* SPDX-License-Identifier: Apache-2.0
 *
 * `tailrace ddl`: install or remove the event trigger that tells of altered tables, or print the SQL for it.
 */
#include <stdio.h>

#include "agent/cli/cli.h"
#include "agent/cli/config.h"
#include "agent/source/ddl_script.h"

static int print_script(struct cli *c, const struct config *config, struct err *e)
{
    struct buf sql = BUF_INIT;
    int rc = 0;
    if (cli_flag(c, "remove")) {
        ddl_script_remove(config, &sql);
    } else {
        PGconn *pg = pg_connect(c->env, config->source.postgres, PG_SQL, "ddl", e);
        rc = pg ? ddl_script_install(c->env, pg, config, &sql, e) : -1;
        PQfinish(pg);
    }
    if (!rc)
        printf("-- for a superuser of the source database: psql --single-transaction -v ON_ERROR_STOP=1 -f FILE\n%s", sql.p);
    buf_free(&sql);
    return rc;
}

int cmd_ddl(struct cli *c, struct err *e)
{
    bool script = strcmp(c->args[0], "script") == 0, install = strcmp(c->args[0], "install") == 0;
    if (!script && cli_flag(c, "remove"))
        return err_set(e, E_USAGE, "--remove goes with script");
    struct config *config = cli_config(c, e);
    if (!config)
        return -1;
    int rc = script ? print_script(c, config, e) : source_ddl(c->env, config, install, e);
    if (!rc && !script)
        printf("event triggers tailrace_ddl_%s and tailrace_ddl_%s_drop: %s\n", config->name, config->name, install ? "installed" : "removed");
    config_free(config);
    return rc;
}
