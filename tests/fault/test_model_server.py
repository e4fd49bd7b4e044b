"""The real model server hangs, stops and loses its supervisor: it comes back, or leaves nothing.

One round in CI, twenty of each kind with `--long`. What is killed while texts are on the line is
in `test_model_line.py`. The tests follow each other: each leaves the server as it is, and the
next one waits until it answers.
"""

import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from model_servers import ModelServer
from unix_http import post

from inference import leash
from inference.speed import texts

pytestmark = pytest.mark.timeout(3_600)  # a first use installs vLLM; twenty rounds take an hour
CLIENTS = 3
ROUNDS = 20


def restarts(server: ModelServer) -> dict[str, int]:
    return dict(server.health().get("restarts", {}))


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


def test_a_stopped_engine_is_found_by_the_canary_though_health_says_200(
    model_server: ModelServer, *, long_run: bool
) -> None:
    for _ in range(ROUNDS if long_run else 1):
        model_server.ensure()
        parts, before = model_server.parts(), restarts(model_server)
        is_found = partial(has_restarted, model_server, "hung", before)

        parts["engine"].send_signal(signal.SIGSTOP)
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
