/* SPDX-License-Identifier: Apache-2.0
 *
 * Which tables have been copied, and at which position: one value a table in STORE_COPIES.
 *
 * A table is known by name and OID: one that was dropped and made again, or renamed, is another
 * table and is copied again. Commits of a table below its LSN are in its copy and are dropped
 * from the stream; those of a chosen table that has no value yet all will be in it.
 */
#ifndef TR_SOURCE_COPIES_H
#define TR_SOURCE_COPIES_H

#include "agent/base/store.h"

struct copy_fact {
    bool found;
    uint32_t oid;
    uint64_t lsn; /* 0 = streamed from the start, no copy */
};

/* The fact of a table; found false when there is none. E_CORRUPT. */
int copies_get(struct store *store, struct str space, struct str name, struct copy_fact *out,
               struct err *e) MUST_CHECK;
/* Durable when it returns 0. */
int copies_put(struct store *store, struct str space, struct str name, const struct copy_fact *fact,
               struct err *e) MUST_CHECK;
/* Durable when it returns 0; forgetting what is not there is no error. */
int copies_forget(struct store *store, struct str space, struct str name, struct err *e) MUST_CHECK;
/* Visit all; the names are borrowed for the call. A visitor may forget the one it is given. */
int copies_each(struct store *store, void *self,
                int (*visit)(void *self, struct str space, struct str name, struct err *e),
                struct err *e) MUST_CHECK;

#endif
