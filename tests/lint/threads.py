#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each row of tests/threads.tsv names a test that is there."""
import pathlib
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
table = root / "tests" / "threads.tsv"
found = []
seen = set()
for number, line in enumerate(table.read_text(encoding="utf-8").splitlines() if table.exists() else [], 1):
    if line.startswith("#") or not line:
        continue
    fields = line.split("\t")
    if len(fields) != 5:
        found.append(f"{table}:{number}: {len(fields)} fields instead of 5")
        continue
    seen.add(fields[0])
    file = root / fields[3]
    if not file.exists() or fields[4] not in file.read_text(encoding="utf-8"):
        found.append(f"{table}:{number}: {fields[3]} has no {fields[4]}")
print("\n".join(found))
sys.exit(1 if found else 0)
