"""``homeport ledger``: verify a region's ledger, show entries, prove one, check a proof."""

from pathlib import Path
from typing import Any

import click
import orjson

from residency.ledger.errors import LedgerError
from residency.ledger.leaves import parse_leaf
from residency.ledger.note import Checkpoint, Verifier, encode_base64
from residency.ledger.proof import Proof, check_proof, make_proof
from residency.ledger.reader import Reader
from residency.ledger.verify import MAX_PROBLEMS, verify
from streams.cli import EXIT_WRONG
from streams.cli.bars import leaf_bar
from streams.cli.ledger_choice import choose, read_vkey, selectors, vkey_option
from streams.cli.options import json_option

SHOWN = 20  # entries that `show` prints unless told


@click.group()
def ledger() -> None:
    """Verify a region's ledger, show its entries, and prove one to an outsider.

    The ledger is an append-only Merkle log in C2SP tlog-tiles form: one leaf before each
    record is sent, one for what became of it. No leaf holds a field value or a token.
    """


@ledger.command("verify")
@selectors
@json_option
def verify_command(
    region: str | None, home: Path, folder: Path | None, vkey: Path | None, as_json: bool
) -> None:
    """Check every file of a ledger: signature, hashes, root, and each leaf.

    Example: homeport ledger verify --region eu

    With --region and no --vkey the key beside the ledger is taken, which proves that the
    folder agrees with itself; an auditor passes --vkey.

    Exit codes: 0 verified, 1 something does not hold, 3 no ledger there.
    """
    chosen = choose(home, region, folder, vkey)
    key = None if chosen.log is None else str(chosen.log)
    with leaf_bar() as progress:
        report = verify(chosen.reader.folder, key, progress)
    if as_json:
        _print_json(
            {
                "origin": report.origin,
                "size": report.size,
                "root": report.root,
                "verified": report.verified,
                "problems": report.problems,
            }
        )
    elif report.verified:
        click.echo(f"{report.origin}: {report.size} leaves verified, root {report.root}")
    else:
        click.echo(f"{report.origin or chosen.reader.folder}: DOES NOT VERIFY")
        for problem in report.problems:
            click.echo(f"  {problem}")
        more = "at least " if len(report.problems) == MAX_PROBLEMS else ""
        click.echo(f"{more}{len(report.problems)} problem(s); keep the folder as evidence")
    if not report.verified:
        raise SystemExit(EXIT_WRONG)


@ledger.command("show")
@selectors
@click.option("--leaf", type=click.IntRange(min=0), help="Only this entry.")
@click.option(
    "--kind",
    type=click.Choice(["transfer", "outcome"]),
    help="Only entries of this kind.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), default=SHOWN, show_default=True, help="The newest N."
)
@json_option
def show_command(  # noqa: PLR0913 -- one argument per option
    *,
    region: str | None,
    home: Path,
    folder: Path | None,
    vkey: Path | None,
    leaf: int | None,
    kind: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Print the newest entries, oldest of them first.

    Example: homeport ledger show --region eu --kind outcome --limit 5

    The checkpoint's signature is checked, the entries are not: that is `verify`.

    Exit codes: 0 shown, 1 unreadable or no such leaf, 3 no ledger there.
    """
    chosen = choose(home, region, folder, vkey)
    head, _ = chosen.head()
    if leaf is not None:
        _require_leaf(leaf, head)
        picked = [(leaf, next(chosen.reader.entries(leaf, leaf + 1, head.size)))]
    else:
        picked = _newest(chosen.reader, head.size, kind, limit)
    rows = [(index, _decode(entry)) for index, entry in picked]
    if as_json:
        _print_json(
            {
                "origin": head.origin,
                "size": head.size,
                "root": encode_base64(head.root),
                "leaves": [{"index": index, "leaf": row} for index, row in rows],
            }
        )
        return
    click.echo(f"{head.origin}, size {head.size}, root {encode_base64(head.root)}")
    for index, row in rows:
        said = "  ".join(
            f"{name}={_plain(value)}" for name, value in row.items() if name not in _IN_FRONT
        )
        front = "  ".join(_plain(row.get(name)) for name in _IN_FRONT)
        click.echo(f"{index:>8}  {front}  {said}")


@ledger.command("proof")
@selectors
@click.option("--leaf", type=click.IntRange(min=0), help="Prove this entry.")
@click.option("--record", help="Prove every entry about this record, such as topic[0]@7#1.")
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
        _require_leaf(leaf, head)
    leaves = [leaf] if leaf is not None else _about(chosen.reader, head.size, str(record))
    if not leaves:
        msg = f"no entry is about that record in {head.origin} at size {head.size}"
        raise LedgerError(msg)
    out.mkdir(parents=True, exist_ok=True)
    written = [_write_proof(chosen.reader, log, index, head.size, out) for index in leaves]
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
    size, index, problem = None, None, None
    try:
        parsed = Proof.parse(proof.read_bytes())
        index = parsed.index
        size = check_proof(parsed, entry.read_bytes(), log).size
    except LedgerError as exc:
        problem = str(exc)
    if as_json:
        _print_json(
            {
                "origin": log.name,
                "leaf": index,
                "size": size,
                "verified": problem is None,
                "problem": problem,
            }
        )
    elif problem is None:
        click.echo(f"{log.name} holds this entry as leaf {index}, under a tree of size {size}")
    else:
        click.echo(f"NOT PROVED: {problem}")
    if problem is not None:
        raise SystemExit(EXIT_WRONG)


_IN_FRONT = ("time", "kind", "record")


def _print_json(document: object) -> None:
    click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))


def _plain(value: object) -> str:
    """Return a leaf's value for a reader."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, dict):
        return ",".join(f"{name}:{part}" for name, part in value.items())
    return "-" if value is None else str(value)


def _decode(entry: bytes) -> dict[str, Any]:
    """Return a leaf's fields; only well-formed leaves are shown.

    Raises:
        FormatError: The entry is no leaf of this release.

    """
    parse_leaf(entry)
    row: dict[str, Any] = orjson.loads(entry)
    return row


def _newest(reader: Reader, size: int, kind: str | None, limit: int) -> list[tuple[int, bytes]]:
    """Return the newest *limit* entries of a kind, oldest first."""
    found: list[tuple[int, bytes]] = []
    stop = size
    while stop and len(found) < limit:
        start = (stop - 1) // 256 * 256  # a bundle at a time, from the end
        for index, entry in reversed(list(enumerate(reader.entries(start, stop, size), start))):
            if len(found) < limit and (kind is None or _decode(entry)["kind"] == kind):
                found.append((index, entry))
        stop = start
    return found[::-1]


def _about(reader: Reader, size: int, record: str) -> list[int]:
    """Return the indexes of the entries about a record."""
    entries = enumerate(reader.entries(0, size, size))
    named = ((index, parse_leaf(entry).record) for index, entry in entries)
    return [index for index, name in named if record in {str(name), str(name.at)}]


def _require_leaf(leaf: int, head: Checkpoint) -> None:
    """Make sure that the ledger has this leaf.

    Raises:
        LedgerError: It has not.

    """
    if leaf >= head.size:
        msg = f"no leaf {leaf} in {head.origin}: its size is {head.size}"
        raise LedgerError(msg)


def _write_proof(reader: Reader, log: Verifier, index: int, size: int, out: Path) -> dict[str, Any]:
    """Write one proof and its entry; return where."""
    proof = make_proof(reader, log, index)
    proof_file, entry_file = out / f"{index}.tlog-proof", out / f"{index}.json"
    proof_file.write_bytes(bytes(proof))
    entry_file.write_bytes(next(reader.entries(index, index + 1, size)))
    return {"leaf": index, "proof": str(proof_file), "entry": str(entry_file)}
