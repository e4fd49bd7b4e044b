"""A webhook is told once a call, and its address, a secret, is in no error and no log."""

import logging
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson
import pytest
from pydantic import TypeAdapter, ValidationError

from connectors.webhook import WebhookConfig, tell
from schemas.errors import RetriableError

SECRET = "T0-a-secret"
DOCUMENT = {"kind": "egress-halted", "region": "eu"}


class Server:
    """Answers each POST with *status*, and remembers paths and bodies."""

    def __init__(self) -> None:
        self.status, self.header, self.wait_s = 200, b"", 0.0
        self.paths: list[str] = []
        self.bodies: list[Any] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.paths.append(self.path)
                data = self.rfile.read(int(self.headers["Content-Length"]))
                server.bodies.append(orjson.loads(data))
                time.sleep(server.wait_s)
                line = f"HTTP/1.1 {server.status} Told\r\n".encode()
                self.wfile.write(line + server.header + b"Content-Length: 0\r\n\r\n")

            def log_message(self, *_: Any) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/hook/{SECRET}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def test_it_is_told_the_document_or_the_text_alone(server: Server) -> None:
    tell(WebhookConfig(url=server.url), DOCUMENT, "halted")
    tell(WebhookConfig(url=server.url, form="slack"), DOCUMENT, "halted")

    assert server.bodies == [DOCUMENT, {"text": "halted"}]


@pytest.mark.parametrize("status", [301, 302, 404, 429, 500])
def test_what_is_no_success_may_be_tried_again_and_no_redirect_is_followed(
    server: Server, status: int
) -> None:
    server.status = status
    server.header = f"Location: {server.url}/else\r\n".encode()

    with pytest.raises(RetriableError, match=f"did not take it: HTTP {status}$"):
        tell(WebhookConfig(url=server.url), DOCUMENT, "halted")

    assert len(server.paths) == 1


def test_a_webhook_that_does_not_answer_is_given_up_in_time(server: Server) -> None:
    server.wait_s = 1.0

    with pytest.raises(RetriableError, match=r"ReadTimeout$"):
        tell(WebhookConfig(url=server.url, timeout_s=0.1), DOCUMENT, "halted")


def test_the_address_is_nowhere_to_be_read(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    config = WebhookConfig(url=server.url, timeout_s=0.5)
    server.header = b"what is no header\r\n"  # urllib3 would warn of it, address and all
    tell(config, DOCUMENT, "halted")
    gone = WebhookConfig(url=f"http://127.0.0.1:1/{SECRET}")

    with pytest.raises(RetriableError, match=r"ConnectionError$") as caught:
        tell(gone, DOCUMENT, "halted")

    assert SECRET not in caplog.text + repr(config) + repr(gone) + str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url",
    [
        f"http://hooks.example/{SECRET}",  # not for others to read on the way
        f"ftp://hooks.example/{SECRET}",
        f"https://user:{SECRET}@hooks.example/",
        f"http://127.0.0.1.example/{SECRET}",
        f"https://hooks.example/{SECRET} x",
        SECRET,
    ],
)
def test_an_address_that_others_could_read_is_refused_without_naming_it(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(WebhookConfig).validate_python({"url": url})

    assert SECRET not in str(caught.value)


def test_https_needs_no_loopback() -> None:
    assert WebhookConfig(url=f"https://hooks.example:8443/{SECRET}?a=b").form == "json"
