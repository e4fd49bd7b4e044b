"""The erased do not come back, and a new account is let in."""

import io
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.vault.kinds import load_kinds
from residency.vault.suppress import (
    EPOCH,
    Judgement,
    Suppression,
    Told,
    judge,
    refuses_text,
    tell,
)
from schemas.codec import HEADER, MAGIC, decode_physical, encode
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop

ADA, BOB = b"a" * 16, b"b" * 16
SINCE = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
REGISTRY = load_registry()
EVENTS = list(Shop(Random(3), ["eu"]).publications(200))
HELD = Suppression(ADA, SINCE, "5" * 32)
LIFTED = Suppression(ADA, SINCE, "5" * 32, lifted_at=SINCE + 2 * HOUR)


def event(hours: int, **kind: bool) -> Told:
    """Return an event so many hours after the erasure was asked for."""
    return Told(SINCE + hours * HOUR, **kind)


def wire(schema: str, **changes: Any) -> bytes:
    """Return an event of a schema's newest version, as it lies raw in Kafka."""
    newest = REGISTRY.latest(schema)
    made = next(one for one in EVENTS if (one.type, one.schema_version) == (schema, None))
    return encode(newest, {**from_plain(newest, made.data), **changes})


def judged(suppression: Suppression, *events: Told | None) -> tuple[list[int], datetime | None]:
    """Return which of one subject's events are refused, and when they lift its suppression."""
    found = judge([ADA] * len(events), {ADA: suppression}, lambda n: events[n])
    return sorted(found.refused), found.lifts.get(ADA)


def registration(hours: int) -> Told:
    """Return a registration."""
    return event(hours, registers=True)


def test_records_of_others_pass_and_are_not_looked_into() -> None:
    def tell(number: int) -> Told | None:
        pytest.fail(f"asked about record {number}")

    found = judge([BOB, b"", bytes(16)], {ADA: HELD}, tell)

    assert found == Judgement({}, {})


@pytest.mark.parametrize(
    ("suppression", "told", "passes"),
    [
        (HELD, event(-5), False),  # an old event under a new offset: a topic was restored
        (HELD, event(5), False),  # a late event
        (HELD, None, False),  # nothing can be read of it: silence is refusal
        (HELD, event(5, erases=True), True),  # asked again
        (HELD, event(-5, erases=True), True),  # what began the erasure, seen by a slower reader
        (HELD, registration(-1), False),  # the old account's, delivered again
        (HELD, registration(0), False),  # no newer than the request: of the old account
        (HELD, registration(1), True),
        (LIFTED, event(1), False),  # late, and of the old account
        (LIFTED, event(2), True),
        (LIFTED, event(3), True),
        (LIFTED, None, False),
        (LIFTED, registration(-1), False),
        (LIFTED, event(1, erases=True), False),  # was carried out: the new account did not ask
        (LIFTED, event(3, erases=True), True),
    ],
)
def test_what_an_event_of_an_erased_subject_may_do(
    suppression: Suppression, told: Told | None, passes: bool
) -> None:
    refused, _ = judged(suppression, told)

    assert refused == ([] if passes else [0])


def test_a_refused_record_names_the_suppression_that_refuses_it() -> None:
    found = judge([BOB, ADA], {ADA: HELD}, lambda _n: event(1))

    assert found.refused == {1: HELD}


def test_a_new_registration_lifts_as_of_its_own_time() -> None:
    refused, lifted_at = judged(HELD, registration(3), event(4))

    assert (refused, lifted_at) == ([], SINCE + 3 * HOUR)


def test_a_lift_lets_nothing_in_that_is_older_wherever_it_stands() -> None:
    refused, _ = judged(HELD, event(2), registration(3), event(1), event(3))

    assert refused == [0, 2]


def test_what_lifted_once_lifts_no_more() -> None:
    assert judged(LIFTED, registration(2)) == ([], None)
    assert judged(LIFTED, registration(9)) == ([], None)


def test_the_earliest_registration_after_the_erasure_counts() -> None:
    refused, lifted_at = judged(LIFTED, registration(1), event(1))

    assert (refused, lifted_at) == ([], SINCE + HOUR)


def test_an_erasure_after_the_lift_refuses_the_registration_that_lifted() -> None:
    again = Suppression(ADA, SINCE + 5 * HOUR, "6" * 32)

    assert judged(again, registration(2), event(4)) == ([0, 1], None)


def test_lifting_one_subject_leaves_the_others_suppressed() -> None:
    told = {0: registration(1), 1: event(1), 2: event(2)}
    suppressed = {ADA: HELD, BOB: Suppression(BOB, SINCE, "7" * 32)}

    found = judge([ADA, BOB, ADA], suppressed, told.__getitem__)

    assert (set(found.refused), set(found.lifts)) == ({1}, {ADA})


events = st.builds(
    lambda hours, kind: event(hours, **{kind: True} if kind else {}),
    st.integers(-3, 6),
    st.sampled_from(["", "erases", "registers"]),
)


@given(st.lists(events, max_size=8), st.sampled_from([HELD, LIFTED]))
def test_a_batch_decided_again_after_its_lifts_were_kept_ends_the_same(
    told: list[Told], suppression: Suppression
) -> None:
    refused, lifted_at = judged(suppression, *told)
    kept = Suppression(ADA, SINCE, suppression.request, lifted_at or suppression.lifted_at)

    assert judged(kept, *told) == (refused, None)


@given(st.lists(events, max_size=8))
def test_nothing_from_before_an_erasure_passes_but_requests_for_one(told: list[Told]) -> None:
    refused, _ = judged(HELD, *told)

    passed = [one for n, one in enumerate(told) if n not in refused]
    assert all(one.erases or one.occurred_at > SINCE for one in passed)


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ("commerce.customers.CustomerRegistered", {"registers": True}),
        ("commerce.customers.CustomerErasureRequested", {"erases": True}),
        ("commerce.customers.CustomerSignedIn", {}),
    ],
)
def test_an_event_tells_its_kind_and_its_own_time(schema: str, kind: dict[str, bool]) -> None:
    value = wire(schema, occurred_at=SINCE)

    assert tell(value, REGISTRY, load_kinds()) == event(0, **kind)


def test_what_is_no_event_of_ours_tells_nothing() -> None:
    minimal = next(one for one in REGISTRY if one.subject not in load_kinds())
    order = wire("commerce.orders.OrderPlaced")

    told = [
        tell(value, REGISTRY, load_kinds())
        for value in (b"", b"junk", order[:-1], order + b"\0", HEADER.pack(MAGIC, minimal.id))
    ]

    assert told == [None] * 5


def test_an_event_of_no_possible_time_tells_nothing() -> None:
    start = wire("commerce.customers.CustomerSignedIn")
    schema = REGISTRY.latest("commerce.customers.CustomerSignedIn")
    fields = {**decode_physical(REGISTRY, start)[1], "occurred_at": 2**62}
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema.physical, fields)

    assert tell(start[: HEADER.size] + out.getvalue(), REGISTRY, load_kinds()) is None


@pytest.mark.parametrize(
    ("suppression", "hours", "is_refused"),
    [
        (HELD, -1, True),  # nobody has come back
        (HELD, 9, True),
        (LIFTED, -1, True),  # it waited for a model all the while
        (LIFTED, 1, True),
        (LIFTED, 2, False),
        (LIFTED, 3, False),
    ],
)
def test_a_text_that_waits_for_the_model_is_of_the_erased_past_unless_it_came_after_a_registration(
    suppression: Suppression, hours: int, *, is_refused: bool
) -> None:
    time_ms = (SINCE + hours * HOUR - EPOCH) // timedelta(milliseconds=1)

    assert refuses_text(suppression, time_ms) is is_refused
    assert refuses_text(suppression, -1)  # Kafka has no time of it


def test_no_repr_shows_a_subject() -> None:
    found = judge([ADA], {ADA: HELD}, lambda _n: registration(1))

    assert "aaaa" not in repr((HELD, found))
