#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Events as bytes, from Debezium and from us, compared field by field.

debezium.py take BROKERS REGISTRY PREFIX   Debezium's topics from their beginning, as lines of the form below.
debezium.py compare THEIRS OURS [kept]     what differs, and "compared=N differing=N types=N values=N"; exit code 1 when something does.
                                          kept: THEIRS were made on another server, at another time.
debezium.py only FILE TOPIC...            the lines of FILE that have to do with these topics.
debezium.py --pip                         the package that "take" needs.

Lines, separated by tabs: "schema ID TEXT" and "event TOPIC KEY VALUE HEADERS": key and value in hexadecimal ("-": none),
headers as a JSON list of pairs. The Avro reader below is written for this comparison and shares nothing with ours.
"""
import json
import struct
import sys

PIP = "confluent-kafka==2.16.0"
# What two tools cannot have in common, by name: when an event was made, by what, and numbers given by the registry.
LEFT_OUT = {"ts_ms", "ts_us", "ts_ns", "source.version"}
# Transactions of our sentinels, which Debezium reads as empty ones.
EMPTY = ("END", 0)
LEFT_OUT_HEADERS = {"__debezium.context.runId", "__debezium.context.taskId"}
# A first copy is read at another moment, and in chunks: where and when its rows were read is left out, their rows are not.
LEFT_OUT_OF_COPIES = {"source.ts_ms", "source.ts_us", "source.ts_ns", "source.lsn", "source.txId", "source.sequence", "source.snapshot"}
LEFT_OUT_OF_KEPT = LEFT_OUT_OF_COPIES - {"source.snapshot"} | {"transaction.id", "id"}


class Reader:
    """Avro's binary form by a schema in JSON."""

    def __init__(self, schema):
        self.names = {}
        self.schema = self.collect(schema, "")

    def collect(self, s, space):
        if isinstance(s, list):
            return [self.collect(x, space) for x in s]
        if isinstance(s, str):
            return self.names.get(s) or self.names.get(space + "." + s) or s
        if s["type"] == "record":
            space = s.get("namespace", space)
            name = s["name"] if "." in s["name"] else f"{space}.{s['name']}"
            node = {"type": "record", "fields": []}
            self.names[name] = node
            for f in s["fields"]:
                node["fields"].append((f["name"], self.collect(f["type"], space)))
            return node
        if s["type"] == "array":
            return {"type": "array", "items": self.collect(s["items"], space)}
        if s["type"] == "map":
            return {"type": "map", "values": self.collect(s["values"], space)}
        return s["type"]

    def read(self, data):
        self.data, self.at = data, 0
        value = self.value(self.schema)
        if self.at != len(data):
            raise ValueError(f"{len(data) - self.at} bytes are left")
        return value

    def take(self, n):
        if n < 0 or self.at + n > len(self.data):
            raise ValueError("the bytes end early")
        self.at += n
        return self.data[self.at - n:self.at]

    def long(self):
        n = shift = 0
        while True:
            byte = self.take(1)[0]
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n >> 1 ^ -(n & 1)

    def blocks(self, one):
        out = []
        while count := self.long():
            if count < 0:
                self.long()
            out += [one() for _ in range(abs(count))]
        return out

    def value(self, s):
        if isinstance(s, list):
            return self.value(s[self.long()])
        if isinstance(s, dict):
            if s["type"] == "record":
                return {name: self.value(t) for name, t in s["fields"]}
            if s["type"] == "array":
                return self.blocks(lambda: self.value(s["items"]))
            return dict(self.blocks(lambda: (self.value("string"), self.value(s["values"]))))
        if s in ("int", "long"):
            return self.long()
        if s == "null":
            return None
        if s == "boolean":
            return self.take(1) == b"\1"
        if s in ("float", "double"):
            return f"{s}:{self.take(4 if s == 'float' else 8)[::-1].hex()}"
        raw = self.take(self.long())
        return raw.decode() if s == "string" else "bytes:" + raw.hex()


def load(path):
    schemas, events = {}, []
    for line in open(path, encoding="utf-8"):
        fields = line.rstrip("\n").split("\t")
        if fields[0] == "schema":
            schemas[int(fields[1])] = json.loads(fields[2])
        elif fields[0] == "event":
            events.append(fields[1:])
    topics = {}
    events = without_empty(schemas, events)
    for topic, key, value, headers in events:
        topics.setdefault(topic, []).append((part(schemas, key), part(schemas, value), dict(json.loads(headers))))
    return topics


def without_empty(schemas, events):
    """Marks of transactions without a row."""
    marks = [(number, part(schemas, e[2])[1]) for number, e in enumerate(events) if e[0].endswith(".transaction")]
    empty = {v["id"].split(":")[0] for _, v in marks if (v["status"], v["event_count"]) == EMPTY}
    gone = {number for number, v in marks if v["id"].split(":")[0] in empty}
    return [e for number, e in enumerate(events) if number not in gone]


def part(schemas, text):
    if text == "-":
        return None, None
    raw = bytes.fromhex(text)
    schema = schemas[struct.unpack(">bI", raw[:5])[1]]
    return schema, Reader(schema).read(raw[5:])


class Comparison:
    def __init__(self, kept):
        self.left_out, self.compared, self.values, self.types, self.differing = LEFT_OUT | (LEFT_OUT_OF_KEPT if kept else set()), 0, 0, set(), 0

    def same(self, where, theirs, ours):
        self.compared += 1
        if theirs != ours:
            self.differing += 1
            print(f"{where}\n  theirs {json.dumps(theirs, ensure_ascii=False)[:600]}\n  ours   {json.dumps(ours, ensure_ascii=False)[:600]}")

    def tree(self, where, path, theirs, ours, left_out):
        if path in left_out:
            return
        if isinstance(theirs, dict) and isinstance(ours, dict):
            self.same(where + " " + (path or "fields"), list(theirs), list(ours))
            for name in theirs:
                if name in ours:
                    self.tree(where, f"{path}.{name}" if path else name, theirs[name], ours[name], left_out)
        else:
            self.values += 1
            self.same(f"{where} {path}", theirs, ours)

    def schema(self, where, theirs, ours):
        """Record by record and field by field, so that one difference is one line."""
        if isinstance(theirs, dict) and isinstance(ours, dict) and theirs.get("type") == ours.get("type") == "record":
            self.same(where + " record", {k: v for k, v in theirs.items() if k != "fields"}, {k: v for k, v in ours.items() if k != "fields"})
            left, right = ({f["name"]: f for f in s["fields"]} for s in (theirs, ours))
            self.same(where + " fields", list(left), list(right))
            for name in left:
                if name in right:
                    self.schema(f"{where}.{name}", left[name], right[name])
        elif isinstance(theirs, dict) and isinstance(ours, dict) and isinstance(theirs.get("type"), (list, dict)):
            self.same(where, {k: v for k, v in theirs.items() if k != "type"}, {k: v for k, v in ours.items() if k != "type"})
            self.schema(where, theirs["type"], ours.get("type"))
        elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
            for a, b in zip(theirs, ours):
                self.schema(where, a, b)
        else:
            self.same(where + " type", theirs, ours)

    def event(self, where, theirs, ours):
        copied = isinstance(theirs[1][1], dict) and theirs[1][1].get("op") == "r"
        for name, a, b in (("key", theirs[0], ours[0]), ("value", theirs[1], ours[1])):
            seen = json.dumps([where.split("#")[0], name, a[0], b[0]])
            if seen not in self.types:
                self.types.add(seen)
                self.schema(f"{where} {name} schema", a[0], b[0])
            self.tree(f"{where} {name}", "", a[1], b[1], self.left_out | (LEFT_OUT_OF_COPIES if copied else set()))
        heads = [{k: v for k, v in e[2].items() if k not in LEFT_OUT_HEADERS and not k.startswith("__tailrace")} for e in (theirs, ours)]
        self.same(f"{where} headers", *heads)


def column_types(topics):
    """Distinct column types, as the schemas tell them."""
    found = set()
    for events in topics.values():
        for _, (schema, _), _ in events:
            for field in (schema or {}).get("fields", []):
                if field["name"] == "before" and isinstance(field["type"][1], dict):
                    found |= {json.dumps([f["type"]]) for f in field["type"][1]["fields"]}
    return found


def compare(theirs, ours, kept):
    left, right = load(theirs), load(ours)
    c = Comparison(kept)
    c.same("topics", sorted(left), sorted(right))
    for topic, events in sorted(left.items()):
        others = right.get(topic, [])
        ops = [[(e[1][1] or {}).get("op", (e[1][1] or {}).get("status")) for e in s] for s in (events, others)]
        c.same(f"{topic} events", *ops)
        if ops[0] == ops[1]:
            for n, (a, b) in enumerate(zip(events, others)):
                c.event(f"{topic}#{n}", a, b)
    print(f"compared={c.compared} differing={c.differing} types={len(column_types(left))} values={c.values}")
    return 1 if c.differing or not c.values else 0


def only(path, topics):
    lines = [line for line in open(path, encoding="utf-8") if line.startswith(("schema\t", "event\t"))]
    events = [line for line in lines if line.startswith("event\t") and line.split("\t")[1] in topics]
    used = {int(part[2:10], 16) for line in events for part in line.split("\t")[2:4] if part != "-"}
    sys.stdout.writelines(line for line in lines if line in events or (line.startswith("schema\t") and int(line.split("\t")[1]) in used))


def take(brokers, registry, prefix):
    import urllib.request

    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "take", "enable.auto.commit": False, "enable.partition.eof": True})
    topics = sorted(t for t in consumer.list_topics(timeout=10).topics if t.startswith(prefix + "."))
    known = set()
    for topic in topics:
        consumer.assign([TopicPartition(topic, 0, 0)])
        while True:
            m = consumer.poll(30)
            if m is None:
                sys.exit(f"debezium.py: nothing came of {topic}")
            if m.error():
                break
            for raw in (m.key(), m.value()):
                number = struct.unpack(">I", raw[1:5])[0] if raw else 0
                if number and number not in known:
                    known.add(number)
                    with urllib.request.urlopen(f"{registry}/schemas/ids/{number}", timeout=10) as answer:
                        print("schema", number, json.dumps(json.loads(json.load(answer)["schema"]), ensure_ascii=False, separators=(",", ":")), sep="\t")
            headers = [[k, v.decode("utf-8", "surrogateescape")] for k, v in m.headers() or []]
            print("event", topic, m.key().hex() if m.key() else "-", m.value().hex() if m.value() else "-", json.dumps(headers), sep="\t")


if __name__ == "__main__":
    if sys.argv[1:2] == ["take"] and len(sys.argv) == 5:
        take(*sys.argv[2:])
    elif sys.argv[1:2] == ["compare"] and (len(sys.argv) == 4 or sys.argv[4:] == ["kept"]):
        sys.exit(compare(sys.argv[2], sys.argv[3], len(sys.argv) == 5))
    elif sys.argv[1:2] == ["only"] and len(sys.argv) > 3:
        only(sys.argv[2], set(sys.argv[3:]))
    elif sys.argv[1:] == ["--pip"]:
        print(PIP)
    else:
        sys.exit(__doc__)
