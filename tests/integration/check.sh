#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: check.sh
# tailrace check against real servers with one thing wrong at a time: the finding that names it, its level, and the exit code.
set -uo pipefail
. "$(dirname "$0")/../harness/lib.sh"
args_need psql jq
need_agent
work_open

# look DB-SOURCE [OVERRIDES as for agent_config]: run check, keep its JSON and exit code.
look() {
    C_SOURCE=$1 C_TARGET=$TARGET agent_config a main main
    "$TAILRACE" check --json --config "$W/a/tailrace.yaml" >"$W/a/check.json" 2>"$W/a/check.err"
    CODE=$?
}
value() { jq -r --arg n "$1" "[.findings[] | select(.part == \"source\" and .name == \$n) | .$2] | first // \"none\"" "$W/a/check.json"; }
is() { [ "$(value "$1" level)" = "$2" ] || { note "  $1 is $(value "$1" level): $(value "$1" sentence)"; return 1; }; }
says() { value "$1" sentence | grep -qE -- "$2" || { note "  $1 says: $(value "$1" sentence)"; return 1; }; }
hints() { value "$1" hint | grep -qE -- "$2" || { note "  $1 hints: $(value "$1" hint)"; return 1; }; }
exits() { [ "$CODE" = "$1" ] || { note "  exit code $CODE"; jq -r '.findings[] | select(.level == "fail") | "  \(.name): \(.sentence)"' "$W/a/check.json"; return 1; }; }
# as ROLE [DB]: the main server as that role.
as() { echo "host=127.0.0.1 port=${PG_PORT[main]} user=$1 dbname=${2:-shop}"; }

good_source() {
    look "$(as reader)"
    must "exit code 0" exits 0
    must "no finding fails" [ "$(jq '.failed' "$W/a/check.json")" = 0 ]
    must "counts add up" jq -e '.passed + .warned + .failed == (.findings | length) and .version == 1 and .exit_code == 0' "$W/a/check.json" >/dev/null
    must "numbers are dense" jq -e '[.findings[].number] == [range(1; (.findings | length) + 1)]' "$W/a/check.json" >/dev/null
    must "warnings have a hint" jq -e 'all(.findings[]; .level == "pass" or (.hint | length) > 0)' "$W/a/check.json" >/dev/null
    must "the target is looked at" jq -e 'any(.findings[]; .part == "target copy")' "$W/a/check.json" >/dev/null
    must "text has the same findings" text_matches
    must "nothing was made on the source" q_is main "SELECT count(*) FROM pg_replication_slots" 0
    must "no state was made" [ ! -e "$W/a/state" ]
}
text_matches() {
    "$TAILRACE" check --config "$W/a/tailrace.yaml" >"$W/a/check.txt"
    [ "$(grep -cE '^ *[0-9]+ (pass|warn|fail)  ' "$W/a/check.txt")" = "$(jq '.findings | length' "$W/a/check.json")" ]
}
low_server() {
    look "$(dsn low)"
    must "exit code of wal_level" exits 78
    must "wal_level fails" is wal_level fail
    must "it is named" says wal_level 'replica'
    must "hint has the SQL" hints wal_level 'ALTER SYSTEM SET wal_level'
    must "slots are all taken" is slots fail
    must "walsenders are all taken" is senders fail
}
no_replication() {
    look "$(as plain)"
    must "exit code of a missing right" exits 77
    must "role fails" is role fail
    must "hint has the SQL" hints role 'ALTER ROLE "plain" REPLICATION'
}
no_select() {
    look "$(as blind)"
    must "exit code of a missing right" exits 77
    must "select_right fails" is select_right fail
    must "tables are named" says select_right 'public\.nokey.*public\.orders'
    must "hint has the SQL" hints select_right 'GRANT SELECT ON "public"."orders" TO "blind"'
    C_SOURCE_MORE='  copy: false' look "$(as blind)"
    must "not needed without a copy" is select_right pass
}
superuser() {
    look "$(as postgres)"
    must "a superuser is a warning" is role warn
    must "physical replication is open" is physical warn
    must "hint has the pg_hba line" hints physical 'host replication ROLE all reject'
}
no_identity() {
    look "$(as reader)"
    must "identity warns" is identity warn
    must "table is named" says identity 'public\.nokey'
    must "others are not" bash -c '! jq -r ".findings[] | select(.name == \"identity\") | .sentence" "$1" | grep -q orders' _ "$W/a/check.json"
    must "hint has the SQL" hints identity 'ALTER TABLE "public"."nokey" REPLICA IDENTITY FULL'
}
text_types() {
    look "$(as reader)"
    must "types warns" is types warn
    must "column and type are named" says types 'public\.orders\.place \(point\)'
    must "a domain over int is no such type" bash -c '! jq -r ".findings[] | select(.name == \"types\") | .sentence" "$1" | grep -q amount' _ "$W/a/check.json"
    q main 'ALTER TABLE orders ADD area box'
    C_MORE='events: { mode: strict }' look "$(as reader)"
    must "strict tells what it leaves out" says types 'strict events do not have.*public\.orders\.area \(box\)'
    must "and nothing else" bash -c '! jq -r ".findings[] | select(.name == \"types\") | .sentence" "$1" | grep -q place' _ "$W/a/check.json"
    q main 'ALTER TABLE orders DROP area'
}
rules_of_columns() {
    q main "CREATE TABLE ruled (id int PRIMARY KEY, a text, born date, code varchar(20) NOT NULL, UNIQUE (code)); CREATE TABLE whole (id int PRIMARY KEY, a text NOT NULL, b int UNIQUE);
        ALTER TABLE whole REPLICA IDENTITY FULL; GRANT SELECT ON ruled, whole TO reader"
    local rule='columns: [{ of: [public.ruled.a], do: mask, length: 3 }]'
    look "$(as reader)"
    must "nothing is told without rules" is rules none
    C_MORE="$rule" look "$(as reader)"
    must "a rule that acts passes" is rules pass
    must "columns are counted" says rules 'take 1 columns'
    C_MORE="${rule/ruled.a/ruled.born}" look "$(as reader)"
    must "another type warns" is rules warn && must "with column and type" says rules 'public\.ruled: born \(date\)'
    C_MORE="${rule/ruled.a/ruled.aa}" look "$(as reader)"
    must "a pattern for nothing warns" is rules warn && must "it is named" says rules 'take no column.*public\.ruled\.aa'
    C_MORE="${rule/ruled.a/ruled.id}" look "$(as reader)"
    must "a key that is hidden fails" is rules fail && must "it is named" says rules 'rule mask .*public\.ruled\.id' && must "exit code" exits 78
    C_MORE='keys: [{ of: public.ruled, columns: code }]' look "$(as reader)"
    must "a key outside the identity fails" is rules fail && must "with the cure" hints rules 'ALTER TABLE public.ruled REPLICA IDENTITY FULL'
    C_MORE='keys: [{ of: public.whole, columns: [a] }]' look "$(as reader)"
    must "a key that nothing makes unique warns" is rules warn && must "it is named" says rules '\("a"\) of public\.whole is not unique'
    C_MORE='keys: [{ of: public.whole, columns: [b, a] }]' look "$(as reader)"
    must "nor one that may be NULL" says rules '\("b","a"\) of public\.whole is not unique'
    q main 'ALTER TABLE whole ALTER b SET NOT NULL'
    C_MORE='keys: [{ of: public.whole, columns: [b, a] }]' look "$(as reader)"
    must "a part that is unique does" is rules pass
    q main 'DROP TABLE ruled, whole'
}
sql_ascii() {
    look "$(as postgres ascii)"
    must "exit code of the encoding" exits 78
    must "encoding fails" is encoding fail
    must "it is named" says encoding 'SQL_ASCII'
}
unreachable() {
    look "host=127.0.0.1 port=1 user=postgres dbname=shop"
    must "exit code of an unreachable server" exits 69
    must "connect fails" is connect fail
    must "the state is looked at" is state pass
    must "the target is looked at" jq -e 'any(.findings[]; .part == "target copy")' "$W/a/check.json" >/dev/null
}
wrong_password() {
    look "$(as locked) password=swordfish-canary"
    must "exit code of a refused login" exits 77
    must "connect fails" is connect fail
    must "password is not told" bash -c '! grep -rq swordfish "$1/check.json" "$1/check.err"' _ "$W/a"
}
publication_missing() {
    C_SOURCE_MORE='  publication: other' look "$(as reader)"
    must "exit code of the publication" exits 78
    must "publication fails" is publication fail
    must "hint has the SQL" hints publication 'CREATE PUBLICATION "other" FOR TABLE ONLY "public"."orders"'
    must "second publication for tables without identity" hints publication 'CREATE PUBLICATION "other_ins" FOR TABLE ONLY "public"."nokey"'
    must "the SQL does" q main "$(value publication hint | sed 's/^[^:]*: //')"
    C_SOURCE_MORE='  publication: other' look "$(as reader)"
    must "then it passes" is publication pass
    must "exit code 0" exits 0
}
publication_breaks() {
    q main 'CREATE PUBLICATION broken FOR TABLE nokey, orders'
    C_SOURCE_MORE='  publication: broken' look "$(as reader)"
    must "the danger fails" is publication_identity fail
    must "table is named" says publication_identity "updates and deletes of these tables fail.*public\\.nokey"
    q main 'DROP PUBLICATION broken'
    q main 'CREATE TABLE computed (a int, b int GENERATED ALWAYS AS (a) STORED); ALTER TABLE computed REPLICA IDENTITY FULL; CREATE PUBLICATION broken FOR TABLE computed'
    C_TABLES=public.computed C_SOURCE_MORE='  publication: broken' look "$(as reader)"
    must "unpublished generated columns fail" says publication_identity "updates and deletes of these tables fail.*public\\.computed"
    q main 'ALTER PUBLICATION broken SET (publish_generated_columns = stored)'
    C_TABLES=public.computed C_SOURCE_MORE='  publication: broken' look "$(as reader)"
    must "published ones do not" is publication_identity pass
    q main 'DROP PUBLICATION broken; DROP TABLE computed'
}
publication_filtered() {
    q main "CREATE PUBLICATION filtered FOR TABLE orders WHERE (id > 5) WITH (publish_via_partition_root = true)"
    C_TABLES=public.orders C_SOURCE_MORE='  publication: filtered' look "$(as reader)"
    must "filters warn" is publication_filters warn
    must "table is named" says publication_filters 'public\.orders'
    q main 'DROP PUBLICATION filtered'
}
row_security() {
    q main "ALTER TABLE orders ENABLE ROW LEVEL SECURITY"
    look "$(as reader)"
    must "exit code of a missing right" exits 77
    must "row_security fails" is row_security fail
    must "table is named" says row_security 'public\.orders'
    q main "ALTER TABLE orders DISABLE ROW LEVEL SECURITY"
}
no_tables() {
    C_TABLES=nothing.here look "$(as reader)"
    must "exit code of the configuration" exits 78
    must "tables fails" is tables fail
}
slot_without_state() {
    q main "SELECT pg_create_logical_replication_slot('tailrace_a', 'pgoutput')" >/dev/null
    q main "SELECT pg_logical_emit_message(false, 'x', repeat('x', 3000000)), pg_switch_wal()" >/dev/null
    C_SOURCE_MORE='  wal_budget_mb: 1' look "$(as reader)"
    must "exit code of a state that does not fit" exits 1
    must "slot fails" is slot fail
    must "it is named" says slot 'tailrace_a exists.*knows nothing'
    must "retained WAL is over its budget" is retained_wal warn
    must "time to loss is told" says time_to_loss 'may be written before the slot is lost'
    q main "SELECT pg_drop_replication_slot('tailrace_a')" >/dev/null
}
slot_of_other_plugin() {
    q main "SELECT pg_create_physical_replication_slot('tailrace_a')" >/dev/null
    look "$(as reader)"
    must "exit code of a state that does not fit" exits 1
    must "slot fails" is slot fail
    q main "SELECT pg_drop_replication_slot('tailrace_a')" >/dev/null
}
no_limit() {
    q main 'ALTER SYSTEM SET max_slot_wal_keep_size = -1'
    q main 'SELECT pg_reload_conf()' >/dev/null
    until_true 5 q_is main 'SHOW max_slot_wal_keep_size' -1
    look "$(as reader)"
    must "a slot without limit is a warning" is time_to_loss warn
    q main 'ALTER SYSTEM RESET max_slot_wal_keep_size'
    q main 'SELECT pg_reload_conf()' >/dev/null
}
failover_slot() {
    q main "SELECT pg_create_logical_replication_slot('tailrace_a', 'pgoutput', false, false, true)" >/dev/null
    look "$(as reader)"
    must "failover fails" is failover fail
    must "setting is named" says failover 'synchronized_standby_slots'
    q main "SELECT pg_drop_replication_slot('tailrace_a')" >/dev/null
}
standby() {
    PG_VERSION[replica]=18 PG_DB[replica]=shop
    port_new; PG_PORT[replica]=$PORT
    SERVERS+=(replica)
    pg replica standby "$W/main" "${PG_PORT[main]}" >"$W/standby.log" 2>&1 || { WHY="no standby could be made"; return; }
    look "$(dsn replica)"
    must "no failure" exits 0
    must "primary warns" is primary warn
    C_SOURCE_MORE="  primary: \"$(dsn main)\"" look "$(dsn replica)"
    must "with source.primary it does not" is primary pass
}
state_place() {
    C_STATE=/dev/shm/tailrace-check look "$(as reader)"
    must "memory is a warning" is file_system warn
    C_BUS='max_mb: 900000000' look "$(as reader)"
    must "too little space is a warning" is disk_space warn
    mkdir -m 755 "$W/open"
    C_STATE=$W/open look "$(as reader)"
    must "a state that others can read is a warning" is state warn
    touch "$W/file"
    C_STATE=$W/file look "$(as reader)"
    must "a file is no state directory" is state fail
    must "exit code of the state directory" exits 73
}

pg_start main 18 'max_slot_wal_keep_size = 1GB'
pg_start low debian $'wal_level = replica\nmax_wal_senders = 0\nmax_replication_slots = 1'
q low "SELECT pg_create_physical_replication_slot('taken')" >/dev/null
q main 'CREATE DATABASE target'
q main "CREATE DATABASE ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
TARGET="host=127.0.0.1 port=${PG_PORT[main]} user=postgres dbname=target"
database main shop
qf main <<'SQL'
CREATE DOMAIN money_amount AS int CHECK (VALUE >= 0);
CREATE TABLE orders (id int PRIMARY KEY, amount money_amount, place point, note text);
CREATE TABLE nokey (a int);
CREATE ROLE reader LOGIN REPLICATION;
CREATE ROLE plain LOGIN;
CREATE ROLE blind LOGIN REPLICATION;
CREATE ROLE locked LOGIN REPLICATION PASSWORD 'right';
GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
CREATE PUBLICATION tailrace_a FOR TABLE ONLY orders WITH (publish_via_partition_root = true);
CREATE PUBLICATION tailrace_a_ins FOR TABLE ONLY nokey WITH (publish = 'insert, truncate', publish_via_partition_root = true);
SQL
sed -i '1i host all locked all scram-sha-256' "$W/main/data/pg_hba.conf"
q main 'SELECT pg_reload_conf()' >/dev/null

case_run "check: a source as it should be" good_source
case_run "check: wal_level, slots and walsenders" low_server
case_run "check: role without REPLICATION" no_replication
case_run "check: no SELECT on the tables to copy" no_select
case_run "check: superuser, physical replication open" superuser
case_run "check: table without replica identity" no_identity
case_run "check: types that travel as text" text_types
case_run "check: rules of columns and keys" rules_of_columns
case_run "check: SQL_ASCII database" sql_ascii
case_run "check: server that cannot be reached" unreachable
case_run "check: wrong password" wrong_password
case_run "check: publication missing, SQL printed" publication_missing
case_run "check: publication that breaks the application" publication_breaks
case_run "check: publication with a row filter" publication_filtered
case_run "check: row security hides rows" row_security
case_run "check: no table chosen" no_tables
case_run "check: slot that the state does not know" slot_without_state
case_run "check: slot of another kind" slot_of_other_plugin
case_run "check: no limit to what the slot keeps" no_limit
case_run "check: failover slot ahead of its standbys" failover_slot
case_run "check: standby" standby
case_run "check: place of the state" state_place
finish
