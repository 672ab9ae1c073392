/* SPDX-License-Identifier: Apache-2.0
 *
 * `tailrace check`: every finding of the source, the state directory, the registry and the targets, numbered.
 *
 * Findings are printed as they come, since some take a second; JSON is printed whole. The exit
 * code is that of the first failure's row in errors.def, 0 when there is none: a warning is for
 * people.
 */
#include <stdio.h>

#include "agent/cli/check_registry.h"
#include "agent/cli/cli.h"
#include "agent/cli/config.h"
#include "agent/source/preflight.h"
#include "sinks/sink.h"

struct check {
    bool json;
    const char *part; /* "source", "target warehouse" */
    int count, fails, warns;
    int part_fails;   /* of this part */
    enum err_code first_fail;
    struct buf list;  /* JSON of the findings */
};

static const char *const level_names[] = {"pass", "warn", "fail"};

struct finding {
    enum finding_level level;
    enum err_code code;
    const char *name, *sentence, *hint;
};

static void print_finding(const struct check *c, const struct finding *f)
{
    printf("%3d %s  %s: %s: %s\n", c->count, level_names[f->level], c->part, f->name, f->sentence);
    if (f->level != FINDING_PASS && f->hint[0])
        printf("          hint: %s\n", f->hint);
    fflush(stdout);
}

static void list_finding(struct check *c, const struct finding *f)
{
    struct buf *out = &c->list;
    buf_addf(out, "%s\n{\"number\":%d,\"part\":", c->count > 1 ? "," : "", c->count);
    buf_add_json(out, str_of(c->part));
    buf_addf(out, ",\"level\":\"%s\",\"name\":", level_names[f->level]);
    buf_add_json(out, str_of(f->name));
    buf_add_text(out, ",\"code\":");
    if (f->code == E_NONE)
        buf_add_text(out, "null");
    else
        buf_add_json(out, str_of(err_name(f->code)));
    buf_add_text(out, ",\"sentence\":");
    buf_add_json(out, str_of(f->sentence));
    buf_add_text(out, ",\"hint\":");
    buf_add_json(out, str_of(f->hint));
    buf_add_char(out, '}');
}

static void take_finding(void *self, enum finding_level level, enum err_code code,
                         const char *name, const char *sentence, const char *hint)
{
    struct check *c = self;
    const struct finding f = {level, code, name, sentence, hint ? hint : ""};
    c->count++;
    c->warns += level == FINDING_WARN;
    if (level == FINDING_FAIL) {
        if (!c->fails++)
            c->first_fail = code;
        c->part_fails++;
    }
    if (c->json)
        list_finding(c, &f);
    else
        print_finding(c, &f);
}

/* The first route to this target; a target that no route uses is looked at all the same. */
static const char *route_of(const struct config *config, const char *target)
{
    for (int at = 0; at < config->route_count; at++)
        if (strcmp(config->routes[at].to, target) == 0)
            return config->routes[at].name;
    return target;
}

static void check_target(struct check *c, const struct cli *cli, const struct config *config,
                         const struct config_target *target)
{
    struct err e = ERR_INIT;
    struct buf part = BUF_INIT;
    const struct finding_out out = {c, take_finding};
    const struct sink_driver *driver = sink_find(target->connector);
    struct sink_env env = {.env = cli->env, .config = config, .target = target,
                           .route = route_of(config, target->name)};
    buf_addf(&part, "target %s", target->name);
    c->part = part.p;
    c->part_fails = 0;
    if (!driver)
        take_finding(c, FINDING_FAIL, E_CONFIG, "connector", "there is no such connector",
                     err_default_hint(E_CONFIG));
    else if (driver->check(&env, &out, &e) < 0 && !c->part_fails)
        take_finding(c, FINDING_FAIL, e.code, "connect", e.msg, e.hint);
    buf_free(&part);
}

static int exit_code(const struct check *c)
{
    struct err e = ERR_INIT;
    if (!c->fails)
        return 0;
    (void) err_set(&e, c->first_fail, "check");
    return err_exit_code(&e);
}

static void print_end(const struct check *c)
{
    if (c->json)
        printf("{\"version\":1,\"exit_code\":%d,\"passed\":%d,\"warned\":%d,\"failed\":%d,"
               "\"findings\":[%s\n]}\n", exit_code(c), c->count - c->warns - c->fails, c->warns,
               c->fails, c->list.p ? c->list.p : "");
    else
        printf("%d passed, %d warned, %d failed\n", c->count - c->warns - c->fails, c->warns,
               c->fails);
}

int cmd_check(struct cli *cli, struct err *e)
{
    struct config *config = cli_config(cli, e);
    struct check c = {.json = cli_flag(cli, "json") != NULL, .part = "source"};
    const struct finding_out out = {&c, take_finding};
    struct err why = ERR_INIT;
    if (!config)
        return -1;
    /* A source that cannot be reached is a finding; the targets are looked at all the same. */
    if (preflight_source(cli->env, config, &out, &why) < 0 && !c.fails)
        take_finding(&c, FINDING_FAIL, why.code, "connect", why.msg, why.hint);
    c.part = "registry";
    check_registry(cli->env, &config->registry, &out);
    for (int at = 0; at < config->target_count && env_stop(cli->env) == STOP_NONE; at++)
        check_target(&c, cli, config, &config->targets[at]);
    print_end(&c);
    buf_free(&c.list);
    config_free(config);
    return exit_code(&c);
}
