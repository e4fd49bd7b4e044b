"""Somebody hears of a record that waits for long, once, and how many wait is always said."""

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.postgres.parked import Waiting
from residency.telemetry.setup import telemetry
from streams.cli.processes import NOTHING, parked_cell
from streams.parkwatch import ParkWatch

NOW = datetime(2026, 11, 23, 16, 40, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def points(folder: Path) -> dict[str, list[Any]]:
    """Return what was exported last of each metric."""
    last = (folder / "egress-metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    (resource,) = json.loads(last)["resource_metrics"]
    metrics = (m for scope in resource["scope_metrics"] for m in scope["metrics"])
    return {m["name"]: [p["value"] for p in m["data"]["data_points"]] for m in metrics}


def test_one_alert_for_each_oldest_record_past_the_bound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signals = telemetry("egress", "eu", tmp_path, {})
    watch = ParkWatch(signals.recorder, alarm_s=60)

    for age in (0.5, 2, 3, 4):  # minutes; the last is of another record
        watch.look(Waiting(7, NOW - age * MINUTE if age > 3 else NOW), NOW + age * MINUTE)
        watch.look(Waiting(7, NOW - age * MINUTE if age > 3 else NOW), NOW + age * MINUTE)
    signals.shutdown()

    found = points(tmp_path)
    assert found["homeport.alerts"] == [2]
    assert found["homeport.parked"] == [7]
    assert found["homeport.parked.age"] == [480]
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert [text.partition(";")[0] for text in warnings] == [
        "7 records are parked, the oldest for 120 s",
        "7 records are parked, the oldest for 480 s",
    ]


def test_the_health_page_says_how_many_and_since_when(tmp_path: Path) -> None:
    signals = telemetry("egress", "eu", tmp_path, {})
    watch = ParkWatch(signals.recorder, alarm_s=60)

    before = watch.health()
    watch.look(Waiting(3, NOW), NOW + MINUTE)
    during = watch.health()
    watch.look(Waiting(), NOW + MINUTE)
    signals.shutdown()

    assert before == watch.health() == {"parked": 0, "parked_since": None}
    assert during == {"parked": 3, "parked_since": "2026-11-23T16:40:00+00:00"}
    assert parked_cell(before) == "0"
    assert parked_cell(during) == "3 since 2026-11-23T16:40:00+00:00"
    assert parked_cell({}) == "-"
    assert NOTHING == {"lag": None, "parked": None, "parked_since": None}
