"""``homeport sandbox``: the local Salesforce test org, alone and in front."""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from streams.cli import EXIT_INTERRUPTED
from streams.cli.options import home_option, json_option
from streams.cli.sandbox_app import app

DEFAULT_PORT = 7120


@click.group(invoke_without_command=True)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port on 127.0.0.1; 0 takes a free one.",
)
@click.option("--plain", is_flag=True, help="Serve http instead of https.")
@click.option(
    "--api-calls",
    type=click.IntRange(1),
    default=100_000,
    show_default=True,
    help="API calls in 24 hours; more are refused with REQUEST_LIMIT_EXCEEDED.",
)
@click.option(
    "--long-call",
    "long_call_s",
    type=click.FloatRange(0, min_open=True),
    default=20,
    show_default=True,
    help="Seconds after which a call counts as long.",
)
@click.option(
    "--long-calls",
    type=click.IntRange(1),
    default=25,
    show_default=True,
    help="While so many long calls go on, others are refused; 5 in a Developer edition or a trial.",
)
@click.option(
    "--strict-json",
    is_flag=True,
    help="Refuse a whole collections request for one record that does not parse. The real org's "
    "documentation leaves open which it does; a client should survive both.",
)
@click.option(
    "--faults",
    is_flag=True,
    help="Open the control path, by which faults can be asked for: resets, time-outs, late "
    "commits, locks, ... (docs/sandbox-faults.md).",
)
@home_option
@json_option
@click.pass_context
def sandbox(  # noqa: PLR0913 -- one parameter per option
    ctx: click.Context,
    *,
    port: int,
    plain: bool,
    api_calls: int,
    long_call_s: float,
    long_calls: int,
    strict_json: bool,
    faults: bool,
    home: Path,
    as_json: bool,
) -> None:
    """Run the local Salesforce test org alone, in front, until Ctrl-C or SIGTERM.

    It needs nothing: certificates and the database are made in HOME on first use, and rows
    survive a restart. The user `admin` may do everything; `homeport sandbox token` gets a
    session. Objects: Commerce_Order__c, Commerce_Customer__c, Commerce_Case__c.

    \b
    Example:
      homeport sandbox --port 7120 --plain
      homeport sandbox token --port 7120 --user admin --json
      curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:7120/services/data/v62.0/limits

    With --faults, whoever may read HOME may have calls fail as they do in production. To reset
    the connection of every third write after it was committed:

    \b
      homeport sandbox --port 7120 --plain --faults
      curl -H "X-Sandbox-Control: $(cat .homeport/sandbox/control)" \\
        http://127.0.0.1:7120/__sandbox__/faults \\
        -d '{"faults": [{"kind": "reset-after", "on": "collections", "every": 3}]}'

    With --json, one line on stdout says that it is ready: instance_url, port and ca_file (the
    certificate authority to trust, null with --plain).

    Exit codes: 0 stopped by SIGTERM, 3 the port is taken or the home cannot be used,
    130 Ctrl-C.
    """
    if ctx.invoked_subcommand is not None:
        return
    # late: --help must not load the server
    from connectors.sandbox.org import OrgOptions  # noqa: PLC0415
    from connectors.sandbox.server import serve  # noqa: PLC0415

    def on_ready(facts: Mapping[str, Any]) -> None:
        if as_json:
            click.echo(json.dumps({"ready": True, **facts}))
            sys.stdout.flush()
        click.echo(f"test org ready at {facts['instance_url']}", err=True)

    options = OrgOptions(api_calls, strict_json, long_call_s, faults, long_calls)
    stopped_by = asyncio.run(serve(home, port, options, is_plain=plain, on_ready=on_ready))
    if stopped_by is signal.SIGINT:
        ctx.exit(EXIT_INTERRUPTED)


sandbox.add_command(app)


@sandbox.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port that the test org runs on.",
)
@click.option("--user", default="admin", show_default=True, help="Whose session to open.")
@home_option
@json_option
def token(*, port: int, user: str, home: Path, as_json: bool) -> None:
    """Open a session in the running test org and print its access token.

    No password: whoever may read the home folder may write a session into the org's database,
    and that is what this does. It cannot work against a real org.

    \b
    Example:
      homeport sandbox token --port 7120 --user admin --json
      {"access_token": "00D...!...", "instance_url": "https://127.0.0.1:7120"}

    Exit codes: 0 fine, 1 no such user, 3 no test org of this home runs on that port.
    """
    from connectors.sandbox.running import issue_token  # noqa: PLC0415 -- late, for --help

    answer = issue_token(home, port, user)
    click.echo(json.dumps(answer) if as_json else answer["access_token"])


@sandbox.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port that the test org runs on.",
)
@home_option
@json_option
def page(*, port: int, home: Path, as_json: bool) -> None:
    """Print a link to the running test org's pages: records, calls, limits, fields.

    The link works once, within ten minutes, and leaves the browser a cookie for twelve hours.
    Whoever may read the home folder gets one, and nobody else: the pages show what rows hold.
    A browser warns of the org's certificate unless it trusts HOME/ca/ca.pem. Where an app sends
    a browser to the org to be allowed, the page asks for the same key.

    \b
    Example:
      homeport sandbox page --port 7120
      https://127.0.0.1:7120/?key=...

    Exit codes: 0 fine, 3 no test org of this home runs on that port.
    """
    from connectors.sandbox.running import page_link  # noqa: PLC0415 -- late, for --help

    answer = page_link(home, port)
    click.echo(json.dumps(answer) if as_json else answer["url"])
