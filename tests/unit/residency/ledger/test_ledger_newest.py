"""The newest certificate of a ledger is found from the end, and only if it is proved."""

from dataclasses import replace
from pathlib import Path

import pytest

from residency.ledger.certificates import ModelLeaf
from residency.ledger.errors import LedgerError
from residency.ledger.files import Ledger
from residency.ledger.newest import newest
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.reader import Reader, open_head
from schemas.events import Coordinates, RecordId
from tests.support.certified import LEAF, TIME

RECORD = RecordId(Coordinates("eu.commerce.orders.v1", 0, 7), topic_id="mKf0Jv4aQ3ywXKzQ")
OTHER = OutcomeLeaf(TIME, RECORD, None, "gate-refused", "scanner").to_bytes()
NEWER = replace(LEAF, request="1f" * 16)


def ledger(folder: Path, entries: list[bytes]) -> Path:
    """Return a ledger of *entries*."""
    with Ledger.open(folder, "ledger.eu.example/transfers", bytes(32)) as made:
        made.append(entries)
    return folder


def look(folder: Path) -> tuple[int, object] | None:
    """Return the newest certificate in *folder*."""
    reader = Reader(folder)
    return newest(reader, open_head(reader), ModelLeaf)


@pytest.mark.parametrize("behind", [0, 1, 250, 256, 600])
def test_the_newest_of_its_kind_is_found_however_far_back(tmp_path: Path, behind: int) -> None:
    entries = [OTHER, LEAF.to_bytes(), OTHER, NEWER.to_bytes(), *[OTHER] * behind]

    found = look(ledger(tmp_path, entries))

    assert found == (3, NEWER)


@pytest.mark.parametrize("size", [0, 1, 300])
def test_a_ledger_without_one_has_none(tmp_path: Path, size: int) -> None:
    assert look(ledger(tmp_path, [OTHER] * size)) is None


def test_an_altered_entry_is_not_read_past(tmp_path: Path) -> None:
    folder = ledger(tmp_path, [LEAF.to_bytes(), NEWER.to_bytes()])
    bundle = folder / "tile/entries/000.p/2"
    bundle.write_bytes(bundle.read_bytes().replace(NEWER.request.encode(), b"2f" * 16))

    with pytest.raises(LedgerError, match="leaves 0 to 1"):
        look(folder)


def test_a_tile_altered_along_with_its_entries_is_not_in_the_tree(tmp_path: Path) -> None:
    folder, other = tmp_path / "one", tmp_path / "other"
    ledger(folder, [LEAF.to_bytes(), *[OTHER] * 299])
    ledger(other, [*[OTHER] * 256, NEWER.to_bytes(), *[OTHER] * 43])
    for name in ("tile/entries/001.p/44", "tile/0/001.p/44"):
        (folder / name).write_bytes((other / name).read_bytes())

    with pytest.raises(LedgerError, match="root"):
        look(folder)
