/* SPDX-License-Identifier: Apache-2.0
 *
 * ATTACH PARTITION brings rows into a table that no change tells of. They are read as a snapshot of these rows.
 *
 * A partition was attached, and not made as one, when its row in pg_inherits is of another transaction than
 * the columns that it was made with; system columns never change later. Looked at are those that are
 * younger than the last look, or, at the first look, than what the slot holds: then some may be read twice,
 * which brings the same rows.
 */
#include "agent/source/inner.h"

#include <stdio.h>

#include "agent/source/snap.h"

#define CATALOG_MS 30000

static const char attached_sql[] =
    "SELECT r.root::pg_catalog.oid, pg_catalog.string_agg(i.inhrelid::pg_catalog.oid::pg_catalog.text, ','),"
    " pg_catalog.string_agg(i.inhrelid::pg_catalog.regclass::pg_catalog.text, ', ')"
    " FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class l ON l.oid = i.inhrelid AND l.relispartition"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = l.oid AND a.attnum = -1"
    " CROSS JOIN LATERAL (SELECT pg_catalog.pg_partition_root(l.oid) AS root) r"
    " WHERE i.xmin <> a.xmin AND pg_catalog.age(i.xmin) <= pg_catalog.age(COALESCE($1::pg_catalog.xid,"
    "  (SELECT s.catalog_xmin FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = $2)))"
    " GROUP BY 1";

static int read_one(struct source *s, const struct catalog_table *t, const char *oids, const char *names, struct err *e)
{
    struct buf where = BUF_INIT;
    buf_addf(&where, "tableoid IN (SELECT (pg_catalog.pg_partition_tree(x)).relid"
                     " FROM pg_catalog.unnest('{%s}'::pg_catalog.oid[]) x)", oids);
    bool reads = t->has_key && !run_find(s->snap, t->oid) && s->snap->run_count < RUNS_MAX && s->config->source.copy;
    int rc = 0;
    if (reads) {
        log_info(s->env->log, "source", "attached to %.*s.%.*s: %s; the rows are read", STR_ARG(t->space),
                 STR_ARG(t->name), names);
        rc = run_add(s, t, where.p, false, e);
    } else {
        log_warn(s->env->log, "source", "attached to %.*s.%.*s: %s; rows that they brought are not read: %s",
                 STR_ARG(t->space), STR_ARG(t->name), names,
                 !t->has_key ? "it has no key"
                 : s->config->source.copy ? "a snapshot of it is under way; ask for another one when it has ended"
                                          : "source.copy is off");
    }
    buf_free(&where);
    return rc;
}

static int note_look(struct source *s, char *xid, size_t size, struct err *e)
{
    PGresult *res = pg_exec(s->env, s->sql, "look at partitions",
                            "SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())"
                            "::pg_catalog.text::pg_catalog.numeric % 4294967296", CATALOG_MS, e);
    if (!res)
        return -1;
    snprintf(xid, size, "%s", PQgetvalue(res, 0, 0));
    PQclear(res);
    return 0;
}

int attached_read(struct source *s, const struct catalog_table *tables, int count, struct err *e)
{
    char looked[sizeof s->attached_xid];
    const char *const values[] = {*s->attached_xid ? s->attached_xid : NULL, s->config->source.slot};
    if (note_look(s, looked, sizeof looked, e))
        return -1;
    PGresult *res = pg_exec_params(s->env, s->sql, "look at partitions", attached_sql, 2, values, CATALOG_MS, e);
    if (!res)
        return -1;
    int rc = 0;
    for (int row = 0; row < PQntuples(res) && !rc; row++)
        for (int at = 0; at < count && !rc; at++)
            if (tables[at].oid == (uint32_t) pg_int(res, row, 0))
                rc = read_one(s, &tables[at], PQgetvalue(res, row, 1), PQgetvalue(res, row, 2), e);
    PQclear(res);
    if (!rc)
        snprintf(s->attached_xid, sizeof s->attached_xid, "%s", looked);
    return rc;
}
