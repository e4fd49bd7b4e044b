"""``homeport subject export``: all that a region holds of one person."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import click
import orjson

from residency.ledger.accesses import Purpose
from residency.vault.looking import RefusedError, term_of
from streams.cli.bars import leaf_bar
from streams.cli.options import home_option, json_option, region_option
from streams.cli.vault_find import caller_of, look_options, refused, told


@click.command("export")
@region_option
@home_option
@json_option
@look_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="A folder that does not exist yet; made 0700.",
)
def export_command(  # noqa: PLR0913, one argument per option
    *,
    region: str,
    home: Path,
    as_json: bool,
    purpose: str,
    ticket: str,
    out: Path,
    **by: str | None,
) -> None:
    """Write all that a region holds of one person, and what is held abroad, with proofs.

    \b
    Example:
      homeport subject export --region eu --customer - --purpose subject-request \\
        --ticket DSR-17 --out dsr-17

    The folder holds subject.json: every event decoded, what the model said of their texts, what
    lies in quarantine, the rows and records outside of the region with their values as they were
    sent, each held against its leaf; and a proof for every leaf about the person. Run it in the
    region, and treat the folder as what it is: it is written whole or not at all.

    Needs a role that exports, see `homeport vault find --help` for who looks. The export is an
    `access` leaf of its own. docs/subject-export.md has more.

    Exit codes: 0 written; 1 nobody or more than one person is found, or the caller may not have
    it; 2 usage; 3 no stack here, or --out exists.
    """
    from streams.exporting.folder import export  # noqa: PLC0415 - heavy
    from streams.looking.desk import Desk  # noqa: PLC0415 - heavy
    from streams.settings import load_replay, load_settings  # noqa: PLC0415 - heavy

    settings = load_settings(home, region, "lookup")
    with closing(Desk(settings)) as desk, leaf_bar() as progress:
        try:
            done = export(
                desk,
                load_replay(home, region),
                out,
                caller=caller_of(home, region),
                by=term_of(told(by), desk.topic_ids),
                purpose=Purpose(purpose),
                ticket=ticket,
                progress=progress,
            )
        except RefusedError as exc:
            raise refused(exc) from None
    if as_json:
        document = {**asdict(done), "folder": str(done.folder)}
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        return
    click.echo(
        f"{done.folder}: {done.events} events; {done.records} records sent, which made "
        f"{done.rows} rows abroad; {done.proofs} proofs"
    )
    if done.leaf is None:
        click.echo(f"request {done.request} waits for egress to append its leaf", err=True)
