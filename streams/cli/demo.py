"""``homeport demo``: the whole line on real parts, and the proof that it worked."""

import secrets
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from residency.regions import load_regions
from streams.cli import EXIT_WRONG
from streams.cli.options import home_option, inference_option, json_option
from streams.cli.processes import org_page
from streams.cli.stack import parse_regions

if TYPE_CHECKING:
    from streams.demo.observe import Counts
    from streams.demo.run import Outcome


@click.command()
@click.option("--events", type=click.IntRange(1, 1_000_000), default=2_000, show_default=True)
@click.option(
    "--regions",
    default=",".join(load_regions()),
    show_default=True,
    callback=parse_regions,
    help="Which regions to run, separated by commas.",
)
@click.option("--keep", is_flag=True, help="Leave the processes running; end with `down`.")
@click.option("--seed", type=int, help="Repeat a run's customers; default: fresh ones.")
@inference_option
@home_option
@json_option
def demo(  # noqa: PLR0913, one parameter per option
    *,
    events: int,
    regions: tuple[str, ...],
    keep: bool,
    seed: int | None,
    without_inference: bool,
    home: Path,
    as_json: bool,
) -> None:
    """Run the whole line on real parts and prove it.

    Starts a Kafka, a PostgreSQL and a model server per region and a Salesforce-compatible org,
    publishes synthetic events through the gateways, waits until all is settled, then shows
    what came of each and the evidence: the org read back, a search for leaks in everything
    that left, every ledger verified. HOME must be idle; its state stays there to look at.
    The first run installs vLLM (2.7 GB), and each region's model server takes 3 GB of memory:
    choose fewer regions, or go without labels.

    Exit code 1 if a count does not add up, a canary leaked or a ledger does not verify.

    \b
    Examples:
      homeport demo
      homeport demo --events 200 --regions eu,uk --json
      homeport demo --without-inference
      homeport demo --keep && homeport status && homeport down
    """
    from streams.cli.watch import Watch  # noqa: PLC0415, rich is slow to import
    from streams.demo.run import Demo  # noqa: PLC0415, so are Kafka and the stack

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with Watch(events) as watch:
        chosen = secrets.randbits(32) if seed is None else seed
        outcome = Demo(
            home.absolute(),
            regions,
            events,
            chosen,
            keep,
            watch.step,
            watch.stages,
            with_inference=not without_inference,
        ).run()
    if as_json:
        click.echo(orjson.dumps({**outcome.to_json(), "seed": chosen}).decode())
    else:
        _tell(outcome, chosen, home)
    sys.exit(EXIT_WRONG if outcome.problems() else 0)


def _tell(outcome: "Outcome", seed: int, home: Path) -> None:
    from rich.console import Console  # noqa: PLC0415, slow to import
    from rich.table import Table  # noqa: PLC0415

    from connectors.embedded.stack import Stack  # noqa: PLC0415, so is this

    console = Console()
    told = outcome.to_json()
    table = Table("records", *outcome.regions, "all", title="What became of every record")
    columns = [_numbers(counts) for counts in outcome.regions.values()]
    for name in _NAMES:
        found = [column[name] for column in columns]
        table.add_row(name, *(str(n) for n in (*found, sum(found))))
    console.print(table)
    lines = {
        "events": f"{told['published']} published = {told['refused']} refused"
        f" + {told['duplicates_dropped']} dropped as duplicate + {told['raw']} raw",
        "records": f"{told['minimal']} minimal = {told['delivered']} delivered"
        f" + {told['superseded']} superseded + {told['rejected']} rejected"
        f" + {told['gate_refused']} gate-refused",
        "org": f"{told['rows']} rows read back, {told['duplicates']} surplus",
        "labels": f"{told['labelled']} answers to {told['label_requests']} requests,"
        f" {told['rows_with_labels']} rows have labels"
        if outcome.with_inference
        else f"{told['label_requests']} requests wait in their regions: no model servers ran",
        "leaks": f"{told['leaks_found']} found; {told['canaries']} canaries looked for in"
        f" {told['searched_bytes'] / 1e6:.1f} MB, the search found all it had planted"
        if not outcome.blind
        else "the search is blind in places",
        "time": f"{told['seconds']} s, {told['setup_seconds']} of them starting; seed {seed}",
    }
    lines["look at it"] = org_page(home, Stack(home).status())
    for region, report in outcome.ledgers.items():
        state = "verifies" if report.verified else "DOES NOT VERIFY"
        lines[f"ledger {region}"] = f"{state}: {report.size} leaves, {home}/{region}/ledger"
    for name, line in lines.items():
        console.print(f"[bold]{name:<10}[/] {line}", highlight=False, soft_wrap=True)
    for problem in outcome.problems():
        console.print(f"[red]wrong[/]      {problem}", highlight=False)
    console.print("[green]It all adds up.[/]" if not outcome.problems() else "[red]It does not.[/]")


_NAMES = (
    "raw", "with records", "nothing", "quarantined", "minimal",
    "delivered", "superseded", "rejected", "gate-refused",
)  # fmt: skip


def _numbers(counts: "Counts") -> Mapping[str, int]:
    border, results = counts.border, counts.results
    values = (
        counts.raw, border.sent, border.nothing, border.quarantined, counts.minimal,
        results.get("accepted", 0), results.get("superseded", 0),
        results.get("rejected", 0), results.get("gate-refused", 0),
    )  # fmt: skip
    return dict(zip(_NAMES, values, strict=True))
