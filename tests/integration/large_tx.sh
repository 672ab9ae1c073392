#!/usr/bin/env bash
# shellcheck disable=SC1091,SC2034
# SPDX-License-Identifier: Apache-2.0
# usage: large_tx.sh [--source V] [--target V] [--rows N] [--cap MB] [CASE...]
# check.sh runs: large_tx.sh --source 18 --target debian
# check.sh runs: large_tx.sh --source debian --target 18 streamed rolled_back altered killed
# check.sh runs, each version: large_tx.sh --source V --target V streamed rolled_back altered killed
#
# Transactions that are larger than anything that could hold them: streamed while they are open, kept on disk, given up in
# part or as a whole, cut off by kills, larger than the disk they may take and larger than the bus. The case memory prints
#   rows=N rss_mb_max=N lost=N seconds=N
# of a transaction of N rows (200000), with another table's transactions flowing meanwhile.
. "$(dirname "$0")/../harness/lib.sh"
SRC_V=18 DST_V=debian ROWS=200000 CAP=64 CASES=()
while [ $# -gt 0 ]; do
    case $1 in
        --source) SRC_V=$2; shift ;; --target) DST_V=$2; shift ;; --rows) ROWS=$2; shift ;; --cap) CAP=$2; shift ;; *) CASES+=("$1") ;;
    esac
    shift
done
[ ${#CASES[@]} -gt 0 ] || CASES=(streamed rolled_back altered killed no_room beyond_budget whole slow_target memory)
args_need psql pgbench jq curl
need_agent
export PGOPTIONS='-c lock_timeout=20s' # a case that failed may have left a session open
work_open
pg_start source "$SRC_V" 'logical_decoding_work_mem = 64kB'
pg_start target "$DST_V"

# pair NAME: databases of their own, tables big and small, and agent $A.
pair() {
    A=$1
    database source "$A"; database target "$A"
    qf source >/dev/null <<SQL
CREATE TABLE big (id bigint PRIMARY KEY, v text, n int DEFAULT 0);
CREATE TABLE small (id bigserial PRIMARY KEY, v text);
CREATE TABLE other (id int PRIMARY KEY, a text);
CREATE TABLE tr_mark (n bigint PRIMARY KEY);
SQL
    C_SENTINEL=500 C_BACKOFF=300 agent_config "$A" source target
}
up() { agent_start "$A"; must "streams" streaming "$A" && must "ready" synced source target 20; }
away() { agent_stop "$A"; q source "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND database = '$A'" >/dev/null; }
metric() { curl -s "127.0.0.1:${AGENT_HTTP[$A]}/metrics" | sed -n "s/^$1 //p"; }
metric_is() { [ "$(metric "$1")" = "$2" ]; }
metric_above() { local v; v=$(metric "$1"); [ "${v:-0}" -gt "$2" ]; }
# begin SQL: a session that runs it and stays open; say SQL: it goes on; done_with: it ends.
begin() {
    mkfifo "$W/$A/session"
    psql -XqAt -v ON_ERROR_STOP=1 -d "$(sock source)" -f - <"$W/$A/session" >"$W/$A/session.out" 2>&1 & SESSION=$!
    CHILDREN+=("$SESSION")
    exec 7>"$W/$A/session"
    say "$1"
}
say() { printf '%s\n' "$1" >&7; }
done_with() { say "$1"; exec 7>&-; wait "$SESSION"; local code=$?; rm -f "$W/$A/session"; return $code; }
insert_sql() { echo "INSERT INTO big SELECT g, repeat(md5(g::text), 3) FROM generate_series($1, $2) g;"; }
kept() { metric_above tailrace_source_spill_bytes 100000; }
nothing_kept() { metric_is tailrace_source_spill_bytes 0 && metric_is tailrace_source_spill_transactions 0; }

case_streamed() {
    pair streamed; up || return
    begin "BEGIN; $(insert_sql 1 20000) SAVEPOINT a; $(insert_sql 20001 30000) UPDATE big SET n = 1 WHERE id < 10000; ROLLBACK TO a;
        $(insert_sql 40001 50000) SAVEPOINT b; UPDATE big SET n = 2 WHERE id < 5000; DELETE FROM big WHERE id < 100; RELEASE b;"
    must "it is kept while it is open" until_true 20 kept || return
    q source "INSERT INTO small (v) SELECT 'x' FROM generate_series(1, 100)"
    must "others flow meanwhile" until_true 10 q_is target "SELECT count(*) FROM small" 100
    must "nothing of it is seen" q_is target "SELECT count(*) FROM big" 0
    must "commits" done_with "COMMIT;" || return
    must "arrives" synced source target 30
    must "equal" same source target big small
    must "counted" metric_above tailrace_source_streamed_transactions_total 0
    must "nothing is kept any more" until_true 5 nothing_kept
    # two at once, one of them smaller than what the server holds back
    begin "BEGIN; UPDATE big SET n = n + 1 WHERE id < 20000;"
    q source "BEGIN; UPDATE big SET n = n + 7 WHERE id >= 40001; DELETE FROM big WHERE id > 49000; COMMIT"
    must "the second flows by" until_true 20 q_is target "SELECT max(id) FROM big" 49000
    must "commits" done_with "COMMIT;"
    must "both arrive" synced source target 30
    must "both equal" same source target big small
    away
}

case_rolled_back() {
    pair rolled_back; up || return
    begin "BEGIN; $(insert_sql 1 30000)"
    must "it is kept" until_true 20 kept || return
    must "rolls back" done_with "ROLLBACK;"
    must "nothing is kept" until_true 10 nothing_kept
    q source "INSERT INTO big VALUES (1, 'after')"
    must "goes on" synced source target 20
    must "equal" same source target big
    # thousands of subtransactions, every other one given up
    qf source >/dev/null <<'SQL'
DO $$ BEGIN
    FOR i IN 1..4000 LOOP
        BEGIN
            INSERT INTO big VALUES (100000 + i, repeat('s', 200));
            IF i % 2 = 0 THEN RAISE EXCEPTION 'no'; END IF;
        EXCEPTION WHEN raise_exception THEN NULL;
        END;
    END LOOP;
END $$;
SQL
    must "arrives" synced source target 30
    must "equal again" same source target big
    must "only those that stayed" q_is target "SELECT count(*) FROM big WHERE id > 100000" 2000
    away
}

# A table altered within, and given up; and others' schemas beside it.
case_altered() {
    pair altered; up || return
    q source "INSERT INTO other VALUES (1, 'first')"
    must "table is known" synced source target 20 || return
    q target "ALTER TABLE other ADD b int"
    begin "BEGIN; $(insert_sql 1 5000) ALTER TABLE big ADD extra int DEFAULT 5; $(insert_sql 5001 10000) SAVEPOINT a;
        ALTER TABLE big DROP n; $(insert_sql 10001 15000) ROLLBACK TO a; UPDATE big SET n = 3 WHERE id % 2 = 0; $(insert_sql 15001 20000)"
    must "it is kept" until_true 20 kept || return
    q source "ALTER TABLE other ADD b int; INSERT INTO other VALUES (2, 'second', 2)"
    must "the other one flows" until_true 10 q_is target "SELECT b FROM other WHERE id = 2" 2
    q target "ALTER TABLE big ADD extra int DEFAULT 5"
    must "commits" done_with "COMMIT;"
    q source "INSERT INTO other VALUES (3, 'third', 3); INSERT INTO big VALUES (30000, 'x', 1, 1)"
    must "arrives" synced source target 30
    must "equal" same source target other
    must "equal rows" test "$(q source 'SELECT md5(string_agg((id, v, n, extra)::text, $$,$$ ORDER BY id)) FROM big')" = "$(q target 'SELECT md5(string_agg((id, v, n, extra)::text, $$,$$ ORDER BY id)) FROM big')"
    away
}

case_killed() {
    local at
    pair killed; up || return
    for at in 1 2 3 4 5; do
        begin "BEGIN; $(insert_sql ${at}000001 ${at}030000)"
        must "$at: it is kept" until_true 20 kept || return
        q source "INSERT INTO small (v) VALUES ('$at')"
        [ $((at % 2)) = 0 ] || { agent_kill "$A"; agent_start "$A" 7>&-; }
        must "$at: commits" done_with "COMMIT;"
        sleep 0.$((at * 13 % 10))
        agent_kill "$A"; agent_start "$A"
        must "$at: arrives" synced source target 40 || return
        must "$at: equal" same source target big small
    done
    begin "BEGIN; $(insert_sql 9000001 9030000)"
    must "it is kept" until_true 20 kept || return
    agent_stop "$A"
    must "a stop leaves no file behind" test ! -e "$W/$A/state/spill"
    must "commits" done_with "COMMIT;"
    agent_start "$A"
    must "arrives" synced source target 30
    must "equal" same source target big small
    away
}

# What cannot be kept here is left to the server.
case_no_room() {
    pair no_room
    C_SOURCE_MORE='  spill_max_mb: 1' C_SENTINEL=500 C_BACKOFF=300 agent_config "$A" source target
    up || return
    begin "BEGIN; $(insert_sql 1 30000)"
    must "told" until_true 20 log_has "$A" 'spill_max_mb' || return
    q source "INSERT INTO small (v) VALUES ('meanwhile')"
    must "others flow" until_true 20 q_is target "SELECT count(*) FROM small" 1
    must "nothing is kept" until_true 10 nothing_kept
    must "commits" done_with "COMMIT;"
    must "arrives" synced source target 30
    must "equal" same source target big small
    must "was not streamed" metric_is tailrace_source_streamed_transactions_total 0
    away
}

case_beyond_budget() {
    pair beyond
    C_BUS='max_mb: 16, memory_mb: 4' C_SENTINEL=500 C_BACKOFF=300 agent_config "$A" source target
    up || return
    # random, so that it is large on disk too
    q source "INSERT INTO big SELECT g, md5(g::text || 'a') || md5(g::text || 'b') || md5(g::text || 'c') FROM generate_series(1, 250000) g"
    must "told" until_true 60 log_has "$A" 'larger than the budget' || return
    must "arrives" synced source target 60 || return
    must "equal" same source target big
    q source "UPDATE big SET n = n + 1"
    q source "INSERT INTO small (v) VALUES ('after')"
    must "again" synced source target 60
    must "equal again" same source target big small
    must "within the budget afterwards" until_true 20 status_is "$A" '.bus.state' ok
    away
}

# Without streaming the server keeps them: the same result.
case_whole() {
    pair whole
    C_SOURCE_MORE='  streaming: false' C_SENTINEL=500 C_BACKOFF=300 agent_config "$A" source target
    up || return
    q source "BEGIN; $(insert_sql 1 20000) SAVEPOINT a; $(insert_sql 20001 30000) ROLLBACK TO a; COMMIT"
    must "arrives" synced source target 30
    must "equal" same source target big
    must "was not streamed" metric_is tailrace_source_streamed_transactions_total 0
    away
}

# A statement that takes longer than any TCP timeout, with more behind it than the socket takes: not a lost connection.
case_slow_target() {
    pair slow_target; up || return
    qf target >/dev/null <<'SQL'
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 1 THEN PERFORM pg_sleep(14); END IF; RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE INSERT ON big FOR EACH ROW EXECUTE FUNCTION slow();
ALTER TABLE big ENABLE ALWAYS TRIGGER slow;
SQL
    q source "INSERT INTO big SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 40000) g"
    must "arrives" synced source target 60
    must "equal" same source target big
    must "by the same connection" eval '! log_has "$A" "connection|E_PG_CONNECT|pg_connect"'
    away
}

rss_watch() {
    local pid=$1 max=0 now
    while pid_lives "$pid"; do
        now=$(awk '/^Rss(Anon|Shmem)/ { n += $2 } END { print n + 0 }' "/proc/$pid/status" 2>/dev/null)
        [ "${now:-0}" -le $max ] || { max=$now; echo "$max" >"$W/rss"; }
        sleep 0.05
    done
}
case_memory() {
    local from=$SECONDS lost rss
    pair memory; up || return
    printf '%s\n' "INSERT INTO small (v) VALUES ('flows');" >"$W/$A/small.sql"
    rss_watch "${AGENT_PID[$A]}" & CHILDREN+=($!)
    begin "BEGIN; $(insert_sql 1 "$ROWS")"
    pgbench -n -R 100 -T 3 -f "$W/$A/small.sql" "$(sock source)" >"$W/$A/load" 2>&1
    must "others flow meanwhile" until_true 60 q_is target "SELECT count(*) FROM small" "$(q source 'SELECT count(*) FROM small')"
    must "commits" done_with "COMMIT;"
    must "arrives" synced source target $((60 + ROWS / 5000)) || return
    lost=$(($(q source 'SELECT count(*) FROM big') - $(q target 'SELECT count(*) FROM big')))
    must "equal" same source target big small
    rss=$((($(cat "$W/rss") + 1023) / 1024))
    note "rows=$ROWS rss_mb_max=$rss lost=$lost seconds=$((SECONDS - from))"
    must "memory within $CAP MB" test "$rss" -le "$CAP"
    must "nothing is lost" test "$lost" = 0
    away
}

for c in "${CASES[@]}"; do case_run "$c" "case_$c"; done
finish
