"""Validation rules as the org holds them."""

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.sandbox.rules.formula import Column, Condition, compile_condition
from connectors.sandbox.rules.tree import FormulaError
from schemas.errors import SetupError


@dataclass(frozen=True, slots=True)
class Rule:
    """An active validation rule: it refuses the rows that meet its condition.

    Attributes:
        message: What the refusal says.
        field: Canonical name of the field that the refusal names, if it names one.

    """

    name: str
    condition: Condition
    message: str
    field: str | None = None


def compile_rule(  # noqa: PLR0913 -- one argument per element of its file
    where: str,
    columns: Mapping[str, Column],
    *,
    name: str,
    formula: str,
    message: str,
    shown_at: str | None,
) -> Rule:
    """Return the rule that a file states.

    Args:
        where: The file, for errors.
        columns: The object's fields, by lower-case name.
        name: ``fullName``.
        formula: ``errorConditionFormula``.
        message: ``errorMessage``.
        shown_at: ``errorDisplayField``; None: the refusal names no field.

    Raises:
        SetupError: The formula does not compile, or there is no such field.

    """
    try:
        condition = compile_condition(formula, columns)
    except FormulaError as exc:
        msg = f"{where}: rule {name}: {exc}; mend the formula"
        raise SetupError(msg) from exc
    column = None if shown_at is None else columns.get(shown_at.lower())
    if shown_at is not None and column is None:
        msg = f"{where}: rule {name}: errorDisplayField {shown_at} does not exist; mend the rule"
        raise SetupError(msg)
    return Rule(name, condition, message, None if column is None else column.name)
