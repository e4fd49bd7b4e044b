"""Columns of made values: each event's own, in order, and nothing where there was nothing."""

import base64
import re
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from random_avro import varint as specified

from residency.generalise import Context, Generaliser
from residency.keys import TokenKeys
from residency.plan.walk import fills, ops
from residency.plan.walk.fills import (
    Column,
    FormatCheck,
    GeneralisedFill,
    Operand,
    TokenFill,
    reader_of,
    text,
    token_texts,
    varint,
)
from residency.tokens import Tokeniser

TOKENISER = Tokeniser(TokenKeys("eu", b"i" * 32, b"a" * 32), "crm")
DOMAIN = "user.name"
NOTHING = (0, ops.ABSENT)
DATA = b"adabobadaDE"
ADA, BOB, ADA_AGAIN, DE, EMPTY = (0, 3), (3, 6), (6, 9), (9, 11), (0, 0)
READ_TEXT = reader_of("string")


def slots(*columns: Sequence[tuple[int, int]]) -> Any:
    """Return slots as a walk leaves them, a row of spans for each."""
    return np.array(columns, np.int64).transpose(0, 2, 1)


@pytest.mark.parametrize("value", [0, 1, 63, 64, 4_095, 4_096, 8_191, 8_192, 2**63 - 1])
def test_a_number_is_written_as_specified_on_both_sides_of_nought(value: int) -> None:
    assert varint(value) == specified(value)
    assert varint(-value) == specified(-value)
    assert varint(~value) == specified(~value)


def test_small_numbers_are_kept_ready() -> None:
    assert [varint(value) for value in range(4_200)] == [specified(n) for n in range(4_200)]
    assert varint(4_095) is varint(4_095)


def test_tokens_are_texts_of_macs_in_order() -> None:
    macs = [bytes([n]) * 32 for n in (1, 2)]
    texts = [base64.b32encode(mac[:16]).decode().lower().rstrip("=").encode() for mac in macs]

    assert token_texts(b"id_", macs) == b"".join(b"id_" + one for one in texts)
    assert token_texts(b"id_", []) == b""


def token(value: str) -> bytes:
    return text(TOKENISER.attribute(DOMAIN, value).encode())


def joined(*pieces: bytes) -> Column:
    return Column(b"".join(pieces), [len(piece) for piece in pieces])


@pytest.mark.parametrize("is_required", [False, True])
def test_a_token_for_every_event_that_has_a_value(is_required: bool) -> None:
    fill = TokenFill(1, "attribute", DOMAIN, TOKENISER, is_required)
    found = slots([NOTHING] * 4, [ADA, BOB, ADA_AGAIN, EMPTY])

    made = fill.column(DATA, found)

    assert made == joined(token("ada"), token("bob"), token("ada"), token(""))


def test_an_absent_value_has_no_token_unless_one_is_required() -> None:
    found = slots([NOTHING, ADA, EMPTY, NOTHING, BOB])
    nobody = token("")

    optional = TokenFill(0, "attribute", DOMAIN, TOKENISER).column(DATA, found)
    required = TokenFill(0, "attribute", DOMAIN, TOKENISER, is_required=True).column(DATA, found)

    assert optional == joined(b"", token("ada"), nobody, b"", token("bob"))
    assert required == joined(nobody, token("ada"), nobody, nobody, token("bob"))


def test_nobody_has_a_value() -> None:
    found = slots([NOTHING, NOTHING])

    optional = TokenFill(0, "attribute", DOMAIN, TOKENISER).column(DATA, found)
    required = TokenFill(0, "attribute", DOMAIN, TOKENISER, is_required=True).column(DATA, found)

    assert optional == Column(b"", [0, 0])
    assert required == joined(token(""), token(""))


def told(value: Any, context: Context) -> str | None:
    """Return what a generaliser is given; None for Bob."""
    return None if value == "bob" else f"{value}/{context.country}/{context.at}"


TELL = Generaliser("told", ("string",), "string", 9, told, "All there is.")


def general(country: Operand | None, at: Operand | None) -> GeneralisedFill:
    return GeneralisedFill(
        Operand(0, READ_TEXT), TELL, lambda made: text(made.encode()), country, at
    )


def test_a_general_value_is_made_of_the_value_its_country_and_its_time() -> None:
    found = slots(
        [ADA, NOTHING, BOB, ADA, EMPTY], [DE, DE, DE, NOTHING, EMPTY], [(5, 0)] * 4 + [NOTHING]
    )
    country, at = Operand(1, READ_TEXT), Operand(2, reader_of("long"))

    whole = general(country, at).column(DATA, found)
    alone = general(None, None).column(DATA, found)

    assert whole == joined(text(b"ada/DE/5"), b"", b"", text(b"ada/None/5"), text(b"//None"))
    assert alone == joined(
        text(b"ada/None/None"), b"", b"", text(b"ada/None/None"), text(b"/None/None")
    )


def marked(check: FormatCheck, *spans: tuple[int, int]) -> list[int]:
    status = np.zeros(len(spans), np.uint8)
    check.mark(DATA, slots([NOTHING] * len(spans), spans), status)
    return status.tolist()


def test_what_breaks_its_format_is_odd_and_what_is_absent_does_not() -> None:
    spans = (ADA, BOB, NOTHING, ADA_AGAIN, EMPTY, (0, 4))

    check = FormatCheck(1, re.compile("ada"))

    assert marked(check, *spans) == [0, ops.ODD, 0, 0, ops.ODD, ops.ODD]
    assert marked(check, *spans) == [0, ops.ODD, 0, 0, ops.ODD, ops.ODD]


class Counted:
    """A pattern that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def fullmatch(self, value: str) -> bool:
        self.asked.append(value)
        return True


def test_strings_found_good_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fills, "MAX_VERDICTS", 1)
    pattern: Any = Counted()

    marked(FormatCheck(1, pattern), ADA, ADA_AGAIN, BOB, BOB, ADA)

    assert pattern.asked == ["ada", "bob", "bob"]


ENUM = {"type": "enum", "name": "E", "symbols": ["S", "M"]}


@pytest.mark.parametrize(
    ("avro", "span", "expected"),
    [
        ("string", ADA, "ada"),
        ({"type": "string", "logicalType": "uuid"}, ADA, "ada"),
        ("bytes", ADA, b"ada"),
        ({"type": "fixed", "name": "F", "size": 3}, BOB, b"bob"),
        ("int", (7, 0), 7),
        ({"type": "long", "logicalType": "timestamp-millis"}, (-7, 0), -7),
        ("boolean", (1, 0), True),
        ("boolean", (0, 0), False),
        (ENUM, (1, 0), "M"),
        ("float", (1, 5), struct.unpack("<f", DATA[1:5])[0]),
        ("double", (1, 9), struct.unpack("<d", DATA[1:9])[0]),
    ],
)
def test_a_physical_value_is_read_by_its_type(
    avro: Any, span: tuple[int, int], expected: object
) -> None:
    read = Operand(0, reader_of(avro)).values(DATA, slots([span, NOTHING, span]))

    assert read == [expected, None, expected]
    assert type(read[0]) is type(expected)


def test_values_are_not_shown() -> None:
    assert "ada" not in repr(joined(b"ada"))
