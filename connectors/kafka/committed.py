"""Reads what is committed on some partitions now, as somebody who joins no group.

A transaction is committed once its coordinator has said so; that its records may be read is
written to each partition after that, and may take a moment. So who reads up to what is readable
just then misses records whose commit was answered. This reads up to what is written.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from connectors.kafka.clients import FETCH_QUEUE_KIB
from connectors.kafka.config import dotted
from connectors.kafka.record import Place, check, place_of
from schemas.errors import RetriableError

POLL_S: Final = 0.2
BATCH: Final = 1_000  # records per call to librdkafka


def written(client: Mapping[str, Any], places: Iterable[Place], wait_s: float) -> dict[Place, int]:
    """Return one after the last offset written at each place, transactions under way included.

    Args:
        client: librdkafka's configuration, with a group that the principal may name.
        places: Where.
        wait_s: Seconds for Kafka to answer.

    Raises:
        RetriableError: Kafka does not answer.

    """
    found = {}
    with closing(_reader(client, isolation_level="read_uncommitted")) as consumer:
        for place in places:
            marks = consumer.get_watermark_offsets(TopicPartition(*place), wait_s)
            if marks is None:
                raise RetriableError(_silent(place))
            found[place] = marks[1]
    return found


def committed(
    client: Mapping[str, Any], starts: Mapping[Place, int], wait_s: float
) -> Iterator[Message]:
    """Yield the committed records from *starts* to what is written now, each partition in order.

    Args:
        client: librdkafka's configuration, with a group that the principal may name.
        starts: The first offset of each place, or librdkafka's `OFFSET_BEGINNING`.
        wait_s: Seconds without anything from Kafka; longer than a dead writer's transaction lasts.

    Raises:
        RetriableError: Kafka gives nothing.
        HaltError: What was asked for is not there any more, or not for us.

    """
    ends = written(client, starts, wait_s)
    left = {place for place, end in ends.items() if starts[place] < end}
    with closing(_reader(client, enable_partition_eof=True)) as consumer:
        consumer.assign([TopicPartition(*place, starts[place]) for place in left])
        deadline = time.monotonic() + wait_s
        while left:
            messages = consumer.consume(BATCH, POLL_S)
            if messages:
                deadline = time.monotonic() + wait_s
            elif time.monotonic() > deadline:
                raise RetriableError(_silent(min(left)))
            for message in messages:
                (place, offset), error = place_of(message), message.error()
                if error is None or error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                    check(message)
                    if offset < ends[place]:
                        yield message
                elif offset >= ends[place]:  # it lies behind the marks of transactions
                    left.discard(place)


def _reader(client: Mapping[str, Any], **extra: Any) -> Consumer:  # noqa: ANN401, librdkafka's own
    given = {"isolation_level": "read_committed", "auto_offset_reset": "error", **extra}
    bounded = dotted(enable_auto_commit=False, queued_max_messages_kbytes=FETCH_QUEUE_KIB, **given)
    return Consumer({**client, **bounded})


def _silent(place: Place) -> str:
    topic, partition = place
    return f"{topic}[{partition}]: Kafka gives nothing; see `homeport status`, then try again"
