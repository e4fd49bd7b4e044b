"""What the org itself writes into a row: who and when, generated numbers, people's names.

Source: Metadata API, "CustomField": displayFormat; Salesforce help, "Auto-Number Field Formats";
Object Reference, "Contact": Name.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping

from connectors.sandbox.access import User
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

    def made(self, row: Row, sequence: int, text: str, stamped: Row) -> Row:
        """Return the whole of a new row.

        Args:
            row: What the caller sets.
            sequence: Its number.
            text: Its id, the name of a row without one.
            stamped: Who makes it and when, see `stamp`.

        """
        user, now = stamped["LastModifiedById"], stamped["LastModifiedDate"]
        full: Row = {"OwnerId": user, **row, "CreatedDate": now, "CreatedById": user, **stamped}
        full["Id"] = sequence
        if self._parts:
            full["Name"] = _joined(full.get(part) for part in self._parts)
        full["Name"] = full.get("Name") or text
        for field, make in self._numbers:
            full[field] = make(sequence, int(now or 0))
        return full

    def changed(self, row: Row, text: str, name: str | None, stamped: Row) -> Row:
        """Return what changes of a row.

        Args:
            row: What the caller sets, and its number.
            text: Its id, the name of a row whose name is taken away.
            name: Of a person, put together anew; see `renamed`.
            stamped: Who changes it and when, see `stamp`.

        """
        full = {**row, **stamped}
        if name or "Name" in full:
            full["Name"] = name or full["Name"] or text
        return full

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


def stamp(user: User, now: int) -> Row:
    """Return what every change writes into a row; *now* is in seconds since 1970."""
    return {"LastModifiedDate": now, "LastModifiedById": user.sequence, "SystemModstamp": now}


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
