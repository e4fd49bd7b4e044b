"""Bytes that are made by hand for PostgreSQL: read here by the words of its documentation."""

import struct
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import PyFormat, Transformer

from connectors.postgres.vault.arrays import ByteStrings
from connectors.postgres.vault.copying import Alike, term_rows
from connectors.postgres.vault.rows import Row
from residency.vault.index import Kind

SUBJECT = b"s" * 16


def fields(row: bytes) -> list[bytes]:
    """Return the fields of one row of binary COPY."""
    (count,), at, found = struct.unpack_from(">h", row), 2, list[bytes]()
    for _ in range(count):
        (length,) = struct.unpack_from(">i", row, at)
        found.append(row[at + 4 :][:length])
        at += 4 + length
    assert at == len(row)
    return found


def number(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001  aware below
    st.text(max_size=20),
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**63 - 1),
    st.binary(max_size=70_000),
)
def test_a_row_of_events_has_its_columns_in_order(
    at: datetime, topic: str, partition: int, offset: int, sealed: bytes
) -> None:
    at = at.replace(tzinfo=UTC)
    row = Row("an.event", at, topic, "topic-id", partition, offset, SUBJECT, 1002, sealed)

    found = fields(row.encoded())

    texts = [found[0], found[2], found[3]]
    assert texts == [b"an.event", topic.encode(), b"topic-id"]
    since = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=number(found[1]))
    assert since == at
    assert [(number(found[n]), len(found[n])) for n in (4, 5, 7)] == [
        (partition, 4),
        (offset, 8),
        (1002, 4),
    ]
    assert (found[6], found[8]) == (SUBJECT, sealed)


def test_rows_alike_differ_in_what_they_are_given() -> None:
    shared = Alike("e", "t", "i", 0, 7)

    rows = [shared.row(0, n, bytes([n]) * 16, bytes([n])) for n in (1, 2)]

    assert [number(fields(row)[5]) for row in rows] == [1, 2]
    assert [fields(row)[8] for row in rows] == [b"\1", b"\2"]


def test_rows_of_the_index_are_digest_subject_kind() -> None:
    digests, subjects = [b"b" * 16, b"a" * 16], [SUBJECT, b"t" * 16]

    rows = term_rows(Kind.PHONE, digests, subjects)

    assert [fields(row) for row in rows] == [
        [b"b" * 16, SUBJECT, b"\0\3"],
        [b"a" * 16, b"t" * 16, b"\0\3"],
    ]
    assert sorted(rows) == rows[::-1]  # by digest


@pytest.mark.parametrize(
    "strings", [[b"s" * 16, b"t" * 16], [b"one", b"", b"three"], [b""], [b"", b""]]
)
def test_an_array_is_what_psycopg_makes_of_a_list(strings: list[bytes]) -> None:
    dumper = Transformer().get_dumper(strings, PyFormat.BINARY)

    assert ByteStrings(strings).encoded == dumper.dump(strings)


def test_no_strings_are_an_array_without_dimensions() -> None:
    assert ByteStrings([]).encoded == struct.pack(">iii", 0, 0, 17)
