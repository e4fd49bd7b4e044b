"""Egress as a process of its own, as a region runs it, that dies at a step told beforehand.

It dies as by `kill -9`: no handler, no buffer, no lock of its own is given back. Each process is a
fork of one that has imported everything, so that a start costs what egress itself takes.

Before a request with rows leaves, what the ledger's checkpoint says on disk at that moment goes to
the file of the witness, which outlives the process.
"""

import gzip
import json
import logging
import os
import re
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

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from streams.carrier import Carrier
from streams.egress import build
from streams.settings import load_settings

ROOT = Path(__file__).parents[2]
SUPPORT = Path(__file__).parent
DIE_S = 60.0
LOG = logging.getLogger("homeport.egress")
VERSION = re.compile(rb'"Base_Version__c": ?(\d+)')


@dataclass(frozen=True, slots=True)
class Step:
    """Where to die.

    Attributes:
        of: Module and function, ``package.module:Class.method``.
        call: Which call of it, from 1, once the batch to die of is in hand.
        after: Once it has returned, not before it begins.

    """

    of: str
    call: int = 1
    after: bool = False


_APPEND, _SIGN = "residency.ledger.files:Ledger.append", "residency.ledger.note:Signer.sign"
_SYNC, _RENAME = "residency.ledger.disk:Posix.sync", "residency.ledger.disk:Posix.replace"
_REQUEST = "egress_process:Wire.request"

# Every step of egress, in order; docs/crashes.md says what each leaves.
STEPS: Final[Mapping[str, Step]] = {
    "records read": Step("streams.carrier:Carrier.carry"),
    "gate half done": Step("residency.gate.check:Gate.check", 3),
    "gate done": Step(_APPEND),
    "transfer leaves written": Step(_SYNC),
    "transfer leaves synced": Step(_SIGN),
    "checkpoint signed": Step(_SIGN, after=True),
    "checkpoint drafted": Step(_RENAME),
    "checkpoint renamed": Step(_RENAME, after=True),
    "checkpoint synced": Step("residency.ledger.files:Ledger._remove_stale"),
    "transfer leaves durable": Step(_APPEND, after=True),
    "request made": Step(_REQUEST),
    "request answered": Step(_REQUEST, after=True),
    "outcomes known": Step("connectors.salesforce.sink:SalesforceSink.write", after=True),
    "refused record in quarantine": Step("streams.quarantining:Quarantine.put", after=True),
    "outcome leaves written": Step(_SYNC, 4),
    "outcome leaves synced": Step(_SIGN, 2),
    "outcome checkpoint drafted": Step(_RENAME, 2),
    "outcome checkpoint renamed": Step(_RENAME, 2, after=True),
    "outcome leaves durable": Step(_APPEND, 2, after=True),
    "index written": Step("connectors.postgres.expected_rows:apply"),
    "expected rows written": Step("connectors.postgres.expected_rows:apply", after=True),
    "Postgres committed": Step("connectors.postgres.egress_store:EgressStore.save", after=True),
    "offsets committed": Step("streams.egress:Egress._commit", after=True),
}
# Steps of a start, before any record is in hand.
START: Final[Mapping[str, Step]] = {
    "ledger locked": Step("residency.ledger.files:Ledger._recover"),
    "ledger recovered": Step("residency.ledger.files:Ledger._recover", after=True),
    "leaves indexed": Step("connectors.postgres.expected_rows:apply", after=True),
    "index caught up": Step("connectors.postgres.egress_store:EgressStore.save", after=True),
}


@dataclass(frozen=True, slots=True)
class Order:
    """What one process is to do.

    Attributes:
        home: With the settings, keys and ledger of the EU's egress.
        dies_at: A step of `STEPS` or `START`; empty: it works until it is stopped.
        dies_of: Name of a record: steps count from the batch that has it.

    """

    home: str
    dies_at: str = ""
    dies_of: str = ""


class Egresses:
    """Makes the processes, one at a time."""

    def __init__(self, server: "subprocess.Popen[bytes]") -> None:
        """Take the process that forks."""
        self._server = server
        self.pid = 0

    def start(self, order: Order) -> None:
        """Start one."""
        assert self.pid == 0, "one at a time"
        assert self._server.stdin is not None
        fields = {"home": order.home, "dies_at": order.dies_at, "dies_of": order.dies_of}
        self._server.stdin.write(json.dumps(fields).encode() + b"\n")
        self.pid = self._told(DIE_S)

    def has_ended(self) -> bool:
        """Return whether it has ended by itself; `ending` says how."""
        return self._speaks(0)

    def ending(self) -> int:
        """Return how it ended: an exit code, or a signal below 0."""
        code, self.pid = self._told(DIE_S), 0
        return code

    def kill(self) -> None:
        """End it."""
        if self.pid:
            with suppress(ProcessLookupError):  # ended, or whoever forks is gone
                os.kill(self.pid, signal.SIGKILL)
            assert self._server.stdout is not None
            self._server.stdout.readline()
            self.pid = 0

    def _told(self, seconds: float) -> int:
        assert self._speaks(seconds), "egress did not die"
        assert self._server.stdout is not None
        return int(self._server.stdout.readline())

    def _speaks(self, seconds: float) -> bool:
        assert self._server.stdout is not None
        return bool(select.select([self._server.stdout.fileno()], [], [], seconds)[0])


@contextmanager
def egresses(log: Path) -> Iterator[Egresses]:
    """Yield what makes processes; what they say goes to *log*."""
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-P", "-c", "import egress_process; egress_process.serve()"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{SUPPORT}"},
        )
        with server:
            found = Egresses(server)
            try:
                yield found
            finally:
                found.kill()
                server.terminate()


def serve() -> None:
    """Fork a process for each line of orders; say its number, and when it has ended, how."""
    logging.basicConfig(level=logging.INFO)
    for line in sys.stdin.buffer:
        pid = os.fork()
        if not pid:
            _work(Order(**json.loads(line)))
        os.write(1, f"{pid}\n".encode())
        _, status = os.waitpid(pid, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _work(order: Order) -> None:
    """Be egress; never returns."""
    code = 1
    try:
        home = Path(order.home)
        Wire.home = home
        _replace(HTTPAdapter, "send", Wire.send)
        if order.dies_at:
            _plant(order)
        build(load_settings(home, "eu", "egress")).run(threading.Event())
    except BaseException:
        LOG.exception("egress ended")
    finally:
        os._exit(code)


class Wire:
    """What leaves the process for the org."""

    home: Path

    @staticmethod
    def send(
        real: Callable[..., Response], adapter: HTTPAdapter, request: PreparedRequest, **more: Any
    ) -> Response:
        """Send *request*; one with rows is told to the witness first."""
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        versions = [int(found) for found in VERSION.findall(body)]
        if not versions:
            return real(adapter, request, **more)
        return Wire.request(versions, lambda: real(adapter, request, **more))

    @staticmethod
    def request(versions: list[int], send: Callable[[], Response]) -> Response:
        """Send rows of these versions."""
        head = (Wire.home / "eu/ledger/checkpoint").read_text()
        with (Wire.home / "witness.jsonl").open("a") as file:
            file.write(json.dumps({"checkpoint": head, "versions": versions}) + "\n")
        return send()


def _plant(order: Order) -> None:
    """Let the process die at the step of its orders."""
    begun = threading.Event()
    step = STEPS.get(order.dies_at) or START[order.dies_at]
    if order.dies_at in START:
        begun.set()

    def carry(real: Callable[..., Any], carrier: Carrier, batch: Any) -> Any:
        if any(str(arrival.record.id) == order.dies_of for arrival in batch):
            begun.set()
        return real(carrier, batch)

    left = step.call

    def call(real: Callable[..., Any], *args: Any, **more: Any) -> Any:
        nonlocal left
        if not begun.is_set():
            return real(*args, **more)
        left -= 1
        if not left and not step.after:
            _die()
        answer = real(*args, **more)
        if not left:
            _die()
        return answer

    module, _, path = step.of.partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for one in owners:
        owner = getattr(owner, one)
    _replace(owner, name, call)
    _replace(Carrier, "carry", carry)


def _replace(owner: Any, name: str, call: Callable[..., Any]) -> None:
    real = getattr(owner, name)

    @wraps(real)
    def wrapped(*args: Any, **more: Any) -> Any:
        return call(real, *args, **more)

    setattr(owner, name, staticmethod(wrapped) if owner is Wire else wrapped)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
