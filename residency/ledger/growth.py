"""What an append changes: pure, so that the writer only has to write it down in order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from residency.ledger.errors import LedgerError
from residency.ledger.tiles import (
    ENTRIES,
    TILE_WIDTH,
    Tile,
    grow,
    join_entries,
    level_width,
    levels,
    partial_tile,
    split_entries,
    split_hashes,
    tile_at,
)
from residency.ledger.tree import Frontier, leaf_hash, subtree_root


@dataclass(frozen=True, slots=True)
class Edge:
    """The right edge of the tree: all that an append needs to know of what is there.

    Attributes:
        frontier: The tree.
        partial: Per level (`ENTRIES` too) the content of its partial tile, if it has one.

    """

    frontier: Frontier
    partial: Mapping[int, Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Growth:
    """An append.

    Attributes:
        edge: The edge after it.
        files: The tiles and bundles that are new or wider, with their bytes.
        stale: The partial ones that these replace.

    """

    edge: Edge
    files: tuple[tuple[Tile, bytes], ...]
    stale: tuple[Tile, ...]


EMPTY = Edge(Frontier(), {})


def append(edge: Edge, entries: Sequence[bytes]) -> Growth:
    """Return what appending *entries* to the tree at *edge* changes.

    Raises:
        FormatError: An entry is longer than 65,535 bytes.

    O(n) hashes for n entries; reads nothing.

    """
    size = edge.frontier.size
    frontier, hashes = edge.frontier.extend(map(leaf_hash, entries))
    gained: dict[int, Sequence[bytes]] = {ENTRIES: entries, **dict(enumerate(hashes))}
    files: list[tuple[Tile, bytes]] = []
    stale: list[Tile] = []
    partial = dict(edge.partial)
    for level, items in gained.items():
        old = partial_tile(level, size)
        if old is not None and items:
            stale.append(old)
        for tile, content in grow(level, size, partial.pop(level, ()), items):
            files.append((tile, join_entries(content) if level == ENTRIES else b"".join(content)))
            if tile.width < TILE_WIDTH:
                partial[level] = content
    return Growth(Edge(frontier, partial), tuple(files), tuple(stale))


def load_edge(size: int, root: bytes, read: Callable[[Tile], bytes]) -> Edge:
    """Return the edge of the tree of *size*, checked against *root*.

    Checks the partial tiles and, per level, the last full tile and bundle: whatever the last
    append before a crash could have left undone.

    Args:
        size: The checkpoint's.
        root: The checkpoint's, 32 bytes.
        read: Returns a tile's bytes; raises LedgerError if it is missing.

    Raises:
        LedgerError: A tile does not hash to what commits to it; names the tile.

    """
    partial: dict[int, Sequence[bytes]] = {}
    for level in (ENTRIES, *levels(size)):
        tile = partial_tile(level, size)
        if tile is not None:
            split = split_entries if level == ENTRIES else split_hashes
            partial[level] = split(read(tile), tile.width)
    frontier = Frontier.join([partial.get(level, ()) for level in levels(size)])
    if frontier.size != size or frontier.root() != root:
        msg = f"the partial tiles of size {size} do not hash to the checkpoint's root"
        raise LedgerError(msg)
    if [leaf_hash(entry) for entry in partial.get(ENTRIES, ())] != list(partial.get(0, ())):
        msg = f"the last bundle of size {size} does not hash to its tile"
        raise LedgerError(msg)
    for level in levels(size)[:-1]:
        _check_last_full(level, size, read)
    return Edge(frontier, partial)


def _check_last_full(level: int, size: int, read: Callable[[Tile], bytes]) -> None:
    """Make sure that the last full tile of *level* hashes to its place in the level above."""
    above = level_width(level + 1, size)
    parent = tile_at(level + 1, (above - 1) // TILE_WIDTH, size)
    last = Tile(level, above - 1)
    hashes = split_hashes(read(last), TILE_WIDTH)
    is_fine = split_hashes(read(parent), parent.width)[-1] == subtree_root(hashes)
    if is_fine and level == 0:
        entries = split_entries(read(Tile(ENTRIES, last.n)), TILE_WIDTH)
        is_fine = [leaf_hash(entry) for entry in entries] == hashes
    if not is_fine:
        msg = f"{last.path} or its bundle does not hash to what {parent.path} holds"
        raise LedgerError(msg)
