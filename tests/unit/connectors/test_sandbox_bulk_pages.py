"""A query job's results on disk: each row in one page, and cells as the Bulk API has them."""

import asyncio
import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.bulk.cells import cell_of
from connectors.sandbox.bulk.jobs import StoppedError
from connectors.sandbox.bulk.pages import (
    LAST,
    find_page,
    locator_of,
    page_pieces,
    remove_results,
    write_results,
)
from connectors.sandbox.bulk.table import DELIMITERS, ENDINGS, Format
from connectors.sandbox.deployed.metadata import Field
from connectors.sandbox.errors import ApiError
from connectors.sandbox.rows.values import Stored

LAYOUT = Format("COMMA", "LF")
NAMES = ["Id", "Name"]


def read(folder: Path, locator: str, most: int) -> tuple[str, str]:
    """Return a page's text and the locator behind it."""
    page = find_page(folder, 7, locator, most)

    async def whole() -> bytes:
        with (folder / "7.csv").open("rb") as file:
            return b"".join([piece async for piece in page_pieces(file, page)])

    return asyncio.run(whole()).decode("utf-8"), page.locator


@given(
    rows=st.lists(st.lists(st.text(max_size=5), min_size=2, max_size=2), max_size=12),
    most=st.integers(1, 5),
    delimiter=st.sampled_from(sorted(DELIMITERS)),
    ending=st.sampled_from(sorted(ENDINGS)),
)
def test_pages_of_any_size_hold_every_row_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    most: int,
    delimiter: str,
    ending: str,
) -> None:
    folder = tmp_path_factory.mktemp("pages")
    count = write_results(folder, 7, Format(delimiter, ending), (NAMES, rows), lambda: False)

    found: list[list[str]] = []
    locator = ""
    while locator != LAST:
        text, locator = read(folder, locator, most)
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[delimiter])
        header, *page = list(lines)
        found += page
        assert header == NAMES

    assert count == len(rows)
    assert found == rows


def test_a_locator_is_the_first_row_in_base64() -> None:
    assert locator_of(10_000) == "MTAwMDA"
    assert locator_of(200_000) == "MjAwMDAw"


@pytest.mark.parametrize(
    "locator",
    [
        locator_of(3),  # behind the last row
        locator_of(10**19),
        "MQ==",  # padded
        "M!Q",  # what base64 would pass over
        "LTE",  # -1
        "MDE",  # 01
        "w6Q",  # not ASCII
        "\u00e4",
        "null",
        "A",  # no base64
    ],
)
def test_a_locator_that_nobody_was_given_is_refused(tmp_path: Path, locator: str) -> None:
    write_results(tmp_path, 7, LAYOUT, (NAMES, [["a", "b"]] * 3), lambda: False)

    with pytest.raises(ApiError):
        find_page(tmp_path, 7, locator, 1)


def test_results_that_are_stopped_leave_nothing_and_those_of_before_as_they_were(
    tmp_path: Path,
) -> None:
    write_results(tmp_path, 7, LAYOUT, (NAMES, [["a", "b"]]), lambda: False)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    looks = iter([False, True])

    with pytest.raises(StoppedError):
        write_results(tmp_path, 7, LAYOUT, (NAMES, [["c", "d"]] * 3000), lambda: next(looks))

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    remove_results(tmp_path, 7)
    assert list(tmp_path.iterdir()) == []


def test_results_are_for_the_owners_eyes(tmp_path: Path) -> None:
    write_results(tmp_path, 7, LAYOUT, (NAMES, []), lambda: False)

    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


NUMBER = Field("N__c", "N", "double", precision=18, scale=2)
TINY = Field("T__c", "T", "double", precision=18, scale=5)
PARENT = Field("P__c", "P", "reference", references=("Account",), key_prefix="001")


@pytest.mark.parametrize(
    ("field", "stored", "expected"),
    [
        (NUMBER, None, ""),
        (NUMBER, 0, "0.0"),
        (NUMBER, 1, "0.01"),
        (NUMBER, -150, "-1.5"),
        (NUMBER, 999_999_999, "9999999.99"),
        (NUMBER, 1_000_000_000, "1.0E7"),
        (NUMBER, -1_234_567_850, "-1.23456785E7"),
        (NUMBER, 123_456_789_012_345_678, "1.2345678901234568E15"),  # as a double has it
        (TINY, 100, "0.001"),
        (TINY, 90, "9.0E-4"),
        (Field("P__c", "P", "percent", precision=5, scale=1), 125, "12.5"),
        (Field("I__c", "I", "int", precision=8), 12_345_678, "12345678"),
        (Field("B__c", "B", "boolean"), 1, "true"),
        (Field("B__c", "B", "boolean"), 0, "false"),
        (Field("B__c", "B", "boolean"), None, ""),  # of a parent that is not there
        (Field("D__c", "D", "date"), "2026-11-23", "2026-11-23"),
        (Field("D__c", "D", "datetime"), 1_000_000_000, "2001-09-09T01:46:40.000Z"),
        (Field("D__c", "D", "datetime"), None, ""),
        (Field("S__c", "S", "string", length=9), 'a "b"', 'a "b"'),
        (Field("S__c", "S", "string", length=9), None, ""),
        (Field("Id", "Id", "id"), 1, "a00RO0000000001YAA"),
        (Field("Id", "Id", "id"), None, ""),
        (PARENT, 1, "001RO0000000001YAA"),
        (PARENT, None, ""),
    ],
)
def test_a_cell_is_what_the_bulk_api_writes(field: Field, stored: Stored, expected: str) -> None:
    assert cell_of(field, "a00")(stored) == expected
