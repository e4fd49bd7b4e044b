"""Section 1.7, describe: the members, the types, and what makes a field required."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from documented import (
    ACCOUNT,
    BASE,
    CONTACT,
    CUSTOMER,
    KEY,
    ORDER,
    code,
    create,
    custom_object,
    deploy,
    key_field,
    read,
)

OBJECT = {
    "name", "label", "keyPrefix", "custom", "createable", "updateable", "deletable", "queryable",
    "retrieveable", "undeletable", "urls",
}  # fmt: skip
FIELD = {
    "name", "label", "type", "soapType", "length", "byteLength", "digits", "precision", "scale",
    "nillable", "createable", "updateable", "defaultedOnCreate", "defaultValue", "unique",
    "caseSensitive", "externalId", "idLookup", "calculated", "autoNumber", "encrypted",
    "restrictedPicklist", "picklistValues", "referenceTo", "relationshipName",
    "deprecatedAndHidden",
}  # fmt: skip
TYPES = {
    "id", "string", "textarea", "boolean", "int", "double", "currency", "percent", "date",
    "datetime", "time", "picklist", "multipicklist", "reference", "email", "phone", "url",
    "encryptedstring", "base64", "location", "address",
}  # fmt: skip
OBJECTS = [ORDER, CUSTOMER, ACCOUNT, CONTACT]
NUMBERED = "Doc_Numbered__c"


def describe(client: Any, sobject: str) -> dict[str, Any]:
    answer = client.call("GET", f"sobjects/{sobject}/describe")
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def fields(client: Any, sobject: str) -> dict[str, dict[str, Any]]:
    return {f["name"]: f for f in describe(client, sobject)["fields"]}


def test_1_7_the_objects_are_listed_with_their_flags_and_urls(admin: Any) -> None:
    shown = admin.call("GET", "sobjects").json()

    listed = {o["name"]: o for o in shown["sobjects"]}
    assert (shown["encoding"], shown["maxBatchSize"]) == ("UTF-8", 200)
    assert listed.keys() >= {*OBJECTS, "User", "Organization"}
    assert all(o.keys() >= OBJECT for o in listed.values())
    assert (listed[ACCOUNT]["keyPrefix"], listed[ACCOUNT]["custom"]) == ("001", False)
    assert listed[ORDER]["custom"] is True
    urls = listed[ORDER]["urls"]
    assert urls["sobject"] == f"{BASE}/sobjects/{ORDER}"
    assert urls["describe"] == f"{BASE}/sobjects/{ORDER}/describe"
    assert urls["rowTemplate"] == f"{BASE}/sobjects/{ORDER}/{{ID}}"


@pytest.mark.parametrize("sobject", OBJECTS)
def test_1_7_an_object_has_its_describe_and_recent_items(admin: Any, sobject: str) -> None:
    shown = admin.call("GET", f"sobjects/{sobject}").json()

    assert shown.keys() == {"objectDescribe", "recentItems"}
    assert shown["objectDescribe"].keys() >= OBJECT
    assert shown["objectDescribe"]["name"] == sobject
    assert isinstance(shown["recentItems"], list)


@pytest.mark.parametrize("sobject", OBJECTS)
def test_1_7_a_describe_has_the_documented_members(admin: Any, sobject: str) -> None:
    shown = describe(admin, sobject)

    assert shown.keys() >= OBJECT | {"fields", "recordTypeInfos", "childRelationships"}
    for field in shown["fields"]:
        assert field.keys() >= FIELD, field["name"]
        assert field["type"] in TYPES
        for value in field["picklistValues"]:
            assert value.keys() >= {"active", "defaultValue", "label", "validFor", "value"}
    assert (
        shown["keyPrefix"]
        == create(
            admin,
            sobject,
            **{
                ACCOUNT: {"Name": "D"},
                CONTACT: {"LastName": "D"},
            }.get(sobject, {KEY: f"doc-prefix-{sobject}"}),
        )[:3]
    )


def required(client: Any, sobject: str) -> set[str]:
    return {
        name
        for name, f in fields(client, sobject).items()
        if f["createable"] and not f["nillable"] and not f["defaultedOnCreate"]
    }


@pytest.mark.parametrize(
    ("sobject", "names"), [(ORDER, {KEY}), (ACCOUNT, {"Name"}), (CONTACT, {"LastName"})]
)
def test_1_7_what_is_required_is_what_a_create_misses(
    admin: Any, sobject: str, names: set[str]
) -> None:
    answer = admin.call("POST", f"sobjects/{sobject}", json={})

    assert required(admin, sobject) == names
    assert set(answer.json()[0]["fields"]) == names


SHAPES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "1.7 id": (ORDER, "Id", {"type": "id", "length": 18, "nillable": False, "createable": False}),
    "1.7 external id": (
        ORDER,
        KEY,
        {
            "type": "string", "length": 128, "unique": True, "externalId": True,
            "caseSensitive": True, "idLookup": True, "nillable": False, "createable": True,
            "updateable": True,
        },
    ),
    "1.7 text": (ORDER, "Currency__c", {"type": "string", "length": 3, "nillable": True}),
    "1.7 currency": (ORDER, "Total__c", {"type": "currency", "precision": 18, "scale": 2}),
    "1.7 number": (ORDER, "Item_Count__c", {"type": "double", "precision": 9, "scale": 0}),
    "1.7 datetime": (ORDER, "Placed_At__c", {"type": "datetime", "soapType": "xsd:dateTime"}),
    "1.7 picklist": (ORDER, "Status__c", {"type": "picklist", "restrictedPicklist": True}),
    "1.7 checkbox": (
        CUSTOMER,
        "Marketing_Consent__c",
        {"type": "boolean", "nillable": False, "defaultedOnCreate": True, "defaultValue": False},
    ),
    "1.7 reference": (
        CONTACT,
        "AccountId",
        {"type": "reference", "referenceTo": [ACCOUNT], "relationshipName": "Account"},
    ),
    "1.7 e-mail": (CONTACT, "Email", {"type": "email"}),
    "1.7 phone": (ACCOUNT, "Phone", {"type": "phone"}),
    "1.7 read-only": (ORDER, "CreatedDate", {"createable": False, "updateable": False}),
}  # fmt: skip


@pytest.mark.parametrize("case", SHAPES)
def test_a_field_is_described_as_its_type_is(admin: Any, case: str) -> None:
    sobject, name, members = SHAPES[case]

    shown = fields(admin, sobject)[name]

    assert {member: shown[member] for member in members} == members


def test_1_7_an_auto_number_is_described_and_refused(module_org: Any) -> None:
    client = module_org.login()
    numbered = custom_object("Doc Numbered", key_field("Code__c", "true")).replace(
        "<type>Text</type></nameField>",
        "<type>AutoNumber</type><displayFormat>DOC-{0000}</displayFormat></nameField>",
    )
    deploy(client, {f"objects/{NUMBERED}.object": numbered}, {"CustomObject": [NUMBERED]})

    shown = fields(client, NUMBERED)["Name"]
    made = create(client, NUMBERED, Code__c="a")
    refused = client.call("POST", f"sobjects/{NUMBERED}", json={"Code__c": "b", "Name": "mine"})

    assert (shown["type"], shown["autoNumber"]) == ("string", True)
    assert (shown["createable"], shown["updateable"]) == (False, False)
    assert read(client, NUMBERED, made, "Name") == ["DOC-0001"]
    assert code(refused) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")


def test_1_7_a_parent_lists_its_children(admin: Any) -> None:
    (contacts,) = [
        c
        for c in describe(admin, ACCOUNT)["childRelationships"]
        if c["relationshipName"] == "Contacts"
    ]

    assert (contacts["childSObject"], contacts["field"]) == (CONTACT, "AccountId")


def test_1_7_extra_decimals_are_cut_silently_and_digits_are_not(admin: Any) -> None:
    row = create(admin, ORDER, **{KEY: "doc-decimals", "Total__c": 1.239})

    refused = admin.call("PATCH", f"sobjects/{ORDER}/{row}", json={"Total__c": 10**17})

    shown = admin.call("GET", f"sobjects/{ORDER}/{row}").json()
    assert shown["Total__c"] in {1.23, 1.24}
    assert refused.status_code == 400
    assert refused.json()[0]["errorCode"] == "NUMBER_OUTSIDE_VALID_RANGE"


@pytest.mark.parametrize("path", [f"sobjects/{ORDER}/describe", "sobjects"])
def test_1_3_a_describe_that_has_not_changed_is_304(admin: Any, path: str) -> None:
    now = format_datetime(datetime.now(UTC), usegmt=True)
    old = format_datetime(datetime.now(UTC) - timedelta(days=3650), usegmt=True)

    unchanged, changed = (
        admin.call("GET", path, headers={"If-Modified-Since": since}) for since in (now, old)
    )

    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert changed.status_code == 200
