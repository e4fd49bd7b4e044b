"""The real model server is killed and stopped under load: it comes back, and nothing outlives it.

Clients ask on, as enrichment does, until each text has its one embedding. One round in CI, twenty
of each kind with `--long`. The tests follow each other: each leaves the server as it is, and the
next one waits until it answers.
"""

import http.client
import random
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Self

import pytest
from model_servers import ModelServer
from unix_http import post

from inference import leash
from inference.speed import texts

pytestmark = pytest.mark.timeout(3_600)  # a first use installs vLLM; twenty rounds take an hour
BATCH, CLIENTS, BATCHES = 16, 3, 12
ROUNDS = 20


class Load:
    """Clients that ask for embeddings in batches and ask again what was not answered."""

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._futures: list[Future[list[str]]] = []

    def _ask(self, batch: list[str]) -> list[str]:
        config = self._server.client()
        while True:
            try:
                body = {"model": config.model, "input": batch}
                code, answer = post(config, "/v1/embeddings", body)
            except (OSError, ValueError, http.client.HTTPException):
                code, answer = 0, None
            if code == 200:
                assert len(answer["data"]) == len(batch)
                return batch
            time.sleep(0.2)

    def __enter__(self) -> Self:
        todo = texts(BATCH * BATCHES)
        for at in range(0, len(todo), BATCH):
            self._futures.append(self._pool.submit(self._ask, todo[at : at + BATCH]))
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def answered(self) -> list[str]:
        return [text for future in self._futures for text in future.result()]


def restarts(server: ModelServer) -> dict[str, int]:
    return dict(server.health().get("restarts", {}))


def has_failed_once_more(server: ModelServer, before: Mapping[str, int]) -> bool:
    """Return whether it was started again; a canary may see a dying server before it is dead."""
    return sum(restarts(server).values()) == sum(before.values()) + 1


def has_restarted(server: ModelServer, cause: str, before: Mapping[str, int]) -> bool:
    return restarts(server).get(cause) == before[cause] + 1


def until(true: Callable[[], bool], timeout_s: float = 180.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def has_part(server: ModelServer, name: str) -> bool:
    return name in server.parts()


def is_gone(session: int) -> bool:
    return leash.members(session) == [] and leash.stat(session) is None


def rounds(*victims: str, is_long: bool) -> list[str]:
    """Return whom to hit: the first victim once, or each twenty times."""
    return list(victims) * ROUNDS if is_long else [victims[0]]


def test_a_killed_part_takes_the_rest_along_and_each_text_gets_its_answer(
    model_server: ModelServer, *, long_run: bool
) -> None:
    moment = random.Random(8)
    for victim in rounds("engine", "api", "worker", is_long=long_run):
        model_server.ensure()
        parts, before = model_server.parts(), restarts(model_server)
        has_ended = partial(has_failed_once_more, model_server, before)

        with Load(model_server) as load:
            time.sleep(moment.uniform(0.1, 1.0))
            parts[victim].kill()
            until(has_ended)

            assert leash.members(parts["leash"].pid) == []

        assert sorted(load.answered()) == sorted(texts(BATCH * BATCHES))


def test_a_stopped_engine_is_found_by_the_canary_though_health_says_200(
    model_server: ModelServer, *, long_run: bool
) -> None:
    for victim in rounds("engine", "worker", is_long=long_run):
        model_server.ensure()
        parts, before = model_server.parts(), restarts(model_server)
        is_found = partial(has_restarted, model_server, "hung", before)

        parts[victim].send_signal(signal.SIGSTOP)
        until(is_found)

        assert leash.members(parts["leash"].pid) == []
        assert restarts(model_server)["ended"] == before["ended"]


def test_a_killed_supervisor_takes_a_starting_server_along(
    idle_server: ModelServer, *, long_run: bool
) -> None:
    server = idle_server
    for _ in range(ROUNDS if long_run else 1):
        server.begin()
        until(partial(has_part, server, "api"))
        session = server.parts()["leash"].pid
        assert server.process is not None

        server.process.kill()
        server.process.wait()

        until(partial(is_gone, session), timeout_s=60)


def test_a_clean_stop_answers_what_is_in_flight_and_leaves_no_process(
    model_server: ModelServer,
) -> None:
    session, config = model_server.parts()["leash"].pid, model_server.client()
    todo = texts(CLIENTS * 64)
    with ThreadPoolExecutor(CLIENTS) as pool:
        asked = [
            pool.submit(
                post, config, "/v1/embeddings", {"model": config.model, "input": todo[at::CLIENTS]}
            )
            for at in range(CLIENTS)
        ]
        time.sleep(0.3)  # they are on their way; a batch of 64 takes longer

        code = model_server.stop()

    assert code == 0
    assert [future.result()[0] for future in asked] == [200] * CLIENTS
    assert leash.members(session) == []
    assert config.uds is not None
    assert not config.uds.exists()
