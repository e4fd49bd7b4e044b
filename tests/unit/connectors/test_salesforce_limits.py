"""No call is made that the org cannot answer, or that is not ours to make."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from connectors.salesforce.breaker import Breaker
from connectors.salesforce.budget import Budget
from connectors.salesforce.errors import OrgRestedError, OrgUnavailableError


@dataclass
class Clock:
    """A clock that stands until it is moved."""

    at: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


def test_an_org_that_does_not_answer_is_left_alone_and_asked_now_and_then() -> None:
    clock = Clock()
    breaker = Breaker(after=3, rest_s=30, now=clock)
    for _ in range(3):
        breaker.check()
        breaker.failed()

    with pytest.raises(OrgUnavailableError, match="3 calls in a row; the next one is in 30 s"):
        breaker.check()

    clock.at += 30
    breaker.check()  # one asks
    with pytest.raises(OrgUnavailableError):
        breaker.check()  # the others wait
    breaker.answered()
    breaker.check()
    assert not breaker.is_open


def test_outages_count_only_in_a_row() -> None:
    breaker = Breaker(after=2, now=Clock())
    for _ in range(5):
        breaker.failed()
        breaker.answered()

    breaker.check()

    assert not breaker.is_open


def test_a_breaker_that_kept_a_call_back_leaves_no_doubt_of_it() -> None:
    breaker = Breaker(after=1, now=Clock())
    breaker.failed()

    with pytest.raises(OrgUnavailableError) as caught:
        breaker.check()

    assert not caught.value.fate_unknown


def usage(used: int, allowed: int = 1000) -> str:
    return f"api-usage={used}/{allowed}"


def test_nothing_is_known_before_the_first_answer() -> None:
    budget = Budget(now=Clock())

    budget.check()

    assert budget.left is None
    assert not budget.is_tight


@pytest.mark.parametrize(
    ("used", "is_tight", "passes"),
    [(799, False, True), (800, True, True), (949, True, True), (950, True, False)],
)
def test_the_orgs_own_count_is_minded(used: int, is_tight: bool, passes: bool) -> None:
    budget = Budget(now=Clock())
    budget.note(usage(used))

    assert budget.is_tight is is_tight
    assert lets_pass(budget) is passes


def lets_pass(budget: Budget) -> bool:
    try:
        budget.check()
        budget.check()  # the first may be the one that asks
    except OrgUnavailableError:
        return False
    return True


def test_a_region_keeps_to_its_share_whatever_the_others_use() -> None:
    budget = Budget(share=0.01, now=Clock())  # ten calls of a thousand
    for _ in range(8):
        budget.note(usage(8))

    assert budget.is_tight
    assert lets_pass(budget)
    budget.note(usage(9))
    budget.note(usage(10))
    assert not lets_pass(budget)
    assert budget.left == 0


def test_an_allowance_of_the_app_counts_more_exactly_than_we_do() -> None:
    budget = Budget(now=Clock())
    budget.note(f"{usage(10)}; per-app-api-usage=240/250(appName=Region_Sink_EU)")

    assert not lets_pass(budget)


def test_calls_are_free_again_after_a_day() -> None:
    clock = Clock()
    budget = Budget(share=0.01, now=clock)
    for _ in range(10):
        budget.note(usage(10))

    clock.at += 25 * 3600
    budget.note(usage(1))

    assert not budget.is_tight


def test_with_nothing_left_one_call_in_a_while_asks_the_org() -> None:
    clock = Clock()
    budget = Budget(pause_s=300, now=clock)
    budget.note(usage(10))
    budget.refused()

    with pytest.raises(OrgUnavailableError, match="asking again in 300 s"):
        budget.check()

    clock.at += 300
    budget.check()
    with pytest.raises(OrgUnavailableError):
        budget.check()
    budget.note(usage(500))
    budget.check()


def test_the_count_outlives_a_restart(tmp_path: Path) -> None:
    file, clock = tmp_path / "calls.json", Clock()
    budget = Budget(share=0.01, file=file, now=clock)
    for _ in range(10):
        budget.note(usage(10))
    budget.close()

    again = Budget(share=0.01, file=file, now=clock)
    again.note(usage(11))

    assert not lets_pass(again)
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"[]", b'{"x": 1}', b'{"1": null}'])
def test_a_broken_file_starts_the_count_anew(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "calls.json"
    file.write_bytes(content)

    budget = Budget(file=file, now=Clock())
    budget.note(usage(1))

    assert budget.left == 0.999


def test_the_orgs_limits_are_asked_for_at_the_start_and_when_no_answer_tells_them() -> None:
    clock = Clock()
    budget = Budget(now=clock)

    asked = [budget.wants_limits(), budget.wants_limits()]
    clock.at += 299
    budget.note(usage(1))
    clock.at += 299
    asked.append(budget.wants_limits())
    clock.at += 1
    asked.append(budget.wants_limits())

    assert asked == [True, False, False, True]


def test_what_the_limits_say_is_taken_in() -> None:
    budget = Budget(now=Clock())

    budget.note_limits({"DailyApiRequests": {"Max": 1000, "Remaining": 40, "app": {"Max": 1}}})

    assert budget.is_tight
    assert not lets_pass(budget)


@pytest.mark.parametrize("calls", [None, [], {}, {"Max": 5}, {"Max": "5", "Remaining": None}])
def test_limits_of_another_form_tell_nothing(calls: object) -> None:
    budget = Budget(now=Clock())

    budget.note_limits({"DailyApiRequests": calls})

    assert budget.left is None


def test_an_answer_without_limits_leaves_what_is_known_of_the_apps() -> None:
    budget = Budget(now=Clock())
    budget.note(f"{usage(10)}; per-app-api-usage=240/250(appName=Region_Sink_EU)")

    budget.note(None)

    assert not lets_pass(budget)


def test_a_call_that_is_kept_back_says_when_to_come_back() -> None:
    budget = Budget(pause_s=300, now=Clock())
    budget.refused()

    with pytest.raises(OrgRestedError) as caught:
        budget.check()

    assert caught.value.again_in_s == 300
    assert not caught.value.fate_unknown


def test_what_other_processes_of_the_region_have_used_counts_too(tmp_path: Path) -> None:
    clock = Clock()
    mine, theirs = tmp_path / "mine.json", tmp_path / "theirs.json"
    hour = int(clock.at) // 3_600
    theirs.write_text(f'{{"{hour}": 70, "{hour - 24}": 1000}}')
    budget = Budget(0.1, mine, now=clock, beside=[theirs])

    for _ in range(5):
        budget.note("api-usage=75/1000")
    before = budget.is_tight
    theirs.write_text(f'{{"{hour}": 76}}')
    clock.at += 2
    budget.note("api-usage=81/1000")

    assert not before
    assert budget.is_tight
    assert budget.left == pytest.approx(0.18)
