/* SPDX-License-Identifier: Apache-2.0
 *
 * `tailrace remove`: take away what an installation left on the source, on its targets and here.
 *
 * The state directory's lock is held all the while, so that no process runs on it; it is the last
 * to go, and only when all else went, so that the command can be repeated. Only files that are
 * ours by name are deleted: the directory may have been an unlucky choice.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "agent/cli/cli.h"
#include "agent/cli/config.h"
#include "agent/http/control.h"
#include "agent/net/pg.h"
#include "agent/source/source.h"
#include "agent/source/spill.h"

#define WAIT_MS 30000

/* In an order in which each rest is refused as a state: see agent/base/store.c for what they are. */
static const char *const state_files[] = {"format", "format.new", CONTROL_NAME, "lock.mdb",
                                          "data.mdb", "lock"};

static void path_in(char out[PATH_MAX], const char *dir, const char *name)
{
    snprintf(out, PATH_MAX, "%s/%s", dir, name);
}

/* The store's own lock, without opening the store: it may be damaged. -1 in *fd: no directory. */
static int lock_state(const char *dir, int *fd, struct err *e)
{
    char path[PATH_MAX];
    *fd = -1;
    if (access(dir, F_OK) != 0 && errno == ENOENT)
        return 0;
    path_in(path, dir, "lock");
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return err_set(e, E_STATE_DIR, "cannot open %s: errno %d", path, errno);
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    return err_set(e, E_STATE_LOCKED, "state directory %s is in use: stop that tailrace first", dir);
}

static int delete_state(const char *dir, struct buf *report, struct err *e)
{
    char path[PATH_MAX];
    for (size_t at = 0; at < sizeof state_files / sizeof *state_files; at++) {
        path_in(path, dir, state_files[at]);
        if (unlink(path) != 0 && errno != ENOENT)
            return err_set(e, E_STATE_DIR, "cannot delete %s: errno %d", path, errno);
    }
    spill_close(spill_open(dir, SPILL_FOLDER, 0));
    spill_close(spill_open(dir, PREPARED_FOLDER, 0));
    bool gone = rmdir(dir) == 0;
    buf_addf(report, "state %s: deleted%s\n", dir, gone ? "" : ", the directory holds other files and stays");
    return 0;
}

/* Rows of one route in one of our tables on the target; -1 in *rows: no such table. */
static int delete_rows(const struct env *env, PGconn *c, const char *table, const char *route,
                       int64_t *rows, struct err *e)
{
    const char *const values[] = {table}, *const routes[] = {route};
    char sql[120];
    *rows = -1;
    PGresult *res = pg_exec_params(env, c, "look for watermark",
                                   "SELECT pg_catalog.to_regclass($1) IS NOT NULL", 1, values, WAIT_MS, e);
    if (!res)
        return -1;
    bool there = pg_bool(res, 0, 0);
    PQclear(res);
    if (!there)
        return 0;
    snprintf(sql, sizeof sql, "DELETE FROM %s WHERE route = $1", table);
    res = pg_exec_params(env, c, "delete watermark", sql, 1, routes, WAIT_MS, e);
    if (!res)
        return -1;
    *rows = strtoll(PQcmdTuples(res), NULL, 10);
    PQclear(res);
    return 0;
}

static int remove_route(const struct env *env, const struct config *config,
                        const struct config_route *route, struct buf *report, struct err *e)
{
    const struct config_target *target = config_target_find(config, route->to);
    int64_t marks, copies, columns;
    PGconn *c = target ? pg_connect(env, target->url, PG_SQL, "remove", e) : NULL;
    if (!target)
        return err_set(e, E_CONFIG, "route %s goes to target %s, which is not there", route->name, route->to);
    if (!c)
        return err_prefix(e, "target %s", target->name);
    int rc = delete_rows(env, c, "tailrace.watermark", route->name, &marks, e);
    if (!rc)
        rc = delete_rows(env, c, "tailrace.copy", route->name, &copies, e);
    if (!rc)
        rc = delete_rows(env, c, "tailrace.columns", route->name, &columns, e);
    PQfinish(c);
    if (rc)
        return err_prefix(e, "target %s", target->name);
    buf_addf(report, "watermark of route %s on target %s: %s\n", route->name, target->name,
             marks > 0 || copies > 0 ? "deleted" : "was not there");
    return 0;
}

static int remove_all(const struct env *env, const struct config *config, const char *confirm,
                      struct buf *report, struct err *e)
{
    int fd = -1;
    int rc = lock_state(config->state, &fd, e);
    if (!rc)
        rc = source_remove(env, config, confirm, report, e);
    for (int at = 0; !rc && at < config->route_count; at++)
        rc = remove_route(env, config, &config->routes[at], report, e);
    if (!rc && *config->kafka.brokers)
        buf_addf(report, "topics %s.* and groups %s.* on Kafka: left, others may read them\n", config->name, config->name);
    if (!rc && fd >= 0)
        rc = delete_state(config->state, report, e);
    else if (!rc)
        buf_addf(report, "state %s: was not there\n", config->state);
    if (fd >= 0)
        close(fd);
    return rc;
}

int cmd_remove(struct cli *c, struct err *e)
{
    struct buf report = BUF_INIT;
    struct config *config = cli_config(c, e);
    if (!config)
        return -1;
    int rc = remove_all(c->env, config, cli_flag(c, "confirm"), &report, e);
    /* What was done is told also when the rest failed. */
    if (report.len)
        fputs(report.p, stdout);
    buf_free(&report);
    config_free(config);
    return rc;
}
