"""SOQL over HTTP as clients send it: relationships, both resources, columns, plans, refusals."""

from typing import Any

import pytest
from simple_salesforce import Salesforce

from connectors.embedded.pki import ensure_app, write_apps

CUSTOMER, KEY = "Commerce_Customer__c", "External_Id__c"


@pytest.fixture(scope="module")
def org(module_org: Any) -> Any:
    """Take an org of the module's own: it counts all accounts there are."""
    return module_org


@pytest.fixture(scope="module")
def admin(org: Any) -> Any:
    return org.login()


@pytest.fixture(scope="module")
def sf(admin: Any) -> Salesforce:
    return admin.simple()


@pytest.fixture(scope="module")
def accounts(admin: Any) -> list[str]:
    """Two accounts, the first with three contacts, one of them in the recycle bin."""
    ids = [
        admin.call("POST", "sobjects/Account", json={"Name": name}).json()["id"]
        for name in ("Acme", "Beta")
    ]
    for name in ("Ann", "Bob", "Cy"):
        row = {"LastName": name, "AccountId": ids[0]}
        made = admin.call("POST", "sobjects/Contact", json=row)
        assert made.status_code == 201, made.text
    assert admin.call("DELETE", f"sobjects/Contact/{made.json()['id']}").status_code == 204
    return ids


def test_simple_salesforce_reads_parents_and_children(sf: Salesforce, accounts: list[str]) -> None:
    contacts = sf.query("SELECT lastname, account.owner.name FROM contact ORDER BY LastName")
    listed = sf.query("SELECT Name, (SELECT LastName FROM Contacts) FROM Account ORDER BY Name")

    first, second = listed["records"]
    assert contacts["records"][0]["Account"]["attributes"] == {
        "type": "Account",
        "url": f"/services/data/v62.0/sobjects/Account/{accounts[0]}",
    }
    assert contacts["records"][0]["Account"]["Owner"]["Name"] == "admin"
    assert [r["LastName"] for r in first["Contacts"]["records"]] == ["Ann", "Bob"]
    assert second["Contacts"] is None


def test_query_all_sees_the_recycle_bin_and_goes_on_under_query(
    admin: Any, accounts: list[str]
) -> None:
    assert accounts
    soql = {"q": "SELECT LastName, IsDeleted FROM Contact ORDER BY LastName"}

    live, every = (admin.call("GET", path, params=soql).json() for path in ("query/", "queryAll/"))

    assert [r["LastName"] for r in live["records"]] == ["Ann", "Bob"]
    assert [(r["LastName"], r["IsDeleted"]) for r in every["records"]][2:] == [("Cy", True)]


def test_both_resources_go_on_with_a_locator(admin: Any) -> None:
    records = [{KEY: f"page-{n:03d}"} for n in range(400)]
    for at in (0, 200):
        admin.upsert(records[at : at + 200], sobject=CUSTOMER)
    soql = {"q": f"SELECT {KEY} FROM {CUSTOMER} ORDER BY {KEY}"}  # noqa: S608
    batch = {"Sforce-Query-Options": "batchSize=200"}

    first = admin.call("GET", "queryAll", params=soql, headers=batch).json()
    locator = first["nextRecordsUrl"].removeprefix("/services/data/v62.0/query/")
    rest = [admin.call("GET", f"{name}/{locator}").json() for name in ("query", "queryAll")]

    assert locator.endswith("-200")
    assert rest[0] == rest[1]
    assert [r[KEY] for r in rest[0]["records"]] == [r[KEY] for r in records[200:]]
    assert rest[0]["done"] is True


def test_the_cli_asks_for_columns_first(admin: Any) -> None:
    soql = "SELECT Id, Owner.Name FROM Account"

    answer = admin.call("GET", "query", params={"q": soql, "columns": "true"}).json()

    assert (answer["entityName"], answer["keyPrefix"], answer["idSelected"]) == (
        "Account",
        "001",
        True,
    )
    assert [c["columnName"] for c in answer["columnMetadata"]] == ["Id", "Owner"]
    assert answer["columnMetadata"][1]["joinColumns"][0]["columnName"] == "Name"


def test_a_query_can_be_explained(admin: Any) -> None:
    soql = f"SELECT Id FROM {CUSTOMER} WHERE {KEY} = 'nobody'"  # noqa: S608

    answer = admin.call("GET", "query", params={"explain": soql}).json()

    assert answer["sourceQuery"] == soql
    assert answer["plans"][0]["leadingOperationType"] == "Index"


@pytest.mark.parametrize("path", ["query", "query?q=", "query?q=%20", "queryAll?explain="])
def test_a_query_must_be_given(admin: Any, path: str) -> None:
    answer = admin.call("GET", path)

    text = "A query string has to be specified"
    assert (answer.status_code, answer.json()) == (
        400,
        [{"message": text, "errorCode": "MALFORMED_QUERY"}],
    )


def test_what_the_sink_does_not_see_is_in_none_of_its_queries(
    org: Any, accounts: list[str]
) -> None:
    assert accounts
    app = ensure_app(org.home, "eu")
    write_apps(org.home, [app])
    sink = org.login(app.username)
    queries = {
        "SELECT Id FROM Account": "INVALID_TYPE",
        f"SELECT Id FROM {CUSTOMER} WHERE Owner.Profile.Nope = 'x'": "INVALID_FIELD",  # noqa: S608
        f"SELECT Id FROM {CUSTOMER} WHERE Id IN (SELECT Id FROM Account)": "INVALID_TYPE",  # noqa: S608
        "SELECT (SELECT Id FROM Contacts) FROM User": "INVALID_TYPE",
    }

    answers = [sink.call("GET", "query", params={"q": soql}) for soql in queries]
    counted = sink.query(f"SELECT COUNT() FROM {CUSTOMER}")  # noqa: S608

    assert [a.json()[0]["errorCode"] for a in answers] == list(queries.values())
    assert {a.status_code for a in answers} == {400}
    assert counted["totalSize"] == 0  # they are all the administrator's


def test_a_query_is_a_part_of_a_composite(admin: Any, accounts: list[str]) -> None:
    part = {
        "method": "GET",
        "url": "/services/data/v62.0/query/?q=SELECT+Id,(SELECT+Id+FROM+Contacts)+FROM+Account",
        "referenceId": "found",
    }

    answer = admin.call("POST", "composite", json={"compositeRequest": [part]}).json()

    body = answer["compositeResponse"][0]["body"]
    assert [r["Id"] for r in body["records"]] == accounts
