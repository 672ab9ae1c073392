#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: ./check.sh [--all-postgres] [--kafka] [--only WORD]... [--allow NAME:REASON]...
#
# Installs what the tests need, builds with warnings as errors, runs every test and prints, as the last line,
# "N passed, N failed". The exit code is 0 when nothing failed.
#   --only WORD          only the parts whose name holds WORD: packages, gcc, clang, asan, tsan, lint, fuzz, dist, metrics, or the name of
#                        a script of tests/integration
#   --all-postgres       integration tests on PostgreSQL 14, 16 and 17 too, besides 15 (Debian's) and 18
#   --kafka              what needs a real Kafka and a real registry too (Java, Maven; downloads some 300 MB the first time)
#   --allow NAME:REASON  a result whose name begins with NAME may fail on this machine, for this reason; it is told and
#                        not counted. Nothing is left out in silence.
# Builds are kept in build-gcc, build-clang, build-asan and build-tsan, so that a second run is fast; logs in build-check.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
top=$PWD
. tests/harness/packages.sh

only=() allow=() more_versions=() kafka=
while [ $# -gt 0 ]; do
    case $1 in
        --only) only+=("${2:?}"); shift ;;
        --allow) allow+=("${2:?}"); shift ;;
        --all-postgres) more_versions=(14 16 17) ;;
        --kafka) kafka=1 ;;
        *) sed -n '3,15s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
    shift
done
logs=$top/build-check
mkdir -p "$logs"
passed=0 failed=0 part_from=0
child='' behind=''
trap '[ -z "$child$behind" ] || kill -TERM ${child:+"$child"} ${behind:+"$behind"} 2>/dev/null; exit 130' INT TERM HUP

wanted() {
    local w
    [ ${#only[@]} -gt 0 ] || return 0
    for w in "${only[@]}"; do case $1 in *"$w"*) return 0 ;; esac; done
    return 1
}
# result ok|bad NAME LOG: count one.
result() {
    local a
    if [ "$1" = ok ]; then passed=$((passed + 1)); return; fi
    for a in ${allow[@]+"${allow[@]}"}; do
        case $2 in "${a%%:*}"*) echo "  allowed to fail here: $2 (${a#*:})"; return ;; esac
    done
    failed=$((failed + 1))
    echo "  FAILED: $2   (log: $3)"
}
# run SECONDS LOG COMMAND...: bounded, with its output in the log.
run() {
    local limit=$1 log=$2; shift 2
    timeout -k 20 "$limit" "$@" >"$log" 2>&1 &
    child=$!
    wait $child; local code=$?
    child=''
    [ $code -ne 124 ] || echo "not finished within $limit s" >>"$log"
    return $code
}
# one NAME SECONDS COMMAND...: a command that is one test.
one() {
    local name=$1 limit=$2; shift 2
    local log=$logs/$name.log
    if run "$limit" "$log" "$@"; then result ok "$name" "$log"; else result bad "$name" "$log"; tail -n 5 "$log" | sed 's/^/    /'; fi
}
part() { echo "$1"; part_from=$SECONDS; }
part_end() { echo "  $((SECONDS - part_from)) s; $passed passed, $failed failed so far"; }

# --- builds and unit tests -------------------------------------------------------------------------------------------------
# configure_in NAME ARGS...: configure build-NAME unless it is; a changed configure.ac makes make do it again.
configure_in() {
    local dir=$top/build-$1; shift
    mkdir -p "$dir"
    [ -f "$dir/Makefile" ] || (cd "$dir" && "$top/configure" -q --enable-werror "$@")
}
# unit_count NAME: results of the unit programs of build-NAME; every test inside a program is one.
unit_count() {
    local trs log sum a b c i
    for trs in "$top/build-$1"/tests/unit/*.trs; do
        log=${trs%.trs}.log
        sum=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\)$/\1 \2 \3/p' "$log" | tail -n 1)
        read -r a b c <<<"${sum:-0 0 0}"
        passed=$((passed + a - b - c))
        for ((i = 0; i < b + c; i++)); do result bad "$1 $(basename "$log" .log)" "$log"; done
        [ $((b + c)) -gt 0 ] || grep -q '^:test-result: PASS' "$trs" || result bad "$1 $(basename "$log" .log)" "$log"
        [ "${sum:-}" ] || ! grep -q '^:test-result: PASS' "$trs" || result ok "$1 $(basename "$log" .log)" "$log"
    done
}
build() { # NAME CONFIGURE-ARGS...
    local name=$1
    wanted "$name" || return 0
    part "build and unit tests: $*"
    run 600 "$logs/$name-configure.log" bash -c 'configure_in "$@"' _ "$@" || { result bad "$name configure" "$logs/$name-configure.log"; part_end; return; }
    rm -f "$top/build-$name"/tests/unit/*.trs
    one "$name-build" 1200 make -C "$top/build-$name" -j2 -k all
    run 1200 "$logs/$name-check.log" make -C "$top/build-$name" -j2 -k check
    if compgen -G "$top/build-$name/tests/unit/*.trs" >/dev/null; then unit_count "$name"; else result bad "$name unit tests ran" "$logs/$name-check.log"; fi
    part_end
}
export -f configure_in
export top

# Threads meet in the bus and in lag, so these run under the thread sanitizer.
tsan() {
    local t
    wanted tsan || return 0
    part "thread sanitizer: bus and lag"
    run 600 "$logs/tsan-configure.log" bash -c 'configure_in "$@"' _ tsan --enable-sanitizers=thread || { result bad "tsan configure" "$logs/tsan-configure.log"; part_end; return; }
    for t in test_bus test_lag; do
        if run 600 "$logs/tsan-$t-make.log" make -C "$top/build-tsan" -j2 "tests/unit/$t"; then
            TR_SRCDIR=$top one "tsan-$t" 180 "$top/build-tsan/tests/unit/$t"
        else
            result bad "tsan $t builds" "$logs/tsan-$t-make.log"
        fi
    done
    part_end
}

# --- lint ---------------------------------------------------------------------------------------------------------------
lint() {
    wanted lint || return 0
    part "lint"
    TAILRACE=$top/build-gcc/tailrace run 120 "$logs/lint.log" sh tests/lint/run.sh
    local line seen=0
    while read -r line; do
        case $line in
            "ok lint "*) seen=1; result ok "$line" "$logs/lint.log" ;;
            "not ok lint "*) seen=1; result bad "lint ${line#not ok lint }" "$logs/lint.log"; grep -A 4 -F "$line" "$logs/lint.log" | tail -n +2 | sed 's/^/  /' ;;
        esac
    done < <(grep -E '^(not )?ok lint ' "$logs/lint.log")
    [ $seen = 1 ] || result bad "lint runs" "$logs/lint.log"
    one lint-selftest 180 sh tests/lint/selftest.sh
    one shellcheck 120 shellcheck -S warning -x -P SCRIPTDIR quickstart.sh check.sh tests/peers/*.sh tests/harness/*.sh tests/integration/*.sh tests/bench/*.sh
    part_end
}

# --- the tree as it is given to others -------------------------------------------------------------------------------------
dist() {
    wanted dist || return 0
    part "make distcheck"
    one distcheck 1200 make -C "$top/build-gcc" -j2 distcheck
    part_end
}

# --- fuzzing: a minute over all targets ---------------------------------------------------------------------------------------
fuzz() {
    local line
    wanted fuzz || return 0
    part "fuzzing for 60 s"
    run 400 "$logs/fuzz.log" tests/fuzz/run.sh 60 || grep -q '^not ok - ' "$logs/fuzz.log" || result bad "fuzzing runs" "$logs/fuzz.log"
    while read -r line; do
        case $line in "ok - "*) result ok "${line#ok - }" "$logs/fuzz.log" ;; *) result bad "${line#not ok - }" "$logs/fuzz.log" ;; esac
    done < <(grep -E '^(not )?ok - ' "$logs/fuzz.log")
    grep -E '^(fuzz_[a-z_]*_runs|crashes)=' "$logs/fuzz.log" | sed 's/^/  /'
    part_end
}

# --- integration ------------------------------------------------------------------------------------------------------------
# The lines "# check.sh runs: COMMAND" at the head of a script say how it is run here; without one it runs without arguments.
# A script that prints "ok - NAME" and "not ok - NAME: why" has these counted, any other is one test by its exit code.
script_run() { # FAIL? COMMAND...
    local must_fail=$1; shift
    local name="$*" log line
    log=$logs/$(echo "$name" | tr -c 'A-Za-z0-9\n' '-' | cut -c1-80).log
    part "$name"
    run 600 "$log" env TAILRACE="$top/build-gcc/tailrace" PROBE="$top/build-gcc/tests/bench/probe" ${must_fail:+TR_KEEP=no} "tests/integration/$1" "${@:2}"
    local code=$?
    if [ -n "$must_fail" ]; then
        # A planted fault has to be counted as a loss or a repeat, not as any other failure.
        if [ $code -ne 0 ] && grep -qE '(lost|duplicated)=[1-9]' "$log"; then result ok "$name finds it" "$log"; else result bad "$name finds the planted fault" "$log"; fi
        part_end; return
    fi
    if grep -qE '^(not )?ok - ' "$log"; then
        while read -r line; do
            case $line in "ok - "*) result ok "${line#ok - }" "$log" ;; *) result bad "${line#not ok - }" "$log" ;; esac
        done < <(grep -E '^(not )?ok - ' "$log")
        [ $code -eq 0 ] || grep -q '^not ok - ' "$log" || result bad "$name ended with $code" "$log"
    elif [ $code -eq 0 ]; then result ok "$name" "$log"
    else result bad "$name" "$log"; tail -n 5 "$log" | sed 's/^/    /'; fi
    grep -E '^[a-z_0-9]+=[^ ]+( |$)' "$log" | sed 's/^/  /'
    part_end
}
integration() { # front|behind: scripts whose head says "check.sh runs it behind" are for the second
    local lane=$1 script line version
    for script in tests/integration/*.sh; do
        wanted "$(basename "$script" .sh)" || continue
        if grep -q '^# check\.sh runs it behind' "$script"; then [ "$lane" = behind ] || continue; else [ "$lane" = front ] || continue; fi
        [ -x build-gcc/tailrace ] || { result bad "$(basename "$script"): there is no binary" "$logs/gcc-build.log"; continue; }
        grep -qE '^# check\.sh( --kafka)? runs(:|, must)' "$script" || script_run '' "$(basename "$script")"
        while read -r line; do
            case $line in
                "# check.sh --kafka runs: "*)
                    eval "set -- ${line#*runs: }"
                    if [ -n "$kafka" ]; then script_run '' "$@"; else echo "left out without --kafka: $*"; fi ;;
                "# check.sh runs: "*) eval "set -- ${line#*runs: }"; script_run '' "$@" ;;
                "# check.sh runs, must fail: "*) eval "set -- ${line#*must fail: }"; script_run yes "$@" ;;
                "# check.sh runs, each version: "*)
                    for version in ${more_versions[@]+"${more_versions[@]}"}; do
                        # shellcheck disable=SC2086 # words of a command line
                        set -- ${line#*each version: }
                        script_run '' "${@/#%V/$version}"
                    done ;;
            esac
        done < <(grep -E '^# check\.sh( --kafka)? runs' "$script")
    done
    if [ "$lane" = front ] && [ -n "$kafka" ]; then
        for script in registry_run debezium; do
            if wanted $script; then script_run '' "../peers/$script.sh"; fi
        done
    fi
}

# promtool lies in the package of a server that would start: it is unpacked, not installed.
promtool_get() {
    command -v promtool >/dev/null && return 0
    local dir=${TAILRACE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/tailrace-peers}/promtool
    [ ! -x "$dir/usr/bin/promtool" ] || return 0
    mkdir -p "$dir" && (cd "$dir" && apt-get -qq download prometheus && dpkg -x prometheus_*.deb . && rm -f prometheus_*.deb)
}
export -f promtool_get
prepare() {
    part "packages"
    # shellcheck disable=SC2086
    packages_install $BUILD_PACKAGES $SERVER_PACKAGES $TEST_PACKAGES || { result bad "packages" "the lines above"; echo "$passed passed, $failed failed"; exit 1; }
    one promtool 120 bash -c promtool_get
    PATH=$PATH:${TAILRACE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/tailrace-peers}/promtool/usr/bin
    local version
    for version in 18 ${more_versions[@]+"${more_versions[@]}"}; do
        one "postgresql-$version" 300 tests/peers/postgres.sh "$version" "$logs" 0 fetch
    done
    [ -x configure ] || one autogen 120 ./autogen.sh
    part_end
}

# What needs only the processor, and a script that mostly waits, run behind the servers' tests, at the lowest priority, so that
# these keep their times. Ports are apart.
behind() {
    trap '[ -z "$child" ] || kill -TERM "$child" 2>/dev/null; exit 130' TERM
    renice -n 19 -p $BASHPID >/dev/null
    export CK_TIMEOUT_MULTIPLIER=10
    export TR_PORT_BASE=15000
    passed=0 failed=0 child=''
    lint
    build clang CC=clang
    build asan --enable-sanitizers=address,undefined
    tsan
    fuzz
    dist
    integration behind
    echo "$passed $failed" >"$logs/behind.count"
}

prepare
build gcc
run 120 "$logs/probe.log" make -C build-gcc tests/bench/probe
rm -f "$logs/behind.count"
behind >"$logs/behind.log" 2>&1 &
behind=$!
integration front
wait $behind
cat "$logs/behind.log"
if read -r more_passed more_failed <"$logs/behind.count"; then passed=$((passed + more_passed)) failed=$((failed + more_failed)); else result bad "builds behind the tests end" "$logs/behind.log"; fi
echo "in $SECONDS s; logs in $logs"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
