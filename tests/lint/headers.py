#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: headers.py [ROOT]   Every header compiles alone; every function in it has a contract.

A contract is a comment directly above the declaration or above the group (lines without an empty
one between) that it stands in. Every C file begins with its licence line. CC names the compiler.
"""
import os
import re
import shlex
import subprocess
import tempfile

from csource import ROOT, bare, done, fault, files, read

LIBRARIES = ["libpq", "lmdb", "liblz4", "libfyaml", "jansson", "libcurl", "libmicrohttpd", "libcrypto"]


def flags():
    found = []
    for library in LIBRARIES:
        out = subprocess.run(["pkg-config", "--cflags", library], capture_output=True, text=True,
                             check=False)
        found += shlex.split(out.stdout)
    return found


def compile_alone(paths):
    """All headers, each in a unit of its own, twice included so that guards are seen to work."""
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(paths):
            unit = os.path.join(folder, f"{number}.c")
            with open(unit, "w", encoding="utf-8") as f:
                f.write(f'#include "{path}"\n#include "{path}"\nextern int unit_{number};\n')
            out = subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-std=gnu11", "-D_GNU_SOURCE",
                                  "-fsyntax-only", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}", *FLAGS,
                                  unit], capture_output=True, text=True, check=False)
            if out.returncode:
                fault(path, 1, "does not compile alone: " + out.stderr.strip().split("\n")[0])


def contracts(path):
    raw = read(path).split("\n")
    lines = bare(read(path)).split("\n")
    depth, start = 0, None
    for at, line in enumerate(lines):
        if not depth and start is None and line.strip() and "{" not in line:
            start = at
        depth += line.count("{") - line.count("}")
        if depth or not line.rstrip().endswith((";", "}")):
            continue
        first, start = start, None
        if first is None:
            continue
        text = " ".join(lines[first:at + 1])
        if "(" not in text or re.match(r"\s*(typedef|static|struct \w+ \{|extern const)", text):
            continue
        top = first
        while top and raw[top - 1].strip():
            top -= 1
        if not any("*/" in above for above in raw[top:first]):
            name = re.search(r"(\w+)\s*\(", text)
            fault(path, first + 1, f"{name.group(1)} has no contract above it or its group")


FLAGS = flags()
HEADERS = files(".h")
compile_alone(HEADERS)
for header in HEADERS:
    contracts(header)
for source in files(".c", ".h"):
    if "SPDX-License-Identifier: Apache-2.0" not in read(source).split("\n", 1)[0]:
        fault(source, 1, "does not begin with its licence line")
done()
