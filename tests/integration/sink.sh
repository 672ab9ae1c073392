#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check.sh runs: sink.sh debian 18
# check.sh runs, each version: sink.sh V
# The PostgreSQL sink against real servers (Debian's and the newest): every shape of row, what is made, parked and
# refused, and the watermark under a cut session. Usage: sink.sh [VERSION...]; needs tests/integration/sink_test built
# (make tests/integration/sink_test); TR_BUILD names the build directory.
. "$(dirname "$0")/../harness/lib.sh"
build=${TR_BUILD:-$(dirname "${TAILRACE:-$TR_SRC/build/tailrace}")}
[ -x "$build/tests/integration/sink_test" ] || make -C "$build" tests/integration/sink_test >/dev/null || die "sink_test cannot be built in $build"
work_open
for version in "${@:-debian}"; do
    pg_start "t$version" "$version"
    if TR_TARGET=$(dsn "t$version") "$build/tests/integration/sink_test"; then ok "sink on $version"; else bad "sink on $version"; fi
done
finish
