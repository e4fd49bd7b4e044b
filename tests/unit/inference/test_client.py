"""Every answer of a model server is one to act on: a result, try again, refused, or halt."""

import base64
import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.client import ModelClient, RefusedTextError
from inference.config import InferenceConfig
from schemas.errors import HaltError, HomeportError, RetriableError

SECRET = "my parcel Zq7-canary"


def row(*numbers: float, index: int = 0) -> dict[str, Any]:
    raw = np.array(numbers, "<f4").tobytes()
    return {"index": index, "embedding": base64.b64encode(raw).decode()}


@dataclass
class Odd:
    """A server on a Unix socket that answers what it was told to."""

    path: Path
    status: int = 200
    body: bytes = b"{}"
    is_mute: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)

    def client(self, max_batch: int = 2, deadline_s: float = 5.0) -> ModelClient:
        return ModelClient(
            InferenceConfig(
                "pooling", "m@1", uds=self.path, max_batch=max_batch, deadline_s=deadline_s
            )
        )


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[Odd]:
    told = Odd(tmp_path / "s.sock")
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            told.asked.append({"path": self.path, **json.loads(self.rfile.read(length))})
            if told.is_mute:
                done.wait(10)
                return
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    with Server(str(told.path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield told
        done.set()
        server.shutdown()
        thread.join()


def test_vectors_come_in_the_order_of_the_texts_and_batches_are_no_larger_than_allowed(
    odd: Odd,
) -> None:
    odd.body = json.dumps({"data": [row(3, 4, index=1), row(1, 2, index=0)]}).encode()

    vectors = odd.client(max_batch=2).embed(["a", "b", "c", "d"])

    assert vectors.tolist() == [[1, 2], [3, 4], [1, 2], [3, 4]]
    assert vectors.dtype == np.float32
    assert [asked["input"] for asked in odd.asked] == [["a", "b"], ["c", "d"]]
    assert odd.asked[0]["model"] == "m@1"
    assert odd.asked[0]["path"] == "/v1/embeddings"
    assert odd.asked[0]["truncate_prompt_tokens"] == -1  # a long text is no error


def test_no_text_needs_no_question(odd: Odd) -> None:
    assert odd.client().embed([]).shape == (0, 0)
    assert odd.asked == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RefusedTextError),
        (413, RefusedTextError),
        (401, HaltError),
        (404, HaltError),
        (500, RetriableError),
        (503, RetriableError),
        (302, RetriableError),
    ],
)
def test_a_status_says_what_to_do_and_the_error_repeats_nothing(
    odd: Odd, status: int, kind: type[HomeportError]
) -> None:
    odd.status, odd.body = status, f'{{"error": "{SECRET}"}}'.encode()

    with pytest.raises(kind) as caught:
        odd.client().embed([SECRET])

    assert "canary" not in f"{caught.value!r} {caught.value.__cause__!r}"
    assert str(status) in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"{}",
        b"[]",
        b'{"data": [{"index": 0}]}',
        b'{"data": [{"index": 0, "embedding": "%%%"}]}',
        b'{"data": [{"index": 0, "embedding": "AAA="}]}',
        b'{"data": 5}',
        json.dumps({"data": [row(1), row(2, index=1)]}).encode(),
        json.dumps({"data": []}).encode(),
    ],
)
def test_an_answer_that_is_none_is_asked_for_again(odd: Odd, body: bytes) -> None:
    odd.body = body

    with pytest.raises(RetriableError):
        odd.client().embed([SECRET])


def test_a_server_that_is_not_there_or_says_nothing_in_time_is_tried_again(
    odd: Odd, tmp_path: Path
) -> None:
    nobody = ModelClient(InferenceConfig("pooling", "m", uds=tmp_path / "none.sock"))
    with pytest.raises(RetriableError, match="NewConnectionError"):
        nobody.embed([SECRET])

    odd.is_mute = True
    with pytest.raises(RetriableError, match="ReadTimeoutError"):
        odd.client(deadline_s=0.1).embed([SECRET])


def test_a_choice_is_asked_for_under_a_grammar_and_a_salt_of_its_own(odd: Odd) -> None:
    said = {"message": {"content": "red"}, "finish_reason": "stop"}
    odd.body = json.dumps({"choices": [said]}).encode()
    client = odd.client()

    found = [client.choose([{"role": "user", "content": "x"}], ["red", "blue"]) for _ in range(2)]

    first, second = odd.asked
    assert [choice.answer for choice in found] == ["red", "red"]
    assert first["structured_outputs"] == {"choice": ["red", "blue"]}
    assert first["temperature"] == 0
    assert first["max_tokens"] >= len("blue") + 1
    assert first["cache_salt"] != second["cache_salt"]
    client.close()
