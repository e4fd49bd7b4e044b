"""Who labels texts: the interface that enrichment and the command line share, and its engines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from inference.client import Choice, ModelClient, RefusedTextError, Vectors
from inference.config import InferenceConfig
from inference.cutting import clean, cut
from inference.heads import FOLDER, Head, load_head
from inference.language import language_of
from inference.prompt import messages
from inference.rules import can_read, first_rule, otherwise
from inference.tasks import UNKNOWN, Task, Tasks, load_tasks
from schemas.errors import HaltError, SetupError


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


class Model(Protocol):
    """What a labeller asks of a model server."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return a row per text."""
        ...

    def choose(self, prompt: Sequence[Mapping[str, str]], choices: Sequence[str], /) -> Choice:
        """Return which of the choices the model answers."""
        ...


@dataclass(frozen=True, slots=True)
class _Text:
    """A text as engines see it; its repr shows nothing of it."""

    whole: str
    begins: str
    is_cut: bool
    language: str | None

    def __repr__(self) -> str:
        return f"_Text(is_cut={self.is_cut})"

    def answer(self, label: str, score: float, method: str) -> Answer:
        """Return an answer about this text; rules alone see all of it."""
        is_cut = self.is_cut and method != "rules"
        return Answer(label, score, self.language, method, is_cut)


class RegionLabeller:
    """Answers by rules where they match, else by the region's model where it can read the text."""

    def __init__(self, tasks: Tasks, heads: Mapping[str, Head], engine: str, model: Model) -> None:
        """Take the tasks, the heads by task, what the model server does, and the server."""
        self._tasks = tasks
        self._heads = heads
        self._engine = engine
        self._model = model

    def label(self, tasks: Sequence[str], texts: Sequence[str]) -> Sequence[Mapping[str, Answer]]:
        """See Labeller.label."""
        asked = [_found(self._tasks, name, self._engine) for name in tasks]
        seen = [_seen(text) for text in texts]
        answers: list[dict[str, Answer]] = [
            {task.name: _without_model(task, text) for task in asked} for text in seen
        ]
        open_ = [[task for task in asked if found[task.name].method == _OPEN] for found in answers]
        answered = self._pooled if self._engine == "pooling" else self._generated
        for found, more in zip(answers, answered(seen, open_), strict=True):
            found.update(more)
        return answers

    def without_thresholds(self) -> "RegionLabeller":
        """Return one that gives its best label however unsure: what measuring needs."""
        tasks = {name: replace(task, threshold=0.0) for name, task in self._tasks.items()}
        return RegionLabeller(tasks, self._heads, self._engine, self._model)

    def _pooled(
        self, texts: Sequence[_Text], tasks: Sequence[Sequence[Task]]
    ) -> Iterable[Mapping[str, Answer]]:
        wanted = [number for number, some in enumerate(tasks) if some]
        vectors = self._embedded([texts[number].begins for number in wanted])
        found: list[Mapping[str, Answer]] = [{} for _ in texts]
        for number, vector in zip(wanted, vectors, strict=True):
            text = texts[number]
            found[number] = {
                task.name: text.answer(UNKNOWN, 0.0, "pooling")
                if vector is None
                else _by_head(task, self._heads[task.name], text, vector)
                for task in tasks[number]
            }
        return found

    def _embedded(self, texts: Sequence[str]) -> Sequence[Vectors | None]:
        """Return a vector per text; None for one that the server refuses, whoever stood by it."""
        if not texts:
            return []
        try:
            return list(self._model.embed(texts))
        except RefusedTextError:
            if len(texts) == 1:
                return [None]
        return [vector for text in texts for vector in self._embedded([text])]

    def _generated(
        self, texts: Sequence[_Text], tasks: Sequence[Sequence[Task]]
    ) -> Iterable[Mapping[str, Answer]]:
        return [
            {task.name: self._chosen(task, text) for task in some}
            for text, some in zip(texts, tasks, strict=True)
        ]

    def _chosen(self, task: Task, text: _Text) -> Answer:
        try:
            choice = self._model.choose(messages(task, text.begins), task.labels)
        except RefusedTextError:
            choice = Choice(None, 0.0)
        is_ours = choice.answer in task.labels
        label = choice.answer if is_ours and choice.answer is not None else UNKNOWN
        return text.answer(label, choice.score, "generate")


def _found(tasks: Tasks, name: str, engine: str) -> Task:
    """Return a task that a labeller with this engine can answer.

    Raises:
        HaltError: There is none of this name, or it needs another engine.

    """
    task = tasks.get(name)
    if task is None:
        msg = f"no task {name!r}; have {', '.join(tasks)}"
        raise HaltError(msg)
    is_chosen = task.engine == "pooling" and engine == "generate"  # it can do what a head does
    if task.engine not in {"rules", engine} and not is_chosen:
        msg = (
            f"task {name!r} is for an engine of {task.engine}, and this labeller has {engine}; "
            "configure a model server that can answer it"
        )
        raise HaltError(msg)
    return task


_OPEN = "open"  # the method of an answer that a model has yet to give


def _seen(text: str) -> _Text:
    whole = clean(text)
    begins, is_cut = cut(whole)
    return _Text(whole, begins, is_cut, language_of(begins))


def _without_model(task: Task, text: _Text) -> Answer:
    """Return what rules and the language decide; the method is `_OPEN` where a model has to."""
    label = first_rule(task, text.whole, text.language)
    if label is not None:
        return text.answer(label, 1.0, "rules")
    if task.engine == "rules":
        label = otherwise(task, text.language)
        return text.answer(label or UNKNOWN, 0.0 if label is None else 1.0, "rules")
    is_readable = can_read(task.languages, text.language)
    return text.answer(UNKNOWN, 0.0, _OPEN if is_readable else "gate")


def _by_head(task: Task, head: Head, text: _Text, vector: Vectors) -> Answer:
    scores = head.probabilities(vector[np.newaxis])[0]
    best = int(np.argmax(scores))
    score = float(scores[best])
    is_sure = score >= task.threshold  # false for NaN, too
    return text.answer(head.labels[best] if is_sure else UNKNOWN, score, "pooling")


def load_heads(tasks: Tasks) -> Mapping[str, Head]:
    """Return the heads of all tasks that have one, by task.

    Raises:
        BadHeadError: A file is not the one that its task names.

    """
    return {
        task.name: load_head(task.head.file, task.head.sha256, FOLDER)
        for task in tasks.values()
        if task.head is not None
    }


class RulesLabeller:
    """Answers the tasks that need no model."""

    def __init__(self, tasks: Tasks) -> None:
        """Take the tasks."""
        self._tasks = tasks

    def label(self, tasks: Sequence[str], texts: Sequence[str]) -> Sequence[Mapping[str, Answer]]:
        """See Labeller.label."""
        asked = [_found(self._tasks, name, "rules") for name in tasks]
        seen = [_seen(text) for text in texts]
        return [{task.name: _without_model(task, text) for task in asked} for text in seen]

    def without_thresholds(self) -> "RulesLabeller":
        """Return itself: rules are sure."""
        return self


def labeller(config: InferenceConfig) -> RegionLabeller:
    """Return what labels texts with a region's model; no request is made yet.

    Raises:
        SetupError: Tasks, heads or configuration do not go together.

    """
    tasks = load_tasks()
    if config.engine not in {"pooling", "generate"}:
        msg = f"inference: no engine {config.engine!r}; have pooling, generate"
        raise SetupError(msg)
    heads = load_heads(tasks) if config.engine == "pooling" else {}
    return RegionLabeller(tasks, heads, config.engine, ModelClient(config))
