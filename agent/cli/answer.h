/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions to a running process whose answer is JSON with "ok".
 */
#ifndef TR_CLI_ANSWER_H
#define TR_CLI_ANSWER_H

#include <jansson.h>

#include "agent/base/err.h"

/* Ask the process on this state directory; the answer is the caller's (json_decref). NULL with its
 * reason when it says no; E_NOT_RUNNING, E_TIMEOUT. */
json_t *answer_ask(const char *state, struct str request, int64_t wait_ms, struct err *e) MUST_CHECK;

#endif
