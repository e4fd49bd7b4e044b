"""How a command that finds a promise broken halts the region's egress, and says so."""

from pathlib import Path

import click

from schemas.errors import BreachError, HaltError
from streams.halts import By
from streams.switch import Switch


def halt_egress(
    home: Path, region: str, error: BreachError, by: By, *, leaf: int | None = None
) -> None:
    """Halt the egress of *region*, and tell the person on stderr; the command goes on."""
    try:
        halt = Switch(home / region).halt(error, by, leaf=leaf)
    except HaltError as exc:
        click.echo(f"homeport: {exc}", err=True)
        return
    since = halt.since.isoformat(timespec="seconds")
    click.echo(
        f"homeport: egress of {region} is halted since {since} ({halt.cause}); "
        f"see `homeport egress status --region {region}`",
        err=True,
    )
