"""SOQL text into tokens, and the place of an error in it. Pure."""

import re
from dataclasses import dataclass

from connectors.sandbox.errors import ApiError, refuse
from connectors.sandbox.soql.tree import Quoted
from connectors.sandbox.texts import encodable

MAX_QUERY = 100_000  # characters; Salesforce's limit

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>'(?:[^'\\]|\\.)*')
    | (?P<datetime>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:[zZ]|[+-]\d\d:?\d\d))
    | (?P<unfinished>\d{4}-\d\d-\d\dT[\d:.]*)
    | (?P<date>\d{4}-\d\d-\d\d(?![\w.]))
    | (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))
    | (?P<name>[A-Za-z][A-Za-z0-9_.]*(?::\d{1,9})?)
    | (?P<sign><=|>=|!=|<>|[=<>(),])
    )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPED = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPES = {
    "n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f",
    '"': '"', "'": "'", "\\": "\\", "%": "%", "_": "_",
}  # fmt: skip
_CODE = 5  # characters of an escape such as u00e9


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the query; *kind* is the name of its group in the pattern, or ``end``."""

    kind: str
    text: str
    at: int


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of *text*, and one of kind ``end``.

    Raises:
        ApiError: 400 MALFORMED_QUERY.

    """
    if len(text) > MAX_QUERY:
        raise refuse(400, "MALFORMED_QUERY", "SOQL statement is too long")
    tokens: list[Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            rest = text[at:].lstrip()
            raise _unreadable(text, text.index(rest, at), rest[0])
        kind, end_of_it = match.lastgroup, match.end()
        if kind == "unfinished":  # a datetime that does not go on as one
            raise _unreadable(text, end_of_it, text[end_of_it : end_of_it + 1] or "<EOF>")
        tokens.append(Token(kind, match[kind], match.start(kind)))
        at = end_of_it
    tokens.append(Token("end", "<EOF>", len(text)))
    return tokens


def quoted(token: Token, text: str) -> Quoted:
    """Return what a string token stands for.

    Raises:
        ApiError: 400 MALFORMED_QUERY, it has an escape that SOQL does not know.

    """

    def char(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) == _CODE:
            return chr(int(code[1:], 16))
        if code.lower() not in _ESCAPES:
            message = f"Illegal character sequence '{match[0]}' in string literal"
            message = f"Invalid string literal {token.text}. {message}."
            raise refuse(400, "MALFORMED_QUERY", pointed(text, token.at, message))
        return _ESCAPES[code.lower()]

    def in_pattern(match: re.Match[str]) -> str:
        plain = char(match)
        return f"\\{plain}" if plain in "%_\\" else plain

    raw = token.text[1:-1]
    return Quoted(encodable(_ESCAPED.sub(char, raw)), encodable(_ESCAPED.sub(in_pattern, raw)))


def pointed(text: str, at: int, message: str) -> str:
    """Return *message* under the line of the query it is about, as the real API writes it."""
    row, column = _place(text, at)
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    line = text[start : end if end >= 0 else len(text)]
    return f"\n{line}\n{' ' * (column - 1)}^\nERROR at Row:{row}:Column:{column}\n{message}"


def unexpected(text: str, token: Token) -> ApiError:
    """Return the refusal of a token that does not fit where it stands."""
    message = pointed(text, token.at, f"unexpected token: '{token.text}'")
    return refuse(400, "MALFORMED_QUERY", message)


def _unreadable(text: str, at: int, char: str) -> ApiError:
    row, column = _place(text, at)
    what = f"no viable alternative at character '{char}'"
    if char == "'":  # a quote that is never closed
        row, column = _place(text, len(text))
        what = "mismatched character '<EOF>' expecting '''"
    message = pointed(text, at, f"line {row}:{column} {what}")
    return refuse(400, "MALFORMED_QUERY", message)


def _place(text: str, at: int) -> tuple[int, int]:
    """Return the line and the column of an offset, both counted from 1."""
    return text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1
