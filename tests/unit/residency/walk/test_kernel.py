"""The walk itself: what it writes where, and that nothing it meets later mends what is wrong."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from random_avro import varint
from walk_cases import (
    BOUNDS,
    ENUM,
    HEAD,
    LONGS,
    MAP,
    MOST,
    UUID,
    UUID_TEXT,
    decimal,
    is_strict,
    prefixed,
    record,
    soon,
    two,
    verdict,
    walked,
)

from residency.plan.walk import ops
from residency.plan.walk.accelerator import ints, view
from residency.plan.walk.kernel import walk
from residency.plan.walk.program import Acts, write_program
from residency.plan.walk.wish import Wish


@pytest.mark.parametrize(("avro", "body"), BOUNDS)
def test_what_follows_mends_nothing(avro: Any, body: bytes) -> None:
    """A decimal is judged on its own: its verdict must not take the place of an earlier one."""
    for size in range(1, len(HEAD + body) + 4):
        both = {**decimal(30, size), "name": "Behind"}
        for more in {0, 1, size}:
            wire = body + bytes(more)

            found = verdict(record(avro, both), wire)

            assert found != ops.PLAIN or is_strict(record(avro, both), wire)


def slots_of(avro: Any, body: bytes, wish: Wish, number: int) -> list[tuple[int, int] | None]:
    """Return the slots, (value, mark), that a plain walk leaves; None where nothing was."""
    found = walked(avro, body, wish, number)

    assert list(found.status) == [ops.PLAIN]
    pairs = [(int(value), int(mark)) for value, mark in found.slots[:, :, 0]]
    return [None if pair[1] == ops.ABSENT else pair for pair in pairs]


def wished(*paths: str, first: int = 0) -> Wish:
    """Return the wish for the values at *paths*, in slots from *first*."""
    wish = Wish()
    for slot, path in enumerate(paths, first):
        wish.at(path).stores.append((slot, ops.SET))
    return wish


@pytest.mark.parametrize(
    ("avro", "body", "value"),
    [
        ("long", varint(-7), (-7, 0)),
        ("int", varint(70), (70, 0)),
        (ENUM, varint(1), (1, 0)),
        ("boolean", b"\1", (1, 0)),
        ("boolean", b"\0", (0, 0)),
        ("string", prefixed(b"abc"), (6, 9)),
        ("bytes", prefixed(b"abc"), (6, 9)),
        (UUID, prefixed(UUID_TEXT), (6, 42)),
        ("double", bytes(8), (5, 13)),
        (decimal(4), prefixed(b"\1\2"), (6, 8)),
        (decimal(4, 2), b"\1\2", (5, 7)),
    ],
)
def test_a_number_has_its_value_and_the_rest_has_its_place(
    avro: Any, body: bytes, value: tuple[int, int]
) -> None:
    behind = record(avro, "int")

    assert slots_of(behind, body + b"\0", wished("f0"), 1) == [value]
    assert slots_of(behind, body + b"\0", wished("f0", first=1), 3) == [None, value, None]


def test_what_nobody_wishes_for_goes_to_no_slot() -> None:
    avro, body = record("long", ["null", "long"], MAP, LONGS), b"\2\2\4\2\2a\6\0\2\4\0"

    assert slots_of(avro, body, Wish(), 2) == [None, None]


def many(values: Sequence[int], *, is_map: bool = False) -> bytes:
    """Return an array of longs in one block, or a map of them with the keys a, b and so on."""
    items = [
        (prefixed(bytes([97 + place])) if is_map else b"") + varint(value)
        for place, value in enumerate(values)
    ]
    return varint(len(items)) + b"".join(items) + b"\0"


def test_chosen_items_and_entries_are_found_wherever_their_tables_lie() -> None:
    avro = record(["null", "long", "string"], LONGS, MAP, ["string", "long"], LONGS)
    paths = ("f0", "f1[0]", "f1[2]", "f1[3]", "f2{b}", "f2{d}", "f2{c}", "f2{bb}", "f3", "f4[1]")
    body = (
        b"\2\x14" + many([5, 6, 7, 8]) + many([1, 2, 3, 4], is_map=True) + b"\2\x12" + many([0, 9])
    )

    found = slots_of(avro, body, wished(*paths, first=1), 12)

    values = (None, 10, 5, 7, 8, 2, 4, 3, None, 9, 9, None)
    assert found == [None if value is None else (value, 0) for value in values]


def test_a_key_that_comes_twice_counts_by_its_last_value() -> None:
    avro = record({"type": "map", "values": ["null", "long"]}, "long")
    wish = wished("f1", "f0{a}", "f0{b}")
    body = b"\6\2a\2\4\2b\2\6\2a\0\0\x08"

    assert slots_of(avro, body, wish, 3) == [(4, 0), None, (3, 0)]


def test_items_are_counted_into_the_slot_that_asks() -> None:
    wish = wished("f1", first=2)
    wish.at("f0[]").counts.append(1)
    avro = record({"type": "array", "items": LONGS}, "long")
    body = b"\4" + many([1]) + many([2, 3]) + b"\0" + b"\x08"

    assert slots_of(avro, body, wish, 3) == [None, (3, 0), (4, 0)]


@pytest.mark.parametrize("how", [ops.SUM, ops.LEAST, ops.MOST])
def test_an_aggregate_leaves_the_other_slots_alone(how: int) -> None:
    wish = wished("f1", first=2)
    wish.at("f0[]").stores.append((1, how))
    body, total = many([5, -7, 3]) + b"\x08", {ops.SUM: 1, ops.LEAST: -7, ops.MOST: 5}

    assert slots_of(record(LONGS, "long"), body, wish, 3) == [None, (total[how], 0), (4, 0)]


@pytest.mark.parametrize(
    ("items", "values", "fits"),
    [
        ("long", [varint(MOST), varint(1)], False),
        ("long", [varint(MOST), varint(0)], True),
        (decimal(30), [prefixed(two(MOST, 9))], True),
        (decimal(30), [prefixed(two(MOST, 9)), prefixed(b"\1")], False),
        (decimal(30), [prefixed(two(MOST, 9)), prefixed(b"\xff")], True),
    ],
)
def test_a_total_that_does_not_fit_is_left_to_strip_whatever_follows(
    items: Any, values: list[bytes], fits: bool
) -> None:
    wish = Wish()
    wish.at("f0[]").stores.append((0, ops.SUM))
    avro = record({"type": "array", "items": items}, decimal(30, 1))

    found = walked(avro, varint(len(values)) + b"".join(values) + b"\0\1", wish, 1)

    assert int(found.status[0]) == (ops.PLAIN if fits else ops.ODD)
    assert (found.slots[0, 1, 0] != ops.ABSENT) == fits


def taped(
    avro: Any, bodies: Sequence[bytes], acts: Acts | None, room: int, wish: Wish | None = None
) -> tuple[int | None, list[list[list[int]]], list[int]]:
    """Return (how many were walked, each one's rows, verdicts); the first body starts at 0."""
    program = write_program(avro, wish or Wish(), acts)
    ends = np.cumsum([len(body) for body in bodies])
    starts = ends - [len(body) for body in bodies]
    tape, row_ends = np.full((room, 3), 77, np.int64), np.zeros(len(bodies), np.int64)
    status, slots = np.zeros(len(bodies), np.uint8), np.full((3, 2, len(bodies)), -1, np.int64)

    with soon():
        done = walk(
            program.code, program.table, program.keys, program.key_ends, program.depth,
            view(b"".join(bodies)), ints(starts), ints(ends), slots, tape, row_ends, status,
        )  # fmt: skip

    whole = row_ends[:done].tolist()
    rows = [tape[a:z].tolist() for a, z in zip([0, *whole], whole, strict=False)]
    return done, rows, status.tolist()


def test_what_is_kept_is_one_run_whatever_it_holds() -> None:
    avro = record("long", ["null", "string"], LONGS, MAP, {"type": "array", "items": LONGS}, "int")
    body = (
        b"\2\2\2a" + many([1, 2]) + many([3, 4], is_map=True) + b"\4" + many([1]) + b"\0\0" + b"\2"
    )
    wish = wished("f3{a}", "f0")
    wish.at("f4[]").counts.append(2)
    wish.at("f2[]").stores.append((1, ops.SUM))

    done, rows, status = taped(avro, [body, body], Acts(), 2, wish)

    size = len(body)
    assert (done, status) == (2, [ops.PLAIN, ops.PLAIN])
    assert rows == [[[-1, 0, size]], [[-1, size, 2 * size]]]


def test_a_run_ends_before_what_is_dropped_or_edited() -> None:
    avro = record("long", "string", "long", "string", "long")
    body = b"\2" + b"\4ab" + b"\x80\1" + b"\2c" + b"\4"
    acts = Acts(frozenset({"f1"}), {"f3": 3})

    _, rows, _ = taped(avro, [body, body], acts, 20)

    assert rows == [
        [[-1, n, n + 1], [-1, n + 4, n + 6], [3, n + 7, n + 8], [-1, n + 8, n + 9]]
        for n in (0, len(body))
    ]


@pytest.mark.parametrize("drop", ["f0", "f1", "f2"])
def test_an_event_less_one_field_is_what_lies_around_it(drop: str) -> None:
    avro, acts = record("long", "string", "long"), Acts(frozenset({drop}))

    _, rows, _ = taped(avro, [b"\2\2a\2"], acts, 9)

    around = {"f0": [[-1, 1, 4]], "f1": [[-1, 0, 1], [-1, 3, 4]], "f2": [[-1, 0, 3]]}
    assert rows == [around[drop]]


def test_a_number_that_is_edited_comes_with_its_value() -> None:
    _, rows, _ = taped(record("long", "long"), [b"\x08\2"], Acts(frozenset(), {"f0": 0}), 9)

    assert rows == [[[0, 4, 0], [-1, 1, 2]]]


@pytest.mark.parametrize(
    ("room", "done"), [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3)]
)
def test_walking_stops_before_an_event_that_the_tape_has_no_room_for(room: int, done: int) -> None:
    avro, acts = record("long", "string"), Acts(frozenset(), {"f1": 0})

    number, rows, _ = taped(avro, [b"\2\2a"] * 3, acts, room)

    assert number == done
    assert rows == [[[-1, n, n + 1], [0, n + 2, n + 3]] for n in (0, 3, 6)][:done]


@pytest.mark.parametrize("room", [0, 1, 2, 3])
def test_a_whole_event_that_is_kept_needs_one_row(room: int) -> None:
    number, rows, _ = taped(record("long"), [b"\2"] * 3, Acts(), room)

    assert number == room
    assert rows == [[[-1, n, n + 1]] for n in range(room)]


def test_what_is_not_kept_needs_no_tape() -> None:
    number, rows, _ = taped(record("long", "string", LONGS), [b"\2\2a\2\2\0"] * 2, None, 0)

    assert (number, rows) == (2, [[], []])


def test_a_refused_event_leaves_no_rows() -> None:
    avro, acts = record("long", "string", "boolean"), Acts(frozenset(), {"f1": 0})

    _, rows, status = taped(avro, [b"\2\2a\2", b"\2\2a\1"], acts, 9)

    assert status == [ops.MALFORMED, ops.PLAIN]
    assert rows == [[], [[-1, 4, 5], [0, 6, 7], [-1, 7, 8]]]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\0", ops.PLAIN),
        (b"\2\2\0", ops.PLAIN),
        (b"\4\2\2\0", ops.PLAIN),
        (b"\2\2\2\2\0", ops.ODD),
        (b"\4\2\2\2\2\0", ops.ODD),
        (b"\2\2\4\2\2\0", ops.ODD),
        (b"\1\2\2\0", ops.ODD),
        (b"\3\4\2\2\0", ops.ODD),
    ],
)
def test_what_is_kept_must_be_in_one_block_that_does_not_say_its_size(
    body: bytes, expected: int
) -> None:
    avro = record(LONGS, decimal(30, 1))
    kept, dropped = Acts(), Acts(frozenset({"f0"}))

    assert taped(avro, [body + b"\1"], kept, 9)[2] == [expected]
    assert taped(avro, [body + b"\1"], dropped, 9)[2] == [ops.PLAIN]
