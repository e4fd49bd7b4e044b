"""Egress's own database and folder, empty for each test."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from egress_world import World

from connectors.embedded.stack import Stack


@pytest.fixture
def dsn(stack: Stack) -> Iterator[str]:
    """Egress's own database, emptied."""
    file = stack.home / "eu" / "services" / "egress.json"
    found = json.loads(file.read_text())["postgres"]["dsn"]
    drop = "DROP TABLE IF EXISTS ledger_index, expected_rows, parked_records"
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute(drop)
    yield found
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute(drop)


@pytest.fixture
def world(tmp_path: Path, dsn: str) -> World:
    return World(tmp_path / "ledger", dsn)
