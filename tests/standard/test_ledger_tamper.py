"""Whatever is done to a ledger, an outsider with its key (and, for the past, a kept head) sees it.

Exhaustive on a small ledger: every byte of every file (in the long form, every bit), every entry
dropped, swapped, doubled, cut off. Sampled on one with levels, with a seed. Where a leaf is bad,
the first bad one is named.
"""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from residency.ledger.files import Ledger
from residency.ledger.leaves import TransferLeaf
from residency.ledger.note import Signer
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.reader import Reader
from residency.ledger.tiles import join_entries
from residency.ledger.tree import leaf_hash
from residency.ledger.verify import Report, verify
from schemas.events import Coordinates, RecordId

ORIGIN = "ledger.eu.example/transfers"
SEED = bytes(range(32))
LOG = Signer(ORIGIN, SEED).verifier
TIME = "2026-11-23T16:40Z"
SMALL = 7
HASH = 32


def record(number: int) -> RecordId:
    return RecordId(Coordinates("eu.commerce.orders.v1", 0, number), topic_id="mKf0Jv4aQ3ywXKzQ")


def pair(number: int, shift: int = 0) -> bytes:
    """Return the entry of leaf *number*: a transfer, then its outcome, in turn."""
    if number % 2:
        leaf = record(number // 2 + shift)
        return OutcomeLeaf(TIME, leaf, number - 1, "accepted", None).to_bytes()
    return TransferLeaf(
        TIME, record(number // 2 + shift), "Commerce_Order__c", 1, "ab" * 32, 1, "0.1.0",
        ("eu-gdpr:A45-3",), "cd" * 32,
    ).to_bytes()  # fmt: skip


def make(folder: Path, size: int, seed: bytes = SEED, shift: int = 0) -> Path:
    with Ledger.open(folder, ORIGIN, seed) as ledger:
        for start in range(0, size, 1000):
            stop = min(size, start + 1000)
            ledger.append([pair(number, shift) for number in range(start, stop)])
    return folder


def look(folder: Path, since: bytes | None = None) -> Report:
    """Return what somebody finds who has the log's key from elsewhere."""
    return verify(folder, str(LOG), since=since)


def paths(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".lock")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return make(tmp_path / "small", SMALL)


def leaf_at(path: Path, at: int) -> int | None:
    """Return which leaf of a small ledger byte *at* of a file belongs to."""
    if path.parent.parent.name == "0":
        return at // HASH
    if path.parent.parent.name != "entries":
        return None
    end = 0
    for number in range(SMALL):
        end += 2 + len(pair(number))
        if at < end:
            return number
    return None


def test_any_flip_in_any_byte_of_any_file_is_seen_and_its_leaf_is_named(
    small: Path, long_run: bool
) -> None:
    assert look(small).verified

    for path in paths(small):
        good = path.read_bytes()
        for at in range(len(good)):
            for bit in range(8) if long_run else (at % 8,):
                path.write_bytes(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
                report = look(small)
                assert not report.verified, f"{path.name} byte {at} bit {bit}"
                assert report.first_bad_leaf == leaf_at(path, at), f"{path.name} byte {at}"
        path.write_bytes(good)

    assert look(small).verified


def test_any_cut_lengthened_emptied_or_missing_file_is_seen(small: Path) -> None:
    for path in paths(small):
        good = path.read_bytes()
        for bad in (*(good[:at] for at in range(len(good))), good + b"\0", good + good):
            path.write_bytes(bad)
            report = look(small)
            assert not report.verified, f"{path.name} with {len(bad)} bytes"
            if path.parent.parent.name == "entries" and len(bad) < len(good):
                assert report.first_bad_leaf == leaf_at(path, len(bad))
        path.unlink()
        # a copy needs no vkey file: whoever looks has the key
        assert look(small).verified == (path.name == "vkey")
        path.write_bytes(good)


def dropped(items: list[bytes], at: int) -> list[bytes]:
    return items[:at] + items[at + 1 :]


def doubled(items: list[bytes], at: int) -> list[bytes]:
    return items[: at + 1] + items[at:]


def swapped(items: list[bytes], at: int) -> list[bytes]:
    other = at + 1 if at + 1 < len(items) else 0
    changed = list(items)
    changed[at], changed[other] = items[other], items[at]
    return changed


def cut(items: list[bytes], at: int) -> list[bytes]:
    return items[:at]


def replaced(items: list[bytes], at: int) -> list[bytes]:
    return [*items[:at], pair(at, shift=99), *items[at + 1 :]]


@pytest.mark.parametrize("change", [dropped, doubled, swapped, cut, replaced])
def test_any_entry_dropped_doubled_swapped_cut_off_or_replaced_is_named(
    small: Path, change: Callable[[list[bytes], int], list[bytes]]
) -> None:
    bundle = small / f"tile/entries/000.p/{SMALL}"
    items = [pair(number) for number in range(SMALL)]

    for at in range(SMALL):
        changed = change(items, at)
        differs = (i for i in range(SMALL) if changed[i : i + 1] != items[i : i + 1])
        bundle.write_bytes(join_entries(changed))
        assert look(small).first_bad_leaf == next(differs, SMALL - 1)  # else only too long


@pytest.mark.parametrize("change", [doubled, swapped, replaced])
def test_a_forger_who_also_makes_the_tile_anew_fails_at_the_signed_root(
    small: Path, change: Callable[[list[bytes], int], list[bytes]]
) -> None:
    items = [pair(number) for number in range(SMALL)]

    for at in range(SMALL):
        changed = change(items, at)[:SMALL]
        if changed == items:
            continue  # the last one doubled, and cut off again
        (small / f"tile/entries/000.p/{SMALL}").write_bytes(join_entries(changed))
        (small / f"tile/0/000.p/{SMALL}").write_bytes(b"".join(map(leaf_hash, changed)))
        assert not look(small).verified


def test_a_tile_made_anew_under_one_of_hashes_names_its_256_leaves(tmp_path: Path) -> None:
    folder = make(tmp_path, 600)
    entries = [pair(number) for number in range(256, 512)]
    entries[9] = pair(265, shift=99)

    (folder / "tile/entries/001").write_bytes(join_entries(entries))
    (folder / "tile/0/001").write_bytes(b"".join(map(leaf_hash, entries)))

    report = look(folder)
    assert report.problems[-2].startswith("leaves 256 to 511: they do not hash to")
    assert report.first_bad_leaf == 256


@pytest.mark.parametrize(("before", "after"), [(1, 2), (7, 8), (256, 257), (300, 600), (255, 256)])
def test_a_ledger_put_back_to_an_earlier_day_is_seen_by_who_kept_a_later_head(
    tmp_path: Path, before: int, after: int
) -> None:
    kept = (make(tmp_path / "later", after) / "checkpoint").read_bytes()
    folder = make(tmp_path / "earlier", before)

    assert look(folder).verified
    assert "rolled back" in look(folder, since=kept).problems[0]


@pytest.mark.parametrize("size", [2, 7, 8, 256, 257, 600])
@pytest.mark.parametrize("kept", [1, 2, 7, 256])
def test_a_history_signed_twice_is_seen_by_who_kept_an_earlier_head(
    tmp_path: Path, kept: int, size: int
) -> None:
    head = (make(tmp_path / "told", kept) / "checkpoint").read_bytes()
    other = make(tmp_path / "other", max(size, kept), shift=5)

    assert look(other).verified
    assert "forked" in look(other, since=head).problems[0]


def test_honest_growth_is_no_fork(tmp_path: Path) -> None:
    for kept in (1, 2, 7, 255, 256, 257):
        head = (make(tmp_path / f"told{kept}", kept) / "checkpoint").read_bytes()
        assert look(make(tmp_path / f"grown{kept}", 600), since=head).problems == ()


def test_a_ledger_under_another_key_is_seen(tmp_path: Path, small: Path) -> None:
    other = make(tmp_path / "other", SMALL, seed=bytes(32))

    assert verify(other, None).verified  # it agrees with itself
    assert "not signed by" in look(other).problems[0]
    shutil.copy(other / "vkey", small / "vkey")
    assert "vkey" in look(small).problems[0]
    shutil.copy(other / "checkpoint", small / "checkpoint")
    assert "not signed by" in look(small).problems[0]


def harm(folder: Path, path: Path, rng: random.Random) -> None:
    """Change *path* in one of the ways above."""
    good = path.read_bytes()
    at = rng.randrange(len(good))
    match rng.randrange(5):
        case 0:
            path.write_bytes(good[:at] + bytes([good[at] ^ 1 << rng.randrange(8)]) + good[at + 1 :])
        case 1:
            path.write_bytes(good[:at])
        case 2:
            path.unlink()
        case 3:
            path.write_bytes(good[:at] + good[at : at + 40] + good[at:])
        case _:
            twins = [p for p in paths(folder) if p != path and p.read_bytes() != good]
            shutil.copy(rng.choice(twins), path)


@pytest.mark.timeout(1_800)  # the long form: a second per round
def test_any_harm_to_a_file_of_a_large_ledger_is_seen(tmp_path: Path, long_run: bool) -> None:
    size, rounds = (70_000, 400) if long_run else (3_000, 150)
    folder, rng = make(tmp_path / "large", size), random.Random(20261125)
    files = [path for path in paths(folder) if path.name != "vkey"]
    assert look(folder).verified

    for number in range(rounds):
        path = rng.choice(files)
        good = path.read_bytes()
        harm(folder, path, rng)
        report = look(folder)
        assert not report.verified, f"round {number}: {path}"
        place = path.relative_to(folder)
        if place.parts[0] == "tile":
            first = first_leaf_of(place)
            assert report.first_bad_leaf is not None
            assert first <= report.first_bad_leaf < first + 256 ** (level_of(place) + 1)
        path.write_bytes(good)

    assert Reader(folder).checkpoint()
    assert look(folder).verified


def test_a_bad_leaf_is_named_as_narrowly_where_a_third_level_stands_on_it(tmp_path: Path) -> None:
    """The hash of 65,536 leaves differs, too, and would name the first of them."""
    folder = tmp_path / "deep"
    with Ledger.open(folder, ORIGIN, SEED) as ledger:
        ledger.append([b"x"] * 256**2)
        ledger.append([b"y"])
    shutil.rmtree(folder / "tile/entries")
    assert verify(folder, str(LOG), is_part=True).verified
    tile = folder / "tile/0/007"
    tile.write_bytes(bytes(HASH) + tile.read_bytes()[HASH:])

    report = verify(folder, str(LOG), is_part=True)

    assert report.first_bad_leaf == 7 * 256
    named, root = report.problems
    assert named.startswith("leaves 1792 to 2047: they do not hash to tile/1/000")
    assert "not the root" in root


def level_of(place: Path) -> int:
    return 0 if place.parts[1] == "entries" else int(place.parts[1])


def first_leaf_of(place: Path) -> int:
    """Return the first leaf under a tile of a ledger of less than 256,000 leaves."""
    leaves: int = 256 ** (level_of(place) + 1)
    return int(place.parts[2].removesuffix(".p")) * leaves
