"""Check a ledger from its files alone, as an outsider would: whole, what is new, or a part."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from residency.ledger import disk
from residency.ledger.consistency import grown_from
from residency.ledger.errors import FormatError, LedgerError
from residency.ledger.history import History
from residency.ledger.leaves import TransferLeaf, parse_leaf
from residency.ledger.note import Checkpoint, Verifier, encode_base64, open_checkpoint
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.proof import make_proof
from residency.ledger.reader import TILES, MissingTileError, Reader, open_head
from residency.ledger.tiles import (
    ENTRIES,
    TILE_WIDTH,
    Tile,
    level_tiles,
    level_width,
    levels,
    parse_path,
    partial_tile,
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
        start: The first leaf that was looked at; 0 unless only what is new was asked for.
        absent: Leaves from *start* on whose entries are not here: their hashes were checked,
            what they say was not. 0 unless a part was asked for.
        unlinked: Outcomes whose transfer is among those.

    """

    origin: str | None
    size: int
    root: str | None
    problems: tuple[str, ...]
    start: int = 0
    absent: int = 0
    unlinked: int = 0

    @property
    def verified(self) -> bool:
        """Return whether nothing is wrong."""
        return not self.problems


def verify(
    folder: Path,
    vkey: str | None,
    progress: Progress | None = None,
    *,
    since: bytes | None = None,
    is_part: bool = False,
) -> Report:
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
        since: A checkpoint file that somebody kept: the ledger must have grown from it, and
            only what is new is looked at. Not seen: a transfer or outcome that repeats one
            from before it, and company (`sent_with`) that was announced before it.
        is_part: Entries may be missing, as in an export of a time span. All hashes are still
            needed; what the missing entries say is not checked, and is counted.

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
    root = encode_base64(head.root)
    check = _Check(reader, head, log, is_part, History(is_whole=since is None and not is_part))
    if since is not None:
        try:
            check.grown(open_checkpoint(since, log))
        except LedgerError as exc:
            return Report(head.origin, head.size, root, (f"kept checkpoint: {exc}",))
    check.tree(progress or _silent)
    check.strangers()
    problems = tuple(check.problems)
    return Report(head.origin, head.size, root, problems, check.start, check.absent, check.unlinked)


def _silent(done: int, total: int) -> None:
    del done, total


@dataclass(slots=True)
class _Check:
    """A verification under way."""

    reader: Reader
    head: Checkpoint
    log: Verifier
    is_part: bool
    history: History
    problems: list[str] = field(default_factory=list)
    absent: int = 0
    unlinked: int = 0
    _frontier: Frontier = field(default_factory=Frontier)
    start: int = 0

    def grown(self, old: Checkpoint) -> None:
        """Start at *old* instead of at the first leaf.

        Raises:
            LedgerError: The ledger did not grow from it.

        """
        self._frontier = grown_from(self.reader, old, self.head)
        self.start = old.size

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
            self._found(f"{tile.path} is not what {Tile(tile.level, tile.n, width).path} began as")

    def _bundle(self, tile: Tile) -> list[bytes]:
        """Return the leaf hashes of one level-0 tile, its bundle and leaves checked.

        The tile's own hashes count for the tree above, so that an altered entry is one
        problem and not a chain of them.
        """
        stored, first = self._hashes(tile), tile.n * TILE_WIDTH
        try:
            entries = self.reader.bundle(Tile(ENTRIES, tile.n, tile.width))
        except LedgerError as exc:
            if self.is_part and isinstance(exc, MissingTileError):
                self.absent += tile.n * TILE_WIDTH + tile.width - max(self.start, first)
            else:
                self._found(f"leaves {self._span(tile)}: {exc}")
            return stored or []
        hashes = [leaf_hash(entry) for entry in entries]
        for index, (entry, ours) in enumerate(zip(entries, hashes, strict=True), first):
            if stored is not None and stored[index - first] != ours:
                self._found(f"leaf {index}: the entry does not hash to what {tile.path} holds")
            for problem in self._leaf(index, entry) if index >= self.start else ():
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
        if isinstance(leaf, OutcomeLeaf) and leaf.transfer is not None and leaf.transfer < index:
            self._link(leaf, leaf.transfer)
        yield from self.history.check(index, leaf)

    def _link(self, leaf: OutcomeLeaf, at: int) -> None:
        """Show the history the transfer of an outcome, if the walk has not come by it."""
        if self.history.knows_transfer(leaf.record) or (at >= self.start and not self.is_part):
            return
        try:
            (entry,) = self.reader.entries(at, at + 1, self.head.size)
            if at < self.start:  # nobody has compared it with the tree
                make_proof(self.reader, self.log, at)
            named = parse_leaf(entry)
        except LedgerError as exc:
            if self.is_part and isinstance(exc, MissingTileError):
                self.unlinked += 1
                self.history.assume(leaf.record, at)
            else:
                self._found(f"leaf {at}: {exc}")
            return
        if isinstance(named, TransferLeaf) and named.record == leaf.record:
            self.history.assume(leaf.record, at)

    def _span(self, tile: Tile) -> str:
        first = tile.n * TILE_WIDTH
        return f"{first} to {first + tile.width - 1}"

    def _found(self, problem: str) -> None:
        """Remember a problem; past the limit, only that there are more."""
        if len(self.problems) < MAX_PROBLEMS - 1:
            self.problems.append(problem)
        elif len(self.problems) < MAX_PROBLEMS:
            self.problems.append("more problems follow; mend these first")
