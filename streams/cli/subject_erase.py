"""``homeport subject erase`` and ``subject status``: ask for an erasure, see how far it is."""

import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from streams.cli import EXIT_WRONG
from streams.cli.options import Said, home_option, json_option, region_option

if TYPE_CHECKING:
    from connectors.postgres.vault.erasures import Erasures
    from residency.vault.erasure import Erasure
    from streams.settings import ReplaySettings

MAX_TEXT = 2_000  # characters of a reason
LOOK_S = 0.3
STDIN = "-"
SHOWN = 20


@click.command("erase")
@region_option
@home_option
@click.option(
    "--customer",
    metavar="ID",
    help="The customer's id in the shop; - reads it from standard input.",
)
@click.option(
    "--email", metavar="E", help="An e-mail address that one customer alone has; - likewise."
)
@click.option(
    "--token", metavar="T", help="A token that the org holds of one customer alone; - likewise."
)
@click.option("--ticket", required=True, type=Said(MAX_TEXT), help="Of the request; kept.")
@click.option("--reason", required=True, type=Said(MAX_TEXT), help="Why; kept in the region.")
@click.option("--wait", "is_waiting", is_flag=True, help="Show the steps until it is done.")
@json_option
def erase_command(  # noqa: PLR0913, one argument per option
    *,
    region: str,
    home: Path,
    customer: str | None,
    email: str | None,
    token: str | None,
    ticket: str,
    reason: str,
    is_waiting: bool,
    as_json: bool,
) -> None:
    """Erase a person: the vault's key and events, and by contract the rows abroad.

    \b
    Examples:
      homeport subject erase --region eu --customer cus-4711 --ticket CASE-17 \\
          --reason 'asked by letter' --wait
      homeport subject erase --region eu --email - --ticket CASE-18 --reason 'asked by phone'

    From this moment nothing new of the person leaves the region. The region's service `erase` does
    the rest, whoever waits for it or not; asking again while it is under way asks for the same.
    docs/erasure.md tells what is destroyed, and what remains and why.

    Exit codes: 0 asked for, or done; 1 nobody, or several, are known by that; 3 no such region in
    this home, or its database does not answer; 130 left while waiting: it goes on.
    """
    from streams.erasing.asking import NotOneError, person  # noqa: PLC0415 -- late, for --help

    given = {"customer": customer, "email": email, "token": token}
    named = {word: text for word, text in given.items() if text is not None}
    if len(named) != 1:
        msg = "say whom: one of --customer, --email, --token"
        raise click.UsageError(msg)
    settings = _settings(home, region)
    word, text = named.popitem()
    try:
        found = person(settings, word, sys.stdin.readline().strip() if text == STDIN else text)
    except NotOneError as error:
        click.echo(f"homeport: {error}", err=True)
        raise SystemExit(EXIT_WRONG) from None
    with closing(_open(settings)) as erasures:
        one = _asked(erasures, found.subject, found.token, ticket, reason)
        if is_waiting:
            one = _wait(erasures, one)
    _print([_told(one, settings)], as_json=as_json, is_one=True)


@click.command("status")
@region_option
@home_option
@click.argument("requests", metavar="[REQUEST]...", nargs=-1)
@json_option
def status_command(region: str, home: Path, requests: tuple[str, ...], *, as_json: bool) -> None:
    """Show how far erasures are: those named, or the newest ones.

    \b
    Examples:
      homeport subject status --region eu
      homeport subject status --region eu 0f4b...e1 --json

    Exit codes: 0 shown, 1 one is kept from going on, or no such erasure, 3 no such region in this
    home, or its database does not answer.
    """
    settings = _settings(home, region)
    with closing(_open(settings)) as erasures:
        found = erasures.some(requests) if requests else erasures.newest(SHOWN)
    rows = [_told(one, settings) for one in found]
    _print(rows, as_json=as_json, is_one=False)
    missing = set(requests) - {row["request"] for row in rows}
    for name in sorted(missing):
        click.echo(f"homeport: no erasure {name} in {region}", err=True)
    raise SystemExit(EXIT_WRONG if missing or any(row["problem"] for row in rows) else 0)


def _settings(home: Path, region: str) -> "ReplaySettings":
    from streams.settings import ReplaySettings, load_settings  # noqa: PLC0415 -- late, for --help

    return ReplaySettings.of(load_settings(home, region, "erase"))


def _open(settings: "ReplaySettings") -> "Erasures":
    from connectors.postgres.vault.erasures import Erasures  # noqa: PLC0415 -- late, for --help
    from streams.settings import database  # noqa: PLC0415 -- late, for --help

    return Erasures(database(settings.postgres, "erase"))


def _asked(erasures: "Erasures", subject: bytes, token: str, ticket: str, reason: str) -> "Erasure":
    from connectors.postgres.vault.erasures import Wish  # noqa: PLC0415 -- late, for --help
    from streams.leaf_requests import new_request  # noqa: PLC0415 -- late, for --help

    wish = Wish(new_request(), subject, token, ticket, reason)
    request = erasures.ask(wish, datetime.now(UTC))
    return erasures.some([request])[0]


def _wait(erasures: "Erasures", one: "Erasure") -> "Erasure":
    """Return the erasure once it is done; say each step on stderr."""
    from residency.vault.erasure import Step  # noqa: PLC0415 -- late, for --help
    from streams.erasing.telling import WAITS  # noqa: PLC0415 -- late, for --help

    said = None
    while True:
        problem, step = one.state.problem, one.step
        if (step, problem) != said:
            waits = problem or (f"waits {WAITS[step]}" if step in WAITS else "")
            click.echo(f"{one.request}: {step}; {waits}".rstrip("; "), err=True)
            said = step, problem
        if step is Step.DONE:
            return one
        time.sleep(LOOK_S)
        one = erasures.some([one.request])[0]


def _told(one: "Erasure", settings: "ReplaySettings") -> dict[str, Any]:
    from streams.erasing.telling import told  # noqa: PLC0415 -- late, for --help

    return told(one, settings.folder)


def _print(rows: list[dict[str, Any]], *, as_json: bool, is_one: bool) -> None:
    from streams.erasing.telling import line  # noqa: PLC0415 -- late, for --help

    if as_json:
        told: Any = rows[0] if is_one else {"erasures": rows}
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2))
        return
    for row in rows:
        click.echo(line(row))
