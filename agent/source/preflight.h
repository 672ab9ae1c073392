/* SPDX-License-Identifier: Apache-2.0
 *
 * Preflight: what must hold before a run, looked at without changing anything.
 */
#ifndef TR_SOURCE_PREFLIGHT_H
#define TR_SOURCE_PREFLIGHT_H

#include "agent/base/config.h"
#include "agent/base/env.h"
#include "sinks/sink.h"

/* All findings about the source and the state directory, in a fixed order, to out. -1 only when
 * the source cannot be reached at all (that is a finding too, and the error says why). */
int preflight_source(const struct env *env, const struct config *config, const struct finding_out *out,
                     struct err *e) MUST_CHECK;

#endif
