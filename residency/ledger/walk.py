"""The walk over a ledger's leaves and tiles that finds what does not hold; `verify` starts it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice

from residency.ledger import disk
from residency.ledger.consistency import check_entry, grown_from
from residency.ledger.errors import FormatError, LedgerError
from residency.ledger.history import History
from residency.ledger.leaves import TransferLeaf, parse_leaf
from residency.ledger.note import Checkpoint
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.reader import CHECKPOINT, TILES, MissingTileError, Reader
from residency.ledger.tiles import (
    ENTRIES,
    TILE_WIDTH,
    Tile,
    leading_entries,
    level_tiles,
    level_width,
    levels,
    parse_path,
    partial_tile,
    split_hashes,
    tile_at,
)
from residency.ledger.tree import Frontier, leaf_hash, subtree_root

MAX_PROBLEMS = 100  # a lost folder would fill the screen
Progress = Callable[[int, int], None]


class Fault(StrEnum):
    """What is wrong with a file."""

    ALTERED = "altered"  # its content is not what the checkpoint signs
    MISSING = "missing"  # the checkpoint needs it
    STRANGER = "stranger"  # it stands among the tiles and is none


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not hold.

    Attributes:
        text: It in words, with the leaf or the file.
        path: The file, relative to the ledger's folder; the first one where there are more.
        leaf: Index of the first leaf that it concerns; None if that cannot be told.
        fault: What is wrong with the file.

    """

    text: str
    path: str
    leaf: int | None = None
    fault: Fault = Fault.ALTERED


def _silent(done: int, total: int) -> None:
    del done, total


@dataclass(slots=True)
class Walk:
    """A verification under way."""

    reader: Reader
    head: Checkpoint
    is_part: bool = False
    history: History = field(default_factory=History)
    start: int = 0
    absent: int = 0
    unlinked: int = 0
    _problems: list[Problem] = field(default_factory=list)
    _frontier: Frontier = field(default_factory=Frontier)

    def grown(self, old: Checkpoint) -> None:
        """Start at *old* instead of at the first leaf.

        Raises:
            LedgerError: The ledger did not grow from it.

        """
        self._frontier = grown_from(self.reader, old, self.head)
        self.start = old.size

    def all(self, progress: Progress | None) -> list[Problem]:
        """Return every problem, at most `MAX_PROBLEMS`."""
        self.tree(progress or _silent)
        self.strangers()
        return self._problems

    def tree(self, progress: Progress) -> None:
        """Walk the leaves from the start, once, and rebuild every level above them."""
        size, start, frontier = self.head.size, self.start, self._frontier
        above = [self._old_hashes(level) for level in levels(size)]
        walk = level_tiles(0, size) if start < size else iter(())
        for tile in islice(walk, start // TILE_WIDTH, None):
            hashes = self._bundle(tile)[max(start - tile.n * TILE_WIDTH, 0) :]
            frontier, gained = frontier.extend(hashes)
            for level in range(1, len(gained)):
                above[level] += gained[level]
                if len(above[level]) == TILE_WIDTH:
                    n = level_width(level, frontier.size) // TILE_WIDTH - 1
                    self._compare(Tile(level, n), above[level])
                    above[level] = []
            progress(tile.n * TILE_WIDTH + tile.width - start, size - start)
        for level, rest in enumerate(above):
            if rest:
                n = level_width(level, size) // TILE_WIDTH
                self._compare(Tile(level, n, len(rest)), rest)
        if frontier.root() != self.head.root:
            text = f"the tree of size {size} has not the root that the checkpoint signs"
            self._found(Problem(text, CHECKPOINT))

    def strangers(self) -> None:
        """Look for files that are no part of the tree, and old partials that differ from it."""
        for path in disk.files_below(self.reader.folder / TILES):
            try:
                tile = parse_path(f"{TILES}/{path}")
            except FormatError as exc:
                self._found(Problem(str(exc), f"{TILES}/{disk.shown(path)}", fault=Fault.STRANGER))
                continue
            wide = level_width(tile.level, self.head.size) - tile.n * TILE_WIDTH
            if tile.width < min(wide, TILE_WIDTH):
                self._old_partial(tile, min(wide, TILE_WIDTH))

    def _old_hashes(self, level: int) -> list[bytes]:
        """Return what the partial tile of a level above the leaves held at the start."""
        tile = partial_tile(level, self.start)
        if level == 0 or tile is None:
            return []
        return split_hashes(self.reader.tile(tile), tile.width)

    def _old_partial(self, tile: Tile, width: int) -> None:
        """Compare a partial tile of an earlier checkpoint with the wider one."""
        try:
            old = self.reader.tile(tile)
            wide = self.reader.tile(Tile(tile.level, tile.n, width))
        except LedgerError:
            return  # removed by the writer since, or reported already
        if not wide.startswith(old):
            wider = Tile(tile.level, tile.n, width).path
            first = tile.n * TILE_WIDTH ** (max(tile.level, 0) + 1)
            self._found(Problem(f"{tile.path} is not what {wider} began as", tile.path, first))

    def _bundle(self, tile: Tile) -> list[bytes]:
        """Return the leaf hashes of one level-0 tile, its bundle and leaves checked.

        The tile's own hashes count for the tree above, so that an altered entry is one
        problem and not a chain of them.
        """
        stored = self._hashes(tile)
        first = tile.n * TILE_WIDTH
        bundle = Tile(ENTRIES, tile.n, tile.width)
        try:
            entries = self.reader.bundle(bundle)
        except LedgerError as exc:
            if self.is_part and isinstance(exc, MissingTileError):
                self.absent += first + tile.width - max(self.start, first)
                return stored or []
            bad = first if stored is None else first + self._fine_before(bundle, stored)
            text = f"leaves {bad} to {first + tile.width - 1}: {exc}"
            self._found(Problem(text, bundle.path, bad, _fault(exc)))
            return stored or []
        hashes = list(map(leaf_hash, entries))
        for index, (entry, ours) in enumerate(zip(entries, hashes, strict=True), first):
            if stored is not None and stored[index - first] != ours:
                text = f"leaf {index}: the entry does not hash to what {tile.path} holds"
                self._found(Problem(text, bundle.path, index))
            for problem in self._leaf(index, entry) if index >= self.start else ():
                self._found(Problem(f"leaf {index}: {problem}", bundle.path, index))
        return hashes if stored is None else stored

    def _fine_before(self, bundle: Tile, stored: Sequence[bytes]) -> int:
        """Return how many entries of a malformed bundle are there and hash to *stored*."""
        try:
            entries = leading_entries(self.reader.tile(bundle), bundle.width)
        except LedgerError:
            return 0
        pairs = enumerate(zip(map(leaf_hash, entries), stored, strict=False))
        found = next((i for i, (ours, theirs) in pairs if ours != theirs), len(entries))
        return min(found, bundle.width - 1)

    def _hashes(self, tile: Tile) -> list[bytes] | None:
        """Return a tile's hashes, or None if it has no such content."""
        try:
            return split_hashes(self.reader.tile(tile), tile.width)
        except LedgerError as exc:
            first = tile.n * TILE_WIDTH ** (tile.level + 1)
            self._found(Problem(f"{tile.path}: {exc}", tile.path, first, _fault(exc)))
            return None

    def _compare(self, tile: Tile, ours: list[bytes]) -> None:
        """Compare a tile above level 0 with what the level below makes it."""
        stored = self._hashes(tile)
        if stored is None or stored == ours:
            return
        differ = (i for i in range(tile.width) if stored[i] != ours[i])
        bad = next((i for i in differ if not self._stands_on(tile, i, stored[i])), None)
        if bad is None:
            return
        span = TILE_WIDTH**tile.level
        first = (tile.n * TILE_WIDTH + bad) * span
        text = f"leaves {first} to {first + span - 1}: they do not hash to {tile.path}"
        self._found(Problem(text, tile.path, first))

    def _stands_on(self, tile: Tile, at: int, node: bytes) -> bool:
        """Return whether the tile below makes hash *at* of *tile*, as it is stored.

        Then what differs lies in that tile or under it, and is named there, more narrowly.
        """
        try:
            below = self.reader.tile(Tile(tile.level - 1, tile.n * TILE_WIDTH + at))
            return subtree_root(split_hashes(below, TILE_WIDTH)) == node
        except LedgerError:
            return False

    def _leaf(self, index: int, entry: bytes) -> Iterable[str]:
        """Return what is wrong with one leaf, alone or after those before it."""
        try:
            leaf = parse_leaf(entry)
        except FormatError as exc:
            return (str(exc),)
        if isinstance(leaf, OutcomeLeaf) and leaf.transfer is not None and leaf.transfer < index:
            self._link(leaf, leaf.transfer)
        return self.history.check(index, leaf)

    def _link(self, leaf: OutcomeLeaf, at: int) -> None:
        """Show the history the transfer of an outcome, if the walk has not come by it."""
        if self.history.knows_transfer(leaf.record) or (at >= self.start and not self.is_part):
            return
        try:
            (entry,) = self.reader.entries(at, at + 1, self.head.size)
            if at < self.start:  # nobody has compared it with the tree
                check_entry(self.reader, self.head, at, entry)
            named = parse_leaf(entry)
        except LedgerError as exc:
            if self.is_part and isinstance(exc, MissingTileError):
                self.unlinked += 1
                self.history.assume(leaf.record, at)
            else:
                bundle = tile_at(ENTRIES, at // TILE_WIDTH, self.head.size)
                self._found(Problem(f"leaf {at}: {exc}", bundle.path, at, _fault(exc)))
            return
        if isinstance(named, TransferLeaf) and named.record == leaf.record:
            self.history.assume(leaf.record, at)

    def _found(self, problem: Problem) -> None:
        """Remember a problem; past the limit, only that there are more."""
        if len(self._problems) < MAX_PROBLEMS - 1:
            self._problems.append(problem)
        elif len(self._problems) < MAX_PROBLEMS:
            more = "more problems follow; mend these first"
            self._problems.append(Problem(more, problem.path, problem.leaf, problem.fault))


def _fault(exc: LedgerError) -> Fault:
    """Return what is wrong with a file that could not be read as what it is."""
    return Fault.MISSING if isinstance(exc, MissingTileError) else Fault.ALTERED
