"""How `homeport status` shows the processes of a stack."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

if TYPE_CHECKING:
    from connectors.embedded.state import ProcessStatus

MIB = 1024 * 1024
PROBE_S = 2.0


def gateways(home: Path, rows: "Iterable[ProcessStatus]") -> dict[str, str]:
    """Return region -> public address of the gateways among *rows*."""
    found: dict[str, str] = {}
    for row in rows:
        if row.region is not None and row.name == f"{row.region}-gateway":
            file = home / row.region / "services" / "gateway.json"
            found[row.region] = json.loads(file.read_text(encoding="utf-8"))["gateways"][row.region]
    return found


def lags(rows: "Iterable[ProcessStatus]") -> dict[str, int]:
    """Return, by name of each border that is ready, how many raw records it has yet to decide."""
    opener = build_opener(ProxyHandler({}))  # a proxy from the environment cannot see 127.0.0.1
    found: dict[str, int] = {}
    for row in rows:
        if row.state != "ready" or row.name != f"{row.region}-border":
            continue
        try:
            with opener.open(f"http://127.0.0.1:{row.port}/health", timeout=PROBE_S) as answer:
                found[row.name] = json.load(answer)["lag"]
        except (URLError, OSError, ValueError):  # it ended between the two questions
            continue
    return found


def show_table(
    rows: "Iterable[ProcessStatus]", addresses: Mapping[str, str], behind: Mapping[str, int]
) -> None:
    """Print a line per process, then the gateways' addresses."""
    from rich.console import Console  # noqa: PLC0415 - heavy
    from rich.table import Table  # noqa: PLC0415

    colour = {"ready": "green", "starting": "yellow", "dead": "red", "halted": "bold red"}
    table = Table(
        "process", "state", "pid", "port", "memory", "up for", "restarts", "lag", box=None
    )
    for row in rows:
        table.add_row(
            row.name,
            f"[{colour[row.state]}]{row.state}[/]",
            str(row.pid or "-"),
            str(row.port or "-"),
            "-" if row.rss_bytes is None else f"{row.rss_bytes // MIB} MiB",
            "-" if row.uptime_s is None else f"{row.uptime_s:.0f} s",
            str(row.restarts),
            str(behind.get(row.name, "-")),
        )
    console = Console()
    console.print(table)
    for region, url in addresses.items():
        console.print(f"publish {region} events to {url}/events", highlight=False)
