"""How `homeport status` shows the processes of a stack."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

if TYPE_CHECKING:
    from connectors.embedded.state import ProcessStatus

MIB = 1024 * 1024
PROBE_S = 2.0
SHOWN: Mapping[str, tuple[str, ...]] = {  # by service: what of its health page is shown
    "border": ("lag",),
    "egress": ("parked", "parked_since"),
}
NOTHING: Mapping[str, Any] = dict.fromkeys(name for names in SHOWN.values() for name in names)


def gateways(home: Path, rows: "Iterable[ProcessStatus]") -> dict[str, str]:
    """Return region -> public address of the gateways among *rows*."""
    found: dict[str, str] = {}
    for row in rows:
        if row.region is not None and row.name == f"{row.region}-gateway":
            file = home / row.region / "services" / "gateway.json"
            found[row.region] = json.loads(file.read_text(encoding="utf-8"))["gateways"][row.region]
    return found


def org_page(home: Path, rows: "Iterable[ProcessStatus]") -> str:
    """Return the commands that open the test org's pages; where it does not run, start it, too."""
    from connectors.embedded.services import ORG  # noqa: PLC0415 - heavy

    port = next((row.port for row in rows if row.name == ORG and row.pid is not None), None)
    if port is None:
        return f"homeport sandbox --home {home}, and beside it homeport sandbox page --home {home}"
    return f"homeport sandbox page --port {port} --home {home}"


def halted_lines(rows: "Iterable[ProcessStatus]") -> list[str]:
    """Return for each process that halted where it says why, and what to do then."""
    lines = []
    for row in rows:
        if row.state == "halted" and row.pid is not None:  # only egress waits, for `resume`
            step = f"see `homeport egress status --region {row.region}`"
            lines.append(f"{row.name} is halted and sends nothing: {step}")
        elif row.state == "halted":
            step = f"`homeport logs {row.name}` says why; mend that, then run `homeport up`"
            lines.append(f"{row.name} is halted: {step}")
    return lines


def health(rows: "Iterable[ProcessStatus]") -> dict[str, dict[str, Any]]:
    """Return what the health pages say that go into the table, by process that is ready.

    A border's ``lag``: how many raw records it has yet to decide. An egress's ``parked`` and
    ``parked_since``: how many records the org could not take yet, and since when the oldest waits.
    """
    opener = build_opener(ProxyHandler({}))  # a proxy from the environment cannot see 127.0.0.1
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        wanted = SHOWN.get(row.name.removeprefix(f"{row.region}-"))
        if row.state != "ready" or wanted is None:
            continue
        try:
            with opener.open(f"http://127.0.0.1:{row.port}/health", timeout=PROBE_S) as answer:
                page = json.load(answer)
                found[row.name] = {name: page[name] for name in wanted}
        except (URLError, OSError, ValueError):  # it ended between the two questions
            continue
    return found


def show_table(
    rows: "Sequence[ProcessStatus]",
    addresses: Mapping[str, str],
    pages: Mapping[str, Mapping[str, Any]],
) -> None:
    """Print a line per process, then the gateways' addresses."""
    from rich.console import Console  # noqa: PLC0415 - heavy
    from rich.table import Table  # noqa: PLC0415

    colour = {"ready": "green", "starting": "yellow", "dead": "red", "halted": "bold red"}
    table = Table(
        "process", "state", "pid", "port", "memory", "up for", "restarts", "lag", "parked", box=None
    )
    for row in rows:
        page = pages.get(row.name, {})
        table.add_row(
            row.name,
            f"[{colour[row.state]}]{row.state}[/]",
            str(row.pid or "-"),
            str(row.port or "-"),
            "-" if row.rss_bytes is None else f"{row.rss_bytes // MIB} MiB",
            "-" if row.uptime_s is None else f"{row.uptime_s:.0f} s",
            str(row.restarts),
            str(page.get("lag", "-")),
            parked_cell(page),
        )
    console = Console()
    console.print(table)
    for line in halted_lines(rows):
        console.print(line, highlight=False, soft_wrap=True)
    for region, url in addresses.items():
        console.print(f"publish {region} events to {url}/events", highlight=False)


def parked_cell(page: Mapping[str, Any]) -> str:
    """Return how many records are parked, and since when, as the table shows it."""
    if "parked" not in page:
        return "-"
    since = page["parked_since"]
    return str(page["parked"]) if since is None else f"{page['parked']} since {since}"
