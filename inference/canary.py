"""Questions to a model server whose answers we know: /health does not notice a hung engine."""

import asyncio
import math
import re
from collections.abc import Mapping
from typing import Any

import aiohttp

from inference.config import Engine, InferenceConfig

CANARY = "Is anybody there?"
CHOICE = "yes"
FINISHED = re.compile(r"^vllm:request_success_total\{[^}]*\} (\S+)$", re.MULTILINE)
_FAULTS = (aiohttp.ClientError, OSError, asyncio.TimeoutError, ValueError, LookupError, TypeError)


def question(engine: Engine, served: str) -> tuple[str, Mapping[str, Any]]:
    """Return the path and the body of a canary request."""
    if engine == "pooling":
        body = {"model": served, "input": [CANARY], "encoding_format": "float"}
        return "/v1/embeddings", body
    return "/v1/chat/completions", {
        "model": served,
        "messages": [{"role": "user", "content": CANARY}],
        "structured_outputs": {"choice": [CHOICE]},
        "max_tokens": 16,
        "temperature": 0,
    }


def is_answer(engine: Engine, document: Any) -> bool:  # noqa: ANN401, decoded JSON
    """Return whether *document* answers the canary: a unit vector, or the only choice."""
    try:
        if engine == "pooling":
            vector = document["data"][0]["embedding"]
            return math.isclose(math.hypot(*vector), 1.0, abs_tol=1e-3)
        choice = document["choices"][0]
        return bool(choice["finish_reason"] == "stop" and choice["message"]["content"] == CHOICE)
    except (LookupError, TypeError):
        return False


def connect(config: InferenceConfig) -> aiohttp.ClientSession:
    """Return a session whose requests go to the server of *config*, and to nobody's proxy."""
    connector = None if config.uds is None else aiohttp.UnixConnector(str(config.uds))
    return aiohttp.ClientSession(
        config.url or "http://engine",
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=config.deadline_s),
        trust_env=False,
    )


class Probe:
    """Asks one server; an error, a wrong answer and a late one are all a miss."""

    def __init__(self, config: InferenceConfig) -> None:
        """Remember where and what; connect on each question, as after a restart."""
        self.config = config

    async def answers(self) -> bool:
        """Return whether the server answers the canary in time."""
        path, body = question(self.config.engine, self.config.model)
        try:
            async with connect(self.config) as session, session.post(path, json=body) as answer:
                return answer.ok and is_answer(self.config.engine, await answer.json())
        except _FAULTS:
            return False

    async def in_flight(self) -> int | None:
        """Return how many requests the server works on, None if unknown."""
        try:
            async with connect(self.config) as session, session.get("/load") as answer:
                return int((await answer.json())["server_load"])
        except _FAULTS:
            return None

    async def finished(self) -> float | None:
        """Return how many requests the server has answered since its start, None if unknown."""
        try:
            async with connect(self.config) as session, session.get("/metrics") as answer:
                return sum(map(float, FINISHED.findall(await answer.text())))
        except _FAULTS:
            return None
