/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking everything away from the server. Nobody's session is terminated: a slot that somebody
 * reads from stays, and the publications with it, since they are needed as long as it is read.
 */
#include <string.h>

#include "agent/source/ddl_script.h"
#include "agent/source/publication.h"
#include "agent/source/slot.h"
#include "agent/source/source.h"

static int remove_slot(const struct env *env, PGconn *c, const char *name, struct buf *report,
                       struct err *e)
{
    struct slot_view slot;
    if (slot_look(env, c, name, &slot, e))
        return -1;
    if (!slot.exists) {
        buf_addf(report, "slot %s: was not there\n", name);
        return 0;
    }
    if (slot.active)
        return err_set(e, E_SLOT_BUSY, "slot %s is in use by pid %d", name, slot.active_pid);
    if (slot_drop(env, c, name, e))
        return -1;
    buf_addf(report, "slot %s: dropped, it kept %llu MB of WAL\n", name,
             (unsigned long long) (slot.retained_bytes >> 20));
    return 0;
}

static int remove_publications(const struct env *env, PGconn *c, const struct config *config,
                               struct buf *report, struct err *e)
{
    int dropped;
    const char *name = config->source.publication;
    if (!config->source.create_publication) {
        buf_addf(report, "publication %s: left, source.create_publication is off\n", name);
        return 0;
    }
    if (publication_drop(env, c, name, &dropped, e)) {
        if (e->code == E_PG_RIGHT || strcmp(e->sqlstate, "42501") == 0) {
            buf_addf(report, "publication %s: left, it is not owned by this role\n", name);
            err_clear(e);
            return 0;
        }
        return -1;
    }
    buf_addf(report, dropped ? "publication %s: dropped, with its second one for tables without "
                               "identity\n" : "publication %s: was not there\n", name);
    return 0;
}

/* Event triggers need a superuser: without one they are named, and harm nobody. */
static int remove_capture(const struct env *env, PGconn *c, const struct config *config, struct buf *report,
                          struct err *e)
{
    const char *name = config->name;
    struct buf sql = BUF_INIT;
    int there = ddl_installed(env, c, name, e);
    if (there <= 0)
        return there;
    ddl_script_remove(config, &sql);
    int rc = pg_run(env, c, "remove capture of DDL", sql.p, e);
    buf_free(&sql);
    if (rc && strcmp(e->sqlstate, "42501") == 0) {
        buf_addf(report, "event triggers tailrace_ddl_%s: left, a superuser must remove them: `tailrace ddl script --remove`\n", name);
        err_clear(e);
        return 0;
    }
    if (!rc)
        buf_addf(report, "event triggers tailrace_ddl_%s: dropped\n", name);
    return rc;
}

int source_remove(const struct env *env, const struct config *config, const char *confirm,
                  struct buf *report, struct err *e)
{
    const char *name = config->source.slot;
    if (!confirm || strcmp(confirm, name) != 0)
        return err_set(e, E_USAGE, "give the slot's name as confirmation: --confirm=%s", name);
    PGconn *c = pg_connect(env, config->source.postgres, PG_SQL, "remove", e);
    if (!c)
        return -1;
    int rc = remove_slot(env, c, name, report, e);
    if (!rc)
        rc = remove_publications(env, c, config, report, e);
    if (!rc)
        rc = remove_capture(env, c, config, report, e);
    PQfinish(c);
    return rc;
}
