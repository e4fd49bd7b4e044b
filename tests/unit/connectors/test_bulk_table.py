"""Rows as CSV: every value comes back as it was, and nothing in one looks like structure."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.salesforce.bulk.options import BulkOptions
from connectors.salesforce.bulk.table import (
    MAX_FIELD,
    MAX_RECORD,
    NULL,
    Table,
    carries,
    tables,
)
from connectors.salesforce.errors import UnsendableValueError
from schemas.errors import HaltError

KEY = "External_Id__c"
OPTIONS = BulkOptions()
NAMES = ("A__c", "B__c", "C__c", "D__c")
SPECIAL = st.text(alphabet=' ",\r\n\t#N/A;äß漢\ufeff\0', min_size=1, max_size=12)
TEXT = st.one_of(st.text(st.characters(codec="utf-8"), min_size=1), SPECIAL)


def cells(table: Table) -> list[dict[str, str]]:
    """Return what a CSV reader sees."""
    text = io.StringIO(table.body.decode("utf-8"), newline="")
    return list(csv.DictReader(text, strict=True))


def only(rows: Sequence[Mapping[str, Any]], options: BulkOptions = OPTIONS) -> Table:
    (table,) = tables(KEY, rows, options)
    return table


def cell(value: object) -> str:
    """Return the bytes of one cell between its commas."""
    body = only([{KEY: "k", "A__c": value}]).body.decode()
    return body.removeprefix(f'{KEY},A__c\n"k",').removesuffix("\n")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, NULL),
        ("", NULL),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-(10**15), "-1000000000000000"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0.10"), "0.10"),
        (Decimal("1E-7"), "0.0000001"),
        (1e21, "1000000000000000000000"),
        (0.1, "0.1"),
        (date(2026, 2, 3), "2026-02-03"),
        (datetime(2026, 2, 3, 4, 5, 6, 7890, UTC), "2026-02-03T04:05:06.007Z"),
        (
            datetime(2026, 2, 3, 0, 30, tzinfo=timezone(timedelta(hours=2))),
            "2026-02-02T22:30:00.000Z",
        ),
        ("plain", '"plain"'),
        ('say "hi"', '"say ""hi"""'),
        ("a,b", '"a,b"'),
        ("a\r\nb", '"a\r\nb"'),
        (" blank ", '" blank "'),
        ("true", '"true"'),
    ],
)
def test_each_kind_of_value_has_its_form(value: object, expected: str) -> None:
    assert cell(value) == expected


@given(st.lists(st.dictionaries(st.sampled_from(NAMES), st.one_of(TEXT, st.none())), min_size=1))
def test_texts_nulls_and_absent_fields_come_back(rows: list[dict[str, str | None]]) -> None:
    keyed = [{KEY: f"k{n}", **row} for n, row in enumerate(rows)]

    found = cells(only(keyed))

    back = [
        {name: None if text == NULL else text for name, text in row.items() if text}
        for row in found
    ]
    sent = [{name: None if text == NULL else text for name, text in row.items()} for row in keyed]
    assert back == sent


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4))
def test_decimals_keep_every_digit_and_have_no_exponent(value: Decimal) -> None:
    text = cell(value)

    assert Decimal(text) == value
    assert "E" not in text


def test_columns_are_the_key_and_then_every_field_that_some_row_has() -> None:
    rows = [{"B__c": 1, KEY: "k1"}, {KEY: "k2", "A__c": 2}]

    table = only(rows)

    assert table.columns == (KEY, "B__c", "A__c")
    assert table.body == f'{KEY},B__c,A__c\n"k1",1,\n"k2",,2\n'.encode()


@pytest.mark.parametrize(
    ("max_rows", "max_bytes", "expected"),
    [(2, 10**6, [2, 2, 1]), (5, 10**6, [5]), (9, 34, [2, 2, 1]), (9, 33, [1] * 5), (9, 1, [1] * 5)],
)
def test_no_table_is_larger_than_it_may_be_but_for_one_row_alone(
    max_rows: int, max_bytes: int, expected: list[int]
) -> None:
    rows = [{KEY: f"k{n}", "A__c": n} for n in range(5)]  # a header of 20 bytes, lines of 7

    found = list(tables(KEY, rows, BulkOptions(max_rows=max_rows, max_bytes=max_bytes)))

    assert [table.rows for table in found] == expected
    assert [table.start for table in found] == [sum(expected[:n]) for n in range(len(expected))]
    assert [row[KEY] for table in found for row in cells(table)] == [row[KEY] for row in rows]
    assert {table.columns for table in found} == {(KEY, "A__c")}
    assert all(len(table.body) <= max(max_bytes, 27) for table in found)


def test_no_rows_are_no_table() -> None:
    assert list(tables(KEY, [], OPTIONS)) == []


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"A__c": NULL}, False),
        ({"A__c": "#n/a"}, False),
        ({"A__c": " #N/A"}, True),
        ({"A__c": None}, True),
        ({"A__c": "x" * MAX_FIELD}, True),
        ({"A__c": "x" * (MAX_FIELD + 1)}, False),
        (dict.fromkeys(NAMES, "x" * 100000), False),
        (dict.fromkeys(NAMES[:3], '"' * (MAX_RECORD // 6)), False),
        (dict.fromkeys(NAMES, "x" * 99000), True),
    ],
)
def test_what_csv_cannot_hold_as_it_is_goes_another_way(
    row: dict[str, Any], expected: bool
) -> None:
    assert carries({KEY: "k", **row}) is expected


@pytest.mark.parametrize("value", [Decimal("NaN"), float("inf"), {"a": 1}, "\ud800", b"x"])
def test_what_the_org_could_not_store_is_named_by_row_and_field(value: object) -> None:
    with pytest.raises(UnsendableValueError) as caught:
        list(tables(KEY, [{KEY: "k0"}, {KEY: "k1", "A__c": value}], OPTIONS))

    assert (caught.value.row, caught.value.field) == (1, "A__c")


def test_more_columns_than_a_job_takes_halt() -> None:
    row = {KEY: "k"} | {f"F{n}__c": n for n in range(6_000)}

    with pytest.raises(HaltError, match="6001 different fields"):
        list(tables(KEY, [row], OPTIONS))
