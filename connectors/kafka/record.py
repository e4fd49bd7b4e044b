"""A consumed record as a plain value: what librdkafka's optional everything boils down to."""

from dataclasses import dataclass, field
from typing import TypeAlias

from confluent_kafka import KafkaError, Message

from connectors.kafka.errors import cause_of
from schemas.errors import HaltError, RetriableError
from schemas.events import Coordinates

Place: TypeAlias = tuple[str, int]
"""A topic and one of its partitions."""

_HALTING = {
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001, that is how librdkafka's own are named
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}


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
        HaltError: As `check` says.
        RetriableError: As `check` says.

    """
    check(message)
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    if topic is None or partition is None or offset is None:
        msg = "Kafka gave a record without coordinates"
        raise HaltError(msg)
    return Record(
        Coordinates(topic, partition, offset),
        _bytes(message.key()),
        _bytes(message.value()),
        headers_of(message),
    )


def check(message: Message) -> None:
    """Pass if *message* is a record.

    Raises:
        HaltError: It is an error that trying again cannot mend: a lost offset, a denied topic.
        RetriableError: Any other error; the worker starts afresh.

    """
    error = message.error()
    if error is None:
        return
    where = f"{message.topic()}[{message.partition()}]" if message.topic() else "the consumer"
    if error.code() in _HALTING:
        msg = f"{where}: Kafka {error.name()}; see its retention and its ACLs"
        raise HaltError(msg)
    msg = f"{where}: Kafka {cause_of(error)}; the worker starts afresh"
    raise RetriableError(msg)


def place_of(message: Message) -> tuple[Place, int]:
    """Return where *message* lies, with its offset; of a partition's end, the offset of that."""
    return (message.topic() or "", message.partition() or 0), message.offset() or 0


def headers_of(message: Message) -> tuple[tuple[str, bytes], ...]:
    """Return a record's headers; librdkafka parses them when they are asked for."""
    given = message.headers() or ()
    pairs = given.items() if isinstance(given, dict) else given
    return tuple((key, _bytes(value)) for key, value in pairs)


def _bytes(value: str | bytes | None) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""
