"""What would leave, said without Kafka and without a network: the line as a pure function."""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson

from residency import topics
from residency.gate.check import Gate
from residency.keys import TokenKeys
from residency.plan.approved import APPROVED_FILE
from residency.plan.book import PlanBook
from schemas.codec import encode
from schemas.errors import QuarantineError, Reason
from schemas.events import Coordinates, RawEvent
from schemas.plainjson import from_plain
from schemas.registry import Registry, load_registry
from streams.plans import load_book

TECHNICAL = {"External_Id__c", "Base_Version__c"}  # coordinates, not content
MALFORMED: Mapping[str, Any] = {
    "minimal": [],
    "decisions": {},
    "quarantine": {"reason": Reason.MALFORMED.value, "path": None},
}


@dataclass(frozen=True)
class DryRun:
    """One region's border and gate, ready to be asked."""

    region: str
    book: PlanBook
    gate: Gate
    registry: Registry

    @classmethod
    def load(cls, region: str, keys: TokenKeys, on: date) -> "DryRun":
        """Return the region's dry run with its own keys."""
        gate = Gate.load(region, APPROVED_FILE)
        return cls(region, load_book(region, keys, on), gate, load_registry())

    def answers(self, lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
        """Yield one answer per non-blank line, in order."""
        asked = (line for line in lines if line.strip())
        for number, line in enumerate(asked):
            yield self.answer(line, number)

    def answer(self, line: bytes, number: int = 0) -> dict[str, Any]:
        """Return what would leave of one CloudEvent, and what decides each leaf of it.

        Args:
            line: JSON ``{"type", "data"}``, ``schemaversion`` optional.
            number: The record's offset; only its version depends on it, which is not shown.

        """
        try:
            event = orjson.loads(line)
            schema = self.registry.event(event["type"], event.get("schemaversion"))
            value = encode(schema, from_plain(schema, event["data"]))
        except (orjson.JSONDecodeError, QuarantineError, LookupError, TypeError):
            return deepcopy(dict(MALFORMED))
        at = Coordinates(topics.raw(self.region, schema.domain), 0, number)
        plan = self.book.plans.get(schema.id)
        decisions = {} if plan is None else {d.path: d.action.value for d in plan.decisions}
        try:
            records = self.book.minimise(RawEvent(at, "dry-run", 1, value)).records
            minimal = [
                {
                    "object": record.object,
                    "external_id": record.external_id,
                    "fields": _shown(self.gate.check(record)),
                    **({"deletes": True} if record.deletes else {}),
                }
                for record in records
            ]
        except QuarantineError as error:
            told = {"reason": error.reason.value, "path": error.path}
            return {"minimal": [], "decisions": decisions, "quarantine": told}
        return {"minimal": minimal, "decisions": decisions, "quarantine": None}


def _shown(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in fields.items() if name not in TECHNICAL}


def _plain(value: Any) -> Any:  # noqa: ANN401, JSON
    """Return a value as plain JSON: decimals as strings, times RFC 3339."""
    match value:
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case _:
            return value
