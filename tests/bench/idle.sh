#!/bin/bash
# shellcheck disable=SC1091,SC2034
# SPDX-License-Identifier: Apache-2.0
# usage: idle.sh [--seconds N]
#
# What an idle database keeps of a busy neighbour's WAL. Two servers (PostgreSQL 18), each with a database of ours in which
# nothing changes and a neighbour that writes about 4 MB/s of WAL. On one of them our role may call
# pg_log_standby_snapshot, on the other not. restart_lsn moves only at running-transactions records, which the server
# writes every 15 s by itself; the sentinel asks for one where it may. Prints, as the highest value of the last 30 seconds:
#   idle_retained_wal_mb, idle_retained_limit_mb   with the grant: two segments
#   plain_retained_wal_mb, plain_retained_limit_mb without: the WAL of 20 s and a segment
#   unconfirmed_mb, unconfirmed_limit_mb           the WAL of two sentinel intervals
# Exit 1 when one is above its limit.
. "$(dirname "$0")/../harness/lib.sh"

SECONDS_ALL=120 SENTINEL_MS=5000
while [ $# -gt 0 ]; do
    case $1 in --seconds) SECONDS_ALL=$2; shift ;; *) sed -n '4p' "$0" | cut -c3-; exit 2 ;; esac
    shift
done
need_agent
args_need psql jq
work_open

# A role with what the documentation asks for, and no more.
side_start() { # NAME GRANT?
    pg_start "$1" 18 'shared_buffers = 64MB'
    q "$1" 'CREATE DATABASE ours' postgres; q "$1" 'CREATE DATABASE neighbour' postgres; q "$1" 'CREATE DATABASE copy' postgres
    q "$1" 'CREATE TABLE quiet (id int PRIMARY KEY, v text); INSERT INTO quiet VALUES (1)' ours
    q "$1" 'CREATE TABLE busy (v text)' neighbour
    q "$1" "CREATE ROLE reader LOGIN REPLICATION; GRANT CREATE ON DATABASE ours TO reader; GRANT SELECT ON quiet TO reader; ALTER TABLE quiet OWNER TO reader" ours
    [ -z "$2" ] || q "$1" 'GRANT EXECUTE ON FUNCTION pg_log_standby_snapshot() TO reader' ours
    PG_DB[$1]=ours
    C_NAME=idle C_SENTINEL=$SENTINEL_MS C_SOURCE="host=127.0.0.1 port=${PG_PORT[$1]} user=reader dbname=ours" C_TARGET="$(dsn "$1" copy)" agent_config "agent_$1" "$1" "$1"
    agent_start "agent_$1"
    streaming "agent_$1" 30 || { tail "$W/agent_$1/log"; die "the agent does not stream"; }
    neighbour "$1" & CHILDREN+=($!)
}
# About 400 kB of WAL ten times a second.
neighbour() {
    while :; do
        echo "INSERT INTO busy SELECT repeat(md5(i::text), 30) FROM generate_series(1, 380) i; TRUNCATE busy; SELECT pg_sleep(0.1);"
    done | psql -Xq -o /dev/null -d "$(sock "$1" neighbour)" 2>"$W/neighbour.$1" # its server is stopped under it at the end
}
# Highest retained and unconfirmed MB of a side over SECONDS, with the WAL rate: one line. The figures are kept in
# variables, not in a table: a transaction that writes is itself what a slot has to keep WAL for.
side_watch() {
    q "$1" "DO \$\$ DECLARE
            kept numeric := 0; open numeric := 0; first pg_lsn := pg_current_wal_lsn(); began timestamptz := clock_timestamp();
            cur pg_lsn; slot record;
        BEGIN
            FOR i IN 1 .. $2 * 5 LOOP
                PERFORM pg_sleep(0.2);
                cur := pg_current_wal_lsn();
                SELECT restart_lsn, confirmed_flush_lsn INTO slot FROM pg_replication_slots;
                kept := greatest(kept, cur - slot.restart_lsn);
                open := greatest(open, cur - slot.confirmed_flush_lsn);
            END LOOP;
            PERFORM set_config('tailrace.seen', round(kept / 1048576, 1) || ' ' || round(open / 1048576, 1) || ' ' ||
                round((cur - first) / 1048576 / extract(epoch FROM clock_timestamp() - began)::numeric, 2), false);
        END \$\$;
        SELECT current_setting('tailrace.seen')"
}
limit() { # NAME VALUE LIMIT
    note "$1_mb=$2"
    note "$1_limit_mb=$3"
    awk -v a="$2" -v b="$3" 'BEGIN { exit !(a != "" && a <= b) }' || { bad "$1 is above its limit"; return 1; }
}

side_start granted yes
side_start plain ''
note "# both stream; the neighbours write"
sleep $((SECONDS_ALL > 30 ? SECONDS_ALL - 30 : 1))
side_watch granted 30 >"$W/granted.seen" &
watch=$!
side_watch plain 30 >"$W/plain.seen"
wait $watch
read -r kept open rate <"$W/granted.seen"
read -r plain_kept plain_open plain_rate <"$W/plain.seen"
note "wal_mb_s=$rate"
limit idle_retained_wal "$kept" 32
limit plain_retained_wal "$plain_kept" "$(awk -v r="$plain_rate" 'BEGIN { printf "%.1f\n", 20 * r + 16 }')"
two=$(awk -v r="$rate" -v s=$SENTINEL_MS 'BEGIN { printf "%.1f\n", 2 * r * s / 1000 }')
limit unconfirmed "$open" "$two"
limit plain_unconfirmed "$plain_open" "$two"
[ "$FAILED" -eq 0 ]
