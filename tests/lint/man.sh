#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: man.sh FOLDER   TAILRACE names the program
# The man pages in FOLDER: each command has one, each that is referred to exists, and mandoc's lint has nothing to say.
set -u
cd "$1" || exit 1
status=0
commands=$("$TAILRACE" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ -n "$commands" ] || { echo "tailrace help lists no command"; status=1; }
for command in $commands; do
    [ -s "tailrace-$command.1" ] || { echo "tailrace-$command.1 is missing"; status=1; }
done
for page in $(sed -n 's/^\.Xr \([^ ]*\) \([0-9]\).*/\1.\2/p' ./*.[15] | sort -u); do
    [ -s "$page" ] || { echo "$page is referred to and missing"; status=1; }
done
if command -v mandoc >/dev/null; then
    # It looks for pages among those that are installed; ours were looked for above.
    found=$(mandoc -T lint ./*.[15] | grep -v 'referenced manual not found: Xr tailrace')
    [ -z "$found" ] || { printf '%s\n' "$found"; status=1; }
else
    echo "mandoc is not here: its lint was not run"
fi
exit $status
