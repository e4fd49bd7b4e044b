"""Check a whole ledger from its files alone, as an outsider would."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from residency.ledger import disk
from residency.ledger.errors import FormatError, LedgerError
from residency.ledger.history import History
from residency.ledger.leaves import parse_leaf
from residency.ledger.note import Checkpoint, Verifier, encode_base64
from residency.ledger.reader import TILES, Reader, open_head
from residency.ledger.tiles import (
    ENTRIES,
    TILE_WIDTH,
    Tile,
    level_tiles,
    level_width,
    levels,
    parse_path,
    split_hashes,
)
from residency.ledger.tree import Frontier, leaf_hash

MAX_PROBLEMS = 100  # a lost folder would fill the screen
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found.

    Attributes:
        origin: The log's name; None if its checkpoint cannot be trusted.
        size: Its size, 0 without a checkpoint.
        root: Its root, base64 as in the checkpoint; None without one.
        problems: What is wrong, in the order of the leaves; at most 100.

    """

    origin: str | None
    size: int
    root: str | None
    problems: tuple[str, ...]

    @property
    def verified(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.problems


def verify(folder: Path, vkey: str | None, progress: Progress | None = None) -> Report:
    """Return what is wrong with the ledger in *folder*, if anything.

    Checks the checkpoint's signature; every entry against its hash, every tile of every level
    and the root; every leaf's form; that each record has at most one transfer and one outcome,
    which follows the transfer that it names or, if the gate refused the record, has none; and
    that no file pretends to be part of the ledger.

    Args:
        folder: The ledger; may be live, or a copy.
        vkey: The log's key, from a trusted place; None takes the one in *folder*, which
            proves only that the folder agrees with itself.
        progress: Called with (leaves done, leaves in all) per 256 leaves.

    Raises:
        SetupError: There is no ledger in *folder*.

    """
    reader = Reader(folder)
    reader.require()
    try:
        log = reader.verifier() if vkey is None else Verifier.parse(vkey.removesuffix("\n"))
        head = open_head(reader, log)
    except LedgerError as exc:
        return Report(None, 0, None, (f"checkpoint: {exc}",))
    check = _Check(reader, head)
    check.tree(progress or _silent)
    check.strangers()
    return Report(head.origin, head.size, encode_base64(head.root), tuple(check.problems))


def _silent(done: int, total: int) -> None:
    del done, total


@dataclass(slots=True)
class _Check:
    """A verification under way."""

    reader: Reader
    head: Checkpoint
    problems: list[str] = field(default_factory=list)
    _history: History = field(default_factory=History)

    def tree(self, progress: Progress) -> None:
        """Walk the leaves once, and rebuild every level above them."""
        size = self.head.size
        frontier = Frontier()
        above: list[list[bytes]] = [[] for _ in levels(size)]
        for tile in level_tiles(0, size):
            hashes = self._bundle(tile)
            frontier, gained = frontier.extend(hashes)
            for level in range(1, len(gained)):
                above[level] += gained[level]
                if len(above[level]) == TILE_WIDTH:
                    n = level_width(level, frontier.size) // TILE_WIDTH - 1
                    self._compare(Tile(level, n), above[level])
                    above[level] = []
            progress(tile.n * TILE_WIDTH + tile.width, size)
        for level, rest in enumerate(above):
            if rest:
                n = level_width(level, size) // TILE_WIDTH
                self._compare(Tile(level, n, len(rest)), rest)
        if frontier.root() != self.head.root:
            self._found(f"the tree of size {size} has not the root that the checkpoint signs")

    def strangers(self) -> None:
        """Look for files that are no part of the tree, and old partials that differ from it."""
        for path in disk.files_below(self.reader.folder / TILES):
            try:
                tile = parse_path(f"{TILES}/{path}")
            except FormatError as exc:
                self._found(str(exc))
                continue
            wide = level_width(tile.level, self.head.size) - tile.n * TILE_WIDTH
            if tile.width < min(wide, TILE_WIDTH):
                self._old_partial(tile, min(wide, TILE_WIDTH))

    def _old_partial(self, tile: Tile, width: int) -> None:
        """Compare a partial tile of an earlier checkpoint with the wider one."""
        try:
            old = self.reader.tile(tile)
            wide = self.reader.tile(Tile(tile.level, tile.n, width))
        except LedgerError:
            return  # removed by the writer since, or reported already
        if not wide.startswith(old):
            self._found(f"{tile.path} is not what {Tile(tile.level, tile.n, width).path} began as")

    def _bundle(self, tile: Tile) -> list[bytes]:
        """Return the leaf hashes of one level-0 tile, its bundle and leaves checked.

        The tile's own hashes count for the tree above, so that an altered entry is one
        problem and not a chain of them.
        """
        stored = self._hashes(tile)
        try:
            entries = self.reader.bundle(Tile(ENTRIES, tile.n, tile.width))
        except LedgerError as exc:
            self._found(f"leaves {self._span(tile)}: {exc}")
            return stored or []
        hashes = [leaf_hash(entry) for entry in entries]
        first = tile.n * TILE_WIDTH
        for index, (entry, ours) in enumerate(zip(entries, hashes, strict=True), first):
            if stored is not None and stored[index - first] != ours:
                self._found(f"leaf {index}: the entry does not hash to what {tile.path} holds")
            for problem in self._leaf(index, entry):
                self._found(f"leaf {index}: {problem}")
        return hashes if stored is None else stored

    def _hashes(self, tile: Tile) -> list[bytes] | None:
        """Return a tile's hashes, or None if it has no such content."""
        try:
            return split_hashes(self.reader.tile(tile), tile.width)
        except LedgerError as exc:
            self._found(f"{tile.path}: {exc}")
            return None

    def _compare(self, tile: Tile, ours: list[bytes]) -> None:
        """Compare a tile above level 0 with what the level below makes it."""
        stored = self._hashes(tile)
        if stored is None or stored == ours:
            return
        bad = next(i for i in range(tile.width) if stored[i] != ours[i])
        span = TILE_WIDTH**tile.level
        first = (tile.n * TILE_WIDTH + bad) * span
        self._found(f"leaves {first} to {first + span - 1}: they do not hash to {tile.path}")

    def _leaf(self, index: int, entry: bytes) -> Iterator[str]:
        """Yield what is wrong with one leaf, alone or after those before it."""
        try:
            leaf = parse_leaf(entry)
        except FormatError as exc:
            yield str(exc)
            return
        yield from self._history.check(index, leaf)

    def _span(self, tile: Tile) -> str:
        first = tile.n * TILE_WIDTH
        return f"{first} to {first + tile.width - 1}"

    def _found(self, problem: str) -> None:
        """Remember a problem; past the limit, only that there are more."""
        if len(self.problems) < MAX_PROBLEMS - 1:
            self.problems.append(problem)
        elif len(self.problems) < MAX_PROBLEMS:
            self.problems.append("more problems follow; mend these first")
