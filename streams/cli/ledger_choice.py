"""Which ledger a command is about: a region's own, or a copy and a key got elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from residency.ledger.errors import FormatError, LedgerError
from residency.ledger.note import Checkpoint, Verifier
from residency.ledger.reader import Reader, open_head, parse_vkey_file
from residency.regions import load_regions
from schemas.errors import SetupError
from schemas.events import RecordId
from streams.cli.options import home_option

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Chosen:
    """The ledger a command is about, and the key to check it with."""

    reader: Reader
    log: Verifier | None

    def head(self) -> tuple[Checkpoint, Verifier]:
        """Return the checkpoint, its signature checked, and the key that checked it."""
        log = self.log or self.reader.verifier()
        return open_head(self.reader, log), log


def choose(home: Path, region: str | None, folder: Path | None, vkey: Path | None) -> Chosen:
    """Return the ledger that the selectors name.

    Raises:
        click.UsageError: They name none, or two.
        SetupError: There is no ledger there.

    """
    if (region is None) == (folder is None):
        msg = "say which ledger: --region R, or --ledger DIR --vkey FILE"
        raise click.UsageError(msg)
    if folder is not None and vkey is None:
        msg = "--ledger needs --vkey FILE: the key that lies beside a ledger proves nothing"
        raise click.UsageError(msg)
    reader = Reader(folder or home / str(region) / "ledger")
    reader.require()
    return Chosen(reader, None if vkey is None else read_vkey(vkey))


def require_leaf(leaf: int, head: Checkpoint) -> None:
    """Make sure that the ledger has this leaf.

    Raises:
        LedgerError: It has not.

    """
    if leaf >= head.size:
        msg = f"no leaf {leaf} in {head.origin}: its size is {head.size}"
        raise LedgerError(msg)


def read_vkey(path: Path) -> Verifier:
    """Return the key in *path*.

    Raises:
        SetupError: The file holds no vkey.

    """
    try:
        return parse_vkey_file(path.read_bytes())
    except FormatError as exc:
        msg = f"{path}: {exc}; a vkey file is one line like name+0a1b2c3d+base64"
        raise SetupError(msg) from exc


def parse_record(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return the name of a minimal or a raw record, as leaves write it.

    Raises:
        click.BadParameter: It is neither: no leaf can hold it, and "none found" would mislead.

    """
    del ctx
    if value is None:
        return None
    whole = value if "#" in value else f"{value}#0"
    try:
        is_name = str(RecordId.parse(whole)) == whole
    except ValueError:
        is_name = False
    if not is_name:
        msg = "a record reads topic[partition]@offset#output, a raw one topic[partition]@offset"
        raise click.BadParameter(msg, param=param)
    return value


def selectors(command: F) -> F:
    """Add the options that say which ledger."""
    options = (
        click.option(
            "--region", type=click.Choice(list(load_regions())), help="The ledger of this region."
        ),
        home_option,
        click.option(
            "--ledger",
            "folder",
            type=click.Path(file_okay=False, path_type=Path),
            help="A ledger folder, such as a copy; needs --vkey.",
        ),
        vkey_option(required=False),
    )
    for option in reversed(options):
        command = option(command)
    return command


def vkey_option(*, required: bool) -> Callable[[F], F]:
    """Return the ``--vkey`` option."""
    return click.option(
        "--vkey",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        required=required,
        help="The log's public key, one line, got from a trusted place.",
    )
