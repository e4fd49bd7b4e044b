"""What transfer leaves say, in a form that millions of them fit into: a fixed 61 bytes each.

A claim is what one leaf says of one record of one partition. What many leaves say alike (plan,
keys, release, month ...) are its terms, kept once and named by number.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError  # noqa: N812, it is a class
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from residency.ledger.leaves import RecordLeaf, TransferLeaf, month_of, parse_leaf
from residency.ledger.outcomes import OutcomeLeaf
from schemas.events import RecordId

PACKED: Final = Struct("<qqiiib32s")
ROW: Final = np.dtype(
    [
        ("offset", "<i8"), ("leaf", "<i8"), ("output", "<i4"), ("resend", "<i4"),
        ("terms", "<i4"), ("what", "i1"), ("commitment", "V32"),
    ]
)  # fmt: skip
REFUSED: Final = "gate-refused"  # the one outcome that stands for a transfer
TRANSFER, REFUSAL, ACCEPTED, SUPERSEDED, REJECTED = range(5)  # what a leaf says of a record
_OUTCOMES: Final[Mapping[str, int]] = {
    REFUSED: REFUSAL,
    "accepted": ACCEPTED,
    "superseded": SUPERSEDED,
    "rejected": REJECTED,
}
_NO_TERMS, _NOTHING = -1, bytes(32)


class Claim(NamedTuple):
    """What a leaf says of a record.

    Attributes:
        offset: Of the raw record.
        leaf: Its index in the ledger.
        output: Which of the plan's outputs.
        resend: See `RecordId`.
        terms: Number of its terms; -1 unless it is a transfer.
        what: `TRANSFER`, or an outcome: `REFUSAL`, and if they were asked for the others.
        commitment: 32 bytes.

    """

    offset: int
    leaf: int
    output: int
    resend: int
    terms: int
    what: int
    commitment: bytes

    @property
    def refused(self) -> bool:
        """Whether it is the gate's refusal."""
        return self.what == REFUSAL


@dataclass(frozen=True, slots=True)
class Terms:
    """What many transfer leaves have in common; see `TransferLeaf` for each.

    Attributes:
        month: ``YYYY-MM`` of the leaf's time.

    """

    plan: str
    object: str
    schema: int
    keys: int
    release: str
    basis: tuple[str, ...]
    deletes: bool
    model: str | None
    month: str


class TermsBook:
    """Terms by number, in the order they were met."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        """Start with none."""
        self._known: dict[tuple[Any, ...], int] = {}

    @property
    def terms(self) -> tuple[Terms, ...]:
        """Return all terms so far, each in its number's place."""
        return tuple(Terms(*one) for one in self._known)

    def number(self, leaf: TransferLeaf) -> int:
        """Return the number of a leaf's terms."""
        terms = (
            leaf.plan,
            leaf.object,
            leaf.schema,
            leaf.keys,
            leaf.release,
            leaf.basis,
            leaf.deletes,
            leaf.model,
            month_of(leaf.time),
        )
        return self._known.setdefault(terms, len(self._known))

    def find(self, row: Mapping[str, Any]) -> int | None:
        """Return the number of the terms that an entry's JSON object states, if they are known.

        Raises:
            KeyError: It lacks some.
            TypeError: Some are of no form that terms have.

        """
        terms = (
            row["plan"],
            row["object"],
            row["schema"],
            row["keys"],
            row["release"],
            tuple(row["basis"]),
            row["deletes"],
            row.get("model"),
            month_of(row["time"]),
        )
        return self._known.get(terms)


def pack(index: int, leaf: RecordLeaf, book: TermsBook) -> bytes:
    """Return the claim that *leaf* makes: a transfer, or what became of one."""
    record = leaf.record
    name = (record.at.offset, index, record.output, record.resend)
    if isinstance(leaf, OutcomeLeaf):
        return PACKED.pack(*name, _NO_TERMS, _OUTCOMES[leaf.result], _NOTHING)
    return PACKED.pack(*name, book.number(leaf), TRANSFER, bytes.fromhex(leaf.commitment))


def claim_of(
    index: int, entry: bytes, book: TermsBook, *, with_outcomes: bool = False
) -> tuple[RecordId, bytes] | None:
    """Return the record that an entry makes a claim on, and the claim packed; None if it is none.

    A transfer makes one, and the gate's refusal; *with_outcomes*, every outcome.

    Terms that are known were read strictly once. The strict form of every leaf is `verify`'s to
    check; here it would be most of the work.

    Raises:
        FormatError: The entry is no leaf.

    """
    try:
        row = orjson.loads(entry)
        is_transfer = row["kind"] == "transfer"
        is_asked = is_transfer or row.get("result") == REFUSED
        if not is_asked and not (with_outcomes and row["kind"] == "outcome"):
            return None
        terms = book.find(row) if is_transfer else None
        if terms is not None:
            record = RecordId.parse(row["record"], row["topic_id"])
            bound = bytes.fromhex(row["commitment"])
            name = (record.at.offset, index, record.output, record.resend)
            return record, PACKED.pack(*name, terms, TRANSFER, bound)
    except (AttributeError, KeyError, TypeError, ValueError, StructError):
        pass  # the strict reader says what is wrong with it
    leaf = parse_leaf(entry)
    if not isinstance(leaf, RecordLeaf):
        return None
    return leaf.record, pack(index, leaf, book)


class Claims:
    """The claims on one partition, by offset; those of one record by output, resend, leaf."""

    def __init__(self, packed: bytes) -> None:
        """Take them in any order."""
        rows = np.frombuffer(packed, ROW)
        order = np.lexsort([rows[name] for name in ("leaf", "resend", "output", "offset")])
        self._rows = rows[order]
        self._offsets = np.ascontiguousarray(self._rows["offset"])

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._rows)

    def between(self, start: int, stop: int) -> Iterator[Claim]:
        """Yield those on the offsets *start* to *stop*, the latter not included."""
        low, high = np.searchsorted(self._offsets, [start, stop])
        return map(Claim._make, PACKED.iter_unpack(self._rows[low:high].tobytes()))
