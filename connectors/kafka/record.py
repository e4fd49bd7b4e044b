"""A consumed record as a plain value: what librdkafka's optional everything boils down to."""

from dataclasses import dataclass, field

from confluent_kafka import KafkaError, Message

from schemas.errors import HaltError, RetriableError
from schemas.events import Coordinates

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
        HaltError: It is an error that trying again cannot mend: a lost offset, a denied topic.
        RetriableError: Any other error; the worker starts afresh.

    """
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    error = message.error()
    if error is not None:
        if error.code() in _HALTING:
            msg = f"{topic}[{partition}]: Kafka {error.name()}; see its retention and its ACLs"
            raise HaltError(msg)
        msg = f"{topic}[{partition}]: Kafka {error.name()}; the worker starts afresh"
        raise RetriableError(msg)
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
