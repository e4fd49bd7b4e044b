"""Talks to a region's vLLM by its OpenAI-compatible API; nothing here tells what a text says.

vLLM's answer to a bad request repeats what was bad, so of an answer nothing gets into an error.
"""

import base64
import math
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import urllib3
from numpy.typing import NDArray
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.util import Timeout

from inference.config import InferenceConfig
from schemas.errors import HaltError, HomeportError, RetriableError

Vectors = NDArray[np.float32]
CONNECT_S = 5.0
OK = 200
REFUSED = frozenset({400, 413, 422})  # what we sent is too long, or no text to its tokenizer
MISTAKEN = frozenset({401, 403, 404})
CONNECTIONS = 8  # kept open; more callers than that open their own
SPARE_TOKENS = 8  # the end of an answer, and a tokenizer that splits oddly
WHOLE = "stop"  # `length` is an answer cut off: valid so far, and of no use


class RefusedTextError(HomeportError):
    """The server does not take this request, and never will."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What an instruct model chose.

    Attributes:
        answer: One of the choices, or None where the server's answer was none of them.
        score: Probability that the model gave to it, from 0 to 1, before it was held to the
            choices; 0 where the server does not say.

    """

    answer: str | None
    score: float


class _SocketConnection(HTTPConnection):
    """HTTP over the Unix socket that stands in for the host's name."""

    def _new_conn(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(CONNECT_S)
        try:
            made.connect(self.host)
        except OSError as exc:
            made.close()
            raise NewConnectionError(self, type(exc).__name__) from exc
        return made


class _SocketPool(urllib3.HTTPConnectionPool):
    # urllib3's own class does not meet its protocol, either: its socket options are final
    ConnectionCls = _SocketConnection  # pyright: ignore[reportAssignmentType]

    def __init__(self, path: str, timeout: Timeout) -> None:
        super().__init__("localhost", timeout=timeout, maxsize=CONNECTIONS)
        self.host = path  # the pool would make lower case of it


class ModelClient:
    """One region's model server; threads may share it."""

    def __init__(self, config: InferenceConfig) -> None:
        """Take where the server is; nothing is sent before the first question."""
        self._model = config.model
        self._max_batch = config.max_batch
        timeout = Timeout(connect=CONNECT_S, read=config.deadline_s)
        self._pool = (
            _SocketPool(str(config.uds), timeout)
            if config.url is None
            else urllib3.connection_from_url(config.url, timeout=timeout, maxsize=CONNECTIONS)
        )

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._pool.close()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return a row per text, in order, of the model's width; rows have length 1.

        A text longer than the model reads is cut off by the server.

        Raises:
            RefusedTextError: One of the texts is none to the server's tokenizer.
            RetriableError: No answer, or none that is complete.
            HaltError: The server serves another model, or wants credentials.

        """
        parts = [
            self._embed(texts[start : start + self._max_batch])
            for start in range(0, len(texts), self._max_batch)
        ]
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        answer = self._ask(
            "/v1/embeddings",
            {"input": list(texts), "encoding_format": "base64", "truncate_prompt_tokens": -1},
        )
        try:
            rows = sorted(answer["data"], key=lambda row: row["index"])
            raw = [base64.b64decode(row["embedding"], validate=True) for row in rows]
            vectors = np.array([np.frombuffer(one, "<f4") for one in raw], np.float32)
        except (KeyError, TypeError, ValueError):
            vectors = np.empty((0, 0), np.float32)
        if len(vectors) != len(texts):
            msg = f"the model server gave no embedding for each of {len(texts)} text(s)"
            raise RetriableError(msg)
        return vectors

    def choose(self, messages: Sequence[Mapping[str, str]], choices: Sequence[str]) -> Choice:
        """Return which of *choices* an instruct model answers.

        The server is held to them by its grammar, and its answer is held against them again
        here. No two requests share what the server keeps of a prompt: each has its own salt, so
        nobody learns from the time an answer takes what another customer wrote.

        Raises:
            RefusedTextError: The prompt is longer than the model reads.
            RetriableError: No answer.
            HaltError: The server serves another model, or wants credentials.

        """
        answer = self._ask(
            "/v1/chat/completions",
            {
                "messages": list(messages),
                "structured_outputs": {"choice": list(choices)},
                "max_tokens": max(len(one.encode()) for one in choices) + SPARE_TOKENS,
                "temperature": 0,
                "seed": 0,
                "logprobs": True,
                "cache_salt": secrets.token_hex(16),
            },
        )
        return read_choice(answer, choices)

    def _ask(self, path: str, question: Mapping[str, Any]) -> Any:  # noqa: ANN401, JSON
        try:
            answer = self._pool.urlopen(
                "POST",
                path,
                body=orjson.dumps({"model": self._model, **question}),
                headers={"Content-Type": "application/json"},
                retries=False,
            )
        except HTTPError as exc:  # its text names the path, and may name more
            msg = f"no answer from the model server ({type(exc).__name__}); `homeport infer status`"
            raise RetriableError(msg) from None
        if answer.status in REFUSED:
            msg = f"the model server refuses a request with HTTP {answer.status}"
            raise RefusedTextError(msg)
        if answer.status in MISTAKEN:
            msg = (
                f"the model server answers HTTP {answer.status} to {self._model!r}; "
                "let `inference` in the settings name the model that it serves"
            )
            raise HaltError(msg)
        if answer.status != OK:
            msg = f"the model server answers HTTP {answer.status}; `homeport infer status`"
            raise RetriableError(msg)
        try:
            return orjson.loads(answer.data)
        except orjson.JSONDecodeError:
            msg = "the model server's answer is no JSON"
            raise RetriableError(msg) from None


def read_choice(answer: Any, choices: Sequence[str]) -> Choice:  # noqa: ANN401, JSON
    """Return what a chat completion says, trusting nothing of it."""
    try:
        first = answer["choices"][0]
        said, is_whole = first["message"]["content"], first["finish_reason"] == WHOLE
        tokens = (first.get("logprobs") or {}).get("content") or []
        score = math.exp(min(0.0, sum(float(t["logprob"]) for t in tokens))) if tokens else 0.0
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return Choice(None, 0.0)
    if not is_whole or not isinstance(said, str) or said not in choices:
        return Choice(None, 0.0)
    return Choice(said, score)
