"""The only place where the ledger meets the operating system.

`FileOps` is what an append asks of a disk, small enough to make every one of its calls fail
in a test. Files are made 0600 and folders 0700: a ledger is pseudonymous data.
"""

import fcntl
import os
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, Protocol

from residency.ledger.errors import LedgerError, LockedError

_FILE_MODE, _FOLDER_MODE = 0o600, 0o700
_LOCK_TEXT_BYTES = 64
_SYNC_THREADS = 8
MAX_FILE_BYTES: Final = 1 << 25  # 256 entries of 65,535 bytes are the longest, half of it
_MEND = "mend its permissions or the disk, or restore it from a backup or mirror"


class FileOps(Protocol):
    """The calls that change a ledger; every one may raise OSError, as the system's do."""

    def create(self, path: Path) -> int:  # pyright: ignore[reportReturnType] -- a Protocol
        """Open *path* for writing, empty, and return its descriptor."""

    def write(self, descriptor: int, data: bytes) -> None:
        """Write all of *data*."""

    def open_folder(self, path: Path) -> int:  # pyright: ignore[reportReturnType] -- a Protocol
        """Open folder *path* to sync the names in it, and return its descriptor."""

    def sync(self, descriptors: Sequence[int]) -> None:
        """Return once what was written to all of them would survive a power cut."""

    def close(self, descriptor: int) -> None:
        """Close the descriptor."""

    def make_folder(self, path: Path) -> None:
        """Create folder *path*; its parent exists. Fine if it exists."""

    def replace(self, source: Path, target: Path) -> None:
        """Rename *source* to *target* in one step."""

    def remove(self, path: Path) -> None:
        """Remove the file or the empty folder *path*."""


class Posix:
    """`FileOps` of the operating system."""

    __slots__ = ()

    def create(self, path: Path) -> int:
        """See `FileOps`."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, _FILE_MODE)

    def write(self, descriptor: int, data: bytes) -> None:
        """See `FileOps`."""
        while data:
            data = data[os.write(descriptor, data) :]

    def open_folder(self, path: Path) -> int:
        """See `FileOps`."""
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def sync(self, descriptors: Sequence[int]) -> None:
        """See `FileOps`.

        At the same time, so that a journalling file system commits once for all of them.
        """
        if len(descriptors) == 1:
            os.fsync(descriptors[0])
            return
        with ThreadPoolExecutor(min(len(descriptors), _SYNC_THREADS)) as pool:
            list(pool.map(os.fsync, descriptors))

    def close(self, descriptor: int) -> None:
        """See `FileOps`."""
        os.close(descriptor)

    def make_folder(self, path: Path) -> None:
        """See `FileOps`."""
        with suppress(FileExistsError):
            os.mkdir(path, _FOLDER_MODE)  # noqa: PTH102 -- one system call, and all in one module

    def replace(self, source: Path, target: Path) -> None:
        """See `FileOps`."""
        os.replace(source, target)  # noqa: PTH105 -- as above

    def remove(self, path: Path) -> None:
        """See `FileOps`."""
        if path.is_dir():
            os.rmdir(path)  # noqa: PTH106 -- as above
        else:
            os.unlink(path)  # noqa: PTH108 -- as above


POSIX: Final = Posix()


def write_durably(
    ops: FileOps, files: Sequence[tuple[Path, bytes]], folders: Iterable[Path] = ()
) -> None:
    """Write whole files, then sync them and *folders*, whose names changed.

    Raises:
        OSError: The disk is full or failing; some files may be written, wholly or in part.

    """
    descriptors: list[int] = []
    with ExitStack() as opened:  # closes all of them, even where one cannot be closed

        def keep(descriptor: int) -> int:
            opened.callback(ops.close, descriptor)
            descriptors.append(descriptor)
            return descriptor

        for path, data in files:
            ops.write(keep(ops.create(path)), data)
        for folder in folders:
            keep(ops.open_folder(folder))
        ops.sync(descriptors)


def replace_durably(ops: FileOps, path: Path, data: bytes) -> None:
    """Put *data* at *path* such that a reader, and a crash, see the old or the new file.

    Raises:
        OSError: The disk is full or failing; *path* is the old file or the new one.

    """
    draft = draft_of(path)
    write_durably(ops, [(draft, data)])
    ops.replace(draft, path)
    write_durably(ops, [], [path.parent])


def make_durably(ops: FileOps, folder: Path) -> None:
    """Create *folder* and the parents it lacks, each name durable before the next.

    Raises:
        OSError: The disk is full, failing or read-only.

    """
    if not folder.exists():
        make_durably(ops, folder.parent)
        ops.make_folder(folder)
        write_durably(ops, [], [folder.parent])


def draft_of(path: Path) -> Path:
    """Return where `replace_durably` writes before it renames."""
    return path.with_name(f"{path.name}.new")


def lock(path: Path) -> int:
    """Take the writer's lock and return its descriptor; the system frees it on any exit.

    Raises:
        LockedError: Another process, named in the text, has it.
        OSError: The disk is full, failing or read-only; the lock is not taken.

    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, _LOCK_TEXT_BYTES).decode("ascii", "replace").strip()
        os.close(descriptor)
        msg = (
            f"{path.parent}: process {holder or 'unknown'} writes this ledger, and a ledger has "
            "one writer; stop that egress worker or leave this one stopped"
        )
        raise LockedError(msg) from None
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def unlock(descriptor: int) -> None:
    """Give the writer's lock back, also on a disk that fails: closing is what frees it."""
    with suppress(OSError):
        try:
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)


def read_file(path: Path) -> bytes | None:
    """Return the whole file, or None if there is none.

    A copy that somebody else made may hold anything: a pipe or a device is not waited for.

    Raises:
        LedgerError: There is one, and it cannot be read, is no regular file, or is longer than
            any file of a ledger.

    """
    try:
        data = _read(path, 0, MAX_FILE_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    if data is None:
        msg = f"{path} is no regular file of at most {MAX_FILE_BYTES} bytes; {_MEND}"
        raise LedgerError(msg)
    return data


def read_small(path: Path, max_bytes: int) -> bytes | None:
    """Return the whole file; None unless it is a regular one that we can read and no longer.

    For what others left: a link, a device or a pipe is not followed, and nothing waits for it.
    """
    try:
        return _read(path, os.O_NOFOLLOW, max_bytes)
    except OSError:
        return None


def _read(path: Path, flags: int, max_bytes: int) -> bytes | None:
    """Return the whole file; None unless it is a regular one and no longer."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > max_bytes:
            return None
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            data = file.readall()
    finally:
        os.close(descriptor)
    return data if len(data) <= max_bytes else None


def changed_at(path: Path) -> float:
    """Return when a file was written last, in epoch seconds; 0 if it is not there any more."""
    try:
        return os.lstat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def names(folder: Path) -> list[str]:
    """Return the names in *folder*, in no order; none if there is no such folder.

    Raises:
        LedgerError: There is one, and it cannot be read.

    """
    try:
        return os.listdir(folder)  # noqa: PTH208 -- names only, and ten times faster
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as exc:
        raise _unreadable(folder, exc) from exc


def _unreadable(path: Path, exc: OSError) -> LedgerError:
    return LedgerError(f"{path} cannot be read: {exc.strerror or 'I/O error'}; {_MEND}")


def shown(path: str) -> str:
    r"""Return *path* in ASCII: a name may hold what no document or terminal takes.

    A file of a ledger is shown as it is, another's odd characters as in Python: ``\x1b``.
    """
    return path.encode("unicode_escape").decode("ascii")


def files_below(folder: Path) -> list[str]:
    """Return the paths of all files below *folder*, relative to it, sorted."""
    found: list[str] = []
    for parent, _, files in os.walk(folder):  # skips folders that vanish under it
        found += [Path(parent, name).relative_to(folder).as_posix() for name in files]
    return sorted(found)
