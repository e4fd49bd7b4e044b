"""Conditions of WHERE and HAVING, in SQL. Pure.

SOQL knows no third truth value: ``x != 'a'`` holds for an empty x, and NOT turns false into
true. So what stands under a NOT is compiled to an expression that is never NULL; elsewhere
NULL is as good as false, and plainer SQL lets SQLite use its indexes.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from connectors.sandbox.deployed.metadata import TEXT_TYPES
from connectors.sandbox.soql.dates import days_of
from connectors.sandbox.soql.literals import Literal, misfit, stored
from connectors.sandbox.soql.numbers import ROUNDING, exactly
from connectors.sandbox.soql.operands import Operand
from connectors.sandbox.soql.scope import Scope
from connectors.sandbox.soql.tree import (
    Comparison,
    Condition,
    DateWord,
    Item,
    Junction,
    Membership,
    Negation,
    Quoted,
)

MAX_PATTERN = 50_000  # bytes of a LIKE pattern; SQLite's limit
FEW = 200  # values that are bound one by one; more go as one JSON text

Operands = Callable[[Item], Operand]
SemiJoin = Callable[[Membership, bool], str]
_BOUNDS = {"<": ("<", 0), "<=": ("<", 1), ">": (">=", 1), ">=": (">=", 0)}


class Conditions:
    """Compiles conditions; what they compare with goes to *values*, in order."""

    def __init__(
        self, scope: Scope, operands: Operands, semi_join: SemiJoin, values: list[Any]
    ) -> None:
        """Look items up with *operands*; *semi_join* compiles a subquery, if it may stand there."""
        self._scope, self._operands, self._semi_join = scope, operands, semi_join
        self._values = values

    def sql(self, condition: Condition) -> str:
        """Return a condition in SQL.

        Raises:
            ApiError: 400: an unknown field, or a literal or an operator that does not fit it.

        """
        return self._sql(condition, is_exact=False, is_top=True)

    def _sql(self, condition: Condition, *, is_exact: bool, is_top: bool) -> str:
        if isinstance(condition, Negation):
            return f"NOT {self._sql(condition.term, is_exact=True, is_top=False)}"
        if isinstance(condition, Junction):
            is_top = is_top and condition.word == "AND"
            terms = [self._sql(t, is_exact=is_exact, is_top=is_top) for t in condition.terms]
            return _joined(f" {condition.word} ", terms)
        if isinstance(condition, Membership):
            return self._semi_join(condition, is_top)
        return self._comparison(condition, is_exact=is_exact)

    def _comparison(self, term: Comparison, *, is_exact: bool) -> str:
        operand = self._operands(term.item)
        if term.operator in {"IN", "NOT IN"}:
            return self._membership(term, operand, is_exact=is_exact)
        value = term.values[0]
        if isinstance(value, DateWord):
            return self._range(term, operand, value, is_exact=is_exact)
        if term.operator == "LIKE":
            return self._like(term, operand, is_exact=is_exact)
        if operand.field.type == "boolean" and term.operator not in {"=", "!="}:
            raise self._wrong_operator(operand)
        self._values.append(stored(self._scope, operand, value, ROUNDING[term.operator]))
        if term.operator in {"=", "!="}:
            return f"({operand.ordered} IS {'NOT ' if term.operator == '!=' else ''}?)"
        return _known(f"{operand.ordered} {term.operator} ?", is_exact=is_exact)

    def _like(self, term: Comparison, operand: Operand, *, is_exact: bool) -> str:
        value = term.values[0]
        if operand.kind != "field" or operand.field.type not in TEXT_TYPES:
            raise self._wrong_operator(operand)
        if not isinstance(value, Quoted):
            raise misfit(self._scope, operand)
        pattern = value.pattern.casefold()
        if len(pattern.encode("utf-8", "replace")) > MAX_PATTERN:
            raise self._scope.refuse(term.item.at, "MALFORMED_QUERY", "LIKE pattern is too long")
        self._values.append(pattern)
        return _known(f"fold({operand.sql}) LIKE ? ESCAPE '\\'", is_exact=is_exact)

    def _membership(self, term: Comparison, operand: Operand, *, is_exact: bool) -> str:
        literals = [stored(self._scope, operand, v, exactly) for v in term.values]
        known = [v for v in literals if v is not None]
        is_negated = term.operator == "NOT IN"
        found = f"{operand.ordered} IN ({self._listed(known)})"
        if is_exact or is_negated:
            found = f"coalesce({found}, 0)"
        if len(known) < len(literals):
            found = f"({found} OR {operand.sql} IS NULL)"
        return f"NOT {found}" if is_negated else found

    def _listed(self, known: Sequence[Literal]) -> str:
        if len(known) <= FEW:
            self._values += known
            return ",".join("?" * len(known))
        self._values.append(json.dumps(known))
        return "SELECT value FROM json_each(?)"

    def _range(self, term: Comparison, operand: Operand, word: DateWord, *, is_exact: bool) -> str:
        """Compare with the days that a date word names: ``=`` is within, ``>`` after them."""
        if operand.kind != "field" or operand.field.type not in {"date", "datetime"}:
            raise misfit(self._scope, operand)
        if term.operator == "LIKE":
            raise self._wrong_operator(operand)
        try:
            days = days_of(word.name, word.number, datetime.now(UTC).date())
        except OverflowError as exc:
            raise misfit(self._scope, operand) from exc
        bounds = [_bound(operand, day) for day in days]
        if term.operator in {"=", "!="}:
            self._values += bounds
            is_within = f"({operand.sql} >= ? AND {operand.sql} < ?)"
            if term.operator == "=":
                return _known(is_within, is_exact=is_exact)
            return f"NOT coalesce({is_within}, 0)"
        sign, which = _BOUNDS[term.operator]
        self._values.append(bounds[which])
        return _known(f"{operand.sql} {sign} ?", is_exact=is_exact)

    def _wrong_operator(self, operand: Operand) -> Exception:
        text = f"invalid operator on {operand.field.type} field"
        return self._scope.refuse(operand.item.at, "INVALID_QUERY_FILTER_OPERATOR", text)


def _bound(operand: Operand, day: date) -> int | str:
    if operand.field.type == "date":
        return day.isoformat()
    return int(datetime.combine(day, time(), UTC).timestamp())


def _known(sql: str, *, is_exact: bool) -> str:
    """Return a comparison, never NULL if *is_exact*."""
    return f"coalesce({sql}, 0)" if is_exact else f"({sql})"


def _joined(word: str, terms: Sequence[str]) -> str:
    """Join *terms* as a balanced tree: SQLite takes no expression deeper than 1,000."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return f"({_joined(word, terms[:half])}{word}{_joined(word, terms[half:])})"
