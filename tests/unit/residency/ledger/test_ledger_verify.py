"""An outsider finds any change to any file of a ledger, and any outcome without its transfer."""

import dataclasses
import shutil
import tracemalloc
from pathlib import Path

import pytest

from residency.ledger.errors import LedgerError
from residency.ledger.files import Ledger
from residency.ledger.history import History
from residency.ledger.leaves import TransferLeaf
from residency.ledger.note import Signer
from residency.ledger.outcomes import OutcomeLeaf, SentWith
from residency.ledger.proof import Proof, ProofError, check_proof, make_proof
from residency.ledger.reader import Reader
from residency.ledger.tree import EMPTY_ROOT
from residency.ledger.verify import verify
from schemas.errors import SetupError
from schemas.events import Coordinates, RecordId

ORIGIN = "ledger.eu.example/transfers"
SEED = bytes(range(32))
LOG = Signer(ORIGIN, SEED).verifier
TIME = "2026-11-23T16:40Z"


def record(offset: int) -> RecordId:
    return RecordId(Coordinates("eu.commerce.orders.v1", 0, offset), topic_id="mKf0Jv4aQ3ywXKzQ")


def transfer(offset: int) -> TransferLeaf:
    return TransferLeaf(
        TIME, record(offset), "Commerce_Order__c", 1, "ab" * 32, 1, "0.1.0", (), "cd" * 32
    )


def outcome(offset: int, leaf: int | None) -> OutcomeLeaf:
    return OutcomeLeaf(
        TIME, record(offset), leaf, "gate-refused" if leaf is None else "accepted", None
    )


def make(folder: Path, *batches: list[TransferLeaf | OutcomeLeaf]) -> Path:
    with Ledger.open(folder, ORIGIN, SEED) as ledger:
        for batch in batches:
            ledger.append([leaf.to_bytes() for leaf in batch])
    return folder


def many(size: int) -> list[TransferLeaf | OutcomeLeaf]:
    return [transfer(n) for n in range(size)]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 1000])
def test_an_honest_ledger_verifies(tmp_path: Path, size: int) -> None:
    seen: list[tuple[int, int]] = []

    report = verify(make(tmp_path, many(size)), str(LOG), lambda done, of: seen.append((done, of)))

    assert report.problems == ()
    assert report.verified
    assert (report.origin, report.size) == (ORIGIN, size)
    assert seen[-1:] == ([(size, size)] if size else [])


def test_a_change_to_any_byte_of_any_file_is_found(tmp_path: Path) -> None:
    folder = make(tmp_path, [transfer(0), transfer(1)], [outcome(0, 0), outcome(1, 1)])
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    assert len(paths) == 4  # checkpoint, vkey, a bundle, a tile

    for path in paths:
        good = path.read_bytes()
        for at in range(len(good)):
            path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            assert not verify(folder, None).verified, f"{path.name} byte {at}"
        for bad in (good[:-1], good + b"\0", b""):
            path.write_bytes(bad)
            assert not verify(folder, None).verified, f"{path.name} cut or longer"
        path.unlink()
        assert not verify(folder, None).verified, f"{path.name} missing"
        path.write_bytes(good)

    assert verify(folder, None).verified


def test_a_change_to_any_tile_of_a_ledger_with_levels_is_found(tmp_path: Path) -> None:
    folder = make(tmp_path, many(600))

    for path in (folder / "tile").rglob("*"):
        if path.is_file():
            good = path.read_bytes()
            path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
            assert not verify(folder, str(LOG)).verified, path
            path.write_bytes(good)


def test_a_change_to_a_full_tile_above_the_leaves_is_found(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        ledger.append([outcome(n, None).to_bytes() for n in range(65_536)])
    tile = tmp_path / "tile/1/000"
    tile.write_bytes(tile.read_bytes()[:-1] + b"x")

    report = verify(tmp_path, str(LOG))

    assert report.problems == ("leaves 65280 to 65535: they do not hash to tile/1/000",)


def test_the_first_bad_leaf_is_named_and_is_the_only_problem(tmp_path: Path) -> None:
    folder = make(tmp_path, many(600))
    bundle = folder / "tile/entries/001"
    bundle.write_bytes(bundle.read_bytes().replace(b"@300#0", b"@999#0"))

    report = verify(folder, str(LOG))

    assert report.problems == ("leaf 300: the entry does not hash to what tile/0/001 holds",)


def test_a_forger_who_rehashes_everything_lacks_the_signature(tmp_path: Path) -> None:
    folder = make(tmp_path / "good", many(3))
    forged = make(tmp_path / "bad", [transfer(0), transfer(7), transfer(2)])
    shutil.rmtree(folder / "tile")
    shutil.copytree(forged / "tile", folder / "tile")

    assert verify(folder, str(LOG)).problems == (
        "the tree of size 3 has not the root that the checkpoint signs",
    )


def test_another_logs_key_does_not_verify(tmp_path: Path) -> None:
    report = verify(make(tmp_path, many(3)), str(Signer(ORIGIN, bytes(32)).verifier))

    assert report.origin is None
    assert "not signed by" in report.problems[0]


@pytest.mark.parametrize(
    ("batch", "leaf"),
    [
        ([outcome(0, 0)], 0),  # itself
        ([outcome(0, 1), transfer(0)], 0),  # a later one
        ([transfer(0), outcome(1, 0)], 1),  # another record's
        ([transfer(0), outcome(0, 0), outcome(0, 0)], 2),  # twice
        ([transfer(0), outcome(0, 0), outcome(0, 1)], 2),  # no transfer
    ],
)
def test_an_outcome_without_its_transfer_is_a_problem(
    tmp_path: Path, batch: list[TransferLeaf | OutcomeLeaf], leaf: int
) -> None:
    (problem,) = verify(make(tmp_path, batch), None).problems

    assert problem.startswith(f"leaf {leaf}: an outcome of eu.commerce.orders.v1[0]@")


@pytest.mark.parametrize(
    ("batch", "problem"),
    [
        (
            [transfer(0), transfer(1), transfer(0)],
            "leaf 2: a transfer of {0}, which has one already: leaf 0",
        ),
        (
            [transfer(0), outcome(0, 0), transfer(0)],
            "leaf 2: a transfer of {0}, which has one already: leaf 0",
        ),
        (
            [transfer(0), transfer(0), outcome(0, 1)],  # an outcome answers the later one
            "leaf 1: a transfer of {0}, which has one already: leaf 0",
        ),
        (
            [transfer(0), transfer(1), outcome(0, 0), outcome(1, 1), outcome(0, 0)],
            "leaf 4: an outcome of {0}, which has one already: leaf 2",
        ),
        (
            [outcome(0, None), outcome(1, None), outcome(0, None)],
            "leaf 2: an outcome of {0}, which has one already: leaf 0",
        ),
        (
            [transfer(0), outcome(0, 0), outcome(0, None)],
            "leaf 2: an outcome of {0}, which has one already: leaf 1",
        ),
        (
            [transfer(0), outcome(0, None)],
            "leaf 1: the gate refused {0}, which has a transfer: leaf 0",
        ),
        (
            [outcome(0, None), transfer(0)],
            "leaf 1: a transfer of {0}, which the gate refused: leaf 0",
        ),
    ],
)
def test_a_record_has_one_transfer_and_one_outcome(
    tmp_path: Path, batch: list[TransferLeaf | OutcomeLeaf], problem: str
) -> None:
    report = verify(make(tmp_path, batch), str(LOG))

    assert report.problems == (problem.format(record(0)),)


def test_records_that_a_leaf_says_it_went_out_with_were_announced_before(tmp_path: Path) -> None:
    pair = SentWith.of((record(0), record(1)))
    alone = dataclasses.replace(outcome(0, 0), sent_with=pair)
    late = [transfer(0), alone, transfer(1)]

    report = verify(make(tmp_path / "honest", [transfer(0), transfer(1), alone]), None)
    forged = verify(make(tmp_path / "forged", late), None)

    assert report.problems == ()
    assert forged.problems == (
        f"leaf 1: {record(0)} was sent with {record(1)}, which has no transfer before it",
    )


def test_a_record_is_told_from_its_namesakes_and_from_its_resend(tmp_path: Path) -> None:
    names = [
        record(0),
        record(1),
        dataclasses.replace(record(0), topic_id="B"),
        dataclasses.replace(record(0), output=1),
        dataclasses.replace(record(0), resend=1),
    ]
    transfers = [dataclasses.replace(transfer(0), record=name) for name in names]
    outcomes = [dataclasses.replace(outcome(0, n), record=name) for n, name in enumerate(names)]

    assert verify(make(tmp_path, [*transfers, *outcomes]), None).problems == ()


def test_a_record_is_held_to_once_across_bundles(tmp_path: Path) -> None:
    folder = make(tmp_path, many(600), [transfer(3)], [outcome(n, n) for n in range(600) if n != 3])

    assert verify(folder, None).problems == (
        f"leaf 600: a transfer of {record(3)}, which has one already: leaf 3",
    )


def test_what_a_record_was_costs_little_memory() -> None:
    history, count = History(), 20_000
    tracemalloc.start()
    for index in range(count):
        assert list(history.check(index, transfer(index))) == []
        assert list(history.check(count + index, outcome(index, index))) == []

    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held / count < 160  # bytes; the names themselves would take more


def test_an_outcome_of_a_recreated_topics_namesake_is_a_problem(tmp_path: Path) -> None:
    other = dataclasses.replace(outcome(0, 0), record=dataclasses.replace(record(0), topic_id="B"))

    assert not verify(make(tmp_path, [transfer(0), other]), None).verified


def test_a_refusal_by_the_gate_needs_no_transfer(tmp_path: Path) -> None:
    assert verify(make(tmp_path, [outcome(0, None)]), None).verified


def test_an_entry_that_is_no_leaf_is_a_problem(tmp_path: Path) -> None:
    with Ledger.open(tmp_path, ORIGIN, SEED) as ledger:
        ledger.append([b'{"kind":"gossip"}', b"{ }"])

    first, second = verify(tmp_path, None).problems

    assert first.startswith("leaf 0: a leaf of a kind that this release does not know")
    assert second.startswith("leaf 1: a leaf is not a canonical JSON object")


def test_files_that_are_no_part_of_the_ledger_are_a_problem(tmp_path: Path) -> None:
    folder = make(tmp_path, many(300))
    (folder / "tile/0/readme").write_bytes(b"hello")
    (folder / "tile/0/001.p/7").write_bytes(bytes(7 * 32))

    assert sorted(verify(folder, None).problems) == [
        "'tile/0/readme' is not the path of a tile",
        "tile/0/001.p/7 is not what tile/0/001.p/44 began as",
    ]


def test_what_a_torn_append_left_beyond_the_checkpoint_is_no_problem(tmp_path: Path) -> None:
    folder = make(tmp_path, many(10))
    (folder / "tile/0/000.p/12").write_bytes(b"torn")
    (folder / "tile/0/001").write_bytes(b"torn")

    assert verify(folder, None).verified


def test_a_ruin_gives_a_short_report(tmp_path: Path) -> None:
    folder = make(tmp_path, many(60_000))
    shutil.rmtree(folder / "tile")

    report = verify(folder, None)

    assert len(report.problems) == 100
    assert report.problems[-1] == "more problems follow; mend these first"


def test_no_ledger_is_a_matter_of_set_up(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no ledger in"):
        verify(tmp_path, None)


# -- proofs of single entries


@pytest.mark.parametrize("size", [1, 2, 256, 257, 700])
def test_every_leaf_has_a_proof_that_an_outsider_can_check(tmp_path: Path, size: int) -> None:
    reader = Reader(make(tmp_path, many(size)))

    for index in range(0, size, 1 if size < 3 else 37):
        proof = make_proof(reader, LOG, index)
        entry = transfer(index).to_bytes()

        assert Proof.parse(bytes(proof)) == proof
        assert check_proof(proof, entry, LOG).size == size
        with pytest.raises(ProofError):
            check_proof(proof, entry + b" ", LOG)


def test_no_byte_of_a_proof_may_change(tmp_path: Path) -> None:
    proof = bytes(make_proof(Reader(make(tmp_path, many(5))), LOG, 2))
    entry = transfer(2).to_bytes()

    for at in range(len(proof)):
        bad = proof[:at] + bytes([proof[at] ^ 1]) + proof[at + 1 :]
        with pytest.raises(LedgerError):
            check_proof(Proof.parse(bad), entry, LOG)


def test_the_form_of_a_proof_is_tlog_proof() -> None:
    proof = Proof(7, (bytes(32), EMPTY_ROOT), b"checkpoint\n", b"extra")

    assert bytes(proof).decode() == (
        "c2sp.org/tlog-proof@v1\n"
        "extra ZXh0cmE=\n"
        "index 7\n"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
        "\n"
        "checkpoint\n"
    )
    assert Proof.parse(bytes(proof)) == proof


@pytest.mark.parametrize(
    "text",
    [
        "",
        "c2sp.org/tlog-proof@v1\n",
        "c2sp.org/tlog-proof@v1\n\nx",
        "c2sp.org/tlog-proof@v2\nindex 0\n\nx",
        "c2sp.org/tlog-proof@v1\nindex 01\n\nx",
        "c2sp.org/tlog-proof@v1\nindex -1\n\nx",
        "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\nx",
        "c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA\n\nx",
        "c2sp.org/tlog-proof@v1\nextra \nindex 0\n\nx",
    ],
)
def test_what_is_no_tlog_proof_is_refused(text: str) -> None:
    with pytest.raises(LedgerError):
        Proof.parse(text.encode())


def test_a_proof_of_a_damaged_leaf_is_not_given_out(tmp_path: Path) -> None:
    folder = make(tmp_path, many(5))
    bundle = folder / "tile/entries/000.p/5"
    bundle.write_bytes(bundle.read_bytes().replace(b"@3#0", b"@4#0"))

    with pytest.raises(ProofError, match="leaf 3"):
        make_proof(Reader(folder), LOG, 3)
