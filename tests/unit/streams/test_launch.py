"""What a stack starts with model servers and without, and what their clients are told."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import TypeAdapter

from connectors.embedded.launch import MODEL_STAGE, write_models
from connectors.embedded.services import port_names
from inference.config import InferenceConfig, ServerConfig
from inference.lock import hash_folder
from streams import models
from streams.cli.infer import infer
from streams.launch import launch

PORTS = {name: 20_000 + n for n, name in enumerate(port_names(["eu", "uk"]))}


def test_each_region_gets_a_model_server_that_stops_after_its_clients(tmp_path: Path) -> None:
    specs = launch(tmp_path, with_inference=True).specs(["eu", "uk"], PORTS)

    found = {spec.name: spec for spec in specs}
    server, client = found["eu-inference"], found["eu-enrich"]
    assert "uk-inference" in found
    assert server.stage == MODEL_STAGE < client.stage
    assert server.argv[-6:] == ("infer", "up", "--region", "eu", "--home", str(tmp_path))
    assert server.ready_url == f"http://127.0.0.1:{PORTS['eu-inference']}/health"
    assert server.stop_timeout_s > 20 + 10  # what is in flight, and then vLLM's own end


def test_without_them_who_asks_them_does_not_run_either(tmp_path: Path) -> None:
    specs = launch(tmp_path).specs(["eu"], PORTS)

    assert {"eu-inference", "eu-enrich"}.isdisjoint(spec.name for spec in specs)
    assert "eu-border" in {spec.name for spec in specs}


@pytest.mark.parametrize("is_awaited", [True, False])
def test_a_demo_does_not_wait_for_models_before_its_base_records(
    tmp_path: Path, *, is_awaited: bool
) -> None:
    start = launch(tmp_path, with_inference=True, is_model_awaited=is_awaited)

    specs = {spec.name: spec for spec in start.specs(["eu"], PORTS)}

    assert bool(specs["eu-inference"].ready_s) is is_awaited
    assert specs["eu-border"].ready_s > 0


def test_server_and_client_of_a_region_are_told_of_the_same_model_and_socket(
    tmp_path: Path,
) -> None:
    start = launch(tmp_path, with_inference=True)

    clients = write_models(tmp_path, ["eu"], PORTS, start.model)

    told = json.loads((tmp_path / "eu/services/inference.json").read_text("utf-8"))
    server = TypeAdapter(ServerConfig).validate_python(told)
    client = TypeAdapter(InferenceConfig).validate_python(clients["eu-enrich"])
    assert client.uds == server.uds
    assert client.model.startswith(f"{server.model}@")
    assert server.health_port == PORTS["eu-inference"]
    assert (tmp_path / "eu/services/inference.json").stat().st_mode & 0o077 == 0


def test_a_file_that_an_operator_wrote_is_left_as_it_is(tmp_path: Path) -> None:
    models.ensure_server_file(tmp_path, "eu")
    path = models.server_file(tmp_path, "eu")
    path.write_text("{}", encoding="utf-8")

    models.ensure_server_file(tmp_path, "eu")

    assert path.read_text("utf-8") == "{}"


def test_tables_that_are_printed_for_the_lock_pin_the_model(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights.safetensors").write_bytes(b"weights")
    options = ["--name", "instruct", "--engine", "generate", "--version", "0.33.0"]

    printed = CliRunner().invoke(infer, ["lock", str(model), *options])

    assert printed.exit_code == 0
    assert '[instruct]\nengine = "generate"\npackage = "vllm"' in printed.output
    (digest,) = hash_folder(model).values()
    assert f'"weights.safetensors" = "{digest}"' in printed.output


def test_status_of_a_home_without_model_servers_says_so_and_how_to_get_one(tmp_path: Path) -> None:
    result = CliRunner().invoke(infer, ["status", "--home", str(tmp_path), "--json"])

    assert "homeport up" in str(result.exception)


def test_status_of_a_server_that_is_down_is_wrong_and_json(tmp_path: Path) -> None:
    models.ensure_server_file(tmp_path, "eu")

    result = CliRunner().invoke(infer, ["status", "--home", str(tmp_path), "--json"])

    (row,) = json.loads(result.stdout)["servers"]
    assert (result.exit_code, row["state"], row["canary_s"]) == (1, "down", None)
