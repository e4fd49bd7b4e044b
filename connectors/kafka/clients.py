"""The two clients of an exactly-once hop, with every bound that keeps them small and short.

Memory of one worker, whatever the broker does: at most ``FETCH_QUEUE_KIB`` fetched ahead and one
answer of ``FETCH_BYTES`` more, the batch in hand, and ``SEND_QUEUE_KIB`` waiting to be sent.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from connectors.kafka.config import MAX_MESSAGE_BYTES, dotted
from connectors.kafka.headers import Headers
from schemas.errors import RetriableError

API_TIMEOUT_S = 30.0
TRANSACTION_TIMEOUT_MS = 5_000  # how long a dead worker's transaction can hide records
SESSION_TIMEOUT_MS = 6_000  # how long a dead worker's partitions wait for it
HEARTBEAT_MS = 1_500
MAX_POLL_MS = 120_000  # a batch takes well under a second, two stuck calls to Kafka a minute
FETCH_QUEUE_KIB = 16_384
FETCH_QUEUE_RECORDS = 10_000  # per partition
FETCH_BYTES = 8 * 2**20  # a single larger record is still fetched
SEND_QUEUE_KIB = 65_536
STATISTICS_MS = 5_000
RETRY_MS, RETRY_MAX_MS = (
    5,
    1_000,
)  # the coordinator still ends the last transaction when the next begins
FULL_WAIT_S = 0.1  # for the broker to take some of a full queue


Outgoing: TypeAlias = tuple[str, bytes | None, bytes, Headers | None]
"""A record to send: topic, value, key, headers."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """What a client tells, while it is called: its statistics, every 5 s, and its errors."""

    stats: Callable[[str], None]
    error: Callable[[KafkaError], None]


def transactional_producer(
    client: Mapping[str, Any],
    transactional: str,
    told: Listeners,
    timeout_s: float = API_TIMEOUT_S,
) -> Producer:
    """Return a producer that has fenced every other with the same transactional id."""
    extra = dotted(
        transactional_id=transactional,
        transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
        retry_backoff_ms=RETRY_MS,
        retry_backoff_max_ms=RETRY_MAX_MS,
        linger_ms=5,
        compression_type="lz4",
        message_max_bytes=MAX_MESSAGE_BYTES,
        queue_buffering_max_kbytes=SEND_QUEUE_KIB,
        statistics_interval_ms=STATISTICS_MS,
        stats_cb=told.stats,
        error_cb=told.error,
    )
    producer = Producer({**client, **extra})
    producer.init_transactions(timeout_s)
    return producer


def member(
    client: Mapping[str, Any],
    group: str,
    instance: str,
    max_poll_ms: int,
    told: Listeners,
) -> Consumer:
    """Return a static member of a consumer group that reads only what is committed."""
    extra = dotted(
        group_id=group,
        group_instance_id=instance,
        # Eager on purpose: a cooperative rebalance has a second half, begun by whoever gave up a
        # partition. A static member that restarts in between begins none, and what it gave up
        # is nobody's until the group changes again.
        partition_assignment_strategy="roundrobin",
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
        max_poll_interval_ms=max_poll_ms,
        enable_auto_commit=False,
        auto_offset_reset="error",  # a lost offset must not mean "start somewhere"
        isolation_level="read_committed",
        queued_max_messages_kbytes=FETCH_QUEUE_KIB,
        queued_min_messages=FETCH_QUEUE_RECORDS,
        fetch_max_bytes=FETCH_BYTES,
        statistics_interval_ms=STATISTICS_MS,
        stats_cb=told.stats,
        error_cb=told.error,
    )
    return Consumer({**client, **extra})


@contextmanager
def transaction(producer: Producer) -> Iterator[None]:
    """Commit what is sent inside, all of it; where something is raised, abort it.

    Raises:
        KafkaException: It is not committed.

    """
    producer.begin_transaction()
    try:
        yield
        producer.commit_transaction(API_TIMEOUT_S)
    except BaseException as exc:
        error = exc.args[0] if isinstance(exc, KafkaException) else None
        if error is None or error.txn_requires_abort():
            producer.abort_transaction(API_TIMEOUT_S)
        raise


def acknowledged(producer: Producer) -> None:
    """Wait until Kafka has all that was sent, committed or not.

    Raises:
        RetriableError: It has not.

    """
    if producer.flush(API_TIMEOUT_S):
        msg = "Kafka did not take what was sent; see `homeport status`"
        raise RetriableError(msg)


def send(producer: Producer, records: Iterable[Outgoing]) -> None:
    """Queue records; wait where the broker is slower than we are, so that memory stays bounded."""
    produce = producer.produce
    for topic, value, key, headers in records:
        while True:
            try:
                if headers is None:
                    produce(topic, value, key)
                else:
                    produce(topic, value, key, headers=headers)
            except BufferError:
                producer.poll(FULL_WAIT_S)
            else:
                break
