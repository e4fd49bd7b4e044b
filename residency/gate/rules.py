"""The allow-grammar: what each field that may leave a region looks like.

One reviewed file per region, written by hand. The gate alone decides by it; the org is shaped
and checked by it. A field that it does not name cannot leave; a rule for a field that does not
exist is refused.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Final, TypeAlias

from residency.gate.wire import DELETED, Violation, WireSchema
from schemas.errors import SetupError

_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "string": frozenset({"pattern", "values", "max_length", "is_token"}),
    "long": frozenset({"min", "max"}),
    "decimal": frozenset({"min", "max"}),
    "timestamp": frozenset({"min", "max", "grain"}),
    "boolean": frozenset(),
}
_COMMON: Final = frozenset({"type", "required", "clearable"})
_PYTHON: Final[Mapping[str, type]] = {
    "string": str,
    "long": int,
    "decimal": Decimal,
    "timestamp": datetime,
    "boolean": bool,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_GRAINS: Final[Mapping[str, timedelta]] = {
    "day": timedelta(days=1),
    "hour": timedelta(hours=1),
    "minute": timedelta(minutes=1),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """What one field may hold.

    Attributes:
        field: Its Salesforce name.
        type: ``string``, ``long``, ``decimal``, ``timestamp`` or ``boolean``.
        pattern: A compiled expression, ASCII classes, that the whole string must match, or None.
        values: The closed list a string must be on, or None.
        min: Lowest number or time allowed, or None for strings and booleans.
        max: Highest, likewise.
        grain: What a time must be a whole multiple of, in UTC, or None.
        max_length: Characters a string may have, or None where *values* says it all.
        is_token: The string is one of our tokens: random by construction, never scanned.
        required: Must be in every record that has the field and does not delete its row.
        clearable: May be emptied in the org.

    """

    field: str
    type: str
    pattern: re.Pattern[str] | None = None
    values: frozenset[str] | None = None
    min: Any = None
    max: Any = None
    grain: timedelta | None = None
    max_length: int | None = None
    is_token: bool = False
    required: bool = False
    clearable: bool = False

    @property
    def is_scanned(self) -> bool:
        """Tell whether a value could hold something its grammar does not spell out."""
        return self.type == "string" and self.values is None and not self.is_token

    def check(self, value: object) -> None:
        """Check that *value*, decoded and not None, is allowed.

        Raises:
            Violation: It is not; the text names the rule.

        """
        if type(value) is not _PYTHON[self.type]:  # bool is an int to isinstance
            rule = f"type: must be {self.type}"
            raise Violation(rule, self.field)
        if isinstance(value, str):
            self._check_text(value)
        elif self.min is not None and not self.min <= value <= self.max:
            rule = "range: outside min and max"
            raise Violation(rule, self.field)
        elif isinstance(value, datetime) and self.grain and (value - _EPOCH) % self.grain:
            rule = "grain: finer than it may be"
            raise Violation(rule, self.field)

    def _check_text(self, value: str) -> None:
        broken = None
        if self.max_length is not None and len(value) > self.max_length:
            broken = f"max_length: more than {self.max_length} characters"
        elif self.values is not None and value not in self.values:
            broken = "values: not on the closed list"
        elif self.pattern is not None and self.pattern.fullmatch(value) is None:
            broken = "pattern: no match"
        if broken:
            raise Violation(broken, self.field)


Grammar: TypeAlias = Mapping[str, Mapping[str, Rule]]


def load_grammar(
    region: str, schemas: Mapping[int, WireSchema], folder: Traversable | None = None
) -> Grammar:
    """Return the grammar of *region*: object name to field name to rule.

    Args:
        region: Region id; the file is ``<region>.toml``.
        schemas: The minimal schemas, to refuse rules for what does not exist.
        folder: Where the grammars lie; by default the reviewed ones we ship.

    Raises:
        SetupError: No such file, or a rule that is incomplete, contradicts itself or its
            schema, or names a field that no schema has.

    """
    source = folder or resources.files("residency.gate").joinpath("grammar")
    file = source.joinpath(f"{region}.toml")
    if not file.is_file():
        msg = (
            f"no grammar for region {region}: nothing may leave it; write gate/grammar/{file.name}"
        )
        raise SetupError(msg)
    document = tomllib.loads(file.read_text(encoding="utf-8"))
    grammar: dict[str, dict[str, Rule]] = {}
    for target, rows in document.items():
        types = [schema.types for schema in schemas.values() if schema.object == target]
        if not types:
            msg = f"{file.name}: no minimal schema writes {target}; remove its rules"
            raise SetupError(msg)
        grammar[target] = {
            name: _rule(f"{file.name}: {target}.{name}", name, row, types)
            for name, row in rows.items()
        }
    return grammar


def _rule(
    where: str, name: str, row: Mapping[str, Any], schemas: Sequence[Mapping[str, str]]
) -> Rule:
    kind = str(row.get("type"))
    types = {types[name] for types in schemas if name in types}
    problem = None
    if not types:
        problem = "its schema has no such field"
    elif types != {kind}:
        problem = f"its schema says type {' and '.join(sorted(types))}"
    elif unknown := row.keys() - _COMMON - _KEYS[kind]:
        problem = f"unknown keys {sorted(unknown)}"
    elif kind == "string" and ("pattern" in row) == ("values" in row):
        problem = "a string has a pattern or a closed list of values, and not both"
    elif name == DELETED and row.keys() != {"type"}:
        problem = "is no field of the row: its rule lets rows be deleted, and says no more"
    elif "pattern" in row and not _is_anchored(row["pattern"]):
        problem = "a pattern is anchored: ^(?:...)$"
    elif "pattern" in row and "max_length" not in row:
        problem = "a pattern goes with a max_length"
    elif {"min", "max"} <= _KEYS[kind] and not {"min", "max"} <= row.keys():
        problem = "give both min and max"
    if problem:
        msg = f"{where}: {problem}"
        raise SetupError(msg)
    return _build(where, name, row)


def _is_anchored(pattern: str) -> bool:
    """Tell whether the whole of *pattern* is anchored, alternatives included."""
    depth = 0
    for char in pattern:
        depth += {"(": 1, ")": -1}.get(char, 0)
        if char == "|" and depth == 0:
            return False
    return pattern.startswith("^") and pattern.endswith("$")


def _build(where: str, name: str, row: Mapping[str, Any]) -> Rule:
    options = dict(row)
    try:
        if "grain" in row:
            options["grain"] = _GRAINS[row["grain"]]
        if "pattern" in row:
            options["pattern"] = re.compile(row["pattern"], re.ASCII)
        if "values" in row:
            options["values"] = frozenset(row["values"])
        if row["type"] == "decimal":
            options |= {key: Decimal(row[key]) for key in ("min", "max")}
        rule = Rule(name, **options)
        if rule.min is not None:
            Rule(name, rule.type, min=rule.min, max=rule.max).check(rule.min)
    except (re.error, ArithmeticError, KeyError, TypeError, ValueError, Violation) as error:
        msg = f"{where}: {type(error).__name__}: not a rule the gate can apply"
        raise SetupError(msg) from error
    return rule
