/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of `tailrace check` that is about the schema registry.
 */
#ifndef TR_CLI_CHECK_REGISTRY_H
#define TR_CLI_CHECK_REGISTRY_H

#include "agent/base/config.h"
#include "agent/base/env.h"
#include "sinks/sink.h"

/* Findings registry_reach and registry_auth of each address, registry_level of the first that lets us in; none
 * without registry.url. Changes nothing there. */
void check_registry(const struct env *env, const struct config_registry *config, const struct finding_out *out);

#endif
