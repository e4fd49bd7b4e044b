"""What a region's ledger says of its records, by record, kept up with the ledger as it grows.

Some 300 bytes for each record. Every entry is hashed, and the root compared with the signed one:
what is said here is what the checkpoint commits to.
"""

from bisect import bisect_left
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from residency.ledger.errors import LedgerError
from residency.ledger.leaves import Leaf, TransferLeaf, parse_leaf, quantise
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.reader import Reader, open_head
from residency.ledger.tree import Frontier, leaf_hash
from schemas.events import RecordId

GROUP = 4_096  # entries per step; whole bundles
TAIL = 50_000  # accepted records that may not be in the expected rows yet
_NAME_BYTES = 15  # 120 bits tell records apart


@dataclass(frozen=True, slots=True)
class Sent:
    """A record that was announced and has no outcome yet.

    Attributes:
        object: Salesforce object.
        offset: Of its raw record.
        deletes: It deletes its row.

    """

    record: RecordId
    object: str
    offset: int
    deletes: bool


class LedgerView:
    """A ledger's records. See `residency.reconcile.judge.Log` for what is asked of it."""

    def __init__(self, reader: Reader) -> None:
        """Start before the first entry; `catch_up` reads."""
        self._reader = reader
        self._frontier = Frontier()
        self._sent: dict[RecordId, Sent] = {}
        self._objects: dict[str, int] = {}
        self._accepted: dict[bytes, tuple[int, bool, int]] = {}  # object, deletes, outcome leaf
        self._offsets: set[tuple[int, int]] = set()  # object, raw offset
        self._folded: set[bytes] = set()
        self._places: dict[int, list[int]] = defaultdict(list)  # object -> outcome leaves
        self._tail: deque[tuple[int, Sent]] = deque(maxlen=TAIL)
        self._minutes: list[tuple[str, int]] = []  # time, first outcome leaf of it
        self.origin = ""

    @property
    def size(self) -> int:
        """How many entries were read."""
        return self._frontier.size

    def catch_up(self) -> None:
        """Read what was appended since.

        Raises:
            LedgerError: An entry is missing or malformed, or the tree is not the signed one.

        """
        head = open_head(self._reader)
        self.origin, start = head.origin, self.size
        if head.size < start:
            msg = f"{head.origin}: the ledger shrank from {start} to {head.size} leaves"
            raise LedgerError(msg)
        while start < head.size:
            stop = min(start + GROUP - start % GROUP, head.size)
            entries = list(self._reader.entries(start, stop, head.size))
            for index, entry in enumerate(entries, start):
                self._take(index, parse_leaf(entry))
            self._frontier, _ = self._frontier.extend([leaf_hash(entry) for entry in entries])
            start = stop
        if self._frontier.root() != head.root:
            msg = (
                f"{head.origin}: the entries are not those that the checkpoint signs;"
                " run `homeport ledger verify`, and keep the folder as evidence"
            )
            raise LedgerError(msg)

    def _take(self, index: int, leaf: Leaf) -> None:
        match leaf:
            case TransferLeaf():
                offset = leaf.record.at.offset
                sent = Sent(leaf.record, leaf.object, offset, leaf.deletes)
                self._sent[leaf.record] = sent
            case OutcomeLeaf():
                if not self._minutes or self._minutes[-1][0] < leaf.time:
                    self._minutes.append((leaf.time, index))
                sent_before = self._sent.pop(leaf.record, None)
                if leaf.result == "accepted" and sent_before is not None:
                    self._accept(index, sent_before)
            case _:
                pass  # about no record

    def _accept(self, index: int, sent: Sent) -> None:
        at = self._objects.setdefault(sent.object, len(self._objects))
        self._accepted[_name(str(sent.record))] = (at, sent.deletes, index)
        self._offsets.add((at, sent.offset))
        self._tail.append((index, sent))
        # A resend of an accepted record writes the same bytes: the row folds it once.
        once = _name(f"{sent.record.topic_id}/{sent.record.at}#{sent.record.output}")
        if once not in self._folded:
            self._folded.add(once)
            self._places[at].append(index)

    def deletes(self, sobject: str, record: str) -> bool | None:
        """Return whether an accepted record of *sobject* deletes; None: none was accepted."""
        found = self._accepted.get(_name(record))
        if found is None or found[0] != self._objects.get(sobject):
            return None
        return found[1]

    def accepted_at(self, sobject: str, offset: int) -> bool:
        """Return whether a record of *sobject* from that raw offset was accepted."""
        return (self._objects.get(sobject, -1), offset) in self._offsets

    def accepted(self, sobject: str, below: int) -> int:
        """Return how many records of *sobject* were accepted by leaves with an index < *below*."""
        return bisect_left(self._places.get(self._objects.get(sobject, -1), ()), below)

    def under_way(self, sobject: str, indexed: int) -> list[Sent]:
        """Return the records of *sobject* that the expected rows may not know yet.

        Announced and without an outcome, or accepted by a leaf from *indexed* on.
        """
        late = (sent for index, sent in self._tail if index >= indexed)
        return [sent for sent in (*self._sent.values(), *late) if sent.object == sobject]

    def leaf_of(self, record: str) -> int | None:
        """Return the index of the outcome leaf that accepted *record*, or None."""
        found = self._accepted.get(_name(record))
        return None if found is None else found[2]

    def first_since(self, moment: datetime) -> int:
        """Return the index from which on outcome leaves may be of *moment* or later.

        A clock that went backwards makes it lower, never higher, than it need be.
        """
        at = bisect_left(self._minutes, (quantise(moment), -1))
        return self._minutes[at][1] if at < len(self._minutes) else self.size


def _name(record: str) -> bytes:
    return blake2b(record.encode(), digest_size=_NAME_BYTES).digest()
