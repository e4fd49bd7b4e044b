"""Conditional requests: what the headers of a call mean for a row in a known state."""

import time
from collections.abc import Iterator
from typing import cast

import pytest

from connectors.sandbox.call import Call
from connectors.sandbox.errors import ApiError
from connectors.sandbox.rows.conditions import State, check_read, check_write

CHANGED_AT = 1_606_725_294  # Mon, 30 Nov 2020 08:34:54 GMT
AT, BEFORE = "Mon, 30 Nov 2020 08:34:54", "Mon, 30 Nov 2020 08:34:53"
TAG = '"tag--gzip"'
STATE = State(CHANGED_AT, TAG)


class Asked:
    """A call of which nothing but its headers matters."""

    def __init__(self, **headers: str) -> None:
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def header(self, name: str) -> str:
        """Return a header, empty if there is none."""
        return self._headers.get(name, "")


def asked(**headers: str) -> Call:
    return cast("Call", Asked(**headers))


def read(state: State, **headers: str) -> int:
    """Return the status of a read."""
    try:
        answer = check_read(asked(**headers), state)
    except ApiError as exc:
        return exc.status
    return 200 if answer is None else answer.status


def write(state: State, **headers: str) -> int:
    """Return the status of an update."""
    try:
        check_write(asked(**headers), state)
    except ApiError as exc:
        return exc.status
    return 204


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the machine's clock show another time of day."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_star_stands_for_every_tag() -> None:
    statuses = [
        check(STATE, **{header: "*"})
        for check in (read, write)
        for header in ("If_Match", "If_None_Match")
    ]

    assert statuses == [200, 304, 204, 412]


@pytest.mark.parametrize("header", ["", " ", ",", " , "])
def test_a_list_of_no_tags_is_no_condition(header: str) -> None:
    statuses = [
        check(STATE, **{name: header})
        for check in (read, write)
        for name in ("If_Match", "If_None_Match")
    ]

    assert statuses == [200, 200, 204, 204]


def test_tags_come_before_dates() -> None:
    known = read(STATE, If_None_Match=TAG, If_Modified_Since=f"{BEFORE} GMT")
    other = read(STATE, If_None_Match='"other"', If_Modified_Since=f"{AT} GMT")

    assert (known, other) == (304, 200)


def test_a_row_without_a_tag_knows_no_tags() -> None:
    untagged = State(CHANGED_AT)

    reads = [read(untagged, If_Match='"x"'), read(untagged, If_None_Match="*")]
    writes = [write(untagged, If_Match='"x"'), write(untagged, If_None_Match="*")]

    assert (reads, writes) == ([200, 200], [204, 204])


@pytest.mark.usefixtures("far_east")
@pytest.mark.parametrize("zone", [" GMT", " -0000", ""])
def test_a_date_without_a_zone_is_one_of_greenwich(zone: str) -> None:
    same, earlier = (read(STATE, If_Modified_Since=day + zone) for day in (AT, BEFORE))
    late, in_time = (write(STATE, If_Unmodified_Since=day + zone) for day in (BEFORE, AT))

    assert (same, earlier) == (304, 200)
    assert (late, in_time) == (412, 204)


@pytest.mark.parametrize("text", ["yesterday", "Mon, 99 Nov 2020 08:34:54 GMT", "2020-11-30"])
def test_what_is_no_date_is_no_condition_but_refuses_an_update(text: str) -> None:
    reads = [read(STATE, If_Modified_Since=text), read(STATE, If_Unmodified_Since=text)]
    writes = [write(STATE, If_Modified_Since=text), write(STATE, If_Unmodified_Since=text)]

    assert (reads, writes) == ([200, 200], [204, 400])


def test_a_304_tells_the_state_again() -> None:
    answer = check_read(asked(If_None_Match=TAG), STATE)

    assert answer is not None
    assert answer.headers == {"Last-Modified": f"{AT} GMT", "ETag": TAG}
