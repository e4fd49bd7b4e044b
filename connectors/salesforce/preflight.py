"""Before the first record: ask the org whether it has what the contracts write to."""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from connectors.salesforce.errors import RequestRefusedError

KEY_TRAITS = {"externalId": "an external id", "unique": "unique", "caseSensitive": "case-sensitive"}


class Describer(Protocol):
    """The one call of `OrgClient` that the preflight needs."""

    def describe(self, sobject: str) -> dict[str, Any]:
        """See `OrgClient.describe`."""
        ...


def preflight(
    client: Describer,
    objects: Mapping[str, Collection[str]],
    external_id_field: str = "External_Id__c",
) -> list[str]:
    """Return what is wrong in the org, one line each with its next step; empty if all is well.

    Args:
        client: Asks the org as the integration user, whose field-level security then shows.
        objects: Salesforce object to the fields we write, external id included or not.
        external_id_field: On every object; must be an external id, unique and case-sensitive
            (tokens differ in case alone, and a loose org would merge two customers).

    Raises:
        RetriableError: The org did not answer.
        HaltError: The org refuses something other than an object.

    """
    problems: list[str] = []
    for sobject, wanted in objects.items():
        try:
            described = client.describe(sobject)
        except RequestRefusedError as exc:
            if exc.status != HTTPStatus.NOT_FOUND:
                raise
            problems.append(f"{sobject}: not there; deploy it, or let the permission set read it")
            continue
        problems += _check(sobject, described, {*wanted, external_id_field}, external_id_field)
    return problems


def _check(
    sobject: str, described: Mapping[str, Any], wanted: Collection[str], key_field: str
) -> list[str]:
    fields = {field["name"]: field for field in described["fields"]}
    problems: list[str] = []
    if not (described.get("createable") and described.get("updateable")):
        problems.append(f"{sobject}: read-only; let the permission set create and edit it")
    for name in sorted(wanted):
        field = fields.get(name)
        if field is None:
            step = "deploy it, or let the permission set read it"
            problems.append(f"{sobject}.{name}: not there; {step}")
        elif not (field.get("createable") and field.get("updateable")):
            problems.append(f"{sobject}.{name}: read-only; let the permission set edit it")
    key = fields.get(key_field, {})
    lacking = [text for trait, text in KEY_TRAITS.items() if key and not key.get(trait)]
    if lacking:
        problems.append(f"{sobject}.{key_field}: make it {', '.join(lacking)}")
    return problems
