#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: docs.py [ROOT]   Tables of the program and pages of the reference say the same.

Every row of options.def, metrics.def, errors.def and commands.def is on its page; every metric is
written by C code, every error is set by it; and the pages are what `tailrace docs` prints, for the program
named by TAILRACE or found under ROOT. Without a program that last part is a fault, not a pass.
Every relative link of a page leads to a file, and to a heading where it names one; every page of docs is linked
from README.md, and every alert is on the page of operations.
"""
import os
import re
import subprocess

from csource import ROOT, bare, done, fault, files, read


def rows(table, macro):
    text = read(f"agent/{table}.def")
    for match in re.finditer(rf"^{macro}\((.*)\)\s*$", text, re.M):
        fields = re.findall(r'"(?:\\.|[^"\\])*"|[^,]+', match.group(1))
        yield text.count("\n", 0, match.start()) + 1, [f.strip().strip('"') for f in fields]


def page(name):
    path = f"docs/{name}.md"
    if not os.path.exists(os.path.join(ROOT, path)):
        fault(path, 1, "page is missing")
        return None
    return read(path)


def on_page(table, line, name, text, page_name):
    if text is not None and not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text):
        fault(f"agent/{table}.def", line, f"{name} is not in docs/{page_name}.md")


code = "\n".join(bare(read(p)) for p in files(".c") if not p.startswith("tests/"))

options = page("options")
for line, row in rows("options", "OPTION"):
    on_page("options", line, row[1], options, "options")

metrics = page("metrics")
for line, row in rows("metrics", "METRIC"):
    on_page("metrics", line, row[2], metrics, "metrics")
    if not re.search(rf"\b{row[0]}\b", code):
        fault("agent/metrics.def", line, f"{row[0]} is never written")

errors = page("errors")
for line, row in rows("errors", "ERROR"):
    on_page("errors", line, row[0][2:].lower(), errors, "errors")
    if not re.search(rf"\b{row[0]}\b", code):
        fault("agent/errors.def", line, f"{row[0]} is never set")

cli = page("cli")
for line, row in rows("commands", "COMMAND"):
    on_page("commands", line, row[0], cli, "cli")
for line, row in rows("commands", "FLAG"):
    on_page("commands", line, "--" + row[1], cli, "cli")



def anchors(text):
    """GitHub's: lower case, spaces become hyphens, other signs go."""
    heads = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


linked = set()
for path in files(".md"):
    text = read(path)
    for match in re.finditer(r"\]\(([^)\s]+)\)", text):
        link = match.group(1)
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        to = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
        line = text.count("\n", 0, match.start()) + 1
        if path == "README.md":
            linked.add(to)
        if not os.path.exists(os.path.join(ROOT, to)):
            fault(path, line, f"link to {link}, which is not there")
        elif anchor and anchor not in anchors(read(to)):
            fault(path, line, f"link to {link}, which has no such heading")
for path in files(".md"):
    if path.startswith("docs/") and path not in linked:
        fault(path, 1, "page is not linked from README.md")
operations = page("operations") or ""
for alert in re.findall(r"alert: (\w+)", read("packaging/alerts.yml")):
    if f"`{alert}`" not in operations:
        fault("packaging/alerts.yml", 1, f"{alert} is not in docs/operations.md")

program = os.environ.get("TAILRACE") or next(
    (p for p in (os.path.join(ROOT, "tailrace"), os.path.join(ROOT, "build", "tailrace"))
     if os.access(p, os.X_OK)), None)
if not program:
    fault("docs", 1, "no built tailrace to compare with: set TAILRACE")
else:
    for name, text in (("options", options), ("metrics", metrics), ("errors", errors), ("cli", cli)):
        out = subprocess.run([program, "docs", name], capture_output=True, text=True, check=False)
        if out.returncode:
            fault(f"docs/{name}.md", 1, f"tailrace docs {name} failed: {out.stderr.strip()}")
        elif out.stdout != text:
            fault(f"docs/{name}.md", 1, f"is not what tailrace docs {name} prints")
done()
