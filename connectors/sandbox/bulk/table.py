"""CSV as ingest jobs take it, read in pieces of any size; and as they answer it. Pure.

Source: Bulk API 2.0 guide, "Valid CSV Record Rows".
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

DELIMITERS: Mapping[str, str] = {
    "BACKQUOTE": "`",
    "CARET": "^",
    "COMMA": ",",
    "PIPE": "|",
    "SEMICOLON": ";",
    "TAB": "\t",
}
ENDINGS: Mapping[str, str] = {"LF": "\n", "CRLF": "\r\n"}
MAX_FIELD, MAX_RECORD = 131_072, 400_000  # characters; Salesforce's limits
BLOCK = 2**18  # bytes read at a time

_CELL = (
    # possessive, so that no text makes it try twice: a quoted cell, or one without any quote;
    # a blank beside a quote is neither
    rb'(?:"([^"]*+(?:""[^"]*+)*+)"|([^"\r\n%(delimiter)s]*+))(%(delimiter)s|\r\n|\n|\r|\Z)'
)
_CELLS = {
    name: re.compile(_CELL % {b"delimiter": re.escape(text.encode("ascii"))})
    for name, text in DELIMITERS.items()
}


class TableError(Exception):
    """An upload is not the CSV that its job announced.

    Attributes:
        text: The job's ``errorMessage``; it holds no value.

    """

    def __init__(self, text: str) -> None:
        """Take Salesforce's text."""
        super().__init__(text)
        self.text = text


class Line(NamedTuple):
    """One record: where its bytes lie, and its cells."""

    start: int
    length: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Format:
    """How a job's CSV is written: keys of `DELIMITERS` and `ENDINGS`."""

    delimiter: str
    ending: str

    def line(self, cells: Iterable[str]) -> str:
        """Return one line, every cell quoted."""
        escaped = (cell.replace('"', '""') for cell in cells)
        text = DELIMITERS[self.delimiter].join(f'"{cell}"' for cell in escaped)
        return text + ENDINGS[self.ending]


def read_lines(
    file: BinaryIO, start: int, limit: int, layout: Format, block: int = BLOCK
) -> tuple[list[Line], int]:
    """Return up to *limit* records from byte *start*, and where the next one begins.

    Fewer than *limit* means that the file ends there. Empty lines are no records. *block* bytes
    are read first, and more if a record needs them.

    Raises:
        TableError: What follows is not CSV in that layout.

    """
    size = block
    while True:
        file.seek(start)
        data = file.read(size)
        lines, used = _split(data, limit, layout, is_end=len(data) < size)
        if len(lines) == limit or len(data) < size:
            found = [Line(start + line.start, line.length, line.cells) for line in lines]
            return found, start + used
        size *= 4


def parse_line(data: bytes, layout: Format) -> list[str]:
    """Return the cells of the one record that *data* is."""
    lines, _ = _split(data, 1, layout, is_end=True)
    return lines[0].cells


def all_lines(file: BinaryIO, start: int, layout: Format, batch: int) -> Iterator[list[Line]]:
    """Yield the records from byte *start* to the end, *batch* at a time.

    Raises:
        TableError: What follows is not CSV in that layout.

    """
    while True:
        lines, start = read_lines(file, start, batch, layout)
        if lines:
            yield lines
        if len(lines) < batch:
            return


def _split(data: bytes, limit: int, layout: Format, *, is_end: bool) -> tuple[list[Line], int]:
    """Return the whole records in *data*, and how many bytes they take."""
    pattern, ending = _CELLS[layout.delimiter], ENDINGS[layout.ending].encode("ascii")
    delimiter = DELIMITERS[layout.delimiter].encode("ascii")
    lines: list[Line] = []
    cells: list[str] = []
    begin = at = 0
    while len(lines) < limit and at < len(data):
        match = pattern.match(data, at)
        if match is None:
            if is_end:
                raise _syntax_error(data, at)
            break
        end, at = match[3], match.end()
        if at == len(data) and not is_end:
            break  # the cell may go on beyond what was read
        cells.append(_text(match))
        if end == delimiter and at < len(data):
            continue
        if end == delimiter:
            cells.append("")  # the file ends with an empty cell
        elif end not in {ending, b""}:
            text = (
                "ClientInputError : LineEnding is invalid on user data. Current LineEnding"
                f" setting is {layout.ending}"
            )
            raise TableError(text)
        if cells != [""] or match[1] is not None:
            lines.append(_line(begin, at, cells))
        begin, cells = at, []
    return lines, begin


def _line(begin: int, end: int, cells: list[str]) -> Line:
    if end - begin > MAX_FIELD:  # bytes; characters are fewer, so this may be a false alarm
        sizes = [len(cell) for cell in cells]
        if max(sizes) > MAX_FIELD or sum(sizes) > MAX_RECORD:
            text = (
                f"InvalidBatch : A field is longer than {MAX_FIELD} characters or a record than"
                f" {MAX_RECORD}"
            )
            raise TableError(text)
    return Line(begin, end - begin, cells)


def _text(match: re.Match[bytes]) -> str:
    quoted, plain = match[1], match[2]
    raw = plain if quoted is None else quoted.replace(b'""', b'"')
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        text = "ClientInputError : The data is not UTF-8"
        raise TableError(text) from exc


def _syntax_error(data: bytes, at: int) -> TableError:
    is_open = data[at : at + 1] == b'"' and data.count(b'"', at) % 2
    what = (
        "EOF reached before closing an opened quote"
        if is_open
        else "Found unescaped quote. A value with quote should be within a quote"
    )
    return TableError(f"InvalidBatch : Failed to parse CSV. {what}")
