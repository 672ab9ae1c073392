# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# From the tailrace design kit, cut down to what the tests use. Sourced by the peer scripts beside it; not run by itself.
# Packages are kept in $TAILRACE_PEERS (shared, made once), everything else in the DIR that a peer was given.
set -eu
TAILRACE_PEERS=${TAILRACE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/tailrace-peers}
export PIP_DISABLE_PIP_VERSION_CHECK=1 npm_config_update_notifier=false npm_config_fund=false npm_config_audit=false

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

# py_env LABEL SPEC...: a virtual environment holding SPECs; prints it.
py_env() {
    _l=$TAILRACE_PEERS/venv/$1; shift
    if [ ! -e "$_l/.ok" ]; then
        rm -rf "$_l"; python3 -m venv "$_l" >&2 && "$_l/bin/pip" install -q --only-binary=:all: "$@" >&2 || die "cannot make $_l"
        : >"$_l/.ok"
    fi
    echo "$_l"
}

_born() { awk '{ sub(/.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null; }

# alive DIR: the process in DIR/pid still runs, and is the one we started.
alive() {
    [ -s "$1/pid" ] || return 1
    read -r _pid _start <"$1/pid"
    [ -n "$_pid" ] && [ "$(_born "$_pid")" = "$_start" ] && grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$_pid/status"
}

# free PORT: fail when something listens there already; what was just stopped gets a moment to let go.
free() { _n=30; while listening "$1"; do _n=$((_n - 1)); [ $_n -gt 0 ] || die "port $1 is taken"; sleep 0.1; done; }

# spawn DIR COMMAND...: run COMMAND in the background in a process group of its own, its pid in DIR/pid and its output in DIR/log.
spawn() {
    _dir=$1; shift
    setsid "$@" >>"$_dir/log" 2>&1 </dev/null &
    echo "$! $(_born $!)" >"$_dir/pid"
}

# reap DIR [SIGNAL]: end the process in DIR/pid and all of its process group; wait for it.
reap() {
    if alive "$1"; then
        kill -s "${2:-TERM}" -- "-$_pid"
        _n=0
        while kill -s 0 -- "-$_pid" 2>/dev/null && _group_lives "$_pid"; do
            _n=$((_n + 1)); [ $_n -ne 100 ] || kill -s KILL -- "-$_pid"
            [ $_n -lt 120 ] || die "process group $_pid does not end"
            sleep 0.1
        done
    fi
    rm -f "$1/pid"
}
# Zombies that nobody has collected yet do not count.
_group_lives() { cat /proc/[0-9]*/stat 2>/dev/null | awk -v g="$1" '{ sub(/.*\) /, ""); if ($3 == g && $1 != "Z" && $1 != "X") f = 1 } END { exit !f }'; }

# listening PORT: something accepts on 127.0.0.1:PORT (hex lookup, no connection made).
listening() { awk -v p="$(printf ':%04X' "$1")" '$4 == "0A" && substr($2, length($2) - 4) == p { f = 1 } END { exit !f }' /proc/net/tcp /proc/net/tcp6; }

# await DIR PORT [SECONDS]: until the process in DIR/pid listens on PORT.
await() {
    _n=$(( ${3:-30} * 10 ))
    until listening "$2"; do
        alive "$1" || { tail -n 20 "$1/log" >&2; die "ended before it listened on port $2"; }
        _n=$((_n - 1)); [ $_n -gt 0 ] || { tail -n 20 "$1/log" >&2; die "not listening on port $2"; }
        sleep 0.1
    done
}

# java_from N: the path of a Java of version N or newer: $JAVA_HOME's, the default one, or any under /usr/lib/jvm.
java_from() {
    for _j in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} "$(command -v java || :)" /usr/lib/jvm/*/bin/java; do
        [ -x "$_j" ] || continue
        _v=$("$_j" -version 2>&1 | sed -n 's/.* version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p')
        [ "${_v:-0}" -lt "$1" ] || { echo "$_j"; return 0; }
    done
    die "no Java $1 or newer in JAVA_HOME, PATH or /usr/lib/jvm: apt-get install -y --no-install-recommends openjdk-$1-jre-headless where the distribution has it (Debian 12 ends at 17: use a Temurin package, temurin-21-jdk or newer, or set JAVA_HOME)"
}

_MVN_DEPENDENCY=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
_mvn() { mvn -q -B -Dstyle.color=never "$@" >&2; }

# mvn_jars LABEL GROUP:ARTIFACT:VERSION...: a folder holding these jars and all that they need at run time; prints it.
mvn_jars() { need mvn maven; _l=$1; shift; once "$TAILRACE_PEERS/maven/$_l" _mvn_jars "$@" >&2; echo "$TAILRACE_PEERS/maven/$_l"; }
_mvn_jars() {
    for _d; do :; done
    {
        echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>peers</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging>'
        # Some poms name repositories of their own; the same ids here switch those off, so that only the configured ones are asked.
        echo '<repositories>'
        for _r in confluent jitpack.io; do
            echo "<repository><id>$_r</id><url>file:///nowhere</url><releases><enabled>false</enabled></releases><snapshots><enabled>false</enabled></snapshots></repository>"
        done
        echo '</repositories><dependencies>'
        for _a; do
            [ "$_a" = "$_d" ] || echo "$_a" | sed 's|\(.*\):\(.*\):\(.*\)|<dependency><groupId>\1</groupId><artifactId>\2</artifactId><version>\3</version></dependency>|'
        done
        echo '</dependencies></project>'
    } >"$_d/pom.xml"
    _mvn -f "$_d/pom.xml" $_MVN_DEPENDENCY:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$_d"
}

# mvn_unpack GROUP:ARTIFACT:VERSION:tar.gz:CLASSIFIER: that archive, unpacked; prints the folder.
mvn_unpack() { need mvn maven; once "$TAILRACE_PEERS/maven/$(echo "$1" | cut -d: -f2,3 | tr : -)" _mvn_unpack "$1" >&2; echo "$TAILRACE_PEERS/maven/$(echo "$1" | cut -d: -f2,3 | tr : -)"; }
_mvn_unpack() { (cd "$2" && _mvn $_MVN_DEPENDENCY:copy -Dartifact="$1" -DoutputDirectory="$2" -Dmdep.useBaseVersion=true && tar xzf ./*.tar.gz && rm -f ./*.tar.gz); }

# tick: seconds since boot, to count from; took SINCE: seconds since then.
tick() { cut -d' ' -f1 /proc/uptime; }
took() { awk -v a="$1" '{ printf "%.1f", $1 - a }' /proc/uptime; }
