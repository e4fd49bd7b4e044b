"""The vault's writer on real Kafka and Postgres: sealed whole, found again, each once."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from vault_line import ERASURE, MESSAGE, PLACED, REGISTERED, Raw, VaultLine, wait_until, writing

from connectors.embedded.stack import Stack
from residency import topics
from residency.keys import token_keys
from residency.policy.packs import CENTRAL
from residency.tokens import Tokeniser
from residency.vault.index import Kind
from residency.vault.subjects import NOBODY
from streams.vault.writer import VaultWriter

ALL = {
    "events": "SELECT t::text FROM vault.events t",
    "blind_index": "SELECT t::text FROM vault.blind_index t",
    "subjects": "SELECT t::text FROM vault.subjects t",
    "erasures": "SELECT t::text FROM vault.erasures t",
    "suppressions": "SELECT t::text FROM vault.suppressions t",
}
SOON = datetime.now(UTC) + timedelta(hours=1)


@pytest.fixture(scope="module")
def line(stack: Stack) -> VaultLine:
    return VaultLine(stack.home)


@pytest.fixture(scope="module")
def writer(stack: Stack) -> Iterator[VaultWriter]:
    with writing(stack.home) as found:
        yield found


@pytest.mark.usefixtures("writer")
def test_an_event_is_sealed_whole_and_opens_to_the_bytes_that_kafka_had(line: VaultLine) -> None:
    one, two = line.person(), line.person()
    raws = [one.event(REGISTERED), one.event(PLACED), two.event(MESSAGE)]

    line.wait_for(places := line.send(raws))

    found = {kept.name: kept.value for kept in line.kept(one.subject)}
    assert found == {str(places[n]): raws[n].value for n in (0, 1)}
    assert [kept.event for kept in line.kept(two.subject)] == [MESSAGE]
    assert (kept := line.record(places[1])) is not None
    assert kept.value == raws[1].value


@pytest.mark.usefixtures("writer")
def test_a_customer_is_found_by_what_people_know_of_them_and_by_what_the_org_holds(
    line: VaultLine,
) -> None:
    person = line.person()
    maker = Tokeniser(token_keys(line.keys, "eu"), CENTRAL)

    line.wait_for(line.send([person.event(PLACED, order_id="ord-é-1"), person.event(MESSAGE)]))

    assert line.find(Kind.EMAIL, person.email.upper()) == [person.subject]
    assert line.find(Kind.CUSTOMER, f" {person.customer_id}") == [person.subject]
    assert person.subject in line.find(Kind.ORDER, "ord-é-1")
    for token in (
        maker.identity("customer", person.customer_id),
        maker.attribute("user.contact.email", person.email),
    ):
        assert line.find(Kind.TOKEN, token) == [person.subject]
    assert line.find(Kind.EMAIL, "nobody@mail.example") == []


@pytest.mark.usefixtures("writer")
def test_what_names_no_schema_or_does_not_decode_is_sealed_too(line: VaultLine) -> None:
    person = line.person()
    whole = person.event(PLACED)
    orders = topics.raw("eu", "orders")
    raws = [
        Raw(orders, b"no subject", b"not Avro"),
        Raw(orders, person.subject, b""),
        Raw(orders, person.subject, whole.value[:40]),
    ]

    line.wait_for(places := line.send(raws))

    found = {kept.name: kept for kept in [*line.kept(person.subject), *line.kept(NOBODY)]}
    assert [found[str(at)].value for at in places] == [raw.value for raw in raws]
    assert [found[str(at)].event for at in places] == ["unknown", "unknown", PLACED]


@pytest.mark.usefixtures("writer")
def test_a_request_for_erasure_suppresses_its_subject_and_later_events_leave_their_name_only(
    line: VaultLine,
) -> None:
    person, other = line.person(), line.person()
    token = Tokeniser(token_keys(line.keys, "eu"), CENTRAL).identity("customer", person.customer_id)

    line.wait_for(line.send([person.event(PLACED), other.event(PLACED)]))
    line.wait_for(line.send([person.event(ERASURE)]))
    line.wait_for(late := line.send([person.event(PLACED), other.event(PLACED)]))

    asked = line.rows(
        "SELECT request, token, step FROM vault.erasures WHERE subject = %s", person.subject
    )
    assert [row[1:] for row in asked] == [(token, "asked")]
    erased = line.rows(
        'SELECT partition, "offset" FROM vault.erased WHERE request = %s', asked[0][0]
    )
    assert erased == [(late[0].partition, late[0].offset)]
    assert [kept.event for kept in line.kept(person.subject)] == [PLACED, ERASURE]
    assert len(line.kept(other.subject)) == 2


@pytest.mark.usefixtures("writer")
def test_who_registers_after_an_erasure_is_kept_again(line: VaultLine) -> None:
    person = line.person()
    line.wait_for(line.send([person.event(ERASURE)]))

    again = person.event(REGISTERED, occurred_at=SOON.isoformat())
    after = person.event(PLACED, occurred_at=SOON.isoformat())
    before = person.event(PLACED)
    line.wait_for(line.send([again]))  # of another topic than the orders: in no order with them
    line.wait_for(line.send([after, before]))

    values = {kept.value for kept in line.kept(person.subject)}
    assert {again.value, after.value} < values
    assert before.value not in values


@pytest.mark.usefixtures("writer")
def test_what_is_older_than_its_type_is_kept_is_not_stored(line: VaultLine) -> None:
    person = line.person()

    line.wait_for(line.send([person.event(PLACED)], time_ms=1_000_000))

    assert line.kept(person.subject) == []


def test_while_postgres_does_not_answer_records_wait_and_none_is_lost_or_doubled(
    line: VaultLine, writer: VaultWriter
) -> None:
    person = line.person()
    admin = line.dsn("admin")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("ALTER ROLE vault NOLOGIN")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'vault'"
        )
        places = line.send([person.event(PLACED) for _ in range(20)])
        wait_until("it waits", lambda: bool(writer.health()["waiting"]))
        connection.execute("ALTER ROLE vault LOGIN")

    line.wait_for(places)

    assert len(line.kept(person.subject)) == 20
    wait_until("it reads on", lambda: not writer.health()["waiting"])


def test_nothing_of_an_event_is_in_the_database_or_in_the_log(
    line: VaultLine, writer: VaultWriter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    person = line.person()

    line.wait_for(line.send([person.event(PLACED), person.event(ERASURE)]))

    secrets = [person.email, person.customer_id, person.email.partition("@")[0]]
    for table, query in ALL.items():
        text = "\n".join(str(row) for row in line.rows(query))
        assert not [s for s in secrets if s in text or s.encode().hex() in text], table
    assert not [s for s in secrets if s in caplog.text]
    assert writer.health()["ready"]
