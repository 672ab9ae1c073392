/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL sink's own state and the calls between its files.
 */
#ifndef TR_SINKS_POSTGRES_SESSION_H
#define TR_SINKS_POSTGRES_SESSION_H

#include "sinks/postgres/pipe.h"
#include "sinks/postgres/postgres.h"

#define PGS_BUCKETS 256
#define PGS_CACHE_BYTES ((size_t) 32 << 20) /* descriptions and statements; then all are made anew */

struct pgs {
    struct sink sink;
    struct sink_env env;
    char part[80];              /* "target warehouse", for log lines */
    int missing_series;
    struct pipe pipe;           /* pipe.conn NULL: not connected */
    bool in_txn;                /* BEGIN is queued */
    bool prepared;              /* our own statements are on this session */
    bool strict;                /* careful met a deferred violation at its end: check after each row */
    int64_t version;            /* of our watermark row */
    int64_t commit_us, forced_us; /* mono time of the last commit; of the last forced flush */
    uint64_t flush_lsn;         /* the target has to flush up to here; 0 = ask */
    uint64_t statement_count;   /* names given out on this session */
    struct arena cache;         /* tables and statements */
    struct pgs_table *tables[PGS_BUCKETS];
    struct pgs_run run;
    uint8_t *mask;
    size_t mask_room;
    struct buf text;            /* values of one statement */
    size_t *offsets;            /* of each value in text; SIZE_MAX = NULL */
    const char **values;
    size_t values_room;
};

/* ---- session.c ---- */

/* BEGIN, when no transaction is open; our own prepared statements when they are not there. */
int pgs_begin(struct pgs *s, struct err *e) MUST_CHECK;
/* Forget tables and statements; they are described and prepared again when needed. */
void pgs_forget(struct pgs *s);

/* ---- catalog.c ---- */

/* The target's table for the relation at lsn, a commit of the source: described when new, and made or
 * altered as create and ddl allow. With ddl: park one that does not fit is told by its unfit. */
int pgs_table(struct pgs *s, const struct relation *rel, uint64_t lsn, struct pgs_table **out,
              struct err *e) MUST_CHECK;
/* It is described. */
bool pgs_knows(const struct pgs *s, const struct relation *rel);
/* Schema of the relation on the target. */
struct str pgs_space(const struct pgs *s, const struct relation *rel);

/* ---- create.c ---- */

/* Make schema, enum types and table of a relation. */
int pgs_create(struct pgs *s, const struct relation *rel, struct err *e) MUST_CHECK;

/* Make schema and type of a column where they are missing. */
int pgs_need_type(struct pgs *s, const struct relation *rel, const struct column *col, struct err *e) MUST_CHECK;

/* ---- follow.c ---- */

/* Columns of the target's table as pgs_follow wants them: catalog.c's query. */
enum pgs_target_column { TARGET_KIND, TARGET_NAME, TARGET_GENERATED, TARGET_ALWAYS, TARGET_TYPE, TARGET_ARRAY,
                         TARGET_AS_TEXT, TARGET_EQUALITY, TARGET_FULL_TYPE, TARGET_NEEDED };
/* The table's columns follow those of the relation at lsn, as far as that is allowed: *altered tells
 * that they have to be read again. What stands there of the relation is remembered with the rows.
 * E_TARGET_TABLE with the SQL that is left to a person. */
int pgs_follow(struct pgs *s, const struct pgs_table *t, uint64_t lsn, const PGresult *columns, bool *altered,
               struct err *e) MUST_CHECK;
/* Another table will stand there: nothing is remembered of this one. */
int pgs_follow_forget(struct pgs *s, const struct relation *rel, struct err *e) MUST_CHECK;
/* Another key, with ddl: apply; *altered false when that is not allowed. */
int pgs_follow_key(struct pgs *s, const struct pgs_table *t, bool *altered, struct err *e) MUST_CHECK;

/* ---- apply.c ---- */

/* Apply in runs; the changes may go once it returned. */
int pgs_apply_fast(struct pgs *s, const struct change *changes, int count, struct err *e) MUST_CHECK;
/* One TRUNCATE for changes[0..*count) as far as they are truncates with the same options; sets
 * *count to how many it took. */
int pgs_truncate(struct pgs *s, const struct change *changes, int *count, struct err *e) MUST_CHECK;
/* The mask of columns for a change, in s->mask. */
enum pgs_kind pgs_shape(struct pgs *s, const struct pgs_table *t, const struct change *c);

/* ---- careful.c ---- */

/* Apply what can be, park what cannot, by env.park. */
int pgs_apply_careful(struct pgs *s, const struct change *changes, int count, struct err *e) MUST_CHECK;

/* ---- copy.c ---- */

/* What the first and last chunk of a table's copy ask for. rel is NULL when the chunk is empty. */
int pgs_copy_mark(struct pgs *s, const struct mark *mark, const struct relation *rel, struct err *e) MUST_CHECK;

/* ---- check.c ---- */

/* sink_driver.check */
int pgs_check(const struct sink_env *env, const struct finding_out *out, struct err *e) MUST_CHECK;

#endif
