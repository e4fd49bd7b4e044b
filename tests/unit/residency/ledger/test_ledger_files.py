"""The writer: what it leaves on disk, and what it refuses to open."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from residency.ledger.errors import FormatError, LedgerError, LockedError
from residency.ledger.files import Ledger
from residency.ledger.note import Checkpoint, Signer, open_checkpoint
from residency.ledger.tiles import tiles_of
from residency.ledger.tree import leaf_hash, subtree_root

ORIGIN = "ledger.eu.example/transfers"
SEED = bytes(range(32))
SIGNER = Signer(ORIGIN, SEED)


def entries(count: int, start: int = 0) -> list[bytes]:
    return [b"entry %d" % number for number in range(start, start + count)]


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def head(ledger: Ledger) -> Checkpoint:
    return open_checkpoint(ledger.checkpoint, SIGNER.verifier)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path, ORIGIN, SEED) as opened:
        yield opened


def test_a_new_ledger_is_empty_signed_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "eu" / "ledger"

    with Ledger.open(folder, ORIGIN, SEED) as ledger:
        assert ledger.size == 0
        assert head(ledger) == Checkpoint(ORIGIN, 0, subtree_root([]))

    assert files(folder) == {
        "checkpoint": bytes(SIGNER.sign(str(Checkpoint(ORIGIN, 0, subtree_root([]))))),
        "vkey": f"{SIGNER.verifier}\n".encode(),
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "checkpoint").stat().st_mode & 0o777 == 0o600


def test_an_append_returns_its_indexes_and_the_head_covers_it(ledger: Ledger) -> None:
    assert ledger.append(entries(3)) == range(3)
    assert ledger.append([]) == range(3, 3)
    assert ledger.append(entries(300, 3)) == range(3, 303)

    assert head(ledger) == Checkpoint(ORIGIN, 303, subtree_root(list(map(leaf_hash, entries(303)))))
    assert (ledger.folder / "checkpoint").read_bytes() == ledger.checkpoint
    assert list(ledger.read(0)) == entries(303)
    assert list(ledger.read(250, 260)) == entries(10, 250)
    assert list(ledger.read(303)) == []


@pytest.mark.parametrize(("start", "stop"), [(-1, 1), (2, 1), (0, 4), (4, None)])
def test_reading_what_is_not_there_is_refused(ledger: Ledger, start: int, stop: int | None) -> None:
    ledger.append(entries(3))

    with pytest.raises(ValueError, match="no entries"):
        ledger.read(start, stop)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 300), max_size=6), st.booleans())
def test_any_split_of_the_same_entries_gives_the_same_files(
    sizes: Sequence[int],
    reopen: bool,
) -> None:
    total = sum(sizes)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as many:
        with Ledger.open(Path(one), ORIGIN, SEED) as ledger:
            ledger.append(entries(total))
        ledger, at = Ledger.open(Path(many), ORIGIN, SEED), 0
        for size in sizes:
            ledger.append(entries(size, at))
            at += size
            if reopen:
                ledger.close()
                ledger = Ledger.open(Path(many), ORIGIN, SEED)
        ledger.close()

        assert files(Path(many)) == files(Path(one))


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 65_535, 65_536, 70_000])
def test_the_files_are_exactly_those_of_tlog_tiles(tmp_path: Path, size: int) -> None:
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        ledger.append(entries(min(size, 65_000)))
        ledger.append(entries(max(size - 65_000, 0), 65_000))

    assert files(tmp_path).keys() == {"checkpoint", "vkey", *(t.path for t in tiles_of(size))}
    Ledger.open(tmp_path, ORIGIN, SEED).close()


def test_too_long_an_entry_or_batch_is_refused_and_harms_nothing(ledger: Ledger) -> None:
    with pytest.raises(FormatError, match="65536 bytes"):
        ledger.append([b"fine", bytes(65_536)])
    with pytest.raises(FormatError, match="at most 65536"):
        ledger.append([b""] * 65_537)

    assert ledger.append([bytes(65_535), b""]) == range(2)


def test_a_second_writer_is_told_who_writes(ledger: Ledger) -> None:
    code = (
        "import sys; from pathlib import Path; from residency.ledger.files import Ledger;"
        f"Ledger.open(Path(sys.argv[1]), {ORIGIN!r}, bytes(range(32)))"
    )

    with pytest.raises(LockedError, match="one writer; stop"):
        Ledger.open(ledger.folder, ORIGIN, SEED)
    done = subprocess.run(
        [sys.executable, "-c", code, str(ledger.folder)],
        capture_output=True,
        text=True,
        check=False,
    )

    pid = (ledger.folder / ".lock").read_text().strip()
    assert f"LockedError: {ledger.folder}: process {pid} writes this ledger" in done.stderr


def test_a_closed_ledger_is_of_no_use_but_frees_the_lock(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path, ORIGIN, SEED)
    ledger.close()
    ledger.close()

    with pytest.raises(LedgerError, match="open the ledger again"):
        ledger.append([b"late"])
    Ledger.open(tmp_path, ORIGIN, SEED).close()


@pytest.mark.parametrize(
    ("origin", "seed"), [(ORIGIN, bytes(32)), ("ledger.uk.example/transfers", SEED)]
)
def test_another_key_or_origin_is_refused_and_changes_nothing(
    tmp_path: Path, origin: str, seed: bytes
) -> None:
    Ledger.open(tmp_path, ORIGIN, SEED).close()
    before = files(tmp_path)

    with pytest.raises(LedgerError, match="another key or log"):
        Ledger.open(tmp_path, origin, seed)

    assert files(tmp_path) == before


def test_a_lost_vkey_file_is_made_again(tmp_path: Path) -> None:
    Ledger.open(tmp_path, ORIGIN, SEED).close()
    (tmp_path / "vkey").unlink()

    Ledger.open(tmp_path, ORIGIN, SEED).close()

    assert (tmp_path / "vkey").read_text() == f"{SIGNER.verifier}\n"


def test_a_lost_checkpoint_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        ledger.append(entries(3))
    (tmp_path / "checkpoint").unlink()

    with pytest.raises(LedgerError, match="would fork the log"):
        Ledger.open(tmp_path, ORIGIN, SEED)

    assert not (tmp_path / "checkpoint").exists()


def test_an_older_checkpoint_put_back_is_noticed_and_nothing_is_removed(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        ledger.append(entries(3))
        older = ledger.checkpoint
        ledger.append(entries(300, 3))
    (tmp_path / "checkpoint").write_bytes(older)
    before = files(tmp_path)

    with pytest.raises(LedgerError, match="an older checkpoint was put back"):
        Ledger.open(tmp_path, ORIGIN, SEED)

    assert files(tmp_path) == before


# Sizes at which the older checkpoint's own tiles are all still there
@pytest.mark.parametrize(
    ("older", "size"), [(256, 300), (512, 712), (65_536, 65_791), (0, 300), (0, 3000)]
)
def test_an_older_checkpoint_is_refused_where_the_caller_knows_of_more(
    tmp_path: Path, older: int, size: int
) -> None:
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        ledger.append(entries(older))
        checkpoint = ledger.checkpoint
        ledger.append(entries(size - older, older))
    (tmp_path / "checkpoint").write_bytes(checkpoint)
    (tmp_path / "checkpoint.new").write_bytes(b"draft")
    before = files(tmp_path)

    with pytest.raises(LedgerError) as caught:
        Ledger.open(tmp_path, ORIGIN, SEED, at_least=older + 1)

    text = str(caught.value)
    assert text.startswith(f"{tmp_path}: the checkpoint has {older} leaves, but {older + 1} ")
    assert "an older copy of the ledger was put back" in text
    assert "nothing was removed" in text
    assert "restore the newer files, or start a new ledger under another key" in text
    assert files(tmp_path) == before


def test_an_older_copy_of_the_whole_folder_is_refused(tmp_path: Path) -> None:
    live, copy = tmp_path / "live", tmp_path / "copy"
    with Ledger.open(live, ORIGIN, SEED) as ledger:
        ledger.append(entries(3))
        shutil.copytree(live, copy)
        ledger.append(entries(4, 3))
    before = files(copy)

    with pytest.raises(LedgerError, match="has 3 leaves, but 7 "):
        Ledger.open(copy, ORIGIN, SEED, at_least=7)

    assert files(copy) == before


@pytest.mark.parametrize("is_there", [True, False])
def test_a_ledger_that_is_gone_is_not_started_again(tmp_path: Path, is_there: bool) -> None:
    folder = tmp_path / "ledger"
    if is_there:
        folder.mkdir()

    with pytest.raises(LedgerError, match="there is no checkpoint, so 0 leaves, but 3 "):
        Ledger.open(folder, ORIGIN, SEED, at_least=3)

    assert folder.exists() == is_there
    assert not is_there or not list(folder.iterdir())


def test_a_ledger_with_what_the_caller_knows_of_or_more_opens(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        ledger.append(entries(300))

    for at_least in (0, 1, 299, 300):
        Ledger.open(tmp_path, ORIGIN, SEED, at_least=at_least).close()


def test_more_than_one_append_beyond_the_head_is_not_removed(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        empty = ledger.checkpoint
        ledger.append(entries(65_536))
        ledger.append([b"one more"])
    (tmp_path / "checkpoint").write_bytes(empty)
    (tmp_path / "checkpoint.new").write_bytes(b"draft")
    before = files(tmp_path)

    with pytest.raises(LedgerError, match=r"more than one append can leave.*nothing was removed"):
        Ledger.open(tmp_path, ORIGIN, SEED)

    assert files(tmp_path) == before


@pytest.mark.parametrize("size", [5, 256, 300, 65_540])
def test_a_damaged_edge_is_not_appended_to(tmp_path: Path, size: int) -> None:
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        ledger.append(entries(min(size, 65_000)))
        ledger.append(entries(max(size - 65_000, 0), 65_000))
    edge = [*(p for p in files(tmp_path) if ".p/" in p or p == f"tile/0/{size // 256 - 1:03d}")]
    assert edge

    for path in edge:
        good = (tmp_path / path).read_bytes()
        for bad in (good[:-1] + bytes([good[-1] ^ 1]), good[:-1], None):
            (tmp_path / path).unlink()
            if bad is not None:
                (tmp_path / path).write_bytes(bad)
            with pytest.raises(LedgerError):
                Ledger.open(tmp_path, ORIGIN, SEED)
        (tmp_path / path).write_bytes(good)

    Ledger.open(tmp_path, ORIGIN, SEED).close()


def test_what_a_torn_append_left_is_removed(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        ledger.append(entries(300))
    before = files(tmp_path)
    for torn in (
        "checkpoint.new",
        "vkey.new",
        "tile/0/001",
        "tile/0/001.p/99",
        "tile/0/002",
        "tile/0/003.p/7",
        "tile/1/000.p/3",
        "tile/2/000.p/1",
        "tile/entries/001.p/12",
        "tile/entries/000.p/12",
    ):
        (tmp_path / torn).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / torn).write_bytes(b"torn")

    Ledger.open(tmp_path, ORIGIN, SEED).close()

    assert files(tmp_path) == before


def test_a_reader_with_an_older_head_finds_its_entries_in_wider_tiles(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        ledger.append(entries(200))
        reading = ledger.read(0)
        ledger.append(entries(20, 200))
        assert list(reading) == entries(200)

        reading = ledger.read(0)
        ledger.append(entries(100, 220))
        assert list(reading) == entries(220)
