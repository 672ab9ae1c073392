#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Capture messages from a real server for pgoutput.tsv, pgoutput_streamed.tsv and test_decoding.tsv.

usage: pgoutput-capture.py LABEL 'LIBPQ-DSN' [streamed | test_decoding] > rows     (a scratch database; psql must be in PATH)

With "streamed": cases of transactions that are sent while they are open (PostgreSQL 17 and later).

Prints case, server, LSN and hex of each message, and the statements they come from. The column of
expected changes is written by hand or by the decoder and then read against the statements.
"""
import subprocess
import sys

# name, least version, statements before the slot, statements that are captured
CASES = [
    ("types", 14,
     "create type mood as enum ('sad', 'ok'); create domain pos as int check (value > 0);"
     "create table t (id int primary key, b bool, s int2, l int8, f4 float4, f8 float8,"
     " n numeric(10,2), v varchar(20), c char(4), by bytea, u uuid, j jsonb, m mood, p pos,"
     " d date, ti time(3), tz timetz, ts timestamp, tsz timestamptz, iv interval, a int[], o oid)",
     ["insert into t values (1, true, -2, 9007199254740993, 'NaN', 0.1, 1.50, '', 'ab', '\\x00ff',"
      " 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": 1}', 'ok', 7, 'infinity', '01:02:03.004',"
      " '12:00+02', '2024-02-29 01:02:03.000004', '2024-02-29 01:02:03+00', '1 month', '{1,NULL}', 26)",
      "insert into t (id) values (2)"]),
    ("key", 14, "create table t (id int primary key, a text, b text)",
     ["insert into t values (1, 'eins', null)", "update t set a = '' where id = 1",
      "update t set id = 2, b = 'é' where id = 1", "delete from t where id = 2"]),
    ("full", 14, "create table t (id int, a text); alter table t replica identity full;"
     "insert into t values (1, null)",
     ["update t set a = 'x'", "delete from t"]),
    ("index", 14, "create table t (a int primary key, b int not null, c text);"
     "create unique index t_b on t (b); alter table t replica identity using index t_b;"
     "insert into t values (1, 10, 'x')",
     ["update t set c = 'y'", "update t set b = 11", "delete from t"]),
    ("nothing", 14, "create table t (a int)", ["insert into t values (5)"]),
    ("toast", 14, "create table t (id int primary key, big text, a int);"
     "alter table t alter big set storage external;"
     "insert into t values (1, repeat('x', 2100), 1)",
     ["update t set a = 2", "update t set id = 3"]),
    ("toast_full", 14, "create table t (id int primary key, big text, a int);"
     "alter table t alter big set storage external; alter table t replica identity full;"
     "insert into t values (1, repeat('x', 2100), 1)", ["update t set a = 2"]),
    ("toast_key", 14, "create table t (k text primary key, a int);"
     "alter table t alter k set storage external;"
     "insert into t values (repeat('k', 2100), 1)", ["update t set a = 2"]),
    ("truncate", 14, "create table t (id int primary key); create table t2 (id int primary key,"
     " r int references t); create table t3 (id serial primary key)",
     ["truncate t cascade", "truncate t3 restart identity", "truncate t, t2, t3"]),
    ("message", 14, "create table t (id int primary key)",
     ["select pg_logical_emit_message(true, 'tailrace', 'a' || chr(10))",
      "select pg_logical_emit_message(false, 'app', '')",
      "begin; insert into t values (1); select pg_logical_emit_message(true, 'x', 'y');"
      " insert into t values (2); commit"]),
    ("origin", 14, "create table t (id int primary key)",
     ["select pg_replication_origin_create('from_crm');"
      "select pg_replication_origin_session_setup('from_crm'); begin;"
      "select pg_replication_origin_xact_setup('0/ABCDEF', '2024-01-01 00:00+00');"
      "insert into t values (1); commit",
      "insert into t values (2)"]),
    ("ddl", 14, "create table t (id int primary key, gone int)",
     ["begin; insert into t values (1, 1); alter table t drop column gone;"
      " alter table t add \"Größe\" numeric(8,3) default 1.5; insert into t values (2); commit",
      "alter table t rename to t_new", "insert into t_new values (3)",
      "alter table t_new set schema information_schema"]),
    ("savepoint", 14, "create table t (id int primary key)",
     ["begin; insert into t values (1); savepoint s; insert into t values (2); rollback to s;"
      " insert into t values (3); commit", "begin; insert into t values (4); rollback"]),
    ("root", 14, "create table t (id int primary key, a text) partition by range (id);"
     "create table t_low partition of t for values from (0) to (10)",
     ["insert into t values (1, 'x')", "update t set id = 2", "delete from t"]),
    ("generated", 18, "create table t (id int primary key, g int generated always as (id * 2) stored)",
     ["insert into t values (4)", "update t set id = 5", "delete from t"]),
]

STREAMED = [
    ("plain", 17, "create table t (id int primary key, a text)",
     ["begin; insert into t values (1, 'x'); update t set a = 'y'; delete from t; commit"]),
    ("subs", 17, "create table t (id int primary key, a text)",
     ["begin; insert into t values (1, 'top'); savepoint s; insert into t values (2, 'sub');"
      " savepoint u; insert into t values (3, 'gone'); rollback to u; insert into t values (4, 'sub');"
      " release s; insert into t values (5, 'top'); commit"]),
    ("given_up", 17, "create table t (id int primary key, a text)",
     ["begin; insert into t values (1, 'x'); rollback", "insert into t values (2, 'y')"]),
    ("altered", 17, "create table t (id int primary key, a text)",
     ["begin; insert into t values (1, 'x'); savepoint s; alter table t add b int; insert into t values (2, 'y', 2);"
      " rollback to s; insert into t values (3, 'z'); alter table t drop a; insert into t values (4); commit",
      "insert into t values (5)"]),
    ("first_in_sub", 17, "create table t (id int primary key)",
     ["begin; savepoint s; insert into t values (1); rollback to s; insert into t values (2); commit"]),
    ("message", 17, "create table t (id int primary key); create table t2 (id int primary key)",
     ["begin; insert into t values (1); select pg_logical_emit_message(true, 'x', 'y');"
      " select pg_logical_emit_message(false, 'app', 'z'); truncate t, t2; commit"]),
    ("origin", 17, "create type mood as enum ('sad'); create table t (id int primary key, m mood)",
     ["select pg_replication_origin_create('from_crm');"
      "select pg_replication_origin_session_setup('from_crm'); begin;"
      "select pg_replication_origin_xact_setup('0/ABCDEF', '2024-01-01 00:00+00');"
      "insert into t values (1, 'sad'); commit"]),
]


def psql(dsn, sql, *, rows=False):
    out = subprocess.run(["psql", "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", dsn],
                         input=sql, text=True, capture_output=True, check=False)
    if out.returncode:
        sys.exit(out.stderr)
    return [line.split("\t") for line in out.stdout.splitlines()] if rows else None


# What only test_decoding writes in a way of its own.
NAMES = [
    ("names", 14, 'create schema "S p"; create table "S p"."T""]:" ("a b" int primary key, "new-tuple" text, "c]:" bit(3),'
     ' nul text); create type "S p"."k]d" as enum (\'x y\'); alter table "S p"."T""]:" add k "S p"."k]d"[]',
     ["insert into \"S p\".\"T\"\"]:\" values (1, ' new-tuple: x[integer]:1 ''quoted''', b'101', null, '{x y}')",
      "update \"S p\".\"T\"\"]:\" set \"a b\" = 2", "delete from \"S p\".\"T\"\"]:\""]),
    ("nulls", 14, "create table t (a int, b text, c bool); alter table t replica identity full;"
     " insert into t values (1, null, true), (2, 'x', null), (null, null, null)",
     ["delete from t where a = 1", "delete from t where a = 2", "update t set c = false", "delete from t"]),
    ("first_deleted", 14, "create table t (a int, b text, c int, primary key (c, a)); insert into t values (1, 'x', 2), (3, 'y', 4)",
     ["delete from t where a = 1", "update t set b = 'z'", "delete from t"]),
    ("prefix", 14, "create table t (id int primary key)",
     ["select pg_logical_emit_message(false, 'a, sz: 3 content:b', 'c, sz: 1 content:d')",
      "select pg_logical_emit_message(true, 'p', E'two\nlines')"]),
]


def capture(label, dsn, case, mode):
    streamed, plugin = mode == "streamed", "test_decoding" if mode == "test_decoding" else "pgoutput"
    name, least, before, statements = case
    version = int(psql(dsn, "show server_version_num", rows=True)[0][0]) // 10000
    if version < least:
        return
    options = ", publish_generated_columns = stored" if name == "generated" else ""
    options += ", publish_via_partition_root" if name == "root" else ""
    publish = "insert, truncate" if name == "nothing" else "insert, update, delete, truncate"
    psql(dsn, "drop schema public cascade; create schema public;"
              "drop publication if exists capture;" + before + ";"
              f"create publication capture for all tables with (publish = '{publish}'{options});"
              f"select pg_create_logical_replication_slot('capture', '{plugin}')")
    for statement in statements:
        psql(dsn, statement + ";")
    settings = ("set datestyle = iso; set intervalstyle = postgres; set timezone = utc;"
                "set extra_float_digits = 3; set bytea_output = hex; set client_encoding = utf8;"
                + ("set debug_logical_replication_streaming = immediate;" if streamed else ""))
    rows = psql(dsn, settings + "select lsn - '0/0'::pg_lsn, encode(data, 'hex')"
                " from pg_logical_slot_peek_binary_changes('capture', null, null, "
                + ("'include-xids', 'true', 'include-timestamp', 'true', 'skip-empty-xacts', 'false')"
                   if plugin == "test_decoding" else
                   ("'proto_version', '2', 'streaming', 'on'," if streamed else "'proto_version', '1',") +
                   " 'publication_names', 'capture', 'messages', 'true')"), rows=True)
    psql(dsn, "select pg_drop_replication_slot('capture'); drop publication capture;"
              "select pg_replication_origin_drop(roname) from pg_replication_origin")
    source = " | ".join(statements).replace("\t", " ").replace("\n", " ")
    for number, (lsn, data) in enumerate(rows):
        print(name, label, lsn, data, "", source if number == 0 else "same", sep="\t")


asked = sys.argv[3] if len(sys.argv) > 3 else ""
for one in {"streamed": STREAMED, "test_decoding": CASES + NAMES}.get(asked, CASES):
    capture(sys.argv[1], sys.argv[2], one, asked)
