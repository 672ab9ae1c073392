#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: init.sh [VERSION...]   (debian 18)
# check.sh runs, each version: init.sh V
# The command line without a run: what `tailrace init` says of real servers, that its file loads and its SQL works, and the
# exit codes of a wrong command line and a wrong file.
. "$(dirname "$0")/../harness/lib.sh"
args_need psql
need_agent
work_open
versions=("$@")
[ ${#versions[@]} -gt 0 ] || versions=(debian 18)

# tr_run WORDS...: the program; its exit code in CODE, its output in $W/out and $W/err.
tr_run() { "$TAILRACE" "$@" >"$W/out" 2>"$W/err"; CODE=$?; }
code_is() { [ "$CODE" = "$1" ] || { note "  exit code $CODE: $(cat "$W/err")"; return 1; }; }
out_has() { grep -qF -- "$1" "$W/out"; }
err_has() { grep -qF -- "$1" "$W/err"; }
out_lacks() { ! grep -qF -- "$1" "$W/out"; }
init_as() { tr_run init "host=127.0.0.1 port=${PG_PORT[$S]} user=$1 password=hunter2 dbname=shop"; cp "$W/out" "$W/tailrace.yaml"; }
loads() { tr_run config check --config "$W/tailrace.yaml"; code_is 0 && out_has ': ok'; }
# The statements of the file, as they stand in its comments, run by the superuser.
statements() { sed -nE 's/^#       ([A-Z].*|    [A-Z].*)/\1/p' "$W/tailrace.yaml" | grep -v "^ALTER SYSTEM" >"$W/sql"; qf "$S" shop <"$W/sql"; }

superuser() {
    tr_run init "$(dsn "$S" shop)"
    cp "$W/out" "$W/tailrace.yaml"
    must "it ends with 0" code_is 0
    must "the schema line is first" bash -c "head -n 1 '$W/out' | grep -q '^# yaml-language-server: .schema='"
    must "wal_level is right" out_has 'ok    wal_level is logical'
    must "a role of its own" out_has 'CREATE ROLE "tailrace" LOGIN REPLICATION'
    must "the file loads" loads
}
least_rights() {
    init_as app
    must "it ends with 0" code_is 0
    must "no password" out_lacks hunter2
    must "a hint in its place" out_has '!secret'
    must "REPLICATION" out_has 'ALTER ROLE "app" REPLICATION'
    must "SELECT" out_has 'GRANT SELECT ON "public"."notes", "public"."orders" TO "app";'
    must "identity" out_has 'ALTER TABLE "public"."notes" REPLICA IDENTITY FULL;'
    must "the file loads" loads
    must "its SQL runs" statements
    init_as app
    must "then nothing is lacking" out_has 'Role: "app" has the rights'
    must "nor an identity" out_lacks 'REPLICA IDENTITY FULL'
    must "the publication is there" out_has 'tailrace_shop exists'
    must "and the file loads" loads
}
wal_level_replica() {
    q "$S" "ALTER SYSTEM SET wal_level = replica" && pg "$S" stop && pg "$S" start
    init_as app
    must "it ends with 0" code_is 0
    must "it says so" out_has 'todo  wal_level is replica'
    must "and what to do" out_has 'ALTER SYSTEM SET wal_level = logical;'
    must "the file loads" loads
}
unreachable() {
    tr_run init "host=127.0.0.1 port=1 dbname=shop user=app password=hunter2"
    must "unavailable" code_is 69
    must "no password" bash -c "! grep -q hunter2 '$W/err'"
    tr_run init "host=127.0.0.1 port=${PG_PORT[$S]} dbname=nowhere user=app"
    must "an error" err_has nowhere
    tr_run init "no connection string hunter2"
    must "usage" code_is 2
    must "not shown" bash -c "! grep -q hunter2 '$W/err'"
}
command_line() {
    tr_run rnu
    must "usage" code_is 2
    must "nearest command" err_has 'did you mean "run"?'
    tr_run status --jsno
    must "nearest flag" err_has 'did you mean "--json"?'
    tr_run --version
    must "version" out_has 'libpq'
    tr_run help parked
    must "help" out_has '--route=NAME'
    tr_run config check --config "$W/none.yaml"
    must "no file" code_is 78
    echo 'nmae: x' >"$W/bad.yaml"
    tr_run config check --config "$W/bad.yaml"
    must "a wrong file" code_is 78
    must "the place" err_has "bad.yaml:1:1: error: unknown key \"nmae\"; did you mean \"name\"?"
    tr_run config print --config - <"$W/tailrace.yaml"
    must "printed" out_has 'slot: tailrace_shop # derived'
    must "without the secret" out_lacks '127.0.0.1 port='
    "$TAILRACE" version >/dev/full 2>"$W/err"; CODE=$?
    must "a full disk under the output" code_is 71
}

for v in "${versions[@]}"; do
    S=pg$v
    pg_start "$S" "$v" "wal_level = logical"
    q "$S" "CREATE DATABASE shop"
    q "$S" "CREATE ROLE app LOGIN PASSWORD 'hunter2'"
    q "$S" "CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE notes (note text)" shop
    case_run "init on $v: superuser" superuser
    case_run "init on $v: a role with few rights" least_rights
    case_run "init on $v: wal_level replica" wal_level_replica
    case_run "init on $v: not reachable" unreachable
done
case_run "command line: exit codes" command_line
finish
