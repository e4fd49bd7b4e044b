"""What a region's broker holds before the first event: users, rights, topics, offsets.

Each step may be repeated: `up` runs them on every start, so a run cut short is mended by the next.
"""

# confluent_kafka.admin re-exports without __all__
# pyright: reportPrivateImportUsage=false

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it re-exports without __all__
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from connectors.embedded.files import read_json, write_json
from connectors.embedded.ports import HOST
from connectors.kafka.topology import topic_id
from residency import topics
from schemas.errors import SetupError

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
_ANY_TEXT: Any = None  # its annotations want a text
EVERY = AclBindingFilter(
    ResourceType.ANY,
    _ANY_TEXT,
    ResourcePatternType.ANY,
    _ANY_TEXT,
    _ANY_TEXT,
    AclOperation.ANY,
    AclPermissionType.ANY,
)

REQUEST_S = 10.0
PATIENCE_S = 30.0  # a new broker's coordinators need a moment
PAUSE_S = 0.2
ITERATIONS = 4096  # the least Kafka takes; the passwords are random, so more would buy nothing
DAY_MS = 24 * 3600 * 1000
RETENTION_MS = 7 * DAY_MS  # how long a raw or quarantined event lies in Kafka, in plain text there
SEGMENT_MS = DAY_MS  # Kafka deletes whole segments: a day at the most is kept longer than that


@dataclass(frozen=True, slots=True)
class Login:
    """How to reach a region's broker as one principal."""

    port: int
    username: str
    password: str

    def config(self) -> dict[str, Any]:
        """Return librdkafka's settings; it logs nothing, since refusals while waiting are usual."""
        return {
            "bootstrap.servers": f"{HOST}:{self.port}",
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-256",
            "sasl.username": self.username,
            "sasl.password": self.password,
            "log_level": logging.NOTSET,
            "error_cb": _ignore,
        }

    def __repr__(self) -> str:
        """Show everything but the password."""
        return f"Login(port={self.port}, username={self.username!r})"


def _ignore(error: KafkaError) -> None:
    del error  # the call that fails says so


def is_ready(login: Login) -> bool:
    """Return whether the broker answers *login*'s questions."""
    try:
        AdminClient(login.config()).list_topics(timeout=2.0)
    except KafkaException:
        return False
    return True


def provision(login: Login, region: str, passwords: Mapping[str, str], topics_file: Path) -> None:
    """Give a region's broker its users, rights, topics and committed offsets.

    Args:
        login: The administrator.
        region: The region's id.
        passwords: By service; one principal each.
        topics_file: Where each topic's Kafka id and generation are kept.

    Raises:
        SetupError: The broker refused; the text says what.

    """
    admin = AdminClient(login.config())
    _patiently("users", lambda: _users(admin, passwords))
    _patiently("rights", lambda: _rights(admin, region, tuple(passwords)))
    _patiently("topics", lambda: _topics(admin, region))
    described = _patiently("topic ids", lambda: _topic_ids(admin, region))
    known = read_json(topics_file)
    write_json(topics_file, generations(known, described))
    for service in passwords:
        _patiently("offsets", partial(_offsets, admin, login, region, service, described))


def _patiently(what: str, act: Callable[[], T]) -> T:
    """Return what *act* returns, tried again while the broker is still warming up."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return act()
        except (KafkaException, TimeoutError) as exc:
            if time.monotonic() > deadline:
                why = exc.args[0].name() if isinstance(exc, KafkaException) else "no answer"
                msg = f"Kafka's {what} cannot be set ({why}); see `homeport logs`"
                raise SetupError(msg) from exc
            time.sleep(PAUSE_S)


def _done(futures: Mapping[Any, "Future[Any]"]) -> list[Any]:
    return [future.result(timeout=REQUEST_S) for future in futures.values()]


def _users(admin: AdminClient, passwords: Mapping[str, str]) -> None:
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, ITERATIONS)
    users: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(service, scram, password=password.encode())
        for service, password in passwords.items()
    ]
    _done(admin.alter_user_scram_credentials(users, request_timeout=REQUEST_S))


def acls(region: str, service: str) -> list[AclBinding]:
    """Return the rights of one service's principal; everything else is denied."""
    rights = topics.rights(region, service)
    rows = [
        *((ResourceType.TOPIC, topic, False, AclOperation.READ) for topic in rights.read),
        *((ResourceType.TOPIC, topic, False, AclOperation.WRITE) for topic in rights.write),
    ]
    if rights.group is not None:
        rows.append((ResourceType.GROUP, rights.group, False, AclOperation.READ))
    rows += [(ResourceType.GROUP, name, False, AclOperation.DESCRIBE) for name in rights.watch]
    if rights.transactional is not None:
        prefix = rights.transactional
        rows.append((ResourceType.TRANSACTIONAL_ID, prefix, True, AclOperation.WRITE))
    return [
        AclBinding(
            kind,
            name,
            ResourcePatternType.PREFIXED if is_prefix else ResourcePatternType.LITERAL,
            f"User:{service}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for kind, name, is_prefix, operation in rows
    ]


def _rights(admin: AdminClient, region: str, services: tuple[str, ...]) -> None:
    """Give the services their rights, and take from them what an earlier release gave besides."""
    wanted = {binding for service in services for binding in acls(region, service)}
    _done(admin.create_acls(list(wanted), request_timeout=REQUEST_S))
    ours = {f"User:{service}" for service in services}  # an operator may have added others
    found = admin.describe_acls(EVERY, request_timeout=REQUEST_S).result(REQUEST_S)
    stale = [_only(one) for one in found if one.principal in ours and one not in wanted]
    if stale:
        _done(admin.delete_acls(stale, request_timeout=REQUEST_S))


def _only(one: Any) -> AclBindingFilter:  # noqa: ANN401, its annotations fit no filter's
    return AclBindingFilter(
        one.restype,
        one.name,
        one.resource_pattern_type,
        one.principal,
        one.host,
        one.operation,
        one.permission_type,
    )


def _topics(admin: AdminClient, region: str) -> None:
    wanted = [
        NewTopic(
            topic,
            num_partitions=topics.PARTITIONS,
            replication_factor=1,
            config={
                "cleanup.policy": "delete",
                "retention.ms": str(RETENTION_MS),
                "segment.ms": str(SEGMENT_MS),
            },
        )
        for topic in topics.all_topics(region)
    ]
    for future in admin.create_topics(wanted, request_timeout=REQUEST_S).values():
        try:
            future.result(timeout=REQUEST_S)
        except KafkaException as exc:
            if exc.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def _topic_ids(admin: AdminClient, region: str) -> dict[str, tuple[str, int]]:
    """Return (Kafka's id, number of partitions) per topic."""
    names = TopicCollection(list(topics.all_topics(region)))
    found = _done(admin.describe_topics(names, request_timeout=REQUEST_S))
    return {t.name: (topic_id(t), len(t.partitions)) for t in found}


def generations(
    known: Mapping[str, Any], described: Mapping[str, tuple[str, int]]
) -> dict[str, dict[str, Any]]:
    """Return ``topics.json``: a topic made anew under its name gets the next generation.

    Offsets start at zero in a new topic, so (generation, offset) orders records where the offset
    alone would not.
    """
    table = {}
    for topic, (identity, partitions) in described.items():
        before = known.get(topic)
        generation = 1 if before is None else before["generation"] + (before["id"] != identity)
        table[topic] = {"id": identity, "generation": generation, "partitions": partitions}
    return table


def _offsets(
    admin: AdminClient,
    login: Login,
    region: str,
    service: str,
    described: Mapping[str, tuple[str, int]],
) -> None:
    """Commit the log start where a group has no offset: the workers refuse to guess (reset=error).

    Not 0: retention may have deleted the first records already.
    """
    rights = topics.rights(region, service)
    if rights.group is None:
        return
    places = [
        TopicPartition(topic, partition)
        for topic in rights.read
        for partition in range(described[topic][1])
    ]
    # Not AdminClient.list_consumer_group_offsets: with it (librdkafka 2.16) `up` crashed twice on
    # brokers just started, in rd_kafka_cgrp_op without a group, as its answer's handler calls it.
    reader = Consumer({**login.config(), "group.id": rights.group})
    try:
        found = reader.committed(places, timeout=REQUEST_S)
        lacking = [_earliest(reader, place) for place in found if place.offset < 0]
    finally:
        reader.close()
    if lacking:
        change = [ConsumerGroupTopicPartitions(rights.group, lacking)]
        _done(admin.alter_consumer_group_offsets(change, request_timeout=REQUEST_S))


def _earliest(reader: Consumer, place: TopicPartition) -> TopicPartition:
    """Return *place* at the first offset its partition still has."""
    marks = reader.get_watermark_offsets(place, timeout=REQUEST_S)
    if marks is None:  # librdkafka's way to say that the time is up
        msg = f"no log start of {place.topic}[{place.partition}]"
        raise TimeoutError(msg)
    return TopicPartition(place.topic, place.partition, marks[0])
