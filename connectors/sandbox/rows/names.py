"""What the org itself writes into a row: generated numbers, and names it puts together.

Source: Metadata API, "CustomField": displayFormat; Salesforce help, "Auto-Number Field Formats";
Object Reference, "Contact": Name.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping

from connectors.sandbox.deployed.metadata import Field, SObject
from connectors.sandbox.rows.values import Row, Stored
from connectors.sandbox.store import Store

_PART = re.compile(r"\{(0+|YYYY|YY|MM|DD)\}")
_DATES = {"YYYY": "%Y", "YY": "%y", "MM": "%m", "DD": "%d"}


class Names:
    """What the org writes into the rows of one object."""

    def __init__(self, sobject: SObject) -> None:
        """Prepare the formats of *sobject*'s generated numbers."""
        self._name = sobject.name
        self._parts = sobject.named_by
        self._numbers = tuple(
            (field.name, _numbering(field)) for field in sobject.fields if field.display_format
        )

    def fill(self, row: Row, sequence: int, text: str, now: int) -> None:
        """Put into the new *row* of that number what the org itself gives it.

        Args:
            row: What the caller sets.
            sequence: Its number.
            text: Its id, the name of a row without one.
            now: Seconds since 1970; numbers may hold the day.

        """
        if self._parts:
            row["Name"] = _joined(row.get(part) for part in self._parts)
        row["Name"] = row.get("Name") or text
        for field, make in self._numbers:
            row[field] = make(sequence, now)

    def renamed(self, store: Store, plans: Iterable[object]) -> Mapping[int, str]:
        """Return the new names of people, by number of the row.

        Args:
            store: What it holds completes what *plans* change.
            plans: Rows to write, with an ``Id`` if they exist; anything else is passed over.

        """
        if not self._parts:
            return {}
        rows: list[Row] = [plan for plan in plans if isinstance(plan, dict) and "Id" in plan]
        touched = [row for row in rows if any(part in row for part in self._parts)]
        stored = store.find_rows(self._name, self._parts, [int(r["Id"] or 0) for r in touched])
        named = ((int(r["Id"] or 0), r) for r in touched)
        return {
            at: _joined({**stored.get(at, {}), **row}[part] for part in self._parts)
            for at, row in named
        }


def _joined(parts: Iterable[Stored]) -> str:
    return " ".join(str(part) for part in parts if part is not None)


def _numbering(field: Field) -> Callable[[int, int], str]:
    """Return what writes the number of a row made at a second since 1970."""
    offset = field.starts_at - 1
    parts = _PART.split(field.display_format or "")  # text, what stands in braces, text, ...
    if len(parts) == len(("before", "digits", "after")) and parts[1] not in _DATES:
        before, after, width = parts[0], parts[2], len(parts[1])
        return lambda sequence, _now: f"{before}{sequence + offset:0{width}d}{after}"

    def part(text: str, sequence: int, now: int) -> str:
        if text in _DATES:
            return time.strftime(_DATES[text], time.gmtime(now))
        return f"{sequence + offset:0{len(text)}d}"

    def make(sequence: int, now: int) -> str:
        pieces = (part(t, sequence, now) if at % 2 else t for at, t in enumerate(parts))
        return "".join(pieces)

    return make
