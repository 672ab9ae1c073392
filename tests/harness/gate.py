#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""usage: gate.py PORT UPSTREAM [USER:PASSWORD]   (UPSTREAM: http://host:port)

An HTTP server in front of another: with USER:PASSWORD only for who gives them. Ending it is an outage of what is
behind, which keeps its memory. Prints each request and its status.
"""
import base64
import http.client
import http.server
import sys
from urllib.parse import urlsplit

PORT, UPSTREAM = int(sys.argv[1]), urlsplit(sys.argv[2])
WANTED = "Basic " + base64.b64encode(sys.argv[3].encode()).decode() if len(sys.argv) > 3 else None


class Gate(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if WANTED and self.headers.get("Authorization") != WANTED:
            self.answer(401, b'{"error_code":401,"message":"Unauthorized"}')
            return
        upstream = http.client.HTTPConnection(UPSTREAM.hostname, UPSTREAM.port, timeout=20)
        kept = {name: value for name, value in self.headers.items() if name in ("Content-Type", "Accept")}
        upstream.request(self.command, self.path, body or None, kept)
        got = upstream.getresponse()
        self.answer(got.status, got.read(), got.getheader("Content-Type") or "text/plain")
        upstream.close()

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def log_message(self, format, *args):
        print(format % args, flush=True)


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Gate).serve_forever()
