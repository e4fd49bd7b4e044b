"""librdkafka's statistics come down to a closed set of numbers; no address is among them."""

import time
from dataclasses import fields

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from connectors.kafka.stats import Stats, parse

WAIT_S = 60.0


def partition(number: int, end: int, fetched: int = 0) -> dict[str, int]:
    return {"partition": number, "ls_offset": end, "fetchq_cnt": fetched, "consumer_lag": 5}


def test_the_numbers_are_summed_and_unknown_ends_are_left_out() -> None:
    document = {
        "rxmsgs": 10,
        "txmsgs": 3,
        "msg_cnt": 2,
        "brokers": {
            "sasl_plaintext://10.0.0.1:9092/1": {"rtt": {"avg": 900, "cnt": 4}},
            "sasl_plaintext://10.0.0.2:9092/2": {"rtt": {"avg": 2_500, "cnt": 1}},
            "GroupCoordinator": {"rtt": {"avg": 9_000_000, "cnt": 0}},
            "logical": {},
        },
        "topics": {
            "eu.commerce.orders.v1": {
                "partitions": {
                    "0": partition(0, 17, 4),
                    "1": partition(1, -1001, 1),
                    "-1": partition(-1, 3),
                }
            },
            "eu.commerce.customers.v1": {"partitions": {"2": partition(2, 0)}},
        },
    }

    found = parse(orjson.dumps(document).decode())

    assert found == Stats(
        received=10,
        sent=3,
        fetched=5,
        unsent=2,
        round_trip_s=0.0025,
        ends={("eu.commerce.orders.v1", 0): 17, ("eu.commerce.customers.v1", 2): 0},
    )


def test_a_document_with_nothing_in_it_yet_is_all_zero() -> None:
    assert parse("{}") == Stats()


def test_what_librdkafka_itself_says_is_read() -> None:
    """Against its own mock cluster: the form of the document is the library's to change."""
    seen: list[Stats] = []
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": ""})
    brokers = producer.list_topics(timeout=WAIT_S).brokers.values()
    for number in range(7):
        producer.produce("t", b"v", str(number).encode(), partition=1)
    assert producer.flush(WAIT_S) == 0
    consumer = Consumer(
        {
            "bootstrap.servers": ",".join(f"{b.host}:{b.port}" for b in brokers),
            "group.id": "g",
            "statistics.interval.ms": 100,
            "stats_cb": lambda text: seen.append(parse(text)),
        }
    )

    consumer.assign([TopicPartition("t", 1, 0)])
    deadline = time.monotonic() + WAIT_S
    while not (seen and seen[-1].ends and seen[-1].received) and time.monotonic() < deadline:
        consumer.poll(0.1)
    consumer.close()

    last = seen[-1]
    assert last.ends == {("t", 1): 7}
    assert last.received == 7
    assert any(stats.round_trip_s > 0 for stats in seen)


def test_there_is_no_room_for_an_address() -> None:
    assert {f.name for f in fields(Stats)} == {
        "received", "sent", "fetched", "unsent", "round_trip_s", "ends",
    }  # fmt: skip
