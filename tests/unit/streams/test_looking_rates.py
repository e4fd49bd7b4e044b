"""No caller looks more often than its role may in any minute or hour, whatever process it uses."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from residency.vault.access import load_roles
from residency.vault.looking import Refused, RefusedError
from schemas.errors import RetriableError
from streams.looking.callers import FOLDER, Caller
from streams.looking.rates import FILE, Rates

ROLE = replace(load_roles()["agent"], per_minute=3, per_hour=5)
DESK, OTHER = Caller("desk-a", "agent"), Caller("desk-b", "agent")


class Clock:
    """Says what it is told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def wait(rates: Rates, caller: Caller = DESK) -> int | None:
    """Return how long a caller must wait; None: it was let through."""
    try:
        rates.take(caller, ROLE)
    except RefusedError as exc:
        return exc.retry_after_s if exc.why is Refused.RATE else -1
    return None


def test_one_too_many_in_a_minute_waits_until_the_first_is_a_minute_old(tmp_path: Path) -> None:
    clock = Clock()
    with closing(Rates(tmp_path, clock)) as rates:
        found = []
        for _ in range(4):
            found.append(wait(rates))
            clock.now += 10

        assert found == [None, None, None, 30]
        clock.now = 1_000_059.5
        assert wait(rates) == 1
        clock.now = 1_000_060.0
        assert wait(rates) is None
        assert wait(rates) == 10


def test_one_too_many_in_an_hour_waits_for_the_hour(tmp_path: Path) -> None:
    clock = Clock()
    with closing(Rates(tmp_path, clock)) as rates:
        for _ in range(5):
            assert wait(rates) is None
            clock.now += 60

        assert wait(rates) == 3_300
        clock.now = 1_003_600.0
        assert wait(rates) is None
        assert wait(rates) == 60


def test_what_is_refused_is_not_counted(tmp_path: Path) -> None:
    clock = Clock()
    with closing(Rates(tmp_path, clock)) as rates:
        for _ in range(20):
            wait(rates)

        clock.now += 60
        assert wait(rates) is None
        assert wait(rates) is None
        assert wait(rates) == 3_540


def test_callers_are_counted_apart_and_processes_together(tmp_path: Path) -> None:
    clock = Clock()
    with closing(Rates(tmp_path, clock)) as one, closing(Rates(tmp_path, clock)) as two:
        for rates in (one, two, one):
            assert wait(rates) is None

        assert wait(two) == 60
        assert wait(two, OTHER) is None


def test_a_count_outlives_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    with closing(Rates(tmp_path, clock)) as rates:
        for _ in range(3):
            wait(rates)

    with closing(Rates(tmp_path, clock)) as rates:
        assert wait(rates) == 60


def test_a_broken_file_lets_nobody_through(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / FILE).write_bytes(b"not a database" * 100)

    with pytest.raises(RetriableError, match="look-ups are counted there"):
        Rates(tmp_path)
