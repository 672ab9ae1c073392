# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# From the tailrace design kit, cut down to what the tests use. Sourced by the peer scripts beside it; not run by itself.
# Packages are kept in $TAILRACE_PEERS (shared, made once), everything else in the DIR that a peer was given.
set -eu
TAILRACE_PEERS=${TAILRACE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/tailrace-peers}
export npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false

die() { echo "${0##*/}: $*" >&2; exit 1; }

# need COMMAND DEBIAN-PACKAGE: fail early with the line that mends it.
need() { command -v "$1" >/dev/null 2>&1 || die "$1 is missing: apt-get install -y --no-install-recommends $2"; }

# once DIR COMMAND...: run COMMAND with a fresh folder as its last argument and move that folder to DIR, unless DIR is there.
once() {
    [ -e "$1" ] && return 0
    _dst=$1; shift
    mkdir -p "$(dirname "$_dst")"
    _tmp=$(mktemp -d "$_dst.XXXXXX")
    if "$@" "$_tmp"; then
        chmod 755 "$_tmp"
        mv -T "$_tmp" "$_dst" 2>/dev/null || rm -rf "$_tmp"
    else
        rm -rf "$_tmp"
        die "cannot make $_dst"
    fi
}

# _npm_unpack NAME@VERSION DIR: the package alone, no dependencies, no install scripts.
_npm_unpack() { (cd "$2" && npm pack --silent "$1" >/dev/null && tar xzf ./*.tgz --strip-components=1 && rm -f ./*.tgz); }
