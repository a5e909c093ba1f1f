#!/usr/bin/env python3
"""Takes orders. How many are left it asks the stock, and takes an order even when the stock does not say."""

import json
import os
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STOCK_URL = os.environ.get("STOCK_URL", "http://stock:8080")


def left():
    try:
        with urllib.request.urlopen(f"{STOCK_URL}/left", timeout=1) as answer:
            return json.load(answer)["left"]
    except OSError as error:
        print(f"the stock does not say: {error}", flush=True)
        return None


class Orders(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer({"ready": True})

    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.answer({"order": "taken", "left": left()})

    def answer(self, what):
        body = json.dumps(what).encode() + b"\n"
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Requests are in the sidecar's metrics already."""


ThreadingHTTPServer((os.environ.get("BIND_IP", "0.0.0.0"), 8080), Orders).serve_forever()
