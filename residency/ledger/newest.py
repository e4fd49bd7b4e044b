"""Leaves of a kind from the newest on, proved: none of that kind was hidden, none altered."""

from collections.abc import Iterator
from typing import TypeVar

from residency.ledger.consistency import check_entry
from residency.ledger.errors import LedgerError
from residency.ledger.leaves import Leaf, parse_leaf
from residency.ledger.note import Checkpoint
from residency.ledger.reader import Reader
from residency.ledger.tiles import ENTRIES, TILE_WIDTH, split_hashes, tile_at
from residency.ledger.tree import leaf_hash

L = TypeVar("L", bound=Leaf)


def newest(reader: Reader, head: Checkpoint, kind: type[L]) -> tuple[int, L] | None:
    """Return the newest leaf of *kind* under *head* with its index, None if there is none.

    Reads from the end, and no further than it must. Each bundle that is read is shown to be in
    the tree: its entries hash to their tile, and a path through that tile leads to the root.

    Args:
        reader: The ledger; may be live, or a copy.
        head: Its checkpoint, the signature checked.
        kind: The class of the leaf.

    Raises:
        LedgerError: A bundle is missing, or is not what *head* signs.

    """
    return next(backwards(reader, head, kind), None)


def backwards(reader: Reader, head: Checkpoint, kind: type[L]) -> Iterator[tuple[int, L]]:
    """Yield every leaf of *kind* under *head* with its index, the newest first; as `newest`."""
    mark = f'"kind":"{kind.kind}"'.encode()  # canonical JSON has no other way to write it
    for n in reversed(range(-(-head.size // TILE_WIDTH))):
        first = n * TILE_WIDTH
        entries = reader.bundle(tile_at(ENTRIES, n, head.size))
        tile = tile_at(0, n, head.size)
        if split_hashes(reader.tile(tile), tile.width) != list(map(leaf_hash, entries)):
            msg = (
                f"leaves {first} to {first + len(entries) - 1}: the entries do not hash to "
                f"{tile.path}: verify the ledger to see which is bad"
            )
            raise LedgerError(msg)
        check_entry(reader, head, first, entries[0])
        for index in reversed(range(len(entries))):
            if mark in entries[index]:
                leaf = parse_leaf(entries[index])
                if isinstance(leaf, kind):
                    yield first + index, leaf
