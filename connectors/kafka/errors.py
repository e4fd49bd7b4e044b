"""What may be said of librdkafka's errors: their names, a closed set; their texts, never."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from schemas.errors import RetriableError

LOG = logging.getLogger("homeport.kafka")


# What ends a client for good; librdkafka wraps it in an error of its own and keeps the cause in
# that error's text, in these words.
_CAUSES = {
    KafkaError(code).str(): KafkaError(code).name()
    for code in (
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError._FENCED,  # noqa: SLF001, librdkafka's own codes are spelt so
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.PRODUCER_FENCED,
        KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
        KafkaError.UNKNOWN_PRODUCER_ID,
    )
}


def cause_of(error: KafkaError) -> str:
    """Return the error's name; of one that wraps a fatal one, the name of that."""
    if error.code() != KafkaError._FATAL:  # noqa: SLF001
        return str(error.name())
    text = error.str()
    return next((name for words, name in _CAUSES.items() if words in text), str(error.name()))


def name_of(exc: KafkaException) -> str:
    """Return the error's name, such as ``_TRANSPORT`` or ``TOPIC_AUTHORIZATION_FAILED``."""
    error = exc.args[0] if exc.args else None
    return cause_of(error) if isinstance(error, KafkaError) else "unknown"


@contextmanager
def named(doing: str, then: str = "the worker starts afresh") -> Iterator[None]:
    """Turn a `KafkaException` of the block into a `RetriableError` that names it.

    A callback that calls a client needs one of its own: what the client raises in there leaves
    the callback as a bare `KafkaError` (confluent-kafka 2.16.1), which is no exception and which
    no ``except``, not even of `BaseException`, ever sees.

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
            msg = f"Kafka: {cause_of(self._fatal)}; the worker starts afresh"
            raise RetriableError(msg)
