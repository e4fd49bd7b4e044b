"""Stands in for vLLM where a test breaks it: same arguments, same socket, ready in no time.

What it does is in the file ``behaviour`` of its working directory, read at its start: ``well``,
``ends`` (before it answers), ``mute`` (answers /metrics only), ``slow`` (takes a second for an
answer), ``busy`` (mute, but other requests are answered meanwhile). A ``sleep`` is its worker.
"""

import itertools
import json
import os
import signal
import socketserver
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

BEHAVIOUR = Path("behaviour").read_text(encoding="utf-8").strip()
COUNT = itertools.count(1)
IN_FLIGHT: list[object] = []
Path("started").touch()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/load":
            self.answer(json.dumps({"server_load": len(IN_FLIGHT)}))
            return
        finished = next(COUNT) if BEHAVIOUR == "busy" else 1
        self.answer(f'vllm:request_success_total{{finished_reason="stop"}} {finished}.0\n')

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        IN_FLIGHT.append(self)
        try:
            self.embed()
        finally:
            IN_FLIGHT.remove(self)

    def embed(self) -> None:
        if BEHAVIOUR in {"mute", "busy"} and Path("answered").exists():
            time.sleep(2 if BEHAVIOUR == "busy" else 600)
        Path("answered").touch()
        if BEHAVIOUR == "slow":
            time.sleep(1)
        self.answer(json.dumps({"data": [{"index": 0, "embedding": [0.6, 0.8]}]}))

    def answer(self, text: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def address_string(self) -> str:
        return "client"

    def log_message(self, *_: object) -> None:
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main() -> None:
    Path("environment").write_text(json.dumps(dict(os.environ)), encoding="utf-8")
    Path("answered").unlink(missing_ok=True)
    if BEHAVIOUR == "ends":
        sys.exit(0)  # as vLLM does when its engine is killed
    subprocess.Popen(["sleep", "600"])
    server = Server(sys.argv[sys.argv.index("--uds") + 1], Handler)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # vLLM, too, lets clients down
    server.serve_forever(poll_interval=0.05)


main()
