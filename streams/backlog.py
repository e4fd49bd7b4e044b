"""How many records egress settles together: more when many wait, so that the sink may use Bulk.

A batch is held in memory whole, so records and bytes both bound it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Consumer, Message, TopicPartition

POLL_S: Final = 0.1
SLICE: Final = 250  # records per call to librdkafka; so many can a batch be over its bytes


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """How much to settle together.

    Attributes:
        usual: Records; five full collections requests, unless told otherwise.
        backlog: So many waiting records are a backlog.
        most: Records, when there is a backlog.
        max_bytes: Of their values; a batch that reaches it takes no more.

    """

    usual: int = 1_000
    backlog: int = 2_000
    most: int = 20_000
    max_bytes: int = 32 * 2**20

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing.

        Raises:
            ValueError: One is below 1, or a backlog's batch is smaller than the usual one.

        """
        if min(self.usual, self.backlog, self.max_bytes) < 1 or self.most < self.usual:
            msg = "egress_batch: all are 1 or more, and most is at least usual"
            raise ValueError(msg)


def waiting(consumer: Consumer, positions: Mapping[tuple[str, int], int]) -> int:
    """Return how many records wait beyond *positions*, as of the last answers of the brokers.

    Args:
        consumer: Reads these partitions.
        positions: The next offset by topic and partition.

    """
    return sum(
        max(0, _end(consumer, TopicPartition(*place)) - offset)
        for place, offset in positions.items()
    )


def _end(consumer: Consumer, place: TopicPartition) -> int:
    """Return the offset after the last that can be read; below 0 before the first answer."""
    return int(consumer.get_watermark_offsets(place, cached=True)[1])


def collect(consumer: Consumer, policy: BatchPolicy, lag: int) -> list[Message]:
    """Return the next batch, none if nothing comes: as much as there is, up to the policy's."""
    most = policy.most if lag >= policy.backlog else policy.usual
    found: list[Message] = []
    size = 0
    while len(found) < most and size < policy.max_bytes:
        part = consumer.consume(min(SLICE, most - len(found)), POLL_S)
        found += part
        size += sum(_sizes(part))
        if len(part) < SLICE:
            break
    return found


def _sizes(messages: list[Message]) -> Iterator[int]:
    for message in messages:
        value = message.value()
        yield 0 if value is None else len(value)
