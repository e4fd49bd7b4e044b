"""What each process of an embedded stack may know: promise 6, file by file."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from connectors.embedded.services import (
    port_names,
    seals_raw,
    service_file,
    set_seal_raw,
    write_services,
)
from connectors.embedded.stack import Stack
from connectors.embedded.state import ProcessStatus
from schemas.errors import SetupError
from streams.cli.stack import up
from streams.settings import load_settings

REGIONS = ("eu", "us")


def written(home: Path, region: str) -> dict[str, Any]:
    ports = {name: 10_000 + n for n, name in enumerate(port_names(REGIONS))}
    write_services(home, REGIONS, ports, {})
    found: dict[str, Any] = json.loads(service_file(home, region, "gateway").read_text())
    return found


def test_a_gateway_has_a_way_to_its_database_only_where_it_seals(tmp_path: Path) -> None:
    before = written(tmp_path, "eu")
    set_seal_raw(tmp_path, "eu", is_on=True)
    sealing, other = written(tmp_path, "eu"), written(tmp_path, "us")
    again = written(tmp_path, "eu")
    settings = load_settings(tmp_path, "eu", "gateway")
    set_seal_raw(tmp_path, "eu", is_on=False)

    assert before["postgres"] is None
    assert "user=gateway " in sealing["postgres"]["dsn"]
    assert again == sealing  # remembered, password and all
    assert settings.seal_raw
    assert other["postgres"] is None
    assert written(tmp_path, "eu")["postgres"] is None
    assert not load_settings(tmp_path, "eu", "gateway").seal_raw


def test_sealing_can_be_said_before_there_is_anything_else(tmp_path: Path) -> None:
    set_seal_raw(tmp_path, "us", is_on=True)

    written(tmp_path, "us")

    assert seals_raw(tmp_path, "us")
    assert not seals_raw(tmp_path, "eu")


def test_while_gateways_run_they_are_not_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = [ProcessStatus("eu-gateway", "eu", 1, "ready", 1, None, None, 0)]
    monkeypatch.setattr(Stack, "status", lambda _: running)
    given = ["--home", str(tmp_path), "--regions", "eu,us", "--seal-raw"]

    done = CliRunner().invoke(up, given)

    assert isinstance(done.exception, SetupError)
    assert "eu, us" in str(done.exception)
    assert "homeport down" in str(done.exception)
    assert not seals_raw(tmp_path, "eu")
