"""go-salesforce, as it comes from the module proxy, works the test org over https."""

from typing import Any

import pytest
from client_apps import settings_of
from other_clients import answers, go_program
from running_org import RunningOrg

BAD_PICKLIST = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"


@pytest.fixture(scope="module")
def seen(module_org: RunningOrg, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the program saw, by scenario; skip without Go or the modules."""
    program = go_program("go_salesforce")
    folder = tmp_path_factory.mktemp("go")
    return answers([program], settings_of(module_org, folder), folder)


def outcome(seen: dict[str, Any], scenario: str) -> dict[str, Any]:
    found: dict[str, Any] = seen[scenario]
    assert "failed" not in found, found["failed"]
    return found


def test_it_writes_reads_and_deletes_one_row(seen: dict[str, Any]) -> None:
    found = outcome(seen, "oneRow")

    known = found["inserted"]["id"]
    assert found["upserted"] == {"id": known, "success": True, "errors": []}
    assert found["found"] == [{"Id": known, "ExternalId": "go-1", "Total": 3.5}]
    assert "ENTITY_IS_DELETED" in found["gone"]


def test_it_sends_collections(seen: dict[str, Any]) -> None:
    found = outcome(seen, "collections")

    assert (found["inserted"], found["deleted"], found["bad"]) == (250, 250, False)
    first, second = found["updated"]["Results"]
    assert (first["success"], second["success"]) == (True, False)
    assert second["errors"][0]["statusCode"] == BAD_PICKLIST
    assert [one["success"] for one in found["upserted"]["Results"]] == [True, True]


def test_it_sends_collections_within_composites(seen: dict[str, Any]) -> None:
    found = outcome(seen, "composite")

    counts = {name: len(part["Results"]) for name, part in found.items()}
    assert counts == {"inserted": 10, "updated": 1, "upserted": 11, "deleted": 1}
    assert not any(part["HasSalesforceErrors"] for part in found.values())


def test_it_decodes_rows_of_many_pages_and_their_parents(seen: dict[str, Any]) -> None:
    found = outcome(seen, "queries")

    assert found["people"] == [{"LastName": "Ada", "Account": {"Name": "go account"}}]
    assert (found["rows"], found["different"]) == (2100, 2100)


def test_it_loads_and_queries_in_bulk(seen: dict[str, Any]) -> None:
    found = outcome(seen, "bulk")

    assert (found["loaded"]["state"], found["loaded"]["numberRecordsFailed"]) == ("JobComplete", 1)
    assert len(found["loaded"]["SuccessfulRecords"]) == 3
    assert found["loaded"]["FailedRecords"][0]["External_Id__c"] == "go-bulk-bad"
    assert found["read"] == 3
    assert found["exported"].split() == ["External_Id__c", "go-bulk-0", "go-bulk-1", "go-bulk-2"]
    assert found["removed"]["numberRecordsFailed"] == 0


def test_it_logs_in_by_secret_and_is_refused_as_over_the_real_api(seen: dict[str, Any]) -> None:
    found = outcome(seen, "logins")

    assert found["flow"] == "Client Credentials"
    assert "400" in found["password"]
    assert "invalid session" in found["stranger"]


def test_its_assertion_for_the_login_host_finds_no_external_client_app(
    seen: dict[str, Any],
) -> None:
    assert "400" in outcome(seen, "logins")["bearer"]


def test_its_errors_have_the_documented_code(seen: dict[str, Any]) -> None:
    found = outcome(seen, "refusals")

    assert "INVALID_FIELD" in found["field"]
    assert "STRING_TOO_LONG" in found["length"]
    assert "Nope" in found["job"]
