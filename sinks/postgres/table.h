/* SPDX-License-Identifier: Apache-2.0
 *
 * A target table as the sink sees it, and the statements made for it. Pure: no connection here.
 *
 * One struct pgs_table belongs to one source relation version. Its statements are made once per
 * kind, shape (which columns are written) and width (one row by parameters, many by arrays).
 */
#ifndef TR_SINKS_POSTGRES_TABLE_H
#define TR_SINKS_POSTGRES_TABLE_H

#include "schemas/change.h"

enum pgs_kind {
    PGS_INSERT,     /* upsert by key, plain insert without one */
    PGS_UPDATE,     /* by key; a key change is one of these */
    PGS_DELETE,     /* by key */
    PGS_UPDATE_ROW, /* no key: one row that equals the whole old one */
    PGS_DELETE_ROW,
    PGS_TRUNCATE,
};

/* How one column of the source is written on the target. Texts are SQL, already quoted. */
struct pgs_column {
    bool used;            /* false: the target computes it */
    bool always_identity; /* GENERATED ALWAYS AS IDENTITY: settable by insert only */
    bool equality;        /* the type has an equality that IS NOT DISTINCT FROM can use */
    bool array_as_text;   /* many rows travel as text[] and are cast one by one */
    struct str name;      /* "name" */
    struct str type;      /* integer; without length, so that a cast never cuts */
    struct str array;     /* integer[] */
    struct str equals;    /* OPERATOR(pg_catalog.=), of the key's index */
};

/* Where a parameter's value comes from. */
struct pgs_param {
    int column;
    bool old; /* of the old key or old row; else the new value */
};

struct pgs_stmt {
    struct pgs_stmt *next;
    enum pgs_kind kind;
    bool many;
    const uint8_t *mask;  /* rel->column_count flags: columns written */
    struct str sql;       /* NUL-terminated */
    struct pgs_param *params;
    int param_count;
    char name[20];        /* of the prepared statement */
    bool counted;         /* one more parameter: how many rows it has to find */
    bool prepared;        /* sent to this session */
};

struct pgs_table {
    struct pgs_table *next;      /* in its hash bucket */
    const struct relation *rel;
    struct str sql;              /* "schema"."name" */
    struct str label;            /* schema.name, for messages */
    struct str keys;             /* "id, line", for messages */
    bool only;                   /* ordinary table: ONLY, children are tables of their own */
    bool upsert;                 /* ON CONFLICT can use the key's index */
    bool incomplete;             /* its first copy is under way: an update may find no row */
    bool overriding;             /* has an identity column that is generated always */
    const struct err *unfit;     /* why its rows are parked; NULL when it fits */
    struct pgs_column *columns;  /* rel->column_count */
    struct pgs_stmt *statements;
};

/* New value of a column; an unchanged one is completed from a full old row. */
struct value pgs_new_value(const struct change *c, int column);
/* Value that finds the row: from the old row when it has one, else the new one. */
struct value pgs_old_value(const struct change *c, int column);
/* The update moves the row to another key. */
bool pgs_key_changes(const struct pgs_table *t, const struct change *c);
/* All columns that can be written are known, so that the row can be inserted. */
bool pgs_complete(const struct pgs_table *t, const struct change *c);

/* What to do for a change: its kind and the columns written (mask has rel->column_count bytes). */
enum pgs_kind pgs_classify(const struct pgs_table *t, const struct change *c, uint8_t *mask);

/* The statement of this kind, shape and width, built when new; lives in a with the table. */
struct pgs_stmt *pgs_statement(struct pgs_table *t, struct arena *a, enum pgs_kind kind,
                               const uint8_t *mask, bool many);

/* An update that finds fewer rows than it should fails on the server, with this SQLSTATE and no
 * message of ours: only an error there keeps the COMMIT behind it in the pipeline from happening. */
#define PGS_NO_ROW_SQLSTATE "2201E"

/* SQL words of a kind, for messages: "insert into". */
const char *pgs_kind_words(enum pgs_kind kind);

/* ---- runs: consecutive changes that become one statement ---- */

#define PGS_RUN_ROWS 1024         /* most rows of one statement */
#define PGS_RUN_BYTES (256 << 10) /* of values, passed by one row at most */

struct pgs_run {
    struct pgs_table *table;
    enum pgs_kind kind;
    uint8_t *mask;
    size_t mask_room;
    const struct change *rows[PGS_RUN_ROWS];
    int count;
    size_t bytes;
    uint64_t seen[PGS_RUN_ROWS * 4]; /* open hash of key hashes, 0 = free */
};

/* Empty the run and free what it holds. */
void pgs_run_clear(struct pgs_run *run);
void pgs_run_free(struct pgs_run *run);

/* Take the change into the run; false when it has to begin a new one: another table, kind or
 * shape, a key that the run has already, or no room. An empty run takes anything but truncates. */
bool pgs_run_take(struct pgs_run *run, struct pgs_table *t, enum pgs_kind kind,
                  const uint8_t *mask, const struct change *c);

/* Append element to a PostgreSQL array text (without the braces and commas). */
void pgs_array_element(struct buf *out, const struct value *v);

#endif
