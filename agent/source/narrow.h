/* SPDX-License-Identifier: Apache-2.0
 *
 * What a publication's column list and row filter leave of a table: a copy brings the same as the stream.
 */
#ifndef TR_SOURCE_NARROW_H
#define TR_SOURCE_NARROW_H

#include "agent/net/pg.h"
#include "schemas/relation.h"

/* Replace *rel, in the arena, by one with only the columns that publication and its _ins send, and tell the rows
 * that they send as an SQL condition, empty for all. Servers before 15 know neither. Source: view pg_publication_tables. */
int narrow_relation(const struct env *env, PGconn *c, const char *publication, struct arena *a,
                    const struct relation **rel, struct str *filter, struct err *e) MUST_CHECK;

#endif
