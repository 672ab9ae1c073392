#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: packaging.sh
# The systemd unit as systemd's own tools judge it, and the alert rules as Prometheus' own tool does.
set -uo pipefail
. "$(dirname "$0")/../harness/lib.sh"
args_need promtool systemd-analyze sed
work_open

EXPOSURE_MAX=1.5
unit=$W/tailrace.service

unit_make() {
    # As the makefile renders it; /bin/true stands for the program, which need not be installed.
    sed -e 's,@bindir@/tailrace,/bin/true,' -e 's,@sysconfdir@,/etc,g' "$TR_SRC/packaging/tailrace.service.in" >"$unit"
}
unit_is_right() {
    must "every @variable@ is known" unit_is_rendered
    must "systemd-analyze verify finds nothing" unit_verifies
}
unit_is_rendered() { ! grep -n '@' "$unit" | grep -v '=@system-service\|=~@'; }
unit_verifies() {
    local said
    said=$(systemd-analyze verify --man=no "$unit" 2>&1 | grep -F tailrace)
    [ -z "$said" ] || { note "$said"; return 1; }
}
unit_is_tight() {
    local exposure
    exposure=$(systemd-analyze security --offline=true "$unit" 2>/dev/null | sed -n 's/.*exposure level for .*: \([0-9.]*\) .*/\1/p')
    note "unit_exposure=${exposure:-none}"
    must "exposure is at most $EXPOSURE_MAX" awk -v e="${exposure:-99}" -v m=$EXPOSURE_MAX 'BEGIN { exit !(e <= m) }'
}
rules_hold() {
    must "promtool reads the rules" promtool check rules "$TR_SRC/packaging/alerts.yml"
    must "each alert fires on its fault and is silent otherwise" promtool test rules "$TR_SRC/packaging/alerts_test.yml"
}
# A rule about a metric that is not there would be silent for ever.
metrics_exist() {
    local m missing=
    for m in $(grep -oE 'tailrace_[a-z_]+' "$TR_SRC/packaging/alerts.yml" | sort -u); do
        grep -q "\"$m\"" "$TR_SRC/agent/metrics.def" || missing="$missing $m"
    done
    must "metrics of the rules are in metrics.def; missing:$missing" [ -z "$missing" ]
}

unit_make
case_run "systemd takes the unit" unit_is_right
case_run "the unit leaves little open" unit_is_tight
case_run "alert rules hold" rules_hold
case_run "alert rules name metrics that exist" metrics_exist
finish
