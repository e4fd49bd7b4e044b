"""Lookups and masters of deployed objects over HTTP: rows, collections, ingest jobs, describe."""

import re
import time
from collections.abc import Mapping
from typing import Any

import pytest
from metadata_packages import custom_object, deploy, document, manifest, packed, text_field

DEPOT, BOX, TAG = "Depot__c", "Box__c", "Tag__c"
EXTERNAL = "<externalId>true</externalId><unique>true</unique>"
NOT_THERE = "Foreign key external ID: {} not found for field {} in entity {}"


def pointing(name: str, kind: str, target: str, children: str, extra: str = "") -> str:
    return (
        f"<fields><fullName>{name}</fullName><label>{name[:-3]}</label><type>{kind}</type>"
        f"<referenceTo>{target}</referenceTo><relationshipName>{children}</relationshipName>"
        f"<relationshipLabel>{children}</relationshipLabel>{extra}</fields>"
    )


def numbered(label: str, form: str, *parts: str) -> str:
    """Return the file of an object whose name is a generated number."""
    head = (
        f"<label>{label}</label><pluralLabel>{label}s</pluralLabel><nameField><label>Number</label>"
        f"<type>AutoNumber</type><displayFormat>{form}</displayFormat></nameField>"
        "<deploymentStatus>Deployed</deploymentStatus><sharingModel>Private</sharingModel>"
    )
    return document("CustomObject", head + "".join(parts))


@pytest.fixture(scope="module")
def client(module_admin: Any) -> Any:
    """Deploy depots, the boxes they own, and tags that look boxes up."""
    files = {
        "package.xml": manifest({"CustomObject": [DEPOT, BOX, TAG, "Account"]}),
        "objects/Account.object": document("CustomObject", text_field("Ext__c", EXTERNAL)),
        f"objects/{DEPOT}.object": custom_object("Depot", text_field("Code__c", EXTERNAL)),
        f"objects/{BOX}.object": custom_object(
            "Box",
            text_field("Key__c", EXTERNAL),
            pointing("Depot__c", "MasterDetail", DEPOT, "Boxes"),
            pointing("Account__c", "Lookup", "Account", "Boxes"),
        ),
        f"objects/{TAG}.object": numbered(
            "Tag",
            "RC-{00000000}",
            text_field("Key__c", EXTERNAL),
            pointing(
                "Box__c", "Lookup", BOX, "Tags", "<deleteConstraint>Restrict</deleteConstraint>"
            ),
        ),
    }
    status = deploy(module_admin, packed(files))
    assert status["state"] == "Succeeded", status
    for code in ("d-1", "d-2"):
        upsert(module_admin, DEPOT, "Code__c", {"Code__c": code})
    upsert(module_admin, "Account", "Ext__c", {"Ext__c": "a-1", "Name": "Acme"})
    return module_admin


def upsert(client: Any, sobject: str, key: str, *records: Mapping[str, Any]) -> list[Any]:
    typed = [{"attributes": {"type": sobject}, **record} for record in records]
    url = f"composite/sobjects/{sobject}/{key}"
    answer: list[Any] = client.call("PATCH", url, json={"records": typed}).json()
    return answer


def id_of(client: Any, sobject: str, field: str, value: str) -> str:
    return str(client.call("GET", f"sobjects/{sobject}/{field}/{value}").json()["Id"])


def box(client: Any, key: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.call("GET", f"sobjects/{BOX}/Key__c/{key}").json()
    return answer


def test_a_collection_names_parents_by_their_keys_each_row_for_itself(client: Any) -> None:
    outcomes = upsert(
        client, BOX, "Key__c",
        {"Key__c": "c-1", "Depot__r": {"Code__c": "D-1"}, "Account__r": {"Ext__c": "a-1"}},
        {"Key__c": "c-2", "Depot__r": {"Code__c": "none"}},
        {"Key__c": "c-3", "Depot__r": {"Code__c": "d-2"}},
    )  # fmt: skip

    assert [o["success"] for o in outcomes] == [True, False, True]
    assert outcomes[1]["errors"] == [
        {
            "statusCode": "INVALID_FIELD",
            "message": NOT_THERE.format("none", "Code__c", DEPOT),
            "fields": [],
        }
    ]
    assert box(client, "c-1")["Depot__c"] == id_of(client, DEPOT, "Code__c", "d-1")
    assert box(client, "c-1")["Account__c"] == id_of(client, "Account", "Ext__c", "a-1")


def test_one_row_names_its_parent_by_key_and_lets_go_of_it_by_null(client: Any) -> None:
    path = f"sobjects/{BOX}/Key__c/one-1"

    made = client.call(
        "PATCH", path, json={"Depot__r": {"Code__c": "d-1"}, "Account__r": {"Ext__c": "a-1"}}
    )
    before = box(client, "one-1")["Account__c"]
    client.call("PATCH", path, json={"Account__c": None})
    refused = client.call("PATCH", path, json={"Account__r": {"Ext__c": "0116"}})

    assert (made.status_code, before is None) == (201, False)
    assert box(client, "one-1")["Account__c"] is None
    assert (refused.status_code, refused.json()) == (
        400,
        [
            {
                "message": NOT_THERE.format("0116", "Ext__c", "Account"),
                "errorCode": "INVALID_FIELD",
                "fields": [],
            }
        ],
    )


def test_a_form_that_names_no_parent_refuses_the_row(client: Any) -> None:
    answer = client.call("POST", f"sobjects/{BOX}", data='{"Key__c": "f-1", "Depot__r": "d-1"}')

    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")
    assert answer.json()[0]["message"].endswith("at [line:1, column:31]")


def test_a_box_stays_in_its_depot(client: Any) -> None:
    upsert(client, BOX, "Key__c", {"Key__c": "s-1", "Depot__r": {"Code__c": "d-1"}})

    moved = client.call(
        "PATCH", f"sobjects/{BOX}/Key__c/s-1", json={"Depot__r": {"Code__c": "d-2"}}
    )

    (error,) = moved.json()
    assert (moved.status_code, error["errorCode"]) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")
    assert error["fields"] == ["Depot__c"]


def test_a_tag_keeps_its_box_and_a_depot_none_of_its_boxes(client: Any) -> None:
    upsert(client, DEPOT, "Code__c", {"Code__c": "gone"})
    upsert(
        client, BOX, "Key__c",
        {"Key__c": "k-1", "Name": "Kept", "Depot__r": {"Code__c": "gone"}},
        {"Key__c": "k-2", "Depot__r": {"Code__c": "gone"}},
    )  # fmt: skip
    upsert(client, TAG, "Key__c", {"Key__c": "t-1", "Box__r": {"Key__c": "k-1"}})
    tag = client.call("GET", f"sobjects/{TAG}/Key__c/t-1").json()["Name"]

    alone = client.call("DELETE", f"sobjects/{BOX}/Key__c/k-1")
    through = client.call("DELETE", f"sobjects/{DEPOT}/Code__c/gone")
    client.call("DELETE", f"sobjects/{TAG}/Key__c/t-1")
    free = client.call("DELETE", f"sobjects/{DEPOT}/Code__c/gone")

    text = (
        "Your attempt to delete Kept could not be completed because it is associated with the"
        f" following tags.: {tag}\n"
    )
    assert re.fullmatch(r"RC-\d{8}", tag)
    assert (alone.status_code, alone.json()) == (
        400, [{"message": text, "errorCode": "DELETE_FAILED", "fields": []}],
    )  # fmt: skip
    assert (through.status_code, free.status_code) == (400, 204)
    assert client.call("GET", f"sobjects/{BOX}/Key__c/k-2").status_code == 404


def test_a_jobs_header_names_a_parents_key(client: Any) -> None:
    lines = [
        "Key__c,Depot__r.Code__c,account__R.ext__C",
        "j-1,d-1,a-1",
        "j-2,none,",
        "j-3,d-2,#N/A",
    ]

    job = run(client, "\n".join(lines) + "\n")

    failed = client.call("GET", f"jobs/ingest/{job['id']}/failedResults").text.splitlines()
    assert (job["state"], job["numberRecordsFailed"]) == ("JobComplete", 1)
    assert failed[0] == '"sf__Id","sf__Error","Key__c","Depot__r.Code__c","Account__r.Ext__c"'
    error = NOT_THERE.format("none", "Code__c", DEPOT)
    assert failed[1] == f'"","INVALID_FIELD:{error}:--","j-2","none",""'
    assert box(client, "j-1")["Account__c"] == id_of(client, "Account", "Ext__c", "a-1")
    assert box(client, "j-3")["Depot__c"] == id_of(client, DEPOT, "Code__c", "d-2")


@pytest.mark.parametrize("name", ["Depot__r.Nothing__c", "Depot__r.Name", "Nobody__r.Code__c"])
def test_a_job_whose_header_names_no_parents_key_fails(client: Any, name: str) -> None:
    job = run(client, f"Key__c,{name}\nx-1,d-1\n")

    assert (job["state"], job["errorMessage"]) == (
        "Failed", f"InvalidBatch : Field name not found : {name}",
    )  # fmt: skip


def test_masters_and_lookups_are_described(client: Any) -> None:
    fields = {f["name"]: f for f in client.call("GET", f"sobjects/{BOX}/describe").json()["fields"]}
    depot = client.call("GET", f"sobjects/{DEPOT}/describe").json()
    tags = {f["name"]: f for f in client.call("GET", f"sobjects/{TAG}/describe").json()["fields"]}

    master, lookup, name = fields["Depot__c"], fields["Account__c"], tags["Name"]
    (boxes,) = depot["childRelationships"]
    assert (master["referenceTo"], master["relationshipName"]) == ([DEPOT], "Depot__r")
    assert (master["nillable"], master["createable"], master["updateable"]) == (False, True, False)
    assert (lookup["nillable"], lookup["updateable"], lookup["relationshipName"]) == (
        True, True, "Account__r",
    )  # fmt: skip
    assert "OwnerId" not in fields
    assert (boxes["childSObject"], boxes["field"], boxes["relationshipName"]) == (
        BOX, "Depot__c", "Boxes__r",
    )  # fmt: skip
    assert (boxes["cascadeDelete"], boxes["restrictedDelete"]) == (True, False)
    assert tags["Box__c"]["restrictedDelete"] is True
    assert (name["autoNumber"], name["createable"], name["nillable"]) == (True, False, False)


def run(client: Any, data: str) -> dict[str, Any]:
    """Carry out an upsert of boxes by key and return the job at its end."""
    order = {"object": BOX, "operation": "upsert", "externalIdFieldName": "Key__c"}
    job = client.call("POST", "jobs/ingest", json=order).json()["id"]
    headers = {"Content-Type": "text/csv"}
    client.call("PUT", f"jobs/ingest/{job}/batches", data=data, headers=headers)
    client.call("PATCH", f"jobs/ingest/{job}", json={"state": "UploadComplete"})
    until = time.monotonic() + 30
    while time.monotonic() < until:
        done: dict[str, Any] = client.call("GET", f"jobs/ingest/{job}").json()
        if done["state"] in {"JobComplete", "Failed"}:
            return done
        time.sleep(0.02)
    raise AssertionError(done)
