"""Lists of jobs, since when there are any, and the limits of what a job may be sent."""

# ruff: noqa: S608 -- SQL of our own making, for our own test org

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import query_jobs
from ingest_jobs import KEY, ORDER, count, create, info, move, run, table, upload, wait

LISTED = {
    "id", "operation", "object", "createdById", "createdDate", "systemModstamp", "state",
    "concurrencyMode", "contentType", "apiVersion", "jobType", "lineEnding", "columnDelimiter",
}  # fmt: skip
EVERYTHING = f"SELECT Id FROM {ORDER}"


@pytest.fixture(scope="module")
def lister(module_org: Any) -> Any:
    """Open a session in an org that has one job of each kind, and no other."""
    client = module_org.login()
    assert run(client, table([KEY], ["list-1"]))["state"] == "JobComplete"
    query_jobs.wait(client, query_jobs.begin(client, EVERYTHING))
    return client


def kinds(client: Any, path: str) -> list[str]:
    answer = client.call("GET", path)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["done"], answer.json()["nextRecordsUrl"]) == (True, None)
    return [record["jobType"] for record in answer.json()["records"]]


def test_a_list_shows_a_jobs_order_and_state_and_no_counts(lister: Any) -> None:
    (ingest,) = lister.call("GET", "jobs/ingest/").json()["records"]
    (query,) = lister.call("GET", "jobs/query/").json()["records"]

    assert query.keys() == LISTED
    assert ingest.keys() == LISTED | {"externalIdFieldName", "contentUrl"}
    assert (query["operation"], ingest["operation"]) == ("query", "upsert")
    assert [*query][-3:] == ["jobType", "lineEnding", "columnDelimiter"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("jobs/ingest", ["V2Ingest"]),
        ("jobs/query", ["V2Query"]),
        ("jobs/ingest?jobType=V2Ingest&isPkChunkingEnabled=false", ["V2Ingest"]),
        ("jobs/query?jobType=V2Query&concurrencyMode=parallel", ["V2Query"]),
        ("jobs/query?jobType=V2Ingest", ["V2Ingest"]),
        # what Bulk API 1.0 would have made
        ("jobs/query?jobType=Classic", []),
        ("jobs/ingest?jobType=BigObjectIngest", []),
        ("jobs/ingest?isPkChunkingEnabled=true", []),
        ("jobs/query?isPkChunkingEnabled=TRUE", []),
        ("jobs/query?concurrencyMode=serial", []),
    ],
)
def test_a_list_is_narrowed_by_what_is_documented(
    lister: Any, path: str, expected: list[str]
) -> None:
    assert kinds(lister, path) == expected


@pytest.mark.parametrize("path", ["jobs/ingest?jobType=V3", "jobs/query?queryLocator=x"])
def test_a_filter_that_is_none_is_refused(lister: Any, path: str) -> None:
    assert lister.call("GET", path).status_code == 400


def test_an_id_of_the_other_kind_names_no_job(lister: Any) -> None:
    (ingest,) = lister.call("GET", "jobs/ingest").json()["records"]
    (query,) = lister.call("GET", "jobs/query").json()["records"]

    answers = [
        lister.call("GET", f"jobs/query/{ingest['id']}"),
        lister.call("GET", f"jobs/query/{ingest['id']}/results"),
        lister.call("GET", f"jobs/ingest/{query['id']}"),
        lister.call("DELETE", f"jobs/ingest/{query['id']}"),
        lister.call("PATCH", f"jobs/ingest/{query['id']}", json={"state": "Aborted"}),
        upload(lister, query["id"], b"x"),
    ]

    assert [answer.status_code for answer in answers] == [404] * 6


def test_ingest_jobs_came_with_version_41(lister: Any) -> None:
    url = f"{lister.org.url}/services/data"

    answers = [lister.http.get(f"{url}/{v}/jobs/ingest", timeout=30) for v in ("v40.0", "v41.0")]

    assert [answer.status_code for answer in answers] == [404, 200]


def change(home: Path, sql: str) -> None:
    """Change the org's own tables."""
    db = sqlite3.connect(home / "sandbox/org.sqlite")
    db.execute(sql)
    db.commit()
    db.close()


@pytest.mark.parametrize("kind", ["ingest", "query"])
def test_a_long_list_comes_in_pages_of_a_thousand(start_org: Any, kind: str) -> None:
    client = start_org("--plain").login()
    if kind == "ingest":
        create(client)
    else:
        query_jobs.wait(client, query_jobs.begin(client, EVERYTHING))
    names = (
        "user, sobject, operation, key, delimiter, ending, version, query, state, created_at,"
        " changed_at"
    )
    change(
        client.org.home,
        "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 2004)"
        f" INSERT INTO bulk_jobs ({names}) SELECT {names} FROM c, bulk_jobs WHERE number = 1",
    )
    url: str | None = f"/services/data/v62.0/jobs/{kind}?jobType=V2{kind.title()}"
    pages: list[list[str]] = []
    ends: list[bool] = []

    while url:
        answer = client.http.get(client.org.url + url, timeout=30).json()
        pages.append([record["id"] for record in answer["records"]])
        ends.append(answer["done"])
        url = answer["nextRecordsUrl"]

    assert [len(page) for page in pages] == [1000, 1000, 5]
    assert ends == [False, False, True]
    assert len({job for page in pages for job in page}) == 2005


def test_a_job_that_waits_a_day_for_its_data_is_aborted(start_org: Any) -> None:
    running = start_org("--plain")
    client = running.login()
    old, new = (create(client).json()["id"] for _ in range(2))
    running.stop()
    change(running.home, "UPDATE bulk_jobs SET created_at = created_at - 86460 WHERE number = 1")

    client = start_org("--plain").login()

    assert (info(client, old)["state"], info(client, new)["state"]) == ("Aborted", "Open")
    assert upload(client, old, b"x").status_code == 400


def test_a_header_is_as_long_and_names_as_many_fields_as_documented(admin: Any) -> None:
    text = (
        "InvalidBatch : The header is longer than 32000 characters or names more than 5000 fields"
    )
    longest = "x" * (31_999 - len(KEY))

    errors = [
        run(admin, f"{KEY},{names}\n")["errorMessage"]
        for names in (longest, f"{longest}x", ",".join("x" * 4999), ",".join("x" * 5000))
    ]

    assert errors == [
        f"InvalidBatch : Field name not found : {longest}",
        text,
        "InvalidBatch : Field name not found : x",
        text,
    ]


@pytest.mark.parametrize(("characters", "status"), [(100_000, 200), (100_001, 413)])
def test_data_sent_with_a_job_is_measured_in_characters(
    admin: Any, characters: int, status: int
) -> None:
    order = f'{{"object": "{ORDER}", "operation": "upsert", "externalIdFieldName": "{KEY}"}}'
    head = f"{KEY},First_Sku__c\nwide-{characters},"
    data = head + "\u00e4" * (characters - len(head))
    files = {"job": (None, order, "application/json"), "content": ("content", data, "text/csv")}

    answer = admin.call("POST", "jobs/ingest", files=files)

    assert answer.status_code == status
    if status == 200:
        done = wait(admin, answer.json()["id"])
        assert (done["numberRecordsProcessed"], done["numberRecordsFailed"]) == (1, 1)
    assert count(admin, "wide-%") == 0  # a field holds 80 characters


def test_results_answer_to_either_spelling_and_a_slash(admin: Any) -> None:
    job = create(admin).json()["id"]
    upload(admin, job, table([KEY], ["spell-1"]).encode())
    move(admin, job, "Aborted")

    texts = {
        admin.call("GET", f"jobs/ingest/{job}/{name}").text
        for name in ("unprocessedrecords", "unprocessedRecords", "unprocessedRecords/")
    }

    assert texts == {f'"{KEY}"\n"spell-1"\n'}
