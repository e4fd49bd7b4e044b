"""``homeport worker``: one service of one region, in front."""

import os
from dataclasses import replace
from pathlib import Path

import click

from streams.cli.options import home_option, region_option
from streams.services import SERVICES

# Labels may come later, base records may not: on cores that they share, the start of an enrichment
# worker, seconds of work after each crash, would make these wait.
YIELD = 10


@click.command()
@region_option
@click.option("--service", type=click.Choice(list(SERVICES)), required=True, help="Which one.")
@click.option(
    "--slot",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Which of several workers of the service: each needs its own, or they fence each other.",
)
@home_option
def worker(region: str, service: str, slot: int, home: Path) -> None:
    """Run one service of one region in front until SIGTERM or Ctrl-C.

    It reads HOME/REGION/services/SERVICE.json and nothing of any other service or region.
    Exit code 1 when it crashed: start it again, it goes on from what it committed. Exit
    code 4 when it halted, since going on could move data that must stay: read its last
    line first. Egress waits instead where a promise is broken: see `homeport egress`.
    Example: homeport worker --region eu --service border
    """
    # imported here: Faust and Kafka take half a second that --help must not pay
    from streams.fence import fence  # noqa: PLC0415
    from streams.settings import load_settings  # noqa: PLC0415

    settings = replace(load_settings(home, region, service), slot=slot)
    fence(settings)  # before all that takes time: others wait for it
    if service == "enrich":
        os.nice(YIELD)
    from streams.app import run  # noqa: PLC0415
    from streams.services import build_loop  # noqa: PLC0415

    run(settings, build_loop(settings))
