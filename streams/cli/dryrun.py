"""``homeport dry-run``: what would leave, without Kafka or network."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click
import orjson

from residency.keys import token_keys
from streams.cli.options import home_option, region_option
from streams.dryrun import DryRun


@click.command("dry-run")
@region_option
@home_option
@click.argument("events", type=click.File("rb"), default="-")
def dry_run(region: str, home: Path, events: BinaryIO) -> None:
    """Say what would leave REGION of the events in a file or on standard input.

    One CloudEvent per line in, one JSON object per line out, in order: the minimal
    records, the action of every field, and why a record would be quarantined. Keys are
    made in HOME on first use and kept, so two runs give the same tokens. Exit code 0 if
    it ran.

    \b
    Example:
      echo '{"type": "commerce.orders.OrderPlaced", "data": {...}}' |
        homeport dry-run --region eu
    """
    runner = DryRun.load(
        region, token_keys(home / region / "keys", region), datetime.now(UTC).date()
    )
    for answer in runner.answers(events):
        sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
        sys.stdout.buffer.flush()
