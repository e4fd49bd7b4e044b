"""Section 1.11, deletes: soft, the bin, the feeds, the purge, and what a deleted key means."""

from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from documented import BASE, CUSTOMER, KEY, ORDER, create, read, total
from ingest_jobs import run, table

PARTNER = "urn:partner.soap.sforce.com"


def soap(client: Any, operation: str, ids: list[str]) -> Any:
    """Return the answer to a partner call that takes ids."""
    named = "".join(f"<p:ids>{i}</p:ids>" for i in ids)
    envelope = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"'
        f' xmlns:p="{PARTNER}"><e:Header><p:SessionHeader><p:sessionId>{client.token}'
        "</p:sessionId></p:SessionHeader></e:Header>"
        f"<e:Body><p:{operation}>{named}</p:{operation}></e:Body></e:Envelope>"
    )
    headers = {"Content-Type": "text/xml; charset=UTF-8", "SOAPAction": operation}
    url = f"{client.org.url}/services/Soap/u/62.0"
    return client.http.post(url, data=envelope, headers=headers, timeout=30)


def successes(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    root = ET.fromstring(answer.content)  # noqa: S314 -- our own test org
    return [e.text or "" for e in root.iter(f"{{{PARTNER}}}success")]


def delete(client: Any, *rows: str) -> None:
    for row in rows:
        assert client.call("DELETE", f"sobjects/{ORDER}/{row}").status_code == 204


def in_all(client: Any, key: str) -> list[bool]:
    """Return IsDeleted of every row with that key, live or not."""
    soql = f"SELECT IsDeleted FROM {ORDER} WHERE {KEY} = '{key}'"  # noqa: S608 -- our own
    answer = client.call("GET", "queryAll", params={"q": soql})
    return [r["IsDeleted"] for r in answer.json()["records"]]


def feed(client: Any, name: str, sobject: str = ORDER) -> Any:
    start, end = (datetime.now(UTC) + timedelta(minutes=m) for m in (-30, 5))
    params = {
        "start": start.isoformat(timespec="seconds"),
        "end": end.isoformat(timespec="seconds"),
    }
    return client.call("GET", f"sobjects/{sobject}/{name}/", params=params)


def test_1_11_a_deleted_row_is_hidden_but_kept(admin: Any) -> None:
    row = create(admin, ORDER, **{KEY: "doc-soft"})

    delete(admin, row)

    assert total(admin, ORDER, f"{KEY} = 'doc-soft'") == 0
    assert in_all(admin, "doc-soft") == [True]
    assert admin.call("GET", f"sobjects/{ORDER}/{row}").status_code == 404


def test_1_11_the_feed_of_deleted_rows_names_them(admin: Any) -> None:
    row = create(admin, ORDER, **{KEY: "doc-feed"})
    kept = create(admin, ORDER, **{KEY: "doc-feed-kept"})
    delete(admin, row)

    answer = feed(admin, "deleted")

    shown = answer.json()
    assert answer.status_code == 200
    assert shown.keys() == {"deletedRecords", "earliestDateAvailable", "latestDateCovered"}
    assert all(r.keys() == {"id", "deletedDate"} for r in shown["deletedRecords"])
    ids = [r["id"] for r in shown["deletedRecords"]]
    assert row in ids
    assert kept not in ids
    earliest = datetime.fromisoformat(shown["earliestDateAvailable"])
    covered = datetime.fromisoformat(shown["latestDateCovered"])
    assert earliest < covered <= datetime.now(UTC) + timedelta(minutes=6)


def test_1_11_the_feed_of_updated_rows_names_them(admin: Any) -> None:
    row = create(admin, ORDER, **{KEY: "doc-feed-updated"})

    shown = feed(admin, "updated").json()

    assert shown.keys() == {"ids", "latestDateCovered"}
    assert row in shown["ids"]


def test_1_11_a_key_of_a_deleted_row_makes_a_new_row(admin: Any) -> None:
    old = create(admin, ORDER, **{KEY: "doc-again"})
    delete(admin, old)

    (item,) = admin.upsert([{KEY: "doc-again"}]).json()

    assert item["created"] is True
    assert item["id"] != old
    assert sorted(in_all(admin, "doc-again")) == [False, True]


def test_1_11_undelete_brings_rows_back_from_the_bin(admin: Any) -> None:
    rows = [
        create(admin, ORDER, **{KEY: f"doc-undelete-{n}", "Currency__c": "EUR"}) for n in (1, 2)
    ]
    delete(admin, *rows)

    answer = soap(admin, "undelete", rows)

    assert successes(answer) == ["true", "true"]
    assert total(admin, ORDER, f"{KEY} LIKE 'doc-undelete-%'") == 2
    assert read(admin, ORDER, rows[0], "Currency__c") == ["EUR"]


def test_1_11_an_emptied_bin_gives_nothing_back(admin: Any) -> None:
    row = create(admin, ORDER, **{KEY: "doc-purge"})
    delete(admin, row)

    emptied = soap(admin, "emptyRecycleBin", [row])

    assert successes(emptied) == ["true"]
    assert successes(soap(admin, "undelete", [row])) == ["false"]
    assert total(admin, ORDER, f"{KEY} = 'doc-purge'") == 0


@pytest.mark.parametrize("operation", ["undelete", "emptyRecycleBin"])
def test_1_11_a_call_takes_200_ids(admin: Any, operation: str) -> None:
    items = admin.upsert([{KEY: f"doc-200-{operation}-{n}"} for n in range(200)]).json()
    rows = [item["id"] for item in items]
    other = create(admin, ORDER, **{KEY: f"doc-201-{operation}"})
    admin.call("DELETE", "composite/sobjects", params={"ids": ",".join(rows)})
    delete(admin, other)

    over = soap(admin, operation, [*rows, other])
    full = soap(admin, operation, rows)

    assert over.status_code == 500
    assert "exceptionCode" in over.text
    assert successes(full) == ["true"] * 200


def test_1_11_a_hard_delete_leaves_nothing_to_undelete(admin: Any) -> None:
    row = create(admin, ORDER, **{KEY: "doc-hard-gone"})

    job = run(admin, table(["Id"], [row]), "hardDelete")

    assert (job["state"], job["numberRecordsFailed"]) == ("JobComplete", 0)
    assert total(admin, ORDER, f"{KEY} = 'doc-hard-gone'") == 0
    assert successes(soap(admin, "undelete", [row])) == ["false"]


def test_1_11_a_job_deletes_softly(admin: Any) -> None:
    row = create(admin, ORDER, **{KEY: "doc-job-soft"})

    job = run(admin, table(["Id"], [row]), "delete")

    assert (job["state"], job["numberRecordsFailed"]) == ("JobComplete", 0)
    assert in_all(admin, "doc-job-soft") == [True]
    assert successes(soap(admin, "undelete", [row])) == ["true"]


@pytest.mark.parametrize("name", ["undelete", "emptyRecycleBin"])
def test_1_11_no_rest_resource_undeletes_or_purges(admin: Any, name: str) -> None:
    row = create(admin, CUSTOMER, **{KEY: f"doc-{name}"})

    answer = admin.http.post(
        f"{admin.org.url}{BASE}/sobjects/{CUSTOMER}/{row}/{name}", json={}, timeout=30
    )

    assert answer.status_code in {404, 405}
