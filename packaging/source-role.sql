-- SPDX-License-Identifier: Apache-2.0
-- The role that tailrace reads a source with, with the least rights. Run by a superuser (or the owner of the
-- tables, for the grants on them) in the database that is read:
--
--   psql -d shop -v role=tailrace -v publication=tailrace_shop -v schemas=public,sales -f source-role.sql
--
-- The script sets no password: \password tailrace does, without a trace in the server's log. It may be run again.
-- What it does, and what to put into pg_hba.conf, is explained in docs/security.md.
\set ON_ERROR_STOP on
\if :{?role}
\else
\set role tailrace
\endif
\if :{?schemas}
\else
\set schemas public
\endif
\if :{?publication}
\else
\set publication tailrace
\endif

BEGIN;

-- 1. The role. REPLICATION is what creating and reading a slot needs; nothing else is given.
SELECT format('CREATE ROLE %I LOGIN REPLICATION NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT CONNECTION LIMIT 16', :'role')
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = :'role') \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', pg_catalog.current_database(), :'role') \gexec

-- 2. Reading, for the first copy and for verify. Tables that do not exist yet get the right by default.
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', trim(s), :'role') FROM regexp_split_to_table(:'schemas', ',') s \gexec
SELECT format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', trim(s), :'role')
FROM regexp_split_to_table(:'schemas', ',') s \gexec
SELECT format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT ON TABLES TO %I', trim(s), :'role')
FROM regexp_split_to_table(:'schemas', ',') s \gexec

-- 3. Records of running transactions on request (PostgreSQL 16 and later): an idle slot then keeps the WAL of a
-- sentinel interval instead of that of 15 s.
SELECT format('GRANT EXECUTE ON FUNCTION pg_catalog.pg_log_standby_snapshot() TO %I', :'role')
WHERE pg_catalog.current_setting('server_version_num')::int >= 160000 \gexec

-- 4. The publications, owned by whoever runs this and not by the role: it cannot publish more than this. Tables
-- without a replica identity go into the second one: in the first, the application's own updates and deletes of
-- them would fail. (A partitioned table is judged by its root here; give leaves the same identity.)
CREATE TEMPORARY TABLE tailrace_chosen ON COMMIT DROP AS
SELECT c.oid::pg_catalog.regclass AS name, c.relkind,
       c.relreplident = 'f' OR (c.relreplident = 'd' AND EXISTS
           (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))
       OR (c.relreplident = 'i' AND EXISTS
           (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisreplident)) AS identity
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'
  AND n.nspname IN (SELECT trim(s) FROM regexp_split_to_table(:'schemas', ',') s);
SELECT format('CREATE PUBLICATION %I', :'publication')
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = :'publication') \gexec
SELECT format('ALTER PUBLICATION %I SET (publish = %L, publish_via_partition_root = true)', :'publication',
              'insert, update, delete, truncate') \gexec
SELECT format('ALTER PUBLICATION %I SET TABLE %s', :'publication',
              string_agg(CASE relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || name, ', '))
FROM tailrace_chosen WHERE identity HAVING count(*) > 0 \gexec
SELECT format('CREATE PUBLICATION %I', :'publication' || '_ins')
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = :'publication' || '_ins') \gexec
SELECT format('ALTER PUBLICATION %I SET (publish = %L, publish_via_partition_root = true)', :'publication' || '_ins',
              'insert, truncate') \gexec
SELECT format('ALTER PUBLICATION %I SET TABLE %s', :'publication' || '_ins',
              string_agg(CASE relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || name, ', '))
FROM tailrace_chosen WHERE NOT identity HAVING count(*) > 0 \gexec

COMMIT;
