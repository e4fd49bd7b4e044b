"""When a worker ends what its predecessor left open; on a real broker in tests/integration."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from connectors.kafka.config import KafkaConfig
from streams import app, fence, services, settings
from streams.cli.worker import worker
from streams.settings import Settings


def made(service: str) -> Settings:
    return Settings("eu", service, Path("home"), KafkaConfig("127.0.0.1:1", "me", "secret"))


@pytest.mark.parametrize(
    ("service", "yields"),
    [("border", []), ("enrich", ["yielded 10"])],  # base records go first on cores that all share
)
def test_a_worker_fences_its_own_slot_before_it_loads_what_takes_time(
    service: str, yields: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    did: list[str] = []
    monkeypatch.setattr(os, "nice", lambda by: did.append(f"yielded {by}"))
    monkeypatch.setattr(settings, "load_settings", lambda *_: made(service))
    monkeypatch.setattr(fence, "fence", lambda found: did.append(f"fenced {found.slot}"))
    monkeypatch.setattr(services, "build_loop", lambda _: did.append("loaded"))
    monkeypatch.setattr(app, "run", lambda *_: did.append("ran"))

    CliRunner().invoke(worker, ["--region", "eu", "--service", service, "--slot", "3"])

    assert did == ["fenced 3", *yields, "loaded", "ran"]


@pytest.mark.parametrize("service", ["egress", "gateway"])
def test_a_service_without_transactions_fences_nobody(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fence, "transactional_producer", pytest.fail)

    fence.fence(made(service))


def test_a_broker_that_does_not_answer_does_not_stop_the_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fence, "TIMEOUT_S", 0.2)

    fence.fence(made("enrich"))

    (told,) = [one.getMessage() for one in caplog.records if one.name == "homeport.fence"]
    assert told.startswith("fencing: Kafka ")
    assert "secret" not in told
