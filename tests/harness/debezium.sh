# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# Sourced by tests/peers/debezium.sh and tests/integration/debezium.sh: tests/cases/debezium.sql by parts, and tailrace in strict mode
# writing its events, as bytes, to $W/ours.tsv.

DEBEZIUM_SQL=$TR_SRC/tests/cases/debezium.sql
DEBEZIUM_PARTS="live added dropped renamed retyped"
debezium_build=${TR_BUILD:-$(dirname "${TAILRACE:-$TR_SRC/build/tailrace}")}
[ -x "$debezium_build/tests/integration/source_test" ] || make -C "$debezium_build" tests/integration/source_test >/dev/null ||
    die "source_test cannot be built in $debezium_build"

debezium_part() { awk -v part="$1" '/^-- part: / { on = $3 == part; next } on' "$DEBEZIUM_SQL"; }
# debezium_agent SERVER: our source on it.
debezium_agent() {
    C_NAME=shop C_TABLES='public.*, other.*' C_SENTINEL=60000 C_MORE='events: { mode: strict, tombstones: true, transactions: true }' agent_config ours "$1" "$1"
    mkfifo "$W/ours.in"
    "$debezium_build/tests/integration/source_test" "$W/ours/tailrace.yaml" raw <"$W/ours.in" >"$W/ours.tsv" 2>"$W/ours/log" &
    DEBEZIUM_PID=$!; CHILDREN+=("$DEBEZIUM_PID")
    exec 7>"$W/ours.in"
}
# Each table has its last chunk. There is a publication by then: before it, none of no tables would be all of them.
debezium_copied() {
    local tables
    tables=$(q "$1" "SELECT count(*) FROM pg_publication_tables WHERE pubname LIKE 'tailrace%'")
    [ "$tables" -gt 0 ] && [ "$(grep -c '^commit copy .* last ' "$W/ours.tsv")" = "$tables" ]
}
# debezium_seen N FILE: the rows of marker that it has.
debezium_seen() { [ "$(grep -c '^event	shop.public.marker' "$2")" = "$1" ]; }
debezium_stop() { exec 7>&-; wait "$DEBEZIUM_PID"; }
