"""Stands in for a region's vLLM where a test needs answers at once: the same API, over HTTP.

Everything else of enrichment is real: its client, the rules and heads, tasks and plans. A text's
vector is made of its bytes, so that the same text always gets the same labels.
"""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from inference import lock

NAME = "minilm"  # whose labels may leave a region
WIDTH = 384  # of its vectors
DIGEST = lock.model_digest(lock.locked(NAME), lock.task_digests())


@dataclass
class StandIn:
    """The model as its clients meet it.

    Attributes:
        port: Where it listens, on loopback.
        is_down: Answers 503.
        takes_s: For a request: so that a kill falls into one.
        read: Every text that it was given.

    """

    port: int
    is_down: bool = False
    takes_s: float = 0.05
    read: list[str] = field(default_factory=list)

    def client(self) -> dict[str, Any]:
        """Return how it is reached, as ``inference`` in a service's settings says."""
        name = lock.served_name(NAME, DIGEST)
        return {"engine": "pooling", "model": name, "url": f"http://127.0.0.1:{self.port}"}

    def answer(self, texts: list[str]) -> bytes:
        """Return a vector for each of the texts."""
        time.sleep(self.takes_s)
        self.read += texts
        rows = [{"index": n, "embedding": _vector(text)} for n, text in enumerate(texts)]
        return json.dumps({"data": rows}).encode()


def _vector(text: str) -> str:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    made = np.random.default_rng(seed).standard_normal(WIDTH)
    return base64.b64encode((made / np.linalg.norm(made)).astype("<f4").tobytes()).decode()


@contextmanager
def standin_model() -> Iterator[StandIn]:
    """Run it for the length of a block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = b"{}" if model.is_down else model.answer(given["input"])
            self.send_response(503 if model.is_down else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Stay silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        model = StandIn(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield model
        finally:
            server.shutdown()
            thread.join()
