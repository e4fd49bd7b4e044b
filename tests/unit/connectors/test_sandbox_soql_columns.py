"""What the Salesforce CLI learns about a query's columns, and what a query's plan says.

The columns are those of the CLI's own examples (salesforcecli/plugin-data, query fields).
"""

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.sandbox.soql.explain import plans
from connectors.sandbox.soql.metadata import answer_columns
from tests.support.soql_org import ADMIN, CLERK, SoqlOrg, soql_org


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoqlOrg]:
    with soql_org(tmp_path_factory.mktemp("soql")) as org:
        org.put("Vault__c", *({"Id": n, "Code__c": f"k{n}", "OwnerId": 1} for n in range(1, 21)))
        org.put("Vault__c", *({"Id": n, "Code__c": f"k{n}", "OwnerId": 2} for n in range(21, 31)))
        yield org


def entry(name: str, **members: Any) -> dict[str, Any]:
    plain = {
        "aggregate": False,
        "apexType": None,
        "booleanType": False,
        "columnName": name,
        "custom": False,
        "displayName": name,
        "foreignKeyName": None,
        "insertable": False,
        "joinColumns": [],
        "numberType": False,
        "textType": False,
        "updatable": False,
    }
    return {**plain, **members}


def columns(org: SoqlOrg, soql: str) -> dict[str, Any]:
    return answer_columns(org.engine.compile(soql, ADMIN, with_deleted=False))


TEXT: dict[str, Any] = {"apexType": "String", "textType": True}
EDITED: dict[str, Any] = {"insertable": True, "updatable": True}


@pytest.mark.parametrize(
    ("soql", "expected"),
    [
        ("SELECT id, name FROM Contact", [entry("Id", apexType="Id"), entry("Name", **TEXT)]),
        (
            "SELECT Name, (SELECT LastName FROM Contacts) FROM Account",
            [
                entry("Name", **TEXT, **EDITED),
                entry(
                    "Contacts", aggregate=True, joinColumns=[entry("LastName", **TEXT, **EDITED)]
                ),
            ],
        ),
        (
            "SELECT ParentId, AVG(AnnualRevenue) FROM Account GROUP BY ParentId",
            [
                entry("ParentId", apexType="Id", **EDITED),
                entry("expr0", aggregate=True, displayName="avg(AnnualRevenue)", numberType=True),
            ],
        ),
        (
            "SELECT Name, Owner.Name FROM Contact",
            [
                entry("Name", **TEXT),
                entry("Owner", foreignKeyName="OwnerId", joinColumns=[entry("Name", **TEXT)]),
            ],
        ),
        (
            "SELECT Account.Owner.Name, Account.Name FROM Contact",
            [
                entry(
                    "Account",
                    foreignKeyName="AccountId",
                    joinColumns=[
                        entry(
                            "Owner", foreignKeyName="OwnerId", joinColumns=[entry("Name", **TEXT)]
                        ),
                        entry("Name", **TEXT, **EDITED),
                    ],
                )
            ],
        ),
        (
            "SELECT Amount__c, Is_Open__c, Day__c, Sealed_At__c FROM Vault__c",
            [
                entry("Amount__c", apexType="Double", numberType=True, custom=True, **EDITED),
                entry("Is_Open__c", apexType="Boolean", booleanType=True, custom=True, **EDITED),
                entry("Day__c", apexType="Date", custom=True, **EDITED),
                entry("Sealed_At__c", apexType="Datetime", custom=True, **EDITED),
            ],
        ),
        (
            "SELECT COUNT(Id) n, MAX(Name) FROM Account",
            [
                entry("n", aggregate=True, displayName="count(Id)", numberType=True),
                entry("expr0", aggregate=True, displayName="max(Name)"),
            ],
        ),
        (
            "SELECT COUNT() FROM Account",
            [entry("count", aggregate=True, displayName="count()", numberType=True)],
        ),
    ],
)
def test_columns_are_told_as_the_cli_reads_them(
    org: SoqlOrg, soql: str, expected: list[dict[str, Any]]
) -> None:
    assert columns(org, soql)["columnMetadata"] == expected


@pytest.mark.parametrize(
    ("soql", "is_grouped", "has_id"),
    [
        ("SELECT Id FROM Account", False, True),
        ("SELECT Name, Owner.Id FROM Account", False, False),
        ("SELECT COUNT(Id) FROM Account", False, False),
        ("SELECT Name FROM Account GROUP BY Name", True, False),
    ],
)
def test_the_query_as_a_whole_is_told_too(
    org: SoqlOrg, soql: str, is_grouped: bool, has_id: bool
) -> None:
    answer = columns(org, soql)

    del answer["columnMetadata"]
    assert answer == {
        "entityName": "Account",
        "groupBy": is_grouped,
        "idSelected": has_id,
        "keyPrefix": "001",
    }


@pytest.mark.parametrize(
    ("where", "rows", "plan"),
    [
        ("Code__c = 'k1'", 1, (["Code__c"], "Index", 0.333)),
        ("Id = 'a00RO0000000001'", 1, (["Id"], "Index", 0.333)),
        ("Word__c = null", 30, ([], "TableScan", 10.0)),
    ],
)
def test_a_plan_tells_the_index_and_how_selective_it_is(
    org: SoqlOrg, where: str, rows: int, plan: tuple[list[str], str, float]
) -> None:
    soql = f"SELECT Name FROM Vault__c WHERE {where}"  # noqa: S608
    parts = [soql, "SELECT COUNT() FROM Vault__c"]

    compiled, every = (org.engine.compile(text, ADMIN, with_deleted=False) for text in parts)

    assert plans(org.store, compiled, every) == {
        "plans": [
            {
                "cardinality": rows,
                "fields": plan[0],
                "leadingOperationType": plan[1],
                "notes": [],
                "relativeCost": plan[2],
                "sobjectCardinality": 30,
                "sobjectType": "Vault__c",
            }
        ],
        "sourceQuery": soql,
    }


def test_a_plan_counts_no_row_that_the_user_does_not_see(org: SoqlOrg) -> None:
    every = org.engine.compile("SELECT COUNT() FROM Vault__c", CLERK, with_deleted=False)

    (plan,) = plans(org.store, every, every)["plans"]

    assert (plan["cardinality"], plan["sobjectCardinality"]) == (10, 10)
