"""What may be said of librdkafka's errors: their names, a closed set; their texts, never."""

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from schemas.errors import RetriableError


def name_of(exc: KafkaException) -> str:
    """Return the error's name, such as ``_TRANSPORT`` or ``TOPIC_AUTHORIZATION_FAILED``."""
    error = exc.args[0] if exc.args else None
    return str(error.name()) if isinstance(error, KafkaError) else "unknown"


@contextmanager
def named(doing: str) -> Iterator[None]:
    """Turn a `KafkaException` of the block into a `RetriableError` that names it.

    A worker that meets one starts afresh and goes on from what is committed.
    """
    try:
        yield
    except KafkaException as exc:
        msg = f"{doing}: Kafka {name_of(exc)}; the worker starts afresh"
        raise RetriableError(msg) from None
