"""Label leaves are replayed from the decisions that the region keeps; nobody asks the model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from label_world import FIELDS, PLAN

from residency.decisions import Answered, Decision, Key, question
from residency.keys import AttributeKey, TokenKeys
from residency.ledger.leaves import TransferLeaf, commitment, month_key
from residency.plan.labels import label_record
from residency.plan.processors import NO_PROCESSORS
from residency.replay.claims import Claims, TermsBook, pack
from residency.replay.compare import Books, Comparer, Elsewhere, Place
from residency.replay.found import FINE, NEXT_STEP, Found, Verdict
from residency.replay.resend import Again, Choice, Chooser, Stays, Stock, Wish
from schemas.codec import encode
from schemas.events import Coordinates, RawBatch, RawEvent, RecordId
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop

ROOT, RELEASE = b"r" * 32, "a" * 64
PLACE = Place("eu.commerce.messages.v1", 0, "dG9waWM", 1)
OLD = AttributeKey(1, b"o" * 32)
KEYS = TokenKeys("eu", b"i" * 32, b"a" * 32, attribute_version=2, older=(OLD,))
BOOKS = Books("eu", {PLAN.digest: PLAN}, KEYS, NO_PROCESSORS)
REGISTRY = load_registry()
SCHEMA = REGISTRY.latest("commerce.messages.SupportMessageReceived")
MESSAGE = next(
    event
    for event in Shop(Random(7), ["eu"]).publications(200)
    if event.type == SCHEMA.subject and not event.trap
)
RAW = encode(SCHEMA, from_plain(SCHEMA, MESSAGE.data))
TIME = "2026-11-23T16:40Z"
LABELS = dict.fromkeys(FIELDS, "unknown")
NAME = "eu.commerce.messages.v1[0]@7#1"
MODEL = "cd" * 32


class Kept:
    """What a region keeps; notes what it was asked for."""

    def __init__(self, *decisions: Decision) -> None:
        self._decisions = {one.question.key: one for one in decisions}
        self.asked: list[Key] = []

    def find(self, keys: Sequence[Key]) -> Mapping[Key, Decision]:
        self.asked += keys
        return {key: self._decisions[key] for key in keys if key in self._decisions}


def made(
    version: int = 2, resend: int = 0, labels: Mapping[str, str] = LABELS, **changes: Any
) -> TransferLeaf:
    """Return the leaf that the line writes of the message's labels."""
    at = Coordinates(PLACE.topic, 0, 7)
    (request,) = BOOKS.of(version).minimise(RawEvent(at, PLACE.topic_id, 1, RAW)).requests
    name = RecordId(at, 1, resend, PLACE.topic_id)
    record = label_record(replace(request, id=name), PLAN, labels, REGISTRY)
    output = PLAN.outputs[1]
    leaf = TransferLeaf(
        TIME,
        name,
        output.object,
        record.schema_id,
        PLAN.digest,
        version,
        RELEASE,
        output.basis,
        commitment(month_key(ROOT, TIME[:7]), name, record.value),
        model=MODEL,
    )
    return replace(leaf, **changes)


def decision(labels: Mapping[str, str] = LABELS, *, is_withheld: bool = False) -> Decision:
    at = Coordinates(PLACE.topic, 0, 7)
    (request,) = BOOKS.of(2).minimise(RawEvent(at, PLACE.topic_id, 1, RAW)).requests
    asked = question(replace(request, id=RecordId(at, 1, 0, PLACE.topic_id)), PLAN.outputs[1])
    answers = {
        name: Answered(FIELDS[name], 1, word, "pooling", is_cut=False)
        for name, word in labels.items()
    }
    return Decision(asked, is_withheld, MODEL, answers)


def compared(
    leaves: Sequence[TransferLeaf], kept: Kept, elsewhere: Elsewhere | None = None
) -> Found:
    book = TermsBook()
    claims = Claims(b"".join(pack(n, one, book) for n, one in enumerate(leaves)))
    found = Found()
    comparer = Comparer(
        PLACE, BOOKS, book.terms, ROOT, RELEASE, elsewhere or Elsewhere(), found, kept.find
    )
    comparer.batch(RawBatch([PLACE.topic], [0], [7], [RAW], [b""]), claims.between(0, 100))
    return found


def about_labels(found: Found) -> list[tuple[str, int]]:
    return [(one.verdict, one.leaf) for one in found.findings if one.record.startswith(NAME)]


@pytest.mark.parametrize(
    ("leaf", "kept"),
    [
        pytest.param(made(), decision(), id="as it was"),
        pytest.param(made(version=1), decision(), id="under an older key version"),
        pytest.param(made(resend=2), decision(), id="sent again"),
        pytest.param(
            made(labels=dict.fromkeys(FIELDS, "withheld")),
            decision(is_withheld=True),
            id="withheld, whatever was answered",
        ),
    ],
)
def test_a_label_record_is_replayed_from_what_was_decided(
    leaf: TransferLeaf, kept: Decision
) -> None:
    region = Kept(kept)

    found = compared([leaf], region)

    assert found.counts[Verdict.SAME] == 1
    assert about_labels(found) == []
    assert region.asked == [kept.question.key]


def test_without_a_decision_the_leaf_cannot_be_replayed() -> None:
    found = compared([made()], Kept())

    assert about_labels(found) == [(Verdict.DECISION_GONE, 0)]
    assert Verdict.DECISION_GONE not in FINE
    assert "decisions" in NEXT_STEP[Verdict.DECISION_GONE]


@pytest.mark.parametrize(
    ("leaf", "kept"),
    [
        pytest.param(
            made(), decision({**LABELS, "Intent__c": "return"}), id="the decision was changed"
        ),
        pytest.param(made(), decision(is_withheld=True), id="it was withheld"),
        pytest.param(
            made(),
            decision({**LABELS, "Intent__c": "zucanary"}),
            id="what is kept is no answer of the plan's",
        ),
        pytest.param(made(), decision({"Intent__c": "unknown"}), id="an answer is missing"),
        pytest.param(made(schema=3001), decision(), id="the leaf names the request's schema"),
        pytest.param(made(basis=()), decision(), id="another basis"),
        pytest.param(made(model="ef" * 32), decision(), id="another model answered"),
        pytest.param(made(model=None), decision(), id="the leaf names no model"),
    ],
)
def test_whatever_does_not_fit_differs(leaf: TransferLeaf, kept: Decision) -> None:
    found = compared([leaf], Kept(kept))

    assert about_labels(found) == [(Verdict.DIFFERS, 0)]


def test_labels_of_other_code_that_differ_are_said_to_be_of_other_code() -> None:
    found = compared([made(release="b" * 64)], Kept(decision(is_withheld=True)))

    assert about_labels(found) == [(Verdict.OTHER_CODE, 0)]


def test_a_request_that_waits_for_the_model_is_not_yet_there() -> None:
    waits = Elsewhere(pending={7: frozenset({1})})

    found = compared([], Kept(), waits)

    assert found.counts[Verdict.NOT_YET] == 1
    assert about_labels(found) == []


def test_a_label_record_that_no_leaf_names_left_unlogged() -> None:
    found = compared([], Kept(decision()))

    assert about_labels(found) == [(Verdict.NOT_LOGGED, -1)]


@pytest.mark.parametrize("is_logged", [True, False])
def test_labels_are_never_sent_again_as_the_request_they_were_made_of(*, is_logged: bool) -> None:
    book = TermsBook()
    claims = Claims(b"".join(pack(n, one, book) for n, one in enumerate([made()] * is_logged)))

    def choices(wish: Wish) -> list[Choice]:
        chooser = Chooser(PLACE, BOOKS, book.terms, ROOT, Stock(size=1), wish)
        raw = RawBatch([PLACE.topic], [0], [7], [RAW], [b""])
        return list(chooser.batch(raw, claims.between(0, 100)))

    named = choices(Wish(named={7: frozenset({1})}, accepted=True))
    (missing,) = choices(Wish())

    assert [(type(one), one.record) for one in named if isinstance(one, Stays)] == [(Stays, NAME)]
    assert len(named) == 1
    assert isinstance(missing, Again)
    assert missing.id.output == 0
