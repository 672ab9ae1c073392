#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: words.py [ROOT]   The tree speaks of itself only.

No path of a workplace, no package registry's host (packages come from the system's own package
manager), no reference to texts that a clone does not have.
`session` is a word of databases and stays; only its use for a stretch of work is found.
"""
import re

from csource import done, fault, files, read

# In pieces, so that this file does not find itself.
WORDS = {
    r"\.\./sha" "red": "path outside of the tree",
    r"/wo" r"rk/": "path of a workplace",
    r"deb\.deb" r"ian\.org|py" r"pi\.org|npm" r"js\.|crates\." r"io|proxy\.gol" r"ang\.org|repo\.mav" r"en":
        "host of a package registry",
    r"\b(?:previous|earlier|last|next|other|later) sess" r"ions? (?:of (?:work|the project)|did|left|wrote|will)\b":
        "stretch of work",
    r"\bpit" r"falls? [0-9]": "number in a text that is not here",
    r"\bDES" r"IGN(?:\.md)? (?:§|section)": "section of a text that is not here",
    r"\b(?:see|in|of) iss" r"ue #?[0-9]+\b": "number in a list that is not here",
}
PATTERN = {re.compile(word): why for word, why in WORDS.items()}

for path in files():
    if path.endswith((".tsv", ".png", ".gz", ".xz")) and "cases" not in path:
        continue
    for number, line in enumerate(read(path).split("\n"), 1):
        for pattern, why in PATTERN.items():
            found = pattern.search(line)
            if found:
                fault(path, number, f"{why}: {found.group(0)}")
done()
