"""What a home's stack should run, what it runs, and how that looks from outside."""

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

import psutil

from connectors.embedded import processes
from connectors.embedded.files import private_dir, read_json, write_json
from connectors.embedded.ports import answers
from connectors.embedded.processes import ProcessSpec, Running
from connectors.embedded.supervisor import NAME, STACK, WANTED
from schemas.errors import SetupError

State = Literal["ready", "starting", "dead", "halted"]
PROBE_S = 2.0
SUPERVISOR_S = 20.0  # until a new supervisor says it is there
HTTP_OK = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """What should run; written by `up` and `down` only.

    Attributes:
        regions: In the order they were asked for.
        ports: By name; kept after `down` so that the next `up` uses the same.
        processes: In the order they start.
        is_complete: Whether an `up` got to its end.
        ups: Counts the runs of `up`; what halted in an earlier one starts again.

    """

    regions: tuple[str, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    processes: tuple[ProcessSpec, ...] = ()
    is_complete: bool = False
    ups: int = 0


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process as `status` shows it.

    Attributes:
        name: Such as ``eu-kafka``.
        region: Its region, or None for what serves all.
        pid: None when it does not run.
        state: Ready, starting, dead, or halted: it does nothing until a person decides; without
            a pid until the next `up`, with one until `homeport egress resume`.
        port: Where it listens on 127.0.0.1, or None.
        rss_bytes: Its resident memory, its children's included.
        uptime_s: Seconds since it started.
        restarts: How often it had to be started again.

    """

    name: str
    region: str | None
    pid: int | None
    state: State
    port: int | None
    rss_bytes: int | None
    uptime_s: float | None
    restarts: int


def read_wanted(home: Path) -> Wanted:
    """Return what should run; nothing, if the home is new."""
    document = read_json(home / WANTED)
    return Wanted(
        tuple(document.get("regions", ())),
        document.get("ports", {}),
        tuple(ProcessSpec.from_json(row) for row in document.get("processes", ())),
        document.get("is_complete", False),
        document.get("ups", 0),
    )


def write_wanted(home: Path, wanted: Wanted) -> None:
    """Replace what should run."""
    document = {
        "regions": list(wanted.regions),
        "ports": dict(wanted.ports),
        "processes": [spec.to_json() for spec in wanted.processes],
        "is_complete": wanted.is_complete,
        "ups": wanted.ups,
    }
    write_json(home / WANTED, document)


def _stack(home: Path) -> tuple[Running | None, list[Running]]:
    document: dict[str, Any] = read_json(home / STACK)
    row = document.get("supervisor")
    return (
        None if row is None else Running(**row),
        [Running(**item) for item in document.get("processes", ())],
    )


def supervisor(home: Path) -> Running | None:
    """Return the home's supervisor if it lives."""
    found, _ = _stack(home)
    return found if found is not None and found.is_alive else None


def alive(home: Path) -> list[Running]:
    """Return every process of the home that lives, the supervisor last."""
    found, children = _stack(home)
    everything = [*children, *([] if found is None else [found])]
    return [process for process in everything if process.is_alive]


def restarts(home: Path, name: str) -> int:
    """Return how often a process had to be started again."""
    document = read_json(home / STACK)
    return int(document.get("restarts", {}).get(name, 0))


def halted(home: Path) -> dict[str, int]:
    """Return what halted and stays stopped, by name: the run of `up` in which it did."""
    return dict(read_json(home / STACK).get("halted", {}))


def clear(home: Path) -> None:
    """Say that nothing runs and nothing should; keep the ports."""
    wanted = read_wanted(home)
    if wanted.processes or wanted.is_complete:
        write_wanted(home, Wanted(wanted.regions, wanted.ports, ups=wanted.ups))
    (home / STACK).unlink(missing_ok=True)


def start_supervisor(home: Path) -> None:
    """Start the home's supervisor in the background and wait until it has written its pid.

    Raises:
        SetupError: It ended at once.

    """
    private_dir(home / "logs")
    log = processes.open_log(home / "logs" / f"{NAME}.log")
    try:
        # not Popen: the supervisor outlives us by intention, which Popen warns about
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-m", "connectors.embedded.supervisor", str(home)],
            processes.child_env({}, os.environ),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
        )
    finally:
        os.close(log)
    try:
        _await_supervisor(home, pid)
    except BaseException:
        # not in stack.json yet, so nobody else could find it
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        raise


def _await_supervisor(home: Path, pid: int) -> None:
    deadline = time.monotonic() + SUPERVISOR_S
    while supervisor(home) is None:
        reap(pid)
        if processes.start_tick(pid) is None or time.monotonic() > deadline:
            msg = f"the supervisor does not start; see {home / 'logs' / f'{NAME}.log'}"
            raise SetupError(msg)
        time.sleep(0.02)


def reap(pid: int) -> None:
    """Bury *pid* if it is our child and dead; the caller may be its parent or not."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def probe(spec: ProcessSpec) -> State:
    """Return what a process that runs says of itself now: ready, starting or halted."""
    return look(spec)[0]


def look(spec: ProcessSpec) -> tuple[State, str]:
    """Return what a process says of itself, as `probe`, and what it says it does until ready."""
    if spec.ready_url is None:
        return "ready" if spec.port is None or answers(spec.port) else "starting", ""
    opener = build_opener(ProxyHandler({}))  # a proxy from the environment cannot see 127.0.0.1
    try:
        with opener.open(spec.ready_url, timeout=PROBE_S) as response:
            return "ready" if response.status == HTTP_OK else "starting", ""
    except HTTPError as answer:  # not ready; it may say why
        with answer, suppress(ValueError, OSError):
            page = json.load(answer)
            if isinstance(page, dict):
                return "halted" if page.get("halted") else "starting", str(page.get("step", ""))
    except (URLError, OSError, ValueError):
        pass
    return "starting", ""


def status(home: Path) -> list[ProcessStatus]:
    """Return every process that should run, the supervisor last; empty when all is down."""
    wanted = read_wanted(home)
    if not wanted.processes:
        return []
    _, children = _stack(home)
    by_name = {child.name: child for child in children if child.is_alive}
    counts = read_json(home / STACK).get("restarts", {})
    stopped = halted(home)
    rows = [
        _row(
            spec,
            by_name.get(spec.name),
            counts.get(spec.name, 0),
            "halted" if spec.name in stopped else "dead",
        )
        for spec in wanted.processes
    ]
    keeper = _row(ProcessSpec(NAME, ()), supervisor(home), 0)
    return [*rows, keeper]


def _row(
    spec: ProcessSpec, running: Running | None, count: int, otherwise: State = "dead"
) -> ProcessStatus:
    if running is None:
        return ProcessStatus(spec.name, spec.region, None, otherwise, spec.port, None, None, count)
    state = probe(spec)
    rss, uptime = _usage(running.pid, with_children=spec.name != NAME)  # those have rows
    return ProcessStatus(spec.name, spec.region, running.pid, state, spec.port, rss, uptime, count)


def _usage(pid: int, *, with_children: bool) -> tuple[int | None, float | None]:
    try:
        process = psutil.Process(pid)
        rss = process.memory_info().rss
        for child in process.children(recursive=True) if with_children else ():
            with suppress(psutil.NoSuchProcess):
                rss += child.memory_info().rss
        return rss, time.time() - process.create_time()
    except psutil.NoSuchProcess:
        return None, None
