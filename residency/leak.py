"""What labels tell, in bits: an upper bound by counting, whatever the model is.

A label that is one of n words tells its reader at most log2 n bits of the text, whoever wrote
the text and whatever the model was made to do (Shannon: the entropy of a choice among n is at
most log2 n). So the cost of a question is known before the text is read, and depends on nothing
that the text says: see docs/leak-budget.md for why it must not.
"""

import math
from collections.abc import Collection, Iterable
from typing import Final

from residency.plan.tasks import UNKNOWN, WITHHELD
from residency.policy.budgets import Budget

MILLIBITS: Final = 1_000  # per bit; whole numbers add up without rounding


def label_cost(vocabulary: Collection[str]) -> int:
    """Return what one label of a closed *vocabulary* tells at most, in millibits, rounded up.

    Both constants are outcomes that a reader can tell apart, so they count whether the
    vocabulary names them or not.
    """
    return math.ceil(MILLIBITS * math.log2(len({*vocabulary, UNKNOWN, WITHHELD})))


def record_cost(vocabularies: Iterable[Collection[str]]) -> int:
    """Return what the labels of one record tell at most, in millibits: the sum."""
    return sum(label_cost(one) for one in vocabularies)


def is_within(budget: Budget, spent: int, cost: int) -> bool:
    """Return whether *cost* more may be told after *spent*, both in millibits."""
    return spent + cost <= budget.cap_bits * MILLIBITS
