"""A plan that asks about a message's text, requests under it, and a hand-made model for faults."""

import hashlib
import time
from base64 import b32encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from connectors.kafka.headers import Headers, Stamp, of_minimal
from inference.labelling import Answer
from residency.contracts.model import Contract, FieldSource, Output
from residency.plan.book import load_policy
from residency.plan.compile import compile_plan
from residency.plan.labels import request_value
from residency.plan.model import Plan
from schemas.errors import RetriableError
from schemas.events import Coordinates, LabelRequest, RecordId, row_version
from schemas.registry import load_registry
from streams.labels import Asked

REGISTRY = load_registry()
CASE = "Commerce_Case__c"
TOPIC, TOPIC_ID = "eu.commerce.messages.v1", "hand-made"
MODEL, RELEASE = "ab" * 32, "cd" * 32
FIELDS = {
    "Intent__c": "intent",
    "Sentiment__c": "sentiment",
    "Urgency__c": "urgency",
    "Text_Language__c": "language",
    "Privacy_Request__c": "privacy_request",
}


@dataclass(frozen=True)
class MadeTask:
    """A task of this test."""

    name: str
    labels: tuple[str, ...]
    alerts: tuple[str, ...] = ()
    version: int = 1

    @property
    def sha256(self) -> str:
        """Of what it is."""
        return hashlib.sha256(repr((self.name, self.version, self.labels)).encode()).hexdigest()


TASKS = {
    one.name: one
    for one in (
        MadeTask("intent", ("return", "praise", "other", "unknown")),
        MadeTask("sentiment", ("negative", "neutral", "positive", "unknown")),
        MadeTask("urgency", ("high", "normal", "unknown")),
        MadeTask("language", ("de", "en", "fr", "unknown")),
        MadeTask("privacy_request", ("none", "erasure", "unknown"), ("erasure",)),
    )
}


def made_plan(fields: Sequence[str] = tuple(FIELDS), tasks: Mapping[str, MadeTask] = TASKS) -> Plan:
    """Return a plan of region eu whose second output asks for *fields* of a message."""
    schema = REGISTRY.latest("commerce.messages.SupportMessageReceived")
    key = FieldSource(path="message_id", identity="message")
    whose = FieldSource(path="customer.customer_id", identity="customer")
    asks = {name: FieldSource(path="body", task=FIELDS[name]) for name in fields}
    outputs = (
        Output(CASE, key, {"Channel__c": FieldSource(path="channel")}),
        Output(CASE, key, asks, subject=whose),
    )
    policy = load_policy("eu", date(2026, 11, 23))
    return compile_plan(schema, Contract({schema.subject: outputs}), policy, REGISTRY, tasks=tasks)


PLAN = made_plan()


def row_token(n: int) -> str:
    """Return the external id of the row of raw record *n*, of the form that the gate wants."""
    return f"tok_eu1_{b32encode(n.to_bytes(16)).decode().rstrip('=').lower()}"


def made_request(  # noqa: PLR0913, each is a part of it
    n: int,
    text: str | None,
    subject: str = "tok_eu1_someone",
    *,
    plan: Plan = PLAN,
    resend: int = 0,
    topic_id: str = TOPIC_ID,
) -> LabelRequest:
    """Return the request that raw record *n* makes, as if the border had made it."""
    output = plan.outputs[1]
    return LabelRequest(
        id=RecordId(Coordinates(TOPIC, 0, n), 1, resend, topic_id),
        object=output.object,
        external_id=row_token(n),
        subject=subject,
        version=row_version(1, n),
        schema_id=output.schema_id,
        plan=plan.digest,
        keys=1,
        texts={"text_body": text},
    )


def made_asked(request: LabelRequest, plan: Plan = PLAN) -> Asked:
    """Return *request* with its plan."""
    return Asked.of(request, {plan.digest: plan})


def wire(request: LabelRequest, plan: Plan = PLAN) -> tuple[bytes, bytes, Headers]:
    """Return key, value and headers of *request* as they lie on the topic of requests."""
    output = plan.outputs[1]
    stamp = Stamp(
        request.id.topic_id, output.object, plan.digest, request.keys, output.basis, RELEASE
    )
    stamped = of_minimal(str(request.id), request.version, stamp.encoded())
    return request.external_id.encode(), request_value(request, REGISTRY), stamped


def label_of(task: str, text: str) -> str:
    """Return what the hand-made model says: one of the task's words, the same for the same text."""
    words = TASKS[task].labels
    return words[hashlib.sha256(f"{task}{text}".encode()).digest()[0] % len(words)]


@dataclass
class HandMade:
    """A model with faults: what real ones do only now and then.

    Attributes:
        down: While this file exists, or while True, nothing is answered.
        poison: A text that holds this is never answered, and *down* for `dies` more requests.
        says: Answers instead of `label_of`'s, by task.
        takes_s: How long a request takes.

    """

    down: Path | bool = False
    poison: str = "\x00poison"
    dies: int = 0
    says: Mapping[str, str] = field(default_factory=dict)
    takes_s: float = 0.0
    asked: list[tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=list)
    dying: int = 0

    def label(self, tasks: Sequence[str], texts: Sequence[str]) -> list[Mapping[str, Answer]]:
        """See `Labeller.label`."""
        self.asked.append((tuple(tasks), tuple(texts)))
        time.sleep(self.takes_s)
        if self.dying:
            self.dying -= 1
            raise RetriableError("the hand-made model restarts")  # noqa: EM101, TRY003, a test's
        if self.down.exists() if isinstance(self.down, Path) else self.down:
            raise RetriableError("the hand-made model is down")  # noqa: EM101, TRY003, a test's
        if any(self.poison in text for text in texts):
            self.dying = self.dies
            raise RetriableError("the hand-made model failed")  # noqa: EM101, TRY003, a test's
        return [
            {
                task: Answer(
                    self.says.get(task, label_of(task, text)), 1.0, "en", "hand-made", is_cut=False
                )
                for task in tasks
            }
            for text in texts
        ]
