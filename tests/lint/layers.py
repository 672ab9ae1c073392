#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: layers.py [ROOT]   Include layers, from #include lines.

base <- net <- schemas <- decoders, sinks <- source, bus, lag <- hub <- http, cli <- main, run.
A file may include its own layer and those below. Besides: decoders and sinks do not know each
other, a sink knows no other sink, and folders do not include each other in a circle.
"""
import re

from csource import done, fault, files, read

RANK = {"agent/base": 0, "agent/net": 1, "schemas": 2, "decoders": 3, "sinks": 3, "agent/source": 4,
        "agent/bus": 4, "agent/lag": 4, "agent/hub": 5, "agent/http": 6, "agent/cli": 6, "agent": 7}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)


def folder(path):
    if path.endswith(".def"):
        return "agent/base"  # tables: any layer may read their rows
    for name in sorted(RANK, key=len, reverse=True):
        if path.startswith(name + "/"):
            return name
    return None


def part(path):
    """The connector or decoder that a file belongs to."""
    pieces = path.split("/")
    return pieces[1] if len(pieces) > 2 and pieces[0] in ("sinks", "decoders") else None


edges = {}
for path in files(".c", ".h"):
    mine = folder(path)
    if mine is None:
        continue
    text = read(path)
    for match in INCLUDE.finditer(text):
        target = match.group(1)
        line = text.count("\n", 0, match.start()) + 1
        if target == "config.h":
            continue
        other = folder(target)
        if other is None:
            fault(path, line, f'"{target}" is not included from the root of the tree')
            continue
        if RANK[other] > RANK[mine]:
            fault(path, line, f"{mine} is below {other} and must not include {target}")
        if {mine, other} == {"sinks", "decoders"}:
            fault(path, line, "sinks and decoders must not know each other")
        if mine == other and part(path) and part(target) not in (None, part(path), "kit"):
            fault(path, line, f"{part(path)} must not know {part(target)}")
        if mine != other:
            edges.setdefault(mine, {}).setdefault(other, f"{path}:{line}")

for mine, others in edges.items():
    for other, where in others.items():
        if mine in edges.get(other, {}) and mine < other:
            name, line = where.rsplit(":", 1)
            fault(name, line, f"{mine} and {other} include each other (see {edges[other][mine]})")
done()
