"""A read of what is committed goes to the end of what is written, whatever is still open there."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from connectors.embedded.stack import Stack
from connectors.kafka.clients import Listeners, transactional_producer
from connectors.kafka.committed import committed, written
from connectors.kafka.record import Place
from residency import topics
from streams.settings import load_settings

WAIT_S = 60.0
TOPIC = topics.quarantine("eu")
PLACES = [(TOPIC, n) for n in range(topics.PARTITIONS)]
Values = list[bytes | None]


@pytest.fixture
def producer(stack: Stack) -> Producer:
    name = topics.transactional_prefix("border") + f"eu-{uuid4().hex[:8]}"
    silent = Listeners(lambda _: None, lambda _: None)
    client = load_settings(stack.home, "eu", "border").kafka.librdkafka()
    return transactional_producer(client, name, silent)


@pytest.fixture
def reading(stack: Stack, producer: Producer) -> Iterator["Future[Values]"]:
    """Begin to read while the transaction is open of which a record is written."""
    client = load_settings(stack.home, "eu", "admin").kafka.librdkafka(group_id="test")

    def values(starts: dict[Place, int]) -> Values:
        return [message.value() for message in committed(client, starts, WAIT_S)]

    starts = written(client, PLACES, WAIT_S)
    producer.begin_transaction()
    producer.produce(TOPIC, b"open", b"", 0)
    assert producer.flush(WAIT_S) == 0
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(values, starts)
        is_done, _ = wait([found], 1.5)  # a reader that does not wait takes a tenth of that
        assert not is_done
        yield found


def test_a_record_whose_commit_does_not_show_yet_is_waited_for(
    producer: Producer, reading: "Future[Values]"
) -> None:
    producer.commit_transaction(WAIT_S)

    assert reading.result(WAIT_S) == [b"open"]


def test_what_is_aborted_is_not_read_and_holds_nobody_up(
    producer: Producer, reading: "Future[Values]"
) -> None:
    producer.abort_transaction(WAIT_S)

    assert reading.result(WAIT_S) == []
