/* SPDX-License-Identifier: Apache-2.0
 *
 * Which registry: events and parked rows name schemas by ids of the registry that was in use when they were written. The
 * state remembers its kind, and another one is taken only once nothing names such an id any more.
 */
#include "agent/run_parts.h"
#include "schemas/registry_http.h"

#define KIND_KEY STR("registry")

int run_registry_open(struct run *run, struct err *e)
{
    run->registry = registry_open(run->env, run->store, run->config, e);
    return run->registry ? 0 : -1;
}

/* The kind in use; "" when none was. States from before this was kept have schemas of the embedded one, or none. */
static int read_kind(struct run *run, struct buf *kind, struct err *e)
{
    struct buf key = BUF_INIT;
    bool found;
    int rc = store_get(run->store, STORE_META, KIND_KEY, kind, &found, e);
    if (rc == 0 && !found) {
        rc = store_seek(run->store, STORE_SCHEMAS, STR_NONE, false, &key, NULL, &found, e);
        if (rc == 0 && found)
            buf_add_text(kind, "embedded");
    }
    buf_free(&key);
    return rc;
}

static int refuse(const struct run *run, const char *old, struct err *e)
{
    (void) err_set(e, E_CONFIG, "%s holds events or parked rows with schema ids of the %s registry, and registry.url %s",
                   run->config->state, old, run->config->registry.url.count ? "names another" : "is gone");
    return err_hint(e, "run with the former registry until targets have everything (tailrace status) and no row is parked, then change it");
}

int run_registry_check(struct run *run, struct err *e)
{
    const char *kind = run->config->registry.url.count ? "remote" : "embedded";
    struct buf old = BUF_INIT;
    struct bus_status bus;
    int rc = read_kind(run, &old, e);
    bool same = str_is(buf_str(&old), kind);
    bus_get_status(run->bus, &bus);
    if (rc == 0 && old.len && !same && (bus.taken_offset < bus.committed_offset || park_count(run->park, NULL) > 0))
        rc = refuse(run, old.p, e);
    if (rc == 0 && !same)
        rc = store_put_one(run->store, STORE_META, KIND_KEY, str_of(kind), e);
    buf_free(&old);
    return rc;
}
