"""What a task's answers are worth: counts, and how sure one can be of them."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inference.examples import Example
from inference.labelling import Answer
from inference.tasks.model import UNKNOWN

Z = 1.96  # of a 95 % interval


@dataclass(frozen=True, slots=True)
class Quality:
    """Counts over examples of one language.

    Attributes:
        texts: How many there were.
        groups: From how many templates.
        right: Best labels that are right, however unsure; what the gate keeps back is wrong.
        answered: Labels given that are not `unknown`.
        right_answered: Those of them that are right.

    """

    texts: int
    groups: int
    right: int
    answered: int
    right_answered: int

    @property
    def accuracy(self) -> float:
        """Share right of all, from 0 to 1."""
        return self.right / self.texts

    @property
    def coverage(self) -> float:
        """Share answered, from 0 to 1."""
        return self.answered / self.texts

    @property
    def precision(self) -> float:
        """Share right of those answered, from 0 to 1; 1 if none was."""
        return self.right_answered / self.answered if self.answered else 1.0


def measure(
    examples: Sequence[Example], best: Sequence[Answer], threshold: float
) -> Mapping[str, Quality]:
    """Return the quality by language.

    Args:
        examples: What is right.
        best: Answers without a threshold, one per example.
        threshold: The score from which a head's answer would have been given.

    """
    rows = list(zip(examples, best, strict=True))
    return {
        language: _quality([row for row in rows if row[0].language == language], threshold)
        for language in dict.fromkeys(example.language for example in examples)
    }


def _quality(rows: Sequence[tuple[Example, Answer]], threshold: float) -> Quality:
    given = [(example, answer) for example, answer in rows if is_given(answer, threshold)]
    return Quality(
        texts=len(rows),
        groups=len({example.group for example, _ in rows}),
        right=sum(example.truth == answer.label for example, answer in rows),
        answered=len(given),
        right_answered=sum(example.truth == answer.label for example, answer in given),
    )


def is_given(answer: Answer, threshold: float) -> bool:
    """Return whether an answer goes out as more than `unknown`."""
    is_sure = answer.method != "pooling" or answer.score >= threshold
    return answer.label != UNKNOWN and is_sure


def confusion(
    examples: Sequence[Example], best: Sequence[Answer], threshold: float
) -> Mapping[tuple[str, str], int]:
    """Return how often (right label, label given) came; `unknown` where none was given."""
    return Counter(
        (example.truth, answer.label if is_given(answer, threshold) else UNKNOWN)
        for example, answer in zip(examples, best, strict=True)
    )


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return a 95 % interval for a share that was seen in *count* independent trials.

    Source: E. B. Wilson, "Probable Inference", JASA 22 (1927), p. 209.
    """
    middle = share + Z * Z / (2 * count)
    spread = Z * math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count))
    scale = 1 + Z * Z / count
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
