"""jsforce, as it comes from its registry, works the test org over https."""

from typing import Any

import pytest
from client_apps import settings_of
from other_clients import CLIENTS, answers, node_packages, runtime
from running_org import RunningOrg

BAD_PICKLIST = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"


@pytest.fixture(scope="module")
def seen(module_org: RunningOrg, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what jsforce saw, by scenario; skip without Node.js or the packages."""
    node, packages = runtime("node"), node_packages("jsforce")
    folder = tmp_path_factory.mktemp("jsforce")
    settings = settings_of(module_org, folder) | {"NODE_PATH": str(packages)}
    return answers([node, CLIENTS / "jsforce/client.cjs"], settings, folder)


def outcome(seen: dict[str, Any], scenario: str) -> dict[str, Any]:
    found: dict[str, Any] = seen[scenario]
    assert "failed" not in found, found["failed"]
    return found


def test_it_learns_who_is_logged_in(seen: dict[str, Any]) -> None:
    found = outcome(seen, "identity")

    assert found["identity"]["username"] == "admin"
    assert found["soap"]["userName"] == "admin"
    assert found["soap"]["userId"] == found["identity"]["user_id"]


def test_it_describes_the_org_and_an_object(seen: dict[str, Any]) -> None:
    found = outcome(seen, "describes")

    assert {"Account", "Commerce_Order__c", "User"} <= set(found["names"])
    assert found["name"] == "Commerce_Order__c"
    assert (found["key"]["externalId"], found["key"]["idLookup"]) == (True, True)


def test_it_writes_reads_deletes_and_undeletes_one_row(seen: dict[str, Any]) -> None:
    found = outcome(seen, "oneRow")

    known = found["created"]["id"]
    assert found["created"] == {"id": known, "success": True, "errors": []}
    assert (found["read"]["Currency__c"], found["read"]["Total__c"]) == ("EUR", 12.5)
    assert found["updated"] == {"id": known, "success": True, "errors": []}
    assert (found["upserted"]["id"], found["upserted"]["created"]) == (known, False)
    assert found["inserted"]["created"] is True
    assert (found["found"]["Currency__c"], found["found"]["Total__c"]) == ("GBP", 13)
    assert found["destroyed"]["success"] is True
    assert found["gone"]["code"] == "ENTITY_IS_DELETED"
    assert found["undeleted"][0] | {"errors": None} == {
        "id": known,
        "success": True,
        "errors": None,
    }
    assert found["back"]["Total__c"] == 13


def test_it_sends_arrays_as_collections(seen: dict[str, Any]) -> None:
    found = outcome(seen, "collections")

    assert (found["created"], found["destroyed"], found["bad"]) == (450, 450, 0)
    assert [one["success"] for one in found["updated"]] == [True, False]
    assert found["updated"][1]["errors"][0]["statusCode"] == BAD_PICKLIST
    halted = [one["errors"][0]["statusCode"] for one in found["halted"]["unexpected"]]
    assert halted == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", BAD_PICKLIST]
    assert [one["created"] for one in found["upserted"]] == [False, True]
    assert [one["Total__c"] for one in found["read"]] == [3, 1, 4]


def test_it_fetches_every_page_of_a_query(seen: dict[str, Any]) -> None:
    found = outcome(seen, "queries")

    assert (found["page"], found["total"], found["more"]) == (200, 450, 200)
    assert (found["all"], found["streamed"], found["counted"]) == (450, 450, 450)


def test_it_reads_parents_and_children(seen: dict[str, Any]) -> None:
    found = outcome(seen, "queries")

    account = found["nested"]["records"][0]
    assert account["Owner"]["Name"] == "admin"
    assert [one["LastName"] for one in account["Contacts"]["records"]] == ["Ada", "Bob", "Cyd"]
    parents = [(one["LastName"], one["Account"]["Name"]) for one in found["parents"]]
    assert parents == [("Cyd", "js account"), ("Bob", "js account")]
    assert found["included"][0]["Contacts"]["records"][0]["LastName"] == "Ada"
    assert found["everything"][0]["External_Id__c"] == "js-page-7"
    assert found["leading"] == "Commerce_Order__c"


def test_it_loads_and_queries_in_bulk(seen: dict[str, Any]) -> None:
    found = outcome(seen, "bulk")

    done = found["done"]
    assert (len(done["successfulResults"]), len(done["failedResults"])) == (3, 1)
    assert done["failedResults"][0]["External_Id__c"] == "js-bulk-bad"
    assert BAD_PICKLIST in done["failedResults"][0]["sf__Error"]
    assert done["unprocessedRecords"] == []
    assert [one["External_Id__c"] for one in found["rows"]] == [
        "js-bulk-a",
        "js-bulk-b",
        "js-bulk-c",
    ]
    assert {one["Owner.Name"] for one in found["rows"]} == {"admin"}
    assert (found["removed"], found["info"]["state"]) == (3, "JobComplete")
    assert "Nope" in found["refused"]["text"]


def test_it_sends_requests_of_its_callers_own(seen: dict[str, Any]) -> None:
    found = outcome(seen, "requests")

    parts = found["composite"]["compositeResponse"]
    assert [part["httpStatusCode"] for part in parts] == [201, 200]
    assert parts[1]["body"]["External_Id__c"] == "js-comp"
    assert found["limits"]["DailyApiRequests"]["Max"] == 100_000
    assert found["info"]["apiUsage"]["limit"] == 100_000
    assert found["versions"][-1]["version"] == "67.0"


def test_it_follows_what_changed_and_what_went(seen: dict[str, Any]) -> None:
    found = outcome(seen, "feeds")

    kept, gone = found["ids"]
    assert kept in found["updated"]["ids"]
    assert gone in {one["id"] for one in found["deleted"]["deletedRecords"]}


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("field", "INVALID_FIELD"),
        ("syntax", "MALFORMED_QUERY"),
        ("object", "NOT_FOUND"),
        ("missing", "NOT_FOUND"),
        ("length", "STRING_TOO_LONG"),
        ("twice", "DUPLICATE_VALUE"),
        ("session", "INVALID_SESSION_ID"),
    ],
)
def test_its_errors_have_the_documented_code(seen: dict[str, Any], case: str, code: str) -> None:
    found = outcome(seen, "refusals")[case]

    assert (found["name"], found["code"]) == (code, code)


def test_a_password_opens_nothing(seen: dict[str, Any]) -> None:
    assert "INVALID_OPERATION" in outcome(seen, "refusals")["password"]["text"]


def test_it_logs_in_by_key_secret_and_code_and_refreshes(seen: dict[str, Any]) -> None:
    found = outcome(seen, "logins")

    user = "integration.eu@homeport.example"
    assert found["user"] == user
    assert found["byKey"]["id"] == found["bySecret"]["id"] == found["byCode"]["id"]
    assert (found["refreshed"], found["afterwards"]) == ([True], user)
    assert found["out"] is None
    assert found["ended"]["text"].endswith("expired access/refresh token")


def test_it_deploys_and_lists_metadata(seen: dict[str, Any]) -> None:
    found = outcome(seen, "metadata")

    assert (found["deployed"]["status"], found["deployed"]["success"]) == ("Succeeded", True)
    parts = found["status"]["details"]["componentSuccesses"]
    assert {"Made__c", "Made__c.Text__c"} <= {part["fullName"] for part in parts}
    assert (found["byRest"]["checkOnly"], found["byRest"]["status"]) == (True, "Succeeded")
    assert {"CustomObject", "PermissionSet"} <= set(found["types"])
    assert "Made__c" in found["listed"]
    assert "objects/Made__c.object" in found["retrieved"]
    assert "Text__c" in found["fields"]
    assert found["made"]["success"] is True
