"""The registry: pinned ids, one digest per id, and every leaf of every event."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from schemas.errors import SetupError
from schemas.registry import AVRO_FOLDER, OURS, Registry, load_registry
from schemas.resolve import digest, leaves, resolve

REGISTRY = load_registry()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the avro folder with its ids beside it."""
    shutil.copy(AVRO_FOLDER.parent / "ids.toml", tmp_path)
    return Path(shutil.copytree(AVRO_FOLDER, tmp_path / "avro"))


def test_every_event_says_who_when_and_where_in_the_same_words() -> None:
    common = {
        "event_id": "system.operations",
        "occurred_at": "system.operations",
        "customer.customer_id": "user.unique_id",
        "customer.residence.country": "user.contact.address.country",
        "customer.residence.subdivision": "user.location.imprecise",
    }

    for schema in REGISTRY.raw():
        found = {leaf.path: leaf for leaf in schema.leaves}

        assert {path: found[path].category for path in common} == common
        assert found["customer.residence.country"].pattern == "^[A-Z]{2}$"
        assert found["event_id"].avro == {"type": "string", "logicalType": "uuid"}
        assert found["occurred_at"].avro["logicalType"] == "timestamp-millis"


def test_ids_subjects_and_objects_find_the_same_schemas() -> None:
    placed = REGISTRY.versions("commerce.orders.OrderPlaced")

    assert [schema.id for schema in placed] == [1001, 1002]
    assert REGISTRY.latest("commerce.orders.OrderPlaced") is REGISTRY.by_id(1002)
    assert REGISTRY.minimal("Commerce_Case__c").id == 2003
    assert REGISTRY.minimal("Commerce_Case__c", "labels").id == 2004
    assert REGISTRY.request("Commerce_Case__c").id == 3001
    assert {schema.domain for schema in REGISTRY.raw()} == {"orders", "customers", "messages"}
    assert {s.domain for s in REGISTRY} - {s.domain for s in REGISTRY.raw()} == OURS
    assert [s.id for s in REGISTRY if s.kind == "labels"] == [2004]


@pytest.mark.parametrize(
    "subject", ["homeport.crm.CommerceCase", "homeport.enrich.CommerceCaseTexts"]
)
def test_what_we_write_is_no_event(subject: str) -> None:
    assert REGISTRY.latest(subject)
    with pytest.raises(KeyError):
        REGISTRY.event(subject)


@pytest.mark.parametrize("look_up", ["by_id", "latest", "minimal", "request"])
def test_what_is_not_there_is_a_key_error(look_up: str) -> None:
    with pytest.raises(KeyError):
        getattr(REGISTRY, look_up)("nothing")


def test_a_path_marks_arrays_maps_and_shares_a_unions_name() -> None:
    found = {leaf.path: leaf for leaf in REGISTRY.by_id(1002).leaves}

    assert found["items[].sku"].pattern == "^[A-Z0-9][A-Z0-9-]{2,31}$"
    assert found["device.cookies{}"].category == "user.device.device_id"
    assert found["payment.iban"].category == "user.financial.bank_account"
    assert found["labels[]"].avro == "string"
    assert not found["items[].sku"].nullable
    assert found["shipping_address.country"].nullable  # the whole address is optional
    assert found["channel"].avro["symbols"] == ["web", "app", "store", "phone"]
    assert len(found) == len(REGISTRY.by_id(1002).leaves)


def test_a_field_with_no_tag_or_several_has_no_category() -> None:
    field: dict[str, Any] = {"name": "a", "type": "string"}
    for tags in ([], ["user.name", "system"], "user.name"):
        avro = {"type": "record", "name": "R", "fields": [field | {"confluent:tags": tags}]}

        assert [leaf.category for leaf in leaves(avro)] == [""]


def test_branches_that_disagree_on_a_path_are_refused() -> None:
    branches = [
        {"type": "record", "name": name, "fields": [{"name": "x", "type": kind}]}
        for name, kind in (("A", "string"), ("B", "int"))
    ]
    avro = {"type": "record", "name": "R", "fields": [{"name": "a", "type": branches}]}

    with pytest.raises(SetupError, match=r"branches disagree on a\.x"):
        leaves(avro)


def test_a_shared_type_is_written_out_once_and_named_after() -> None:
    types = {"t.A": {"type": "record", "name": "A", "namespace": "t", "fields": []}}
    fields = [{"name": "one", "type": "t.A"}, {"name": "two", "type": ["null", "t.A"]}]
    avro = {"type": "record", "name": "R", "namespace": "n", "fields": fields}

    one, two = resolve(avro, types, "R.avsc")["fields"]

    assert one["type"] == types["t.A"]
    assert two["type"] == ["null", "t.A"]


def test_a_type_may_stand_in_an_object_of_its_own() -> None:
    types = {"t.A": {"type": "fixed", "name": "A", "namespace": "t", "size": 2}}
    wrapped = [{"type": "t.A", "doc": "x"}, {"type": {"type": "int"}}, {"type": ["null", "t.A"]}]
    fields = [{"name": f"f{n}", "type": avro} for n, avro in enumerate(wrapped)]

    made = resolve({"type": "record", "name": "R", "fields": fields}, types, "R.avsc")

    types_made = [one["type"] for one in made["fields"]]
    assert types_made == [types["t.A"], {"type": "int"}, ["null", "t.A"]]
    assert [leaf.path for leaf in leaves(made)] == ["f0", "f1", "f2"]


@pytest.mark.parametrize(
    ("avro", "words"),
    [
        ({"type": 7}, "neither a name"),
        ("t.Missing", "is unknown"),
        ("t.Loop", "contains itself"),
        ({"items": "int"}, "neither a name"),
        (7, "neither a name"),
    ],
)
def test_types_that_cannot_be_resolved_are_refused(avro: Any, words: str) -> None:
    loop = {"name": "again", "type": ["null", "t.Loop"]}
    types = {"t.Loop": {"type": "record", "name": "Loop", "namespace": "t", "fields": [loop]}}
    schema = {"type": "record", "name": "R", "fields": [{"name": "a", "type": avro}]}

    with pytest.raises(SetupError, match=words):
        resolve(schema, types, "R.avsc")


def test_the_digest_covers_tags_and_not_the_order_of_keys() -> None:
    one = {"type": "record", "name": "R", "fields": [{"name": "a", "confluent:tags": ["system"]}]}
    same = dict(reversed(one.items()))
    other = json.loads(json.dumps(one).replace("system", "user"))

    assert digest(one) == digest(same) != digest(other)


def test_a_file_that_differs_from_its_pin_does_not_load(folder: Path) -> None:
    file = folder / "raw/OrderCancelled.v1.avsc"
    file.write_text(file.read_text().replace("user.content.private", "system.operations"))

    with pytest.raises(SetupError, match=r"OrderCancelled.v1.avsc: not what ids.toml pins"):
        load_registry(folder)


def test_a_file_without_a_pin_does_not_load(folder: Path) -> None:
    shutil.copy(folder / "raw/OrderPlaced.v1.avsc", folder / "raw/OrderPlaced.v9.avsc")

    with pytest.raises(SetupError, match=r"no row for raw/OrderPlaced.v9.avsc"):
        load_registry(folder)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("id = 1002", "id = 1001", "OrderPlaced.v2.avsc"),
        ("raw/OrderPlaced.v2", "raw/Gone.v2", "Gone.v2.avsc"),
        ("version = 2\n", "", "a row has id, subject, version, file, digest"),
        ("id = 1002", 'id = "1002"', "a row has id"),
        ("[[schema]]", "[[", "ids.toml: not readable"),
    ],
)
def test_pins_that_are_wrong_do_not_load(folder: Path, old: str, new: str, words: str) -> None:
    ids = folder.parent / "ids.toml"
    ids.write_text(ids.read_text().replace(old, new, 1))

    with pytest.raises(SetupError, match=words):
        load_registry(folder)


def test_a_file_that_is_not_json_is_named(folder: Path) -> None:
    (folder / "raw/OrderChanged.v1.avsc").write_text("{")

    with pytest.raises(SetupError, match=r"OrderChanged.v1.avsc: not readable"):
        load_registry(folder)


def test_loading_is_quick_enough_for_a_command_line() -> None:
    load_registry.cache_clear()
    start = time.perf_counter()

    registry = load_registry()

    assert isinstance(registry, Registry)
    assert time.perf_counter() - start < 1.0  # 9 ms measured; slack for a busy machine
