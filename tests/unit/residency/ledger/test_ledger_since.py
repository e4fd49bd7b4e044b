"""Who kept a checkpoint needs only what is new; who holds a part is told what it did not show."""

import shutil
from pathlib import Path

import pytest

from residency.ledger.files import Ledger
from residency.ledger.leaves import TransferLeaf
from residency.ledger.note import Checkpoint, Signer
from residency.ledger.outcomes import OutcomeLeaf, SentWith
from residency.ledger.verify import verify
from schemas.events import Coordinates, RecordId

ORIGIN = "ledger.eu.example/transfers"
SEED = bytes(range(32))
VKEY = str(Signer(ORIGIN, SEED).verifier)
TIME = "2026-11-23T16:40Z"

Leaf = TransferLeaf | OutcomeLeaf


def record(offset: int) -> RecordId:
    return RecordId(Coordinates("eu.commerce.orders.v1", 0, offset), topic_id="mKf0Jv4aQ3ywXKzQ")


def transfer(offset: int, plan: str = "ab") -> TransferLeaf:
    return TransferLeaf(
        TIME, record(offset), "Commerce_Order__c", 1, plan * 32, 1, "0.1.0", (), "cd" * 32
    )


def outcome(offset: int, leaf: int, with_: SentWith | None = None) -> OutcomeLeaf:
    return OutcomeLeaf(TIME, record(offset), leaf, "accepted", None, (), with_)


def add(folder: Path, leaves: list[Leaf]) -> bytes:
    """Append *leaves* and return the checkpoint that signs them."""
    with Ledger.open(folder, ORIGIN, SEED) as ledger:
        for start in range(0, len(leaves), 60_000):
            ledger.append([leaf.to_bytes() for leaf in leaves[start : start + 60_000]])
        return ledger.checkpoint


def transfers(start: int, stop: int) -> list[Leaf]:
    return [transfer(n) for n in range(start, stop)]


@pytest.mark.parametrize("old", [0, 1, 255, 256, 257, 511, 600])
@pytest.mark.parametrize("new", [0, 1, 255, 256, 900])
def test_a_ledger_that_only_grew_verifies_from_any_kept_checkpoint(
    tmp_path: Path, old: int, new: int
) -> None:
    kept = add(tmp_path, transfers(0, old))
    add(tmp_path, transfers(old, old + new))
    seen: list[tuple[int, int]] = []

    report = verify(tmp_path, VKEY, lambda done, of: seen.append((done, of)), since=kept)

    assert report.problems == ()
    assert (report.start, report.size, report.absent) == (old, old + new, 0)
    assert seen[-1:] == ([(new, new)] if new else [])


def test_levels_above_the_leaves_are_rebuilt_from_the_kept_size_on(tmp_path: Path) -> None:
    kept = add(tmp_path, transfers(0, 65_000))
    add(tmp_path, transfers(65_000, 66_000))

    assert verify(tmp_path, VKEY, since=kept).problems == ()
    tile = tmp_path / "tile/1/000"
    tile.write_bytes(tile.read_bytes()[:-1] + b"x")
    assert verify(tmp_path, VKEY, since=kept).problems


def test_only_what_is_new_is_read_and_its_first_bad_leaf_is_named(tmp_path: Path) -> None:
    kept = add(tmp_path, transfers(0, 600))
    add(tmp_path, transfers(600, 900))
    (tmp_path / "tile/entries/000").unlink()  # older than the kept checkpoint: not looked at
    bundle = tmp_path / "tile/entries/002"
    bundle.write_bytes(bundle.read_bytes().replace(b"@700#0", b"@999#0"))

    report = verify(tmp_path, VKEY, since=kept)

    assert report.problems == ("leaf 700: the entry does not hash to what tile/0/002 holds",)


@pytest.mark.parametrize("size", [100, 256, 700])
def test_a_fork_is_named_whatever_its_size(tmp_path: Path, size: int) -> None:
    kept = add(tmp_path / "one", [*transfers(0, 50), transfer(50, "ef"), *transfers(51, 256)])
    add(tmp_path / "two", transfers(0, max(size, 256)))

    report = verify(tmp_path / "two", VKEY, since=kept)

    assert len(report.problems) == 1
    assert report.problems[0].startswith(
        f"kept checkpoint: forked: the first 256 leaves of {ORIGIN}"
    )


def test_a_rollback_is_named(tmp_path: Path) -> None:
    add(tmp_path / "now", transfers(0, 100))
    shutil.copytree(tmp_path / "now", tmp_path / "older")
    kept = add(tmp_path / "now", transfers(100, 101))

    report = verify(tmp_path / "older", VKEY, since=kept)

    assert report.problems[0].startswith(
        f"kept checkpoint: rolled back: {ORIGIN} has 100 leaves, and had 101"
    )


def test_bad_tiles_are_not_called_a_fork(tmp_path: Path) -> None:
    kept = add(tmp_path, transfers(0, 300))
    add(tmp_path, transfers(300, 400))
    tile = tmp_path / "tile/0/001.p/144"
    tile.write_bytes(b"x" + tile.read_bytes()[1:])

    (problem,) = verify(tmp_path, VKEY, since=kept).problems

    assert "do not lead to the root" in problem
    assert "fork" not in problem


def test_two_heads_of_one_size_are_a_fork_even_where_tiles_are_bad(tmp_path: Path) -> None:
    kept = add(tmp_path / "one", transfers(0, 50))
    add(tmp_path / "two", transfers(1, 51))
    tile = tmp_path / "two/tile/0/000.p/50"
    tile.write_bytes(b"x" + tile.read_bytes()[1:])

    (problem,) = verify(tmp_path / "two", VKEY, since=kept).problems

    assert problem.startswith("kept checkpoint: forked")


def test_a_kept_empty_tree_with_another_root_is_a_fork(tmp_path: Path) -> None:
    add(tmp_path, transfers(0, 3))
    kept = bytes(Signer(ORIGIN, SEED).sign(str(Checkpoint(ORIGIN, 0, bytes(32)))))

    (problem,) = verify(tmp_path, VKEY, since=kept).problems

    assert problem.startswith("kept checkpoint: forked: the first 0 leaves")


def test_leaves_before_the_kept_checkpoint_are_not_judged_again(tmp_path: Path) -> None:
    kept = add(tmp_path, [*transfers(0, 10), outcome(5, 5), outcome(5, 5)])
    add(tmp_path, transfers(10, 20))

    assert not verify(tmp_path, VKEY).verified
    assert verify(tmp_path, VKEY, since=kept).problems == ()


def test_a_kept_checkpoint_of_another_key_is_refused(tmp_path: Path) -> None:
    add(tmp_path / "one", transfers(0, 3))
    with Ledger.open(tmp_path / "two", ORIGIN, bytes(32)) as other:
        kept = other.checkpoint

    (problem,) = verify(tmp_path / "one", VKEY, since=kept).problems

    assert problem.startswith(f"kept checkpoint: not signed by {ORIGIN}")


def test_an_outcome_may_name_a_transfer_from_before_the_kept_checkpoint(tmp_path: Path) -> None:
    kept = add(tmp_path, transfers(0, 300))
    company = SentWith.of([record(6), record(7)])
    add(tmp_path, [outcome(7, 7, company), outcome(8, 9), outcome(7, 7), outcome(10, 400)])

    report = verify(tmp_path, VKEY, since=kept)

    assert [problem[:40] for problem in report.problems] == [
        "leaf 301: an outcome of eu.commerce.orde",  # names the transfer of another record
        "leaf 302: an outcome of eu.commerce.orde",  # is the second
        "leaf 303: an outcome of eu.commerce.orde",  # names a later leaf
    ]


def test_a_transfer_from_before_the_kept_checkpoint_is_proved_not_believed(tmp_path: Path) -> None:
    kept = add(tmp_path, transfers(0, 300))
    add(tmp_path, [outcome(7, 7)])
    bundle = tmp_path / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b"@7#0", b"@8#0"))

    report = verify(tmp_path, VKEY, since=kept)

    assert report.problems[0].startswith("leaf 7: the entry does not hash to the root")
    assert report.first_bad_leaf == 7


def test_a_part_verifies_only_where_a_part_was_asked_for_and_counts_the_rest(
    tmp_path: Path,
) -> None:
    add(tmp_path, [*transfers(0, 600), outcome(7, 7), outcome(590, 590)])
    (tmp_path / "tile/entries/000").unlink()

    part, whole = verify(tmp_path, VKEY, is_part=True), verify(tmp_path, VKEY)

    assert part.problems == ()
    assert (part.absent, part.unlinked) == (256, 1)
    assert whole.problems[0].startswith("leaves 0 to 255: tile/entries/000 is missing")


def test_a_part_needs_every_hash_and_every_entry_it_has_must_hold(tmp_path: Path) -> None:
    add(tmp_path, transfers(0, 600))
    (tmp_path / "tile/entries/000").unlink()
    bundle = tmp_path / "tile/entries/001"
    bundle.write_bytes(bundle.read_bytes().replace(b"@300#0", b"@999#0"))

    altered = verify(tmp_path, VKEY, is_part=True)
    (tmp_path / "tile/0/000").unlink()
    without_hashes = verify(tmp_path, VKEY, is_part=True)

    assert altered.problems == ("leaf 300: the entry does not hash to what tile/0/001 holds",)
    assert without_hashes.problems[0].startswith("tile/0/000: tile/0/000 is missing")
