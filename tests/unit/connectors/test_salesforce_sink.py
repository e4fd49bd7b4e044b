"""Every record gets one outcome, an id's records keep their order, nothing is lost or doubled.

The sink and its client run whole; an org in memory stands at the HTTP boundary, because it has
to fail, lock and refuse on command.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from fake_org import (
    AT_ONCE,
    CUSTOMER,
    KEY,
    ONE_TRY,
    ORDER,
    POISON,
    VERSIONS,
    FakeOrg,
    Key,
    Line,
    fake_client,
    fake_config,
    logged,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.salesforce.client import CallRetry
from connectors.salesforce.config import SalesforceConfig
from connectors.salesforce.merge import Step, merge
from connectors.salesforce.options import RowRetry
from connectors.salesforce.outcome import Outcome, Result
from connectors.salesforce.sink import Clock, SalesforceSink
from schemas.errors import HaltError, RetriableError
from schemas.events import LoggedRecord

AGAIN = ["lock", "race", "unknown"]  # what a later try may not meet


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> SalesforceConfig:
    return fake_config(tmp_path_factory.mktemp("app"))


@pytest.fixture(scope="module")
def patient(config: SalesforceConfig) -> Line:
    return Line(config, AT_ONCE)


@pytest.fixture(scope="module")
def hasty(config: SalesforceConfig) -> Line:
    return Line(config, ONE_TRY)


def on_line(line: Line, org: FakeOrg) -> SalesforceSink:
    return SalesforceSink(line.to(org), clock=Clock(sleep=lambda _s: None), settled=True)


def open_sink(
    config: SalesforceConfig,
    org: FakeOrg,
    retry: CallRetry = AT_ONCE,
    sleeps: list[float] | None = None,
) -> SalesforceSink:
    clock = Clock(sleep=(sleeps if sleeps is not None else []).append)
    return SalesforceSink(fake_client(config, org, retry), clock=clock, settled=True)


def batch_of(keys: Iterable[Key]) -> list[LoggedRecord]:
    return [
        logged(offset, sobject, key, **{f"F{offset % 3}__c": f"v{offset}"})
        for offset, (sobject, key) in enumerate(keys)
    ]


def row_of(record: LoggedRecord) -> Key:
    return record.record.object, record.record.external_id


def rows_of(records: Iterable[LoggedRecord]) -> dict[Key, dict[str, Any]]:
    """Return the rows the org should have after *records*: later fields over earlier ones."""
    rows: dict[Key, dict[str, Any]] = defaultdict(dict)
    for record in records:
        if record.record.deletes:
            rows.pop(row_of(record), None)
        else:
            rows[row_of(record)] |= record.fields
    return dict(rows)


Verdict = tuple[Result, str | None]


def judge(batch: Sequence[LoggedRecord], always: dict[Key, str]) -> list[Verdict]:
    """Say how each record must end: by the row it is merged into, or alone if that is refused."""
    verdicts: dict[int, Verdict] = {}
    for key, steps in merge(batch, KEY).items():
        row: dict[str, int] | None = None
        parked = False
        for step in steps:
            whole = verdict_on(step, row, key in always)
            mends = whole[0] in {Result.REJECTED, Result.SUPERSEDED}
            for piece in step.alone() if mends else [step]:
                verdict = verdict_on(piece, row, key in always)
                if parked:
                    verdict = Result.PARKED, "BEHIND"
                parked = parked or verdict[0] is Result.PARKED
                if verdict[0] is Result.ACCEPTED:
                    kept = {k: v for k, v in piece.fields.items() if k in VERSIONS}
                    row = None if piece.deletes else {**(row or {}), **kept}
                verdicts |= dict.fromkeys(piece.places, verdict)
    return [verdicts[place] for place in range(len(batch))]


def verdict_on(step: Step, row: dict[str, int] | None, is_locked: bool) -> Verdict:
    values = step.fields.values()
    if step.deletes:
        refused = is_locked and row is not None
        return (Result.PARKED, "UNABLE_TO_LOCK_ROW") if refused else (Result.ACCEPTED, None)
    if POISON in values:
        return Result.REJECTED, "JSON_PARSER_ERROR"
    if "bad" in values:
        return Result.REJECTED, "STRING_TOO_LONG"
    if is_locked:
        return Result.PARKED, "UNABLE_TO_LOCK_ROW"
    if any(step.fields.get(name, 9) < version for name, version in (row or {}).items()):
        return Result.SUPERSEDED, None
    return Result.ACCEPTED, None


KEYS = st.sampled_from([(ORDER, "a"), (ORDER, "A"), (CUSTOMER, "a")])
VALUES = st.sampled_from(["v1", "v2", "v3", None, "bad", POISON])
CHANGES = st.tuples(
    KEYS,
    st.sampled_from(["Base_Version__c", "Base_Version__c", "Label_Version__c", "delete"]),
    st.integers(1, 9),
    st.dictionaries(st.sampled_from(["F0__c", "F1__c"]), VALUES, max_size=2),
)
Change = tuple[Key, str, int, dict[str, str | None]]


def drawn_batch(changes: Iterable[Change]) -> list[LoggedRecord]:
    return [
        logged(n, *key, deletes=True)
        if kind == "delete"
        else logged(n, *key, **{kind: version}, **fields)  # type: ignore[arg-type]
        for n, (key, kind, version, fields) in enumerate(changes)
    ]


THREE = [
    ((ORDER, "a"), "Base_Version__c", 1, {"F0__c": "v1"}),
    ((ORDER, "a"), "Base_Version__c", 2, {"F1__c": "bad"}),
    ((ORDER, "a"), "Base_Version__c", 3, {}),
]


@settings(max_examples=200)
@given(
    st.lists(CHANGES, max_size=25),
    st.dictionaries(KEYS, st.lists(st.sampled_from(AGAIN), max_size=4), max_size=2),
    st.dictionaries(KEYS, st.just("lock"), max_size=1),
)
@example([((ORDER, "a"), "Base_Version__c", 1, {})] * 3, {(ORDER, "a"): AGAIN}, {})
@example(THREE, {}, {})
@example([THREE[1], ((ORDER, "a"), "Base_Version__c", 2, {"F1__c": "v1"})], {}, {})
def test_every_record_ends_by_its_merged_row_or_alone_in_its_turn(
    patient: Line,
    changes: list[Change],
    row_errors: dict[Key, list[str]],
    always: dict[Key, str],
) -> None:
    batch = drawn_batch(changes)
    org = FakeOrg(row_errors={k: list(v) for k, v in row_errors.items()}, always=always)

    outcomes = on_line(patient, org).write(batch)

    assert [outcome.record for outcome in outcomes] == batch
    assert [(o.result, o.code) for o in outcomes] == judge(batch, always)
    accepted = [o.record for o in outcomes if o.result is Result.ACCEPTED]
    assert org.rows == rows_of(accepted)
    for ids in org.sent:
        assert len(ids) == len(set(ids)) <= 200
    assert_merges_are_named(outcomes)


@settings(max_examples=200)
@given(st.lists(CHANGES, max_size=15), st.integers(0, 6))
@example(THREE, 3)
@example([*THREE, ((ORDER, "a"), "Label_Version__c", 3, {"F1__c": POISON})], 4)
def test_after_a_crash_the_outcomes_say_what_the_org_holds(
    patient: Line, hasty: Line, changes: list[Change], crash: int
) -> None:
    batch = drawn_batch(changes)
    org = FakeOrg(faults={crash: "reset after"})
    with suppress(RetriableError):
        on_line(hasty, org).write(batch)
    org.faults.clear()

    outcomes = on_line(patient, org).write(batch)

    accepted = [o.record for o in outcomes if o.result is Result.ACCEPTED]
    assert org.rows == rows_of(accepted)
    assert_merges_are_named(outcomes)


def assert_merges_are_named(outcomes: Sequence[Outcome]) -> None:
    """Hold that who was sent together says the same of the others, all of one row."""
    by_id = {outcome.record.record.id: outcome for outcome in outcomes}
    for outcome in outcomes:
        if outcome.sent_with:
            assert outcome.record.record.id in outcome.sent_with
            assert len(outcome.sent_with) > 1
            others = [by_id[name] for name in outcome.sent_with]
            assert {(o.sent_with, o.result, o.code) for o in others} == {
                (outcome.sent_with, outcome.result, outcome.code)
            }
            assert {row_of(o.record) for o in others} == {row_of(outcome.record)}
            assert sum(o.created for o in others) <= 1


def test_records_of_one_row_travel_as_one_and_say_so(config: SalesforceConfig) -> None:
    org = FakeOrg()
    batch = batch_of([(ORDER, "a"), (ORDER, "b"), (ORDER, "a"), (ORDER, "a")])

    outcomes = open_sink(config, org).write(batch)

    together = tuple(batch[n].record.id for n in (0, 2, 3))
    assert org.sent == [["a", "b"]]
    assert [o.sent_with for o in outcomes] == [together, (), together, together]
    assert [o.created for o in outcomes] == [True, True, False, False]


def test_a_rejected_merge_is_sent_again_one_by_one(config: SalesforceConfig) -> None:
    org = FakeOrg()
    values = ["v0", "bad", "v2"]
    batch = [logged(n, ORDER, "a", **{f"F{n}__c": value}) for n, value in enumerate(values)]

    outcomes = open_sink(config, org).write(batch)

    assert org.sent == [["a"]] * 4
    assert [(o.result, o.code, o.fields, o.sent_with) for o in outcomes] == [
        (Result.ACCEPTED, None, (), ()),
        (Result.REJECTED, "STRING_TOO_LONG", ("F1__c",), ()),
        (Result.ACCEPTED, None, (), ()),
    ]
    assert org.rows == rows_of([batch[0], batch[2]])


def test_a_merge_that_the_org_finds_older_is_sent_again_one_by_one(
    config: SalesforceConfig,
) -> None:
    org = FakeOrg(rows={(ORDER, "a"): {KEY: "a", "Base_Version__c": 1, "Label_Version__c": 9}})
    org.ids[ORDER, "a"] = "a00000000000001"
    batch = [logged(2, ORDER, "a"), logged(3, ORDER, "a", Label_Version__c=3)]

    outcomes = open_sink(config, org).write(batch)

    assert [(o.result, o.code) for o in outcomes] == [
        (Result.ACCEPTED, None),
        (Result.SUPERSEDED, None),
    ]


def long_batch() -> list[LoggedRecord]:
    """Return records of 202 rows that take two calls: on two objects, one row three times."""
    keys = [(ORDER, f"o{i}") for i in range(201)] + [(ORDER, "o7"), (CUSTOMER, "c1"), (ORDER, "o7")]
    again = [logged(900, ORDER, "o8", deletes=True), logged(901, ORDER, "o8")]
    return batch_of(keys) + again


UNANSWERED = ["reset before", "reset after", "time-out after", "cut answer", "503", "limit"]


@pytest.mark.parametrize("fault", [*UNANSWERED, "short answer", "401"])
@pytest.mark.parametrize("fail_on", range(3))
def test_a_fault_at_any_call_is_waited_out(
    config: SalesforceConfig, fault: str, fail_on: int
) -> None:
    org = FakeOrg(faults={fail_on: fault})
    batch = long_batch()[:204]
    more = [logged(910 + n, ORDER, f"o{n}") for n in range(2)]

    sink = open_sink(config, org)
    outcomes = sink.write(batch) + sink.write(more) + sink.write(more)

    assert org.calls.count(3) + org.calls.count(0) >= 1
    assert len(org.calls) == 4, "three calls, and one of them again"
    assert [outcome.record for outcome in outcomes] == [*batch, *more, *more]
    assert {outcome.result for outcome in outcomes} == {Result.ACCEPTED}
    assert org.rows == rows_of([*batch, *more])


@pytest.mark.parametrize("fault", UNANSWERED)
@pytest.mark.parametrize("fail_on", range(3))
def test_the_same_batch_again_after_a_fault_at_any_call_leaves_the_right_rows(
    config: SalesforceConfig, fault: str, fail_on: int
) -> None:
    org = FakeOrg(faults={fail_on: fault})

    with pytest.raises(RetriableError):
        open_sink(config, org, ONE_TRY).write(long_batch())
    outcomes = open_sink(config, org, ONE_TRY).write(long_batch())  # as after a restart

    (earlier,) = {outcome.result for outcome in outcomes if outcome.record.leaf == 8}
    assert earlier in {Result.ACCEPTED, Result.SUPERSEDED}, "its row may be of after the deletion"
    assert {o.result for o in outcomes if o.record.leaf != 8} == {Result.ACCEPTED}
    assert org.rows == rows_of(long_batch())


def test_several_requests_go_out_as_composites_of_five(config: SalesforceConfig) -> None:
    org = FakeOrg()
    keys = [(ORDER, f"o{i}") for i in range(1_101)] + [(CUSTOMER, "c")]

    open_sink(config, org).write(batch_of(keys))

    assert org.calls == [5, 2]
    assert [len(ids) for ids in org.sent] == [200] * 5 + [101, 1]


def test_a_composite_that_the_org_refuses_is_sent_in_single_requests(
    config: SalesforceConfig,
) -> None:
    org = FakeOrg(faults={0: "413"})

    outcomes = open_sink(config, org).write(batch_of((ORDER, f"o{i}") for i in range(201)))

    assert org.calls == [2, 1, 1]
    assert {outcome.result for outcome in outcomes} == {Result.ACCEPTED}


def test_a_later_record_of_a_locked_id_waits_for_the_earlier_one(config: SalesforceConfig) -> None:
    org = FakeOrg(row_errors={(ORDER, "a"): ["lock", "lock"]})
    sleeps: list[float] = []
    batch = [logged(0, ORDER, "a"), logged(1, ORDER, "b"), logged(2, ORDER, "a", deletes=True)]

    open_sink(config, org, sleeps=sleeps).write(batch)

    assert org.sent == [["a", "b"], ["a"], ["a"], ["a"]]
    assert [(key, fields is None) for _, key, fields in org.commits] == [
        ("b", False),
        ("a", False),
        ("a", True),
    ]
    assert len(sleeps) == 2


@pytest.mark.parametrize(
    ("attempt", "chance", "wait_s"), [(1, 0.0, 0.5), (1, 1.0, 1.0), (3, 0.5, 3.0), (9, 1.0, 30.0)]
)
def test_waits_double_up_to_their_limit(attempt: int, chance: float, wait_s: float) -> None:
    assert RowRetry().wait_s(attempt, chance) == wait_s


def test_rows_that_stay_locked_go_in_smaller_requests_and_then_wait(
    config: SalesforceConfig,
) -> None:
    keys = [(ORDER, f"o{i:03}") for i in range(120)]
    org = FakeOrg(always=dict.fromkeys(keys, "lock"))

    outcomes = open_sink(config, org).write(batch_of(keys))

    assert [len(ids) for ids in org.sent] == [120] * 2 + [50, 50, 20] * 2 + [1] * 120
    assert {(o.result, o.code) for o in outcomes} == {(Result.PARKED, "UNABLE_TO_LOCK_ROW")}


@pytest.mark.parametrize(
    ("kind", "code", "tries"),
    [
        ("lock", "UNABLE_TO_LOCK_ROW", 5),
        ("unknown", "UNKNOWN_EXCEPTION", 5),
        ("approval", "ENTITY_IS_LOCKED", 1),
        ("orphan", "INVALID_FIELD", 1),
    ],
)
def test_a_row_the_org_cannot_take_now_is_parked_and_holds_up_its_own_alone(
    config: SalesforceConfig, kind: str, code: str, tries: int
) -> None:
    org = FakeOrg(always={(ORDER, "a"): kind})
    batch = [
        logged(0, ORDER, "a"),
        logged(1, ORDER, "A"),
        logged(2, ORDER, "a", deletes=True),
        logged(3, ORDER, "a"),
        logged(4, CUSTOMER, "a"),
    ]
    org.ids[ORDER, "a"] = "a00000000000001"

    outcomes = open_sink(config, org).write(batch)

    assert [(o.result, o.code) for o in outcomes] == [
        (Result.PARKED, code),
        (Result.ACCEPTED, None),
        (Result.PARKED, "BEHIND"),
        (Result.PARKED, "BEHIND"),
        (Result.ACCEPTED, None),
    ]
    assert Counter(key for ids in org.sent for key in ids)["a"] == tries + 1


def test_an_org_that_takes_no_row_now_hands_the_batch_back_by_record_id(
    config: SalesforceConfig,
) -> None:
    org = FakeOrg(always={(ORDER, "tok_canary"): "busy"})

    with pytest.raises(RetriableError) as caught:
        open_sink(config, org).write(batch_of([(ORDER, "tok_canary")]))

    text = "eu.commerce.orders.v1[0]@0#0: Commerce_Order__c is still STORAGE_LIMIT_EXCEEDED"
    assert str(caught.value) == text


def test_a_row_gets_five_tries(config: SalesforceConfig) -> None:
    org = FakeOrg(row_errors={(ORDER, "a"): ["lock"] * 4})

    (outcome,) = open_sink(config, org).write(batch_of([(ORDER, "a")]))

    assert outcome.result is Result.ACCEPTED


def test_a_race_that_does_not_end_is_a_rejection(config: SalesforceConfig) -> None:
    org = FakeOrg(always={(ORDER, "a"): "race"})

    (outcome,) = open_sink(config, org).write(batch_of([(ORDER, "a")]))

    assert (outcome.result, outcome.code) == (Result.REJECTED, "DUPLICATE_VALUE")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("column", r"INVALID_FIELD at F0__c; deploy the field"),
        ("read-only", r"at F0__c; let the permission set edit the field"),
        ("access", r"at F0__c; let the permission set create, read"),
    ],
)
def test_a_set_up_error_halts_and_names_object_field_and_next_step(
    config: SalesforceConfig, kind: str, text: str
) -> None:
    org = FakeOrg(always={(ORDER, "tok_canary"): kind})
    batch = [logged(0, ORDER, "tok_canary", F0__c="v"), logged(1, ORDER, "tok_canary")]

    with pytest.raises(HaltError, match=text) as caught:
        open_sink(config, org).write(batch)

    assert str(caught.value).startswith("eu.commerce.orders.v1[0]@0#0: Commerce_Order__c: ")
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_poisoned_row_costs_only_itself(config: SalesforceConfig) -> None:
    batch = [
        logged(n, ORDER, f"o{n:03}", Status__c=POISON if n == 137 else "placed") for n in range(200)
    ]
    org = FakeOrg()

    outcomes = open_sink(config, org).write(batch)

    assert [o.record.leaf for o in outcomes if o.result is Result.REJECTED] == [137]
    assert len(org.rows) == 199
    assert len(org.sent) <= 1 + 2 * 8, "halved about log2(200) times"
    assert len(org.calls) <= 1 + 8, "both halves in one call"


def test_a_record_without_its_external_id_is_never_sent(config: SalesforceConfig) -> None:
    org = FakeOrg()
    good = logged(0, ORDER, "a")
    bad = LoggedRecord(good.record, 0, {"Base_Version__c": 0})

    with pytest.raises(HaltError, match=r"@0#0: Commerce_Order__c has no External_Id__c"):
        open_sink(config, org).write([good, bad])

    assert not org.sent


@pytest.mark.parametrize("rows", [2, 500])
def test_a_value_that_cannot_be_sent_halts_by_record_and_field(
    config: SalesforceConfig, rows: int
) -> None:
    batch = [logged(n, ORDER, f"o{n:03}") for n in range(rows)]
    batch[-1] = logged(rows - 1, ORDER, f"o{rows - 1:03}", Total__c=float("nan"))
    org = FakeOrg()

    with pytest.raises(HaltError) as caught:
        open_sink(config, org).write(batch)

    text = "#0: Commerce_Order__c.Total__c: the number is not finite"
    assert str(caught.value) == f"eu.commerce.orders.v1[0]@{rows - 1}{text}"
    assert not org.sent


def test_none_clears_and_absence_leaves_alone(config: SalesforceConfig) -> None:
    org = FakeOrg()
    sink = open_sink(config, org)

    sink.write([logged(0, ORDER, "a", Sku__c="1", Channel__c="web")])
    sink.write([logged(1, ORDER, "a", Sku__c=None)])

    row = org.rows[ORDER, "a"]
    assert (row["Sku__c"], row["Channel__c"]) == (None, "web")


def test_an_empty_batch_asks_nothing(config: SalesforceConfig) -> None:
    org = FakeOrg()

    assert open_sink(config, org).write([]) == []
    assert (org.logins, org.calls) == (0, [])
