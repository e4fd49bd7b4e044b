"""Approved plans as values again, from the files that hold their content.

Not compiled anew: a rule that has run out since makes another plan, and what was sent under the
old one is still to be replayed.
"""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from residency.plan.approved import APPROVED_FOLDER, PlanJson, digest_of, stored_plans
from residency.plan.model import (
    ErasurePlan,
    FieldPlan,
    LabelPlan,
    LeafDecision,
    OutputPlan,
    Plan,
    ProcessorRef,
)
from residency.policy.rules import Action
from schemas.errors import SetupError


def load_stored(region: str, folder: Path = APPROVED_FOLDER) -> dict[str, Plan]:
    """Return the plans of *region* whose content lies in *folder*, by digest.

    Raises:
        SetupError: A file does not hold a plan of this release's format.

    """
    try:
        rows = [row for row in stored_plans(folder) if row["region"] == region]
        plans = {digest_of(row): plan_of(row) for row in rows}
    except (KeyError, TypeError, ValueError):
        plans = None
    if plans is None or any(plan.digest != digest for digest, plan in plans.items()):
        msg = f"{folder}: a file is no plan of this release; restore it, see `homeport plan lint`"
        raise SetupError(msg)
    return plans


def plan_of(row: PlanJson) -> Plan:
    """Return the plan that *row* writes; the inverse of `Plan.to_json`, parsed.

    Raises:
        KeyError: A part is missing.
        TypeError: A part is not one of ours.
        ValueError: A part has no such value.

    """
    last = row.get("not_after")
    return Plan(
        region=row["region"],
        destination=row["destination"],
        subject=row["subject"],
        schema_id=row["schema_id"],
        schema_digest=row["schema_digest"],
        normaliser=row["normaliser"],
        decisions=tuple(map(_decision, row["decisions"])),
        outputs=tuple(map(_output, row["outputs"])),
        not_after=None if last is None else date.fromisoformat(last),
    )


def _decision(row: Mapping[str, Any]) -> LeafDecision:
    return LeafDecision(
        row["path"],
        row["category"],
        Action(row["action"]),
        row.get("how"),
        tuple(row["rules"]),
        tuple(row["sources"]),
        tuple(row["basis"]),
    )


def _output(row: Mapping[str, Any]) -> OutputPlan:
    return OutputPlan(
        row["object"],
        row["schema_id"],
        _field(row["external_id"]),
        tuple(map(_field, row["fields"])),
        tuple(row["basis"]),
        row["deletes"],
        tuple(ProcessorRef(**one) for one in row["processors"]),
        tuple(LabelPlan(**{**one, "values": tuple(one["values"])}) for one in row["labels"]),
        row.get("label_schema_id"),
        _erasure(row["erasure"]) if "erasure" in row else None,
        row.get("hard"),
    )


def _erasure(row: Mapping[str, Any]) -> ErasurePlan:
    fields = tuple(map(_field, row["fields"]))
    return ErasurePlan(row["deletes"], tuple(row["cleared"]), fields, row.get("hard"))


def _field(row: Mapping[str, Any]) -> FieldPlan:
    named = dict(row)
    if "action" in named:
        named["action"] = Action(named["action"])
    if "range" in named:
        low, high = named["range"]
        named["range"] = (low, high)
    return FieldPlan(**named)
