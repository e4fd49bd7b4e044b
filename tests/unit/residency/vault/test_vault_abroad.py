"""What is held abroad is what the leaves commit to; what nobody can tell is said to be so."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from label_world import FIELDS, PLAN
from replayed_orders import BOOKS, KEYS, OTHER, PLACE, ROOT, TIME, Leaf, leaf, raw, refusal

from residency.decisions import Answered, Decision, Key, question
from residency.ledger.accesses import AccessLeaf, Act, Purpose
from residency.ledger.leaves import TransferLeaf, commitment, month_key
from residency.ledger.outcomes import OutcomeLeaf, Result
from residency.plan.labels import label_record
from residency.plan.processors import NO_PROCESSORS
from residency.replay.books import Books
from residency.vault.abroad import (
    NO_DECISION,
    NO_KEYS,
    NO_PLAN,
    OTHER_BYTES,
    Contents,
    Remaker,
    Row,
    Sent,
    leaves_of,
    raw_of,
    record_json,
    rows_of,
    sent_of,
)
from schemas.codec import decode, encode
from schemas.events import Coordinates, RawEvent, RecordId
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop

AT = Coordinates(PLACE.topic, 0, 7)
MINE = raw_of(AT, PLACE.topic_id)
ACCESS = AccessLeaf(TIME, "0f" * 16, "operator", Act.FIND, Purpose.AUDIT, 0, "ab" * 32, "cd" * 32)


def outcome(
    offset: int, transfer: int, result: Result = "accepted", resend: int = 0
) -> OutcomeLeaf:
    name = RecordId(Coordinates(PLACE.topic, 0, offset), 0, resend, PLACE.topic_id)
    return OutcomeLeaf(TIME, name, transfer, result, None)


def found(*leaves: Leaf | AccessLeaf) -> tuple[list[Sent], list[int]]:
    return sent_of([one.to_bytes() for one in leaves], [MINE], lambda _: None)


def none(keys: Sequence[Key]) -> Mapping[Key, Decision]:
    del keys
    return {}


REMAKER = Remaker(BOOKS, ROOT, none)


def contents(one: TransferLeaf, generations: Sequence[int] = (1,)) -> Contents | str:
    return REMAKER.contents(Sent(0, one), raw(7), generations)


class TestLeaves:
    """Which leaves are a person's."""

    def test_those_of_their_raw_records_and_no_others(self) -> None:
        other_topic = replace(leaf(7), record=replace(leaf(7).record, topic_id="b3RoZXI"))

        sent, beside = found(
            leaf(6), ACCESS, leaf(7), other_topic, outcome(6, 0), outcome(7, 2), leaf(70)
        )

        assert [(one.leaf, one.outcome, one.result) for one in sent] == [(2, 5, "accepted")]
        assert beside == []
        assert list(leaves_of(sent, beside)) == [2, 5]

    def test_a_record_that_was_sent_again_is_another_one(self) -> None:
        sent, _ = found(
            leaf(7), outcome(7, 0, "rejected"), leaf(7, resend=1), outcome(7, 2, resend=1)
        )

        assert [(str(one.transfer.record), one.result) for one in sent] == [
            (f"{AT}#0", "rejected"),
            (f"{AT}#0+1", "accepted"),
        ]

    def test_one_without_an_outcome_and_one_that_the_gate_refused_are_told_too(self) -> None:
        sent, beside = found(leaf(7, resend=1), refusal(7))

        assert [(one.leaf, one.outcome, one.result) for one in sent] == [(0, None, None)]
        assert beside == [1]
        assert list(leaves_of(sent, beside)) == [0, 1]

    def test_progress_is_told_of_every_entry(self) -> None:
        told: list[int] = []

        sent_of([leaf(6).to_bytes(), ACCESS.to_bytes()], [MINE], told.append)

        assert told == [0, 1]


class TestContents:
    """What a record said."""

    def test_the_fields_are_those_of_the_bytes_that_the_leaf_commits_to(self) -> None:
        record = BOOKS.of(2).minimise(RawEvent(AT, PLACE.topic_id, 1, raw(7))).records[0]
        _, decoded = decode(load_registry(), record.value)

        told = contents(leaf(7))

        assert isinstance(told, Contents)
        assert told.external_id == record.external_id
        assert told.fields["Status__c"] == "placed"
        assert told.fields["Base_Version__c"] == decoded["Base_Version__c"]
        assert str(decoded["Total__c"]) == told.fields["Total__c"]
        assert {name for name, value in told.fields.items() if value is None} == set(
            decoded["cleared"]
        )
        assert not told.fields.keys() & {"cleared", "deleted", "External_Id__c"}
        assert "tok_" not in repr(told)

    def test_an_older_key_version_and_a_resend_are_told_as_well(self) -> None:
        assert isinstance(contents(leaf(7, version=1)), Contents)
        assert isinstance(contents(leaf(7, resend=3)), Contents)
        assert contents(leaf(7, version=1)) != contents(leaf(7))

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"keys": 3}, NO_KEYS),
            ({"plan": OTHER}, NO_PLAN),
            ({"commitment": OTHER}, OTHER_BYTES),
            ({"record": RecordId(AT, 5, 0, PLACE.topic_id)}, OTHER_BYTES),
        ],
    )
    def test_what_cannot_be_made_anew_is_said_to_be_so(self, changes: Any, why: str) -> None:
        assert contents(leaf(7, **changes)) == why

    def test_a_record_of_an_older_topic_is_found_among_the_generations(self) -> None:
        assert isinstance(contents(leaf(7), (3, 2, 1)), Contents)
        assert contents(leaf(7), (3, 2)) == OTHER_BYTES
        assert contents(leaf(7), ()) == OTHER_BYTES

    def test_a_raw_record_that_cannot_be_decided_now_tells_nothing(self) -> None:
        assert REMAKER.contents(Sent(0, leaf(7)), b"junk", (1,)) == OTHER_BYTES


MESSAGES = Books("eu", {PLAN.digest: PLAN}, KEYS, NO_PROCESSORS)
MESSAGE_AT = Coordinates("eu.commerce.messages.v1", 0, 7)
MODEL = "ef" * 32


def message() -> bytes:
    """Return a message as it lies raw in Kafka."""
    schema = load_registry().latest("commerce.messages.SupportMessageReceived")
    events = Shop(Random(7), ["eu"]).publications(200)
    one = next(event for event in events if event.type == schema.subject and not event.trap)
    return encode(schema, from_plain(schema, one.data))


class TestLabels:
    """Labels are made anew of the decision that the region keeps."""

    value = message()
    raw_event = RawEvent(MESSAGE_AT, PLACE.topic_id, 1, value)
    (request,) = MESSAGES.of(2).minimise(raw_event).requests

    def leaf(self) -> TransferLeaf:
        """Return the leaf of labels that are all unknown."""
        record = label_record(self.request, PLAN, dict.fromkeys(FIELDS, "unknown"), load_registry())
        bound = commitment(month_key(ROOT, TIME[:7]), self.request.id, record.value)
        output = PLAN.outputs[self.request.id.output]
        return TransferLeaf(
            TIME,
            self.request.id,
            output.object,
            record.schema_id,
            PLAN.digest,
            2,
            OTHER,
            output.basis,
            bound,
            model=MODEL,
        )

    def told(self, *decisions: Decision) -> Contents | str:
        kept = {one.question.key: one for one in decisions}
        remaker = Remaker(MESSAGES, ROOT, lambda keys: {k: kept[k] for k in keys if k in kept})
        return remaker.contents(Sent(0, self.leaf()), self.value, (1,))

    def decision(self, label: str = "unknown") -> Decision:
        answers = {
            name: Answered(task, 1, label, "made", is_cut=False) for name, task in FIELDS.items()
        }
        asked = question(self.request, PLAN.outputs[self.request.id.output])
        return Decision(asked, is_withheld=False, model=MODEL, answers=answers)

    def test_they_are_those_that_the_leaf_commits_to(self) -> None:
        told = self.told(self.decision())

        assert isinstance(told, Contents)
        assert told.fields.items() >= dict.fromkeys(FIELDS, "unknown").items()
        assert told.external_id == self.request.external_id

    def test_without_the_decision_or_with_another_one_nobody_can_tell(self) -> None:
        assert self.told() == NO_DECISION
        assert self.told(self.decision("no such word")) == NO_DECISION


def test_each_reason_why_nobody_can_tell_says_something_else() -> None:
    reasons = {NO_KEYS, NO_PLAN, NO_DECISION, OTHER_BYTES}

    assert len(reasons) == 4
    assert all(reasons)


class TestRows:
    """What the rows hold."""

    @staticmethod
    def row(*records: tuple[Sent, Contents | str]) -> dict[str, Any]:
        (found,) = rows_of(records)
        return found.to_json()

    @staticmethod
    def sent(n: int, result: str | None = "accepted", *, deletes: bool = False) -> Sent:
        name = RecordId(Coordinates(PLACE.topic, 0, n), 0, 0, PLACE.topic_id)
        return Sent(2 * n, replace(leaf(7), record=name, deletes=deletes), 2 * n + 1, result)

    def test_the_newest_accepted_value_of_each_field_stays_with_who_set_it(self) -> None:
        told = self.row(
            (self.sent(2), Contents("tok", {"A": 2, "B": None})),  # in the order of outcomes
            (self.sent(1), Contents("tok", {"A": 1, "B": 1, "C": 1})),
            (self.sent(3, "rejected"), Contents("tok", {"A": 3})),
            (self.sent(4, "superseded"), Contents("tok", {"A": 4})),
            (self.sent(5, None), Contents("tok", {"A": 5})),
            (self.sent(6), "its keys are gone"),
        )

        assert told == {
            "object": "Commerce_Order__c",
            "external_id": "tok",
            "deleted": False,
            "fields": {
                "A": {"value": 2, "record": f"{PLACE.topic}[0]@2#0"},
                "C": {"value": 1, "record": f"{PLACE.topic}[0]@1#0"},
            },
        }

    def test_a_deleted_row_holds_nothing_until_it_is_made_again(self) -> None:
        first = (self.sent(1), Contents("tok", {"A": 1}))
        gone = (self.sent(2, deletes=True), Contents("tok", {}))
        again = (self.sent(3), Contents("tok", {"B": 3}))

        deleted, made = self.row(first, gone), self.row(first, gone, again)

        assert (deleted["deleted"], deleted["fields"]) == (True, {})
        assert (made["deleted"], list(made["fields"])) == (False, ["B"])

    def test_rows_are_told_apart_by_object_and_external_id(self) -> None:
        rows = rows_of(
            [
                (self.sent(1), Contents("tok", {"A": "placed"})),
                (self.sent(2), Contents("other", {"A": "paid"})),
            ]
        )

        assert [one.external_id for one in rows] == ["tok", "other"]
        assert not [word for word in ("tok", "placed") if word in repr(rows)]

    def test_a_row_that_nothing_was_done_to_is_there_and_empty(self) -> None:
        assert Row("Commerce_Order__c", "tok").to_json() == {
            "object": "Commerce_Order__c",
            "external_id": "tok",
            "deleted": False,
            "fields": {},
        }


def test_a_record_s_json_has_its_leaves_and_what_it_said_or_why_not() -> None:
    sent, _ = found(leaf(7), outcome(7, 0))

    told = record_json(sent[0], Contents("tok", {"A": 1, "B": None}))
    untold = record_json(sent[0], NO_KEYS)

    assert told == {
        "record": f"{AT}#0",
        "topic_id": PLACE.topic_id,
        "object": "Commerce_Order__c",
        "deletes": False,
        "sent_at": TIME,
        "plan": leaf(7).plan,
        "basis": list(leaf(7).basis),
        "transfer_leaf": 0,
        "outcome_leaf": 1,
        "result": "accepted",
        "external_id": "tok",
        "fields": {"A": 1, "B": None},
        "why": None,
    }
    assert untold == {**told, "external_id": None, "fields": None, "why": NO_KEYS}
