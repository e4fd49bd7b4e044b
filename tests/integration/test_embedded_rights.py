"""Each service can do its work on its own region's Kafka and Postgres, and nothing else."""

import json
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it re-exports without __all__
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from connectors.embedded.kafka_admin import EVERY, Login, acls, provision
from connectors.embedded.postgres_admin import ROLES
from connectors.embedded.services import service_file
from connectors.embedded.stack import Stack
from residency import topics
from residency.topics import PRINCIPALS

WAIT_S = 60.0
QUIET_S = 4.0  # what is denied shows as silence
DENIED = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)
WITH_LOGIN = [role for role in ROLES if role != "gateway"]  # it has one only where it seals


def settings(stack: Stack, region: str, service: str) -> dict[str, Any]:
    path = service_file(stack.home, region, service)
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def kafka(stack: Stack, region: str, service: str, **more: object) -> dict[str, Any]:
    known = settings(stack, region, service)["kafka"]
    return {
        "bootstrap.servers": known["bootstrap"],
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": known["username"],
        "sasl.password": known["password"],
        "log_level": 0,
        "error_cb": lambda _error: None,
        **more,
    }


@contextmanager
def consumer(
    stack: Stack, region: str, service: str, group: str | None = None
) -> Iterator[Consumer]:
    reader = Consumer(
        kafka(
            stack,
            region,
            service,
            **{
                "group.id": group or topics.group(service),
                "auto.offset.reset": "error",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            },
        )
    )
    try:
        yield reader
    finally:
        reader.close()


def send(stack: Stack, region: str, service: str, topic: str) -> KafkaError | None:
    """Return the broker's answer to one record."""
    answers: list[KafkaError | None] = []
    producer = Producer(kafka(stack, region, service, **{"message.timeout.ms": 10_000}))
    producer.produce(topic, b"v", key=b"k", on_delivery=lambda error, _: answers.append(error))
    producer.flush(WAIT_S)
    return answers[0]


def read_error(reader: Consumer, topic: str) -> int | None:
    """Return the code of the first error after subscribing to *topic*, or None."""
    reader.subscribe([topic])
    message = reader.poll(WAIT_S)
    error = None if message is None else message.error()
    return None if error is None else error.code()


def values(reader: Consumer) -> Iterator[bytes | None]:
    """Yield the values of what *reader* gets until nothing comes."""
    while (message := reader.poll(WAIT_S)) is not None:
        yield message.value()


def test_the_gateway_writes_raw_topics_and_reads_none(stack: Stack) -> None:
    raw = topics.raw("eu", "orders")

    assert send(stack, "eu", "gateway", raw) is None

    with consumer(stack, "eu", "gateway", "homeport.gateway") as reader:
        # whichever the broker refuses first: it may join no group and read no topic
        assert read_error(reader, raw) in DENIED


def test_egress_cannot_read_a_raw_topic(stack: Stack) -> None:
    assert send(stack, "eu", "gateway", topics.raw("eu", "orders")) is None

    with consumer(stack, "eu", "egress") as reader:
        code = read_error(reader, topics.raw("eu", "orders"))
        reader.unsubscribe()
        reader.assign([TopicPartition(topics.raw("eu", "orders"), n, 0) for n in range(4)])
        behind_the_groups_back = reader.consume(10, QUIET_S)

    assert code == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert [m for m in behind_the_groups_back if m.error() is None] == []


@pytest.mark.parametrize(
    ("service", "topic"),
    [
        ("gateway", topics.minimal("eu")),
        ("gateway", topics.quarantine("eu")),
        ("border", topics.raw("eu", "orders")),
        ("egress", topics.minimal("eu")),
        ("egress", topics.labels("eu")),
        ("border", topics.labels("eu")),
        ("enrich", topics.minimal("eu")),
        ("enrich", topics.raw("eu", "messages")),
        ("vault", topics.minimal("eu")),
        ("replay", topics.raw("eu", "orders")),
        ("replay", topics.minimal("eu")),
        ("resend", topics.raw("eu", "orders")),
        ("resend", topics.quarantine("eu")),
    ],
)
def test_no_service_writes_where_it_has_no_business(stack: Stack, service: str, topic: str) -> None:
    error = send(stack, "eu", service, topic)

    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_a_group_belongs_to_one_service(stack: Stack) -> None:
    with consumer(stack, "eu", "egress", topics.group("border")) as reader:
        code = read_error(reader, topics.minimal("eu"))

    assert code == KafkaError.GROUP_AUTHORIZATION_FAILED


def test_a_transactional_id_belongs_to_one_service(stack: Stack) -> None:
    producer = Producer(kafka(stack, "eu", "egress", **{"transactional.id": "homeport.border.0"}))

    with pytest.raises(KafkaException) as refused:
        producer.init_transactions(WAIT_S)

    assert refused.value.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


@pytest.mark.parametrize("service", ["gateway", "border", "admin"])
def test_credentials_of_one_region_are_refused_by_another(stack: Stack, service: str) -> None:
    errors: list[int] = []
    us_broker = settings(stack, "us", service)["kafka"]["bootstrap"]
    stranger = Producer(
        kafka(
            stack,
            "eu",
            service,
            **{
                "bootstrap.servers": us_broker,
                "error_cb": lambda error: errors.append(error.code()),
            },
        )
    )
    refused = KafkaError._AUTHENTICATION  # noqa: SLF001 - librdkafka's own name
    deadline = time.monotonic() + WAIT_S
    while refused not in errors and time.monotonic() < deadline:
        stranger.poll(0.1)
    with pytest.raises(KafkaException):
        stranger.list_topics(timeout=1)

    assert refused in errors


def test_border_moves_a_record_in_one_transaction(stack: Stack) -> None:
    """Raw record in, minimal record and source offset out, together."""
    source = topics.raw("us", "customers")
    value = uuid4().bytes
    assert send(stack, "us", "gateway", source) is None
    producer = Producer(kafka(stack, "us", "border", **{"transactional.id": "homeport.border.0"}))
    with consumer(stack, "us", "border") as reader:
        reader.subscribe([source])
        message = reader.poll(WAIT_S)
        assert message is not None
        assert message.error() is None
        place, offset = message.partition(), message.offset()
        assert place is not None
        assert offset is not None

        producer.init_transactions(WAIT_S)
        producer.begin_transaction()
        producer.produce(topics.minimal("us"), value, key=b"k")
        producer.send_offsets_to_transaction(
            [TopicPartition(source, place, offset + 1)],
            reader.consumer_group_metadata(),
        )
        producer.commit_transaction(WAIT_S)

        committed = reader.committed([TopicPartition(source, place)], WAIT_S)

    assert committed[0].offset == offset + 1
    with consumer(stack, "us", "egress") as reader:
        reader.assign(
            [TopicPartition(topics.minimal("us"), n, 0) for n in range(topics.PARTITIONS)]
        )
        assert value in values(reader)


@pytest.mark.parametrize("service", ["border", "egress", "enrich", "vault"])
def test_every_partition_has_a_committed_offset_before_the_first_worker(
    stack: Stack, service: str
) -> None:
    places = [
        TopicPartition(topic, partition)
        for topic in topics.rights("eu", service).read
        for partition in range(topics.PARTITIONS)
    ]

    with consumer(stack, "eu", service) as reader:
        committed = reader.committed(places, WAIT_S)

    assert len(committed) == len(places)
    assert all(place.offset >= 0 for place in committed)  # other suites may have moved on


def test_a_right_that_an_earlier_release_gave_is_taken_back_and_no_other(stack: Stack) -> None:
    old, operators = (
        AclBinding(
            ResourceType.TOPIC,
            topics.minimal("us"),
            ResourcePatternType.LITERAL,
            f"User:{name}",
            "*",
            AclOperation.WRITE,
            AclPermissionType.ALLOW,
        )
        for name in ("enrich", "of-an-operator")
    )
    known = settings(stack, "us", "admin")["kafka"]
    login = Login(int(known["bootstrap"].rpartition(":")[2]), known["username"], known["password"])
    passwords = {name: settings(stack, "us", name)["kafka"]["password"] for name in PRINCIPALS}
    admin = AdminClient(login.config())
    for made in admin.create_acls([old, operators]).values():
        made.result(WAIT_S)

    provision(login, "us", passwords, stack.home / "us" / "topics.json")

    found = set(admin.describe_acls(EVERY).result(WAIT_S))
    assert found == {operators, *(right for name in PRINCIPALS for right in acls("us", name))}


def test_topics_json_has_kafkas_id_of_every_topic(stack: Stack) -> None:
    table = json.loads((stack.home / "eu" / "topics.json").read_text(encoding="utf-8"))

    assert set(table) == set(topics.all_topics("eu"))
    assert len({row["id"] for row in table.values()}) == len(table)
    assert {row["generation"] for row in table.values()} == {1}
    assert {row["partitions"] for row in table.values()} == {topics.PARTITIONS}


def database(stack: Stack, region: str, role: str) -> psycopg.Connection:
    dsn = settings(stack, region, role)["postgres"]["dsn"]
    return psycopg.connect(dsn, autocommit=True, connect_timeout=5)


@pytest.mark.parametrize("role", WITH_LOGIN)
def test_a_role_writes_its_own_schema_and_reads_no_other(stack: Stack, role: str) -> None:
    other = next(name for name in WITH_LOGIN if name != role)
    with database(stack, "eu", other) as owner:
        owner.execute("CREATE TABLE IF NOT EXISTS kept (value text)")

    with database(stack, "eu", role) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS mine (value text)")
        where = connection.execute(
            "SELECT schemaname FROM pg_tables WHERE tablename = 'mine' AND tableowner = %s", [role]
        ).fetchone()
        assert where == (role,)
        for refused in (
            f"TABLE {other}.kept",
            f"CREATE TABLE {other}.planted (value text)",
            "CREATE TABLE public.planted (value text)",
            "CREATE SCHEMA planted",
            "CREATE ROLE planted",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused)


def test_a_replay_reads_the_decisions_of_enrichment_and_writes_none(stack: Stack) -> None:
    with database(stack, "eu", "enrich") as owner:
        owner.execute("CREATE TABLE IF NOT EXISTS made_later (value text)")

    with database(stack, "eu", "replay") as connection:
        assert connection.execute("SELECT * FROM made_later").fetchall() == []
        for refused in (
            "INSERT INTO made_later VALUES ('x')",
            "DELETE FROM enrich.made_later",
            "DROP TABLE enrich.made_later",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(refused)


def test_no_role_gets_into_another_database_or_becomes_another_role(stack: Stack) -> None:
    dsn = settings(stack, "eu", "egress")["postgres"]["dsn"]

    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(dsn, dbname="postgres")
    with (
        database(stack, "eu", "egress") as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SET ROLE vault")


@pytest.mark.parametrize("user", ["postgres", "vault"])
def test_the_database_asks_for_a_password_even_on_this_machine(stack: Stack, user: str) -> None:
    dsn = settings(stack, "eu", "egress")["postgres"]["dsn"]

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn, user=user)


def test_roles_of_one_region_are_refused_by_anothers_database(stack: Stack) -> None:
    port = psycopg.conninfo.conninfo_to_dict(settings(stack, "us", "vault")["postgres"]["dsn"])[
        "port"
    ]
    dsn = settings(stack, "eu", "vault")["postgres"]["dsn"]

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn, port=str(port))


def test_secrets_are_open_to_their_owner_only(stack: Stack) -> None:
    files = [
        *stack.home.glob("*.json"),
        *stack.home.glob("*/services/*.json"),
        *stack.home.glob("*/kafka/server.properties"),
        *stack.home.glob("logs/*.log"),
    ]

    assert len(files) >= 2 + 2 * (len(PRINCIPALS) + 1) + 2 + 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    folders = [*stack.home.glob("*/services"), *stack.home.glob("*/kafka")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_no_process_of_one_region_is_told_anything_secret_of_another(stack: Stack) -> None:
    for service in PRINCIPALS:
        text = service_file(stack.home, "eu", service).read_text(encoding="utf-8")
        for other in ("border", "egress", "enrich", "vault", "gateway", "admin"):
            known = settings(stack, "us", other)
            assert known["kafka"]["password"] not in text
            assert known["kafka"]["bootstrap"] not in text


def test_no_password_is_in_a_log_or_on_a_command_line(stack: Stack) -> None:
    secrets = [
        settings(stack, region, service)["kafka"]["password"]
        for region in ("eu", "us")
        for service in (*PRINCIPALS, "admin")
    ]
    texts = [path.read_text(encoding="utf-8") for path in stack.home.glob("logs/*.log")]
    texts += [(stack.home / name).read_text(encoding="utf-8") for name in ("wanted.json",)]

    assert not [secret for secret in secrets if any(secret in text for text in texts)]


def test_a_denial_is_in_the_brokers_log_with_principal_and_topic(stack: Stack) -> None:
    topic = topics.minimal("eu")
    send(stack, "eu", "gateway", topic)

    log = (stack.home / "logs" / "eu-kafka.log").read_text(encoding="utf-8")

    assert any(
        "User:gateway" in line and "Denied" in line and topic in line for line in log.splitlines()
    )
