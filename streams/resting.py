"""How a member of a group waits while what it needs does not answer: paused, not gone."""

import threading
import time
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, TopicPartition

from connectors.kafka.record import check
from schemas.errors import RetriableError

POLL_S = 0.05  # how long an idle worker waits before it looks whether to stop


class Rest:
    """Whether a worker rests, and how. Partitions are paused, not left."""

    def __init__(self, partitions: Callable[[], Sequence[TopicPartition]]) -> None:
        """Take what tells which partitions are ours now."""
        self._partitions = partitions
        self.is_on = False  # nothing is read

    def take(
        self, consumer: Consumer, seconds: float, halt: threading.Event, pulse: Callable[[], None]
    ) -> None:
        """Stay a member of the group and take no record, for so long or until *halt*.

        Args:
            consumer: The member.
            seconds: How long.
            halt: Told to stop.
            pulse: Called again and again meanwhile.

        Raises:
            RetriableError: Kafka gave a record all the same.

        """
        until = time.monotonic() + seconds
        if not self.is_on:
            self.is_on = True
            consumer.pause(list(self._partitions()))
        while not halt.is_set() and time.monotonic() < until:
            for message in consumer.consume(1, POLL_S):
                check(message)
                msg = "Kafka gave a record of a paused partition; the worker starts afresh"
                raise RetriableError(msg)
            pulse()

    def end(self, consumer: Consumer) -> None:
        """Read on, if it rested."""
        if self.is_on:
            self.is_on = False
            consumer.resume(list(self._partitions()))
