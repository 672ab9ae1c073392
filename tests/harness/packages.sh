# shellcheck shell=sh disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# Sourced by quickstart.sh and check.sh: install Debian packages without starting or making anything on the user's machine.
#
# A PostgreSQL package makes a cluster and starts it; others start their service. While packages are installed here,
# policy-rc.d denies every start, and create_main_cluster is false before the first server package arrives. Both files
# are put back afterwards, also when the installation fails or is interrupted.

BUILD_PACKAGES="gcc libc6-dev make autoconf automake pkg-config libpq-dev liblmdb-dev liblz4-dev libfyaml-dev libjansson-dev
libcurl4-openssl-dev libmicrohttpd-dev librdkafka-dev libssl-dev libsystemd-dev"
SERVER_PACKAGES="postgresql psql:postgresql-client"
TEST_PACKAGES="clang:clang libclang-rt-14-dev check libavro-dev node:nodejs npm:npm jq:jq curl:curl python3:python3 ctags:universal-ctags
shellcheck:shellcheck mandoc:mandoc systemd-analyze:systemd xz:xz-utils man:man-db git:git"

_policy=/usr/sbin/policy-rc.d
_cluster=/etc/postgresql-common/createcluster.conf

# packages_missing PACKAGE...: those that are not installed. COMMAND:PACKAGE is not missing while the command is there,
# wherever it came from.
packages_missing() {
    for _p; do
        case $_p in *:*)
            command -v "${_p%%:*}" >/dev/null 2>&1 || printf '%s ' "${_p#*:}"
            continue ;;
        esac
        dpkg-query -W -f '${Status}\n' "$_p" 2>/dev/null | grep -q '^install ok installed' || printf '%s ' "$_p"
    done
}

_as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

_guard_up() {
    _guard=$(mktemp -d)
    [ ! -e $_policy ] || cp -a $_policy "$_guard/policy"
    printf '#!/bin/sh\nexit 101\n' >"$_guard/new"
    _as_root install -m 755 "$_guard/new" $_policy
}
_guard_down() {
    if [ -e "$_guard/policy" ]; then _as_root cp -a "$_guard/policy" $_policy; else _as_root rm -f $_policy; fi
    [ ! -e "$_guard/cluster" ] || _as_root cp "$_guard/cluster" $_cluster
    rm -rf "$_guard"
}

_apt() { _as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@"; }

# The server package last, with no cluster made by it.
_install_all() {
    _apt update >"$_guard/log" 2>&1 || return 1
    case " $* " in
        *" postgresql "*)
            _apt install postgresql-common >>"$_guard/log" 2>&1 || return 1
            if [ -e $_cluster ]; then
                cp $_cluster "$_guard/cluster"
                { grep -v '^[[:space:]]*create_main_cluster' $_cluster; echo 'create_main_cluster = false'; } >"$_guard/without"
                _as_root cp "$_guard/without" $_cluster
            fi ;;
    esac
    _apt install "$@" >>"$_guard/log" 2>&1
}

# packages_install PACKAGE...: install what is missing; says what. 1 with the reason on standard error when it cannot.
packages_install() {
    # shellcheck disable=SC2046
    set -- $(packages_missing "$@" | tr ' ' '\n' | awk '!seen[$0]++')
    [ $# -gt 0 ] || return 0
    command -v apt-get >/dev/null 2>&1 || { echo "these Debian packages (or their like) are needed: $*" >&2; return 1; }
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null 2>&1; then
        echo "as root, run: apt-get install -y --no-install-recommends $*" >&2
        return 1
    fi
    echo "installing with apt (no service is started, no cluster made): $*"
    # A shell of its own, so that its trap and the caller's do not meet.
    (
        _guard_up
        trap '_guard_down' EXIT
        trap 'exit 130' INT TERM HUP
        _install_all "$@" || { tail -n 15 "$_guard/log" >&2; exit 1; }
    )
}
