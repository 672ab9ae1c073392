-- SPDX-License-Identifier: Apache-2.0
-- The role that tailrace writes a target with, with the least rights. Run by a superuser in the database that is
-- written to:
--
--   psql -d warehouse -v role=tailrace_apply -v schemas=public,sales -f target-role.sql
--
-- The tables must be there and belong to somebody else. For `create: true` the role needs more: CREATE on the schemas
-- (-v create=yes), and then owns what it makes. No password is set: \password tailrace_apply does. May be run again.
\set ON_ERROR_STOP on
\if :{?role}
\else
\set role tailrace_apply
\endif
\if :{?schemas}
\else
\set schemas public
\endif
\if :{?create}
\else
\set create no
\endif

BEGIN;

-- 1. The role.
SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT CONNECTION LIMIT 16', :'role')
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = :'role') \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', pg_catalog.current_database(), :'role') \gexec

-- 2. A schema of its own for the watermark: rows and the position that they bring the target to are committed together.
SELECT format('CREATE SCHEMA tailrace AUTHORIZATION %I', :'role')
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'tailrace') \gexec

-- 3. Rows.
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', trim(s), :'role') FROM regexp_split_to_table(:'schemas', ',') s \gexec
SELECT format('GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA %I TO %I', trim(s), :'role')
FROM regexp_split_to_table(:'schemas', ',') s \gexec
SELECT format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON TABLES TO %I', trim(s), :'role')
FROM regexp_split_to_table(:'schemas', ',') s \gexec
SELECT format('GRANT CREATE ON SCHEMA %I TO %I', trim(s), :'role') FROM regexp_split_to_table(:'schemas', ',') s
WHERE :'create' = 'yes' \gexec

-- 4. Triggers and foreign keys kept quiet (`triggers: off`, the default). PostgreSQL 14 cannot grant that to anybody
-- but a superuser: there, use `triggers: on`.
SELECT format('GRANT SET ON PARAMETER session_replication_role TO %I', :'role')
WHERE pg_catalog.current_setting('server_version_num')::int >= 150000 \gexec

COMMIT;
