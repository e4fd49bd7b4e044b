"""Egress's loop on the real broker: how much it takes at once, what it does when told to stop."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Consumer
from egress_line import OUTGOING, POLICY, TOPIC, WAIT_S, Line, wait_until
from egress_world import KEYS, World, review

from connectors.embedded.stack import Stack
from connectors.salesforce.outcome import Outcome
from residency import topics
from residency.ledger.files import Ledger
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.replays import ReplayLeaf
from residency.ledger.requests import FOLDER, Requests
from residency.ledger.verify import verify
from residency.telemetry.setup import telemetry
from schemas.errors import RetriableError
from schemas.events import LoggedRecord
from streams import backlog as backlog_module
from streams import egress as egress_module
from streams.backlog import collect, waiting
from streams.crossing import Parts
from streams.egress import Egress
from streams.leaf_requests import append_leaf, new_request

MANY = 2_500
RELEASE = "ab" * 32


@pytest.fixture
def line(stack: Stack) -> Line:
    return Line.at_its_end(stack.home)


@contextmanager
def working(line: Line, world: World, carrier: Any) -> Iterator[tuple[Egress, Future[None]]]:
    """Run egress's loop over *carrier* until the block ends."""
    settings = replace(line.settings, egress_batch=POLICY, parked_alarm_s=60)
    egress, halt = Egress(settings, telemetry("egress", "eu", None, {})), threading.Event()
    partitions = dict.fromkeys(OUTGOING, topics.PARTITIONS)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(egress._consume, carrier, partitions, halt)  # noqa: SLF001
        try:
            yield egress, done
        finally:
            halt.set()
            try:
                done.result(WAIT_S)  # what ended the loop says more than who waited for it
            finally:
                world.die()


@pytest.fixture
def backlog(line: Line) -> Iterator[tuple[Consumer, dict[tuple[str, int], int]]]:
    """Return a consumer that has MANY records before it and knows so, and its positions."""
    line.send([review(n, f"M-{n}") for n in range(1, MANY + 1)])
    consumer = line.consumer()
    consumer.assign(line.assigned())
    positions = dict(line.ends)
    first = consumer.consume(1, WAIT_S)
    positions[TOPIC, first[0].partition() or 0] += 1
    wait_until("the ends", lambda: waiting(consumer, positions) == MANY - 1)
    yield consumer, positions
    consumer.close()


def test_a_backlog_is_taken_in_large_batches_and_the_rest_in_usual_ones(
    backlog: tuple[Consumer, dict[tuple[str, int], int]],
) -> None:
    consumer, positions = backlog
    found: list[int] = []

    while (lag := waiting(consumer, positions)) and len(found) < 100:
        messages = collect(consumer, POLICY, lag)
        for message in messages:
            assert message.error() is None
            positions[TOPIC, message.partition() or 0] = (message.offset() or 0) + 1
        found += [len(messages)] if messages else []

    assert sum(found) == MANY - 1
    assert POLICY.usual < max(found) <= POLICY.most
    assert all(size <= POLICY.usual for size in found[-2:])


def test_a_batch_is_bounded_by_bytes_too(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "POLL_S", WAIT_S)  # so that whole slices are there
    line.send([review(n, f"M-{n}") for n in range(1, 1_001)], size=2_000)
    consumer = line.consumer()
    consumer.assign(line.assigned())

    found = collect(consumer, replace(POLICY, max_bytes=600_000), 10_000)

    consumer.close()
    assert 250 <= len(found) <= 500  # 250 are too few bytes, 500 too many


def test_a_send_may_take_longer_than_a_group_would_wait_for_a_member(line: Line) -> None:
    """A group that assigns its partitions itself has no members: nothing is taken away."""
    consumer = line.consumer(max_poll_interval_ms=6_000, session_timeout_ms=6_000)
    consumer.assign(line.assigned())
    line.send([review(1, "M-1"), review(2, "M-1")])
    (first,) = consumer.consume(1, WAIT_S)

    time.sleep(8)
    (second,) = consumer.consume(1, WAIT_S)
    consumer.commit(message=second, asynchronous=False)

    consumer.close()
    assert (first.error(), second.error()) == (None, None)
    assert line.committed() == 2


def test_a_parked_record_lets_the_offsets_go_on_and_is_settled_when_its_time_comes(
    line: Line, world: World
) -> None:
    first, other, second = review(1, "M-1"), review(2, "M-2"), review(3, "M-1", rating=4)
    world.org.busy = frozenset({str(first.record.id)})
    carrier = world.egress()
    with working(line, world, carrier) as (egress, _):
        line.send([first, other, second])
        wait_until("the commit", lambda: line.committed() == 3)
        wait_until("the health page", lambda: egress.health()["parked"] == 2)
        since = egress.health()["parked_since"]

        world.org.busy = frozenset()
        world.now += timedelta(hours=1)
        wait_until("the retry", lambda: egress.health()["parked"] == 0)

        assert since == world.now.replace(hour=16).isoformat()
        assert egress.health() == {
            "ready": True, "accepted": 3, "parked": 0, "parked_since": None,
        }  # fmt: skip
        leaves = [leaf for leaf in world.leaves() if isinstance(leaf, OutcomeLeaf)]
        assert {str(leaf.record): leaf.result for leaf in leaves} == dict.fromkeys(
            (str(one.record.id) for one in (first, other, second)), "accepted"
        )


def test_while_calls_run_low_a_batch_fills_and_leaves_do_not_wait_for_it(
    line: Line, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(egress_module, "FILL_S", 6.0)
    tight, sizes = [True], list[int]()

    def counting(parts: Parts) -> Parts:
        class Counts:
            doubt = parts.sink.doubt

            def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
                sizes.append(len(batch))
                return parts.sink.write(batch)

        return replace(parts, sink=Counts(), is_tight=lambda: tight[0])

    with working(line, world, world.egress(counting)) as (egress, _):
        wait_until("the start", lambda: bool(egress.health()["ready"]))
        for n in range(1, 4):
            line.send([review(n, f"M-{n}")])
            time.sleep(0.5)
        started = time.monotonic()
        append_leaf(line.settings.folder, leaf(), partial(held, world))
        waited, early = time.monotonic() - started, list(sizes)
        wait_until("the commit", lambda: line.committed() == 3)
        tight[0] = False
        line.send([review(4, "M-4")])
        wait_until("the commit", lambda: line.committed() == 4)

    assert (early, waited < 2) == ([], True)
    assert [size for size in sizes if size] == [3, 1]


def test_told_to_stop_a_batch_that_fills_is_carried_at_once(line: Line, world: World) -> None:
    with working(line, world, world.egress(lambda parts: replace(parts, is_tight=lambda: True))):
        line.send([review(1, "M-1")])
        time.sleep(2)
        before, started = line.committed(), time.monotonic()
    took = time.monotonic() - started

    assert (before, line.committed()) == (0, 1)
    assert took < egress_module.FILL_S / 2


def test_what_a_dead_run_had_in_hand_is_carried_in_one_batch(line: Line, world: World) -> None:
    class Dead(Exception):  # noqa: N818
        pass

    class Dies:
        def doubt(self, _keys: Any) -> None: ...

        def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
            world.org.write(batch)
            raise Dead

    arrivals = [review(n, f"M-{n % 7}") for n in range(1, 301)]
    with pytest.raises(Dead):
        world.egress(lambda parts: replace(parts, sink=Dies())).carry(
            [replace(one, release=RELEASE) for one in arrivals]
        )
    world.die()
    line.send(arrivals)
    sizes: list[int] = []

    def counting(parts: Parts) -> Parts:
        class Counts:
            doubt = world.org.doubt

            def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
                sizes.append(len(batch))
                return world.org.write(batch)

        return replace(parts, sink=Counts())

    with working(line, world, world.egress(counting)):
        wait_until("the commit", lambda: line.committed() == 300)

    assert sizes == [300]  # three times the usual


def test_told_to_stop_while_the_org_is_away_it_stops_and_the_next_run_sends_it(
    line: Line, world: World
) -> None:
    tries: list[int] = []

    class Away:
        def doubt(self, _keys: Any) -> None: ...

        def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
            tries.append(len(batch))
            msg = "the org does not answer"
            raise RetriableError(msg)

    with working(line, world, world.egress(lambda parts: replace(parts, sink=Away()))):
        line.send([review(1, "M-1")])
        wait_until("a try", lambda: bool(tries))

    assert line.committed() == 0
    with working(line, world, world.egress()):
        wait_until("the commit", lambda: line.committed() == 1)
    assert len(world.org.sent) == 1


def leaf() -> ReplayLeaf:
    return ReplayLeaf(
        "2026-11-23T16:40Z",
        new_request(),
        "ab" * 32,
        7,
        "0.1.0",
        ("a",),
        None,
        None,
        9,
        {"same": 9},
    )


def held(world: World) -> Ledger:
    """Open the ledger, which egress has: its place is not the region's own here."""
    return Ledger.open(world.folder, KEYS.origin, KEYS.seed)


def test_idle_or_busy_egress_appends_what_others_ask_for_and_goes_on(
    line: Line, world: World
) -> None:
    folder = line.settings.folder
    carrier = world.egress()
    with working(line, world, carrier) as (egress, _):
        wait_until("the start", lambda: bool(egress.health()["ready"]))
        (requests := Requests(folder / FOLDER)).ask(junk := leaf())
        started = time.monotonic()
        idle = append_leaf(folder, leaf(), partial(held, world))
        waited = time.monotonic() - started
        (folder / FOLDER / f"{junk.request[::-1]}.asked").write_bytes(b"{}")
        line.send([review(1, "M-1")])
        wait_until("the commit", lambda: line.committed() == 1)
        busy = append_leaf(folder, leaf(), partial(held, world))
        wait_until("the refusal", lambda: requests.answer(junk.request[::-1]) is not None)

    assert idle in {0, 1}
    assert waited < 1
    assert busy == 4  # after another request, a transfer and an outcome
    for request in (junk.request, junk.request[::-1]):
        requests.forget(request)
    carrier = world.egress()  # catches up
    assert world.parts.store.indexed == world.parts.ledger.size == 5
    assert len(world.leaves()) == 2
    world.die()
    assert verify(world.folder, None).problems == ()


def test_a_leaf_does_not_wait_for_an_org_that_is_away(line: Line, world: World) -> None:
    tries: list[int] = []

    class Away:
        def doubt(self, _keys: object) -> None: ...

        def write(self, batch: list[object]) -> None:
            tries.append(len(batch))
            msg = "the org does not answer"
            raise RetriableError(msg)

    carrier = world.egress(lambda parts: replace(parts, sink=Away()))  # type: ignore[arg-type]
    with working(line, world, carrier):
        line.send([review(1, "M-1")])
        wait_until("a try", lambda: bool(tries))

        index = append_leaf(line.settings.folder, leaf(), partial(held, world))

        assert index == 1  # after the transfer
