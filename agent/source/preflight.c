/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/source/preflight.h"

#include <math.h>
#include <stdio.h>

#include "agent/source/preflight_local.h"

void preflight_tell(const struct preflight *p, struct preflight_head head, const char *fmt, ...)
{
    struct buf sentence = BUF_INIT;
    va_list args;
    va_start(args, fmt);
    buf_vaddf(&sentence, fmt, args);
    va_end(args);
    if (!head.hint)
        head.hint = head.code == E_NONE ? "" : err_default_hint(head.code);
    p->out->add(p->out->self, head.level, head.code, head.name, sentence.p ? sentence.p : "",
                head.hint);
    buf_free(&sentence);
}

void preflight_error(const struct preflight *p, const char *name, const struct err *e)
{
    preflight_say(p, FINDING_FAIL, e->code, name, e->hint, "%s", e->msg);
}

PGresult *preflight_ask(const struct preflight *p, const char *name, const char *sql, int count,
                        const char *const *values)
{
    struct err e = ERR_INIT;
    PGresult *res = pg_exec_params(p->env, p->sql, name, sql, count, values, PREFLIGHT_WAIT_MS, &e);
    if (!res)
        preflight_error(p, name, &e);
    return res;
}

void preflight_add_name(struct buf *names, int number, struct str space, struct str name)
{
    if (number < PREFLIGHT_NAMES_MAX)
        buf_addf(names, "%s%.*s.%.*s", number ? ", " : "", STR_ARG(space), STR_ARG(name));
}

void preflight_end_names(struct buf *names, int count)
{
    if (count > PREFLIGHT_NAMES_MAX)
        buf_addf(names, " and %d more", count - PREFLIGHT_NAMES_MAX);
    if (!names->p)
        buf_add_text(names, "");
}

void preflight_add_oids(const struct preflight *p, struct buf *out)
{
    buf_add_char(out, '{');
    for (int at = 0; at < p->table_count; at++)
        buf_addf(out, "%s%u", at ? "," : "", p->tables[at].oid);
    buf_add_char(out, '}');
}

void preflight_add_bytes(struct buf *out, double bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    int unit = 0;
    for (; fabs(bytes) >= 1000 && unit < 4; unit++)
        bytes /= 1024;
    buf_addf(out, unit && fabs(bytes) < 9.95 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

int preflight_source(const struct env *env, const struct config *config,
                     const struct finding_out *out, struct err *e)
{
    struct preflight p = {.env = env, .config = config, .out = out};
    arena_init(&p.arena, 0, "source.tables");
    p.sql = pg_connect(env, config->source.postgres, PG_SQL, "check", e);
    if (p.sql) {
        preflight_pass(&p, "connect", "connected to database %s as %s", PQdb(p.sql),
                       PQuser(p.sql));
        preflight_check_server(&p);
        preflight_check_role(&p);
        preflight_check_tables(&p);
        preflight_check_rules(&p);
        preflight_check_publications(&p);
        preflight_check_slot(&p);
    } else {
        preflight_error(&p, "connect", e);
    }
    preflight_check_disk(&p);
    int failed = p.sql ? 0 : -1;
    PQfinish(p.sql);
    arena_free(&p.arena);
    return failed;
}
