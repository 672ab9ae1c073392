-- SPDX-License-Identifier: Apache-2.0
-- What tests/peers/debezium.sh runs on one database that both Debezium and tailrace read, and what
-- tests/integration/debezium.sh runs again to compare tailrace with the records that Debezium made (debezium.tsv).
-- Parts: "before" makes the tables and the rows of the first copy, the others run while both stream; each
-- statement of these is a transaction. A part ends with a row of marker, and begins when both have seen it. Parts of extensions
-- that Debian's list of packages needs not have (postgis, vector) are at the end, and run only where the server has them.
-- part: before
CREATE EXTENSION hstore; CREATE EXTENSION ltree; CREATE EXTENSION citext; CREATE EXTENSION isn;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN whole AS int CHECK (VALUE >= 0);
CREATE DOMAIN word AS varchar(20);
CREATE DOMAIN cents AS numeric(8,2);
-- A domain over an enum ends Debezium's task at its start, so there is none here.
CREATE DOMAIN instant AS timestamp(3);
CREATE DOMAIN deep AS word;

CREATE TABLE numbers (id serial PRIMARY KEY, b boolean, i2 smallint, i4 integer, i8 bigint, o oid, f4 real, f8 double precision,
    n numeric, n5 numeric(5), n10_2 numeric(10,2), n38_10 numeric(38,10), m money);
CREATE TABLE texts (id bigserial PRIMARY KEY, t text, v varchar, v50 varchar(50), c char, c5 char(5), ch "char", nm name, ci citext,
    j json, jb jsonb, x xml, u uuid, e mood, by bytea, tv tsvector, hs hstore, lt ltree, isb isbn);
CREATE TABLE bits (id smallserial PRIMARY KEY, b1 bit, b8 bit(8), b12 bit(12), b64 bit(64), vb varbit, vb1 varbit(1), vb20 varbit(20));
CREATE TABLE times (id int PRIMARY KEY, d date, t time, t0 time(0), t3 time(3), t4 time(4), tz timetz, tz3 timetz(3), ts timestamp, ts0 timestamp(0),
    ts3 timestamp(3), ts6 timestamp(6), tstz timestamptz, tstz0 timestamptz(0), tstz3 timestamptz(3), iv interval, ivd interval day to second(3), ivy interval year to month);
CREATE TABLE nets (id int PRIMARY KEY, ip inet, net cidr, mac macaddr, mac8 macaddr8, i4r int4range, i8r int8range, nr numrange, tr tsrange, tzr tstzrange, dr daterange);
CREATE TABLE shapes (id int PRIMARY KEY, p point, l line, s lseg, b box, pa path, po polygon, c circle);
CREATE TABLE others (id int PRIMARY KEY, tq tsquery, lsn pg_lsn, xi xid, ti tid, i4m int4multirange, nm nummultirange, jp jsonpath, pr pair, rc regclass, lq lquery);
CREATE TABLE arrays (id int PRIMARY KEY, ab boolean[], ai2 smallint[], ai4 integer[], ai8 bigint[], ao oid[], af4 real[], af8 double precision[],
    an numeric[], an10_2 numeric(10,2)[], at text[], av varchar(10)[], ac char(3)[], aci citext[], aj json[], ajb jsonb[], au uuid[], ae mood[], aby bytea[],
    ad date[], ati time[], ati3 time(3)[], atz timetz[], ats timestamp[], ats3 timestamp(3)[], atstz timestamptz[], aip inet[], anet cidr[], amac macaddr[],
    ai4r int4range[], atzr tstzrange[], ahs hstore[], alt ltree[]);
CREATE TABLE odd_arrays (id int PRIMARY KEY, am money[], anm name[], aiv interval[], avb varbit[], ab8 bit(8)[], ax xml[], ap point[], aw whole[], apr pair[], aty tsvector[], am8 macaddr8[]);
CREATE TABLE made (id whole PRIMARY KEY, w word, ce cents, f mood, i instant, dd deep, p pair);
CREATE TABLE defaults (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, b boolean DEFAULT true, i2 smallint NOT NULL DEFAULT 7, i4 int DEFAULT -5, i8 bigint DEFAULT 9000000000,
    f4 real DEFAULT 1.5, f8 double precision NOT NULL DEFAULT 2.25, n numeric DEFAULT 1.10, n10_2 numeric(10,2) NOT NULL DEFAULT 3.5, t text DEFAULT 'it''s', v varchar(9) NOT NULL DEFAULT 'v',
    c char(4) DEFAULT 'c', j json DEFAULT '{"a": 1}', jb jsonb NOT NULL DEFAULT '{}', u uuid DEFAULT gen_random_uuid(), e mood DEFAULT 'ok', d date DEFAULT '2020-02-29', dn date DEFAULT CURRENT_DATE,
    ti time NOT NULL DEFAULT '12:34:56', ts timestamp DEFAULT '2020-01-02 03:04:05.678', tn timestamp(3) DEFAULT now(), tz timestamptz NOT NULL DEFAULT '2020-01-02 03:04:05+02', tzn timestamptz DEFAULT now(),
    iv interval DEFAULT '1 day', bi bit(3) DEFAULT B'101', b1 bit DEFAULT B'1', nu text DEFAULT NULL, ai int[] DEFAULT '{1}', ip inet DEFAULT '127.0.0.1', low text DEFAULT lower('X'), by bytea DEFAULT '\x01', m money DEFAULT 1);
CREATE TABLE required (id int PRIMARY KEY, b boolean NOT NULL, i2 smallint NOT NULL, i4 int NOT NULL, i8 bigint NOT NULL, f4 real NOT NULL, f8 double precision NOT NULL, n numeric NOT NULL,
    n10_2 numeric(10,2) NOT NULL, t text NOT NULL, c char(4) NOT NULL, by bytea NOT NULL, j jsonb NOT NULL, u uuid NOT NULL, d date NOT NULL, ti time NOT NULL, ti3 time(3) NOT NULL,
    ts timestamp NOT NULL, ts3 timestamp(3) NOT NULL, tz timestamptz NOT NULL, ttz timetz NOT NULL, iv interval NOT NULL, a int[] NOT NULL, e mood NOT NULL, bi bit(4) NOT NULL, o oid NOT NULL);
CREATE TABLE keyed (a int, b varchar(10), v text, n int NOT NULL DEFAULT 3, PRIMARY KEY (b, a));
CREATE TABLE whole_rows (id int PRIMARY KEY, v text, big text); ALTER TABLE whole_rows REPLICA IDENTITY FULL; ALTER TABLE whole_rows ALTER big SET STORAGE EXTERNAL;
CREATE TABLE no_key (a int, b text); ALTER TABLE no_key REPLICA IDENTITY FULL;
CREATE TABLE only_inserts (a int, b text);
CREATE TABLE large (id int PRIMARY KEY, v int, t text, vc varchar, by bytea, j json, jb jsonb, x xml, ta text[], ia int[], la bigint[], da date[], ua uuid[], ja jsonb[], hs hstore);
ALTER TABLE large ALTER t SET STORAGE EXTERNAL, ALTER vc SET STORAGE EXTERNAL, ALTER by SET STORAGE EXTERNAL, ALTER j SET STORAGE EXTERNAL, ALTER jb SET STORAGE EXTERNAL, ALTER x SET STORAGE EXTERNAL,
    ALTER ta SET STORAGE EXTERNAL, ALTER ia SET STORAGE EXTERNAL, ALTER la SET STORAGE EXTERNAL, ALTER da SET STORAGE EXTERNAL, ALTER ua SET STORAGE EXTERNAL, ALTER ja SET STORAGE EXTERNAL, ALTER hs SET STORAGE EXTERNAL;
CREATE TABLE "Odd-Table" ("1st" int PRIMARY KEY, "a-b" text, "über" text, "With Space" int);
CREATE TABLE computed (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED);
CREATE TABLE emptied (id int PRIMARY KEY);
CREATE TABLE emptied_too (id int PRIMARY KEY);
CREATE SCHEMA other; CREATE TABLE other.things (id uuid PRIMARY KEY, v text);
CREATE TABLE marker (n int PRIMARY KEY);

INSERT INTO numbers (b, i2, i4, i8, o, f4, f8, n, n5, n10_2, n38_10, m) VALUES (true, 1, 2, 3, 4, 1.5, 2.25, 1.50, 12345, 19.99, 1.0000000001, '12.34');
INSERT INTO texts (t, v, v50, c, c5, ch, nm, ci, j, jb, x, u, e, by, tv, hs, lt, isb) VALUES ('text', 'v', 'v50', 'c', 'c', 'x', 'name', 'CI', '{"a": [1, null]}', '{"b": 2, "a": 1}',
    '<a>b</a>', '6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b', 'ok', '\x00ff', 'a fat cat', 'a=>1, b=>NULL', 'Top.Science', '978-0-393-04002-9');
INSERT INTO times VALUES (1, '2026-01-02', '03:04:05.678901', '03:04:05', '03:04:05.678', '03:04:05.6789', '03:04:05.678901+02', '03:04:05.678-05:30', '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05',
    '2026-01-02 03:04:05.678', '2026-01-02 03:04:05.678901', '2026-01-02 03:04:05.678901+02', '2026-01-02 03:04:05+02', '2026-01-02 03:04:05.678+02', '1 year 2 mons 3 days 04:05:06.78', '3 days 04:05:06.789', '1 year 2 mons');
INSERT INTO keyed VALUES (1, 'one', 'x'), (2, 'two', 'y');
INSERT INTO "Odd-Table" VALUES (1, 'x', 'y', 2);
INSERT INTO other.things VALUES ('6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b', 'z');
-- part: live
INSERT INTO numbers (b) VALUES (NULL);
INSERT INTO numbers (b, i2, i4, i8, o, f4, f8, n, n5, n10_2, n38_10, m) VALUES (false, -32768, -2147483648, -9223372036854775808, 0, '-Infinity', 'Infinity', 0, 0, 0, 0, 0);
INSERT INTO numbers (b, i2, i4, i8, o, f4, f8, n, n5, n10_2, n38_10, m) VALUES (true, 32767, 2147483647, 9223372036854775807, 4294967295, 'NaN', 'NaN', 100, -99999, -0.01, -9999999999999999999999999999.9999999999, '-12,345.67');
INSERT INTO numbers (f4, f8, n, n5, n10_2, n38_10, m) VALUES (1e-30, 1.7976931348623157e308, 1.500, 128, 1.28, 1e20, '92233720368547758.07');
INSERT INTO numbers (f4, f8, n, n10_2) VALUES (0.1, 0.1, 12345678901234567890123456789012345678901234567890.12345678901234567890, 12345678.90), (3.4028235e38, 4.9e-324, -0.000001, 0.10), (-0.0, -0.0, 1e10, -128), (16777216, 123456789.123456789, 1234500, -32768.5), (1e6, 1e21, 0.00, 99.9);
INSERT INTO texts (t) VALUES (NULL);
INSERT INTO texts (t, v, v50, c, c5, ch, nm, ci, j, jb, x, u, e, by, tv, hs, lt, isb) VALUES ('', '', '', '', '', '', '', '', '1', '"s"', 'plain', '00000000-0000-0000-0000-000000000000', 'sad', '', '', '', '', NULL);
INSERT INTO texts (t, v, v50, c, c5, ch, nm, ci, j, jb, x, u, e, by, tv, hs, lt, isb) VALUES (E'tab\there "quoted" \\ back\nline', 'žluťoučký 🐎', 'ü', 'é', 'ab', '\303', repeat('n', 63), 'MiXed', ' { "a" :  1 , "a": 2 } ', '[1.50, true, null, {"k": "v\u00e9"}]',
    '<?xml version="1.0"?><a b="c">d &amp; e</a>', 'FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF', 'happy', '\xdeadbeef00', 'a:1A fat:2B,4C cat:5', '"k 1"=>"v \"q\"", "é"=>"x\\y", "n"=>"NULL"', 'a.b_c.D1', '0-19-852663-6');
INSERT INTO texts (t, hs) VALUES ('hs', 'z=>1, a=>2, m=>3, aa=>4'), ('hs2', '"a b"=>"{}", c=>"[1]", d=>"<&>/''"');
INSERT INTO bits (b1) VALUES (NULL);
INSERT INTO bits (b1, b8, b12, b64, vb, vb1, vb20) VALUES (B'1', B'10000001', B'100000000001', repeat('1', 64)::bit(64), B'101', B'1', B'11111');
INSERT INTO bits (b1, b8, b12, b64, vb, vb1, vb20) VALUES (B'0', B'00000000', B'000000000000', repeat('0', 64)::bit(64), B'', B'0', B'00000000000000000000'), (B'1', B'01000000', B'000100000000', B'1'::bit(64), repeat('10', 50)::varbit, B'1', B'10000000000000000000');
INSERT INTO times (id) VALUES (2);
INSERT INTO times VALUES (3, '1970-01-01', '00:00:00', '00:00:00', '00:00:00', '00:00:00', '00:00:00+00', '00:00:00+00', '1970-01-01 00:00:00', '1970-01-01 00:00:00', '1970-01-01 00:00:00', '1970-01-01 00:00:00', '1970-01-01 00:00:00+00', '1970-01-01 00:00:00+00', '1970-01-01 00:00:00+00', '0', '0', '0');
INSERT INTO times VALUES (4, '1969-12-31', '24:00:00', '24:00:00', '24:00:00', '24:00:00', '24:00:00+00', '23:59:59.999+15:59', '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59', '1969-12-31 23:59:59.999', '1969-12-31 23:59:59.5', '1969-12-31 23:59:59.999999+00', '1969-12-31 23:59:59+00', '1969-12-31 23:59:59.999+00', '-1 year -2 mons +3 days -04:05:06.78', '-3 days -04:05:06.789', '-1 year -2 mons');
INSERT INTO times VALUES (5, '9999-12-31', '23:59:59.999999', '23:59:59', '23:59:59.999', '23:59:59.9999', '23:59:59.999999-15:59', '12:00:00+02', '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59', '9999-12-31 23:59:59.999', '9999-12-31 23:59:59.1', '9999-12-31 23:59:59.999999+00', '9999-12-31 23:59:59+00', '9999-12-31 23:59:59.1+00', '1 mon', '1 day', '1 mon');
INSERT INTO times (id, d, ts, ts0, ts3, tstz, tstz0, tstz3) VALUES (6, 'infinity', 'infinity', 'infinity', 'infinity', 'infinity', 'infinity', 'infinity'), (7, '-infinity', '-infinity', '-infinity', '-infinity', '-infinity', '-infinity', '-infinity');
INSERT INTO times (id, d, ts, ts0, ts3, tstz, tstz0, tstz3) VALUES (8, '0044-03-15 BC', '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00 BC', '0044-03-15 12:00:00.5 BC', '0044-03-15 12:00:00+00 BC', '0044-03-15 12:00:00+00 BC', '0044-03-15 12:00:00.5+00 BC'),
    (9, '10000-01-01', '10000-01-01 00:00:00.1', '10000-01-01 00:00:00', '10000-01-01 00:00:00.1', '10000-01-01 00:00:00.1+00', '10000-01-01 00:00:00+00', '10000-01-01 00:00:00.1+00'),
    (10, '0001-01-01', '0001-01-01 00:00:00', '0001-01-01 00:00:00', '0001-01-01 00:00:00', '0001-01-01 00:00:00+00', '0001-01-01 00:00:00+00', '0001-01-01 00:00:00+00'),
    (11, '1582-10-10', '1582-10-10 01:02:03', '1582-10-04 01:02:03', '1582-10-15 01:02:03', '1582-10-10 01:02:03+00', '1582-10-04 01:02:03+00', '1500-02-28 01:02:03+00'),
    (12, '1900-01-01', '1890-06-01 01:02:03', '1883-11-18 12:00:00', '1900-01-01 00:00:00', '1890-06-01 01:02:03+00', '1883-11-18 12:00:00+00', '1900-01-01 00:00:00+00'),
    (13, '2000-02-29', '2000-02-29 12:00:00.120', '2000-02-29 12:00:00', '2000-02-29 12:00:00.120', '2000-02-29 12:00:00.120+00', '2000-02-29 12:00:00+00', '2000-02-29 12:00:00.120+00');
INSERT INTO times (id, iv, ivd) VALUES (14, '-1 day +02:03:04', '00:00:00.001'), (15, '178000 years', '1 day -00:00:01'), (16, '00:00:00.000001', '100:00:00'), (17, '1 year 1 day', '0.5 days'), (18, '-00:00:00.5', '-0.001 seconds'), (19, '13 months 33 days 25:00:00', '7 days');
INSERT INTO times (id, tz, tz3, t) VALUES (20, '01:00:00+02', '24:00:00+00', '12:00:00.1'), (21, '12:00:00.120+05:30', '00:00:00.1+00', '12:00'), (22, '23:00:00-02', '12:00:00+14', '00:00:00.000001');
INSERT INTO nets (id) VALUES (1);
INSERT INTO nets VALUES (2, '192.168.1.1', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '[1,10)', '[1,10)', '[1.5,2.50]', '["2026-01-01 00:00:00","2026-02-01 12:00:00.5"]', '[2026-01-01 00:00:00+02,infinity)', '[2026-01-01,2026-02-01)');
INSERT INTO nets VALUES (3, '2001:db8::1/64', '::/0', 'ffffffffffff', 'ffffffffffffffff', 'empty', '(,)', '(,5]', '(,"2026-01-01 00:00:00")', 'empty', '(,)');
INSERT INTO shapes (id) VALUES (1);
INSERT INTO shapes VALUES (2, '(1,2)', '{1,2,3}', '[(0,0),(1,1)]', '(1,1),(0,0)', '((0,0),(1,1),(2,0))', '((0,0),(1,1),(2,0))', '<(1,2),3>'), (3, '(-1.5,1e300)', '{0,1,0}', '[(0,0),(0,0)]', '(0,0),(0,0)', '[(0,0),(1,1)]', '((0,0))', '<(0,0),0>');
INSERT INTO others (id) VALUES (1);
INSERT INTO others VALUES (2, 'fat & (rat | cat)', '16/B374D848', '123', '(1,2)', '{[1,3),[5,7)}', '{}', '$.a[*]', '(1,"x y")', 'pg_class', '*.a.*');
INSERT INTO arrays (id) VALUES (1);
INSERT INTO arrays VALUES (2, '{t,f,NULL}', '{1,NULL,-32768}', '{1,NULL,2147483647}', '{1,NULL,9223372036854775807}', '{1,4294967295}', '{1.5,NULL,NaN}', '{2.25,Infinity}', '{1.50,NULL,100}', '{1.50,-0.01}', '{a,NULL,"",b c,"q\"\\"}', '{a,"é"}', '{a,abc}', '{Ci}', '{"{\"a\": 1}","[]"}', '{"{\"a\": 1}"}',
    '{6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b,NULL}', '{ok,happy}', '{"\\x00ff",NULL}', '{2026-01-02,1969-12-31}', '{03:04:05.678901,24:00:00}', '{03:04:05.678}', '{03:04:05+02}', '{"2026-01-02 03:04:05.678901"}', '{"2026-01-02 03:04:05.678"}', '{"2026-01-02 03:04:05.678901+02"}',
    '{192.168.1.1,::1}', '{10.0.0.0/8}', '{08:00:2b:01:02:03}', '{"[1,10)",empty}', '{"[2026-01-01 00:00:00+02,infinity)"}', '{"a=>1"}', '{a.b}');
INSERT INTO arrays (id, ab, ai2, ai4, ai8, ao, af4, af8, an, an10_2, at, av, ac, aci, aj, ajb, au, ae, aby, ad, ati, ats, atstz, aip, ai4r, ahs, alt) VALUES (3, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
INSERT INTO odd_arrays (id) VALUES (1);
INSERT INTO odd_arrays (id, am, anm, aiv, avb, ab8, ax, ap, aw, apr, aty, am8) VALUES (2, '{1.50}', '{n}', '{1 day}', '{101}', NULL, '{<a/>}', '{"(1,2)"}', '{1,2}', '{"(1,x)"}', '{a}', '{08:00:2b:01:02:03:04:05}');
INSERT INTO made VALUES (1, 'word', 12.5, 'ok', '2026-01-02 03:04:05.678', 'deep', '(1,x)'), (2, NULL, NULL, NULL, NULL, NULL, NULL);
UPDATE made SET w = 'other' WHERE id = 1;
DELETE FROM made WHERE id = 2;
INSERT INTO defaults (u, dn, tn, tzn) VALUES ('6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b', '2026-03-04', '2026-03-04 05:06:07.089', '2026-03-04 05:06:07+00');
INSERT INTO defaults (b, i4, i8, f4, n, t, c, j, u, e, d, dn, ts, tn, tzn, iv, bi, b1, ai, ip, low, by, m) VALUES (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
UPDATE defaults SET b = false, i4 = 6, t = 'set' WHERE id = 1;
DELETE FROM defaults WHERE id = 1;
INSERT INTO required VALUES (1, true, 1, 2, 3, 1.5, 2.5, 1.5, 2.5, 't', 'c', '\x01', '{"a": 1}', '6ec0bd7f-11c0-43da-975e-2a8ad9ebae0b', '2026-01-02', '03:04:05', '03:04:05.678', '2026-01-02 03:04:05', '2026-01-02 03:04:05.678', '2026-01-02 03:04:05+02', '03:04:05+02', '1 mon', '{1}', 'happy', B'1010', 5);
UPDATE required SET i4 = 3 WHERE id = 1;
UPDATE required SET id = 2 WHERE id = 1;
DELETE FROM required WHERE id = 2;
BEGIN; INSERT INTO keyed VALUES (3, 'three', NULL, 4); UPDATE keyed SET v = 'changed' WHERE a = 1; UPDATE keyed SET b = 'uno' WHERE a = 1; UPDATE keyed SET a = 22, v = NULL WHERE a = 2; DELETE FROM keyed WHERE a = 3; COMMIT;
BEGIN; INSERT INTO keyed VALUES (4, 'gone'); ROLLBACK;
BEGIN; INSERT INTO keyed VALUES (5, 'kept'); SAVEPOINT s; INSERT INTO keyed VALUES (6, 'undone'); ROLLBACK TO s; INSERT INTO keyed VALUES (7, 'kept too'); COMMIT;
UPDATE keyed SET v = v WHERE a = 5;
DELETE FROM keyed;
INSERT INTO whole_rows VALUES (1, 'one', repeat('abcdefgh', 1000));
UPDATE whole_rows SET v = 'two' WHERE id = 1;
UPDATE whole_rows SET id = 2 WHERE id = 1;
UPDATE whole_rows SET big = NULL WHERE id = 2;
DELETE FROM whole_rows WHERE id = 2;
INSERT INTO no_key VALUES (1, 'x'), (1, 'x');
UPDATE no_key SET b = 'y' WHERE a = 1;
DELETE FROM no_key;
INSERT INTO only_inserts VALUES (1, 'x'), (NULL, NULL);
INSERT INTO large VALUES (1, 1, repeat('text', 1000), repeat('varc', 1000), decode(repeat('00ff', 2000), 'hex'), ('"' || repeat('json', 1000) || '"')::json, ('"' || repeat('json', 1000) || '"')::jsonb, ('<a>' || repeat('xml', 1000) || '</a>')::xml,
    ARRAY[repeat('text', 1000), 'x'], ARRAY(SELECT generate_series(1, 1000)), ARRAY(SELECT generate_series(1, 1000)::bigint), ARRAY(SELECT '2026-01-01'::date + n FROM generate_series(1, 1000) n), ARRAY(SELECT md5(n::text)::uuid FROM generate_series(1, 300) n),
    ARRAY[('"' || repeat('json', 1000) || '"')::jsonb], hstore('k', repeat('hsto', 1000)));
UPDATE large SET v = 2 WHERE id = 1;
UPDATE large SET v = 3, t = 'short' WHERE id = 1;
UPDATE large SET id = 2 WHERE id = 1;
DELETE FROM large WHERE id = 2;
INSERT INTO "Odd-Table" VALUES (2, 'x', NULL, 3);
UPDATE "Odd-Table" SET "1st" = 3 WHERE "1st" = 2;
DELETE FROM "Odd-Table" WHERE "1st" = 3;
INSERT INTO computed (id, a) VALUES (1, 2);
UPDATE computed SET a = 5 WHERE id = 1;
INSERT INTO emptied VALUES (1), (2);
TRUNCATE emptied;
TRUNCATE emptied, emptied_too RESTART IDENTITY CASCADE;
INSERT INTO other.things VALUES ('00000000-0000-0000-0000-000000000001', 'new');
UPDATE other.things SET id = '00000000-0000-0000-0000-000000000002' WHERE v = 'new';
-- A new label of an enum is not among these: Debezium goes on with the labels that it read at its start.
INSERT INTO marker VALUES (1);
-- part: added
ALTER TABLE keyed ADD COLUMN extra int NOT NULL DEFAULT 9;
INSERT INTO keyed VALUES (8, 'extra', 'v');
INSERT INTO marker VALUES (2);
-- part: dropped
ALTER TABLE keyed DROP COLUMN v;
INSERT INTO keyed (a, b) VALUES (9, 'dropped');
INSERT INTO marker VALUES (3);
-- part: renamed
ALTER TABLE keyed RENAME COLUMN extra TO renamed;
INSERT INTO keyed (a, b, renamed) VALUES (10, 'renamed', 1);
INSERT INTO marker VALUES (4);
-- part: retyped
ALTER TABLE keyed ALTER COLUMN renamed TYPE bigint, ALTER COLUMN renamed DROP NOT NULL;
INSERT INTO keyed (a, b, renamed) VALUES (11, 'retyped', NULL);
INSERT INTO marker VALUES (5);
-- part: before_postgis
CREATE EXTENSION postgis;
CREATE DOMAIN spot AS geometry(Point,4326);
CREATE TABLE places (id int PRIMARY KEY, g geometry, gp geometry(Point,4326), gz geometry(PointZM), gg geography, ggp geography(Point,4326), ag geometry[], agg geography[], s spot, asp spot[], b2 box2d, b3 box3d);
CREATE TABLE places_required (id int PRIMARY KEY, v int, g geometry NOT NULL, gg geography NOT NULL, ag geometry[] NOT NULL);
CREATE TABLE places_defaults (id int PRIMARY KEY, g geometry DEFAULT 'POINT(1 2)', gg geography DEFAULT 'POINT(1 2)', gn geometry NOT NULL DEFAULT 'POINT(3 4)', ag geometry[] DEFAULT '{}');
CREATE TABLE places_keyed (g geometry PRIMARY KEY, v text);
CREATE TABLE places_large (id int PRIMARY KEY, v int, g geometry, gg geography, ag geometry[], gn geometry NOT NULL);
ALTER TABLE places_large ALTER g SET STORAGE EXTERNAL, ALTER gg SET STORAGE EXTERNAL, ALTER ag SET STORAGE EXTERNAL, ALTER gn SET STORAGE EXTERNAL;
INSERT INTO places VALUES (1, 'POINT(1 2)', 'SRID=4326;POINT(1 2)', 'POINT ZM (1 2 3 4)', 'POINT(1 2)', 'POINT(1 2)', ARRAY['POINT(1 2)'::geometry, NULL], ARRAY['POINT(1 2)'::geography], 'SRID=4326;POINT(1 2)', ARRAY['SRID=4326;POINT(1 2)'::spot], 'BOX(1 2,3 4)', 'BOX3D(1 2 3,4 5 6)');
-- part: postgis
INSERT INTO places (id) VALUES (2);
INSERT INTO places VALUES (3, 'GEOMETRYCOLLECTION EMPTY', 'SRID=4326;POINT EMPTY', 'POINT ZM (-1.5 1e300 0 -0)', 'POINT EMPTY', 'POINT(-180 90)', '{}', '{}', NULL, '{}', NULL, NULL);
INSERT INTO places (id, g, gg, ag, agg) VALUES (4, 'SRID=3857;POLYGON((0 0,1 0,1 1,0 0),(0.2 0.1,0.3 0.1,0.3 0.2,0.2 0.1))', 'SRID=4267;LINESTRING(0 0,1 1)', ARRAY['SRID=4326;POINT(1 2)'::geometry, 'LINESTRING(0 0,1 1)', NULL, 'SRID=3857;POINT EMPTY'], ARRAY['POINT(1 2)'::geography, NULL, 'LINESTRING(0 0,1 1)']);
INSERT INTO places (id, g, gg) VALUES (5, 'SRID=4326;MULTICURVE((0 0,5 5),CIRCULARSTRING(4 0,4 4,8 4))', 'GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))'), (6, 'TIN(((0 0 0,0 0 1,0 1 0,0 0 0)))', 'MULTIPOINT((1 2),(3 4))');
UPDATE places SET g = 'SRID=999999;POINT(0 0)', gp = NULL WHERE id = 1;
UPDATE places SET id = 7 WHERE id = 1;
DELETE FROM places WHERE id = 7;
INSERT INTO places_required VALUES (1, 1, 'POINT(1 2)', 'POINT(1 2)', '{}');
UPDATE places_required SET v = 2 WHERE id = 1;
UPDATE places_required SET id = 2 WHERE id = 1;
DELETE FROM places_required WHERE id = 2;
INSERT INTO places_defaults (id) VALUES (1);
INSERT INTO places_defaults VALUES (2, NULL, NULL, 'POINT(5 6)', NULL);
DELETE FROM places_defaults WHERE id = 1;
INSERT INTO places_keyed VALUES ('POINT(1 2)', 'a'), ('SRID=4326;POINT(3 4)', 'b');
UPDATE places_keyed SET v = 'c' WHERE v = 'b';
DELETE FROM places_keyed WHERE v = 'a';
INSERT INTO places_large SELECT 1, 1, g, g::geography, ARRAY[g], g FROM (SELECT ST_SetSRID(ST_MakeLine(ARRAY(SELECT ST_Point(n % 90, n % 80) FROM generate_series(1, 200) n)), 4326) AS g) x;
UPDATE places_large SET v = 2 WHERE id = 1;
UPDATE places_large SET v = 3, g = 'POINT(1 2)' WHERE id = 1;
UPDATE places_large SET id = 2 WHERE id = 1;
DELETE FROM places_large WHERE id = 2;
INSERT INTO marker VALUES (101);
-- part: before_vector
CREATE EXTENSION vector;
CREATE DOMAIN direction AS vector(2);
CREATE TABLE embeddings (id int PRIMARY KEY, v vector, v3 vector(3), h halfvec, h3 halfvec(3), s sparsevec, s5 sparsevec(5), av vector[], ah halfvec[], asv sparsevec[], d direction);
CREATE TABLE embeddings_required (id int PRIMARY KEY, n int, v vector NOT NULL, h halfvec NOT NULL);
CREATE TABLE embeddings_sparse (id int PRIMARY KEY, s sparsevec NOT NULL);
CREATE TABLE embeddings_defaults (id int PRIMARY KEY, v vector DEFAULT '[1,2]', h halfvec DEFAULT '[1,2]', s sparsevec DEFAULT '{1:1}/2', vn vector NOT NULL DEFAULT '[3]');
CREATE TABLE embeddings_keyed (v vector PRIMARY KEY, t text);
CREATE TABLE embeddings_large (id int PRIMARY KEY, n int, v vector, h halfvec, s sparsevec);
ALTER TABLE embeddings_large ALTER v SET STORAGE EXTERNAL, ALTER h SET STORAGE EXTERNAL, ALTER s SET STORAGE EXTERNAL;
INSERT INTO embeddings VALUES (1, '[1,2,3]', '[0.1,-0.2,1e-30]', '[1,2,3]', '[0.1,-0.2,65504]', '{1:1,3:2}/5', '{2:0.1}/5', ARRAY['[1,2]'::vector], ARRAY['[1,2]'::halfvec], ARRAY['{1:1}/2'::sparsevec], '[1,0]');
-- part: vector
INSERT INTO embeddings (id) VALUES (2);
INSERT INTO embeddings (id, v, h, s) VALUES (3, '[3.4028235e38,-1.1754944e-38,1e-45,16777216,123456.789,1000000,0.0001,0.00001,-0]', '[6e-8,-65504,0.333251953125,2049,-0]', '{}/5'),
    (4, '[0]', '[0]', '{1:-1.5,2:1e-30,16:3,17:4,32:5,32767:6}/32767');
INSERT INTO embeddings (id, s) SELECT 100 + k, ('{' || (SELECT string_agg(n * k || ':' || n, ',' ORDER BY n) FROM generate_series(1, 13) n) || '}/1000')::sparsevec FROM generate_series(1, 61, 3) k;
INSERT INTO embeddings (id, s) SELECT 200 + k, ('{' || (SELECT string_agg(n * 37 || ':' || n, ',' ORDER BY n) FROM generate_series(1, k) n) || '}/5000')::sparsevec FROM unnest(ARRAY[1, 2, 3, 4, 6, 7, 8, 12, 13, 16, 24, 25, 48, 49, 100]) k;
INSERT INTO embeddings (id, v, s) VALUES (5, '[1]', '{1:1}/32768'), (6, '[1]', '{40000:1}/50000');
INSERT INTO embeddings (id, av, ah, asv) VALUES (8, ARRAY['[1]'::vector, NULL], '{}', '{}');
INSERT INTO embeddings_sparse VALUES (1, '{2:-1.5}/3');
UPDATE embeddings SET v = '[4,5]', s5 = NULL WHERE id = 1;
UPDATE embeddings SET id = 7 WHERE id = 1;
DELETE FROM embeddings WHERE id = 7;
INSERT INTO embeddings_required VALUES (1, 1, '[1,2]', '[1,2]');
UPDATE embeddings_required SET n = 2 WHERE id = 1;
UPDATE embeddings_required SET id = 2 WHERE id = 1;
DELETE FROM embeddings_required WHERE id = 2;
INSERT INTO embeddings_defaults (id) VALUES (1);
INSERT INTO embeddings_defaults VALUES (2, NULL, NULL, NULL, '[5]');
DELETE FROM embeddings_defaults WHERE id = 1;
INSERT INTO embeddings_keyed VALUES ('[1,2]', 'a'), ('[0.1]', 'b');
UPDATE embeddings_keyed SET t = 'c' WHERE t = 'b';
DELETE FROM embeddings_keyed WHERE t = 'a';
INSERT INTO embeddings_large SELECT 1, 1, v, v, v::sparsevec FROM (SELECT ARRAY(SELECT n / 7.0 FROM generate_series(1, 600) n)::vector AS v) x;
UPDATE embeddings_large SET n = 2 WHERE id = 1;
UPDATE embeddings_large SET n = 3, v = '[1]' WHERE id = 1;
UPDATE embeddings_large SET id = 2 WHERE id = 1;
DELETE FROM embeddings_large WHERE id = 2;
INSERT INTO marker VALUES (102);
