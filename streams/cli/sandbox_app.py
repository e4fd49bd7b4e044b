"""``homeport sandbox app``: what an administrator does to the test org's External Client Apps."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streams.cli.options import home_option, json_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.sandbox.logins.apps import RegisteredApp

# no blanks, no fragment, and nothing that ends a word of a security policy
_CALLBACK = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:[\w.~:/?\[\]@!$&()*+=%-]+", re.ASCII)


@click.group()
def app() -> None:
    """List the test org's External Client Apps; block one, limit it, give it a secret.

    A running org follows at once. Exit codes: 0 fine, 1 no such app or a name that is taken,
    3 the home cannot be used.

    \b
    Example:
      homeport sandbox app list
      homeport sandbox app block Region_Sink_EU
      homeport sandbox app limit Region_Sink_EU 250
    """


@app.command(name="list")
@home_option
@json_option
def list_apps(*, home: Path, as_json: bool) -> None:
    """Show every app, its user, its limit, and whether it is blocked.

    \b
    Example:
      homeport sandbox app list --json
    """
    from connectors.sandbox.logins.apps import known_apps  # noqa: PLC0415 -- late, for --help

    rows = [
        {
            "name": one.name,
            "username": one.username,
            "blocked": one.blocked,
            "daily_calls": one.daily_calls,
            "execution_user": one.execution_user if one.has_client_credentials else None,
            "callback_url": one.callback_url,
        }
        for one in known_apps(home / "sandbox/apps.json")
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        limit = "no limit" if row["daily_calls"] is None else f"{row['daily_calls']} calls a day"
        state = "blocked" if row["blocked"] else "allowed"
        who = row["username"] or "any user"
        click.echo(f"{row['name']}  {who}  {state}  {limit}")


@app.command()
@click.argument("name")
@home_option
def block(*, name: str, home: Path) -> None:
    """Block app NAME: its sessions end at once, and it gets no new ones.

    \b
    Example:
      homeport sandbox app block Region_Sink_EU
    """
    from connectors.sandbox.running import end_sessions  # noqa: PLC0415 -- late, for --help

    _change(home, name, lambda one: replace(one, blocked=True))
    ended = end_sessions(home, name)
    click.echo(f"{name} is blocked; sessions ended: {ended}", err=True)


@app.command()
@click.argument("name")
@home_option
def allow(*, name: str, home: Path) -> None:
    """Let a blocked app NAME log in again; sessions that were ended stay so.

    \b
    Example:
      homeport sandbox app allow Region_Sink_EU
    """
    _change(home, name, lambda one: replace(one, blocked=False))
    click.echo(f"{name} is allowed", err=True)


@app.command()
@click.argument("name")
@click.argument("calls", type=click.IntRange(0), required=False)
@home_option
def limit(*, name: str, calls: int | None, home: Path) -> None:
    """Let app NAME make at most CALLS API calls in 24 hours; without CALLS take the limit away.

    \b
    Example:
      homeport sandbox app limit Region_Sink_EU 250
    """
    _change(home, name, lambda one: replace(one, daily_calls=calls))
    told = "no limit of its own" if calls is None else f"{calls} API calls in 24 hours"
    click.echo(f"{name} has {told}", err=True)


@app.command()
@click.argument("name")
@click.option("--user", help="Whom the flow runs as; the app's own user if left out.")
@home_option
@json_option
def secret(*, name: str, user: str | None, home: Path, as_json: bool) -> None:
    """Turn app NAME's client credentials flow on and print its new consumer secret, once.

    \b
    Example:
      homeport sandbox app secret Region_Sink_EU --json
      {"client_id": "3MVG9...", "client_secret": "..."}
    """
    from connectors.sandbox.logins.apps import new_secret  # noqa: PLC0415 -- late, for --help

    client_id, client_secret = new_secret(home, name, user)
    answer = {"client_id": client_id, "client_secret": client_secret}
    click.echo(json.dumps(answer) if as_json else client_secret)


@app.command()
@click.argument("name")
@click.argument("url")
@home_option
@json_option
def add(*, name: str, url: str, home: Path, as_json: bool) -> None:
    """Register app NAME, which every user may let in by the authorisation code flow.

    URL is its callback, where the org sends the browser with the code. Prints the client id.

    \b
    Example:
      homeport sandbox app add My_App http://localhost:3000/callback --json
      {"client_id": "3MVG9..."}
    """
    from connectors.sandbox.logins.apps import add_app  # noqa: PLC0415 -- late, for --help

    added = add_app(home, name, _callback(url))
    click.echo(json.dumps({"client_id": added.consumer_key}) if as_json else added.consumer_key)


@app.command()
@click.argument("name")
@click.argument("urls", nargs=-1)
@click.option("--no-pkce", is_flag=True, help="Take codes without a code challenge, too.")
@home_option
def callback(*, name: str, urls: tuple[str, ...], no_pkce: bool, home: Path) -> None:
    """Turn app NAME's authorisation code flow on, which may answer to URLS; without them off.

    \b
    Example:
      homeport sandbox app callback Region_Sink_EU http://localhost:3000/callback
    """
    told = "\n".join(_callback(url) for url in urls) or None
    _change(home, name, lambda one: replace(one, callback_url=told, requires_pkce=not no_pkce))
    shown = ", ".join(urls) or "nowhere"
    click.echo(f"{name} may answer to {shown}", err=True)


def _callback(url: str) -> str:
    """Return *url* if it may be a callback: it gets into a header and a security policy."""
    if not _CALLBACK.fullmatch(url):
        msg = "a callback is an absolute URL, such as http://localhost:3000/callback"
        raise click.BadParameter(msg)
    return url


def _change(home: Path, name: str, change: "Callable[[RegisteredApp], RegisteredApp]") -> None:
    from connectors.sandbox.logins.apps import change_app  # noqa: PLC0415 -- late, for --help

    change_app(home, name, change)
