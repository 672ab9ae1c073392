#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds of a fuzz target: usage: seeds.py TARGET CASES-DIR CORPUS-HEX OUT-DIR

Of a decoder one seed a case of its vectors: its messages, each behind its length. Of avro: schemas with bodies.
"""
import collections
import os
import sys

FILES = {"pgoutput": ["pgoutput.tsv", "pgoutput_bad.tsv", "pgoutput_streamed.tsv"], "test_decoding": ["test_decoding.tsv"]}
SCHEMAS = [
    (b'{"type":"record","name":"R","fields":[{"name":"m","type":{"type":"map","values":"long"}},{"name":"e","type":'
     b'{"type":"enum","name":"E","symbols":["A","B"]}},{"name":"f","type":{"type":"fixed","name":"F","size":2}}]}',
     b"\1\6\2k\2\0\2xy"),
    (b'{"type":"record","name":"N","fields":[{"name":"n","type":["null","N"]}]}', b"\2\2\2\0"),
    (b'{"type":"array","items":["null","string","bytes","double","float","boolean","int"]}', b"\4\0\2\2x\0"),
    (b'{"type":"bytes","logicalType":"decimal","precision":10,"scale":2,"connect.name":"org.apache.kafka.connect.data.Decimal"}',
     b"\4\1\2"),
    (b'"string"', b"\2x"), (b'{"type":"long","connect.name":"io.debezium.time.MicroTimestamp","default":0}', b"\2"),
]
# One prepared transaction, committed; one without rows, rolled back.
ENDS = bytes([0] * 7 + [5] + [0] * 7 + [6] + [0] * 8)
PREPARED = [
    b"b" + ENDS + b"\0\0\0\7gid\0", b"R\0\0\0\5s\0t\0d\0\1\1c\0\0\0\0\x17\xff\xff\xff\xff", b"I\0\0\0\5N\0\1n", b"T\0\0\0\1\0\0\0\0\5",
    b"P\0" + ENDS + b"\0\0\0\7gid\0", b"K\0" + ENDS + b"\0\0\0\7gid\0", b"p\0" + ENDS + b"\0\0\0\x08other\0",
    b"r\0" + ENDS + bytes(8) + b"\0\0\0\x08other\0",
]


def main(target, cases, corpus, out):
    seeds = collections.defaultdict(bytes)
    for name in FILES.get(target, []):
        with open(os.path.join(cases, name), encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("#") or not line.strip():
                    continue
                case, server, _, data = line.split("\t")[:4]
                data = bytes.fromhex(data)
                seeds[f"{name}-{case}-{server}"] += len(data).to_bytes(2, "big") + data
    if target == "pgoutput":
        seeds["prepared"] = b"".join(len(m).to_bytes(2, "big") + m for m in PREPARED)
    if target == "avro":
        for number, (schema, body) in enumerate(SCHEMAS):
            seeds[f"schema-{number}"] = b"\1" + len(schema).to_bytes(2, "big") + schema + body
    if os.path.exists(corpus):
        with open(corpus, encoding="ascii") as lines:
            for number, line in enumerate(lines):
                seeds[f"corpus-{number}"] = bytes.fromhex(line.strip())
    for name, data in seeds.items():
        with open(os.path.join(out, name), "wb") as file:
            file.write(data)


main(*sys.argv[1:])
