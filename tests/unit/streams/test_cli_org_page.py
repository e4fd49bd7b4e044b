"""How `up` and `demo` say that the test org can be looked into."""

from pathlib import Path
from typing import Literal

from connectors.embedded.state import ProcessStatus
from streams.cli.processes import org_page

HOME = Path("there")


def process(name: str, pid: int | None, state: Literal["ready", "dead"]) -> ProcessStatus:
    return ProcessStatus(
        name=name, region=None, pid=pid, state=state, port=7120, rss_bytes=None, uptime_s=None,
        restarts=0,
    )  # fmt: skip


def test_a_running_org_is_looked_into_by_its_port() -> None:
    rows = [process("eu-kafka", 1, "ready"), process("sandbox", 2, "ready")]

    assert org_page(HOME, rows) == "homeport sandbox page --port 7120 --home there"


def test_an_org_that_does_not_run_is_started_first() -> None:
    told = org_page(HOME, [process("sandbox", None, "dead")])

    assert told.startswith("homeport sandbox --home there, and beside it")
