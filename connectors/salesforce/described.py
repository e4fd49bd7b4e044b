"""What an org has by its describe, in the Metadata API's words; and how it differs from source."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import Any, Literal

from connectors.salesforce.errors import RequestRefusedError
from connectors.salesforce.preflight import Describer
from residency.contracts.org import Org, OrgField, OrgObject

_TYPES: Mapping[str, str] = {
    "string": "Text",
    "textarea": "TextArea",
    "double": "Number",
    "int": "Number",
    "currency": "Currency",
    "boolean": "Checkbox",
    "datetime": "DateTime",
    "date": "Date",
    "picklist": "Picklist",
    "reference": "Lookup",
}
_PICKLIST_LENGTH = 255  # characters; Salesforce fixes it
_TRAITS = [f.name for f in fields(OrgField) if f.name not in {"name", "refers_to"}]


@dataclass(frozen=True, slots=True)
class Change:
    """What a deployment would do to one object or field.

    Attributes:
        kind: ``new``, ``changed``, or ``kept``: the org's own, which no deployment touches.
        where: ``Object`` or ``Object.Field``.
        what: Of a changed one, each trait with its value in the org and in the source.

    """

    kind: Literal["new", "changed", "kept"]
    where: str
    what: str = ""

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.kind:<7}  {self.where}{': ' if self.what else ''}{self.what}"


def read_described(client: Describer, wanted: Org) -> Mapping[str, OrgObject]:
    """Return those of *wanted*'s objects that the org has, as far as our user sees them.

    Raises:
        RetriableError: The org did not answer.
        HaltError: The org refuses something other than an object.

    """
    found = {}
    for name in wanted:
        try:
            described = client.describe(name)
        except RequestRefusedError as exc:
            if exc.status != HTTPStatus.NOT_FOUND:
                raise
        else:
            rows = [_field(row) for row in described["fields"] if row["name"].endswith("__c")]
            found[name] = OrgObject(name, {row.name: row for row in rows})
    return found


def changes(wanted: Org, have: Org) -> Iterator[Change]:
    """Yield what a deployment of *wanted* would change in an org that has *have*."""
    for name, source in wanted.items():
        there = have.get(name)
        if there is None:
            yield Change("new", name)
            continue
        for field in sorted(source.fields.keys() | there.fields.keys()):
            where = f"{name}.{field}"
            if field not in there.fields:
                yield Change("new", where)
            elif field not in source.fields:
                yield Change("kept", where)
            elif told := _told(there.fields[field], source.fields[field]):
                yield Change("changed", where, told)


def _told(have: OrgField, wanted: OrgField) -> str:
    pairs = [(trait, getattr(have, trait), getattr(wanted, trait)) for trait in _TRAITS]
    return ", ".join(f"{t} {_text(a)} -> {_text(b)}" for t, a, b in pairs if a != b)


def _text(value: object) -> str:
    if isinstance(value, frozenset):
        return "|".join(sorted(value))
    return str(value)


def _field(row: Mapping[str, Any]) -> OrgField:
    kind = _TYPES.get(row["type"], row["type"])
    is_restricted = bool(row.get("restrictedPicklist"))
    options = row.get("picklistValues") or []
    is_text = kind in {"Text", "TextArea"}
    is_number = kind in {"Number", "Currency"}
    is_filled = row.get("nillable", True) or row.get("defaultedOnCreate")
    return OrgField(
        name=row["name"],
        type="Text" if kind == "Picklist" and not is_restricted else kind,
        length=_PICKLIST_LENGTH if kind == "Picklist" else row["length"] if is_text else 0,
        precision=(row.get("digits") or row["precision"]) if is_number else 0,
        scale=row["scale"] if is_number else 0,
        values=frozenset(o["value"] for o in options if o["active"]) if is_restricted else None,
        is_required=not is_filled,
        is_unique=bool(row.get("unique")),
        is_external_id=bool(row.get("externalId")),
        is_case_sensitive=bool(row.get("caseSensitive")),
    )
