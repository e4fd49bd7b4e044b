"""What may be said of librdkafka's errors: their names, a closed set; their texts, never."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from schemas.errors import RetriableError

LOG = logging.getLogger("homeport.kafka")


def name_of(exc: KafkaException) -> str:
    """Return the error's name, such as ``_TRANSPORT`` or ``TOPIC_AUTHORIZATION_FAILED``."""
    error = exc.args[0] if exc.args else None
    return str(error.name()) if isinstance(error, KafkaError) else "unknown"


@contextmanager
def named(doing: str, then: str = "the worker starts afresh") -> Iterator[None]:
    """Turn a `KafkaException` of the block into a `RetriableError` that names it.

    Args:
        doing: What was being done.
        then: What comes next. A worker that meets one goes on from what is committed.

    """
    try:
        yield
    except KafkaException as exc:
        msg = f"{doing}: Kafka {name_of(exc)}; {then}"
        raise RetriableError(msg) from None


class FatalWatch:
    """A client's ``error_cb``: remembers the error after which the client never works again."""

    def __init__(self) -> None:
        """Start with a client that works."""
        self._fatal: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Take an error from librdkafka's thread."""
        if error.fatal():
            self._fatal = error
        LOG.warning("Kafka: %s", error.name())

    def check(self) -> None:
        """Pass if the client still works.

        Raises:
            RetriableError: It does not; a new process makes a new one.

        """
        if self._fatal is not None:
            msg = f"Kafka: {self._fatal.name()}; the worker starts afresh"
            raise RetriableError(msg)
