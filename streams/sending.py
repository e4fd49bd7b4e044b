"""The only way from egress to the org: what the ledger holds, and only while egress may run.

Two checks, because they see different faults. What is handed to the sink must be in the ledger
(`require_logged`). And no request that could write goes over the wire outside of that: a request
made around the sink is an attempt to send without a leaf, whatever it holds.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from connectors.postgres.expected_rows import Key
from connectors.salesforce.outcome import Outcome
from residency.ledger.errors import UnloggedError
from residency.ledger.files import Ledger
from residency.ledger.receipts import require_logged
from schemas.events import LoggedRecord
from streams.crossing import Sink
from streams.switch import Switch

READS: Final = frozenset({"GET", "HEAD"})


class Licence:
    """Asked before every request to the org. Threads may share it."""

    def __init__(self, switch: Switch) -> None:
        """Take what says whether egress may run; nothing may be written yet."""
        self._switch = switch
        self._is_writing = False

    def check(self, method: str) -> None:
        """Let a request by HTTP *method* pass.

        Raises:
            UnloggedError: It could write, and no logged batch is being written.
            BreachError: Egress is halted.

        """
        self._switch.check()
        if method not in READS and not self._is_writing:
            msg = (
                f"a {method} request to the org outside of any logged batch; it was not sent: "
                "find the code that writes around the ledger"
            )
            raise UnloggedError(msg)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let requests write during the block."""
        self._is_writing = True
        try:
            yield
        finally:
            self._is_writing = False


class LicensedSink:
    """A sink that takes only what the ledger holds."""

    def __init__(self, sink: Sink, ledger: Ledger, root: bytes, licence: Licence) -> None:
        """Take the sink, whose requests ask *licence*, and the ledger with its commitment root."""
        self._sink = sink
        self._ledger = ledger
        self._root = root
        self._licence = licence

    def doubt(self, keys: Iterable[Key]) -> None:
        """See `Sink.doubt`."""
        self._sink.doubt(keys)

    def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
        """See `Sink.write`.

        Raises:
            UnloggedError: The ledger does not hold one of *batch*; nothing was sent.
            BreachError: Egress is halted; see `Carrier` on what was sent and has no outcome.

        """
        require_logged(self._ledger, batch, self._root)
        with self._licence.writing():
            return self._sink.write(batch)
