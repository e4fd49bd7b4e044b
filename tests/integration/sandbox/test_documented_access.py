"""Section 1.10, rights: what a permission set does not show is not there, and what it locks."""

from pathlib import Path
from typing import Any

import pytest
from documented import (
    BASE,
    KEY,
    ORDER,
    create,
    custom_object,
    deploy,
    deployment,
    entity,
    key_field,
    refusal,
    total,
)
from ingest_jobs import create as open_job
from ingest_jobs import run, table, wait

import connectors.sfdx
from connectors.embedded.pki import ensure_app, write_apps

HIDDEN, LOCKED, TAG = "Doc_Hidden__c", "Doc_Locked__c", "Doc_Tag__c"
SOURCE = Path(connectors.sfdx.__file__).parent / "force-app/main/default/permissionsets"
RIGHTS = {
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", "INSUFFICIENT_ACCESS_OR_READONLY",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
}  # fmt: skip


def text_field(name: str) -> str:
    return (
        f"<fields><fullName>{name}</fullName><label>{name[:-3]}</label>"
        "<type>Text</type><length>20</length></fields>"
    )


def right(field: str, editable: str) -> str:
    return (
        f"<fieldPermissions><editable>{editable}</editable><field>{ORDER}.{field}</field>"
        "<readable>true</readable></fieldPermissions>"
    )


def permission_set(*changes: tuple[str, str]) -> dict[str, str]:
    text = (SOURCE / "Region_Sink.permissionset-meta.xml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return {"permissionsets/Region_Sink.permissionset": text}


@pytest.fixture(scope="module")
def admin(module_org: Any) -> Any:
    """Open the administrator's session, after a hidden and a locked field were deployed."""
    write_apps(module_org.home, [ensure_app(module_org.home, "eu")])
    client = module_org.login()
    fields = f"{text_field(HIDDEN)}{text_field(LOCKED)}{key_field(TAG, 'false')}"
    rights = f"{right(LOCKED, 'false')}{right(TAG, 'true')}</PermissionSet>"
    deploy(
        client,
        {
            f"objects/{ORDER}.object": entity(fields),
            **permission_set(("</PermissionSet>", rights)),
        },
        {
            "CustomField": [f"{ORDER}.{name}" for name in (HIDDEN, LOCKED, TAG)],
            "PermissionSet": ["Region_Sink"],
        },
    )
    return client


@pytest.fixture(scope="module")
def eu(module_org: Any, admin: Any) -> Any:
    """Open a session of the EU's integration user, whose rights are the permission set's."""
    assert admin
    return module_org.client(module_org.by_assertion(ensure_app(module_org.home, "eu")))


NO_COLUMN = f"No such column '{HIDDEN}' on sobject of type {ORDER}"
READ_ONLY = (
    f"Unable to create/update fields: {LOCKED}. Please check the security settings of this field"
    " and verify that it is read/write for your profile or permission set."
)
WRITES = {
    "1.10 a hidden field": (HIDDEN, "INVALID_FIELD", NO_COLUMN),
    "1.10 a read-only field": (LOCKED, "INVALID_FIELD_FOR_INSERT_UPDATE", READ_ONLY),
}


@pytest.mark.parametrize("case", WRITES)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_field_without_the_right_is_not_written(eu: Any, method: str, case: str) -> None:
    field, code, text = WRITES[case]
    key = f"doc-fls-{method}-{field}"
    path = f"sobjects/{ORDER}"
    body = {KEY: key, field: "x"}
    if method == "PATCH":
        path += f"/{create(eu, ORDER, **{KEY: key})}"
        body = {field: "x"}

    answer = eu.call(method, path, json=body)

    assert refusal(answer) == (400, code, text)


@pytest.mark.parametrize("case", WRITES)
def test_a_collection_refuses_such_a_field_too(eu: Any, case: str) -> None:
    field, code, text = WRITES[case]

    answer = eu.upsert([{KEY: f"doc-fls-collection-{field}", field: "x"}])

    errors = answer.json() if answer.status_code == 400 else answer.json()[0]["errors"]
    shown = [(e.get("errorCode", e.get("statusCode")), e["message"]) for e in errors]
    assert shown == [(code, text)]


def test_1_10_a_hidden_field_is_not_queried_and_a_read_only_one_is(eu: Any) -> None:
    hidden, locked = (
        eu.call("GET", "query", params={"q": f"SELECT {f} FROM {ORDER} LIMIT 1"})  # noqa: S608
        for f in (HIDDEN, LOCKED)
    )

    assert refusal(hidden)[:2] == (400, "INVALID_FIELD")
    assert locked.status_code == 200


def test_1_10_a_row_shows_the_fields_that_may_be_read(admin: Any, eu: Any) -> None:
    row = create(eu, ORDER, **{KEY: "doc-fls-read"})
    admin.call("PATCH", f"sobjects/{ORDER}/{row}", json={HIDDEN: "h", LOCKED: "l"})

    shown = eu.call("GET", f"sobjects/{ORDER}/{row}").json()

    assert HIDDEN not in shown
    assert shown[LOCKED] == "l"


def test_1_7_a_describe_lacks_hidden_fields_and_locks_read_only_ones(admin: Any, eu: Any) -> None:
    mine, theirs = (
        {f["name"]: f for f in c.call("GET", f"sobjects/{ORDER}/describe").json()["fields"]}
        for c in (admin, eu)
    )

    assert mine.keys() - theirs.keys() == {HIDDEN}
    assert (theirs[LOCKED]["createable"], theirs[LOCKED]["updateable"]) == (False, False)
    assert (theirs[KEY]["createable"], theirs[KEY]["updateable"]) == (True, True)


def test_1_10_a_job_does_not_know_a_hidden_field(eu: Any) -> None:
    job = open_job(eu).json()["id"]
    data = table([KEY, HIDDEN], ["doc-fls-job", "x"]).encode()
    eu.call("PUT", f"jobs/ingest/{job}/batches", data=data, headers={"Content-Type": "text/csv"})
    eu.call("PATCH", f"jobs/ingest/{job}", json={"state": "UploadComplete"})

    ended = wait(eu, job)

    assert ended["state"] == "Failed"
    assert f"Field name not found : {HIDDEN}" in ended["errorMessage"]
    assert total(eu, ORDER, f"{KEY} = 'doc-fls-job'") == 0


def test_1_11_a_hard_delete_needs_a_right_of_its_own(admin: Any, eu: Any) -> None:
    row = create(eu, ORDER, **{KEY: "doc-hard"})

    refused = open_job(eu, "hardDelete")

    assert 400 <= refused.status_code < 500
    assert run(admin, table(["Id"], [row]), "hardDelete")["numberRecordsFailed"] == 0
    assert total(admin, ORDER, f"{KEY} = 'doc-hard'") == 0


def test_a_user_sees_their_own_permissions(admin: Any, eu: Any) -> None:
    query = "SELECT PermissionsBulkApiHardDelete, permissionsapienabled FROM UserPermissionAccess"

    answers = [who.call("GET", "query", params={"q": query}).json() for who in (admin, eu)]

    for answer, purges in zip(answers, (True, False), strict=True):
        (row,) = answer["records"]
        assert row.pop("attributes") == {"type": "UserPermissionAccess"}
        assert row == {"PermissionsBulkApiHardDelete": purges, "PermissionsApiEnabled": True}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT PermissionsNoSuch FROM UserPermissionAccess", "INVALID_FIELD"),
        ("SELECT FIELDS(ALL) FROM UserPermissionAccess LIMIT 1", "MALFORMED_QUERY"),
        ("SELECT COUNT() FROM UserPermissionAccess", "MALFORMED_QUERY"),
        ("SELECT COUNT(PermissionsApiEnabled) FROM UserPermissionAccess", "INVALID_FIELD"),
    ],
)
def test_of_their_permissions_nothing_else_is_told(eu: Any, query: str, code: str) -> None:
    assert refusal(eu.call("GET", "query", params={"q": query}))[:2] == (400, code)


def test_1_3_a_key_that_is_not_unique_needs_view_all_data(admin: Any, eu: Any) -> None:
    path = f"sobjects/{ORDER}/{TAG}/doc-tag"

    theirs = eu.call("PATCH", path, json={KEY: "doc-tag-eu"})
    mine = admin.call("PATCH", path, json={KEY: "doc-tag-admin"})

    assert 400 <= theirs.status_code < 500
    assert total(admin, ORDER, f"{KEY} = 'doc-tag-eu'") == 0
    assert mine.status_code == 201


def test_1_10_a_required_field_takes_no_rights_of_its_own(admin: Any) -> None:
    rights = permission_set(("</PermissionSet>", f"{right(KEY, 'true')}</PermissionSet>"))

    status = deployment(admin, rights, {"PermissionSet": ["Region_Sink"]})

    assert status["state"] == "Failed"


def test_1_10_a_master_detail_takes_no_rights_of_its_own(admin: Any) -> None:
    master = (
        "<fields><fullName>Master__c</fullName><label>Master</label><type>MasterDetail</type>"
        "<referenceTo>Account</referenceTo><relationshipName>Details</relationshipName></fields>"
    )
    detail = custom_object("Doc Owned", master).replace("ReadWrite", "ControlledByParent")
    deploy(admin, {"objects/Doc_Owned__c.object": detail}, {"CustomObject": ["Doc_Owned__c"]})
    own = right("Master__c", "true").replace(f"{ORDER}.", "Doc_Owned__c.")
    rights = permission_set(("</PermissionSet>", f"{own}</PermissionSet>"))

    status = deployment(admin, rights, {"PermissionSet": ["Region_Sink"]})

    assert status["state"] == "Failed"


OBJECT_RIGHTS = {
    "1.10 upsert without create": ("allowCreate", "POST"),
    "1.10 upsert without edit": ("allowEdit", "PATCH"),
}


@pytest.mark.parametrize("case", OBJECT_RIGHTS)
def test_an_upsert_needs_both_create_and_edit(start_org: Any, case: str) -> None:
    right, method = OBJECT_RIGHTS[case]
    running = start_org(name=f"home-{right}")
    app = ensure_app(running.home, "eu")
    write_apps(running.home, [app])
    eu = running.client(running.by_assertion(app))
    row = create(eu, ORDER, **{KEY: "doc-there"})
    off = (f"<{right}>true</{right}>", f"<{right}>false</{right}>")
    deploy(running.login(), permission_set(off), {"PermissionSet": ["Region_Sink"]})

    key = "doc-new" if method == "POST" else "doc-there"
    (item,) = eu.upsert([{KEY: key, "Currency__c": "EUR"}]).json()
    alone = eu.call("PATCH", f"sobjects/{ORDER}/{KEY}/{key}", json={"Currency__c": "EUR"})

    assert item["success"] is False
    assert item["errors"][0]["statusCode"] in RIGHTS
    assert alone.status_code in {400, 403}
    assert alone.json()[0]["errorCode"] in RIGHTS
    assert (
        eu.http.get(f"{running.url}{BASE}/sobjects/{ORDER}/{row}", timeout=30).json()["Currency__c"]
        is None
    )
