"""What a worker's health page says decides whether it counts as ready, starting or halted."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from connectors.embedded.files import read_json, write_json
from connectors.embedded.processes import ProcessSpec
from connectors.embedded.services import port_names, service_file, write_services
from connectors.embedded.state import State, probe
from streams.settings import load_settings


@pytest.fixture
def page() -> Iterator[Any]:
    class Handler(BaseHTTPRequestHandler):
        status, body = 200, b"{}"

        def do_GET(self) -> None:
            self.send_response(self.status)
            self.end_headers()
            self.wfile.write(self.body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield Handler, f"http://127.0.0.1:{server.server_port}/health"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (200, b'{"ready": true}', "ready"),
        (503, b'{"ready": false}', "starting"),
        (503, b'{"ready": false, "halted": "gate"}', "halted"),
        (503, b"[]", "starting"),
        (503, b"not JSON", "starting"),
        (204, b"", "starting"),
    ],
)
def test_a_process_is_what_its_page_says(
    page: Any, status: int, body: bytes, wanted: State
) -> None:
    handler, url = page
    handler.status, handler.body = status, body

    assert probe(ProcessSpec("eu-egress", (), ready_url=url)) == wanted


def test_a_process_that_does_not_answer_is_starting() -> None:
    spec = ProcessSpec("eu-egress", (), ready_url="http://127.0.0.1:1/health")

    assert probe(spec) == "starting"


def test_a_webhook_that_a_person_put_into_a_file_is_kept(tmp_path: Path) -> None:
    ports = dict.fromkeys(port_names(["eu"]), 7)
    write_services(tmp_path, ["eu"], ports, {})
    file = service_file(tmp_path, "eu", "egress")
    webhook = {"url": "https://hooks.example/T0", "form": "slack"}
    write_json(file, read_json(file) | {"webhook": webhook})

    write_services(tmp_path, ["eu"], ports, {})

    found = load_settings(tmp_path, "eu", "egress").webhook
    assert found is not None
    assert (found.url, found.form) == ("https://hooks.example/T0", "slack")
    assert load_settings(tmp_path, "eu", "border").webhook is None
    assert "hooks.example" not in repr(load_settings(tmp_path, "eu", "egress"))
