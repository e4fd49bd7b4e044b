"""``homeport vault find`` and ``vault caller``: look into a region's vault, and who may."""

import os
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from residency.ledger.accesses import Purpose
from residency.vault.access import load_roles
from residency.vault.looking import MAX_EVENTS, RECORD, Ask, Refused, RefusedError, term_of
from streams.cli import EXIT_WRONG
from streams.cli.options import home_option, json_option, region_option
from streams.looking.callers import Caller, Callers

if TYPE_CHECKING:
    from streams.looking.desk import Found, Shown

TOKEN_VARIABLE = "HOMEPORT_CALLER_TOKEN"  # noqa: S105, a name
STDIN = "-"
_BY = {
    "email": "An e-mail address, in any spelling",
    "phone": "A telephone number, in any spelling",
    "customer": "The shop's id of a customer",
    "order": "The shop's id of an order",
    "token": "What the org holds: an external id, or a token of an e-mail address or number",
    RECORD: "A raw record, by its name in ledger and logs",
}
_USAGE = {Refused.TERM, Refused.TICKET}


def caller_of(home: Path, region: str) -> Caller:
    """Return whose token is in the environment; without one, the region's operator.

    Raises:
        RefusedError: Nobody's.

    """
    token = os.environ.get(TOKEN_VARIABLE)
    return Caller.operator() if token is None else Callers(home / region).by_token(token)


def told(values: dict[str, str | None]) -> dict[str, object]:
    """Return what was given to look by; a dash is read from standard input.

    Raises:
        click.UsageError: Nothing, or two things.

    """
    given = {word: text for word, text in values.items() if text is not None}
    if len(given) != 1:
        msg = f"say one of {', '.join(f'--{word}' for word in values)}"
        raise click.UsageError(msg)
    word, text = given.popitem()
    return {word: sys.stdin.readline().rstrip("\r\n") if text == STDIN else text}


def look_options(command: Any) -> Any:  # noqa: ANN401, click's own
    """Add the options that say by what to look, for what, and on which ticket."""
    for word, what in reversed(_BY.items()):
        option = click.option(f"--{word}", help=f"{what}; - reads it from standard input.")
        command = option(command)
    return why_options(required=True)(command)


def why_options(*, required: bool) -> Callable[[Any], Any]:
    """Return what adds the options that say for what somebody looks, and on which ticket."""
    ticket = click.option(
        "--ticket", required=required, help="In whose course, such as CASE-17; no personal data."
    )
    choice = click.Choice([str(purpose) for purpose in Purpose])
    purpose = click.option("--purpose", required=required, type=choice, help="Why.")
    return lambda command: purpose(ticket(command))


def refused(exc: RefusedError) -> Exception:
    """Return a refusal as the error of a command: what was typed wrong is a usage error."""
    return click.UsageError(str(exc)) if exc.why in _USAGE else exc


@click.command()
@region_option
@home_option
@json_option
@look_options
@click.option(
    "--field",
    "fields",
    multiple=True,
    required=True,
    help="A field's path, such as customer.email, or a category, such as user.contact; again "
    "for each further one.",
)
@click.option("--event", help="Only this event, such as commerce.orders.OrderPlaced.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_EVENTS),
    default=20,
    show_default=True,
    help="Newest events of a person that are shown.",
)
@click.pass_context
def find(  # noqa: PLR0913, one argument per option
    ctx: click.Context,
    /,
    *,
    region: str,
    home: Path,
    as_json: bool,
    purpose: str,
    ticket: str,
    fields: tuple[str, ...],
    event: str | None,
    limit: int,
    **by: str | None,
) -> None:
    """Show fields of a person's events: those asked for, if the caller's role may see them.

    \b
    Examples:
      homeport vault find --region eu --email - --purpose support --ticket CASE-17 \\
        --field customer.email --field shipping_address.city
      homeport vault find --region eu --token tok_eu1_... --purpose support \\
        --ticket CASE-17 --field user.contact --json

    Run it in the region. What is typed after --email stands in the shell's history, and other
    users of the machine can read it while the command runs: a dash reads it from standard input.

    Whose token is in HOMEPORT_CALLER_TOKEN looks with the rights of that caller; without it the
    ledger says `operator`, with those of the role `privacy`. Each look-up is an `access` leaf in
    the region's ledger, asked for before anything is shown. docs/vault-find.md has more.

    Exit codes: 0 shown; 1 nobody is found, or the caller may not see it, or not so often; 2 usage;
    3 no stack here.
    """
    from streams.looking.desk import Desk  # noqa: PLC0415 - heavy
    from streams.settings import load_settings  # noqa: PLC0415 - heavy

    ask = Ask(Purpose(purpose), ticket, fields, event, limit)
    settings = load_settings(home, region, "lookup")
    with closing(Desk(settings)) as desk:
        try:
            term = term_of(told(by), desk.topic_ids)
            found = desk.find(caller_of(home, region), term, ask, datetime.now(UTC))
        except RefusedError as exc:
            raise refused(exc) from None
    if as_json:
        click.echo(orjson.dumps(found.to_json(), option=orjson.OPT_INDENT_2))
    else:
        _print(found)
    if not found.persons:
        ctx.exit(EXIT_WRONG)


def _print(found: "Found") -> None:
    waits = f"request {found.request}, which waits for egress"
    said = waits if found.leaf is None else f"leaf {found.leaf}"
    click.echo(f"the ledger says that this was seen: {said}", err=True)
    if found.erased:
        click.echo(
            "erased, " + ("no leaf yet" if found.erasure is None else f"see leaf {found.erasure}")
        )
    elif not found.persons:
        click.echo("nobody is found", err=True)
    for number, events in enumerate(found.persons, 1):
        if len(found.persons) > 1:
            click.echo(f"person {number} of {len(found.persons)}")
        for one in events:
            _print_event(one)


def _print_event(one: "Shown") -> None:
    click.echo(f"{one.kept_at:%Y-%m-%d %H:%M:%S}  {one.record}  {one.event}")
    for path, value in one.fields.items():
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        click.echo(f"    {path:<32} {text}")


@click.group()
def caller() -> None:
    """Say who may look into a region's vault: desks, teams and tools, each with a role.

    What a role may see stands in residency/vault/access.toml. docs/vault-find.md has more.
    """


@caller.command("add")
@click.argument("name")
@region_option
@home_option
@json_option
@click.option("--role", type=click.Choice(list(load_roles())), required=True, help="Its rights.")
def add_caller(name: str, region: str, home: Path, *, as_json: bool, role: str) -> None:
    """Register the caller NAME and print its token: once, for the region keeps its hash only.

    \b
    Example:
      homeport vault caller add desk-returns --region eu --role agent

    A name starts with desk-, team- or tool-. It stands in the ledger: never use a person's.

    Exit codes: 0 registered; 3 the name is not of the form, or taken.
    """
    token = Callers(home / region).add(name, role, datetime.now(UTC))
    if as_json:
        click.echo(orjson.dumps({"name": name, "role": role, "token": token}))
    else:
        click.echo(token)
        click.echo(f"{name} looks as {role}; nobody can show this token again", err=True)


@caller.command("list")
@region_option
@home_option
@json_option
def list_callers(region: str, home: Path, *, as_json: bool) -> None:
    """Show the registered callers.

    Example: homeport vault caller list --region eu

    Exit codes: 0 shown, 3 the file cannot be read.
    """
    found = Callers(home / region).all()
    if as_json:
        document = {"region": region, "callers": [asdict(one) for one in found]}
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        return
    for one in found:
        click.echo(f"{one.name:<40} {one.role:<10} {one.added_at}")


@caller.command("remove")
@click.argument("name")
@region_option
@home_option
@click.pass_context
def remove_caller(ctx: click.Context, name: str, region: str, home: Path) -> None:
    """Let the caller NAME look no more, from its next look-up on.

    Example: homeport vault caller remove desk-returns --region eu

    Exit codes: 0 removed, 1 there was none.
    """
    if not Callers(home / region).remove(name):
        click.echo(f"no caller of that name in {region}", err=True)
        ctx.exit(EXIT_WRONG)
