"""The erasing worker as a process that dies where it is told to; forked, so it starts at once."""

import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from streams.erase import build
from streams.settings import load_settings

ROOT = Path(__file__).parents[2]
SUPPORT = Path(__file__).parent
START_S = 60.0
LOG = logging.getLogger("homeport.erase")


@dataclass(frozen=True, slots=True)
class Step:
    """Where to die: at which call of which function, before it begins or once it has returned."""

    of: str
    after: bool = False
    call: int = 1


_ENGINE, _STORE = "streams.erasing.engine:Engine", "connectors.postgres.vault.erasures:Erasures"
# Every step of an erasure, in order; docs/erasure.md says what each leaves.
STEPS: Final[Mapping[str, Step]] = {
    "asked": Step(f"{_ENGINE}._settle"),
    "ends kept": Step(f"{_STORE}.save", after=True),
    "settled": Step(f"{_ENGINE}._list"),
    "rows listed": Step("streams.erasing.listing:Lister.list", after=True),
    "listed": Step(f"{_ENGINE}._erase_abroad"),
    "others fenced": Step("streams.replay.resend:Sender.__init__", after=True),
    "numbers kept": Step("streams.erasing.sending:RowSender._known"),
    "records in Kafka, not committed": Step("streams.replay.resend:acknowledged", after=True),
    "records sent": Step("streams.replay.resend:Sender.send", after=True),
    "outcomes kept": Step(f"{_ENGINE}._destroy"),
    "destroyed, not committed": Step("connectors.postgres.vault.erasures:destroy", after=True),
    "destroyed": Step(f"{_STORE}.destroy", after=True),
    "vacuumed": Step(f"{_STORE}.vacuum", after=True),
    "leaf asked for": Step("residency.ledger.requests:Requests.ask", after=True),
    "leaf kept": Step("residency.ledger.requests:Requests.forget"),
    "proofs written": Step("streams.erasing.certificate:replace_durably"),
    "certificate written": Step("streams.erasing.engine:write_certificate", after=True),
    "certified": Step(f"{_ENGINE}._end"),
    "ended": Step(f"{_STORE}.end", after=True),
}


class Erasers:
    """Makes the processes, one at a time."""

    def __init__(self, server: "subprocess.Popen[bytes]") -> None:
        """Take the process that forks."""
        self._server = server
        self._pid = 0

    def start(self, home: Path, dies_at: str = "") -> None:
        """Start one; it dies at a step of `STEPS`, or works until it is killed."""
        assert self._pid == 0, "one at a time"
        assert self._server.stdin is not None
        order = {"home": str(home), "dies_at": dies_at}
        self._server.stdin.write(json.dumps(order).encode() + b"\n")
        self._pid = self._told()

    def ending(self) -> int:
        """Return how it ended, once it has: an exit code, or a signal below 0."""
        code, self._pid = self._told(), 0
        return code

    def kill(self) -> None:
        """End it."""
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self.ending()

    def _told(self) -> int:
        assert self._server.stdout is not None
        ready = select.select([self._server.stdout.fileno()], [], [], START_S)[0]
        assert ready, "the erasing worker did not end"
        return int(self._server.stdout.readline())


@contextmanager
def erasers(log: Path) -> Iterator[Erasers]:
    """Yield what makes processes; what they say goes to *log*."""
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-P", "-c", "import erase_process; erase_process.serve()"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{SUPPORT}"},
        )
        with server:
            found = Erasers(server)
            try:
                yield found
            finally:
                found.kill()
                server.terminate()


def serve() -> None:
    """Fork a process for each line of orders; say its number, and when it has ended, how."""
    logging.basicConfig(level=logging.DEBUG)
    for line in sys.stdin.buffer:
        pid = os.fork()
        if not pid:
            _work(**json.loads(line))
        os.write(1, f"{pid}\n".encode())
        _, status = os.waitpid(pid, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _work(home: str, dies_at: str) -> None:
    """Be the worker; never returns."""
    try:
        if dies_at:
            _plant(STEPS[dies_at])
        build(load_settings(Path(home), "eu", "erase")).run(threading.Event())
    except BaseException:
        LOG.exception("the worker ended")
    finally:
        os._exit(1)


def _plant(step: Step) -> None:
    """Let the process die at a step."""
    module, _, path = step.of.partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for one in owners:
        owner = getattr(owner, one)
    real: Callable[..., Any] = getattr(owner, name)
    left = step.call

    @wraps(real)
    def wrapped(*args: Any, **more: Any) -> Any:
        nonlocal left
        left -= 1
        if not left and not step.after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = real(*args, **more)
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, name, wrapped)
