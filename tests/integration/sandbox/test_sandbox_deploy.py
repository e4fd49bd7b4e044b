"""Packages deployed into the running org by a client that is not ours, and what they change."""

from typing import Any

import pytest
from metadata_packages import (
    KEY,
    custom_object,
    deploy,
    document,
    manifest,
    object_package,
    packed,
    problems,
    rest_deploy,
    text_field,
)

from connectors.embedded.pki import ensure_app, write_apps

RULE = (
    "<validationRules><fullName>{}</fullName><active>true</active>"
    "<errorConditionFormula>{}</errorConditionFormula>"
    "<errorMessage>not so</errorMessage></validationRules>"
)
GRANTS = (
    "<label>Sink</label><objectPermissions><allowCreate>true</allowCreate>"
    "<allowDelete>false</allowDelete><allowEdit>true</allowEdit><allowRead>true</allowRead>"
    "<modifyAllRecords>false</modifyAllRecords><object>{0}</object>"
    "<viewAllRecords>false</viewAllRecords></objectPermissions>"
    "<fieldPermissions><editable>true</editable><field>{0}.{1}</field>"
    "<readable>true</readable></fieldPermissions>"
)


def fields_of(client: Any, sobject: str) -> set[str]:
    """Return the fields that a client sees; none if it sees no such object."""
    answer = client.call("GET", f"sobjects/{sobject}/describe")
    return set() if answer.status_code == 404 else {f["name"] for f in answer.json()["fields"]}


def upsert(client: Any, sobject: str, **row: Any) -> Any:
    """Upsert one row by ``Key__c`` and return its outcome."""
    records = [{"attributes": {"type": sobject}, **row}]
    url = f"composite/sobjects/{sobject}/Key__c"
    return client.call("PATCH", url, json={"records": records}).json()[0]


def test_a_new_object_is_there_at_once_described_and_takes_rows(module_admin: Any) -> None:
    status = deploy(module_admin, object_package("Parcel__c", KEY, text_field("Street__c")))

    assert status["state"] == "Succeeded", status
    assert status["deployment_detail"]["deployed_count"] == "3"
    assert fields_of(module_admin, "Parcel__c") >= {"Id", "Name", "Key__c", "Street__c"}
    assert upsert(module_admin, "parcel__c", Key__c="p-1", Street__c="Elm")["success"]
    found = module_admin.query("SELECT Key__c, Street__c FROM Parcel__c")["records"]
    assert [(r["Key__c"], r["Street__c"]) for r in found] == [("p-1", "Elm")]


def test_fields_are_added_to_an_object_that_keeps_its_rows_and_what_it_is(
    module_admin: Any,
) -> None:
    deploy(module_admin, object_package("Pallet__c", KEY))
    upsert(module_admin, "Pallet__c", Key__c="a")
    more = packed(
        {
            "package.xml": manifest({"CustomField": ["Pallet__c.Note__c"]}),
            "objects/Pallet__c.object": document("CustomObject", text_field("Note__c")),
        }
    )

    status = deploy(module_admin, more)

    assert (status["state"], status["deployment_detail"]["total_count"]) == ("Succeeded", "1")
    assert upsert(module_admin, "Pallet__c", Key__c="a", Note__c="n")["created"] is False
    found = module_admin.query("SELECT Key__c, Note__c FROM Pallet__c")["records"]
    assert [(r["Key__c"], r["Note__c"]) for r in found] == [("a", "n")]
    labels = {
        s["name"]: s["label"] for s in module_admin.call("GET", "sobjects").json()["sobjects"]
    }
    assert labels["Pallet__c"] == "Pallet"


def test_a_standard_object_takes_fields_of_its_own(module_admin: Any) -> None:
    files = {
        "package.xml": manifest({"CustomObject": ["Account"]}),
        "objects/Account.object": document("CustomObject", text_field("Tier__c")),
    }

    status = deploy(module_admin, packed(files))

    assert status["state"] == "Succeeded", problems(status)
    row = {"Name": "Ada Ltd", "Tier__c": "gold"}
    assert module_admin.call("POST", "sobjects/Account", json=row).status_code == 201


def test_a_lookup_to_an_object_of_the_same_package_can_be_followed(module_admin: Any) -> None:
    lookup = (
        "<fields><fullName>Depot__c</fullName><label>Depot</label><type>Lookup</type>"
        "<referenceTo>Depot__c</referenceTo><relationshipName>Vans</relationshipName></fields>"
    )
    files = {
        "package.xml": manifest({"CustomObject": ["*"]}),
        "objects/Van__c.object": custom_object("Van", KEY, lookup),
        "objects/Depot__c.object": custom_object("Depot", KEY),
    }

    status = deploy(module_admin, packed(files))

    assert status["state"] == "Succeeded", problems(status)
    depot = upsert(module_admin, "Depot__c", Key__c="d")["id"]
    assert upsert(module_admin, "Van__c", Key__c="v", Depot__c=depot)["success"]


def test_a_deployed_rule_refuses_rows_from_then_on(module_admin: Any) -> None:
    rule = RULE.format("No_Note", "ISBLANK(Note__c)")

    deploy(module_admin, object_package("Crate__c", KEY, text_field("Note__c"), rule))

    refused, taken = (
        upsert(module_admin, "Crate__c", Key__c="1"),
        upsert(module_admin, "Crate__c", Key__c="2", Note__c="n"),
    )
    assert refused["errors"] == [
        {"statusCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "not so", "fields": []}
    ]
    assert taken["success"]


def test_a_permission_set_deployed_anew_changes_what_its_user_sees_at_once(fresh: Any) -> None:
    app = ensure_app(fresh.home, "eu")
    write_apps(fresh.home, [app])
    user = fresh.client(fresh.by_assertion(app))
    before = fields_of(user, "Commerce_Order__c")
    files = {
        "package.xml": manifest({"PermissionSet": ["Region_Sink"]}),
        "permissionsets/Region_Sink.permissionset": document(
            "PermissionSet", GRANTS.format("Commerce_Order__c", "Total__c")
        ),
    }

    answer = rest_deploy(fresh.login(), packed(files))

    assert answer["status"] == "Succeeded", answer
    assert {"Total__c", "Status__c"} <= before
    after = fields_of(user, "Commerce_Order__c")
    assert "Total__c" in after
    assert "Status__c" not in after
    assert fields_of(user, "Commerce_Customer__c") == set()


def test_deletions_take_fields_rules_and_objects_with_their_rows_away(module_admin: Any) -> None:
    rule = RULE.format("Never", "ISBLANK(Key__c)")
    deploy(module_admin, object_package("Cart__c", KEY, text_field("Old__c"), rule))
    deploy(module_admin, object_package("Sled__c", KEY))
    first = upsert(module_admin, "Sled__c", Key__c="s")["id"]
    upsert(module_admin, "Cart__c", Key__c="c", Old__c="x")
    gone = {
        "CustomField": ["Cart__c.OLD__c"],
        "ValidationRule": ["Cart__c.Never"],
        "CustomObject": ["Sled__c"],
    }

    status = deploy(
        module_admin,
        packed({"package.xml": manifest({}), "destructiveChanges.xml": manifest(gone)}),
    )

    assert status["state"] == "Succeeded", problems(status)
    assert fields_of(module_admin, "Sled__c") == set()
    assert "Old__c" not in fields_of(module_admin, "Cart__c")
    found = module_admin.query("SELECT Key__c FROM Cart__c")["records"]
    assert [r["Key__c"] for r in found] == ["c"]
    deploy(module_admin, object_package("Sled__c", KEY))
    assert module_admin.query("SELECT Key__c FROM Sled__c")["records"] == []
    assert upsert(module_admin, "Sled__c", Key__c="s")["id"] > first


NOT_THERE = manifest({"CustomField": ["Commerce_Order__c.Nope__c"]})
EVERY_OBJECT = manifest({"CustomObject": ["*"]})
MISSING = manifest({"CustomObject": ["Nope__c"]})


@pytest.mark.parametrize(
    ("files", "options", "state"),
    [
        ({"destructiveChanges.xml": NOT_THERE}, {"ignoreWarnings": True}, "Succeeded"),
        ({"destructiveChanges.xml": NOT_THERE}, {}, "Failed"),
        ({"destructiveChanges.xml": EVERY_OBJECT}, {"ignoreWarnings": True}, "Failed"),
        ({"package.xml": MISSING}, {"allowMissingFiles": True}, "Succeeded"),
        ({"package.xml": MISSING}, {}, "Failed"),
    ],
)
def test_what_is_not_there_fails_unless_the_options_let_it(
    module_admin: Any, files: dict[str, str], options: dict[str, bool], state: str
) -> None:
    content = packed({"package.xml": manifest({}), **files})

    result = rest_deploy(module_admin, content, **options)

    assert result["status"] == state, result
    assert fields_of(module_admin, "Commerce_Order__c")


def test_names_have_no_case(module_admin: Any) -> None:
    deploy(module_admin, object_package("Folded__c", KEY))
    upsert(module_admin, "Folded__c", Key__c="f")
    key = KEY.replace("Key__c", "KEY__c").replace("<label>Key", "<label>Changed")

    status = deploy(
        module_admin, object_package("FOLDED__c", key, text_field("Two__c"), text_field("TWO__c"))
    )

    assert status["state"] == "Succeeded", problems(status)
    assert {name for name in fields_of(module_admin, "folded__c") if name.endswith("__c")} == {
        "Key__c",
        "Two__c",
    }
    described = module_admin.call("GET", "sobjects/Folded__c/describe").json()
    assert described["name"] == "Folded__c"
    assert "Changed" in {f["label"] for f in described["fields"]}
    found = module_admin.query("SELECT Key__c FROM Folded__c")["records"]
    assert [r["Key__c"] for r in found] == ["f"]


def test_a_field_that_becomes_required_needs_no_permission_any_more(fresh: Any) -> None:
    app = ensure_app(fresh.home, "eu")
    write_apps(fresh.home, [app])
    admin = fresh.login()
    grants = {
        "package.xml": manifest({"PermissionSet": ["Region_Sink"], "CustomObject": ["Sealed__c"]}),
        "objects/Sealed__c.object": custom_object("Sealed", KEY, text_field("Note__c")),
        "permissionsets/Region_Sink.permissionset": document(
            "PermissionSet", GRANTS.format("Sealed__c", "Note__c")
        ),
    }
    rest_deploy(admin, packed(grants))
    required = text_field("Note__c", "<required>true</required>")

    status = rest_deploy(admin, object_package("Sealed__c", KEY, required))

    assert status["status"] == "Succeeded", status
    user = fresh.client(fresh.by_assertion(app))
    assert "Note__c" in fields_of(user, "Sealed__c")
    again = rest_deploy(admin, object_package("Sealed__c", KEY, text_field("Note__c")))
    assert again["status"] == "Succeeded"
    assert "Note__c" not in fields_of(user, "Sealed__c")  # who may see it is to be said anew


def test_a_validation_changes_nothing(module_admin: Any) -> None:
    status = deploy(module_admin, object_package("Ghost__c", KEY), checkOnly=True)

    assert status["state"] == "Succeeded"
    assert status["deployment_detail"]["deployed_count"] == "2"
    assert fields_of(module_admin, "Ghost__c") == set()


@pytest.mark.parametrize("rolls_back", [True, False])
def test_one_broken_component_takes_all_with_it_or_only_itself(
    module_admin: Any, *, rolls_back: bool
) -> None:
    name = f"Half_{rolls_back}__c"
    broken = RULE.format("Broken", "ISBLANK(Nothing__c")

    status = deploy(
        module_admin, object_package(name, KEY, broken), rollbackOnError=rolls_back, checkOnly=False
    )

    assert status["state"] == ("Failed" if rolls_back else "SucceededPartial")
    [(kind, file, text)] = problems(status)
    assert (kind, file) == ("ValidationRule", f"objects/{name}.object")
    assert "Broken" in text
    assert bool(fields_of(module_admin, name)) is not rolls_back
