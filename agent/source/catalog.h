/* SPDX-License-Identifier: Apache-2.0
 *
 * Catalog look-ups about the tables of the source: used by the stream (refining RELATION messages,
 * once per change of a relation, never per row), the copy, publications, preflight and init.
 */
#ifndef TR_SOURCE_CATALOG_H
#define TR_SOURCE_CATALOG_H

#include "agent/base/config.h"
#include "agent/net/pg.h"
#include "schemas/relation.h"

struct catalog_table {
    uint32_t oid;
    struct str space, name;
    char identity;      /* pg_class.relreplident */
    bool has_identity;  /* updates and deletes can be published */
    bool has_key;       /* primary key */
    bool partitioned;   /* published through its root */
    int64_t rows;       /* reltuples; -1 unknown */
    bool owned;         /* our role may add it to a publication */
    bool generated;     /* has stored generated columns */
};

/* Permanent user tables (partition roots instead of their leaves) that the patterns choose, ordered
 * by name. System schemas, temporary and unlogged tables and our own schema are left out, and tables of extensions
 * (PostGIS's spatial_ref_sys), which CREATE EXTENSION fills on the target too, unless a pattern names one in full. */
int catalog_tables(const struct env *env, PGconn *c, const struct config_list *patterns, struct arena *a,
                   struct catalog_table **tables, int *count, struct err *e) MUST_CHECK;

/* All that a struct relation holds, of a table as it is now; E_GONE-class error when it is not there. Record key: the replica
 * identity index's columns where one is set, else the primary key, else none. Generated stored columns are included and flagged. */
int catalog_describe(const struct env *env, PGconn *c, uint32_t oid, struct arena *a,
                     const struct relation **out, struct err *e) MUST_CHECK;

/* A RELATION message completed by the catalog: columns matched by name; one that the catalog no
 * longer has keeps what its type OID tells. The key is the identity that the message flags, unless
 * that is the whole row or nothing. *out has wire's columns in wire's order. */
int catalog_refine(const struct env *env, PGconn *c, const struct relation *wire, struct arena *a,
                   const struct relation **out, struct err *e) MUST_CHECK;

/* The same from rows that were told earlier: what catalog_columns_sql gave of the table, and catalog_types_sql of its columns in
 * the same order. False, with nothing done, when wire has another form than they tell of. */
bool catalog_refine_told(const PGresult *columns, const PGresult *types, const struct relation *wire, struct arena *a,
                         const struct relation **out);
/* Columns of table $1, and types by $1 (OIDs) and $2 (modifiers); the number of columns of each. Names come
 * qualified when search_path is empty. */
extern const char catalog_columns_sql[], catalog_types_sql[];
#define CATALOG_COLUMNS_FIELDS 13
#define CATALOG_TYPES_FIELDS 8

/* The same for a relation of OID 0, which is looked up by its name: OID, identity and the columns' types come from the
 * catalog, where the name of the type is still wire's. *out is wire itself when no such table is there. */
int catalog_refine_named(const struct env *env, PGconn *c, const struct relation *wire, struct arena *a,
                         const struct relation **out, struct err *e) MUST_CHECK;

#endif
