#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: run.sh [SECONDS [TARGET...]]   (60, all of them)
# Builds each libFuzzer target of this folder with clang, with address and undefined-behaviour sanitizers, and runs it for its
# part of that time on seeds made from the vectors and on its corpus (corpus/TARGET.hex, one input a line).
# Prints fuzz_TARGET_runs=N, "ok - fuzz TARGET", and at the end crashes=N. A crash fails and leaves its input.
# TR_FUZZ_KEEP=1: what was found is merged into corpus/TARGET.hex.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- pgoutput test_decoding avro
work=$(mktemp -d "${TMPDIR:-/tmp}/tailrace-fuzz.XXXXXX")
command -v clang >/dev/null || { echo "clang is missing" >&2; exit 1; }
each=$((seconds / $#)) crashes=0

# The parts that the targets need; nothing of them does I/O.
base="agent/base/arena.c agent/base/buf.c agent/base/config.c agent/base/err.c agent/base/str.c"
decoders="schemas/relation.c decoders/decoders.c $(cd "$root" && echo decoders/*/*.c) tests/unit/decoders/dump.c tests/fuzz/lines.c"
# What needs the store or compares schemas is not part of the reader.
schemas=$(cd "$root" && for f in schemas/*.c; do case $f in */registry_*.c | */evolve.c) ;; *) echo "$f" ;; esac; done)

build() { # TARGET: to $work/TARGET
    case $1 in avro) sources=$schemas libs="-ljansson -lcrypto -lm" ;; *) sources=$decoders libs='' ;; esac
    # shellcheck disable=SC2086
    (cd "$root" && clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -D_GNU_SOURCE \
        -I. $base $sources "tests/fuzz/$1.c" $libs -o "$work/$1")
}
seeds() { # TARGET: to $work/seeds-TARGET
    mkdir -p "$work/seeds-$1" "$work/found-$1"
    python3 "$here/seeds.py" "$1" "$root/tests/cases" "$here/corpus/$1.hex" "$work/seeds-$1"
    [ "$1" != avro ] || TR_FUZZ_SEED="$work/seeds-$1/event" "$work/$1" -runs=1 >/dev/null 2>&1
}
keep() { # TARGET: the least set of inputs that reaches all that was reached
    mkdir "$work/merged-$1"
    (cd "$work" && "./$1" -merge=1 -max_len=2048 "merged-$1" "found-$1" "seeds-$1" >"merge-$1.log" 2>&1)
    mkdir -p "$here/corpus"
    python3 -c 'import os, sys
d = sys.argv[1]
print("\n".join(sorted((open(os.path.join(d, n), "rb").read().hex() for n in os.listdir(d)), key=lambda h: (len(h), h))))' "$work/merged-$1" >"$here/corpus/$1.hex"
}
for target; do
    build "$target"
    seeds "$target"
    status=0
    (cd "$work" && "./$target" -max_total_time="$each" -max_len=4096 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
        "found-$target" "seeds-$target") 2>"$work/log-$target" || status=$?
    echo "fuzz_${target}_runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log-$target")"
    if [ "$status" -ne 0 ]; then
        crashes=$((crashes + 1))
        tail -n 40 "$work/log-$target" >&2
        echo "not ok - fuzz $target: a crash (files in $work)"
    else
        echo "ok - fuzz $target"
        [ -z "${TR_FUZZ_KEEP:-}" ] || keep "$target"
    fi
done
echo "crashes=$crashes"
[ $crashes -eq 0 ] || exit 1
rm -rf "$work"
