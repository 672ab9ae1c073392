/* SPDX-License-Identifier: Apache-2.0
 *
 * Schema registry seam: subject and text to id, id to text. The text we built is what is registered.
 *
 * Drivers: embedded (schemas/registry_local.c, in the state's store), and one elsewhere
 * (schemas/registry_http.h). Ids are positive and never reused; the same text under any subject keeps one id, as Confluent's does. Thread-safe.
 */
#ifndef TR_SCHEMAS_REGISTRY_H
#define TR_SCHEMAS_REGISTRY_H

#include "agent/base/err.h"
#include "agent/base/arena.h"
#include "agent/base/store.h"

struct registry;

struct registry_driver {
    int (*add)(struct registry *r, struct str subject, struct str text, int *id, struct err *e) MUST_CHECK;
    int (*text)(struct registry *r, int id, struct arena *a, struct str *text, struct err *e) MUST_CHECK;
    /* visit(self, subject, version, id) for all versions of all subjects, in order */
    int (*each)(struct registry *r, void *self,
                int (*visit)(void *self, struct str subject, int version, int id), struct err *e) MUST_CHECK;
    void (*close)(struct registry *r);
};

struct registry {
    const struct registry_driver *driver;
};

enum compatibility { COMPAT_NONE, COMPAT_BACKWARD };

/* The embedded one, in two tables of store. level is checked at add: an incompatible text is
 * E_SCHEMA with the place. The default of tailrace is COMPAT_NONE for sane embedded use: source tables
 * change as their owner wishes and history is kept. */
struct registry *registry_local_open(struct store *store, enum compatibility level, struct err *e) MUST_CHECK;

/* Id of text under subject; registers it once. Subject is "<topic>-key" or "<topic>-value". E_SCHEMA, or
 * E_SCHEMA_INCOMPATIBLE when it may not follow the one before; class ERR_RETRY while it cannot be told. */
static inline int registry_add(struct registry *r, struct str subject, struct str text, int *id, struct err *e)
{
    return r->driver->add(r, subject, text, id, e);
}
/* Text of an id, copied into a; E_SCHEMA when unknown. */
static inline int registry_text(struct registry *r, int id, struct arena *a, struct str *text, struct err *e)
{
    return r->driver->text(r, id, a, text, e);
}
static inline void registry_close(struct registry *r)
{
    if (r)
        r->driver->close(r);
}

/* Whether data written with old can be read with new (Avro resolution, BACKWARD): 0, or -1 with
 * E_SCHEMA and the path of the first difference. Both are schema texts. */
int schema_check_backward(struct str new_text, struct str old_text, struct err *e) MUST_CHECK;

#endif
