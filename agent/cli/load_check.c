/* SPDX-License-Identifier: Apache-2.0
 *
 * What is derived from other values, and what can only be judged when all of them are there.
 */
#include <libpq-fe.h>
#include <stdlib.h>

#include "agent/cli/load.h"
#include "agent/cli/nearest.h"
#include "agent/net/http_client.h"

/* The names of slots and publications end within PostgreSQL's 63 bytes, "_ins" included. */
#define SLOT_NAME_MAX 63
#define PUBLICATION_NAME_MAX 59

static struct place place_of(const struct loader *l, const void *field)
{
    const struct origin *origin = load_origin(l->out, field);
    return origin ? origin->at : (struct place){0};
}

static void derive(struct loader *l, const char **field, const char *value)
{
    *field = value;
    load_origin_set(l, field, (struct place){0})->derived = true;
}

static void derive_routes(struct loader *l)
{
    struct config *c = &l->out->config;
    if (c->route_count || !c->target_count)
        return;
    c->routes = arena_zalloc(l->arena, (size_t) c->target_count, sizeof *c->routes);
    for (int at = 0; at < c->target_count; at++) {
        struct config_route *route = &c->routes[at];
        load_default(l, option_row(OPTION_ID_route_from), route);
        derive(l, &route->to, c->targets[at].name);
        route->name = "";
    }
    c->route_count = c->target_count;
}

void load_derive(struct loader *l)
{
    struct config *c = &l->out->config;
    derive_routes(l);
    if (c->name && c->source.slot && !*c->source.slot)
        derive(l, &c->source.slot, arena_printf(l->arena, "tailrace_%s", c->name).p);
    if (c->name && c->source.publication && !*c->source.publication)
        derive(l, &c->source.publication, arena_printf(l->arena, "tailrace_%s", c->name).p);
    for (int at = 0; at < c->route_count; at++)
        if (c->routes[at].name && !*c->routes[at].name && c->routes[at].to)
            derive(l, &c->routes[at].name, c->routes[at].to);
    for (int at = 0; at < c->target_count; at++)
        if (c->targets[at].schema && !*c->targets[at].schema)
            c->targets[at].schema = NULL;
    if (c->http_listen && strcmp(c->http_listen, "off") == 0)
        c->http_listen = "";
}

/* ---- names ---- */

static void check_name(struct loader *l, struct place at, const char *what, const char *name)
{
    if (!load_is_name(name, LOAD_NAME_MAX))
        fault_add(l->faults, at, "%s \"%s\" must be lower-case letters, digits and _, begin with a "
                  "letter, and have at most %d", what, name, LOAD_NAME_MAX);
}

static void check_source_names(struct loader *l)
{
    const struct config *c = &l->out->config;
    if (c->name)
        check_name(l, place_of(l, &c->name), "name", c->name);
    /* PostgreSQL's own rule for slots: also digits and _ in front. */
    const char *slot = c->source.slot;
    size_t len = slot ? strspn(slot, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;
    if (slot && place_of(l, &c->source.slot).line && (slot[len] || len > SLOT_NAME_MAX))
        fault_add(l->faults, place_of(l, &c->source.slot), "source.slot \"%s\" must be lower-case "
                  "letters, digits and _, at most %d", slot, SLOT_NAME_MAX);
    if (c->source.publication && strlen(c->source.publication) > PUBLICATION_NAME_MAX)
        fault_add(l->faults, place_of(l, &c->source.publication),
                  "source.publication has more than %d bytes", PUBLICATION_NAME_MAX);
}

/* ---- connection strings ---- */

struct conninfo {
    const char *host, *hostaddr, *sslmode, *password, *service;
};

static void conninfo_read(const PQconninfoOption *options, struct conninfo *out)
{
    for (const PQconninfoOption *o = options; o->keyword; o++) {
        const char *value = o->val && *o->val ? o->val : NULL;
        if (strcmp(o->keyword, "host") == 0)
            out->host = value;
        else if (strcmp(o->keyword, "hostaddr") == 0)
            out->hostaddr = value;
        else if (strcmp(o->keyword, "sslmode") == 0)
            out->sslmode = value;
        else if (strcmp(o->keyword, "password") == 0)
            out->password = value;
        else if (strcmp(o->keyword, "service") == 0)
            out->service = value;
    }
}

/* One host of a list: a socket directory, or this machine by name or address. */
static bool host_is_local(struct str host)
{
    return !host.len || host.p[0] == '/' || host.p[0] == '@' || str_is(host, "localhost")
        || str_is(host, "::1") || str_starts(host, "127.");
}

/* All hosts of a comma-separated list are this machine. */
static bool hosts_are_local(const char *list)
{
    struct str left = str_of(list);
    while (left.len) {
        const char *comma = memchr(left.p, ',', left.len);
        size_t len = comma ? (size_t) (comma - left.p) : left.len;
        if (!host_is_local((struct str){left.p, len}))
            return false;
        left = comma ? (struct str){comma + 1, left.len - len - 1} : STR_NONE;
    }
    return true;
}

static void check_tls(struct loader *l, struct place at, const char *path,
                      const struct conninfo *info)
{
    const char *mode = info->sslmode ? info->sslmode : getenv("PGSSLMODE");
    const char *host = info->hostaddr ? info->hostaddr : info->host ? info->host : getenv("PGHOST");
    if (info->service || !host || hosts_are_local(host) || (mode && strcmp(mode, "verify-full") == 0))
        return;
    fault_warn(l->faults, at, "%s: sslmode is %s; only verify-full makes sure that it is the right "
               "server", path, mode ? mode : "not given, so prefer");
}

/* libpq's own message is not shown: it quotes parts of the string, which may be the password. */
static void check_conninfo(struct loader *l, const char *const *field, const char *path)
{
    const struct origin *origin = load_origin(l->out, field);
    struct conninfo info = {0};
    char *message = NULL;
    if (!*field || !origin)
        return;
    PQconninfoOption *options = PQconninfoParse(*field, &message);
    PQfreemem(message);
    if (!options) {
        struct place at = origin->at;
        at.hide = true;
        fault_add(l->faults, at, "%s is not a libpq connection string: "
                  "\"host=db dbname=shop\" or postgresql://user@host/database", path);
        return;
    }
    conninfo_read(options, &info);
    if (info.password && !origin->secret)
        fault_warn(l->faults, origin->at, "%s holds a password; !secret keeps it out of this file",
                   path);
    check_tls(l, origin->at, path, &info);
    PQconninfoFree(options);
}

/* ---- targets and routes ---- */

static void check_targets(struct loader *l)
{
    const struct config *c = &l->out->config;
    for (int at = 0; at < c->target_count; at++) {
        const struct config_target *target = &c->targets[at];
        const char *path = arena_printf(l->arena, "targets.%s", target->name).p;
        bool used = false;
        for (int route = 0; route < c->route_count; route++)
            used |= c->routes[route].to && strcmp(c->routes[route].to, target->name) == 0;
        check_name(l, place_of(l, &target->name), "target", target->name);
        check_conninfo(l, &target->url, arena_printf(l->arena, "%s.url", path).p);
        if (target->schema && strlen(target->schema) > 63)
            fault_add(l->faults, place_of(l, &target->schema), "%s.schema has more than 63 bytes",
                      path);
        if (!used && !l->faults->errors)
            fault_warn(l->faults, place_of(l, &target->name), "no route leads to target \"%s\"",
                       target->name);
    }
}

static void check_route_target(struct loader *l, const struct config_route *route)
{
    const struct config *c = &l->out->config;
    struct nearest near = nearest_to(str_of(route->to));
    struct buf list = BUF_INIT;
    if (config_target_find(c, route->to))
        return;
    for (int at = 0; at < c->target_count; at++) {
        nearest_try(&near, c->targets[at].name);
        buf_addf(&list, "%s%s", at ? ", " : "", c->targets[at].name);
    }
    const char *best = nearest_get(&near);
    if (best)
        fault_add(l->faults, place_of(l, &route->to), "no target is named \"%s\"; did you mean "
                  "\"%s\"?", route->to, best);
    else
        fault_add(l->faults, place_of(l, &route->to), "no target is named \"%s\"; there is: %s",
                  route->to, list.len ? list.p : "none");
    buf_free(&list);
}

/* The name of a route that took its target's stands where "to" does. */
static struct place route_place(const struct loader *l, const struct config_route *route)
{
    struct place at = place_of(l, &route->name);
    return at.line ? at : place_of(l, &route->to);
}

static void check_routes(struct loader *l)
{
    const struct config *c = &l->out->config;
    for (int at = 0; at < c->route_count; at++) {
        const struct config_route *route = &c->routes[at];
        if (route->to)
            check_route_target(l, route);
        if (!route->name)
            continue;
        if (place_of(l, &route->name).line)
            check_name(l, route_place(l, route), "route", route->name);
        for (int before = 0; before < at; before++)
            if (c->routes[before].name && strcmp(c->routes[before].name, route->name) == 0) {
                fault_add(l->faults, route_place(l, route), "two routes are named \"%s\"; give "
                          "this one a name of its own", route->name);
                break;
            }
    }
}

/* ---- rules of columns and keys ---- */

/* What the rule's action needs. */
static void check_needs(struct loader *l, const struct config_column *rule, int number)
{
    const struct origin *salt = load_origin(l->out, &rule->salt);
    struct place what = place_of(l, &rule->what), hidden = salt->at;
    hidden.hide = true;
    if ((rule->what == RULE_MASK || rule->what == RULE_TRUNCATE) && !rule->length)
        fault_add(l->faults, what, "columns[%d] needs length: the number of characters that %s", number,
                  rule->what == RULE_MASK ? "stand for a value" : "are left");
    if (rule->what == RULE_HASH && !*rule->salt)
        fault_add(l->faults, what, "columns[%d] needs salt: without one, values are found out by trying", number);
    else if (rule->what == RULE_HASH && !salt->secret)
        fault_warn(l->faults, hidden, "columns[%d].salt stands in this file; !secret keeps it out", number);
}

/* What it does not take: it was meant to do something else. */
static void check_surplus(struct loader *l, const struct config_column *rule, int number)
{
    struct place hidden = place_of(l, &rule->salt);
    hidden.hide = true;
    if (rule->length && rule->what != RULE_MASK && rule->what != RULE_TRUNCATE)
        fault_add(l->faults, place_of(l, &rule->length), "columns[%d].length is for mask and truncate", number);
    if (*rule->salt && rule->what != RULE_HASH)
        fault_add(l->faults, hidden, "columns[%d].salt is for hash", number);
}

static void check_key_rule(struct loader *l, const struct config_key *rule, int number)
{
    const struct config_list *names = &rule->columns;
    for (int at = 0; at < names->count; at++)
        for (int before = 0; before < at; before++)
            if (strcmp(names->items[at], names->items[before]) == 0)
                fault_add(l->faults, place_of(l, names), "keys[%d].columns has \"%s\" twice", number, names->items[at]);
}

/* A word that could not be read says nothing of what goes with it. */
static void check_rules(struct loader *l)
{
    const struct config *c = &l->out->config;
    bool sound = !l->faults->errors;
    for (int at = 0; at < c->column_count; at++) {
        if (c->columns[at].salt)
            check_needs(l, &c->columns[at], at);
        if (sound)
            check_surplus(l, &c->columns[at], at);
    }
    for (int at = 0; at < c->key_count; at++)
        check_key_rule(l, &c->keys[at], at);
}

/* ---- the registry ---- */

static bool text_given(const char *text)
{
    return text && *text;
}

static void check_registry(struct loader *l)
{
    const struct config_registry *r = &l->out->config.registry;
    bool secret = text_given(r->password) || text_given(r->token);
    struct place url = place_of(l, &r->url);
    url.hide = true; /* one that is at fault may hold a password */
    if (text_given(r->password) && !text_given(r->user))
        fault_add(l->faults, place_of(l, &r->password), "registry.password needs registry.user");
    if (text_given(r->token) && text_given(r->user))
        fault_add(l->faults, place_of(l, &r->token), "registry.token and registry.user exclude each other");
    if (text_given(r->cert_file) != text_given(r->key_file))
        fault_add(l->faults, place_of(l, &r->cert_file), "registry.cert_file and registry.key_file go together");
    if (!r->verify)
        fault_warn(l->faults, place_of(l, &r->verify), "registry.verify is false: anybody on the way can pose as the registry");
    for (int at = 0; at < r->url.count; at++)
        if (secret && http_url_is_open(r->url.items[at]))
            fault_warn(l->faults, url, "registry.url begins with http: credentials would go over the network in the clear");
}

/* ---- the rest ---- */

/* host:port, [address]:port; the port may be 0 (any free one). */
static bool listen_ok(const char *listen)
{
    const char *colon = strrchr(listen, ':');
    uint64_t port;
    if (!colon || colon == listen || !str_to_u64(str_of(colon + 1), &port) || port > 65535)
        return false;
    if (listen[0] == '[')
        return colon[-1] == ']' && colon - listen > 2;
    return !memchr(listen, ':', (size_t) (colon - listen)) && !strchr(listen, ' ');
}

void load_check(struct loader *l)
{
    const struct config *c = &l->out->config;
    check_source_names(l);
    check_conninfo(l, &c->source.postgres, "source.postgres");
    check_targets(l);
    check_routes(l);
    check_rules(l);
    check_registry(l);
    if (c->http_listen && *c->http_listen && !listen_ok(c->http_listen))
        fault_add(l->faults, place_of(l, &c->http_listen), "http.listen \"%s\" is not "
                  "address:port, like 127.0.0.1:8088; \"off\" for none", c->http_listen);
}
