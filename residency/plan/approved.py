"""The reviewed plans: only a digest that stands in their list may decide.

The list is for machines: border and gate read it. Beside it lies the content of each plan,
laid out for people: one line per leaf and per CRM field, so that a pull request shows what
changes, and a digest that a ledger cites can be looked up, in the history, for ever.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import rfc8785

from residency.plan.model import Plan

APPROVED_FILE = Path(__file__).parents[1] / "approved_plans.toml"
APPROVED_FOLDER = Path(__file__).parents[1] / "approved_plans"
_HEAD = """# The plans that may decide what leaves, by digest. Written by `homeport plan approve`,
# reviewed by the privacy officer as a change of this file, with the plans in approved_plans/.
# The gate reads it too.
"""

PlanJson = Mapping[str, Any]  # what `Plan.to_json` writes, parsed


def approved_digests(region: str, path: Path = APPROVED_FILE) -> frozenset[str]:
    """Return the approved digests of *region*; none if the file is absent."""
    if not path.exists():
        return frozenset()
    rows = tomllib.loads(path.read_text(encoding="utf-8")).get("plan", [])
    return frozenset(row["digest"] for row in rows if row["region"] == region)


def render(plans: Iterable[Plan]) -> str:
    """Return the file's text for *plans*."""
    rows = [
        "\n[[plan]]\n"
        f'region = "{plan.region}"\n'
        f'subject = "{plan.subject}"\n'
        f"schema_id = {plan.schema_id}\n"
        f'digest = "{plan.digest}"\n'
        + (f"hard_deletes = {json.dumps(plan.hard_deletes)}\n" if plan.hard_deletes else "")
        + (f"not_after = {plan.not_after}\n" if plan.not_after else "")
        for plan in plans
    ]
    return _HEAD + "".join(rows)


def file_of(plan: Plan) -> str:
    """Return where a plan's content lies below the folder: ``eu/1001-OrderPlaced.json``."""
    return f"{plan.region}/{plan.schema_id}-{plan.subject.rsplit('.', 1)[-1]}.json"


def laid_out(plan: PlanJson) -> str:
    """Return the text of a plan's file: its JSON, with a line per leaf and per CRM field."""
    return _laid_out(plan, "") + "\n"


def _laid_out(value: Any, indent: str) -> str:  # noqa: ANN401, JSON is Any
    if not _has_rows(value):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    inner = f"{indent} "
    if isinstance(value, list):
        lines = [inner + _laid_out(one, inner) for one in value]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    lines = [
        f"{inner}{json.dumps(key, ensure_ascii=False)}: {_laid_out(value[key], inner)}"
        for key in sorted(value)
    ]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


def _has_rows(value: Any) -> bool:  # noqa: ANN401, JSON is Any
    """Return whether a list of objects lies somewhere in *value*."""
    if isinstance(value, Mapping):
        return any(map(_has_rows, value.values()))
    return isinstance(value, list) and any(isinstance(one, Mapping) for one in value)


def digest_of(plan: PlanJson) -> str:
    """Return the digest of a plan that was read from its file."""
    return hashlib.sha256(rfc8785.dumps(dict(plan))).hexdigest()


def stored_plans(folder: Path = APPROVED_FOLDER) -> list[PlanJson]:
    """Return the content of the approved plans, by region and schema.

    Raises:
        ValueError: A file is not JSON.

    """
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*/*.json"))]
