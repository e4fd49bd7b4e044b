"""The reviewed file of approved plans: only a digest that stands there may decide."""

import tomllib
from collections.abc import Iterable
from pathlib import Path

from residency.plan.model import Plan

APPROVED_FILE = Path(__file__).parents[1] / "approved_plans.toml"
_HEAD = """# The plans that may decide what leaves, by digest. Written by `homeport plan approve`,
# reviewed by the privacy officer as a change of this file. The gate reads it too.
"""


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
        + (f"not_after = {plan.not_after}\n" if plan.not_after else "")
        for plan in plans
    ]
    return _HEAD + "".join(rows)
