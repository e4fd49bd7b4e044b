"""Workers as processes that die where they are told to, as by `kill -9`.

No handler runs, no buffer and no lock is given back. Each is a fork of a process that has imported
everything, so that a start costs what the worker itself takes.
"""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SUPPORT = Path(__file__).parent
DIE_S = 60.0


@dataclass(frozen=True, slots=True)
class Step:
    """Where to die.

    Attributes:
        of: Module and function, ``package.module:Class.method``.
        call: Which call of it, from 1.
        after: Once it has returned, not before it begins.

    """

    of: str
    call: int = 1
    after: bool = False


class Forks:
    """Makes the processes, one at a time."""

    def __init__(self, server: "subprocess.Popen[bytes]") -> None:
        """Take the process that forks."""
        self._server = server
        self.pid = 0

    def start(self, **order: str) -> None:
        """Start one, with its orders."""
        assert self.pid == 0, "one at a time"
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(order).encode() + b"\n")
        self.pid = self._told()

    def has_ended(self) -> bool:
        """Return whether it has ended by itself; `ending` says how."""
        return self._speaks(0)

    def ending(self) -> int:
        """Return how it ended, once it has: an exit code, or a signal below 0."""
        code, self.pid = self._told(), 0
        return code

    def kill(self) -> None:
        """End it."""
        if self.pid:
            with suppress(ProcessLookupError):  # ended, or whoever forks is gone
                os.kill(self.pid, signal.SIGKILL)
            assert self._server.stdout is not None
            self._server.stdout.readline()
            self.pid = 0

    def _told(self) -> int:
        assert self._speaks(DIE_S), "it did not die"
        assert self._server.stdout is not None
        return int(self._server.stdout.readline())

    def _speaks(self, seconds: float) -> bool:
        assert self._server.stdout is not None
        return bool(select.select([self._server.stdout.fileno()], [], [], seconds)[0])


@contextmanager
def forks(module: str, log: Path) -> Iterator[Forks]:
    """Yield what makes processes; what they say goes to *log*.

    Args:
        module: Of this folder; its function ``work`` takes the orders.
        log: A file.

    """
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-P", "-c", f"import forked, {module}; forked.serve({module}.work)"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{SUPPORT}"},
        )
        with server:
            found = Forks(server)
            try:
                yield found
            finally:
                found.kill()
                server.terminate()


def serve(work: Callable[..., None]) -> None:
    """Fork a process for each line of orders; say its number, and when it has ended, how."""
    for line in sys.stdin.buffer:
        pid = os.fork()
        if not pid:
            _end_with(work, json.loads(line))
        os.write(1, f"{pid}\n".encode())
        _, status = os.waitpid(pid, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _end_with(work: Callable[..., None], order: Mapping[str, str]) -> None:
    """Be the worker; never returns, so that nothing of the process that forked goes on."""
    try:
        work(**order)
    finally:
        os._exit(1)


def plant(step: Step, is_near: Callable[[], bool] = lambda: True) -> None:
    """Let this process die at a step, whose calls count while *is_near*."""
    module, _, path = step.of.partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for one in owners:
        owner = getattr(owner, one)
    left = step.call

    def call(real: Callable[..., Any], *args: Any, **more: Any) -> Any:
        nonlocal left
        if not is_near():
            return real(*args, **more)
        left -= 1
        if not left and not step.after:
            die()
        answer = real(*args, **more)
        if not left:
            die()
        return answer

    instead(owner, name, call)


def instead(owner: Any, name: str, call: Callable[..., Any]) -> None:
    """Let *call*, given what was there first, stand in for a function of a module or class."""
    real = getattr(owner, name)

    @wraps(real)
    def wrapped(*args: Any, **more: Any) -> Any:
        return call(real, *args, **more)

    is_static = isinstance(vars(owner).get(name), staticmethod)
    setattr(owner, name, staticmethod(wrapped) if is_static else wrapped)


def die() -> None:
    """End at once."""
    os.kill(os.getpid(), signal.SIGKILL)
