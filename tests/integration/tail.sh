#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: tail.sh [VERSION...]   (debian 18)
# check.sh runs, each version: tail.sh V
# `tailrace tail` on real servers: what it prints, how soon, how it ends, and that nothing is left on the server.
. "$(dirname "$0")/../harness/lib.sh"
args_need psql jq python3 script
need_agent
work_open
versions=("$@")
[ ${#versions[@]} -gt 0 ] || versions=(debian 18)

# fresh: nothing that an earlier one said is taken for what the next one says.
fresh() { : >"$W/out"; : >"$W/err"; }
# watch NAME [FLAG...]: start a tail in the background (TAIL is its pid) and wait until it watches.
watch() {
    local s=$1; shift
    fresh
    "$TAILRACE" tail "$(dsn "$s")" "$@" >"$W/out" 2>"$W/err" &
    TAIL=$!
    CHILDREN+=("$TAIL")
    until_true 10 grep -q '^tailrace: watching ' "$W/err"
}
lines_are() { [ "$(wc -l <"$W/out")" -eq "$1" ]; }
lines() { until_true 10 lines_are "$1"; }
# ended SECONDS: the tail ends by itself; its exit code in CODE.
tail_dead() { ! pid_lives "$TAIL"; }
ended() { until_true "$1" tail_dead && { wait "$TAIL"; CODE=$?; [ $CODE -eq 0 ]; }; }
clean() {
    q_is "$S" "SELECT count(*) FROM pg_publication" 0 || return 1
    q_is "$S" "SELECT count(*) FROM pg_replication_slots" 0
}
out_has() { grep -qF -- "$1" "$W/out"; }
err_has() { grep -qE -- "$1" "$W/err"; }
json_is() { [ "$(jq -c "$1" "$W/out" | tr '\n' ' ')" = "$2 " ] || { note "  $(jq -c "$1" "$W/out" | tr '\n' ' ')"; return 1; }; }
# change: four changes of orders, the first time with ids 1 and 2; then two of notes. One transaction.
ID=1
change() {
    q "$S" "INSERT INTO orders VALUES ($ID, 'one', 1.50), ($((ID + 1)), NULL, 2); UPDATE orders SET price = 3 WHERE id = $ID;
        DELETE FROM orders WHERE id = $((ID + 1)); INSERT INTO notes VALUES ('x'); TRUNCATE notes" >/dev/null
    ID=$((ID + 2))
}

json_lines() {
    must "it watches" watch "$S"
    must "changes" change
    must "six lines" lines 6
    must "operations" json_is .op '"c" "c" "u" "d" "c" "t"'
    must "names" json_is '.source.table' '"orders" "orders" "orders" "orders" "notes" "notes"'
    must "a value" json_is 'select(.op == "u").after.name' '"one"'
    kill -INT "$TAIL"
    must "it ends at SIGINT with 0" ended 5
    must "nothing is left" clean
}
text_lines() {
    must "it watches" watch "$S" --format text
    must "says what it cannot show" err_has 'public\.notes has no replica identity'
    must "changes" change
    must "six lines" lines 6
    must "an insert" out_has 'INSERT   public.orders  id=1  name=one  price=1.50'
    must "NULL" out_has 'id=2  name=NULL'
    must "a truncate" out_has 'TRUNCATE public.notes'
    must "no colour in a file" bash -c "! grep -q $'\033' '$W/out'"
    kill -TERM "$TAIL"
    must "it ends at SIGTERM with 0" ended 5
    must "nothing is left" clean
}
# A tail must not break the application: its update of a table without identity goes on.
application() {
    q "$S" "INSERT INTO notes VALUES ('kept')"
    must "it watches" watch "$S" --format text
    must "update without identity" q "$S" "UPDATE notes SET note = 'y'"
    must "delete without identity" q "$S" "DELETE FROM notes"
    kill -INT "$TAIL"
    must "it ends" ended 5
}
limits() {
    must "it watches" watch "$S" --count 2
    change
    must "--count ends it" ended 5
    must "after two" lines_are 2
    must "nothing is left after --count" clean
    must "it watches" watch "$S" --seconds 1
    must "--seconds ends it" ended 5
    must "nothing is left after --seconds" clean
    must "it watches" watch "$S" --format text --table 'public.*,!public.notes'
    change
    must "only chosen tables" lines 4
    kill -INT "$TAIL"
    must "it ends" ended 5
}
# A reader that goes away ends it, at the next change.
pipe() {
    mkfifo "$W/pipe"
    head -n 1 "$W/pipe" >"$W/head" &
    CHILDREN+=($!)
    fresh
    "$TAILRACE" tail "$(dsn "$S")" >"$W/pipe" 2>"$W/err" &
    TAIL=$!
    CHILDREN+=("$TAIL")
    must "it watches" until_true 10 err_has '^tailrace: watching '
    change
    sleep 0.3
    change
    must "it ends when nobody reads" ended 5
    must "nothing is left" clean
    rm "$W/pipe"
}
killed() {
    must "it watches" watch "$S"
    kill -KILL "$TAIL"
    wait "$TAIL" 2>/dev/null
    must "the slot goes with the session" until_true 10 q_is "$S" "SELECT count(*) FROM pg_replication_slots" 0
    must "publications are left" q_is "$S" "SELECT count(*) FROM pg_publication" 2
    must "it watches" watch "$S" --seconds 1
    must "the next one tells" err_has 'dropped publication tailrace_tail_[0-9]+, left by a tail that was killed'
    must "it ends" ended 5
    must "nothing is left" clean
    must "two at once: first" watch "$S" --seconds 3
    local first=$TAIL
    must "two at once: second" watch "$S" --seconds 1
    must "it does not take those of one that runs" q_is "$S" "SELECT count(*) FROM pg_publication" 4
    must "it ends" ended 5
    TAIL=$first
    must "the first ends" ended 5
    must "nothing is left" clean
}
# Making the slot waits for open transactions: it says for whom, and can be ended meanwhile.
open_transaction() {
    local holder
    PGAPPNAME=holder psql -Xqd "$(sock "$S")" -c "BEGIN; INSERT INTO notes VALUES ('open'); SELECT pg_sleep(60)" >/dev/null 2>&1 &
    CHILDREN+=($!)
    must "a transaction is open" until_true 5 q_is "$S" "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'holder' AND backend_xid IS NOT NULL" 1
    holder=$(q "$S" "SELECT pid FROM pg_stat_activity WHERE application_name = 'holder'")
    fresh
    "$TAILRACE" tail "$(dsn "$S")" >"$W/out" 2>"$W/err" &
    TAIL=$!
    CHILDREN+=("$TAIL")
    must "it names the pid" until_true 5 err_has "pid $holder \(holder, since"
    kill -INT "$TAIL"
    must "it ends at once" ended 3
    must "nothing is left" until_true 5 clean
    q "$S" "SELECT pg_terminate_backend($holder)" >/dev/null
}
rights() {
    local sql
    q "$S" "DO \$\$ BEGIN CREATE ROLE reader LOGIN REPLICATION; EXCEPTION WHEN duplicate_object THEN END \$\$"
    "$TAILRACE" tail "$(dsn "$S") user=reader" --decoder pgoutput >"$W/out" 2>"$W/err"
    CODE=$?
    must "exit code 77 without the right" [ $CODE -eq 77 ]
    sql=$(grep -E '^CREATE PUBLICATION' "$W/err")
    must "both statements are printed" [ "$(wc -l <<<"$sql")" -eq 2 ]
    must "they run" q "$S" "$sql"
    fresh
    "$TAILRACE" tail "$(dsn "$S") user=reader" --count 1 >"$W/out" 2>"$W/err" &
    TAIL=$!
    CHILDREN+=("$TAIL")
    must "it watches with them" until_true 10 err_has '^tailrace: watching '
    change
    must "it shows a change" ended 5
    must "one line" lines_are 1
    must "they are not dropped" q_is "$S" "SELECT count(*) FROM pg_publication" 2
    q "$S" "DROP PUBLICATION tailrace_tail, tailrace_tail_ins"
    must "nothing else is left" clean
}
# test_decoding needs no publication: asked for, and where none can be made. What it shows is what pgoutput shows.
watch_as_reader() {
    fresh
    "$TAILRACE" tail "$(dsn "$S") user=reader" --format text --seconds 20 >"$W/out" 2>"$W/err" &
    TAIL=$!
    CHILDREN+=("$TAIL")
    until_true 10 err_has "^tailrace: watching"
}
plain_json() { jq -cS 'del(.ts_ms, .ts_us, .ts_ns, .source)' "$1"; }
second_decoder() {
    q "$S" "CREATE TABLE kinds (id int PRIMARY KEY, b bool, n numeric(8,3), t text, ts timestamptz, a text[], j jsonb, big text); ALTER TABLE kinds ALTER big SET STORAGE EXTERNAL"
    must "it watches" watch "$S" --decoder test_decoding --table public.kinds --count 4
    must "no publication is made" q_is "$S" "SELECT count(*) FROM pg_publication" 0
    local first=$TAIL
    "$TAILRACE" tail "$(dsn "$S")" --decoder pgoutput --table public.kinds --count 4 >"$W/other" 2>"$W/other.err" &
    TAIL=$!; CHILDREN+=("$TAIL")
    must "another watches" until_true 10 grep -q '^tailrace: watching ' "$W/other.err"
    q "$S" "INSERT INTO kinds VALUES (1, true, 1.500, 'it''s [x]: ''', '2026-01-01 00:00+02', '{a,NULL,\"b c\"}', '{\"a\": 1}', repeat('x', 3000))"
    q "$S" "UPDATE kinds SET b = false, n = 'NaN' WHERE id = 1; UPDATE kinds SET t = NULL WHERE id = 1; DELETE FROM kinds WHERE id = 1"
    must "the other ends" ended 5
    TAIL=$first
    must "it ends" ended 5
    must "the same" test "$(plain_json "$W/out")" = "$(plain_json "$W/other")"
    must "and it is not empty" lines_are 4
    q "$S" "DROP TABLE kinds"
    must "it watches as a role without rights" watch_as_reader
    must "it tells" err_has 'using test_decoding'
    change
    q "$S" "UPDATE notes SET note = 'z'; BEGIN; INSERT INTO orders VALUES (-1, 'gone'); ROLLBACK"
    must "six lines" lines 6
    must "an insert" out_has 'name=one  price=1.50'
    must "a truncate" out_has 'TRUNCATE public.notes'
    kill -INT "$TAIL"
    must "it ends at SIGINT" ended 5
    must "nothing is left" clean
}
# The header and blocks of an object container file, by the Avro specification.
cat >"$W/avro.py" <<'PY'
import json, sys
data = open(sys.argv[1], "rb").read()
at = 4
assert data[:4] == b"Obj\x01", "no magic"
def number():
    global at
    value = shift = 0
    while True:
        byte = data[at]; at += 1
        value |= (byte & 127) << shift; shift += 7
        if byte < 128:
            return (value >> 1) ^ -(value & 1)
def text():
    global at
    length = number(); at += length
    return data[at - length:at]
meta = {}
while count := number():
    for _ in range(count):
        name = text(); meta[name] = text()
sync = data[at:at + 16]; at += 16
records = 0
while at < len(data):
    records += number(); text()
    assert data[at:at + 16] == sync, "no marker"
    at += 16
assert at == len(data)
print(json.loads(meta[b"avro.schema"])["name"], meta[b"avro.codec"].decode(), records)
PY
avro() {
    must "it watches" watch "$S" --format avro --table public.orders
    change
    sleep 0.3
    kill -INT "$TAIL"
    must "it ends" ended 5
    must "a container file with four records" [ "$(python3 "$W/avro.py" "$W/out" 2>&1)" = "Envelope null 4" ]
    must "it watches" watch "$S" --format avro --table public.orders --seconds 1
    must "it ends" ended 5
    must "a container file without records" [ "$(python3 "$W/avro.py" "$W/out" 2>&1)" = "Envelope null 0" ]
    "$TAILRACE" tail "$(dsn "$S")" --format avro >"$W/out" 2>"$W/err"
    CODE=$?
    must "one table only" [ $CODE -eq 2 ]
    must "nothing is left" clean
}
# On a terminal: text in colours, unless NO_COLOR says otherwise.
terminal() {
    local no
    for no in "" 1; do
        : >"$W/screen"
        NO_COLOR=$no TERM=xterm script -qefc "$TAILRACE tail '$(dsn "$S")' --count 1" "$W/screen" >/dev/null 2>&1 </dev/null &
        TAIL=$!
        CHILDREN+=("$TAIL")
        must "it watches" until_true 10 grep -q 'watching' "$W/screen"
        change
        must "it ends" ended 5
        must "text" grep -q 'INSERT' "$W/screen"
        if [ "$no" ]; then must "no colour" bash -c "! grep -q $'\033\[3' '$W/screen'"; else must "colour" grep -q $'\033\[3' "$W/screen"; fi
    done
    must "nothing is left" clean
}
# From the command to the first line, while a change is committed every 20 ms.
first_line() {
    local from ms n
    (for n in $(seq 300); do echo "INSERT INTO notes VALUES ('$n'); SELECT pg_sleep(0.02);"; done | qf "$S") >/dev/null 2>&1 &
    CHILDREN+=($!)
    local load=$!
    sleep 0.2
    from=$(date +%s%N)
    "$TAILRACE" tail "$(dsn "$S")" --count 1 >"$W/out" 2>"$W/err"
    ms=$((($(date +%s%N) - from) / 1000000))
    note "first_line_ms_$S=$ms"
    must "a line came" lines_are 1
    must "within a second, the end included" [ $ms -lt 1000 ]
    pid_stop $load 1
}
wrong_wal_level() {
    pg_start replica 18 "wal_level = replica"
    q replica "CREATE TABLE t (id int PRIMARY KEY)"
    "$TAILRACE" tail "$(dsn replica)" >"$W/out" 2>"$W/err"
    CODE=$?
    must "exit code 78" [ $CODE -eq 78 ]
    must "a sentence" err_has 'wal_level is replica'
    must "a hint" err_has '^hint: ALTER SYSTEM SET wal_level'
    must "no publication was made" q_is replica "SELECT count(*) FROM pg_publication" 0
}

for version in "${versions[@]}"; do
    S=pg$version
    pg_start "$S" "$version"
    database "$S" shop
    q "$S" "CREATE TABLE orders (id int PRIMARY KEY, name text, price numeric(8,2)); CREATE TABLE notes (note text)"
    for name in json_lines text_lines application limits pipe killed open_transaction rights second_decoder avro terminal first_line; do
        q "$S" "TRUNCATE orders, notes"
        ID=1
        case_run "tail $version $name" $name
    done
    pg "$S" stop
done
case_run "tail wrong wal_level" wrong_wal_level
finish
