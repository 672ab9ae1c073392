#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC1091
# usage: kill.sh [--kills N] [--seed S] [--power] [--native] [--streamed] [--kafka] [--plant lost|duplicated] [--source V] [--target V] [--rate N]
# check.sh runs: kill.sh --kills 25 --seed 11
# check.sh runs: kill.sh --kills 15 --seed 12 --power --source debian --target 18
# check.sh runs: kill.sh --kills 12 --seed 15 --streamed
# check.sh runs, must fail: kill.sh --kills 2 --seed 13 --plant lost
# check.sh runs, must fail: kill.sh --kills 2 --seed 14 --plant duplicated
# check.sh runs, each version: kill.sh --kills 8 --seed 16 --source V --target V
#
# Exactly once under kills. A mixed load runs on the source while the agent (kill -9), the source server and the target
# server (every process at once) are killed at random moments. Then the load ends, everything drains, and the effects on
# the target are counted against the changes of the source:
#   changes=N kills=N lost=0 duplicated=0 in_flight=N ...
# How it counts. Each row version carries a number of its own (column seq, from a sequence), and a trigger on either side
# writes (table, operation, seq) to audit.effects in the same transaction; a delete writes the seq of the row that went. On
# the target the trigger is ENABLE ALWAYS, so it fires for a replication session too. An upsert that repeats an insert is
# an update in that log, so a repeat shows although the table looks right. lost = effects of the source that the target lacks,
# duplicated = effects on the target beyond those of the source (both as multisets). in_flight = kills at whose
# moment a transaction was committed on the source and not yet on the target, by the commit times of both servers.
#   --power      the agent runs under tests/harness/powercut.c on a disk that takes 30 ms to sync; after each kill what it had
#                written since its last sync is taken back, as a power cut may do
#   --plant X    a test of this test: swallow one row on the target (lost), or touch one again (duplicated); must exit 1
#   --streamed   the source sends every transaction while it is open, in runs of single changes (PostgreSQL 17 and later)
#   --kafka      the bus is a real Kafka with a real registry (Java, Maven packages); the broker is killed too, and a consumer that knows
#                nothing of tailrace counts as well: lost, repeated and holes of its own
#   --native     PostgreSQL's own subscription in the agent's place (kills of the servers only): the yardstick
. "$(dirname "$0")/../harness/lib.sh"

KILLS=200 SEED=$RANDOM POWER='' KAFKA='' NATIVE='' STREAMED='' PLANT='' SRC_V=18 DST_V=debian RATE=400
while [ $# -gt 0 ]; do
    case $1 in
        --kills) KILLS=$2; shift ;; --seed) SEED=$2; shift ;; --power) POWER=1 ;; --kafka) KAFKA=1 ;; --native) NATIVE=1 ;; --streamed) STREAMED='debug_logical_replication_streaming = immediate' ;;
        --plant) PLANT=$2; shift ;; --source) SRC_V=$2; shift ;; --target) DST_V=$2; shift ;; --rate) RATE=$2; shift ;;
        *) sed -n '4p' "$0" | cut -c3-; exit 2 ;;
    esac
    shift
done
RANDOM=$SEED
args_need psql pgbench jq
[ -n "$NATIVE" ] || need_agent
work_open

TABLES="acc log doc tick"
tables_make() {
    qf "$1" >/dev/null <<'SQL'
CREATE SEQUENCE s;
CREATE TABLE acc (id bigint PRIMARY KEY, val bigint NOT NULL, note text, seq bigint NOT NULL);
CREATE TABLE log (a int, b text, seq bigint NOT NULL);                       -- no key: found by the full row
ALTER TABLE log REPLICA IDENTITY FULL;
CREATE TABLE doc (id int PRIMARY KEY, n int, body text, seq bigint NOT NULL); -- body lies in TOAST
ALTER TABLE doc ALTER body SET STORAGE EXTERNAL;
CREATE TABLE tick (at timestamptz DEFAULT clock_timestamp(), seq bigint NOT NULL); -- no identity: inserts only
CREATE TABLE tr_mark (n bigint PRIMARY KEY);
CREATE INDEX ON log (a);
CREATE SCHEMA audit;
CREATE TABLE audit.effects (tbl text, op "char", seq bigint, at timestamptz DEFAULT clock_timestamp());
CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN INSERT INTO audit.effects VALUES (TG_TABLE_NAME, 'D', OLD.seq);
    ELSE INSERT INTO audit.effects VALUES (TG_TABLE_NAME, left(TG_OP, 1)::"char", NEW.seq); END IF;
    RETURN NULL;
END $$;
SQL
    local t
    for t in $TABLES; do
        q "$1" "CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON $t FOR EACH ROW EXECUTE FUNCTION audit.note();
            ALTER TABLE $t ENABLE ALWAYS TRIGGER note" >/dev/null
    done
}
rows_make() {
    qf source >/dev/null <<'SQL'
INSERT INTO acc SELECT n, 0, 'old', nextval('s') FROM generate_series(1, 1000) n;
INSERT INTO log SELECT n % 500, 'old', nextval('s') FROM generate_series(1, 1000) n;
INSERT INTO doc SELECT n, 0, repeat(md5(n::text), 120), nextval('s') FROM generate_series(1, 200) n;
INSERT INTO tick SELECT now(), nextval('s') FROM generate_series(1, 100) n;
SQL
}
# The table without a key stays at some thousands of rows: a row of it is found by reading the table.
load_script() {
    cat >"$W/load.sql" <<'SQL'
\set k random(1, 1000)
\set d random(1, 200)
\set p random(1, 100)
\if :p <= 25
UPDATE acc SET val = val + 1, seq = nextval('s') WHERE id = :k;
\elif :p <= 40
BEGIN;
INSERT INTO log VALUES (:k % 500, 'new', nextval('s'));
UPDATE acc SET val = val - 1, seq = nextval('s') WHERE id = :k;
INSERT INTO tick (seq) VALUES (nextval('s'));
COMMIT;
\elif :p <= 50
DELETE FROM acc WHERE id = :k;
\elif :p <= 62
INSERT INTO acc VALUES (:k, :p, 'again', nextval('s')) ON CONFLICT (id) DO UPDATE SET val = acc.val + 1, seq = excluded.seq;
\elif :p <= 70
UPDATE log SET b = b || '.', seq = nextval('s') WHERE ctid = (SELECT ctid FROM log WHERE a = :k % 500 LIMIT 1);
\elif :p <= 75
DELETE FROM log WHERE a = :k % 500;
\elif :p <= 82
UPDATE doc SET n = n + 1, seq = nextval('s') WHERE id = :d;
\elif :p <= 85
UPDATE doc SET body = repeat(md5(body), 120), seq = nextval('s') WHERE id = :d;
\elif :p <= 88
UPDATE acc SET id = 100000 + nextval('s'), seq = nextval('s') WHERE id = :k;
\elif :p <= 90
DELETE FROM acc WHERE id = (SELECT max(id) FROM acc WHERE id > 100000);
\elif :p <= 93
BEGIN;
INSERT INTO log VALUES (:k % 500, 'undone', nextval('s'));
ROLLBACK;
\elif :p <= 96
BEGIN;
SAVEPOINT a;
UPDATE acc SET val = 0, seq = nextval('s') WHERE id = :k;
ROLLBACK TO a;
INSERT INTO log VALUES (:k % 500, 'kept', nextval('s'));
SAVEPOINT b;
INSERT INTO tick (seq) VALUES (nextval('s'));
RELEASE b;
COMMIT;
\elif :p <= 98
INSERT INTO log SELECT n, 'many', nextval('s') FROM generate_series(1, 10) n;
\else
UPDATE acc SET val = val + 10, seq = nextval('s') WHERE id BETWEEN :k AND :k + 10;
\endif
SQL
}
# Until the file load.stop is there; pgbench ends when its server dies, and is started again.
load_run() {
    while [ ! -e "$W/load.stop" ]; do
        pgbench -n -c 3 -R "$RATE" -T 3600 --max-tries=50 -f "$W/load.sql" "$(sock source)" >"$W/load.log" 2>&1 &
        echo $! >"$W/load.pid"
        wait $!
        sleep 0.1
    done
}
load_stop() {
    : >"$W/load.stop"
    while pid_lives "$LOAD"; do pid_stop "$(cat "$W/load.pid" 2>/dev/null)" 2; sleep 0.1; done
    wait "$LOAD" 2>/dev/null
}

agent_up() {
    [ -z "$NATIVE" ] || return 0
    if [ -n "$POWER" ]; then
        agent_start agent LD_PRELOAD="$POWERCUT" POWERCUT_LOG="$W/agent/undo" POWERCUT_DIR="$W/agent/state" POWERCUT_SLOW_US=30000
    else
        agent_start agent
    fi
}
kill_one() {
    local at; at=$(date +%s.%N)
    case $1 in
        broker) sh "$PEERS/kafka.sh" "$W/kafka" "$KAFKA" crash >/dev/null && sh "$PEERS/kafka.sh" "$W/kafka" "$KAFKA" start >/dev/null ;;
        agent) agent_kill agent
            [ -z "$POWER" ] || power_undo >>"$W/undone"
            agent_up ;;
        *) pg "$1" crash && pg "$1" start ;;
    esac || die "could not kill or start: $1"
    echo "$1,$at" >>"$W/kills.csv"
}
# An agent that ended by itself during the kills is a failure of its own: started again so that the count goes on, and told.
agent_watch() {
    [ -z "$NATIVE" ] && ! agent_lives agent || return 0
    wait "${AGENT_PID[agent]}" 2>/dev/null
    ENDED=$((ENDED + 1))
    note "agent ended by itself with $? : $(tail -n 1 "$W/agent/log")"
    agent_up
}

kafka_begin() {
    PEERS=$(dirname "$0")/../peers
    args_need java mvn curl python3
    port_new; KAFKA=$PORT; port_new; REGISTRY=$PORT
    trap 'sh "$PEERS/kafka.sh" "$W/kafka" 0 stop >/dev/null 2>&1; sh "$PEERS/registry.sh" "$W/registry" 0 stop >/dev/null 2>&1; work_close' EXIT
    sh "$PEERS/kafka.sh" "$W/kafka" "$KAFKA" start || die "Kafka does not start"
    sh "$PEERS/registry.sh" "$W/registry" "$REGISTRY" start || die "the registry does not start"
    BASE=http://127.0.0.1:$REGISTRY/apis/ccompat/v7
    C_MORE="kafka: { brokers: '127.0.0.1:$KAFKA', partitions: 3 }
registry: { url: '$BASE' }"
}
# What the consumer has beyond, and lacks of, the source's changes; deletes by their number, since an old row has its key only.
kafka_count() {
    local python
    python=$(. "$PEERS/common.sh"; py_env debezium "$(python3 "$PEERS/debezium.py" --pip)")/bin/python
    "$python" "$PEERS/kafka_effects.py" "127.0.0.1:$KAFKA" "$BASE" kills >"$W/consumer.tsv" 2>"$W/consumer.err" || FAILED=1
    q source "CREATE TABLE audit.consumer (tbl text, op \"char\", seq bigint)"
    sed 's/\t$/\t\\N/' "$W/consumer.tsv" | grep -v '^tr_mark' | psql -XqAt -v ON_ERROR_STOP=1 -d "$(sock source)" -c '\copy audit.consumer FROM STDIN' || die "cannot take the consumer's log"
    q source "WITH s AS (SELECT tbl, op, CASE WHEN op <> 'D' THEN seq END AS seq FROM audit.effects)
        SELECT 'consumer_lost=' || (SELECT count(*) FROM (SELECT * FROM s EXCEPT ALL SELECT tbl, op, seq FROM audit.consumer) l)
            || ' consumer_duplicated=' || (SELECT count(*) FROM (SELECT tbl, op, seq FROM audit.consumer EXCEPT ALL SELECT * FROM s) d)"
}

begin() {
    [ -z "$KAFKA" ] || kafka_begin
    pg_start source "$SRC_V" "$STREAMED"
    pg_start target "$DST_V"
    tables_make source; tables_make target; rows_make
    q source 'TRUNCATE audit.effects'
    if [ -n "$NATIVE" ]; then
        q source "CREATE PUBLICATION p FOR TABLE acc, log, doc, tr_mark; CREATE PUBLICATION p_ins FOR TABLE tick WITH (publish = 'insert')"
        q target "CREATE SUBSCRIPTION n CONNECTION '$(dsn source)' PUBLICATION p, p_ins" 2>/dev/null
    else
        C_NAME=kills C_BACKOFF=300 agent_config agent source target
        [ -z "$POWER" ] || power_build
        agent_up
    fi
    synced source target 60 || { tail -n 20 "$W/agent/log" 2>/dev/null; die "the first copy did not arrive"; }
    same source target $TABLES || die "the first copy is not right"
    q target 'TRUNCATE audit.effects'
}

# Lost and duplicated from the two logs; both lie on the source for that.
count_effects() {
    qf source >/dev/null <<'SQL'
CREATE TABLE audit.target (tbl text, op "char", seq bigint, done timestamptz);
CREATE TABLE audit.kills (victim text, at text);
SQL
    q target '\copy (SELECT tbl, op, seq, pg_xact_commit_timestamp(xmin) FROM audit.effects) TO STDOUT' |
        psql -XqAt -v ON_ERROR_STOP=1 -d "$(sock source)" -c '\copy audit.target FROM STDIN' || die "cannot bring the logs together"
    [ ! -s "$W/kills.csv" ] || q source "\\copy audit.kills FROM '$W/kills.csv' CSV"
    qf source <<'SQL'
WITH s AS (SELECT tbl, op, seq, pg_xact_commit_timestamp(xmin) AS done FROM audit.effects),
    l AS (SELECT tbl, op, seq FROM s EXCEPT ALL SELECT tbl, op, seq FROM audit.target),
    d AS (SELECT tbl, op, seq FROM audit.target EXCEPT ALL SELECT tbl, op, seq FROM s),
    way AS (SELECT s.done AS from_at, t.done AS to_at FROM s JOIN audit.target t USING (tbl, op, seq)),
    k AS (SELECT victim, to_timestamp(at::float8) AS at FROM audit.kills)
SELECT 'changes=' || (SELECT count(*) FROM s) || ' kills=' || (SELECT count(*) FROM k) || ' lost=' || (SELECT count(*) FROM l)
    || ' duplicated=' || (SELECT count(*) FROM d)
    || ' in_flight=' || (SELECT count(*) FROM k WHERE EXISTS (SELECT 1 FROM way WHERE from_at < k.at AND to_at > k.at))
    || ' kills_agent=' || (SELECT count(*) FROM k WHERE victim = 'agent')
    || ' kills_source=' || (SELECT count(*) FROM k WHERE victim = 'source')
    || ' kills_target=' || (SELECT count(*) FROM k WHERE victim = 'target');
SQL
    q source "WITH l AS (SELECT 'lost' AS what, * FROM (SELECT tbl, op, seq FROM audit.effects EXCEPT ALL SELECT tbl, op, seq FROM audit.target) a),
        d AS (SELECT 'duplicated', * FROM (SELECT tbl, op, seq FROM audit.target EXCEPT ALL SELECT tbl, op, seq FROM audit.effects) b)
        SELECT '  ' || what || ' ' || tbl || ' ' || op::text || ' ' || seq FROM (TABLE l UNION ALL TABLE d ORDER BY 1, 4 LIMIT 20) x" >"$W/examples"
}
plant() {
    case $PLANT in
        lost) q target "CREATE FUNCTION audit.swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.seq % 50 = 0 THEN RETURN NULL; END IF; RETURN NEW; END';
            CREATE TRIGGER a_swallow BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION audit.swallow();
            ALTER TABLE log ENABLE ALWAYS TRIGGER a_swallow" ;;
        duplicated) q target 'UPDATE acc SET val = val WHERE id = (SELECT max(id) FROM acc)' ;;
        *) die "--plant lost or duplicated" ;;
    esac
}

if [ -n "$POWER" ]; then . "$(dirname "$0")/../harness/power.sh"; fi
begin
load_script
load_run & LOAD=$!
CHILDREN+=("$LOAD")
ENDED=0
note "seed=$SEED source=$(q source 'SHOW server_version' | cut -d' ' -f1) target=$(q target 'SHOW server_version' | cut -d' ' -f1)"
sleep 1
[ -z "$PLANT" ] || plant
started=$SECONDS
for ((n = 1; n <= KILLS; n++)); do
    # A third comes while the last kill is still being recovered from.
    if [ $((RANDOM % 3)) -eq 0 ]; then wait_ms=$((5 + RANDOM % 200)); else wait_ms=$((100 + RANDOM % 800)); fi
    sleep "0.$(printf %03d $wait_ms)"
    agent_watch
    dice=$((RANDOM % 10))
    if [ -n "$KAFKA" ] && [ $((n % 10)) -eq 0 ]; then victim=broker; elif [ -z "$NATIVE" ] && [ $dice -lt 6 ]; then victim=agent; elif [ $dice -lt 8 ]; then victim=source; else victim=target; fi
    kill_one $victim
    [ $((n % 20)) -ne 0 ] || note "$n kills, $((SECONDS - started)) s, $(q source 'SELECT count(*) FROM audit.effects') changes, $(q target 'SELECT count(*) FROM audit.effects') effects"
done
sleep 1
load_stop
synced source target 90 || { tail -n 20 "$W/agent/log" 2>/dev/null; note "the last commit did not arrive within 90 s"; FAILED=1; }
result=$(count_effects) || die "cannot count"
[ -n "$PLANT" ] || same source target $TABLES || FAILED=1
if [ -z "$NATIVE" ] && [ -z "$PLANT" ]; then verified agent || FAILED=1; fi
[ -z "$KAFKA" ] || result="$result $(kafka_count) $(tail -n 1 "$W/consumer.err")"
result="$result ended=$ENDED seconds=$((SECONDS - started)) seed=$SEED"
# Kills that had something to take back, and how much that was.
[ -z "$POWER" ] || result="$result $(sed 's/.*bytes=//' "$W/undone" | awk '$1 > 0 { n++; b += $1 } END { printf "undone_kills=%d undone_bytes=%d", n, b }')"
note "$result"
[ ! -s "$W/examples" ] || { cat "$W/examples"; FAILED=1; }
[ $ENDED -eq 0 ] || FAILED=1
case $result in *" undone_kills=0 "*) note "no kill met an unsynced write: the power cut was not tested"; FAILED=1 ;; esac
case $result in *consumer_lost=[1-9]* | *consumer_duplicated=[1-9]*) FAILED=1 ;; esac
case $result in *" lost=0 duplicated=0 "*) ;; *) FAILED=1 ;; esac
[ $FAILED -eq 0 ]
