"""Have a leaf appended from a process that is not egress: by egress if it runs, else by ourselves.

The leaf is left as a request first, whoever appends it then: there is one way into the ledger
beside the writer's own, and one recovery. See `residency.ledger.requests`.
"""

import secrets
import time
from collections.abc import Callable
from pathlib import Path

from residency.keys import LedgerKeys
from residency.ledger.disk import read_file
from residency.ledger.errors import LedgerError, LockedError
from residency.ledger.files import LOCK, Ledger
from residency.ledger.notices import Notice
from residency.ledger.requests import FOLDER, Answer, Requests
from schemas.errors import SetupError

LOOK_S = 0.05
PATIENCE_S = 10.0  # egress looks between two batches, and while the org does not answer
REQUEST_BYTES = 16
UNFETCHED_S = 86_400.0  # how long an answer waits for whoever asked


def new_request() -> str:
    """Return a request's name: 32 hex digits, drawn at random."""
    return secrets.token_hex(REQUEST_BYTES)


def writer(folder: Path, keys: LedgerKeys, at_least: int = 0) -> Callable[[], Ledger]:
    """Return what opens a region's ledger, for those who may write it.

    Args:
        folder: The region's.
        keys: Its ledger's.
        at_least: See `Ledger.open`; 0 where the index cannot be asked.

    """
    return lambda: Ledger.open(folder / "ledger", keys.origin, keys.seed, at_least=at_least)


def append_leaf(
    folder: Path,
    leaf: Notice,
    open_ledger: Callable[[], Ledger] | None = None,
    patience_s: float = PATIENCE_S,
) -> int | None:
    """Return the index of *leaf*, now durable under the signed head; None if it waits still.

    One that waits stays asked for: egress appends it when it comes to it, or at its next start.

    Args:
        folder: The region's.
        leaf: Of a kind that may be asked for; its request from `new_request`. Calling again with
            the same one, before the answer was fetched, asks once.
        open_ledger: From `writer`, to append it here while nobody has the ledger; None: this
            process does not hold the ledger's key and leaves it to egress.
        patience_s: How long to wait for egress; not at all where only it may write, and does not
            run.

    Raises:
        SetupError: The request cannot be written.
        LedgerError: It was refused, or the ledger here cannot be written.

    """
    requests, deadline = Requests(folder / FOLDER), time.monotonic() + patience_s
    try:
        requests.ask(leaf)
    except OSError as exc:
        msg = f"{requests.folder}: {exc.strerror or 'I/O error'}; mend it and try again"
        raise SetupError(msg) from exc
    while True:
        if open_ledger is not None:
            _serve(requests, open_ledger)
        answer = requests.answer(leaf.request)
        if answer is not None:
            requests.forget(leaf.request)
            return _index(leaf, answer)
        if time.monotonic() > deadline or (open_ledger is None and not _is_held(folder)):
            return None
        time.sleep(LOOK_S)


def _serve(requests: Requests, open_ledger: Callable[[], Ledger]) -> None:
    """Append what waits, unless somebody else has the ledger, who will."""
    try:
        ledger = open_ledger()
    except LockedError:
        return
    with ledger:
        while requests.serve(ledger).appended:
            pass


def _is_held(folder: Path) -> bool:
    """Return whether somebody seems to write the ledger: he left his process id in the lock."""
    return bool(read_file(folder / "ledger" / LOCK))


def _index(leaf: Notice, answer: Answer) -> int:
    if answer.leaf is None:
        msg = f"a {leaf.kind!r} leaf was refused: {answer.refused}"
        raise LedgerError(msg)
    return answer.leaf
