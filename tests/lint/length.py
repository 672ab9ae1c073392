#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: length.py [ROOT]   Functions of at most 70 lines, files of 800, 5 parameters.

`struct err *` and `const struct env *` are not counted as parameters: every function that can fail
or wait carries them, in the same place, and they tell nothing apart.
length.allow names functions that may have more parameters, each with its reason.
"""
import os
import re

from csource import bare, done, fault, files, functions, read

LINES, FILE_LINES, PARAMETERS = 70, 800, 5
CARRIED = re.compile(r"^(struct err \*|(const )?struct env \*)\w*$")

allowed = {}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "length.allow"),
          encoding="utf-8") as rows:
    for row in rows:
        if row.strip() and not row.startswith("#"):
            name, reason = row.split(None, 1)
            allowed[name] = reason

for path in files(".c", ".h"):
    text = read(path)
    if text.count("\n") > FILE_LINES:
        fault(path, FILE_LINES, f"file has {text.count(chr(10))} lines, at most {FILE_LINES}")
    for f in functions(bare(text)):
        lines = f.last - f.first + 1
        if lines > LINES:
            fault(path, f.first, f"{f.name} has {lines} lines, at most {LINES}")
        own = [p for p in f.parameters if not CARRIED.match(p)]
        if len(own) > PARAMETERS and f.name not in allowed:
            fault(path, f.first, f"{f.name} has {len(own)} parameters, at most {PARAMETERS}")
done()
