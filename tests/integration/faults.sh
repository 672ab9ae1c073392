#!/bin/bash
# shellcheck disable=SC1091,SC2034
# SPDX-License-Identifier: Apache-2.0
# usage: faults.sh [--seconds N] [CASE...]      (--list prints the cases)
# check.sh runs: faults.sh
#
# Bad input, one case each: what the agent says, how it ends or what state it shows, and that nothing is lost once the
# fault is mended (verify, and a digest of our own). Each case has a database of its own on a source (Debian's
# PostgreSQL) and a target (18); cases about the source that differ by version run the other way round as well.
#   --seconds N   how long the target is away in target_down (15)
. "$(dirname "$0")/../harness/lib.sh"

DOWN_SECONDS=15 CASES=()
declare -A TITLE
ALL=()
fault() { ALL+=("$1"); TITLE[$1]=$2; }

# --- what the cases share ----------------------------------------------------------------------------------------------
# pair CASE [SOURCE TARGET]: databases with a table t of 100 rows, and a configuration; sets A (agent), S and D (servers).
pair() {
    A=$1 S=${2:-source} D=${3:-target}
    database "$S" "$A"; database "$D" "$A"
    q "$S" "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, 'old ' || n FROM generate_series(1, 100) n" || die "no table"
    mark_table "$S"
    agent_config "$A" "$S" "$D"
}
up() { agent_start "$A"; streaming "$A" 30; }
arrived() { synced "$S" "$D" "${1:-30}"; }
# Ends within SECONDS with CODE, and the log says TEXT.
ends_with() { must "ends within $1 s" agent_exit "$A" "$1" && must "exit code is $CODE, not $2" test "$CODE" = "$2" && must "log says: $3" log_has "$A" "$3"; }
whole() { same "$S" "$D" t && verified "$A"; }
code_of() { "$@" >"$W/cmd.out" 2>&1; CODE=$?; }
out_has() { grep -qE -- "$1" "$W/cmd.out"; }
some_changes() { q "$S" "INSERT INTO t SELECT n, 'new' FROM generate_series($1, $1 + 49) n; UPDATE t SET v = v || '+' WHERE id % 7 = 0; DELETE FROM t WHERE id % 13 = 0"; }
clear_case() {
    local s
    [ -z "${AGENT_PID[$A]:-}" ] || agent_stop "$A"
    [ -z "${AGENT_PID[$A-2]:-}" ] || agent_stop "$A-2"
    for s in source target; do
        PG_DB[$s]=postgres
        q $s "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND database = '$A'" >/dev/null 2>&1
    done
}
# --- the cases ---------------------------------------------------------------------------------------------------------
fault wal_level "wal_level is not logical: refused with the line that mends it"
case_wal_level() {
    pg_start plain debian 'wal_level = replica'
    pair wal_level plain target
    agent_start "$A"
    ends_with 15 78 'wal_level'
    code_of cli "$A" check
    must "check fails" test $CODE -ne 0 && must "check names wal_level" out_has 'wal_level'
    must "the hint is the statement" out_has 'ALTER SYSTEM SET wal_level'
    printf 'wal_level = logical\n' >"$W/plain/extra.conf"
    pg plain restart
    must "runs after the cure" up && must "rows arrive" arrived && must "equal" whole
}

fault right_replication "the role lacks REPLICATION: refused, not tried for ever"
case_right_replication() {
    pair right_replication
    q "$S" "CREATE ROLE weak LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO weak"
    C_SOURCE="host=127.0.0.1 port=${PG_PORT[$S]} user=weak dbname=$A" agent_config "$A" "$S" "$D"
    agent_start "$A"
    ends_with 20 77 'REPLICATION|permission|right'
    must "no slot is left" q_is "$S" "SELECT count(*) FROM pg_replication_slots WHERE database = '$A'" 0
}

fault right_select "the role may not read a table: refused, the table is named"
case_right_select() {
    pair right_select
    q "$S" "CREATE ROLE blind LOGIN REPLICATION; CREATE TABLE secret_t (id int PRIMARY KEY); CREATE PUBLICATION tailrace_right_select FOR TABLE t, tr_mark, secret_t WITH (publish_via_partition_root = true);
        CREATE PUBLICATION tailrace_right_select_ins WITH (publish = 'insert, truncate', publish_via_partition_root = true); GRANT SELECT ON t, tr_mark TO blind"
    C_SOURCE="host=127.0.0.1 port=${PG_PORT[$S]} user=blind dbname=$A" C_SOURCE_MORE='  create_publication: false' agent_config "$A" "$S" "$D"
    agent_start "$A"
    ends_with 20 77 'secret_t'
    q "$S" 'GRANT SELECT ON secret_t TO blind'
    must "runs after the grant" up && must "rows arrive" arrived && must "equal" whole
}

fault password "wrong password: ends within seconds with 77"
case_password() {
    pair password
    q "$S" "CREATE ROLE locked LOGIN REPLICATION PASSWORD 'right'"
    local hba=$W/$S/data/pg_hba.conf
    { echo 'host all locked 127.0.0.1/32 scram-sha-256'; cat "$hba"; } >"$W/hba" && cat "$W/hba" >"$hba"
    pg "$S" reload; sleep 0.3
    C_SOURCE="host=127.0.0.1 port=${PG_PORT[$S]} user=locked password=wrong-secret dbname=$A" agent_config "$A" "$S" "$D"
    agent_start "$A"
    ends_with 10 77 'login|password|authentication'
    must "the password is not in the log" eval '! log_has "$A" wrong-secret'
    must "few attempts" test "$(grep -c 'password authentication failed' "$W/$S/server.log")" -le 4
}

fault slot_in_use "somebody else reads the slot: it waits, says so, and goes on when the slot is free"
case_slot_in_use() {
    pair slot_in_use
    must "runs" up && must "rows arrive" arrived || return
    agent_stop "$A"
    some_changes 200
    # Stopped as soon as it holds the slot, so that it confirms nothing.
    pg_recvlogical -d "$(dsn "$S")" --slot "tailrace_$A" --start --no-loop -s 0 -F 0 -o proto_version=1 -o "publication_names=tailrace_$A" -f /dev/null 2>"$W/recv.err" &
    local holder=$!; CHILDREN+=("$holder")
    must "the slot is held" until_true 5 q_is "$S" "SELECT active FROM pg_replication_slots WHERE slot_name = 'tailrace_$A'" t
    kill -STOP $holder
    agent_start "$A"
    must "the state is waiting" until_true 10 status_is "$A" .source.state waiting
    must "it says so" log_has "$A" 'in use'
    must "it is alive" agent_lives "$A"
    kill -KILL $holder; wait $holder 2>/dev/null
    must "it goes on" streaming "$A" 30 && must "rows arrive" arrived && must "equal" whole
}

fault standby "a second agent with a copy of the state stands by and says so, and refuses once the slot has moved on without it"
case_standby() {
    pair standby
    must "runs" up && must "rows arrive" arrived || return
    agent_stop "$A"
    C_NAME=$A C_STATE="$W/$A-2/state" agent_config "$A-2" "$S" "$D"
    cp -a "$W/$A/state" "$W/$A-2/state"
    must "the first runs" up || return
    agent_start "$A-2"
    must "the second says that it stands by" until_true 15 log_has "$A-2" 'in use'
    some_changes 200
    must "the first goes on" arrived && must "equal" whole
    must "the second stands by, or refused" standby_holds
}
standby_holds() {
    if agent_lives "$A-2"; then [ "$(status "$A-2" .source.state)" = waiting ]
    else agent_exit "$A-2" 1 && [ "$CODE" = 1 ] && log_has "$A-2" 'older than it'; fi
}

fault takeover_process "a second process on the state directory takes over within 5 s when the first is killed, and nothing is lost or repeated"
case_takeover_process() {
    pair takeover_process
    must "runs" up && must "rows arrive" arrived || return
    C_NAME=$A C_STATE="$W/$A/state" agent_config "$A-2" "$S" "$D"
    "$TAILRACE" run --standby --config "$W/$A-2/tailrace.yaml" >>"$W/$A-2/out" 2>>"$W/$A-2/log" &
    AGENT_PID[$A-2]=$!; AGENTS+=("$A-2")
    must "the second stands by" until_true 10 log_has "$A-2" 'standing by' || return
    some_changes 200
    agent_kill "$A"
    taken_over "$A-2" 5000
}
# taken_over AGENT MS: it streams within that time, and the target is equal then.
taken_over() {
    local from; from=$(date +%s%N)
    must "it takes over" until_true 20 status_is "$1" .source.state streaming || return
    local ms=$((($(date +%s%N) - from) / 1000000))
    note "  takeover_ms=$ms"
    must "within $2 ms, not $ms" test $ms -lt "$2"
    some_changes 300
    must "rows arrive and are equal" until_true 30 same "$S" "$D" t && must "verify agrees" verified "$1"
}
fault takeover_host "the first one's host is gone without a word: a second one with its disk takes over within 15 s; the first cannot write when it comes back"
case_takeover_host() {
    pair takeover_host
    must "runs" up && must "rows arrive" arrived || return
    local first=$A pid=${AGENT_PID[$A]}
    C_NAME=$A C_STATE="$W/$A-2/state" agent_config "$A-2" "$S" "$D"
    some_changes 200
    kill -STOP "$pid"
    cp -a "$W/$A/state" "$W/$A-2/state"
    agent_start "$A-2"
    taken_over "$A-2" 15000
    kill -CONT "$pid"
    some_changes 400
    must "equal when the first is back" until_true 30 same "$S" "$D" t
    must "the first waits or ends" until_true 20 first_yields "$first"
    agent_kill "$first"
}
first_yields() { ! agent_lives "$1" || ! status_is "$1" .source.state streaming; }

fault over_budget "wal_over_budget stop: ends when the slot keeps too much and nothing is confirmed, and says so; the slot stays"
case_over_budget() {
    C_SOURCE_MORE=$'  wal_budget_mb: 16\n  wal_over_budget: stop' C_BUS='max_mb: 16, large_txn_max_mb: 0' pair over_budget
    must "runs" up && must "rows arrive" arrived || return
    pg "$D" crash
    q "$S" "INSERT INTO t SELECT n, (SELECT string_agg(md5(random()::text || n || k), '') FROM generate_series(1, 30) k) FROM generate_series(1000, 60000) n"
    must "it ends" agent_exit "$A" 100 && must "exit code is $CODE, not 75" test "$CODE" = 75
    must "it says why" log_has "$A" 'keeps more WAL than source.wal_budget_mb'
    must "the slot stays" q_is "$S" "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'tailrace_$A'" 1
    pg "$D" start >/dev/null
}

fault second_empty "a second agent with an empty state on the same slot refuses; the first goes on"
case_second_empty() {
    pair second_empty
    must "first runs" up || return
    C_NAME=$A C_STATE="$W/$A-2/state" agent_config "$A-2" "$S" "$D"
    agent_start "$A-2"
    must "the second ends" agent_exit "$A-2" 15 && must "exit code is $CODE, not 1 or 75" test "$CODE" = 1 -o "$CODE" = 75
    must "it says why" log_has "$A-2" 'state directory|in use'
    some_changes 200
    must "the first goes on" arrived && must "equal" whole
}

fault state_locked "a second agent on the same state directory refuses with 75"
case_state_locked() {
    pair state_locked
    must "first runs" up || return
    C_NAME=$A C_STATE="$W/$A/state" agent_config "$A-2" "$S" "$D"
    code_of timeout 15 "$TAILRACE" run --config "$W/$A-2/tailrace.yaml"
    must "exit code is $CODE, not 75" test $CODE = 75
    must "it says so" out_has 'in use'
    must "the first goes on" arrived
}

fault slot_dropped "the slot was dropped: refused; remove and a new copy mend it"
case_slot_dropped() {
    pair slot_dropped
    must "runs" up && must "rows arrive" arrived || return
    agent_stop "$A"
    q "$S" "SELECT pg_drop_replication_slot('tailrace_$A')" >/dev/null
    some_changes 200
    agent_start "$A"
    ends_with 20 1 'slot'
    must "it made no slot" q_is "$S" "SELECT count(*) FROM pg_replication_slots WHERE database = '$A'" 0
    code_of cli "$A" remove "--confirm=tailrace_$A"
    must "remove succeeds" test $CODE = 0
    C_TARGET_MORE=$'    create: true\n    existing: clear' agent_config "$A" "$S" "$D"
    must "copies again" up && must "rows arrive" arrived && must "equal" whole
}

fault slot_recreated "the slot was dropped and made again: refused, since changes in between are lost"
case_slot_recreated() {
    pair slot_recreated
    must "runs" up && must "rows arrive" arrived || return
    agent_stop "$A"
    q "$S" "SELECT pg_drop_replication_slot('tailrace_$A')" >/dev/null
    some_changes 200
    q "$S" "SELECT pg_create_logical_replication_slot('tailrace_$A', 'pgoutput')" >/dev/null
    agent_start "$A"
    ends_with 20 1 'slot'
    must "the target holds nothing of it" q_is "$D" "SELECT count(*) FROM t WHERE id >= 200" 0
}

fault state_empty "the state directory is empty while the slot is there: refused"
case_state_empty() {
    pair state_empty
    must "runs" up && must "rows arrive" arrived || return
    agent_stop "$A"
    some_changes 200
    rm -rf "$W/$A/state"
    agent_start "$A"
    ends_with 20 1 'state'
    must "the slot is still there" q_is "$S" "SELECT count(*) FROM pg_replication_slots WHERE database = '$A'" 1
}

fault state_older "the state directory is older than the slot: refused; the right one goes on"
case_state_older() {
    pair state_older
    must "runs" up && must "rows arrive" arrived || return
    agent_stop "$A"
    cp -a "$W/$A/state" "$W/$A/old"
    must "runs again" up && some_changes 200
    must "rows arrive" arrived
    agent_stop "$A"
    mv "$W/$A/state" "$W/$A/new"; mv "$W/$A/old" "$W/$A/state"
    some_changes 300
    agent_start "$A"
    ends_with 20 1 'state|slot'
    mv "$W/$A/state" "$W/$A/old"; mv "$W/$A/new" "$W/$A/state"
    must "the right state goes on" up && must "rows arrive" arrived && must "equal" whole
}

fault no_identity "a table without replica identity: its inserts arrive, the application's updates still work"
case_no_identity() {
    pair no_identity
    q "$S" "CREATE TABLE bare (a int, b text); INSERT INTO bare VALUES (1, 'one')"
    must "runs" up || return
    must "it names the table" log_has "$A" 'bare'
    must "it says why" log_has "$A" 'identity'
    must "the application can update it" q "$S" "INSERT INTO bare VALUES (2, 'two'); UPDATE bare SET b = 'uno' WHERE a = 1; DELETE FROM bare WHERE a = 1"
    must "rows arrive" arrived
    must "its insert arrived" q_is "$D" 'SELECT count(*) FROM bare WHERE a = 2' 1
    must "the other table is equal" same "$S" "$D" t
    code_of cli "$A" check
    must "check names it" out_has 'bare'
}

fault publication_missing "the publication is missing and may not be made: refused with the exact SQL"
case_publication_missing() {
    pair publication_missing
    C_SOURCE_MORE='  create_publication: false' agent_config "$A" "$S" "$D"
    agent_start "$A"
    ends_with 15 78 'CREATE PUBLICATION'
    must "no slot is left" q_is "$S" "SELECT count(*) FROM pg_replication_slots WHERE database = '$A'" 0
    # What it printed is run as it stands.
    grep -ohE 'CREATE PUBLICATION [^;]*;' "$W/$A/log" | sort -u >"$W/$A/sql"
    must "the SQL works" eval 'qf "$S" <"$W/$A/sql"'
    must "runs after it" up && must "rows arrive" arrived && must "equal" whole
}

# Dropped while it runs: PostgreSQL 15 stops decoding with an error, 18 warns and skips the rows. Neither may pass in silence.
publication_dropped() {
    pair "$1" "$2" "$3"
    must "runs" up && must "rows arrive" arrived || return
    q "$S" "DROP PUBLICATION tailrace_$A"
    q "$S" "INSERT INTO t VALUES (5000, 'after the drop')"
    must "it tells" until_true 30 log_has "$A" "publication"
    must "it stopped, or shows the error" until_true 30 publication_told
}
publication_told() { ! agent_lives "$A" || case $(status "$A" .source.state) in failed|retrying) ;; *) false ;; esac; }
fault publication_dropped_15 "the publication is dropped while running (Debian's): told, the route stops"
case_publication_dropped_15() { publication_dropped publication_dropped_15 source target; }
fault publication_dropped_18 "the publication is dropped while running (18): told, the route stops"
case_publication_dropped_18() { publication_dropped publication_dropped_18 target source; }

fault yaml_broken "broken YAML: 78, with file and line"
case_yaml_broken() {
    pair yaml_broken
    printf 'name: x\nsource: { postgres: "a\n' >"$W/$A/tailrace.yaml"
    code_of cli "$A" run
    must "exit code is $CODE, not 78" test $CODE = 78
    must "file and line are named" out_has 'tailrace\.yaml:[0-9]+'
}

fault key_unknown "unknown key: 78, with the nearest right name, all faults at once"
case_key_unknown() {
    pair key_unknown
    sed -i -e 's/sentinel_ms/sentinal_ms/' -e 's/^http:.*/htpp: { listen: "off" }/' "$W/$A/tailrace.yaml"
    code_of cli "$A" run
    must "exit code is $CODE, not 78" test $CODE = 78
    must "the nearest name is told" out_has 'sentinel_ms'
    must "the second fault too" out_has 'htpp'
    code_of cli "$A" config check
    must "config check says the same" test $CODE = 78
}

# Incompressible text, so that the bus really fills.
bulk() { q "$S" "INSERT INTO t SELECT $1 + n, (SELECT string_agg(md5(random()::text || n || m), '') FROM generate_series(1, 60) m) FROM generate_series(1, $2) n"; }
confirmed() { q "$S" "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'tailrace_$A'"; }
# What is durable is told once a second: the position stands still when that has been told.
confirmed_stands() { local at; at=$(confirmed); sleep 2.5; [ "$(confirmed)" = "$at" ]; }
fault disk_full "the disk under the bus is full: told, nothing confirmed that is not stored, goes on when space returns"
case_disk_full() {
    pair disk_full
    mkdir -p "$W/mount"
    as_root mount -t tmpfs -o size=24m,mode=777 tmpfs "$W/mount" 2>/dev/null || { WHY="needs the right to mount a tmpfs: run it as root"; return; }
    C_STATE=$W/mount/state C_BUS='max_mb: 1024' agent_config "$A" "$S" "$D"
    must "runs" up && must "rows arrive" arrived || return
    pg "$D" stop
    local i; for i in 1 2 3 4 5 6; do bulk $((i * 10000)) 3000; done
    must "the state is disk_full" until_true 60 status_is "$A" .bus.state disk_full
    must "it is told" until_true 10 log_has "$A" 'disk.* is full'
    must "what is stored is confirmed" until_true 15 confirmed_stands
    local before; before=$(confirmed)
    bulk 90000 1000
    sleep 2
    must "nothing more is confirmed" test "$(confirmed)" = "$before"
    must "the connection is kept" q_is "$S" "SELECT active FROM pg_replication_slots WHERE slot_name = 'tailrace_$A'" t
    # Killed and started again on the full disk: it must not start from now.
    agent_kill "$A"; agent_start "$A"
    sleep 2
    as_root mount -o remount,size=512m "$W/mount"
    must "the state is ok again" until_true 60 status_is "$A" .bus.state ok
    pg "$D" start
    must "everything arrives" arrived 60 && must "equal" whole
    agent_stop "$A"; as_root umount "$W/mount"
}

fault bus_budget "the bus reaches its byte budget: told, nothing dropped, goes on when the target is back"
case_bus_budget() {
    pair bus_budget
    C_BUS='max_mb: 16' agent_config "$A" "$S" "$D"
    must "runs" up && must "rows arrive" arrived || return
    pg "$D" stop
    local i; for i in 1 2 3 4 5 6; do bulk $((i * 10000)) 3000; done
    must "the state is at_budget" until_true 60 status_is "$A" .bus.state at_budget
    must "the connection is kept" q_is "$S" "SELECT active FROM pg_replication_slots WHERE slot_name = 'tailrace_$A'" t
    pg "$D" start
    must "everything arrives" arrived 60 && must "equal" whole
}

fault target_down "the target is away: told, and everything arrives when it is back"
case_target_down() {
    pair target_down
    must "runs" up && must "rows arrive" arrived || return
    pg "$D" crash
    some_changes 200
    must "the state is retrying" until_true 10 status_is "$A" '.routes[0].state' retrying
    must "it is told" until_true 10 log_has "$A" 'target was lost|Connection refused'
    sleep "$DOWN_SECONDS"
    some_changes 300
    must "it is alive" agent_lives "$A"
    must "few lines of log" test "$(wc -l <"$W/$A/log")" -lt 200
    pg "$D" start
    must "everything arrives" arrived 45 && must "equal" whole
}

fault source_down "the source is away: told, and it goes on when it is back"
case_source_down() {
    pair source_down
    must "runs" up && must "rows arrive" arrived || return
    pg "$S" crash
    must "the state is retrying" until_true 10 status_is "$A" .source.state retrying
    sleep 2
    pg "$S" start
    some_changes 200
    must "everything arrives" arrived 45 && must "equal" whole
}

fault constraint "a row violates a constraint of the target: parked, listed, its key waits, the rest flows, replay mends it"
case_constraint() {
    pair constraint
    must "runs" up && must "rows arrive" arrived || return
    q "$D" "ALTER TABLE t ADD CONSTRAINT short CHECK (length(v) < 20)"
    q "$S" "UPDATE t SET v = repeat('long', 10) WHERE id = 10"
    q "$S" "UPDATE t SET v = 'short again' WHERE id = 10"
    q "$S" "UPDATE t SET v = 'fine' WHERE id = 11"
    must "the rest flows" arrived
    must "the other row is there" q_is "$D" 'SELECT v FROM t WHERE id = 11' fine
    must "the bad row is as it was" q_is "$D" 'SELECT v FROM t WHERE id = 10' 'old 10'
    must "two rows are parked" until_true 5 status_is "$A" '.routes[0].parked' 2
    code_of cli "$A" parked list
    must "the list names table, key and SQLSTATE" eval 'out_has "public\.t|\.t" && out_has 10 && out_has 23514'
    must "the value is not in the log" eval '! log_has "$A" longlong'
    code_of cli "$A" verify
    must "verify counts them ($CODE)" test $CODE -ne 0
    agent_stop "$A"; must "they survive a restart" up && must "still two" status_is "$A" '.routes[0].parked' 2
    q "$D" "ALTER TABLE t DROP CONSTRAINT short"
    code_of cli "$A" parked replay --all --route copy
    must "replay succeeds" test $CODE = 0
    must "none is parked" until_true 5 status_is "$A" '.routes[0].parked' 0
    must "equal" whole
}

fault http_garbage "garbage on the HTTP port: refused, the agent goes on"
case_http_garbage() {
    pair http_garbage
    must "runs" up || return
    local p=${AGENT_HTTP[$A]} i
    for i in 1 2 3 4 5; do head -c 200000 /dev/urandom | timeout 5 bash -c "cat >/dev/tcp/127.0.0.1/$p" 2>/dev/null; done
    { printf 'GET /metrics HTTP/1.1\r\n'; head -c 3000000 /dev/zero | tr '\0' 'a'; } | timeout 5 bash -c "cat >/dev/tcp/127.0.0.1/$p" 2>/dev/null
    printf 'GET / HTTP/9.9\r\nContent-Length: -5\r\n\r\n' | timeout 5 bash -c "cat >/dev/tcp/127.0.0.1/$p" 2>/dev/null
    must "writing is refused" eval 'test "$(curl -s -o /dev/null -w "%{http_code}" -X POST -d x http://127.0.0.1:$p/metrics)" -ge 400'
    must "/healthz answers 200" eval 'test "$(curl -s -o /dev/null -w "%{http_code}" http://127.0.0.1:$p/healthz)" = 200'
    must "/nowhere answers 404" eval 'test "$(curl -s -o /dev/null -w "%{http_code}" http://127.0.0.1:$p/nowhere)" = 404'
    must "it is alive" agent_lives "$A"
    some_changes 200
    must "rows arrive" arrived && must "equal" whole
}

# --- which, and run ----------------------------------------------------------------------------------------------------
while [ $# -gt 0 ]; do
    case $1 in
        --seconds) DOWN_SECONDS=$2; shift ;;
        --list) for c in "${ALL[@]}"; do printf '%-24s%s\n' "$c" "${TITLE[$c]}"; done; exit 0 ;;
        -*) sed -n '4p' "$0" | cut -c3-; exit 2 ;;
        *) [ -n "${TITLE[$1]:-}" ] || { echo "no case $1" >&2; exit 2; }; CASES+=("$1") ;;
    esac
    shift
done
[ ${#CASES[@]} -gt 0 ] || CASES=("${ALL[@]}")
args_need psql jq curl
need_agent
work_open
pg_start source debian
pg_start target 18
for c in "${CASES[@]}"; do
    case_run "$c: ${TITLE[$c]}" "case_$c"
    [ -z "$WHY" ] || { for l in "$W/$c"/log "$W/cmd.out"; do [ ! -s "$l" ] || tail -n 5 "$l" | sed 's/^/    /'; done; }
    clear_case
done
finish
