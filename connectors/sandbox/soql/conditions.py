"""What WHERE and HAVING hold, and the tokens that all of the parser works on. Pure."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from connectors.sandbox.errors import refuse
from connectors.sandbox.soql.dates import DATE_WORDS, takes_number
from connectors.sandbox.soql.lexer import Token, pointed, quoted, unexpected
from connectors.sandbox.soql.tree import (
    Comparison,
    Condition,
    DateWord,
    Day,
    Item,
    Junction,
    Membership,
    Moment,
    Negation,
    Operator,
    Query,
    Value,
)

MAX_DEPTH = 50  # nested brackets and NOTs

AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "MIN", "MAX", "SUM", "AVG"})
FUNCTIONS = AGGREGATES | {"TOLABEL"}
_WORDS = frozenset(
    "SELECT FROM WHERE GROUP HAVING ORDER LIMIT OFFSET AND OR NOT IN LIKE".split()  # noqa: SIM905
)
_WORD_VALUES: dict[str, bool | None] = {"NULL": None, "TRUE": True, "FALSE": False}
_SIGNS: dict[str, Operator] = {
    "=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
}  # fmt: skip


class TokenReader:
    """A place in the tokens of a query."""

    def __init__(self, tokens: Sequence[Token], text: str) -> None:
        """Begin at the first of *tokens*, which were made of *text*."""
        self._tokens, self.text, self._next = tokens, text, 0

    def peek(self, ahead: int = 0) -> Token:
        """Return a token without taking it; beyond the last that one."""
        return self._tokens[min(self._next + ahead, len(self._tokens) - 1)]

    def take(self) -> Token:
        """Return the next token and go on."""
        token = self.peek()
        self._next += 1
        return token

    def name(self) -> Token:
        """Take a name that is no word of the language."""
        if self.peek().kind != "name" or ":" in self.peek().text or self.is_reserved():
            raise unexpected(self.text, self.peek())
        return self.take()

    def is_reserved(self) -> bool:
        """Return whether the next token is a word of the language."""
        return self.peek().text.upper() in _WORDS

    def next_is(self, word: str) -> bool:
        """Return whether the next token is *word*, whatever its case."""
        token = self.peek()
        return token.kind == "name" and token.text.upper() == word

    def skip(self, word: str) -> bool:
        """Take the next token if it is *word*; return whether it was."""
        is_next = self.next_is(word)
        self._next += is_next
        return is_next

    def word(self, word: str) -> None:
        """Take *word*, which must come next."""
        if not self.skip(word):
            raise unexpected(self.text, self.peek())

    def skip_sign(self, sign: str) -> bool:
        """Take the next token if it is *sign*; return whether it was."""
        is_next = self.peek().kind == "sign" and self.peek().text == sign
        self._next += is_next
        return is_next

    def sign(self, sign: str) -> None:
        """Take *sign*, which must come next."""
        if not self.skip_sign(sign):
            raise unexpected(self.text, self.peek())

    def count(self) -> int:
        """Take a whole number that is not negative."""
        token = self.take()
        if token.kind != "number" or not token.text.isdecimal():
            raise unexpected(self.text, token)
        return int(token.text)

    def item(self) -> Item:
        """Take a field, or a function of one."""
        name = self.name()
        if not self.skip_sign("("):
            return Item(name.text, name.at)
        if name.text.upper() not in FUNCTIONS:
            message = pointed(self.text, name.at, f"unknown function: {name.text}")
            raise refuse(400, "MALFORMED_QUERY", message)
        field = self.name()
        self.sign(")")
        return Item(field.text, field.at, name.text.upper())


class ConditionParser(TokenReader, ABC):
    """Conditions, which may hold subqueries."""

    @abstractmethod
    def subquery(self) -> Query:
        """Parse the inside of a semi-join."""

    def condition(self, depth: int) -> Condition:
        """Parse terms joined by one word: SOQL wants brackets where AND meets OR."""
        terms = [self._term(depth)]
        word: Literal["AND", "OR"] | None = None
        while True:
            if self.skip("AND"):
                found: Literal["AND", "OR"] = "AND"
            elif self.skip("OR"):
                found = "OR"
            else:
                return terms[0] if word is None else Junction(word, tuple(terms))
            if word not in {None, found}:
                raise unexpected(self.text, self._tokens[self._next - 1])
            word = found
            terms.append(self._term(depth))

    def _term(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise refuse(400, "MALFORMED_QUERY", "query is too complicated")
        if self.skip("NOT"):
            return Negation(self._term(depth + 1))
        if self.skip_sign("("):
            inner = self.condition(depth + 1)
            self.sign(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Comparison | Membership:
        item = self.item()
        if self.skip("LIKE"):
            return Comparison(item, "LIKE", (self._value(),))
        if self.skip("NOT"):
            self.word("IN")
            return self._membership(item, is_negated=True)
        if self.skip("IN"):
            return self._membership(item, is_negated=False)
        sign = self.take()
        if sign.kind != "sign" or sign.text not in _SIGNS:
            raise unexpected(self.text, sign)
        return Comparison(item, _SIGNS[sign.text], (self._value(),))

    def _membership(self, item: Item, *, is_negated: bool) -> Comparison | Membership:
        self.sign("(")
        found: Comparison | Membership
        if self.next_is("SELECT"):
            found = Membership(item, is_negated, self.subquery())
        else:
            values = [self._value()]
            while self.skip_sign(","):
                values.append(self._value())
            found = Comparison(item, "NOT IN" if is_negated else "IN", tuple(values))
        self.sign(")")
        return found

    def _value(self) -> Value:
        token = self.take()
        if token.kind == "string":
            return quoted(token, self.text)
        if token.kind == "number":
            return Decimal(token.text)
        if token.kind == "datetime":
            return Moment(token.text.upper())
        if token.kind == "date":
            return Day(token.text)
        if token.kind == "name":
            return self._word_value(token)
        raise unexpected(self.text, token)

    def _word_value(self, token: Token) -> Value:
        word, _, number = token.text.upper().partition(":")
        if word in _WORD_VALUES and not number:
            return _WORD_VALUES[word]
        if word not in DATE_WORDS or takes_number(word) != bool(number):
            raise unexpected(self.text, token)
        return DateWord(word, int(number) if number else None)
