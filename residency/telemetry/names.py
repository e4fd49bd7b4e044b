"""Every metric, label, span and attribute that may be exported; anything else is refused.

Closed sets are a promise, not taste: a metric leaves the region, so a label with room for
free text would be a road out for what the border has just dropped.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from residency.ledger.accesses import Purpose
from residency.reconcile.findings import SEVERITIES
from residency.topics import DOMAINS, SERVICES
from schemas.errors import Reason

TOOLS = ("reconcile", "inference")  # no Kafka principal, but measured like a service
NO_PURPOSE = "none"  # of a look-up that was refused before it said any
MAX_PARTITIONS = 1_000  # of a raw topic; those above are not measured one by one

CounterName = Literal[
    # Records a stage has finished with, by outcome. Unit: {record}. Labels: stage, outcome.
    "homeport.records",
    # Records sent to quarantine, by reason. Unit: {record}. Labels: stage, reason.
    "homeport.quarantined",
    # Events the gateway took in, by domain. Unit: {event}. Labels: domain.
    "homeport.events",
    # Kafka transactions, by how they ended. Unit: {transaction}. Labels: stage, end.
    "homeport.transactions",
    # What a person should look at soon. Unit: {alert}. Labels: kind.
    "homeport.alerts",
    # Records that crossed the wire, by direction. Unit: {record}. Labels: stage, direction.
    "homeport.kafka.records",
    # Calls to the org's API, logins aside. Unit: {call}.
    "homeport.salesforce.calls",
    # Labels decided, by what goes out. Unit: {label}. Labels: task, label.
    "homeport.labels",
    # A stage paused because model or database did not answer. Unit: {pause}. Labels: stage.
    "homeport.pauses",
    # A region's model server failed and was started again. Unit: {restart}. Labels: cause.
    "homeport.inference.restarts",
    # Look-ups in the vault, by how they ended and why. Unit: {lookup}. Labels: outcome, purpose.
    "homeport.lookups",
]
GaugeName = Literal[
    # Requests that wait for the region's model. Unit: {record}.
    "homeport.enrich.waiting",
    # Raw records that are not in the vault yet. Unit: {record}.
    "homeport.vault.waiting",
    # Raw records not yet decided. Unit: {record}. Labels: domain, partition.
    "homeport.kafka.lag",
    # Records that wait in a client of ours. Unit: {record}. Labels: stage, direction.
    "homeport.kafka.queue",
    # A request to the slowest broker and back. Unit: s. Labels: stage, direction.
    "homeport.kafka.round_trip",
    # What is left of the region's share of the org's daily API calls, 0 to 1. Unit: 1.
    "homeport.salesforce.share",
    # Whether the org is left alone because it does not answer, 0 or 1. Unit: 1.
    "homeport.salesforce.rested",
    # Records that the org could not take yet and that wait in their region. Unit: {record}.
    "homeport.parked",
    # How long the oldest of them has waited. Unit: s.
    "homeport.parked.age",
    # What the last reconciliation found, by kind. Unit: {finding}. Labels: finding.
    "homeport.reconcile.findings",
    # Rows that were on their way during it. Unit: {row}.
    "homeport.reconcile.in_flight",
]
HistogramName = Literal[
    # From the first record polled to the batch's commit. Unit: s. Labels: stage.
    "homeport.batch.duration",
    # Records in a batch. Unit: {record}. Labels: stage.
    "homeport.batch.records",
    # From a request's arrival in Kafka to the commit of its labels. Unit: s.
    "homeport.enrich.latency",
    # One request to the model and back. Unit: s.
    "homeport.enrich.request",
    # Texts in such a request, as a part of those it has room for, 0 to 1. Unit: 1.
    "homeport.enrich.fill",
    # A look-up, from question to answer, its leaf included. Unit: s. Labels: outcome.
    "homeport.lookup.duration",
]
LabelName = Literal[
    "stage",
    "outcome",
    "reason",
    "domain",
    "end",
    "kind",
    "direction",
    "partition",
    "finding",
    "task",
    "label",
    "cause",
    "purpose",
]
SpanName = Literal[
    "gateway.publish",  # one event, from request to acknowledged record
    "border.batch",  # one transaction; starts a new trace
    "egress.batch",  # one batch: gate, ledger, sink
    "vault.batch",  # one transaction of the vault's writer
    "enrich.batch",  # one transaction
    "enrich.decide",  # what goes out of one batch's texts, before its transaction
    "enrich.queue",  # from the arrival of its oldest request to its being taken
    "enrich.request",  # one request to the model
    "enrich.validate",  # answers checked against their plans, label records made
]


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric measures: its unit (UCUM), one sentence, and the labels it must carry."""

    unit: str
    meaning: str
    labels: tuple[LabelName, ...] = ()


COUNTERS: Mapping[CounterName, Metric] = {
    "homeport.records": Metric(
        "{record}", "Records a stage has finished with.", ("stage", "outcome")
    ),
    "homeport.quarantined": Metric("{record}", "Records in quarantine.", ("stage", "reason")),
    "homeport.events": Metric("{event}", "Events the gateway took in.", ("domain",)),
    "homeport.transactions": Metric("{transaction}", "Kafka transactions.", ("stage", "end")),
    "homeport.alerts": Metric("{alert}", "What a person should look at soon.", ("kind",)),
    "homeport.kafka.records": Metric(
        "{record}", "Records that crossed the wire.", ("stage", "direction")
    ),
    "homeport.salesforce.calls": Metric("{call}", "Calls to the org's API."),
    "homeport.labels": Metric("{label}", "Labels, by what goes out.", ("task", "label")),
    "homeport.pauses": Metric("{pause}", "Model or database did not answer.", ("stage",)),
    "homeport.inference.restarts": Metric(
        "{restart}", "The region's model server failed and was started again.", ("cause",)
    ),
    "homeport.lookups": Metric("{lookup}", "Look-ups in the vault.", ("outcome", "purpose")),
}
GAUGES: Mapping[GaugeName, Metric] = {
    "homeport.enrich.waiting": Metric("{record}", "Requests that wait for the model."),
    "homeport.vault.waiting": Metric("{record}", "Raw records not in the vault yet."),
    "homeport.kafka.lag": Metric(
        "{record}", "Raw records not yet decided.", ("domain", "partition")
    ),
    "homeport.kafka.queue": Metric(
        "{record}", "Records that wait in a client.", ("stage", "direction")
    ),
    "homeport.kafka.round_trip": Metric(
        "s", "A request to the slowest broker and back.", ("stage", "direction")
    ),
    "homeport.salesforce.share": Metric("1", "Left of our share of the org's daily calls."),
    "homeport.salesforce.rested": Metric("1", "The org is left alone: it does not answer."),
    "homeport.parked": Metric("{record}", "Records that the org could not take yet."),
    "homeport.parked.age": Metric("s", "How long the oldest parked record has waited."),
    "homeport.reconcile.findings": Metric(
        "{finding}", "What the last reconciliation found.", ("finding",)
    ),
    "homeport.reconcile.in_flight": Metric("{row}", "Rows on their way during it."),
}
HISTOGRAMS: Mapping[HistogramName, Metric] = {
    "homeport.batch.duration": Metric("s", "First record polled to commit.", ("stage",)),
    "homeport.batch.records": Metric("{record}", "Records in a batch.", ("stage",)),
    "homeport.enrich.latency": Metric("s", "A request's arrival to its labels' commit."),
    "homeport.enrich.request": Metric("s", "One request to the model and back."),
    "homeport.enrich.fill": Metric("1", "Texts in a request, of those it has room for."),
    "homeport.lookup.duration": Metric("s", "A look-up, its leaf included.", ("outcome",)),
}

LABELS: Mapping[LabelName, frozenset[str]] = {
    "stage": frozenset(SERVICES),
    "outcome": frozenset(
        {"published", "refused"}  # gateway
        | {"minimal", "requested", "nothing", "quarantined"}  # border
        | {"accepted", "rejected", "superseded", "gate-refused", "parked"}  # egress
        | {"kept", "erased", "expired"}  # vault
        | {"answered", "refused", "failed"}  # look-ups; whether anybody was found is no outcome
    ),
    "reason": frozenset(Reason),
    "domain": frozenset(DOMAINS),
    "end": frozenset({"committed", "aborted"}),
    "kind": frozenset(
        {"wrong-region", "quarantine-limit", "parked-too-long", "in-doubt", "unreconciled"}
        | {"egress-halted", "privacy-request"}
    ),
    "direction": frozenset({"received", "sent"}),
    "finding": frozenset(SEVERITIES),
    "cause": frozenset({"ended", "hung", "not-ready"}),  # of a model server's end
    "partition": frozenset(str(number) for number in range(MAX_PARTITIONS)),
    "task": frozenset({"intent", "sentiment", "urgency", "language", "privacy_request"}),
    "label": frozenset({"answered", "unknown", "withheld"}),  # which answer: the record says
    "purpose": frozenset({*map(str, Purpose), NO_PURPOSE}),
}

SPANS: frozenset[SpanName] = frozenset(
    {
        "gateway.publish",
        "border.batch",
        "egress.batch",
        "vault.batch",
        "enrich.batch",
        "enrich.decide",
        "enrich.queue",
        "enrich.request",
        "enrich.validate",
    }
)
RECORD = "homeport.record"  # a record id, or a raw record's coordinates
RECORDS = "homeport.records"  # how many
OUTCOME = "homeport.outcome"
ERROR = "error.type"  # the error's class, never its text
_RECORD = re.compile(r"[a-z0-9.-]{1,120}\[\d{1,6}\]@\d{1,19}(?:#\d{1,6}(?:\+\d{1,6})?)?")
_CLASS = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,119}")


def is_attribute(key: str, value: object) -> bool:
    """Return whether a span may carry *key* with *value*."""
    match value:
        case bool():
            return False
        case int():
            return key == RECORDS
        case str() if key == RECORD:
            return _RECORD.fullmatch(value) is not None
        case str() if key == OUTCOME:
            return value in LABELS["outcome"]
        case str() if key == ERROR:
            return _CLASS.fullmatch(value) is not None
        case _:
            return False


def check_labels(name: str, metric: Metric, labels: Mapping[str, str]) -> None:
    """Check that *labels* are the metric's own, each with a value of its closed set.

    Raises:
        ValueError: One is missing, unknown, or has a value outside its set. The text does
            not repeat the value.

    """
    if labels.keys() != set(metric.labels):
        expected = ", ".join(metric.labels) or "none"
        msg = f"{name}: labels must be {expected}; see residency/telemetry/names.py"
        raise ValueError(msg)
    for label in metric.labels:
        if labels[label] not in LABELS[label]:
            msg = f"{name}: label {label!r} has a value outside residency/telemetry/names.py"
            raise ValueError(msg)
