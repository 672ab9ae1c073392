#!/usr/bin/env bash
# shellcheck disable=SC1091,SC2034
# SPDX-License-Identifier: Apache-2.0
# usage: failover.sh [--source V] [--target V] [--promotions N] [CASE...]      (V: 17 or 18)
# check.sh runs: failover.sh --source 18 --target debian --promotions 2
#
# The primary dies and a standby takes over. Case promoted: under load, N times, each time with a new standby, the slot kept in
# step (source.failover) and the standby waited for (synchronous, and in synchronized_standby_slots):
#   promotions=N changes=N lost=0 phantom=0
# lost: rows that the last primary has and the target lacks; phantom: rows that only the target has. Case ahead: the
# standby is not waited for and takes over without what the target has: refused. Case standby: decoding on a standby.
# Case invalid: why the server gave up a slot, and what is said.
. "$(dirname "$0")/../harness/lib.sh"
SRC_V=18 DST_V=debian PROMOTIONS=3 CASES=()
while [ $# -gt 0 ]; do
    case $1 in
        --source) SRC_V=$2; shift ;; --target) DST_V=$2; shift ;; --promotions) PROMOTIONS=$2; shift ;; *) CASES+=("$1") ;;
    esac
    shift
done
[ ${#CASES[@]} -gt 0 ] || CASES=(promoted ahead standby invalid)
args_need psql pgbench jq
need_agent
export PGOPTIONS='-c lock_timeout=20s'
work_open
pg_start target "$DST_V"

# server NAME PORT: registered, not started. cluster NAME: the first primary, database $A, tables, and a source DSN in $DSN
# that finds whichever of PORTS is the primary.
server() { PG_VERSION[$1]=$SRC_V PG_PORT[$1]=$2 PG_DB[$1]=${A:-postgres}; SERVERS+=("$1"); }
ports() { local n; PORTS=(); for ((n = 0; n < $1; n++)); do port_new; PORTS+=("$PORT"); done; }
cluster() {
    local n hosts='' list=''
    ports "$2"
    server "$1" "${PORTS[0]}"
    mkdir -p "$W/$1"
    printf 'shared_buffers = 64MB\nmax_wal_size = 1GB\n' >"$W/$1/extra.conf"
    pg "$1" start || die "PostgreSQL $SRC_V ($1) did not start"
    database "$1" "$A"; database target "$A"
    for n in "${PORTS[@]}"; do hosts+=${hosts:+,}127.0.0.1 list+=${list:+,}$n; done
    DSN="host=$hosts port=$list user=postgres dbname=$A target_session_attrs=read-write"
    qf "$1" >/dev/null <<'SQL'
CREATE TABLE acc (id int PRIMARY KEY, val bigint, note text);
INSERT INTO acc SELECT n, 0, 'first' FROM generate_series(1, 500) n;
CREATE TABLE log (n bigserial, at timestamptz DEFAULT clock_timestamp());
ALTER TABLE log REPLICA IDENTITY FULL;
CREATE TABLE tr_mark (n bigint PRIMARY KEY);
SQL
}
# standby_of NAME PRIMARY PORT: a new one that follows it; waited_for PRIMARY PORT: no commit without it.
standby_of() { server "$1" "$3"; pg "$1" standby "$W/$2" "${PG_PORT[$2]}" >/dev/null; }
waited_for() {
    q "$1" "ALTER SYSTEM SET synchronized_standby_slots = 'standby_$2'"
    q "$1" "ALTER SYSTEM SET synchronous_standby_names = '*'"
    q "$1" 'SELECT pg_reload_conf()' >/dev/null
}
in_step() { q_is "$1" "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'tailrace_$A' AND synced AND NOT temporary AND invalidation_reason IS NULL" 1; }
drop_database_servers() { local s; for s; do pg "$s" stop >/dev/null 2>&1; done; }

load_run() {
    cat >"$W/load.sql" <<'SQL'
\set k random(1, 500)
BEGIN;
UPDATE acc SET val = val + 1 WHERE id = :k;
INSERT INTO log DEFAULT VALUES;
COMMIT;
SQL
    while [ ! -e "$W/load.stop" ]; do
        pgbench -n -c 3 -R 300 -T 600 -f "$W/load.sql" "$DSN" >"$W/load.log" 2>&1 &
        echo $! >"$W/load.pid"
        wait $!
        sleep 0.1
    done
}
load_end() { : >"$W/load.stop"; while pid_lives "$LOAD"; do pid_stop "$(cat "$W/load.pid")" 2; sleep 0.1; done; }
rows() { q "$1" "SELECT 'acc', id::text, val::text FROM acc UNION ALL SELECT 'log', n::text, at::text FROM log" | sort; }

case_promoted() {
    local n primary=p0 next lost phantom
    A=promoted; cluster p0 $((PROMOTIONS + 2)) || return
    rm -f "$W/load.stop"
    must "first standby" standby_of p1 p0 "${PORTS[1]}" || return
    waited_for p0 "${PORTS[1]}"
    C_SOURCE=$DSN C_SOURCE_MORE='  failover: true' C_BACKOFF=300 agent_config "$A" p0 target
    agent_start "$A"
    must "streams" streaming "$A" || return
    load_run & LOAD=$!
    for ((n = 1; n <= PROMOTIONS; n++)); do
        next=p$n
        must "$n: slot in step" until_true 60 in_step "$next" || break
        sleep 2
        pg "$primary" crash
        pg "$next" promote >/dev/null || { WHY="$n: no promotion"; break; }
        must "$n: streams from the new one" until_true 30 status_is "$A" .source.timeline $((n + 1)) || break
        must "$n: goes on" streaming "$A" || break
        primary=$next
        must "$n: next standby" standby_of "p$((n + 1))" "$primary" "${PORTS[n + 1]}" || break
        waited_for "$primary" "${PORTS[n + 1]}"
    done
    load_end
    must "drains" synced "$primary" target 30
    rows "$primary" >"$W/on_source"; rows target >"$W/on_target"
    lost=$(comm -23 "$W/on_source" "$W/on_target" | wc -l) phantom=$(comm -13 "$W/on_source" "$W/on_target" | wc -l)
    note "promotions=$((n - 1)) changes=$(q "$primary" 'SELECT sum(val) + (SELECT count(*) FROM log) FROM acc') lost=$lost phantom=$phantom"
    must "nothing is lost" test "$lost" = 0
    must "no phantom" test "$phantom" = 0
    must "rows were there" test "$(wc -l <"$W/on_source")" -gt 1000
    agent_stop "$A"
    drop_database_servers "$primary" "p$n"
}

case_ahead() {
    A=ahead; cluster a0 2 || return
    must "standby" standby_of a1 a0 "${PORTS[1]}" || return
    C_SOURCE=$DSN C_SOURCE_MORE='  failover: true' C_BACKOFF=300 agent_config "$A" a0 target
    agent_start "$A"
    must "says that it is not safe" until_true 20 log_has "$A" 'synchronized_standby_slots is empty' || return
    must "drains" synced a0 target 30
    must "check says so too" eval '! cli "$A" check >"$W/$A/check" && grep -q "synchronized_standby_slots is empty" "$W/$A/check"'
    must "slot in step" until_true 60 in_step a1 || return
    # the standby hears of nothing more
    q a0 "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = 'standby_${PORTS[1]}'" >/dev/null
    q a1 "ALTER SYSTEM SET primary_conninfo = ''; " && q a1 'SELECT pg_reload_conf()' >/dev/null
    sleep 1
    q a0 "INSERT INTO acc VALUES (9000, 1, 'only on the old one')"
    must "the target has it" until_true 20 q_is target "SELECT count(*) FROM acc WHERE id = 9000" 1
    must "the standby has not" q_is a1 "SELECT count(*) FROM acc WHERE id = 9000" 0
    pg a0 crash
    pg a1 promote >/dev/null
    must "refused" agent_exit "$A" 40
    must "with the reason" log_has "$A" 'error source: server left timeline 1 at .*, behind our position'
    must "exit code 1" test "$CODE" = 1
    must "what to do" log_has "$A" 'tailrace verify'
    drop_database_servers a1
}

# A standby is read; sentinels go by the primary. Publications are made there, too.
case_standby() {
    A=standby; cluster s0 2 || return
    must "standby" standby_of s1 s0 "${PORTS[1]}" || return
    C_SOURCE=$(dsn s1) C_SOURCE_MORE="  primary: \"$(dsn s0)\"" C_BACKOFF=300 agent_config "$A" s1 target
    agent_start "$A"
    must "without a publication it says what to run, and where" agent_exit "$A" 20 || return
    must "the SQL" log_has "$A" 'CREATE PUBLICATION "tailrace_standby" FOR TABLE ONLY'
    must "on the primary" log_has "$A" 'on the primary'
    q s0 "CREATE PUBLICATION tailrace_standby FOR TABLE acc, log, tr_mark WITH (publish_via_partition_root = true)"
    until_true 10 q_is s1 "SELECT count(*) FROM pg_publication" 1
    # a slot on a standby waits for a record of the primary
    (while [ ! -e "$W/$A/enough" ]; do q s0 'SELECT pg_log_standby_snapshot()' >/dev/null; sleep 0.5; done) & CHILDREN+=($!)
    agent_start "$A"
    must "streams" streaming "$A" || return
    : >"$W/$A/enough"
    must "drains" synced_by s0 || return
    q s0 "UPDATE acc SET val = id; INSERT INTO log DEFAULT VALUES"
    must "follows" synced_by s0
    must "equal" same s0 target acc log
    must "sentinels come back" until_true 20 eval 'curl -sf "127.0.0.1:${AGENT_HTTP[$A]}/readyz" >/dev/null'
    agent_stop "$A"
    # without source.primary it says how it knows
    C_SOURCE=$(dsn s1) C_SOURCE_MORE='' C_BACKOFF=300 agent_config "$A" s1 target
    agent_start "$A"
    must "told" until_true 20 log_has "$A" 'health comes from its keepalives'
    q s0 "UPDATE acc SET val = val + 1"
    must "follows all the same" synced_by s0
    must "equal again" same s0 target acc log
    # and goes on when the standby is promoted
    pg s0 crash; pg s1 promote >/dev/null
    q s1 "UPDATE acc SET val = val + 1"
    must "goes on after the promotion" synced s1 target 40
    must "equal at the end" same s1 target acc log
    agent_stop "$A"
    drop_database_servers s1
}
synced_by() {
    until_true 30 agents_copied || return 1
    MARK=$((MARK + 1))
    q "$1" "INSERT INTO tr_mark VALUES ($MARK)"
    until_true 30 q_is target "SELECT count(*) FROM tr_mark WHERE n = $MARK" 1
}

case_invalid() {
    A=invalid; cluster i0 1 || return
    C_SOURCE=$DSN C_BACKOFF=300 agent_config "$A" i0 target
    agent_start "$A"
    must "drains" synced i0 target 30 || return
    agent_stop "$A"
    q i0 "ALTER SYSTEM SET max_slot_wal_keep_size = '16MB'"; q i0 "ALTER SYSTEM SET max_wal_size = '48MB'"; q i0 'SELECT pg_reload_conf()' >/dev/null
    local n
    for n in 1 2 3 4 5; do q i0 "CREATE TABLE x AS SELECT repeat('x', 500) FROM generate_series(1, 60000); DROP TABLE x; SELECT pg_switch_wal(); CHECKPOINT" >/dev/null; done
    must "the server gave it up" q_is i0 "SELECT invalidation_reason FROM pg_replication_slots" wal_removed || return
    agent_start "$A"
    must "refused" agent_exit "$A" 20
    must "with the reason" log_has "$A" 'invalidated by the server \(wal_removed\): WAL that it needed was removed'
    must "and the cure" log_has "$A" 'raise max_slot_wal_keep_size'
    drop_database_servers i0
}

for c in "${CASES[@]}"; do case_run "$c" "case_$c"; done
finish
