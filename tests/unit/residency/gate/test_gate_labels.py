"""Label records at the gate: closed lists, a version of their own, and nothing else."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from residency.gate.check import Gate, GateHalt
from residency.gate.rules import load_grammar
from residency.gate.wire import load_schemas
from residency.regions import load_regions
from schemas.codec import encode
from schemas.errors import SetupError
from schemas.events import Coordinates, MinimalRecord, RecordId
from schemas.registry import load_registry

PLAN = "ab" * 32
CASE = "Commerce_Case__c"
REGISTRY = load_registry()
SCHEMA = REGISTRY.minimal(CASE, "labels")
WIRE = load_schemas()
LABELS = {
    "Intent__c": "praise",
    "Sentiment__c": "unknown",
    "Urgency__c": "high",
    "Text_Language__c": "de",
    "Privacy_Request__c": "withheld",
}


def gate(region: str = "eu") -> Gate:
    grammar = load_grammar(region, WIRE)
    return Gate(region, {PLAN: None}, grammar, WIRE, lambda: date(2026, 11, 26))


def record(
    region: str = "eu", labels: Mapping[str, Any] = LABELS, version: int = 10**12 + 7
) -> MinimalRecord:
    token = f"tok_{region}1_{'a' * 26}"
    row = {"External_Id__c": token, "Label_Version__c": version}
    unset = dict.fromkeys(LABELS)
    at = Coordinates(f"{region}.commerce.messages.v1", 0, 7)
    return MinimalRecord(
        RecordId(at, 1),
        CASE,
        token,
        version,
        SCHEMA.id,
        PLAN,
        1,
        encode(SCHEMA, {**unset, **labels, **row}),
    )


@pytest.mark.parametrize("region", load_regions())
def test_labels_leave_with_their_token_and_their_own_version(region: str) -> None:
    fields = gate(region).check(record(region))

    assert fields == {
        "External_Id__c": f"tok_{region}1_{'a' * 26}",
        "Label_Version__c": 10**12 + 7,
        **LABELS,
    }


def test_a_label_that_is_not_set_is_not_sent() -> None:
    fields = gate().check(record(labels={"Intent__c": "other"}))

    assert fields.keys() == {"External_Id__c", "Label_Version__c", "Intent__c"}


@pytest.mark.parametrize("region", load_regions())
@pytest.mark.parametrize("name", LABELS)
def test_every_label_is_a_closed_list_with_unknown_and_withheld(region: str, name: str) -> None:
    rule = load_grammar(region, WIRE)[CASE][name]

    assert rule.values is not None
    assert rule.values > {"unknown", "withheld"}
    assert not rule.clearable


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("label", ["", "Praise", "praise ", "ana@example.org"])
def test_what_is_on_no_list_halts(name: str, label: str) -> None:
    with pytest.raises(GateHalt, match=f"{CASE}.{name}: values: not on the closed list"):
        gate().check(record(labels={**LABELS, name: label}))


def test_an_envelope_with_another_version_halts_at_the_labels_version() -> None:
    with pytest.raises(GateHalt, match=r"Label_Version__c: version: differs"):
        gate().check(replace(record(), version=10**12 + 8))


def test_a_version_of_another_offset_halts_at_the_labels_version() -> None:
    with pytest.raises(GateHalt, match=r"Label_Version__c: version: is not that of the raw"):
        gate().check(record(version=10**12 + 8))


def test_labels_cannot_delete_the_row() -> None:
    with pytest.raises(GateHalt, match="deleted: differs from what the bytes say"):
        gate().check(replace(record(), deletes=True))


@pytest.mark.parametrize("gone", ["External_Id__c", "Label_Version__c"])
def test_a_grammar_without_key_or_version_lets_no_label_leave(gone: str) -> None:
    rules = {n: r for n, r in load_grammar("eu", WIRE)[CASE].items() if n != gone}

    with pytest.raises(GateHalt, match=f"{gone}: field: the grammar of eu does not name it"):
        Gate("eu", {PLAN: None}, {CASE: rules}, WIRE, lambda: date(2026, 11, 26)).check(record())


def test_a_request_for_labels_is_no_minimal_record() -> None:
    request = REGISTRY.request(CASE)
    value = encode(
        request,
        {"External_Id__c": "x", "Base_Version__c": 1, "subject": "y", "text_body": "words"},
    )

    with pytest.raises(GateHalt, match="schema id is not that of a minimal schema"):
        gate().check(replace(record(), value=value, schema_id=request.id))


@pytest.mark.parametrize("versions", [[], ["Base_Version__c", "Label_Version__c"]])
def test_a_schema_has_one_version(versions: list[str], tmp_path: Any) -> None:
    fields = [f'{{"name": "{name}", "type": "long"}}' for name in versions]
    (tmp_path / "a.avsc").write_text(
        '{"homeport.schema-id": 1, "homeport.object": "A", "name": "A", "type": "record",'
        f' "fields": [{", ".join(fields)}]}}'
    )

    with pytest.raises(SetupError, match=r"a\.avsc: has \d versions; give it one of"):
        load_schemas(tmp_path)
