"""A halt of a region's egress, as its file holds it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal, Self, get_args

from schemas.errors import BreachError, Cause

By = Literal["egress", "verify", "fsck", "reconcile"]
MAX_RECORDS: Final = 20  # named in a halt; `more` counts the rest
ID_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class Halt:
    """Why, and since when, a region's egress is halted.

    Attributes:
        id: 32 hex digits; two halts never share one.
        cause: Of the closed list.
        since: UTC, to the millisecond.
        by: What halted it.
        text: In words; names no value.
        records: Names of the records that show it, at most `MAX_RECORDS`.
        more: How many records beyond those.
        leaf: The first leaf of the ledger that is wrong, if it is one.

    """

    id: str
    cause: Cause
    since: datetime
    by: By
    text: str
    records: tuple[str, ...] = ()
    more: int = 0
    leaf: int | None = None

    @classmethod
    def of(cls, error: BreachError, by: By, name: str, since: datetime, leaf: int | None) -> Self:
        """Return the halt that *error* is, under the id *name*."""
        named, more = error.records[:MAX_RECORDS], max(0, len(error.records) - MAX_RECORDS)
        return cls(name, error.cause, since, by, str(error), named, more, leaf)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it; the inverse of `from_json`."""
        return {
            "id": self.id,
            "cause": self.cause.value,
            "since": self.since.isoformat(timespec="milliseconds"),
            "by": self.by,
            "text": self.text,
            "records": list(self.records),
            "more": self.more,
            "leaf": self.leaf,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Return the halt that *row* tells.

        Raises:
            ValueError: It tells none.
            KeyError, TypeError: Likewise.

        """
        by, since = row["by"], datetime.fromisoformat(row["since"])
        if len(row["id"]) != ID_DIGITS or by not in get_args(By) or since.tzinfo is None:
            msg = "not a halt"
            raise ValueError(msg)
        return cls(
            bytes.fromhex(row["id"]).hex(),
            Cause(row["cause"]),
            since,
            by,
            str(row["text"]),
            tuple(map(str, row["records"])),
            int(row["more"]),
            None if row["leaf"] is None else int(row["leaf"]),
        )


class HaltedError(BreachError):
    """The region's egress is halted already."""

    def __init__(self, halt: Halt) -> None:
        """Take the halt that stands."""
        text = f"halted by {halt.by} ({halt.cause}): {halt.text}"
        super().__init__(text, halt.cause, halt.records)


def damaged(data: bytes, text: str, since: datetime) -> Halt:
    """Return the halt that a damaged file is; the same file is the same halt."""
    digest = sha256(data).hexdigest()[:ID_DIGITS]
    return Halt(digest, Cause.SWITCH, since, "egress", text)
