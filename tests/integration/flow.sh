#!/bin/bash
# shellcheck disable=SC1091,SC2016,SC2034
# SPDX-License-Identifier: Apache-2.0
# usage: flow.sh [--source V] [--target V] [CASE...]      (--list prints the cases)
# check.sh runs: flow.sh --source debian --target 18
# check.sh runs: flow.sh --source 18 --target debian copy_types stream odd_tables copy_killed reload_adds_table added_table_late drain tail
# check.sh runs, each version: flow.sh --source V --target V
#
# The way of the data when nothing is wrong, end to end: the first copy, the stream, a reload, the end of a run, and what
# the commands show while it runs. Each case has a database of its own on both servers.
. "$(dirname "$0")/../harness/lib.sh"

SRC_V=debian DST_V=18 CASES=()
declare -A TITLE
ALL=()
flow() { ALL+=("$1"); TITLE[$1]=$2; }

pair() { A=$1; database source "$A"; database target "$A"; mark_table source; agent_config "$A" source target; }
up() { agent_start "$A"; streaming "$A" "${1:-30}"; }
arrived() { synced source target "${1:-30}"; }
code_of() { "$@" >"$W/cmd.out" 2>&1; CODE=$?; }
out_has() { grep -qE -- "$1" "$W/cmd.out"; }
clear_case() {
    local s
    [ -z "${AGENT_PID[$A]:-}" ] || agent_stop "$A"
    for s in source target; do
        PG_DB[$s]=postgres
        q $s "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND database = '$A'" >/dev/null 2>&1
    done
}
# Every type that travels as itself, with the values that are easily lost.
types_make() {
    qf source >/dev/null <<'SQL'
CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy');
CREATE TABLE kinds (id int PRIMARY KEY, b bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, n2 numeric(12,4), t text, v varchar(40),
    c char(8), bin bytea, u uuid, j json, jb jsonb, m mood, d date, tm time, tz timetz, ts timestamp, tstz timestamptz, iv interval,
    ia int[], ta text[], na numeric[], ma mood[], tsa timestamptz[]);
INSERT INTO kinds VALUES
 (1, true, -32768, 2147483647, -9223372036854775808, 'NaN', '-Infinity', 'NaN', 1.5000, E'a\nb"\\ü', 'x', 'pad', '\x00ff10', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
  '{"b": 1,  "a": [1,2]}', '{"b": 1, "a": null}', 'very happy', 'infinity', '24:00:00', '12:00:00.123456+02', '-infinity', '2026-06-01 12:00:00.000001+00',
  '1 year 2 mons -3 days 04:05:06.789', '{1,NULL,3}', '{"a,b",NULL,"","NULL"}', '{1.50,NaN}', '{sad,"very happy"}', '{infinity,"2026-01-01 00:00:00+00"}'),
 (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (3, false, 0, 0, 0, 0.1, 1e-300, 12345678901234567890.123456789012345678901234567890, 0, '', '', '', '', '00000000-0000-0000-0000-000000000000', 'null', '""', 'sad',
  '4713-01-01 BC', '00:00', '00:00-15:59', '294276-12-31 23:59:59.999999', '4713-01-01 00:00:00+00 BC', '0', '{}', '{}', '{}', '{}', '{}'),
 (4, true, 32767, -1, 1, 3.4028235e38, 5e-324, '1.50', -1.5, repeat('long', 3000), NULL, NULL, decode(repeat('00ff', 5000), 'hex'), NULL, NULL,
  jsonb_build_object('k', repeat('v', 5000)), 'ok', '0001-01-01', '23:59:59.999999', '00:00+15:59', '0001-01-01', '-infinity', '-178000000 years', '{2147483647}', '{x}', '{0.000}', NULL, NULL);
SQL
}

flow copy_types "the first copy makes the tables and brings every type unchanged"
case_copy_types() {
    pair copy_types; types_make
    must "runs" up && must "rows arrive" arrived && must "equal" same source target kinds && must "verify agrees" verified "$A"
    must "types are the same" test "$(q source "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'kinds'::regclass AND attnum > 0")" = \
        "$(q target "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'kinds'::regclass AND attnum > 0")"
    must "the key is the same" q_is target "SELECT count(*) FROM pg_index WHERE indrelid = 'kinds'::regclass AND indisprimary" 1
}

flow stream "inserts, updates, deletes, key changes, unchanged TOAST, keyless tables, truncate: all as on the source"
case_stream() {
    pair stream; types_make
    q source "CREATE TABLE bag (a int, b text); ALTER TABLE bag REPLICA IDENTITY FULL; CREATE TABLE gone (id int PRIMARY KEY); INSERT INTO gone SELECT generate_series(1, 50)"
    must "runs" up && must "the copy arrives" arrived || return
    qf source >/dev/null <<'SQL'
INSERT INTO kinds SELECT (k).* FROM (SELECT jsonb_populate_record(x, jsonb_build_object('id', x.id + 100)) AS k FROM kinds x WHERE id <> 3) y;
UPDATE kinds SET i4 = 7 WHERE id = 4;                       -- its large columns are not sent
UPDATE kinds SET id = 40, i4 = 8 WHERE id = 4;              -- nor with a new key
UPDATE kinds SET id = id + 1000 WHERE id IN (1, 101);
INSERT INTO bag SELECT 1, 'same' FROM generate_series(1, 5);
DELETE FROM bag WHERE ctid = (SELECT min(ctid) FROM bag);   -- one of five equal rows
UPDATE bag SET b = NULL WHERE ctid = (SELECT max(ctid) FROM bag);
INSERT INTO bag VALUES (NULL, 'x'), (2, NULL);
UPDATE bag SET a = 3 WHERE a IS NULL;
BEGIN; INSERT INTO kinds (id) VALUES (77); DELETE FROM kinds WHERE id = 77; INSERT INTO kinds (id, t) VALUES (77, 'again'); COMMIT;
BEGIN; UPDATE kinds SET id = 78 WHERE id = 77; UPDATE kinds SET id = 77 WHERE id = 78; COMMIT;
TRUNCATE gone;
INSERT INTO gone VALUES (7);
SQL
    must "rows arrive" arrived && must "equal" same source target kinds bag gone && must "verify agrees" verified "$A"
    q source "BEGIN; INSERT INTO gone SELECT generate_series(1000, 60000); UPDATE gone SET id = -id WHERE id % 3 = 0; COMMIT"
    must "a large transaction arrives" arrived 60 && must "equal after it" same source target gone
}

flow copy_killed "killed during the first copy: it goes on where it was, under load"
case_copy_killed() {
    pair copy_killed
    q source "CREATE TABLE big (id bigint PRIMARY KEY, n int, v text); INSERT INTO big SELECT n, 0, md5(n::text) FROM generate_series(1, 300000) n;
        CREATE TABLE heap (id bigint, n int, v text); ALTER TABLE heap REPLICA IDENTITY FULL; INSERT INTO heap SELECT n, 0, md5(n::text) FROM generate_series(1, 100000) n; CREATE INDEX ON heap (id)"
    cat >"$W/copy.sql" <<'SQL'
\set k random(1, 300000)
UPDATE big SET n = n + 1 WHERE id = :k;
INSERT INTO heap VALUES (:k, 1, 'load');
DELETE FROM big WHERE id = :k + 1;
INSERT INTO big VALUES (300000 + :k, 0, 'new') ON CONFLICT (id) DO UPDATE SET n = big.n + 1;
SQL
    pgbench -n -c 2 -R 200 -T 60 -f "$W/copy.sql" "$(sock source)" >"$W/load.log" 2>&1 &
    local load=$! i; CHILDREN+=("$load")
    for i in 1 2 3; do
        agent_start "$A"
        must "copies" until_true 20 copy_or_stream || break
        sleep "0.$((RANDOM % 6 + 1))"
        agent_kill "$A"
    done
    must "runs at last" up 90
    kill "$load"; wait "$load" 2>/dev/null
    must "rows arrive" arrived 60 && must "equal" same source target big heap && must "verify agrees" verified "$A"
    must "no slot but ours is left" q_is source "SELECT count(*) FROM pg_replication_slots WHERE database = '$A'" 1
}
copy_or_stream() { case $(status "$A" .source.state) in copying|streaming) ;; *) false ;; esac; }

flow reload_adds_table "SIGHUP with a longer table list: the new table is copied and followed; a bad file is refused"
case_reload_adds_table() {
    pair reload_adds_table
    q source "CREATE TABLE one (id int PRIMARY KEY, v text); INSERT INTO one VALUES (1, 'a'); CREATE TABLE two (id int PRIMARY KEY, v text); INSERT INTO two SELECT n, 'b' FROM generate_series(1, 5000) n"
    C_TABLES='public.one, public.tr_mark' agent_config "$A" source target
    must "runs" up && must "rows arrive" arrived || return
    must "the second table is not there" q_is target "SELECT to_regclass('two') IS NULL" t
    cp "$W/$A/tailrace.yaml" "$W/$A/good"
    echo 'nonsense: [' >>"$W/$A/tailrace.yaml"
    kill -HUP "${AGENT_PID[$A]}"
    must "a bad file is refused aloud" until_true 10 log_has "$A" 'reload|refused|configuration'
    must "it goes on" arrived
    sed 's/tables: .*/tables: [public.*]/' "$W/$A/good" >"$W/$A/tailrace.yaml"
    q source "INSERT INTO two VALUES (6000, 'before')"
    kill -HUP "${AGENT_PID[$A]}"
    must "the table comes" until_true 30 q_is target "SELECT to_regclass('two') IS NOT NULL" t
    q source "INSERT INTO two VALUES (6001, 'after'); UPDATE two SET v = 'c' WHERE id = 5"
    must "its rows come" until_true 30 same source target two
    must "rows arrive" arrived && must "equal" same source target one two && must "verify agrees" verified "$A"
}

flow added_table_late "what is committed behind the snapshot of a new table without a key, before the agent hears of that snapshot, is not lost"
case_added_table_late() {
    pair added_table_late
    q source "CREATE TABLE one (id int PRIMARY KEY, v text); CREATE TABLE two (id int); ALTER TABLE two REPLICA IDENTITY FULL"
    C_TABLES='public.one, public.tr_mark' agent_config "$A" source target
    must "runs" up && must "rows arrive" arrived || return
    (echo "BEGIN; INSERT INTO one VALUES (1, 'long');"; until [ -e "$W/$A/end" ]; do sleep 0.1; done; echo 'COMMIT;') | qf source &
    local long=$!; CHILDREN+=("$long")
    must "the long transaction is open" until_true 10 q_is source "SELECT count(*) FROM pg_locks WHERE relation = 'one'::regclass AND mode = 'RowExclusiveLock'" 1
    sed -i 's/tables: .*/tables: [public.*]/' "$W/$A/tailrace.yaml"
    kill -HUP "${AGENT_PID[$A]}"
    must "the snapshot waits for it" until_true 20 log_has "$A" 'copy of 1 new tables: waiting for the transaction'
    kill -STOP "${AGENT_PID[$A]}" # the snapshot comes, and more commits, while it sees nothing
    touch "$W/$A/end"; wait "$long"
    must "the snapshot is there" until_true 10 q_is source "SELECT count(*) FROM pg_replication_slots WHERE temporary AND confirmed_flush_lsn IS NOT NULL AND database = '$A'" 1
    q source "INSERT INTO two SELECT generate_series(1, 5)"
    sleep 0.3
    kill -CONT "${AGENT_PID[$A]}"
    must "the rows come" until_true 30 same source target two
    must "rows arrive" arrived && must "equal" same source target one two && must "verify agrees" verified "$A"
}

flow table_dropped "a dropped table is looked for once, not with every transaction from then on; made again it is copied"
case_table_dropped() {
    pair table_dropped
    q source "CREATE TABLE one (id int PRIMARY KEY); CREATE TABLE two (id int PRIMARY KEY); INSERT INTO two VALUES (1)"
    must "runs" up && must "rows arrive" arrived || return
    q source "INSERT INTO two VALUES (2); DROP TABLE two"
    must "it is seen" until_true 20 log_has "$A" 'table public.two is no longer chosen'
    must "the rest goes on" arrived
    q source "ALTER SYSTEM SET log_statement = 'all'" && q source "SELECT pg_reload_conf()" >/dev/null
    until_true 5 q_is source 'SHOW log_statement' all
    local before after n
    before=$(grep -c 'FROM pg_catalog.pg_publication ' "$W/source/server.log")
    for n in $(seq 20); do q source "INSERT INTO one VALUES ($n)"; done
    must "rows arrive" arrived
    after=$(grep -c 'FROM pg_catalog.pg_publication ' "$W/source/server.log")
    q source "ALTER SYSTEM RESET log_statement" && q source "SELECT pg_reload_conf()" >/dev/null
    must "publications are not looked at with each ($((after - before)))" test $((after - before)) -le 4
    q source "CREATE TABLE two (id int PRIMARY KEY); INSERT INTO two VALUES (3)"
    must "the new one is copied" until_true 30 same source target two
}

flow odd_tables "composites, names of tables as values, tables that inherit: applied in batches, and verify sees no difference"
case_odd_tables() {
    pair odd_tables
    local make="CREATE TYPE spot AS (x int, y text); CREATE DOMAIN spots AS spot[]"
    q source "$make"; q target "$make"
    qf source >/dev/null <<'SQL'
CREATE TABLE odd (id int PRIMARY KEY, s spot, t text, l spots, r regclass);
INSERT INTO odd SELECT n, (n, 'a,"b')::spot, 't', ARRAY[(n, NULL)::spot, NULL], 'odd' FROM generate_series(1, 50) n;
CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE child (w int, PRIMARY KEY (id)) INHERITS (parent);
INSERT INTO parent VALUES (1, 'p'); INSERT INTO child VALUES (2, 'c', 3);
SQL
    must "runs" up && must "rows arrive" arrived && must "equal" same source target odd || return
    q source "INSERT INTO odd SELECT n, (n, 'z')::spot, NULL, NULL, 'parent' FROM generate_series(51, 90) n; UPDATE odd SET s = (0, t)::spot WHERE id < 60; UPDATE parent SET v = 'all'"
    must "rows arrive" arrived && must "equal" same source target odd child && must "verify agrees" verified "$A"
    must "nothing is parked" status_is "$A" '.routes[0].parked' 0
}

flow key_changed "another key, while changes that were sent under the old one still wait; deletes told by an identity's index"
case_key_changed() {
    pair key_changed
    qf source >/dev/null <<'SQL'
CREATE TABLE moved (id int PRIMARY KEY, alt int NOT NULL, v text); CREATE UNIQUE INDEX moved_alt ON moved (alt);
CREATE TABLE ident (id int PRIMARY KEY, b int NOT NULL, a int NOT NULL, v text); CREATE UNIQUE INDEX ident_ab ON ident (a, b);
ALTER TABLE ident REPLICA IDENTITY USING INDEX ident_ab;
INSERT INTO moved SELECT n, n + 100, 'x' FROM generate_series(1, 6) n; INSERT INTO ident SELECT n, n, n, 'x' FROM generate_series(1, 6) n;
SQL
    must "runs" up && must "rows arrive" arrived && must "equal" same source target moved ident || return
    agent_stop "$A"
    q target "CREATE UNIQUE INDEX ON moved (alt)"
    qf source >/dev/null <<'SQL'
UPDATE moved SET v = 'b' WHERE id = 1; DELETE FROM moved WHERE id = 2; UPDATE moved SET id = 30 WHERE id = 3;
ALTER TABLE moved DROP CONSTRAINT moved_pkey, ADD PRIMARY KEY USING INDEX moved_alt;
UPDATE moved SET id = 40, v = 'd' WHERE alt = 104; DELETE FROM moved WHERE alt = 105;
UPDATE ident SET v = 'c' WHERE id = 1; DELETE FROM ident WHERE id = 2; UPDATE ident SET id = 33 WHERE id = 3; UPDATE ident SET a = 44 WHERE id = 4;
SQL
    must "runs again" up && must "rows arrive" arrived && must "equal" same source target moved ident && must "verify agrees" verified "$A"
    must "nothing is parked" status_is "$A" '.routes[0].parked' 0
}

flow strict_empty "events as Debezium writes them: the losses are told, a table that was empty gets its key with its first row"
case_strict_empty() {
    pair strict_empty
    C_MORE='events: { mode: strict }' agent_config "$A" source target
    q source "CREATE TABLE late (id int PRIMARY KEY, v text)"
    must "runs" up && must "the losses are told" log_has "$A" 'events.mode is strict' || return
    q source "INSERT INTO late VALUES (1, 'a'); UPDATE late SET v = 'b'"
    must "rows arrive" arrived && must "equal" same source target late
}

flow topic_clash "two tables whose names give one topic: refused at the first start, the newcomer left out later, and told"
case_topic_clash() {
    pair topic_clash
    q source 'CREATE TABLE "a b" (id int PRIMARY KEY); CREATE TABLE a_b (id int PRIMARY KEY); CREATE TABLE "x y" (id int PRIMARY KEY)'
    agent_start "$A"
    must "it is refused" agent_exit "$A" 10 && must "and the table named" log_has "$A" 'table public.a b has the topic' || return
    q source 'DROP TABLE "a b"'
    must "runs without it" up && must "rows arrive" arrived || return
    q source 'CREATE TABLE "a b" (id int PRIMARY KEY); INSERT INTO "a b" VALUES (1); INSERT INTO a_b VALUES (2); INSERT INTO "x y" VALUES (3)'
    : >"$W/$A/log"
    must "the newcomer is told" until_true 20 log_has "$A" 'table public.a b has the topic'
    q source 'TRUNCATE "a b"; INSERT INTO "a b" VALUES (4)'
    must "the others go on" arrived && must "equal" same source target a_b '"x y"'
    must "the newcomer is left out" q_is target "SELECT to_regclass('\"a b\"') IS NULL" t
}

flow drain "SIGTERM under load: drains, ends with 0, leaves the slot free; a second start goes on"
case_drain() {
    pair drain
    q source 'CREATE TABLE d (id bigserial PRIMARY KEY, v text)'
    must "runs" up || return
    pgbench -n -c 2 -R 500 -T 5 -f <(echo "INSERT INTO d (v) VALUES ('x');") "$(sock source)" >"$W/load.log" 2>&1 &
    local load=$!; CHILDREN+=("$load")
    sleep 2
    kill -TERM "${AGENT_PID[$A]}"
    must "ends" agent_exit "$A" 31 && must "exit code is $CODE, not 0" test "$CODE" = 0
    must "the slot is free" q_is source "SELECT active FROM pg_replication_slots WHERE slot_name = 'tailrace_$A'" f
    wait "$load"
    must "runs again" up && must "rows arrive" arrived && must "equal" same source target d
}

flow lag_idle "lag reads zero on a quiet source, grows while the target is held back, and is zero again"
case_lag_idle() {
    pair lag_idle
    q source 'CREATE TABLE q (id int PRIMARY KEY)'
    must "runs" up && must "rows arrive" arrived || return
    must "lag is zero when quiet" until_true 10 status_is "$A" '.routes[0].lag_ms == 0' true
    must "the table came" until_true 10 q_is target "SELECT to_regclass('q') IS NOT NULL" t
    q target 'BEGIN; LOCK TABLE q IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT' >/dev/null &
    local lock=$!
    sleep 0.5
    q source 'INSERT INTO q VALUES (1)'
    must "lag grows" until_true 5 status_is "$A" '.routes[0].lag_ms > 1500' true
    wait $lock
    must "and is zero again" until_true 10 status_is "$A" '.routes[0].lag_ms == 0' true
    must "the sentinel is young" status_is "$A" '.lag.sentinel_age_ms < 5000' true
}

flow eyes "metrics, health, status and top: right shape, right answers"
case_eyes() {
    pair eyes
    q source 'CREATE TABLE e (id int PRIMARY KEY, v text)'
    must "runs" up && q source "INSERT INTO e SELECT n, 'x' FROM generate_series(1, 100) n" && must "rows arrive" arrived || return
    local url=http://127.0.0.1:${AGENT_HTTP[$A]}
    curl -s "$url/metrics" >"$W/metrics"
    must "promtool finds nothing" eval 'promtool check metrics <"$W/metrics" >"$W/cmd.out" 2>&1'
    must "rows are counted" eval 'awk "/^tailrace_applied_rows_total/ { n += \$NF } END { exit !(n >= 100) }" "$W/metrics"'
    must "readyz is 200" until_true 10 eval 'test "$(curl -s -o "$W/ready" -w "%{http_code}" $url/readyz)" = 200'
    must "readyz is JSON" eval 'jq -e . "$W/ready" >/dev/null'
    must "startupz is 200" eval 'test "$(curl -s -o /dev/null -w "%{http_code}" $url/startupz)" = 200'
    must "status is JSON of version 1" status_is "$A" .version 1
    code_of cli "$A" status; must "status for people" test $CODE = 0 && must "it names the route" out_has copy
    code_of cli "$A" top --count 2; must "top ends after two turns" test $CODE = 0
    pg source stop
    must "healthz is 200 without the source" eval 'test "$(curl -s -o /dev/null -w "%{http_code}" $url/healthz)" = 200'
    must "readyz is not ready without it" until_true 20 eval 'test "$(curl -s -o "$W/ready" -w "%{http_code}" $url/readyz)" = 503'
    must "it says why" eval 'jq -e . "$W/ready" >/dev/null && test $(wc -c <"$W/ready") -gt 20'
    pg source start
    must "ready again" until_true 20 eval 'test "$(curl -s -o /dev/null -w "%{http_code}" $url/readyz)" = 200'
    code_of stat -c %a "$W/$A/state"; must "the state directory is private" out_has '^700$'
}

flow tail "tail needs no configuration, prints changes and leaves nothing behind"
case_tail() {
    pair tail
    q source "CREATE TABLE w (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY)"
    timeout 20 "$TAILRACE" tail "$(dsn source)" --count 3 --format json >"$W/tail.out" 2>"$W/tail.err" &
    local pid=$!; CHILDREN+=("$pid")
    must "its slot comes" until_true 5 q_is source "SELECT count(*) FROM pg_replication_slots WHERE database = '$A' AND active" 1
    sleep 0.3
    q source "INSERT INTO w VALUES (1, 'hello'); UPDATE w SET v = 'world' WHERE id = 1; DELETE FROM w WHERE id = 1"
    wait $pid; CODE=$?
    must "ends with $CODE, not 0" test $CODE = 0
    must "three lines of JSON" test "$(jq -c . "$W/tail.out" 2>/dev/null | wc -l)" = 3
    must "with the values" grep -q world "$W/tail.out"
    must "no slot is left" until_true 5 q_is source "SELECT count(*) FROM pg_replication_slots WHERE database = '$A'" 0
    must "no publication is left" q_is source 'SELECT count(*) FROM pg_publication' 0
}

flow init_check "init writes a configuration that check accepts and run can use"
case_init_check() {
    pair init_check
    q source 'CREATE TABLE i (id int PRIMARY KEY); INSERT INTO i VALUES (1)'
    must "init works" eval '"$TAILRACE" init "$(dsn source)" >"$W/init.yaml" 2>"$W/cmd.out"'
    must "it parses" eval '"$TAILRACE" config check --config "$W/init.yaml" >"$W/cmd.out" 2>&1'
    code_of cli "$A" check; must "check passes ($CODE)" test $CODE = 0
    code_of cli "$A" check --json; must "check --json is JSON" eval 'jq -e . "$W/cmd.out" >/dev/null'
    code_of cli "$A" config print; must "config print shows no secret" eval '! out_has "user=postgres dbname"'
    must "config schema is JSON" eval '"$TAILRACE" config schema | jq -e . >/dev/null'
    code_of "$TAILRACE" version; must "version" test $CODE = 0
    code_of cli "$A" status; must "status without a run is 69" test $CODE = 69
}

flow remove "remove takes away slot, publications, watermark and state, and only with the confirmation"
case_remove() {
    pair remove
    q source 'CREATE TABLE r (id int PRIMARY KEY)'
    must "runs" up && must "rows arrive" arrived || return
    agent_stop "$A"
    code_of cli "$A" remove --confirm=other; must "another name is refused" test $CODE -ne 0
    must "the slot is still there" q_is source "SELECT count(*) FROM pg_replication_slots WHERE database = '$A'" 1
    code_of cli "$A" remove "--confirm=tailrace_$A"; must "remove works ($CODE)" test $CODE = 0
    must "no slot" q_is source "SELECT count(*) FROM pg_replication_slots WHERE database = '$A'" 0
    must "no publication" q_is source 'SELECT count(*) FROM pg_publication' 0
    must "no watermark" eval 'test "$(q target "SELECT count(*) FROM tailrace.watermark" 2>/dev/null || echo 0)" = 0'
    must "no state" test ! -e "$W/$A/state"
}

flow verify_under_load "verify compares live tables under load, and finds one changed row"
case_verify_under_load() {
    pair verify_under_load
    q source "CREATE TABLE vt (id int PRIMARY KEY, n int, v text); INSERT INTO vt SELECT n, 0, 'x' FROM generate_series(1, 5000) n"
    must "runs" up && must "rows arrive" arrived || return
    pgbench -n -c 2 -R 300 -T 8 -f <(printf '\\set k random(1, 5000)\nUPDATE vt SET n = n + 1 WHERE id = :k;\n') "$(sock source)" >"$W/load.log" 2>&1 &
    local load=$!; CHILDREN+=("$load")
    sleep 1
    must "equal under load" verified "$A"; must "and again" verified "$A"
    q target "UPDATE vt SET v = 'y' WHERE id = 17"
    code_of cli "$A" verify; must "the changed row is found ($CODE)" test $CODE -ne 0 && must "and named" out_has 17
    kill "$load" 2>/dev/null; wait "$load" 2>/dev/null
    q target "UPDATE vt SET v = 'x' WHERE id = 17; DELETE FROM vt WHERE id = 18"
    must "the load has arrived" arrived
    code_of cli "$A" verify; must "a missing row is found" test $CODE -ne 0
}

while [ $# -gt 0 ]; do
    case $1 in
        --source) SRC_V=$2; shift ;; --target) DST_V=$2; shift ;;
        --list) for c in "${ALL[@]}"; do printf '%-24s%s\n' "$c" "${TITLE[$c]}"; done; exit 0 ;;
        -*) sed -n '4p' "$0" | cut -c3-; exit 2 ;;
        *) [ -n "${TITLE[$1]:-}" ] || { echo "no case $1" >&2; exit 2; }; CASES+=("$1") ;;
    esac
    shift
done
[ ${#CASES[@]} -gt 0 ] || CASES=("${ALL[@]}")
args_need psql pgbench jq curl promtool
need_agent
work_open
pg_start source "$SRC_V"
pg_start target "$DST_V"
for c in "${CASES[@]}"; do
    case_run "$c: ${TITLE[$c]} ($SRC_V to $DST_V)" "case_$c"
    [ -z "$WHY" ] || { for l in "$W/$c"/log "$W/cmd.out"; do [ ! -s "$l" ] || tail -n 5 "$l" | sed 's/^/    /'; done; }
    clear_case
done
finish
