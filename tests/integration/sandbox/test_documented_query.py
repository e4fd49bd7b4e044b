"""Section 1.6, queries: the answer's members, pages, names, times, counts and refusals."""

import re
from typing import Any

import pytest
from documented import ACCOUNT, BASE, CONTACT, CUSTOMER, KEY, ORDER, at, code, create, refusal

ROWS = 450
DATETIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000"


@pytest.fixture(scope="module")
def admin(module_org: Any) -> Any:
    """Open a session in an org with 450 orders."""
    client = module_org.login()
    keys = [f"doc-q-{n:03}" for n in range(ROWS)]
    for start in range(0, ROWS, 200):
        records = [{KEY: k, "Currency__c": "EUR"} for k in keys[start : start + 200]]
        assert all(i["success"] for i in client.upsert(records).json())
    return client


ALL = f"SELECT Id, {KEY} FROM {ORDER} WHERE {KEY} LIKE 'doc-q-%' ORDER BY {KEY}"  # noqa: S608


def ask(client: Any, soql: str, resource: str = "query", **headers: str) -> Any:
    return client.call("GET", resource, params={"q": soql}, headers=headers)


def size(number: int) -> dict[str, str]:
    return {"Sforce-Query-Options": f"batchSize={number}"}


@pytest.mark.parametrize("resource", ["query", "query/", "queryAll"])
def test_1_6_an_answer_has_the_documented_members(admin: Any, resource: str) -> None:
    answer = ask(admin, f"{ALL} LIMIT 2", resource)

    shown = answer.json()
    assert answer.status_code == 200
    assert shown.keys() == {"totalSize", "done", "records"}
    assert (shown["totalSize"], shown["done"]) == (2, True)
    for record in shown["records"]:
        assert list(record) == ["attributes", "Id", KEY]
        url = f"{BASE}/sobjects/{ORDER}/{record['Id']}"
        assert record["attributes"] == {"type": ORDER, "url": url}


def test_1_6_pages_follow_each_other_to_the_end(admin: Any) -> None:
    pages = [at(admin, "59.0", "GET", "query", params={"q": ALL}, headers=size(200)).json()]
    while not pages[-1]["done"]:
        url = f"{admin.org.url}{pages[-1]['nextRecordsUrl']}"
        pages.append(admin.http.get(url, timeout=30, headers=size(200)).json())

    assert {page["totalSize"] for page in pages} == {ROWS}
    assert len(pages) >= 3
    for page in pages[:-1]:
        assert re.fullmatch(r"/services/data/v59\.0/query/01g\w{12,15}-\d+", page["nextRecordsUrl"])
    assert "nextRecordsUrl" not in pages[-1]
    keys = [record[KEY] for page in pages for record in page["records"]]
    assert keys == [f"doc-q-{n:03}" for n in range(ROWS)]


@pytest.mark.parametrize(("asked", "most"), [(1, 200), (200, 200), (2000, 2000), (9999, 2000)])
def test_1_6_a_page_holds_200_to_2000_rows(admin: Any, asked: int, most: int) -> None:
    shown = ask(admin, ALL, **size(asked)).json()

    assert 0 < len(shown["records"]) <= min(most, ROWS)  # the server may return less
    if most == 200:
        assert not shown["done"]


def test_1_6_query_all_shows_deleted_rows(admin: Any) -> None:
    row = create(admin, CUSTOMER, **{KEY: "doc-q-gone"})
    admin.call("DELETE", f"sobjects/{CUSTOMER}/{row}")
    soql = f"SELECT Id, IsDeleted FROM {CUSTOMER} WHERE {KEY} = 'doc-q-gone'"  # noqa: S608

    live, every = (ask(admin, soql, r).json() for r in ("query", "queryAll"))

    assert live["totalSize"] == 0
    assert [(r["Id"], r["IsDeleted"]) for r in every["records"]] == [(row, True)]


def test_1_6_names_are_taken_in_any_case_and_answered_in_their_own(admin: Any) -> None:
    soql = f"select id, {KEY.lower()} from {ORDER.upper()} where {KEY.upper()} = 'doc-q-000'"  # noqa: S608

    (record,) = ask(admin, soql).json()["records"]

    assert list(record) == ["attributes", "Id", KEY]
    assert record["attributes"]["type"] == ORDER


def test_1_6_columns_tells_of_the_columns(admin: Any) -> None:
    soql = f"SELECT id, {KEY} FROM {ORDER} LIMIT 1"  # noqa: S608 -- SOQL of our own

    shown = admin.call("GET", "query", params={"q": soql, "columns": "true"}).json()

    assert shown.keys() >= {"columnMetadata", "entityName", "groupBy", "idSelected", "keyPrefix"}
    assert (shown["entityName"], shown["groupBy"], shown["idSelected"]) == (ORDER, False, True)
    first, second = shown["columnMetadata"]
    assert first.keys() >= {"columnName", "displayName", "aggregate", "joinColumns"}
    assert (first["columnName"], second["columnName"]) == ("Id", KEY)
    assert (second["displayName"], second["aggregate"]) == (KEY, False)
    assert second["joinColumns"] == []
    row = create(admin, ORDER, **{KEY: "doc-prefix"})
    assert shown["keyPrefix"] == row[:3]


def test_1_6_times_are_told_in_milliseconds_of_utc(admin: Any) -> None:
    create(admin, ORDER, **{KEY: "doc-time", "Placed_At__c": "2013-05-07T23:07:19+01:00"})
    soql = f"SELECT Placed_At__c, CreatedDate FROM {ORDER} WHERE {KEY} = 'doc-time'"  # noqa: S608

    (record,) = ask(admin, soql).json()["records"]

    assert record["Placed_At__c"] == "2013-05-07T22:07:19.000+0000"
    assert re.fullmatch(DATETIME, record["CreatedDate"])


def test_1_6_a_count_is_the_total_size_without_records(admin: Any) -> None:
    soql = f"SELECT COUNT() FROM {ORDER} WHERE {KEY} LIKE 'doc-q-%'"  # noqa: S608 -- our own

    assert ask(admin, soql).json() == {"totalSize": ROWS, "done": True, "records": []}


def test_1_6_a_parent_and_its_children_are_reached_by_relationship(admin: Any) -> None:
    account = create(admin, ACCOUNT, Name="Doc-relation")
    contact = create(admin, CONTACT, LastName="Doc-relation", AccountId=account)

    (up,) = ask(
        admin, "SELECT Id, Account.Name FROM Contact WHERE LastName = 'Doc-relation'"
    ).json()["records"]
    (down,) = ask(
        admin,
        "SELECT Name, (SELECT LastName FROM Contacts) FROM Account WHERE Name = 'Doc-relation'",
    ).json()["records"]

    assert up["Account"]["Name"] == "Doc-relation"
    assert up["Account"]["attributes"]["type"] == ACCOUNT
    assert up["Id"] == contact
    assert (down["Contacts"]["totalSize"], down["Contacts"]["done"]) == (1, True)
    assert down["Contacts"]["records"][0]["LastName"] == "Doc-relation"


REFUSED: dict[str, tuple[str, str, str]] = {
    "1.6 no SOQL": ("SELECT FROM", "MALFORMED_QUERY", ".+"),
    "1.6 an unknown field": (
        f"SELECT Shoe_Size__c FROM {ORDER}",  # noqa: S608 -- SOQL of our own
        "INVALID_FIELD",
        r".*No such column 'Shoe_Size__c' on .*" + ORDER + ".*",
    ),
    "1.6 an unknown object": (
        "SELECT Id FROM Nothing__c",
        "INVALID_TYPE",
        r".*sObject type 'Nothing__c' is not supported\..*",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_query_has_the_documented_code(admin: Any, case: str) -> None:
    soql, error_code, text = REFUSED[case]

    status, shown, message = refusal(ask(admin, soql))

    assert (status, shown) == (400, error_code)
    assert re.fullmatch(text, message, re.DOTALL)


def test_1_6_a_cursor_that_is_none_is_an_invalid_locator(admin: Any) -> None:
    answer = admin.call("GET", "query/01g000000000000AAA-2000")

    assert code(answer) == (400, "INVALID_QUERY_LOCATOR")


@pytest.mark.parametrize(("length", "status"), [(100_000, 200), (100_001, 400)])
def test_1_6_soql_holds_100000_characters(admin: Any, length: int, status: int) -> None:
    """A job takes it in its body; a URL of that length is refused before."""
    start = f"SELECT Id FROM {ORDER} WHERE {KEY} IN ("  # noqa: S608 -- SOQL of our own
    words = "".join(f"'{'x' * 97}'," for _ in range((length - len(start) - 3) // 100))
    left = length - len(start) - len(words) - 3
    soql = f"{start}{words}'{'y' * left}')"

    answer = admin.call("POST", "jobs/query", json={"operation": "query", "query": soql})

    assert len(soql) == length
    assert answer.status_code == status
