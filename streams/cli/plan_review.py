"""``homeport plan lint | diff | approve``: what a data engineer and a privacy officer look at."""

import io
import json
import re
import subprocess
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import click
import orjson

from connectors.sfdx.reader import OBJECTS, read_org
from inference.tasks import load_tasks
from residency.contracts.check import contract_problems, unmet_problems
from residency.contracts.read import CONTRACTS_FOLDER, BadContractError, load_contract
from residency.gate.approvals import load_hard_deletes
from residency.plan.approved import (
    APPROVED_FILE,
    APPROVED_FOLDER,
    PlanJson,
    approved_digests,
    digest_of,
    file_of,
    laid_out,
    render,
    stored_plans,
)
from residency.plan.book import compile_each
from residency.plan.diff import Change, Direction, changes
from residency.plan.faults import Fault, merged
from residency.plan.fit import org_faults
from residency.plan.model import Plan
from residency.regions import load_regions
from schemas.registry import load_registry
from streams.cli.options import json_option
from streams.cli.plan import plan, today
from streams.plans import compiled
from streams.processor import discover

__all__ = ["plan"]

ROOT = Path(__file__).parents[2]
APPROVED, HERE = "approved", "."
SHOWN_BESIDE = {"digest", "approved", "bits"}  # by `plan show`, and no part of a plan
_PLACE = re.compile(r"([\w.-]+\.toml):(\d+): ")
Folder = click.Path(exists=True, file_okay=False, path_type=Path)


@plan.command()
@click.option(
    "--contracts",
    type=Folder,
    default=CONTRACTS_FOLDER,
    show_default="residency/contracts",
    help="The contracts to look at: a draft, say. Their plans need no approval yet.",
)
@click.option(
    "--org",
    type=Folder,
    default=OBJECTS,
    show_default="connectors/sfdx/.../objects",
    help="SFDX source of the org's objects.",
)
@json_option
def lint(contracts: Path, org: Path, as_json: bool) -> None:
    """Compile every schema for every region and report every problem at once.

    A line names the contract's file and line, the event, the versions and regions that have
    the problem, and the CRM field.

    \b
    Examples: homeport plan lint
              homeport plan lint --contracts ../draft

    Exit code 1 when a contract cannot be read, asks for more than a policy gives, maps what no
    schema has, does not fit the org's fields, or when a plan is not approved.
    """
    problems = _problems(contracts, org)
    if as_json:
        click.echo(orjson.dumps({"problems": problems}).decode())
    else:
        for problem in problems:
            click.echo(problem)
        click.echo(f"{len(problems)} problem(s)", err=True)
    raise SystemExit(1 if problems else 0)


def _problems(folder: Path, org: Path) -> list[str]:
    try:
        contract = load_contract(folder)
    except BadContractError as exc:
        return list(exc.problems)
    registry, processors, tasks = load_registry(), discover(), load_tasks()
    plans, faults = list[Plan](), list[Fault]()
    for region in load_regions():
        made, found = compile_each(region, today(), registry, contract, processors, tasks)
        plans += made
        faults += found
    faults += org_faults(contract, plans, registry, read_org(org))
    failing = {fault.event for fault in faults}
    told = contract_problems(contract, registry) + unmet_problems(contract, plans, failing)
    problems = sorted(told + merged(faults), key=_place)
    if folder == CONTRACTS_FOLDER:
        problems += _unapproved(plans)
    return problems


def _place(problem: str) -> tuple[str, int]:
    """Return file and line of a problem, to sort by; those without come last."""
    found = _PLACE.match(problem)
    return (found[1], int(found[2])) if found else ("~", 0)


def _unapproved(plans: Sequence[Plan]) -> list[str]:
    """Return what the reviewed files lack, and where they disagree with each other."""
    stored = {digest_of(one) for one in stored_plans()}
    problems = []
    for one in plans:
        version = load_registry().by_id(one.schema_id).version
        if one.digest not in approved_digests(one.region):
            text = "is not approved; review `homeport plan diff`, then run `homeport plan approve`"
        elif one.digest not in stored:
            text = f"is approved, but {APPROVED_FOLDER.name}/{file_of(one)} holds another"
            text = f"{text}; run `homeport plan approve`"
        elif set(one.hard_deletes) != _hard(one):
            text = f"is approved, but {APPROVED_FILE.name} lists other hard_deletes of it"
            text = f"{text}; run `homeport plan approve`"
        else:
            continue
        problems.append(f"{one.subject} v{version} in {one.region}: plan {one.digest[:12]} {text}")
    return problems


def _hard(one: Plan) -> set[str]:
    """Return the objects of which egress deletes rows for good under a plan."""
    pairs = load_hard_deletes(APPROVED_FILE, one.region)
    return {name for digest, name in pairs if digest == one.digest}


@plan.command()
@click.argument("before", default=APPROVED)
@click.argument("after", default=HERE)
@json_option
def diff(before: str, after: str, as_json: bool) -> None:
    """Say what leaves under AFTER that did not under BEFORE, per leaf and per CRM field.

    Each is `approved`, the plans approved in this checkout (the default for BEFORE); `.`, the
    plans compiled from it today (the default for AFTER); a git revision, whose approved plans
    count; or a file of `homeport plan show --region R --json`, which is compared with the
    plans of that region. Loosened changes come first.

    \b
    Examples: homeport plan diff
              homeport plan diff main approved
              homeport plan diff yesterday.json

    Exit code 1 if anything is loosened.
    """
    old, new = _plans(before), _plans(after)
    covered = {
        one["region"]
        for name, plans in ((before, old), (after, new))
        for one in (plans if Path(name).is_file() else [])
    } or set(load_regions())
    sides = [[one for one in plans if one["region"] in covered] for plans in (old, new)]
    found = changes(*sides)
    is_loosened = any(change.direction is Direction.LOOSENED for change in found)
    if as_json:
        told = {"loosened": is_loosened, "changes": [asdict(change) for change in found]}
        click.echo(orjson.dumps(told).decode())
    else:
        for alike in _alike(found):
            _print(alike)
        click.echo(_summary(found), err=True)
    raise SystemExit(1 if is_loosened else 0)


def _alike(found: Sequence[Change]) -> list[list[Change]]:
    """Return the changes in groups that differ in region and version of the event alone."""
    groups: dict[Change, list[Change]] = {}
    for change in found:
        groups.setdefault(replace(change, region="", schema_id=0), []).append(change)
    return list(groups.values())


def _print(alike: Sequence[Change]) -> None:
    one = alike[0]
    regions = ", ".join(dict.fromkeys(change.region for change in alike))
    ids = ", ".join(dict.fromkeys(str(change.schema_id) for change in alike))
    click.echo(f"{one.direction.upper():<9}  {one.subject} ({ids}) in {regions}: {one.what}")
    click.echo(f"           {one.before or 'nothing'} -> {one.after or 'nothing'}")


def _summary(found: Sequence[Change]) -> str:
    counts = Counter(change.direction for change in found)
    parts = [f"{counts[direction]} {direction}" for direction in Direction if counts[direction]]
    return f"{len(found)} change(s)" + (f": {', '.join(parts)}" if parts else "")


def _plans(name: str) -> list[PlanJson]:
    """Return the plans that a word on the command line means."""
    if name == APPROVED:
        return stored_plans()
    if name == HERE:
        return _compiled()
    path = Path(name)
    return _read(path) if path.is_file() else _at_revision(name)


def _compiled() -> list[PlanJson]:
    return [
        json.loads(one.to_json()) for region in load_regions() for one in compiled(region, today())
    ]


def _read(path: Path) -> list[PlanJson]:
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        found = None
    rows = [row for row in (found if isinstance(found, list) else [found]) if isinstance(row, dict)]
    if not rows or not all({"region", "schema_id"} <= row.keys() for row in rows):
        msg = f"{path.name} holds no plans; write it with: homeport plan show --region R --json"
        raise click.UsageError(msg)
    return [{k: v for k, v in row.items() if k not in SHOWN_BESIDE} for row in rows]


def _at_revision(name: str) -> list[PlanJson]:
    """Return the plans that were approved at a git revision of this checkout."""
    folder = APPROVED_FOLDER.relative_to(ROOT).as_posix()
    try:
        archive = subprocess.run(
            ["git", "archive", "--format=tar", "--end-of-options", name, folder],
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        msg = f"{name!r} is no file, and no git revision of this checkout with {folder}/"
        raise click.UsageError(msg) from None
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = [tar.extractfile(member) for member in tar.getmembers() if member.isfile()]
        return [json.loads(file.read()) for file in files if file is not None]


@plan.command()
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=APPROVED_FILE,
    show_default="residency/approved_plans.toml",
    help="The reviewed list to write; the plans go to the folder of the same name beside it.",
)
def approve(file: Path) -> None:
    """Write today's plans and their digests to the reviewed files; the review is yours.

    Run `homeport plan diff` before; look at `git diff` of the files before you commit them.
    """
    plans = [p for region in load_regions() for p in compiled(region, today())]
    folder = file.with_suffix("")
    texts = {folder / file_of(one): laid_out(json.loads(one.to_json())) for one in plans}
    found = changes(stored_plans(folder), [json.loads(one.to_json()) for one in plans])
    for stale in set(folder.glob("*/*.json")) - texts.keys():
        stale.unlink()
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    file.write_text(render(plans), encoding="utf-8")
    click.echo(f"{file.name}: {len(plans)} plans, {_summary(found)}; review and commit", err=True)
