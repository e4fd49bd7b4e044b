"""What the demo says of erasures can fail: a row left, a proof that is none, one that waits."""

import random
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from connectors.kafka.topology import TopicInfo
from residency.keys import token_keys
from residency.ledger.files import Ledger
from residency.ledger.note import Signer
from residency.plan.model import ErasurePlan, FieldPlan
from residency.vault.erasure import Erasure, RowAbroad, State, Step
from schemas.codec import encode
from schemas.events import Coordinates, RawEvent, RecordId
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.cli import cli
from streams.cli.demo_told import tell
from streams.demo import erased
from streams.demo.erased import Rows, Written, hold
from streams.demo.generate import Shop
from streams.demo.observe import Counts
from streams.demo.outcome import Outcome
from streams.demo.publish import Published
from streams.erasing.certificate import leaf_of, write_certificate
from streams.plans import load_book

ORIGIN, SEED = "ledger.eu.test/transfers", b"s" * 32
LOG = Signer(ORIGIN, SEED).verifier
ORDER, CASE = "Commerce_Order__c", "Commerce_Case__c"
ROW = RowAbroad(
    ORDER, "", "eu.commerce.orders.v1[0]@7#0+1", "id", 7, "ab" * 32, 0,
    deletes=False, result="accepted", leaf=1,
)  # fmt: skip
GONE = replace(ROW, object=CASE, name="eu.commerce.messages.v1[0]@2#0+1", deletes=True, leaf=2)
STATE = State(rows=(ROW, GONE), counts={"events": 3}, time="2026-11-26T05:01Z")
ONE = Erasure("ab" * 16, b"s" * 16, "", 1.0, "command", Step.DONE, STATE, leaf=3)
LEAF = leaf_of(ONE, "cd" * 32, "2026-11-26T05:01Z")
AN_ORDER = Written(
    ORDER,
    "tok_eu1_x",
    ErasurePlan(
        cleared=("Customer_Key__c", "Placed_At__c"),
        fields=(
            FieldPlan("Gift__c", "boolean", "constant", value="false"),
            FieldPlan("Status__c", "string", "constant", value="erased"),
        ),
    ),
)
A_CASE = Written(CASE, "tok_eu1_y", ErasurePlan(deletes=True))
EMPTY = {"Customer_Key__c": None, "Placed_At__c": "", "Gift__c": False, "Status__c": "erased"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "eu"
    (place / "ledger").mkdir(parents=True)
    with Ledger.open(place / "ledger", ORIGIN, SEED, at_least=0) as ledger:
        ledger.append([b"zero", b"one", b"two", LEAF.to_bytes()])
    write_certificate(place, LOG, ONE, LEAF)
    return place


def looked(name: RecordId) -> tuple[str, list[str]]:
    return ("a case deleted" if "messages" in str(name) else "an order anonymised"), []


def test_one_that_is_done_is_shown_with_steps_certificate_leaf_and_rows(folder: Path) -> None:
    found = hold(folder, ONE.request, ONE, looked)

    assert found.reached == [
        "asked", "settled", "listed", "abroad", "home", "logged", "certified", "done",
    ]  # fmt: skip
    assert found.certificate == folder / "erasures" / ONE.request / "certificate.json"
    assert (found.leaf, found.tree, found.proofs) == (3, 4, 2)
    assert found.rows == {"a case deleted": 1, "an order anonymised": 1}
    assert found.faults() == []


@pytest.mark.parametrize(
    ("file", "other", "told"),
    [
        ("3.json", "2.json", "leaf 3 is not proved: the proof does not lead from this entry"),
        ("3.tlog-proof", "1.tlog-proof", "leaf 3 is not proved"),
        ("2.tlog-proof", "3.json", "leaf 2 is not proved: not a proof"),
    ],
)
def test_a_proof_that_does_not_hold_is_wrong(
    folder: Path, file: str, other: str, told: str
) -> None:
    beside = folder / "erasures" / ONE.request
    (beside / file).write_bytes((beside / other).read_bytes())

    found = hold(folder, ONE.request, ONE, looked)

    assert any(told in fault for fault in found.faults()), found.faults()


def test_a_proved_leaf_that_is_not_of_the_erasure_is_wrong(folder: Path) -> None:
    text = (folder / "erasures" / ONE.request / "certificate.json").read_text()
    other = folder / "erasures" / ("ef" * 16)
    (folder / "erasures" / ONE.request).rename(other)
    (other / "certificate.json").write_text(text.replace(ONE.request, "ef" * 16))

    found = hold(folder, "ef" * 16, replace(ONE, request="ef" * 16), looked)

    assert [fault for fault in found.faults() if "leaf 3 is not of this erasure" in fault]


def test_one_that_is_done_without_a_certificate_is_wrong(tmp_path: Path) -> None:
    found = hold(tmp_path / "eu", ONE.request, ONE, looked)

    assert found.faults() == [f"eu: erasure {ONE.request}: it is done, and there is no certificate"]


@pytest.mark.parametrize(
    ("one", "is_well"),
    [
        (None, False),
        (ONE.at(Step.ASKED), False),
        (ONE.at(Step.LISTED), True),  # egress holds deletions back
        (ONE.at(Step.LISTED).stuck("refused: a record"), False),
        (ONE.at(Step.HOME), False),
    ],
)
def test_one_that_is_not_done_is_well_only_while_it_waits_for_rows_abroad(
    tmp_path: Path, one: Erasure | None, *, is_well: bool
) -> None:
    found = hold(tmp_path / "eu", ONE.request, one, looked)

    assert not found.is_done
    assert (found.faults() == []) is is_well


def test_a_row_is_as_an_erasure_leaves_it_or_the_fields_that_differ_are_named() -> None:
    full = EMPTY | {"Placed_At__c": "2026-11-26", "Gift__c": True, "Status__c": "paid"}

    assert AN_ORDER.faults(EMPTY) == A_CASE.faults(None) == []
    assert AN_ORDER.state(EMPTY) == "Commerce_Order__c anonymised, 2 fields emptied"
    assert A_CASE.state(None) == "Commerce_Case__c deleted"
    assert [fault.partition(":")[0] for fault in AN_ORDER.faults(full)] == [
        "Commerce_Order__c.Placed_At__c",
        "Commerce_Order__c.Gift__c",
        "Commerce_Order__c.Status__c",
    ]
    assert AN_ORDER.faults(None)
    assert A_CASE.faults({"Subject__c": "x"})
    assert "STILL THERE" in A_CASE.state({}) + AN_ORDER.state(full)
    assert "paid" not in str(AN_ORDER.faults(full))


def test_the_row_of_a_record_is_known_by_the_definition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = next(
        one
        for one in Shop(random.Random(11), ["eu"]).publications(500)
        if one.type == "commerce.orders.OrderPlaced" and one.trap is None
    )
    at, info = Coordinates("eu.commerce.orders.v1", 0, 7), TopicInfo("id", 1, 4)
    monkeypatch.setattr(erased, "load_topics", lambda *_: {at.topic: info})
    keys = token_keys(tmp_path / "eu/keys", "eu")
    schema = load_registry().latest(event.type)
    value = encode(schema, from_plain(schema, event.data))
    book = load_book("eu", keys, datetime.now(UTC).date())
    made = book.minimise(RawEvent(at, info.id, info.generation, value)).records[0]
    row = {"attributes": {"type": made.object}, "External_Id__c": made.external_id}
    name = replace(made.id, resend=1)

    def look(*rows: dict[str, Any]) -> tuple[str, list[str]]:
        return Rows(tmp_path, "eu", [(event, str(at))], rows).look(name)

    assert look(row)[0].startswith(f"{made.object} anonymised")
    assert look(row | {"Customer_Key__c": "tok_eu1_x"})[0] == f"{made.object} STILL THERE"
    assert look()[1]
    assert Rows(tmp_path, "eu", [], [row]).look(name) == ("of an earlier run", [])


def test_the_commands_that_the_closing_text_names_can_be_typed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = hold(folder, ONE.request, ONE, looked)
    told = Outcome(
        published=Published(),
        regions={"eu": Counts()},
        surplus=0,
        leaks=[],
        blind=[],
        unwell=[],
        ledgers={},
        rows=0,
        with_inference=False,
        labelled_rows=0,
        canaries=0,
        searched_bytes=0,
        seconds=1.0,
        setup_seconds=1.0,
        erased=[found, replace(found, step=Step.LISTED, certificate=None, waits="for a row")],
    )

    tell(told, 7, folder.parent)

    said = capsys.readouterr().out
    typed = [shlex.split(line)[1:] for line in said.splitlines() if line.startswith("  homeport ")]
    checked = CliRunner().invoke(cli, typed[0])
    assert "2 asked for by events, 1 done" in said
    assert "the others go on while the stack runs" in said
    assert str(found.certificate) in said
    assert (checked.exit_code, typed[0][:2]) == (0, ["ledger", "check"])
    assert "holds this entry as leaf 3, under a tree of size 4" in checked.output
    assert ["subject", "status", ONE.request] in [words[:3] for words in typed]
    for group, command, *rest in typed:
        found_group = cli.get_command(click.Context(cli), group)
        assert isinstance(found_group, click.Group)
        found_group.commands[command].make_context(command, rest)  # refuses what it does not know
