"""Numbers that the kernels tell apart differ, and those that they compare lie on their sides."""

import pytest

from residency.plan.walk import ops

WITHOUT_INTEGER = (ops.BOOLEAN, ops.SIZED, ops.FIXED_DECIMAL)
WITH_INTEGER = (
    ops.STRING, ops.BYTES, ops.LONG, ops.INT, ops.ENUM, ops.DECIMAL, ops.UUID,
    ops.UNION, ops.KEY, ops.BLOCK,
)  # fmt: skip
STEPS = (ops.JUMP, ops.BEGIN, ops.NEXT, ops.STORE, ops.COUNT, ops.CLEAR, ops.END)
EMISSIONS = (
    ops.LITERAL, ops.TEXT, ops.NUMBER, ops.NUMBER_OR_ZERO, ops.TRUTH, ops.SYMBOL, ops.AMOUNT,
    ops.TOTAL, ops.TOTAL_OR_ZERO, ops.FILL, ops.VERSION, ops.CLEARED, ops.EMPTY,
)  # fmt: skip


@pytest.mark.parametrize(
    "numbers",
    [
        (*WITHOUT_INTEGER, *WITH_INTEGER, *STEPS),
        (ops.SET, ops.SUM, ops.LEAST, ops.MOST),
        (ops.SKIP, ops.COPY, ops.EDIT),
        (ops.PLAIN, ops.MALFORMED, ops.ODD),
        EMISSIONS,
    ],
)
def test_numbers_that_are_told_apart_differ(numbers: tuple[int, ...]) -> None:
    assert len(set(numbers)) == len(numbers)


def test_what_starts_with_an_integer_lies_between_what_does_not() -> None:
    between = range(ops.FIRST_WITH_INTEGER, ops.LAST_WITH_INTEGER + 1)

    assert set(WITH_INTEGER) <= set(between)
    assert not set(between) & {*WITHOUT_INTEGER, *STEPS}


def test_leaves_come_first() -> None:
    leaves = {*WITHOUT_INTEGER, *WITH_INTEGER} - {ops.UNION, ops.KEY, ops.BLOCK}

    assert max(leaves) <= ops.LAST_LEAF < min({*WITH_INTEGER, *STEPS} - leaves)


def test_every_edit_is_above_what_is_kept_or_left_out() -> None:
    assert max(ops.SKIP, ops.COPY) < ops.EDIT


def test_no_place_and_no_mark_of_a_number_means_absent() -> None:
    assert ops.ABSENT < 0
