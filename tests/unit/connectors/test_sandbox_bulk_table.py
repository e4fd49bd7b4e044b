"""CSV of ingest jobs: read as any CSV reader reads it, in pieces of any size."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.sandbox.bulk.table import (
    DELIMITERS,
    ENDINGS,
    Format,
    TableError,
    all_lines,
    parse_line,
    read_lines,
)

LAYOUTS = st.builds(Format, st.sampled_from([*DELIMITERS]), st.sampled_from([*ENDINGS]))
CELLS = st.text(st.sampled_from('aß\u20ac "\n\r,;|^`\t'), max_size=4)
TABLES = st.lists(st.lists(CELLS, min_size=2, max_size=3), max_size=6)
COMMA = Format("COMMA", "LF")


def by_csv(table: list[list[str]], layout: Format, quoting: int) -> bytes:
    out = io.StringIO(newline="")
    delimiter, ending = DELIMITERS[layout.delimiter], ENDINGS[layout.ending]
    # mypy knows the constants of csv as literals only
    writer = csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=quoting)  # type: ignore[arg-type]
    writer.writerows(table)
    return out.getvalue().encode("utf-8")


@given(TABLES, LAYOUTS, st.integers(1, 64), st.integers(1, 4), st.booleans())
def test_what_another_writer_wrote_is_read_in_pieces_of_any_size(
    table: list[list[str]], layout: Format, block: int, limit: int, is_quoted: bool
) -> None:
    # Python's writer leaves a bare \r without quotes; such a file is not valid for a job
    is_quoted = is_quoted or any("\r" in cell for row in table for cell in row)
    data = by_csv(table, layout, csv.QUOTE_ALL if is_quoted else csv.QUOTE_MINIMAL)
    file, start, found = io.BytesIO(data), 0, []

    while True:
        lines, start = read_lines(file, start, limit, layout, block)
        found += lines
        if len(lines) < limit:
            break

    assert [line.cells for line in found] == table
    assert start == len(data)
    for line in found:
        part = data[line.start : line.start + line.length]
        assert parse_line(part, layout) == line.cells


@given(TABLES, LAYOUTS)
def test_what_we_write_another_reader_reads(table: list[list[str]], layout: Format) -> None:
    text = "".join(layout.line(row) for row in table)

    reader = csv.reader(io.StringIO(text, newline=""), delimiter=DELIMITERS[layout.delimiter])

    assert list(reader) == table


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a,b", [["a", "b"]]),  # no line ending at the end
        (b"a,", [["a", ""]]),
        (b"a,\n", [["a", ""]]),
        (b"\n\na\n\n", [["a"]]),  # an empty line is no record
        (b'""\n', [[""]]),  # but an empty cell in quotes is one
        (b" a , b\n", [[" a ", " b"]]),  # nothing is trimmed
        (b"", []),
    ],
)
def test_edges(data: bytes, expected: list[list[str]]) -> None:
    lines, end = read_lines(io.BytesIO(data), 0, 10, COMMA)

    assert [line.cells for line in lines] == expected
    assert end == len(data) or not expected or data.endswith(b"\n\n")


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"a\r\n", "LineEnding"),
        (b"a\rb\n", "LineEnding"),
        (b'a"b\n', "unescaped quote"),
        (b'"a" ,b\n', "unescaped quote"),
        (b' "a",b\n', "unescaped quote"),
        (b'"a\n', "EOF reached"),
        (b"\xff\n", "UTF-8"),
    ],
)
@pytest.mark.parametrize("block", [1, 1000])
def test_what_is_not_such_csv_is_refused_without_its_text(
    data: bytes, word: str, block: int
) -> None:
    file = io.BytesIO(b"good,row\n" + data)

    with pytest.raises(TableError, match=word) as caught:
        read_lines(file, 0, 10, COMMA, block)

    assert "good" not in caught.value.text


def test_the_other_ending_is_refused_in_a_crlf_table_too() -> None:
    with pytest.raises(TableError, match="Current LineEnding setting is CRLF"):
        read_lines(io.BytesIO(b"a\nb\r\n"), 0, 10, Format("COMMA", "CRLF"))


def test_all_lines_end_with_the_file() -> None:
    file = io.BytesIO(b"a\nb\nc\nd\n")

    batches = [[line.cells[0] for line in lines] for lines in all_lines(file, 2, COMMA, 2)]

    assert batches == [["b", "c"], ["d"]]
