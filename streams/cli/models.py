"""``homeport models``: which model reads a region's texts; that it is the same everywhere."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson

from residency.ledger.agreement import first_difference
from residency.ledger.certificates import ModelLeaf
from residency.ledger.newest import newest
from residency.regions import load_regions
from streams.cli import EXIT_WRONG
from streams.cli.ledger_choice import Chosen, choose
from streams.cli.options import home_option, json_option, region_option

SHORT = 12  # digits of a digest that people compare


@click.group()
def models() -> None:
    """Say which model reads the texts of a region, and that it is the same in all of them.

    A region's ledger holds certificates of its model: what it is to the byte, the tasks it is
    asked, and its answers to a golden set of made-up texts.
    """


@models.command()
@region_option
@home_option
@json_option
def certify(region: str, home: Path, *, as_json: bool) -> None:
    """Ask a region's model the golden set, and have its ledger certify what it is.

    \b
    Example:
      homeport models certify --region eu

    `homeport infer up`, and so `homeport up`, does this whenever the server has started; by hand
    it is for a server that something else started. A certificate that the ledger has already is
    not written again. Egress appends it, when it runs.

    Exit codes: 0 certified, or waits for egress; 1 no answer, or another model's; 3 no server.
    """
    from streams.certifying import certify as certified  # noqa: PLC0415 - heavy
    from streams.certifying import served  # noqa: PLC0415

    one = served(home, region)
    click.echo(f"asking the model of {region} the golden set", err=True)
    done = certified(home / region, one, datetime.now(UTC))
    said = done.certificate
    if as_json:
        told = {
            "region": region,
            "model": said.model,
            "digest": said.identity.digest,
            "texts": len(said.answers),
            "leaf": done.leaf,
            "is_new": done.is_new,
        }
        click.echo(orjson.dumps(told))
        return
    where = "waits for egress" if done.leaf is None else f"leaf {done.leaf}"
    click.echo(
        f"{region}: {said.model}@{said.identity.digest[:SHORT]}, {len(said.answers)} answers: "
        f"{where}{'' if done.is_new else ', as before'}"
    )


@models.command()
@click.option(
    "--region",
    "regions",
    multiple=True,
    type=click.Choice(list(load_regions())),
    help="The ledger of this region; may be repeated.  [default: all that have one]",
)
@home_option
@click.option(
    "--ledger",
    "folders",
    multiple=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="A ledger folder, such as a copy; each needs its own --vkey, in the same order.",
)
@click.option(
    "--vkey",
    "vkeys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="That log's public key, one line, got from a trusted place.",
)
@json_option
@click.pass_context
def agree(  # noqa: PLR0913, one parameter per option
    ctx: click.Context,
    *,
    regions: tuple[str, ...],
    home: Path,
    folders: tuple[Path, ...],
    vkeys: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Compare the newest certificates of several ledgers, and name the first difference.

    \b
    Examples:
      homeport models agree
      homeport models agree --ledger eu --vkey eu.vkey --ledger us --vkey us.vkey --json

    Reads ledgers alone, so it runs on an auditor's laptop; nothing in a certificate comes from a
    customer. Each certificate is proved under its ledger's signed checkpoint.

    Exit codes: 0 they agree; 1 they differ, one has none, or a ledger does not hold; 2 fewer than
    two ledgers; 3 no ledger there.
    """
    chosen = _chosen(home, regions, folders, vkeys)
    found = [_look(name, one) for name, one in chosen]
    without = [row["ledger"] for row, leaf in found if leaf is None]
    difference = _first([(row["ledger"], leaf) for row, leaf in found if leaf is not None])
    is_same = not without and difference is None
    if as_json:
        told = {"agree": is_same, "ledgers": [row for row, _ in found], "difference": difference}
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    else:
        _show([row for row, _ in found])
        _tell(without, difference)
    if not is_same:
        ctx.exit(EXIT_WRONG)


@models.command()
def accept() -> None:
    """Put the models of the lock, with the present tasks, on the list of accepted ones.

    \b
    Example:
      homeport models accept

    Egress halts at labels of a model that is not on the list, inference/accepted.toml. Whoever
    commits the change says that labels of this model, asked these tasks, may leave the regions.

    Exit codes: 0 they are on it.
    """
    from inference.accepted import ACCEPTED_FILE, present, read_accepted, to_toml  # noqa: PLC0415
    from inference.lock import read_lock, task_digests  # noqa: PLC0415

    before = read_accepted()
    added = [one for one in present(read_lock(), task_digests()) if one not in before]
    if added:
        ACCEPTED_FILE.write_text(to_toml([*before, *added]), encoding="utf-8")
    for one in added:
        click.echo(f"{one.name} {one.digest}: added to {ACCEPTED_FILE}; review and commit it")
    if not added:
        click.echo(f"{ACCEPTED_FILE} has them all", err=True)


def _chosen(
    home: Path, regions: Sequence[str], folders: Sequence[Path], vkeys: Sequence[Path]
) -> list[tuple[str, Chosen]]:
    """Return the ledgers to compare, each with its name.

    Raises:
        click.UsageError: They are fewer than two, or keys and folders do not go together.

    """
    if len(folders) != len(vkeys):
        msg = "each --ledger needs its own --vkey: the key that lies beside a ledger proves nothing"
        raise click.UsageError(msg)
    names = regions
    if not regions and not folders:
        names = [name for name in load_regions() if (home / name / "ledger").exists()]
    chosen = [(name, choose(home, name, None, None)) for name in names]
    for folder, vkey in zip(folders, vkeys, strict=True):
        chosen.append((str(folder), choose(home, None, folder, vkey)))
    if len(chosen) < 2:  # noqa: PLR2004, one alone agrees with itself
        msg = f"{len(chosen)} ledger(s) to compare: give two or more --region or --ledger"
        raise click.UsageError(msg)
    return chosen


def _look(name: str, chosen: Chosen) -> tuple[dict[str, Any], ModelLeaf | None]:
    """Return what is shown of a ledger's newest certificate, and the certificate."""
    head, _ = chosen.head()
    found = newest(chosen.reader, head, ModelLeaf)
    row: dict[str, Any] = {"ledger": name, "origin": head.origin, "leaf": None}
    if found is None:
        return row, None
    index, leaf = found
    said = leaf.certificate
    row |= {
        "leaf": index,
        "time": leaf.time,
        "model": said.model,
        "digest": said.identity.digest,
        "texts": len(said.answers),
        "release": said.release,
    }
    return row, leaf


def _first(leaves: Sequence[tuple[str, ModelLeaf]]) -> dict[str, Any] | None:
    """Return the first difference between the first ledger and another, None if all agree."""
    for there, other in leaves[1:]:
        here, one = leaves[0]
        found = first_difference(one.certificate, other.certificate)
        if found is not None:
            return {"ledgers": [here, there], "field": found.field, "values": list(found.values)}
    return None


def _show(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        said = "no certificate"
        if row["leaf"] is not None:
            said = (
                f"{row['model']}@{row['digest'][:SHORT]}, {row['texts']} answers, "
                f"leaf {row['leaf']} of {row['time']}"
            )
        click.echo(f"{row['ledger']}: {said}")


def _tell(without: Sequence[str], difference: dict[str, Any] | None) -> None:
    for name in without:
        click.echo(f"{name} has no certificate: `homeport models certify --region R` asks for one")
    if difference is not None:
        (here, there), (one, other) = difference["ledgers"], difference["values"]
        values = " and ".join("nothing" if v is None else str(v) for v in (one, other))
        click.echo(f"{here} and {there} differ: {difference['field']}: {values}")
    elif not without:
        click.echo("the same model everywhere")
