#!/usr/bin/env bash
# shellcheck disable=SC1091,SC2034
# SPDX-License-Identifier: Apache-2.0
# usage: source.sh [VERSION...]     (default: debian 18)
# check.sh runs, each version: source.sh V
# check.sh runs it behind the others
# The source against real servers with the embedded bus and nothing behind it: first copy, stream, coming back, tables
# that come and go, a held slot, an open transaction, a full bus, and everything that must be refused. Needs
# tests/integration/source_test (make tests/integration/source_test); TR_BUILD names the build directory.
. "$(dirname "$0")/../harness/lib.sh"
args_need psql pg_recvlogical
build=${TR_BUILD:-$(dirname "${TAILRACE:-$TR_SRC/build/tailrace}")}
[ -x "$build/tests/integration/source_test" ] || make -C "$build" tests/integration/source_test >/dev/null ||
    die "source_test cannot be built in $build"

# --- one source ----------------------------------------------------------------------------------------------------------
# fresh NAME: a database of its own on $S with a table t of 100 rows; $A is the source, its files are in $W/$A.
fresh() {
    A=$1_$V
    database "$S" "$A"
    q "$S" "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, 'old ' || n FROM generate_series(1, 100) n" || die "no table"
    C_SENTINEL=500 agent_config "$A" "$S" "$S"
    PID=
}
config() { C_SENTINEL=500 agent_config "$A" "$S" "$S"; }
start() {
    rm -f "$W/$A/in"; mkfifo "$W/$A/in"
    "$build/tests/integration/source_test" "$W/$A/tailrace.yaml" <"$W/$A/in" >>"$W/$A/out" 2>>"$W/$A/log" &
    PID=$!; CHILDREN+=("$PID")
    exec 7>"$W/$A/in"
}
say() { printf '%s\n' "$*" >&7; }
stop() { exec 7>&-; wait "$PID"; CODE=$?; PID=; }
kill_it() { kill -KILL "$PID"; wait "$PID" 2>/dev/null; exec 7>&-; PID=; }
clear_source() { [ -z "$PID" ] || { exec 7>&-; pid_stop "$PID" 5; }; PG_DB[$S]=postgres; q "$S" "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND database = '$A'" >/dev/null 2>&1; }
ended() { ! pid_lives "$PID"; }
out() { grep -qE -- "$1" "$W/$A/out"; }
log() { grep -qE -- "$1" "$W/$A/log"; }
sees() { until_true 15 out "$1"; }
logs() { until_true 15 log "$1"; }
# count PATTERN: lines of the output that match; count_is N PATTERN waits for it.
count() { grep -cE -- "$1" "$W/$A/out"; }
count_now() { [ "$(count "$2")" = "$1" ]; }
count_is() { until_true 15 count_now "$1" "$2"; }
# refused CODE NAME: it ends by itself with that.
refused() {
    must "it ends" until_true 20 ended || return
    wait "$PID"; CODE=$?; PID=; exec 7>&-
    must "exit code is $CODE, not $1" test "$CODE" = "$1"
    must "the reason is $2, not $(tail -n 1 "$W/$A/out")" out "^end -1 $2 "
}
slot() { q "$S" "SELECT $1 FROM pg_replication_slots WHERE slot_name = 'tailrace_$A'"; }

# other_q SQL: in a neighbour database of the same server.
other_q() { q "$S" "$1" postgres; }

# --- what goes well --------------------------------------------------------------------------------------------------------
case_copy_and_stream() {
    fresh copy; start
    must "streams" sees '^state streaming' || return
    q "$S" "INSERT INTO t VALUES (101, E'a\\\\b\\tc\\nd'); UPDATE t SET v = NULL WHERE id = 1; DELETE FROM t WHERE id = 2; TRUNCATE t"
    must "100 rows copied" count_is 100 ' r id='
    must "first chunk is marked" out '^begin copy .* first '
    must "last chunk is marked" out '^commit copy .* last '
    must "an insert" sees 'public.t c id=101'
    must "an update" sees 'public.t u id=1 v:null'
    must "a delete" sees 'public.t d id=2'
    must "a truncate" sees 'public.t t$'
    must "sentinels come back" sees '^commit stream .* sentinel'
    stop
    must "ends well" test "$CODE" = 0
    must "nothing unconfirmed is left" test "$(slot "confirmed_flush_lsn >= '$(grep ^commit "$W/$A/out" | tail -n 1 | sed 's/.*lsn=\([^ ]*\).*/\1/')'::pg_lsn")" = t
}

# Logical messages of others become events, in their place among the rows, once each.
case_messages() {
    fresh messages
    C_SENTINEL=500 C_SOURCE_MORE='  messages: "outbox app.*"' agent_config "$A" "$S" "$S"
    start
    must "streams" sees '^state streaming' || return
    q "$S" "BEGIN; INSERT INTO t VALUES (900, 'a'); SELECT pg_logical_emit_message(true, 'outbox', 'in'); INSERT INTO t VALUES (901, 'b'); COMMIT" >/dev/null
    q "$S" "BEGIN; SELECT pg_logical_emit_message(true, 'app.x', 'alone'), pg_logical_emit_message(false, 'app.y', 'at once'), pg_logical_emit_message(true, 'other', 'not wanted'); ROLLBACK" >/dev/null
    q "$S" "SELECT pg_logical_emit_message(true, 'app.x', 'alone'), pg_logical_emit_message(false, 'app.z', 'lone')" >/dev/null
    q "$S" "INSERT INTO t VALUES (902, 'c')"
    must "the last row" sees ' c id=902'
    must "in its place" test "$(grep -E ' (c id=90|m )' "$W/$A/out" | sed 's/^row [^ ]* //; s/ v=.*//' | tr '\n' ';')" = "c id=900;m outbox=in;c id=901;m app.y=at once;m app.z=lone;m app.x=alone;c id=902;"
    must "on their topic" out '^row messages_[^ ]*.message m outbox=in'
    stop
    start
    q "$S" "SELECT pg_logical_emit_message(false, 'app.z', 'after')" >/dev/null
    must "after a restart" sees 'm app.z=after'
    must "none twice" test "$(count ' m ')" = 5
    stop
}

# Each transaction tells of its beginning and end, and each row of its place.
case_transactions() {
    fresh transactions
    C_SENTINEL=500 C_MORE='events: { transactions: true }' agent_config "$A" "$S" "$S"
    q "$S" "CREATE TABLE u (id int PRIMARY KEY)"
    start
    must "streams" sees '^state streaming' || return
    q "$S" "BEGIN; INSERT INTO t VALUES (900, 'a'); INSERT INTO u VALUES (1); UPDATE t SET v = 'b' WHERE id = 900; COMMIT"
    must "its end" sees '"status":"END"'
    must "begins once" count_is 1 'transaction - .*"status":"BEGIN"'
    must "before the rows" test "$(grep -E ' (c id=|u id=|- )' "$W/$A/out" | sed 's/^row [^.]*.\([^ ]*\) \(.\).*/\1 \2/' | tr '\n' ';')" = "transaction -;public.t c;public.u c;public.t u;transaction -;"
    must "counts" out '"status":"END",.*"event_count":3,"data_collections":\[.*"data_collection":"public.u","event_count":1.*"data_collection":"public.t","event_count":2'
    q "$S" "INSERT INTO u VALUES (2)"
    must "counts begin anew" sees '"event_count":1,"data_collections":\[[^]]*"public.u","event_count":1[^]]*\]'
    stop
}

case_restart() {
    fresh restart; start
    must "streams" sees '^state streaming' || return
    local n
    for n in 1 2 3 4 5; do
        q "$S" "INSERT INTO t SELECT $n * 1000 + i, 'x' FROM generate_series(1, 20) i"
        if [ $((n % 2)) = 0 ]; then stop; else kill_it; fi
        q "$S" "INSERT INTO t VALUES ($n * 1000 + 500, 'while away')"
        start
    done
    must "each row once (those that were printed before a kill, again at most)" count_rows 105
    must "copied once" test "$(grep '^commit copy .* last' "$W/$A/out" | sort -u | wc -l)" = 1
    stop
}
count_rows() { until_true 15 rows_now "$1"; }
rows_now() { [ "$(grep ' c id=' "$W/$A/out" | sort -u | wc -l)" = "$1" ]; }

# A table without a key is copied from an exported snapshot, which dies with its session.
case_kill_during_copy() {
    fresh killcopy
    q "$S" "ALTER TABLE t DROP CONSTRAINT t_pkey"
    q "$S" "INSERT INTO t SELECT n, (SELECT string_agg(md5(random()::text || n || m), '') FROM generate_series(1, 60) m) FROM generate_series(1001, 21000) n"
    C_SENTINEL=500 C_BUS='max_mb: 16' agent_config "$A" "$S" "$S" # so that it cannot end
    start
    say hold
    must "it is in the middle" sees '^state blocked'
    must "and holds a snapshot" log 'xmin'
    kill_it
    config
    q "$S" "DELETE FROM t WHERE id = 1"
    mv "$W/$A/out" "$W/$A/out.1"; touch "$W/$A/out"
    start
    must "streams" until_true 60 out '^state streaming' || return
    must "the second copy is whole, without the row that was deleted between" until_true 30 last_copy_rows 20099
    stop
}

# One with a key goes on at the chunk that it was in, and each row comes once.
case_kill_during_chunks() {
    fresh killchunks
    q "$S" "INSERT INTO t SELECT n, (SELECT string_agg(md5(random()::text || n || m), '') FROM generate_series(1, 60) m) FROM generate_series(1001, 21000) n"
    config; start
    say hold
    must "it streams" sees '^state streaming'
    sleep 2 # some megabytes are on the bus, and it waits until they are taken
    kill_it
    q "$S" "DELETE FROM t WHERE id = 1; DELETE FROM t WHERE id = 21000; UPDATE t SET id = -5 WHERE id = 20000"
    start
    must "it goes on in the middle" logs 'snapshot of public.t goes on behind [1-9][0-9]* rows'
    must "the copy comes to its end" until_true 60 out '^commit copy .* last topic=.*t$' || return
    must "a row that was there goes" sees 't d id=1'
    must "a row that moved behind comes" sees 't c id=-5'
    must "it began once" test "$(grep '^begin copy .* first' "$W/$A/out" | sort -u | wc -l)" = 1
    must "all rows are there" test "$(grep -o ' r id=[0-9-]* ' "$W/$A/out" | sort -u | wc -l)" -ge 20098
    must "and each once" test "$(grep -o ' r id=[0-9-]* ' "$W/$A/out" | sort | uniq -d | wc -l)" = 0
    stop
}

# What follows the last chunk that is marked as a first one: an unfinished copy may stand before it.
last_copy_rows() { [ "$(awk '/^begin copy .* first/ { n = 0 } / r id=/ { n++ } END { print n }' "$W/$A/out")" = "$1" ]; }

case_new_table() {
    fresh newtable; start
    must "streams" sees '^state streaming' || return
    q "$S" "CREATE TABLE late (id int PRIMARY KEY); INSERT INTO late SELECT generate_series(1, 50)"
    must "it is copied" sees '^commit copy .* last topic=.*late$'
    q "$S" "INSERT INTO late VALUES (51)"
    must "it is streamed" sees 'late c id=51'
    must "each row once" test "$(grep -c 'late [rc] id=' "$W/$A/out")" = 51
    say "tables public.* !public.late"
    must "it is let go" logs 'late is no longer chosen'
    q "$S" "INSERT INTO late VALUES (52); INSERT INTO t VALUES (200, 'x')"
    must "the other goes on" sees 't c id=200'
    must "its changes are dropped" test "$(count 'late c id=52')" = 0
    say "tables public.*"
    must "it is copied again" count_is 2 '^commit copy .* last topic=.*late$'
    must "with what was missed" sees 'late r id=52'
    stop
}

case_open_transaction() {
    fresh opentxn
    # a transaction that has an xid, held open by a session of ours
    mkfifo "$W/$A/hold"
    PGAPPNAME=holder psql -Xqd "$(sock "$S")" -f "$W/$A/hold" >/dev/null &
    CHILDREN+=("$!")
    exec 8>"$W/$A/hold"
    printf 'BEGIN; INSERT INTO t VALUES (300, 1); SELECT pg_sleep(0);\n' >&8
    must "it is open" until_true 10 q_is "$S" "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holder' AND backend_xid IS NOT NULL" 1
    start
    must "it names the pid" sees "^state waiting waiting for the transaction of pid [0-9]+ \\(holder"
    printf 'COMMIT;\n' >&8; exec 8>&-
    must "streams then" sees '^state streaming'
    must "the row is there once" count_is 1 'id=300'
    stop
}

case_slot_in_use() {
    fresh inuse; start
    must "streams" sees '^state streaming' || return
    stop
    # hold the slot from elsewhere, without confirming anything
    PGOPTIONS='-c wal_sender_timeout=0' pg_recvlogical -d "$(sock "$S")" -S "tailrace_$A" --start -f /dev/null -s 0 -F 0 \
        -o proto_version=1 -o publication_names="tailrace_$A" >/dev/null 2>&1 &
    local other=$!; CHILDREN+=("$other")
    must "somebody holds it" until_true 10 eval '[ "$(slot active)" = t ]' || return
    start
    must "waits as standby and names the pid" sees "^state waiting slot tailrace_$A is in use by pid [0-9]+"
    q "$S" "SELECT pg_terminate_backend($(slot active_pid))" >/dev/null
    must "takes over" count_is 2 '^state streaming'
    stop
}

case_forged_sentinel() {
    fresh forged; start
    must "streams" sees '^commit stream .* sentinel' || return
    q "$S" "SELECT pg_logical_emit_message(true, 'tailrace', 'v1 0123456789abcdef 00000000000000ff 00000000000000000000000000000000')" >/dev/null
    q "$S" "INSERT INTO t VALUES (400, 'after')"
    must "goes on" sees 'c id=400'
    must "it put nothing on the bus" test "$(grep -B1 'c id=400' "$W/$A/out" | grep -c '^begin stream')" = 1
    stop
}

case_bus_full() {
    fresh busfull
    C_SENTINEL=500 C_BUS='max_mb: 16' agent_config "$A" "$S" "$S"
    start
    must "streams" sees '^state streaming' || return
    say hold
    local g
    for g in 1 2 3 4 5 6 7 8; do
        q "$S" "INSERT INTO t SELECT 10000 * $g + n, (SELECT string_agg(md5(random()::text || n || m), '') FROM generate_series(1, 60) m) FROM generate_series(1, 3000) n"
    done
    must "it is blocked and says why" sees '^state blocked bus is at its byte budget'
    sleep 3 # what was on its way is confirmed by now
    local confirmed; confirmed=$(slot confirmed_flush_lsn)
    sleep 12 # longer than wal_sender_timeout
    must "the connection is kept" test "$(slot active)" = t
    must "nothing more is confirmed" test "$(slot confirmed_flush_lsn)" = "$confirmed"
    say go
    must "everything arrives" until_true 60 count_now 24000 ' c id='
    must "streams again" test "$(grep ^state "$W/$A/out" | tail -n 1)" = 'state streaming '
    stop
}

case_idle_confirms() {
    fresh idle; start
    must "streams" sees '^state streaming' || return
    other_q "CREATE TABLE IF NOT EXISTS noise_$V (n int); INSERT INTO noise_$V SELECT generate_series(1, 200000)"
    must "WAL of a neighbour is confirmed" until_true 10 confirmed_behind 100000
    stop
}
confirmed_behind() { [ "$(slot "pg_current_wal_lsn() - confirmed_flush_lsn < $1")" = t ]; }

case_server_restart() {
    fresh serverstop; start
    must "streams" sees '^state streaming' || return
    q "$S" "INSERT INTO t VALUES (500, 'before')"
    local from; from=$(date +%s)
    pg "$S" stop
    must "the server's stop is not held up" test $(($(date +%s) - from)) -le 10
    must "it retries" sees '^state retrying'
    pg "$S" start 7>&- # a server that holds our pipe would keep it open
    must "streams again" count_is 2 '^state streaming'
    q "$S" "INSERT INTO t VALUES (501, 'after')"
    must "before" sees 'c id=500'; must "after" sees 'c id=501'
    must "once each" test "$(count ' c id=50[01]')" = 2
    stop
}

# --- what must be refused --------------------------------------------------------------------------------------------------
run_once() { start; must "streams" sees '^state streaming' && q "$S" "INSERT INTO t VALUES (600, 'x')" && must "a row arrives" sees 'c id=600' && stop; }

case_slot_dropped() {
    fresh dropped; run_once || return
    q "$S" "SELECT pg_drop_replication_slot('tailrace_$A')" >/dev/null
    start; refused 1 slot_gone
    must "no slot was made" test -z "$(slot 1)"
}

case_slot_recreated() {
    fresh recreated; run_once || return
    q "$S" "SELECT pg_drop_replication_slot('tailrace_$A')" >/dev/null
    q "$S" "INSERT INTO t VALUES (601, 'lost')"
    q "$S" "SELECT pg_create_logical_replication_slot('tailrace_$A', 'pgoutput')" >/dev/null
    start; refused 1 slot_other
}

case_state_empty() {
    fresh empty; run_once || return
    rm -rf "$W/$A/state"
    start; refused 1 state
}

case_state_older() {
    fresh older; run_once || return
    cp -a "$W/$A/state" "$W/$A/old"
    start; must "streams" count_is 2 '^state streaming'; q "$S" "INSERT INTO t VALUES (602, 'x')"; must "a row arrives" sees 'c id=602'; stop
    rm -rf "$W/$A/state"; mv "$W/$A/old" "$W/$A/state"
    start; refused 1 slot_other
}

case_slot_invalid() {
    fresh invalid; run_once || return
    printf 'max_slot_wal_keep_size = 16MB\nmax_wal_size = 32MB\n' >>"$W/$S/extra.conf"; pg "$S" reload; sleep 0.3
    local n
    for n in 1 2 3 4 5; do
        other_q "SELECT pg_switch_wal(); CREATE TABLE IF NOT EXISTS noise_$V (n int); INSERT INTO noise_$V SELECT generate_series(1, 300000); CHECKPOINT" >/dev/null 2>&1
    done
    PG_DB[$S]=$A
    must "the server invalidated it" until_true 10 eval '[ "$(slot wal_status)" = lost ]'
    start; refused 1 slot_invalid
    printf 'max_slot_wal_keep_size = -1\nmax_wal_size = 2GB\n' >>"$W/$S/extra.conf"; pg "$S" reload
}

case_publication_dropped() {
    fresh pubdrop; start
    must "streams" sees '^state streaming' || return
    q "$S" "DROP PUBLICATION tailrace_$A; INSERT INTO t VALUES (700, 'after the drop')"
    refused 1 publication_lost
    start; refused 1 publication_lost
}

case_table_taken_out() {
    fresh takenout; start
    must "streams" sees '^state streaming' || return
    q "$S" "ALTER PUBLICATION tailrace_$A DROP TABLE t; INSERT INTO t VALUES (701, 'unseen')"
    must "it is copied again" count_is 2 '^commit copy .* last topic=.*t$'
    must "with what was missed" sees 't r id=701'
    stop
}

case_no_right() {
    fresh noright
    q "$S" "CREATE ROLE weak_$V LOGIN REPLICATION; GRANT SELECT ON t TO weak_$V"
    C_SOURCE="host=127.0.0.1 port=${PG_PORT[$S]} user=weak_$V dbname=$A" config
    start; refused 78 publication
    must "the SQL is told" log 'CREATE PUBLICATION "tailrace_'
    must "no slot was made" test -z "$(slot 1)"
    grep -ohE 'CREATE PUBLICATION [^;]*;' "$W/$A/log" | sort -u >"$W/$A/sql"
    qf "$S" <"$W/$A/sql" || WHY="the SQL does not run"
    start
    must "streams then" sees '^state streaming'
    stop
}

case_wrong_password() {
    fresh password
    q "$S" "CREATE ROLE locked_$V LOGIN REPLICATION PASSWORD 'right'"
    { echo "host all locked_$V 127.0.0.1/32 scram-sha-256"; cat "$W/$S/data/pg_hba.conf"; } >"$W/hba" && cat "$W/hba" >"$W/$S/data/pg_hba.conf"
    pg "$S" reload; sleep 0.3
    C_SOURCE="host=127.0.0.1 port=${PG_PORT[$S]} user=locked_$V password=wrong-secret dbname=$A" config
    start; refused 77 pg_auth
    must "the password is told nowhere" eval '! grep -qr wrong-secret "$W/$A/out" "$W/$A/log"'
}

case_no_identity() {
    fresh noident
    q "$S" "CREATE TABLE bare (a int); INSERT INTO bare VALUES (1)"
    start
    must "streams" sees '^state streaming' || return
    must "it is named" log 'identity.*public.bare'
    must "the application can change it" q "$S" "INSERT INTO bare VALUES (2); UPDATE bare SET a = 3 WHERE a = 1; DELETE FROM bare WHERE a = 3"
    must "its insert arrives" sees 'bare c a=2'
    must "with the copy" sees 'bare r a=1'
    q "$S" "ALTER TABLE bare ADD PRIMARY KEY (a)"
    must "with a key it is copied again" count_is 2 '^commit copy .* last topic=.*bare$'
    q "$S" "UPDATE bare SET a = 9 WHERE a = 2; DELETE FROM bare"
    must "and updates come" sees 'bare - a=2|bare u a=9'
    stop
}

case_wal_level() {
    pg_start "plain$V" "$V" 'wal_level = replica'
    local keep=$S; S=plain$V
    fresh wallevel
    start; refused 78 wal_level
    pg "$S" stop
    S=$keep
}

# A hot standby is promoted: the slot comes along (18), or does not and is refused.
case_failover() {
    fresh failover
    q "$S" "SELECT pg_create_physical_replication_slot('sb')" >/dev/null
    start
    must "streams" sees '^state streaming' || return
    stop
    port_new; local sb=sb$V; PG_VERSION[$sb]=$V PG_PORT[$sb]=$PORT PG_DB[$sb]=$A; SERVERS+=("$sb")
    pg "$sb" standby "$W/$S" "${PG_PORT[$S]}" >/dev/null || { WHY="no standby"; return; }
    q "$S" "INSERT INTO t VALUES (800, 'x')"
    must "the standby follows" until_true 15 q_is "$sb" "SELECT count(*) FROM t WHERE id = 800" 1
    pg "$sb" promote >/dev/null
    C_SOURCE="$(dsn "$sb")" config
    start; refused 1 slot_gone
    # a slot made by hand on the new primary is not ours either
    q "$sb" "SELECT pg_create_logical_replication_slot('tailrace_$A', 'pgoutput')" >/dev/null
    start; refused 1 slot_other
    pg "$sb" stop
}

# The same with a failover slot that the standby keeps in step: it goes on, on the new timeline, with nothing lost or twice.
case_failover_synced() {
    fresh synced; run_once || return
    psql -XqAt "$(sock "$S") replication=database" -c "ALTER_REPLICATION_SLOT tailrace_$A (FAILOVER true)" >/dev/null || { WHY="no failover slot"; return; }
    port_new; local ss=ss$V; PG_VERSION[$ss]=$V PG_PORT[$ss]=$PORT PG_DB[$ss]=$A; SERVERS+=("$ss")
    pg "$ss" standby "$W/$S" "${PG_PORT[$S]}" >/dev/null || { WHY="no standby"; return; }
    start
    must "streams" count_is 2 '^state streaming'
    q "$S" "INSERT INTO t VALUES (810, 'seen')"
    must "a row arrives" sees 'c id=810'
    must "the slot is in step" until_true 60 q_is "$ss" "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'tailrace_$A' AND synced AND NOT temporary" 1 || return
    stop
    q "$S" "INSERT INTO t VALUES (811, 'not seen yet')"
    must "the standby has it" until_true 15 q_is "$ss" "SELECT count(*) FROM t WHERE id = 811" 1
    pg "$ss" promote >/dev/null
    C_SOURCE="$(dsn "$ss")" config
    start
    must "goes on" count_is 3 '^state streaming'
    q "$ss" "INSERT INTO t VALUES (812, 'after')"
    must "what was not seen" sees 'c id=811'
    must "what came after" sees 'c id=812'
    must "on the new timeline" out '^commit stream .* timeline=2'
    must "once each" test "$(count ' c id=81[012]')" = 3
    stop
    pg "$ss" stop
}

case_other_server() {
    fresh otherserver; run_once || return
    q "$S" "CREATE PUBLICATION tailrace_keep" >/dev/null
    pg_start "other$V" "$V"
    q "other$V" "CREATE DATABASE $A" postgres
    C_SOURCE="$(dsn "other$V" "$A")" config
    start; refused 1 other_server
    pg "other$V" stop
}

work_open
[ $# -gt 0 ] || set -- debian 18
for V; do
    S=src$V
    pg_start "$S" "$V"
    for c in copy_and_stream messages transactions restart kill_during_copy kill_during_chunks new_table open_transaction slot_in_use forged_sentinel bus_full \
        idle_confirms server_restart slot_dropped slot_recreated state_empty state_older publication_dropped \
        table_taken_out no_right wrong_password no_identity wal_level failover failover_synced other_server slot_invalid; do
        [ -z "${ONLY:-}" ] || [[ " $ONLY " == *" $c "* ]] || continue
        case $V,$c in # servers keep failover slots in step from 17 on
            debian,failover_synced | 1[456],failover_synced) continue ;;
        esac
        case_run "$c on $V" "case_$c"
        clear_source
    done
    pg "$S" stop
done
finish
