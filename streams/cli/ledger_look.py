"""``homeport ledger show|search|tail``: read entries, pick some, follow those that come."""

import time
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import click
import orjson

from residency.ledger.find import Finder, Query, Span
from residency.ledger.follow import Follower
from residency.ledger.leaves import parse_leaf
from residency.ledger.note import encode_base64
from residency.ledger.outcomes import Result
from residency.ledger.proof import make_proof
from residency.ledger.published import kinds
from residency.ledger.reader import Reader
from streams.cli.bars import leaf_bar
from streams.cli.ledger_choice import choose, parse_record, require_leaf, selectors
from streams.cli.options import json_option
from streams.cli.quarantined import check_span, parse_since

SHOWN = 20  # entries that `show` and `tail` print unless told
POLL_S = 1.0  # how often `tail -f` looks at the checkpoint
_STEP = 256  # leaves between two moves of the bar
_IN_FRONT = ("time", "kind", "record")
lines_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON lines on stdout, one leaf each."
)
kind_option = click.option("--kind", type=click.Choice(kinds()), help="Only leaves of this kind.")


@click.command()
@selectors
@click.argument("leaves", metavar="[LEAF]...", type=click.IntRange(min=0), nargs=-1)
@kind_option
@click.option(
    "--limit", type=click.IntRange(min=1), default=SHOWN, show_default=True, help="The newest N."
)
@json_option
def show(  # noqa: PLR0913 -- one argument per option
    *,
    region: str | None,
    home: Path,
    folder: Path | None,
    vkey: Path | None,
    leaves: tuple[int, ...],
    kind: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print the entries LEAF..., or the newest ones, oldest of them first.

    \b
    Examples:
      homeport ledger show --region eu 12 13
      homeport ledger show --region eu --kind outcome --limit 5

    The checkpoint's signature is checked, the entries are not: that is `verify`.

    Exit codes: 0 shown, 1 unreadable or no such leaf, 3 no ledger there.
    """
    chosen = choose(home, region, folder, vkey)
    head, _ = chosen.head()
    for leaf in leaves:
        require_leaf(leaf, head)
    picked = [
        (leaf, next(chosen.reader.entries(leaf, leaf + 1, head.size))) for leaf in leaves
    ] or _newest(chosen.reader, head.size, kind, limit)
    rows = [(index, decode(entry)) for index, entry in picked]
    if as_json:
        told = {
            "origin": head.origin,
            "size": head.size,
            "root": encode_base64(head.root),
            "leaves": [_row(index, row) for index, row in rows],
        }
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2))
        return
    click.echo(f"{head.origin}, size {head.size}, root {encode_base64(head.root)}")
    _print(rows, as_json=False)


@click.command()
@selectors
@click.option(
    "--record",
    callback=parse_record,
    help="A record id, or the raw record's topic[partition]@offset.",
)
@click.option("--object", "sobject", help="Salesforce object; an outcome has its transfer's.")
@click.option("--plan", help="First digits of a plan's digest; an outcome has its transfer's.")
@kind_option
@click.option("--result", type=click.Choice(get_args(Result)), help="Only these outcomes.")
@click.option("--since", callback=parse_since, help="Only newer ones: 30m, 2h, 7d or a time.")
@click.option("--until", callback=parse_since, help="Only older ones, likewise.")
@lines_option
def search(  # noqa: PLR0913 -- one argument per option
    *,
    region: str | None,
    home: Path,
    folder: Path | None,
    vkey: Path | None,
    record: str | None,
    sobject: str | None,
    plan: str | None,
    kind: str | None,
    result: str | None,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
) -> None:
    """Print every entry that answers all that is asked; how many were looked at goes to stderr.

    \b
    Examples:
      homeport ledger search --region eu --record 'eu.commerce.orders.v1[0]@7'
      homeport ledger search --ledger copy --vkey eu.vkey --result rejected --since 2h --json

    Reads every entry, needs no index. The checkpoint's signature is checked, the entries are
    not: that is `verify`.

    Exit codes: 0 looked, also if nothing was found; 1 unreadable; 3 no ledger there.
    """
    check_span(since, until)
    chosen = choose(home, region, folder, vkey)
    head, _ = chosen.head()
    query = Query(record, sobject, plan, kind, result, Span.between(since, until))
    finder, found = Finder(query, head.size), 0
    # Lines on a terminal and a bar on it would write over each other.
    is_shown = click.get_text_stream("stdout").isatty()
    with nullcontext() if is_shown else leaf_bar() as progress:
        for index, entry in enumerate(chosen.reader.entries(0, head.size, head.size)):
            row = decode(entry)
            if finder.matches(index, row):
                found += 1
                _print([(index, row)], as_json=as_json)
            if progress is not None and index % _STEP == 0:
                progress(index, head.size)
    click.echo(f"{found} found, {head.size} looked at, in {head.origin}", err=True)


@click.command()
@selectors
@click.option("-f", "--follow", "is_following", is_flag=True, help="Go on with what is added.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=SHOWN,
    show_default=True,
    help="How many of those already there.",
)
@lines_option
def tail(  # noqa: PLR0913 -- one argument per option
    *,
    region: str | None,
    home: Path,
    folder: Path | None,
    vkey: Path | None,
    is_following: bool,
    lines: int,
    as_json: bool,
) -> None:
    """Print the newest entries, each proved; with -f also what is added, until Ctrl-C.

    Example: homeport ledger tail --region eu -f

    Each new checkpoint is held to the one before it: a fork, a rollback or an entry that does
    not hash to it ends the command.

    Exit codes: 0 printed, 1 something does not hold, 3 no ledger there, 130 ended by Ctrl-C.
    """
    chosen = choose(home, region, folder, vkey)
    _, log = chosen.head()
    follower = Follower(chosen.reader, log)
    size = follower.head.size
    first = max(size - lines, 0)
    entries = list(enumerate(chosen.reader.entries(first, size, size), first))
    for index, _entry in entries:
        make_proof(chosen.reader, log, index)
    _print(((index, decode(entry)) for index, entry in entries), as_json=as_json)
    while is_following:
        time.sleep(POLL_S)
        _print(((index, decode(entry)) for index, entry in follower.step()), as_json=as_json)


def decode(entry: bytes) -> dict[str, Any]:
    """Return a leaf's fields; only well-formed leaves are shown.

    Raises:
        FormatError: The entry is no leaf of this release.

    """
    parse_leaf(entry)
    row: dict[str, Any] = orjson.loads(entry)
    return row


def _print(rows: Iterable[tuple[int, dict[str, Any]]], *, as_json: bool) -> None:
    """Print leaves, a line each."""
    for index, row in rows:
        if as_json:
            click.echo(orjson.dumps(_row(index, row)))
            continue
        said = "  ".join(
            f"{name}={_plain(value)}" for name, value in row.items() if name not in _IN_FRONT
        )
        front = "  ".join(_plain(row.get(name)) for name in _IN_FRONT)
        click.echo(f"{index:>8}  {front}  {said}")


def _row(index: int, leaf: dict[str, Any]) -> dict[str, Any]:
    return {"index": index, "leaf": leaf}


def _plain(value: object) -> str:
    """Return a leaf's value for a reader."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(f"{name}:{part}" for name, part in value.items())
    return "-" if value is None else str(value)


def _newest(reader: Reader, size: int, kind: str | None, limit: int) -> list[tuple[int, bytes]]:
    """Return the newest *limit* entries of a kind, oldest first."""
    found: list[tuple[int, bytes]] = []
    stop = size
    while stop and len(found) < limit:
        start = (stop - 1) // 256 * 256  # a bundle at a time, from the end
        for index, entry in reversed(list(enumerate(reader.entries(start, stop, size), start))):
            if len(found) < limit and (kind is None or decode(entry)["kind"] == kind):
                found.append((index, entry))
        stop = start
    return found[::-1]
