#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: run.sh [ROOT]
# Runs every lint over the tree; prints "ok lint NAME" or "not ok lint NAME" and what was found.
# Exit code 1 when one of them found something. TAILRACE names the program whose reference pages are compared.
set -u
here=$(cd "$(dirname "$0")" && pwd)
status=0
for lint in "$here"/*.py; do
    name=$(basename "$lint" .py)
    [ "$name" != csource ] || continue
    if found=$(PYTHONDONTWRITEBYTECODE=1 python3 "$lint" "${1:-$here/../..}" 2>&1); then
        echo "ok lint $name"
    else
        echo "not ok lint $name"
        printf '%s\n' "$found" | sed 's/^/    /'
        status=1
    fi
done
exit $status
