"""What an erasure remembers: no value, tokens only while they are needed, and nothing twice."""

import json
from dataclasses import replace

import pytest

from residency.vault.erasure import (
    STEPS,
    Erasure,
    RowAbroad,
    State,
    Step,
    outcome_counts,
    passed,
    request_of,
)

ROW = RowAbroad(
    "Commerce_Order__c", "tok_eu1_a", "eu.commerce.orders.v1[0]@7#0+1", "id", 7, "ab" * 32, 0,
    deletes=False, result="accepted", leaf=12,
)  # fmt: skip
GONE = replace(ROW, object="Commerce_Case__c", deletes=True, leaf=3)
WHOLE = State(
    raw={"t[0]": 4},
    minimal={"m[1]": 2},
    rows=(ROW, GONE),
    numbered=True,
    undecided=("eu.commerce.orders.v1[0]@9",),
    counts={"events": 2},
    tables=("vault.subjects",),
    time="2026-11-26T05:00Z",
    problem="the org refused",
)
ONE = Erasure("ab" * 16, b"s" * 16, "tok_eu1_c", 1.5, "command", Step.ASKED, WHOLE)


@pytest.mark.parametrize("state", [State(), WHOLE, State(rows=(ROW,)), State(undecided=("a",))])
def test_a_state_is_read_back_as_it_was_written(state: State) -> None:
    written = json.loads(json.dumps(state.to_json()))

    assert State.from_json(written) == state


def test_what_is_empty_is_not_written() -> None:
    assert State().to_json() == {}


def test_the_steps_go_from_asked_to_done_and_keep_the_words_that_tables_hold() -> None:
    assert list(STEPS) == [
        "asked", "settled", "listed", "abroad", "home", "logged", "certified", "done",
    ]  # fmt: skip


def test_once_the_outcomes_are_known_no_token_of_a_row_is_remembered() -> None:
    named = WHOLE.named()

    assert [row.token for row in named.rows] == ["", ""]
    assert [row.name for row in named.rows] == [ROW.name, GONE.name]
    assert "tok_" not in json.dumps(named.to_json())


def test_counts_add_up_and_what_is_0_stays_unsaid() -> None:
    state = State(counts={"events": 2}).with_counts(index=3, decisions=0, anonymised=1)

    assert state.counts == {"events": 2, "index": 3, "anonymised": 1}
    assert state.logged == {"anonymised": 1, "events": 2, "index": 3}


def test_a_leaf_counts_the_closed_words_alone() -> None:
    assert State(counts={"events": 2, "tables": 3}).logged == {"events": 2}


def test_the_leaves_of_the_rows_are_told_in_order() -> None:
    assert replace(WHOLE, rows=(ROW, GONE, replace(ROW, leaf=None))).leaves == (3, 12)


@pytest.mark.parametrize(
    ("result", "is_over"),
    [
        (None, False),
        ("accepted", True),
        ("superseded", True),  # the row has gone on: whose it is now, has registered again
        ("rejected", False),
        ("gate-refused", False),
    ],
)
def test_a_row_is_over_once_the_org_has_it_or_a_newer_one(
    result: str | None, is_over: bool
) -> None:
    assert replace(ROW, result=result).is_over is is_over


def test_a_row_that_was_refused_is_sent_again_under_the_next_number() -> None:
    again = replace(ROW, result="rejected").again()

    assert again.name == "eu.commerce.orders.v1[0]@7#0+2"
    assert (again.result, again.leaf, again.id.topic_id) == (None, None, "id")


@pytest.mark.parametrize(
    ("positions", "has_passed"),
    [
        ({"t[0]": 4, "t[1]": 0}, True),
        ({"t[0]": 4}, True),  # nothing lies on a partition that ends at 0
        ({"t[0]": 5, "t[1]": 9}, True),
        ({"t[0]": 3, "t[1]": 9}, False),
        ({}, False),
    ],
)
def test_a_reader_has_passed_when_it_is_at_all_ends(
    positions: dict[str, int], has_passed: bool
) -> None:
    assert passed({"t[0]": 4, "t[1]": 0}, positions) is has_passed


def test_a_reader_that_has_no_position_has_read_nothing() -> None:
    assert not passed({"t[0]": 1}, {})


def test_only_rows_that_the_org_accepted_are_counted() -> None:
    rows = [ROW, GONE, ROW, replace(GONE, result="superseded"), replace(ROW, result=None)]

    assert outcome_counts(rows) == {"anonymised": 2, "deleted": 1}


def test_a_step_ends_what_kept_it_and_keeps_the_rest() -> None:
    stuck = replace(ONE, state=State()).stuck("the org is away")

    assert stuck.step is Step.ASKED
    assert stuck.state.problem == "the org is away"
    assert stuck.at(Step.SETTLED).state == State()
    assert stuck.at(Step.SETTLED).step is Step.SETTLED
    assert stuck.at(Step.LISTED, WHOLE).state == replace(WHOLE, problem=None)


def test_no_repr_shows_whose_it_is() -> None:
    text = repr(ONE)

    assert "tok_" not in text
    assert repr(ONE.subject) not in text


def test_the_request_that_an_event_makes_is_the_same_in_every_release() -> None:
    """Certificates and leaves lie under it: the event that is read again asks for nothing new."""
    name = "eu.commerce.customers.v1[0]@3"

    assert request_of("topic-id", name) == "d631909108f03997a4c4f2faeb6ed9a7"
    assert request_of("another", name) != request_of("topic-id", name)
