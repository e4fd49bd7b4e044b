"""``homeport ledger``: verify a region's ledger, show entries, prove one, check a proof."""

from pathlib import Path

import click
import orjson

from residency.ledger.errors import LedgerError
from residency.ledger.find import is_about
from residency.ledger.reader import Reader
from residency.ledger.verify import Report, verify
from residency.ledger.walk import MAX_PROBLEMS
from streams.cli import EXIT_WRONG
from streams.cli.bars import leaf_bar
from streams.cli.halting import halt_egress
from streams.cli.ledger_away import export_command, fsck_command, serve_command
from streams.cli.ledger_choice import (
    choose,
    parse_record,
    read_vkey,
    require_leaf,
    selectors,
    vkey_option,
)
from streams.cli.ledger_index import reindex
from streams.cli.ledger_look import decode, search, show, tail
from streams.cli.options import json_option
from streams.proofs import check_files, write_proof


@click.group()
def ledger() -> None:
    """Verify a region's ledger, show its entries, and prove one to an outsider.

    The ledger is an append-only Merkle log in C2SP tlog-tiles form: one leaf before each
    record is sent, one for what became of it. No leaf holds a field value or a token.
    """


for _command in (show, search, tail, fsck_command, export_command, serve_command, reindex):
    ledger.add_command(_command)


@ledger.command("verify")
@selectors
@click.option(
    "--from-checkpoint",
    "kept",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A checkpoint file kept from an earlier visit: check growth from it, and what is new.",
)
@click.option(
    "--part", "is_part", is_flag=True, help="Entries may be missing, as in an export of a span."
)
@json_option
def verify_command(  # noqa: PLR0913 -- one argument per option
    *,
    region: str | None,
    home: Path,
    folder: Path | None,
    vkey: Path | None,
    kept: Path | None,
    is_part: bool,
    as_json: bool,
) -> None:
    """Check every file of a ledger: signature, hashes, root, and each leaf.

    \b
    Examples:
      homeport ledger verify --region eu
      homeport ledger verify --ledger copy --vkey eu.vkey --from-checkpoint last-month

    With --region and no --vkey the key beside the ledger is taken, which proves that the
    folder agrees with itself; an auditor passes --vkey.

    With --from-checkpoint the ledger must have grown from that checkpoint: a fork or a rollback
    is named. Only what is new is read, so a record that is repeated from before is not seen.

    With --part all hashes are still needed and checked, but entries may be missing. It says how
    many are, and of how many outcomes the transfer is among them: what those say is not checked.

    With --region, what does not hold halts the region's egress: docs/halt.md.

    Exit codes: 0 verified, 1 something does not hold, 3 no ledger there.
    """
    chosen = choose(home, region, folder, vkey)
    key = None if chosen.log is None else str(chosen.log)
    since = None if kept is None else kept.read_bytes()
    with leaf_bar() as progress:
        report = verify(chosen.reader.folder, key, progress, since=since, is_part=is_part)
    if as_json:
        _print_json(
            {
                "origin": report.origin,
                "size": report.size,
                "root": report.root,
                "verified": report.verified,
                "problems": report.problems,
                "first_bad_leaf": report.first_bad_leaf,
                "from": report.start,
                "absent": report.absent,
                "unlinked": report.unlinked,
            }
        )
    else:
        _print_report(report, chosen.reader.folder)
    if not report.verified:
        if region is not None:
            text = f"`homeport ledger verify`: {report.problems[0]}"
            error = LedgerError(text)
            halt_egress(home, region, error, "verify", leaf=report.first_bad_leaf)
        raise SystemExit(EXIT_WRONG)


def _print_report(report: Report, folder: Path) -> None:
    """Print what a verification found, and what it did not look at."""
    if not report.verified:
        click.echo(f"{report.origin or folder}: DOES NOT VERIFY")
        for problem in report.problems:
            click.echo(f"  {problem}")
        more = "at least " if len(report.problems) == MAX_PROBLEMS else ""
        click.echo(f"{more}{len(report.problems)} problem(s); keep the folder as evidence")
        return
    what = "hashes of leaves" if report.absent else "leaves"
    click.echo(f"{report.origin}: {report.size} {what} verified, root {report.root}")
    if report.start:
        click.echo(
            f"  grown from the kept checkpoint; leaves 0 to {report.start - 1} not read again"
        )
    if report.absent:
        click.echo(
            f"  of {report.absent} leaves only the hashes are here; what they say is not checked, "
            f"nor whether {report.unlinked} outcomes name the right transfer among them"
        )


@ledger.command("proof")
@selectors
@click.option("--leaf", type=click.IntRange(min=0), help="Prove this entry.")
@click.option(
    "--record",
    callback=parse_record,
    help="Prove every entry about this record, such as topic[0]@7#1.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the proofs and entries; made if missing.",
)
@json_option
def proof_command(  # noqa: PLR0913 -- one argument per option
    *,
    region: str | None,
    home: Path,
    folder: Path | None,
    vkey: Path | None,
    leaf: int | None,
    record: str | None,
    out: Path,
    as_json: bool,
) -> None:
    """Write <leaf>.tlog-proof and <leaf>.json, the entry's exact bytes, for an outsider.

    Example: homeport ledger proof --region eu --leaf 12 --out for-the-auditor

    They check it with `homeport ledger check`, or any tool that reads C2SP tlog-proof.

    Exit codes: 0 written, 1 no such entry or it does not hold, 3 no ledger there.
    """
    if (leaf is None) == (record is None):
        msg = "say which entry: --leaf N or --record ID"
        raise click.UsageError(msg)
    chosen = choose(home, region, folder, vkey)
    head, log = chosen.head()
    if leaf is not None:
        require_leaf(leaf, head)
    leaves = [leaf] if leaf is not None else _about(chosen.reader, head.size, str(record))
    if not leaves:
        msg = f"no entry is about that record in {head.origin} at size {head.size}"
        raise LedgerError(msg)
    out.mkdir(parents=True, exist_ok=True)
    written = [write_proof(chosen.reader, log, index, head.size, out) for index in leaves]
    if as_json:
        _print_json({"origin": head.origin, "proofs": written})
        return
    for row in written:
        click.echo(f"leaf {row['leaf']}: {row['proof']}, {row['entry']}")


@ledger.command("check")
@click.argument("proof", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("entry", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@vkey_option(required=True)
@json_option
def check_command(proof: Path, entry: Path, vkey: Path, as_json: bool) -> None:
    """Check PROOF, a .tlog-proof file, for the file ENTRY, offline.

    Example: homeport ledger check 12.tlog-proof 12.json --vkey eu.vkey

    Exit codes: 0 the log holds this entry, 1 the proof does not show it.
    """
    log = read_vkey(vkey)
    found = check_files(proof, entry, log)
    if as_json:
        _print_json(
            {
                "origin": log.name,
                "leaf": found.leaf,
                "size": found.size,
                "verified": found.problem is None,
                "problem": found.problem,
            }
        )
    elif found.problem is None:
        click.echo(
            f"{log.name} holds this entry as leaf {found.leaf}, under a tree of size {found.size}"
        )
    else:
        click.echo(f"NOT PROVED: {found.problem}")
    if found.problem is not None:
        raise SystemExit(EXIT_WRONG)


def _print_json(document: object) -> None:
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def _about(reader: Reader, size: int, record: str) -> list[int]:
    """Return the indexes of the entries about a record."""
    entries = enumerate(map(decode, reader.entries(0, size, size)))
    return [index for index, leaf in entries if is_about(leaf, record)]
