"""What changed from some plans to others: per leaf and per CRM field, what is loosened first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import log2
from typing import Any

from residency.generalise import generaliser
from residency.plan.approved import PlanJson, digest_of
from residency.policy.rules import Action
from schemas.errors import SetupError

Row = Mapping[str, Any]
NONE: Row = {}
_MORE = (
    "identity", "domain", "country", "at", "pattern", "range", "scale", "to",
    "task", "version", "sha256", "values",
)  # fmt: skip
_TOLD = frozenset({"external_id", "fields", "labels", "erasure"})  # on lines of their own
_STRICTNESS = [Action.DROP, Action.TOKENISE, Action.GENERALISE, Action.LABEL, Action.KEEP]


class Direction(StrEnum):
    """Which way a change goes, the one to look at first."""

    LOOSENED = "loosened"  # more leaves, or may leave
    CHANGED = "changed"  # something else leaves, or by another right
    TIGHTENED = "tightened"


_ORDER = tuple(Direction)


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        region: Where the plan holds.
        subject: The event's full name.
        schema_id: Of its version.
        what: ``plan``, ``leaf customer.email``, ``field Commerce_Order__c.Total__c``, ``row
            Commerce_Order__c`` or ``erasure Commerce_Order__c``.
        before: How it was, for people; None: it was not.
        after: How it is; None: it is no more.

    """

    direction: Direction
    region: str
    subject: str
    schema_id: int
    what: str
    before: str | None
    after: str | None


def changes(before: Sequence[PlanJson], after: Sequence[PlanJson]) -> list[Change]:
    """Return what is different, loosened first, then by region, event and schema id."""
    old, new = _by_schema(before), _by_schema(after)
    found = [
        change
        for key in old.keys() | new.keys()
        if old.get(key) != new.get(key)
        for change in _plan(old.get(key, NONE), new.get(key, NONE))
    ]
    return sorted(
        found,
        key=lambda c: (_ORDER.index(c.direction), c.region, c.subject, c.schema_id, c.what),
    )


def _by_schema(plans: Sequence[PlanJson]) -> dict[tuple[str, int], PlanJson]:
    return {(plan["region"], plan["schema_id"]): plan for plan in plans}


def _plan(old: PlanJson, new: PlanJson) -> Iterator[Change]:
    named = new or old

    def change(direction: Direction, what: str, was: str | None, now: str | None) -> Change:
        return Change(
            direction, named["region"], named["subject"], named["schema_id"], what, was, now
        )

    if not old or not new:
        direction = Direction.TIGHTENED if old else Direction.LOOSENED
        told = [f"plan {digest_of(plan)[:12]}" if plan else None for plan in (old, new)]
        yield change(direction, "plan", *told)
    else:
        for key, was, now in _differences(old, new, but={"decisions", "outputs"}):
            yield change(_of_key(key, was, now), f"plan {key}", _word(was), _word(now))
    for what, was, now in _pairs(_leaves(old), _leaves(new)):
        yield change(_of_rows(was, now), f"leaf {what}", _decided(was), _decided(now))
    for what, was, now in _pairs(_fields(old), _fields(new)):
        yield change(_of_rows(was, now), f"field {what}", _made(was), _made(now))
    for what, was, now in _pairs(_rows(old), _rows(new)):
        direction = _of_hard(was, now) or _of_rows(was, now)
        yield change(direction, f"row {what}", _word(was or None), _word(now or None))
    for what, was, now in _pairs(_erasures(old), _erasures(new)):
        told = [_word(row or None) for row in (was, now)]
        yield change(_of_erasures(was, now), f"erasure {what}", *told)


def _differences(old: Row, new: Row, but: set[str]) -> Iterator[tuple[str, Any, Any]]:
    for key in sorted((old.keys() | new.keys()) - but):
        if old.get(key) != new.get(key):
            yield key, old.get(key), new.get(key)


def _pairs(old: Mapping[str, Row], new: Mapping[str, Row]) -> Iterator[tuple[str, Row, Row]]:
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name, NONE), new.get(name, NONE)
        if was != now:
            yield name, was, now


def _leaves(plan: PlanJson) -> dict[str, Row]:
    return {row["path"]: row for row in plan.get("decisions", ())}


def _fields(plan: PlanJson) -> dict[str, Row]:
    found: dict[str, Row] = {}
    for output in plan.get("outputs", ()):
        of = _name(output)
        made = {field["name"]: field for field in (output["external_id"], *output["fields"])}
        found |= {f"{of}.{name}": field for name, field in made.items()}
        for label in output.get("labels", ()):  # told by what it is made of
            text = {key: made[label["text"]].get(key) for key in ("source", "path", "action")}
            found[f"{output['object']}.{label['field']}"] = {**label, **text}
    return found


def _name(output: Row) -> str:
    """Return what an output is called: labels are another record of the same object."""
    return f"{output['object']} labels" if output.get("labels") else str(output["object"])


def _rows(plan: PlanJson) -> dict[str, Row]:
    return {
        _name(output): {k: v for k, v in output.items() if k not in _TOLD}
        for output in plan.get("outputs", ())
    }


def _erasures(plan: PlanJson) -> dict[str, Row]:
    outputs = plan.get("outputs", ())
    return {output["object"]: output["erasure"] for output in outputs if "erasure" in output}


def _of_erasures(old: Row, new: Row) -> Direction:
    """Return the direction of what becomes of a row at an erasure: loosened if more stays of it."""
    if not old or not new:
        return Direction.LOOSENED if old else Direction.TIGHTENED
    if old["deletes"] != new["deletes"]:
        return Direction.LOOSENED if old["deletes"] else Direction.TIGHTENED
    direction = _of_hard(old, new)
    if direction is not None:
        return direction
    was, now = set(old["cleared"]), set(new["cleared"])
    if was - now:
        return Direction.LOOSENED
    return Direction.TIGHTENED if now - was else Direction.CHANGED


def _of_hard(old: Row, new: Row) -> Direction | None:
    """Return the direction of how a row is deleted: by way of the recycle bin it stays longer."""
    both_delete = bool(old.get("deletes") and new.get("deletes"))
    if not both_delete or bool(old.get("hard")) == bool(new.get("hard")):
        return None
    return Direction.LOOSENED if old.get("hard") else Direction.TIGHTENED


def _of_rows(old: Row, new: Row) -> Direction:
    """Return the direction of a leaf or a field: what is there more, or by a looser action.

    A field that is made of something else lets that out, which it did not before.
    """
    if old and new and any(old.get(key) != new.get(key) for key in ("source", "path")):
        return Direction.LOOSENED
    was, now = _looseness(old), _looseness(new)
    if was == now:
        return Direction.CHANGED
    return Direction.LOOSENED if was < now else Direction.TIGHTENED


def _looseness(row: Row) -> tuple[int, float]:
    """Return a number that grows with what a row lets out, as far as its action says it.

    A field without an action is a constant and the like: it is there, or it is not. A leaf that
    is dropped is as if it were not.
    """
    if not row:
        return 0, 0.0
    action = row.get("action")
    strict = _STRICTNESS.index(Action(action)) if action else len(_STRICTNESS)
    how, values = row.get("how"), row.get("values")
    if values:
        return strict, log2(len(values))  # of a label
    return strict, 0.0 if how is None else _bits(how)


def _bits(how: str) -> float:
    """Return how much a generaliser tells; 0 for one that there is no more."""
    try:
        return generaliser(how).bits
    except SetupError:
        return 0.0


def _of_key(key: str, old: Any, new: Any) -> Direction:  # noqa: ANN401, JSON is Any
    if key != "not_after":
        return Direction.CHANGED
    endless = "9999-12-31"
    return Direction.LOOSENED if (old or endless) < (new or endless) else Direction.TIGHTENED


def _decided(row: Row) -> str | None:
    if not row:
        return None
    rules = ", ".join(row["rules"]) or "no rule"
    return f"{_action(row)} ({row['category'] or 'no category'}; {rules})"


def _made(row: Row) -> str | None:
    if not row:
        return None
    source = row["source"]
    parts = [
        "" if source == "path" else source,
        row.get("path", ""),
        row.get("value", ""),
        _action(row) if source == "path" else "",
    ]
    parts += [f"{key}={_word(row[key])}" for key in _MORE if row.get(key) not in (None, False)]
    return " ".join(part for part in parts if part)


def _action(row: Row) -> str:
    how = row.get("how")
    return f"{row['action']} {how}" if how else str(row["action"])


def _word(value: Any) -> str | None:  # noqa: ANN401, JSON is Any
    match value:
        case None:
            return None
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(str(_word(one)) for one in value) or "none"
        case Mapping():
            return "; ".join(f"{key}: {_word(value[key])}" for key in sorted(value))
        case _:
            return str(value)
