"""Which leaves somebody asks for. Pure; the leaves come in order, and no index is needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from residency.ledger.leaves import quantise
from schemas.events import RecordId


@dataclass(frozen=True, slots=True)
class Span:
    """A span of leaf times. A leaf's time is a minute: one that overlaps the span is in it.

    Attributes:
        since: The first minute, as leaves write it; None: from the first leaf.
        until: The first minute that is past it; None: to the last leaf.

    """

    since: str | None = None
    until: str | None = None

    @classmethod
    def between(cls, since: datetime | None, until: datetime | None) -> "Span":
        """Return the span from *since* up to *until*, which have time zones."""
        almost = timedelta(minutes=1) - timedelta(microseconds=1)
        return cls(
            None if since is None else quantise(since),
            None if until is None else quantise(until + almost),
        )

    def holds(self, time: str) -> bool:
        """Return whether a leaf's *time* is in it."""
        return (self.since is None or time >= self.since) and (
            self.until is None or time < self.until
        )


@dataclass(frozen=True, slots=True)
class Query:
    """What a leaf must be; None: whatever it is.

    Attributes:
        record: A record id, or the coordinates of a raw record: all that came of it.
        object: Salesforce object; an outcome has that of its transfer.
        plan: The first digits, or all, of a plan's digest; likewise.
        kind: Kind of leaf.
        result: Of an outcome.
        span: When.

    """

    record: str | None = None
    object: str | None = None
    plan: str | None = None
    kind: str | None = None
    result: str | None = None
    span: Span = Span()


class Finder:
    """Tells which leaves a query asks for. Remembers one byte per leaf, and only if it must."""

    __slots__ = ("_query", "_transfers")

    def __init__(self, query: Query, size: int) -> None:
        """Ask *query* of a ledger of *size*."""
        self._query = query
        by_transfer = query.object is not None or query.plan is not None
        self._transfers = bytearray(size) if by_transfer else None

    def matches(self, index: int, leaf: Mapping[str, Any]) -> bool:
        """Return whether the leaf is asked for.

        Args:
            index: Its index; call with every leaf, in order.
            leaf: Its fields.

        """
        query = self._query
        return (
            self._is_of_transfer(index, leaf)
            and query.kind in {None, leaf["kind"]}
            and query.result in {None, leaf.get("result")}
            and query.span.holds(leaf["time"])
            and (query.record is None or is_about(leaf, query.record))
        )

    def _is_of_transfer(self, index: int, leaf: Mapping[str, Any]) -> bool:
        """Return whether object and plan are those asked for."""
        if self._transfers is None:
            return True
        if leaf["kind"] != "transfer":
            named = leaf.get("transfer")
            return isinstance(named, int) and named < index and bool(self._transfers[named])
        self._transfers[index] = self._query.object in {None, leaf["object"]} and str(
            leaf["plan"]
        ).startswith(self._query.plan or "")
        return bool(self._transfers[index])


def is_about(leaf: Mapping[str, Any], record: str) -> bool:
    """Return whether a leaf is about *record*: a record id, or the coordinates of a raw one."""
    name = leaf.get("record")
    return name is not None and (
        name == record or str(RecordId.parse(name, leaf["topic_id"]).at) == record
    )
