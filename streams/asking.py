"""Asking the region's model about many texts: side by side, again, and never for ever.

A model that does not answer makes texts wait; a text that the model cannot take must not. The
two look alike from outside, so what was not answered is asked again alone, each time right after
a harmless text. If that one is answered and the text is not, `STRIKES` times, the text is at
fault, even where it takes the model down with it: it is ``unknown``.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TypeAlias

from inference.labelling import Answer, Labeller
from residency.plan.tasks import UNKNOWN
from schemas.errors import RetriableError
from streams.duties import NotNowError

STRIKES = 3  # one may be a restart of the server between two requests; three in a row are not
HARMLESS = "Where is my order?"
UNREADABLE = "unreadable"  # how an answer was found: it was not
Answers: TypeAlias = Mapping[str, Answer]


@dataclass(frozen=True, slots=True)
class Text:
    """A text and what is asked of it.

    Attributes:
        name: Tells it from all others of its batch, in every try.
        tasks: Asked of it, in an order that is the same for the same tasks.

    """

    name: tuple[str, ...]
    tasks: tuple[str, ...]
    text: str = field(repr=False)


class Asker:
    """Asks one model. The calling thread waits; at most *side_by_side* requests are under way."""

    def __init__(
        self,
        labeller: Labeller,
        together: int,
        side_by_side: int,
        measure: Callable[[int], AbstractContextManager[None]],
    ) -> None:
        """Take whom to ask, and what measures a request of so many texts.

        Args:
            labeller: The model.
            together: Texts of one request, at most.
            side_by_side: Requests under way, at most.
            measure: Stands around each request; it is told how many texts are in it.

        """
        self._labeller = labeller
        self._together = together
        self._measure = measure
        self._pool = ThreadPoolExecutor(side_by_side, "asking")
        self._found: dict[tuple[str, ...], Answers] = {}  # of the batch that is being asked
        self._suspects: dict[tuple[str, ...], int] = {}  # strikes of what was not answered

    def close(self) -> None:
        """Wait for the requests under way and ask nothing more."""
        self._pool.shutdown(cancel_futures=True)

    def ask(self, texts: Sequence[Text]) -> list[Answers]:
        """Return the answers to each text, in order.

        Raises:
            NotNowError: The model does not answer; ask again with the same texts, or fewer.
            HaltError: As `Labeller.label`.

        """
        self._together_first([one for one in texts if one.name not in self._found])
        for one in texts:
            while one.name not in self._found:
                self._alone(one)
        answers = [self._found[one.name] for one in texts]
        self._found.clear()
        self._suspects.clear()
        return answers

    def _together_first(self, texts: Sequence[Text]) -> None:
        """Ask about all that is above suspicion; what is not answered becomes suspect."""
        by_tasks: dict[tuple[str, ...], list[Text]] = {}
        for one in texts:
            if one.name not in self._suspects:
                by_tasks.setdefault(one.tasks, []).append(one)
        asked: list[tuple[list[Text], Future[Sequence[Answers]]]] = []
        for tasks, some in by_tasks.items():
            for start in range(0, len(some), self._together):
                part = some[start:][: self._together]
                words = [one.text for one in part]
                run = copy_context().run  # the request's span is a child of ours
                asked.append((part, self._pool.submit(run, self._request, tasks, words)))
        for part, future in asked:
            try:
                self._found |= dict(zip([one.name for one in part], future.result(), strict=True))
            except RetriableError:
                self._suspects |= dict.fromkeys((one.name for one in part), 0)

    def _alone(self, one: Text) -> None:
        """Ask about a suspect, right after a text that any model can read."""
        try:
            self._request(one.tasks, [HARMLESS])
        except RetriableError as error:
            raise NotNowError(str(error)) from None  # our own text
        try:
            self._found[one.name] = self._request(one.tasks, [one.text])[0]
        except RetriableError:
            self._suspects[one.name] += 1
            if self._suspects[one.name] >= STRIKES:
                self._found[one.name] = unreadable(one.tasks)

    def _request(self, tasks: tuple[str, ...], texts: list[str]) -> Sequence[Answers]:
        with self._measure(len(texts)):
            return self._labeller.label(tasks, texts)


def unreadable(tasks: Sequence[str], method: str = UNREADABLE) -> Answers:
    """Return ``unknown`` for each task: nothing was, or can be, read."""
    answer = Answer(UNKNOWN, 0.0, None, method, is_cut=False)
    return dict.fromkeys(tasks, answer)
