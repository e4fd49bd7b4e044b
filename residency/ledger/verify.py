"""Check a whole ledger from its files alone, as an outsider would."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from residency.ledger import disk
from residency.ledger.errors import FormatError, LedgerError
from residency.ledger.history import History
from residency.ledger.leaves import parse_leaf
from residency.ledger.note import Checkpoint, Verifier, encode_base64
from residency.ledger.reader import CHECKPOINT, TILES, MissingTileError, Reader, open_head
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


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification found.

    Attributes:
        origin: The log's name; None if its checkpoint cannot be trusted.
        size: Its size, 0 without a checkpoint.
        root: Its root, base64 as in the checkpoint; None without one.
        problems: What is wrong, in the order of the leaves; at most 100.
        first_bad_leaf: Index of the first leaf that a problem concerns; None if there is no
            problem, or none that points at a leaf.

    """

    origin: str | None
    size: int
    root: str | None
    problems: tuple[str, ...]
    first_bad_leaf: int | None = None

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
    problems = examine(reader, head, progress)
    texts = tuple(problem.text for problem in problems)
    return Report(head.origin, head.size, encode_base64(head.root), texts, first_leaf(problems))


def examine(reader: Reader, head: Checkpoint, progress: Progress | None = None) -> list[Problem]:
    """Return what does not hold under *head*, whose signature the caller has checked.

    At most 100 problems, in the order of the leaves.
    """
    check = _Check(reader, head)
    check.tree(progress or _silent)
    check.strangers()
    return check.problems


def first_leaf(problems: Iterable[Problem]) -> int | None:
    """Return the first leaf that any of *problems* concerns, if one does."""
    return min((p.leaf for p in problems if p.leaf is not None), default=None)


def _silent(done: int, total: int) -> None:
    del done, total


@dataclass(slots=True)
class _Check:
    """A verification under way."""

    reader: Reader
    head: Checkpoint
    problems: list[Problem] = field(default_factory=list)
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
            text = f"the tree of size {size} has not the root that the checkpoint signs"
            self._found(Problem(text, CHECKPOINT))

    def strangers(self) -> None:
        """Look for files that are no part of the tree, and old partials that differ from it."""
        for path in disk.files_below(self.reader.folder / TILES):
            try:
                tile = parse_path(f"{TILES}/{path}")
            except FormatError as exc:
                self._found(Problem(str(exc), f"{TILES}/{path}", fault=Fault.STRANGER))
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
            text = f"leaves {first} to {first + tile.width - 1}: {exc}"
            self._found(Problem(text, bundle.path, first, _fault(exc)))
            return stored or []
        hashes = list(map(leaf_hash, entries))
        for index, (entry, ours) in enumerate(zip(entries, hashes, strict=True), first):
            if stored is not None and stored[index - first] != ours:
                text = f"leaf {index}: the entry does not hash to what {tile.path} holds"
                self._found(Problem(text, bundle.path, index))
            for problem in self._leaf(index, entry):
                self._found(Problem(f"leaf {index}: {problem}", bundle.path, index))
        return hashes if stored is None else stored

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
        bad = next(i for i in range(tile.width) if stored[i] != ours[i])
        span = TILE_WIDTH**tile.level
        first = (tile.n * TILE_WIDTH + bad) * span
        text = f"leaves {first} to {first + span - 1}: they do not hash to {tile.path}"
        self._found(Problem(text, tile.path, first))

    def _leaf(self, index: int, entry: bytes) -> Iterable[str]:
        """Return what is wrong with one leaf, alone or after those before it."""
        try:
            leaf = parse_leaf(entry)
        except FormatError as exc:
            return (str(exc),)
        return self._history.check(index, leaf)

    def _found(self, problem: Problem) -> None:
        """Remember a problem; past the limit, only that there are more."""
        if len(self.problems) < MAX_PROBLEMS - 1:
            self.problems.append(problem)
        elif len(self.problems) < MAX_PROBLEMS:
            more = "more problems follow; mend these first"
            self.problems.append(Problem(more, problem.path, problem.leaf, problem.fault))


def _fault(exc: LedgerError) -> Fault:
    """Return what is wrong with a file that could not be read as what it is."""
    return Fault.MISSING if isinstance(exc, MissingTileError) else Fault.ALTERED
