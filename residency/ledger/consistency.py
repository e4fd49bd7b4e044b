"""Whether a ledger only grew since a checkpoint that somebody kept.

Whoever keeps a checkpoint holds the log to it: the log can neither shorten the tree nor sign
another one over the same leaves without showing two signed heads that contradict each other.
"""

from residency.ledger.errors import LedgerError
from residency.ledger.note import Checkpoint
from residency.ledger.reader import Reader
from residency.ledger.tiles import levels, node_reader, partial_tile, split_hashes
from residency.ledger.tree import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    inclusion_root,
    is_consistent,
    leaf_hash,
)

_EVIDENCE = "both heads are signed by the log: keep both, they are the evidence"


class RollbackError(LedgerError):
    """The ledger is shorter than a checkpoint that its log once signed."""


class ForkError(LedgerError):
    """The log signed two trees of which neither is a prefix of the other."""


def grown_from(reader: Reader, old: Checkpoint, head: Checkpoint) -> Frontier:
    """Return the frontier of *old*, once the tree of *head* is shown to begin with it.

    Args:
        reader: The ledger, with the tiles of *head*.
        old: The kept checkpoint, its signature checked.
        head: The ledger's checkpoint, its signature checked.

    Raises:
        RollbackError: *head* is of a smaller tree.
        ForkError: The trees differ below the size of *old*.
        LedgerError: Tiles are missing, or do not hash to *head*, so nothing is shown.

    """
    if head.size < old.size:
        msg = (
            f"rolled back: {head.origin} has {head.size} leaves, and had {old.size} when the kept "
            f"checkpoint was signed; {_EVIDENCE}"
        )
        raise RollbackError(msg)
    if old.size == 0 and old.root != EMPTY_ROOT:
        raise _forked(old, head)
    if head.size == old.size and head.root != old.root:
        raise _forked(old, head)  # whatever the tiles are like
    if old.size == 0:
        return Frontier()
    frontier = _frontier(reader, old.size)
    node = node_reader(head.size, reader.tile)
    proof = consistency_proof(old.size, head.size, node)
    # The tiles' own root first: only if that leads to the head does a difference mean a fork.
    if not is_consistent(old.size, frontier.root(), head.size, head.root, proof):
        msg = (
            f"the tiles of {head.origin} do not lead to the root that its checkpoint signs: "
            "verify the whole ledger to see which are bad"
        )
        raise LedgerError(msg)
    if frontier.root() != old.root:
        raise _forked(old, head)
    return frontier


def check_entry(reader: Reader, head: Checkpoint, index: int, entry: bytes) -> None:
    """Make sure that *entry* is leaf *index* of the tree of *head*.

    Raises:
        LedgerError: It is not, or the tiles on its path are missing or bad.

    """
    path = inclusion_proof(index, head.size, node_reader(head.size, reader.tile))
    if inclusion_root(index, head.size, leaf_hash(entry), path) != head.root:
        msg = "the entry does not hash to the root that the checkpoint signs"
        raise LedgerError(msg)


def _frontier(reader: Reader, size: int) -> Frontier:
    """Return the frontier that the tiles have at *size*."""
    edge: list[list[bytes]] = []
    for level in levels(size):
        tile = partial_tile(level, size)
        edge.append([] if tile is None else split_hashes(reader.tile(tile), tile.width))
    return Frontier.join(edge)


def _forked(old: Checkpoint, head: Checkpoint) -> ForkError:
    """Return the error for two heads that contradict each other."""
    return ForkError(
        f"forked: the first {old.size} leaves of {head.origin} at size {head.size} are not those "
        f"of the kept checkpoint; {_EVIDENCE}"
    )
