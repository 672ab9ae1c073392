/* SPDX-License-Identifier: Apache-2.0
 *
 * ${NAME}, ${NAME:-default}, ${NAME:?message} and $$ in a scalar of the configuration.
 *
 * Done after the YAML is parsed, so that a variable can never add keys; a value with a line break
 * or another control character is refused for the same reason. A variable that is unset and has no
 * default is an error: an empty host name is not what anyone meant.
 */
#ifndef TR_CLI_EXPAND_H
#define TR_CLI_EXPAND_H

#include "agent/base/arena.h"
#include "agent/base/err.h"

/* in with its variables replaced, in the arena. E_CONFIG names the variable, never its value. */
int expand_text(struct arena *a, struct str in, struct str *out, struct err *e) MUST_CHECK;

#endif
