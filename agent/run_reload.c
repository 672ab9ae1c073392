/* SPDX-License-Identifier: Apache-2.0
 *
 * SIGHUP in two phases: read and check the whole file, then swap. A file with faults, or with a
 * change of an option that needs a restart, changes nothing; the reason is logged and counted.
 * Routes are stopped and opened anew, which costs them a reconnect and no row. The set and order of routes and targets
 * belongs to what needs a restart, because the bus keeps for each group what it lacks.
 */
#include <stdlib.h>

#include "agent/cli/config.h"
#include "agent/http/notify.h"
#include "agent/run_parts.h"

#define OPT_RELOAD 1

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_list(const struct config_list *a, const struct config_list *b)
{
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++)
        if (!same_text(a->items[i], b->items[i]))
            return false;
    return true;
}

#define SAME_TEXT(a, b) same_text((a), (b))
#define SAME_SECRET(a, b) same_text((a), (b))
#define SAME_WORD(a, b) same_text((a), (b))
#define SAME_LIST(a, b) same_list(&(a), &(b))
#define SAME_COLUMNS(a, b) same_list(&(a), &(b))
#define SAME_NAMES(a, b) same_list(&(a), &(b))
#define SAME_URLS(a, b) same_list(&(a), &(b))
#define SAME_PROPERTIES(a, b) same_list(&(a), &(b))
#define SAME_INT(a, b) ((a) == (b))
#define SAME_BOOL(a, b) ((a) == (b))
#define SAME_ENUM(a, b) ((a) == (b))

/* Each section's rows compare the members of its own struct: SECTION_x gives the pair or NULLs. */
static const char *changed_top(const struct config *old, const struct config *new)
{
#define ROW_top(key, TYPE, field, flags)                                                          \
    if (!(flags & OPT_RELOAD) && !SAME_##TYPE(old->field, new->field))                             \
        return key;
#define ROW_source(key, TYPE, field, flags) ROW_top("source." key, TYPE, field, flags)
#define ROW_events(key, TYPE, field, flags) ROW_top("events." key, TYPE, field, flags)
#define ROW_registry(key, TYPE, field, flags) ROW_top("registry." key, TYPE, field, flags)
#define ROW_kafka(key, TYPE, field, flags) ROW_top("kafka." key, TYPE, field, flags)
#define ROW_bus(key, TYPE, field, flags) ROW_top("bus." key, TYPE, field, flags)
#define ROW_http(key, TYPE, field, flags) ROW_top("http." key, TYPE, field, flags)
#define ROW_log(key, TYPE, field, flags) ROW_top("log." key, TYPE, field, flags)
#define ROW_column(key, TYPE, field, flags)
#define ROW_key(key, TYPE, field, flags)
#define ROW_target(key, TYPE, field, flags)
#define ROW_route(key, TYPE, field, flags)
#define OPTION(section, key, TYPE, field, fallback, low, high, allowed, flags, help)               \
    ROW_##section(#key, TYPE, field, flags)
#include "agent/options.def"
#undef OPTION
#undef ROW_target
#undef ROW_route
    return NULL;
}

#undef ROW_source
#undef ROW_events
#undef ROW_registry
#undef ROW_kafka
#undef ROW_bus
#undef ROW_http
#undef ROW_log
#undef ROW_top
#define ROW_top(key, TYPE, field, flags)
#define ROW_source(key, TYPE, field, flags)
#define ROW_events(key, TYPE, field, flags)
#define ROW_registry(key, TYPE, field, flags)
#define ROW_kafka(key, TYPE, field, flags)
#define ROW_bus(key, TYPE, field, flags)
#define ROW_http(key, TYPE, field, flags)
#define ROW_log(key, TYPE, field, flags)
#define ROW_pair(key, TYPE, field, flags)                                                         \
    if (!(flags & OPT_RELOAD) && !SAME_##TYPE(old->field, new->field))                             \
        return key;

static const char *changed_target(const struct config_target *old, const struct config_target *new)
{
    if (!same_text(old->name, new->name))
        return "targets";
#define ROW_target(key, TYPE, field, flags) ROW_pair("targets.*." key, TYPE, field, flags)
#define ROW_route(key, TYPE, field, flags)
#define OPTION(section, key, TYPE, field, fallback, low, high, allowed, flags, help)               \
    ROW_##section(#key, TYPE, field, flags)
#include "agent/options.def"
#undef OPTION
#undef ROW_target
#undef ROW_route
    return NULL;
}

static const char *changed_route(const struct config_route *old, const struct config_route *new)
{
#define ROW_target(key, TYPE, field, flags)
#define ROW_route(key, TYPE, field, flags) ROW_pair("routes[]." key, TYPE, field, flags)
#define OPTION(section, key, TYPE, field, fallback, low, high, allowed, flags, help)               \
    ROW_##section(#key, TYPE, field, flags)
#include "agent/options.def"
#undef OPTION
#undef ROW_target
#undef ROW_route
    return NULL;
}

#undef ROW_column
#undef ROW_key
#define ROW_target(key, TYPE, field, flags)
#define ROW_route(key, TYPE, field, flags)

static const char *changed_column(const struct config_column *old, const struct config_column *new)
{
#define ROW_column(key, TYPE, field, flags) ROW_pair("columns[]." key, TYPE, field, flags)
#define ROW_key(key, TYPE, field, flags)
#define OPTION(section, key, TYPE, field, fallback, low, high, allowed, flags, help)               \
    ROW_##section(#key, TYPE, field, flags)
#include "agent/options.def"
#undef OPTION
#undef ROW_column
#undef ROW_key
    return NULL;
}

static const char *changed_key(const struct config_key *old, const struct config_key *new)
{
#define ROW_column(key, TYPE, field, flags)
#define ROW_key(key, TYPE, field, flags) ROW_pair("keys[]." key, TYPE, field, flags)
#define OPTION(section, key, TYPE, field, fallback, low, high, allowed, flags, help)               \
    ROW_##section(#key, TYPE, field, flags)
#include "agent/options.def"
#undef OPTION
    return NULL;
}

static const char *changed_rules(const struct config *old, const struct config *new)
{
    const char *key = NULL;
    if (old->column_count != new->column_count)
        return "columns";
    if (old->key_count != new->key_count)
        return "keys";
    for (int i = 0; !key && i < old->column_count; i++)
        key = changed_column(&old->columns[i], &new->columns[i]);
    for (int i = 0; !key && i < old->key_count; i++)
        key = changed_key(&old->keys[i], &new->keys[i]);
    return key;
}

/* The first option whose change needs a restart, or NULL. */
static const char *needs_restart(const struct config *old, const struct config *new)
{
    const char *key = changed_top(old, new);
    if (!key)
        key = changed_rules(old, new);
    if (!key && old->target_count != new->target_count)
        key = "targets";
    if (!key && old->route_count != new->route_count)
        key = "routes";
    for (int i = 0; !key && i < old->target_count; i++)
        key = changed_target(&old->targets[i], &new->targets[i]);
    for (int i = 0; !key && i < old->route_count; i++)
        key = changed_route(&old->routes[i], &new->routes[i]);
    return key;
}

static enum log_level level_of(const char *word)
{
    static const char *const words[] = {"error", "warn", "info", "debug"};
    for (int i = 0; i < 4; i++)
        if (same_text(word, words[i]))
            return (enum log_level) i;
    return LOG_LEVEL_INFO;
}

static int swap(struct run *run, struct config *new, struct err *e)
{
    run_routes_end(run, run->config->shutdown_timeout_ms);
    pthread_rwlock_wrlock(&run->lock);
    run_routes_close(run);
    run->retired = mem_realloc(run->retired, (size_t) (run->retired_count + 1) * sizeof *run->retired);
    run->retired[run->retired_count++] = run->config;
    run->config = new;
    log_configure(run->env->log, level_of(new->log_level),
                  same_text(new->log_format, "json") ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
    source_reload(run->source, new);
    int result = run_routes_start(run, e);
    pthread_rwlock_unlock(&run->lock);
    return result;
}

void run_reload(struct run *run)
{
    struct env *env = run->env;
    struct buf faults = BUF_INIT;
    struct err e = ERR_INIT;
    notify_reloading();
    struct config *new = config_load(run->config->path, &faults, &e);
    const char *key = new ? needs_restart(run->config, new) : NULL;
    bool taken = new && !key && swap(run, new, &e) == 0;
    if (faults.len)
        log_warn(env->log, "config", "%.*s", STR_ARG(buf_str(&faults)));
    if (key)
        log_warn(env->log, "config", "reload refused: %s needs a restart; the old configuration stays", key);
    else if (taken)
        log_info(env->log, "config", "reloaded %s", run->config->path);
    else
        log_err(env->log, "config", &e);
    if (new && !taken && run->config != new)
        config_free(new);
    int series = metric_series(env->metrics, M_CONFIG_RELOADS, taken ? STR("taken") : STR("refused"));
    metric_add(env->metrics, M_CONFIG_RELOADS, series, 1);
    metric_set(env->metrics, M_CONFIG_OK, 0, taken);
    buf_free(&faults);
    notify_ready();
}
