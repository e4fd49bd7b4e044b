"""The event as it moves down the line: raw, classified, minimal, logged.

The state is the type. A sink takes only a `LoggedRecord`, only the ledger makes one from
a `MinimalRecord`, and only the plan's interpreters make those. A `LabelRequest` goes the other
way round to one: to the region's model first. No ``repr`` shows a payload.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

VersionKind = Literal["base", "labels"]
LABEL_VERSION: Final = "Label_Version__c"
_RECORD_ID = re.compile(r"^([^\[\]@#]+)\[(\d+)\]@(\d+)#(\d+)(?:\+(\d+))?$")


@dataclass(frozen=True, slots=True, order=True)
class Coordinates:
    """Where a raw record lies in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """Return ``topic[partition]@offset``."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True, order=True)
class RecordId:
    """The one name of a minimal record that is safe to log.

    Attributes:
        at: The raw record it was made from.
        output: Which of the plan's outputs made it, from 0.
        resend: Raised when an operator sends the same record again on purpose.
        topic_id: Kafka's own id of the raw topic: tells a recreated topic from its
            namesake. It is compared, but not part of the written form.

    """

    at: Coordinates
    output: int = 0
    resend: int = 0
    topic_id: str = ""

    def __str__(self) -> str:
        """Return ``topic[partition]@offset#output``, with ``+resend`` when it is not 0."""
        again = f"+{self.resend}" if self.resend else ""
        return f"{self.at}#{self.output}{again}"

    @classmethod
    def parse(cls, text: str, topic_id: str = "") -> Self:
        """Return the record id that *text* writes; the inverse of ``str``.

        Raises:
            ValueError: *text* is not of the written form.

        """
        match = _RECORD_ID.match(text)
        if match is None:
            msg = "not a record id; it reads topic[partition]@offset#output"
            raise ValueError(msg)
        topic, partition, offset, output, resend = match.groups()
        at = Coordinates(topic, int(partition), int(offset))
        return cls(at, int(output), int(resend or 0), topic_id)


@dataclass(frozen=True, slots=True)
class RawEvent:
    """A record as the service published it. Never leaves its region.

    Attributes:
        at: Its coordinates.
        topic_id: Kafka's id of its topic.
        generation: Which incarnation of the topic, from 1; part of the row version.
        value: Confluent wire format: 0x00, 4-byte schema id, Avro.

    """

    at: Coordinates
    topic_id: str
    generation: int
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Raw records in columns, in the order they were read; never leaves its region.

    Columns, because a plain list costs a tenth of an object per record. All have the same
    length, maybe 0.

    Attributes:
        values: Confluent wire format each; empty bytes where Kafka had none.
        keys: Those of the records, likewise.
        headers: Those of the records; none at all where nobody asks for them.
        times_ms: When Kafka says they came, since 1970; likewise.

    """

    topics: Sequence[str]
    partitions: Sequence[int]
    offsets: Sequence[int]
    values: Sequence[bytes] = field(repr=False)
    keys: Sequence[bytes] = field(repr=False)
    headers: Sequence[Sequence[tuple[str, bytes]]] = field(default=(), repr=False)
    times_ms: Sequence[int] = ()

    def __len__(self) -> int:
        """Return how many records there are."""
        return len(self.offsets)

    def part(self, numbers: Sequence[int]) -> "RawBatch":
        """Return the records of these numbers."""
        return RawBatch(
            [self.topics[n] for n in numbers],
            [self.partitions[n] for n in numbers],
            [self.offsets[n] for n in numbers],
            [self.values[n] for n in numbers],
            [self.keys[n] for n in numbers],
            [self.headers[n] for n in numbers] if self.headers else (),
            [self.times_ms[n] for n in numbers] if self.times_ms else (),
        )


@dataclass(frozen=True, slots=True)
class ClassifiedEvent:
    """A decoded event whose every leaf has a category. Never leaves its region.

    Attributes:
        raw: Where it came from.
        schema_id: The writer schema's pinned id.
        values: The decoded record.

    """

    raw: RawEvent
    schema_id: int
    values: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class MinimalRecord:
    """The only thing that may leave a region. Made by `residency.plan.strip` alone.

    Attributes:
        id: Its name.
        object: Salesforce object, such as ``Commerce_Order__c``.
        external_id: The row's token; also the Kafka key.
        version: Topic generation and raw offset as one number; grows per row.
        schema_id: Pinned id of the minimal schema that wrote *value*.
        plan: SHA-256 of the plan that made it, hex.
        keys: Version of the token keys used.
        value: Confluent wire format.
        deletes: The row is to be deleted; *value* says so too, and nothing else.

    """

    id: RecordId
    object: str
    external_id: str = field(repr=False)
    version: int
    schema_id: int
    plan: str
    keys: int
    value: bytes = field(repr=False)
    deletes: bool = False


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """Texts that the region's model is asked to label. Never leaves its region.

    Attributes:
        id: That of the minimal record with the labels, which it becomes.
        object: Salesforce object whose row the labels are for.
        external_id: The row's token; also the Kafka key.
        subject: Token of the customer whose texts they are.
        version: Topic generation and raw offset as one number, as of a minimal record.
        schema_id: Pinned id of the request schema.
        plan: SHA-256 of the plan that made it, hex.
        keys: Version of the token keys used.
        texts: What was written, by the request's field; None where nothing was.

    """

    id: RecordId
    object: str
    external_id: str = field(repr=False)
    subject: str = field(repr=False)
    version: int
    schema_id: int
    plan: str
    keys: int
    texts: Mapping[str, str | None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class LoggedRecord:
    """A minimal record whose transfer leaf is durable under a signed checkpoint.

    Attributes:
        record: What may be sent.
        leaf: Index of its transfer leaf in the region's ledger.
        fields: Decoded by the gate: Salesforce field name to value; None clears.

    """

    record: MinimalRecord
    leaf: int
    fields: Mapping[str, Any] = field(repr=False)

    @property
    def kind(self) -> VersionKind:
        """Which of its row's two versions it raises."""
        return version_kind(self.fields)


GENERATION_STEP = 10**12  # offsets per topic generation; keeps versions under 2**53


def row_version(generation: int, offset: int) -> int:
    """Return topic generation and raw offset as one number, at most 15 digits.

    Salesforce stores numbers as IEEE doubles, exact to 2**53.
    """
    return generation * GENERATION_STEP + offset


def version_kind(fields: Mapping[str, Any]) -> VersionKind:
    """Return which of its row's two versions a record with these *fields* raises.

    A row is written by two roads of one raw topic: what the event says, and labels that a
    model gave its text, which come later. Each has a version of its own, so that neither hides
    the other; a record carries the field of its kind.
    """
    return "labels" if LABEL_VERSION in fields else "base"
