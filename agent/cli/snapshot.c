/* SPDX-License-Identifier: Apache-2.0
 *
 * `tailrace snapshot`: ask the running process to read tables again, and show how far it is.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/cli/answer.h"
#include "agent/cli/cli.h"
#include "agent/cli/config.h"
#include "agent/cli/status.h"

#define WAIT_MS 40000

static void add_text(struct buf *out, const char *name, const char *text)
{
    buf_addf(out, ",\"%s\":", name);
    if (text && *text)
        buf_add_json(out, str_of(text));
    else
        buf_add_text(out, "null");
}

static int list(struct cli *c, const struct config *config, struct err *e)
{
    struct buf text = BUF_INIT;
    json_t *got = answer_ask(config->state, STR("{\"cmd\":\"snapshot.list\"}"), WAIT_MS, e);
    if (!got)
        return -1;
    json_t *snapshots = json_object_get(got, "snapshots");
    if (cli_flag(c, "json")) {
        char *json = json_dumps(snapshots, JSON_COMPACT | JSON_PRESERVE_ORDER);
        printf("{\"version\":1,\"snapshots\":%s}\n", json ? json : "[]");
        free(json);
    } else {
        status_add_snapshots(&text, snapshots);
        fputs(text.len ? text.p : "no snapshot is under way\n", stdout);
    }
    json_decref(got);
    buf_free(&text);
    return 0;
}

static int change(struct cli *c, const struct config *config, struct err *e)
{
    struct buf request = BUF_INIT;
    buf_add_text(&request, "{\"cmd\":\"snapshot\"");
    add_text(&request, "verb", c->arg_count > 1 ? c->args[1] : "start");
    add_text(&request, "table", c->args[0]);
    add_text(&request, "where", cli_flag(c, "where"));
    buf_add_char(&request, '}');
    json_t *got = answer_ask(config->state, buf_str(&request), WAIT_MS, e);
    buf_free(&request);
    if (!got)
        return -1;
    const char *report = json_string_value(json_object_get(got, "report"));
    fputs(report ? report : "", stdout);
    json_decref(got);
    return 0;
}

int cmd_snapshot(struct cli *c, struct err *e)
{
    const char *where = cli_flag(c, "where");
    if (where && *where && c->arg_count != 1)
        return err_set(e, E_USAGE, "--where goes with a table to begin with");
    struct config *config = cli_config(c, e);
    if (!config)
        return -1;
    int result = !c->arg_count || cli_flag(c, "status") ? list(c, config, e) : change(c, config, e);
    config_free(config);
    return result;
}
