"""Who labels texts: the interface that enrichment and the command line share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What a task says of one text.

    Attributes:
        label: One of the task's labels, always.
        score: From 0 to 1; only a head's is held against the task's threshold.
        language: ISO 639-1 of the text, or None where it cannot be told.
        method: `pooling`, `rules`, `generate`, or `gate` where no engine was asked.
        is_cut: Whether the engine saw only the beginning of the text.

    """

    label: str
    score: float
    language: str | None
    method: str
    is_cut: bool


class Labeller(Protocol):
    """Answers tasks about texts."""

    def label(self, tasks: Sequence[str], texts: Sequence[str]) -> Sequence[Mapping[str, Answer]]:
        """Return, per text and in order, the answer to each task; a text is embedded once.

        Nothing that a text says can make this fail: what cannot be read is `unknown`.

        Raises:
            RetriableError: The server did not answer; the same batch may be tried again.
            HaltError: A task is not among those that this labeller knows.

        """
        ...
