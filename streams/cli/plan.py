"""``homeport plan`` and ``homeport explain``: what may leave, and by which law."""

from datetime import UTC, date, datetime
from math import log2
from typing import get_args

import click
import orjson

from residency.contracts.model import Aggregate
from residency.generalise import generaliser
from residency.plan.approved import approved_digests
from residency.plan.model import FieldPlan, LabelPlan, LeafDecision, OutputPlan, Plan, leaf_path
from residency.policy.rules import Action
from schemas.registry import EventSchema, load_registry
from streams.cli.options import json_option, region_option
from streams.plans import compiled


def today() -> date:
    """Return the day in UTC; policy rows are dated."""
    return datetime.now(UTC).date()


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
    """Show, lint, compare and approve the plans: contract and policy, compiled.

    There is one per schema and region. docs/contracts.md says how a contract is written.

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
    plans = [p for p in compiled(region, today()) if wanted in {None, p.schema_id}]
    approved = approved_digests(region)
    if as_json:
        shown = [
            {
                **orjson.loads(p.to_json()),
                "digest": p.digest,
                "approved": p.digest in approved,
                "bits": _plan_bits(p),
            }
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
        _print_output(output)
    for action in dict.fromkeys(d.action for d in one.decisions):
        paths = [d.path for d in one.decisions if d.action is action]
        click.echo(f"  {action:<11} {', '.join(paths)}")


def _print_output(output: OutputPlan) -> None:
    for_good = " for good" if output.hard else ""
    what = f"deletes{for_good}" if output.deletes else "->"
    later = ", labels that follow" if output.labels else ""
    click.echo(f"  {what} {output.object}{later}, basis {', '.join(output.basis) or 'none'}")
    bits, texts = _field_bits(output), {made.name: made.path for made in output.fields}
    rows = [
        (made.name, made.source if made.source in get_args(Aggregate) else _way(made), made.path)
        for made in (output.external_id, *(() if output.labels else output.fields))
    ]
    rows += [(one.field, f"label {one.task}", texts[one.text]) for one in output.labels]
    for name, way, path in rows:
        told = f", at most {bits[name]} bits" if name in bits else ""
        click.echo(f"     {name:<24} {way:<21} {path or ''}{told}")
    for ref in output.processors:
        click.echo(f"     then {ref.name}, sha256 {ref.sha256[:12]}")


def _way(made: FieldPlan) -> str:
    return made.how or made.action or made.value or made.source


def _field_bits(output: OutputPlan) -> dict[str, float]:
    """Return per generalised field, and per label, how many bits it can tell, to a tenth."""
    labels = {one.field: _label_bits(one) for one in output.labels}
    return labels | {made.name: _bits(made.how) for made in output.fields if made.how is not None}


def _plan_bits(one: Plan) -> dict[str, dict[str, float]]:
    """Return the bits of every field, by object."""
    found: dict[str, dict[str, float]] = {}
    for output in one.outputs:
        found.setdefault(output.object, {}).update(_field_bits(output))
    return found


def _label_bits(one: LabelPlan) -> float:
    return round(log2(len(one.values)), 1)


def _bits(how: str) -> float:
    return round(generaliser(how).bits, 1)


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
    one = next(p for p in compiled(region, today()) if p.schema_id == schema.id)
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
            "bits": None if decision.how is None else _bits(decision.how),
            "results": None if decision.how is None else generaliser(decision.how).alphabet,
            "rules": decision.rules,
            "sources": decision.sources,
            "basis": decision.basis,
            "destination": one.destination,
            "sent_as": goes,
            "labels": [
                {
                    "sent_as": name,
                    "task": label.task,
                    "version": label.version,
                    "values": label.values,
                    "bits": _label_bits(label),
                }
                for name, label in _labels(one, decision)
            ],
        }
        click.echo(orjson.dumps(told).decode())
        return
    click.echo(f"{decision.path} is {decision.category}: {decision.action}", nl=False)
    click.echo(f" ({decision.how})" if decision.how else "")
    if decision.how:
        way = generaliser(decision.how)
        click.echo(f"  makes  {way.says}")
        click.echo(f"  bits   at most {way.bits:.1f}: one of {way.alphabet:,} results")
    click.echo(f"  rule   {', '.join(decision.rules) or 'none: silence is refusal'}")
    click.echo(f"  law    {'; '.join(decision.sources) or '-'}")
    click.echo(f"  basis  {', '.join(decision.basis) or '-'}, to {one.destination}")
    click.echo(f"  sent   {', '.join(goes) or _why_nowhere(decision)}")
    for field, label in _labels(one, decision):
        values = ", ".join(label.values)
        click.echo(f"  label  {field}, at most {_label_bits(label)} bits: {values}")


def _why_nowhere(decision: LeafDecision) -> str:
    match decision.action:
        case Action.DROP:
            return "nowhere: the policy drops it, whatever a contract asks"
        case Action.LABEL:
            return "nowhere: only a label of it may be sent, and no contract asks for one"
        case _:
            return "nowhere: no contract asks for it"


def _goes(one: Plan, decision: LeafDecision) -> list[str]:
    fields = [
        f"{output.object}.{made.name}"
        for output in one.outputs
        for made in (output.external_id, *(() if output.labels else output.fields))
        if made.path is not None and leaf_path(made.path) == decision.path
    ]
    return list(dict.fromkeys([*fields, *(name for name, _ in _labels(one, decision))]))


def _labels(one: Plan, decision: LeafDecision) -> list[tuple[str, LabelPlan]]:
    """Return the labels of a leaf, each with the field that it is sent as."""
    return [
        (f"{output.object}.{label.field}", label)
        for output in one.outputs
        for made in output.fields
        for label in output.labels
        if label.text == made.name and leaf_path(made.path or "") == decision.path
    ]
