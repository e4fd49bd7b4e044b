"""What every suite shares."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import execnet
import psutil
import pytest
from hypothesis import HealthCheck, settings
from model_servers import ASK_A_MODEL, ModelServer, server_python, tiny_settings
from xdist.scheduler import LoadFileScheduling

from connectors.embedded.launch import Launch
from connectors.embedded.stack import Stack
from inference.config import InferenceConfig


def interrupt(*_: object) -> None:
    """End the tests; who asks again does not keep the fixtures from stopping what they started."""
    for number in STOPS:
        signal.signal(number, lambda *_: None)
    raise KeyboardInterrupt


# `timeout` ends us by SIGTERM. SIGINT is ignored in a shell's background jobs and, without this,
# would be in all that the tests start and interrupt.
STOPS = (signal.SIGTERM, signal.SIGINT)
for stop in STOPS:
    signal.signal(stop, interrupt)

# The same examples each time, so that a red run is the change's doing; `--long` explores.
settings.register_profile(
    "ci",
    derandomize=True,
    database=None,
    deadline=None,  # the two cores are shared with brokers
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", deadline=None, max_examples=1000, print_blob=True)


def is_long() -> bool:
    """Return whether `homeport test --long` asked for the long form."""
    return os.environ.get("HOMEPORT_LONG") == "1"


settings.load_profile("long" if is_long() else "ci")

STOP_S = 120  # for a worker, to stop the stacks that it started


class ByFile(LoadFileScheduling):
    """Gives each file to the next free worker, and all that ask a model to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        return "models" if nodeid.startswith(ASK_A_MODEL) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Interrupt the workers of an interrupted run and wait for them; xdist gives them 15 s."""
    run = session.config.pluginmanager.getplugin("dsession")
    nodes = list(run._active_nodes) if run else []  # noqa: SLF001, none when all have ended
    for worker in psutil.Process().children() if nodes else ():
        worker.send_signal(signal.SIGINT)
    for node in nodes:
        with suppress(execnet.RemoteError, execnet.TimeoutError):
            node.channel.waitclose(STOP_S)


@pytest.fixture(scope="session")
def long_run() -> bool:
    """Whether a test may take minutes: more kills, more records, more rounds."""
    return is_long()


@pytest.fixture(scope="session")
def new_home() -> Iterator[Callable[[], Path]]:
    """Return what makes an empty home; its processes and files go when the session ends."""
    homes: list[Path] = []

    def make() -> Path:
        # not under tmp_path: under root the database's user must walk to it, and every pytest
        # that starts closes pytest's own folder to others
        homes.append(Path(tempfile.mkdtemp(prefix="homeport-")))
        return homes[-1]

    yield make
    for home in homes:
        Stack(home).down()
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def stack(new_home: Callable[[], Path]) -> Stack:
    """Two regions' brokers and databases, ready; shared by all suites, no workers, no org."""
    running = Stack(new_home(), ("eu", "us"))
    running.up(Launch())
    return running


@pytest.fixture(scope="session")
def idle_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    """One real vLLM, as the last test left it."""
    server_python()
    quick = {"canary_every_s": 1.0, "canary_deadline_s": 6.0}  # a hang is found in seconds
    server = ModelServer(tmp_path_factory.mktemp("minilm"), quick)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _tiny_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServer]:
    folder = tmp_path_factory.mktemp("tiny")
    server = ModelServer(folder, tiny_settings(folder))
    yield server
    server.stop()


@pytest.fixture
def model_server(idle_server: ModelServer) -> ModelServer:
    """One real vLLM that embeds with MiniLM, answering; all suites share it."""
    idle_server.ensure()
    return idle_server


@pytest.fixture
def vllm_server(model_server: ModelServer) -> InferenceConfig:
    """How to reach the shared vLLM that embeds with MiniLM."""
    return model_server.client()


@pytest.fixture
def tiny_server(_tiny_server: ModelServer) -> InferenceConfig:
    """How to reach one real vLLM that generates with a tiny random model; all suites share it."""
    return _tiny_server.ensure()
