#!/bin/bash
# shellcheck disable=SC1091,SC2034
# SPDX-License-Identifier: Apache-2.0
# usage: registry_run.sh [VERSION]     (PostgreSQL; debian unless given)
# The cases of tests/integration/registry.sh with a real schema registry, Apicurio 3.3.3 (Java 21, Maven).
. "$(dirname "$0")/../harness/lib.sh"
. "$(dirname "$0")/../harness/registry.sh"
HERE=$(cd "$(dirname "$0")" && pwd)
args_need psql curl jq mvn python3
need_agent
work_open
trap 'sh "$HERE/registry.sh" "$W/registry" 0 stop >/dev/null 2>&1; work_close' EXIT
port_new; REGISTRY=$PORT
API=/apis/ccompat/v7
sh "$HERE/registry.sh" "$W/registry" "$REGISTRY" start || exit 1
registry_cases "${1:-debian}"
finish
