"""The tree that a SOQL query is parsed into.

*at* members are offsets into the query's text, for error messages.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "LIKE", "IN", "NOT IN"]
Group = Literal["ALL", "STANDARD", "CUSTOM"]


@dataclass(frozen=True, slots=True)
class Quoted:
    r"""A string literal.

    Attributes:
        text: What it stands for.
        pattern: The same for SQL's LIKE, ``\`` being the escape character: LIKE tells an escaped
            ``%`` from a bare one, other operators do not.

    """

    text: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Moment:
    """A datetime literal, as written."""

    text: str


@dataclass(frozen=True, slots=True)
class Day:
    """A date literal, as written."""

    text: str


@dataclass(frozen=True, slots=True)
class DateWord:
    """A date literal such as ``TODAY`` or ``LAST_N_DAYS:7``, in upper case."""

    name: str
    number: int | None


Value = Quoted | Moment | Day | DateWord | Decimal | bool | None


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that is selected, compared or ordered by: a field, or a function of one.

    Attributes:
        path: The field as written, such as ``Account.Name``.
        function: In upper case, or None.
        alias: The name it gets in the answer.

    """

    path: str
    at: int
    function: str | None = None
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """``FIELDS(ALL)`` and its kin."""

    group: Group
    at: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """``item operator value``; *values* holds one, but for IN."""

    item: Item
    operator: Operator
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Membership:
    """A semi-join or anti-join: ``item [NOT] IN (SELECT ...)``."""

    item: Item
    is_negated: bool
    query: "Query"


@dataclass(frozen=True, slots=True)
class Junction:
    """Terms joined by AND or by OR."""

    word: Literal["AND", "OR"]
    terms: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Negation:
    """NOT term."""

    term: "Condition"


Condition = Comparison | Membership | Junction | Negation


@dataclass(frozen=True, slots=True)
class Ordering:
    """One term of ORDER BY."""

    item: Item
    is_descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Alias:
    """A name for the object or for a path from it: ``FROM Contact c, c.Account a``."""

    name: str
    path: str
    at: int


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query.

    Attributes:
        text: All of the text that it stands in.
        items: What is selected; empty for ``COUNT()``.
        source: The object; in a subquery of the field list the relationship.
        is_mine: USING SCOPE mine: rows that the user owns.

    """

    text: str
    items: "tuple[Item | FieldGroup | Query, ...]"
    source: str
    source_at: int
    aliases: tuple[Alias, ...] = ()
    is_mine: bool = False
    where: Condition | None = None
    group_by: tuple[Item, ...] = ()
    having: Condition | None = None
    order_by: tuple[Ordering, ...] = ()
    limit: int | None = None
    offset: int = 0
