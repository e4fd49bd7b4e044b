"""``homeport plan`` and ``homeport explain``: what may leave, and by which law."""

from datetime import UTC, date, datetime
from pathlib import Path

import click
import orjson

from residency.plan.approved import APPROVED_FILE, approved_digests, render
from residency.plan.book import compile_all
from residency.plan.compile import PlanError
from residency.plan.model import LeafDecision, Plan, leaf_path
from residency.policy.rules import Action
from residency.regions import load_regions
from schemas.registry import EventSchema, load_registry
from streams.cli.options import json_option, region_option
from streams.processor import discover


def today() -> date:
    """Return the day in UTC; policy rows are dated."""
    return datetime.now(UTC).date()


def compiled(region: str) -> tuple[Plan, ...]:
    """Return today's plans of *region* with the processors there are."""
    return compile_all(region, today(), processors=discover())


def find_schema(name: str) -> EventSchema:
    """Return the schema that *name* means: an id, a full name, its last part, ``name@2``.

    Raises:
        click.UsageError: None or several do.

    """
    wanted, _, version = name.partition("@")
    found = [
        schema
        for schema in load_registry().raw()
        if wanted in {str(schema.id), schema.subject, schema.subject.rsplit(".", 1)[-1]}
        and version in {"", str(schema.version)}
    ]
    newest = {schema.subject: schema for schema in sorted(found, key=lambda s: s.version)}
    if len(newest) != 1:
        known = ", ".join(sorted({s.subject for s in load_registry().raw()}))
        msg = f"no single schema is named {name!r}; have {known}"
        raise click.UsageError(msg)
    return next(iter(newest.values()))


@click.group()
def plan() -> None:
    """Show, lint and approve the plans: contract and policy, compiled per schema and region.

    Only a plan whose digest stands in the reviewed file residency/approved_plans.toml may
    decide at run time; a schema without one goes to quarantine.
    """


@plan.command()
@region_option
@click.option("--schema", "name", help="Only this one: OrderPlaced, OrderPlaced@1 or an id.")
@json_option
def show(region: str, name: str | None, as_json: bool) -> None:
    """Show the plans of a region: per leaf the action, per CRM field where it comes from.

    Example: homeport plan show --region eu --schema OrderPlaced
    """
    wanted = None if name is None else find_schema(name).id
    plans = [p for p in compiled(region) if wanted in {None, p.schema_id}]
    approved = approved_digests(region)
    if as_json:
        shown = [
            {**orjson.loads(p.to_json()), "digest": p.digest, "approved": p.digest in approved}
            for p in plans
        ]
        click.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())
        return
    for one in plans:
        _print_plan(one, is_approved=one.digest in approved)


def _print_plan(one: Plan, *, is_approved: bool) -> None:
    mark = "approved" if is_approved else "NOT APPROVED: its events go to quarantine"
    click.echo(f"\n{one.subject} (schema {one.schema_id}) in {one.region}: {mark}")
    click.echo(f"  digest {one.digest}, sends until {one.not_after or 'further notice'}")
    for output in one.outputs:
        click.echo(f"  -> {output.object}, basis {', '.join(output.basis) or 'none'}")
        for made in (output.external_id, *output.fields):
            what = made.how or made.action or made.value or made.source
            click.echo(f"     {made.name:<24} {what:<16} {made.path or ''}")
        for ref in output.processors:
            click.echo(f"     then {ref.name}, sha256 {ref.sha256[:12]}")
    for action in dict.fromkeys(d.action for d in one.decisions):
        paths = [d.path for d in one.decisions if d.action is action]
        click.echo(f"  {action:<11} {', '.join(paths)}")


@plan.command()
@json_option
def lint(as_json: bool) -> None:
    """Compile every schema for every region and report every problem at once.

    Exit code 1 when a contract asks for more than a policy gives, a mapping matches
    nothing, or a plan is not approved.
    """
    problems: list[str] = []
    for region in load_regions():
        try:
            plans = compiled(region)
        except PlanError as exc:
            problems += exc.problems
            continue
        approved = approved_digests(region)
        problems += [
            f"{p.subject} v{_version(p)} in {region}: plan {p.digest[:12]} is not approved; "
            "review `homeport plan show`, then run `homeport plan approve`"
            for p in plans
            if p.digest not in approved
        ]
    if as_json:
        click.echo(orjson.dumps({"problems": problems}).decode())
    else:
        for problem in problems:
            click.echo(problem)
        click.echo(f"{len(problems)} problem(s)", err=True)
    raise SystemExit(1 if problems else 0)


def _version(one: Plan) -> int:
    return load_registry().by_id(one.schema_id).version


@plan.command()
@click.option(
    "--file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=APPROVED_FILE,
    show_default="residency/approved_plans.toml",
    help="The reviewed file to write.",
)
def approve(file: Path) -> None:
    """Write the digests of today's plans to the reviewed file; the review is yours.

    Look at `git diff` of that file and of the policy and contracts before you commit it.
    """
    plans = [p for region in load_regions() for p in compiled(region)]
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    file.write_text(render(plans), encoding="utf-8")
    fresh = sum(p.digest not in before for p in plans)
    click.echo(f"{file.name}: {len(plans)} plans, {fresh} of them new; review and commit", err=True)


@click.command()
@click.argument("path")
@region_option
@click.option("--schema", "name", required=True, help="OrderPlaced, OrderPlaced@1 or an id.")
@json_option
def explain(path: str, region: str, name: str, as_json: bool) -> None:
    """Say what happens to the field at PATH, by which rule, law and transfer basis.

    Example: homeport explain customer.email --region eu --schema OrderPlaced
    """
    schema = find_schema(name)
    one = next(p for p in compiled(region) if p.schema_id == schema.id)
    decision = next((d for d in one.decisions if d.path == leaf_path(path)), None)
    if decision is None:
        paths = ", ".join(d.path for d in one.decisions)
        msg = f"{schema.subject} has no leaf {path!r}; it has {paths}"
        raise click.UsageError(msg)
    goes = _goes(one, decision)
    if as_json:
        told = {
            "path": decision.path,
            "category": decision.category,
            "action": decision.action,
            "how": decision.how,
            "rules": decision.rules,
            "sources": decision.sources,
            "basis": decision.basis,
            "destination": one.destination,
            "sent_as": goes,
        }
        click.echo(orjson.dumps(told).decode())
        return
    click.echo(f"{decision.path} is {decision.category}: {decision.action}", nl=False)
    click.echo(f" ({decision.how})" if decision.how else "")
    click.echo(f"  rule   {', '.join(decision.rules) or 'none: silence is refusal'}")
    click.echo(f"  law    {'; '.join(decision.sources) or '-'}")
    click.echo(f"  basis  {', '.join(decision.basis) or '-'}, to {one.destination}")
    click.echo(f"  sent   {', '.join(goes) or _why_nowhere(decision)}")


def _why_nowhere(decision: LeafDecision) -> str:
    match decision.action:
        case Action.DROP:
            return "nowhere: the policy drops it, whatever a contract asks"
        case Action.LABEL:
            return "nowhere: only a label of it may be sent, and this version makes none"
        case _:
            return "nowhere: no contract asks for it"


def _goes(one: Plan, decision: LeafDecision) -> list[str]:
    return [
        f"{output.object}.{made.name}"
        for output in one.outputs
        for made in (output.external_id, *output.fields)
        if made.path is not None and leaf_path(made.path) == decision.path
    ]
