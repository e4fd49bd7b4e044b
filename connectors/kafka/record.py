"""A consumed record as a plain value: what librdkafka's optional everything boils down to."""

from dataclasses import dataclass, field

from confluent_kafka import Message

from schemas.errors import HaltError
from schemas.events import Coordinates


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic. An absent key or value is empty bytes."""

    at: Coordinates
    key: bytes = field(repr=False)
    value: bytes = field(repr=False)
    headers: tuple[tuple[str, bytes], ...] = field(repr=False)


def read(message: Message) -> Record:
    """Return the record that *message* is.

    Raises:
        HaltError: It is an error instead: a lost offset, say, or a denied topic.

    """
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    error = message.error()
    if error is not None:
        msg = f"{topic}[{partition}]: Kafka {error.name()}; see `homeport status` and its ACLs"
        raise HaltError(msg)
    if topic is None or partition is None or offset is None:
        msg = "Kafka gave a record without coordinates"
        raise HaltError(msg)
    given = message.headers() or ()
    pairs = given.items() if isinstance(given, dict) else given
    headers = tuple((key, _bytes(value)) for key, value in pairs)
    return Record(
        Coordinates(topic, partition, offset),
        _bytes(message.key()),
        _bytes(message.value()),
        headers,
    )


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
