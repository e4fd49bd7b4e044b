"""Pages and cursors: every row once, nobody else's, for two days, within bounds of memory."""

# ruff: noqa: S608 -- SOQL of our own making

from array import array
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.sandbox.errors import ApiError
from connectors.sandbox.soql import cursors
from connectors.sandbox.soql.cursors import LIFE_S, Cursors
from tests.support.soql_org import ADMIN, CLERK, SoqlOrg, soql_org

ROWS = 450


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoqlOrg]:
    with soql_org(tmp_path_factory.mktemp("soql")) as org:
        org.put("Account", {"Id": 1, "Name": "Acme"}, {"Id": 2, "Name": "Beta"})
        org.put(
            "Contact",
            *({"Id": n, "LastName": f"c{n:03d}", "AccountId": 1} for n in range(1, ROWS + 1)),
        )
        yield org


def pages(org: SoqlOrg, first: dict[str, Any]) -> list[dict[str, Any]]:
    found = [first]
    while not found[-1]["done"]:
        found.append(org.more(found[-1]["nextRecordsUrl"]))
    return found


def test_pages_hold_every_row_once_in_order(org: SoqlOrg) -> None:
    soql = "SELECT LastName, Account.Name FROM Contact ORDER BY LastName DESC"

    found = pages(org, org.ask(soql, batch=200))

    assert [len(page["records"]) for page in found] == [200, 200, 50]
    assert {page["totalSize"] for page in found} == {ROWS}
    names = [record["LastName"] for page in found for record in page["records"]]
    assert names == [f"c{n:03d}" for n in range(ROWS, 0, -1)]
    assert found[2]["records"][0]["Account"]["Name"] == "Acme"
    assert "nextRecordsUrl" not in found[2]


@pytest.mark.parametrize(("asked", "given"), [(1, 200), (200, 200), (300, 300), (9999, ROWS)])
def test_a_batch_has_200_to_2000_records(org: SoqlOrg, asked: int, given: int) -> None:
    assert len(org.ask("SELECT Id FROM Contact", batch=asked)["records"]) == given


def test_a_limit_counts_before_pages_are_made(org: SoqlOrg) -> None:
    exactly, beyond = (
        org.ask(f"SELECT Id FROM Contact LIMIT {n} OFFSET 10", batch=200) for n in (200, 201)
    )

    assert (exactly["totalSize"], exactly["done"]) == (200, True)
    assert (beyond["totalSize"], beyond["done"]) == (201, False)


def test_a_long_list_of_children_goes_on_behind_a_locator_of_its_own(org: SoqlOrg) -> None:
    soql = "SELECT (SELECT LastName FROM Contacts ORDER BY LastName DESC) FROM Account"

    answer = org.ask(soql, batch=200)
    children = answer["records"][0]["Contacts"]
    found = pages(org, children)

    assert (answer["done"], answer["records"][1]["Contacts"]) == (True, None)
    assert (children["totalSize"], children["done"]) == (ROWS, False)
    names = [record["LastName"] for page in found for record in page["records"]]
    assert names == [f"c{n:03d}" for n in range(ROWS, 0, -1)]


def test_rows_that_come_later_are_not_in_an_answer_begun_before(org: SoqlOrg) -> None:
    org.put("Note__c", *({"Id": n} for n in range(1, 301)))
    first = org.ask("SELECT Id FROM Note__c", batch=200)
    org.put("Note__c", {"Id": 301})
    org.store.purge("Note__c", 250)

    second = org.more(first["nextRecordsUrl"])

    assert (second["totalSize"], len(second["records"]), second["done"]) == (300, 99, True)


@pytest.mark.parametrize("locator", ["{}-x", "{}", "{}-", "-200", "01gRO0000000000AAA-200", "{}-²"])
def test_what_is_no_locator_is_refused(org: SoqlOrg, locator: str) -> None:
    url = org.ask("SELECT Id FROM Contact", batch=200)["nextRecordsUrl"]

    with pytest.raises(ApiError) as caught:
        org.more(locator.format(url.rpartition("-")[0]))

    assert caught.value.problems[0].code == "INVALID_QUERY_LOCATOR"


def test_another_users_locator_is_refused(org: SoqlOrg) -> None:
    url = org.ask("SELECT Id FROM Contact", batch=200)["nextRecordsUrl"]

    with pytest.raises(ApiError) as caught:
        org.more(url, CLERK)

    assert caught.value.problems[0].code == "INVALID_QUERY_LOCATOR"


def test_a_cursor_lives_for_two_days(org: SoqlOrg) -> None:
    now = [1000.0]
    compiled = org.engine.compile("SELECT Id FROM Contact", ADMIN, with_deleted=False)
    kept = Cursors(lambda: now[0])
    name = kept.keep(ADMIN, compiled, array("q", [1]), 200)

    now[0] += LIFE_S - 1
    _, cursor, start = kept.find(f"{name}-1", ADMIN)
    now[0] += 1

    assert (cursor.ids.tolist(), start) == ([1], 1)
    with pytest.raises(ApiError):
        kept.find(f"{name}-1", ADMIN)


@pytest.mark.parametrize(("limit", "value"), [("MAX_CURSORS", 3), ("MAX_ROWS", 30)])
def test_the_oldest_cursors_go_when_there_are_too_many(
    org: SoqlOrg, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(cursors, limit, value)
    compiled = org.engine.compile("SELECT Id FROM Contact", ADMIN, with_deleted=False)
    kept = Cursors()

    names = [kept.keep(ADMIN, compiled, array("q", range(10)), 200) for _ in range(4)]

    assert [kept.find(f"{name}-1", ADMIN)[0] for name in names[1:]] == names[1:]
    with pytest.raises(ApiError):
        kept.find(f"{names[0]}-1", ADMIN)


def test_the_newest_cursor_is_kept_however_long_it_is(
    org: SoqlOrg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cursors, "MAX_ROWS", 5)
    compiled = org.engine.compile("SELECT Id FROM Contact", ADMIN, with_deleted=False)
    kept = Cursors()

    name = kept.keep(ADMIN, compiled, array("q", range(10)), 200)

    assert kept.find(f"{name}-1", ADMIN)[0] == name
