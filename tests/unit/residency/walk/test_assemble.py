"""The second kernel, instruction by instruction: what it writes, and in how much room."""

import base64
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from random_avro import varint

from residency.plan.walk import ops
from residency.plan.walk.accelerator import ints, view
from residency.plan.walk.assemble import (
    ALPHABET,
    TOKEN_TEXT,
    assemble,
    splice,
    write_amount,
    write_tokens,
)

NEVER, FIRST, SECOND = 0, 1, 2  # where null stands
PRESENT = {NEVER: b"", FIRST: b"\2", SECOND: b"\0"}
NULL = {FIRST: b"\0", SECOND: b"\2"}
ROOM = 24  # bytes that any instruction may ask for
LITERALS = (b"<", b"\6one", b"\6two", b"\x0athree", b">", b"l" * 30, b"\x3c" + b"n" * 30)
ONE, LAST, LONG, LONG_NAME = 1, 4, 5, 6
DATA = b"..abcdefghij" + bytes(9) + b"\x01\x00\x7f" + b"\1" * 9
ABCDEFGHIJ, AMOUNT_127, TOO_WIDE = (2, 12), (22, 24), (24, 33)
FILLS = b"??klmnopqrst"
NOTHING = (0, ops.ABSENT)

Span = tuple[int, int]
Code = list[int]


def mark(number: int) -> Code:
    return [ops.LITERAL, number, 0, -1, 0, 0]


OPEN, CLOSE = mark(0), mark(LAST)


def ran(  # noqa: PLR0913 - the kernel takes as many
    code: Code,
    slots: Sequence[Sequence[Span]] = (),
    *,
    fills: Sequence[Sequence[int]] = ((0, 0, 0, 0),),
    names: int = 0,
    versions: Sequence[int] = (),
    status: Sequence[int] = (0,),
    room: int = 300,
) -> tuple[int, list[bytes], list[int]]:
    """Return (events done, the records of those, all verdicts); *slots* by event."""
    found = np.full((8, 2, len(status)), ops.ABSENT, np.int64)
    for event, spans in enumerate(slots):
        for slot, span in enumerate(spans):
            found[slot, :, event] = span
    literal_ends = [0, *np.cumsum([len(one) for one in LITERALS]).tolist()]
    out, ends = np.empty(room, np.uint8), np.zeros(len(status), np.int64)
    verdicts = np.array(status, np.uint8)
    done = assemble(
        ints(code), view(b"".join(LITERALS)), ints(literal_ends), names, view(DATA), found,
        view(FILLS), np.array(fills, np.int64), ints(versions or [0] * len(status)), verdicts,
        out, ends,
    )  # fmt: skip
    bounds = [0, *ends[:done].tolist()]
    records = [out[a:z].tobytes() for a, z in pairwise(bounds)]
    return done, records, verdicts.tolist()


VALUES = [
    ((ops.TEXT, 0, 0), ABCDEFGHIJ, b"\x14abcdefghij"),
    ((ops.TEXT, 0, 0), (2, 2), b"\0"),
    ((ops.TRUTH, 0, 0), (1, 0), b"\1"),
    ((ops.TRUTH, 0, 0), (0, 0), b"\0"),
    ((ops.SYMBOL, ONE, 0), (0, 0), b"\6one"),
    ((ops.SYMBOL, ONE, 0), (2, 0), b"\x0athree"),
    ((ops.NUMBER, -500, 700), (-300, 0), varint(-300)),
    ((ops.NUMBER, -500, 700), (-500, 0), varint(-500)),
    ((ops.NUMBER, -500, 700), (-501, 0), None),
    ((ops.NUMBER, -500, 700), (700, 0), varint(700)),
    ((ops.NUMBER, -500, 700), (701, 0), None),
    ((ops.NUMBER_OR_ZERO, -500, 700), (300, 0), varint(300)),
    ((ops.NUMBER_OR_ZERO, -500, 700), NOTHING, b"\0"),
    ((ops.NUMBER_OR_ZERO, 1, 700), NOTHING, None),
    ((ops.AMOUNT, -500, 700), AMOUNT_127, b"\2\x7f"),
    ((ops.AMOUNT, -500, 127), AMOUNT_127, b"\2\x7f"),
    ((ops.AMOUNT, -500, 126), AMOUNT_127, None),
    ((ops.AMOUNT, -500, 700), TOO_WIDE, None),
    ((ops.TOTAL, -500, 700), (300, 0), b"\4\x01\x2c"),
    ((ops.TOTAL, -500, 700), (-500, 0), b"\4\xfe\x0c"),
    ((ops.TOTAL, -500, 700), (701, 0), None),
    ((ops.TOTAL_OR_ZERO, -500, 700), (300, 0), b"\4\x01\x2c"),
    ((ops.TOTAL_OR_ZERO, -500, 700), NOTHING, b"\2\0"),
]


@pytest.mark.parametrize("nullable", [NEVER, FIRST, SECOND])
@pytest.mark.parametrize(("field", "span", "expected"), VALUES)
def test_a_value_is_written_after_its_union_index(
    field: tuple[int, int, int], span: Span, expected: bytes | None, nullable: int
) -> None:
    op, low, high = field
    code = [*OPEN, op, 1, nullable, -1, low, high, *CLOSE]

    done, records, verdicts = ran(code, [[NOTHING, span]])

    is_plain = expected is not None
    assert done == 1
    assert verdicts == [ops.PLAIN if is_plain else ops.ODD]
    assert records == [b"<" + PRESENT[nullable] + expected + b">" if is_plain else b""]


FIELDS = [ops.TEXT, ops.TRUTH, ops.SYMBOL, ops.NUMBER, ops.AMOUNT, ops.TOTAL, ops.FILL, ops.EMPTY]


@pytest.mark.parametrize("op", FIELDS)
def test_an_absent_value_is_null_where_there_is_null(op: int) -> None:
    for nullable, null in NULL.items():
        code = [*OPEN, op, 0, nullable, -1, -5, 5, *CLOSE]
        assert ran(code, [[NOTHING]]) == (1, [b"<" + null + b">"], [ops.PLAIN])

    code = [*OPEN, op, 0, NEVER, -1, -5, 5, *CLOSE]
    assert ran(code, [[NOTHING]]) == (1, [b""], [ops.ODD])


@pytest.mark.parametrize("nullable", [NEVER, FIRST, SECOND])
def test_a_fill_is_written_as_it_is(nullable: int) -> None:
    code = [*OPEN, ops.FILL, 1, nullable, -1, 0, 0, *CLOSE]

    made = ran(code, fills=((0, 1, 2), (2, 5, 12)), status=(0, 0))

    head = b"<" + PRESENT[nullable]
    assert made == (2, [head + b"klm>", head + b"nopqrst>"], [0, 0])


def test_each_event_has_its_version_and_its_values() -> None:
    code = [ops.VERSION, -1, 0, -1, 0, 0, ops.NUMBER, 0, NEVER, -1, -9, 9]

    made = ran(
        code, [[(1, 0)], [(2, 0)], [(99, 0)], [(4, 0)]], versions=(70, 71, 72, 73),
        status=(ops.PLAIN, ops.MALFORMED, ops.PLAIN, ops.PLAIN),
    )  # fmt: skip

    records = [varint(70) + b"\2", b"", b"", varint(73) + b"\x08"]
    assert made == (4, records, [ops.PLAIN, ops.MALFORMED, ops.ODD, ops.PLAIN])


@pytest.mark.parametrize(
    ("there", "cleared"),
    [
        ("", b"\6\6one\6two\x0athree\0"),
        ("b", b"\4\6one\x0athree\0"),
        ("ab", b"\2\x0athree\0"),
        ("bc", b"\2\6one\0"),
        ("abc", b"\0"),
    ],
)
def test_what_became_null_is_named_event_by_event(there: str, cleared: bytes) -> None:
    one = [ops.NUMBER, 0, FIRST, 0, -5, 5]
    two = [ops.NUMBER, 1, FIRST, 1, -5, 5]
    three = [ops.NUMBER, 2, FIRST, 2, -5, 5]
    unnamed = [ops.NUMBER, 3, FIRST, -1, 0, 0]
    names = [ops.CLEARED, -1, 0, -1, ONE, 3]
    code = [*OPEN, *one, *unnamed, *two, *three, *names, *CLOSE]
    spans = [(1, 0) if name in there else NOTHING for name in "abc"]

    done, records, _ = ran(
        code, [[NOTHING] * 4, spans, [(1, 0)] * 3], names=3, status=(0, 0, 0)
    )  # fmt: skip

    values = [b"\2\2" if name in there else b"\0" for name in "abc"]
    assert done == 3
    assert records[0] == b"<\0\0\0\0\6\6one\6two\x0athree\0>"
    assert records[1] == b"<" + values[0] + b"\0" + values[1] + values[2] + cleared + b">"
    assert records[2] == b"<\2\2\0\2\2\2\2\0>"


@pytest.mark.parametrize(
    ("code", "span", "needed"),
    [
        (OPEN, NOTHING, ROOM),
        (OPEN + OPEN, NOTHING, 1 + ROOM),
        (mark(LONG), NOTHING, 30),
        ([ops.VERSION, -1, 0, -1, 0, 0] * 2, NOTHING, 1 + ROOM),
        ([ops.TEXT, 0, NEVER, -1, 0, 0], ABCDEFGHIJ, 10 + ROOM),
        ([ops.TEXT, 0, FIRST, -1, 0, 0], ABCDEFGHIJ, 1 + 10 + ROOM),
        ([ops.FILL, 0, FIRST, -1, 0, 0], NOTHING, 1 + 10 + ROOM),
        ([ops.SYMBOL, 0, FIRST, -1, ONE, 0], (LONG - ONE, 0), 1 + 30),
        ([ops.EMPTY, -1, FIRST, 0, 0, 0, ops.CLEARED, -1, 0, -1, LONG_NAME, 1], NOTHING, 34),
    ],
)
def test_a_record_that_lacks_a_byte_of_room_is_left_for_a_larger_buffer(
    code: Code, span: Span, needed: int
) -> None:
    fills = ((2, 12),)

    done, records, _ = ran(code, [[span]], fills=fills, names=1, room=needed)
    less, _, verdicts = ran(code, [[span]], fills=fills, names=1, room=needed - 1)

    assert (done, less, verdicts) == (1, 0, [ops.PLAIN])
    assert records == ran(code, [[span]], fills=fills, names=1)[1]


def test_events_are_written_as_long_as_there_is_room() -> None:
    made = ran(mark(LONG), status=(0, 0, 0), room=89)

    assert made == (2, [LITERALS[LONG]] * 2, [0, 0, 0])


@pytest.mark.parametrize(
    ("field", "span"),
    [
        ([ops.TEXT, 0, NEVER, -1, 0, 0], NOTHING),
        ([ops.AMOUNT, 0, NEVER, -1, -5, 5], TOO_WIDE),
        ([ops.NUMBER, 0, NEVER, -1, -5, 5], (6, 0)),
    ],
)
def test_an_odd_event_is_given_up_at_once_and_takes_no_room(field: Code, span: Span) -> None:
    assert ran([*field, *mark(LONG)], [[span]], room=ROOM + 1) == (1, [b""], [ops.ODD])


def test_an_event_that_is_not_plain_keeps_its_verdict_and_takes_no_room() -> None:
    code = [ops.NUMBER, 0, NEVER, -1, -5, 5, *mark(LONG)]

    made = ran(code, [[NOTHING], [NOTHING]], status=(ops.MALFORMED, ops.ODD), room=0)

    assert made == (2, [b"", b""], [ops.MALFORMED, ops.ODD])


EDGES = [sign * (1 << bits) + more for bits in range(63) for sign in (1, -1) for more in (-1, 0, 1)]


@pytest.mark.parametrize("at", [0, 3])
def test_an_amount_has_no_byte_too_many_and_none_too_few(at: int) -> None:
    for value in [*EDGES, 2**63 - 1, -(2**63)]:
        width = (value if value >= 0 else ~value).bit_length() // 8 + 1
        out = np.zeros(24, np.uint8)

        end = write_amount(out, at, value)

        raw = value.to_bytes(width, "big", signed=True)
        assert out.tobytes() == (bytes(at) + varint(width) + raw).ljust(24, b"\0"), value
        assert end == at + 1 + width


TAPE = [(-1, 2, 5), (0, 3, 6), (-1, 5, 7), (1, 6, 9), (-1, 9, 12)]  # two events' rows
SPLICED = [b"[]abclmnde", b"", b"[]opqhij"]


def spliced(
    room: int, head: bytes = b"[]", row_ends: tuple[int, ...] = (3, 3, 5)
) -> tuple[int, list[bytes]]:
    """Return (events done, the results of those) of a tape's three events; one is odd."""
    out, ends = np.empty(room, np.uint8), np.zeros(3, np.int64)
    done = splice(
        view(DATA), view(FILLS), np.array(TAPE, np.int64), np.array(row_ends, np.int64),
        view(head)[: len(head)], np.array([ops.PLAIN, ops.ODD, ops.PLAIN], np.uint8), out, ends,
    )  # fmt: skip
    bounds = [0, *ends[:done].tolist()]
    return done, [out[a:z].tobytes() for a, z in pairwise(bounds)]


def test_a_tape_is_kept_and_made_bytes_in_turn_after_the_head() -> None:
    assert spliced(100) == (3, SPLICED)
    assert spliced(100, b"") == (3, [one[2:] for one in SPLICED])


@pytest.mark.parametrize("room", range(19))
def test_what_a_tape_says_is_written_as_long_as_there_is_room(room: int) -> None:
    done, results = spliced(room)

    assert done == (3 if room == 18 else 2 if room >= 10 else 0)
    assert results == SPLICED[:done]


def test_a_head_alone_takes_its_own_room_and_no_more() -> None:
    assert spliced(4, row_ends=(0, 0, 0)) == (3, [b"[]", b"", b"[]"])
    assert spliced(3, row_ends=(0, 0, 0)) == (2, [b"[]", b""])


@pytest.mark.parametrize("head", [b"", b"id_"])
@pytest.mark.parametrize("stride", [16, 32])
def test_a_token_is_128_bits_in_base32_after_its_head(head: bytes, stride: int) -> None:
    macs = [bytes((7 * n + 31 * m) & 0xFF for n in range(stride)) for m in range(1, 4)]
    out = np.zeros(3 * (len(head) + 26), np.uint8)

    write_tokens(view(b"".join(macs)), stride, view(head)[: len(head)], ALPHABET, out)

    texts = [base64.b32encode(mac[:16]).decode().lower().rstrip("=") for mac in macs]
    assert out.tobytes() == b"".join(head + text.encode() for text in texts)
    assert {len(text) for text in texts} == {TOKEN_TEXT}
