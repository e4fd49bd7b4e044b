"""What the org should hold, said without saying it: an HMAC of each field's value."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from schemas.events import VersionKind


@dataclass(frozen=True, slots=True)
class Held:
    """What a row holds by now, as far as the org has accepted it.

    Attributes:
        base: Version of the last base write, or of the deletion; 0: there was none.
        labels: Version that labels must reach: of the last ones, or of a deletion since.
        is_deleted: It is not to be in the org.

    """

    base: int = 0
    labels: int = 0
    is_deleted: bool = False

    def is_past(self, kind: VersionKind, version: int) -> bool:
        """Return whether the row has gone on since: a record of *version* comes too late.

        Equal versions do not: the same record may be sent again. Labels never bring a deleted
        row back; a base record that is not older than the deletion does.
        """
        if kind == "labels":
            return self.is_deleted or version < self.labels
        return version < self.base

    def after(self, kind: VersionKind, version: int, *, deletes: bool) -> "Held":
        """Return what the row holds once a record that is not past is accepted.

        A deletion takes its version for labels too: a model may still be at work on a text of
        the row that was, and these labels are not the next row's.
        """
        if kind == "labels":
            return Held(self.base, version, self.is_deleted)
        return Held(version, max(self.labels, version) if deletes else self.labels, deletes)


def field_hmacs(key: bytes, target: str, fields: Mapping[str, Any]) -> dict[str, str | None]:
    """Return field name -> HMAC-SHA256, hex, of its value; None for an emptied field.

    Two spellings of one value (``1.50`` and ``1.5``, a time in two zones) give one HMAC, so
    that what the org answers can be compared with what was sent: Salesforce keeps times to
    the second, an empty text as null, and knows no empty checkbox: never set and off are one.

    Args:
        key: 32 bytes, the region's own.
        target: Salesforce object.
        fields: As the gate decoded them.

    """
    return {
        name: None if is_empty(value) else _mac(key, f"{target}.{name}", canonical(value))
        for name, value in fields.items()
    }


def is_empty(value: object) -> bool:
    """Return whether the org keeps *value* as nothing, or cannot tell it from nothing."""
    return value is None or value == "" or value is False


def row_digest(key: bytes, target: str, external_id: str) -> str:
    """Return what names a row to people without its external id: 32 hex digits, keyed.

    Keyed, because what somebody else wrote there may be anything, a name or a number.

    Args:
        key: 32 bytes, the region's own.
        target: Salesforce object.
        external_id: The row's.

    """
    return _mac(key, f"row\x1f{target}", external_id)[:32]


def from_org(kind: str, value: Any) -> Any:  # noqa: ANN401, JSON
    """Return a value of the org's JSON as the one that was sent: see `canonical`.

    Args:
        kind: The field's type, see `residency.contracts.needs.FieldNeed`.
        value: Fractions as Decimal. A value that is not of *kind* comes back as it is: it
            equals nothing that was sent.

    """
    if kind == "timestamp" and isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        return moment if moment.tzinfo is not None else value
    return Decimal(str(value)) if isinstance(value, float) else value


def differing(expected: Mapping[str, str | None], held: Mapping[str, str | None]) -> list[str]:
    """Return the names of the fields whose HMACs differ, sorted; absent is empty."""
    names = expected.keys() | held.keys()
    return sorted(name for name in names if expected.get(name) != held.get(name))


def canonical(value: Any) -> str:  # noqa: ANN401, any value of a CRM field
    """Return the one text for a value: numbers without trailing zeroes, times as Unix seconds."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return format(Decimal(value).normalize(), "f")
        case datetime():
            return str(int(value.timestamp()))
        case _:
            return str(value)


def _mac(key: bytes, label: str, text: str) -> str:
    return hmac.digest(key, f"{label}\x1f{text}".encode(), "sha256").hex()
