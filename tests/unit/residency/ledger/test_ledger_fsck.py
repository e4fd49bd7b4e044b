"""`fsck` names every file that is not as a writer at rest leaves it, and foretells the next start.

It changes nothing, and a repair removes only what a sound ledger shows to be of no use.
"""

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from residency.ledger import recovery
from residency.ledger.errors import LedgerError, LockedError
from residency.ledger.files import Ledger
from residency.ledger.findings import Kind
from residency.ledger.fsck import FsckReport, fsck
from residency.ledger.note import Signer, Verifier
from residency.ledger.outcomes import OutcomeLeaf
from schemas.errors import SetupError
from schemas.events import Coordinates, RecordId

ORIGIN = "ledger.eu.example/transfers"
SEED = bytes(range(32))
LOG = Signer(ORIGIN, SEED).verifier


def entries(start: int, count: int) -> list[bytes]:
    return [
        OutcomeLeaf(
            "2026-11-23T16:40Z",
            RecordId(Coordinates("t", 0, number), topic_id="a"),
            None,
            "gate-refused",
            None,
        ).to_bytes()
        for number in range(start, start + count)
    ]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger of 600 leaves in three batches; copy it before you change it."""
    folder = tmp_path_factory.mktemp("sound") / "ledger"
    with Ledger.open(folder, ORIGIN, SEED) as ledger:
        for start in range(0, 600, 200):
            ledger.append(entries(start, 200))
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "ledger")


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def state(folder: Path) -> dict[str, bytes]:
    """Return the files; the lock is none of the ledger's."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def kinds(report: FsckReport) -> dict[str, Kind]:
    return {finding.path: finding.kind for finding in report.findings}


def starts(folder: Path) -> str:
    """Return what a writer does on a copy of *folder*, in the words of `NextStart.action`."""
    twin = shutil.copytree(folder, folder.with_name("twin"))
    before = state(twin)
    had = "checkpoint" in before
    try:
        Ledger.open(twin, ORIGIN, SEED).close()
    except LedgerError:
        return "refuses"
    finally:
        after = state(twin)
        shutil.rmtree(twin)
    if not had:
        return "makes"
    return "opens" if before == after else "mends"


@pytest.mark.parametrize("vkey", [None, str(LOG), f"{LOG}\n"])
def test_a_sound_ledger_has_no_findings(folder: Path, vkey: str | None) -> None:
    report = fsck(folder, vkey)

    assert report.is_sound
    assert (report.origin, report.size, report.findings) == (ORIGIN, 600, ())
    assert report.next_start.action == starts(folder) == "opens"


def remove(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


def write(path: str, data: bytes = b"torn") -> Callable[[Path], None]:
    return lambda folder: put(folder / path, data)


def flip(path: str, at: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = bytearray((folder / path).read_bytes())
        data[at] ^= 1
        (folder / path).write_bytes(data)

    return change


def stale(folder: Path) -> None:
    put(folder / "tile/0/002.p/40", (folder / "tile/0/002.p/88").read_bytes()[: 40 * 32])


def false_stale(folder: Path) -> None:
    put(folder / "tile/0/002.p/2", bytes(64))


def folder_instead_of(path: str) -> Callable[[Path], None]:
    """Put a folder where a file was: the plainest file that cannot be read, also for root."""

    def change(folder: Path) -> None:
        (folder / path).unlink()
        (folder / path).mkdir()

    return change


def older_checkpoint(folder: Path) -> None:
    with Ledger.open(folder, ORIGIN, SEED) as ledger:
        older = ledger.checkpoint
        ledger.append(entries(600, 1))
    (folder / "checkpoint").write_bytes(older)


@pytest.mark.parametrize(
    ("damage", "path", "expected"),
    [
        (remove("tile/0/001"), "tile/0/001", (Kind.MISSING, "refuses", 256)),
        (remove("tile/entries/000"), "tile/entries/000", (Kind.MISSING, "opens", 0)),
        (remove("tile/1/000.p/2"), "tile/1/000.p/2", (Kind.MISSING, "refuses", 0)),
        (remove("checkpoint"), "checkpoint", (Kind.MISSING, "refuses", None)),
        (remove("vkey"), "vkey", (Kind.MISSING, "mends", None)),
        (flip("checkpoint", 30), "checkpoint", (Kind.ALTERED, "refuses", None)),
        (flip("vkey", 30), "vkey", (Kind.ALTERED, "refuses", None)),
        (flip("tile/entries/000", 200), "tile/entries/000", (Kind.ALTERED, "opens", 1)),
        (
            flip("tile/entries/002.p/88", 20),
            "tile/entries/002.p/88",
            (Kind.ALTERED, "refuses", 512),
        ),
        (write("tile/entries/000"), "tile/entries/000", (Kind.ALTERED, "opens", 0)),
        (folder_instead_of("tile/0/001"), "tile/0/001", (Kind.ALTERED, "refuses", 256)),
        (folder_instead_of("checkpoint"), "checkpoint", (Kind.ALTERED, "refuses", None)),
        (folder_instead_of("vkey"), "vkey", (Kind.ALTERED, "refuses", None)),
        (false_stale, "tile/0/002.p/2", (Kind.ALTERED, "mends", 512)),
        (older_checkpoint, "tile/0/002.p/89", (Kind.TORN, "refuses", None)),
        (write("tile/0/9"), "tile/0/9", (Kind.STRANGER, "opens", None)),
        (write("tile/0/002.p/90"), "tile/0/002.p/90", (Kind.TORN, "mends", None)),
        (write("tile/0/003"), "tile/0/003", (Kind.TORN, "mends", None)),
        (write("tile/1/000"), "tile/1/000", (Kind.TORN, "mends", None)),
        (stale, "tile/0/002.p/40", (Kind.STALE, "mends", None)),
        (write("checkpoint.new"), "checkpoint.new", (Kind.DRAFT, "mends", None)),
        (write("vkey.new"), "vkey.new", (Kind.DRAFT, "mends", None)),
        (write("notes.txt"), "notes.txt", (Kind.FOREIGN, "opens", None)),
    ],
)
def test_each_file_is_named_with_what_is_the_matter_and_what_the_writer_will_do(
    folder: Path,
    damage: Callable[[Path], None],
    path: str,
    expected: tuple[Kind, str, int | None],
) -> None:
    damage(folder)
    before = state(folder)

    report = fsck(folder, str(LOG))

    found = (kinds(report)[path], report.next_start.action, report.first_bad_leaf)
    assert found == expected
    assert report.next_start.action == starts(folder)
    assert state(folder) == before


def test_a_ledger_without_any_checkpoint_to_come_is_said_to_be_made(folder: Path) -> None:
    shutil.rmtree(folder / "tile")
    (folder / "checkpoint").unlink()
    (folder / "tile").mkdir()

    report = fsck(folder)

    assert report.next_start.action == starts(folder) == "makes"
    assert report.findings == ()


def test_a_repair_removes_what_is_superfluous_and_nothing_else(folder: Path) -> None:
    before = state(folder)
    stale(folder)
    put(folder / "tile/0/001.p/30", (folder / "tile/0/001").read_bytes()[: 30 * 32])
    put(folder / "checkpoint.new", b"torn")
    put(folder / "tile/0/003", b"torn")
    put(folder / "notes.txt", b"mine")

    report = fsck(folder, repair=True)

    assert set(report.removed) == {"tile/0/002.p/40", "tile/0/001.p/30", "checkpoint.new"}
    assert kinds(report) == {"tile/0/003": Kind.TORN, "notes.txt": Kind.FOREIGN}
    assert state(folder) == before | {"tile/0/003": b"torn", "notes.txt": b"mine"}
    assert not (folder / "tile/0/001.p").exists()
    assert report == FsckReport(
        report.origin, 600, report.root, report.findings, None, report.next_start, report.removed
    )


def test_a_damaged_ledger_is_evidence_and_is_not_repaired(folder: Path) -> None:
    stale(folder)
    flip("tile/entries/000", 200)(folder)
    before = state(folder)

    report = fsck(folder, repair=True)

    assert report.removed == ()
    assert not report.is_sound
    assert state(folder) == before


def test_a_draft_that_shows_a_newer_head_is_kept_as_evidence(folder: Path) -> None:
    with Ledger.open(folder, ORIGIN, SEED) as ledger:
        ledger.append(entries(600, 100))
        newer = ledger.checkpoint
    shutil.rmtree(folder)
    with Ledger.open(folder, ORIGIN, SEED) as ledger:
        ledger.append(entries(0, 600))
    put(folder / "checkpoint.new", newer)

    report = fsck(folder, repair=True)

    assert report.removed == ()
    assert kinds(report) == {"checkpoint.new": Kind.DRAFT}


def test_nothing_is_repaired_under_a_writer(folder: Path) -> None:
    with Ledger.open(folder, ORIGIN, SEED):
        assert fsck(folder).is_sound
        with pytest.raises(LockedError):
            fsck(folder, repair=True)


def test_no_ledger_and_no_key_are_matters_of_set_up(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(SetupError):
        fsck(tmp_path / "nowhere")
    with pytest.raises(SetupError, match="verifier key"):
        fsck(folder, "no key")


def test_a_folder_of_another_log_is_not_sound(folder: Path) -> None:
    report = fsck(folder, str(Signer(ORIGIN, bytes(32)).verifier))

    assert kinds(report) == {"vkey": Kind.ALTERED, "checkpoint": Kind.ALTERED}
    assert report.next_start.action == "refuses"


def test_beside_a_writer_at_work_nothing_is_wrong(folder: Path) -> None:
    done = threading.Event()

    def write_on() -> None:
        with Ledger.open(folder, ORIGIN, SEED) as ledger:
            while not done.is_set():
                ledger.append(entries(ledger.size, 1))

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_on)
        try:
            reports = [fsck(folder, str(LOG)) for _ in range(40)]
        finally:
            done.set()
        writing.result()

    assert [report for report in reports if not report.is_sound] == []
    assert reports[-1].size > reports[0].size


def test_a_refusal_is_not_believed_while_the_ledger_grows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = recovery.look, list[Path]()

    def look(place: Path, log: Verifier) -> recovery.Start:
        seen.append(place)
        if len(seen) == 1:  # between the look at the checkpoint and the look at its tiles
            with Ledger.open(place, ORIGIN, SEED) as ledger:
                ledger.append(entries(600, 1))
            msg = "the partial tile of size 600 is gone"
            raise LedgerError(msg)
        return real(place, log)

    monkeypatch.setattr(recovery, "look", look)

    assert fsck(folder, str(LOG)).next_start.action == "opens"
