"""simple-salesforce, as it comes from its registry: what its users call first.

Its bulk, metadata, feeds and paging are tried beside the resources they use.
"""

from typing import Any

import pytest
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceExpiredSession,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)

ORDER, KEY = "Commerce_Order__c", "External_Id__c"


@pytest.fixture
def sf(admin: Any) -> Salesforce:
    return admin.simple()


def test_it_describes_the_org_and_an_object(sf: Salesforce) -> None:
    described = sf.describe()
    order = sf.Commerce_Order__c.describe()

    assert ORDER in {one["name"] for one in described["sobjects"]}
    assert {field["name"] for field in order["fields"]} >= {"Id", KEY, "OwnerId"}
    assert sf.Commerce_Order__c.metadata()["objectDescribe"]["name"] == ORDER


def test_it_writes_reads_and_deletes_one_row(sf: Salesforce) -> None:
    orders = sf.Commerce_Order__c

    made = orders.create({KEY: "py-1", "Total__c": 1.5})
    changed = orders.update(made["id"], {"Total__c": 2.5})
    upserted = orders.upsert(f"{KEY}/py-1", {"Total__c": 3.5})
    by_id, by_key = orders.get(made["id"]), orders.get_by_custom_id(KEY, "py-1")
    deleted = orders.delete(made["id"])

    assert made == {"id": made["id"], "success": True, "errors": []}
    assert (changed, upserted, deleted) == (204, 200, 204)
    assert by_id["Total__c"] == by_key["Total__c"] == 3.5


def test_it_calls_any_resource(sf: Salesforce) -> None:
    parts = [{"method": "GET", "url": "/services/data/v62.0/sobjects", "referenceId": "all"}]

    limits = sf.limits()
    composite = sf.restful(
        "composite", method="POST", json={"allOrNone": True, "compositeRequest": parts}
    )

    assert limits["DailyApiRequests"]["Max"] == 100_000
    assert composite["compositeResponse"][0]["httpStatusCode"] == 200
    assert sf.api_usage["api-usage"].total == 100_000
    assert sf.is_sandbox() in {True, False}


def test_its_queries_read_parents_and_children(sf: Salesforce) -> None:
    account = sf.Account.create({"Name": "py account"})["id"]
    sf.Contact.create({"LastName": "Ada", "AccountId": account})
    soql = (
        "SELECT Name, Owner.Name, (SELECT LastName FROM Contacts) FROM Account"  # noqa: S608 -- an id
        f" WHERE Id = '{account}'"
    )

    [row] = sf.query_all_iter(soql)

    assert (row["Name"], row["Owner"]["Name"]) == ("py account", "admin")
    assert [one["LastName"] for one in row["Contacts"]["records"]] == ["Ada"]


def test_its_errors_are_of_the_documented_kind(sf: Salesforce, admin: Any) -> None:
    stranger = Salesforce(
        session_id="00Dx!no", instance_url=admin.org.url, session=sf.session, version="62.0"
    )

    with pytest.raises(SalesforceMalformedRequest) as malformed:
        sf.query("SELECT Nope FROM User")
    with pytest.raises(SalesforceResourceNotFound) as missing:
        sf.Commerce_Order__c.get_by_custom_id(KEY, "py-nobody")
    with pytest.raises(SalesforceExpiredSession) as expired:
        stranger.limits()

    assert malformed.value.content[0]["errorCode"] == "INVALID_FIELD"
    assert missing.value.content[0]["errorCode"] == "NOT_FOUND"
    assert expired.value.content[0]["errorCode"] == "INVALID_SESSION_ID"
