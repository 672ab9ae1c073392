#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From the tailrace design kit.
# Usage: kafka.sh DIR PORT start [KEY=VALUE...] | stop | crash | status | topic NAME PARTITIONS [KEY=VALUE...]
# A real Kafka 4.3.1: one KRaft node, broker on 127.0.0.1:PORT, controller on 127.0.0.2 at PORT + 20000 (- 20000 above 40000), plain text. Data in DIR/data: start goes on with what is there.
# KEY=VALUE after start are broker properties, for this start, and win over those below; after topic, topic settings (a topic that is there already is left as it is).
# Topics are made by the first client that names them, with one partition, unless auto.create.topics.enable=false.
# "crash" is kill -9. Heap KAFKA_HEAP, 512m unless set. Ready means: it has answered a metadata request with itself as broker and controller.
. "$(dirname "$0")/common.sh"
[ $# -ge 3 ] || { sed -n '4,8s/^# //p' "$0"; exit 2; }
need python3 python3
mkdir -p "$1"; dir=$(cd "$1" && pwd); port=$2; action=$3; shift 3
# Two listeners may not have one port number, and a second free number near PORT is nobody's to promise.
cport=$((port > 40000 ? port - 20000 : port + 20000))
v=4.3.1
java=$(java_from 17)
lib=$(mvn_jars kafka-$v org.apache.kafka:kafka_2.13:$v org.apache.kafka:kafka-tools:$v org.apache.kafka:connect-runtime:$v \
    org.apache.kafka:connect-json:$v org.apache.kafka:connect-transforms:$v org.slf4j:slf4j-simple:1.7.36)
tool() { _h=$1; shift; "$java" "-Xmx$_h" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=error -Dlog4j2.level=ERROR -cp "$lib/*" "$@"; }

# Metadata request, version 4, no topics; true when brokers and the controller are known.
answers() {
    python3 - "$port" <<'PY' 2>/dev/null
import socket, struct, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2); s.settimeout(5)
body = struct.pack(">hhih", 3, 4, 1, -1) + struct.pack(">ib", 0, 0)
s.sendall(struct.pack(">i", len(body)) + body)
f = s.makefile("rb"); (n,) = struct.unpack(">i", f.read(4)); a = f.read(n); at = 12
(brokers,) = struct.unpack_from(">i", a, 8)
for _ in range(brokers):
    at += 4; at += 2 + struct.unpack_from(">h", a, at)[0]; at += 4; at += 2 + max(0, struct.unpack_from(">h", a, at)[0])
at += 2 + max(0, struct.unpack_from(">h", a, at)[0])
sys.exit(not (brokers > 0 and struct.unpack_from(">i", a, at)[0] >= 0))
PY
}

up() {
    t=$(tick)
    if ! alive "$dir"; then
        free "$port"; free "$cport"
        cat >"$dir/server.properties" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.2:$cport
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.2:$cport
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
log.dirs=$dir/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
CONF
        for kv; do echo "$kv"; done >>"$dir/server.properties"
        [ -f "$dir/data/meta.properties" ] || tool 128m kafka.tools.StorageTool format -t "$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d = | sed 's,^-,A,')" -c "$dir/server.properties" >"$dir/log" 2>&1 ||
            { cat "$dir/log" >&2; die "not formatted"; }
        spawn "$dir" "$java" "-Xmx${KAFKA_HEAP:-512m}" -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true -Dlog4j2.level=WARN \
            -cp "$lib/*" kafka.Kafka "$dir/server.properties"
    fi
    n=300; until listening "$port" && answers; do
        alive "$dir" && [ $n -gt 0 ] || { tail -n 20 "$dir/log" >&2; die "no answer on port $port"; }
        n=$((n - 1)); sleep 0.2
    done
    echo "kafka $v ready in $(took "$t") s: 127.0.0.1:$port"
}

case $action in
    start) up "$@" ;;
    stop) reap "$dir" ;;
    crash) alive "$dir" || die "not running"; reap "$dir" KILL ;;
    status) alive "$dir" && echo "running, pid $_pid" || { echo stopped; exit 3; } ;;
    topic)
        alive "$dir" || die "not running"
        [ $# -ge 2 ] || die "topic NAME PARTITIONS [KEY=VALUE...]"
        name=$1 parts=$2; shift 2
        for kv; do set -- "$@" --config "$kv"; shift; done
        tool 128m org.apache.kafka.tools.TopicCommand --bootstrap-server "127.0.0.1:$port" --create --if-not-exists --topic "$name" --partitions "$parts" --replication-factor 1 "$@" ;;
    *) die "unknown action $action" ;;
esac
