#!/usr/bin/env bash
# shellcheck disable=SC1091,SC2034,SC2086
# SPDX-License-Identifier: Apache-2.0
# usage: snapshot.sh [--source V] [--target V] [CASE...]
# check.sh runs: snapshot.sh --source 18 --target debian again late_visible standby
# check.sh runs: snapshot.sh --source debian --target 18 paused behind altered
# check.sh runs: snapshot.sh --source 18 --target debian stream_goes_on wal_at_risk
# check.sh runs, each version: snapshot.sh --source V --target V again late_visible altered
#
# Snapshots beside the stream: read again on request, paused, resumed, cancelled, held back for the sake of the slot, read
# from a standby, under commits that are streamed long before they are visible, and while the table itself is altered.
. "$(dirname "$0")/../harness/lib.sh"
SRC_V=18 DST_V=debian CASES=()
while [ $# -gt 0 ]; do
    case $1 in
        --source) SRC_V=$2; shift ;; --target) DST_V=$2; shift ;; *) CASES+=("$1") ;;
    esac
    shift
done
[ ${#CASES[@]} -gt 0 ] || CASES=(again paused stream_goes_on wal_at_risk late_visible behind altered standby)
args_need psql pgbench jq
need_agent
work_open
pg_start source "$SRC_V"
pg_start target "$DST_V"

# pair NAME ROWS: databases of their own on both, a table big (ROWS rows of about 200 bytes) and a small one; agent $A.
pair() {
    A=$1
    database source "$A"; database target "$A"
    qf source >/dev/null <<SQL
CREATE TABLE big (id bigint PRIMARY KEY, v text, n int DEFAULT 0);
INSERT INTO big SELECT n, repeat(md5(n::text), 6) FROM generate_series(1, $2) n;
CREATE TABLE small (id int PRIMARY KEY, v text);
INSERT INTO small SELECT n, 'old' FROM generate_series(1, 100) n;
CREATE TABLE tr_mark (n bigint PRIMARY KEY);
ANALYZE;
SQL
    C_SENTINEL=500 C_BACKOFF=300 agent_config "$A" source target
}
# paused_at_once: pause the copy of big as soon as it is known.
snap() { cli "$A" snapshot "$@" >>"$W/$A/snap" 2>&1; }
state_of() { status "$A" ".snapshots[] | select(.table == \"$1\") | .state"; }
state_is() { [ "$(state_of "$1")" = "$2" ]; }
rows_of() { status "$A" ".snapshots[] | select(.table == \"$1\") | .rows"; }
gone() { [ -z "$(state_of "$1")" ]; }
away() { agent_stop "$A"; q source "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND database = '$A'" >/dev/null; }
# load SECONDS SQL: in the background; load_end waits.
load() { printf '%s\n' "$2" >"$W/$A/load.sql"; pgbench -n -c "${3:-4}" -R "${4:-300}" -T "$1" -f "$W/$A/load.sql" "$(sock source)" >"$W/$A/load" 2>&1 & LOAD=$!; CHILDREN+=("$LOAD"); }
load_end() { wait "$LOAD"; }

case_again() {
    pair again 20000; agent_start "$A"
    must "first copy" synced source target 30 || return
    must "equal" same source target big small || return
    q target "DELETE FROM big WHERE id % 7 = 0; UPDATE big SET v = 'wrong' WHERE id % 5 = 0; DELETE FROM small WHERE id > 50"
    must "a part is read again" snap public.big --where "id <= 10000" || return
    must "it ends" until_true 20 gone public.big || return
    must "drains" synced source target 20
    must "that part is right" test "$(q source 'SELECT md5(string_agg(b::text, $$,$$ ORDER BY id)) FROM big b WHERE id <= 10000')" = "$(q target 'SELECT md5(string_agg(b::text, $$,$$ ORDER BY id)) FROM big b WHERE id <= 10000')"
    must "the rest is not" test "$(q target 'SELECT count(*) FROM big')" -lt 20000
    load 4 'UPDATE big SET n = n + 1 WHERE id = 1 + (random() * 19999)::int;'
    must "both are read again" snap 'public.*' || return
    load_end
    must "ends and drains" synced source target 30
    must "equal again" same source target big small
    q source "CREATE TABLE nokey (a int); INSERT INTO nokey VALUES (1)"
    must "a table without a key is copied" until_true 30 q_is target "SELECT count(*) FROM nokey" 1
    must "a pattern leaves it out, and says so" eval 'cli "$A" snapshot "public.*" >"$W/$A/left" 2>&1 && grep -q "left out: table public.nokey has no key" "$W/$A/left" && grep -q "snapshot of public.small begins" "$W/$A/left"'
    must "named alone it is refused" eval '! snap public.nokey'
    must "the others end" until_true 20 gone public.big && until_true 20 gone public.small
    must "an unknown table is refused" eval '! snap public.nothing'
    must "a wrong condition is told" snap public.small --where 'nonsense = 1'
    must "in the log" until_true 10 log_has "$A" 'snapshot of public.small.*nonsense'
    must "and is given up" until_true 10 gone public.small
    q source "INSERT INTO small VALUES (200, 'new')"
    must "the stream goes on" synced source target 20
    must "equal at the end" same source target big small
    away
}

case_paused() {
    pair paused 150000
    agent_start "$A"
    must "it is known" until_true 20 eval '[ -n "$(state_of public.big)" ]' || return
    must "paused" snap public.big pause
    must "says so" until_true 10 state_is public.big paused || return
    local at; at=$(rows_of public.big)
    q source "UPDATE big SET n = 1 WHERE id % 1000 = 0; INSERT INTO small VALUES (101, 'x')"
    must "the stream goes on" until_true 10 q_is target "SELECT count(*) FROM small WHERE id = 101" 1
    must "stands still" test "$(rows_of public.big)" = "$at"
    agent_stop "$A"; agent_start "$A"
    must "still paused after a restart" until_true 20 state_is public.big paused
    must "where it was" test "$(rows_of public.big)" = "$at"
    must "shown as text" eval 'cli "$A" snapshot --status | grep -q "public.big.*paused"'
    # more transactions than are remembered one by one
    printf '%s\n' '\set k random(1, 150000)' 'UPDATE big SET n = n + 1 WHERE id = :k;' >"$W/$A/many.sql"
    pgbench -n -c 4 -t 5000 -f "$W/$A/many.sql" "$(sock source)" >/dev/null 2>&1
    q source "DELETE FROM big WHERE id % 777 = 0; UPDATE big SET id = -id WHERE id % 5000 = 1"
    must "resumed" snap public.big resume
    must "ends and drains" synced source target 60
    must "equal" same source target big small
    q target "DELETE FROM big WHERE id > 149000"
    must "again" snap public.big
    must "cancelled" snap public.big cancel
    must "gone" until_true 10 gone public.big
    must "drains" synced source target 20
    away
}

# A table that comes later is copied while the stream of the others goes on.
case_stream_goes_on() {
    pair goes_on 10; agent_start "$A"
    must "first copy" synced source target 30 || return
    q source "CREATE TABLE late (id bigint PRIMARY KEY, v text); INSERT INTO late SELECT n, repeat(md5(n::text), 10) FROM generate_series(1, 250000) n; ANALYZE late"
    must "it is being copied" until_true 20 eval '[ -n "$(state_of public.late)" ]' || return
    local slowest=0 n=0 from ms
    while [ -n "$(state_of public.late)" ] && [ $n -lt 400 ]; do
        n=$((n + 1)); from=$(date +%s%N)
        q source "INSERT INTO small VALUES ($((1000 + n)), 'x')"
        until_true 10 q_is target "SELECT count(*) FROM small WHERE id = $((1000 + n))" 1 || break
        ms=$((($(date +%s%N) - from) / 1000000)); [ $ms -le $slowest ] || slowest=$ms
    done
    note "  $n rows of another table were streamed meanwhile, the slowest in $slowest ms"
    must "some were" test $n -gt 1
    must "none waited for the copy" test $slowest -lt 3000
    must "ends and drains" synced source target 60
    must "equal" same source target late small
    away
}

case_wal_at_risk() {
    pair at_risk 50000
    C_SOURCE_MORE='  wal_budget_mb: 20' C_SENTINEL=500 agent_config "$A" source target
    q target "CREATE TABLE big (id bigint PRIMARY KEY, v text, n int DEFAULT 0); CREATE TABLE small (id int PRIMARY KEY, v text)"
    agent_start "$A"
    must "copies" until_true 30 q_is target "SELECT count(*) FROM small" 100 || return
    must "first copy" synced source target 60 || return
    # a transaction that is open keeps the slot from letting go of WAL
    mkfifo "$W/$A/hold"
    psql -Xqd "$(sock source)" -f "$W/$A/hold" >/dev/null & CHILDREN+=("$!")
    exec 8>"$W/$A/hold"
    printf 'BEGIN; INSERT INTO small VALUES (500, $$held$$); SELECT pg_sleep(0);\n' >&8
    sleep 0.5
    q source "UPDATE big SET n = n + 1"
    must "the slot keeps it" until_true 30 eval '[ "$(status "$A" .source.retained_bytes)" -gt 17000000 ]'
    must "asked for" snap public.big
    must "it pauses by itself and says why" until_true 30 log_has "$A" 'snapshots pause: the slot keeps [0-9]+ MB of WAL, and source.wal_budget_mb is near'
    must "waits" until_true 10 state_is public.big paused_wal
    q source "INSERT INTO small VALUES (501, 'goes on')"
    must "the stream goes on" until_true 15 q_is target "SELECT count(*) FROM small WHERE id = 501" 1
    [ -z "$WHY" ] || note "  $WHY"
    printf 'COMMIT;\n' >&8; exec 8>&-
    must "goes on by itself" until_true 60 log_has "$A" 'snapshots go on' || return
    must "ends and drains" synced source target 60
    must "equal" same source target big small
    away
}

# Commits are in the WAL, and streamed, 150 ms before other transactions see them: a synchronous standby applies late.
case_late_visible() {
    pair visible 30000
    mkdir -p "$W/standby"
    echo "recovery_min_apply_delay = 150" >"$W/standby/extra.conf"
    port_new; local port=$PORT
    "$TR_SRC/tests/peers/postgres.sh" "$SRC_V" "$W/standby" "$port" standby "$W/source" "${PG_PORT[source]}" >/dev/null 2>&1
    SERVERS+=(standby); PG_VERSION[standby]=$SRC_V PG_PORT[standby]=$port PG_DB[standby]=$A
    q source "ALTER SYSTEM SET synchronous_standby_names = '*'"; q source "ALTER SYSTEM SET synchronous_commit = 'remote_apply'"
    q source "SELECT pg_reload_conf()" >/dev/null
    must "there is a synchronous standby" until_true 20 q_is source "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'" 1
    local from; from=$(date +%s%N)
    q source "UPDATE small SET v = 'slow' WHERE id = 1"
    must "commits wait for it" test $((($(date +%s%N) - from) / 1000000)) -ge 100
    q target "CREATE TABLE big (id bigint PRIMARY KEY, v text, n int DEFAULT 0)"; history_make
    # hot rows in every part of the table, so that each chunk holds rows that are on their way
    load 8 '\set k random(0, 300)
UPDATE big SET n = n + 1 WHERE id = :k * 100 + 1;' 24 400
    sleep 1
    agent_start "$A"
    from=$SECONDS
    must "copies, while the load goes on" until_true 20 agents_copied || return
    note "  copied in $((SECONDS - from)) s"
    must "it waited for visibility" log_has "$A" 'waits until transactions that were streamed are visible'
    load_end
    must "drains" synced source target 30
    must "equal" same source target big
    must "no stale row ever won" no_stale
    q source "ALTER SYSTEM RESET synchronous_standby_names"; q source "ALTER SYSTEM RESET synchronous_commit"; q source "SELECT pg_reload_conf()" >/dev/null
    away
}

# The stream has much to catch up with, while chunks are read as of now: they must not be put before it has.
case_behind() {
    pair behind 100000
    q target "CREATE TABLE big (id bigint PRIMARY KEY, v text, n int DEFAULT 0)"; history_make
    agent_start "$A"
    must "some of it is copied" until_true 20 q_is target "SELECT count(*) > 0 FROM big" t || return
    agent_kill "$A"
    local i; for i in 1 2 3 4 5; do q source "UPDATE big SET n = n + 1 WHERE id % 2 = 0"; done
    agent_start "$A"
    must "it goes on in the middle" until_true 20 log_has "$A" 'snapshot of public.big goes on behind [1-9]'
    must "ends and drains" synced source target 60
    must "equal" same source target big
    must "no stale row ever won" no_stale
    away
}
history_make() {
    q target "CREATE TABLE hist (at bigserial, id bigint, n int);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO hist (id, n) VALUES (NEW.id, NEW.n); RETURN NULL; END';
        CREATE TRIGGER note AFTER INSERT OR UPDATE ON big FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE big ENABLE ALWAYS TRIGGER note"
}
no_stale() { q_is target "SELECT count(*) FROM (SELECT n, max(n) OVER (PARTITION BY id ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) m FROM hist) x WHERE n < m" 0; }

# DDL, truncate, rewrite and drop in the middle of a copy.
case_altered() {
    pair altered 120000
    q source "CREATE TABLE doomed (id int PRIMARY KEY, v text); INSERT INTO doomed SELECT n, repeat(md5(n::text), 6) FROM generate_series(1, 120000) n;
        CREATE TABLE cleared (id int PRIMARY KEY, v text); INSERT INTO cleared SELECT n, repeat(md5(n::text), 6) FROM generate_series(1, 60000) n"
    C_SOURCE_MORE='  snapshot_parallel: 3' C_SENTINEL=500 agent_config "$A" source target
    agent_start "$A"
    must "in the middle" until_true 20 eval '[ "$(rows_of public.big)" -gt 2000 ] 2>/dev/null' || return
    must "there is a table for it" until_true 20 q_is target "SELECT to_regclass('big') IS NOT NULL" t || return
    q target "ALTER TABLE big ADD extra text DEFAULT 'x'" # before the source's, so that no row waits for it
    q source "TRUNCATE cleared; INSERT INTO cleared VALUES (1, 'after')"
    q source "ALTER TABLE big ADD extra text DEFAULT 'x', DROP n"
    q source "UPDATE big SET extra = 'y' WHERE id % 100 = 0"
    q source "DROP TABLE doomed"
    q source "VACUUM FULL big"
    must "ends" until_true 60 agents_copied || return
    q target "ALTER TABLE big DROP n"
    must "drains" synced source target 60
    must "equal" same source target cleared
    must "columns of before and after" test "$(q source "SELECT count(*), count(*) FILTER (WHERE extra = 'y') FROM big")" = "$(q target "SELECT count(*), count(*) FILTER (WHERE extra = 'y') FROM big")"
    away
}

case_standby() {
    pair standby_read 60000
    rm -rf "$W/reader"; mkdir -p "$W/reader"
    port_new; local port=$PORT
    "$TR_SRC/tests/peers/postgres.sh" "$SRC_V" "$W/reader" "$port" standby "$W/source" "${PG_PORT[source]}" >/dev/null 2>&1
    SERVERS+=(reader); PG_VERSION[reader]=$SRC_V PG_PORT[reader]=$port PG_DB[reader]=$A
    must "it is a standby" until_true 20 q_is reader "SELECT pg_is_in_recovery()" t || return
    C_SOURCE_MORE="  snapshot_postgres: \"$(dsn reader)\"" C_SENTINEL=500 agent_config "$A" source target
    load 6 '\set k random(1, 60000)
UPDATE big SET n = n + 1 WHERE id = :k;
UPDATE big SET n = n + 1 WHERE id = :k % 50 * 1000 + 1;
DELETE FROM big WHERE id = :k / 2;
INSERT INTO big VALUES (:k, $$new$$) ON CONFLICT DO NOTHING;' 4 200
    sleep 0.5
    agent_start "$A"
    must "it is read there" until_true 20 q_is reader "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'tailrace/source/snapshot%'" t
    must "not here" q_is source "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'tailrace/source/snapshot%'" 0
    load_end
    must "ends and drains" synced source target 60
    must "equal" same source target big small
    away
}

for c in "${CASES[@]}"; do case_run "$c" "case_$c"; done
finish
