"""Whatever fails, whenever: no signed head without its tiles, no shrunken or forked tree.

Three ways to fail: every call to the disk in turn; a power cut at every call, after which only
what was synced is left; and SIGKILL at random moments.
"""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from failing_disk import FailingOps

from residency.ledger.disk import POSIX
from residency.ledger.errors import LedgerError
from residency.ledger.files import Ledger
from residency.ledger.note import Signer, open_checkpoint
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.tree import leaf_hash, subtree_root
from residency.ledger.verify import verify
from schemas.events import Coordinates, RecordId

ORIGIN = "ledger.eu.example/transfers"
SEED = bytes(range(32))
LOG = Signer(ORIGIN, SEED).verifier
BATCHES = (255, 1, 300, 2)  # starts a tile, fills it, crosses into the next, widens that


@cache
def entry(number: int, run: str) -> bytes:
    """Return a valid leaf that differs by number and by *run*."""
    record = RecordId(Coordinates("t", 0, number), topic_id=run)
    return OutcomeLeaf("2026-11-23T16:40Z", record, None, "gate-refused", None).to_bytes()


def entries(start: int, count: int, run: str = "a") -> list[bytes]:
    return [entry(number, run) for number in range(start, start + count)]


class PowerCut(Exception):  # noqa: N818 -- an event, not an error
    """The power is gone."""


class PoweredOps:
    """`FileOps` that knows what a power cut at the *n*-th call would leave: what was synced.

    A file's bytes survive if the file was synced after they were written; a name, if its
    folder was synced after it was given. This is the least that POSIX promises.
    """

    def __init__(self, top: Path, n: int) -> None:
        self.top = top
        self.graves = top.with_name(f"{top.name}-removed")  # keeps inode numbers from reuse
        self.graves.mkdir()
        self.left = n
        self.opened: dict[int, Path] = {}
        self.bytes: dict[int, bytes] = {}  # by inode, as synced
        self.names: dict[int, dict[str, tuple[int, bool]]] = {top.stat().st_ino: {}}

    def _tick(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise PowerCut

    def _open(self, path: Path, descriptor: int) -> int:
        self.opened[descriptor] = path
        return descriptor

    def create(self, path: Path) -> int:
        self._tick()
        return self._open(path, POSIX.create(path))

    def open_folder(self, path: Path) -> int:
        self._tick()
        return self._open(path, POSIX.open_folder(path))

    def write(self, descriptor: int, data: bytes) -> None:
        self._tick()
        POSIX.write(descriptor, data)

    def sync(self, descriptors: Sequence[int]) -> None:
        for descriptor in descriptors:  # the power may go between any two of them
            self._tick()
            path = self.opened[descriptor]
            inode = os.fstat(descriptor).st_ino
            if path.is_dir():
                self.names[inode] = {
                    child.name: (child.stat().st_ino, child.is_dir()) for child in path.iterdir()
                }
            else:
                self.bytes[inode] = path.read_bytes()

    def close(self, descriptor: int) -> None:
        POSIX.close(descriptor)

    def make_folder(self, path: Path) -> None:
        self._tick()
        POSIX.make_folder(path)

    def replace(self, source: Path, target: Path) -> None:
        self._tick()
        if target.exists():
            (self.graves / str(self.left)).hardlink_to(target)
        POSIX.replace(source, target)

    def remove(self, path: Path) -> None:
        self._tick()
        path.rename(self.graves / str(self.left))

    def what_is_left(self, into: Path) -> Path:
        """Write what a cut now would leave to the empty folder *into*."""
        self._restore(self.top.stat().st_ino, into)
        return into

    def _restore(self, inode: int, into: Path) -> None:
        into.mkdir(exist_ok=True)
        for name, (child, is_folder) in self.names.get(inode, {}).items():
            if is_folder:
                self._restore(child, into / name)
            elif name != ".lock":
                (into / name).write_bytes(self.bytes.get(child, b""))


def check_recovers(folder: Path, acked: int, tried: int) -> None:
    """Check what a failed run left, then that the ledger goes on from there."""
    if (folder / "checkpoint").exists():
        head = open_checkpoint((folder / "checkpoint").read_bytes(), LOG)
        assert head.size in {acked, tried}
        assert head.root == subtree_root([leaf_hash(e) for e in entries(0, head.size)])
        assert verify(folder, str(LOG)).problems == ()
    else:
        assert acked == 0

    # An index made after each append never knows of more than is acknowledged.
    with Ledger.open(folder, ORIGIN, SEED, at_least=acked) as ledger:
        size = ledger.size
        assert size in {acked, tried}
        assert list(ledger.read(0)) == entries(0, size)
        ledger.append(entries(size, 270, "b"))
        assert list(ledger.read(0)) == entries(0, size) + entries(size, 270, "b")
    assert verify(folder, str(LOG)).problems == ()


def test_a_fault_at_any_call_stops_the_ledger_and_opening_recovers(tmp_path: Path) -> None:
    for n in range(1000):
        code = errno.ENOSPC if n % 2 else errno.EIO
        folder, ops, acked, tried = tmp_path / str(n), FailingOps(n, code), 0, 0
        try:
            with Ledger.open(folder, ORIGIN, SEED, ops) as ledger:
                for count in BATCHES:
                    tried = acked + count
                    try:
                        ledger.append(entries(acked, count))
                    except LedgerError:
                        with pytest.raises(LedgerError, match="open the ledger again"):
                            ledger.append(entries(acked, count))
                        raise
                    acked = tried
        except LedgerError as exc:
            failure = str(exc)
        else:
            failure = ""
        assert ops.has_failed == (acked < sum(BATCHES)) == (os.strerror(code) in failure)
        check_recovers(folder, acked, tried)
        if not ops.has_failed:
            return
    pytest.fail("the run never got through")


def test_a_fault_at_any_call_of_a_recovery_leaves_it_to_the_next(tmp_path: Path) -> None:
    for n in range(100):
        folder = tmp_path / str(n)
        with Ledger.open(folder, ORIGIN, SEED) as ledger:
            ledger.append(entries(0, 300))
        for torn in ("tile/0/001.p/60", "tile/0/001", "tile/entries/002.p/1", "checkpoint.new"):
            (folder / torn).parent.mkdir(exist_ok=True)
            (folder / torn).write_bytes(b"torn")
        ops = FailingOps(n, errno.EIO)

        try:
            Ledger.open(folder, ORIGIN, SEED, ops).close()
        except LedgerError:
            assert ops.has_failed

        check_recovers(folder, 300, 300)
        if not ops.has_failed:
            return
    pytest.fail("the recovery never got through")


def test_a_power_cut_at_any_call_loses_nothing_acknowledged(tmp_path: Path) -> None:
    for n in range(1000):
        folder = tmp_path / f"{n}"
        folder.mkdir()
        ops, acked, tried = PoweredOps(folder, n), 0, 0
        try:
            with Ledger.open(folder, ORIGIN, SEED, ops) as ledger:
                for count in BATCHES:
                    tried = acked + count
                    ledger.append(entries(acked, count))
                    acked = tried
        except PowerCut:
            check_recovers(ops.what_is_left(tmp_path / f"{n}-left"), acked, tried)
        else:
            return
    pytest.fail("the run never got through")


class GatedOps(PoweredOps):
    """`PoweredOps` whose *n*-th file sync fails, as Linux does it: what was not synced is lost.

    The file still reads as it was written, and its next sync reports success, but writes
    nothing: its pages are marked clean.
    """

    def __init__(self, top: Path, n: int) -> None:
        super().__init__(top, sys.maxsize)
        self.syncs_left = n
        self.clean: set[int] = set()

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        self.clean.discard(os.fstat(descriptor).st_ino)
        return descriptor

    def sync(self, descriptors: Sequence[int]) -> None:
        for descriptor in descriptors:
            inode, is_file = os.fstat(descriptor).st_ino, not self.opened[descriptor].is_dir()
            self.syncs_left -= is_file
            if is_file and self.syncs_left == -1:
                self.clean.add(inode)
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            if inode not in self.clean:
                super().sync([descriptor])


def test_after_a_failed_sync_nothing_that_was_written_before_it_is_believed(
    tmp_path: Path,
) -> None:
    for n in range(1000):
        folder, acked = tmp_path / f"{n}", 0
        folder.mkdir()
        ops, stops = GatedOps(folder, n), [sum(BATCHES[: i + 1]) for i in range(len(BATCHES))]
        for _ in range(2):  # the second time, nothing fails
            with suppress(LedgerError), Ledger.open(folder, ORIGIN, SEED, ops) as ledger:
                for stop in (stop for stop in stops if stop > ledger.size):
                    ledger.append(entries(ledger.size, stop - ledger.size))
                    acked = stop

        check_recovers(ops.what_is_left(tmp_path / f"{n}-left"), acked, acked)
        assert acked == sum(BATCHES)
        if ops.syncs_left >= 0:
            return
    pytest.fail("the run never got through")


class NoCommitOps(FailingOps):
    """`FileOps` that write all of an append and fail at its checkpoint, once the ledger is open."""

    is_open = False

    def replace(self, source: Path, target: Path) -> None:
        if self.is_open:
            raise OSError(self.code, os.strerror(self.code))
        POSIX.replace(source, target)


@pytest.mark.parametrize("start", [0, 1, 256, 300])
def test_the_largest_append_torn_at_its_last_step_is_taken_back(tmp_path: Path, start: int) -> None:
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        ledger.append(entries(0, start))
    ops = NoCommitOps(100_000, errno.EIO)
    ledger = Ledger.open(tmp_path, ORIGIN, SEED, ops)
    ops.is_open = True
    with ledger, pytest.raises(LedgerError, match="append failed"):
        ledger.append([b"torn"] * 65_536)

    check_recovers(tmp_path, start, start)


def test_an_older_copy_is_refused_before_the_disk_is_asked_to_change_anything(
    tmp_path: Path,
) -> None:
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        ledger.append(entries(0, 256))
        older = ledger.checkpoint
        ledger.append(entries(256, 44))
    (tmp_path / "checkpoint").write_bytes(older)
    ops = FailingOps(0, errno.EIO)

    with pytest.raises(LedgerError, match="older copy of the ledger"):
        Ledger.open(tmp_path, ORIGIN, SEED, ops, at_least=300)

    assert not ops.has_failed
    (tmp_path / "vkey").unlink()
    with pytest.raises(LedgerError, match="older copy of the ledger"):
        Ledger.open(tmp_path, ORIGIN, SEED, ops, at_least=300)
    assert not ops.has_failed


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from residency.ledger.files import Ledger
ledger = Ledger.open(Path(sys.argv[1]), "ledger.eu.example/transfers", bytes(range(32)))
leaf = (b'{"code":null,"kind":"outcome","record":"t[0]@%d#0","result":"gate-refused",'
        b'"time":"2026-11-23T16:40Z","topic_id":"a","transfer":null}')
print(ledger.size, flush=True)
count = 1
while True:
    ledger.append([leaf % n for n in range(ledger.size, ledger.size + count)])
    print(ledger.size, flush=True)
    count = count * 7 % 311
"""


def test_kill_9_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    rng, top, acked = random.Random(20261123), Path(__file__).parents[2], 0
    for _ in range(10):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(top)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        started = int(writer.stdout.readline())
        assert started >= acked
        time.sleep(rng.uniform(0, 0.15))
        writer.send_signal(signal.SIGKILL)
        acked = max([started, *map(int, writer.stdout.read().split("\n")[:-1])])
        writer.wait()
        writer.stdout.close()

        head = open_checkpoint((tmp_path / "checkpoint").read_bytes(), LOG)
        assert head.size >= acked
        assert verify(tmp_path, str(LOG)).problems == ()
    assert acked > 0
