#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: ./quickstart.sh [--seconds N] [--stay] [--source DSN --target DSN]
#
# Builds tailrace and shows it at work: a small shop database under load, copied change by change into a second
# PostgreSQL, with the lag on the screen; then compares both and takes everything away again.
#   --seconds N   how long the load runs (30)
#   --stay        leave it running and say how to look at it and how to stop it
#   --source DSN, --target DSN
#                 use these databases instead of throw-away servers; a schema "tailrace_shop" is made in both,
#                 and dropped at the end
# Packages that the build needs are installed with apt when they are missing. Everything else lives under one temporary
# directory, and is stopped and removed at the end, also after Ctrl-C.
set -eu
top=$(cd "$(dirname "$0")" && pwd)
. "$top/tests/harness/packages.sh"

usage() { sed -n '3,13s/^# \{0,1\}//p' "$0"; exit "${1:-2}"; }
say() { printf '%s\n' "$*"; }
fail() { say "quickstart: $*" >&2; exit 1; }

seconds=30 stay='' src='' dst=''
while [ $# -gt 0 ]; do
    case $1 in
        --seconds) [ $# -gt 1 ] || usage; seconds=$2; shift ;;
        --seconds=*) seconds=${1#*=} ;;
        --stay) stay=1 ;;
        --source) [ $# -gt 1 ] || usage; src=$2; shift ;;
        --source=*) src=${1#*=} ;;
        --target) [ $# -gt 1 ] || usage; dst=$2; shift ;;
        --target=*) dst=${1#*=} ;;
        -h|--help) usage 0 ;;
        *) usage ;;
    esac
    shift
done
case $seconds in ''|*[!0-9]*) fail "--seconds wants a number" ;; esac
[ "$seconds" -gt 0 ] || fail "--seconds wants a number above zero"
[ -z "$src" ] && [ -z "$dst" ] || { [ -n "$src" ] && [ -n "$dst" ]; } || fail "--source and --target go together"

# --- build -----------------------------------------------------------------------------------------------------------
build() {
    build=${TAILRACE_BUILD:-$top/build-quick}
    if [ ! -x "$top/configure" ]; then
        say "preparing the build"
        (cd "$top" && ./autogen.sh) >"$work/build.log" 2>&1 || { tail -n 20 "$work/build.log" >&2; fail "autogen.sh failed"; }
    fi
    mkdir -p "$build"
    if [ ! -f "$build/Makefile" ]; then
        say "configuring"
        (cd "$build" && "$top/configure" -q) >"$work/build.log" 2>&1 || { tail -n 20 "$work/build.log" >&2; fail "configure failed"; }
    fi
    say "building"
    make -s -C "$build" -j"$(nproc 2>/dev/null || echo 2)" tailrace >"$work/build.log" 2>&1 ||
        { grep -E 'error|Error' "$work/build.log" | head -n 20 >&2; fail "the build failed"; }
    tailrace=$build/tailrace
}

# --- take away what was started, whatever happened ---------------------------------------------------------------------
# lives PID: it runs; a process that ended and was not waited for yet does not.
lives() { [ -n "$1" ] && grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status"; }
# stop PID [SECONDS]: end one process that this script started and wait for it.
stop() {
    lives "$1" || return 0
    kill -TERM "$1" 2>/dev/null
    _n=$(( ${2:-10} * 10 ))
    while lives "$1" && [ $_n -gt 0 ]; do sleep 0.1; _n=$((_n - 1)); done
    ! lives "$1" || kill -KILL "$1" 2>/dev/null
    wait "$1" 2>/dev/null
    return 0
}
work='' load_pid='' run_pid='' made_schema='' servers=''
clean() {
    code=$?
    trap - EXIT INT TERM HUP
    set +e
    [ -n "$work" ] || exit $code
    [ $code -eq 0 ] || [ ! -s "$work/tailrace.log" ] || { say "last lines of the log:" >&2; tail -n 15 "$work/tailrace.log" >&2; }
    : >"$work/load.stop"
    stop "$load_pid"
    stop "$run_pid" 35
    if [ -n "$made_schema" ]; then
        "$tailrace" remove --confirm=tailrace_quickstart --config "$work/tailrace.yaml" >/dev/null 2>&1
        for _d in "$src" "$dst"; do
            psql -XqAt -d "$_d" -c 'SET client_min_messages = error; DROP SCHEMA IF EXISTS tailrace_shop CASCADE' >/dev/null 2>&1
        done
    fi
    for _s in $servers; do
        "$top/tests/peers/postgres.sh" debian "$work/$_s" 0 stop >/dev/null 2>&1
    done
    rm -rf "$work"
    exit $code
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# --- the two databases -------------------------------------------------------------------------------------------------
# free_port FROM: the first port from there on which nothing listens.
free_port() {
    awk -v p="$1" '$4 == "0A" { split($2, a, ":"); used[a[2]] = 1 }
        END { while (sprintf("%04X", p) in used) p++; print p }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}
start_server() {
    mkdir -p "$work/$1"
    # Durable as by default; a server for half a minute needs no large cache.
    printf "shared_buffers = 64MB\nmax_wal_size = 256MB\nlog_checkpoints = off\n" >"$work/$1/extra.conf"
    "$top/tests/peers/postgres.sh" debian "$work/$1" "$2" start || fail "PostgreSQL ($1) did not start"
    servers="$servers $1"
}
databases() {
    [ -z "$src" ] || return 0
    port=$(free_port "${TR_PORT_BASE:-27100}")
    say "starting two throw-away PostgreSQL servers under $work"
    start_server source "$port"
    src="host=$work/source/s port=$port user=postgres dbname=postgres"
    port=$(free_port $((port + 1)))
    start_server target "$port"
    dst="host=$work/target/s port=$port user=postgres dbname=postgres"
}
sql() { psql -XqAt -v ON_ERROR_STOP=1 -d "$1" -f -; }

schema() {
    for _d in "$src" "$dst"; do
        _there=$(echo "SELECT 1 FROM pg_namespace WHERE nspname = 'tailrace_shop'" | sql "$_d") || fail "cannot use that database"
        [ -z "$_there" ] || fail "there is a schema tailrace_shop already; it would be lost"
    done
    made_schema=1
    sql "$src" >/dev/null <<'SQL'
CREATE SCHEMA tailrace_shop;
SET search_path = tailrace_shop;
CREATE TYPE order_state AS ENUM ('new', 'paid', 'shipped', 'returned');
CREATE TABLE customers (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE, name text NOT NULL,
    tags text[] NOT NULL DEFAULT '{}', profile jsonb, created timestamptz NOT NULL DEFAULT now());
CREATE TABLE products (sku text PRIMARY KEY, title text NOT NULL, price numeric(10,2) NOT NULL, stock int NOT NULL, token uuid);
CREATE TABLE orders (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, customer bigint NOT NULL REFERENCES customers ON DELETE CASCADE,
    state order_state NOT NULL DEFAULT 'new', placed timestamptz NOT NULL DEFAULT now(), promised interval NOT NULL DEFAULT '2 days');
CREATE TABLE order_items (order_id bigint REFERENCES orders ON DELETE CASCADE, line int, sku text NOT NULL REFERENCES products,
    amount int NOT NULL, price numeric(10,2) NOT NULL, PRIMARY KEY (order_id, line));
CREATE TABLE page_views (at timestamptz NOT NULL DEFAULT clock_timestamp(), customer bigint, path text);
ALTER TABLE page_views REPLICA IDENTITY FULL;
CREATE INDEX ON orders (customer);
CREATE INDEX ON page_views (customer);
INSERT INTO customers (email, name, tags, profile) SELECT 'c' || n || '@example.com', 'Customer ' || n,
    ARRAY['tag' || n % 7, 'tag' || n % 3], jsonb_build_object('level', n % 5, 'notes', repeat('x', n % 50)) FROM generate_series(1, 1000) n;
INSERT INTO products SELECT 'sku-' || n, 'Product ' || n, (n % 500) + 0.50, 100000, gen_random_uuid() FROM generate_series(1, 200) n;
WITH o AS (INSERT INTO orders (customer) SELECT 1 + n % 1000 FROM generate_series(1, 2000) n RETURNING id)
INSERT INTO order_items SELECT id, l, 'sku-' || 1 + (id + l) % 200, l, 9.99 FROM o, generate_series(1, 2) l;
INSERT INTO page_views (customer, path) SELECT n % 1000, '/p/' || n % 200 FROM generate_series(1, 1000) n;
SQL
}

# A mixed load at a steady rate that any machine bears; bounded in rate, and in size by its deletes.
load_script() {
    cat >"$work/load.sql" <<'SQL'
\set c random(1, 1000)
\set s random(1, 200)
\set k random(1, 100)
\if :k <= 35
BEGIN;
INSERT INTO tailrace_shop.orders (customer) VALUES (:c) RETURNING id AS o \gset
INSERT INTO tailrace_shop.order_items SELECT :o, l, 'sku-' || :s, l, 19.90 FROM generate_series(1, 1 + :k % 3) l;
UPDATE tailrace_shop.products SET stock = stock - 1 WHERE sku = 'sku-' || :s;
COMMIT;
\elif :k <= 60
UPDATE tailrace_shop.orders SET state = (enum_range(state))[1 + :k % 4] WHERE id = (SELECT min(id) + :s FROM tailrace_shop.orders);
\elif :k <= 75
INSERT INTO tailrace_shop.page_views (customer, path) VALUES (:c, '/p/' || :s);
\elif :k <= 85
UPDATE tailrace_shop.customers SET name = name || '!', profile = jsonb_build_object('level', :k) WHERE id = :c AND length(name) < 60;
\elif :k <= 95
DELETE FROM tailrace_shop.orders WHERE id = (SELECT min(id) FROM tailrace_shop.orders);
\else
DELETE FROM tailrace_shop.page_views WHERE customer = :c;
\endif
SQL
}
pgbench_bin() { command -v pgbench || find /usr/lib/postgresql -name pgbench 2>/dev/null | sort -V | tail -n 1; }
load() {
    "$pgbench" -n -c 2 -R "${TR_RATE:-300}" -T "$1" --max-tries=20 -f "$work/load.sql" "$src" >"$work/load.log" 2>&1 &
    load_pid=$!
}

configuration() {
    http=$(free_port "${TR_PORT_BASE:-27100}")
    # A quote in a DSN would end the YAML scalar: double it.
    s=$(printf %s "$src" | sed "s/'/''/g") d=$(printf %s "$dst" | sed "s/'/''/g")
    cat >"$work/tailrace.yaml" <<YAML
name: quickstart
state: $work/state
source:
  postgres: '$s'
  tables: [tailrace_shop.*]
targets:
  copy:
    connector: postgres
    url: '$d'
    create: true
routes:
  - { from: tailrace_shop.*, to: copy }
http: { listen: 127.0.0.1:$http }
YAML
    chmod 600 "$work/tailrace.yaml"
}

# Wait until the agent streams, so that the load's lag is that of the stream and not of the first copy.
wait_streaming() {
    _n=600
    while [ $_n -gt 0 ]; do
        lives "$run_pid" || { wait "$run_pid" || :; fail "tailrace ended"; }
        "$tailrace" status --json --config "$work/tailrace.yaml" 2>/dev/null | grep -q '"streaming"' && return 0
        sleep 0.1; _n=$((_n - 1))
    done
    fail "the first copy took longer than a minute"
}

work=$(mktemp -d "${TMPDIR:-/tmp}/tailrace.XXXXXX")
chmod 711 "$work"
need=$BUILD_PACKAGES
command -v psql >/dev/null || need="$need postgresql-client"
[ -n "$src" ] || [ -n "$(find /usr/lib/postgresql -path '*/bin/postgres' 2>/dev/null)" ] || need="$need $SERVER_PACKAGES"
# shellcheck disable=SC2086
packages_install $need || fail "packages are missing"
pgbench=$(pgbench_bin)
[ -n "$pgbench" ] || { packages_install postgresql && pgbench=$(pgbench_bin); }
[ -n "$pgbench" ] || fail "pgbench is missing"
build
databases
schema
configuration
load_script

say "tailrace run: first copy, then the stream; a load of ${TR_RATE:-300} transactions a second for $seconds seconds"
say ""
"$tailrace" run --live --config "$work/tailrace.yaml" 2>"$work/tailrace.log" &
run_pid=$!
wait_streaming
if [ -n "$stay" ]; then load 86400; else load "$seconds"; fi
if [ -n "$stay" ]; then
    sleep "$seconds"
    say ""
    say "It stays. In another terminal:"
    say "  $tailrace top    --config $work/tailrace.yaml"
    say "  $tailrace verify --config $work/tailrace.yaml"
    say "  curl http://127.0.0.1:$http/metrics"
    say "  psql '$src'      (the source; schema tailrace_shop)"
    say "  psql '$dst'      (the target)"
    say "Stop and remove everything: Ctrl-C here, or  kill $$"
    wait "$run_pid" || fail "tailrace ended"
    exit 0
fi
lives "$run_pid" || fail "tailrace ended"
wait "$load_pid" || { tail -n 5 "$work/load.log" >&2; load_pid=; fail "the load failed"; }
load_pid=
lives "$run_pid" || fail "tailrace ended"
say ""
say "load: $(sed -n 's/^number of transactions actually processed: //p' "$work/load.log" | cut -d/ -f1) transactions; comparing source and target"
"$tailrace" verify --config "$work/tailrace.yaml" || fail "source and target differ"
