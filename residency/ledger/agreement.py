"""Whether two certificates say the same of a model, and if not, where they first differ.

Weights, tokenizer, settings, tasks and server have to be the same to the byte. Answers have to be
the same words found in the same way; a score may be one hundredth off, since a sum that two
machines take in another order may fall on either side of where it is rounded. The score of a
generated answer is not compared: a large model's probabilities, in half precision, move with
whatever else is computed beside them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from residency.ledger.certificates import Certificate, GoldenAnswer

SCORE_SLACK: Final = 1  # hundredths
GENERATED: Final = "generate"  # as `GoldenAnswer.method` says
Value: TypeAlias = str | int | None


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two certificates differ.

    Attributes:
        field: Such as ``version``, ``files/config.json`` or ``answers/en-01/intent/label``.
        values: What each says there; None where it has no such thing.

    """

    field: str
    values: tuple[Value, Value]

    def __str__(self) -> str:
        """Return it in words."""
        one, other = ("nothing" if value is None else value for value in self.values)
        return f"{self.field}: {one} here, {other} there"


def first_difference(one: Certificate, other: Certificate) -> Difference | None:
    """Return where two certificates first differ, None if they agree.

    Causes come before what they bring about: what is served, by what, the tasks, then answers.
    Which release asked, and when, does not count.
    """
    return next(_differences(one, other), None)


def _differences(one: Certificate, other: Certificate) -> Iterator[Difference]:
    if one.model != other.model:
        yield Difference("model", (one.model, other.model))
    here, there = one.identity, other.identity
    for name in ("engine", "package", "version", "dtype", "max_tokens"):
        values = getattr(here, name), getattr(there, name)
        if values[0] != values[1]:
            yield Difference(name, values)
    yield from _of("files", here.files, there.files)
    yield from _of("tasks", here.tasks, there.tasks)
    if one.golden != other.golden:
        yield Difference("golden", (one.golden, other.golden))
    for text in sorted(one.answers.keys() | other.answers.keys()):
        yield from _of_answers(text, one.answers.get(text, {}), other.answers.get(text, {}))


def _of(name: str, here: Mapping[str, str], there: Mapping[str, str]) -> Iterator[Difference]:
    for key in sorted(here.keys() | there.keys()):
        if here.get(key) != there.get(key):
            yield Difference(f"{name}/{key}", (here.get(key), there.get(key)))


def _of_answers(
    text: str, here: Mapping[str, GoldenAnswer], there: Mapping[str, GoldenAnswer]
) -> Iterator[Difference]:
    for task in sorted(here.keys() | there.keys()):
        at, one, other = f"answers/{text}/{task}", here.get(task), there.get(task)
        if one is None or other is None:
            yield Difference(at, (one and one.label, other and other.label))
        elif one.label != other.label:
            yield Difference(f"{at}/label", (one.label, other.label))
        elif one.method != other.method:
            yield Difference(f"{at}/method", (one.method, other.method))
        elif one.method != GENERATED and abs(one.score - other.score) > SCORE_SLACK:
            yield Difference(f"{at}/score", (one.score, other.score))
