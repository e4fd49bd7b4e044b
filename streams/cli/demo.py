"""``homeport demo``: the whole line on real parts, and the proof that it worked."""

import secrets
import signal
import sys
from pathlib import Path

import click
import orjson

from residency.regions import load_regions
from streams.cli import EXIT_WRONG
from streams.cli.demo_told import tell
from streams.cli.options import home_option, inference_option, json_option
from streams.cli.stack import parse_regions


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
    that left, every ledger verified, and the certificates of the erasures that events asked
    for, held against ledger and org. HOME must be idle; its state stays there to look at.
    The first run installs vLLM (2.7 GB), and each region's model server takes 3 GB of memory:
    choose fewer regions, or go without labels.

    Exit code 1 if a count does not add up, a canary leaked, a ledger does not verify or an
    erasure is not what its certificate says.

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
        tell(outcome, chosen, home)
    sys.exit(EXIT_WRONG if outcome.problems() else 0)
