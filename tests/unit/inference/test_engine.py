"""vLLM is started so that it writes no prompt, opens no port and asks nobody."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from inference.config import InferenceConfig, ServerConfig
from inference.engine import arguments, environment
from inference.lock import LockedModel, locked
from schemas.errors import SetupError

CONFIG = ServerConfig("eu", "minilm", Path("/srv/eu"), Path("/srv/eu/run/engine.sock"))


def options(config: ServerConfig, model: LockedModel) -> dict[str, str]:
    """Return what follows each option, as vLLM reads it."""
    line = arguments(config, model, Path("/model"), "minilm@0123456789ab")
    return dict(itertools.pairwise((*line, "")))


def test_a_pooling_server_is_started_as_measured() -> None:
    found = options(replace(CONFIG, max_queued_texts=9), locked("minilm"))

    assert found["-m"] == "vllm.entrypoints.launchers.api_server.entry"
    assert found["--runner"] == "pooling"
    assert found["--dtype"] == "float32"
    assert found["--max-model-len"] == "256"
    assert found["--served-model-name"] == "minilm@0123456789ab"
    assert "--enable-server-load-tracking" in found  # a stop waits until it is 0
    assert found["--max-num-queued-reqs"] == "9"


def test_it_listens_on_a_socket_and_on_no_port() -> None:
    found = options(CONFIG, locked("minilm"))

    assert found["--uds"] == "/srv/eu/run/engine.sock"
    assert not {"--host", "--port"} & found.keys()


def test_it_has_no_access_log_and_no_pages() -> None:
    found = options(CONFIG, locked("minilm"))

    assert {"--disable-uvicorn-access-log", "--disable-fastapi-docs"} <= found.keys()
    assert not {"--enable-log-outputs", "--enable-log-requests"} & found.keys()


def test_a_generating_server_answers_in_the_shortest_json_there_is() -> None:
    found = options(CONFIG, replace(locked("minilm"), engine="generate"))

    assert '"disable_any_whitespace":true' in found["--structured-outputs-config"]
    assert "--runner" not in found


def test_nothing_of_the_callers_environment_but_its_ways_and_words_gets_in() -> None:
    caller = {"PATH": "/bin", "LANG": "C", "AWS_SECRET_ACCESS_KEY": "s", "http_proxy": "p"}

    found = environment(CONFIG, {**caller, "VLLM_SERVER_DEV_MODE": "1", "PYTHONPATH": "/evil"})

    assert caller.keys() & found.keys() == {"PATH", "LANG"}
    assert "VLLM_SERVER_DEV_MODE" not in found  # it opens pages that change weights
    assert "PYTHONPATH" not in found
    assert found["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert found["TMPDIR"] == "/srv/eu/run"


def test_a_client_knows_one_way_to_its_server() -> None:
    socket = Path("/srv/eu/run/engine.sock")

    InferenceConfig("pooling", "minilm@0123456789ab", uds=socket)
    InferenceConfig("generate", "instruct@0123456789ab", url="http://eu-vllm:8000")
    for ways in ({}, {"uds": socket, "url": "http://eu-vllm:8000"}):
        with pytest.raises(SetupError, match="either"):
            InferenceConfig("pooling", "minilm@0123456789ab", **ways)  # type: ignore[arg-type]
