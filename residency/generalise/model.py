"""What a generaliser is: one way to say less, and how much it can still say."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

UNKNOWN = "unknown"
Need = Literal["country", "at"]


class Context(NamedTuple):
    """What a generaliser may read besides the value; the contract names both paths.

    Attributes:
        country: ISO 3166-1 alpha-2 of the place the value belongs to, or None.
        at: When the event happened, milliseconds since 1970, or None.

    """

    country: str | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Generaliser:
    """One way to say less. Total: it answers for every value of every kind.

    Attributes:
        how: Its name, with its argument if it has one: ``age-band:10``.
        takes: Kinds of leaf it reads (`residency.plan.kinds`).
        output: Kind of the minimal field: ``string``, ``long``, ``decimal``, ``timestamp-millis``.
        told: How many results there can be for values that it can read.
        apply: The function, from Avro's physical value. Equal arguments, equal results.
        says: What the result is, for people.
        unknown: The answer for what it cannot read; None leaves the field empty.
        pattern: What the whole of a text result matches, unless *values* lists the results.
        values: All results, where they are few.
        range: Lowest and highest number that comes out, both included; of a decimal, its
            unscaled integer.
        needs: What the contract has to declare beside the path.

    """

    how: str
    takes: tuple[str, ...]
    output: str
    told: int
    apply: Callable[[Any, Context], Any]
    says: str
    unknown: str | None = UNKNOWN
    pattern: str | None = None
    values: tuple[str, ...] | None = None
    range: tuple[int, int] | None = None
    needs: tuple[Need, ...] = ()

    @property
    def alphabet(self) -> int:
        """The number of possible results, the unknown and the empty field among them."""
        return self.told + (1 if self.unknown is None else 2)

    @property
    def bits(self) -> float:
        """At most so much information is in one result: log2 of the alphabet."""
        return math.log2(self.alphabet)


def no_argument(argument: str | None) -> None:
    """Check that a generaliser which takes no argument got none.

    Raises:
        ValueError: It got one.

    """
    if argument is not None:
        msg = "it takes no argument"
        raise ValueError(msg)
