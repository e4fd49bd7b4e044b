"""A row stays in doubt for as long as an unanswered request could still reach it."""

import pytest

from connectors.salesforce.doubts import Doubts

A, B = ("Commerce_Order__c", "a"), ("Commerce_Order__c", "b")


class Time:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_row_is_in_doubt_until_its_last_doubtful_request_is_over() -> None:
    time = Time()
    doubts = Doubts(600, time, settled=True)
    doubts.note([A])
    time.now_s += 400
    doubts.note([A])

    time.now_s += 599
    before = doubts.holds(A)
    time.now_s += 1

    assert (before, doubts.holds(A)) == (True, False)


def test_one_row_in_doubt_says_nothing_of_another() -> None:
    doubts = Doubts(600, Time(), settled=True)

    doubts.note([A])

    assert doubts.holds(A)
    assert not doubts.holds(B)
    assert not doubts.holds((A[0], "A"))


@pytest.mark.parametrize("settled", [False, True])
def test_at_the_start_every_row_is_in_doubt_unless_it_is_known_better(*, settled: bool) -> None:
    time = Time()
    doubts = Doubts(600, time, settled=settled)

    start = doubts.holds(A)
    time.now_s += 600

    assert start is not settled
    assert not doubts.holds(A)


def test_old_doubts_are_forgotten() -> None:
    time = Time()
    doubts = Doubts(600, time, settled=True)
    doubts.note([A])
    time.now_s += 600
    doubts.note([B])

    assert len(doubts) == 1


@pytest.mark.parametrize("settled", [False, True])
def test_all_is_clear_once_no_request_of_before_or_of_now_can_come(*, settled: bool) -> None:
    time = Time()
    doubts = Doubts(600, time, settled=settled)
    found = [doubts.is_clear]
    time.now_s += 500
    doubts.note([A])
    found.append(doubts.is_clear)
    time.now_s += 599
    found.append(doubts.is_clear)
    time.now_s += 1
    found.append(doubts.is_clear)

    assert found == [settled, False, False, True]
