/* SPDX-License-Identifier: Apache-2.0
 *
 * One row of COPY ... TO STDOUT in text format to values.
 *
 * Rule: PostgreSQL documentation, COPY, "Text Format": tabs between columns, \N for NULL, and
 * \b \f \n \r \t \v, \ooo (octal), \xhh, or a backslash before any other character.
 */
#ifndef TR_SOURCE_COPYTEXT_H
#define TR_SOURCE_COPYTEXT_H

#include "agent/base/err.h"
#include "schemas/change.h"

/* Take line (a newline at its end is left out) apart into exactly count values, VALUE_SET or
 * VALUE_NULL. Escapes are undone in place: the values point into line. E_PG_PROTOCOL when the
 * number of columns is another. count 0 takes an empty line. Any thread. */
int copytext_parse(char *line, size_t len, struct value *values, int count, struct err *e) MUST_CHECK;

#endif
