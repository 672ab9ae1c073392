/* SPDX-License-Identifier: Apache-2.0
 *
 * tailrace init in two halves: init.c asks the server, init_write.c makes the file from the facts
 * without asking anyone.
 */
#ifndef TR_CLI_INIT_H
#define TR_CLI_INIT_H

#include "agent/source/catalog.h"

struct init_facts {
    const char *dsn;           /* as given, without its password */
    bool had_password;
    const char *version;       /* "18.1 (Debian ...)" */
    int version_num;
    const char *database, *encoding, *wal_level;
    bool standby;
    int64_t slots_max, slots_used, senders_max, senders_used;
    int64_t slot_wal_keep_mb;  /* -1 = no limit */
    const char *role;          /* connected as */
    bool superuser, replication, bypass_rls, may_create; /* CREATE on the database */
    bool snapshot_function;    /* pg_log_standby_snapshot exists (16 and newer) */
    bool snapshot_granted;
    bool row_security;         /* a chosen table has policies that apply to the role */
    bool publication_exists;
    int table_count;
    const struct catalog_table *tables;
    const bool *readable;      /* SELECT and USAGE, per table */
};

/* The name for the configuration: from the database's, made legal; in the arena. */
const char *init_name(struct arena *a, const char *database);

/* The DSN without any password; *had tells whether there was one. The same text when there was
 * none, else keyword form. NULL when it is not a connection string. In the arena. */
const char *init_dsn_shown(struct arena *a, const char *dsn, bool *had);

/* The whole file. */
void init_write(const struct init_facts *facts, struct arena *a, struct buf *out);

#endif
