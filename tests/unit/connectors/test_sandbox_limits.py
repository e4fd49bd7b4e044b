"""The allowances count a rolling 24 hours, by the minute."""

from contextlib import ExitStack

import pytest

from connectors.sandbox.errors import ApiError
from connectors.sandbox.limits import ApiUsage, LongCalls
from connectors.sandbox.logins.apps import RegisteredApp

MINUTE, HOUR, DAY = 60, 3600, 86_400


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_call_counts_for_24_hours_and_then_no_more() -> None:
    clock = Clock()
    usage = ApiUsage(10, clock=clock)
    usage.count("eu")

    used = []
    for later in (0, 23 * HOUR + 59 * MINUTE, 1 * MINUTE, 1 * MINUTE):
        clock.now += later
        used.append(usage.used())

    assert used == [1, 1, 1, 0]


def test_calls_come_back_one_by_one_as_they_were_made() -> None:
    clock = Clock()
    usage = ApiUsage(2, clock=clock)
    first, clock.now = usage.count("eu"), clock.now + 12 * HOUR
    second, third = usage.count("eu"), usage.count("eu")

    clock.now += 12 * HOUR + 2 * MINUTE

    assert [first, second, third] == [True, True, False]
    assert [usage.count("eu"), usage.count("eu")] == [True, False]


def test_a_refused_call_does_not_count() -> None:
    usage = ApiUsage(1, clock=Clock())
    usage.count("eu")

    refused = usage.count("eu")

    assert not refused
    assert usage.used() == 1
    assert sum(usage.take_unsaved().values()) == 1


def test_an_apps_own_limit_stops_that_app_alone() -> None:
    usage = ApiUsage(10, clock=Clock())
    usage.count("eu", 1)

    assert not usage.count("eu", 1)
    assert usage.count("uk", 1)
    assert usage.header("eu", 1) == "api-usage=2/10; per-app-api-usage=1/1(appName=eu)"
    assert usage.header("uk") == "api-usage=2/10"


def test_what_was_stored_goes_on_counting() -> None:
    clock = Clock()
    minute = int(clock.now) // MINUTE
    stored = [("uk", minute - 60, 3), ("eu", minute - 24 * 60, 2), ("eu", minute - 24 * 60 - 1, 9)]

    usage = ApiUsage(10, stored, clock)

    assert (usage.used(), usage.used("eu"), usage.used("uk"), usage.used("us")) == (5, 2, 3, 0)


def test_what_is_saved_is_saved_once() -> None:
    clock = Clock()
    usage = ApiUsage(10, clock=clock)
    usage.count("eu")
    usage.count("eu")

    minute = int(clock.now) // MINUTE
    assert usage.take_unsaved() == {("eu", minute): 2}
    assert usage.take_unsaved() == {}


def test_a_limit_that_is_lowered_below_what_was_used_leaves_nothing() -> None:
    usage = ApiUsage(10, clock=Clock())
    usage.count("eu")
    usage.count("eu")
    app = RegisteredApp("eu", "key", "user", "", "set", daily_calls=1)

    shown = usage.as_json(0, [app])["DailyApiRequests"]

    assert shown == {"Max": 10, "Remaining": 8, "eu": {"Max": 1, "Remaining": 0}}


def test_every_row_takes_two_kilobytes_of_the_storage() -> None:
    usage = ApiUsage(10, clock=Clock())

    stored = [usage.as_json(rows, [])["DataStorageMB"] for rows in (0, 511, 512, 10**6)]

    assert [limit["Remaining"] for limit in stored] == [1024, 1024, 1023, 0]


@pytest.mark.parametrize(("options", "most"), [({}, 25), ({"most": 5}, 5)])
def test_of_calls_that_go_on_for_20_seconds_there_may_be_so_many(
    options: dict[str, int], most: int
) -> None:
    clock = Clock()
    calls = LongCalls(clock=clock, **options)
    with ExitStack() as going_on:
        for _ in range(most - 1):
            going_on.enter_context(calls.one_more())
        clock.now += 20
        going_on.enter_context(calls.one_more())
        clock.now += 20

        with pytest.raises(ApiError) as refused, calls.one_more():
            pass

    text = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
    assert refused.value.status == 403
    assert refused.value.body() == [{"message": text, "errorCode": "REQUEST_LIMIT_EXCEEDED"}]


def test_shorter_calls_and_those_that_have_ended_do_not_count_as_long_ones() -> None:
    clock = Clock()
    calls = LongCalls(clock=clock)
    with ExitStack() as going_on:
        ended = calls.one_more()
        ended.__enter__()
        for _ in range(24):
            going_on.enter_context(calls.one_more())
        clock.now += 19.9
        for _ in range(100):
            going_on.enter_context(calls.one_more())
        ended.__exit__(None, None, None)
        clock.now += 0.1

        with calls.one_more():
            pass
