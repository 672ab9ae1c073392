#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: registry.py PORT

A schema registry in memory with what tailrace asks of Confluent's API. Level NONE or BACKWARD (PUT /config); BACKWARD
looks at the columns of Value alone: a type that changed, or a new column that must have a value, is incompatible.
"""
import http.server
import json
import sys
import threading
from urllib.parse import unquote, urlsplit

subjects, texts, lock = {}, [], threading.Lock()
config = {"level": "NONE"}


def columns(text):
    schema = json.loads(text)
    if schema["name"] == "Envelope":
        schema = schema["fields"][0]["type"][1]
    found = {}
    for field in schema["fields"]:
        kind = field["type"]
        optional = isinstance(kind, list)
        kind = kind[1] if optional else kind
        found[field["name"]] = (kind["type"] if isinstance(kind, dict) else kind, optional or "default" in field)
    return found


def differences(new, old):
    new, old = columns(new), columns(old)
    for name, (kind, optional) in new.items():
        if name in old and old[name][0] != kind:
            yield f"reader type {kind} of {name} does not fit writer type {old[name][0]}"
        if name not in old and not optional:
            yield f"reader field {name} has no default"


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, code, message):
        self.answer(status, {"error_code": code, "message": message})

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = [unquote(part) for part in urlsplit(self.path).path.split("/")[1:]]
        with lock:
            self.act(self.command, parts, json.loads(body) if body else {})

    do_GET = do_POST = do_PUT = handle_any

    def act(self, method, parts, body):
        text = body.get("schema")
        if parts == ["config"]:
            config["level"] = body.get("compatibility", config["level"])
            self.answer(200, {"compatibilityLevel": config["level"]})
        elif parts == ["subjects"]:
            self.answer(200, list(subjects))
        elif parts[:2] == ["schemas", "ids"]:
            at = int(parts[2]) - 1
            self.answer(200, {"schema": texts[at]}) if at < len(texts) else self.refuse(404, 40403, "Schema not found")
        elif parts[0] == "compatibility":
            found = list(differences(text, subjects[parts[2]][-1]))
            self.answer(200, {"is_compatible": not found, "messages": found})
        elif len(parts) == 2:
            versions = subjects.get(parts[1], [])
            if text in versions:
                self.answer(200, {"subject": parts[1], "version": versions.index(text) + 1, "id": texts.index(text) + 1, "schema": text})
            else:
                self.refuse(404, 40403 if versions else 40401, "not found")
        else:
            self.register(parts[1], text)

    def register(self, subject, text):
        versions = subjects.get(subject, [])
        if text not in versions:
            if versions and config["level"] == "BACKWARD" and list(differences(text, versions[-1])):
                self.refuse(409, 409, "Schema being registered is incompatible with an earlier schema")
                return
            subjects.setdefault(subject, []).append(text)
        if text not in texts:
            texts.append(text)
        self.answer(200, {"id": texts.index(text) + 1})

    def log_message(self, format, *args):
        print(format % args, flush=True)


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Registry).serve_forever()
