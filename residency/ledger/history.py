"""What a ledger's leaves say of each record: one transfer at most, then one outcome."""

from array import array
from collections.abc import Iterator
from hashlib import blake2b

from residency.ledger.leaves import Leaf, TransferLeaf
from residency.ledger.outcomes import OutcomeLeaf
from schemas.events import RecordId

# 120 bits tell records apart, and fit a 48-byte object where 128 bits would take 64.
_NAME_BYTES = 15
_NONE = -1


class History:
    """The leaves so far, by record: some 150 bytes for each, whatever the length of its name."""

    __slots__ = ("_is_whole", "_outcomes", "_places", "_refused", "_transfers")

    def __init__(self, *, is_whole: bool = True) -> None:
        """Start before the first leaf; not *is_whole*: some leaves will never be shown."""
        self._is_whole = is_whole
        self._places: dict[bytes, int] = {}
        # By place: the record's last transfer leaf, its first outcome leaf, whether that is
        # the gate's refusal.
        self._transfers = array("q")
        self._outcomes = array("q")
        self._refused = bytearray()

    def check(self, index: int, leaf: Leaf) -> Iterator[str]:
        """Take the next leaf, and yield what is wrong with it after those before it.

        Args:
            index: Its index; they grow from call to call.
            leaf: What it says; one about no record is always fine.

        """
        match leaf:
            case TransferLeaf():
                yield from self._transfer(self._place(leaf.record), index, leaf.record)
            case OutcomeLeaf():
                yield from self._outcome(self._place(leaf.record), index, leaf)
                yield from self._company(leaf)
            case _:
                pass

    def knows_transfer(self, record: RecordId) -> bool:
        """Return whether a transfer of *record* was shown or assumed."""
        place = self._places.get(_name(record))
        return place is not None and self._transfers[place] != _NONE

    def assume(self, record: RecordId, transfer: int) -> None:
        """Take it that leaf *transfer*, which is not shown, is the transfer of *record*."""
        self._transfers[self._place(record)] = transfer

    def _transfer(self, place: int, index: int, record: RecordId) -> Iterator[str]:
        earlier = self._transfers[place]
        self._transfers[place] = index
        if earlier != _NONE:
            yield f"a transfer of {record}, which has one already: leaf {earlier}"
        elif self._refused[place]:
            yield f"a transfer of {record}, which the gate refused: leaf {self._outcomes[place]}"

    def _outcome(self, place: int, index: int, leaf: OutcomeLeaf) -> Iterator[str]:
        transfer, earlier = self._transfers[place], self._outcomes[place]
        if earlier != _NONE:
            yield f"an outcome of {leaf.record}, which has one already: leaf {earlier}"
            return
        self._outcomes[place] = index
        if leaf.transfer is None:
            self._refused[place] = True
            if transfer != _NONE:
                yield f"the gate refused {leaf.record}, which has a transfer: leaf {transfer}"
        elif leaf.transfer != transfer:
            yield (
                f"an outcome of {leaf.record} names leaf {leaf.transfer}, which is not the last "
                "transfer of that record before it"
            )

    def _company(self, leaf: OutcomeLeaf) -> Iterator[str]:
        """Yield which records that a leaf says went out with its own were never announced."""
        if leaf.sent_with is None or not self._is_whole:
            return
        for record in leaf.sent_with.records:
            if record != leaf.record and not self.knows_transfer(record):
                yield f"{leaf.record} was sent with {record}, which has no transfer before it"

    def _place(self, record: RecordId) -> int:
        """Return where the arrays hold *record*, which gets a place if it is new."""
        place = self._places.setdefault(_name(record), len(self._places))
        if place == len(self._refused):
            self._transfers.append(_NONE)
            self._outcomes.append(_NONE)
            self._refused.append(False)
        return place


def _name(record: RecordId) -> bytes:
    # The topic id tells namesakes apart; no NUL is in either part.
    return blake2b(f"{record.topic_id}\0{record}".encode(), digest_size=_NAME_BYTES).digest()
