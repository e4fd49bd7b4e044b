"""What was decided of a record's texts: made once, kept in the region, used ever after.

A decision is about one raw record, one output of its plan and what that output asks. A resend of
the record asks the same again, so it gets the same answer and costs nothing; another version of
a task asks something else.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import rfc8785

from residency.leak import MILLIBITS, record_cost
from residency.plan.model import OutputPlan
from residency.plan.tasks import WITHHELD
from schemas.events import LabelRequest, RecordId


class Key(NamedTuple):
    """What a decision is found by.

    Attributes:
        topic_id: Kafka's id of the raw topic.
        record: The record's name, without its resend number.
        asked: SHA-256, hex, of what the plan's output asks.

    """

    topic_id: str
    record: str
    asked: str


def asked_of(output: OutputPlan) -> str:
    """Return the SHA-256, hex, of what an output of a plan asks."""
    return hashlib.sha256(rfc8785.dumps([asdict(label) for label in output.labels])).hexdigest()


def key_of(record: RecordId, asked: str) -> Key:
    """Return what the decision about *record* is found by, given what its output asks."""
    return Key(record.topic_id, str(RecordId(record.at, record.output)), asked)


@dataclass(frozen=True, slots=True)
class Question:
    """What a record asks, known before anybody reads its texts.

    Attributes:
        subject: Token of the customer whose texts they are.
        plan: SHA-256 of the plan that asks, hex.
        cost: What its labels tell at most, in millibits.

    """

    key: Key
    subject: str = field(repr=False)
    plan: str
    cost: int


def question(request: LabelRequest, output: OutputPlan) -> Question:
    """Return what *request* asks, which *output* of its plan made."""
    cost = record_cost(label.values for label in output.labels)
    return Question(key_of(request.id, asked_of(output)), request.subject, request.plan, cost)


@dataclass(frozen=True, slots=True)
class Answered:
    """What was answered for one field.

    Attributes:
        label: A word of the task's closed vocabulary.
        method: How it was found, such as ``pooling`` or ``rules``.
        is_cut: The text was longer than the model reads, and only its beginning was read.

    """

    task: str
    version: int
    label: str = field(repr=False)
    method: str
    is_cut: bool = field(repr=False)


@dataclass(frozen=True, slots=True)
class Decision:
    """What goes out of a record's texts.

    Attributes:
        is_withheld: The budget of its customer was spent; decided before the texts were read.
        model: Digest of the model that answered, hex; None until then.
        answers: By CRM field; None until then. Those of a withheld record stay in the region.

    """

    question: Question
    is_withheld: bool
    model: str | None = None
    answers: Mapping[str, Answered] | None = field(default=None, repr=False)

    def labels(self) -> Mapping[str, str]:
        """Return what goes out by CRM field; the answers must be there."""
        answers = self.answers or {}
        if self.is_withheld:
            return dict.fromkeys(answers, WITHHELD)
        return {name: answered.label for name, answered in answers.items()}


def decision_json(one: Decision, at: datetime) -> dict[str, Any]:
    """Return a decision as people read it; *at* is when it was taken."""
    answers = one.answers or {}
    return {
        "record": one.question.key.record,
        "subject": one.question.subject,
        "at": at.astimezone(UTC).isoformat(),
        "plan": one.question.plan,
        "model": one.model,
        "bits": 0 if one.is_withheld else one.question.cost / MILLIBITS,
        "withheld": one.is_withheld,
        "answers": {
            name: {
                "task": answer.task,
                "version": answer.version,
                "label": answer.label,
                "method": answer.method,
                "cut": answer.is_cut,
            }
            for name, answer in answers.items()
        },
    }
