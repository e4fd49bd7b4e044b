"""A group without an offset begins at the first record there is, in every partition there is."""

# confluent_kafka.admin re-exports without __all__
# pyright: reportPrivateImportUsage=false

import json
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it re-exports without __all__
    AdminClient,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from connectors.embedded import kafka_admin
from connectors.embedded.kafka_admin import Login
from connectors.embedded.launch import Launch
from connectors.embedded.services import service_file
from connectors.embedded.stack import Stack
from residency import topics

WAIT_S = 15.0
DAY_MS = 24 * 3600 * 1000


def password(home: Path, service: str) -> str:
    document = json.loads(service_file(home, "uk", service).read_text(encoding="utf-8"))
    return str(document["kafka"]["password"])


def test_what_was_published_lies_in_kafka_for_a_week_and_a_day_more_at_the_most(
    stack: Stack,
) -> None:
    document = json.loads(service_file(stack.home, "eu", "admin").read_text(encoding="utf-8"))
    port = int(document["kafka"]["bootstrap"].rpartition(":")[2])
    login = Login(port, document["kafka"]["username"], document["kafka"]["password"])
    named = [ConfigResource(ResourceType.TOPIC, name) for name in topics.all_topics("eu")]

    admin = AdminClient(login.config())
    answers = admin.describe_configs(named, request_timeout=WAIT_S)

    found = [answer.result() for answer in answers.values()]
    assert len(found) == len(named)
    assert {one["cleanup.policy"].value for one in found} == {"delete"}
    assert {int(one["retention.ms"].value) for one in found} == {7 * DAY_MS}
    assert {int(one["segment.ms"].value) for one in found} == {DAY_MS}


def test_a_lost_group_begins_at_the_log_start_of_every_partition(
    new_home: Callable[[], Path],
) -> None:
    stack = Stack(new_home(), ("uk",))
    stack.up(Launch())
    topic, group = topics.raw("uk", "orders"), topics.group("border")
    document = json.loads(service_file(stack.home, "uk", "admin").read_text(encoding="utf-8"))
    port = int(document["kafka"]["bootstrap"].rpartition(":")[2])
    login = Login(port, document["kafka"]["username"], document["kafka"]["password"])
    admin = AdminClient(login.config())
    added = topics.PARTITIONS
    admin.create_partitions([NewPartitions(topic, added + 1)])[topic].result(WAIT_S)
    producer = Producer(login.config())
    for _ in range(3):
        producer.produce(topic, b"v", partition=0)
    assert producer.flush(WAIT_S) == 0
    # what retention does sooner or later
    for future in admin.delete_records([TopicPartition(topic, 0, 2)]).values():
        future.result(WAIT_S)
    admin.delete_consumer_groups([group])[group].result(WAIT_S)
    places = [TopicPartition(topic, partition) for partition in range(added + 1)]

    kafka_admin.provision(
        login,
        "uk",
        {service: password(stack.home, service) for service in topics.PRINCIPALS},
        stack.home / "uk" / "topics.json",
    )
    reader = Consumer({**login.config(), "group.id": group})
    committed = [place.offset for place in reader.committed(places, WAIT_S)]
    reader.close()
    stack.down()

    assert committed == [2, *[0] * added]
