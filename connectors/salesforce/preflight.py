"""Before the first record: ask the org whether it can take all that a region may send."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from connectors.salesforce.codes import NEXT_STEP
from connectors.salesforce.errors import RequestRefusedError
from residency.contracts.needs import FieldNeed, Needs, ObjectNeed

KEY_TRAITS = {"externalId": "an external id", "unique": "unique", "caseSensitive": "case-sensitive"}
# Describe's types that take a minimal field of a type as it is.
TYPES: Mapping[str, frozenset[str]] = {
    "string": frozenset({"string", "textarea", "picklist"}),
    "long": frozenset({"double", "int"}),
    "decimal": frozenset({"double", "currency"}),
    "boolean": frozenset({"boolean"}),
    "timestamp": frozenset({"datetime"}),
}
_PURGES = "PermissionsBulkApiHardDelete"
_DEPLOY = "deploy it (homeport salesforce deploy), or let the permission set read it"


class Describer(Protocol):
    """What the preflight needs of `OrgClient`."""

    def describe(self, sobject: str) -> dict[str, Any]:
        """See `OrgClient.describe`."""
        ...

    def query_all(self, soql: str, *, with_deleted: bool = False) -> Iterator[dict[str, Any]]:
        """See `OrgClient.query_all`."""
        ...


@dataclass(frozen=True, slots=True)
class Problem:
    """What the org lacks, and what to do about it.

    Attributes:
        where: ``Object`` or ``Object.Field``.

    """

    where: str
    what: str
    step: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.where}: {self.what}; {self.step}"


def preflight(client: Describer, needs: Needs) -> list[Problem]:
    """Return everything that is wrong in the org, in the order of *needs*; empty if all is well.

    Args:
        client: Asks the org as the integration user, whose field-level security then shows.
        needs: What the org must take, from `residency.contracts.needs`.

    Raises:
        RetriableError: The org did not answer.
        HaltError: The org refuses something other than an object.

    """
    problems: list[Problem] = []
    for need in needs.values():
        try:
            described = client.describe(need.name)
        except RequestRefusedError as exc:
            if exc.status != HTTPStatus.NOT_FOUND:
                raise
            problems.append(Problem(need.name, "not there", _DEPLOY))
        else:
            problems += _object(need, described)
    purged = ", ".join(need.name for need in needs.values() if need.hard)
    if purged and not _may_purge(client):
        what = "a contract deletes rows for good, and our user may not"
        problems.append(Problem(purged, what, NEXT_STEP["FEATURENOTENABLED"]))
    return problems


def _may_purge(client: Describer) -> bool:
    """Return whether our user has the permission without which no hardDelete job is opened.

    Source: Object Reference, "UserPermissionAccess": one's own, without a right to see Setup.
    """
    soql = f"SELECT {_PURGES} FROM UserPermissionAccess"  # noqa: S608 -- SOQL, and no value in it
    try:
        return any(row.get(_PURGES) is True for row in client.query_all(soql))
    except RequestRefusedError:  # the org's edition has no such permission to give
        return False


def _object(need: ObjectNeed, described: Mapping[str, Any]) -> Iterator[Problem]:
    rights = {"createable": "create", "updateable": "edit"}
    rights |= {"deletable": "delete"} if need.deletes else {}
    lacking = [word for right, word in rights.items() if not described.get(right)]
    if lacking:
        words = ", ".join(lacking)
        yield Problem(need.name, f"we may not {words} rows", f"let the permission set {words} it")
    fields = {field["name"]: field for field in described["fields"]}
    for name in sorted(need.fields):
        where = f"{need.name}.{name}"
        if name not in fields:
            yield Problem(where, "not there", _DEPLOY)
        else:
            for what, step in _field(need.fields[name], fields[name]):
                yield Problem(where, what, step)
    for name in sorted(fields.keys() - need.fields.keys()):
        if _is_demanded(fields[name]):
            step = "make it optional, or give it a default"
            yield Problem(f"{need.name}.{name}", "required, and we do not send it", step)


def _is_demanded(field: Mapping[str, Any]) -> bool:
    """Tell whether the org creates no row without the field."""
    is_filled = field.get("nillable", True) or field.get("defaultedOnCreate")
    return bool(field.get("createable")) and not is_filled


def _field(need: FieldNeed, field: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (what is wrong, next step)."""
    if not (field.get("createable") and field.get("updateable")):
        yield "read-only", "let the permission set edit it"
    lacking = [text for trait, text in KEY_TRAITS.items() if need.is_key and not field.get(trait)]
    if lacking:  # tokens differ in case alone, and a loose org would merge two customers
        yield f"the rows' key is not {', '.join(lacking)}", "make it all of these"
    if not need.always_sent and _is_demanded(field):
        yield "required, and rows may come without it", "make it optional"
    kind = field.get("type")
    if kind not in TYPES[need.type]:
        wanted = " or ".join(sorted(TYPES[need.type]))
        yield f"a {kind}, which takes no {need.type}", f"deploy it anew as {wanted}"
    elif need.type == "string":
        yield from _text(need, field)
    elif need.digits:
        yield from _number(need, field)


def _text(need: FieldNeed, field: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if field.get("restrictedPicklist"):
        rows = field.get("picklistValues") or []
        active = {row.get("value") for row in rows if row.get("active")}
        strange = sorted((need.values or frozenset()) - active)
        if need.values is None:
            yield "a closed picklist, and what can come is not closed", "make it a text"
        elif strange:
            yield f"its picklist lacks {', '.join(strange)}", "add or activate the values"
    elif need.longest > int(field.get("length") or 0):
        have = int(field.get("length") or 0)
        yield f"takes {have} characters, {need.longest} can come", "make it longer"


def _number(need: FieldNeed, field: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    scale = int(field.get("scale") or 0)
    room = int(field.get("digits") or 0)  # of an int; a double has precision and scale instead
    room = room or int(field.get("precision") or 0) - scale
    if need.digits > room:
        yield f"takes {room} digits before the point, {need.digits} can come", "give it more"
    if need.scale > scale:  # the org would round without a word
        yield f"takes {scale} digits after the point, {need.scale} can come", "give it more"
