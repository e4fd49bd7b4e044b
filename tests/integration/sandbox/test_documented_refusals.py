"""Sections 1.1 and 1.2, what no request brings about here: duplicate rules, triggers, outages."""

import re
from typing import Any

import pytest
from documented import KEY, ORDER, create, refusal, total
from ingest_jobs import results, run, table

from connectors.sandbox.faults.remote import Control

TRIGGER = r"Trigger: execution of BeforeInsert caused by: .*UNABLE_TO_LOCK_ROW.*"
ROWS = {
    "1.2 DUPLICATES_DETECTED": ("DUPLICATES_DETECTED", ".+"),
    "1.2 CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY": ("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", TRIGGER),
    "1.2 ENTITY_IS_LOCKED": ("ENTITY_IS_LOCKED", ".+"),
    "1.2 FIELD_FILTER_VALIDATION_EXCEPTION": ("FIELD_FILTER_VALIDATION_EXCEPTION", ".+"),
    "1.2 STORAGE_LIMIT_EXCEEDED": ("STORAGE_LIMIT_EXCEEDED", ".+"),
}
REQUESTS = {
    "1.2 API_DISABLED_FOR_ORG": ("API_DISABLED_FOR_ORG", 403, ".+"),
    "1.2 API_CURRENTLY_DISABLED": ("API_CURRENTLY_DISABLED", 403, ".+"),
    "1.2 SERVER_UNAVAILABLE": ("SERVER_UNAVAILABLE", 503, "Server too busy"),
    "1.2 QUERY_TIMEOUT": ("QUERY_TIMEOUT", 400, ".+"),
    "1.2 REQUEST_RUNNING_TOO_LONG": ("REQUEST_RUNNING_TOO_LONG", 400, ".+"),
}


def refuse_rows(plan: Control, code: str, *, on: str = "any", share: float = 1) -> None:
    plan.set([{"kind": "rows-refused", "on": on, "once": True, "code": code, "rows": share}])


@pytest.mark.parametrize("case", ROWS)
def test_a_refused_row_is_400_with_its_code(plan: Control, client: Any, case: str) -> None:
    code, text = ROWS[case]
    refuse_rows(plan, code)

    status, shown, message = refusal(
        client.call("POST", f"sobjects/{ORDER}", json={KEY: f"doc-refused-{code}"})
    )

    assert (status, shown) == (400, code)
    assert re.fullmatch(text, message)
    assert total(client, ORDER, f"{KEY} = 'doc-refused-{code}'") == 0


@pytest.mark.parametrize("case", ROWS)
def test_a_refused_row_of_a_collection_fails_alone(plan: Control, client: Any, case: str) -> None:
    code, _ = ROWS[case]
    refuse_rows(plan, code, on="collections", share=0.5)

    items = client.upsert([{KEY: f"doc-{code}-{n}"} for n in range(2)]).json()

    (bad,) = [item for item in items if not item["success"]]
    (error,) = bad["errors"]
    assert error.keys() == {"statusCode", "message", "fields"}
    assert error["statusCode"] == code
    assert total(client, ORDER, f"{KEY} LIKE 'doc-{code}-%'") == 1


def test_1_2_a_duplicate_rule_tells_what_it_found_under_a_misspelt_name(
    plan: Control, client: Any
) -> None:
    row = create(client, ORDER, **{KEY: "doc-found"})
    refuse_rows(plan, "DUPLICATES_DETECTED")

    answer = client.call("PATCH", f"sobjects/{ORDER}/{row}", json={"Currency__c": "EUR"})

    (error,) = answer.json()
    found = error["duplicateResut"]
    assert answer.status_code == 400
    assert found.keys() == {
        "duplicateRule", "allowSave", "duplicateRuleEntityType", "errorMessage", "matchResults",
    }  # fmt: skip
    assert found["errorMessage"] == error["message"]
    assert found["duplicateRuleEntityType"] == ORDER
    (match,) = found["matchResults"]
    assert match.keys() >= {"entityType", "errors", "matchEngine", "matchRecords", "success"}
    assert match["success"] is True
    assert [one["record"]["Id"] for one in match["matchRecords"]] == [row]


def test_1_2_a_refused_row_of_a_job_is_a_failed_result(plan: Control, client: Any) -> None:
    refuse_rows(plan, "ENTITY_IS_LOCKED", on="bulk")

    job = run(client, table([KEY], ["doc-locked-1"], ["doc-locked-2"]))

    errors = {row["sf__Error"] for row in results(client, job["id"], "failedResults")}
    assert job["numberRecordsFailed"] == 2
    assert errors == {"ENTITY_IS_LOCKED:the entity is locked for editing:--"}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_refused_request_has_its_status_and_no_fields(
    plan: Control, client: Any, case: str
) -> None:
    code, status, text = REQUESTS[case]
    plan.set([{"kind": "refused", "on": "query", "once": True, "code": code}])

    answer = client.call("GET", "query", params={"q": f"SELECT Id FROM {ORDER}"})  # noqa: S608

    assert refusal(answer)[:2] == (status, code)
    assert answer.json()[0].keys() == {"message", "errorCode"}
    assert re.fullmatch(text, answer.json()[0]["message"])


LOGINS = {
    "1.1 inactive user": ("inactive user", "invalid_grant", "inactive user"),
    "1.1 ip restricted": ("ip restricted", "invalid_grant", "ip restricted"),
    "1.1 inactive_org": ("inactive_org", "inactive_org", ".+"),
}


@pytest.mark.parametrize("case", LOGINS)
def test_a_refused_login_has_the_documented_pair(plan: Control, faulty: Any, case: str) -> None:
    code, error, description = LOGINS[case]
    plan.set([{"kind": "login-refused", "on": "login", "once": True, "code": code}])

    answer = faulty.post_token({"grant_type": "client_credentials"})

    body = answer.json()
    assert answer.status_code == 400
    assert answer.headers["Cache-Control"] == "no-store"
    assert body.keys() == {"error", "error_description"}
    assert body["error"] == error
    assert re.fullmatch(description, body["error_description"])
