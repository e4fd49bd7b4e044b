"""The replication feeds: what went into the recycle bin, what was made or changed, and when."""

# ruff: noqa: S608 -- SQL of our own making, for our own test org

import sqlite3
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.embedded.pki import ensure_app

ORDER, KEY = "Commerce_Order__c", "External_Id__c"
DAY = timedelta(days=1)


def create(client: Any, key: str) -> str:
    answer = client.call("POST", f"sobjects/{ORDER}", json={KEY: key})
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["id"]
    return made


def feed(client: Any, name: str, start: datetime, end: datetime) -> Any:
    params = {"start": start.isoformat(timespec="seconds"), "end": end.isoformat()}
    return client.call("GET", f"sobjects/{ORDER}/{name}/", params=params)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def client(start_org: Any) -> Any:
    """Log into an org of the test's own: what else changes in it would show."""
    return start_org("--plain").login()


def set_age(client: Any, made: str, days: float) -> None:
    """Let the row have changed so many days ago, the last time."""
    db = sqlite3.connect(client.org.home / "sandbox/org.sqlite")
    key = client.query(f"SELECT {KEY} FROM {ORDER} WHERE Id = '{made}'")["records"]
    where = f"{KEY} = '{key[0][KEY]}'" if key else "IsDeleted = 1"
    with db:
        db.execute(
            f"UPDATE {ORDER} SET SystemModstamp = ? WHERE {where}",
            (int(time.time() - days * 86_400),),
        )
    db.close()


def test_a_deleted_row_is_listed_with_the_time_of_its_deletion(client: Any) -> None:
    gone, _ = create(client, "gone"), create(client, "kept")
    client.call("DELETE", f"sobjects/{ORDER}/{gone}")

    answer = feed(client, "deleted", now() - DAY, now() + timedelta(minutes=2))

    deleted = client.call("GET", "queryAll", params={
        "q": f"SELECT SystemModstamp FROM {ORDER} WHERE IsDeleted = true"
    }).json()["records"][0]["SystemModstamp"]  # fmt: skip
    assert answer.status_code == 200
    assert list(answer.json()) == ["deletedRecords", "earliestDateAvailable", "latestDateCovered"]
    assert answer.json()["deletedRecords"] == [{"id": gone, "deletedDate": deleted}]


def test_what_was_made_or_changed_is_listed_and_what_was_deleted_is_not(client: Any) -> None:
    made, old, gone = (create(client, key) for key in ("made", "old", "gone"))
    set_age(client, old, 3)
    client.call("DELETE", f"sobjects/{ORDER}/{gone}")
    span = now() - DAY, now() + timedelta(minutes=2)

    before = feed(client, "updated", *span).json()
    client.call("PATCH", f"sobjects/{ORDER}/{old}", json={"Currency__c": "EUR"})
    after = feed(client, "updated", *span).json()

    assert list(before) == ["ids", "latestDateCovered"]
    assert before["ids"] == [made]
    assert set(after["ids"]) == {made, old}


def test_seconds_do_not_count_and_the_end_is_not_in_the_span(client: Any) -> None:
    create(client, "row")
    minute = now().replace(second=0, microsecond=0) - DAY
    db = sqlite3.connect(client.org.home / "sandbox/org.sqlite")
    with db:
        db.execute(f"UPDATE {ORDER} SET SystemModstamp = ?", (int(minute.timestamp()),))
    db.close()

    step, late = timedelta(minutes=1), timedelta(seconds=59)
    within = feed(client, "updated", minute + late, minute + step + late).json()
    before = feed(client, "updated", minute - step, minute + late).json()

    assert (len(within["ids"]), len(before["ids"])) == (1, 0)
    assert within["latestDateCovered"] == f"{minute + step:%Y-%m-%dT%H:%M:%S}.000+0000"


def test_what_changed_first_is_listed_first(client: Any) -> None:
    new, old = (create(client, key) for key in ("new", "old"))
    set_age(client, old, 2)

    answer = feed(client, "updated", now() - 3 * DAY, now() + timedelta(minutes=2))

    assert answer.json()["ids"] == [old, new]


def test_what_lay_in_the_bin_for_15_days_is_in_no_list(client: Any) -> None:
    gone = create(client, "gone")
    client.call("DELETE", f"sobjects/{ORDER}/{gone}")
    span = now() - 20 * DAY, now() + timedelta(minutes=2)

    counts = []
    for days in (14.9, 15.1):
        set_age(client, gone, days)
        counts.append(len(feed(client, "deleted", *span).json()["deletedRecords"]))

    assert counts == [1, 0]


def test_a_span_may_begin_30_days_ago_to_the_minute(client: Any) -> None:
    oldest = now() - 30 * DAY

    answers = [
        feed(client, "updated", oldest - timedelta(minutes=early), now()) for early in (0, 2)
    ]

    assert [answer.status_code for answer in answers] == [200, 400]


def test_the_future_is_not_covered(client: Any) -> None:
    answer = feed(client, "updated", now() - DAY, now() + DAY).json()

    covered = datetime.strptime(answer["latestDateCovered"], "%Y-%m-%dT%H:%M:%S.%f%z")
    assert timedelta(seconds=-5) < now() - covered < timedelta(minutes=1)


@pytest.mark.parametrize("name", ["deleted", "updated"])
@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        (timedelta(0), timedelta(0), "must be at least one minute"),
        (timedelta(0), timedelta(hours=-1), "must be at least one minute"),
        (-31 * DAY, timedelta(0), "startDate cannot be more than 30 days ago"),
    ],
)
def test_a_span_that_cannot_be_is_refused(
    admin: Any, name: str, start: timedelta, end: timedelta, text: str
) -> None:
    answer = feed(admin, name, now() + start, now() + end)

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"
    assert text in answer.json()[0]["message"]


@pytest.mark.parametrize("params", [{}, {"start": "2026-01-01"}, {"start": "x", "end": "y"}])
def test_a_span_without_two_times_is_refused(admin: Any, params: dict[str, str]) -> None:
    answer = admin.call("GET", f"sobjects/{ORDER}/updated", params=params)

    assert answer.status_code == 400
    assert answer.json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"


def test_a_row_removed_for_good_is_in_no_list_and_the_feed_says_since_when(client: Any) -> None:
    gone = create(client, "gone")
    client.call("DELETE", f"sobjects/{ORDER}/{gone}")
    span = now() - DAY, now() + timedelta(minutes=2)
    before = feed(client, "deleted", *span).json()

    hard_delete(client, gone)
    after = feed(client, "deleted", *span).json()

    assert [len(f["deletedRecords"]) for f in (before, after)] == [1, 0]
    assert before["earliestDateAvailable"][:10] == f"{now() - 30 * DAY:%Y-%m-%d}"
    assert after["earliestDateAvailable"][:10] == f"{now():%Y-%m-%d}"


def hard_delete(client: Any, made: str) -> None:
    job = {"object": ORDER, "operation": "hardDelete"}
    path = f"jobs/ingest/{client.call('POST', 'jobs/ingest', json=job).json()['id']}"
    csv = {"Content-Type": "text/csv"}
    client.call("PUT", f"{path}/batches", data=f"Id\n{made}\n", headers=csv)
    client.call("PATCH", path, json={"state": "UploadComplete"})
    until = time.monotonic() + 30
    while (done := client.call("GET", path).json())["state"] != "JobComplete":
        assert time.monotonic() < until, done
        time.sleep(0.05)
    assert done["numberRecordsFailed"] == 0


def test_the_rows_of_others_are_not_in_the_feeds(running: Any) -> None:
    hers = running.client(running.by_assertion(ensure_app(running.home, "eu")))
    gone, _ = create(running.login(), "his-gone"), create(running.login(), "his")
    running.login().call("DELETE", f"sobjects/{ORDER}/{gone}")
    own = create(hers, "hers")

    span = now() - DAY, now() + timedelta(minutes=2)
    updated, deleted = (feed(hers, name, *span).json() for name in ("updated", "deleted"))

    assert updated["ids"] == [own]
    assert deleted["deletedRecords"] == []


def test_simple_salesforce_reads_both_feeds(admin: Any) -> None:
    made, gone = create(admin, "feed-made"), create(admin, "feed-gone")
    sobject = admin.simple().Commerce_Order__c
    sobject.delete(gone)
    span = now() - DAY, now() + timedelta(minutes=2)

    deleted, updated = sobject.deleted(*span), sobject.updated(*span)

    assert gone in [record["id"] for record in deleted["deletedRecords"]]
    assert made in updated["ids"]
