"""What a replay reads of its region's Kafka, as its own principal: it joins no group.

The principal may read topics and see how far border and egress are; it may write nothing and
commit nothing, so it cannot move production. Its consumers carry the name of a group that they
may look at, because librdkafka asks for one.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from connectors.kafka import headers
from connectors.kafka.committed import committed
from connectors.kafka.errors import named
from connectors.kafka.record import check, headers_of
from connectors.kafka.topology import TopicInfo
from residency import topics
from residency.replay.books import Place
from residency.replay.compare import Elsewhere
from schemas.errors import HaltError, RetriableError, SetupError
from schemas.events import RecordId
from streams.settings import ReplaySettings

API_TIMEOUT_S = 30.0
QUIET_S = 20.0  # without a record where there must be one
FETCH_QUEUE_KIB = 16_384
BATCH = 2_000  # records, as the border's
POLL_S = 0.2
AGAIN = "run it again, with --resume to go on"
Names = dict[tuple[str, int], dict[int, set[int]]]  # topic id, partition -> offset -> outputs


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a partition.

    Attributes:
        start: The first offset.
        stop: One after the last, as far as the border had got.
        beyond: Raw records after that which the border had not decided.
        is_whole: No start was asked for: what lies before it is missing, not left out.
        archive: What the vault is asked for, because the topic does not hold it any more: the
            first offset, and the one after the last. Nothing, or it ends at *start* at the latest.

    """

    place: Place
    start: int
    stop: int
    beyond: int
    is_whole: bool
    archive: tuple[int, int] = (0, 0)


def reader(settings: ReplaySettings, group: str, **extra: Any) -> Consumer:  # noqa: ANN401, librdkafka's own
    """Return a consumer that joins no group and commits nothing."""
    given = {"isolation_level": "read_committed", **extra}
    return Consumer(
        settings.kafka.librdkafka(
            group_id=topics.group(group),
            enable_auto_commit=False,
            auto_offset_reset="error",
            queued_max_messages_kbytes=FETCH_QUEUE_KIB,
            log_level=0,  # a tool for people says itself what failed
            **given,
        )
    )


def spans(
    settings: ReplaySettings,
    known: Mapping[str, TopicInfo],
    since_ms: int | None,
    until_ms: int | None,
) -> list[Span]:
    """Return what to replay of each partition of the *known* raw topics, in their order.

    Raises:
        RetriableError: Kafka does not answer.

    """
    places = [
        Place(topic, n, info.id, info.generation)
        for topic, info in sorted(known.items())
        for n in range(info.partitions)
    ]
    wanted = [TopicPartition(place.topic, place.partition) for place in places]
    with closing(reader(settings, "border")) as consumer, named("replay", AGAIN):
        decided = [one.offset for one in consumer.committed(wanted, API_TIMEOUT_S)]
        starts = _at(consumer, places, since_ms)
        ends = _at(consumer, places, until_ms)
        found = []
        for n, place in enumerate(places):
            low, high = marks(consumer, place.topic, place.partition)
            start = low if since_ms is None else _offset(starts[n], high)
            end = high if until_ms is None else _offset(ends[n], high)
            stop = max(start, min(decided[n], end))
            found.append(Span(place, start, stop, max(0, end - stop), since_ms is None))
    return found


def _at(consumer: Consumer, places: Sequence[Place], time_ms: int | None) -> list[int]:
    """Return per partition the first offset at or after a time, -1 where there is none."""
    if time_ms is None:
        return [-1] * len(places)
    asked = [TopicPartition(place.topic, place.partition, time_ms) for place in places]
    return [one.offset for one in consumer.offsets_for_times(asked, API_TIMEOUT_S)]


def _offset(found: int, high: int) -> int:
    return high if found < 0 else found


def marks(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """Return the first offset of a partition and one after its last.

    Raises:
        RetriableError: Kafka does not answer.

    """
    found = consumer.get_watermark_offsets(TopicPartition(topic, partition), API_TIMEOUT_S)
    if found is None:
        msg = f"{topic}[{partition}]: Kafka does not answer; {AGAIN}"
        raise RetriableError(msg)
    return found


def pending(settings: ReplaySettings, topic: str, positions: Sequence[int], found: Names) -> None:
    """Add to *found* what its reader has not done with: from its *positions* to the end.

    Args:
        settings: The replay's own.
        topic: One that egress reads, or that of requests, which enrichment does.
        positions: Its reader's committed offset of each partition, taken before anything further
            down the line is looked at: what lies before them has gone on there.
        found: Grows.

    """
    for message in _all(settings, topic, dict(enumerate(positions))):
        told = headers.texts(headers_of(message))
        record = _record(told)
        if record is not None:
            where = found.setdefault((record.topic_id, record.at.partition), {})
            where.setdefault(record.at.offset, set()).add(record.output)


def positions(settings: ReplaySettings, service: str, topic: str, partitions: int) -> list[int]:
    """Return a service's committed offset of each partition of the topic that it reads.

    Raises:
        SetupError: It has none.

    """
    wanted = [TopicPartition(topic, n) for n in range(partitions)]
    with closing(reader(settings, service)) as consumer, named("replay", AGAIN):
        found = [one.offset for one in consumer.committed(wanted, API_TIMEOUT_S)]
    if any(offset < 0 for offset in found):
        msg = f"{topic}: {service} has no committed offset; run `homeport up` to set one"
        raise SetupError(msg)
    return found


def quarantined(
    settings: ReplaySettings, partitions: int
) -> tuple[dict[tuple[str, int], set[int]], Names]:
    """Return what lies in quarantine: raw records' offsets, and minimal records.

    Of raw ones all that ever lay there; of minimal ones those that no retry has settled.
    """
    topic = topics.quarantine(settings.region)
    with closing(reader(settings, "border")) as consumer, named("replay", AGAIN):
        starts = {n: marks(consumer, topic, n)[0] for n in range(partitions)}
    found: dict[tuple[str, int], set[int]] = {}
    refused: dict[RecordId, None] = {}
    for message in _all(settings, topic, starts):
        told = headers.texts(headers_of(message))
        is_settled, name = headers.SETTLED in told, told.get(headers.RECORD, "")
        record = _record(told if "#" in name else {**told, headers.RECORD: f"{name}#0"})
        if record is None:
            continue
        if "#" not in name and not is_settled:
            where = found.setdefault((record.topic_id, record.at.partition), set())
            where.add(record.at.offset)
        elif is_settled:
            refused.pop(record, None)
        else:
            refused[record] = None
    return found, _by_place(refused)


def _by_place(records: Iterable[RecordId]) -> Names:
    """Return the outputs of minimal records by where their raw ones lie."""
    found: Names = {}
    for record in records:
        where = found.setdefault((record.topic_id, record.at.partition), {})
        where.setdefault(record.at.offset, set()).add(record.output)
    return found


def elsewhere(place: Place, waits: Names, kept: Mapping[tuple[str, int], set[int]]) -> Elsewhere:
    """Return where else records of one partition may be."""
    where = (place.topic_id, place.partition)
    return Elsewhere(outputs_at(place, waits), frozenset(kept.get(where, ())))


def outputs_at(place: Place, names: Names) -> dict[int, frozenset[int]]:
    """Return the outputs by offset that *names* has of one partition."""
    found = names.get((place.topic_id, place.partition), {})
    return {offset: frozenset(outputs) for offset, outputs in found.items()}


def _record(told: Mapping[str, str]) -> RecordId | None:
    try:
        return RecordId.parse(told[headers.RECORD], told[headers.TOPIC_ID])
    except (KeyError, ValueError):
        return None  # not written by a worker of ours: it accounts for nothing


def _all(settings: ReplaySettings, topic: str, starts: Mapping[int, int]) -> Iterator[Message]:
    """Yield what is on *topic* from *starts* to its end now, transactions under way included."""
    client = settings.kafka.librdkafka(group_id=topics.group("egress"), log_level=0)
    with named("replay", AGAIN):
        yield from committed(client, {(topic, n): at for n, at in starts.items()}, QUIET_S)


def batches(settings: ReplaySettings, span: Span) -> Iterator[tuple[list[Message], int]]:
    """Yield the records of *span* in batches, each with the offset after what it covers.

    The last covers all of the span, whether records lie there or a transaction's marks.

    Raises:
        RetriableError: Kafka does not answer.
        HaltError: What was asked for is not there any more.

    """
    if span.start >= span.stop:
        return
    topic, partition = span.place.topic, span.place.partition
    consumer = reader(settings, "border", enable_partition_eof=True)
    with closing(consumer), named("replay", AGAIN):
        consumer.assign([TopicPartition(topic, partition, span.start)])
        here, deadline = span.start, time.monotonic() + QUIET_S
        while here < span.stop:
            got, at = _sorted(consumer.consume(BATCH, POLL_S), here)
            if at > here:
                here, deadline = min(at, span.stop), time.monotonic() + QUIET_S
                yield [message for message in got if offset_of(message) < span.stop], here
            elif time.monotonic() > deadline:
                msg = f"{topic}[{partition}]@{here}: Kafka gives nothing; {AGAIN}"
                raise RetriableError(msg)


def _sorted(messages: Sequence[Message], before: int) -> tuple[list[Message], int]:
    """Return the records among *messages*, and the offset after all that is known now.

    The end of a partition is told with its offset, which lies behind the marks of transactions.
    """
    got, at = list[Message](), before
    for message in messages:
        error = message.error()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            at = max(at, offset_of(message))
        else:
            check(message)
            got.append(message)
            at = max(at, offset_of(message) + 1)
    return got, at


def offset_of(message: Message) -> int:
    """Return where a message lies, which all of Kafka's have."""
    offset = message.offset()
    if offset is None:
        msg = "Kafka gave a record without an offset"
        raise HaltError(msg)
    return offset
