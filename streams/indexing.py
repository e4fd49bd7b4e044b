"""The Postgres index of a ledger: what its leaves say of each record, and building it anew."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from connectors.postgres.egress_store import EgressStore, Entry
from residency.ledger import disk
from residency.ledger.errors import LedgerError
from residency.ledger.files import LOCK
from residency.ledger.leaves import RecordLeaf, TransferLeaf, month_of, parse_leaf
from residency.ledger.note import Checkpoint, Verifier
from residency.ledger.reader import Reader, open_head
from residency.ledger.tree import Frontier, leaf_hash
from residency.ledger.walk import Progress

if TYPE_CHECKING:
    from schemas.events import RecordId

GROUP = 5_000  # leaves per append to the ledger, and per round to the database


def index_entries(first: int, leaves: Iterable[bytes]) -> Collection[Entry]:
    """Return what consecutive leaves, from index *first* on, say of each record.

    A leaf about no record is not in it.
    """
    entries: dict[RecordId, Entry] = {}
    for index, data in enumerate(leaves, first):
        leaf = parse_leaf(data)
        if isinstance(leaf, RecordLeaf):
            entries[leaf.record] = _entry(entries.get(leaf.record), index, leaf)
    return entries.values()


def _entry(before: Entry | None, index: int, leaf: RecordLeaf) -> Entry:
    entry = before or Entry(leaf.record)
    if isinstance(leaf, TransferLeaf):
        return replace(entry, transfer=index, commitment=leaf.commitment, month=month_of(leaf.time))
    return replace(entry, outcome=index, result=leaf.result)


def reindex(reader: Reader, log: Verifier, store: EgressStore, progress: Progress) -> int:
    """Build the index of the ledger anew, all or nothing, and return how many leaves it has.

    Holds the writer's lock. Every entry is checked against the signed root before anything is
    committed.

    Raises:
        LockedError: Egress runs.
        LedgerError: The ledger is shorter than its index, or does not hold.
        RetriableError: Postgres went away; nothing changed.

    """
    lock = disk.lock(reader.folder / LOCK)
    try:
        head = open_head(reader, log)
        indexed = store.indexed
        if head.size < indexed:
            msg = (
                f"{reader.folder}: {head.size} leaves, but {indexed} are indexed: an older copy of "
                "the ledger was put back; nothing changed: restore the newer files"
            )
            raise LedgerError(msg)
        store.rebuild(head.size, _groups(reader, head, progress))
    finally:
        disk.unlock(lock)
    return head.size


def _groups(reader: Reader, head: Checkpoint, progress: Progress) -> Iterator[Collection[Entry]]:
    """Yield the index, some thousand leaves at a time; raise at the end if one is not signed."""
    frontier = Frontier()
    for start in range(0, head.size, GROUP):
        stop = min(start + GROUP, head.size)
        leaves = list(reader.entries(start, stop, head.size))
        frontier, _ = frontier.extend(map(leaf_hash, leaves))
        yield index_entries(start, leaves)
        progress(stop, head.size)
    if frontier.root() != head.root:
        msg = (
            f"{reader.folder}: the entries do not hash to the root that the checkpoint signs; "
            "nothing changed: run `homeport ledger verify`"
        )
        raise LedgerError(msg)
