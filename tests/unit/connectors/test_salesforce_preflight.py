"""Everything an org lacks is named at once, before the first record."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from connectors.salesforce.codes import Handling, OrgError
from connectors.salesforce.errors import RequestRefusedError
from connectors.salesforce.preflight import preflight
from residency.contracts.needs import FieldNeed, ObjectNeed

ORDER, KEY = "Commerce_Order__c", "External_Id__c"
NEED = ObjectNeed(
    ORDER,
    {
        KEY: FieldNeed(KEY, "string", longest=40, is_token=True, always_sent=True),
        "Sku__c": FieldNeed("Sku__c", "string", longest=32),
        "Status__c": FieldNeed("Status__c", "string", values=frozenset({"placed", "refunded"})),
        "Total__c": FieldNeed("Total__c", "decimal", digits=9, scale=2),
        "Rating__c": FieldNeed("Rating__c", "long", digits=2),
    },
    deletes=True,
)
DEPLOY = "deploy it (homeport salesforce deploy), or let the permission set read it"
REFUSED = OrgError("NOT_FOUND", (), Handling.HALT)
Row = dict[str, Any]


def column(name: str, kind: str, **traits: Any) -> Row:
    rights = {"createable": True, "updateable": True, "nillable": True}
    return {"name": name, "type": kind, **rights, **traits}


def options(*values: str, inactive: str = "") -> Row:
    rows = [{"value": value, "active": value != inactive} for value in values]
    return {"restrictedPicklist": True, "picklistValues": rows}


class Org:
    """Describes the one object; tests change it first."""

    def __init__(self) -> None:
        key = {"externalId": True, "unique": True, "caseSensitive": True, "nillable": False}
        self.fields = {
            KEY: column(KEY, "string", length=128, **key),
            "Sku__c": column("Sku__c", "string", length=32),
            "Status__c": column("Status__c", "picklist", **options("placed", "refunded")),
            "Total__c": column("Total__c", "currency", precision=11, scale=2),
            "Rating__c": column("Rating__c", "int", digits=2, precision=0, scale=0),
            "Id": column("Id", "id", createable=False, nillable=False),
            "OwnerId": column("OwnerId", "reference", nillable=False, defaultedOnCreate=True),
        }
        self.rights = {"createable": True, "updateable": True, "deletable": True}
        self.status: int | None = None
        self.may_purge: bool | None = True  # None: the org knows no such permission
        self.queries: list[str] = []

    def query_all(self, soql: str, *, with_deleted: bool = False) -> Iterator[Row]:
        assert not with_deleted
        self.queries.append(soql)
        if self.may_purge is None:
            raise RequestRefusedError(ORDER, status=400, error=REFUSED)
        yield {"PermissionsBulkApiHardDelete": self.may_purge}

    def describe(self, _: str) -> Row:
        if self.status is not None:
            raise RequestRefusedError(ORDER, status=self.status, error=REFUSED)
        return {"fields": list(self.fields.values()), **self.rights}


@pytest.mark.parametrize(("may_purge", "is_wrong"), [(True, False), (False, True), (None, True)])
def test_who_deletes_for_good_needs_the_permission(may_purge: bool | None, is_wrong: bool) -> None:
    org = Org()
    org.may_purge = may_purge

    found = preflight(org, {ORDER: replace(NEED, hard=True)})

    told = (
        f"{ORDER}: a contract deletes rows for good, and our user may not; give the user the"
        " permission Bulk API Hard Delete"
    )
    assert [str(problem) for problem in found] == [told] * is_wrong
    assert org.queries == ["SELECT PermissionsBulkApiHardDelete FROM UserPermissionAccess"]


def test_who_deletes_softly_is_not_asked_for_more() -> None:
    org = Org()

    assert preflight(org, {ORDER: NEED}) == []
    assert org.queries == []


def problems(org: Org) -> list[str]:
    return [str(problem) for problem in preflight(org, {ORDER: NEED})]


def test_an_org_that_takes_all_has_no_problem() -> None:
    assert problems(Org()) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda o: o.fields.pop("Sku__c"), ".Sku__c: not there"),
        (lambda o: o.fields["Sku__c"].update(updateable=False), ".Sku__c: read-only"),
        (lambda o: o.fields["Sku__c"].update(length=31), ".Sku__c: takes 31 characters, 32 can"),
        (lambda o: o.fields["Sku__c"].update(type="double"), ".Sku__c: a double, which takes no s"),
        (lambda o: o.fields["Sku__c"].update(nillable=False), ".Sku__c: required, and rows may"),
        (
            lambda o: o.fields["Sku__c"].update(type="picklist", **options("A")),
            ".Sku__c: a closed picklist, and what can come is not closed",
        ),
        (
            lambda o: o.fields["Status__c"].update(options("placed")),
            ".Status__c: its picklist lacks refunded",
        ),
        (
            lambda o: o.fields["Status__c"].update(
                options("placed", "refunded", inactive="placed")
            ),
            ".Status__c: its picklist lacks placed",
        ),
        (
            lambda o: o.fields["Total__c"].update(precision=10),
            ".Total__c: takes 8 digits before the point, 9 can come",
        ),
        (
            lambda o: o.fields["Total__c"].update(scale=1, precision=11),
            ".Total__c: takes 1 digits after the point, 2 can come",
        ),
        (lambda o: o.fields["Rating__c"].update(digits=1), ".Rating__c: takes 1 digits before"),
        (
            lambda o: o.fields[KEY].update(unique=False, caseSensitive=False),
            f".{KEY}: the rows' key is not unique, case-sensitive",
        ),
        (lambda o: o.fields[KEY].update(externalId=False), f".{KEY}: the rows' key is not an ext"),
        (
            lambda o: o.fields.update(Vat__c=column("Vat__c", "string", nillable=False)),
            ".Vat__c: required, and we do not send it",
        ),
        (lambda o: o.rights.update(createable=False), ": we may not create rows; let the perm"),
        (lambda o: o.rights.update(deletable=False), ": we may not delete rows; let the perm"),
    ],
)
def test_what_an_org_lacks_is_named_with_the_next_step(
    change: Callable[[Org], object], problem: str
) -> None:
    org = Org()
    change(org)

    (found,) = problems(org)

    assert found.startswith(ORDER + problem)
    assert "; " in found


def test_every_problem_is_named_at_once() -> None:
    org = Org()
    org.rights["updateable"] = False
    del org.fields["Sku__c"], org.fields["Total__c"]

    found = [problem.where for problem in preflight(org, {ORDER: NEED})]

    assert found == [ORDER, f"{ORDER}.Sku__c", f"{ORDER}.Total__c"]


def test_an_object_that_is_not_there_is_a_problem_and_any_other_refusal_an_error() -> None:
    org = Org()
    org.status = 404

    (problem,) = problems(org)
    assert problem == f"{ORDER}: not there; {DEPLOY}"
    org.status = 403
    with pytest.raises(RequestRefusedError):
        problems(org)
