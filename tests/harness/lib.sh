# shellcheck shell=bash disable=SC2034,SC2015
# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts of tests/integration and tests/bench: servers, agents, waiting, counting, taking away.
#
# Everything lives under $W, a fresh directory; what was started is known by its pid, stopped and removed when the script
# ends, whichever way. With a failed case $W is kept and named, so that logs can be read. Each case says one line,
# "ok - NAME" or "not ok - NAME: why"; finish prints the count.
#   TAILRACE        the binary; default: the newest of build-quick, build-gcc and build
#   TR_PORT_BASE    first port that may be used; default: by the pid, so that scripts run side by side
#   TR_KEEP         yes: keep $W in any case; no: in none
set -uo pipefail

TR_SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if [ -z "${TAILRACE:-}" ]; then
    # shellcheck disable=SC2012
    TAILRACE=$(ls -t "$TR_SRC"/build-quick/tailrace "$TR_SRC"/build-gcc/tailrace "$TR_SRC"/build/tailrace 2>/dev/null | head -n 1)
fi
PORT_NEXT=${TR_PORT_BASE:-$((20000 + $$ % 187 * 64))}
PASSED=0 FAILED=0 CASE=
AGENTS=() SERVERS=() CHILDREN=()
declare -A PG_VERSION PG_PORT PG_DB AGENT_PID AGENT_HTTP

note() { printf '%s\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
ok() { PASSED=$((PASSED + 1)); printf 'ok - %s\n' "$*"; }
bad() { FAILED=$((FAILED + 1)); printf 'not ok - %s\n' "$*"; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

work_open() {
    W=$(mktemp -d "${TMPDIR:-/tmp}/tailrace-test.XXXXXX")
    chmod 711 "$W"
    trap work_close EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}
work_close() {
    local code=$? x
    trap - EXIT INT TERM HUP
    for x in ${CHILDREN[@]+"${CHILDREN[@]}"}; do pid_stop "$x" 3; done
    for x in ${AGENTS[@]+"${AGENTS[@]}"}; do pid_stop "${AGENT_PID[$x]:-}" 5; done
    for x in ${SERVERS[@]+"${SERVERS[@]}"}; do pg "$x" stop >/dev/null 2>&1; done
    ! mountpoint -q "$W/mount" || as_root umount "$W/mount"
    if [ "${TR_KEEP:-}" != no ] && { [ $code -ne 0 ] || [ $FAILED -gt 0 ] || [ -n "${TR_KEEP:-}" ]; }; then
        rm -rf "$W"/*/data "$W"/*/state
        note "logs are kept in $W"
    else
        rm -rf "$W"
    fi
    exit $code
}
# finish: the count, and the exit code.
finish() { note "$PASSED passed, $FAILED failed"; [ $FAILED -eq 0 ]; exit; }

# pid_lives PID: it runs; a zombie does not.
pid_lives() { [ -n "${1:-}" ] && grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status"; }
# pid_stop PID SECONDS: TERM, then KILL, of one process that this script started.
pid_stop() {
    pid_lives "${1:-}" || return 0
    local n=$(($2 * 20))
    kill -TERM "$1" 2>/dev/null
    while pid_lives "$1" && [ $n -gt 0 ]; do sleep 0.05; n=$((n - 1)); done
    ! pid_lives "$1" || kill -KILL "$1" 2>/dev/null
    wait "$1" 2>/dev/null
    return 0
}
# until_true SECONDS COMMAND...: true within that time.
until_true() {
    local end=$(($(date +%s%N) + $1 * 1000000000)); shift
    until "$@"; do
        [ "$(date +%s%N)" -lt $end ] || return 1
        sleep 0.1
    done
}
# port_new: sets PORT to a port on which nothing listens.
port_new() {
    PORT=$(awk -v p="$PORT_NEXT" '$4 == "0A" { split($2, a, ":"); used[a[2]] = 1 }
        END { while (sprintf("%04X", p) in used) p++; print p }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)
    PORT_NEXT=$((PORT + 1))
}

# --- PostgreSQL servers --------------------------------------------------------------------------------------------
# pg_start NAME VERSION [CONF-LINES]: a new server; pg NAME ACTION: start, stop, crash and so on of it.
pg_start() {
    port_new
    PG_VERSION[$1]=$2 PG_PORT[$1]=$PORT PG_DB[$1]=postgres
    mkdir -p "$W/$1"
    printf 'shared_buffers = 128MB\nmax_wal_size = 2GB\n%s\n' "${3:-}" >"$W/$1/extra.conf"
    SERVERS+=("$1")
    pg "$1" start || die "PostgreSQL $2 ($1) did not start"
}
pg() { "$TR_SRC/tests/peers/postgres.sh" "${PG_VERSION[$1]}" "$W/$1" "${PG_PORT[$1]}" "${@:2}"; }
# dsn NAME [DB]: libpq connection string over TCP; sock NAME [DB]: over the unix socket.
dsn() { echo "host=127.0.0.1 port=${PG_PORT[$1]} user=postgres dbname=${2:-${PG_DB[$1]}}"; }
sock() { echo "host=$W/$1/s port=${PG_PORT[$1]} user=postgres dbname=${2:-${PG_DB[$1]}}"; }
# q NAME SQL [DB]: run it, print rows; qf NAME [DB]: SQL from standard input.
q() { PGCONNECT_TIMEOUT=5 psql -XqAt -v ON_ERROR_STOP=1 -d "$(sock "$1" "${3:-}")" -c "$2"; }
qf() { PGCONNECT_TIMEOUT=5 psql -XqAt -v ON_ERROR_STOP=1 -d "$(sock "$1" "${2:-}")" -f -; }
q_is() { [ "$(q "$1" "$2" 2>/dev/null)" = "$3" ]; }
# database NAME DB: a fresh database, used from now on by q, dsn and sock.
database() {
    PG_DB[$1]=postgres
    q "$1" "CREATE DATABASE \"$2\"" || die "cannot make database $2"
    PG_DB[$1]=$2
}

# --- agents ------------------------------------------------------------------------------------------------------------
# agent_config AGENT SOURCE TARGET [SED-LIKE LINES]: $W/AGENT/tailrace.yaml. Overrides by variables, each with its default:
#   C_NAME C_SOURCE C_TABLES C_SOURCE_MORE C_TARGET C_TARGET_MORE C_BUS C_MORE C_STATE
agent_config() {
    mkdir -p "$W/$1"
    port_new
    AGENT_HTTP[$1]=$PORT
    cat >"$W/$1/tailrace.yaml" <<YAML
name: ${C_NAME:-$1}
state: ${C_STATE:-$W/$1/state}
source:
  postgres: "${C_SOURCE:-$(dsn "$2")}"
  tables: [${C_TABLES:-public.*}]
  sentinel_ms: ${C_SENTINEL:-1000}
  backoff_max_ms: ${C_BACKOFF:-1000}
${C_SOURCE_MORE:-}
bus: { ${C_BUS:-max_mb: 4096} }
targets:
  copy:
    connector: postgres
    url: "${C_TARGET:-$(dsn "$3")}"
${C_TARGET_MORE-    create: true}
routes:
  - { to: copy }
http: { listen: 127.0.0.1:$PORT }
${C_MORE:-}
YAML
    chmod 600 "$W/$1/tailrace.yaml"
    cp -p "$W/$1/tailrace.yaml" "$W/$1/asked.yaml" # stays good when a test makes the other one bad
}
# agent_start AGENT [ENV=VALUE...]: run it in the background; its log is $W/AGENT/log.
agent_start() {
    local a=$1; shift
    env "$@" "$TAILRACE" run --config "$W/$a/tailrace.yaml" >>"$W/$a/out" 2>>"$W/$a/log" &
    AGENT_PID[$a]=$!
    case " ${AGENTS[*]-} " in *" $a "*) ;; *) AGENTS+=("$a") ;; esac
}
agent_lives() { pid_lives "${AGENT_PID[$1]}"; }
agent_stop() { pid_stop "${AGENT_PID[$1]}" 35; }
agent_kill() { kill -KILL "${AGENT_PID[$1]}" 2>/dev/null; wait "${AGENT_PID[$1]}" 2>/dev/null; return 0; }
# agent_exit AGENT SECONDS: wait for its end and set CODE; 1 when it still runs after that time.
agent_exit() {
    local n=$(($2 * 20))
    while agent_lives "$1"; do
        n=$((n - 1)); [ $n -gt 0 ] || return 1
        sleep 0.05
    done
    wait "${AGENT_PID[$1]}"; CODE=$?
}
cli() { local a=$1; shift; "$TAILRACE" "$@" --config "$W/$a/tailrace.yaml"; }
# status AGENT JQ-FILTER: a value of the status, "" when it cannot be asked.
status() { cli "$1" status --json 2>/dev/null | jq -r "$2" 2>/dev/null; }
status_is() { [ "$(status "$1" "$2")" = "$3" ]; }
log_has() { grep -qE -- "$2" "$W/$1/log"; }
streaming() { until_true "${2:-30}" status_is "$1" .source.state streaming; }
# synced SOURCE TARGET SECONDS: copies are at their end, and every commit of the source so far is on the target (shown by a
# row of tr_mark that follows them).
# agents_copied: no agent that lives has rows left to copy; one that cannot be asked yet may have.
agents_copied() {
    local a
    for a in ${AGENTS[@]+"${AGENTS[@]}"}; do
        agent_lives "$a" && [ -e "$W/$a/asked.yaml" ] || continue
        [ "$("$TAILRACE" status --json --config "$W/$a/asked.yaml" 2>/dev/null |
            jq 'if (.source.state | IN("starting", "waiting", "copying")) then 1 else (.snapshots | length) end' 2>/dev/null)" = 0 ] || return 1
    done
}
MARK=0
mark_table() { q "$1" 'CREATE TABLE IF NOT EXISTS tr_mark (n bigint PRIMARY KEY, at timestamptz DEFAULT now())'; }
synced() {
    MARK=$((MARK + 1))
    until_true "$3" agents_copied || return 1
    q "$1" "INSERT INTO tr_mark VALUES ($MARK)" || return 1
    until_true "$3" q_is "$2" "SELECT count(*) FROM tr_mark WHERE n = $MARK" 1
}
# same SOURCE TARGET TABLE...: equal rows on both, by digest and count, apart from tailrace's own verify.
digest() { q "$1" "SELECT count(*) || ' ' || coalesce(sum(('x' || substr(md5(t::text), 1, 15))::bit(60)::bigint), 0) FROM $2 t"; }
same() {
    local s=$1 d=$2 t a b; shift 2
    for t; do
        a=$(digest "$s" "$t") b=$(digest "$d" "$t")
        [ "$a" = "$b" ] && [ -n "$a" ] || { note "  table $t differs: $s has $a, $d has $b"; return 1; }
    done
}
verified() { cli "$1" verify >"$W/$1/verify" 2>&1 && grep -qE '^equal: [1-9][0-9]* tables?, [0-9]+ rows?' "$W/$1/verify" || { sed 's/^/  /' "$W/$1/verify"; return 1; }; }

# case_run NAME FUNCTION: run it in this shell; it calls must to state what holds. One result a case.
must() {
    local what=$1; shift
    [ -z "$WHY" ] || return 1
    "$@" || { WHY=$what; return 1; }
}
case_run() {
    CASE=$1 WHY=''
    local from; from=$(date +%s)
    "$2"
    if [ -z "$WHY" ]; then ok "$1 ($(($(date +%s) - from)) s)"; else bad "$1: $WHY"; fi
}
# args_need COMMAND...: programs that the script cannot do without.
args_need() { local c; for c; do command -v "$c" >/dev/null || die "$c is missing; ./check.sh installs what the tests need"; done; }
need_agent() { [ -x "${TAILRACE:-}" ] || die "no tailrace binary: build it first, or set TAILRACE"; }
