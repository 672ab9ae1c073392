/* SPDX-License-Identifier: Apache-2.0
 *
 * Capture of DDL: an event trigger on the source that tells, by a logical message, what each altered table looks
 * like at that point of the stream. Optional: without it the catalog is read when a relation changes, and is of now.
 *
 * In the schema tailrace of the source: table ddl (a key for each installation), functions ddl_columns, ddl_types and ddl_tell, and
 * for each installation the functions ddl_NAME and ddl_NAME_drop with their event triggers tailrace_ddl_NAME and
 * tailrace_ddl_NAME_drop. A failure in them is a warning to who runs the command, never its failure.
 */
#ifndef TR_SOURCE_DDL_SCRIPT_H
#define TR_SOURCE_DDL_SCRIPT_H

#include "agent/base/config.h"
#include "agent/net/pg.h"

/* Append the SQL that installs: role is who reads the source and gets the right to read the key; the chosen tables are told of once,
 * so that their form is known from here on. To be run in one transaction, by a superuser (PostgreSQL: CREATE EVENT TRIGGER). */
int ddl_script_install(const struct env *env, PGconn *c, const struct config *config, struct buf *sql, struct err *e) MUST_CHECK;
/* Append the SQL that takes all of it away again; what other installations use stays. */
void ddl_script_remove(const struct config *config, struct buf *sql);

/* Run either, by source.postgres's role. E_PG_RIGHT with a hint when it may not. */
int source_ddl(const struct env *env, const struct config *config, bool install, struct err *e) MUST_CHECK;
/* How many of its event triggers are there and enabled, or -1. */
#define DDL_TRIGGERS 2
int ddl_installed(const struct env *env, PGconn *c, const char *name, struct err *e) MUST_CHECK;

#endif
