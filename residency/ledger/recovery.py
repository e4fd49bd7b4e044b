"""What opening a ledger makes of its folder: what is refused, and what a crash left and goes.

Nothing here changes a file but `remove_all`: `look` says what has to be done, the writer does it
and `fsck` tells it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from residency.ledger import disk
from residency.ledger.disk import FileOps
from residency.ledger.errors import LedgerError
from residency.ledger.growth import EMPTY, Edge, load_edge
from residency.ledger.note import Verifier, open_checkpoint
from residency.ledger.reader import CHECKPOINT, TILES, VKEY
from residency.ledger.tiles import ENTRIES, MAX_LEVEL, TILE_WIDTH, Tile, level_width

MAX_BATCH = 65_536  # entries in one append; bounds what a crash can leave behind


@dataclass(frozen=True, slots=True)
class Start:
    """How a writer starts on a folder.

    Attributes:
        checkpoint: The signed checkpoint there; None if the ledger is to be made.
        edge: The tree that it signs, right edge checked against it.
        garbage: What a crash left and has to go, files before the folders that hold them.
        lacks_vkey: Whether the ``vkey`` file is to be written.

    """

    checkpoint: bytes | None
    edge: Edge
    garbage: tuple[Path, ...]
    lacks_vkey: bool


def look(folder: Path, log: Verifier) -> Start:
    """Return how a writer with the key of *log* starts on *folder*; changes nothing.

    Raises:
        LedgerError: It refuses to: the folder is of another log or key, the checkpoint or the
            tiles at the right edge do not hold, or an older checkpoint was put back.
        OSError: The disk fails.

    """
    found = disk.read_file(folder / VKEY)
    if found is not None and found != f"{log}\n".encode():
        msg = f"{folder / VKEY} is of another key or log than {log}; nothing changed"
        raise LedgerError(msg)
    data = disk.read_file(folder / CHECKPOINT)
    drafts = [disk.draft_of(folder / name) for name in (CHECKPOINT, VKEY)]
    garbage = [path for path in drafts if path.exists()]
    if data is None:
        if disk.names(folder / TILES):
            msg = (
                f"{folder} has tiles but no checkpoint: signing an empty one would fork the "
                "log; restore the checkpoint from a backup, mirror or witness"
            )
            raise LedgerError(msg)
        return Start(None, EMPTY, tuple(garbage), found is None)
    head = open_checkpoint(data, log)
    edge = load_edge(head.size, head.root, lambda tile: _read(folder, tile)) if head.size else EMPTY
    if edge.frontier.root() != head.root:
        msg = f"{folder}: the checkpoint of size 0 has not the empty root"
        raise LedgerError(msg)
    check_one_append(folder, head.size)
    garbage += leftovers(folder, head.size)
    return Start(data, edge, tuple(garbage), found is None)


def _read(folder: Path, tile: Tile) -> bytes:
    """Return a tile that the checkpoint needs, under its very name."""
    data = disk.read_file(folder / tile.path)
    if data is None:
        msg = (
            f"{folder}: the checkpoint needs {tile.path}, which is not there: an older "
            "checkpoint was put back, or tiles were lost; restore the whole folder"
        )
        raise LedgerError(msg)
    return data


def check_size(folder: Path, log: Verifier, at_least: int) -> None:
    """Make sure that the ledger is not shorter than its caller knows it to be.

    Needs no lock: checkpoints grow, and the caller's knowledge is older than this look.

    Args:
        folder: The ledger's; need not exist.
        log: Its key.
        at_least: Leaves that are known to be durable under a checkpoint; 0 if none are.

    Raises:
        LedgerError: It is shorter, or *log* did not sign its checkpoint; nothing changed.

    """
    if at_least <= 0:
        return
    data = disk.read_file(folder / CHECKPOINT)
    size = 0 if data is None else open_checkpoint(data, log).size
    if size < at_least:
        found = "there is no checkpoint, so 0" if data is None else f"the checkpoint has {size}"
        msg = (
            f"{folder}: {found} leaves, but {at_least} are known to be durable: an older copy of "
            "the ledger was put back; nothing was removed; restore the newer files, or start a "
            "new ledger under another key"
        )
        raise LedgerError(msg)


def check_one_append(folder: Path, size: int) -> None:
    """Make sure that what lies beyond the checkpoint can be one torn append.

    Looks for the first bundle that no append to *size* writes.

    Raises:
        LedgerError: There is more, so the checkpoint is an older one; nothing is removed.

    """
    beyond = -(-(size + MAX_BATCH) // TILE_WIDTH)
    if any(path.exists() for path in _places(folder, ENTRIES, beyond)):
        msg = (
            f"{folder}: beyond the checkpoint's {size} leaves lies more than one append can leave "
            f"({MAX_BATCH}): an older checkpoint was put back; nothing was removed; restore the "
            "newer checkpoint from a backup, mirror or witness"
        )
        raise LedgerError(msg)


def leftovers(folder: Path, size: int) -> Iterator[Path]:
    """Yield what lies beyond *size*, and partials that no longer count, in order of removal."""
    for level in (ENTRIES, *range(MAX_LEVEL + 1)):
        if (folder / Tile(level, 0).path).parent.exists():
            yield from _level_leftovers(folder, level, size)


def _level_leftovers(folder: Path, level: int, size: int) -> Iterator[Path]:
    last, width = divmod(level_width(level, size), TILE_WIDTH)
    beyond: list[Path] = []
    n = last
    while n == last or any(path.exists() for path in _places(folder, level, n)):
        beyond += _places(folder, level, n)
        n += 1
    crashed = range(max(0, last - MAX_BATCH // TILE_WIDTH), last)
    for path in [*(_places(folder, level, n)[1] for n in crashed), *reversed(beyond)]:
        keep = str(width) if path == _places(folder, level, last)[1] and width else None
        yield from _all_of(path, keep)


def _places(folder: Path, level: int, n: int) -> tuple[Path, Path]:
    """Return where the full tile and where the partial ones of a place lie."""
    return folder / Tile(level, n).path, (folder / Tile(level, n, 1).path).parent


def _all_of(path: Path, keep: str | None = None) -> Iterator[Path]:
    """Yield a file, or the files of a folder but *keep* and then the folder, if it is there."""
    if not path.exists():
        return
    if path.is_dir():
        yield from (path / name for name in disk.names(path) if name != keep)
    if keep is None:
        yield path


def remove_all(ops: FileOps, path: Path) -> None:
    """Remove a file, or a folder and its files, if it is there."""
    for found in _all_of(path):
        ops.remove(found)
