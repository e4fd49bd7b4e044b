"""Reading back: SOQL, paging, describe and single rows, with simple-salesforce as the client."""

# ruff: noqa: S608 -- SOQL of our own making, for our own test org

from typing import Any

import pytest
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceResourceNotFound

from connectors.embedded.pki import ensure_app, write_apps

KEY = "External_Id__c"
CASE, CUSTOMER, ORDER = "Commerce_Case__c", "Commerce_Customer__c", "Commerce_Order__c"


@pytest.fixture(scope="module")
def org(module_org: Any) -> Any:
    """Take an org of the module's own: it counts all cases there are."""
    return module_org


@pytest.fixture(scope="module")
def admin(org: Any) -> Any:
    return org.login()


@pytest.fixture(scope="module")
def sf(admin: Any) -> Salesforce:
    return admin.simple()


@pytest.fixture(scope="module")
def cases(sf: Salesforce) -> list[str]:
    """5,000 cases; the external ids in the order of creation."""
    keys = [f"case-{n:05d}" for n in range(5000)]
    for at in range(0, len(keys), 200):
        records = [
            {
                "attributes": {"type": CASE},
                KEY: key,
                "Kind__c": "review" if int(key[-1]) % 2 else "support",
                "Rating__c": int(key[-1]) % 5 + 1,
            }
            for key in keys[at : at + 200]
        ]
        answer = sf.restful(
            f"composite/sobjects/{CASE}/{KEY}", method="PATCH", json={"records": records}
        )
        assert all(item["success"] for item in answer)
    return keys


def test_query_all_pages_through_every_row_once(sf: Salesforce, cases: list[str]) -> None:
    answer = sf.query_all(f"SELECT {KEY} FROM {CASE} ORDER BY {KEY}")

    assert answer["totalSize"] == 5000
    assert [r[KEY] for r in answer["records"]] == cases


def test_pages_have_2000_rows_or_what_the_header_says(
    admin: Any, sf: Salesforce, cases: list[str]
) -> None:
    soql = {"q": f"SELECT Id FROM {CASE}"}

    default = sf.query(soql["q"])
    small = admin.call(
        "GET", "query", params=soql, headers={"Sforce-Query-Options": "batchSize=200"}
    ).json()

    assert (len(default["records"]), default["done"]) == (2000, False)
    assert default["nextRecordsUrl"].endswith("-2000")
    assert len(small["records"]) == 200
    assert small["totalSize"] == len(cases)


def test_a_cursor_is_its_users_own(org: Any, admin: Any, cases: list[str]) -> None:
    assert cases
    apps = [ensure_app(org.home, region) for region in ("eu", "uk")]
    write_apps(org.home, apps)
    page = admin.call("GET", "query", params={"q": f"SELECT Id FROM {CASE}"}).json()
    path = page["nextRecordsUrl"].partition("/v62.0/")[2]

    own, other = admin.call("GET", path), org.login(apps[0].username).call("GET", path)

    assert len(own.json()["records"]) == 2000
    assert other.json() == [
        {"message": "invalid query locator", "errorCode": "INVALID_QUERY_LOCATOR"}
    ]


def test_count_and_group(sf: Salesforce, cases: list[str]) -> None:
    total = sf.query(f"SELECT COUNT() FROM {CASE} WHERE {KEY} LIKE 'case-%'")
    groups = sf.query(
        f"SELECT Kind__c, COUNT(Id) n, MAX(Rating__c) FROM {CASE} GROUP BY Kind__c ORDER BY Kind__c"
    )

    assert (total["totalSize"], total["records"]) == (len(cases), [])
    assert [(r["Kind__c"], r["n"], r["expr0"]) for r in groups["records"]] == [
        ("review", 2500, 5.0),
        ("support", 2500, 5.0),
    ]


@pytest.mark.parametrize(
    ("soql", "code", "text"),
    [
        (f"SELECT Nope__c FROM {ORDER}", "INVALID_FIELD", "No such column 'Nope__c' on entity"),
        ("SELECT Id FROM Lead", "INVALID_TYPE", "sObject type 'Lead' is not supported."),
        (f"SELECT FROM {ORDER}", "MALFORMED_QUERY", "unexpected token: 'FROM'"),
        (f"SELECT Id FROM {ORDER} WHERE", "MALFORMED_QUERY", "unexpected token: '<EOF>'"),
        (f"SELECT Id FROM {ORDER} LIMIT x", "MALFORMED_QUERY", "unexpected token: 'x'"),
        (
            f"SELECT Id FROM {ORDER} WHERE Total__c = 'x'",
            "INVALID_FIELD",
            "must be of type currency",
        ),
        (f"SELECT Nope.Name FROM {ORDER}", "INVALID_FIELD", "Didn't understand relationship"),
        (f"SELECT Id, Id FROM {ORDER}", "INVALID_FIELD", "duplicate field selected: Id"),
    ],
)
def test_a_bad_query_names_what_is_wrong(sf: Salesforce, soql: str, code: str, text: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as caught:
        sf.query(soql)

    assert caught.value.content[0]["errorCode"] == code
    assert text in caught.value.content[0]["message"]


def test_describe_tells_a_client_what_it_may_send(sf: Salesforce) -> None:
    fields = {f["name"]: f for f in sf.Commerce_Order__c.describe()["fields"]}

    key, status, total = fields[KEY], fields["Status__c"], fields["Total__c"]
    assert (key["externalId"], key["unique"], key["caseSensitive"]) == (True, True, True)
    assert (key["type"], key["length"], key["nillable"]) == ("string", 128, False)
    assert [v["value"] for v in status["picklistValues"]] == [
        "cancelled", "changed", "placed", "refunded",
    ]  # fmt: skip
    assert status["restrictedPicklist"]
    assert (total["type"], total["precision"], total["scale"]) == ("currency", 18, 2)
    assert [fields[n]["createable"] for n in ("Id", "Name", KEY)] == [False, True, True]
    required = {
        f["name"]
        for f in fields.values()
        if not f["nillable"] and not f["defaultedOnCreate"] and f["createable"]
    }
    assert required == {KEY}


def test_the_deployed_objects_are_listed_beside_the_standard_ones(sf: Salesforce) -> None:
    listed = sf.describe()

    names = [o["name"] for o in listed["sobjects"]]
    assert names == ["Account", CASE, CUSTOMER, ORDER, "Contact", "Organization", "Profile", "User"]
    assert listed["maxBatchSize"] == 200


def test_one_row_lives_through_create_read_update_and_delete(admin: Any, sf: Salesforce) -> None:
    made = sf.Commerce_Customer__c.create({KEY: "row-1", "Language__c": "de"})
    row_id = made["id"]
    sf.Commerce_Customer__c.update(row_id, {"Language__c": "fr"})

    row = sf.Commerce_Customer__c.get(row_id)
    by_key = sf.Commerce_Customer__c.get_by_custom_id(KEY, "row-1")
    sf.Commerce_Customer__c.delete(row_id)

    gone = admin.call("GET", f"sobjects/{CUSTOMER}/{row_id}")
    live = sf.query(f"SELECT Id FROM {CUSTOMER} WHERE {KEY} = 'row-1'")
    with_deleted = sf.query(
        f"SELECT Id, IsDeleted FROM {CUSTOMER} WHERE {KEY} = 'row-1'", include_deleted=True
    )
    assert made == {"id": row_id, "success": True, "errors": []}
    assert (row["Language__c"], by_key["Id"]) == ("fr", row_id)
    assert (gone.status_code, gone.json()[0]["errorCode"]) == (404, "ENTITY_IS_DELETED")
    assert live["totalSize"] == 0
    assert with_deleted["records"][0]["IsDeleted"] is True


def test_a_deleted_rows_key_makes_a_new_row(admin: Any) -> None:
    first = admin.upsert([{KEY: "again"}]).json()[0]["id"]
    assert admin.call("DELETE", f"sobjects/{ORDER}/{KEY}/again").status_code == 204

    second = admin.upsert([{KEY: "again"}]).json()[0]

    assert second["created"] is True
    assert second["id"] != first


def test_upsert_of_one_row_answers_by_version(admin: Any, org: Any) -> None:
    path = f"sobjects/{ORDER}/{KEY}/single-1"
    created = admin.call("PATCH", path, json={"Currency__c": "EUR"})
    updated = admin.call("PATCH", path, json={"Currency__c": "GBP"})
    old = admin.http.patch(f"{org.url}/services/data/v45.0/{path}", json={}, timeout=30)
    key_inside = admin.call("PATCH", path, json={KEY: "single-1"})

    row_id = created.json()["id"]
    assert (created.status_code, created.json()["created"]) == (201, True)
    assert created.headers["Location"].endswith(f"/sobjects/{ORDER}/{row_id}")
    assert (updated.status_code, updated.json()["created"]) == (200, False)
    assert (old.status_code, old.content) == (204, b"")
    assert (key_inside.status_code, key_inside.json()[0]["errorCode"]) == (400, "INVALID_FIELD")


def test_a_create_without_its_key_or_with_a_taken_one_is_refused(admin: Any) -> None:
    taken = admin.upsert([{KEY: "taken"}]).json()[0]["id"]

    missing = admin.call("POST", f"sobjects/{ORDER}", json={"Currency__c": "EUR"})
    twice = admin.call("POST", f"sobjects/{ORDER}", json={KEY: "taken"})
    emptied = admin.call("PATCH", f"sobjects/{ORDER}/{taken}", json={KEY: None})

    refused = {
        "message": f"Required fields are missing: [{KEY}]",
        "errorCode": "REQUIRED_FIELD_MISSING",
        "fields": [KEY],
    }
    text = f"duplicate value found: {KEY} duplicates value on record with id: {taken}"
    assert (missing.status_code, missing.json()) == (400, [refused])
    assert emptied.json() == [refused]
    assert twice.json() == [{"message": text, "errorCode": "DUPLICATE_VALUE", "fields": [KEY]}]


@pytest.mark.parametrize("row", ["a02RO0000000zzzzzz", "nonsense", "001RO000000000AYAU"])
def test_an_unknown_row_is_not_found(sf: Salesforce, row: str) -> None:
    with pytest.raises(SalesforceResourceNotFound):
        sf.Commerce_Order__c.get(row)


@pytest.mark.parametrize(("version", "status"), [("30.0", 410), ("68.0", 404), ("31.0", 200)])
def test_only_living_api_versions_answer(admin: Any, org: Any, version: str, status: int) -> None:
    answer = admin.http.get(f"{org.url}/services/data/v{version}/sobjects", timeout=30)

    assert answer.status_code == status
