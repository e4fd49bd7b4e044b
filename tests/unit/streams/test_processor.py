"""Processors are found by their files, and `homeport processors` says what they are."""

import hashlib
import json
import random
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from inference.tasks import load_tasks
from residency.contracts.model import Contract
from residency.contracts.read import load_contract
from residency.gate import Gate
from residency.keys import TokenKeys
from residency.plan.book import PlanBook, compile_all
from schemas.codec import decode_physical, encode
from schemas.errors import SetupError
from schemas.events import Coordinates, RawEvent
from schemas.plainjson import from_plain
from schemas.registry import load_registry
from streams.demo.generate import Shop
from streams.processor import FOLDER, discover, load
from streams.processors.coarsen_london import coarsen_london

TOP = Path(__file__).parents[3]
AREA = "Ship_Postcode_Area__c"
ON = date(2026, 11, 23)
REGISTRY = load_registry()


def test_every_file_of_the_folder_is_found_by_its_name_and_digest() -> None:
    found = discover()

    assert "coarsen_london" in found
    for name, one in found.items():
        file = FOLDER / f"{name}.py"
        assert one.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        assert one.doc.endswith(".")


@pytest.mark.parametrize(
    ("area", "coarse"),
    [
        ("SW1A", "SW1"),
        ("W1A", "W1"),
        ("EC2M", "EC2"),
        ("B33", "B33"),
        ("M1", "M1"),
        ("10", "10"),
        ("unknown", "unknown"),
        (None, None),
    ],
)
def test_coarsen_london_cuts_the_letter_behind_a_district(
    area: str | None, coarse: str | None
) -> None:
    assert {AREA: area, **coarsen_london({AREA: area})} == {AREA: coarse}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raise ValueError('secret')", "ValueError as it is imported"),
        ("def draft(fields): return fields", "one @processor function, called draft"),
        ("", "one @processor function, called draft"),
    ],
)
def test_a_file_that_is_no_processor_is_a_set_up_error(
    text: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "draft.py").write_text(text, encoding="utf-8")
    (tmp_path / "_helper.py").write_text("1/0", encoding="utf-8")

    with pytest.raises(SetupError, match=rf"draft\.py: .*{told}"):
        discover(tmp_path)


def test_what_a_contract_names_reaches_the_record_and_passes_the_gate(tmp_path: Path) -> None:
    """From a contract line to the bytes: nothing to register in between."""
    processors = discover()
    plans = compile_all(
        "uk", ON, contract=_with("coarsen_london"), processors=processors, tasks=load_tasks()
    )
    keys = TokenKeys("uk", b"i" * 32, b"a" * 32)
    book = PlanBook("uk", {p.schema_id: p for p in plans}, keys, REGISTRY, processors)
    approved = tmp_path / "approved.toml"
    approved.write_text(
        "".join(
            f'[[plan]]\nregion = "uk"\nsubject = "{p.subject}"\nschema_id = {p.schema_id}\n'
            f'digest = "{p.digest}"\n'
            for p in plans
        )
    )
    schema = REGISTRY.latest("commerce.orders.OrderPlaced")
    events = Shop(random.Random(3), ["uk"]).publications(40)
    data = next(e.data for e in events if e.type == schema.subject and e.trap is None)
    data["shipping_address"] |= {"postal_code": "SW1A 1AA", "country": "GB"}
    value = encode(schema, from_plain(schema, data))
    at = Coordinates("uk.commerce.orders.v1", 0, 7)

    (record,) = book.minimise(RawEvent(at, "topic-id", 1, value)).records

    assert decode_physical(REGISTRY, record.value)[1][AREA] == "SW1"
    assert Gate.load("uk", approved).check(record)[AREA] == "SW1"


def _with(name: str) -> Contract:
    contract = load_contract()
    subject = "commerce.orders.OrderPlaced"
    (order,) = contract.outputs[subject]
    changed = {subject: (replace(order, processors=(name,)),)}
    return Contract({**contract.outputs, **changed}, contract.nothing)


def run(*argv: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streams.cli", "processors", *map(str, argv)],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_list_is_one_json_document() -> None:
    done = run("--json")

    told: list[dict[str, Any]] = json.loads(done.stdout)
    (row,) = (row for row in told if row["name"] == "coarsen_london")
    assert row["sha256"] == load(FOLDER / "coarsen_london.py").sha256
    assert (row["object"], row["writes"]) == ("Commerce_Order__c", [AREA])
    assert (done.returncode, done.stderr) == (0, "")


def test_the_check_names_the_problem_and_exits_with_1(tmp_path: Path) -> None:
    file = tmp_path / "draft.py"
    file.write_text("import time\n", encoding="utf-8")

    done, told = run("check", file), run("check", file, "--json")

    assert (done.returncode, told.returncode) == (1, 1)
    assert "draft.py:1: imports time" in done.stdout
    assert json.loads(told.stdout)["ok"] is False


def test_the_shipped_ones_pass_the_check_and_an_unknown_name_is_usage() -> None:
    fine, unknown = run("check"), run("check", "nope")

    assert (fine.returncode, fine.stdout) == (0, "")
    assert unknown.returncode == 2
    assert "have coarsen_london" in unknown.stderr
