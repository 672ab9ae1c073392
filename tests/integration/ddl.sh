#!/usr/bin/env bash
# shellcheck disable=SC1091,SC2034
# SPDX-License-Identifier: Apache-2.0
# usage: ddl.sh [--source V] [--target V] [CASE...]
# check.sh runs: ddl.sh --source 18 --target debian
# check.sh runs: ddl.sh --source debian --target 18 added added_default dropped renamed_column retyped enum_label in_one_transaction away captured
# check.sh runs, each version: ddl.sh --source V --target V
#
# Tables are altered in mid-stream: every row is written with the form it was made under, before and behind the change, also
# when the agent was away meanwhile; targets follow as ddl says.
. "$(dirname "$0")/../harness/lib.sh"
SRC_V=18 DST_V=debian CASES=()
while [ $# -gt 0 ]; do
    case $1 in
        --source) SRC_V=$2; shift ;; --target) DST_V=$2; shift ;; *) CASES+=("$1") ;;
    esac
    shift
done
[ ${#CASES[@]} -gt 0 ] || CASES=(added added_default dropped renamed_column retyped key renamed_table recreated new_table enum_label in_one_transaction
    late_visible away under_load by_hand parked additive_only captured captured_applied no_longer_sent)
args_need psql pgbench jq
need_agent
export PGOPTIONS='-c lock_timeout=20s'
work_open
pg_start source "$SRC_V"
pg_start target "$DST_V"

# pair NAME [TARGET-LINES]: databases of their own, a table t with rows, and agent $A, in step.
pair() {
    A=$1
    database source "$A"; database target "$A"
    q source "CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t SELECT n, 'a' || n, n FROM generate_series(1, 100) n; CREATE TABLE tr_mark (n bigint PRIMARY KEY)"
    C_TARGET_MORE=${2:-'    create: true
    ddl: apply'} C_SENTINEL=500 C_BACKOFF=300 agent_config "$A" source target
    agent_start "$A"
    must "in step" synced source target 30
}
away() { agent_stop "$A"; q source "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND database = '$A'" >/dev/null; }
# follows TABLE...: everything arrives, and these are equal, by their columns' names too.
columns() { q "$1" "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attname) FROM pg_attribute WHERE attrelid = '$2'::regclass AND attnum > 0 AND NOT attisdropped"; }
rows() { q "$1" "SELECT to_jsonb(x) FROM $2 x" | sort; }
follows() {
    local t
    must "arrives" synced source target 30 || return
    for t; do
        must "columns of $t: $(columns source "$t") and $(columns target "$t")" test "$(columns source "$t")" = "$(columns target "$t")"
        must "rows of $t" test "$(rows source "$t" | md5sum)" = "$(rows target "$t" | md5sum)"
    done
}

# Rules and column lists take a column out of the events; on the target it stays, whatever ddl says.
rule() { # [YAML]: the agent starts again under these rules
    agent_stop "$A"
    cp -p "$W/$A/asked.yaml" "$W/$A/tailrace.yaml"
    printf '%s\n' "${1:-}" >>"$W/$A/tailrace.yaml"
    agent_start "$A"
}
case_no_longer_sent() {
    pair no_longer_sent || return
    q source "ALTER TABLE t ADD c int NOT NULL DEFAULT 5; INSERT INTO t VALUES (101, 'a', 1)"
    follows t
    must "c may not be NULL there" q_is target "SELECT attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'c'" t
    rule 'columns: [{ of: ["public.t.a", "public.t.c"], do: drop }]'
    q source "INSERT INTO t VALUES (102, 'hidden', 2); UPDATE t SET a = 'hidden', b = 50 WHERE id = 1; UPDATE t SET id = 1002 WHERE id = 2; DELETE FROM t WHERE id = 3"
    must "arrives" synced source target 30
    must "columns stay" q_is target "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped" id,a,b,c
    must "values stay, no new ones come" q_is target "SELECT string_agg(concat_ws(':', id, a, b, c), ' ' ORDER BY id) FROM t WHERE id IN (1, 4, 102, 1002)" '1:a1:50:5 4:a4:4:5 102:2 1002:a2:2:5'
    rule
    q source "INSERT INTO t VALUES (103, 'seen', 3); UPDATE t SET a = 'seen' WHERE id = 1"
    must "arrives" synced source target 30
    must "they come again" q_is target "SELECT string_agg(concat_ws(':', id, a, b, c), ' ' ORDER BY id) FROM t WHERE id IN (1, 103)" '1:seen:50:5 103:seen:3:5'
    if [ "$(q source 'SHOW server_version_num' | cut -c1-2)" -ge 15 ]; then
        q source "ALTER PUBLICATION tailrace_no_longer_sent SET TABLE t (id, b, c), tr_mark"
        q source "INSERT INTO t VALUES (104, 'hidden', 4)"
        must "arrives" synced source target 30
        must "a column list takes none away" q_is target "SELECT string_agg(concat_ws(':', id, a, b, c), ' ' ORDER BY id) FROM t WHERE id IN (1, 103, 104)" '1:seen:50:5 103:seen:3:5 104:4:5'
        q source "ALTER PUBLICATION tailrace_no_longer_sent SET TABLE t, tr_mark"
        rule # a session looks at a form of the table once
        q source "INSERT INTO t VALUES (105, 'seen', 5)"
        must "arrives" synced source target 30
    fi
    q source "ALTER TABLE t DROP a; INSERT INTO t VALUES (106, 6)"
    must "arrives" synced source target 30
    must "what is gone goes" q_is target "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped" id,b,c
}

case_added() {
    pair added || return
    q source "ALTER TABLE t ADD c text; INSERT INTO t VALUES (101, 'x', 1, 'new'); UPDATE t SET c = 'seen' WHERE id = 1"
    follows t
    q source "ALTER TABLE t ADD d int NOT NULL DEFAULT 7, ADD e text DEFAULT 'it''s, {quoted}', ADD f int[] DEFAULT '{1,2}'; INSERT INTO t (id) VALUES (102)"
    follows t
    must "old rows have the default" q_is target "SELECT count(*) FROM t WHERE d = 7 AND e = 'it''s, {quoted}' AND f = '{1,2}'" 102
    q source "ALTER TABLE t ALTER d SET DEFAULT 8; INSERT INTO t (id) VALUES (103)"
    q target "ALTER TABLE t ADD own int DEFAULT 1"
    q source "ALTER TABLE t ADD g numeric(8,2) DEFAULT 1.5; UPDATE t SET g = 2.25 WHERE id < 50"
    must "arrives beside a column of the target's own" synced source target 20
    must "values" test "$(q source 'SELECT sum(g), sum(d) FROM t')" = "$(q target 'SELECT sum(g), sum(d) FROM t')"
    away
}

# Of a partitioned table the leaves know what older rows hold; where a table was written anew nobody does, and that is told.
case_added_default() {
    pair added_default || return
    q source "CREATE TABLE part (id int, r text, v text, PRIMARY KEY (id, r)) PARTITION BY LIST (r); CREATE TABLE part_n PARTITION OF part FOR VALUES IN ('n'); CREATE TABLE part_s PARTITION OF part FOR VALUES IN ('s') PARTITION BY LIST (r); CREATE TABLE part_s1 PARTITION OF part_s DEFAULT"
    q source "INSERT INTO part SELECT n, CASE WHEN n % 2 = 0 THEN 'n' ELSE 's' END, 'v' FROM generate_series(1, 20) n"
    must "copied" until_true 30 q_is target "SELECT count(*) FROM part" 20 || return
    q source "ALTER TABLE part ADD w int DEFAULT 5, ADD x text NOT NULL DEFAULT 'five'; INSERT INTO part VALUES (90, 'n', 'a', 7)"
    follows part
    must "older rows have the default" q_is target "SELECT count(*) FROM part WHERE w = 5 AND x = 'five'" 20
    q source "ALTER TABLE t ADD c int DEFAULT 5, ALTER b TYPE bigint; INSERT INTO t VALUES (101, 'x', 1, 6)"
    must "arrives" synced source target 20
    must "it is told" log_has "$A" 'column c of public.t is new and has a default.*tailrace snapshot public.t'
    cli "$A" snapshot public.t >/dev/null
    must "the snapshot brings them" until_true 20 q_is target "SELECT count(*) FROM t WHERE c = 5" 100
    away
}

case_dropped() {
    pair dropped || return
    q source "UPDATE t SET b = 5 WHERE id = 1; ALTER TABLE t DROP b; INSERT INTO t VALUES (101, 'x'); UPDATE t SET a = 'y' WHERE id = 2"
    follows t
    q source "ALTER TABLE t DROP a; INSERT INTO t VALUES (102); ALTER TABLE t ADD a text DEFAULT 'again'; INSERT INTO t VALUES (103, 'z')"
    follows t
    away
}

case_renamed_column() {
    pair renamed_column || return
    q source "UPDATE t SET a = 'before' WHERE id = 1; ALTER TABLE t RENAME a TO title; UPDATE t SET title = 'after' WHERE id = 2; INSERT INTO t VALUES (101, 'x', 1)"
    follows t
    q source "ALTER TABLE t RENAME title TO z; ALTER TABLE t RENAME b TO title; INSERT INTO t VALUES (102, 'x', 1)"
    follows t
    q source "ALTER TABLE t RENAME id TO \"Key\"; UPDATE t SET z = 'k' WHERE \"Key\" = 3; DELETE FROM t WHERE \"Key\" = 4"
    follows t
    away
}

case_retyped() {
    pair retyped || return
    q source "ALTER TABLE t ALTER b TYPE bigint; INSERT INTO t VALUES (101, 'x', 9007199254740993)"
    follows t
    q source "ALTER TABLE t ALTER b TYPE text; INSERT INTO t VALUES (102, 'x', 'word')"
    follows t
    q source "DELETE FROM t WHERE b = 'word'; ALTER TABLE t ALTER b TYPE numeric(30,3) USING b::numeric; INSERT INTO t VALUES (103, 'x', 1.125)"
    follows t
    q source "ALTER TABLE t ALTER a TYPE varchar(20); INSERT INTO t VALUES (104, 'y', 2); ALTER TABLE t ALTER a TYPE varchar(40); INSERT INTO t VALUES (105, 'y', 2)"
    follows t
    away
}

case_key() {
    pair key || return
    q source "ALTER TABLE t ALTER b SET NOT NULL; ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (b, id); UPDATE t SET a = 'k' WHERE id = 5; DELETE FROM t WHERE id = 6; UPDATE t SET b = 1000 WHERE id = 7; INSERT INTO t VALUES (1, 'same id', 77)"
    follows t
    away
}

case_renamed_table() {
    pair renamed_table || return
    q source "UPDATE t SET a = 'before' WHERE id = 1; ALTER TABLE t RENAME TO u; UPDATE u SET a = 'after' WHERE id = 2; INSERT INTO u VALUES (101, 'x', 1)"
    must "its rows come under the new name" until_true 30 q_is target "SELECT count(*) FROM u" 101
    q source "UPDATE u SET b = b + 1"
    follows u
    away
}

case_recreated() {
    pair recreated || return
    q source "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, other int); INSERT INTO t SELECT n, n FROM generate_series(1, 50) n"
    must "the new rows come" until_true 40 q_is target "SELECT count(*) FROM t WHERE id <= 50 AND to_jsonb(t) ->> 'other' IS NOT NULL" 50
    q source "UPDATE t SET other = other + 1; INSERT INTO t VALUES (51, 1)"
    must "arrives" synced source target 30
    must "rows" test "$(q source 'SELECT sum(other), count(*) FROM t')" = "$(q target 'SELECT sum(other), count(*) FROM t')"
    away
}

case_new_table() {
    pair new_table || return
    q source "CREATE TABLE later (k text PRIMARY KEY, v jsonb); INSERT INTO later VALUES ('early', '{}')"
    must "is copied" until_true 30 q_is target "SELECT count(*) FROM later" 1
    q source "INSERT INTO later VALUES ('next', '[1]'); UPDATE later SET v = '2'"
    follows later
    q source "CREATE TABLE t2 (LIKE t INCLUDING ALL); INSERT INTO t2 SELECT * FROM t; ALTER TABLE t2 ADD c int DEFAULT 3; UPDATE t2 SET c = 4 WHERE id = 1"
    must "an altered one too" until_true 30 q_is target "SELECT count(*) FROM t2" 100
    follows t2
    away
}

case_enum_label() {
    pair enum_label || return
    q source "CREATE TYPE mood AS ENUM ('sad', 'ok'); ALTER TABLE t ADD m mood DEFAULT 'ok'; INSERT INTO t VALUES (101, 'x', 1, 'sad')"
    follows t
    q source "ALTER TYPE mood ADD VALUE 'fine' AFTER 'sad'"
    q source "INSERT INTO t VALUES (102, 'x', 1, 'fine'); UPDATE t SET m = 'fine' WHERE id = 1"
    follows t
    must "in its order" test "$(q source 'SELECT enum_range(NULL::mood)')" = "$(q target 'SELECT enum_range(NULL::mood)')"
    must "nothing is parked" status_is "$A" '.routes[0].parked' 0
    q source "ALTER TYPE mood RENAME VALUE 'sad' TO 'low'"
    q source "ALTER TYPE mood ADD VALUE 'great'"
    q source "INSERT INTO t VALUES (103, 'x', 1, 'great')"
    must "a second one" until_true 20 q_is target "SELECT count(*) FROM t WHERE m = 'great'" 1
    away
}

# The commit is streamed while it still waits for a synchronous standby, and so is not visible: what it made is waited for.
case_late_visible() {
    pair late_visible || return
    q source "ALTER SYSTEM SET synchronous_standby_names = 'nobody'" && q source "SELECT pg_reload_conf()" >/dev/null
    q source "CREATE TYPE late AS ENUM ('x', 'y'); ALTER TABLE t ADD m late DEFAULT 'y'; INSERT INTO t VALUES (101, 'x', 1, 'x')" &
    local writer=$!
    sleep 2
    must "it waits for the standby" pid_lives $writer
    must "nothing of it came" q_is target "SELECT count(*) FROM t" 100
    q source "ALTER SYSTEM RESET synchronous_standby_names" && q source "SELECT pg_reload_conf()" >/dev/null
    wait $writer
    follows t
    must "with its default" q_is target "SELECT count(*) FROM t WHERE m = 'y'" 100
    q source "ALTER SYSTEM SET synchronous_standby_names = 'nobody'" && q source "SELECT pg_reload_conf()" >/dev/null
    q source "ALTER TABLE t DROP b; INSERT INTO t VALUES (102, 'x', 'x')" &
    writer=$!
    sleep 2
    q source "ALTER SYSTEM RESET synchronous_standby_names" && q source "SELECT pg_reload_conf()" >/dev/null
    wait $writer
    follows t # what the catalog still had when the row came is not taken for one that is not sent
    away
}

case_in_one_transaction() {
    pair in_one || return
    qf source <<'SQL'
BEGIN;
INSERT INTO t VALUES (101, 'one', 1);
ALTER TABLE t ALTER b TYPE bigint;
INSERT INTO t VALUES (110, 'ten', 5000000000);
ALTER TABLE t ADD c int DEFAULT 9;
INSERT INTO t VALUES (102, 'two', 2, 2);
ALTER TABLE t RENAME a TO title;
UPDATE t SET title = 'three' WHERE id = 103 OR id = 3;
ALTER TABLE t DROP b;
INSERT INTO t VALUES (104, 'four', 4);
COMMIT;
SQL
    follows t
    q source "BEGIN; ALTER TABLE t ADD gone int; INSERT INTO t VALUES (106, 'x', 1, 1); ROLLBACK; INSERT INTO t VALUES (107, 'seven', 7)"
    follows t
    away
}

case_away() {
    pair away || return
    agent_stop "$A"
    q source "UPDATE t SET a = 'while away' WHERE id = 1; ALTER TABLE t RENAME a TO title; UPDATE t SET title = 'renamed' WHERE id = 2; ALTER TABLE t ADD c int DEFAULT 4; INSERT INTO t VALUES (101, 'x', 1, 1); ALTER TABLE t DROP b; UPDATE t SET c = 5 WHERE id = 3"
    agent_start "$A"
    follows t
    agent_kill "$A"
    q source "ALTER TABLE t RENAME c TO d; ALTER TABLE t ALTER d TYPE bigint; UPDATE t SET d = 5000000000 WHERE id = 4"
    agent_start "$A"
    follows t
    away
}

case_under_load() {
    local n
    pair under_load || return
    printf '%s\n' '\set k random(1, 100)' 'UPDATE t SET id = id WHERE id = :k;' "INSERT INTO t (id) VALUES (1000 + :k) ON CONFLICT DO NOTHING;" 'DELETE FROM t WHERE id = 1000 + :k;' >"$W/$A/load.sql"
    pgbench -n -c 3 -R 300 -T 12 -f "$W/$A/load.sql" "$(sock source)" >"$W/$A/load" 2>&1 & CHILDREN+=($!)
    local load=$!
    for n in 1 2 3 4 5 6 7 8; do
        q source "ALTER TABLE t ADD c$n int DEFAULT $n"
        sleep 0.4
        q source "ALTER TABLE t RENAME c$n TO d$n; UPDATE t SET d$n = -$n WHERE id = $n"
        [ $((n % 3)) = 0 ] && q source "ALTER TABLE t DROP d$n"
        [ $((n % 4)) = 0 ] && { agent_kill "$A"; agent_start "$A"; }
        sleep 0.4
    done
    wait "$load"
    follows t
    away
}

# Without leave to follow, the route stops with the SQL to run, and goes on by itself when it was run.
case_by_hand() {
    pair by_hand "    create: true" || return
    q source "ALTER TABLE t RENAME a TO title; UPDATE t SET title = 'after' WHERE id = 1"
    must "stops with the SQL" until_true 20 log_has "$A" 'column a is now title.*RENAME COLUMN "a" TO "title"' || return
    must "nothing was altered" q_is target "SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'title'" 0
    q target 'ALTER TABLE t RENAME COLUMN a TO title'
    must "goes on by itself" until_true 45 q_is target "SELECT title FROM t WHERE id = 1" after
    follows t
    q source "ALTER TABLE t DROP b; INSERT INTO t VALUES (101, 'x')"
    must "a column that is gone is left alone" synced source target 20
    must "rows" test "$(q source 'SELECT count(*), max(title) FROM t')" = "$(q target 'SELECT count(*), max(title) FROM t')"
    away
}

case_parked() {
    pair parked_rows "    create: true
    ddl: park" || return
    q source "CREATE TABLE free (id int PRIMARY KEY)"
    q source "ALTER TABLE t RENAME a TO title; UPDATE t SET title = 'one' WHERE id = 1; UPDATE t SET title = 'two' WHERE id = 1; INSERT INTO t VALUES (101, 'x', 1)"
    must "its rows are parked" until_true 20 status_is "$A" '.routes[0].parked' 3 || return
    q source "INSERT INTO free VALUES (1)"
    must "others flow" until_true 20 q_is target "SELECT count(*) FROM free" 1
    must "the list says why" eval '{ cli "$A" parked || true; } | grep "column a is now title" >/dev/null'
    q target 'ALTER TABLE t RENAME COLUMN a TO title'
    must "replayed" eval 'cli "$A" parked replay --all >"$W/$A/replay" 2>&1'
    follows t
    away
}

case_additive_only() {
    pair additive "    create: true" || return
    q source "ALTER TABLE t ALTER b TYPE bigint; ALTER TABLE t ADD c int DEFAULT 2; INSERT INTO t VALUES (101, 'x', 5000000000, 1)"
    follows t
    agent_stop "$A"
    C_TARGET_MORE='    create: false' C_SENTINEL=500 C_BACKOFF=300 agent_config "$A" source target
    agent_start "$A"
    q source "ALTER TABLE t ADD d int DEFAULT 3; INSERT INTO t VALUES (102, 'x', 1, 1, 1)"
    must "without leave to create it stops with the SQL" until_true 20 log_has "$A" 'column d of type integer is new.*ADD COLUMN "d" integer DEFAULT .3.::integer' || return
    q target "ALTER TABLE t ADD COLUMN d integer DEFAULT 3"
    agent_stop "$A"; agent_start "$A"
    must "goes on" until_true 20 q_is target "SELECT count(*) FROM t WHERE id = 102" 1
    must "rows" test "$(rows source t | md5sum)" = "$(rows target t | md5sum)"
    away
}

# forms FILE: id of each new row of t, and what its schema says of column a: its default, and NOT NULL.
forms() {
    python3 - "$1" <<'PY'
import json, struct, sys
schemas = {}
for line in open(sys.argv[1]):
    f = line.rstrip("\n").split("\t")
    if f[0] == "schema":
        schemas[int(f[1])] = json.loads(f[2])
    if f[0] == "event" and f[1].endswith(".public.t") and f[2] != "-":
        schema = schemas[struct.unpack(">I", bytes.fromhex(f[3][2:10]))[0]]
        column = [c for c in schema["fields"][0]["type"][1]["fields"] if c["name"] == "a"][0]
        facts = column.get("connect.parameters") or next(t for t in column["type"] if t != "null")["connect.parameters"]
        n = bytes.fromhex(f[2])[5]
        print(n >> 1, facts.get("__tailrace.column.default"), facts.get("__tailrace.column.not_null"))
PY
}
# captured_run NAME: the source alone, until the row that follows is there.
captured_run() {
    rm -f "$W/$1/in"; mkfifo "$W/$1/in"
    "$SOURCE_TEST" "$W/$1/tailrace.yaml" raw <"$W/$1/in" >>"$W/$1/events" 2>>"$W/$1/log" &
    local pid=$!; CHILDREN+=("$pid")
    exec 7>"$W/$1/in"
    MARK=$((MARK + 1))
    q source "INSERT INTO tr_mark VALUES ($MARK)"
    must "$1: comes to the end" until_true 30 eval "[ \$(grep -c '^event	$1.public.tr_mark	0' '$W/$1/events') -ge $2 ]"
    exec 7>&-; wait "$pid"
}
# captured_steps NAME: rows between alterations that only the catalog tells of, while nobody reads.
captured_steps() {
    local t="${1}_app"
    q source "CREATE ROLE $t; ALTER TABLE t OWNER TO $t; GRANT CREATE ON SCHEMA public TO $t"
    q source "INSERT INTO t VALUES (1, 'x'); UPDATE t SET a = 'y' WHERE id = 1"
    q source "SET ROLE $t; ALTER TABLE t ALTER a SET DEFAULT 'two'; INSERT INTO t VALUES (2)" 2>&1
    q source "ALTER TABLE t ALTER a SET NOT NULL"
    q source "INSERT INTO t VALUES (3)"
    q source "BEGIN; ALTER TABLE t ALTER a SET DEFAULT 'three'; INSERT INTO t VALUES (4); SAVEPOINT s; ALTER TABLE t ALTER a SET DEFAULT 'never'; INSERT INTO t VALUES (9);
              ROLLBACK TO s; ALTER TABLE t ALTER a DROP NOT NULL; INSERT INTO t VALUES (5); COMMIT"
}
captured_open() {
    A=$1
    database source "$A"
    q source "CREATE TABLE t (id int PRIMARY KEY, a text DEFAULT 'one'); CREATE TABLE tr_mark (n bigint PRIMARY KEY)"
    C_SENTINEL=500 agent_config "$A" source source
    : >"$W/$A/events"
    captured_run "$A" 1
}
# With the event trigger each row has the defaults and constraints of its moment; without, those of now.
case_captured() {
    local one="1 'one'::text None" three="'three'::text None" right
    SOURCE_TEST=${TR_BUILD:-$(dirname "$TAILRACE")}/tests/integration/source_test
    [ -x "$SOURCE_TEST" ] || make -C "$(dirname "$SOURCE_TEST")/../.." tests/integration/source_test >/dev/null
    captured_open capture
    must "installs" eval 'cli capture ddl install >"$W/capture/ddl" 2>&1' || { cat "$W/capture/ddl"; return; }
    must "no warning" test -z "$(captured_steps capture 2>&1 | grep WARNING)"
    q source "SELECT pg_logical_emit_message(true, 'tailrace.ddl', 'v1 capture $(printf '0%.0s' {1..64}) {}')" >/dev/null
    captured_run capture 2
    right=$(printf '%s\n' "$one" "$one" "2 'two'::text None" "3 'two'::text true" "4 'three'::text true" "5 $three")
    must "each row its form: $(forms "$W/capture/events" | tr '\n' ',')" test "$(forms "$W/capture/events")" = "$right" || return
    q source "INSERT INTO t VALUES (6)"
    q source "ALTER TABLE t ALTER a SET DEFAULT 'four'; INSERT INTO t VALUES (7)"
    captured_run capture 3
    must "also after a restart: $(forms "$W/capture/events" | tr '\n' ',')" test "$(forms "$W/capture/events" | tail -n 2)" = "6 $three
7 'four'::text None"
    q source "DROP TABLE t"
    must "check tells" eval 'cli capture check >"$W/capture/check"; grep -q "ddl_capture: event triggers tell" "$W/capture/check"' || cat "$W/capture/check"
    must "is taken away" cli capture ddl remove >/dev/null
    must "whole" q_is source "SELECT count(*) + (to_regnamespace('tailrace') IS NOT NULL)::int FROM pg_event_trigger" 0
    captured_open uncaptured
    captured_steps uncaptured >/dev/null 2>&1
    captured_run uncaptured 2
    must "the test can fail" test "$(forms "$W/uncaptured/events")" != "$right"
}

# Targets follow what the stream tells as they follow the catalog.
case_captured_applied() {
    pair captured_applied || return
    must "installs" cli "$A" ddl install >/dev/null
    agent_stop "$A"
    q source "ALTER TABLE t ADD c text NOT NULL DEFAULT 'c'; INSERT INTO t VALUES (101, 'x', 1); ALTER TABLE t RENAME a TO title"
    q source "ALTER TABLE t ALTER c SET DEFAULT 'd', ALTER b TYPE bigint; INSERT INTO t VALUES (102, 'y', 5000000000)"
    q source "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY (c, id); UPDATE t SET title = 'z' WHERE id = 7; DELETE FROM t WHERE id = 8"
    q source "CREATE TYPE mood AS ENUM ('sad', 'ok'); ALTER TABLE t ADD m mood DEFAULT 'ok'; CREATE TABLE u (id int PRIMARY KEY, m mood); INSERT INTO u VALUES (1, 'sad')"
    q source "ALTER TYPE mood ADD VALUE 'happy'"
    q source "INSERT INTO u VALUES (2, 'happy'); UPDATE t SET m = 'happy' WHERE id = 9; ALTER TABLE u RENAME TO v; INSERT INTO v VALUES (3, 'ok')"
    agent_start "$A"
    follows t v
    must "all was told" test "$(curl -s "127.0.0.1:${AGENT_HTTP[$A]}/metrics" | awk '/^tailrace_source_captured_ddl_total/ { print ($2 >= 8) }')" = 1
    must "forgery is none" test "$(curl -s "127.0.0.1:${AGENT_HTTP[$A]}/metrics" | awk '/^tailrace_source_foreign_messages_total/ { print $2 }')" = 0
    cli "$A" ddl remove >/dev/null
    away
}

for c in "${CASES[@]}"; do case_run "$c" "case_$c"; done
finish
