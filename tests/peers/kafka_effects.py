#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a consumer sees that knows nothing of tailrace: usage: kafka_effects.py BROKERS REGISTRY PREFIX

Reads the topics PREFIX.public.* from their beginning with isolation.level=read_committed, decodes them by the schemas of the registry, and prints
a line a change of a stream: table, I, U or D, and column seq of the new row (empty for D), separated by tabs; to standard
error "records=N holes=N repeats=N" of the counters in tr-seq. The package that it needs: debezium.py --pip.
"""
import json
import os
import struct
import sys
import urllib.request

from confluent_kafka import Consumer, TopicPartition

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from debezium import Reader  # noqa: E402


def main(brokers, registry, prefix):
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "effects", "enable.auto.commit": False, "enable.partition.eof": True,
                         "isolation.level": "read_committed"})
    readers = {}

    def decode(raw):
        number = struct.unpack(">I", raw[1:5])[0]
        if number not in readers:
            with urllib.request.urlopen(f"{registry}/schemas/ids/{number}", timeout=10) as answer:
                readers[number] = Reader(json.loads(json.load(answer)["schema"]))
        return readers[number].read(raw[5:])

    records = holes = repeats = 0
    topics = consumer.list_topics(timeout=10).topics
    for topic in sorted(t for t in topics if t.startswith(prefix + ".public.")):
        table = topic.split(".")[2]
        for part in topics[topic].partitions:
            consumer.assign([TopicPartition(topic, part, 0)])
            counter = 0
            while True:
                m = consumer.poll(30)
                if m is None:
                    sys.exit(f"kafka_effects.py: nothing came of {topic}")
                if m.error():
                    break
                headers = dict(m.headers() or [])
                records += 1
                seen = struct.unpack(">IQ", headers["tr-seq"])[1]
                repeats += seen <= counter
                holes += seen > counter + 1
                counter = max(counter, seen)
                if not m.value():
                    continue
                event = decode(m.value())
                op = {"c": "I", "u": "U", "d": "D"}.get(event["op"])
                if not op or "__debezium.newkey" in headers:
                    continue
                if "__debezium.oldkey" in headers:
                    op = "U"
                print(table, op, event["after"].get("seq", "") if event["after"] else "", sep="\t")
    print(f"records={records} holes={holes} repeats={repeats}", file=sys.stderr)
    sys.exit(1 if holes or repeats or not records else 0)


main(*sys.argv[1:])
