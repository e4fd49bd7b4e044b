"""What a task is: a question about one text that has only the answers its file lists."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

UNKNOWN = "unknown"  # a label of every task: could not be read, or not surely enough
WITHHELD = "withheld"  # what goes out past the leak budget; no task may say it itself

Engine = Literal["pooling", "rules", "generate"]


@dataclass(frozen=True, slots=True)
class Label:
    """One answer.

    Attributes:
        name: What goes on to the CRM.
        means: When it is the right answer; an instruct model reads this, too.
        examples: Texts for which it is; none of them comes from a customer.

    """

    name: str
    means: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """Gives a label by explicit words, or by the language of the text; exactly one of the two.

    Attributes:
        pattern: RE2, without case; found anywhere in the text.
        language: ISO 639-1.

    """

    label: str
    pattern: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class HeadRef:
    """Which file holds a trained head, and its SHA-256 in hexadecimal."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Task:
    """A closed question about a text.

    Attributes:
        version: Grows when the meaning of a label changes.
        about: What is asked, in a sentence.
        engine: `pooling` is answered by an embedding model with a head, or by an instruct model
            where the region has one; `generate` by an instruct model alone; `rules` by no model.
        input: The fields of a request that are read.
        languages: ISO 639-1 of the texts that can be read; for any other the answer is `unknown`.
        threshold: The least score with which a head may answer, from 0 to 1.
        vocabulary: All answers, `unknown` among them.
        rules: Come before the model, in order; the first that matches answers.
        otherwise: The answer of a `rules` task for a text that can be read and that no rule knows.
        alerts: Labels that somebody in the region must hear of.
        head: The trained head of a `pooling` task.
        sha256: Of the file, in hexadecimal; it covers the head by the digest in it.

    """

    name: str
    version: int
    about: str
    engine: Engine
    input: tuple[str, ...]
    languages: tuple[str, ...]
    vocabulary: tuple[Label, ...]
    threshold: float = 0.0
    rules: tuple[Rule, ...] = ()
    otherwise: str | None = None
    alerts: tuple[str, ...] = ()
    head: HeadRef | None = None
    sha256: str = field(default="", kw_only=True)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of all answers, in the file's order; `unknown` is one of them."""
        return tuple(label.name for label in self.vocabulary)


Tasks = Mapping[str, Task]
