"""Single rows over HTTP: create, read, change, delete, by id and by external id."""

# ruff: noqa: S608 -- SQL of our own making, for our own test org

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from connectors.embedded.pki import ensure_app

ORDER, KEY = "Commerce_Order__c", "External_Id__c"
NOT_FOUND = [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}]
AT = "/services/data/v{}/sobjects/Commerce_Order__c/{}"


def create(client: Any, **fields: Any) -> str:
    answer = client.call("POST", f"sobjects/{ORDER}", json=fields)
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["id"]
    return made


def by_version(client: Any, version: str, method: str, path: str, **options: Any) -> Any:
    url = f"{client.org.url}/services/data/v{version}/sobjects/{ORDER}/{path}"
    return client.http.request(method, url, timeout=30, **options)


def test_a_created_row_is_answered_with_its_id_its_place_and_no_more(admin: Any) -> None:
    answer = admin.call("POST", f"sobjects/{ORDER}", json={KEY: "row-made"})

    made = answer.json()["id"]
    assert (answer.status_code, len(made)) == (201, 18)
    assert answer.json() == {"id": made, "success": True, "errors": []}
    assert answer.headers["Location"] == AT.format("62.0", made)


def test_a_row_is_read_with_the_fields_asked_for_under_their_canonical_names(admin: Any) -> None:
    made = create(admin, **{KEY: "row-read", "Currency__c": "EUR"})

    answer = admin.call("GET", f"sobjects/commerce_order__C/{made}?fields=currency__C,isdeleted")

    assert answer.json() == {
        "attributes": {"type": ORDER, "url": AT.format("62.0", made)},
        "Currency__c": "EUR",
        "IsDeleted": False,
        "Id": made,
    }


def test_changing_and_deleting_a_row_answer_nothing_but_204(admin: Any) -> None:
    made = create(admin, **{KEY: "row-204"})
    path = f"sobjects/{ORDER}/{made}"

    answers = [admin.call("PATCH", path, json={"Currency__c": "GBP"}), admin.call("DELETE", path)]

    assert [(a.status_code, a.content) for a in answers] == [(204, b""), (204, b"")]
    gone = admin.call("GET", path)
    assert gone.status_code == 404
    assert gone.json() == [
        {"message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED", "fields": []}
    ]


def test_head_answers_as_get_without_a_body(admin: Any) -> None:
    path = f"sobjects/{ORDER}/{create(admin, **{KEY: 'row-head'})}"
    plain = {"Accept-Encoding": "identity"}

    head, get = admin.call("HEAD", path, headers=plain), admin.call("GET", path, headers=plain)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(get.content))
    assert head.headers["Last-Modified"] == get.headers["Last-Modified"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_id_that_no_row_has_is_404(admin: Any, method: str) -> None:
    made = create(admin, **{KEY: f"row-other-{method}"})
    body: dict[str, Any] = {"json": {}} if method == "PATCH" else {}

    answers = [
        admin.call(method, f"sobjects/{ORDER}/{text}", **body)
        for text in (made[:6] + "zzzzzzzzz", "001RM000003oLrB")
    ]

    assert [(a.status_code, a.json()) for a in answers] == [(404, NOT_FOUND)] * 2


def test_a_word_that_is_no_id_is_taken_for_a_field_without_a_value(admin: Any) -> None:
    answer = admin.call("GET", f"sobjects/{ORDER}/undefined")

    text = "Provided external ID field does not exist or is not accessible: undefined"
    assert answer.status_code == 404
    assert answer.json() == [{"message": text, "errorCode": "NOT_FOUND"}]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_a_field_that_is_no_external_id_is_404(admin: Any, method: str) -> None:
    body: dict[str, Any] = {"json": {}} if method == "PATCH" else {}

    answer = admin.call(method, f"sobjects/{ORDER}/Currency__c/EUR", **body)

    text = "Provided external ID field does not exist or is not accessible: Currency__c"
    assert answer.status_code == 404
    assert answer.json() == [{"message": text, "errorCode": "NOT_FOUND"}]


@pytest.mark.parametrize(
    ("version", "created", "updated"),
    [
        ("45.0", (201, {"success", "errors", "id"}), (204, set())),
        ("46.0", (201, {"success", "errors", "id", "created"}),
         (200, {"success", "errors", "id", "created"})),
    ],
)  # fmt: skip
def test_an_upsert_tells_whether_it_created_the_row_since_version_46(
    admin: Any, version: str, created: tuple[int, set[str]], updated: tuple[int, set[str]]
) -> None:
    path = f"{KEY}/upsert-{version}"

    answers = [by_version(admin, version, "PATCH", path, json={}) for _ in range(2)]

    members = [set(a.json()) if a.content else set() for a in answers]
    assert [(a.status_code, m) for a, m in zip(answers, members, strict=True)] == [
        created,
        updated,
    ]
    assert answers[0].headers["Location"] == AT.format(version, answers[0].json()["id"])
    assert "Location" not in answers[1].headers
    if answers[1].content:
        assert [a.json()["created"] for a in answers] == [True, False]


def test_with_update_only_an_upsert_creates_nothing(admin: Any) -> None:
    path = f"{KEY}/only"

    refused = admin.call("PATCH", f"sobjects/{ORDER}/{path}?updateOnly=true", json={})
    ignored = by_version(admin, "61.0", "PATCH", f"{path}?updateOnly=true", json={})
    updated = admin.call("PATCH", f"sobjects/{ORDER}/{path}?updateOnly=true", json={})

    assert (refused.status_code, refused.json()) == (404, NOT_FOUND)
    assert ignored.status_code == 201
    assert (updated.status_code, updated.json()["created"]) == (200, False)


@pytest.mark.parametrize("name", ["Id", "id", KEY, KEY.lower()])
def test_the_key_or_an_id_in_the_body_of_an_upsert_is_refused(admin: Any, name: str) -> None:
    answer = admin.call("PATCH", f"sobjects/{ORDER}/{KEY}/in-body", json={name: "in-body"})

    canonical = "Id" if name.lower() == "id" else KEY
    text = f"The {canonical} field should not be specified in the sobject data."
    assert answer.status_code == 400
    assert answer.json() == [{"message": text, "errorCode": "INVALID_FIELD"}]
    assert admin.call("GET", f"sobjects/{ORDER}/{KEY}/in-body").status_code == 404


def test_an_id_in_the_body_of_an_update_or_insert_is_refused(admin: Any) -> None:
    made = create(admin, **{KEY: "id-in-body"})

    answers = [
        admin.call("PATCH", f"sobjects/{ORDER}/{made}", json={"Id": made}),
        admin.call("POST", f"sobjects/{ORDER}/Id", json={"Id": made}),
        admin.call("POST", f"sobjects/{ORDER}", json={"Id": made}),
    ]

    text = "The Id field should not be specified in the sobject data."
    in_path = [{"message": text, "errorCode": "INVALID_FIELD"}]
    assert [(a.status_code, a.json()) for a in answers[:2]] == [(400, in_path)] * 2
    code = "INVALID_FIELD_FOR_INSERT_UPDATE"
    text = "cannot specify Id in an insert call"
    assert answers[2].json() == [{"message": text, "errorCode": code, "fields": ["Id"]}]


def test_a_post_to_id_inserts_since_version_37(admin: Any) -> None:
    answers = [
        by_version(admin, version, "POST", "Id", json={KEY: f"post-id-{version}"})
        for version in ("36.0", "37.0", "62.0")
    ]

    assert [a.status_code for a in answers] == [405, 201, 201]
    assert [set(a.json()) for a in answers[1:]] == [
        {"id", "success", "errors"},
        {"id", "success", "errors", "created"},
    ]


def test_an_id_can_be_used_as_the_external_id(admin: Any) -> None:
    made = create(admin, **{KEY: "as-key"})
    path = f"sobjects/{ORDER}/id/{made}"

    changed = admin.call("PATCH", path, json={"Currency__c": "JPY"})
    read = admin.call("GET", path)
    unknown = admin.call("PATCH", path[:-9] + "zzzzzz", json={})

    assert (changed.status_code, changed.json()["created"]) == (200, False)
    assert read.json()["Currency__c"] == "JPY"
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    "value", ["a/b", "50%", "a b+c", "ä?#&=;", "a@b.inc", "..%2F..", "'\";--", "x" * 128]
)
def test_any_value_can_be_a_key_in_a_path_if_it_is_encoded(admin: Any, value: str) -> None:
    path = f"sobjects/{ORDER}/{KEY}/{quote(value, safe='')}"

    made = admin.call("PATCH", path, json={})
    read = admin.call("GET", path)

    assert made.status_code == 201
    assert (read.json()[KEY], read.json()["Id"]) == (value, made.json()["id"])
    assert admin.call("DELETE", path).status_code == 204
    assert admin.call("GET", path).status_code == 404


def test_a_key_that_no_row_can_hold_is_404_and_an_upsert_says_why(admin: Any) -> None:
    path = f"sobjects/{ORDER}/{KEY}/{'k' * 129}"

    read, deleted = (admin.call(method, path) for method in ("GET", "DELETE"))
    upserted = admin.call("PATCH", path, json={})

    assert (read.status_code, read.json()) == (404, NOT_FOUND)
    assert (deleted.status_code, deleted.json()) == (404, NOT_FOUND)
    assert upserted.status_code == 400
    assert upserted.json()[0]["errorCode"] == "STRING_TOO_LONG"


def test_a_key_that_several_rows_hold_is_300_with_their_places(start_org: Any) -> None:
    org = start_org("--plain")
    client = org.login()
    made = [create(client, **{KEY: f"twin-{i}"}) for i in range(2)]
    as_not_unique(org.home / "sandbox/org.sqlite")
    path = f"sobjects/{ORDER}/{KEY}/twin"

    answers = [
        client.call("GET", path),
        client.call("PATCH", path, json={"Currency__c": "EUR"}),
        client.call("DELETE", path),
    ]

    places = [AT.format("62.0", text) for text in made]
    assert [(a.status_code, a.json()) for a in answers] == [(300, places)] * 3
    rows = client.query(f"SELECT Currency__c FROM {ORDER}")["records"]
    assert [row["Currency__c"] for row in rows] == [None, None]


def as_not_unique(file: Path) -> None:
    """Give all rows one key, as an external id that is not unique allows."""
    db = sqlite3.connect(file)
    with db:
        db.execute(f'DROP INDEX "{ORDER}.{KEY}"')
        db.execute(f"UPDATE {ORDER} SET {KEY} = 'twin'")
    db.close()


def test_a_post_can_stand_for_a_patch(admin: Any) -> None:
    made = create(admin, **{KEY: "override"})

    by_id = admin.call(
        "POST", f"sobjects/{ORDER}/{made}?_HttpMethod=PATCH", json={"Currency__c": "SEK"}
    )
    by_key = admin.call("POST", f"sobjects/{ORDER}/{KEY}/a%2Fb?_HttpMethod=PATCH", json={})
    many = admin.call(
        "POST",
        "composite/sobjects?_HttpMethod=patch",
        json={"records": [{"attributes": {"type": ORDER}, "id": made, "Currency__c": "NOK"}]},
    )

    assert (by_id.status_code, by_key.status_code, many.status_code) == (204, 201, 200)
    assert many.json() == [{"id": made, "success": True, "errors": []}]
    found = admin.query(f"SELECT Currency__c FROM {ORDER} WHERE {KEY} = 'override'")
    assert found["records"][0]["Currency__c"] == "NOK"
    assert admin.call("GET", f"sobjects/{ORDER}/{KEY}/a%2Fb").status_code == 200


def test_a_row_of_somebody_else_is_not_there(running: Any) -> None:
    hers = running.client(running.by_assertion(app_of(running)))
    made = create(running.login(), **{KEY: "not-yours"})

    answers = [
        hers.call("GET", f"sobjects/{ORDER}/{made}"),
        hers.call("GET", f"sobjects/{ORDER}/{KEY}/not-yours"),
        hers.call("DELETE", f"sobjects/{ORDER}/{made}"),
    ]

    assert [(a.status_code, a.json()) for a in answers] == [(404, NOT_FOUND)] * 3


def app_of(running: Any) -> Any:
    return ensure_app(running.home, "eu")


def test_an_object_shows_its_flags_and_nothing_recent(admin: Any) -> None:
    shown = admin.call("GET", f"sobjects/{ORDER}").json()

    listed = admin.call("GET", "sobjects").json()["sobjects"]
    assert shown == {
        "objectDescribe": next(o for o in listed if o["name"] == ORDER),
        "recentItems": [],
    }
    assert admin.call("GET", "recent").json() == []
