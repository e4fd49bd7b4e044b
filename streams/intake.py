"""What egress reads: minimal records, and label records once it has read what lies before them.

Label records have a topic of their own, so that whatever becomes of enrichment, and of a
transaction that it leaves open, hides no base record. Their order is kept here: the border commits
a base record together with its request for labels. So at the time a label record is read, the base
record lies before the end of the minimal topic, transactions under way included; the label record
is held back until that end is read.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from connectors.kafka.config import KafkaConfig
from connectors.kafka.errors import FatalWatch
from connectors.kafka.record import Place, check, place_of
from residency import topics
from schemas.errors import HaltError, RetriableError
from schemas.events import RecordId
from streams.arrivals import name_of
from streams.backlog import BatchPolicy, collect, waiting

API_TIMEOUT_S: Final = 30.0
FETCH_QUEUE_KIB: Final = 16_384  # fetched ahead of the batch in hand, per topic
DOUBT_S: Final = 30.0  # for Kafka to bring back what an earlier run had in hand
COMMIT_AGAIN_S: Final = 3_600.0


class Intake:
    """Reads both topics of a region from where egress's group is, and commits. One thread.

    ``assign()``, not ``subscribe()``: a ledger has one writer, so its partitions are fixed.
    """

    def __init__(
        self, kafka: KafkaConfig, partitions: Mapping[str, int], policy: BatchPolicy
    ) -> None:
        """Take egress's login and its two topics; connects in `open`.

        Args:
            kafka: The login.
            partitions: How many each topic has: that of minimal records, then that of labels.
            policy: How much to read together.

        """
        self._policy = policy
        self._watch = FatalWatch()
        self._base_topic, self._label_topic = partitions
        self._partitions = partitions
        self._base = self._reader(kafka, enable_partition_eof=True)
        self._labels = self._reader(kafka)
        # for the ends alone: those of what is committed would leave out what is about to be
        self._looking = self._reader(kafka, isolation_level="read_uncommitted")
        self._positions: dict[Place, int] = {}  # the next offset
        self._reached: dict[Place, int] = {}  # likewise, of minimal records that were given out
        self._held: list[Message] = []  # label records
        self._before: dict[Place, int] = {}  # ends of the minimal topic that come first
        self._commit_again_at = 0.0

    def _reader(self, kafka: KafkaConfig, **more: Any) -> Consumer:  # noqa: ANN401, librdkafka's own
        given = {"isolation_level": "read_committed", **more}
        return Consumer(
            kafka.librdkafka(
                group_id=topics.group("egress"),
                enable_auto_commit=False,
                auto_offset_reset="error",
                queued_max_messages_kbytes=FETCH_QUEUE_KIB,
                error_cb=self._watch,
                **given,
            )
        )

    def open(self) -> None:
        """Begin where the group is.

        Raises:
            HaltError: The group has no offset on some partition.

        """
        base = self._committed(self._base_topic)
        labels = self._committed(self._label_topic)
        self._base.assign(base)
        self._labels.assign(labels)
        self._reached = {(p.topic, p.partition): p.offset for p in base}
        self._positions = {(p.topic, p.partition): p.offset for p in (*base, *labels)}
        self.commit()

    def close(self) -> None:
        """Close the connections; what was not committed is read again."""
        with closing(self._base), closing(self._labels), closing(self._looking):
            pass

    def _committed(self, topic: str) -> list[TopicPartition]:
        wanted = [TopicPartition(topic, n) for n in range(self._partitions[topic])]
        found = self._base.committed(wanted, API_TIMEOUT_S)
        lost = [p.partition for p in found if p.offset < 0]
        if lost:
            msg = f"{topic}{lost}: no committed offset; run `homeport up` to set one"
            raise HaltError(msg)
        return [TopicPartition(p.topic, p.partition, p.offset) for p in found]

    def take(self) -> list[Message]:
        """Return the next batch, none if nothing comes: minimal records, then label records.

        Raises:
            HaltError: As `connectors.kafka.record.check`.
            RetriableError: Likewise, or a client can work no more.

        """
        base = {place: self._positions[place] for place in self._reached}
        found = self._given_out(collect(self._base, self._policy, waiting(self._base, base)))
        if not self._held:
            self._hold()
        self._watch.check()
        return found + self._due()

    def again(self, names: Iterable[RecordId], halt: Callable[[], bool]) -> list[Message]:
        """Return the next records up to the last of *names* that comes within half a minute.

        They are what an earlier run had in hand, so they lie behind the committed offsets and
        come first; that run had put the label records among them behind their base records.

        Args:
            names: Of minimal records and label records.
            halt: Whether somebody said to stop; then nothing is returned.

        """
        missing = {(one.topic_id, str(one)) for one in names}
        base, labels = list[Message](), list[Message]()
        deadline = time.monotonic() + DOUBT_S
        while missing and len(base) + len(labels) < self._policy.most:
            if halt():
                return []
            if time.monotonic() > deadline:
                break
            base += self._given_out(collect(self._base, self._policy, self._policy.backlog))
            self._hold()
            self._watch.check()
            labels += self._up_to(missing)
            missing -= {name_of(one) for one in (*base, *labels)}
        return base + labels

    def _up_to(self, names: Collection[tuple[str, str]]) -> list[Message]:
        """Give out the label records in hand up to the last of *names* on each partition."""
        last = dict(place_of(one) for one in self._held if name_of(one) in names)
        found, rest = list[Message](), list[Message]()
        for one in self._held:
            place, offset = place_of(one)
            (found if offset <= last.get(place, -1) else rest).append(one)
        self._held = rest
        return found

    def _given_out(self, messages: Sequence[Message]) -> list[Message]:
        """Return the records of *messages*, and note how far each partition is read.

        What is no record is the end of a partition: it lies behind the marks of transactions.
        """
        found = list[Message]()
        for message in messages:
            place, offset = place_of(message)
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                self._reached[place] = offset
                continue
            check(message)
            self._reached[place] = offset + 1
            found.append(message)
        return found

    def _hold(self) -> None:
        """Take label records in hand, and note what has to go before them."""
        room = min(self._policy.usual, self._policy.most - len(self._held))
        new = self._labels.consume(room, 0) if room > 0 else []
        if not new:
            return
        for message in new:
            check(message)
        self._held += new
        for place in self._reached:
            marks = self._looking.get_watermark_offsets(TopicPartition(*place), API_TIMEOUT_S)
            if marks is None:
                msg = f"{place[0]}[{place[1]}]: Kafka does not say where it ends"
                raise RetriableError(msg)
            self._before[place] = marks[1]

    def _due(self) -> list[Message]:
        """Return the label records in hand, once all that lay before them is given out."""
        if any(self._reached[place] < end for place, end in self._before.items()):
            return []
        due, self._held = self._held, []
        return due

    def done(self, messages: Iterable[Message]) -> None:
        """Commit that *messages* are settled, which are all that were given out."""
        self._positions |= {place: n + 1 for place, n in map(place_of, messages)}
        self.commit()

    def commit(self) -> None:
        """Commit every partition's position, moved or not.

        A group that assigns its partitions itself never has members, and Kafka forgets what
        such a group has not committed for a while (7 days, unless told otherwise).
        """
        offsets = [TopicPartition(*place, offset) for place, offset in self._positions.items()]
        self._base.commit(offsets=offsets, asynchronous=False)
        self._commit_again_at = time.monotonic() + COMMIT_AGAIN_S

    def idle(self) -> None:
        """Commit again if that is due; for whoever has nothing else to do."""
        if time.monotonic() > self._commit_again_at:
            self.commit()
