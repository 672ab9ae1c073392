#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: debezium.sh [--keep FILE] [--forms TIME,INTERVAL,BINARY,HSTORE,DECIMAL] [--extensions] [VERSION]     (PostgreSQL; debian unless given)
# The real Debezium connector (Kafka Connect, Apicurio's registry; Java 17 and Maven) and tailrace in strict mode read one database
# while tests/cases/debezium.sql runs; schemas and records are compared field by field.
# --forms: how values travel, in words of the options events.time and so on, which are those of Debezium's time.precision.mode,
# interval.handling.mode, binary.handling.mode, hstore.handling.mode and decimal.handling.mode: "connect,string,base64,map,string".
# The types of PostGIS and pgvector are compared too where the server has these extensions; --extensions: these alone.
# Prints what differs, and "compared=N differing=N types=N values=N". With --keep Debezium's records are written to FILE:
# tests/cases/debezium.tsv is made so, and tests/integration/debezium.sh compares with it where there is no Java. That file is of what every
# server has; the extensions' records are in debezium-extensions.tsv, made with --extensions.
# Debezium 3.6.3.Final, Kafka and Connect 4.3.1, Apicurio Registry 3.3.3 with its Avro converter 2.6.13.
. "$(dirname "$0")/../harness/lib.sh"
. "$(dirname "$0")/../harness/debezium.sh"
KEEP='' FORMS=$DEBEZIUM_USUAL ALONE=''
while :; do
    case ${1:-} in
        --keep) KEEP=$(realpath -m "$2") ;;
        --forms) FORMS=$2 ;;
        --extensions) ALONE=1; shift; continue ;;
        *) break ;;
    esac
    shift 2
done
IFS=, read -r TIME INTERVAL BINARY HSTORE DECIMAL <<<"$FORMS"
V=${1:-debian}
args_need psql curl java mvn python3
HERE=$(dirname "$0")
work_open
port_new; KAFKA=$PORT; port_new; REGISTRY=$PORT; port_new; CONNECT=$PORT
peers_stop() {
    local p
    for p in connect registry kafka; do sh "$HERE/$p.sh" "$W/$p" 0 stop >/dev/null 2>&1; done
}
trap 'code=$?; peers_stop; (exit $code); work_close' EXIT

pg_start s "$V"
database s shop
if [ -n "$ALONE" ] || [ -z "$KEEP" ]; then debezium_extensions s; else DEBEZIUM_HAVE=''; note "left out: the types of extensions, which are kept by themselves"; fi
[ -z "$ALONE" ] || DEBEZIUM_PARTS=''
DEBEZIUM_PARTS+=$DEBEZIUM_HAVE
[ -n "$DEBEZIUM_PARTS" ] || die "there is nothing to compare"
for PART in before ${DEBEZIUM_HAVE// / before_}; do debezium_part "$PART" "$FORMS" | qf s >/dev/null || die "the statements of $PART fail"; done
sh "$HERE/kafka.sh" "$W/kafka" "$KAFKA" start || exit 1
sh "$HERE/registry.sh" "$W/registry" "$REGISTRY" start || exit 1
BASE=http://127.0.0.1:$REGISTRY/apis/ccompat/v7
sh "$HERE/connect.sh" "$W/connect" "$CONNECT" start "$KAFKA" "$BASE" || exit 1
cat >"$W/source.json" <<JSON
{"connector.class": "io.debezium.connector.postgresql.PostgresConnector",
 "database.hostname": "127.0.0.1", "database.port": "${PG_PORT[s]}", "database.user": "postgres", "database.password": "x", "database.dbname": "shop",
 "plugin.name": "pgoutput", "slot.name": "dbz", "publication.name": "dbz", "publication.autocreate.mode": "filtered",
 "schema.include.list": "public,other", "topic.prefix": "shop", "schema.name.adjustment.mode": "avro", "field.name.adjustment.mode": "avro",
 "time.precision.mode": "$TIME", "interval.handling.mode": "$INTERVAL", "binary.handling.mode": "$BINARY", "hstore.handling.mode": "$HSTORE",
 "decimal.handling.mode": "$DECIMAL",
 "skipped.operations": "none", "provide.transaction.metadata": "true", "message.prefix.exclude.list": "tailrace.*", "poll.interval.ms": "50"}
JSON
sh "$HERE/connect.sh" "$W/connect" "$CONNECT" put shop "$W/source.json" || exit 1
debezium_agent s "$FORMS"
until_true 60 debezium_copied s || die "tailrace does not copy"
until_true 60 q_is s "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'dbz' AND active" 1 || die "Debezium does not stream"
PYTHON=$(. "$HERE/common.sh"; py_env debezium "$(python3 "$HERE/debezium.py" --pip)")/bin/python
take() { "$PYTHON" "$HERE/debezium.py" take "127.0.0.1:$KAFKA" "$BASE" shop >"$W/theirs.tsv" 2>"$W/take.err"; }
taken() { take && debezium_seen "$1" "$W/theirs.tsv"; }
both() { # N PART
    debezium_part "$2" "$FORMS" | qf s >/dev/null || die "the statements of $2 fail"
    until_true 30 debezium_seen "$1" "$W/ours.tsv" || die "tailrace does not come to the end"
    until_true 60 taken "$1" && return
    cat "$W/take.err"
    sh "$HERE/connect.sh" "$W/connect" "$CONNECT" status shop
    die "Debezium does not come to the end"
}
N=0
for PART in $DEBEZIUM_PARTS; do both $((N += 1)) "$PART"; done
sleep 2
take
debezium_stop
# shellcheck disable=SC2046,SC2086
if [ -n "$KEEP" ] && [ -n "$ALONE" ]; then
    debezium_only "$W/theirs.tsv" $(debezium_tables $DEBEZIUM_HAVE) >"$KEEP"
elif [ -n "$KEEP" ] && [ "$FORMS" = "$DEBEZIUM_USUAL" ]; then
    cp "$W/theirs.tsv" "$KEEP"
elif [ -n "$KEEP" ]; then
    debezium_only "$W/theirs.tsv" $DEBEZIUM_OTHER_TABLES >"$KEEP"
fi
python3 "$HERE/debezium.py" compare "$W/theirs.tsv" "$W/ours.tsv" >"$W/differences"; code=$?
cat "$W/differences"
exit $code
