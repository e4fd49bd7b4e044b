"""Texts that match a declared format, so that kept fields can be filled and cross."""

import random
import re
from collections.abc import Sequence
from re import _constants as ops  # type: ignore[attr-defined]  # Python's own parse of a pattern
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MORE = 6  # repetitions beyond the least, at most
TRIES = 200
PRINTABLE = tuple(map(chr, range(0x20, 0x7F)))


def matching(pattern: str, rng: random.Random, count: int) -> list[str]:
    """Return up to *count* different texts that *pattern* matches whole; maybe none.

    None where the pattern uses what is not followed here (look-around, back references):
    a field of such a format is then only tried with texts that break it.
    """
    parsed, compiled = parser.parse(pattern), re.compile(pattern)
    made: dict[str, None] = {}
    for _ in range(TRIES + count):
        text = _sequence(parsed, rng)
        if compiled.fullmatch(text):
            made[text] = None
        if len(made) == count:
            break
    return list(made)


def _sequence(parsed: Sequence[tuple[Any, Any]], rng: random.Random) -> str:
    return "".join(_one(op, argument, rng) for op, argument in parsed)


def _one(op: Any, argument: Any, rng: random.Random) -> str:  # noqa: ANN401, PLR0911, a table
    if op is ops.LITERAL:
        return chr(argument)
    if op is ops.ANY:
        return rng.choice(PRINTABLE)
    if op is ops.IN:
        return rng.choice(_members(argument))
    if op in {ops.MAX_REPEAT, ops.MIN_REPEAT}:
        least, most, inner = argument
        times = rng.randint(least, min(most, least + MORE))
        return "".join(_sequence(inner, rng) for _ in range(times))
    if op is ops.SUBPATTERN:
        return _sequence(argument[-1], rng)
    if op is ops.BRANCH:
        return _sequence(rng.choice(argument[1]), rng)
    return ""  # an anchor; what else there is fails the match


def _members(argument: Sequence[tuple[Any, Any]]) -> list[str]:
    """Return the printable characters of a class."""
    negated = argument[0][0] is ops.NEGATE
    found = {char for char in PRINTABLE if any(_has(op, arg, char) for op, arg in argument)}
    return [char for char in PRINTABLE if (char in found) != negated]


def _has(op: Any, argument: Any, char: str) -> bool:  # noqa: ANN401, re's own tuples
    if op is ops.LITERAL:
        return bool(ord(char) == argument)
    if op is ops.RANGE:
        return bool(argument[0] <= ord(char) <= argument[1])
    if op is ops.CATEGORY:
        tests = {ops.CATEGORY_DIGIT: str.isdigit, ops.CATEGORY_SPACE: str.isspace}
        return tests.get(argument, lambda c: c.isalnum() or c == "_")(char)
    return False
