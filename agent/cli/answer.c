/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cli/answer.h"

#include "agent/http/http.h"

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
    (void) err_set(e, found, "%s", message ? message : "tailrace gave an answer that is not understood");
    return hint ? err_hint(e, "%s", hint) : -1;
}

json_t *answer_ask(const char *state, struct str request, int64_t wait_ms, struct err *e)
{
    struct buf answer = BUF_INIT;
    json_t *got = NULL;
    if (!control_ask(state, request, wait_ms, &answer, e)) {
        got = json_loadb(answer.p ? answer.p : "", answer.len, 0, NULL);
        if (!json_is_true(json_object_get(got, "ok"))) {
            (void) refused(got, e);
            json_decref(got);
            got = NULL;
        }
    }
    buf_free(&answer);
    return got;
}
