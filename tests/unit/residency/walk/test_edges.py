"""The walk at its bounds: the last value that passes, and the first that does not."""

from typing import Any

import pytest
from random_avro import varint

from residency.plan.walk import ops
from residency.plan.walk.accelerator import view
from residency.plan.walk.found import walk_all
from residency.plan.walk.program import write_program
from residency.plan.walk.rare import add, is_within
from residency.plan.walk.wish import Wish
from schemas.strict import NotAvroError, compile_check

HEAD = b"\0\0\0\0\1"
LEAST, MOST = -(2**63), 2**63 - 1


def record(avro: Any) -> dict[str, Any]:
    field = {"name": "f", "type": avro}
    return {"type": "record", "name": "R", "namespace": "t", "fields": [field]}


def verdict(avro: Any, body: bytes) -> int:
    """Return what the walk says of a record of one field."""
    found = walk_all(write_program(record(avro), Wish()), [HEAD + body], 0)
    return int(found.status[0])


def is_strict(avro: Any, body: bytes) -> bool:
    """Tell whether the definition takes the bytes."""
    try:
        compile_check(record(avro))(body)
    except (NotAvroError, IndexError):
        return False
    return True


def decimal(precision: int, size: int | None = None) -> dict[str, Any]:
    amount = {"logicalType": "decimal", "precision": precision, "scale": 0}
    if size is None:
        return {"type": "bytes", **amount}
    return {"type": "fixed", "name": "D", "namespace": "t", "size": size, **amount}


def two(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big", signed=True)


def prefixed(raw: bytes) -> bytes:
    return varint(len(raw)) + raw


BOUNDS = [
    *(("int", varint(n)) for n in (2**31 - 1, 2**31, 2**31 + 1, -(2**31), -(2**31) - 1)),
    *(("long", varint(n)) for n in (MOST, LEAST)),
    *(("boolean", bytes([n])) for n in (0, 1, 2)),
    *(({"type": "enum", "name": "E", "symbols": ["a", "b"]}, varint(n)) for n in (-1, 0, 1, 2)),
    *((["null", "int"], body) for body in (varint(-1), varint(0), varint(1), varint(2), b"\2\2")),
    *(("string", varint(n) + b"ab") for n in (-1, 0, 1, 2, 3, MOST)),
    *(("bytes", varint(n) + b"ab") for n in (-1, 0, 1, 2, 3, MOST)),
    *(({"type": "fixed", "name": "F", "size": 2}, b"abc"[:n]) for n in (1, 2, 3)),
    *(("double", bytes(n)) for n in (7, 8, 9)),
    *((decimal(2), prefixed(two(n, 1))) for n in (99, 100, -99, -100)),
    *((decimal(18), prefixed(two(n, 8))) for n in (10**18 - 1, 10**18, 1 - 10**18, -(10**18))),
    *((decimal(18), prefixed(two(n, 9))) for n in (10**18 - 1, 10**18, 1 - 10**18, -(10**18))),
    *((decimal(18), prefixed(two(n, 12))) for n in (2**63 - 1, 2**63, 2**70, -(2**63) - 1, 5)),
    *((decimal(2, 3), two(n, 3)) for n in (99, 100, -99, -100)),
    *((decimal(2), body) for body in (b"\0", b"\1", b"\x04\1", b"\x01\1")),
    *(({"type": "array", "items": "int"}, body) for body in (
        b"\0", b"\2\2\0", b"\4\2\0", b"\2\2\2\2\0", b"\1\2\2\0", b"\1\4\2\0",
        b"\1\0\2\0", b"\1\1\2\0",
        varint(LEAST) + b"\2\2\0", varint(MOST), b"\1" + varint(MOST) + b"\2\0", b"\2\2", b"",
    )),
    *(({"type": "map", "values": "int"}, body) for body in (
        b"\0", b"\2\2a\2\0", b"\2\1a\2\0", b"\2\x08a\2\0", b"\2\2a\2\2\2a\4\0",
    )),
]  # fmt: skip


@pytest.mark.parametrize(("avro", "body"), BOUNDS)
def test_a_bound_is_where_the_strict_check_has_it(avro: Any, body: bytes) -> None:
    assert verdict(avro, body) == (ops.PLAIN if is_strict(avro, body) else ops.MALFORMED)


@pytest.mark.parametrize(
    ("value", "size", "expected"),
    [(MOST, 8, ops.PLAIN), (LEAST, 20, ops.PLAIN), (2**63, 9, ops.ODD), (LEAST - 1, 9, ops.ODD)],
)
def test_a_decimal_of_more_than_64_bits_is_left_to_strip(
    value: int, size: int, expected: int
) -> None:
    assert verdict(decimal(30), prefixed(two(value, size))) == expected
    assert verdict(decimal(30, size), two(value, size)) == expected


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


def walked(items: list[int], path: str, how: int) -> tuple[int, int, int]:
    """Return (verdict, value, mark) of a slot that takes *path* of ``f``, an array of longs."""
    wish = Wish()
    wish.at(path).stores.append((0, how))
    body = (varint(len(items)) + b"".join(map(varint, items)) if items else b"") + b"\0"
    program = write_program(record({"type": "array", "items": "long"}), wish)
    found = walk_all(program, [HEAD + body], 1)
    return int(found.status[0]), int(found.slots[0, 0, 0]), int(found.slots[0, 1, 0])


def test_aggregates_over_an_array() -> None:
    assert walked([5, -7, 3], "f[]", ops.SUM) == (ops.PLAIN, 1, 0)
    assert walked([5, -7, 3], "f[]", ops.LEAST) == (ops.PLAIN, -7, 0)
    assert walked([5, -7, 3], "f[]", ops.MOST) == (ops.PLAIN, 5, 0)
    assert walked([5, -7, 3], "f[2]", ops.SET) == (ops.PLAIN, 3, 0)
    assert walked([5, -7, 3], "f[3]", ops.SET)[2] == ops.ABSENT
    assert walked([], "f[]", ops.SUM)[2] == ops.ABSENT
    assert walked([MOST, 1], "f[]", ops.SUM)[0] == ops.ODD


@pytest.mark.parametrize("lengths", [[], [0], [2], [0, 3], [2, 0, 1]])
def test_items_are_counted_over_all_arrays_below(lengths: list[int]) -> None:
    wish = Wish()
    wish.at("f[]").counts.append(0)
    inner = {"type": "array", "items": "boolean"}
    arrays = [(varint(n) + bytes(n) if n else b"") + b"\0" for n in lengths]
    body = (varint(len(arrays)) + b"".join(arrays) if arrays else b"") + b"\0"
    program = write_program(record({"type": "array", "items": inner}), wish)

    found = walk_all(program, [HEAD + body] * 2, 1)

    expected = [sum(lengths)] * 2 if lengths else None
    assert list(found.status) == [ops.PLAIN] * 2
    assert expected is None or list(found.slots[0, 0]) == expected
    assert (found.slots[0, 1] == ops.ABSENT).all() == (expected is None)
