"""Section 1.3, rows of an object: each call's status, body and headers."""

import re
from typing import Any

import pytest
from documented import (
    ACCOUNT,
    BASE,
    CHILD,
    CONTACT,
    CUSTOMER,
    KEY,
    ORDER,
    PARENT,
    at,
    code,
    create,
    custom_object,
    deploy,
    deploy_family,
    entity,
    key_field,
    made,
    read,
    refusal,
    total,
)


@pytest.fixture(scope="module")
def family(module_org: Any) -> Any:
    """Open a session in an org with a parent and a child that were deployed while it runs."""
    client = module_org.login()
    deploy_family(client)
    return client


def upsert(client: Any, version: str, value: str, *, query: str = "", **fields: object) -> Any:
    path = f"sobjects/{ORDER}/{KEY}/{value}{query}"
    return at(client, version, "PATCH", path, json=fields or {"Currency__c": "EUR"})


@pytest.mark.parametrize("sobject", [ACCOUNT, ORDER])
def test_1_3_create_is_201_with_a_location_and_no_created_member(admin: Any, sobject: str) -> None:
    body = {"Name": "Doc"} if sobject == ACCOUNT else {KEY: "doc-create"}

    answer = admin.call("POST", f"sobjects/{sobject}", json=body)

    assert answer.status_code == 201
    shown = answer.json()
    assert shown == {"id": shown["id"], "success": True, "errors": []}
    assert re.fullmatch("[0-9A-Za-z]{18}", shown["id"])
    assert answer.headers["Location"].endswith(f"{BASE}/sobjects/{sobject}/{shown['id']}")


def test_1_3_account_and_contact_ids_have_their_prefixes(admin: Any) -> None:
    account = create(admin, ACCOUNT, Name="Doc")
    contact = create(admin, CONTACT, LastName="Doc", AccountId=account)

    assert (account[:3], contact[:3]) == ("001", "003")
    assert read(admin, CONTACT, contact, "AccountId") == [account]


def test_1_3_read_answers_the_attributes_and_the_fields_asked_for(admin: Any) -> None:
    row = create(admin, ORDER, **{KEY: "doc-read", "Currency__c": "EUR"})

    shown = at(admin, "59.0", "GET", f"sobjects/{ORDER}/{row}?fields={KEY},Currency__c").json()

    assert shown.pop("Id", row) == row
    assert shown == {
        "attributes": {"type": ORDER, "url": f"/services/data/v59.0/sobjects/{ORDER}/{row}"},
        KEY: "doc-read",
        "Currency__c": "EUR",
    }


def test_1_3_update_and_delete_are_204_without_a_body(admin: Any) -> None:
    row = create(admin, ORDER, **{KEY: "doc-204"})

    update = admin.call("PATCH", f"sobjects/{ORDER}/{row}", json={"Currency__c": "GBP"})
    changed = read(admin, ORDER, row, "Currency__c")
    delete = admin.call("DELETE", f"sobjects/{ORDER}/{row}")

    assert (update.status_code, update.content) == (204, b"")
    assert changed == ["GBP"]
    assert (delete.status_code, delete.content) == (204, b"")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_1_3_an_unknown_id_is_404(admin: Any, method: str) -> None:
    row = create(admin, CUSTOMER, **{KEY: f"doc-known-{method}"})
    unknown = row[:6] + "zzzzzzzzz"

    answer = admin.call(
        method, f"sobjects/{CUSTOMER}/{unknown}", json={} if method == "PATCH" else None
    )

    assert answer.status_code == 404


UPSERTS = {
    "1.3 upsert, v46+": ("46.0", 200, False),
    "1.3 upsert, v62": ("62.0", 200, False),
    "1.3 upsert, v45 and before": ("45.0", 204, None),
}


@pytest.mark.parametrize("case", UPSERTS)
def test_an_upsert_says_what_it_did_as_its_version_does(admin: Any, case: str) -> None:
    version, updated_status, updated_flag = UPSERTS[case]
    key = f"doc-upsert-{version}"

    created, updated = (upsert(admin, version, key) for _ in range(2))

    row = made(created)
    body = {"id": row, "success": True, "errors": []}
    if updated_flag is None:
        assert created.json() == body
        assert (updated.status_code, updated.content) == (updated_status, b"")
    else:
        assert created.json() == {**body, "created": True}
        assert (updated.status_code, updated.json()) == (200, {**body, "created": False})
    assert total(admin, ORDER, f"{KEY} = '{key}'") == 1


def test_1_3_upsert_with_update_only_creates_nothing(admin: Any) -> None:
    missing = upsert(admin, "62.0", "doc-only", query="?updateOnly=true")
    none = total(admin, ORDER, f"{KEY} = 'doc-only'")
    create(admin, ORDER, **{KEY: "doc-only"})

    there = upsert(admin, "62.0", "doc-only", query="?updateOnly=true", Currency__c="GBP")

    assert missing.status_code == 404
    assert none == 0
    assert (there.status_code, there.json()["created"]) == (200, False)


@pytest.mark.parametrize("member", [KEY, "Id"])
def test_1_3_upsert_refuses_the_key_or_the_id_in_the_body(admin: Any, member: str) -> None:
    row = create(admin, ORDER, **{KEY: f"doc-body-{member}"})
    value = row if member == "Id" else f"doc-body-{member}"

    answer = upsert(admin, "62.0", f"doc-body-{member}", **{member: value})

    assert answer.status_code == 400


def test_1_3_a_post_to_id_inserts(admin: Any) -> None:
    answer = admin.call("POST", f"sobjects/{ORDER}/Id", json={KEY: "doc-post-id"})

    assert total(admin, ORDER, f"Id = '{made(answer)}'") == 1


def test_6_a_row_is_deleted_by_external_id_and_404_the_second_time(admin: Any) -> None:
    create(admin, ORDER, **{KEY: "doc-delete-key"})

    first, second = (
        admin.call("DELETE", f"sobjects/{ORDER}/{KEY}/doc-delete-key") for _ in range(2)
    )

    assert first.status_code == 204
    assert code(second) == (404, "NOT_FOUND")


def test_1_3_several_matches_are_300_with_their_urls_and_nothing_is_written(family: Any) -> None:
    rows = [create(family, CHILD, Tag__c="doc-several", Name="before") for _ in range(2)]

    answer = at(
        family, "59.0", "PATCH", f"sobjects/{CHILD}/Tag__c/doc-several", json={"Name": "after"}
    )

    base = f"/services/data/v59.0/sobjects/{CHILD}"
    assert answer.status_code == 300
    assert sorted(answer.json()) == sorted(f"{base}/{row}" for row in rows)
    assert total(family, CHILD, "Tag__c = 'doc-several' AND Name = 'before'") == 2


def test_1_3_a_parent_is_named_by_its_external_id(family: Any) -> None:
    parent = create(family, PARENT, Code__c="doc-parent", Name="p")

    child = create(family, CHILD, Tag__c="doc-child", Parent__r={"Code__c": "doc-parent"})

    assert read(family, CHILD, child, "Parent__c") == [parent]


def test_1_3_a_parent_that_is_not_there_is_an_invalid_field(family: Any) -> None:
    answer = family.call(
        "POST", f"sobjects/{CHILD}", json={"Tag__c": "t", "Parent__r": {"Code__c": "0116"}}
    )

    text = f"Foreign key external ID: 0116 not found for field Code__c in entity {PARENT}"
    assert refusal(answer) == (400, "INVALID_FIELD", text)


def test_1_3_a_standard_parent_is_named_by_its_external_id(family: Any) -> None:
    deploy(
        family,
        {"objects/Account.object": entity(key_field("Doc_Ext__c", "true"))},
        {"CustomField": ["Account.Doc_Ext__c"]},
    )
    account = create(family, ACCOUNT, Name="Doc", Doc_Ext__c="x")

    contact = create(family, CONTACT, LastName="Doc", Account={"Doc_Ext__c": "x"})

    assert read(family, CONTACT, contact, "AccountId") == [account]


def test_1_3_a_detail_keeps_its_master(family: Any) -> None:
    master = (
        "<fields><fullName>Master__c</fullName><label>Master</label><type>MasterDetail</type>"
        f"<referenceTo>{PARENT}</referenceTo><relationshipName>Details</relationshipName>"
        "<reparentableMasterDetail>false</reparentableMasterDetail></fields>"
    )
    detail = custom_object("Doc Detail", master).replace("ReadWrite", "ControlledByParent")
    deploy(family, {"objects/Doc_Detail__c.object": detail}, {"CustomObject": ["Doc_Detail__c"]})
    first, second = (create(family, PARENT, Code__c=f"doc-master-{n}") for n in range(2))
    row = create(family, "Doc_Detail__c", Master__c=first)

    answer = family.call("PATCH", f"sobjects/Doc_Detail__c/{row}", json={"Master__c": second})

    assert code(answer) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")
    assert read(family, "Doc_Detail__c", row, "Master__c") == [first]


def test_1_3_unique_text_is_matched_whatever_its_case(family: Any) -> None:
    first = create(family, PARENT, Code__c="Doc-Case")

    twice = family.call("POST", f"sobjects/{PARENT}", json={"Code__c": "DOC-CASE"})
    upserted = family.call("PATCH", f"sobjects/{PARENT}/Code__c/doc-case", json={"Name": "n"})

    assert code(twice) == (400, "DUPLICATE_VALUE")
    assert (upserted.status_code, upserted.json()["id"]) == (200, first)


def test_1_3_unique_text_that_is_case_sensitive_is_not(admin: Any) -> None:
    rows = {create(admin, ORDER, **{KEY: key}) for key in ("doc-CASE", "doc-case")}

    assert len(rows) == 2
