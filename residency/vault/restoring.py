"""Which subjects of an old backup have been erased since: by the region's tables and its ledger.

A backup was taken when its subjects were not erased yet. The region's own tables say who was
erased since; where they are lost with the rest, the ledger says it, to whoever has the root of its
commitments: each erasure's leaf names its subject by a commitment that is always the same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from residency.ledger.erasures import ErasureLeaf, subject_commitment

MINUTE = timedelta(minutes=1)  # what the times of leaves are cut to


@dataclass(frozen=True, slots=True)
class Gone:
    """A subject of a backup whose erasure the ledger has.

    Attributes:
        request: The erasure's id.
        asked_at: When it was asked for, to the minute, aware.
        ended_at: When it was done at the latest, aware.
        by: ``event`` or ``command``.
        leaf: Index of its leaf.

    """

    subject: bytes = field(repr=False)
    request: str
    asked_at: datetime
    ended_at: datetime
    by: str
    leaf: int


def erased_since(
    subjects: Iterable[bytes],
    leaves: Iterable[tuple[int, ErasureLeaf]],
    root: bytes,
    taken_at: datetime,
) -> dict[bytes, Gone]:
    """Return those of a backup's *subjects* that were erased after it was taken, or about then.

    Args:
        subjects: Of the backup.
        leaves: Erasure leaves of the region's ledger with their indexes, in any order. The last
            one of a subject counts.
        root: Of the region's commitments.
        taken_at: When the backup was begun, aware.

    Raises:
        ValueError: *root* is too short.

    """
    newest: dict[str, tuple[int, ErasureLeaf]] = {}
    for index, leaf in leaves:
        if _ended(leaf) >= taken_at and index >= newest.get(leaf.subject, (0, leaf))[0]:
            newest[leaf.subject] = index, leaf
    if not newest:
        return {}
    found = {}
    for subject in subjects:
        told = newest.get(subject_commitment(root, subject))
        if told is not None:
            found[subject] = _gone(subject, *told)
    return found


def unopenable(under: Iterable[int], held: Iterable[int]) -> tuple[int, ...]:
    """Return the versions that a backup's keys lie under and nobody holds any more."""
    return tuple(sorted(set(under) - set(held)))


def months(rows: Iterable[tuple[str, str]]) -> Mapping[str, list[datetime]]:
    """Return the months of each event type, of (event type, ``2026-11``) pairs.

    Raises:
        ValueError: A month is none.

    """
    found: dict[str, list[datetime]] = {}
    for event, month in rows:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
        found.setdefault(event, []).append(first)
    return found


def _ended(leaf: ErasureLeaf) -> datetime:
    """Return when an erasure was over for sure: its leaf's time is cut."""
    return _time(leaf.time) + MINUTE


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)


def _gone(subject: bytes, index: int, leaf: ErasureLeaf) -> Gone:
    return Gone(subject, leaf.request, _time(leaf.asked), _ended(leaf), leaf.by, index)
