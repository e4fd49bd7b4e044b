"""The supervisor keeps its children, ends them all, and never touches anybody else's.

Its children here are small Python programs: real processes, real signals, no Kafka.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from connectors.embedded import processes, state
from connectors.embedded.processes import HALTED, ProcessSpec, Running, start_tick
from connectors.embedded.state import Wanted, read_wanted, start_supervisor, write_wanted
from connectors.embedded.supervisor import backoff_s
from schemas.errors import SetupError

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
)
HALTING = (sys.executable, "-c", f"raise SystemExit({HALTED})")
WITH_CHILD = (
    sys.executable,
    "-c",
    """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
""",
)


def eventually(true: Callable[[], bool], timeout_s: float = 15.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def want(home: Path, *specs: ProcessSpec) -> None:
    write_wanted(home, Wanted(processes=specs))


def child(home: Path, name: str) -> Running | None:
    return next((found for found in state.alive(home) if found.name == name), None)


def start(home: Path, *specs: ProcessSpec) -> Running:
    want(home, *specs)
    start_supervisor(home)
    assert eventually(lambda: all(child(home, spec.name) for spec in specs))
    supervisor = state.supervisor(home)
    assert supervisor is not None
    return supervisor


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    for running in reversed(state.alive(tmp_path)):
        processes.stop([replace(running, stop_timeout_s=1.0)], partial(state.reap, running.pid))


def test_a_child_that_dies_is_started_again_and_counted(home: Path) -> None:
    start(home, ProcessSpec("one", SLEEP))
    first = child(home, "one")
    assert first is not None

    os.kill(first.pid, signal.SIGKILL)

    assert eventually(lambda: (now := child(home, "one")) is not None and now.pid != first.pid)
    assert state.restarts(home, "one") == 1


def test_a_program_that_is_not_there_neither_stops_the_others_nor_spins(home: Path) -> None:
    start_at = time.monotonic()
    want(home, ProcessSpec("gone", ("/nonexistent/program",)), ProcessSpec("one", SLEEP))
    start_supervisor(home)

    assert eventually(lambda: child(home, "one") is not None)
    time.sleep(1.5)

    tries = (home / "logs" / "supervisor.log").read_text().count("gone: cannot start")
    assert 1 <= tries <= 2 + (time.monotonic() - start_at)


def test_the_first_restart_comes_at_once_and_then_the_wait_doubles_up_to_the_most() -> None:
    waits_s = [backoff_s(failures) for failures in (0, 1, 2, 3, 4, 5, 6, 5000)]

    assert waits_s == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_child_that_halts_stays_stopped_and_the_others_go_on(home: Path) -> None:
    start(home, ProcessSpec("one", SLEEP))
    one = child(home, "one")

    want(home, ProcessSpec("one", SLEEP), ProcessSpec("halting", HALTING))

    assert eventually(lambda: "halting" in state.halted(home))
    time.sleep(1.5)  # a restart would come after 0.5 s
    log = (home / "logs" / "supervisor.log").read_text()
    assert log.count("halting: started") == 1
    assert log.count("ERROR halting: halted; see its log, mend the cause, then `homeport up`") == 1
    assert {row.name: row.state for row in state.status(home)} == {
        "one": "ready",
        "halting": "halted",
        "supervisor": "ready",
    }
    assert state.restarts(home, "halting") == 0
    assert child(home, "one") == one


def test_a_halted_child_starts_again_with_the_next_up_only(home: Path) -> None:
    halting = ProcessSpec("halting", HALTING)
    write_wanted(home, Wanted(processes=(halting,), ups=1))
    start_supervisor(home)
    assert eventually(lambda: state.halted(home) == {"halting": 1})

    write_wanted(home, Wanted(processes=(halting, ProcessSpec("one", SLEEP)), ups=1))
    assert eventually(lambda: child(home, "one") is not None)
    time.sleep(0.5)
    same_up = (home / "logs" / "supervisor.log").read_text().count("halting: started")
    write_wanted(home, Wanted(processes=(halting, ProcessSpec("one", SLEEP)), ups=2))

    assert eventually(lambda: state.halted(home) == {"halting": 2})
    next_up = (home / "logs" / "supervisor.log").read_text().count("halting: started")
    assert (same_up, next_up) == (1, 2)


def test_a_child_that_halts_while_it_is_stopped_is_not_halted(home: Path) -> None:
    code = (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: sys.exit({HALTED}))\n"
        "print('set', flush=True)\n"
        "time.sleep(600)"
    )
    start(home, ProcessSpec("polite", (sys.executable, "-c", code)))
    log = home / "logs" / "polite.log"
    assert eventually(lambda: log.read_text() == "set\n")

    want(home)

    assert eventually(lambda: child(home, "polite") is None)
    assert state.halted(home) == {}
    assert "halted" not in (home / "logs" / "supervisor.log").read_text()


def test_sigterm_ends_higher_stages_first_and_leaves_nothing(home: Path) -> None:
    supervisor = start(home, ProcessSpec("broker", SLEEP), ProcessSpec("worker", SLEEP, stage=2))
    before = state.alive(home)

    processes.stop([supervisor], lambda: state.reap(supervisor.pid))

    assert [running.is_alive for running in before] == [False, False, False]
    log = (home / "logs" / "supervisor.log").read_text()
    assert log.index("stopped worker") < log.index("stopped broker")


def test_a_child_that_ignores_sigterm_is_killed_after_its_time(home: Path) -> None:
    supervisor = start(home, ProcessSpec("stubborn", STUBBORN, stop_timeout_s=0.5))
    stubborn = child(home, "stubborn")
    assert stubborn is not None
    time.sleep(0.5)  # let it ignore the signal

    processes.stop([supervisor], lambda: state.reap(supervisor.pid))

    assert not stubborn.is_alive


def test_children_end_with_a_killed_supervisor(home: Path) -> None:
    supervisor = start(home, ProcessSpec("one", SLEEP), ProcessSpec("two", SLEEP))
    before = state.alive(home)

    os.kill(supervisor.pid, signal.SIGKILL)

    assert eventually(lambda: not any(running.is_alive for running in before))


def test_the_rest_of_a_dead_childs_group_goes_with_it(home: Path) -> None:
    start(home, ProcessSpec("parent", WITH_CHILD))
    log = home / "logs" / "parent.log"
    assert eventually(lambda: log.exists() and log.read_text().endswith("\n"))
    grandchild = int(log.read_text().split()[0])
    parent = child(home, "parent")
    assert parent is not None

    os.kill(parent.pid, signal.SIGKILL)

    assert eventually(lambda: start_tick(grandchild) is None)


def test_a_process_no_longer_wanted_ends_and_a_new_one_starts(home: Path) -> None:
    start(home, ProcessSpec("old", SLEEP), ProcessSpec("stays", SLEEP))
    stays = child(home, "stays")

    want(home, ProcessSpec("stays", SLEEP), ProcessSpec("new", SLEEP))

    assert eventually(lambda: child(home, "old") is None and child(home, "new") is not None)
    assert child(home, "stays") == stays


def test_one_home_has_one_supervisor(home: Path) -> None:
    first = start(home, ProcessSpec("one", SLEEP))

    done = subprocess.run(
        [sys.executable, "-P", "-m", "connectors.embedded.supervisor", str(home)],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.returncode != 0
    assert "runs already" in done.stderr
    assert state.supervisor(home) == first


def test_a_reused_pid_is_never_signalled() -> None:
    """The same pid with another start time is somebody else."""
    stranger = subprocess.Popen(SLEEP)
    try:
        tick = start_tick(stranger.pid)
        assert tick is not None
        recorded = Running("ours", stranger.pid, tick - 1, processes.boot_id())
        other_boot = Running("ours", stranger.pid, tick, "another boot")

        assert processes.stop([recorded, other_boot]) == []

        assert stranger.poll() is None
        assert processes.stop(
            [Running("ours", stranger.pid, tick, processes.boot_id())], reap=stranger.poll
        ) == ["ours"]
    finally:
        stranger.kill()
        stranger.wait()


def test_a_zombie_counts_as_dead() -> None:
    zombie = subprocess.Popen((sys.executable, "-c", ""))
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)

    assert start_tick(zombie.pid) is None

    zombie.wait()


def test_children_do_not_inherit_the_callers_secrets() -> None:
    environ = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "OTEL_SDK_DISABLED": "true"}

    env = processes.child_env({"EXTRA": "1"}, environ)

    assert env == {"PATH": "/bin", "OTEL_SDK_DISABLED": "true", "EXTRA": "1"}


def test_what_is_wanted_survives_the_file(tmp_path: Path) -> None:
    spec = ProcessSpec("eu-kafka", ("java", "-x"), env={"A": "b"}, region="eu", port=5, stage=1)
    wanted = Wanted(("eu",), {"eu-kafka": 5}, (spec,), is_complete=True, ups=3)

    write_wanted(tmp_path, wanted)

    assert read_wanted(tmp_path) == wanted
    assert (tmp_path / "wanted.json").stat().st_mode & 0o777 == 0o600


def test_a_damaged_file_is_named_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "wanted.json").write_text("{", encoding="utf-8")

    with pytest.raises(SetupError, match=r"wanted\.json is not JSON"):
        read_wanted(tmp_path)
