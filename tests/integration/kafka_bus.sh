#!/bin/bash
# shellcheck disable=SC1091
# SPDX-License-Identifier: Apache-2.0
# usage: kafka_bus.sh
# check.sh --kafka runs: kafka_bus.sh
# The suite that the embedded bus passes, on a real Kafka (Java, Maven packages).
. "$(dirname "$0")/../harness/lib.sh"
args_need java mvn
need_agent
BUILD=$(dirname "$TAILRACE")
[ -x "$BUILD/tests/unit/test_bus" ] || make -C "$BUILD" tests/unit/test_bus >/dev/null || die "test_bus cannot be built in $BUILD"
work_open
port_new; KAFKA=$PORT
trap 'sh "$TR_SRC/tests/peers/kafka.sh" "$W/kafka" 0 stop >/dev/null 2>&1; work_close' EXIT
sh "$TR_SRC/tests/peers/kafka.sh" "$W/kafka" "$KAFKA" start || die "Kafka does not start"
while read -r line; do
    case $line in *:P:*) ok "kafka: $(echo "$line" | cut -d: -f5)" ;; *:F:* | *:E:*) bad "kafka: $(echo "$line" | cut -d: -f5-)" ;; esac
done < <(CK_VERBOSITY=verbose TR_KAFKA=127.0.0.1:$KAFKA timeout 500 "$BUILD/tests/unit/test_bus" 2>&1)
[ "$PASSED" -gt 0 ] || bad "kafka: no test ran"
finish
