"""``schema check``: plant one fault in a copy of the schemas and see it named.

The untouched copy has no problem, so that each test can only pass for its own fault.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from schemas.check import Problem, find_problems
from schemas.fieldcheck import categories, is_anchored
from schemas.registry import AVRO_FOLDER
from schemas.resolve import digest, read_avsc, read_types, resolve
from streams.cli.schema import schema as command

CANCELLED = "raw/OrderCancelled.v1.avsc"
PLACED_2 = "raw/OrderPlaced.v2.avsc"
LINE_ITEM = "types/LineItem.avsc"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the avro folder with its ids beside it."""
    shutil.copy(AVRO_FOLDER.parent / "ids.toml", tmp_path)
    return Path(shutil.copytree(AVRO_FOLDER, tmp_path / "avro"))


def edit(folder: Path, file: str, change: Callable[[dict[str, Any]], None]) -> None:
    schema = json.loads((folder / file).read_text())
    change(schema)
    (folder / file).write_text(json.dumps(schema))


def field(schema: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(f for f in schema["fields"] if f["name"] == name)
    return found


def repin(folder: Path) -> None:
    """Pin every file as it is now: hides a changed digest, so that other faults show alone."""
    types, ids = read_types(folder), folder.parent / "ids.toml"
    blocks = ids.read_text().split("\n\n")
    for at, block in enumerate(blocks):
        if 'file = "' in block and (folder / block.split('file = "')[1].split('"')[0]).exists():
            file = block.split('file = "')[1].split('"')[0]
            now = digest(resolve(read_avsc(folder / file), types, file))
            old = block.split('digest = "')[1].split('"')[0]
            blocks[at] = block.replace(old, now)
    ids.write_text("\n\n".join(blocks))


def named(folder: Path, file: str, path: str | None, words: str) -> bool:
    """Return whether just this problem is found."""
    problems = find_problems(folder)
    return [(p.file, p.path) for p in problems] == [(file, path)] and words in problems[0].text


def test_the_schemas_as_they_are_have_no_problem(folder: Path) -> None:
    assert find_problems(folder) == ()
    assert find_problems() == ()


SKU = "^[A-Z0-9][A-Z0-9-]{2,31}$"
FIELD_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "untagged": ({"confluent:tags": None}, "has no tag"),
    "no tag in the list": ({"confluent:tags": []}, "has no tag"),
    "two tags": ({"confluent:tags": ["user.name", "system"]}, "exactly one category"),
    "tag as a string": ({"confluent:tags": "user.name"}, "exactly one category"),
    "unknown category": ({"confluent:tags": ["user.shoe_size"]}, "'user.shoe_size' is unknown"),
    "open pattern": ({"homeport.pattern": SKU[:-1]}, "does not hold the whole string"),
    "two ways out": ({"homeport.pattern": "^a|b$"}, "does not hold the whole string"),
    "not a pattern": ({"homeport.pattern": "^[A-$"}, "is not an RE2 expression"),
    "look-ahead": ({"homeport.pattern": "^(?=a)b$"}, "does not hold the whole string"),
    "back reference": ({"homeport.pattern": r"^(a)\1$"}, "is not an RE2 expression"),
}


@pytest.mark.parametrize(("change", "words"), FIELD_FAULTS.values(), ids=FIELD_FAULTS)
def test_a_fault_in_a_shared_field_is_named_in_its_own_file(
    folder: Path, change: dict[str, Any], words: str
) -> None:
    def plant(schema: dict[str, Any]) -> None:
        found = field(schema, "sku")
        found.update(change)
        if found["confluent:tags"] is None:
            del found["confluent:tags"]

    edit(folder, LINE_ITEM, plant)
    repin(folder)

    problems = find_problems(folder)

    assert {(p.file, p.path) for p in problems} == {(LINE_ITEM, "sku")}
    assert any(words in p.text for p in problems)


TYPE_FAULTS: dict[str, tuple[Any, str, str]] = {
    "untagged field of an inline record": (
        {"type": "record", "name": "X", "fields": [{"name": "y", "type": "string"}]},
        "note.y",
        "has no tag",
    ),
    "map of records": (
        {"type": "map", "values": "commerce.types.Money"},
        "note",
        "keys of a map of records",
    ),
    "unknown logical type": ({"type": "int", "logicalType": "time-millis"}, "note", "time-millis"),
    "logical type on another base": ({"type": "int", "logicalType": "uuid"}, "note", "'uuid'"),
    "decimal too wide": (
        {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 2},
        "note",
        "1 to 18 digits",
    ),
    "branches alike": (
        [
            "commerce.types.Money",
            {
                "type": "record",
                "name": "Price",
                "fields": [
                    {"name": n, "type": "int", "confluent:tags": ["system"]}
                    for n in ("amount", "currency")
                ],
            },
        ],
        "note",
        "have the same fields",
    ),
}


@pytest.mark.parametrize(("avro", "path", "words"), TYPE_FAULTS.values(), ids=TYPE_FAULTS)
def test_a_type_we_do_not_read_is_named(folder: Path, avro: Any, path: str, words: str) -> None:
    holds_records = "record" in json.dumps(avro) or "Money" in json.dumps(avro)
    tags = {} if holds_records else {"confluent:tags": ["user.content.private"]}
    edit(
        folder,
        CANCELLED,
        lambda schema: field(schema, "note").update(
            {"type": avro, "default": None} | ({} if tags else {"confluent:tags": []})
        ),
    )
    repin(folder)

    problems = find_problems(folder)

    assert any((p.file, p.path) == (CANCELLED, path) and words in p.text for p in problems)


def test_a_tag_on_a_record_is_refused(folder: Path) -> None:
    edit(folder, CANCELLED, lambda s: field(s, "totals").update({"confluent:tags": ["user.name"]}))
    repin(folder)

    assert named(folder, CANCELLED, "totals", "a record carries no tag")


def test_a_default_that_json_cannot_write_is_refused(folder: Path) -> None:
    edit(folder, CANCELLED, lambda s: field(s, "cancelled_at").update({"default": 7}))
    repin(folder)

    assert named(folder, CANCELLED, "cancelled_at", "default that JSON cannot write")


def test_a_schema_changed_under_its_pinned_id_is_named(folder: Path) -> None:
    edit(folder, CANCELLED, lambda s: s.update({"doc": "Another."}))

    assert named(folder, CANCELLED, None, "changed under pinned id 1004")


def test_a_changed_shared_type_is_named_for_every_event_that_uses_it(folder: Path) -> None:
    edit(folder, "types/InvoicePayment.avsc", lambda s: s.update({"doc": "Another."}))

    problems = find_problems(folder)

    assert {p.file.split(".")[0] for p in problems} == {
        "raw/OrderPlaced",
        "raw/OrderChanged",
        "raw/OrderRefunded",
    }


def test_a_changed_id_is_named(folder: Path) -> None:
    edit(folder, CANCELLED, lambda s: s.update({"homeport.schema-id": 1099}))

    assert named(folder, CANCELLED, None, "changed its id from 1004 to 1099")


def test_a_file_without_its_id_is_named(folder: Path) -> None:
    edit(folder, CANCELLED, lambda s: s.pop("homeport.schema-id"))

    assert named(folder, CANCELLED, None, "does not say its id")


def test_a_renamed_event_is_named(folder: Path) -> None:
    edit(folder, CANCELLED, lambda s: s.update({"name": "OrderStopped"}))

    assert any("changed its name" in p.text for p in find_problems(folder))


def test_an_id_used_twice_is_named(folder: Path) -> None:
    ids = folder.parent / "ids.toml"
    ids.write_text(ids.read_text().replace("id = 1005", "id = 1004"))
    edit(folder, "raw/OrderRefunded.v1.avsc", lambda s: s.update({"homeport.schema-id": 1004}))

    problems = find_problems(folder)

    assert any(p.file == "ids.toml" and "id 1004 has 2 rows" in p.text for p in problems)
    assert any(p.file == "raw/OrderRefunded.v1.avsc" and "same id" in p.text for p in problems)


def test_a_file_without_a_pin_is_named_with_what_to_write(folder: Path) -> None:
    shutil.copy(folder / CANCELLED, folder / "raw/OrderCancelled.v2.avsc")
    edit(folder, "raw/OrderCancelled.v2.avsc", lambda s: s.update({"homeport.schema-id": 1012}))

    assert named(folder, "raw/OrderCancelled.v2.avsc", None, "add a row to ids.toml with digest")


def test_a_pin_without_a_file_is_named(folder: Path) -> None:
    (folder / CANCELLED).unlink()

    assert named(folder, "ids.toml", None, "id 1004 pins raw/OrderCancelled.v1.avsc")


def test_versions_count_up_from_one(folder: Path) -> None:
    ids = folder.parent / "ids.toml"
    ids.write_text(ids.read_text().replace("version = 2", "version = 3"))

    assert named(folder, "ids.toml", None, "do not count up from 1")


@pytest.mark.parametrize(
    ("plant", "path"),
    [
        (lambda s: field(s, "attributes").pop("default"), "attributes"),
        (lambda s: field(s, "order_id").update({"type": "int"}), "order_id"),
        (
            lambda s: field(s, "items").update(
                {
                    "type": {
                        "type": "array",
                        "items": {
                            "type": "record",
                            "name": "LineItem",
                            "namespace": "commerce.types",
                            "fields": [
                                {"name": "sku", "type": "int", "confluent:tags": ["system"]}
                            ],
                        },
                    }
                }
            ),
            "items[].sku",
        ),
    ],
    ids=["no default", "another type", "inside an array"],
)
def test_a_version_that_cannot_read_an_older_one_is_named(
    folder: Path, plant: Callable[[dict[str, Any]], Any], path: str
) -> None:
    edit(folder, PLACED_2, plant)
    repin(folder)

    assert named(folder, PLACED_2, path, "cannot read version 1")


def test_a_type_that_no_event_uses_is_named(folder: Path) -> None:
    edit_from = json.loads((folder / "types/Money.avsc").read_text()) | {"name": "Cash"}
    (folder / "types/Cash.avsc").write_text(json.dumps(edit_from))

    assert named(folder, "types/Cash.avsc", None, "no event uses this type")


SAME_SYMBOLS = """{"name": "a", "confluent:tags": ["system"],
"type": {"type": "enum", "name": "E", "symbols": ["b", "b"]}}"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not readable as JSON"),
        ("[]", "one JSON object"),
        ('{"type": "record", "name": "X", "fields": [{"name": "a", "type": "Nope"}]}', "'Nope'"),
        ('{"type": "record", "name": "X", "fields": [{"type": "int"}]}', "not an Avro schema"),
        ('{"type": "record", "name": "X", "fields": [' + SAME_SYMBOLS + "]}", "not an Avro schema"),
    ],
)
def test_a_file_that_is_not_a_schema_is_named(folder: Path, text: str, words: str) -> None:
    (folder / CANCELLED).write_text(text)

    problems = find_problems(folder)

    assert any(p.file == CANCELLED and words in p.text for p in problems)


def test_all_problems_are_named_at_once(folder: Path) -> None:
    edit(folder, LINE_ITEM, lambda s: field(s, "sku").pop("confluent:tags"))
    edit(folder, CANCELLED, lambda s: field(s, "note").update({"confluent:tags": ["x"]}))
    (folder / "raw/OrderChanged.v1.avsc").write_text("{")

    found = {(p.file, p.path) for p in find_problems(folder)}

    assert {(LINE_ITEM, "sku"), (CANCELLED, "note"), ("raw/OrderChanged.v1.avsc", None)} <= found


@pytest.mark.parametrize(
    ("pattern", "anchored"),
    [
        ("^[A-Z]{2}$", True),
        ("^(a|b)$", True),
        ("^(?:a|b)$", True),
        ("^[|]$", True),
        ("^[]|]$", True),
        (r"^[\]|]\|$", True),
        ("^a|b$", False),
        (r"^a\$", False),
        ("a$", False),
        ("^a", False),
        ("(?m)^a$", False),
        ("^(?m:a)$", False),
        ("", False),
    ],
)
def test_an_anchored_pattern_leaves_no_way_around(pattern: str, anchored: bool) -> None:
    assert is_anchored(pattern) is anchored


def test_the_vocabulary_is_fides_and_our_two_words() -> None:
    assert len(categories()) == 87
    assert {"user.contact.email", "user.government_id.tax_id"} <= categories()


def test_the_command_says_so_when_all_is_well() -> None:
    result = CliRunner().invoke(command, ["check", "--json"])

    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"ok": True, "problems": []}


def test_the_command_names_the_problem_and_exits_1(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = Problem("raw/X.v1.avsc", "a.b", "has no tag")
    monkeypatch.setattr("schemas.check.find_problems", lambda: (problem,))

    as_text = CliRunner().invoke(command, ["check"])
    as_json = CliRunner().invoke(command, ["check", "--json"])

    assert (as_text.exit_code, as_json.exit_code) == (1, 1)
    assert as_text.stdout == "raw/X.v1.avsc: a.b: has no tag\n"
    assert json.loads(as_json.stdout)["problems"] == [
        {"file": "raw/X.v1.avsc", "path": "a.b", "problem": "has no tag"}
    ]


@pytest.mark.parametrize("name", ["1002", "OrderPlaced", "commerce.orders.OrderPlaced"])
def test_a_schema_is_shown_by_id_or_name(name: str) -> None:
    result = CliRunner().invoke(command, ["show", name, "--json"])

    shown = json.loads(result.stdout)
    assert (shown["id"], shown["version"]) == (1002, 2)
    assert {"path": "items[].sku", "nullable": False}.items() <= next(
        leaf for leaf in shown["leaves"] if leaf["path"] == "items[].sku"
    ).items()


def test_a_schema_that_is_not_there_is_a_usage_error() -> None:
    assert CliRunner().invoke(command, ["show", "Nothing"]).exit_code == 2
