/* SPDX-License-Identifier: Apache-2.0
 *
 * Shape: what the configuration's rules on columns and keys make of a table.
 *
 * Made once a relation version: another relation, without the columns that are dropped and with the key
 * that a rule names, and for each column what becomes of its values. The envelope knows the shaped
 * relation only, so that schemas, keys and headers hold nothing else. A rule never lets a value through
 * that it cannot act on: a column of another type than text is dropped. NULL, unchanged and absent stay
 * what they are.
 */
#ifndef TR_SCHEMAS_SHAPE_H
#define TR_SCHEMAS_SHAPE_H

#include "agent/base/config.h"
#include "agent/base/err.h"
#include "schemas/change.h"

#define SHAPE_KEY_DIGITS 32 /* of a hash, at least, in a key: fewer and two rows might get the same */

/* Rules as configured, borrowed. */
struct shape_rules {
    const struct config_column *columns;
    int column_count;
    const struct config_key *keys;
    int key_count;
};

/* Those of a configuration, which has to outlive them. */
struct shape_rules shape_rules_of(const struct config *c);

/* What becomes of a column. */
enum shape_way { SHAPE_KEEP, SHAPE_DROP, SHAPE_MASK, SHAPE_HASH, SHAPE_TRUNCATE };

struct shape;

/* The shape of a relation; *out is NULL when no rule concerns it. E_CONFIG, naming rule, table and column, when a
 * rule would take the key's rows apart, or names a key that events could not have. */
int shape_make(const struct relation *rel, const struct shape_rules *rules, struct shape **out,
               struct err *e) MUST_CHECK;
void shape_free(struct shape *s);

/* The relation as it is sent. */
const struct relation *shape_relation(const struct shape *s);
/* What becomes of a column of the relation that the shape was made from; NULL = no shape. */
enum shape_way shape_way(const struct shape *s, int column);
/* Columns that are dropped because a rule cannot act on their type: "born (date), tags (text[])"; empty when none. */
struct str shape_unable(const struct shape *s);

/* Put the change into its shape: relation and rows, which then live in the shape until the next call. E_INTERNAL
 * when a value cannot be hashed. */
int shape_change(struct shape *s, struct change *change, struct err *e) MUST_CHECK;

#endif
