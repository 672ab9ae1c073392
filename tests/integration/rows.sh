#!/bin/bash
# shellcheck disable=SC1091,SC2016,SC2034
# SPDX-License-Identifier: Apache-2.0
# usage: rows.sh [--source V] [--target V] [CASE...]      (--list prints the cases)
# check.sh runs: rows.sh --source debian --target 18
# check.sh runs: rows.sh --source 18 --target debian
# check.sh runs, each version: rows.sh --source V --target V
#
# Rows as a table's settings make PostgreSQL send them: replica identity, key changes, values stored out of line, truncate,
# partitions, column lists, row filters, generated columns. The first cases share one agent over one database; those that
# need a publication of their own have a database each.
. "$(dirname "$0")/../harness/lib.sh"

SRC_V=debian DST_V=18 CASES=() A=none
declare -A TITLE OWN
ALL=()
rows() { ALL+=("$1"); TITLE[$1]=$2; }
own() { rows "$@"; OWN[$1]=1; }

pair() { A=$1; database source "$A"; database target "$A"; mark_table source; agent_config "$A" source target; }
up() { agent_start "$A"; streaming "$A" "${1:-30}"; }
arrived() { synced source target "${1:-30}"; }
parked_none() { status_is "$A" '.routes[0].parked' 0; }
source_major() { q source 'SHOW server_version_num' | cut -c1-2; }
clear_case() {
    [ -z "${AGENT_PID[$A]:-}" ] || agent_stop "$A"
    local s
    for s in source target; do
        PG_DB[$s]=postgres
        q $s "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND database = '$A'" >/dev/null 2>&1
    done
}
# holds TABLE...: what was done last has arrived, and the tables are equal.
holds() { must "rows arrive" arrived && must "equal" same source target "$@" && must "nothing is parked" parked_none; }

# --- one agent, many tables --------------------------------------------------------------------------------------------
BIG="repeat(md5(random()::text), 100)" # stays out of line: the column's storage is external
shared_make() {
    qf source >/dev/null <<'SQL'
CREATE TABLE dflt (id int PRIMARY KEY, v text, big text); ALTER TABLE dflt ALTER big SET STORAGE EXTERNAL;
CREATE TABLE full_keyed (id int PRIMARY KEY, v text, big text); ALTER TABLE full_keyed ALTER big SET STORAGE EXTERNAL; ALTER TABLE full_keyed REPLICA IDENTITY FULL;
CREATE TABLE full_bare (a int, v text, big text); ALTER TABLE full_bare ALTER big SET STORAGE EXTERNAL; ALTER TABLE full_bare REPLICA IDENTITY FULL;
CREATE TABLE idx (id int PRIMARY KEY, a int NOT NULL, b text NOT NULL, v text, big text); ALTER TABLE idx ALTER big SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX idx_ba ON idx (b, a); ALTER TABLE idx REPLICA IDENTITY USING INDEX idx_ba;
CREATE TABLE nothing (id int PRIMARY KEY, v text); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE TABLE bare (a int, v text);
CREATE TABLE unequal (a int, j json, x xml, p point, b box, pa point[]); ALTER TABLE unequal REPLICA IDENTITY FULL;
CREATE TABLE key_text (k text PRIMARY KEY, v int); ALTER TABLE key_text ALTER k SET STORAGE EXTERNAL;
CREATE TABLE two_keys (a int, b text, v text, PRIMARY KEY (b, a));
CREATE TABLE parent (id serial PRIMARY KEY, v text); CREATE TABLE child (id serial PRIMARY KEY, p int REFERENCES parent, v text);
CREATE TABLE grandchild (id int PRIMARY KEY, c int REFERENCES child); CREATE TABLE aside (id int PRIMARY KEY);
CREATE TABLE gen (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED, v text);
CREATE TABLE gen_full (a int, twice int GENERATED ALWAYS AS (a * 2) STORED, v text); ALTER TABLE gen_full REPLICA IDENTITY FULL;
CREATE TABLE defaulted (id int PRIMARY KEY, n int DEFAULT 7, t text DEFAULT 'given', b bool DEFAULT true, j jsonb DEFAULT '{}');
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'fine');
CREATE TABLE key_numeric (k numeric PRIMARY KEY, v text); CREATE TABLE key_float (k float8 PRIMARY KEY, v text); CREATE TABLE key_enum (k mood PRIMARY KEY, v text);
CREATE TABLE key_bytes (k bytea PRIMARY KEY, v text); CREATE TABLE key_jsonb (k jsonb PRIMARY KEY, v jsonb); CREATE TABLE key_time (k timestamptz PRIMARY KEY, d date);
CREATE TABLE key_array (k text[] PRIMARY KEY, v jsonb[]); CREATE TABLE key_mixed (a text, b uuid, c bool, d interval, v text, PRIMARY KEY (d, c, b, a));
CREATE TABLE part (id int, at date NOT NULL, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE part_old PARTITION OF part FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE part_new (v text, at date NOT NULL, gone int, id int NOT NULL); ALTER TABLE part_new DROP gone;
ALTER TABLE part ATTACH PARTITION part_new FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE part_rest PARTITION OF part DEFAULT PARTITION BY LIST (id); CREATE TABLE part_rest_1 PARTITION OF part_rest DEFAULT;
CREATE TABLE part_full (k int, v json) PARTITION BY HASH (k); ALTER TABLE part_full REPLICA IDENTITY FULL;
CREATE TABLE part_full_0 PARTITION OF part_full FOR VALUES WITH (MODULUS 2, REMAINDER 0); ALTER TABLE part_full_0 REPLICA IDENTITY FULL;
CREATE TABLE part_full_1 PARTITION OF part_full FOR VALUES WITH (MODULUS 2, REMAINDER 1); ALTER TABLE part_full_1 REPLICA IDENTITY FULL;
SQL
    # Rows from before the slot, so that the copy and the stream are both in each case.
    qf source >/dev/null <<SQL
INSERT INTO dflt SELECT n, 'v', $BIG FROM generate_series(1, 20) n; INSERT INTO full_keyed SELECT n, 'v', $BIG FROM generate_series(1, 20) n;
INSERT INTO full_bare SELECT n, 'v', $BIG FROM generate_series(1, 20) n; INSERT INTO idx SELECT n, n, 'b' || n, 'v', $BIG FROM generate_series(1, 20) n;
INSERT INTO nothing SELECT n, 'v' FROM generate_series(1, 20) n; INSERT INTO bare SELECT n % 5, 'v' FROM generate_series(1, 20) n;
INSERT INTO unequal SELECT n, '{"a": 1}', '<a/>', point(n, 0), box(point(0, 0), point(n, n)), ARRAY[point(n, 1)] FROM generate_series(1, 20) n;
INSERT INTO key_text SELECT repeat(chr(64 + n), 2200), n FROM generate_series(1, 20) n; INSERT INTO two_keys SELECT n, 'b', 'v' FROM generate_series(1, 20) n;
INSERT INTO parent (v) SELECT 'p' FROM generate_series(1, 20); INSERT INTO child (p, v) SELECT n, 'c' FROM generate_series(1, 20) n;
INSERT INTO grandchild SELECT n, n FROM generate_series(1, 20) n; INSERT INTO aside SELECT generate_series(1, 20);
INSERT INTO gen (id, a, v) SELECT n, n, 'v' FROM generate_series(1, 20) n;
INSERT INTO gen_full (a, v) SELECT n % 7, 'v' FROM generate_series(1, 20) n; INSERT INTO defaulted VALUES (1, NULL, NULL, NULL, NULL), (2, 7, 'given', true, 'null');
INSERT INTO key_numeric VALUES ('NaN', 'n'), (0, 'z'), (1.50, 't'), (-1e-30, 's'), (1e40, 'b'); INSERT INTO key_float VALUES ('NaN', 'n'), ('Infinity', 'i'), ('-Infinity', 'm'), (-0.0, 'z'), (1e-300, 's');
INSERT INTO key_enum VALUES ('sad', 'a'), ('it''s ok', 'b'); INSERT INTO key_bytes VALUES ('', 'empty'), ('\\x00', 'zero'), ('\\x5c78', 'escape'), ('\\xff00ff', 'high');
INSERT INTO key_jsonb VALUES ('null', 'null'), ('{}', NULL), ('{"a": [1, "x"]}', '[null]'), ('""', '""'); INSERT INTO key_time VALUES ('infinity', '-infinity'), ('-infinity', 'infinity'), ('0044-03-15 12:00 BC', '0044-03-15 BC'), ('12000-01-01', '12000-01-01');
INSERT INTO key_array VALUES ('{}', '{}'), ('{""}', '{null}'), ('{NULL,"NULL"}', ARRAY['null'::jsonb, '{"a": "b"}']), ('{{a,"b c"},{"d,e","f\\"g"}}', '{}'); INSERT INTO key_mixed VALUES ('', '00000000-0000-0000-0000-000000000000', false, '0', 'a'), ('b', 'ffffffff-ffff-ffff-ffff-ffffffffffff', true, '1 mon -1 day', 'b');
INSERT INTO part SELECT n, DATE '2024-06-01' + n * 40, 'v' FROM generate_series(1, 20) n; INSERT INTO part_full SELECT n, '{}' FROM generate_series(1, 20) n;
SQL
}
shared_up() {
    pair shared
    shared_make
    # The application's own keys and foreign keys stand on the target: what arrives must hold with them.
    qf target >/dev/null <<'SQL'
CREATE TABLE parent (id int PRIMARY KEY, v text); CREATE TABLE child (id int PRIMARY KEY, p int REFERENCES parent, v text);
CREATE TABLE grandchild (id int PRIMARY KEY, c int REFERENCES child);
CREATE TABLE gen (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED, v text);
CREATE TABLE gen_full (a int, twice int GENERATED ALWAYS AS (a * 2) STORED, v text);
SQL
    up 60 && arrived 60
}

rows copied "the first copy of every kind of table"
case_copied() {
    must "equal" same source target dflt full_keyed full_bare idx nothing bare unequal key_text two_keys parent child grandchild gen part part_full
    must "nothing is parked" parked_none
}

rows identity_default "replica identity default: updates, deletes, key changes, also to a key that was just freed"
case_identity_default() {
    q source "UPDATE dflt SET v = 'w' WHERE id = 1; UPDATE dflt SET v = NULL WHERE id = 2; DELETE FROM dflt WHERE id = 3;
        UPDATE dflt SET id = 103 WHERE id = 4; UPDATE dflt SET id = 4 WHERE id = 5; INSERT INTO dflt VALUES (5, 'again', 'x');
        UPDATE two_keys SET a = -a WHERE a < 5; UPDATE two_keys SET b = 'c', v = 'w' WHERE a = 7; DELETE FROM two_keys WHERE a = 8"
    holds dflt two_keys
}
rows identity_full "replica identity full: with a key and without, equal rows, NULLs, key changes"
case_identity_full() {
    q source "UPDATE full_keyed SET v = 'w' WHERE id = 1; UPDATE full_keyed SET id = 101 WHERE id = 2; DELETE FROM full_keyed WHERE id = 3;
        INSERT INTO full_bare VALUES (NULL, NULL, NULL), (1, 'same', ''), (1, 'same', ''), (1, 'same', '');
        UPDATE full_bare SET v = 'w' WHERE ctid = (SELECT max(ctid) FROM full_bare WHERE v = 'same'); DELETE FROM full_bare WHERE a IS NULL;
        UPDATE full_bare SET a = NULL WHERE a = 2; DELETE FROM full_bare WHERE a = 3; UPDATE full_bare SET v = 'all' WHERE a > 10"
    holds full_keyed full_bare
}
rows identity_index "replica identity by an index that is not the primary key, its columns in another order"
case_identity_index() {
    q source "UPDATE idx SET v = 'w' WHERE id = 1; UPDATE idx SET id = 102 WHERE id = 2; UPDATE idx SET b = 'other' WHERE id = 3;
        UPDATE idx SET a = 400, v = 'x' WHERE id = 4; DELETE FROM idx WHERE id = 5; INSERT INTO idx VALUES (5, 5, 'b5', 'back', 'x')"
    holds idx
}
rows identity_nothing "replica identity nothing, and no key at all: inserts and truncates come, the application's updates are not broken, it is told"
case_identity_nothing() {
    must "update goes on" q source "UPDATE nothing SET v = 'w' WHERE id = 1; UPDATE bare SET v = 'w' WHERE a = 1"
    must "delete goes on" q source "DELETE FROM nothing WHERE id = 2; DELETE FROM bare WHERE a = 2"
    q source "INSERT INTO nothing VALUES (100, 'new'); INSERT INTO bare VALUES (100, 'new')"
    must "rows arrive" arrived
    must "an insert came" q_is target "SELECT count(*) FROM nothing WHERE id = 100" 1 && must "and without a key" q_is target "SELECT count(*) FROM bare WHERE a = 100" 1
    must "no update came" q_is target "SELECT count(*) FROM nothing WHERE v = 'w'" 0
    must "it was told" until_true 20 log_has "$A" 'have no replica identity.*public\.bare, public\.nothing'
    q source "TRUNCATE nothing, bare; INSERT INTO nothing VALUES (1, 'after'); INSERT INTO bare VALUES (1, 'after')"
    holds nothing bare
}
rows toast "unchanged values out of line: left as they are with identity default and index, filled from the old row with full; also with a key change"
case_toast() {
    local out="$W/toast.json"
    timeout 30 "$TAILRACE" tail "$(dsn source)" --table 'public.dflt,public.full_keyed' --count 2 >"$out" 2>"$W/toast.err" &
    local pid=$!; CHILDREN+=("$pid")
    must "tail watches" until_true 10 grep -q watching "$W/toast.err"
    q source "UPDATE dflt SET v = 't' WHERE id = 10; UPDATE full_keyed SET v = 't' WHERE id = 10"
    wait $pid
    must "marked with identity default" test "$(jq -r 'select(.source.table == "dflt").after.big' "$out")" = __debezium_unavailable_value
    must "filled with identity full" test "$(jq -r 'select(.source.table == "full_keyed").after.big | length' "$out")" = 3200
    q source "UPDATE dflt SET id = 111 WHERE id = 11; UPDATE full_keyed SET id = 111 WHERE id = 11; UPDATE full_bare SET v = 't' WHERE a = 12; UPDATE idx SET v = 't' WHERE id = 12;
        UPDATE idx SET a = 1300 WHERE id = 13; UPDATE dflt SET big = NULL WHERE id = 14; UPDATE dflt SET big = $BIG WHERE id = 15; UPDATE key_text SET v = -v; UPDATE key_text SET k = repeat('long', 600) WHERE v = -3; DELETE FROM key_text WHERE v = -4"
    holds dflt full_keyed full_bare idx key_text
}
rows no_equality "replica identity full and columns without an equality operator: found by their text, nothing stops"
case_no_equality() {
    q source "UPDATE unequal SET a = -a WHERE a < 4; UPDATE unequal SET j = '{ \"a\": 2 }', x = '<b>1</b>' WHERE a = 5; UPDATE unequal SET p = NULL, j = NULL, x = NULL WHERE a = 6;
        UPDATE unequal SET p = point(1.5, -0.0) WHERE a = 6; DELETE FROM unequal WHERE a = 7; DELETE FROM unequal WHERE j IS NULL; UPDATE unequal SET b = NULL, pa = '{}' WHERE a > 15"
    q source "UPDATE part_full SET v = '[1]' WHERE k < 5; DELETE FROM part_full WHERE k = 6; UPDATE part_full SET k = k + 100 WHERE k > 10"
    holds unequal part_full
}
rows truncate "truncate of several tables: in one statement, by cascade, with restart, with foreign keys on the target"
case_truncate() {
    q source "TRUNCATE grandchild, aside; INSERT INTO aside VALUES (1)"
    holds grandchild aside
    q source "INSERT INTO grandchild VALUES (1, 1); TRUNCATE child, grandchild; INSERT INTO child (p, v) VALUES (1, 'n')"
    holds child grandchild
    q source "INSERT INTO grandchild SELECT 2, id FROM child; BEGIN; INSERT INTO aside VALUES (7); TRUNCATE parent RESTART IDENTITY CASCADE; INSERT INTO parent (v) VALUES ('first'); TRUNCATE aside; COMMIT"
    holds parent child grandchild aside
    must "identity began again" q_is target "SELECT id FROM parent" 1
}
rows generated "stored generated columns: made by the target itself, before and after a key change"
case_generated() {
    q source "UPDATE gen SET a = 50 WHERE id = 1; UPDATE gen SET id = 102 WHERE id = 2; DELETE FROM gen WHERE id = 3; INSERT INTO gen VALUES (200, 7, DEFAULT, 'n')"
    holds gen
}
rows generated_full "generated columns under replica identity full, where rows are found by all that was sent"
case_generated_full() {
    must "the application's update goes on" q source "UPDATE gen_full SET v = 'w' WHERE a = 1; UPDATE gen_full SET a = 100 WHERE a = 2; DELETE FROM gen_full WHERE a = 3; INSERT INTO gen_full (a) VALUES (NULL); DELETE FROM gen_full WHERE ctid = (SELECT min(ctid) FROM gen_full WHERE a = 4)"
    holds gen_full
    [ "$(source_major)" -ge 18 ] || return 0
    q source "CREATE TABLE gen_virtual (a int, v text, thrice int GENERATED ALWAYS AS (a * 3) VIRTUAL); ALTER TABLE gen_virtual REPLICA IDENTITY FULL; INSERT INTO gen_virtual VALUES (1, 'a')"
    must "it is copied" until_true 20 q_is target "SELECT count(*) FROM gen_virtual" 1
    must "virtual ones too" q source "UPDATE gen_virtual SET a = 2; INSERT INTO gen_virtual VALUES (3, 'b')"
    must "the row arrives" arrived && must "inserts alone" q_is target "SELECT string_agg(a || v, ',' ORDER BY a) FROM gen_virtual" 1a,3b
    must "it was told" until_true 20 log_has "$A" 'have no replica identity.*gen_virtual'
    q source "DROP TABLE gen_virtual"
}
rows null_default "NULL where the column has a default stays NULL, and the default is nothing else than its value"
case_null_default() {
    q source "INSERT INTO defaulted VALUES (3, NULL, NULL, NULL, NULL), (4, DEFAULT, DEFAULT, DEFAULT, DEFAULT), (5, 0, '', false, 'null'); UPDATE defaulted SET n = NULL, t = NULL WHERE id = 2; UPDATE defaulted SET n = DEFAULT, t = DEFAULT WHERE id = 1"
    holds defaulted
    must "five rows" q_is target "SELECT count(*) FROM defaulted" 5 && must "NULL is NULL" q_is target "SELECT count(*) FROM defaulted WHERE n IS NULL" 2
}
rows odd_keys "keys that are NaN, infinite, empty, labels, JSON, arrays: copied in chunks, updated, changed, deleted"
case_odd_keys() {
    local t
    q source "UPDATE key_numeric SET v = 'w'; UPDATE key_numeric SET k = 2 WHERE k = 'NaN'; DELETE FROM key_numeric WHERE k = 1e40; INSERT INTO key_numeric VALUES ('NaN', 'again'), (0.00001, 'x')
        ; UPDATE key_float SET v = 'w'; UPDATE key_float SET k = 'NaN', v = 'was i' WHERE k = 'Infinity' AND NOT EXISTS (SELECT FROM key_float WHERE k = 'NaN'); DELETE FROM key_float WHERE k = 'NaN'; UPDATE key_float SET k = 'NaN' WHERE k = 0; INSERT INTO key_float VALUES (0.1, 'x')
        ; UPDATE key_enum SET v = 'w'; UPDATE key_enum SET k = 'fine' WHERE k = 'it''s ok'; DELETE FROM key_enum WHERE k = 'sad'; INSERT INTO key_enum VALUES ('it''s ok', 'x')
        ; UPDATE key_bytes SET v = 'w'; UPDATE key_bytes SET k = '\x0000' WHERE k = ''; DELETE FROM key_bytes WHERE k = '\x5c78'; INSERT INTO key_bytes VALUES ('', 'x')
        ; UPDATE key_jsonb SET v = '{\"new\": null}'; UPDATE key_jsonb SET k = '[]' WHERE k = '{}'; DELETE FROM key_jsonb WHERE k = 'null'; INSERT INTO key_jsonb VALUES ('{}', 'null'), ('false', NULL)
        ; UPDATE key_time SET d = '2026-02-28'; UPDATE key_time SET k = '2026-01-01' WHERE k = 'infinity'; DELETE FROM key_time WHERE k = '-infinity'; INSERT INTO key_time VALUES ('infinity', '4713-01-01 BC')
        ; UPDATE key_array SET v = '{null,\"null\"}'; UPDATE key_array SET k = '{NULL}' WHERE k = '{}'; DELETE FROM key_array WHERE k = '{\"\"}'; INSERT INTO key_array VALUES ('{}', ARRAY['\"\"'::jsonb])
        ; UPDATE key_mixed SET v = 'w'; UPDATE key_mixed SET d = '-1 us', a = 'x' WHERE a = ''; DELETE FROM key_mixed WHERE a = 'b'; INSERT INTO key_mixed VALUES ('', '00000000-0000-0000-0000-000000000000', false, '0', 'x')"
    holds key_numeric key_float key_enum key_bytes key_jsonb key_time key_array key_mixed
    for t in key_numeric key_float key_enum key_bytes key_jsonb key_time key_array key_mixed; do
        must "$t has rows" q_is target "SELECT count(*) > 0 FROM $t" t
    done
}
rows many_types "a database with thousands of types: the start does not read them"
case_many_types() {
    agent_stop "$A"
    q source "DO \$\$ BEGIN FOR i IN 1..4000 LOOP EXECUTE format('CREATE TYPE many_%s AS (a int, b text)', i); END LOOP; END \$\$"
    local from
    from=$(date +%s%N)
    must "it runs" up 10
    must "at once, not in $((($(date +%s%N) - from) / 1000000)) ms" test $((($(date +%s%N) - from) / 1000000)) -lt 5000
    q source "INSERT INTO dflt VALUES (700, 'n', 'x')"
    holds dflt
    must "memory is as before" test "$(awk '/^RssAnon/{print int($2 / 1024)}' "/proc/${AGENT_PID[$A]}/status")" -lt 64
}
rows partitions "partitions through their root: rows that move between them, other column order, nested, truncate of one"
case_partitions() {
    q source "UPDATE part SET v = 'w' WHERE id < 5; UPDATE part SET at = '2026-03-01' WHERE id = 6; UPDATE part SET at = '2030-01-01' WHERE id = 7; DELETE FROM part WHERE id = 8;
        INSERT INTO part VALUES (100, '2025-05-05', 'n'), (101, '2026-05-05', 'n'), (102, '2040-01-01', 'n'); INSERT INTO part_new (v, at, id) VALUES ('direct', '2026-07-07', 103); UPDATE part_old SET v = 'direct'"
    holds part
    must "the target has no table for a partition" q_is target "SELECT to_regclass('part_old') IS NULL" t
}
rows attach "attach: rows that the new partition brings are read; detach: it goes on as a table of its own"
case_attach() {
    q source "CREATE TABLE part_27 (id int NOT NULL, at date NOT NULL, v text, PRIMARY KEY (id, at)); INSERT INTO part_27 SELECT n, '2027-05-05', 'brought' FROM generate_series(1, 50) n"
    must "it is a table of its own first" until_true 20 q_is target "SELECT count(*) FROM part_27" 50
    q source "ALTER TABLE part ATTACH PARTITION part_27 FOR VALUES FROM ('2027-01-01') TO ('2028-01-01'); INSERT INTO part VALUES (1000, '2027-06-06', 'after')"
    must "rows arrive" arrived && must "what comes after is there" q_is target "SELECT v FROM part WHERE id = 1000" after
    must "what it brought is read" until_true 20 q_is target "SELECT count(*) FROM part WHERE v = 'brought'" 50
    must "and told" log_has "$A" 'attached to public.part: .*part_27'
    holds part
    q source "CREATE TABLE part_28 PARTITION OF part FOR VALUES FROM ('2028-01-01') TO ('2029-01-01'); INSERT INTO part VALUES (1001, '2028-06-06', 'new')"
    holds part
    q source "ALTER TABLE part DETACH PARTITION part_27; INSERT INTO part_27 VALUES (2000, '2027-07-07', 'alone'); INSERT INTO part VALUES (2001, '2025-07-07', 'root')"
    must "it goes on by itself" until_true 20 q_is target "SELECT count(*) FROM part_27 WHERE id = 2000" 1
    must "and the root too" q_is target "SELECT count(*) FROM part WHERE id = 2001" 1
    q target "DELETE FROM part WHERE at BETWEEN '2027-01-01' AND '2027-12-31'"
    holds part part_27
}
rows prepared "two-phase transactions: whole and once at COMMIT PREPARED, nothing at ROLLBACK PREPARED, with a restart between"
case_prepared() {
    q source "BEGIN; INSERT INTO dflt VALUES (800, 'p', 'x'); UPDATE two_keys SET v = 'p' WHERE a > 10; PREPARE TRANSACTION 'kept'"
    q source "BEGIN; INSERT INTO dflt VALUES (801, 'p', 'x'); DELETE FROM idx; PREPARE TRANSACTION 'given up'"
    holds dflt two_keys
    agent_stop "$A"
    must "runs again" up 30
    q source "INSERT INTO dflt VALUES (802, 'between', 'x')"
    holds dflt two_keys
    must "nothing of it came" q_is target "SELECT count(*) FROM dflt WHERE v = 'p'" 0
    q source "COMMIT PREPARED 'kept'" && q source "ROLLBACK PREPARED 'given up'"
    holds dflt two_keys
    must "it came" q_is target "SELECT count(*) FROM dflt WHERE v = 'p'" 1
}
rows verified_at_end "verify agrees on all of them"
case_verified_at_end() { must "verify agrees" verified "$A"; }

# --- types of extensions, where both servers have them -------------------------------------------------------------------
has_extension() { q_is "$1" "SELECT 1 FROM pg_available_extensions WHERE name = '$2'" 1; }
# extension_case NAME COLUMNS VALUES CHANGED-VALUES: copy, stream, update, delete, key change of a table t with these columns;
# before that the target lacks the extension, and says what to do.
extension_case() {
    if ! has_extension source "$1" || ! has_extension target "$1"; then
        note "left out: the types of $1, which these servers do not both have"
        return 0
    fi
    pair "extension_$1"
    q source "CREATE EXTENSION $1; CREATE TABLE t (id int PRIMARY KEY, $2, n int); INSERT INTO t SELECT n, $3, n FROM generate_series(1, 20) n; INSERT INTO t VALUES (0)
        ; CREATE TABLE whole (LIKE t); ALTER TABLE whole REPLICA IDENTITY FULL; INSERT INTO whole SELECT * FROM t"
    agent_start "$A"
    must "the error says what is missing" until_true 30 log_has "$A" "is missing on the target.*CREATE EXTENSION $1 SCHEMA public there" || return
    agent_stop "$A"
    q target "CREATE EXTENSION $1"
    must "runs" up && must "rows arrive" arrived && must "copied" same source target t whole
    must "with its types" test "$(columns_of target)" = "$(columns_of source)"
    q source "INSERT INTO t SELECT n, $3, n FROM generate_series(21, 30) n; UPDATE t SET n = -n WHERE id < 5; UPDATE t SET id = 100 WHERE id = 6; DELETE FROM t WHERE id = 7
        ; UPDATE t SET ($5) = ROW ($4) WHERE id IN (0, 8); INSERT INTO whole SELECT * FROM t; UPDATE whole SET n = 7 WHERE id = 9; DELETE FROM whole WHERE id = 10"
    holds t whole
    must "the extension's own tables are left alone" q_is source "SELECT count(*) FROM pg_publication_tables WHERE tablename = 'spatial_ref_sys'" 0
    must "verify agrees" verified "$A"
}
columns_of() { q "$1" "SELECT string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)), ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0"; }
own postgis "geometry, geography and arrays of them"
case_postgis() {
    extension_case postgis "p geometry(Point,4326), g geometry, gz geometry(PolygonZ), y geography, ag geometry[]" \
        "ST_SetSRID(ST_Point(n, -n), 4326), 'SRID=3857;LINESTRING(0 0,1 1.1)', 'POLYGON Z ((0 0 1,1 0 1,1 1 1,0 0 1))', 'POINT(1 2)', ARRAY['POINT(1 2)'::geometry, NULL]" \
        "'SRID=4326;POINT EMPTY', 'GEOMETRYCOLLECTION EMPTY', NULL, 'SRID=4326;MULTIPOINT((1 2),(3 4))', '{}'" p,g,gz,y,ag
}
own pgvector "vector, halfvec, sparsevec and arrays of them"
case_pgvector() {
    extension_case vector "v vector(3), w vector, h halfvec(2), s sparsevec(40000), av vector[]" \
        "ARRAY[n, 0.1, -0.0]::vector, '[1e-30,3.4028235e38]', '[0.1,65504]', '{1:1.5,40000:-2}/40000', ARRAY['[1,2]'::vector, NULL]" \
        "'[4,5,6]', '[0]', NULL, '{}/40000', '{}'" v,w,h,s,av
}

# --- publications of the DBA's own ---------------------------------------------------------------------------------------
given() { # PUBLICATION-SQL: configuration with a publication that stands ready
    C_SOURCE_MORE=$'  publication: given\n  create_publication: false' agent_config "$A" source target
    q source "$1"
}
FLAGS="WITH (publish_via_partition_root = true)"

own not_via_root "a publication that does not publish through the root is refused, with the statement that cures it"
case_not_via_root() {
    pair not_via_root
    q source "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100); INSERT INTO p VALUES (1)"
    given 'CREATE PUBLICATION given FOR ALL TABLES'
    agent_start "$A"
    must "it is refused" agent_exit "$A" 15 && must "with the cure" log_has "$A" 'publish_via_partition_root' || return
    q source "ALTER PUBLICATION given SET (publish_via_partition_root = true)"
    must "it runs" up && must "rows arrive" arrived && q source "INSERT INTO p VALUES (2); UPDATE p SET id = 3 WHERE id = 1"
    holds p
}
own column_list "a column list: neither the copy nor the stream brings the others"
case_column_list() {
    [ "$(source_major)" -ge 15 ] || return 0
    pair column_list
    q source "CREATE TABLE c (id int PRIMARY KEY, shown text, secret text); INSERT INTO c VALUES (1, 'a', 'hidden'), (2, 'b', 'hidden');
        CREATE TABLE h (id int, shown text, secret text); INSERT INTO h VALUES (1, 'a', 'hidden')"
    given "CREATE PUBLICATION given FOR TABLE c (id, shown), tr_mark $FLAGS; CREATE PUBLICATION given_ins FOR TABLE h (id, shown) WITH (publish = 'insert, truncate', publish_via_partition_root = true)"
    must "runs" up && must "rows arrive" arrived
    q source "INSERT INTO c VALUES (3, 'c', 'hidden'); UPDATE c SET shown = 'z', secret = 'hidden too' WHERE id = 1; DELETE FROM c WHERE id = 2; INSERT INTO h VALUES (2, 'b', 'hidden')"
    must "rows arrive" arrived
    must "columns are those of the list" q_is target "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'c'::regclass AND attnum > 0" id,shown
    must "rows" q_is target "SELECT string_agg(id || shown, ',' ORDER BY id) FROM c" 1z,3c
    must "without a key" q_is target "SELECT string_agg(h::text, ',' ORDER BY id) FROM h" '(1,a),(2,b)'
    must "nothing is parked" parked_none
}
own row_filter "a row filter: the copy keeps to it, updates into it and out of it come as insert and delete"
case_row_filter() {
    [ "$(source_major)" -ge 15 ] || return 0
    pair row_filter
    q source "CREATE TABLE f (id int PRIMARY KEY, v text) ; ALTER TABLE f REPLICA IDENTITY FULL; INSERT INTO f SELECT n, CASE WHEN n % 2 = 0 THEN 'in' ELSE 'out' END FROM generate_series(1, 20) n"
    given "CREATE PUBLICATION given FOR TABLE f WHERE (v = 'in'), tr_mark $FLAGS"
    must "runs" up && must "rows arrive" arrived
    must "the copy is filtered" q_is target "SELECT count(*) FROM f" 10
    q source "UPDATE f SET v = 'out' WHERE id = 2; UPDATE f SET v = 'in' WHERE id = 1; UPDATE f SET id = 104 WHERE id = 4; DELETE FROM f WHERE id IN (3, 6); INSERT INTO f VALUES (200, 'in'), (201, 'out')"
    must "rows arrive" arrived
    must "the same rows" test "$(q source "SELECT string_agg(id::text, ',' ORDER BY id) FROM f WHERE v = 'in'")" = "$(q target "SELECT string_agg(id::text, ',' ORDER BY id) FROM f")"
    must "nothing is parked" parked_none
}
own generated_sent "generated columns that the publication sends (PostgreSQL 18): plain values on the target"
case_generated_sent() {
    [ "$(source_major)" -ge 18 ] || return 0
    pair generated_sent
    q source "CREATE TABLE g (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED, thrice int GENERATED ALWAYS AS (a * 3) VIRTUAL); INSERT INTO g VALUES (1, 1), (2, 2)"
    given "CREATE PUBLICATION given FOR TABLE g, tr_mark WITH (publish_via_partition_root = true, publish_generated_columns = stored)"
    must "runs" up && must "rows arrive" arrived
    q source "INSERT INTO g VALUES (3, 3); UPDATE g SET a = 10 WHERE id = 1; UPDATE g SET id = 20 WHERE id = 2"
    must "rows arrive" arrived
    must "rows" q_is target "SELECT string_agg(id || ':' || a, ',' ORDER BY id) FROM g" 1:10,3:3,20:2
    must "nothing is parked" parked_none
}

# What the bus holds is looked at in three ways: the files of the state directory, the events as bytes (blocks are compressed),
# and the target. s3cret is in every hidden value of the tables; pl8in is in one that is shown, so that the looking is known to see.
masked_rules() {
    printf 'pepper\n' >"$W/masked/salt"; chmod 600 "$W/masked/salt"
    C_MORE="columns:
  - { of: ['public.*.email', 'public.*.big', public.logins.login], do: hash, salt: !secret { file: $W/masked/salt } }
  - { of: ['*.*.s?n'], do: drop }
  - { of: 'public.*.phone', do: mask, length: 8 }
  - { of: ['public.*.note', 'public.*.born'], do: truncate, length: 5 }
keys:
  - { of: public.orders, columns: [number, customer] }"
}
# masked_same TABLE: what the target has is what the rules make of the source's rows.
HASHED="encode(sha256(convert_to('pepper' || %s, 'UTF8')), 'hex')"
masked_same() {
    local hashes
    # shellcheck disable=SC2059
    hashes=$(printf "$HASHED, $HASHED" email big)
    test "$(q source "SELECT md5(string_agg(x::text, ' ' ORDER BY id)) FROM (SELECT id, $hashes, CASE WHEN phone IS NOT NULL THEN '********' END, left(note, 5), shown FROM $1) x")" = \
        "$(q target "SELECT md5(string_agg(x::text, ' ' ORDER BY id)) FROM (SELECT id, email, big, phone, note, shown FROM $1) x")"
}
unseen() { ! grep -qaF -- "$1" "$2" && ! grep -qaF -- "$(printf %s "$1" | od -An -tx1 | tr -d ' \n')" "$2"; }
own masked "rules on columns and keys: no hidden value in the state directory, in events, in the log or on the target; verify agrees on the rest"
case_masked() {
    pair masked
    local bench=${TAILRACE%/*}/tests/integration/source_test t
    [ -x "$bench" ] || make -C "${TAILRACE%/*}" tests/integration/source_test >/dev/null || { must "source_test is built" false; return; }
    masked_rules
    agent_config masked source target
    C_SENTINEL=60000 agent_config masked_raw source target
    q source "CREATE TABLE people (id int PRIMARY KEY, email varchar(80) DEFAULT 'none@s3cret', ssn text NOT NULL, phone text, note text, big text, born date, shown text); ALTER TABLE people ALTER big SET STORAGE EXTERNAL;
        CREATE TABLE whole (LIKE people INCLUDING ALL); ALTER TABLE whole REPLICA IDENTITY FULL;
        CREATE TABLE logins (login text PRIMARY KEY, shown text);
        CREATE TABLE orders (id serial PRIMARY KEY, customer int NOT NULL, number int NOT NULL, shown text, UNIQUE (customer, number)); ALTER TABLE orders REPLICA IDENTITY FULL;
        INSERT INTO people SELECT n, 's3cret-mail-' || n, 's3cret-ssn', 's3cret-phone', 'note s3cret', repeat('s3cret' || n, 1000), '2001-02-03', 'pl8in' FROM generate_series(1, 40) n; INSERT INTO whole SELECT * FROM people;
        INSERT INTO logins SELECT 'l0gin' || n, 'pl8in' FROM generate_series(1, 40) n; INSERT INTO orders (customer, number, shown) SELECT n % 7, n, 'pl8in' FROM generate_series(1, 40) n"
    must "check tells of the date" eval 'cli masked check --json 2>/dev/null | jq -e "any(.findings[]; .name == \"rules\" and .level == \"warn\" and (.sentence | test(\"public.people: born .date\")))" >/dev/null'
    mkfifo "$W/masked.in"
    "$bench" "$W/masked_raw/tailrace.yaml" raw <"$W/masked.in" >"$W/masked.tsv" 2>"$W/masked.err" &
    local pid=$!; CHILDREN+=("$pid")
    exec 7>"$W/masked.in"
    must "runs" up && must "rows arrive" arrived && must "copied as bytes" until_true 20 eval '[ "$(grep -c "^commit copy .* last " "$W/masked.tsv")" -ge 5 ]'
    for t in people whole; do
        q source "INSERT INTO $t VALUES (200, 's3cret-new', 's3cret', NULL, NULL, NULL, NULL, 'pl8in'), (201, NULL, 's3cret', 's3cret', 'n', repeat('s3cret', 2000), '2020-01-01', NULL);
            UPDATE $t SET shown = 'w' WHERE id = 3; UPDATE $t SET email = 's3cret-other', ssn = 's3cret-other', born = '1999-09-09' WHERE id = 4; UPDATE $t SET id = 105 WHERE id = 5;
            UPDATE $t SET big = repeat('other s3cret', 500), note = 'x' WHERE id = 6; UPDATE $t SET id = 107, phone = 's3cret-moved', big = NULL WHERE id = 7; DELETE FROM $t WHERE id IN (8, 201)"
    done
    q source "UPDATE logins SET shown = 'w' WHERE login = 'l0gin1'; UPDATE logins SET login = 'l0gin-moved' WHERE login = 'l0gin2'; DELETE FROM logins WHERE login = 'l0gin3';
        UPDATE orders SET shown = 'w' WHERE number = 1; UPDATE orders SET customer = 99 WHERE number = 2; UPDATE orders SET id = 1003 WHERE number = 3; DELETE FROM orders WHERE number = 4"
    must "rows arrive" arrived && must "as bytes too" until_true 20 eval '[ "$(grep -c "^event	masked_raw.public.orders" "$W/masked.tsv")" -ge 45 ]'
    for t in people whole; do
        must "rows of $t are masked" masked_same "$t"
        must "columns of $t" q_is target "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = '$t'::regclass AND attnum > 0" id,email,phone,note,big,shown
    done
    # shellcheck disable=SC2059
    must "hashed keys" test "$(q source "SELECT md5(string_agg(k || shown, ' ' ORDER BY k COLLATE \"C\")) FROM (SELECT $(printf "$HASHED" login) AS k, shown FROM logins) x")" = \
        "$(q target 'SELECT md5(string_agg(login || shown, $$ $$ ORDER BY login COLLATE "C")) FROM logins')"
    must "rows of orders" same source target orders
    must "by the other key" q_is target "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype = 'p'" 'PRIMARY KEY (number, customer)'
    must "nothing is parked" parked_none
    must "it can be seen" eval '! unseen pl8in "$W/masked.tsv"' && must "no event tells s3cret" unseen s3cret "$W/masked.tsv" && must "no event tells l0gin" unseen l0gin "$W/masked.tsv"
    must "no schema names ssn" eval '! grep "^schema" "$W/masked.tsv" | grep -q "\"name\":\"ssn\""'
    must "no file of the state tells s3cret" eval '! grep -rqaF s3cret "$W/masked/state"'
    must "no log tells" eval '! grep -qE "s3cret|l0gin" "$W/masked/log" "$W/masked/out" "$W/masked.err"' && must "the drop is told" log_has masked 'columns of public.people are dropped.*born \(date\)'
    must "told once" test "$(grep -c 'columns of public.people are dropped' "$W/masked/log")" = 1
    must "verify agrees" verified masked && must "and says what it left out" grep -q 'left out by rules: public.people: "email", "ssn", "phone", "note", "big", "born"' "$W/masked/verify"
    must "in JSON" eval 'cli masked verify --json | jq -e "any(.details[]; .table == \"logins\" and .equal and .left_out == [\"login\"])" >/dev/null'
    exec 7>&-
    pid_stop $pid 5 # the end of its input would not do: the agent has the other end too
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
args_need psql jq
need_agent
work_open
pg_start source "$SRC_V"
pg_start target "$DST_V"
SHARED=
for c in "${CASES[@]}"; do
    if [ -n "${OWN[$c]:-}" ]; then
        [ -z "$SHARED" ] || { clear_case; SHARED=; }
    elif [ -z "$SHARED" ]; then
        shared_up || { bad "the shared agent runs and copies"; tail -n 5 "$W/shared/log"; finish; }
        SHARED=1
    fi
    case_run "rows $c: ${TITLE[$c]} ($SRC_V to $DST_V)" "case_$c"
    [ -z "$WHY" ] || tail -n 5 "$W/$A/log" | sed 's/^/    /'
    [ -z "${OWN[$c]:-}" ] || clear_case
done
finish
