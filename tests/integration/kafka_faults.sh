#!/bin/bash
# shellcheck disable=SC1091,SC2034
# SPDX-License-Identifier: Apache-2.0
# usage: kafka_faults.sh [CASE...]
# check.sh --kafka runs: kafka_faults.sh
# What goes wrong with Kafka as the bus: each is told, nothing is lost, and what passes is gone on from by itself.
. "$(dirname "$0")/../harness/lib.sh"
CASES=("$@")
[ ${#CASES[@]} -gt 0 ] || CASES=(down restarted fenced too_large other_server refused properties)
args_need psql pgbench java mvn curl jq
need_agent
PEERS=$TR_SRC/tests/peers
work_open
port_new; KAFKA=$PORT
trap 'sh "$PEERS/kafka.sh" "$W/kafka" 0 stop >/dev/null 2>&1; work_close' EXIT
kafka() { sh "$PEERS/kafka.sh" "$W/kafka" "$KAFKA" "$@" >"$W/kafka.out" 2>&1; }
kafka start || die "Kafka does not start: $(tail -n 1 "$W/kafka.out")"
pg_start source 18
pg_start target debian
pair() { # NAME [KAFKA-OPTIONS]
    A=$1
    database source "$A"; database target "$A"
    q source "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, 'v' FROM generate_series(1, 100) n; CREATE TABLE tr_mark (n bigint PRIMARY KEY)"
    C_NAME=$A C_SENTINEL=500 C_BACKOFF=500 C_MORE="kafka: { brokers: '127.0.0.1:$KAFKA'${2:+, $2} }" agent_config "$A" source target
}
up() { agent_start "$A"; must "streams" streaming "$A" 40 && must "in step" synced source target 40; }
away() { agent_stop "$A"; q source "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND database = '$A'" >/dev/null; }
rss_mb() { awk '/^RssAnon/ { print int($2 / 1024) }' "/proc/${AGENT_PID[$A]}/status"; }
equal() { must "arrives" synced source target 60 && must "equal" same source target t; }

# Under load for a while: memory stays bounded, the slot keeps the WAL, and it goes on by itself.
case_down() {
    pair down; up || return
    kafka crash
    (cd "$W" && exec pgbench -n -c 2 -R 400 -T 25 -f /dev/stdin "$(sock source)" >/dev/null 2>&1 <<<"INSERT INTO t VALUES ((random() * 1e9)::int, repeat('x', 2000)) ON CONFLICT DO NOTHING") & local load=$!
    sleep 20
    must "it lives" agent_lives "$A" && must "memory is bounded, not $(rss_mb) MB" test "$(rss_mb)" -lt 96
    must "not ready" eval '[ "$(curl -s -o /dev/null -w "%{http_code}" "127.0.0.1:${AGENT_HTTP[$A]}/readyz")" = 503 ]'
    must "status tells" eval 'cli "$A" status >"$W/down.status"; grep -qi kafka "$W/down.status"'
    wait "$load"
    must "WAL is kept" q_is source "SELECT pg_current_wal_lsn() - confirmed_flush_lsn > 5000000 FROM pg_replication_slots WHERE slot_name = 'tailrace_down'" t
    kafka start
    equal
    must "and let go" until_true 20 q_is source "SELECT pg_current_wal_lsn() - confirmed_flush_lsn < 5000000 FROM pg_replication_slots WHERE slot_name = 'tailrace_down'" t
    away
}
case_restarted() {
    pair restarted; up || return
    local n
    for n in 1 2; do
        q source "INSERT INTO t SELECT g, 'r$n' FROM generate_series($n * 1000, $n * 1000 + 200) g"
        kafka crash; kafka start
        q source "UPDATE t SET v = 'after $n' WHERE id = $n"
    done
    equal
    must "the same process" agent_lives "$A"
    away
}
# A second agent of the same name: the first ends and says why, nothing is put twice.
case_fenced() {
    pair fenced; up || return
    mkdir "$W/second"
    sed "s|^state: .*|state: $W/second/state|; s|^http: .*|http: { listen: \"off\" }|" "$W/$A/tailrace.yaml" >"$W/second/tailrace.yaml"
    chmod 600 "$W/second/tailrace.yaml"
    "$TAILRACE" run --config "$W/second/tailrace.yaml" >"$W/second/log" 2>&1 & local second=$!
    CHILDREN+=("$second")
    sleep 2
    q source "INSERT INTO t VALUES (5000, 'x')"
    must "the first ends" agent_exit "$A" 20 && must "with its reason" log_has "$A" 'kafka_fenced' && must "and code 75, not $CODE" test "$CODE" = 75
    pid_stop "$second" 20
    agent_start "$A"
    equal
    away
}
# One row larger than a record may be: told with its topic; goes on when the limits are raised.
case_too_large() {
    pair too_large; up || return
    q source "INSERT INTO t VALUES (6000, (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 60000) n))"
    must "it ends" agent_exit "$A" 30 && must "with topic and cure" log_has "$A" 'topic too_large.public.t.*message.max.bytes'
    C_NAME=$A C_SENTINEL=500 C_MORE="kafka: { brokers: '127.0.0.1:$KAFKA', properties: [message.max.bytes=8000000] }" agent_config "$A" source target
    kafka stop; kafka start message.max.bytes=8000000
    agent_start "$A"
    equal
    away
}
# The topics outlive the state directory: another server under the same name would be taken for the one they know.
case_other_server() {
    pair other; up || return
    agent_stop "$A"
    rm -rf "$W/other/state"
    PG_DB[target]=postgres; q target "CREATE DATABASE other_source" >/dev/null
    sed -i "s|^  postgres: .*|  postgres: \"host=$W/target/s port=${PG_PORT[target]} user=postgres dbname=other_source\"|" "$W/other/tailrace.yaml"
    agent_start "$A"
    must "is refused" agent_exit "$A" 30 && must "with both systems" log_has "$A" 'bus stands at .* of system .* and the server is at'
    q source "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND database = 'other'" >/dev/null
}
# A login that the broker does not take, and a name that is no property: at once, with the reason.
case_refused() {
    pair refused "properties: [security.protocol=SASL_PLAINTEXT, sasl.mechanism=PLAIN, sasl.username=me], password: secret-word"
    agent_start "$A"
    must "it lives or ends with a reason" until_true 40 log_has "$A" 'kafka'
    must "the password is told nowhere" eval '! grep -q secret-word "$W/$A/log" "$W/$A/out"'
    agent_lives "$A" && agent_stop "$A"
    q source "SELECT 1" >/dev/null
}
case_properties() {
    pair properties "properties: [no.such.property=1]"
    agent_start "$A"
    must "it ends" agent_exit "$A" 20 && must "with the name" log_has "$A" 'no.such.property' && must "and code 78, not $CODE" test "$CODE" = 78
}
for c in "${CASES[@]}"; do case_run "$c" "case_$c"; done
finish
