#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: banned.py [ROOT]   Calls and habits that this tree does without.

Unbounded or ambiguous string calls, allocation on the stack, jumps out of functions; more than one
label in a function, or one that is not `done`; variables of a file outside of tests that are not const.
"""
import re

from csource import bare, done, fault, files, functions, read

CALLS = {
    "strcpy": "buf_add or arena_str", "strcat": "buf_add", "sprintf": "snprintf or buf_addf",
    "vsprintf": "vsnprintf or buf_vaddf", "strtok": "a struct str that moves on",
    "atoi": "str_to_i64", "atol": "str_to_i64",
    "atoll": "str_to_i64", "atof": "strtod with its end checked", "alloca": "an arena",
    "gets": "getline", "setjmp": "a return code", "sigsetjmp": "a return code",
    "longjmp": "a return code", "siglongjmp": "a return code",
}
CALL = re.compile(r"\b(" + "|".join(CALLS) + r")\s*\(")
LABEL = re.compile(r"^[ \t]*(?!default\b)([A-Za-z_]\w*)[ \t]*:(?![:=])", re.M)


def globals_of(text):
    """Definitions at depth 0 that begin with static and are neither functions nor const."""
    depth, start = 0, 0
    for at, c in enumerate(text):
        if c == "{":
            depth += 1
        elif c == "}":
            depth -= 1
            if not depth and text[at + 1:].lstrip()[:1] not in (";", ",", "["):
                start = at + 1
        elif c == ";" and not depth:
            piece = text[start:at]
            declared = piece.split("=")[0].split("{")[0]
            if re.match(r"\s*static\b", piece) and "(" not in declared and \
                    not re.search(r"\bconst\b", declared):
                lead = len(piece) - len(piece.lstrip())
                yield text.count("\n", 0, start + lead) + 1, " ".join(declared.split())
            start = at + 1


for path in files(".c", ".h"):
    text = bare(read(path))
    for match in CALL.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        fault(path, line, f"{match.group(1)} is banned: use {CALLS[match.group(1)]}")
    for f in functions(text):
        labels = LABEL.findall(f.body)
        if len(labels) > 1:
            fault(path, f.first, f"{f.name} has {len(labels)} labels, at most one")
        for label in labels:
            if label != "done":
                fault(path, f.first, f"{f.name} has the label {label}; the one label is named done")
    if not path.startswith("tests/"):
        for line, what in globals_of(text):
            fault(path, line, f"state of a file that is not const: {what}")
done()
