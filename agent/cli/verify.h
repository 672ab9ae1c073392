/* SPDX-License-Identifier: Apache-2.0
 *
 * Comparing one table on two servers, inside snapshots that stand at the same point.
 *
 * Both sides hash each row as text (hashtextextended over the row's text form, the same function
 * in PostgreSQL 14 to 18) and add the hashes per bucket of the key's hash, so that only numbers
 * travel; rows are looked at one by one only in buckets that differ. Sums, not ordered digests:
 * tables without a key compare as multisets.
 */
#ifndef TR_CLI_VERIFY_H
#define TR_CLI_VERIFY_H

#include "agent/net/pg.h"
#include "schemas/shape.h"

#define VERIFY_BUCKETS 1024
#define VERIFY_SHOWN_MAX 20 /* differing rows listed per table */

enum verify_kind { VERIFY_MISSING, VERIFY_EXTRA, VERIFY_DIFFERS };

struct verify_table {
    const struct relation *rel;
    struct str target_space;       /* schema on the target */
    struct buf left_out;           /* names of columns that are not compared, as JSON strings with commas between */
    int64_t source_rows, target_rows;
    int64_t differing_buckets;
    int64_t missing, extra, differs; /* rows, in the buckets looked at */
    struct buf lines;              /* one line a differing row: kind and key */
    int shown;
};

/* The grouping query of one side: (bucket, rows, sum). Generated columns are left out. from is the
 * table as SQL, with ONLY where tables that inherit from it are tables of their own. */
void verify_add_digest_sql(const struct relation *rel, struct str from, struct buf *out);
/* The rows of the buckets listed ("1,5,9"): (key text, row hash), ordered by both. */
void verify_add_rows_sql(const struct relation *rel, struct str from, struct str buckets, struct buf *out);

/* Take out of t->rel, in the arena, what rules make another on the target, and give it the record key that they
 * give; without a key when a column of that is among them. Fills left_out. */
int verify_by_rules(const struct shape_rules *rules, struct arena *a, struct verify_table *t, struct err *e) MUST_CHECK;

/* Compare; fills t. Both connections are in a REPEATABLE READ transaction. */
int verify_compare(const struct env *env, PGconn *source, PGconn *target, struct verify_table *t,
                   struct err *e) MUST_CHECK;

#endif
