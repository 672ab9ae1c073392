#!/bin/bash
# shellcheck disable=SC1091,SC2034
# SPDX-License-Identifier: Apache-2.0
# usage: registry.sh
# check.sh runs it behind the others: it mostly waits.
# tailrace run with a schema registry: what is registered, outages, incompatible changes, credentials, another registry. The registry is
# tests/harness/registry.py; tests/peers/registry_run.sh has the same with a real one. What a registry can answer is in
# tests/unit/schemas/test_registry_http.c.
. "$(dirname "$0")/../harness/lib.sh"
. "$(dirname "$0")/../harness/registry.sh"
args_need psql curl jq python3
need_agent
work_open
port_new; REGISTRY=$PORT
API=
python3 "$TR_SRC/tests/harness/registry.py" "$REGISTRY" >"$W/registry.log" 2>&1 &
CHILDREN+=("$!")
registry_cases debian
finish
