#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC1091
# usage: snapshot_kill.sh [--kills N] [--seed S] [--power] [--source V] [--target V] [--rate N] [--rows N]
# check.sh runs: snapshot_kill.sh --kills 10 --seed 21 --rows 60000
# check.sh runs: snapshot_kill.sh --kills 6 --seed 22 --rows 40000 --power --source debian --target 18
# check.sh runs, each version: snapshot_kill.sh --kills 4 --seed 23 --rows 40000 --source V --target V
#
# First copies under load and kills. The tables are read in chunks while a load changes them; agent (kill -9), source and
# target are killed at random moments of it. When all are copied, one is taken out of the publication and so copied again. Then the load ends, everything drains, and the target is compared:
#   changes=N kills=N kills_in_copy=N lost=0 duplicated=0 stale=0 ...
# lost: rows of the source that the target lacks. duplicated: rows that only the target has, versions of a row that were
# applied more often than once by the stream and once by a chunk, rows deleted more than once, and rows that only chunks can
# bring and brought twice (rows_read_twice). stale: a version of a
# row that was applied after a later version of it. Each version carries a number (column seq, from a sequence, given while
# the row is locked), and a trigger on the target (ENABLE ALWAYS) writes each that is applied.
#   --power   as in kill.sh
. "$(dirname "$0")/../harness/lib.sh"

KILLS=50 SEED=$RANDOM POWER='' SRC_V=18 DST_V=debian RATE=400 ROWS=300000
while [ $# -gt 0 ]; do
    case $1 in
        --kills) KILLS=$2; shift ;; --seed) SEED=$2; shift ;; --power) POWER=1 ;;
        --source) SRC_V=$2; shift ;; --target) DST_V=$2; shift ;; --rate) RATE=$2; shift ;; --rows) ROWS=$2; shift ;;
        *) sed -n '4p' "$0" | cut -c3-; exit 2 ;;
    esac
    shift
done
RANDOM=$SEED
args_need psql pgbench jq
need_agent
work_open

TABLES="acc doc part log"
tables_make() {
    qf "$1" >/dev/null <<'SQL'
CREATE SEQUENCE s CACHE 1;
CREATE TABLE acc (id bigint PRIMARY KEY, val bigint NOT NULL, note text, seq bigint NOT NULL);
CREATE TABLE doc (kind text, id int, n int, body text, seq bigint NOT NULL, PRIMARY KEY (kind, id)); -- body lies in TOAST
ALTER TABLE doc ALTER body SET STORAGE EXTERNAL;
CREATE TABLE part (id int PRIMARY KEY, val text, seq bigint NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE part_a PARTITION OF part FOR VALUES FROM (MINVALUE) TO (5000);
CREATE TABLE part_b PARTITION OF part FOR VALUES FROM (5000) TO (MAXVALUE);
CREATE TABLE log (a int, b text, seq bigint NOT NULL); -- no key: copied from an exported snapshot
ALTER TABLE log REPLICA IDENTITY FULL;
CREATE TABLE tr_mark (n bigint PRIMARY KEY);
CREATE SCHEMA audit;
CREATE TABLE audit.effects (n bigserial, tbl text, op "char", key text, seq bigint);
CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE r record;  -- of any of the tables
BEGIN
    IF TG_OP = 'DELETE' THEN r := OLD; ELSE r := NEW; END IF;
    IF TG_ARGV[0] = 'doc' THEN
        INSERT INTO audit.effects (tbl, op, key, seq) VALUES ('doc', left(TG_OP, 1)::"char", r.kind || '/' || r.id, r.seq);
        RETURN NULL;
    END IF;
    INSERT INTO audit.effects (tbl, op, key, seq)
        VALUES (TG_ARGV[0], left(TG_OP, 1)::"char", r.id::text, r.seq);
    RETURN NULL;
END $$;
CREATE FUNCTION audit.emptied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO audit.effects (tbl, op) VALUES (TG_ARGV[0], 'T'); RETURN NULL; END $$;
-- what was applied between two copies of a table
CREATE VIEW audit.applied AS SELECT *, count(*) FILTER (WHERE op = 'T') OVER (PARTITION BY tbl ORDER BY n) AS copy FROM audit.effects;
SQL
}
triggers_make() {
    local t
    for t in acc doc part; do
        q target "CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON $t FOR EACH ROW EXECUTE FUNCTION audit.note('$t')" >/dev/null
    done
    for t in acc doc part; do
        q target "CREATE TRIGGER emptied AFTER TRUNCATE ON $t EXECUTE FUNCTION audit.emptied('$t')" >/dev/null
    done
    for t in acc doc part; do q target "ALTER TABLE $t ENABLE ALWAYS TRIGGER emptied" >/dev/null; done
    for t in acc doc part_a part_b; do q target "ALTER TABLE $t ENABLE ALWAYS TRIGGER note" >/dev/null; done
}
rows_make() {
    qf source >/dev/null <<SQL
INSERT INTO acc SELECT n, 0, 'old', nextval('s') FROM generate_series(1, $ROWS) n;
INSERT INTO doc SELECT CASE n % 3 WHEN 0 THEN 'a b' WHEN 1 THEN E'tab\\t' ELSE 'z''\\\\' END, n, 0, repeat(md5(n::text), 100), nextval('s') FROM generate_series(1, $((ROWS / 30))) n;
INSERT INTO part SELECT n, 'old', nextval('s') FROM generate_series(1, 10000) n;
INSERT INTO log SELECT n % 500, 'old', nextval('s') FROM generate_series(1, 1000) n;
ANALYZE;
SQL
}
# Hot rows (few keys) and cold ones; rows that move before and behind what is being read; large values that stay as they are.
load_script() {
    cat >"$W/load.sql" <<SQL
\\set k random(1, $ROWS)
\\set h random(1, 20)
\\set d random(1, $((ROWS / 30)))
\\set i random(1, 10000)
\\set p random(1, 100)
SQL
    cat >>"$W/load.sql" <<'SQL'
\if :p <= 20
UPDATE acc SET val = val + 1, seq = nextval('s') WHERE id = :k;
\elif :p <= 32
UPDATE acc SET val = val + 1, seq = nextval('s') WHERE id = :h * 1000;
\elif :p <= 40
DELETE FROM acc WHERE id = :k;
\elif :p <= 48
INSERT INTO acc VALUES (:k, :p, 'again', nextval('s')) ON CONFLICT (id) DO UPDATE SET val = acc.val + 1, seq = excluded.seq;
\elif :p <= 53
UPDATE acc SET id = -nextval('s'), seq = nextval('s') WHERE id = :k;
\elif :p <= 57
UPDATE acc SET id = 100000000 + nextval('s'), seq = nextval('s') WHERE id = :k;
\elif :p <= 67
UPDATE doc SET n = n + 1, seq = nextval('s') WHERE id = :d;
\elif :p <= 72
UPDATE doc SET id = -id - 1, n = n + 1, seq = nextval('s') WHERE id = :d;
\elif :p <= 76
UPDATE doc SET kind = CASE kind WHEN 'z''\' THEN 'a b' ELSE 'z''\' END, seq = nextval('s') WHERE id = :d;
\elif :p <= 79
UPDATE doc SET body = repeat(md5(body), 100), seq = nextval('s') WHERE id = :d;
\elif :p <= 81
DELETE FROM doc WHERE id = :d;
\elif :p <= 86
UPDATE part SET val = 'new', seq = nextval('s') WHERE id = :i;
\elif :p <= 88
UPDATE part SET id = id + 5000, seq = nextval('s') WHERE id = :i AND id < 5000 AND NOT EXISTS (SELECT FROM part x WHERE x.id = :i + 5000);
\elif :p <= 91
BEGIN;
UPDATE acc SET val = 0, seq = nextval('s') WHERE id = :k;
SAVEPOINT a;
DELETE FROM acc WHERE id = :k;
ROLLBACK TO a;
INSERT INTO log VALUES (:k % 500, 'new', nextval('s'));
COMMIT;
\elif :p <= 95
UPDATE log SET b = b || '.', seq = nextval('s') WHERE ctid = (SELECT ctid FROM log WHERE a = :k % 500 LIMIT 1);
\elif :p <= 96
BEGIN;
DELETE FROM acc WHERE id = :k;
ROLLBACK;
\else
UPDATE acc SET val = val + 10, seq = nextval('s') WHERE id BETWEEN :k AND :k + 10;
\endif
SQL
}
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
    if [ -n "$POWER" ]; then
        agent_start agent LD_PRELOAD="$POWERCUT" POWERCUT_LOG="$W/agent/undo" POWERCUT_DIR="$W/agent/state" POWERCUT_SLOW_US=10000
    else
        agent_start agent
    fi
}
kill_one() {
    case $1 in
        agent)
            agent_kill agent
            [ -z "$POWER" ] || power_undo >>"$W/undone"
            agent_up ;;
        *) pg "$1" crash && pg "$1" start ;;
    esac || die "could not kill or start: $1"
}
agent_watch() {
    ! agent_lives agent || return 0
    wait "${AGENT_PID[agent]}" 2>/dev/null
    ENDED=$((ENDED + 1))
    note "agent ended by itself: $(tail -n 1 "$W/agent/log")"
    agent_up
}
# A table that was not published for a while is copied again; the agent sees it when it starts.
copy_again() {
    local t=(acc acc doc part)
    COPIES=$((COPIES + 1))
    q source "ALTER PUBLICATION tailrace_snapkill DROP TABLE ${t[$((RANDOM % 4))]}" 2>/dev/null
    agent_kill agent
    [ -z "$POWER" ] || power_undo >>"$W/undone"
    agent_up
    until_true 10 copying
    sleep "0.$(printf %03d $((RANDOM % 300)))"
}
copying() { local n; n=$(status agent '.snapshots | length'); [ -n "$n" ] && [ "$n" != 0 ]; }

begin() {
    pg_start source "$SRC_V"
    pg_start target "$DST_V"
    tables_make source; tables_make target; triggers_make; rows_make
    SEQ0=$(q source "SELECT last_value FROM s")
    C_NAME=snapkill C_BACKOFF=300 agent_config agent source target
    [ -z "$POWER" ] || power_build
}

# Rows that differ, both ways, as one number each; the source's rows are brought to the target for that.
count_rows() {
    local t lost=0 more=0 n
    for t in $TABLES; do
        q target "DROP TABLE IF EXISTS audit.src; CREATE TABLE audit.src (r text)" 2>/dev/null
        q source "\\copy (SELECT x::text FROM $t x) TO STDOUT" | psql -XqAt -v ON_ERROR_STOP=1 -d "$(sock target)" -c '\copy audit.src FROM STDIN' || die "cannot compare $t"
        n=$(q target "SELECT count(*) FROM (SELECT r FROM audit.src EXCEPT ALL SELECT x::text FROM $t x) y"); lost=$((lost + n))
        [ "$n" = 0 ] || q target "SELECT '  lost $t ' || left(r, 60) FROM (SELECT r FROM audit.src EXCEPT ALL SELECT x::text FROM $t x) y LIMIT 5" >&2
        n=$(q target "SELECT count(*) FROM (SELECT x::text FROM $t x EXCEPT ALL SELECT r FROM audit.src) y"); more=$((more + n))
        [ "$n" = 0 ] || q target "SELECT '  only on the target $t ' || left(r, 60) FROM (SELECT x::text AS r FROM $t x EXCEPT ALL SELECT r FROM audit.src) y LIMIT 5" >&2
    done
    LOST=$lost DUPLICATED=$more
}
count_effects() {
    local n
    # by the stream at most once, by chunks at most once
    n=$(q target "SELECT coalesce(sum(c - 2), 0) FROM (SELECT count(*) AS c FROM audit.applied WHERE op IN ('I', 'U') GROUP BY tbl, copy, key, seq HAVING count(*) > 2) x")
    DUPLICATED=$((DUPLICATED + n))
    n=$(q target "SELECT coalesce(sum(c - 1), 0) FROM (SELECT count(*) AS c FROM audit.applied WHERE op = 'D' GROUP BY tbl, copy, key, seq HAVING count(*) > 1) x")
    DUPLICATED=$((DUPLICATED + n))
    STALE=$(q target "SELECT count(*) FROM (SELECT seq, max(seq) OVER (PARTITION BY tbl, key ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM audit.effects WHERE op IN ('I', 'U')) x WHERE seq < before")
    TWICE=$(q target "SELECT count(*) FROM (SELECT 1 FROM audit.applied WHERE op IN ('I', 'U') AND seq <= $SEQ0 GROUP BY tbl, copy, key, seq HAVING count(*) > 1) x")
    DUPLICATED=$((DUPLICATED + TWICE))
    q target "SELECT '  stale ' || tbl || ' ' || key || ' ' || seq || ' after ' || before FROM (SELECT *, max(seq) OVER (PARTITION BY tbl, key ORDER BY n ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM audit.effects WHERE op IN ('I', 'U')) x WHERE seq < before LIMIT 10"
}

if [ -n "$POWER" ]; then . "$(dirname "$0")/../harness/power.sh"; fi
begin
load_script
load_run & LOAD=$!
CHILDREN+=("$LOAD")
ENDED=0 IN_COPY=0 COPIES=1
note "seed=$SEED source=$(q source 'SHOW server_version' | cut -d' ' -f1) target=$(q target 'SHOW server_version' | cut -d' ' -f1)"
sleep 0.5
agent_up
started=$SECONDS
until_true 60 eval 'q_is target "SELECT count(*) > 0 FROM acc" t' || { tail -n 20 "$W/agent/log"; die "no row was copied"; }
for ((n = 1; n <= KILLS; n++)); do
    sleep "0.$(printf %03d $((50 + RANDOM % 550)))"
    agent_watch
    copying || copy_again
    ! copying || IN_COPY=$((IN_COPY + 1))
    dice=$((RANDOM % 10))
    if [ $dice -lt 7 ]; then kill_one agent; elif [ $dice -lt 9 ]; then kill_one source; else kill_one target; fi
    [ $((n % 10)) -ne 0 ] || note "$n kills, $((SECONDS - started)) s, $(status agent '[.snapshots[] | "\(.table) \(.rows)"] | join(", ")')"
done
# until the copies are at their end, the load goes on
until_true 180 agents_copied || { tail -n 20 "$W/agent/log"; note "the copies did not come to their end"; FAILED=1; }
load_stop
synced source target 90 || { tail -n 20 "$W/agent/log"; note "the last commit did not arrive within 90 s"; FAILED=1; }
count_rows
count_effects
verified agent || FAILED=1
result="changes=$(q source "SELECT last_value - $SEQ0 FROM s") kills=$KILLS kills_in_copy=$IN_COPY copies=$COPIES lost=$LOST duplicated=$DUPLICATED stale=$STALE rows_read_twice=$TWICE ended=$ENDED seconds=$((SECONDS - started)) seed=$SEED"
note "$result"
[ $ENDED -eq 0 ] || FAILED=1
[ $IN_COPY -gt 0 ] || { note "no kill met a copy"; FAILED=1; }
case $result in *" lost=0 duplicated=0 stale=0 "*) ;; *) FAILED=1 ;; esac
[ $FAILED -eq 0 ]
