#!/usr/bin/env bash
# shellcheck disable=SC1091,SC2034
# SPDX-License-Identifier: Apache-2.0
# usage: two_phase.sh [--source V] [--target V] [--kills N] [--seed N] [CASE...]
# check.sh runs: two_phase.sh --source 18 --target debian
# check.sh runs: two_phase.sh --source debian --target 18 small large
# check.sh runs, each version: two_phase.sh --source V --target V
#
# Two-phase commit with source.two_phase: what is prepared is kept by the agent, since the server sends it once; it takes
# effect whole and once at COMMIT PREPARED, over restarts and kills, and what is not there is told, never left out. The case killed prints
#   prepared=N committed=N rolled_back=N kills=N lost=N duplicated=N seed=N
. "$(dirname "$0")/../harness/lib.sh"
SRC_V=18 DST_V=debian KILLS=12 SEED=7 CASES=()
while [ $# -gt 0 ]; do
    case $1 in
        --source) SRC_V=$2; shift ;; --target) DST_V=$2; shift ;; --kills) KILLS=$2; shift ;; --seed) SEED=$2; shift ;; *) CASES+=("$1") ;;
    esac
    shift
done
[ ${#CASES[@]} -gt 0 ] || CASES=(small large altered killed damaged)
args_need psql jq curl
need_agent
work_open
pg_start source "$SRC_V" $'max_prepared_transactions = 50\nlogical_decoding_work_mem = 64kB'
pg_start target "$DST_V"
MAJOR=$(q source 'SHOW server_version_num' | cut -c1-2)

pair() {
    A=$1
    database source "$A"; database target "$A"
    q source "CREATE TABLE t (id bigint PRIMARY KEY, v text); CREATE TABLE log (n int, v text); CREATE SCHEMA hidden; CREATE TABLE hidden.h (n int); CREATE TABLE tr_mark (n bigint PRIMARY KEY); INSERT INTO t SELECT n, 'v' FROM generate_series(1, 10) n"
    C_SENTINEL=500 C_BACKOFF=300 C_SOURCE_MORE="  two_phase: true" C_TARGET_MORE=$'    create: true\n    ddl: apply' agent_config "$A" source target
}
up() { agent_start "$A"; must "streams" streaming "$A" && must "ready" synced source target 20; }
away() { agent_stop "$A"; q source "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND database = '$A'" >/dev/null; }
kept_is() { [ "$(curl -s "127.0.0.1:${AGENT_HTTP[$A]}/metrics" | sed -n 's/^tailrace_source_prepared_transactions //p')" = "$1" ]; }
prepare() { q source "BEGIN; $2; PREPARE TRANSACTION '$1'" >/dev/null; }
# confirmed: the slot stands behind everything so far, so that nothing before is sent again.
confirmed() {
    local lsn; lsn=$(q source "SELECT pg_current_wal_insert_lsn()")
    until_true 20 q_is source "SELECT confirmed_flush_lsn >= '$lsn' FROM pg_replication_slots WHERE slot_name = 'tailrace_$A'" t
}
equal() { must "arrives" synced source target 30 && must "equal" same source target t log; }

case_small() {
    pair small; up || return
    must "the slot has it" q_is source "SELECT two_phase FROM pg_replication_slots WHERE slot_name = 'tailrace_small'" t
    prepare "it''s kept" "INSERT INTO t VALUES (100, 'prepared'); UPDATE t SET id = 1000 WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO log VALUES (1, 'x')"
    prepare "given up" "INSERT INTO t VALUES (101, 'never'); INSERT INTO log VALUES (2, 'x')"
    prepare "nothing of ours" "INSERT INTO hidden.h VALUES (1)"
    must "three are kept" until_true 10 kept_is 3
    must "others flow" synced source target 20
    must "none is seen" q_is target "SELECT count(*) FROM t WHERE id IN (100, 101, 1000)" 0
    must "confirmed" confirmed
    agent_kill "$A"; agent_start "$A"
    must "still kept" until_true 20 kept_is 3
    q source "COMMIT PREPARED 'it''s kept'"
    q source "ROLLBACK PREPARED 'given up'"
    q source "COMMIT PREPARED 'nothing of ours'"
    equal
    must "it came" q_is target "SELECT count(*) FROM t WHERE id IN (100, 1000)" 2
    must "once" q_is target "SELECT count(*) FROM log" 1
    must "nothing is kept" until_true 10 kept_is 0
    must "no file is left" test -z "$(ls "$W/small/state/prepared" 2>/dev/null)"
    # committed while the agent is away, prepared before and while it is
    prepare one "INSERT INTO log VALUES (3, 'one')"
    must "kept" until_true 10 kept_is 1; must "confirmed" confirmed
    agent_stop "$A"
    prepare two "INSERT INTO log VALUES (4, 'two')"
    q source "COMMIT PREPARED 'one'"
    q source "COMMIT PREPARED 'two'"
    agent_start "$A"
    equal
    must "both once" q_is target "SELECT string_agg(v, ',' ORDER BY n) FROM log" x,one,two
    away
}

# Large: it is streamed before it is prepared, and parts of it are given up.
case_large() {
    pair large; up || return
    prepare big "INSERT INTO t SELECT n, repeat(md5(n::text), 3) FROM generate_series(1000, 30000) n; SAVEPOINT a; INSERT INTO t SELECT n, repeat('z', 100) FROM generate_series(40000, 60000) n;
        ROLLBACK TO a; UPDATE t SET v = 'u' WHERE id < 2000; SAVEPOINT b; DELETE FROM t WHERE id > 29000; RELEASE b"
    must "kept" until_true 20 kept_is 1
    must "it was streamed" until_true 10 q_is source "SELECT stream_txns > 0 FROM pg_stat_replication_slots WHERE slot_name = 'tailrace_large'" t
    must "confirmed" confirmed
    must "only prepared files" test "$(ls "$W/large/state/spill" 2>/dev/null | wc -l) $(ls "$W/large/state/prepared" | wc -l)" = "0 1"
    agent_kill "$A"; agent_start "$A"
    must "streams" streaming "$A"
    q source "INSERT INTO log VALUES (1, 'between')"
    q source "COMMIT PREPARED 'big'"
    equal
    must "all of it" q_is target "SELECT count(*) FROM t WHERE id >= 1000" 28001
    must "nothing is kept" until_true 10 kept_is 0
    away
}

# The table's form is the one that the transaction had, though another stream has told of another since.
case_altered() {
    pair altered; up || return
    q source "CREATE TABLE u (id int PRIMARY KEY, a text)"
    must "copied" synced source target 20
    prepare before "INSERT INTO u VALUES (1, 'before')"
    must "kept" until_true 10 kept_is 1; must "confirmed" confirmed
    agent_stop "$A"
    q source "INSERT INTO log VALUES (1, 'wake')"
    agent_start "$A"
    must "streams" streaming "$A"
    q source "COMMIT PREPARED 'before'"
    q source "ALTER TABLE u ADD b int DEFAULT 5; INSERT INTO u VALUES (2, 'after', 6)"
    prepare within "ALTER TABLE u RENAME a TO z; INSERT INTO u VALUES (3, 'within', 7)"
    must "kept again" until_true 10 kept_is 1
    must "confirmed" confirmed
    agent_kill "$A"; agent_start "$A"
    q source "COMMIT PREPARED 'within'"
    must "rows arrive" until_true 30 q_is target "SELECT count(*) FROM u" 3
    must "values" q_is target "SELECT string_agg(coalesce(b, 5)::text, ',' ORDER BY id) FROM u" 5,6,7
    away
}

# Kills at random moments; each row of log is of one transaction, so that a repeat shows.
case_killed() {
    local n gid committed=0 given_up=0 open=() lost duplicated
    RANDOM=$SEED
    pair killed; up || return
    for n in $(seq 1 $((KILLS * 8))); do
        gid="tx $n"
        q source "BEGIN; INSERT INTO log VALUES ($n, 'p'); INSERT INTO t VALUES ($((1000 + n)), 'p') ON CONFLICT DO NOTHING; PREPARE TRANSACTION '$gid'"
        open+=("$gid")
        q source "INSERT INTO log VALUES ($((100000 + n)), 'plain')"
        if [ $((RANDOM % 3)) -gt 0 ]; then
            local at=$((RANDOM % ${#open[@]})); gid=${open[$at]}
            open=("${open[@]:0:$at}" "${open[@]:$((at + 1))}")
            if [ $((RANDOM % 4)) = 0 ]; then q source "ROLLBACK PREPARED '$gid'"; given_up=$((given_up + 1)); else q source "COMMIT PREPARED '$gid'"; committed=$((committed + 1)); fi
        fi
        if [ $((n % 8)) = 0 ]; then
            sleep "0.$((RANDOM % 4))"
            agent_kill "$A"; agent_start "$A"
            sleep "0.$((RANDOM % 9))"
        fi
    done
    for gid in ${open[@]+"${open[@]}"}; do q source "COMMIT PREPARED '$gid'"; committed=$((committed + 1)); done
    must "arrives" synced source target 60
    lost=$(q source "SELECT count(*) FROM log")
    lost=$((lost - $(q target "SELECT count(DISTINCT n) FROM log")))
    duplicated=$(q target "SELECT count(*) - count(DISTINCT n) FROM log")
    note "  prepared=$((KILLS * 8)) committed=$committed rolled_back=$given_up kills=$KILLS lost=$lost duplicated=$duplicated seed=$SEED"
    must "nothing lost, nothing twice" test "$lost $duplicated" = "0 0"
    must "equal" same source target t log
    must "nothing is kept" until_true 10 kept_is 0
    away
}

# What is gone is told, and nothing goes on without it.
case_damaged() {
    pair damaged; up || return
    prepare one "INSERT INTO log SELECT n, 'one' FROM generate_series(1, 50) n"
    must "kept" until_true 10 kept_is 1; must "confirmed" confirmed
    agent_stop "$A"
    cp -r "$W/damaged/state/prepared" "$W/damaged/kept"
    local file; file=$(ls "$W/damaged/state/prepared"/*)
    truncate -s -10 "$file"
    agent_start "$A"
    must "a short file is told" agent_exit "$A" 15 && must "by name" log_has "$A" 'prepared transaction .one.: file of .* does not have its'
    rm "$file"
    agent_start "$A"
    must "a missing file is told" agent_exit "$A" 15 && must "as a state that does not fit" log_has "$A" 'prepared transaction .one.: .* is not there.*state'
    cp "$W/damaged/kept"/* "$file"; printf 'X' | dd of="$file" bs=1 seek=200 conv=notrunc 2>/dev/null
    agent_start "$A"
    must "streams" streaming "$A"
    q source "COMMIT PREPARED 'one'"
    must "a changed one is told" agent_exit "$A" 15 && must "by its checksum" log_has "$A" 'does not match its checksum'
    cp "$W/damaged/kept"/* "$file"
    agent_start "$A"
    equal
    must "it came" q_is target "SELECT count(*) FROM log" 50
    away
}

if [ "$MAJOR" -lt 15 ]; then
    case_refused() {
        pair refused
        agent_start "$A"
        must "is refused" agent_exit "$A" 15 && must "with the reason" log_has "$A" 'two_phase needs PostgreSQL 15'
    }
    CASES=(refused)
fi
for c in "${CASES[@]}"; do case_run "$c" "case_$c"; done
finish
