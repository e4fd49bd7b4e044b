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
    the second, and an empty text as null.

    Args:
        key: 32 bytes, the region's own.
        target: Salesforce object.
        fields: As the gate decoded them.

    """
    return {
        name: None if value in (None, "") else _mac(key, f"{target}.{name}", canonical(value))
        for name, value in fields.items()
    }


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
