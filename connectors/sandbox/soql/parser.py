"""SOQL, parsed: enough to read every row and count them.

``SELECT fields | COUNT() | aggregates FROM object [WHERE ...] [GROUP BY fields]
[ORDER BY field [ASC|DESC] [NULLS FIRST|LAST], ...] [LIMIT n] [OFFSET n]``

No relationships, no subqueries, no date words. Pure: text in, tree out.
Source: SOQL and SOSL Reference, "SOQL SELECT Syntax".
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from connectors.sandbox.errors import refuse
from connectors.sandbox.soql.tree import (
    Comparison,
    Condition,
    Item,
    Junction,
    Moment,
    Negation,
    Operator,
    Ordering,
    Query,
    Quoted,
    Value,
)

MAX_QUERY = 100_000  # characters; Salesforce's limit
MAX_DEPTH = 50  # nested brackets and NOTs

AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "MIN", "MAX", "SUM"})
_WORDS = frozenset(
    "select from where group by order limit offset and or not in like".split()  # noqa: SIM905
)
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:[zZ]|[+-]\d\d:?\d\d))
    | (?P<number>[+-]?\d+(?:\.\d+)?)
    | (?P<name>[A-Za-z][A-Za-z0-9_.]*)
    | (?P<sign><=|>=|!=|<>|[=<>(),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_WORD_VALUES: dict[str, bool | None] = {"null": None, "true": True, "false": False}
_SIGNS: dict[str, Operator] = {
    "=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse(text: str) -> Query:
    """Return the query in *text*.

    Raises:
        ApiError: 400 MALFORMED_QUERY.

    """
    if len(text) > MAX_QUERY:
        raise refuse(400, "MALFORMED_QUERY", "SOQL statement is too long")
    return _Parser(_tokens(text), text).query()


def pointed(text: str, at: int, message: str) -> str:
    """Return *message* under the line of the query it is about, as the real API writes it."""
    row = text.count("\n", 0, at) + 1
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    line = text[start : end if end >= 0 else len(text)]
    column = at - start + 1
    return f"\n{line}\n{' ' * (column - 1)}^\nERROR at Row:{row}:Column:{column}\n{message}"


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            rest = text[at:].lstrip()
            raise _unexpected(text, _Token("sign", rest[:1], text.index(rest, at)))
        kind = match.lastgroup
        tokens.append(_Token(kind, match[kind], match.start(kind)))
        at = match.end()
    tokens.append(_Token("end", "<EOF>", len(text)))
    return tokens


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[_Token], text: str) -> None:
        self._tokens, self._text, self._next = tokens, text, 0

    def query(self) -> Query:
        self._word("SELECT")
        items = self._items()
        self._word("FROM")
        sobject = self._name()
        where = self._condition(0) if self._skip("WHERE") else None
        group_by: tuple[Item, ...] = ()
        if self._skip("GROUP"):
            self._word("BY")
            group_by = tuple(Item(t.text, t.at) for t in self._list())
        order_by: tuple[Ordering, ...] = ()
        if self._skip("ORDER"):
            self._word("BY")
            order_by = self._orderings()
        limit = self._count() if self._skip("LIMIT") else None
        offset = self._count() if self._skip("OFFSET") else 0
        if self._peek().kind != "end":
            raise _unexpected(self._text, self._peek())
        return Query(
            self._text, items, sobject.text, sobject.at, where, group_by, order_by, limit, offset
        )

    def _items(self) -> tuple[Item, ...]:
        items: list[Item] = []
        while True:
            name = self._name()
            if not self._skip_sign("("):
                items.append(Item(name.text, name.at))
            elif name.text.upper() not in AGGREGATES:
                raise _unexpected(self._text, self._tokens[self._next - 1])
            elif self._skip_sign(")"):  # COUNT(), alone
                if items or name.text.upper() != "COUNT":
                    raise _unexpected(self._text, name)
                return ()
            else:
                field = self._name()
                self._sign(")")
                following = self._peek()
                has_alias = following.kind == "name" and following.text.lower() not in _WORDS
                alias = self._name().text if has_alias else None
                items.append(Item(field.text, field.at, name.text.upper(), alias))
            if not self._skip_sign(","):
                return tuple(items)

    def _list(self) -> list[_Token]:
        names = [self._name()]
        while self._skip_sign(","):
            names.append(self._name())
        return names

    def _orderings(self) -> tuple[Ordering, ...]:
        orderings: list[Ordering] = []
        while True:
            field = self._name()
            is_descending = self._skip("DESC")
            if not is_descending:
                self._skip("ASC")
            nulls_last = False  # SOQL's default in both directions
            if self._skip("NULLS"):
                nulls_last = self._skip("LAST")
                if not nulls_last:
                    self._word("FIRST")
            orderings.append(Ordering(field.text, field.at, is_descending, nulls_last))
            if not self._skip_sign(","):
                return tuple(orderings)

    def _condition(self, depth: int) -> Condition:
        """Parse terms joined by one word: SOQL wants brackets where AND meets OR."""
        terms = [self._term(depth)]
        word: Literal["AND", "OR"] | None = None
        while True:
            if self._skip("AND"):
                found: Literal["AND", "OR"] = "AND"
            elif self._skip("OR"):
                found = "OR"
            else:
                return terms[0] if word is None else Junction(word, tuple(terms))
            if word not in {None, found}:
                raise _unexpected(self._text, self._tokens[self._next - 1])
            word = found
            terms.append(self._term(depth))

    def _term(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise refuse(400, "MALFORMED_QUERY", "query is too complicated")
        if self._skip("NOT"):
            return Negation(self._term(depth + 1))
        if self._skip_sign("("):
            inner = self._condition(depth + 1)
            self._sign(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Comparison:
        field = self._name()
        if self._skip("LIKE"):
            return Comparison(field.text, field.at, "LIKE", (self._value(),))
        if self._skip("NOT"):
            self._word("IN")
            return Comparison(field.text, field.at, "NOT IN", self._values())
        if self._skip("IN"):
            return Comparison(field.text, field.at, "IN", self._values())
        sign = self._take()
        if sign.kind != "sign" or sign.text not in _SIGNS:
            raise _unexpected(self._text, sign)
        return Comparison(field.text, field.at, _SIGNS[sign.text], (self._value(),))

    def _values(self) -> tuple[Value, ...]:
        self._sign("(")
        values = [self._value()]
        while self._skip_sign(","):
            values.append(self._value())
        self._sign(")")
        return tuple(values)

    def _value(self) -> Value:
        token = self._take()
        if token.kind == "string":
            return Quoted(token.text[1:-1])
        if token.kind == "number":
            return Decimal(token.text)
        if token.kind == "datetime":
            return Moment(token.text.upper())
        if token.kind != "name" or token.text.lower() not in _WORD_VALUES:
            raise _unexpected(self._text, token)
        return _WORD_VALUES[token.text.lower()]

    def _count(self) -> int:
        token = self._take()
        if token.kind != "number" or not token.text.isdecimal():
            raise _unexpected(self._text, token)
        return int(token.text)

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _name(self) -> _Token:
        token = self._take()
        if token.kind != "name" or token.text.lower() in _WORDS:
            raise _unexpected(self._text, token)
        return token

    def _skip(self, word: str) -> bool:
        token = self._peek()
        if token.kind != "name" or token.text.upper() != word:
            return False
        self._next += 1
        return True

    def _word(self, word: str) -> None:
        if not self._skip(word):
            raise _unexpected(self._text, self._peek())

    def _skip_sign(self, sign: str) -> bool:
        token = self._peek()
        if token.kind != "sign" or token.text != sign:
            return False
        self._next += 1
        return True

    def _sign(self, sign: str) -> None:
        if not self._skip_sign(sign):
            raise _unexpected(self._text, self._peek())


def _unexpected(text: str, token: _Token) -> Exception:
    message = pointed(text, token.at, f"unexpected token: '{token.text}'")
    return refuse(400, "MALFORMED_QUERY", message)
