"""docs/ledger.md names every command and every field that a leaf can have."""

import json
import re
from pathlib import Path

from residency.ledger.published import SCHEMAS, kinds
from streams.cli.ledger import ledger

PAGE = (Path(__file__).parents[3] / "docs/ledger.md").read_text(encoding="utf-8")


def test_every_command_stands_in_the_table_of_commands() -> None:
    told = set(re.findall(r"^\| `(\w+)", PAGE, re.MULTILINE))

    assert set(ledger.commands) - told == set()


def test_every_field_of_every_leaf_stands_in_the_table_of_what_it_tells() -> None:
    told = {
        name
        for row in re.findall(r"^\| (`.+?) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    fields = {
        name
        for kind in kinds()
        for name in json.loads((SCHEMAS / f"{kind}.json").read_bytes())["properties"]
    }

    assert fields - told == set()
