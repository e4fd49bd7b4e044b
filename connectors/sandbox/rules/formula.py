"""Compiles the formula of a validation rule into a function of a row. Pure.

What Salesforce checks at deployment is checked here too: fields, functions, number and type of
arguments.

Source: Salesforce help, "Formula Operators and Functions", and the pages of each function.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connectors.sandbox.rules import tree
from connectors.sandbox.rules.functions import FUNCTIONS, Kind, Run, Typed, Values
from connectors.sandbox.rules.tree import FormulaError, parse_formula


@dataclass(frozen=True, slots=True)
class Column:
    """A field as formulas see it.

    Attributes:
        scale: Decimals of a number; it is stored as an integer scaled by them.

    """

    name: str
    kind: Kind
    scale: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled formula of type Boolean.

    Attributes:
        run: True if the rule refuses the row. Takes the row as it would be stored, and as it
            is stored; the latter is None for a new row.
        fields: Canonical names of the fields it reads.

    """

    run: Callable[[Values, Values | None], bool]
    fields: frozenset[str]


def compile_condition(text: str, columns: Mapping[str, Column]) -> Condition:
    """Return the condition that *text* states over an object's *columns*, by lower-case name.

    Raises:
        FormulaError: It is no formula, names what there is not, or mixes up types.

    """
    compiler = _Compiler(columns)
    compiled = compiler.compile(parse_formula(text))
    if compiled.kind != "boolean":
        msg = f"formula result is {compiled.kind}, expected boolean"
        raise FormulaError(msg)
    run = compiled.run
    return Condition(lambda new, old: run(new, old) is True, frozenset(compiler.used))


class _Compiler:
    """Compiles one formula; *used* collects the fields it reads."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = columns
        self.used: set[str] = set()

    def compile(self, node: tree.Node) -> Typed:
        if isinstance(node, tree.Literal):
            return _constant(node.value)
        if isinstance(node, tree.Name):
            return Typed(self.column(node).kind, _reader(self.column(node)))
        if node.name in _OF_FIELDS:
            _check_count(node, 1, 1)
            return _OF_FIELDS[node.name](self.column(node.arguments[0]))
        if node.name not in FUNCTIONS:
            msg = f"unknown function {node.name}"
            raise FormulaError(msg)
        least, most, build = FUNCTIONS[node.name]
        _check_count(node, least, most)
        return build(node.name, [self.compile(argument) for argument in node.arguments])

    def column(self, node: tree.Node) -> Column:
        """Return the field that *node* names, whatever its case."""
        if not isinstance(node, tree.Name):
            msg = "PRIORVALUE and ISCHANGED take a field, not an expression"
            raise FormulaError(msg)
        column = self._columns.get(node.text.lower())
        if column is None:
            msg = f"field {node.text} does not exist, or formulas of this org cannot use it"
            raise FormulaError(msg)
        self.used.add(column.name)
        return column


def _constant(value: object) -> Typed:
    kind: Kind = "number"
    if value is None:
        kind = "null"
    elif isinstance(value, bool):
        kind = "boolean"
    elif isinstance(value, str):
        kind = "text"
    return Typed(kind, lambda _new, _old: value)


def _reader(column: Column) -> Run:
    name, scale = column.name, column.scale
    if column.kind == "boolean":
        return lambda new, _old: bool(new.get(name))
    if column.kind == "number" and scale:
        return lambda new, _old: _unscaled(new.get(name), scale)
    return lambda new, _old: new.get(name)


def _unscaled(value: Any, scale: int) -> Decimal | None:  # noqa: ANN401 -- as stored
    return None if value is None else Decimal(value).scaleb(-scale)


def _prior(column: Column) -> Typed:
    """PRIORVALUE: of a new row the value itself, says its page."""
    read = _reader(column)
    return Typed(column.kind, lambda new, old: read(new if old is None else old, None))


def _changed(column: Column) -> Typed:
    """ISCHANGED: never of a new row, says its page."""
    name = column.name
    return Typed("boolean", lambda new, old: old is not None and new.get(name) != old.get(name))


def _check_count(call: tree.Call, least: int, most: int) -> None:
    count = len(call.arguments)
    if not least <= count <= most:
        wanted = str(least) if least == most else f"at least {least}"
        msg = f"{call.name} takes {wanted} argument(s), received {count}"
        raise FormulaError(msg)


_OF_FIELDS: Mapping[str, Callable[[Column], Typed]] = {
    "PRIORVALUE": _prior,
    "ISCHANGED": _changed,
}
