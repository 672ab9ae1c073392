#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From the tailrace design kit.
# Usage: connect.sh DIR PORT start KAFKA-PORT [REGISTRY-BASE] | stop | crash | put NAME FILE.json | status [NAME] | delete NAME
# A real Kafka Connect 4.3.1 worker, its REST at http://127.0.0.1:PORT, with the Debezium PostgreSQL source 3.6.3 and the Debezium JDBC sink 3.6.0 (PostgreSQL driver inside).
# With REGISTRY-BASE (as registry.sh prints it) keys and values are Avro in Confluent's wire format, by Apicurio's converter 2.6.13; without, JSON with schemas. A connector's own
# key.converter and value.converter win. FILE.json is the connector's settings alone, a flat object; "put" adds or changes a connector and waits until it and its tasks run.
# Connectors and their offsets live in the broker (topics connect-PORT-*): start after stop or crash goes on with them. "status NAME" is 0 when running; a failure's causes are printed.
# Heap CONNECT_HEAP, 512m unless set.
#
# Example: a table by Debezium into Avro topics, and from them by Debezium into another database. "selftest.sh kafka" runs these two files as they stand here.
#   postgres.sh 17 pg 5817 start; kafka.sh k 5814 start; registry.sh r 5815 start; connect.sh c 5816 start 5814 http://127.0.0.1:5815/apis/ccompat/v7
#   psql -h 127.0.0.1 -p 5817 -U postgres, in two databases "src" and "dst": CREATE TABLE contacts (id bigint PRIMARY KEY, ...)
#   connect.sh c 5816 put source source.json; connect.sh c 5816 put sink sink.json
# source.json:
#   {"connector.class": "io.debezium.connector.postgresql.PostgresConnector",
#    "database.hostname": "127.0.0.1", "database.port": "5817", "database.user": "postgres", "database.password": "x", "database.dbname": "src",
#    "plugin.name": "pgoutput", "slot.name": "dbz", "publication.name": "dbz", "publication.autocreate.mode": "filtered",
#    "table.include.list": "public.contacts", "topic.prefix": "dbz", "schema.name.adjustment.mode": "avro", "poll.interval.ms": "50"}
# sink.json:
#   {"connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector", "topics": "dbz.public.contacts",
#    "connection.url": "jdbc:postgresql://127.0.0.1:5817/dst", "connection.username": "postgres", "connection.password": "x",
#    "insert.mode": "upsert", "delete.enabled": "true", "primary.key.mode": "record_key", "primary.key.fields": "id",
#    "schema.evolution": "basic", "collection.name.format": "contacts", "consumer.override.auto.offset.reset": "earliest"}
. "$(dirname "$0")/common.sh"
[ $# -ge 3 ] || { sed -n '4,26s/^# \{0,1\}//p' "$0"; exit 2; }
need curl curl; need python3 python3
mkdir -p "$1"; dir=$(cd "$1" && pwd); port=$2; action=$3; shift 3
v=4.3.1 url=http://127.0.0.1:$port
java=$(java_from 17)
lib=$(mvn_jars kafka-$v org.apache.kafka:kafka_2.13:$v org.apache.kafka:kafka-tools:$v org.apache.kafka:connect-runtime:$v \
    org.apache.kafka:connect-json:$v org.apache.kafka:connect-transforms:$v org.slf4j:slf4j-simple:1.7.36)

# Plugins in one folder, each with a manifest of its classes: without them a worker reads every jar at start, 7 s more.
plugins=$TAILRACE_PEERS/maven/connect-plugins-1
_plugins() {
    cp -r "$(mvn_unpack io.debezium:debezium-connector-postgres:3.6.3.Final:tar.gz:plugin)"/* "$1" &&
    cp -r "$(mvn_unpack io.debezium:debezium-connector-jdbc:3.6.0.Final:tar.gz:plugin)"/* "$1" &&
    cp -r "$(mvn_jars apicurio-converter-2.6.13 io.apicurio:apicurio-registry-utils-converter:2.6.13.Final)" "$1/apicurio-converter" &&
    rm -f "$1"/apicurio-converter/kafka-clients* "$1"/apicurio-converter/connect-* "$1"/apicurio-converter/slf4j* &&
    "$java" -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$lib/*" org.apache.kafka.tools.ConnectPluginPath sync-manifests --plugin-path "$1" >&2
}

up() {
    [ $# -ge 1 ] || die "start KAFKA-PORT [REGISTRY-BASE]"
    once "$plugins" _plugins
    t=$(tick)
    if ! alive "$dir"; then
        free "$port"
        {
            cat <<CONF
bootstrap.servers=127.0.0.1:$1
group.id=connect-$port
config.storage.topic=connect-$port-configs
offset.storage.topic=connect-$port-offsets
status.storage.topic=connect-$port-status
config.storage.replication.factor=1
offset.storage.replication.factor=1
offset.storage.partitions=1
status.storage.replication.factor=1
status.storage.partitions=1
scheduled.rebalance.max.delay.ms=0
session.timeout.ms=6000
heartbeat.interval.ms=1500
consumer.session.timeout.ms=6000
consumer.heartbeat.interval.ms=1500
listeners=$url
rest.advertised.host.name=127.0.0.1
plugin.path=$plugins
plugin.discovery=service_load
connector.client.config.override.policy=All
offset.flush.interval.ms=1000
CONF
            for k in key value; do
                if [ -z "${2:-}" ]; then echo "$k.converter=org.apache.kafka.connect.json.JsonConverter"; continue; fi
                c=$k.converter.apicurio.registry
                printf '%s\n' "$k.converter=io.apicurio.registry.utils.converter.AvroConverter" "$c.url=${2%/apis/*}/apis/registry/v2" "$c.auto-register=true" "$c.find-latest=true" \
                    "$c.as-confluent=true" "$c.use-id=contentId" "$c.headers.enabled=false"
            done
        } >"$dir/worker.properties"
        spawn "$dir" "$java" "-Xmx${CONNECT_HEAP:-512m}" -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.log.io.debezium=info \
            -Dorg.slf4j.simpleLogger.showDateTime=true -cp "$lib/*" org.apache.kafka.connect.cli.ConnectDistributed "$dir/worker.properties"
    fi
    n=300; until curl -fs -m 5 -o "$dir/connectors" "$url/connectors"; do
        alive "$dir" && [ $n -gt 0 ] || { tail -n 20 "$dir/log" >&2; die "no answer on port $port"; }
        n=$((n - 1)); sleep 0.2
    done
    echo "connect $v ready in $(took "$t") s: $url"
}

# state NAME: one line, and the causes of a failure below it; 0 running, 1 failed, 2 neither yet.
state() {
    curl -fs -m 5 "$url/connectors/$1/status" | python3 -c '
import json, sys
try: s = json.load(sys.stdin)
except ValueError: sys.exit(2)
parts = [s["connector"]] + s["tasks"]; states = [p["state"] for p in parts]
print("%s: connector %s, tasks %s" % (s["name"], states[0], " ".join(states[1:]) or "none yet"))
for p in parts:
    lines = [l for l in p.get("trace", "").splitlines() if l and not l.startswith(("\t", " "))]
    if lines: print("  " + "\n  ".join(lines))
sys.exit(1 if "FAILED" in states else 0 if len(parts) > 1 and set(states) == {"RUNNING"} else 2)'
}
put() {
    [ $# -eq 2 ] && [ -f "$2" ] || die "put NAME FILE.json"
    t=$(tick) n=150
    # 409: the worker is still joining its group.
    while code=$(curl -s -m 30 -o "$dir/answer" -w '%{http_code}' -X PUT -H 'Content-Type: application/json' --data-binary "@$2" "$url/connectors/$1/config"); [ "$code" = 409 ] && [ $n -gt 0 ]; do
        n=$((n - 1)); sleep 0.2
    done
    case $code in 200 | 201) ;; *) cat "$dir/answer" >&2; echo >&2; die "$1 was not taken ($code)" ;; esac
    # What failed before the change still shows as failed for a moment: only a failure that stays counts.
    bad=0
    until state "$1" >"$dir/answer"; do
        if [ $? -eq 1 ]; then bad=$((bad + 1)); else bad=0; fi
        n=$((n - 1)); [ $n -gt 0 ] && [ $bad -lt 15 ] || { cat "$dir/answer" >&2; die "$1 does not run"; }
        sleep 0.2
    done
    echo "$(cat "$dir/answer"), after $(took "$t") s"
}

case $action in
    start) up "$@" ;;
    stop) reap "$dir" ;;
    crash) alive "$dir" || die "not running"; reap "$dir" KILL ;;
    put) alive "$dir" || die "not running"; put "$@" ;;
    status)
        alive "$dir" || { echo stopped; exit 3; }
        if [ $# -eq 0 ]; then echo "running, pid $_pid"; else state "$1" || { [ $? -eq 1 ] || echo "$1: not there, or not running yet"; exit 3; }; fi ;;
    delete)
        alive "$dir" || die "not running"
        code=$(curl -s -m 30 -o "$dir/answer" -w '%{http_code}' -X DELETE "$url/connectors/${1:?NAME}")
        case $code in 204 | 404) ;; *) cat "$dir/answer" >&2; echo >&2; die "$1 was not deleted ($code)" ;; esac ;;
    *) die "unknown action $action" ;;
esac
