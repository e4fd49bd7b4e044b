"""What is asked of a request's texts, and the label record that the answers become.

What an answer may be, the plan of the request says, and nobody else: not the model, not the
task file of this release. Whatever comes back besides is ``unknown``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from connectors.kafka.headers import Stamp, of_minimal
from inference.labelling import Answer
from residency.decisions import Answered, Decision, Question, question
from residency.plan.labels import label_record
from residency.plan.model import LabelPlan, OutputPlan, Plan
from residency.plan.tasks import UNKNOWN, WITHHELD
from schemas.errors import HaltError
from schemas.events import LabelRequest
from schemas.registry import Registry
from streams.asking import Answers, Text
from streams.place import Stamped

# how an answer was found: no text, or another version of the task; none of its plan's words
NOT_ASKED, OUTSIDE = "not-asked", "outside"


class Task(Protocol):
    """As much of a task as is looked at here."""

    @property
    def sha256(self) -> str:
        """Of its file."""
        ...

    @property
    def alerts(self) -> Collection[str]:
        """Labels that somebody in the region must hear of."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A request with the plan that made it."""

    request: LabelRequest
    plan: Plan
    output: OutputPlan
    question: Question

    @classmethod
    def of(cls, request: LabelRequest, plans: Mapping[str, Plan]) -> "Asked":
        """Return *request* with its plan.

        Raises:
            HaltError: This release has no such plan.

        """
        plan = plans.get(request.plan)
        if plan is None or request.id.output >= len(plan.outputs):
            msg = (
                f"{request.id}: this release holds no plan that made it: run the release of its"
                " border, and see `homeport plan show`"
            )
            raise HaltError(msg)
        output = plan.outputs[request.id.output]
        return cls(request, plan, output, question(request, output))


class Maker:
    """Makes texts of requests and label records of answers; asks nobody."""

    def __init__(
        self, registry: Registry, tasks: Mapping[str, Task], model: str, release: str
    ) -> None:
        """Take the tasks that can be asked, and the digests of model and code."""
        self._registry = registry
        self._tasks = tasks
        self._model = model
        self._release = release

    def texts(self, asked: Asked) -> list[Text]:
        """Return what to ask of a request: each of its texts once, with all its tasks."""
        tasks: dict[str, list[str]] = {}
        for label in asked.output.labels:
            if asked.request.texts.get(label.text) is not None and self._is_known(label):
                tasks.setdefault(label.text, []).append(label.task)
        return [
            Text(_name(asked, field), tuple(names), asked.request.texts[field] or "")
            for field, names in tasks.items()
        ]

    def decided(
        self, asked: Asked, before: Decision, found: Mapping[tuple[str, ...], Answers]
    ) -> Decision:
        """Return the decision with its answers; what was not asked, or cannot be, is unknown.

        Args:
            asked: The request.
            before: Its decision, as it was taken before anybody read its texts.
            found: What was answered, by `Text.name`.

        """
        answers = {}
        for label in asked.output.labels:
            answered = found.get(_name(asked, label.text), {})
            answer = answered.get(label.task) if self._is_known(label) else None
            answers[label.field] = _checked(label, answer)
        return Decision(before.question, before.is_withheld, self._model, answers)

    def record(self, asked: Asked, decision: Decision) -> Stamped:
        """Return the label record of a decision that has its answers, with its headers.

        Raises:
            HaltError: As `label_record`.

        """
        request = asked.request
        made = label_record(request, asked.plan, decision.labels(), self._registry)
        stamp = Stamp(
            topic_id=request.id.topic_id,
            object=made.object,
            plan=made.plan,
            keys=made.keys,
            basis=asked.output.basis,
            release=self._release,
            model=decision.model,
        )
        stamped = of_minimal(str(made.id), made.version, stamp.encoded())
        row = made.external_id.encode(), made.value, stamped
        return Stamped((row,), is_again=request.id.resend > 0)

    def alerts(self, asked: Asked, decision: Decision) -> bool:
        """Return whether what goes out is something that somebody in the region must hear of."""
        labels = decision.labels()
        return any(
            labels[label.field] in self._tasks[label.task].alerts
            for label in asked.output.labels
            if self._is_known(label)
        )

    def _is_known(self, label: LabelPlan) -> bool:
        """Return whether the very task that the plan names can be asked."""
        task = self._tasks.get(label.task)
        return task is not None and task.sha256 == label.sha256


def _name(asked: Asked, field: str) -> tuple[str, ...]:
    return (*asked.question.key, field)


def _checked(label: LabelPlan, answer: Answer | None) -> Answered:
    """Return an answer that is a word of the plan's.

    What was wrong with another stays in the region: a log line would tell of two texts, which
    are both ``unknown``, which is which.
    """
    if answer is None:
        return Answered(label.task, label.version, UNKNOWN, NOT_ASKED, is_cut=False)
    if answer.label not in label.values or answer.label == WITHHELD:
        return Answered(label.task, label.version, UNKNOWN, OUTSIDE, answer.is_cut)
    return Answered(label.task, label.version, answer.label, answer.method, answer.is_cut)
