"""Where topics end, and how far the line's workers are: what an erasure waits for."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from connectors.kafka.errors import named
from connectors.kafka.record import check
from connectors.kafka.topology import TopicInfo, load_topics
from residency import topics
from streams.replay import topics as kafka
from streams.settings import ReplaySettings

AGAIN = "the erasure goes on by itself"


class Positions:
    """Looks at one region's Kafka; joins no group, commits nothing. One thread."""

    def __init__(self, settings: ReplaySettings) -> None:
        """Take the login that may look; connects on the first call."""
        self._settings = settings
        self._consumers: dict[str, Consumer] = {}
        self.topics: Mapping[str, TopicInfo] = load_topics(settings.home, settings.region)

    def close(self) -> None:
        """Close what is open."""
        while self._consumers:
            self._consumers.popitem()[1].close()

    def raw_ends(self) -> dict[str, int]:
        """Return where the raw topics end now, ``topic[partition]`` to offset.

        Raises:
            RetriableError: As all calls here: Kafka does not answer.

        """
        return self._ends(topics.raw_topics(self._settings.region))

    def outgoing_ends(self) -> dict[str, int]:
        """Return likewise where egress's topics end, transactions under way included."""
        return self._ends(topics.outgoing(self._settings.region))

    def passed(self, service: str, ends: Mapping[str, int]) -> bool:
        """Return whether a *service* has settled all records before *ends*.

        The marks of transactions count in offsets, and nobody commits beyond one: where the
        service stands before an end, what lies between is looked at.
        """
        consumer = self._consumer(service)
        places = [_place(name) for name in ends]
        with named("erase", AGAIN):
            found = consumer.committed(places, kafka.API_TIMEOUT_S)
        behind = {
            (one.topic, one.partition): (max(one.offset, 0), end)
            for one, end in zip(found, ends.values(), strict=True)
            if one.offset < end
        }
        return not behind or self._are_marks(behind)

    def _are_marks(self, behind: Mapping[tuple[str, int], tuple[int, int]]) -> bool:
        """Return whether nothing but marks lies in some parts of partitions, to be seen now."""
        consumer = self._consumer("egress", enable_partition_eof=True)
        left = {place: end for place, (start, end) in behind.items() if start < end}
        with named("erase", AGAIN):
            consumer.assign([TopicPartition(*place, span[0]) for place, span in behind.items()])
            deadline = time.monotonic() + kafka.QUIET_S
            while left and time.monotonic() < deadline:
                for message in consumer.consume(kafka.BATCH, kafka.POLL_S):
                    place = message.topic() or "", message.partition() or 0
                    offset, error = kafka.offset_of(message), message.error()
                    is_end = error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001
                    if not is_end:
                        check(message)
                    if offset < left.get(place, 0):
                        return False  # a record; or the end of what is committed lies before
                    left.pop(place, None)
            consumer.unassign()
        return not left

    def _ends(self, names: Iterable[str]) -> dict[str, int]:
        consumer = self._consumer("egress", isolation_level="read_uncommitted")
        with named("erase", AGAIN):
            return {
                f"{name}[{n}]": kafka.marks(consumer, name, n)[1]
                for name in names
                for n in range(self.topics[name].partitions)
            }

    def _consumer(self, group: str, **extra: Any) -> Consumer:  # noqa: ANN401, librdkafka's own
        name = f"{group}{sorted(extra)}"
        if name not in self._consumers:
            self._consumers[name] = kafka.reader(self._settings, group, **extra)
        return self._consumers[name]


def _place(name: str) -> TopicPartition:
    topic, _, partition = name.removesuffix("]").rpartition("[")
    return TopicPartition(topic, int(partition))
