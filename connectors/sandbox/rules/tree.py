"""Parses the text of a formula into a tree. Pure.

Source: Salesforce help, "Formula Operators and Functions".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

MAX_LENGTH = 3900  # characters; Salesforce's limit of one formula
MAX_DEPTH = 60  # brackets within brackets; ours, far below where the parser would run out

_TOKEN = re.compile(
    r"""(?P<space>\s+|/\*.*?\*/)
    |(?P<number>\d+(?:\.\d*)?|\.\d+)
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<name>[A-Za-z_$][\w.$]*)
    |(?P<symbol>&&|\|\||<>|!=|==|<=|>=|[-+*/&=<>!(),])""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
# how tightly an operator binds; equal ones from left to right
_BINDS: Mapping[str, int] = (
    {"||": 1, "&&": 2}
    | dict.fromkeys(("=", "==", "<>", "!="), 3)
    | dict.fromkeys(("<", "<=", ">", ">="), 4)
    | {"&": 5, "+": 6, "-": 6, "*": 7, "/": 7}
)
_PREFIX_BINDS = 8
_SAME: Mapping[str, str] = {"==": "=", "!=": "<>"}
_ESCAPES: Mapping[str, str] = {"n": "\n", "r": "\r", "t": "\t"}


class FormulaError(ValueError):
    """A formula that Salesforce would refuse to deploy, or that this org cannot evaluate."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant; None is ``NULL``."""

    value: str | Decimal | int | bool | None


@dataclass(frozen=True, slots=True)
class Name:
    """A field, by the name that the formula gives it."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function or an operator over its arguments.

    Attributes:
        name: Upper-case function name, or the operator's symbol.

    """

    name: str
    arguments: tuple["Node", ...]


Node = Literal | Name | Call
_CONSTANTS: Mapping[str, Literal] = {
    "TRUE": Literal(True),  # noqa: FBT003 -- the formula's own constant
    "FALSE": Literal(False),  # noqa: FBT003
    "NULL": Literal(None),
}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def parse_formula(text: str) -> Node:
    """Return the tree of *text*.

    Raises:
        FormulaError: It is not a formula; the message says where.

    """
    if len(text) > MAX_LENGTH:
        msg = f"formula is too long ({len(text)} characters); {MAX_LENGTH} are allowed"
        raise FormulaError(msg)
    parser = _Parser(_tokens(text))
    tree = parser.expression(0)
    parser.expect("end")
    return tree


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            msg = f"syntax error at character {at + 1}"
            raise FormulaError(msg)
        kind = match.lastgroup or ""
        if kind != "space":
            word = match.group()
            found.append(_Token(word if kind == "symbol" else kind, word, at))
        at = match.end()
    return [*found, _Token("end", "", at)]


class _Parser:
    """Precedence climbing over the tokens."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def expression(self, binds: int) -> Node:
        """Return the longest expression whose operators bind tighter than *binds*."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            msg = f"formula is nested deeper than {MAX_DEPTH} brackets"
            raise FormulaError(msg)
        left = self._operand()
        while _BINDS.get(self._tokens[self._next].kind, 0) > binds:
            symbol = self._take().kind
            right = self.expression(_BINDS[symbol])
            left = Call(_SAME.get(symbol, symbol), (left, right))
        self._depth -= 1
        return left

    def expect(self, kind: str) -> None:
        """Take a token of that kind or refuse the formula."""
        if self._tokens[self._next].kind != kind:
            raise self._refusal()
        self._next += 1

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _operand(self) -> Node:
        token = self._take()
        if token.kind == "number":
            number = Decimal(token.text)
            return Literal(int(number) if number == number.to_integral_value() else number)
        if token.kind == "text":
            return Literal(_unescaped(token.text[1:-1]))
        if token.kind == "name":
            return self._named(token.text)
        if token.kind in {"-", "+", "!"}:
            name = {"-": "negative", "+": "positive", "!": "NOT"}[token.kind]
            return Call(name, (self.expression(_PREFIX_BINDS),))
        if token.kind == "(":
            inner = self.expression(0)
            self.expect(")")
            return inner
        self._next -= 1
        raise self._refusal()

    def _named(self, text: str) -> Node:
        if self._tokens[self._next].kind != "(":
            return _CONSTANTS.get(text.upper()) or Name(text)
        self._next += 1
        arguments: list[Node] = []
        while self._tokens[self._next].kind != ")":
            if arguments:
                self.expect(",")
            arguments.append(self.expression(0))
        self._next += 1
        return Call(text.upper(), tuple(arguments))

    def _refusal(self) -> FormulaError:
        token = self._tokens[self._next]
        found = f"'{token.text}'" if token.text else "the end"
        msg = f"syntax error at character {token.at + 1}, found {found}"
        return FormulaError(msg)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), text, flags=re.DOTALL)
