"""The one background process of a home: starts what is wanted, restarts what exits.

Two files, one writer each: ``wanted.json`` is what should run (written by ``up`` and ``down``),
``stack.json`` is what runs (written here, before anything else can depend on it). Ends on SIGTERM
and then stops its children, workers first. A child that ends with ``processes.HALTED`` stays
stopped until the next ``up``: a person must look first. If the supervisor is killed, the kernel
sends each child its stop signal, and the next ``up`` or ``down`` ends what is left by
``stack.json``.
"""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from connectors.embedded import processes
from connectors.embedded.files import exclusive, private_dir, read_json, write_json
from connectors.embedded.processes import HALTED, ProcessSpec, Running

log = logging.getLogger("homeport.supervisor")

NAME = "supervisor"
WANTED, STACK = "wanted.json", "stack.json"
POLL_S = 0.1
BACKOFF_FIRST_S, BACKOFF_MAX_S = 0.5, 10.0
MAX_DOUBLINGS = 16  # far above the most; 2**1024 is too large for a float
STOP_S = 90.0  # for all stages together, before somebody may kill the supervisor
STEADY_S = 30.0  # a process that ran this long starts its back-off anew


@dataclass(slots=True)
class Child:
    """A wanted process and what became of it."""

    spec: ProcessSpec
    popen: subprocess.Popen[bytes] | None = None
    running: Running | None = None
    restarts: int = 0
    failures: int = 0  # in a row
    started_at: float = 0.0  # monotonic
    start_at: float = 0.0  # monotonic: not before
    is_wanted: bool = True  # else its end is what we asked for
    halted_in: int | None = None  # the run of `up` in which it halted


def backoff_s(failures: int) -> float:
    """Return how long to wait before the next start, in seconds, after *failures* in a row.

    One that had run well starts again at once: others may wait for what it left open.
    """
    if not failures:
        return 0.0
    return min(BACKOFF_FIRST_S * (1 << min(failures - 1, MAX_DOUBLINGS)), BACKOFF_MAX_S)


class Supervisor:
    """Keeps the processes of one home running until it is told to stop."""

    def __init__(self, home: Path) -> None:
        """Remember the home; start nothing yet."""
        self._home = home
        self._children: dict[str, Child] = {}
        self._wanted_stamp: tuple[int, int] | None = None
        self._ups = 0  # the run of `up` that wrote what is wanted
        self._stopping = False

    def run(self) -> None:
        """Run until SIGTERM or SIGINT, then stop the children in reverse order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._record()
        while not self._stopping:
            self._follow_wanted()
            self._reap()
            self._start_due(time.monotonic())
            time.sleep(POLL_S)
        self._stop(list(self._children.values()))
        log.info("stopped")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stopping = True

    def _follow_wanted(self) -> None:
        path = self._home / WANTED
        try:
            stat = path.stat()
        except FileNotFoundError:
            return
        stamp = (stat.st_mtime_ns, stat.st_ino)
        if stamp == self._wanted_stamp:
            return
        self._wanted_stamp = stamp
        wanted = read_json(path)
        specs = {row["name"]: ProcessSpec.from_json(row) for row in wanted.get("processes", [])}
        gone = [child for name, child in self._children.items() if specs.get(name) != child.spec]
        self._stop(gone)
        for child in gone:
            del self._children[child.spec.name]
        for name, spec in specs.items():
            self._children.setdefault(name, Child(spec))
        if (ups := wanted.get("ups", 0)) != self._ups:
            self._ups = ups
            for child in self._children.values():  # a person decided
                child.halted_in = None
        self._record()

    def _start_due(self, now: float) -> None:
        for child in self._children.values():
            is_due = child.start_at <= now and child.halted_in is None
            if child.popen is None and is_due and child.is_wanted:
                self._start(child, now)

    def _start(self, child: Child, now: float) -> None:
        spec, child.started_at = child.spec, now
        try:
            popen = processes.spawn(spec, self._home, self._home / "logs" / f"{spec.name}.log")
        except OSError as exc:
            log.error("%s: cannot start: %s", spec.name, exc.strerror)  # noqa: TRY400 - no trace
            self._delay(child, now)
            return
        child.popen = popen
        child.running = Running(
            spec.name,
            popen.pid,
            processes.start_tick(popen.pid) or 0,
            processes.boot_id(),
            spec.stop_signal,
            spec.stop_timeout_s,
        )
        self._record()
        log.info("%s: started, pid %d", spec.name, popen.pid)

    def _reap(self) -> None:
        """Notice children that ended, and take the rest of their process group along."""
        for child in self._children.values():
            if child.popen is None:
                continue
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            if os.waitid(os.P_PID, child.popen.pid, flags) is None:
                continue
            # not reaped yet, so the group's id cannot be anybody else's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.popen.pid, signal.SIGKILL)
            code = child.popen.wait()
            child.popen, child.running = None, None
            if child.is_wanted and code == HALTED:
                child.halted_in = self._ups
                log.error(
                    "%s: halted; see its log, mend the cause, then `homeport up`", child.spec.name
                )
            elif child.is_wanted:
                log.warning("%s: ended with %d", child.spec.name, code)
                child.restarts += 1
                self._delay(child, time.monotonic())
            self._record()

    def _delay(self, child: Child, now: float) -> None:
        if now - child.started_at > STEADY_S:
            child.failures = 0
        wait_s = backoff_s(child.failures)
        child.failures += 1
        child.start_at = now + wait_s
        log.info("%s: starts again in %.1f s", child.spec.name, wait_s)

    def _stop(self, children: list[Child]) -> None:
        for stage in sorted({child.spec.stage for child in children}, reverse=True):
            group = [child for child in children if child.spec.stage == stage]
            for child in group:
                child.is_wanted = False
            names = processes.stop(
                [child.running for child in group if child.running is not None], reap=self._reap
            )
            self._reap()
            if names:
                log.info("stopped %s", ", ".join(names))

    def _record(self) -> None:
        """Write what runs; a reader never sees half of it."""
        me = os.getpid()
        document: dict[str, Any] = {
            "supervisor": asdict(
                Running(
                    NAME,
                    me,
                    processes.start_tick(me) or 0,
                    processes.boot_id(),
                    stop_timeout_s=STOP_S,
                )
            ),
            "restarts": {c.spec.name: c.restarts for c in self._children.values() if c.restarts},
            "halted": {
                child.spec.name: child.halted_in
                for child in self._children.values()
                if child.halted_in is not None
            },
            "processes": [asdict(c.running) for c in self._children.values() if c.running],
        }
        write_json(self._home / STACK, document)


def main(home: Path) -> None:
    """Run the supervisor of *home* in this process."""
    os.umask(0o077)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    private_dir(home / "logs")
    with exclusive(
        home / "supervisor.lock", wait=False, busy=f"a supervisor of {home} runs already"
    ):
        Supervisor(home).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
