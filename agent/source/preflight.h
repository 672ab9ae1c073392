/* SPDX-License-Identifier: Apache-2.0
 *
 * Preflight: what must hold before a run, looked at without changing anything.
 *
 * Each finding has a name that stays (docs/check.md), a sentence, and for those that do not
 * pass a hint and a code of errors.def. What cannot be looked at, for lack of a right or because
 * a statement failed, is a finding too; the others are looked at all the same.
 */
#ifndef TR_SOURCE_PREFLIGHT_H
#define TR_SOURCE_PREFLIGHT_H

#include "agent/base/config.h"
#include "agent/base/env.h"
#include "sinks/sink.h"

/* All findings about the source and the state directory, in a fixed order, to out. Takes a little
 * over a second, in which the WAL's growth is measured. -1 only when the source cannot be reached
 * at all (that is a finding too, and the error says why). */
int preflight_source(const struct env *env, const struct config *config,
                     const struct finding_out *out, struct err *e) MUST_CHECK;

#endif
