/* SPDX-License-Identifier: Apache-2.0
 *
 * Findings about the schema registry: each address by itself, and what the compatibility level makes of tables that
 * are altered.
 */
#include <string.h>

#include "agent/cli/check_registry.h"
#include "agent/net/http_client.h"
#include "schemas/registry_http.h"

static void add(const struct finding_out *out, enum finding_level level, const char *name, const struct err *e)
{
    out->add(out->self, level, e->code, name, e->msg, e->hint);
}

static void pass(const struct finding_out *out, const char *name, const char *sentence)
{
    out->add(out->self, FINDING_PASS, E_NONE, name, sentence, "");
}

/* What our schemas look like to the levels: added columns are optional fields, unless NOT NULL; dropped ones go. */
static void tell_level(const struct finding_out *out, const char *level)
{
    struct buf text = BUF_INIT;
    if (strcmp(level, "NONE") == 0) {
        pass(out, "registry_level", "compatibility level is NONE: tables may be altered in any way");
        return;
    }
    bool backward = strcmp(level, "BACKWARD") == 0;
    buf_addf(&text, "compatibility level is %s: the registry refuses the schema of a table %s", level,
             backward ? "whose column is added or becomes NOT NULL, or gets another type; added columns that may be NULL and dropped ones pass"
                      : "after more alterations than with BACKWARD, which refuses columns that are added or become NOT NULL, or get another type");
    out->add(out->self, backward ? FINDING_PASS : FINDING_WARN, backward ? E_NONE : E_SCHEMA_INCOMPATIBLE, "registry_level", text.p,
             "the source stops at such an alteration: lower the level (PUT /config), or set registry.on_incompatible: new_subject");
    buf_free(&text);
}

/* True when the address answered and let us in; its level is then in level. */
static bool check_address(const struct env *env, const struct config_registry *config, int at, const struct finding_out *out,
                          struct buf *level)
{
    struct err e = ERR_INIT;
    struct buf text = BUF_INIT, origin = BUF_INIT;
    buf_reset(level);
    int rc = registry_http_level(env, config, at, level, &e);
    bool reached = rc == 0 || e.class == ERR_AUTH;
    http_url_origin(config->url.items[at], &origin);
    buf_addf(&text, "registry %s answers", origin.p);
    if (reached)
        pass(out, "registry_reach", text.p);
    else
        add(out, FINDING_FAIL, "registry_reach", &e);
    buf_reset(&text);
    buf_addf(&text, "registry %s takes %s", origin.p, *config->token ? "the token" : *config->user ? "user and password" : "us without credentials");
    if (reached && rc == 0)
        pass(out, "registry_auth", text.p);
    else if (reached)
        add(out, FINDING_FAIL, "registry_auth", &e);
    buf_free(&text);
    buf_free(&origin);
    return rc == 0;
}

void check_registry(const struct env *env, const struct config_registry *config, const struct finding_out *out)
{
    struct buf level = BUF_INIT;
    bool told = false;
    for (int at = 0; at < config->url.count && env_stop(env) == STOP_NONE; at++) {
        if (check_address(env, config, at, out, &level) && !told) {
            tell_level(out, level.p);
            told = true;
        }
    }
    buf_free(&level);
}
