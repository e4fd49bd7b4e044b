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

    def given(self, row: Row, sequence: int, text: str, now: int) -> Row:
        """Return what the new row of that number gets beside what the caller sets.

        Args:
            row: What the caller sets.
            sequence: Its number.
            text: Its id, the name of a row without one.
            now: Seconds since 1970; numbers may hold the day.

        """
        name = _joined(row.get(part) for part in self._parts) or row.get("Name") or text
        return {"Name": name, **{field: make(sequence, now) for field, make in self._numbers}}

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
    form, offset = field.display_format or "", field.starts_at - 1

    def make(sequence: int, now: int) -> str:
        def part(match: re.Match[str]) -> str:
            word = match[1]
            if word in _DATES:
                return time.strftime(_DATES[word], time.gmtime(now))
            return str(sequence + offset).rjust(len(word), "0")

        return _PART.sub(part, form)

    return make
