"""What is too late for its row is not sent, whatever the org says of the records before it."""

from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connectors.salesforce.outcome import BEHIND, Outcome, Result
from residency.expected import Held
from schemas.events import Coordinates, LoggedRecord, MinimalRecord, RecordId, VersionKind
from streams.turns import next_turn, write

KEY = ("O", "x")


def one(version: int, kind: VersionKind = "base", *, deletes: bool = False, place: int = 0) -> Any:
    """Return a record of a version; *place* tells records of one version apart."""
    name = RecordId(Coordinates("t", 0, version), place)
    record = MinimalRecord(name, *KEY, version, 1, "", 1, b"", deletes)
    field = "Label_Version__c" if kind == "labels" else "Base_Version__c"
    return LoggedRecord(record, place, {field: version})


class Org:
    """Answers each record as told, by its place; everything else is accepted."""

    def __init__(self, answers: dict[int, Result] | None = None) -> None:
        self.answers = answers or {}
        self.calls: list[list[int]] = []

    def doubt(self, keys: Iterable[Any]) -> None: ...

    def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
        self.calls.append([record.record.version for record in batch])
        results = [self.answers.get(record.leaf, Result.ACCEPTED) for record in batch]
        if Result.PARKED in results:  # later ones of the row wait, as of the real sink
            first = results.index(Result.PARKED)
            results = results[:first] + [Result.PARKED] * (len(results) - first)
        return [
            Outcome(r, result, None, created=False)
            for r, result in zip(batch, results, strict=True)
        ]


def ends(org: Org, records: Sequence[LoggedRecord], row: Held | None = None) -> list[Any]:
    outcomes = write(org, records, {} if row is None else {KEY: row})
    return [(o.record.record.version, o.result.value) for o in outcomes]


def test_records_in_order_go_out_in_one_call() -> None:
    org = Org()

    found = ends(org, [one(1), one(2), one(1, "labels"), one(3, deletes=True), one(4)])

    assert org.calls == [[1, 2, 1, 3, 4]]
    assert {result for _, result in found} == {"accepted"}


def test_an_older_one_waits_for_the_newer_before_it_and_is_then_superseded() -> None:
    org = Org()

    found = ends(org, [one(5), one(3, place=1), one(6, place=2)])

    assert org.calls == [[5], [6]]
    assert found == [(5, "accepted"), (3, "superseded"), (6, "accepted")]


def test_an_older_one_is_sent_after_all_when_the_newer_is_rejected() -> None:
    org = Org({0: Result.REJECTED})

    found = ends(org, [one(5), one(3, place=1)])

    assert org.calls == [[5], [3]]
    assert found == [(5, "rejected"), (3, "accepted")]


def test_an_older_one_queues_when_the_newer_is_parked() -> None:
    org = Org({0: Result.PARKED})

    outcomes = write(org, [one(5), one(3, place=1)], {})

    assert org.calls == [[5]]
    assert [(o.result, o.code) for o in outcomes] == [
        (Result.PARKED, None),
        (Result.PARKED, BEHIND),
    ]


def test_labels_of_a_deleted_row_are_superseded_and_a_base_record_brings_it_back() -> None:
    org, gone = Org(), Held(5, 5, is_deleted=True)

    found = ends(org, [one(6, "labels"), one(7, place=1), one(8, "labels", place=2)], gone)

    assert org.calls == [[7], [8]]
    assert found == [(6, "superseded"), (7, "accepted"), (8, "accepted")]


def test_labels_behind_a_deletion_wait_for_it() -> None:
    accepted, rejected = Org(), Org({0: Result.REJECTED})
    records = [one(5, deletes=True), one(6, "labels", place=1)]

    assert ends(accepted, records, Held(4)) == [(5, "accepted"), (6, "superseded")]
    assert ends(rejected, records, Held(4)) == [(5, "rejected"), (6, "accepted")]


def test_what_the_org_finds_older_leaves_the_row_as_it_was() -> None:
    org = Org({0: Result.SUPERSEDED})

    assert ends(org, [one(5), one(4, place=1)]) == [(5, "superseded"), (4, "accepted")]


kinds: st.SearchStrategy[VersionKind] = st.sampled_from(["base", "labels"])
batches = st.lists(st.tuples(st.integers(1, 4), kinds, st.booleans()), max_size=8)
answers = st.lists(
    st.sampled_from([Result.ACCEPTED, Result.REJECTED, Result.SUPERSEDED]), min_size=8
)


@given(batches, answers)
def test_it_ends_as_if_each_record_had_been_sent_alone(
    batch: list[tuple[int, VersionKind, bool]], told: list[Result]
) -> None:
    records = [
        one(version, kind, deletes=deletes and kind == "base", place=place)
        for place, (version, kind, deletes) in enumerate(batch)
    ]
    row, alone = Held(), {}
    for place, record in enumerate(records):
        version = record.record.version
        if row.is_past(record.kind, version):
            alone[place] = Result.SUPERSEDED
            continue
        alone[place] = told[place]
        if told[place] is Result.ACCEPTED:
            row = row.after(record.kind, version, deletes=record.record.deletes)

    outcomes = write(Org(dict(enumerate(told))), records, {})

    assert {o.record.leaf: o.result for o in outcomes} == alone
    assert [o.record.leaf for o in outcomes] == sorted(alone)


def test_a_turn_settles_at_least_the_first_of_each_row() -> None:
    turn = next_turn([one(5), one(3), one(9)], {KEY: Held(7)})

    assert ([r.record.version for r in turn.past], turn.later) == ([5, 3], [])
    assert [r.record.version for r in turn.send] == [9]
