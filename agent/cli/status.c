/* SPDX-License-Identifier: Apache-2.0
 *
 * `tailrace status`: one question over the control socket.
 */
#include "agent/cli/status.h"

#include <jansson.h>
#include <stdio.h>

#include "agent/cli/cli.h"
#include "agent/cli/config.h"
#include "agent/http/http.h"

#define ANSWER_WAIT_MS 5000

/* The answer of a process that says no, as our error: by the code that it names. */
static int refused(const json_t *answer, struct err *e)
{
    const json_t *error = json_object_get(answer, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *message = json_string_value(json_object_get(error, "message"));
    const char *hint = json_string_value(json_object_get(error, "hint"));
    enum err_code found = E_INTERNAL;
    for (int at = 1; code && at < ERR_CODES; at++)
        if (strcmp(err_name((enum err_code) at), code) == 0)
            found = (enum err_code) at;
    (void) err_set(e, found, "%s", message ? message : "tailrace gave an answer without a status");
    return hint ? err_hint(e, "%s", hint) : -1;
}

int status_ask(const char *state, struct buf *json, struct err *e)
{
    if (control_ask(state, STR("{\"cmd\":\"status\"}"), ANSWER_WAIT_MS, json, e) < 0)
        return -1;
    json_t *answer = json_loadb(json->p ? json->p : "", json->len, 0, NULL);
    int failed = json_is_true(json_object_get(answer, "ok")) ? 0 : refused(answer, e);
    json_decref(answer);
    return failed;
}

int cmd_status(struct cli *c, struct err *e)
{
    struct config *config = cli_config(c, e);
    struct buf json = BUF_INIT, out = BUF_INIT;
    int result = -1;
    if (!config)
        return -1;
    if (status_ask(config->state, &json, e) == 0) {
        if (cli_flag(c, "json")) {
            buf_add_str(&out, buf_str(&json));
            buf_add_char(&out, '\n');
        } else {
            status_screen(buf_str(&json), &(struct status_past){0}, false, &out);
        }
        result = status_exit_code(buf_str(&json));
        if (fwrite(out.p, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
            result = err_set(e, E_SYSTEM, "cannot write to standard output");
    }
    buf_free(&json);
    buf_free(&out);
    config_free(config);
    return result;
}
