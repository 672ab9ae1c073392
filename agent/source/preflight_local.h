/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of preflight: what one of them finds out and others need, and how to tell.
 * Internal to this folder. Every check tells at least one finding and never fails as a function.
 */
#ifndef TR_SOURCE_PREFLIGHT_LOCAL_H
#define TR_SOURCE_PREFLIGHT_LOCAL_H

#include "agent/net/pg.h"
#include "agent/source/catalog.h"
#include "agent/source/preflight.h"

#define PREFLIGHT_WAIT_MS 30000 /* for one statement */
#define PREFLIGHT_NAMES_MAX 20  /* names in one sentence; then "and N more" */

struct preflight {
    const struct env *env;
    const struct config *config;
    const struct finding_out *out;
    struct arena arena;
    PGconn *sql;
    int major;           /* 18 */
    char role[64];       /* current_user */
    bool superuser;
    bool standby;
    bool identified;     /* the next three are known */
    uint64_t system_id;
    uint32_t timeline;
    uint64_t lsn;
    struct catalog_table *tables; /* chosen by source.tables */
    int table_count;
};

struct preflight_head {
    enum finding_level level;
    enum err_code code;
    const char *name;
    const char *hint; /* NULL = the default of the code's row ("" for E_NONE) */
};

/* Tell a finding: preflight_say(p, level, code, name, hint, format, ...). */
void preflight_tell(const struct preflight *p, struct preflight_head head, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
#define preflight_say(p, level, code, name, hint, ...) \
    preflight_tell((p), (struct preflight_head){(level), (code), (name), (hint)}, __VA_ARGS__)
#define preflight_pass(p, name, ...) \
    preflight_say((p), FINDING_PASS, E_NONE, (name), NULL, __VA_ARGS__)

/* Tell that a look failed. */
void preflight_error(const struct preflight *p, const char *name, const struct err *e);

/* Ask the server; NULL when that failed, which has then been told as finding name. */
PGresult *preflight_ask(const struct preflight *p, const char *name, const char *sql, int count,
                        const char *const *values) MUST_CHECK;

/* Append "a, b, and 7 more": a name the number-th time this is called for one sentence. */
void preflight_add_name(struct buf *names, int number, struct str space, struct str name);
/* Close such a list of count names. */
void preflight_end_names(struct buf *names, int count);

/* The OIDs of the chosen tables as an array literal for a parameter. */
void preflight_add_oids(const struct preflight *p, struct buf *out);

/* "1.5 GB", in units of 1024 as PostgreSQL prints them. */
void preflight_add_bytes(struct buf *out, double bytes);

/* The library is in a comma-separated list of them, with or without quotes and directory. */
bool preflight_lists_plugin(const char *list, const char *word);

/* preflight_server.c: the server and how it is reached. */
void preflight_check_server(struct preflight *p);
/* preflight_role.c: rights, and what the role's password would open. */
void preflight_check_role(struct preflight *p);
/* preflight_slot.c: slot, state and retained WAL. */
void preflight_check_slot(struct preflight *p);
/* preflight_tables.c: the chosen tables. Fills tables. */
void preflight_check_tables(struct preflight *p);
/* preflight_rules.c: rules of columns and keys, after the tables. Tells nothing when there are none. */
void preflight_check_rules(const struct preflight *p);
/* preflight_publication.c: the publications, after the tables. */
void preflight_check_publications(struct preflight *p);
/* preflight_disk.c: the state directory's place. */
void preflight_check_disk(struct preflight *p);

#endif
