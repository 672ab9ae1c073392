# SPDX-License-Identifier: Apache-2.0
"""What the lints share: the files of the tree, and C text without comments and strings."""
import os
import re
import subprocess
import sys

ROOT = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else
                       os.path.join(os.path.dirname(__file__), "..", ".."))


def files(*endings):
    """Paths below ROOT with these endings: what git tracks or would, everything without git."""
    if os.path.exists(os.path.join(ROOT, ".git")):
        out = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"],
                             capture_output=True, text=True, check=True).stdout.split("\n")
        names = [n for n in out if n and os.path.isfile(os.path.join(ROOT, n))]
    else:
        names = [os.path.relpath(os.path.join(folder, name), ROOT)
                 for folder, _, inside in os.walk(ROOT) for name in inside]
        names = [n for n in names if not n.startswith("build")]
    return sorted(n for n in set(names) if not endings or n.endswith(endings))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as f:
        return f.read()


_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def bare(text):
    """The same lines without comments, and with empty strings and preprocessor lines."""
    def blank(match):
        token = match.group(0)
        lines = "\n" * token.count("\n")
        return '""' if token[0] == '"' else "' '" if token[0] == "'" else " " + lines
    text = _TOKEN.sub(blank, text)
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
                  lambda m: "\n" * m.group(0).count("\n"), text, flags=re.M)


class Function:
    def __init__(self, name, parameters, first, last, body):
        self.name, self.parameters, self.first, self.last, self.body = \
            name, parameters, first, last, body


_HEAD = re.compile(r"(\w+)\s*\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)\s*(?:\w+\([^()]*\)\s*)*\{")


def functions(text):
    """Function definitions of bare text, in order."""
    found, at = [], 0
    while True:
        brace = text.find("{", at)
        if brace < 0:
            return found
        depth, end = 1, brace + 1
        while end < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        start = max(text.rfind(";", at, brace), text.rfind("}", at, brace), at - 1) + 1
        head = _HEAD.search(text, start, brace + 1)
        if head and head.end() == brace + 1 and "=" not in text[start:head.start()]:
            signature = start + len(text[start:]) - len(text[start:].lstrip())
            found.append(Function(head.group(1), split_parameters(head.group(2)),
                                  text.count("\n", 0, signature) + 1,
                                  text.count("\n", 0, end) + 1, text[brace:end]))
        at = end


def split_parameters(text):
    parts, depth, part = [], 0, ""
    for c in text:
        depth += {"(": 1, ")": -1}.get(c, 0)
        if c == "," and not depth:
            parts.append(part.strip())
            part = ""
        else:
            part += c
    parts.append(part.strip())
    return [p for p in parts if p and p != "void"]


_faults = []


def fault(path, line, text):
    _faults.append(f"{path}:{line}: {text}")


def done():
    """Print the faults; exit 1 when there are some."""
    for line in _faults:
        print(line)
    sys.exit(1 if _faults else 0)
