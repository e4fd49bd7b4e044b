"""What a field of a plan can hold at most: which texts, how long, which numbers."""

import importlib
from dataclasses import dataclass
from typing import Any

from residency.generalise import generaliser
from residency.plan.kinds import kind_of
from residency.plan.model import FieldPlan
from residency.policy.rules import Action
from schemas.registry import Leaf

# The standard library's own reading of a pattern, which its module `re` does not pass on.
_parser: Any = importlib.import_module("re._parser")
_ENDLESS = 2**32 - 1  # what it gives for a pattern without a greatest length
_VERSION_DIGITS, _RANDOM = 4, 26  # of a token; the gate's grammar allows no more


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts that can come out.

    Attributes:
        longest: Characters of the longest; None: without end.
        values: All of them, where they can be listed.

    """

    longest: int | None
    values: frozenset[str] | None = None


def texts(field: FieldPlan, region: str, leaf: Leaf | None) -> Texts:
    """Return which texts *field* can hold, made of *leaf* if it is made of one."""
    if field.source == "constant":
        return _listed([field.value or ""])
    if field.source == "region":
        return _listed([region])
    return _listed([]) if leaf is None else _of_leaf(field, region, leaf)  # none: emptied


def _of_leaf(field: FieldPlan, region: str, leaf: Leaf) -> Texts:
    match field.action:
        case Action.TOKENISE:
            return Texts(len(f"tok_{region}_") + _VERSION_DIGITS + _RANDOM)
        case Action.GENERALISE:
            way = generaliser(field.how or "")
            if way.values is not None:
                return _listed([*way.values])  # the unknown is one of them
            return Texts(_width(way.pattern or ".*"))
        case _ if kind_of(leaf.avro) == "enum":
            return _listed(leaf.avro["symbols"])
        case _:
            return Texts(_width(field.pattern or ".*"))


def _listed(values: list[str]) -> Texts:
    return Texts(max(map(len, values), default=0), frozenset(values))


def _width(pattern: str) -> int | None:
    """Return how many characters a whole match of *pattern* has at most."""
    widest: int = _parser.parse(pattern).getwidth()[1]
    return None if widest >= _ENDLESS else widest
