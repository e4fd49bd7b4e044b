"""A record that the org cannot take yet waits in its region, and its row keeps its order.

As for the rest of egress: a fault after every step in turn, then a new carrier over what is on
disk. Nothing is lost, nothing is sent out of turn, every record has one result in the end.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from egress_world import CrashError, Dies, World, review

from connectors.postgres.parked import QUEUE_PART, Waiting
from connectors.salesforce.outcome import Outcome
from residency.expected import Held
from residency.ledger.leaves import TransferLeaf
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.verify import verify
from schemas.errors import HaltError, QuarantineError, Reason, RetriableError
from schemas.events import LoggedRecord, MinimalRecord
from streams.crossing import Parts
from streams.parking import ParkPolicy

# Three versions of one row, whose first the org cannot take, and another row between.
FIRST, OTHER, SECOND, THIRD = (
    review(1, "M-1", rating=1),
    review(2, "M-2", rating=2),
    review(3, "M-1", rating=3),
    review(4, "M-1", rating=4),
)
BATCH = (FIRST, OTHER, SECOND)
NAMES = [str(arrival.record.id) for arrival in (FIRST, OTHER, SECOND, THIRD)]
LOCKED = frozenset({NAMES[0]})
ROW = FIRST.record.external_id
LATER = timedelta(hours=1)


def results(world: World) -> dict[str, str]:
    """Return each record's outcome; a second one of a record fails."""
    found = [leaf for leaf in world.leaves() if isinstance(leaf, OutcomeLeaf)]
    assert max(Counter(leaf.record for leaf in found).values(), default=1) == 1
    return {str(leaf.record): leaf.result for leaf in found}


def sent(world: World) -> list[str]:
    return [name for _, name in world.org.sent]


def let_go(world: World) -> None:
    """Time passes, and the org can take everything."""
    world.now += LATER
    world.org.busy = frozenset()


def expect_all_accepted(world: World, *names: str) -> None:
    assert results(world) == dict.fromkeys(names, "accepted")
    leaves = world.leaves()
    transfers = {str(leaf.record): n for n, leaf in enumerate(leaves) if leaf.kind == "transfer"}
    assert sum(isinstance(leaf, TransferLeaf) for leaf in leaves) == len(names)  # one, ever
    assert all(transfers[name] == leaf for leaf, name in world.org.sent)
    newest, rating = (THIRD, 4) if NAMES[3] in names else (SECOND, 3)
    assert world.org.rows[ROW]["Rating__c"] == rating
    store = world.parts.store
    assert store.waiting == Waiting()
    key = (newest.record.object, ROW)
    assert store.held([key]) == {key: Held(newest.record.version)}
    assert store.results() == {"accepted": len(names)}
    world.die()
    report = verify(world.folder, None)
    assert report.verified, report.problems


def test_a_parked_record_is_announced_kept_and_not_settled(world: World) -> None:
    world.org.busy = LOCKED
    carrier = world.egress()

    assert carrier.carry([FIRST, OTHER]) == {"accepted": 1, "parked": 1}

    assert results(world) == {NAMES[1]: "accepted"}
    assert carrier.waiting == Waiting(1, world.now)
    (kept,) = world.parts.store.due(world.now + LATER, 10)
    assert (kept.record, kept.basis, kept.release) == (FIRST.record, FIRST.basis, FIRST.release)
    assert (kept.code, kept.attempts) == ("UNABLE_TO_LOCK_ROW", 1)
    assert repr(FIRST.record.value) not in repr(kept)
    world.die()


def test_later_records_of_the_row_queue_behind_it_and_others_go_on(world: World) -> None:
    world.org.busy = LOCKED
    carrier = world.egress()

    carrier.carry(BATCH)
    world.die()
    again = world.egress().carry([THIRD, review(9, "M-9")])  # another batch of another run

    assert again == {"accepted": 1, "parked": 1}
    assert sent(world)[:2] == NAMES[:2]
    assert not {NAMES[2], NAMES[3]} & set(sent(world))
    codes = [one.code for one in world.parts.store.due(world.now + LATER, 10)]
    assert codes == ["UNABLE_TO_LOCK_ROW", "BEHIND", "BEHIND"]
    world.die()


def test_a_due_record_is_sent_again_under_its_leaf_and_its_queue_after_it(world: World) -> None:
    world.org.busy = LOCKED
    carrier = world.egress()
    carrier.carry([*BATCH, THIRD])
    let_go(world)

    assert carrier.retry() == {"accepted": 3}

    assert sent(world) == [NAMES[0], NAMES[1], NAMES[0], NAMES[2], NAMES[3]]
    assert carrier.retry() == {}
    expect_all_accepted(world, *NAMES)


def test_nothing_is_tried_before_its_time_and_each_wait_is_longer(world: World) -> None:
    world.org.busy = LOCKED
    carrier = world.egress()
    carrier.carry([FIRST])
    tried = []

    for second in range(80):
        world.now += timedelta(seconds=1)
        carrier.retry()
        tried += [second + 1] * (len(world.org.sent) - 1 - len(tried))

    assert tried == [10, 30, 70]  # waits of 10, 20 and 40 s
    world.die()


def test_waits_are_bounded_and_half_of_each_is_drawn() -> None:
    least, most = (ParkPolicy(10, 900, chance=lambda c=c: c) for c in (0.0, 1.0))

    assert [most.wait(n).total_seconds() for n in (1, 2, 7, 8, 10_000)] == [10, 20, 640, 900, 900]
    assert [least.wait(n).total_seconds() for n in (1, 8)] == [5, 450]


def test_a_record_that_comes_again_while_parked_is_not_sent_out_of_turn(world: World) -> None:
    world.org.busy = LOCKED
    world.egress().carry(BATCH)
    before = sent(world)
    world.die()

    assert world.egress().carry(BATCH) == {}  # the offsets were not committed

    assert sent(world) == before
    assert world.parts.store.waiting.count == 2
    world.die()


def test_a_parked_record_that_comes_again_with_other_bytes_halts(world: World) -> None:
    world.org.busy = LOCKED
    carrier = world.egress()
    carrier.carry([FIRST])

    with pytest.raises(HaltError, match="commits to other bytes"):
        carrier.carry([review(1, "M-1", rating=5)])

    world.die()


CARRY_STEPS = [
    ("ledger", "append", 1),  # transfer leaves
    ("sink", "write", 1),
    ("ledger", "append", 2),  # outcome leaves
    ("store", "save", 1),  # index, expected rows, parked records
]
RETRY_STEPS = [("store", "due", 1), ("sink", "write", 1), ("ledger", "append", 1),
               ("store", "save", 1)]  # fmt: skip


def dying(part: str, method: str, call: int, *, before: bool) -> Callable[[Parts], Parts]:
    def plant(parts: Parts) -> Parts:
        return replace(parts, **{part: Dies(getattr(parts, part), method, call, before=before)})

    return plant


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("part", "method", "call"), CARRY_STEPS)
def test_a_crash_at_any_step_of_parking_loses_and_doubles_nothing(
    world: World, part: str, method: str, call: int, before: bool
) -> None:
    world.org.busy = LOCKED
    carrier = world.egress(dying(part, method, call, before=before))
    with pytest.raises(CrashError):
        carrier.carry(BATCH)
    world.die()

    world.egress().carry(BATCH)
    world.die()
    let_go(world)
    carrier = world.egress()
    carrier.carry([THIRD])
    carrier.retry()

    expect_all_accepted(world, *NAMES)


@pytest.mark.parametrize("comes_again", [True, False], ids=["redelivered", "committed"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("part", "method", "call"), RETRY_STEPS)
def test_a_crash_at_any_step_of_a_retry_loses_and_doubles_nothing(  # noqa: PLR0913, PLR0917
    world: World, part: str, method: str, call: int, before: bool, comes_again: bool
) -> None:
    world.org.busy = LOCKED
    world.egress().carry(BATCH)
    world.die()
    let_go(world)
    carrier = world.egress(dying(part, method, call, before=before))
    with pytest.raises(CrashError):
        carrier.retry()
    world.die()

    carrier = world.egress()
    if comes_again:
        carrier.carry(BATCH)
    carrier.carry([THIRD])
    carrier.retry()

    expect_all_accepted(world, *NAMES)


def test_a_retry_that_finds_the_database_away_may_be_called_again(world: World, dsn: str) -> None:
    world.org.busy = LOCKED
    carrier = world.egress()
    carrier.carry(BATCH)
    let_go(world)
    with psycopg.connect(dsn) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND usename = current_user"
        )

    with pytest.raises(RetriableError, match="Postgres"):
        carrier.retry()
    assert carrier.retry() == {"accepted": 2}

    expect_all_accepted(world, *NAMES[:3])


def test_a_parked_record_that_is_refused_in_the_end_lets_the_next_one_go(world: World) -> None:
    world.org.busy = LOCKED
    carrier = world.egress()
    carrier.carry(BATCH)
    let_go(world)
    world.org.refuse = LOCKED

    assert carrier.retry() == {"rejected": 1, "accepted": 1}

    assert results(world)[NAMES[0]] == "rejected"
    assert world.quarantined == [NAMES[0]]
    assert world.org.rows[ROW]["Rating__c"] == 3
    assert carrier.waiting == Waiting()
    world.die()


def test_a_parked_record_whose_row_went_on_meanwhile_is_superseded(world: World) -> None:
    """An operator's hand: nobody but a person can write past a queue."""
    world.org.busy = LOCKED
    carrier = world.egress()
    carrier.carry([FIRST])
    let_go(world)
    world.org.older = LOCKED

    assert carrier.retry() == {"superseded": 1}

    assert ROW not in world.org.rows
    assert world.parts.store.held([(FIRST.record.object, ROW)]) == {}
    assert carrier.waiting == Waiting()
    world.die()


def test_a_long_queue_is_worked_off_in_order_part_by_part(world: World) -> None:
    many = [review(n, "M-1", rating=n % 5 + 1) for n in range(1, 2 * QUEUE_PART + 2)]
    names = [str(arrival.record.id) for arrival in many]
    world.org.busy = frozenset(names[:1])
    carrier = world.egress()
    carrier.carry(many)
    let_go(world)
    world.org.sent.clear()

    parts = [carrier.retry() for _ in range(4)]

    assert parts == [{"accepted": QUEUE_PART}] * 2 + [{"accepted": 1}, {}]
    assert sent(world) == names
    world.die()


def test_the_head_of_every_row_comes_before_the_tail_of_any(world: World) -> None:
    rows = [[review(10 * n + turn, f"M-{n}") for turn in range(3)] for n in range(1, 4)]
    world.org.busy = frozenset(str(row[0].record.id) for row in rows)
    world.egress().carry([arrival for row in rows for arrival in row])

    due = world.parts.store.due(world.now + LATER, 4)

    assert {str(one.record.id) for one in due} > world.org.busy
    assert [one.record.id.at.offset for one in due] == sorted(
        one.record.id.at.offset for one in due
    )
    world.die()


class Stricter:
    """The gate of a later release, which knows one more kind of personal data."""

    def check(self, _record: MinimalRecord, _model: str | None) -> Any:
        raise QuarantineError(Reason.SCANNER, "Sku__c")


def test_a_parked_record_that_todays_gate_refuses_halts(world: World) -> None:
    world.org.busy = LOCKED
    world.egress().carry([FIRST])
    world.die()
    let_go(world)
    world.gate = Stricter()  # type: ignore[assignment]

    with pytest.raises(HaltError, match="leaf 0 announced it"):
        world.egress().retry()

    assert sent(world) == NAMES[:1]
    world.die()


def test_what_a_dead_run_may_have_sent_is_in_doubt_and_the_sink_hears_it_first(
    world: World,
) -> None:
    with pytest.raises(CrashError):
        world.egress(dying("sink", "write", 1, before=False)).carry(BATCH)
    world.die()
    heard: list[int] = []

    class Listens:
        def doubt(self, keys: Any) -> None:
            world.org.doubt(keys)

        def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
            heard.append(len(world.org.doubts))
            return world.org.write(batch)

    carrier = world.egress(lambda parts: replace(parts, sink=Listens()))
    in_doubt = {str(one) for one in carrier.in_doubt}
    carrier.carry([*BATCH, THIRD])
    carrier.carry([review(9, "M-1")])

    assert in_doubt == set(NAMES[:3])
    assert world.org.doubts == [
        {(arrival.record.object, arrival.record.external_id) for arrival in BATCH}
    ]
    assert heard == [1, 1]
    assert not carrier.in_doubt
    world.die()


def test_a_parked_record_is_not_in_doubt(world: World) -> None:
    world.org.busy = LOCKED
    world.egress().carry(BATCH)
    world.die()

    assert not world.egress().in_doubt

    world.die()


def test_a_halt_of_the_sink_quarantines_nothing_and_settles_nothing(world: World) -> None:
    class Misconfigured:
        def doubt(self, _keys: Any) -> None: ...

        def write(self, _batch: Sequence[LoggedRecord]) -> list[Outcome]:
            msg = "Commerce_Case__c.Rating__c: INVALID_FIELD; deploy the field"
            raise HaltError(msg)

    carrier = world.egress(lambda parts: replace(parts, sink=Misconfigured()))
    with pytest.raises(HaltError, match="deploy the field"):
        carrier.carry(BATCH)
    world.die()

    assert (world.quarantined, results_of(world)) == ([], {})
    world.egress().carry(BATCH)
    assert results(world) == dict.fromkeys(NAMES[:3], "accepted")
    world.die()


def results_of(world: World) -> dict[str, str]:
    world.egress()
    found = results(world)
    world.die()
    return found
