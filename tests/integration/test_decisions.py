"""Decisions on a real Postgres: made once, charged once, and the budget holds for everybody."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from label_world import PLAN, made_request

from connectors.embedded.stack import Stack
from connectors.postgres.decisions import DecisionReader, Decisions
from residency import topics
from residency.decisions import Answered, Decision, Question, question
from residency.leak import MILLIBITS
from residency.policy.budgets import Budget
from schemas.errors import RetriableError
from streams.cli import leak_budget as leak_budget_cli
from streams.cli.leak_budget import leak_budget
from streams.settings import load_replay

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
COST = question(made_request(0, None), PLAN.outputs[1]).cost
ANSWERS = {"Intent__c": Answered("intent", 1, "return", "pooling", is_cut=True)}


def budget(records: int, days: int = 30) -> Budget:
    """Return a budget for so many records of one customer, and not one more."""
    return Budget("b", "eu", -(-records * COST // MILLIBITS), days, "test")


def asked(n: int, subject: str = "someone", resend: int = 0) -> Question:
    return question(made_request(n, None, subject, resend=resend), PLAN.outputs[1])


def withheld(decisions: list[Decision]) -> list[bool]:
    return [one.is_withheld for one in decisions]


@pytest.fixture
def dsn(stack: Stack) -> Iterator[str]:
    """Enrichment's own database, emptied."""
    file = stack.home / "eu" / "services" / "enrich.json"
    found = json.loads(file.read_text())["postgres"]["dsn"]
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS decisions")
    yield found
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS decisions")


@pytest.fixture
def store(dsn: str) -> Iterator[Decisions]:
    with closing(Decisions(dsn)) as found:
        yield found


def test_up_to_the_cap_labels_go_out_and_past_it_they_are_withheld(store: Decisions) -> None:
    first = store.take([asked(n) for n in range(3)], budget(5), NOW)
    later = store.take([asked(n) for n in range(3, 8)], budget(5), NOW)

    assert withheld(first) == [False] * 3
    assert withheld(later) == [False, False, True, True, True]


def test_each_customer_has_a_budget_of_their_own(store: Decisions) -> None:
    found = store.take([asked(0, "a"), asked(1, "b"), asked(2, "a")], budget(1), NOW)

    assert withheld(found) == [False, False, True]


def test_a_record_that_comes_again_costs_nothing_and_says_what_it_said(store: Decisions) -> None:
    before = store.take([asked(0), asked(1)], budget(1), NOW)
    store.settle([replace(one, model="m", answers=ANSWERS) for one in before])

    again = store.take([asked(0), asked(1, resend=3), asked(0, resend=1)], budget(1), NOW)

    assert withheld(again) == [False, True, False]
    assert [one.answers for one in again] == [ANSWERS] * 3
    assert withheld(store.take([asked(2)], budget(2), NOW)) == [False]  # one was charged, not four


def test_a_record_that_was_withheld_stays_so_when_there_is_room_again(store: Decisions) -> None:
    """Else asking again would tell later what must not be told."""
    store.take([asked(0), asked(1)], budget(1), NOW)

    again = store.take([asked(1)], budget(100), NOW + timedelta(days=100))

    assert withheld(again) == [True]


def test_the_same_record_twice_in_a_batch_is_charged_once(store: Decisions) -> None:
    found = store.take([asked(0), asked(0, resend=1), asked(1)], budget(2), NOW)

    assert withheld(found) == [False] * 3


def test_what_was_told_before_the_window_counts_no_more(store: Decisions) -> None:
    store.take([asked(0)], budget(1), NOW)

    at_its_end = store.take([asked(1)], budget(1), NOW + timedelta(days=30, seconds=-1))
    after = store.take([asked(2)], budget(1), NOW + timedelta(days=30))

    assert (withheld(at_its_end), withheld(after)) == ([True], [False])


def test_what_is_withheld_is_not_charged(store: Decisions) -> None:
    store.take([asked(n) for n in range(10)], budget(1), NOW)

    found = store.take([asked(11)], budget(2), NOW)

    assert withheld(found) == [False]


def test_a_charge_without_answers_is_found_again_after_a_crash(store: Decisions, dsn: str) -> None:
    store.take([asked(0)], budget(1), NOW)

    with closing(Decisions(dsn)) as other:
        (found,) = other.take([asked(0)], budget(1), NOW)

    assert (found.is_withheld, found.answers) == (False, None)


def test_the_first_answer_stays(store: Decisions) -> None:
    (taken,) = store.take([asked(0)], budget(1), NOW)
    other = {"Intent__c": Answered("intent", 1, "praise", "pooling", is_cut=False)}

    (first,) = store.settle([replace(taken, model="m", answers=ANSWERS)])
    (second,) = store.settle([replace(taken, model="n", answers=other)])

    assert first == second == replace(taken, model="m", answers=ANSWERS)


def test_workers_that_charge_one_customer_at_once_never_tell_more_than_the_cap(
    dsn: str, long_run: bool
) -> None:
    with closing(Decisions(dsn)) as made:
        made.take([asked(10_000, "x")], budget(1), NOW)  # makes the table
    rounds = 50 if long_run else 8

    def work(worker: int) -> int:
        rng = random.Random(worker)
        told = 0
        with closing(Decisions(dsn)) as store:
            for n in range(rounds):
                names = rng.sample(["a", "b", "c"], 3)
                batch = [asked(1_000 * worker + 3 * n + k, name) for k, name in enumerate(names)]
                told += withheld(store.take(batch, budget(7), NOW)).count(False)
        return told

    with ThreadPoolExecutor(4) as pool:
        told = sum(pool.map(work, range(4)))

    assert told == 3 * 7


def test_a_replay_finds_what_was_answered_and_nothing_else(store: Decisions, dsn: str) -> None:
    before = store.take([asked(0), asked(1)], budget(9), NOW)
    (kept,) = store.settle([replace(before[0], model="m", answers=ANSWERS)])

    found = DecisionReader(dsn).find([asked(n).key for n in range(3)])

    assert found == {asked(0).key: kept}
    assert DecisionReader(dsn).find([]) == {}


def test_people_see_what_was_told_of_whom(store: Decisions, dsn: str) -> None:
    store.take([asked(0, "a"), asked(1, "a"), asked(2, "b")], budget(1), NOW - timedelta(hours=1))
    store.take([asked(3, "b")], budget(1), NOW)
    reader = DecisionReader(dsn)

    everybody = reader.told(NOW - timedelta(days=1))

    assert everybody == [("a", COST, 1, 1), ("b", COST, 1, 1)]
    assert reader.told(NOW - timedelta(minutes=1)) == [("b", 0, 0, 1)]
    rows = reader.of_subject("a", NOW - timedelta(days=1))
    assert [(one.question.key.record, one.is_withheld) for one, _ in rows] == [
        ("eu.commerce.messages.v1[0]@0#1", False),
        ("eu.commerce.messages.v1[0]@1#1", True),
    ]
    assert {at for _, at in rows} == {NOW - timedelta(hours=1)}
    assert [one.question.subject for one, _ in reader.of_record(asked(2).key.record)] == ["b"]
    assert reader.of_subject("nobody", NOW - timedelta(days=1)) == []


def test_where_enrichment_never_ran_the_reader_says_so(dsn: str) -> None:
    with pytest.raises(RetriableError, match="enrichment makes them"):
        DecisionReader(dsn).told(NOW)


def shown(stack: Stack, *options: str) -> tuple[int, Any]:
    """Return exit code and document of ``homeport leak-budget show``."""
    given = ("show", "--region", "eu", "--home", str(stack.home), "--json", *options)
    done = CliRunner().invoke(leak_budget, given)
    return done.exit_code, json.loads(done.stdout) if done.stdout else None


def test_the_command_shows_the_budget_the_highest_and_one_customer(
    stack: Stack, store: Decisions
) -> None:
    now = datetime.now(UTC)
    taken = store.take([asked(0, "a"), asked(1, "a"), asked(2, "b")], budget(1), now)
    store.settle([replace(one, model="m", answers=ANSWERS) for one in taken])

    code, everybody = shown(stack)
    _, one = shown(stack, "--subject-token", "a")

    assert code == 0
    assert everybody["budget"]["id"] == "eu-leak-budget"
    assert everybody["customers"] == 2
    assert everybody["records"] == {"answered": 2, "withheld": 1}
    assert [row["subject"] for row in everybody["highest"]] == ["a", "b"]
    assert one["told_bits"] == COST / MILLIBITS
    assert one["left_bits"] == everybody["budget"]["cap_bits"] - COST / MILLIBITS
    assert [(row["withheld"], row["bits"]) for row in one["decisions"]] == [
        (False, COST / MILLIBITS),
        (True, 0),
    ]


def test_the_command_shows_what_was_answered_about_a_record_under_either_name(
    stack: Stack, store: Decisions
) -> None:
    (taken,) = store.take([asked(7, "a")], budget(0), NOW)
    store.settle([replace(taken, model="m", answers=ANSWERS)])

    found = [shown(stack, "--record", f"eu.commerce.messages.v1[0]@7#1{x}") for x in ("", "+2")]

    for code, document in found:
        (row,) = document["decisions"]
        assert (code, row["withheld"], row["subject"]) == (0, True, "a")
        assert row["answers"]["Intent__c"] == {
            "task": "intent",
            "version": 1,
            "label": "return",
            "method": "pooling",
            "cut": True,
        }


def test_the_command_says_when_nothing_is_known(stack: Stack, store: Decisions) -> None:
    store.take([asked(0)], budget(1), NOW)

    assert shown(stack, "--subject-token", "nobody")[0] == 1
    assert shown(stack, "--record", "eu.commerce.messages.v1[0]@99#1")[0] == 1
    assert shown(stack, "--record", "what") == (2, None)
    assert shown(stack, "--record", "x[0]@1#1", "--subject-token", "a") == (2, None)


def test_a_withheld_record_that_asks_for_a_right_is_named_in_its_region(
    stack: Stack, store: Decisions
) -> None:
    """No alert may tell of it: that would be the label by another way."""
    now = datetime.now(UTC)
    taken = store.take([asked(n, "a") for n in range(3)], budget(1), now)
    says = Answered("privacy_request", 1, "erasure", "pooling", is_cut=False)
    for one, label in zip(taken, ("erasure", "none", "erasure"), strict=True):
        answers = {"Privacy_Request__c": replace(says, label=label)}
        store.settle([replace(one, model="m", answers=answers)])

    code, found = shown(stack, "--rights")

    assert code == 0
    assert [(row["record"], row["withheld"]) for row in found["decisions"]] == [
        ("eu.commerce.messages.v1[0]@0#1", False),
        ("eu.commerce.messages.v1[0]@2#1", True),
    ]
    assert shown(stack, "--rights", "--subject-token", "a") == (2, None)


def test_nobody_asks_for_a_right(stack: Stack, store: Decisions) -> None:
    store.take([asked(0, "a")], budget(1), datetime.now(UTC))

    assert shown(stack, "--rights")[0] == 1


def test_a_decision_goes_when_its_raw_record_is_gone_and_its_window_is_over(
    store: Decisions, dsn: str
) -> None:
    store.take([asked(n) for n in (8, 9, 10)], budget(9), NOW)
    store.take([asked(7)], budget(9), NOW + timedelta(days=1))
    firsts, end = {("hand-made", 0): 10, ("hand-made", 1): 99, ("other", 0): 99}, NOW
    after = end + timedelta(hours=1)

    early = store.prune(firsts, end)
    would = store.prune(firsts, after, is_dry=True)
    gone = store.prune(firsts, after)

    assert (early, would, gone) == (0, 2, 2)
    left = DecisionReader(dsn).of_subject("someone", NOW - timedelta(days=1))
    assert [one.question.key.record for one, _ in left] == [asked(n).key.record for n in (10, 7)]


def test_the_command_prunes_by_what_kafka_still_has(
    stack: Stack, store: Decisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.take([asked(7)], budget(1), datetime.now(UTC) - timedelta(days=31))
    given = ["prune", "--region", "eu", "--home", str(stack.home), "--json"]
    true = leak_budget_cli.first_offsets

    kept = CliRunner().invoke(leak_budget, given).stdout
    firsts = true(load_replay(stack.home, "eu"))
    monkeypatch.setattr(leak_budget_cli, "first_offsets", lambda _: {("hand-made", 0): 8})
    would = CliRunner().invoke(leak_budget, [*given, "--dry-run"]).stdout
    gone = CliRunner().invoke(leak_budget, given).stdout

    assert json.loads(kept)["decisions"] == 0  # it is of none of the region's topics
    assert len(firsts) == 3 * topics.PARTITIONS
    assert json.loads(would) == {"region": "eu", "decisions": 1, "deleted": False}
    assert json.loads(gone) == {"region": "eu", "decisions": 1, "deleted": True}


def test_without_json_the_same_is_told_to_people(stack: Stack, store: Decisions) -> None:
    now = datetime.now(UTC)
    (taken,) = store.take([asked(0, "a")], budget(1), now)
    store.settle([replace(taken, model="m", answers=ANSWERS)])
    given = ["show", "--region", "eu", "--home", str(stack.home)]

    totals = CliRunner().invoke(leak_budget, given).stdout
    one = CliRunner().invoke(leak_budget, [*given, "--subject-token", "a"]).stdout

    assert "eu: 320 bits in 30 days (eu-leak-budget: GDPR" in totals
    assert "records: 1 answered, 0 withheld, of 1 customers" in totals
    assert "    Intent__c: return (pooling)" in one
