"""What the org should hold, said without saying it: an HMAC of each field's value."""

import hmac
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any


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
