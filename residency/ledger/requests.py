"""How processes that are not the ledger's writer have a leaf appended: by a file each.

A ledger has one writer. Whoever else has something for it (see `residency.ledger.notices`) puts
the leaf's bytes into a folder beside the ledger, and whoever holds the ledger appends what waits
there, many in one append. A request moves on by being renamed, which is one step on any crash:

    <request>.asked         wants to be appended
    <request>.at-<size>     is being appended to the ledger of that size, or was
    <request>.leaf-<index>  is that leaf, durable; whoever asked takes the file away
    <request>.refused       is none that may be appended; the file says why

A crash between append and answer leaves ``at-<size>``: its bytes, which no other leaf has, stand
in the ledger behind that size, or they do not. So none is appended twice, and none is lost. What
is refused goes to ``refused/`` for a person to look at, and stops nobody.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from residency.ledger import disk
from residency.ledger.disk import POSIX, FileOps
from residency.ledger.errors import FormatError, LedgerError
from residency.ledger.files import Ledger
from residency.ledger.leaves import RecordLeaf, parse_leaf
from residency.ledger.notices import Notice
from residency.ledger.tiles import MAX_ENTRY_BYTES

FOLDER: Final = "ledger-requests"  # in a region's folder, beside its ledger
ASIDE: Final = "refused"
MAX_AT_ONCE: Final = 1_000  # requests in one append; the others wait for the next
_ASKED: Final = ".asked"
_NAME = re.compile(r"([0-9a-f]{32})\.(?:(asked)|at-([0-9]{1,16})|leaf-([0-9]{1,16})|(refused))")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: one of the two.

    Attributes:
        leaf: Index of its leaf.
        refused: Why there is none.

    """

    leaf: int | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """What a writer did for those that asked.

    Attributes:
        appended: How many leaves.
        refused: A text for each that was refused: its file, and why.

    """

    appended: int = 0
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _File:
    """A request that is not answered; *size* of the ledger it was being appended to, if it was."""

    path: Path
    request: str
    size: int | None


class Requests:
    """The requests of one region; see the module for the files."""

    __slots__ = ("_ops", "folder")

    def __init__(self, folder: Path, ops: FileOps = POSIX) -> None:
        """Take the folder, which need not exist."""
        self.folder = folder
        self._ops = ops

    # -- for whoever asks

    def ask(self, leaf: Notice) -> None:
        """Leave the request for *leaf*, durably. It is left once, however often this is called.

        Raises:
            OSError: The disk is full, failing or read-only, or the folder is not ours.

        """
        disk.make_durably(self._ops, self.folder)
        matches = map(_NAME.fullmatch, disk.names(self.folder))
        if not any(match is not None and match[1] == leaf.request for match in matches):
            path = self.folder / f"{leaf.request}{_ASKED}"
            disk.replace_durably(self._ops, path, leaf.to_bytes())

    def answer(self, request: str) -> Answer | None:
        """Return what became of a request; None as long as it waits."""
        for name in disk.names(self.folder):
            match = _NAME.fullmatch(name)
            if match is not None and match[1] == request:
                if match[4] is not None:
                    return Answer(leaf=int(match[4]))
                if match[5] is not None:
                    why = disk.read_file(self.folder / name) or b""
                    return Answer(refused=why.decode("utf-8", "replace").strip())
        return None

    def forget(self, request: str) -> None:
        """Take the answer away, once whoever asked has it."""
        for path in self._answers():
            if path.name.startswith(f"{request}."):
                self._remove(path)

    def waiting(self) -> Iterator[Notice]:
        """Yield the leaves that are asked for and have no answer yet, in no order."""
        for name in disk.names(self.folder):
            match = _NAME.fullmatch(name)
            if match is not None and (match[2] or match[3]):
                with suppress(FormatError):  # the writer says what is wrong with it
                    leaf = parse_leaf(_checked(_File(self.folder / name, match[1], None)))
                    if not isinstance(leaf, RecordLeaf):
                        yield leaf

    # -- for the writer

    def serve(self, ledger: Ledger) -> Served:
        """Append what waits, at most `MAX_AT_ONCE`, in one append; return what was done.

        Nothing waits: one look at the folder.

        Args:
            ledger: Of this region; whoever holds it is the only one to serve.

        Raises:
            LedgerError: The disk failed. What was appended is found at the next call.

        """
        try:
            return self._serve(ledger)
        except OSError as exc:
            msg = (
                f"{self.folder}: {exc.strerror or 'I/O error'}; mend the disk and start again: "
                "what was asked for is still there"
            )
            raise LedgerError(msg) from exc

    def forget_older(self, than: float) -> None:
        """Take away the answers that nobody fetched: to requests made before *than*, in epoch s."""
        for path in self._answers():
            if disk.changed_at(path) < than:
                self._remove(path)

    def _serve(self, ledger: Ledger) -> Served:
        refused: list[str] = []
        batch: list[tuple[_File, bytes]] = []
        for file in self._waiting(refused):
            try:
                data = _checked(file)
            except FormatError as exc:
                refused.append(f"{file.path.name}: {exc}")
                self._refuse(file, str(exc))
                continue
            found = None if file.size is None else _find(ledger, file.size, data)
            if found is None:
                batch.append((file, data))
            else:
                self._ops.replace(file.path, self._place(file, f"leaf-{found}"))
        claimed = list(self._claim(batch, ledger.size))
        if claimed:
            disk.write_durably(self._ops, [], [self.folder])
            indexes = ledger.append([data for _, data in claimed])
            for (file, _), index in zip(claimed, indexes, strict=True):
                self._ops.replace(file.path, self._place(file, f"leaf-{index}"))
            disk.write_durably(self._ops, [], [self.folder])
        return Served(len(claimed), tuple(refused))

    def _waiting(self, refused: list[str]) -> list[_File]:
        """Return the oldest requests; what only looks like one goes aside, noted in *refused*."""
        found: list[_File] = []
        for name in disk.names(self.folder):
            match = _NAME.fullmatch(name)
            if match is not None and (match[2] or match[3]):
                size = None if match[3] is None else int(match[3])
                found.append(_File(self.folder / name, match[1], size))
            elif match is None and name.endswith(_ASKED):
                refused.append(f"a file that is not named as requests are is now in {ASIDE}/")
                self._aside(self.folder / name)
        # Those that may be appended already come first, so that they are told apart for sure.
        found.sort(key=lambda one: (one.size is None, disk.changed_at(one.path), one.request))
        return found[:MAX_AT_ONCE]

    def _claim(
        self, batch: Iterable[tuple[_File, bytes]], size: int
    ) -> Iterator[tuple[_File, bytes]]:
        """Say of each request to which ledger it is being appended."""
        for file, data in batch:
            path = self._place(file, f"at-{size}")
            try:
                self._ops.replace(file.path, path)
            except FileNotFoundError:
                continue  # taken away since: nobody wants it any more
            yield _File(path, file.request, size), data

    def _place(self, file: _File, state: str) -> Path:
        return self.folder / f"{file.request}.{state}"

    def _refuse(self, file: _File, why: str) -> None:
        with suppress(OSError):  # stops nobody; the next call tries it again
            disk.replace_durably(self._ops, self._place(file, "refused"), f"{why}\n".encode())
            self._aside(file.path)

    def _aside(self, path: Path) -> None:
        folder = self.folder / ASIDE
        with suppress(OSError):
            self._ops.make_folder(folder)
            self._ops.replace(path, folder / f"{len(disk.names(folder))}-{path.name}")

    def _remove(self, path: Path) -> None:
        with suppress(OSError):  # gone already, or it stays: an answer too many harms nobody
            self._ops.remove(path)

    def _answers(self) -> Iterator[Path]:
        for name in disk.names(self.folder):
            match = _NAME.fullmatch(name)
            if match is not None and (match[4] or match[5]):
                yield self.folder / name


def _checked(file: _File) -> bytes:
    """Return the bytes of a request, which are a leaf that may be asked for.

    Raises:
        FormatError: They are not.

    """
    data = disk.read_small(file.path, MAX_ENTRY_BYTES)
    if data is None:
        msg = f"a request is a file that we can read, of at most {MAX_ENTRY_BYTES} bytes"
        raise FormatError(msg)
    leaf = parse_leaf(data)
    if isinstance(leaf, RecordLeaf):
        msg = f"a leaf of kind {leaf.kind!r} is the writer's own: nobody may ask for it"
        raise FormatError(msg)
    if leaf.request != file.request:
        msg = "the file is not named after its leaf's 'request'"
        raise FormatError(msg)
    return data


def _find(ledger: Ledger, size: int, data: bytes) -> int | None:
    """Return the index of an entry that was being appended at *size*, if it was appended."""
    stop = min(size + MAX_AT_ONCE, ledger.size)
    entries = ledger.read(size, stop) if size < stop else iter(())
    return next((index for index, entry in enumerate(entries, size) if entry == data), None)
