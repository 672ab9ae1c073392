#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: role.sh
# The roles that packaging/source-role.sql and target-role.sql make: enough for check and run, and with the lines of
# docs/security.md in pg_hba.conf not enough for a base backup. On PostgreSQL 18 and on Debian's.
set -uo pipefail
. "$(dirname "$0")/../harness/lib.sh"
args_need psql jq
need_agent
work_open

S=''
port() { echo "${PG_PORT[$S]}"; }
as() { echo "host=127.0.0.1 port=$(port) user=$1 password=$1-secret dbname=$2"; }
level() { jq -r --arg n "$1" '[.findings[] | select(.name == $n) | .level] | first // "none"' "$W/$S/check.json"; }
fails_none() {
    jq -r '.findings[] | select(.level == "fail") | "  \(.part) \(.name): \(.sentence) (\(.hint))"' "$W/$S/check.json"
    [ "$(jq .failed "$W/$S/check.json")" = 0 ]
}
look() {
    C_NAME=shop C_STATE=$W/$S/state C_SOURCE=$(as tailrace shop) C_TARGET=$(as tailrace_apply warehouse) C_TARGET_MORE='' C_SOURCE_MORE='  create_publication: false' \
        agent_config "$S" "$S" "$S"
    cli "$S" check --json >"$W/$S/check.json" 2>"$W/$S/check.err"
    CODE=$?
}
# physical: whether the source role may open physical replication, the first step of a base backup.
physical() { psql -XqAt -d "host=127.0.0.1 port=$(port) user=tailrace password=tailrace-secret replication=true" -c IDENTIFY_SYSTEM >/dev/null 2>&1; }

role_scripts() {
    must "source-role.sql runs" script shop source-role.sql -v role=tailrace -v publication=tailrace_shop -v schemas=public,sales
    must "it runs again" script shop source-role.sql -v role=tailrace -v publication=tailrace_shop -v schemas=public,sales
    must "target-role.sql runs" script warehouse target-role.sql -v schemas=public,sales
    must "it runs again" script warehouse target-role.sql -v schemas=public,sales
    q "$S" "ALTER ROLE tailrace PASSWORD 'tailrace-secret'"
    q "$S" "ALTER ROLE tailrace_apply PASSWORD 'tailrace_apply-secret'"
}
script() { psql -XqAt -d "$(sock "$S" "$1")" -f "$TR_SRC/packaging/$2" "${@:3}" >"$W/script.log" 2>&1 || { sed 's/^/  /' "$W/script.log"; return 1; }; }
role_checks() {
    look
    must "nothing fails" fails_none
    must "exit code 0" [ "$CODE" = 0 ]
    must "role passes" [ "$(level role)" = pass ]
    must "select_right passes" [ "$(level select_right)" = pass ]
    must "publication passes" [ "$(level publication)" = pass ]
    must "snapshot_right passes" [ "$(level snapshot_right)" = pass ]
    must "identity names the table without" [ "$(level identity)" = warn ]
    must "before pg_hba is changed, physical replication is open" physical
    must "check says so" [ "$(level physical)" = warn ]
}
role_is_closed() {
    # The lines of docs/security.md, as they stand there.
    sed -n '/^```pg_hba/,/^```/p' "$TR_SRC/docs/security.md" | grep -v '^```' >"$W/hba"
    must "docs/security.md has the lines" [ -s "$W/hba" ]
    # The documented lines demand TLS from other machines; this server has no certificate.
    sed -i 's/^hostssl /host /' "$W/hba"
    cp "$W/$S/data/pg_hba.conf" "$W/hba.old"
    cat "$W/hba" "$W/hba.old" >"$W/$S/data/pg_hba.conf"
    q "$S" 'SELECT pg_reload_conf()' >/dev/null
    must "physical replication is refused" until_true 5 physical_refused
    must "and over the socket" socket_refused
    look
    must "check passes it" [ "$(level physical)" = pass ]
    must "nothing fails" fails_none
}
physical_refused() { ! physical; }
socket_refused() { ! psql -XqAt -d "host=$W/$S/s port=$(port) user=tailrace password=tailrace-secret replication=true" -c IDENTIFY_SYSTEM >/dev/null 2>&1; }
role_cannot() {
    must "it cannot write" refused tailrace shop 'INSERT INTO orders VALUES (99)'
    must "it cannot publish more" refused tailrace shop 'ALTER PUBLICATION tailrace_shop ADD TABLE sales.lead'
    must "it cannot make tables" refused tailrace shop 'CREATE TABLE sales.mine (a int)'
    must "the target role cannot change tables" refused tailrace_apply warehouse 'ALTER TABLE orders ADD x int'
    must "the target role cannot replicate" [ "$(q "$S" "SELECT rolreplication FROM pg_roles WHERE rolname = 'tailrace_apply'")" = f ]
}
refused() { ! psql -XqAt -v ON_ERROR_STOP=1 -d "$(as "$1" "$2")" -c "$3" >/dev/null 2>&1; }
role_runs() {
    agent_start "$S"
    must "the agent streams" streaming "$S"
    q "$S" "INSERT INTO orders VALUES (2, 'two'); UPDATE orders SET note = 'one more' WHERE id = 1; INSERT INTO nokey VALUES (7)" shop
    must "changes arrive" until_true 15 arrived
    must "it ends" agent_stop "$S"
    q "$S" "SELECT pg_drop_replication_slot('tailrace_shop')" >/dev/null
}
arrived() { [ "$(q "$S" "SELECT string_agg(id || note, ',' ORDER BY id) || (SELECT count(*) FROM nokey) FROM orders" warehouse)" = "1one more,2two1" ]; }

server() {
    S=$1
    pg_start "$S" "$2"
    for db in shop warehouse; do
        q "$S" "CREATE DATABASE $db"
        qf "$S" "$db" <<'SQL'
CREATE TABLE orders (id int PRIMARY KEY, note text);
CREATE TABLE nokey (a int);
CREATE SCHEMA sales;
CREATE TABLE sales.lead (id int PRIMARY KEY, name text);
SQL
    done
    q "$S" "INSERT INTO orders VALUES (1, 'one')" shop
    case_run "role ($2): scripts" role_scripts
    case_run "role ($2): check" role_checks
    case_run "role ($2): base backup refused" role_is_closed
    case_run "role ($2): what it cannot" role_cannot
    case_run "role ($2): run" role_runs
}
server new 18
server old debian
finish
