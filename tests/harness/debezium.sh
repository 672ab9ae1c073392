# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# Sourced by tests/peers/debezium.sh and tests/integration/debezium.sh: tests/cases/debezium.sql by parts, and tailrace in strict mode
# writing its events, as bytes, to $W/ours.tsv.

DEBEZIUM_SQL=$TR_SRC/tests/cases/debezium.sql
DEBEZIUM_PARTS="live added dropped renamed retyped"
# Extensions whose types have parts of their own, "before_NAME" and "NAME", and the tables of these.
DEBEZIUM_EXTENSIONS="postgis vector"
declare -A DEBEZIUM_EXTENSION_TABLES=(
    [postgis]='places places_required places_defaults places_keyed places_large'
    [vector]='embeddings embeddings_required embeddings_sparse embeddings_defaults embeddings_keyed embeddings_large'
)
# How values travel: events.time, .interval, .binary, .hstore and .decimal. The second of these is kept too, of the tables whose
# types it changes.
DEBEZIUM_USUAL=adaptive,numeric,bytes,json,precise
DEBEZIUM_OTHER=connect,string,base64,map,string
DEBEZIUM_OTHER_TABLES='numbers texts times arrays defaults required large'
debezium_build=${TR_BUILD:-$(dirname "${TAILRACE:-$TR_SRC/build/tailrace}")}
[ -x "$debezium_build/tests/integration/source_test" ] || make -C "$debezium_build" tests/integration/source_test >/dev/null ||
    die "source_test cannot be built in $debezium_build"

# debezium_part PART FORMS: without what ends Debezium's task with these forms. Where dates are no days that is an unchanged large
# date[], which is made short; with nanoseconds it is an old row that lacks a NOT NULL timestamp, which may be NULL there.
debezium_part() {
    local change=''
    case $2 in
        connect,* | isostring,*) change='s/::date + n FROM generate_series(1, 1000)/::date + n FROM generate_series(1, 3)/' ;;
        nanoseconds,*) change='s/ts timestamp NOT NULL, ts3 timestamp(3) NOT NULL/ts timestamp, ts3 timestamp(3)/' ;;
    esac
    awk -v part="$1" '/^-- part: / { on = $3 == part; next } on' "$DEBEZIUM_SQL" | sed "$change"
}
# debezium_only FILE TABLE...: its lines that have to do with these tables.
debezium_only() { python3 "$TR_SRC/tests/peers/debezium.py" only "$1" "${@/#/shop.public.}"; }
# debezium_extensions SERVER: those of which the server has the files, in DEBEZIUM_HAVE; tells which it has not.
debezium_extensions() {
    local extension
    DEBEZIUM_HAVE=''
    for extension in $DEBEZIUM_EXTENSIONS; do
        if q_is "$1" "SELECT 1 FROM pg_available_extensions WHERE name = '$extension'" 1; then
            DEBEZIUM_HAVE+=" $extension"
        else
            note "left out: the types of $extension, which this PostgreSQL does not have"
        fi
    done
}
# debezium_tables EXTENSION...
debezium_tables() { local extension; for extension; do printf '%s ' "${DEBEZIUM_EXTENSION_TABLES[$extension]}"; done; }
# debezium_agent SERVER FORMS: our source on it.
debezium_agent() {
    local time interval binary hstore decimal
    IFS=, read -r time interval binary hstore decimal <<<"$2"
    C_NAME=shop C_TABLES='public.*, other.*' C_SENTINEL=60000 C_MORE="events: { mode: strict, tombstones: true, transactions: true, time: $time, interval: $interval, binary: $binary, hstore: $hstore, decimal: $decimal }" \
        agent_config ours "$1" "$1"
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
# debezium_forget SERVER: its database and what our source kept, so that another can begin.
debezium_forget() {
    local db=${PG_DB[$1]}
    PG_DB[$1]=postgres
    until_true 10 q_is "$1" "SELECT count(*) FROM pg_replication_slots WHERE active" 0 || die "the slot stays in use"
    q "$1" "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots" >/dev/null
    q "$1" "DROP DATABASE \"$db\" WITH (FORCE)" || die "cannot drop database $db"
    rm -rf "$W/ours" "$W/ours.in" "$W/ours.tsv"
}
