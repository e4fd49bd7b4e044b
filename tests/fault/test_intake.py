"""What egress reads on the real broker: labels after their base records, and nothing hidden."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

import pytest
from confluent_kafka import Message, Producer
from egress_line import LABELS, OUTGOING, POLICY, WAIT_S, Line
from egress_world import review

from connectors.embedded.stack import Stack
from residency import topics
from streams import intake as intake_module
from streams.arrivals import name_of
from streams.crossing import Arrival
from streams.intake import Intake

QUIET_S = 1.0  # far longer than a record takes that nothing holds back


@pytest.fixture
def line(stack: Stack) -> Line:
    return Line.at_its_end(stack.home)


@pytest.fixture
def intake(line: Line) -> Iterator[Intake]:
    found = Intake(line.settings.kafka, dict.fromkeys(OUTGOING, topics.PARTITIONS), POLICY)
    found.open()
    yield found
    found.close()


@contextmanager
def transaction(line: Line) -> Iterator[Producer]:
    """Begin a transaction; the block ends it."""
    producer = line.producer(transactional_id=f"test.{uuid4().hex}")
    producer.init_transactions(WAIT_S)
    producer.begin_transaction()
    yield producer


def name(arrival: Arrival) -> str:
    return str(arrival.record.id)


def names(messages: list[Message]) -> list[str]:
    return [name_of(message)[1] for message in messages]


def taken(intake: Intake, count: int, within_s: float = WAIT_S) -> list[str]:
    """Take until there are *count* records, or the time is up."""
    found: list[str] = []
    deadline = time.monotonic() + within_s
    while len(found) < count and time.monotonic() < deadline:
        found += names(intake.take())
    return found


def label(line: Line, *arrivals: Arrival) -> None:
    producer = line.producer()
    line.put(producer, arrivals, LABELS)
    assert producer.flush(WAIT_S) == 0


def test_an_open_transaction_of_enrichment_hides_no_base_record(line: Line, intake: Intake) -> None:
    with transaction(line) as enrichment:
        line.put(enrichment, [review(1, f"M-{n}") for n in range(40)], LABELS)  # all partitions
        enrichment.flush(WAIT_S)
        base = [review(100 + n, f"M-{n}") for n in range(40)]
        line.send(base)

        found = taken(intake, 40)

        enrichment.abort_transaction(WAIT_S)
    assert sorted(found) == sorted(map(name, base))


@pytest.mark.parametrize("end", [Producer.commit_transaction, Producer.abort_transaction])
def test_a_label_record_waits_for_whatever_was_written_before_it(
    line: Line, intake: Intake, end: Callable[[Producer, float], None]
) -> None:
    """So it follows its base record, even one whose commit is not to be seen yet."""
    base, follows = review(1, "M-1"), review(2, "M-1")
    with transaction(line) as border:
        line.put(border, [base])
        border.flush(WAIT_S)
        label(line, follows)
        early = taken(intake, 1, QUIET_S)
        end(border, WAIT_S)

    is_committed = end is Producer.commit_transaction
    found = taken(intake, 1 + is_committed)

    assert early == []
    assert found == [name(base)] * is_committed + [name(follows)]


def test_a_label_record_of_a_row_that_lies_long_ago_goes_at_once(
    line: Line, intake: Intake
) -> None:
    base, follows = review(1, "M-1"), review(2, "M-1")
    line.send([base])
    first = taken(intake, 1)
    label(line, follows)

    assert first == [name(base)]
    assert taken(intake, 1) == [name(follows)]


def test_a_label_record_waits_for_the_backlog_before_it_and_for_nothing_behind_it(
    line: Line,
) -> None:
    """However much more comes than can be carried."""
    before = [review(n, f"M-{n}") for n in range(1, 31)]
    line.send(before)
    label(line, follows := review(31, "M-1"))
    slow = replace(POLICY, usual=1)
    intake = Intake(line.settings.kafka, dict.fromkeys(OUTGOING, topics.PARTITIONS), slow)
    intake.open()
    found: list[str] = []

    for n in range(100, 700, 3):
        line.send([review(n, f"M-{n}"), review(n + 1, f"M-{n}")])
        label(line, review(n + 2, f"M-{n}"))
        found += names(intake.take())
        if name(follows) in found:
            break

    intake.close()
    assert name(follows) in found
    assert set(found[: found.index(name(follows))]) >= set(map(name, before))


def test_what_is_not_committed_is_read_again_by_the_next_run(line: Line, intake: Intake) -> None:
    base, follows = review(1, "M-1"), review(2, "M-1")
    line.send([base])
    label(line, follows)
    first = taken(intake, 2)
    intake.close()
    again = Intake(line.settings.kafka, dict.fromkeys(OUTGOING, topics.PARTITIONS), POLICY)
    again.open()

    messages = again.take()
    while len(messages) < 2:
        messages += again.take()
    again.done(messages)
    again.close()

    assert names(messages) == first == [name(base), name(follows)]
    assert line.committed() == 2


def test_what_an_earlier_run_had_in_hand_comes_first_and_labels_behind_it_wait(
    line: Line, intake: Intake
) -> None:
    """Of one partition the records up to those that are named had to be in that run's hand."""
    base, follows = review(1, "M-1"), review(2, "M-1")
    line.send([base])
    label(line, follows)
    with transaction(line) as border:
        line.put(border, [later := review(3, "M-1")])
        border.flush(WAIT_S)
        label(line, fresh := review(4, "M-1"))

        found = names(intake.again([base.record.id, follows.record.id], lambda: False))
        early = taken(intake, 1, QUIET_S)
        border.commit_transaction(WAIT_S)

    assert found == [name(base), name(follows)]
    assert early == []
    assert taken(intake, 2) == [name(later), name(fresh)]


def test_while_what_is_named_does_not_come_no_more_is_in_hand_than_a_batch_may_have(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "DOUBT_S", 2.0)
    label(line, *(review(n, f"M-{n}") for n in range(1, 101)))
    few = replace(POLICY, usual=20, most=40)
    intake = Intake(line.settings.kafka, dict.fromkeys(OUTGOING, topics.PARTITIONS), few)
    intake.open()

    assert intake.again([review(999, "M-1").record.id], lambda: False) == []
    first = intake.take()
    later = taken(intake, 60)

    intake.close()
    assert len(first) == 40
    assert len(later) == 60


def test_told_to_stop_it_gives_out_nothing_of_an_earlier_run(line: Line, intake: Intake) -> None:
    line.send([one := review(1, "M-1")])

    assert intake.again([one.record.id], lambda: True) == []
