"""Every system call of a writer fails in turn, in every way a disk can fail, or is its last.

Whatever fails: every checkpoint that ever was in place has all its tiles, is a prefix of the tree
that comes of it, `fsck` foretells what the next writer does, and the same entries give the same
files as if nothing had been.
"""

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from residency.ledger import disk
from residency.ledger.disk import POSIX
from residency.ledger.errors import LedgerError
from residency.ledger.files import Ledger
from residency.ledger.fsck import fsck
from residency.ledger.note import Checkpoint, Signer, open_checkpoint
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.reader import Reader
from residency.ledger.tiles import node_reader, tiles_of
from residency.ledger.tree import consistency_proof, is_consistent
from schemas.events import Coordinates, RecordId

ORIGIN = "ledger.eu.example/transfers"
SEED = bytes(range(32))
LOG = Signer(ORIGIN, SEED).verifier
TURNS = 1000  # more calls than any run makes
CHANGING = frozenset(
    {"open", "write", "fsync", "close", "mkdir", "replace", "rmdir", "unlink", "ftruncate"}
    | {"pwrite"}
)


@cache
def entry(number: int) -> bytes:
    record = RecordId(Coordinates("t", 0, number), topic_id="a")
    return OutcomeLeaf("2026-11-23T16:40Z", record, None, "gate-refused", None).to_bytes()


def entries(start: int, stop: int) -> list[bytes]:
    return [entry(number) for number in range(start, stop)]


class Killed(BaseException):
    """SIGKILL: nothing of the program runs after it but what frees the lock."""


class FailingOs:
    """The ``os`` module, whose *n*-th changing call goes wrong in one *way*.

    Ways: an errno name; ``short``, a write of half, which is no error; ``full``, a write of half
    and then no room for the rest; ``killed``.
    """

    def __init__(self, n: int, way: str) -> None:
        self.n, self.way = n, way
        self.calls = 0
        self.hit = ""  # the call that went wrong
        self.heads: list[bytes] = []  # every checkpoint that was ever in place
        self._lock = threading.Lock()  # syncs run at the same time

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return (lambda *args: self._call(name, real, *args)) if name in CHANGING else real

    def _call(self, name: str, real: Callable[..., Any], *args: Any) -> Any:
        with self._lock:
            turn, self.calls = self.calls, self.calls + 1
        if turn == self.n:
            self.hit = name
            return self._goes_wrong(name, real, *args)
        if self.way == "full" and self.hit == "write" and turn == self.n + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if name == "replace" and args[1].name == "checkpoint":
            self.heads.append(args[0].read_bytes())
        return real(*args)

    def _goes_wrong(self, name: str, real: Callable[..., Any], *args: Any) -> Any:
        if self.way in {"short", "full"}:
            return real(args[0], args[1][: len(args[1]) // 2]) if name == "write" else real(*args)
        if name == "close":
            real(*args)  # Linux closes the descriptor even where it reports an error
        if self.way == "killed":
            raise Killed
        raise OSError(getattr(errno, self.way), os.strerror(getattr(errno, self.way)))


def run(folder: Path, stops: tuple[int, ...]) -> tuple[int, int]:
    """Append up to each of *stops* in turn; return how far it got, acknowledged and tried."""
    acked = tried = 0
    with suppress(LedgerError, Killed), Ledger.open(folder, ORIGIN, SEED) as ledger:
        acked = tried = ledger.size
        for tried in (stop for stop in stops if stop > acked):
            ledger.append(entries(acked, tried))
            acked = tried
    return acked, tried


def files(folder: Path) -> dict[str, bytes]:
    names = set(disk.files_below(folder)) - {".lock"}
    return {name: (folder / name).read_bytes() for name in names}


def check_head(folder: Path, whole: Path) -> None:
    """Check that every tile of the checkpoint in *folder* is there and as in *whole*."""
    if not (folder / "checkpoint").exists():
        return
    head = open_checkpoint((folder / "checkpoint").read_bytes(), LOG)
    here, there = Reader(folder), Reader(whole)
    assert all(here.tile(tile) == there.tile(tile) for tile in tiles_of(head.size))


def check_heads(heads: list[bytes], folder: Path) -> None:
    """Check that each checkpoint ever published is a prefix of the tree in *folder*."""
    final = open_checkpoint((folder / "checkpoint").read_bytes(), LOG)
    node = node_reader(final.size, Reader(folder).tile)
    for head in (open_checkpoint(data, LOG) for data in heads):
        assert head.size == 0 or is_prefix(head, final, node)


def is_prefix(head: Checkpoint, final: Checkpoint, node: Callable[[int, int], bytes]) -> bool:
    proof = consistency_proof(head.size, final.size, node)
    return is_consistent(head.size, head.root, final.size, final.root, proof)


def runs(tmp_path: Path, way: str, make: Callable[[Path], None]) -> Iterator[FailingOs]:
    """Yield an ``os`` for each call of a run in turn, until one gets through unharmed."""
    for n in range(TURNS):
        folder = tmp_path / "run"
        make(folder)
        failing = FailingOs(n, way)
        yield failing
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        if not failing.hit:
            return
    pytest.fail("the run never got through")


WAYS = ["ENOSPC", "EROFS", "EIO", "short", "full", "killed"]


@pytest.mark.parametrize("way", WAYS)
def test_any_system_call_may_fail_or_be_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    stops = (255, 257, 258)
    run(tmp_path / "whole", stops)
    whole, folder, hits = files(tmp_path / "whole"), tmp_path / "run" / "ledger", set[str]()

    for failing in runs(tmp_path, way, lambda path: path.mkdir()):
        with monkeypatch.context() as patch:
            patch.setattr(disk, "os", failing)
            acked, tried = run(folder, stops)
        hits.add(failing.hit)

        check_head(folder, tmp_path / "whole")
        foretold = foretell(folder)
        failing.n = -1
        with monkeypatch.context() as patch:
            patch.setattr(disk, "os", failing)
            with Ledger.open(folder, ORIGIN, SEED, at_least=acked) as ledger:
                assert ledger.size in {acked, tried}
                assert foretold in {None, ledger.size}
            assert foretell(folder) == ledger_size(folder)
            run(folder, stops)
        assert files(folder) == whole
        check_heads(failing.heads, folder)
    assert hits == CHANGING | {""}


def foretell(folder: Path) -> int | None:
    """Return the size that `fsck` says the next writer goes on from; None where none is yet."""
    if not (folder / "checkpoint").exists():
        return None
    report = fsck(folder, str(LOG))
    assert report.next_start.action in {"opens", "mends"}
    assert [f for f in report.findings if f.is_wrong] == []
    return report.size


def ledger_size(folder: Path) -> int:
    return open_checkpoint((folder / "checkpoint").read_bytes(), LOG).size


@pytest.mark.parametrize("way", ["EIO", "full", "killed"])
def test_any_system_call_may_fail_where_two_levels_gain_a_tile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, long_run: bool
) -> None:
    stops = (65_535, 65_537)
    run(tmp_path / "before", stops[:1])
    shutil.copytree(tmp_path / "before", tmp_path / "whole")
    run(tmp_path / "whole", stops)
    whole, folder = files(tmp_path / "whole"), tmp_path / "run"

    for failing in runs(tmp_path, way, lambda path: copy(tmp_path / "before", path)):
        if not long_run and failing.n % 23:
            failing.hit = "skipped"
            continue
        with monkeypatch.context() as patch:
            patch.setattr(disk, "os", failing)
            acked, _ = run(folder, stops)
        check_head(folder, tmp_path / "whole")
        failing.n = -1
        with monkeypatch.context() as patch:
            patch.setattr(disk, "os", failing)
            Ledger.open(folder, ORIGIN, SEED, at_least=acked).close()
            run(folder, stops)
        assert files(folder) == whole
        check_heads(failing.heads, folder)


def copy(source: Path, target: Path) -> None:
    """Copy a ledger: full tiles are never written again, so a link does for them."""

    def one(old: str, new: str) -> None:
        is_full = "/tile/" in old and ".p/" not in old
        (os.link if is_full else shutil.copyfile)(old, new)

    shutil.copytree(source, target, copy_function=one)


FULL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from residency.ledger.files import Ledger
with Ledger.open(Path(sys.argv[1]), "ledger.eu.example/transfers", bytes(range(32))) as ledger:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    ledger.append([b"x" * 100] * 256)
"""


def test_a_kernel_that_writes_half_and_then_refuses_costs_only_that_batch(tmp_path: Path) -> None:
    run(tmp_path, (10,))

    top = str(Path(__file__).parents[2])
    told = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), top],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "append failed: File too large" in told.stderr
    assert (tmp_path / "tile/entries/000").stat().st_size == 10_000
    assert foretell(tmp_path) == 10
    run(tmp_path, (10, 300))
    assert foretell(tmp_path) == 300


class Counting:
    """The ``os`` module, and how often it was asked to sync."""

    def __init__(self) -> None:
        self.syncs = 0
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def fsync(self, descriptor: int) -> None:
        with self._lock:
            self.syncs += 1
        os.fsync(descriptor)


class Groups:
    """`FileOps` that count the groups of syncs."""

    def __init__(self) -> None:
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(POSIX, name)

    def sync(self, descriptors: Sequence[int]) -> None:
        self.count += 1
        POSIX.sync(descriptors)


@pytest.mark.parametrize(
    ("before", "count", "syncs"),
    [
        (1, 1, 2 + 2 + 2),  # bundle and tile; their folders; checkpoint and its folder
        (1, 50, 2 + 2 + 2),
        (0, 50, 2 + 6 + 2),  # the first batch also makes the folders
        (200, 100, 5 + 7 + 2),  # two bundles, two tiles, the first of level 1
        (300, 1000, 11 + 5 + 2),
        (300, 5000, 41 + 5 + 2),
        (65_535, 2, 6 + 8 + 2),  # the first tile of level 2
    ],
)
def test_a_batch_costs_the_stated_number_of_syncs_in_three_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, count: int, syncs: int
) -> None:
    counting = Counting()
    groups: Any = Groups()  # the rest of `FileOps` is `POSIX`'s
    with Ledger.open(tmp_path, ORIGIN, SEED, groups) as ledger:
        ledger.append(entries(0, before))
        groups.count = 0
        monkeypatch.setattr(disk, "os", counting)

        ledger.append(entries(before, before + count))

        assert (counting.syncs, groups.count) == (syncs, 3)


def syncs_of(ledger: Ledger, size: int, count: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Grow *ledger* to *size*, and return what a batch of *count* costs then."""
    while ledger.size < size:
        ledger.append([b"x"] * min(50_000, size - ledger.size))
    counting = Counting()
    with monkeypatch.context() as patch:
        patch.setattr(disk, "os", counting)
        ledger.append([b"y"] * count)
    return counting.syncs


def test_a_batch_costs_more_syncs_only_where_tiles_of_hashes_or_folders_of_a_thousand_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """18 for 1,000 entries but there; the numbers of docs/ledger-disk.md."""
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        costs = {
            size: syncs_of(ledger, size, 1_000, monkeypatch)
            for size in (300, 63_100, 65_236, 70_000, 254_000, 255_900, 258_000)
        }
    with Ledger.open(tmp_path, ORIGIN, SEED) as again:
        first, second = (syncs_of(again, 0, 1, monkeypatch) for _ in range(2))

    above = len(("ledger", "tile", "tile/0", "tile/entries", "tile/0/x001", "tile/entries/x001"))
    assert costs == {
        300: 18, 63_100: 18, 65_236: 18 + 6, 70_000: 18, 254_000: 18, 255_900: 18 + 2, 258_000: 18,
    }  # fmt: skip
    assert (first, second) == (6 + above, 6)
