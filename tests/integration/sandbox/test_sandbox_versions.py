"""The deployed version rules, over HTTP: what a late request gets to hear."""

# ruff: noqa: S608 -- SOQL of our own making, for our own test org

import threading
from typing import Any

import pytest
from ingest_jobs import results, run, table

ORDER, KEY, BASE, LABEL = (
    "Commerce_Order__c", "External_Id__c", "Base_Version__c", "Label_Version__c",
)  # fmt: skip
CODE = "FIELD_CUSTOM_VALIDATION_EXCEPTION"
OLDER_BASE, OLDER_LABEL = "homeport:older-base-version", "homeport:older-label-version"


def of_record(message: str) -> dict[str, Any]:
    return {"statusCode": CODE, "message": message, "fields": []}


def of_request(message: str) -> dict[str, Any]:
    return {"errorCode": CODE, "message": message, "fields": []}


@pytest.mark.parametrize("sobject", [ORDER, "Commerce_Customer__c"])
def test_a_lower_version_is_refused_in_a_collection_and_the_rest_written(
    admin: Any, sobject: str
) -> None:
    rows = [{KEY: f"late-{i}", BASE: 10, LABEL: 10} for i in range(3)]
    admin.upsert(rows, sobject=sobject)

    answer = admin.upsert(
        [
            {KEY: "late-0", BASE: 9, LABEL: 9},
            {KEY: "late-1", BASE: 10},
            {KEY: "late-2", LABEL: 11},
            {KEY: "late-new", BASE: 1},
        ],
        sobject=sobject,
    ).json()

    assert answer[0] == {
        "success": False,
        "errors": [of_record(OLDER_BASE), of_record(OLDER_LABEL)],
    }
    assert [item["success"] for item in answer[1:]] == [True, True, True]
    found = admin.query(
        f"SELECT {BASE}, {LABEL} FROM {sobject} WHERE {KEY} LIKE 'late-_' ORDER BY {KEY}"
    )
    assert [(r[BASE], r[LABEL]) for r in found["records"]] == [(10, 10), (10, 10), (10, 11)]


def test_a_row_written_alone_is_refused_with_every_rule_it_breaks(admin: Any) -> None:
    admin.upsert([{KEY: "alone", BASE: 10, LABEL: 10}])
    by_key = f"sobjects/{ORDER}/{KEY}/alone"
    record_id = admin.call("GET", by_key).json()["Id"]
    older = {BASE: 9, LABEL: 9}

    answers = [
        admin.call("PATCH", path, json=older) for path in (by_key, f"sobjects/{ORDER}/{record_id}")
    ]

    for answer in answers:
        assert answer.status_code == 400
        assert answer.json() == [of_request(OLDER_BASE), of_request(OLDER_LABEL)]


def test_an_ingest_job_hears_the_same_of_a_lower_version(admin: Any) -> None:
    admin.upsert([{KEY: f"job-late-{i}", BASE: 10, LABEL: 10} for i in range(2)])
    lower, equal = ["job-late-0", "9", "9"], ["job-late-1", "10", "10"]

    done = run(admin, table([KEY, BASE, LABEL], lower, equal))

    refused = results(admin, done["id"], "failedResults")
    assert [(r[KEY], r["sf__Error"]) for r in refused] == [
        ("job-late-0", f"{CODE}:{OLDER_BASE}:-- {CODE}:{OLDER_LABEL}:--")
    ]
    assert [r[KEY] for r in results(admin, done["id"], "successfulResults")] == ["job-late-1"]


def test_whichever_of_two_requests_comes_first_the_higher_version_stays(admin: Any) -> None:
    keys = [f"version-race-{i}" for i in range(200)]
    admin.upsert([{KEY: key, BASE: 0} for key in keys])

    def send(version: int) -> None:
        admin.upsert([{KEY: key, BASE: version, "Currency__c": f"V{version}"} for key in keys])

    threads = [threading.Thread(target=send, args=(v,)) for v in (3, 1, 4, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = admin.query(
        f"SELECT {BASE}, Currency__c FROM {ORDER} WHERE {KEY} LIKE 'version-race-%'"
    )
    assert {(r[BASE], r["Currency__c"]) for r in found["records"]} == {(4, "V4")}
