"""``homeport keys``: a region's token keys, their rotation, and the tokens of a value."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import click
import orjson

from residency.contracts.read import load_contract
from residency.keys import TOKENS_FILE, AttributeKey, TokenKeys, rotate, token_keys
from residency.policy.packs import CENTRAL, load_destination
from residency.tokens import Tokeniser
from schemas.errors import SetupError
from schemas.registry import load_registry
from streams.cli.options import home_option, json_option, region_option

OVERLAP_DAYS = 30


@click.group()
def keys() -> None:
    """Show and rotate a region's token keys, and look tokens up.

    Attribute tokens (of an e-mail address, say) come from a key that is rotated. External
    ids come from the identity key, which scheduled rotation leaves alone. No command
    prints a key. docs/tokens.md has the whole of it.
    """


@keys.command()
@region_option
@home_option
@json_option
def show(region: str, home: Path, *, as_json: bool) -> None:
    """Show the versions of a region's token keys, and until when the older ones overlap.

    Example: homeport keys show --region eu
    """
    found, now = _keys(home, region), datetime.now(UTC)
    if as_json:
        click.echo(orjson.dumps(_told(found, now)).decode())
        return
    click.echo(f"{region}: identity key version {found.identity_version}, not rotated on schedule")
    for key in found.versions:
        since = f"since {_day(key.valid_from)}" if key.valid_from else "since the keyring was made"
        until = f", overlaps until {_day(key.overlap_until)}" if key.overlap_until else ""
        click.echo(
            f"  tok_{region}{key.version}_  {_state(found, key, now):<8} {since}{until}",
        )


@keys.command("rotate")
@region_option
@home_option
@click.option(
    "--overlap-days",
    type=click.IntRange(0, 3650),
    default=OVERLAP_DAYS,
    show_default=True,
    help="How long `keys token` goes on to give the tokens of the version before.",
)
@json_option
def rotate_keys(region: str, home: Path, *, overlap_days: int, as_json: bool) -> None:
    """Give a region a new attribute key; external ids and joins by them stay as they are.

    The border reads its keys when it starts, so stop its process: the supervisor starts it
    again at once, under the new version. A token names its version (tok_eu2_...), and so
    does every ledger leaf. The older key stays in the file, for replays.

    Example: homeport keys rotate --region eu --overlap-days 60
    """
    now = datetime.now(UTC).replace(microsecond=0)
    found = rotate(home / region / "keys", region, now, timedelta(days=overlap_days))
    if as_json:
        click.echo(orjson.dumps(_told(found, now)).decode())
    else:
        before = found.older[-1]
        click.echo(f"{region}: tokens are tok_{region}{found.attribute_version}_ from now on;")
        click.echo(
            f"  those of version {before.version} overlap until {_day(before.overlap_until)}"
        )
    click.echo(
        f"a running border of {region} takes it up when it starts: `homeport status` names its "
        "process, stop it with `kill PID` and it is started again",
        err=True,
    )


@keys.command()
@region_option
@home_option
@click.option("--category", help="Of an attribute token, such as user.contact.email.")
@click.option("--identity", help="Of an external id: customer, order, message.")
@click.option("--destination", default=CENTRAL, show_default=True, help="Whose tokens.")
@json_option
@click.argument("values", type=click.File("rb"), default="-")
def token(  # noqa: PLR0913, one option each
    region: str,
    home: Path,
    values: BinaryIO,
    *,
    category: str | None,
    identity: str | None,
    destination: str,
    as_json: bool,
) -> None:
    """Give the tokens of values, one a line on standard input: how a person finds a row.

    Current version first, then each older one that still overlaps, so that a row is found
    by either. One line out for each line in that is not blank; with --json each is
    {"tokens": [...]}. Values go in by standard input or a file, never as an argument,
    which other users of the machine could read.

    \b
    Example:
      homeport keys token --region eu --category user.contact.email < addresses.txt
    """
    domain = _domain(category, identity)
    load_destination(destination)
    found, now = _keys(home, region), datetime.now(UTC)
    live = [key for key in reversed(found.versions) if key.overlaps(now)]
    makers = [Tokeniser(found.at(key), destination) for key in live]
    for value in _lines(values):
        if identity is not None:
            tokens = [makers[0].identity(domain, value)]
        else:
            tokens = [maker.attribute(domain, value) for maker in makers]
        line = orjson.dumps({"tokens": tokens}) if as_json else " ".join(tokens).encode()
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()


def _keys(home: Path, region: str) -> TokenKeys:
    folder = home / region / "keys"
    if not (folder / TOKENS_FILE).exists():
        msg = f"{folder}: no token keys yet; the first border or dry-run of {region} makes them"
        raise SetupError(msg)
    return token_keys(folder, region)


def _domain(category: str | None, identity: str | None) -> str:
    """Return the token domain asked for; a wrong name would give tokens that no row has."""
    given, known = (category, _categories()) if identity is None else (identity, _identities())
    if (category is None) == (identity is None) or given is None:
        msg = "give one of --category and --identity"
        raise click.UsageError(msg)
    if given not in known:
        msg = f"no field has {given!r}; have {', '.join(sorted(known))}"
        raise click.UsageError(msg)
    return given


def _categories() -> set[str]:
    return {leaf.category for schema in load_registry().raw() for leaf in schema.leaves}


def _identities() -> set[str]:
    outputs = [output for row in load_contract().outputs.values() for output in row]
    sources = [source for output in outputs for source in output.sources.values()]
    return {source.identity for source in sources if source.identity}


def _lines(file: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        try:
            text = line.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            msg = f"line {number} is not UTF-8"
            raise click.UsageError(msg) from None
        if text.strip():
            yield text


def _told(found: TokenKeys, now: datetime) -> dict[str, object]:
    return {
        "region": found.region,
        "identity": {"version": found.identity_version},
        "attribute": [
            {
                "version": key.version,
                "prefix": f"tok_{found.region}{key.version}_",
                "state": _state(found, key, now),
                "valid_from": key.valid_from,
                "overlap_until": key.overlap_until,
            }
            for key in found.versions
        ],
    }


def _state(found: TokenKeys, key: AttributeKey, now: datetime) -> str:
    if key.version == found.attribute_version:
        return "current"
    return "overlaps" if key.overlaps(now) else "retired"


def _day(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
