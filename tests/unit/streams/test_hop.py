"""The hop's own arithmetic: which records are its to decide, and what it counts of them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.headers import Headers
from connectors.kafka.stats import Stats
from residency.plan.book import Crossed
from residency.plan.model import FieldPlan, LabelPlan, OutputPlan, Plan
from residency.telemetry.setup import telemetry
from schemas.errors import QuarantineError, Reason
from schemas.events import RawBatch
from streams.duties import Duties, Route
from streams.hop import Hop, _first_of_each
from streams.outgoing import outgoing
from streams.place import Batch, Decided, Place
from streams.tally import Tally


@dataclass(frozen=True)
class Said:
    """As much of a Kafka message as is looked at."""

    offset: int


def place(n: int = 0, after: int = 0) -> Place:
    return Place("eu.commerce.orders.v1", n, f"eu.commerce.orders.v1[{n}]@", 0, after, Tally())


OURS, OTHER = place(0, 5), place(1, 40)


@pytest.mark.parametrize(
    ("read", "kept"),
    [
        pytest.param([(OURS, 5), (OURS, 6)], [(OURS, 5), (OURS, 6)], id="as usual"),
        pytest.param([(None, 3), (OURS, 5)], [(OURS, 5)], id="taken from us meanwhile"),
        pytest.param([(OURS, 4), (OURS, 5)], [(OURS, 5)], id="committed by its last owner"),
        pytest.param(
            [(OURS, 5), (OURS, 6), (OURS, 5), (OURS, 6), (OURS, 7)],
            [(OURS, 5), (OURS, 6), (OURS, 7)],
            id="taken and given back: read twice",
        ),
        pytest.param(
            [(OURS, 9), (OTHER, 40), (OURS, 12)],
            [(OURS, 9), (OTHER, 40), (OURS, 12)],
            id="gaps are Kafka's: deleted records and transaction markers",
        ),
    ],
)
def test_a_rebalance_neither_doubles_nor_loses_a_record(
    read: list[tuple[Place | None, int]], kept: list[tuple[Place, int]]
) -> None:
    messages = [Said(offset) for _, offset in read]

    found = _first_of_each(messages, [p for p, _ in read], [o for _, o in read])  # type: ignore[arg-type]

    assert [message.offset for message in found] == [offset for _, offset in kept]  # type: ignore[comparison-overlap]


NO_FIELD = FieldPlan("External_Id__c", "string", "clear")
LABEL = LabelPlan("Intent__c", "intent", 1, "ab", "text_body", ("unknown",))


def plan(minimal: int, requests: int = 0) -> Plan:
    """Return one of so many outputs."""
    base = OutputPlan("Commerce_Case__c", 2003, NO_FIELD, (), ())
    asked = OutputPlan("Commerce_Case__c", 3001, NO_FIELD, (), (), labels=(LABEL,))
    outputs = (base,) * minimal + (asked,) * requests
    return Plan("eu", "crm", "shop.Event", 1, "ab", 1, (), outputs, None)


def verdict(rows: int, requests: int = 0) -> Crossed | QuarantineError:
    """Return one of *rows* minimal records, and requests with them; -1 for quarantine."""
    if rows < 0:
        return QuarantineError(Reason.FORMAT)
    asked = requests if rows else 0
    return Crossed(plan(rows, asked), ((b"key", b"value"),) * (rows + asked))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 3)), max_size=60), st.integers(0, 2))
def test_a_batchs_count_is_the_sum_of_its_records_by_partition(
    made: list[tuple[int, int]], requests: int
) -> None:
    places = [place(n, after=100 * n) for n in range(3)]
    for one in places:
        one.tally = Tally(sent=one.partition, minimal=7)
    offsets = [100 * n + row for row, (n, _) in enumerate(made)]
    raw = RawBatch(
        ["t"] * len(made), [n for n, _ in made], offsets, [b""] * len(made), [b""] * len(made)
    )

    after = Batch(raw, [places[n] for n, _ in made]).after(
        [verdict(rows, requests) for _, rows in made]
    )

    for one in places:
        mine = [rows for n, rows in made if n == one.partition]
        if not mine:
            assert one not in after
            continue
        offset, tally = after[one]
        last = max(row for row, (n, _) in enumerate(made) if n == one.partition)
        assert offset == 100 * one.partition + last + 1
        assert tally == Tally(
            sent=one.partition + sum(rows > 0 for rows in mine),
            nothing=mine.count(0),
            quarantined=mine.count(-1),
            minimal=7 + sum(rows for rows in mine if rows > 0),
            requests=requests * sum(rows > 0 for rows in mine),
        )


@dataclass(frozen=True)
class Addressed:
    """Duties that say where to."""

    topics: Sequence[str] | None

    def stamp(self, topic: str, plan: Plan) -> Sequence[tuple[str, Headers]] | None:
        del topic, plan
        return self.topics and [(to, [("to", to)]) for to in self.topics]


def sent(topics: Sequence[str] | None) -> list[tuple[Any, ...]]:
    raw = RawBatch(["t"], [0], [7], [b"raw"], [b""])
    decided = Decided(
        Batch(raw, [OURS]), [Crossed(plan(1, 1), ((b"a", b"minimal"), (b"b", b"request")))]
    )
    route = Route({}, "target", "quarantine", "g", "m", "t")
    return list(outgoing(decided, route, cast("Duties", Addressed(topics)), ("trace", b"1")))


def test_each_output_goes_where_its_stamp_says_under_its_number() -> None:
    base, asked = sent(["minimal", "requests"])

    assert (base[:3], asked[:3]) == (
        ("minimal", b"minimal", b"a"),
        ("requests", b"request", b"b"),
    )
    assert [dict(headers)["homeport-record"] for *_, headers in (base, asked)] == [
        "eu.commerce.orders.v1[0]@7#0",
        "eu.commerce.orders.v1[0]@7#1",
    ]
    assert [headers[-2:] for *_, headers in (base, asked)] == [
        [("to", "minimal"), ("trace", b"1")],
        [("to", "requests"), ("trace", b"1")],
    ]


def test_without_stamps_all_goes_to_the_target() -> None:
    assert sent(None) == [("target", b"minimal", b"a", None), ("target", b"request", b"b", None)]


def test_lag_is_what_lies_between_the_commit_and_the_end_of_what_is_ours() -> None:
    route = Route({"eu.commerce.orders.v1": 1}, "target", "quarantine", "g", "m", "t")
    hop = Hop({}, route, cast("Duties", None), telemetry("border", "eu", None, {}))
    hop._places = {  # noqa: SLF001, only a broker assigns
        (p.topic, p.partition): p for p in (place(0, 5), place(1, 40), place(2, 9))
    }

    hop.reading = Stats(
        ends={
            ("eu.commerce.orders.v1", 0): 12,
            ("eu.commerce.orders.v1", 1): 39,  # the statistics are older than the commit
            ("eu.commerce.orders.v1", 3): 99,  # another worker's
        }
    )

    assert hop.lag() == {("eu.commerce.orders.v1", 0): 7, ("eu.commerce.orders.v1", 1): 0}


def test_no_repr_shows_a_payload() -> None:
    canary = f"zucanary{random.getrandbits(64)}".encode()
    raw = RawBatch(["t"], [0], [7], [canary], [canary])

    shown = repr(raw) + repr(Batch(raw, [OURS])) + repr(Crossed(plan(1), ((canary, canary),)))

    assert canary.decode() not in shown


def test_what_a_rebalance_took_and_gave_back_is_another_place_and_not_in_the_batch() -> None:
    taken, kept = place(0, 5), place(1, 40)
    raw = RawBatch(
        ["t", "t", "t"], [0, 1, 1], [5, 40, 41], [b"a", b"b", b"c"], [b"1", b"2", b"3"],
        [[("h", b"x")], [("h", b"y")], [("h", b"z")]], [7, 8, 9],
    )  # fmt: skip
    given_back = place(0, 5)

    left = Batch(raw, [taken, kept, kept]).of([given_back, kept])

    assert left.places == [kept, kept]
    assert left.raw == RawBatch(
        ["t", "t"], [1, 1], [40, 41], [b"b", b"c"], [b"2", b"3"],
        [[("h", b"y")], [("h", b"z")]], [8, 9],
    )  # fmt: skip


def test_a_part_of_a_batch_without_headers_has_none() -> None:
    raw = RawBatch(["t"], [0], [7], [b"v"], [b"k"])

    assert raw.part([0]) == raw
    assert len(raw.part([])) == 0
