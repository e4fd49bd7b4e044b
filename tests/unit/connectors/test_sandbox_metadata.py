"""The SFDX source fits the records we send, and what a region's user may do is the least."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from connectors.sandbox.access import view_of
from connectors.sandbox.deployed.describe import describe
from connectors.sandbox.deployed.source import SFDX, load_metadata
from connectors.sandbox.errors import Problem
from connectors.sandbox.rows.reader import RecordReader
from residency.regions import load_regions

METADATA = load_metadata()
CUSTOM = sorted(name for name, sobject in METADATA.objects.items() if sobject.is_custom)
REGION_SINK = METADATA.permission_sets["Region_Sink"]
SCHEMAS = Path(__file__).parents[3] / "schemas/avro/minimal"
NOT_A_FIELD = {"cleared", "deleted"}  # of the minimal record; they say what to do with the row


@pytest.mark.parametrize("schema_file", sorted(SCHEMAS.glob("*.avsc")), ids=lambda p: p.stem)
def test_every_field_of_a_minimal_record_has_a_column_of_its_type(schema_file: Path) -> None:
    schema = json.loads(schema_file.read_text("utf-8"))
    sobject = METADATA.objects[schema["homeport.object"]]

    for field in schema["fields"]:
        if field["name"] in NOT_A_FIELD:
            continue
        branch = field["type"][1] if isinstance(field["type"], list) else field["type"]
        kind = branch["logicalType"] if isinstance(branch, dict) else branch
        column = sobject.field(field["name"])
        assert column is not None, field["name"]
        assert (
            column.type
            in {
                "string": {"string", "picklist"},
                "long": {"double"},
                "boolean": {"boolean"},
                "decimal": {"currency"},
                "timestamp-millis": {"datetime"},
            }[kind]
        )


@pytest.mark.parametrize("name", CUSTOM)
def test_the_key_is_what_upserts_need(name: str) -> None:
    key = METADATA.objects[name].field("external_id__C")

    assert key is not None
    assert (key.length, key.is_external_id, key.is_unique) == (128, True, True)
    assert (key.is_case_sensitive, key.is_required) == (True, True)


def test_picklists_of_regions_list_every_region() -> None:
    for name in CUSTOM:
        field = METADATA.objects[name].field("Region__c")
        assert field is not None
        assert set(field.values) == set(load_regions())


def test_every_region_has_its_app_and_policy() -> None:
    names = {f"Region_Sink_{region.upper()}" for region in load_regions()}

    for folder in ("externalClientApps", "extlClntAppOauthSettings", "extlClntAppGlobalOauthSets"):
        found = {p.name.split(".")[0] for p in (SFDX / folder).iterdir()}
        assert {n.removesuffix("_oauth").removesuffix("_glbl") for n in found} == names
    assert set(METADATA.session_minutes) == names


def test_the_permission_set_is_the_least() -> None:
    for access in REGION_SINK.objects.values():
        assert not access.view_all
    text = (SFDX / "permissionsets/Region_Sink.permissionset-meta.xml").read_text("utf-8")
    root = ET.fromstring(text)  # noqa: S314 -- our own source tree
    granted = [e.text for e in root.iter() if e.tag.endswith("}name")]
    assert granted == ["ApiEnabled"]
    assert "<modifyAllRecords>true" not in text


def test_required_fields_carry_no_field_permission() -> None:
    required = {
        f"{o.name}.{f.name}" for o in METADATA.objects.values() for f in o.fields if f.is_required
    }
    optional = {
        f"{o.name}.{f.name}"
        for o in METADATA.objects.values()
        for f in o.fields
        if f.is_custom and not f.is_required
    }

    assert not required & REGION_SINK.readable  # a deploy with one fails
    assert optional == REGION_SINK.readable == REGION_SINK.editable


def test_no_secret_is_in_the_source() -> None:
    for path in SFDX.rglob("*.xml"):
        text = path.read_text("utf-8")
        assert "<consumerSecret>" not in text
        assert "<consumerKey>" not in text
        assert "BEGIN CERTIFICATE" not in text


def test_an_unreadable_field_does_not_exist_and_a_read_only_one_cannot_be_set() -> None:
    hidden, locked = "Commerce_Order__c.Total__c", "Commerce_Order__c.Currency__c"
    permissions = replace(
        REGION_SINK,
        readable=REGION_SINK.readable - {hidden},
        editable=REGION_SINK.editable - {hidden, locked},
    )
    view = view_of(METADATA.objects["Commerce_Order__c"], "a02", permissions)
    assert view is not None
    reader = RecordReader(view)

    unseen = reader.read({"Total__c": 1}, "")
    refused = reader.read({"currency__c": "EUR", "Status__c": "placed"}, "")

    fields = {f["name"]: f for f in describe(view, [], "62.0")["fields"]}
    assert "Total__c" not in fields
    assert (fields["Currency__c"]["createable"], fields["Currency__c"]["updateable"]) == (
        False,
        False,
    )
    assert unseen == [
        Problem(
            "INVALID_FIELD",
            "No such column 'Total__c' on sobject of type Commerce_Order__c",
            None,
            is_parse_error=True,
        )
    ]
    assert isinstance(refused, list)
    assert refused[0].code == "INVALID_FIELD_FOR_INSERT_UPDATE"
    assert refused[0].message.startswith("Unable to create/update fields: Currency__c. Please")


def test_an_object_without_a_permission_is_hidden() -> None:
    permissions = replace(REGION_SINK, objects={})

    assert view_of(METADATA.objects["Commerce_Order__c"], "a02", permissions) is None
