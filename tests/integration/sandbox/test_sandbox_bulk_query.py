"""Query jobs: states, pages of CSV, what they read and when, and what they refuse."""

# ruff: noqa: S608 -- SOQL and SQL of our own making, for our own test org

import csv
import io
import sqlite3
from typing import Any

import pytest
from ingest_jobs import KEY, ORDER
from query_jobs import begin, create, fill, page, rows, select, table, wait

from connectors.embedded.pki import ensure_app, write_apps

RECORD = {"id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state"}
RECORD |= {"concurrencyMode", "contentType", "apiVersion"}


def refused(answer: Any) -> tuple[int, str, str]:
    (error,) = answer.json()
    assert error.keys() == {"message", "errorCode"}
    return answer.status_code, error["errorCode"], error["message"]


def written(client: Any, name: str, count: int, **fields: Any) -> list[str]:
    """Write that many orders and return their keys."""
    keys = [f"{name}-{n:04d}" for n in range(count)]
    for at in range(0, count, 200):
        answer = client.upsert([{KEY: key, **fields} for key in keys[at : at + 200]])
        assert all(item["success"] for item in answer.json())
    return keys


def soql(name: str, fields: str = KEY, tail: str = "") -> str:
    return f"SELECT {fields} FROM {ORDER} WHERE {KEY} LIKE '{name}-%'{tail}"


def test_a_query_job_goes_through_the_documented_answers(admin: Any) -> None:
    keys = written(admin, "qdoc", 3)

    made = create(admin, soql("qdoc"))
    job = made.json()["id"]
    done = wait(admin, job)
    results = page(admin, job)
    aborted = admin.call("PATCH", f"jobs/query/{job}", json={"state": "Aborted"})
    gone = admin.call("DELETE", f"jobs/query/{job}")

    assert made.status_code == 200
    assert made.json().keys() == RECORD | {"lineEnding", "columnDelimiter"}
    assert (made.json()["state"], made.json()["object"]) == ("UploadComplete", ORDER)
    assert (made.json()["apiVersion"], job[:3]) == (62.0, "750")
    assert done.keys() - made.json().keys() == {
        "jobType", "numberRecordsProcessed", "retries", "totalProcessingTime",
        "isPkChunkingSupported",
    }  # fmt: skip
    assert (done["jobType"], done["numberRecordsProcessed"]) == ("V2Query", 3)
    assert results.headers["Sforce-NumberOfRecords"] == "3"
    assert results.headers["Sforce-Locator"] == "null"
    assert sorted(results.text.splitlines()) == sorted(f'"{k}"' for k in [KEY, *keys])
    text = "Aborting already Completed Job not allowed"
    assert refused(aborted) == (400, "INVALIDJOBSTATE", text)
    assert (gone.status_code, gone.content) == (204, b"")
    assert admin.call("GET", f"jobs/query/{job}").status_code == 404
    assert page(admin, job).status_code == 404
    number = int(sqlite_value(admin, "SELECT MAX(number) FROM bulk_jobs WHERE query NOT NULL"))
    assert not list((admin.org.home / "sandbox/bulk").glob(f"{number}.*"))


def sqlite_value(client: Any, sql: str) -> Any:
    db = sqlite3.connect(client.org.home / "sandbox/org.sqlite")
    try:
        return db.execute(sql).fetchone()[0]
    finally:
        db.close()


def test_pages_hold_every_row_once_and_a_locator_always_the_same_ones(admin: Any) -> None:
    keys = written(admin, "qpage", 1050)
    job = begin(admin, soql("qpage"))
    wait(admin, job)

    by_hundreds = rows(admin, job, 100)
    by_the_rest = rows(admin, job, 1049)
    first = page(admin, job, maxRecords=1000)
    again = [page(admin, job, locator=first.headers["Sforce-Locator"]) for _ in range(2)]

    assert by_hundreds == by_the_rest
    assert sorted(key for (key,) in by_hundreds) == keys
    assert first.headers["Sforce-Locator"] == "MTAwMA"  # as documented: the row, in base64
    assert again[0].content == again[1].content
    assert table(again[0]) == [[KEY], *by_hundreds[1000:]]


@pytest.mark.parametrize("params", [
    {"locator": "MTA1MA"}, {"locator": "x"}, {"locator": "MTA="}, {"locator": "LTE"},
])  # fmt: skip
def test_a_locator_that_names_no_page_is_refused(admin: Any, params: dict[str, str]) -> None:
    written(admin, "qloc", 10)
    job = begin(admin, soql("qloc"))
    wait(admin, job)

    answer = page(admin, job, **params)

    assert refused(answer) == (400, "INVALID_QUERY_LOCATOR", "invalid query locator")


@pytest.mark.parametrize("most", ["0", "-1", "many"])
def test_a_page_holds_a_row_at_least(admin: Any, most: str) -> None:
    job = begin(admin, soql("none"))
    wait(admin, job)

    status, code, _ = refused(page(admin, job, maxRecords=most))

    assert (status, code) == (400, "API_ERROR")


def test_no_row_is_a_header_alone(admin: Any) -> None:
    job = begin(admin, soql("nobody", f"Id, {KEY}"))
    wait(admin, job)

    answer = page(admin, job)

    assert answer.text == f'"Id","{KEY}"\n'
    assert answer.headers["Sforce-NumberOfRecords"] == "0"
    assert answer.headers["Sforce-Locator"] == "null"


def test_cells_are_written_as_the_bulk_api_writes_them(admin: Any) -> None:
    written(
        admin,
        "qcell",
        1,
        Total__c=912260031,
        Item_Count__c=7,
        First_Sku__c='a "b", c',
        Placed_At__c="2026-11-23T01:02:03.000+0100",
    )
    fields = f"{KEY}, Total__c, Item_Count__c, First_Sku__c, Placed_At__c, Currency__c, IsDeleted"

    header, row = select(admin, soql("qcell", f"{fields}, OwnerId, Owner.Username"))

    assert header == [*fields.split(", "), "OwnerId", "Owner.Username"]
    assert row[:7] == [
        "qcell-0000", "9.12260031E8", "7.0", 'a "b", c', "2026-11-23T00:02:03.000Z", "", "false",
    ]  # fmt: skip
    assert (row[7][:3], len(row[7]), row[8]) == ("005", 18, "admin")


def test_columns_come_by_name_in_old_versions(admin: Any) -> None:
    written(admin, "qold", 1)
    path = f"{admin.org.url}/services/data/v49.0/jobs/query"
    document = {"operation": "query", "query": soql("qold", f"Name, {KEY}, Id")}
    job = admin.http.post(path, json=document, timeout=30).json()["id"]
    wait(admin, job)

    answer = admin.http.get(f"{path}/{job}/results", timeout=30)
    newer = page(admin, job)

    assert table(answer)[0] == [KEY, "Id", "Name"]
    assert newer.status_code == 409


@pytest.mark.parametrize(("version", "status"), [("46.0", 404), ("47.0", 200)])
def test_query_jobs_came_with_version_47(admin: Any, version: str, status: int) -> None:
    path = f"{admin.org.url}/services/data/v{version}/jobs/query"
    document = {"operation": "query", "query": soql("none")}

    answers = [admin.http.post(path, json=document, timeout=30), admin.http.get(path, timeout=30)]

    assert [a.status_code for a in answers] == [status, status]


def test_delimiter_and_line_ending_are_the_jobs_own(admin: Any) -> None:
    written(admin, "qform", 1, First_Sku__c="a^b")
    job = begin(
        admin, soql("qform", f"{KEY}, First_Sku__c"), columnDelimiter="CARET", lineEnding="CRLF"
    )
    wait(admin, job)

    answer = page(admin, job)

    assert answer.text == f'"{KEY}"^"First_Sku__c"\r\n"qform-0000"^"a^b"\r\n'


def test_query_all_reads_the_recycle_bin_too(admin: Any) -> None:
    written(admin, "qbin", 2)
    found = admin.query(soql("qbin", "Id"))["records"]
    admin.call("DELETE", "composite/sobjects", params={"ids": found[0]["Id"]})

    live = select(admin, soql("qbin", "Id"))
    everything = select(admin, soql("qbin", "Id, IsDeleted"), "queryAll")

    assert live[1:] == [[found[1]["Id"]]]
    assert sorted(everything[1:]) == sorted([[found[0]["Id"], "true"], [found[1]["Id"], "false"]])


MALFORMED = "MALFORMED_QUERY"
CSV_ONLY = "not supported in Bulk V2 Query with CSV content type"
REFUSED = {
    "count": (f"SELECT COUNT() FROM {ORDER}", "API_ERROR", f"Aggregate Relationships {CSV_ONLY}"),
    "aggregate": (
        f"SELECT MAX(Total__c) FROM {ORDER}", "API_ERROR", f"Aggregate Relationships {CSV_ONLY}",
    ),
    "group": (
        f"SELECT Region__c FROM {ORDER} GROUP BY Region__c",
        "API_ERROR", f"Aggregate Relationships {CSV_ONLY}",
    ),
    "subquery": (
        "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
        "API_ERROR", f"Aggregate Relationships {CSV_ONLY}",
    ),
    "offset": (f"SELECT Id FROM {ORDER} OFFSET 5", "API_ERROR", f"OFFSET {CSV_ONLY}"),
    "typeof": (
        f"SELECT TYPEOF Owner WHEN User THEN Id END FROM {ORDER}", MALFORMED, None,
    ),
    "no soql": ("SELEC Id FROM Account", MALFORMED, None),
    "no field": (f"SELECT Shoe__c FROM {ORDER}", "INVALID_FIELD", None),
    "no object": ("SELECT Id FROM Shoe__c", "INVALID_TYPE", None),
    "nothing": ("", "API_ERROR", None),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_query_job_cannot_read_is_refused_at_once(admin: Any, case: str) -> None:
    query, code, text = REFUSED[case]

    status, found, message = refused(create(admin, query))

    assert (status, found) == (400, code)
    assert text in {None, message}


@pytest.mark.parametrize("fields", [
    {"operation": "insert"}, {"contentType": "JSON"}, {"columnDelimiter": ";"},
    {"lineEnding": "CR"},
])  # fmt: skip
def test_a_member_with_another_value_is_refused(admin: Any, fields: dict[str, str]) -> None:
    document = {"operation": "query", "query": soql("none"), **fields}

    answer = admin.call("POST", "jobs/query", json=document)

    ((name, value),) = fields.items()
    text = f"Invalid value: '{value}' supplied for property: '{name}'"
    assert refused(answer) == (400, "API_ERROR", text)


def test_pages_are_linked_five_at_a_time(start_org: Any) -> None:
    client = start_org("--plain").login()
    ids = fill(client, 270_000)
    job = begin(client, f"SELECT Id FROM {ORDER}")
    wait(client, job)

    first = client.call("GET", f"jobs/query/{job}/resultPages").json()
    second = client.http.get(client.org.url + first["nextRecordsUrl"], timeout=30).json()

    links = [link["resultUrl"] for answer in (first, second) for link in answer["resultPages"]]
    found: list[str] = []
    for link in links:
        answer = client.http.get(client.org.url + link, timeout=60)
        found += [row[0] for row in table(answer)[1:]]
    assert ([first["done"], second["done"]], second["nextRecordsUrl"]) == ([False, True], None)
    assert [len(first["resultPages"]), len(second["resultPages"])] == [5, 1]
    assert len(found) == len(set(found)) == ids
    old = f"{client.org.url}/services/data/v57.0/jobs/query/{job}/resultPages"
    assert client.http.get(old, timeout=30).status_code == 404


def test_a_user_reads_its_own_jobs_rows_and_fields(start_org: Any) -> None:
    running = start_org("--plain")
    apps = [ensure_app(running.home, region) for region in ("eu", "uk")]
    write_apps(running.home, apps)
    eu, uk = (running.login(app.username) for app in apps)
    written(eu, "mine", 2)
    written(uk, "mine-uk", 1)

    seen = select(eu, soql("mine"))
    job = begin(eu, soql("mine"))
    wait(eu, job)

    assert sorted(key for (key,) in seen[1:]) == ["mine-0000", "mine-0001"]
    assert page(uk, job).status_code == 404
    assert uk.call("PATCH", f"jobs/query/{job}", json={"state": "Aborted"}).status_code == 404
    assert len(table(page(running.login(), job))) == 3


def test_simple_salesforce_runs_both_kinds_of_jobs(admin: Any) -> None:
    bulk = admin.simple().bulk2.Commerce_Order__c
    keys = [f"ssq-{n:03d}" for n in range(300)]

    (summary,) = bulk.insert(records=[{KEY: key, "First_Sku__c": "\u00e4, b"} for key in keys])
    pages = list(bulk.query(soql("ssq", f"{KEY}, First_Sku__c"), max_records=100, wait=0.1))
    everything = list(bulk.query_all(soql("ssq"), wait=0.1))

    found = [r for text in pages for r in csv.DictReader(io.StringIO(text, newline=""))]
    assert (summary["numberRecordsProcessed"], summary["numberRecordsFailed"]) == (300, 0)
    assert len(pages) == 3
    assert sorted(r[KEY] for r in found) == keys
    assert {r["First_Sku__c"] for r in found} == {"\u00e4, b"}
    assert len(everything[0].splitlines()) == 301
