"""The ledger on disk: one writer, appends that are durable under a signed checkpoint.

Order of an append: bundles and tiles, new partials beside the old ones, each synced; the
folders that name them, synced; then the checkpoint (write, sync, rename, sync the folder);
then the old partials go. So whatever a crash leaves, the checkpoint's tiles are there, and
what lies beyond the checkpoint is a torn append that nobody was told of: opening removes it.

An older checkpoint that somebody put back would fork the tree and cost the newer leaves. What
the caller remembers of the ledger's size (`at_least`) tells it, and an older copy of the whole
folder, from a torn append. The files alone tell an older checkpoint only where

* a partial tile that it needs is gone: a later append removed it as its last step, after its
  own checkpoint. A size that is no multiple of 256 shows after any append; a multiple of 256,
  only once 256 leaves were added; of 65,536, only once 65,536 were, and so on; 0 never;
* or more lies beyond it than one append can leave;
* or there are tiles and no checkpoint.

They never tell an older copy of the whole folder, nor a folder that was emptied.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from residency.ledger import disk, recovery
from residency.ledger.disk import POSIX, FileOps
from residency.ledger.errors import FormatError, LedgerError
from residency.ledger.growth import EMPTY, Edge, Growth, append
from residency.ledger.note import Checkpoint, Signer
from residency.ledger.reader import CHECKPOINT, VKEY, Reader
from residency.ledger.recovery import MAX_BATCH
from residency.ledger.tiles import Tile

LOCK = ".lock"


class Ledger:
    """A region's ledger, open for appending. Make one with `open`; close it after use.

    After an error in `append` the object is of no further use: close it, mend the cause and
    open the folder again, which recovers to the last checkpoint.
    """

    __slots__ = ("_checkpoint", "_edge", "_folders", "_lock", "_ops", "_signer", "folder")

    def __init__(self, folder: Path, signer: Signer, ops: FileOps, lock: int) -> None:
        """Use `open`."""
        self.folder = folder
        self._signer = signer
        self._ops = ops
        self._lock: int | None = lock
        self._edge: Edge | None = None
        self._checkpoint = b""
        self._folders: set[Path] = {folder}  # known to exist and to be durable

    @classmethod
    def open(
        cls, folder: Path, origin: str, seed: bytes, ops: FileOps = POSIX, *, at_least: int = 0
    ) -> Self:
        """Return the ledger in *folder*; made empty, signed and durable on first use.

        Args:
            folder: The ledger's own folder.
            origin: The log's name, such as ``ledger.eu.example/transfers``.
            seed: The log's Ed25519 private key, 32 bytes.
            ops: How to reach the disk.
            at_least: How many leaves the caller knows to be durable, from its own index.

        Raises:
            LockedError: Another process writes this ledger.
            LedgerError: The ledger is shorter than *at_least* (nothing changed), the folder is
                of another log or key, the checkpoint's signature or tiles do not hold, or the
                disk fails.

        """
        signer = Signer(origin, seed)
        try:
            recovery.check_size(folder, signer.verifier, at_least)
            disk.make_durably(ops, folder)
            ledger = cls(folder, signer, ops, disk.lock(folder / LOCK))
        except OSError as exc:
            raise _disk_error(folder, "open", exc) from exc
        try:
            ledger._recover()
        except BaseException as exc:
            ledger.close()
            if isinstance(exc, OSError):
                raise _disk_error(folder, "open", exc) from exc
            raise
        return ledger

    @property
    def size(self) -> int:
        """Return the number of leaves under the signed checkpoint."""
        return self._live().frontier.size

    @property
    def checkpoint(self) -> bytes:
        """Return the signed checkpoint, as it is on disk."""
        self._live()
        return self._checkpoint

    def append(self, entries: Sequence[bytes]) -> range:
        """Return the leaf indexes of *entries*, now durable under a signed checkpoint.

        How many fsyncs is fixed by where the batch begins and ends: one for each bundle and
        tile that it starts or widens (two per 256 entries, one more per level above that gains
        a hash), one for each folder that gains a name, two for the checkpoint. That is 6 within
        a tile, up to 18 for 1,000 entries and 50 for 5,000; a few more where a level of tiles or
        a folder of 1,000 begins, and in the first batch after `open`, which cannot know that the
        folders above are durable. Always in three groups, one after another, each of which syncs
        at the same time. No entries: no I/O.

        Args:
            entries: Up to 65,536 of at most 65,535 bytes each.

        Raises:
            FormatError: Too many entries, or one is too long; the ledger is unharmed.
            LedgerError: The disk failed; the ledger must be opened again. The entries may
                or may not be in it then.

        """
        edge = self._live()
        if len(entries) > MAX_BATCH:
            msg = f"{len(entries)} entries in one append, at most {MAX_BATCH}"
            raise FormatError(msg)
        if not entries:
            return range(edge.frontier.size, edge.frontier.size)
        growth = append(edge, entries)
        self._edge = None  # until all is done: whatever goes wrong, this object is finished
        try:
            self._write(growth)
            self._commit(growth.edge)
            self._remove_stale(growth)
        except OSError as exc:
            raise _disk_error(self.folder, "append", exc) from exc
        self._edge = growth.edge
        return range(edge.frontier.size, growth.edge.frontier.size)

    def read(self, start: int, stop: int | None = None) -> Iterator[bytes]:
        """Return the entries from *start* up to *stop*, by default the end.

        Raises:
            ValueError: There are no such entries.
            LedgerError: A bundle is missing or malformed.

        """
        size = self.size
        stop = size if stop is None else stop
        if not 0 <= start <= stop <= size:
            msg = f"no entries {start} to {stop} in a ledger of size {size}"
            raise ValueError(msg)
        return Reader(self.folder).entries(start, stop, size)

    def close(self) -> None:
        """Give the lock back. Safe to call twice."""
        self._edge = None
        if self._lock is not None:
            disk.unlock(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        """Return the ledger itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _live(self) -> Edge:
        """Return the edge of a ledger that may still be used."""
        if self._edge is None:
            msg = f"{self.folder}: closed, or an append failed; open the ledger again"
            raise LedgerError(msg)
        return self._edge

    # -- append, step by step

    def _write(self, growth: Growth) -> None:
        """Make the new bundles and tiles durable, names included."""
        files = [(self.folder / tile.path, data) for tile, data in growth.files]
        folders = dict.fromkeys(path.parent for path, _ in files)
        made = [parent for folder in folders for parent in self._make(folder)]
        disk.write_durably(self._ops, files, dict.fromkeys([*folders, *made]))
        self._folders.update(folders, made)

    def _make(self, folder: Path) -> Iterator[Path]:
        """Create *folder* and the parents it lacks; yield each whose names changed."""
        if folder not in self._folders:
            yield from self._make(folder.parent)
            self._ops.make_folder(folder)
            yield folder.parent

    def _commit(self, edge: Edge) -> None:
        """Sign the tree at *edge* and put the checkpoint in place."""
        root = Checkpoint(self._signer.verifier.name, edge.frontier.size, edge.frontier.root())
        self._checkpoint = bytes(self._signer.sign(str(root)))
        disk.replace_durably(self._ops, self.folder / CHECKPOINT, self._checkpoint)

    def _remove_stale(self, growth: Growth) -> None:
        """Remove the partial tiles that wider ones replace."""
        written = {tile for tile, _ in growth.files}
        for tile in growth.stale:
            path = self.folder / tile.path
            if Tile(tile.level, tile.n) in written:
                recovery.remove_all(self._ops, path.parent)
                self._folders.discard(path.parent)
            else:
                self._ops.remove(path)

    # -- open, step by step

    def _recover(self) -> None:
        """Bring the folder back to its checkpoint; make the ledger if there is none."""
        start = recovery.look(self.folder, self._signer.verifier)
        for path in start.garbage:
            self._ops.remove(path)
        if start.lacks_vkey:
            line = f"{self._signer.verifier}\n".encode()
            disk.replace_durably(self._ops, self.folder / VKEY, line)
        if start.checkpoint is None:
            # A crash may have come between the folder's creation and its parent's sync.
            disk.write_durably(self._ops, [], [self.folder.parent])
            self._commit(EMPTY)
        else:
            # Put in place anew: a crash may have come before its folder was synced, and where
            # that sync failed, a second one may report success without having written anything.
            disk.replace_durably(self._ops, self.folder / CHECKPOINT, start.checkpoint)
            self._checkpoint = start.checkpoint
        self._edge = start.edge


def _disk_error(folder: Path, doing: str, exc: OSError) -> LedgerError:
    """Return the error for a disk that does not do what it must."""
    return LedgerError(
        f"{folder}: {doing} failed: {exc.strerror or 'I/O error'}; nothing new may be sent until "
        "the disk is mended and the ledger opened again"
    )
