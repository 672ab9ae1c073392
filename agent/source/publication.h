/* SPDX-License-Identifier: Apache-2.0
 *
 * The two publications: NAME for tables with a replica identity, NAME_ins (inserts and truncates
 * only) for those without. A table without identity in a publication of updates would make the
 * application's own UPDATE and DELETE fail. Never FOR ALL TABLES: it takes in such tables too.
 */
#ifndef TR_SOURCE_PUBLICATION_H
#define TR_SOURCE_PUBLICATION_H

#include "agent/source/catalog.h"

#define PUBLICATION_INSERTS_SUFFIX "_ins"

struct publication_plan {
    struct buf sql;       /* statements that make it right, one a line; empty when it is right */
    bool exists, inserts_exists;
    bool serves;          /* all chosen tables are published well enough to begin without sql */
    int inserts_only;     /* chosen tables without identity */
    struct buf inserts_names; /* the same, named, for a warning */
    bool *missing;        /* a chosen table: not published now; as many as tables, in the arena */
};

/* Compare the publications with the chosen tables; changes nothing. plan is begun empty
 * (PUBLICATION_PLAN_INIT) and given back by publication_plan_free. */
struct publication_wanted {
    const char *name;
    const struct catalog_table *tables;
    int count;
    bool lean; /* somebody else makes them: the second one only when it is needed */
};
int publication_look(const struct env *env, PGconn *c, const struct publication_wanted *wanted,
                     struct arena *a, struct publication_plan *plan, struct err *e) MUST_CHECK;
#define PUBLICATION_PLAN_INIT ((struct publication_plan){0})
void publication_plan_free(struct publication_plan *plan);

/* Run plan->sql in one transaction. E_PUBLICATION, with the SQL in the hint, when the role may not. */
int publication_apply(const struct env *env, PGconn *c, const char *name,
                      const struct publication_plan *plan, struct err *e) MUST_CHECK;
/* Fill e with E_PUBLICATION and the SQL of the plan in its hint. Returns -1. */
int publication_refuse(const char *name, const struct publication_plan *plan, struct err *e);

/* Append "(publish = ..., ...);" for a server of this version: what our publications are made with. From 18 on stored
 * generated columns are published, since an identity that holds unpublished ones makes the application's update fail. */
void publication_add_options(struct buf *out, bool inserts, int server_version);

/* Drop both; *dropped tells how many there were. */
int publication_drop(const struct env *env, PGconn *c, const char *name, int *dropped,
                     struct err *e) MUST_CHECK;

#endif
