"""A real HTTPS server on loopback that answers, or fails to, as no org should."""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from connectors.embedded.pki import ensure_ca, ensure_server_certificate

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, at once


@dataclass(frozen=True, slots=True)
class Say:
    """An answer: status, body (JSON unless it is text) and further headers."""

    status: int
    body: object = ""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fail:
    """No answer, or none that ends.

    Attributes:
        how: ``reset`` at once, ``silence`` for a while, ``cut`` in the middle of the body; ``drip``
            a byte of the headers, or ``drip body`` one of the body, every tenth of a second.
        body: What of it is written, of one that is cut.

    """

    how: str
    body: str = ""


class OddServer:
    """Answers by *decide*, which is given each request's path.

    Attributes:
        paths: Of the requests, in order.

    """

    def __init__(self, home: Path, decide: Callable[[str], Say | Fail]) -> None:
        """Listen on a free port of loopback, with a certificate of *home*'s authority."""
        self.decide = decide
        self.paths: list[str] = []
        self.ended = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                owner.paths.append(self.path)
                owner.act(self, owner.decide(self.path))

            do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the library's names

            def log_message(self, *_: Any) -> None:
                """Stay silent."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.ca_file = ensure_ca(home)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*ensure_server_certificate(home))
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.http.server_port}"

    def act(self, handler: BaseHTTPRequestHandler, what: Say | Fail) -> None:
        """Answer, or fail to."""
        if isinstance(what, Say):
            text = what.body if isinstance(what.body, str) else json.dumps(what.body)
            self.write(handler, what.status, text, len(text.encode()), what.headers)
            return
        if what.how == "silence":
            self.ended.wait(5)
        if what.how.startswith("drip"):
            self.drip(handler, what.how.endswith("body"))
        if what.how == "cut":
            self.write(handler, 200, what.body, 10_000, {})
        if what.how == "reset":
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            handler.connection.close()
        handler.close_connection = True

    def drip(self, handler: BaseHTTPRequestHandler, is_body: bool) -> None:
        """Answer without end, so slowly that no read waits long."""
        if is_body:
            handler.send_response(200)
            handler.send_header("Content-Length", "1000000")
            handler.end_headers()
        else:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        with suppress(OSError):
            while not self.ended.wait(0.1):
                handler.wfile.write(b"1")

    @staticmethod
    def write(
        handler: BaseHTTPRequestHandler, status: int, text: str, size: int, more: dict[str, str]
    ) -> None:
        """Write an answer that claims to be of *size* bytes."""
        handler.send_response(status)
        for name, value in ({"Content-Length": str(size)} | more).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text.encode())


@contextmanager
def odd_server(home: Path, decide: Callable[[str], Say | Fail]) -> Iterator[OddServer]:
    """Run a server for the length of a block."""
    server = OddServer(home, decide)
    thread = threading.Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.http.shutdown()
        server.http.server_close()
        thread.join()
