#!/bin/bash
# shellcheck disable=SC1091
# SPDX-License-Identifier: Apache-2.0
# usage: bench.sh [--part latency|drain] [--pairs N] [--seconds N] [--rows N] [--native] [--docs]
#
# The figures that tailrace is held to, each beside what PostgreSQL itself does, in the same run and in turns, since
# only the ratio means anything on another machine. Prints name=value lines; takes about four minutes.
#   latency   the probe (probe.c) at 1,000 single-row transactions a second, through tailrace and through a subscription,
#             in turns; whichever is not measured is stopped. synchronous_commit is on everywhere.
#   drain     a backlog of 1,000,000 rows in transactions of 10,000: read by pg_recvlogical to /dev/null, taken by
#             tailrace to its durable bus (its target cannot be reached, so the bus keeps all of it), then applied by tailrace and by
#             a subscription; memory (RssAnon + RssShmem: the map of the store is file pages, which the kernel may take) is sampled.
#   --native  only PostgreSQL's side (to try the bench itself)
#   --docs    also write the table of docs/performance.md
. "$(dirname "$0")/../harness/lib.sh"

PART='' PAIRS=3 LAT_SECONDS=8 ROWS=1000000 NATIVE='' DOCS='' VERSION=${BENCH_PG:-18}
while [ $# -gt 0 ]; do
    case $1 in
        --part) PART=$2; shift ;; --pairs) PAIRS=$2; shift ;; --seconds) LAT_SECONDS=$2; shift ;; --rows) ROWS=$2; shift ;;
        --native) NATIVE=1 ;; --docs) DOCS=1 ;;
        *) sed -n '4p' "$0" | cut -c3-; exit 2 ;;
    esac
    shift
done
PROBE=${PROBE:-$(dirname "$TAILRACE")/tests/bench/probe}
[ -x "$PROBE" ] || die "no probe: make bench builds it"
[ -n "$NATIVE" ] || need_agent
args_need psql pg_recvlogical jq
work_open

# Figures: name=value lines on standard output and, for the table, in $W/figures.
figure() { printf '%s=%s\n' "$1" "$2" | tee -a "$W/figures"; }
value() { sed -n "s/^$2=//p" "$1" | head -n 1; }
median() { sort -g | awk '{ v[NR] = $1 } END { if (NR) printf "%s\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f\n", (b > 0 ? a / b : 0) }'; }
now() { date +%s.%N; }
per_second() { awk -v n="$1" -v a="$2" -v b="$3" 'BEGIN { printf "%.0f\n", n / (b - a) }'; }

# --- latency -----------------------------------------------------------------------------------------------------------
lat_table() { q "$1" 'CREATE TABLE IF NOT EXISTS lat (id bigint PRIMARY KEY, note text)' "$2" 2>/dev/null; }
lat_clear() { q source 'TRUNCATE lat' "$1"; until_true 20 q_in target "$1" 'SELECT count(*) FROM lat' 0; }
q_in() { [ "$(q "$1" "$3" "$2")" = "$4" ]; }
lat_probe() { # WHO RUN
    # Over TCP, as servers on two machines would be reached.
    "$PROBE" --source "$(dsn source "lat_$1")" --target "$(dsn target "lat_$1")" --seconds "$LAT_SECONDS" --warm 2 >"$W/lat.$1.$2" || die "probe failed ($1)"
    note "# latency $1 run $2: p50 $(value "$W/lat.$1.$2" p50_ms) ms, p99 $(value "$W/lat.$1.$2" p99_ms) ms, max $(value "$W/lat.$1.$2" max_ms) ms"
}
lat_native() {
    q target 'ALTER SUBSCRIPTION lat ENABLE' lat_native
    lat_clear lat_native || die "the subscription does not follow"
    lat_probe native "$1"
    q target 'ALTER SUBSCRIPTION lat DISABLE' lat_native
}
lat_tailrace() {
    agent_start lat
    streaming lat || { tail "$W/lat/log"; die "the agent does not stream"; }
    lat_clear lat_tailrace || die "the agent does not follow"
    lat_probe tailrace "$1"
    agent_stop lat
}
lat_prepare() {
    local db
    for db in lat_native lat_tailrace; do
        q source "CREATE DATABASE $db" postgres; q target "CREATE DATABASE $db" postgres
        lat_table source $db; lat_table target $db
    done
    q source 'CREATE PUBLICATION lat FOR TABLE lat' lat_native
    q target "CREATE SUBSCRIPTION lat CONNECTION '$(dsn source lat_native)' PUBLICATION lat WITH (synchronous_commit = 'on')" lat_native 2>/dev/null
    until_true 20 q_in target lat_native "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'" 0
    q target 'ALTER SUBSCRIPTION lat DISABLE' lat_native
    C_SOURCE=$(dsn source lat_tailrace) C_TARGET=$(dsn target lat_tailrace) agent_config lat source target
}
lat_run() {
    local n
    lat_prepare
    for ((n = 1; n <= PAIRS; n++)); do
        lat_native $n
        [ -n "$NATIVE" ] || lat_tailrace $n
        [ -n "$NATIVE" ] || ratio "$(value "$W/lat.tailrace.$n" p99_ms)" "$(value "$W/lat.native.$n" p99_ms)" >>"$W/lat.ratios"
        [ -n "$NATIVE" ] || ratio "$(value "$W/lat.tailrace.$n" p50_ms)" "$(value "$W/lat.native.$n" p50_ms)" >>"$W/lat.ratios50"
    done
    local who
    for who in tailrace native; do
        [ $who = native ] || [ -z "$NATIVE" ] || continue
        local pre=; [ $who = tailrace ] || pre=native_
        figure "${pre}latency_p50_ms" "$(for ((n = 1; n <= PAIRS; n++)); do value "$W/lat.$who.$n" p50_ms; done | median)"
        figure "${pre}latency_p99_ms" "$(for ((n = 1; n <= PAIRS; n++)); do value "$W/lat.$who.$n" p99_ms; done | median)"
    done
    [ -n "$NATIVE" ] || figure latency_p50_ratio "$(median <"$W/lat.ratios50")"
    [ -n "$NATIVE" ] || figure latency_p99_ratio "$(median <"$W/lat.ratios")"
    q target 'ALTER SUBSCRIPTION lat SET (slot_name = NONE); DROP SUBSCRIPTION lat' lat_native
    q source "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots" postgres >/dev/null
}

# --- drain -------------------------------------------------------------------------------------------------------------
DRAINS=2
contacts() {
    q "$1" 'CREATE TABLE contacts (id bigint PRIMARY KEY, email text, first text, last text, company text, n int, amt numeric(12,2), at timestamptz)' "$2"
}
backlog() {
    qf source backlog >/dev/null <<SQL
DO \$\$ BEGIN
    FOR t IN 0 .. $ROWS / 10000 - 1 LOOP
        INSERT INTO contacts SELECT i, 'user' || i || '@example.com', 'First' || i % 1000, 'Last' || i % 5000, 'Company ' || i % 300, i % 100000,
            (i % 1000000) / 100.0, '2026-01-01'::timestamptz + i * interval '1 second' FROM generate_series(t * 10000 + 1, t * 10000 + 10000) i;
        COMMIT;
    END LOOP;
END \$\$;
SQL
    # Something small afterwards, so that the last position of the backlog is a commit of its own.
    q source "INSERT INTO contacts (id) VALUES (0)" backlog
    END=$(q source 'SELECT pg_current_wal_insert_lsn()' backlog)
}
# Wait inside the server, so that the waiting costs next to nothing: until SQL (a condition) holds, 120 s at most.
wait_in() {
    q "$1" "DO \$\$ BEGIN FOR i IN 1 .. 12000 LOOP IF ($3) THEN RETURN; END IF; PERFORM pg_sleep(0.01); END LOOP; RAISE 'not within 120 s'; END \$\$" "$2"
}
# Highest RssAnon + RssShmem of a process, in kB, to a file, until it ends.
rss_watch() {
    local max=0 now key val rest
    while [ -e "/proc/$1/status" ]; do
        now=0
        while read -r key val rest; do
            case $key in RssAnon:|RssShmem:) now=$((now + val)) ;; esac
        done <"/proc/$1/status" 2>/dev/null
        [ $now -le $max ] || { max=$now; echo "$max" >"$2"; }
        sleep 0.1
    done
}
drain_recvlogical() { # RUN
    local from to
    from=$(now)
    pg_recvlogical -d "$(dsn source backlog)" --slot "recv$1" --start --no-loop -o proto_version=1 -o publication_names=backlog -f /dev/null --endpos "$END" ||
        die "pg_recvlogical failed"
    to=$(now)
    per_second "$ROWS" "$from" "$to" >>"$W/recv.rates"
    note "# pg_recvlogical run $1: $(tail -n 1 "$W/recv.rates") rows/s"
}
drain_bus() { # RUN
    local from to
    from=$(now)
    agent_start "bus$1"
    rss_watch "${AGENT_PID[bus$1]}" "$W/rss.bus$1" & CHILDREN+=($!)
    wait_in source backlog "(SELECT confirmed_flush_lsn >= '$END' FROM pg_replication_slots WHERE slot_name = 'tailrace_bus$1')" || { tail "$W/bus$1/log"; die "not drained to the bus"; }
    to=$(now)
    agent_stop "bus$1"
    per_second "$ROWS" "$from" "$to" >>"$W/bus.rates"
    note "# tailrace to the bus run $1: $(tail -n 1 "$W/bus.rates") rows/s, $(cat "$W/rss.bus$1") kB"
}
drain_apply() {
    local from to
    from=$(now)
    agent_start apply
    rss_watch "${AGENT_PID[apply]}" "$W/rss.apply" & CHILDREN+=($!)
    wait_in target apply "EXISTS (SELECT 1 FROM contacts WHERE id = 0)" || { tail "$W/apply/log"; die "not applied"; }
    to=$(now)
    agent_stop apply
    figure apply_rows_s "$(per_second "$ROWS" "$from" "$to")"
}
drain_native_apply() {
    local from to
    from=$(now)
    q target 'ALTER SUBSCRIPTION backlog ENABLE' native
    wait_in target native "EXISTS (SELECT 1 FROM contacts WHERE id = 0)" || die "the subscription did not apply"
    to=$(now)
    q target 'ALTER SUBSCRIPTION backlog DISABLE' native
    figure native_apply_rows_s "$(per_second "$ROWS" "$from" "$to")"
}
# Every slot is there before the backlog; each reader has its own.
drain_prepare() {
    local n db
    q source 'CREATE DATABASE backlog' postgres
    for db in apply native; do q target "CREATE DATABASE $db" postgres; done
    contacts source backlog; contacts target native; contacts target apply
    q source 'CREATE PUBLICATION backlog FOR TABLE contacts' backlog
    q target "CREATE SUBSCRIPTION backlog CONNECTION '$(dsn source backlog)' PUBLICATION backlog WITH (synchronous_commit = 'on')" native 2>/dev/null
    until_true 20 q_in target native "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'" 0
    q target 'ALTER SUBSCRIPTION backlog DISABLE' native
    for ((n = 1; n <= DRAINS; n++)); do
        q source "SELECT pg_create_logical_replication_slot('recv$n', 'pgoutput')" backlog >/dev/null
        [ -n "$NATIVE" ] || drain_agent "bus$n" "host=127.0.0.1 port=1 user=postgres dbname=none connect_timeout=1"
    done
    [ -n "$NATIVE" ] || drain_agent apply "$(dsn target apply)"
}
# An agent that has made its slot and ended.
drain_agent() {
    C_SOURCE=$(dsn source backlog) C_TABLES=public.contacts C_TARGET=$2 agent_config "$1" source target
    agent_start "$1"
    streaming "$1" 30 || { tail "$W/$1/log"; die "agent $1 does not stream"; }
    agent_stop "$1"
}
drain_run() {
    local n
    drain_prepare
    backlog
    for ((n = 1; n <= DRAINS; n++)); do
        drain_recvlogical "$n"
        [ -n "$NATIVE" ] || drain_bus "$n"
        [ -n "$NATIVE" ] || ratio "$(tail -n 1 "$W/bus.rates")" "$(tail -n 1 "$W/recv.rates")" >>"$W/drain.ratios"
    done
    figure pg_recvlogical_rows_s "$(median <"$W/recv.rates")"
    drain_native_apply
    [ -n "$NATIVE" ] || drain_apply
    [ -z "$NATIVE" ] || return 0
    figure drain_rows_s "$(median <"$W/bus.rates")"
    figure drain_ratio "$(median <"$W/drain.ratios")"
    figure rss_mb_max "$(cat "$W"/rss.* | sort -g | tail -n 1 | awk '{ printf "%.1f\n", $1 / 1024 }')"
}

# --- the table of docs/performance.md ---------------------------------------------------------------------------------------
row() { # TITLE OURS PEER AIM
    local a b; a=$(value "$W/figures" "$2") b=$(value "$W/figures" "$3")
    printf '| %s | %s | %s | %s |\n' "$1" "${a:--}" "${b:--}" "$4"
}
docs_table() {
    printf '<!-- figures: begin (written by make bench-docs) -->\n'
    printf 'Measured %s, %s, %s, PostgreSQL %s on both sides, commit %s.\n\n' "$(date -u +%Y-%m-%d)" "$(sed -n "s/^PRETTY_NAME=\"\(.*\)\"/\1/p" /etc/os-release)" \
        "$(nproc) cores" "$(q source 'SHOW server_version' postgres)" "$(git -C "$TR_SRC" rev-parse --short HEAD 2>/dev/null || echo unknown)"
    printf '| | tailrace | PostgreSQL itself | aim |\n|---|---|---|---|\n'
    row 'commit to visible, p50, ms' latency_p50_ms native_latency_p50_ms ''
    row 'commit to visible, p99, ms' latency_p99_ms native_latency_p99_ms "at most 1.5 times; now $(value "$W/figures" latency_p99_ratio)"
    row 'backlog to the durable bus / pg_recvlogical, rows/s' drain_rows_s pg_recvlogical_rows_s "at least as fast; now $(value "$W/figures" drain_ratio) times"
    row 'backlog applied / subscription, rows/s' apply_rows_s native_apply_rows_s ''
    row 'memory (RssAnon + RssShmem), MB' rss_mb_max none 'at most 64'
    printf '<!-- figures: end -->\n'
}
docs_write() {
    local file=$TR_SRC/docs/performance.md
    docs_table >"$W/table"
    awk -v t="$W/table" '/<!-- figures: begin/ { while ((getline l < t) > 0) print l; skip = 1 } !skip { print } /<!-- figures: end/ { skip = 0 }' "$file" >"$W/page"
    cp "$W/page" "$file"
    note "wrote $file"
}

BENCH_CONF='synchronous_commit = on
shared_buffers = 512MB
max_wal_size = 8GB
checkpoint_timeout = 30min
autovacuum = off'
pg_start source "$VERSION" "$BENCH_CONF"
pg_start target "$VERSION" "$BENCH_CONF"
[ "$PART" = drain ] || lat_run
[ "$PART" = latency ] || drain_run
[ -z "$DOCS" ] || [ -n "$PART" ] || [ -n "$NATIVE" ] || docs_write
