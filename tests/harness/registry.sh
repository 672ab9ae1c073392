# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
# Sourced by tests/integration/registry.sh and tests/peers/registry_run.sh: cases of tailrace run with a schema registry. They set
# REGISTRY, the port where it listens, and API, the path of Confluent's API there. It stands behind gate.py, which is ended for an
# outage: a registry in memory would come back empty.
# registry_cases VERSION: all of them, on PostgreSQL of that version.
export no_proxy='*'
REGISTRY_BUILD=${TR_BUILD:-$(dirname "${TAILRACE:-$TR_SRC/build/tailrace}")}
[ -x "$REGISTRY_BUILD/tests/integration/source_test" ] || make -C "$REGISTRY_BUILD" tests/integration/source_test >/dev/null ||
    die "source_test cannot be built in $REGISTRY_BUILD"

gate_start() { # PORT NAME [USER:PASSWORD]
    python3 "$TR_SRC/tests/harness/gate.py" "$1" "http://127.0.0.1:$REGISTRY" ${3:+"$3"} >>"$W/$2.log" 2>&1 &
    GATE_PID=$!; CHILDREN+=("$GATE_PID")
    until_true 10 curl -s -o "$W/gate.out" "http://127.0.0.1:$1$API/config" || die "gate.py does not start"
}
gate_stop() { pid_stop "$GATE_PID" 3; }
ask() { curl -s -m 10 "http://127.0.0.1:$REGISTRY$API$1"; }
level() { curl -s -m 10 -o "$W/level" -X PUT -H 'Content-Type: application/json' -d "{\"compatibility\":\"$1\"}" "http://127.0.0.1:$REGISTRY$API/config"; }
subjects() { ask /subjects | jq -r '.[]' | grep -F "$1" | sort | tr '\n' ' '; }

registry() { echo "registry: { url: [http://127.0.0.1:$GATE$API], timeout_ms: 2000${1:+, $1} }"; }
# pair NAME [REGISTRY-OPTIONS]: a database on both, and the configuration of an agent.
pair() {
    A=$1
    database source "$A"
    database target "$A"
    mark_table source
    q source 'CREATE TABLE item (id int PRIMARY KEY, name text, n int); INSERT INTO item SELECT g, repeat($$x$$, g), g FROM generate_series(1, 50) g'
    C_MORE=$(registry "${2:-}") agent_config "$A" source target
}
up() { agent_start "$A"; streaming "$A"; }
arrived() { synced source target "${1:-30}"; }
waits() { [ "$(status "$A" .source.state)" = retrying ] && status "$A" .source.detail | grep -q "$1"; }

# Every schema id in events names, in the registry, the very text that we built, which is also what the embedded registry would have.
texts_are_ours() {
    local line id text n=0
    while IFS=$'\t' read -r line id text; do
        [ "$line" = schema ] || continue
        [ "$(ask "/schemas/ids/$id" | jq -r .schema)" = "$text" ] || { note "  schema $id differs: $text"; return 1; }
        n=$((n + 1))
    done <"$1"
    [ $n -ge 3 ]
}
raw() { # NAME: events of a source of its own to $W/NAME.tsv, by the configuration of agent NAME
    mkfifo "$W/$1.in"
    "$REGISTRY_BUILD/tests/integration/source_test" "$W/$1/tailrace.yaml" raw <"$W/$1.in" >"$W/$1.tsv" 2>"$W/$1/log" &
    RAW_PID=$!; CHILDREN+=("$RAW_PID")
    exec 7>"$W/$1.in"
    until_true 30 raw_copied "$1"
    exec 7>&-
    wait "$RAW_PID"
}
raw_copied() { [ "$(grep -c '^commit copy .* last ' "$W/$1.tsv")" -ge 2 ]; }
case_texts() {
    pair texts
    must "the registry's ids" raw texts
    must "schemas are in the registry as they were built" texts_are_ours "$W/texts.tsv"
    q source "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots" >/dev/null
    C_NAME=texts C_STATE=$W/plain/state agent_config plain source target
    must "the embedded registry's" raw plain
    must "texts are the same" [ "$(grep '^schema' "$W/texts.tsv" | cut -f 3 | sort | md5sum)" = "$(grep '^schema' "$W/plain.tsv" | cut -f 3 | sort | md5sum)" ]
    must "subjects are topic-key and topic-value" [ "$(subjects texts.public.item)" = "texts.public.item-key texts.public.item-value " ]
}
case_flow() {
    pair flow
    must "streams" up
    must "rows arrive" arrived
    q source "UPDATE item SET name = 'y' WHERE id < 10; DELETE FROM item WHERE id = 50"
    must "changes arrive" arrived
    must "and are the same" same source target item
    must "subjects are there" [ "$(subjects flow.public.item)" = "flow.public.item-key flow.public.item-value " ]
    must "metrics tell" bash -c 'curl -s "http://127.0.0.1:$1/metrics" | grep -q "^tailrace_registry_requests_total{result=\"ok\"} [1-9]"' _ "${AGENT_HTTP[$A]}"
    "$TAILRACE" check --json --config "$W/$A/tailrace.yaml" >"$W/$A/check.json"
    must "check finds the registry" jq -e '[.findings[] | select(.part == "registry" and .level == "pass") | .name] == ["registry_reach", "registry_auth", "registry_level"]' "$W/$A/check.json" >/dev/null
    must "check passes" jq -e '.exit_code == 0' "$W/$A/check.json" >/dev/null
}
case_outage() { # goes on with the agent of case_flow
    agent_stop "$A"
    gate_stop
    q source "INSERT INTO item VALUES (60, 'while down', 1)"
    must "starts without the registry" up
    must "known schemas go on" arrived
    q source "CREATE TABLE fresh (id int PRIMARY KEY, v text); INSERT INTO fresh VALUES (1, 'a')"
    must "a new table waits, and the status says for what" until_true 20 waits registry
    q source "INSERT INTO item VALUES (61, 'behind', 1); INSERT INTO fresh VALUES (2, 'b')"
    must "check says that it cannot be reached" bash -c '"$1" check --json --config "$2" | jq -e "any(.findings[]; .name == \"registry_reach\" and .level == \"fail\" and .code == \"http_connect\")" >/dev/null' _ "$TAILRACE" "$W/$A/tailrace.yaml"
    must "it has not ended" agent_lives "$A"
    agent_kill "$A"
    agent_start "$A"
    must "waits after a crash too" until_true 20 waits registry
    gate_start "$GATE" gate
    must "resumes" streaming "$A"
    must "everything arrives" arrived 40
    must "nothing is lost" same source target item fresh
    agent_stop "$A"
}
case_unreachable_at_first_start() {
    gate_stop
    pair first
    agent_start "$A"
    must "waits" until_true 20 waits registry
    gate_start "$GATE" gate
    must "copies then" arrived 40
    must "everything" same source target item
    agent_stop "$A"
}
case_incompatible() {
    pair stop
    must "streams" up
    must "rows arrive" arrived
    level BACKWARD
    must "check tells the level" bash -c '"$1" check --config "$2" | grep -q "registry_level: compatibility level is BACKWARD"' _ "$TAILRACE" "$W/$A/tailrace.yaml"
    q source "ALTER TABLE item ADD note text; INSERT INTO item (id, note) VALUES (70, 'fits')"
    must "an added column passes" until_true 20 q_is target "SELECT note FROM item WHERE id = 70" fits
    q source "ALTER TABLE item ALTER n TYPE text; INSERT INTO item (id, n) VALUES (71, 'does not')"
    must "the agent ends" agent_exit "$A" 20
    must "with the exit code of the error" [ "${CODE:-}" = 1 ]
    must "the error has its name and the registry's reason" log_has "$A" 'item-value: .*reader .*schema_incompatible'
    must "and says what to do" log_has "$A" 'new_subject'
    agent_start "$A"
    must "again after a restart" agent_exit "$A" 20
    level NONE
    q target "ALTER TABLE item ALTER n TYPE text"
    must "goes on when the level allows it" up
    must "nothing is lost" arrived
    must "rows are the same" same source target item
    agent_stop "$A"
}
case_new_subject() {
    pair fresh_subject 'on_incompatible: new_subject'
    must "streams" up
    must "rows arrive" arrived
    level BACKWARD
    q target "ALTER TABLE item ALTER n TYPE text"
    q source "ALTER TABLE item ALTER n TYPE text; INSERT INTO item (id, n) VALUES (71, 'goes on')"
    must "it goes on" arrived
    must "under a new subject" [ "$(subjects fresh_subject.public.item-value)" = "fresh_subject.public.item-value fresh_subject.public.item-value-v2 " ]
    must "which is told" log_has "$A" 'schemas go under subject fresh_subject.public.item-value-v2'
    must "rows are the same" same source target item
    agent_stop "$A"
    level NONE
}
case_credentials() {
    pair auth
    local gate=$GATE_PID
    gate_start "$AUTH" auth me:geheim
    use() { sed "s|http://127.0.0.1:$GATE|http://127.0.0.1:$AUTH|; s|timeout_ms: 2000|timeout_ms: 2000, user: me, password: $1|" "$W/$A/asked.yaml" >"$W/$A/tailrace.yaml"; }
    use canary-wrong
    agent_start "$A"
    must "the agent ends" agent_exit "$A" 20
    must "with the exit code of refused credentials" [ "${CODE:-}" = 77 ]
    must "it says so" log_has "$A" '401.*http_auth'
    "$TAILRACE" check --json --config "$W/$A/tailrace.yaml" >"$W/$A/check.json"
    must "check says so" jq -e 'any(.findings[]; .name == "registry_auth" and .level == "fail" and .code == "http_auth")' "$W/$A/check.json" >/dev/null
    must "the password is not told" bash -c '! grep -rq canary "$1/log" "$1/check.json"' _ "$W/$A"
    use geheim
    must "starts with the right ones" up
    must "rows arrive" arrived
    agent_stop "$A"
    pid_stop "$GATE_PID" 3
    GATE_PID=$gate
}
# From the embedded registry to another and back: only with a bus on which nothing waits.
case_change_of_registry() {
    pair change
    cp "$W/$A/tailrace.yaml" "$W/$A/remote.yaml"
    grep -v '^registry' "$W/$A/remote.yaml" >"$W/$A/tailrace.yaml"
    must "streams" up
    must "rows arrive" arrived
    pg target stop >/dev/null 2>&1
    q source "INSERT INTO item VALUES (60, 'waits', 1)"
    sleep 2
    agent_stop "$A"
    cp "$W/$A/remote.yaml" "$W/$A/tailrace.yaml"
    agent_start "$A"
    must "refused while events wait" agent_exit "$A" 20
    must "with the reason" log_has "$A" 'schema ids of the embedded registry'
    grep -v '^registry' "$W/$A/remote.yaml" >"$W/$A/tailrace.yaml"
    pg target start >/dev/null 2>&1
    must "goes on with the former one" up
    must "rows arrive" arrived
    agent_stop "$A"
    cp "$W/$A/remote.yaml" "$W/$A/tailrace.yaml"
    must "taken when nothing waits" up
    q source "INSERT INTO item VALUES (62, 'new ids', 1)"
    must "rows arrive by the new ids" arrived
    must "rows are the same" same source target item
    must "subjects are there" [ "$(subjects change.public.item)" = "change.public.item-key change.public.item-value " ]
    agent_stop "$A"
}
registry_cases() {
    port_new; GATE=$PORT
    port_new; AUTH=$PORT
    pg_start source "$1"
    pg_start target "$1"
    gate_start "$GATE" gate
    case_run "schemas are registered as they are built" case_texts
    case_run "rows arrive" case_flow
    case_run "an outage" case_outage
    case_run "an outage at the first start" case_unreachable_at_first_start
    case_run "an incompatible schema stops" case_incompatible
    case_run "an incompatible schema under a new subject" case_new_subject
    case_run "credentials" case_credentials
    case_run "change of registry" case_change_of_registry
}
