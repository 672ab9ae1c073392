#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: run.sh [SECONDS]   (60)
# Builds each libFuzzer target of this folder with clang and runs it for that long on seeds made
# from the vectors. Prints fuzz_<target>_runs=N; a crash fails and leaves its input beside the seeds.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
seconds=${1:-60}
work=$(mktemp -d "${TMPDIR:-/tmp}/tailrace-fuzz.XXXXXX")
command -v clang >/dev/null || { echo "clang is missing" >&2; exit 1; }

# The parts that a target needs; nothing of them does I/O.
sources="agent/base/arena.c agent/base/buf.c agent/base/err.c agent/base/str.c schemas/relation.c
    decoders/decoders.c decoders/pgoutput/pgoutput.c decoders/pgoutput/relcache.c
    decoders/pgoutput/rows.c tests/unit/decoders/dump.c"

cd "$root"
# shellcheck disable=SC2086
clang -std=gnu11 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -D_GNU_SOURCE \
    -I. $sources tests/fuzz/pgoutput.c -o "$work/pgoutput"

# One seed a case of the vectors: its messages, each behind its length.
mkdir "$work/seeds"
python3 - tests/cases/pgoutput.tsv tests/cases/pgoutput_bad.tsv "$work/seeds" <<'PY'
import collections, sys
*files, out = sys.argv[1:]
seeds = collections.defaultdict(bytes)
for name in files:
    for line in open(name, encoding="utf-8"):
        if line.startswith("#"):
            continue
        case, server, _, data = line.split("\t")[:4]
        data = bytes.fromhex(data)
        seeds[f"{case}-{server}"] += len(data).to_bytes(2, "big") + data
for name, data in seeds.items():
    open(f"{out}/{name}", "wb").write(data)
PY

status=0
(cd "$work" && ./pgoutput -max_total_time="$seconds" -max_len=8192 -print_final_stats=1 seeds) \
    2>"$work/log" || status=$?
echo "fuzz_pgoutput_runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")"
if [ "$status" -ne 0 ]; then
    tail -n 40 "$work/log" >&2
    echo "not ok fuzz pgoutput (files in $work)"
    exit 1
fi
echo "ok fuzz pgoutput"
rm -rf "$work"
