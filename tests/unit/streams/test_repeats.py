"""The gateway's window: an event is published by one caller, and a repeat learns where it is."""

import asyncio

import pytest

from streams.repeats import Repeats

AT = "eu.commerce.orders.v1[0]@7"


def test_the_first_to_claim_publishes_and_a_repeat_waits_for_the_same_answer() -> None:
    async def scene() -> None:
        repeats = Repeats()

        first, is_mine = repeats.claim("/shop", "1", 0)
        again, is_mine_too = repeats.claim("/shop", "1", 0)
        first.set_result(AT)

        assert (is_mine, is_mine_too) == (True, False)
        assert await again == AT

    asyncio.run(scene())


@pytest.mark.parametrize("other", [("/shop", "2"), ("/mall", "1"), ("/shop1", ""), ("", "/shop1")])
def test_an_event_is_known_by_source_and_id_together(other: tuple[str, str]) -> None:
    async def scene() -> None:
        repeats = Repeats()
        repeats.claim("/shop", "1", 0)

        _, is_mine = repeats.claim(*other, 0)

        assert is_mine

    asyncio.run(scene())


@pytest.mark.parametrize(("now", "is_forgotten"), [(60, False), (60.1, True)])
def test_an_event_is_forgotten_when_its_window_is_over(now: float, is_forgotten: bool) -> None:
    async def scene() -> None:
        repeats = Repeats(window_s=60)
        repeats.claim("/shop", "1", 0)

        _, is_mine = repeats.claim("/shop", "1", now)

        assert is_mine is is_forgotten

    asyncio.run(scene())


def test_a_repeat_does_not_lengthen_the_window() -> None:
    async def scene() -> None:
        repeats = Repeats(window_s=60)
        repeats.claim("/shop", "1", 0)
        repeats.claim("/shop", "1", 50)

        _, is_mine = repeats.claim("/shop", "1", 70)

        assert is_mine

    asyncio.run(scene())


def test_of_too_many_events_the_oldest_are_forgotten() -> None:
    async def scene() -> None:
        repeats = Repeats(limit=10)
        for number in range(12):
            repeats.claim("/shop", str(number), number)

        known = [n for n in reversed(range(12)) if not repeats.claim("/shop", str(n), 12)[1]]

        assert known[0] == 11
        assert set(range(2, 12)) - set(known) <= {2}  # this loop's own claims push out one
        assert not {0, 1} & set(known)

    asyncio.run(scene())


@pytest.mark.parametrize("how", ["failed", "cancelled"])
def test_an_event_that_could_not_be_published_can_be_claimed_again(how: str) -> None:
    async def scene() -> None:
        repeats = Repeats()
        first, _ = repeats.claim("/shop", "1", 0)
        if how == "failed":
            first.set_exception(ConnectionError("_MSG_TIMED_OUT"))
        else:
            first.cancel()

        second, is_mine = repeats.claim("/shop", "1", 1)
        _, is_mine_too = repeats.claim("/shop", "1", 2)

        assert is_mine
        assert second is not first
        assert not is_mine_too

    asyncio.run(scene())


def test_a_new_claim_of_a_failed_event_starts_a_new_window() -> None:
    async def scene() -> None:
        repeats = Repeats(window_s=60)
        repeats.claim("/shop", "1", 0)[0].cancel()
        repeats.claim("/shop", "2", 30)
        repeats.claim("/shop", "1", 50)

        _, is_first_mine = repeats.claim("/shop", "1", 100)
        _, is_second_mine = repeats.claim("/shop", "2", 100)

        assert not is_first_mine
        assert is_second_mine  # older than the first, though it was claimed later

    asyncio.run(scene())
