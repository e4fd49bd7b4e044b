"""The walk at its bounds: the last value that passes, and the first that does not."""

from typing import Any

import pytest
from random_avro import varint
from walk_cases import (
    BOUNDS,
    HEAD,
    LEAST,
    MOST,
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
from residency.plan.walk.accelerator import view
from residency.plan.walk.found import walk_all
from residency.plan.walk.program import write_program
from residency.plan.walk.rare import add, is_within
from residency.plan.walk.wish import Wish


@pytest.mark.parametrize(("avro", "body"), BOUNDS)
def test_a_bound_is_where_the_strict_check_has_it(avro: Any, body: bytes) -> None:
    assert verdict(record(avro), body) == (
        ops.PLAIN if is_strict(record(avro), body) else ops.MALFORMED
    )


@pytest.mark.parametrize(
    ("value", "size", "expected"),
    [(MOST, 8, ops.PLAIN), (LEAST, 20, ops.PLAIN), (2**63, 9, ops.ODD), (LEAST - 1, 9, ops.ODD)],
)
def test_a_decimal_of_more_than_64_bits_is_left_to_strip(
    value: int, size: int, expected: int
) -> None:
    assert verdict(record(decimal(30)), prefixed(two(value, size))) == expected
    assert verdict(record(decimal(30, size)), two(value, size)) == expected


@pytest.mark.parametrize("limit", [1, 100])
def test_a_limit_is_below_which_a_decimal_lies_on_both_sides(limit: int) -> None:
    for value in (limit - 1, 1 - limit):
        assert is_within(view(two(value, 9)), 0, 9, limit) == ops.PLAIN
    for value in (limit, -limit):
        assert is_within(view(two(value, 9)), 0, 9, limit) == ops.MALFORMED


@pytest.mark.parametrize(
    ("held", "value", "total"),
    [
        (MOST - 1, 1, MOST), (MOST, 0, MOST), (MOST, 1, None), (1, MOST, None), (MOST, MOST, None),
        (LEAST + 1, -1, LEAST), (LEAST, 0, LEAST), (LEAST, -1, None), (-1, LEAST, None),
        (LEAST, MOST, -1), (MOST, LEAST, -1), (2, 3, 5), (0, LEAST, LEAST), (0, MOST, MOST),
    ],
)  # fmt: skip
def test_a_sum_is_exact_or_said_not_to_fit(held: int, value: int, total: int | None) -> None:
    made, fits = add(held, value, ops.SUM)

    assert bool(fits) == (total is not None)
    assert total is None or made == total


@pytest.mark.parametrize(("held", "value"), [(1, 2), (2, 1), (LEAST, MOST), (MOST, LEAST), (3, 3)])
def test_the_least_and_the_most_are_one_of_the_two(held: int, value: int) -> None:
    assert add(held, value, ops.LEAST) == (min(held, value), True)
    assert add(held, value, ops.MOST) == (max(held, value), True)


def aggregate(items: list[int], path: str, how: int) -> tuple[int, int, int]:
    """Return (verdict, value, mark) of a slot that takes *path* of ``f0``, an array of longs."""
    wish = Wish()
    wish.at(path).stores.append((0, how))
    body = (varint(len(items)) + b"".join(map(varint, items)) if items else b"") + b"\0"
    found = walked(record({"type": "array", "items": "long"}), body, wish, 1)
    return int(found.status[0]), int(found.slots[0, 0, 0]), int(found.slots[0, 1, 0])


def test_aggregates_over_an_array() -> None:
    assert aggregate([5, -7, 3], "f0[]", ops.SUM) == (ops.PLAIN, 1, 0)
    assert aggregate([5, -7, 3], "f0[]", ops.LEAST) == (ops.PLAIN, -7, 0)
    assert aggregate([5, -7, 3], "f0[]", ops.MOST) == (ops.PLAIN, 5, 0)
    assert aggregate([5, -7, 3], "f0[2]", ops.SET) == (ops.PLAIN, 3, 0)
    assert aggregate([5, -7, 3], "f0[3]", ops.SET)[2] == ops.ABSENT
    assert aggregate([], "f0[]", ops.SUM)[2] == ops.ABSENT
    assert aggregate([MOST, 1], "f0[]", ops.SUM)[0] == ops.ODD


@pytest.mark.parametrize("lengths", [[], [0], [2], [0, 3], [2, 0, 1], [1, 2]])
def test_items_are_counted_over_all_arrays_below(lengths: list[int]) -> None:
    wish = Wish()
    wish.at("f0[]").counts.append(0)
    inner = {"type": "array", "items": "boolean"}
    arrays = [(varint(n) + bytes(n) if n else b"") + b"\0" for n in lengths]
    body = (varint(len(arrays)) + b"".join(arrays) if arrays else b"") + b"\0"
    program = write_program(record({"type": "array", "items": inner}), wish)

    with soon():
        found = walk_all(program, [HEAD + body] * 2, 1)

    expected = [sum(lengths)] * 2 if lengths else None
    assert list(found.status) == [ops.PLAIN] * 2
    assert expected is None or list(found.slots[0, 0]) == expected
    assert (found.slots[0, 1] == ops.ABSENT).all() == (expected is None)
