"""A certificate names what was done, lies whole or not at all; its proofs hold by themselves."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from residency.ledger.errors import LedgerError
from residency.ledger.files import Ledger
from residency.ledger.note import Signer
from residency.ledger.proof import Proof, check_proof
from residency.vault.erasure import Erasure, RowAbroad, State, Step
from streams.erasing.certificate import leaf_of, write_certificate

ORIGIN, SEED = "ledger.eu.test/transfers", b"s" * 32
LOG = Signer(ORIGIN, SEED).verifier
ROW = RowAbroad(
    "Commerce_Order__c", "", "eu.commerce.orders.v1[0]@7#0+1", "id", 7, "ab" * 32, 0,
    deletes=False, result="accepted", leaf=1,
)  # fmt: skip
STATE = State(
    rows=(ROW, replace(ROW, object="Commerce_Case__c", deletes=True, leaf=2)),
    counts={"anonymised": 1, "deleted": 1, "events": 3},
    undecided=("eu.commerce.orders.v1[0]@9",),
    time="2026-11-26T05:01Z",
)
ONE = Erasure("ab" * 16, b"s" * 16, "tok_eu1_x", 1.0, "command", Step.LOGGED, STATE, leaf=3)
LEAF = leaf_of(ONE, "cd" * 32, "2026-11-26T05:01Z")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ledger").mkdir()
    with Ledger.open(tmp_path / "ledger", ORIGIN, SEED, at_least=0) as ledger:
        ledger.append([b"zero", b"one", b"two", LEAF.to_bytes()])
    return tmp_path


def test_the_leaf_says_who_asked_and_when_and_is_the_same_each_time() -> None:
    event = replace(ONE, asked_by="eu.commerce.customers.v1[0]@3")

    assert (LEAF.by, LEAF.asked, LEAF.request) == ("command", "1970-01-01T00:00Z", ONE.request)
    assert LEAF.counts == {"anonymised": 1, "deleted": 1, "events": 3}
    assert leaf_of(event, "cd" * 32, "2026-11-26T05:01Z").by == "event"
    assert leaf_of(ONE, "cd" * 32, "2026-11-26T05:01Z") == LEAF


def test_it_names_rows_and_leaves_and_no_token(folder: Path) -> None:
    place = write_certificate(folder, LOG, ONE, LEAF)

    told = json.loads(place.read_bytes())
    assert place == folder / "erasures" / ONE.request / "certificate.json"
    assert [(row["action"], row["transfer"]) for row in told["abroad"]] == [
        ("anonymise", 1), ("delete", 2),
    ]  # fmt: skip
    assert told["ledger"] == {"origin": ORIGIN, "vkey": str(LOG), "leaf": 3}
    assert told["undecided"] == list(STATE.undecided)
    assert told["counts"] == dict(LEAF.counts)
    assert "tok_" not in place.read_text()


def test_each_leaf_that_it_names_lies_beside_it_with_its_proof(folder: Path) -> None:
    beside = write_certificate(folder, LOG, ONE, LEAF).parent

    for leaf in (1, 2, 3):
        proof = Proof.parse((beside / f"{leaf}.tlog-proof").read_bytes())
        check_proof(proof, (beside / f"{leaf}.json").read_bytes(), LOG)
        assert proof.index == leaf
    assert (beside / "3.json").read_bytes() == LEAF.to_bytes()


def test_it_may_be_written_again_and_leaves_no_draft(folder: Path) -> None:
    first = write_certificate(folder, LOG, ONE, LEAF).read_bytes()
    (folder / "erasures" / f".{ONE.request}").mkdir()  # of who died

    again = write_certificate(folder, LOG, ONE, LEAF).read_bytes()

    assert again == first
    assert [path.name for path in (folder / "erasures").iterdir()] == [ONE.request]


def test_without_one_of_its_leaves_there_is_no_certificate(folder: Path) -> None:
    with pytest.raises((LedgerError, ValueError)):
        write_certificate(folder, LOG, replace(ONE, leaf=9), LEAF)

    assert not (folder / "erasures" / ONE.request).exists()
