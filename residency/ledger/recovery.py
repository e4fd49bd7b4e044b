"""What opening a ledger makes of its folder: what is refused, and what a crash left and goes."""

from pathlib import Path

from residency.ledger import disk
from residency.ledger.disk import FileOps
from residency.ledger.errors import LedgerError
from residency.ledger.note import Verifier, open_checkpoint
from residency.ledger.reader import CHECKPOINT, VKEY
from residency.ledger.tiles import ENTRIES, MAX_LEVEL, TILE_WIDTH, Tile, level_width

MAX_BATCH = 65_536  # entries in one append; bounds what a crash can leave behind


def check_size(folder: Path, log: Verifier, at_least: int) -> None:
    """Make sure that the ledger is not shorter than its caller knows it to be.

    Needs no lock: checkpoints grow, and the caller's knowledge is older than this look.

    Args:
        folder: The ledger's; need not exist.
        log: Its key.
        at_least: Leaves that are known to be durable under a checkpoint; 0 if none are.

    Raises:
        LedgerError: It is shorter, or *log* did not sign its checkpoint; nothing changed.
        OSError: The disk fails.

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


def remove_drafts(ops: FileOps, folder: Path) -> None:
    """Remove what was not yet renamed to its place."""
    for name in (CHECKPOINT, VKEY):
        draft = disk.draft_of(folder / name)
        if draft.exists():
            ops.remove(draft)


def remove_leftovers(ops: FileOps, folder: Path, size: int) -> None:
    """Remove all files beyond *size*, and partials that no longer count."""
    for level in (ENTRIES, *range(MAX_LEVEL + 1)):
        if (folder / Tile(level, 0).path).parent.exists():
            _remove_level(ops, folder, level, size)


def _remove_level(ops: FileOps, folder: Path, level: int, size: int) -> None:
    last, width = divmod(level_width(level, size), TILE_WIDTH)
    beyond: list[Path] = []
    n = last
    while n == last or any(path.exists() for path in _places(folder, level, n)):
        beyond += _places(folder, level, n)
        n += 1
    crashed = range(max(0, last - MAX_BATCH // TILE_WIDTH), last)
    for path in [*(_places(folder, level, n)[1] for n in crashed), *reversed(beyond)]:
        keep = str(width) if path == _places(folder, level, last)[1] and width else None
        remove_all(ops, path, keep)


def _places(folder: Path, level: int, n: int) -> tuple[Path, Path]:
    """Return where the full tile and where the partial ones of a place lie."""
    return folder / Tile(level, n).path, (folder / Tile(level, n, 1).path).parent


def remove_all(ops: FileOps, path: Path, keep: str | None) -> None:
    """Remove a file, or a folder and its files but *keep*, if it is there."""
    if not path.exists():
        return
    if path.is_dir():
        for name in disk.names(path):
            if name != keep:
                ops.remove(path / name)
    if keep is None:
        ops.remove(path)
