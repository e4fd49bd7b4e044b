"""What is kept of a person in the vault, row by row."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from connectors.postgres.vault import copying
from residency.vault.index import Kind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Wrapped(NamedTuple):
    """A subject's key as it is kept: under which version, and how."""

    kek: int
    key: bytes


class Row(NamedTuple):
    """One sealed event, in the order of the table's columns."""

    event: str
    kept_at: datetime
    topic: str
    topic_id: str
    partition: int
    offset: int
    subject: bytes
    schema_id: int
    sealed: bytes

    def encoded(self) -> bytes:
        """Return the row as `Writing.keep` takes it."""
        shared = copying.Alike(
            self.event, self.topic, self.topic_id, self.partition, self.schema_id
        )
        at_us = (self.kept_at - _EPOCH) // timedelta(microseconds=1)
        return shared.row(at_us, self.offset, self.subject, self.sealed)


class Term(NamedTuple):
    """One row of the blind index."""

    kind: Kind
    digest: bytes
    subject: bytes


@dataclass(frozen=True, slots=True)
class Asked:
    """An erasure that an event asks for.

    Attributes:
        request: 32 hex digits.
        subject: Whose.
        token: The customer's identity token.
        token_digest: What the suppression keeps of it.
        asked_at: Kafka's time of the event.
        asked_by: The event's name.

    """

    request: str
    subject: bytes = field(repr=False)
    token: str = field(repr=False)
    token_digest: bytes = field(repr=False)
    asked_at: datetime
    asked_by: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A record of an erased subject: only its name is kept."""

    topic_id: str
    partition: int
    offset: int
    request: str
