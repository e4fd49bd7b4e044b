"""The tree that a SOQL query is parsed into.

*at* members are offsets into the query's text, for error messages.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "LIKE", "IN", "NOT IN"]


@dataclass(frozen=True, slots=True)
class Quoted:
    r"""A string literal's inside, still escaped: LIKE tells ``\%`` from ``%``, others do not."""

    raw: str

    def plain(self) -> str:
        """Return the text it stands for."""
        return _ESCAPED.sub(lambda m: _ESCAPES.get(m[1].lower(), m[1]), self.raw)

    def pattern(self) -> str:
        r"""Return it for SQL's LIKE with ``\`` as the escape character."""

        def keep(match: re.Match[str]) -> str:
            char = match[1]
            return match[0] if char in "%_\\" else _ESCAPES.get(char.lower(), char)

        return _ESCAPED.sub(keep, self.raw)


@dataclass(frozen=True, slots=True)
class Moment:
    """A datetime literal, as written."""

    text: str


Value = Quoted | Moment | Decimal | bool | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """``field operator value``; *values* holds one, but for IN."""

    field: str
    at: int
    operator: Operator
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Junction:
    """Terms joined by AND or by OR."""

    word: Literal["AND", "OR"]
    terms: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Negation:
    """NOT term."""

    term: "Condition"


Condition = Comparison | Junction | Negation


@dataclass(frozen=True, slots=True)
class Item:
    """One thing selected: a field, or ``function(field)`` with the name it gets."""

    field: str
    at: int
    function: str | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Ordering:
    """One term of ORDER BY."""

    field: str
    at: int
    is_descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query; *at* members are offsets into the text, for error messages."""

    text: str
    items: tuple[Item, ...]  # empty: SELECT COUNT()
    sobject: str
    sobject_at: int
    where: Condition | None
    group_by: tuple[Item, ...]
    order_by: tuple[Ordering, ...]
    limit: int | None
    offset: int
