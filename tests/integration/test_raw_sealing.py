"""Raw topics that hold no plaintext: a gateway that seals, and everybody who reads what it wrote.

One line of a real gateway, broker, border, vault writer and database, on a region's stack.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from border_line import (
    CUSTOMERS,
    ORDERS,
    Line,
    Sent,
    crossed,
    one,
    stripped,
    wire,
    working,
)
from click.testing import CliRunner
from confluent_kafka import Consumer, TopicPartition
from sealing_gateway import Sealing, sealing
from vault_line import VaultLine, wait_until, writing

from connectors.embedded.stack import Stack
from connectors.kafka import headers
from connectors.kafka.record import Record, read
from residency import topics
from residency.seal import SealError
from residency.vault.keyfiles import FileKeyStore
from residency.vault.keyring import Keyring
from residency.vault.rawseal import MARK, is_sealed
from schemas.errors import RetriableError, SetupError
from schemas.events import Coordinates, RawBatch, RecordId
from streams.cli.quarantine import quarantine
from streams.demo.generate import Publication
from streams.settings import load_settings
from streams.tally import Tally
from streams.vault import rawsealer
from streams.vault.rawopener import RawOpener

REQUEST = "0" * 32
REVEAL = ("--reveal", "--purpose", "legal", "--ticket", "CASE-17")


@pytest.fixture(scope="module")
def vault(stack: Stack) -> VaultLine:
    return VaultLine(stack.home)


@pytest.fixture(scope="module")
def gateway(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Sealing, Path]]:
    folder = tmp_path_factory.mktemp("telemetry")
    with sealing(stack.home, folder=folder) as running:
        yield running, folder


@pytest.fixture
def line(stack: Stack, gateway: Any) -> Line:
    del gateway  # it makes the key of subjects
    return Line(stack)


@pytest.fixture
def opener(vault: VaultLine) -> Iterator[RawOpener]:
    with closing(RawOpener(vault.dsn("border"), FileKeyStore(vault.keys))) as found:
        yield found


def lies_at(record: str) -> Coordinates:
    return RecordId.parse(f"{record}#0").at


def raw_record(vault: VaultLine, at: Coordinates) -> Record:
    config = {"group_id": "test", "enable_auto_commit": False}
    admin = load_settings(vault.home, "eu", "admin").kafka
    with closing(Consumer(admin.librdkafka(**config))) as consumer:
        consumer.assign([TopicPartition(at.topic, at.partition, at.offset)])
        message = consumer.poll(30)
        assert message is not None
        return read(message)


def raw_ends(vault: VaultLine) -> list[int]:
    admin = load_settings(vault.home, "eu", "admin").kafka
    with closing(Consumer(admin.librdkafka(group_id="test"))) as consumer:
        places = [TopicPartition(ORDERS, n) for n in range(topics.PARTITIONS)]
        found = [consumer.get_watermark_offsets(place, 30) for place in places]
    return [end[1] for end in found if end is not None]


def batch_of(record: Record) -> RawBatch:
    at = record.at
    return RawBatch([at.topic], [at.partition], [at.offset], [record.value], [record.key])


def destroy(vault: VaultLine, subject: bytes, *, is_erased: bool) -> None:
    """Destroy a subject's key; if *is_erased*, as an erasure does: behind a suppression."""
    with psycopg.connect(vault.dsn("admin"), autocommit=True) as connection:
        if is_erased:
            connection.execute(
                "INSERT INTO vault.suppressions (subject, token_digest, since, request)"
                " VALUES (%s, %s, %s, %s)",
                (subject, bytes(32), datetime.now(UTC), REQUEST),
            )
        connection.execute("DELETE FROM vault.subjects WHERE subject = %s", (subject,))


def made(line: Line, topic: str, *places: Coordinates) -> list[Record]:
    """Return what the border made of these raw records on a topic, once there is one of each.

    What ends a transaction may reach this topic after that of the offsets. What other tests left
    on the raw topics is not told of.
    """
    names = {str(at) for at in places}
    found: list[Record] = []

    def are_there() -> bool:
        found[:] = [r for r in line.made() if r.at.topic == topic and raw_of(r) in names]
        return {raw_of(record) for record in found} == names

    wait_until("what the border made", are_there)
    return found


def raw_of(record: Record) -> str:
    return headers.texts(record.headers)[headers.RECORD].partition("#")[0]


def quarantined(line: Line, at: Coordinates) -> tuple[str, bytes]:
    """Return why a raw record went to quarantine, and what is kept of it, sealed."""
    entry = made(line, topics.quarantine("eu"), at)[0]
    return headers.texts(entry.headers)[headers.REASON], entry.value


def cli(stack: Stack, *arguments: str) -> Any:
    """Return what ``homeport quarantine`` says, or the error that it ends with."""
    given = [*arguments, "--region", "eu", "--home", str(stack.home), "--json"]
    done = CliRunner().invoke(quarantine, given)
    return json.loads(done.stdout) if done.stdout else done.exception


def canaries_in(event: Publication, data: bytes) -> list[str]:
    return [canary for canary in event.canaries if canary.encode() in data]


def test_the_topic_holds_nothing_of_an_event_and_the_border_and_the_vault_make_the_same_of_it(
    stack: Stack, line: Line, vault: VaultLine, gateway: tuple[Sealing, Path]
) -> None:
    sealed, plain = one("OrderPlaced"), one("OrderPlaced")

    _, record = gateway[0].post(sealed)
    at = lies_at(record)
    (beside,) = line.send([Sent(ORDERS, wire(plain), line.subject(plain))])
    with working(stack), writing(stack.home):
        line.settle()
        vault.wait_for([at, beside])

    raw = raw_record(vault, at)
    assert raw.value.startswith(MARK)
    assert canaries_in(sealed, wire(sealed)) != []
    assert canaries_in(sealed, raw.value) == []
    found = {
        headers.texts(r.headers)[headers.RECORD]: (r.key, r.value)
        for r in made(line, topics.minimal("eu"), at, beside)
    }
    wanted = [stripped(stack, wire(e), where) for e, where in ((sealed, at), (plain, beside))]
    assert found == {str(w.id): (w.external_id.encode(), w.value) for w in wanted}
    for event, where in ((sealed, at), (plain, beside)):
        assert (kept := vault.record(where)) is not None
        assert (kept.value, kept.event) == (wire(event), event.type)


def test_what_is_of_an_erased_subject_opens_for_nobody_and_only_its_name_is_kept(
    stack: Stack,
    line: Line,
    vault: VaultLine,
    opener: RawOpener,
    gateway: tuple[Sealing, Path],
) -> None:
    event = one("OrderPlaced")
    at = lies_at(gateway[0].post(event)[1])
    before = opener.open(batch_of(raw_record(vault, at))).values[0]

    destroy(vault, line.subject(event), is_erased=True)
    with working(stack), writing(stack.home):
        line.settle()
        vault.wait_for([at])

    assert before == wire(event)
    assert is_sealed(opener.open(batch_of(raw_record(vault, at))).values[0])
    assert quarantined(line, at) == ("erased-subject", b"")
    assert vault.record(at) is None
    erased = vault.rows(
        'SELECT partition, "offset" FROM vault.erased WHERE topic_id = %s AND request = %s',
        vault.topic_ids[at.topic],
        REQUEST,
    )
    assert (at.partition, at.offset) in erased
    assert "no key opens it" in cli(stack, "retry", str(at))["stays"][0]["why"]


def test_who_registers_again_has_a_new_key_that_opens_the_new_and_not_the_old(
    stack: Stack, line: Line, vault: VaultLine, gateway: tuple[Sealing, Path]
) -> None:
    event = one("CustomerRegistered")
    old = lies_at(gateway[0].post(event)[1])
    destroy(vault, line.subject(event), is_erased=True)

    data = {**event.data, "occurred_at": "2099-01-01T00:00:00Z"}
    again = type(event)(**{**_fields(event), "id": f"{event.id}-again", "data": data})
    new = lies_at(gateway[0].post(again)[1])
    with working(stack):
        line.settle()

    assert quarantined(line, old) == ("erased-subject", b"")
    wanted = crossed(stack, wire(again), new).records
    sent = made(line, topics.minimal("eu"), new)
    assert [r.value for r in sent] == [w.value for w in wanted] != []


def _fields(event: Publication) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__dataclass_fields__}


def test_a_lost_key_is_no_erasure_its_records_wait_sealed_in_quarantine_until_it_is_restored(
    stack: Stack, line: Line, vault: VaultLine, gateway: tuple[Sealing, Path]
) -> None:
    event = one("OrderPlaced")
    at = lies_at(gateway[0].post(event)[1])
    subject = line.subject(event)
    columns = "subject, kek, wrapped, made_at"
    (row,) = vault.rows(f"SELECT {columns} FROM vault.subjects WHERE subject = %s", subject)  # noqa: S608

    destroy(vault, subject, is_erased=False)
    with working(stack):
        line.settle()
    lost, shown = cli(stack, "retry", str(at)), cli(stack, "show", str(at), *REVEAL)
    with psycopg.connect(vault.dsn("admin"), autocommit=True) as connection:
        connection.execute(
            f"INSERT INTO vault.subjects ({columns}) VALUES (%s, %s, %s, %s)", row  # noqa: S608
        )  # fmt: skip
    revealed = cli(stack, "show", str(at), *REVEAL)
    found = cli(stack, "retry", str(at))

    reason, payload = quarantined(line, at)
    assert reason == "unopened"
    assert canaries_in(event, payload) == []
    assert "no key opens it" in lost["stays"][0]["why"]
    assert isinstance(shown, SealError)
    assert revealed["payload"]["data"]["order_id"] == event.data["order_id"]
    assert (found["sent"], found["stays"]) == (1, [])


def test_a_sealed_value_under_another_subjects_kafka_key_or_on_another_topic_stays_sealed(
    line: Line, vault: VaultLine, opener: RawOpener, gateway: tuple[Sealing, Path]
) -> None:
    mine, other = one("OrderPlaced"), one("OrderPlaced")
    at, theirs = (lies_at(gateway[0].post(event)[1]) for event in (mine, other))
    value, key = raw_record(vault, at).value, raw_record(vault, theirs).key

    opened = opener.open(
        RawBatch(
            [ORDERS, ORDERS, CUSTOMERS], [0, 0, 0], [0, 1, 2], [value] * 3,
            [line.subject(mine), key, line.subject(mine)],
        )
    )  # fmt: skip

    assert [is_sealed(one) for one in opened.values] == [False, True, True]


def test_while_postgres_does_not_answer_the_gateway_takes_nothing_and_never_plaintext(
    vault: VaultLine, gateway: tuple[Sealing, Path]
) -> None:
    event = one("OrderPlaced")
    before = raw_ends(vault)
    with psycopg.connect(vault.dsn("admin"), autocommit=True) as connection:
        connection.execute("ALTER ROLE gateway NOLOGIN")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'gateway'"
        )
        refused = gateway[0].post(event)
        after = raw_ends(vault)
        connection.execute("ALTER ROLE gateway LOGIN")

    status, record = gateway[0].post(event)

    assert refused == (503, "vault")
    assert status == 202
    assert is_sealed(raw_record(vault, lies_at(record)).value)
    assert after == before  # what was refused left nothing on the topic


def test_what_was_sealed_before_the_gateway_stood_still_is_refused_and_not_published(
    vault: VaultLine, gateway: tuple[Sealing, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    event = one("OrderPlaced")
    before = raw_ends(vault)
    with monkeypatch.context() as patch:
        clock = iter([0.0, rawsealer.PATIENCE_S + 0.1])  # as it is given to be sealed, and after
        patch.setattr(rawsealer, "time", SimpleNamespace(monotonic=lambda: next(clock)))
        refused = gateway[0].post(event)
    after = raw_ends(vault)

    status, _ = gateway[0].post(event)

    assert refused == (503, "vault")
    assert after == before
    assert status == 202


def test_the_border_waits_for_keys_while_postgres_does_not_answer(
    stack: Stack, line: Line, vault: VaultLine, gateway: tuple[Sealing, Path]
) -> None:
    with working(stack):
        line.settle()
    line = Line(stack)
    gateway[0].post(one("OrderPlaced"))
    with psycopg.connect(vault.dsn("admin"), autocommit=True) as connection:
        connection.execute("ALTER ROLE border NOLOGIN")
        try:
            with working(stack) as running:
                wait_until("it waits", lambda: bool(running.border.health()["waiting"]))
                connection.execute("ALTER ROLE border LOGIN")
                line.settle()
        finally:
            connection.execute("ALTER ROLE border LOGIN")

    assert line.tally == Tally(sent=1, minimal=1)


def test_keys_of_a_newer_version_than_the_keyring_here_are_a_fault_of_the_set_up(
    vault: VaultLine, gateway: tuple[Sealing, Path]
) -> None:
    raw = raw_record(vault, lies_at(gateway[0].post(one("OrderPlaced"))[1]))

    class Older(FileKeyStore):
        def load(self) -> Keyring:
            kept = super().load().keks
            return Keyring([type(kept[0])(0, kept[0].key)])

    with (
        closing(RawOpener(vault.dsn("border"), Older(vault.keys))) as opener,
        pytest.raises(SetupError, match="newest keyring"),
    ):
        opener.open(batch_of(raw))


def test_without_a_sealed_record_neither_the_database_nor_a_key_is_asked_for() -> None:
    nowhere = RawOpener("host=127.0.0.1 port=1 user=x", FileKeyStore(Path("/nowhere")))
    batch = RawBatch([ORDERS], [0], [0], [b"\0\0\0\0\1plain"], [b"k"])

    assert nowhere.open(batch) is batch
    with pytest.raises(RetriableError):
        nowhere.one(ORDERS, MARK + bytes(64))


def test_neither_log_nor_telemetry_holds_a_value_or_a_key(
    vault: VaultLine, gateway: tuple[Sealing, Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    event = one("OrderPlaced")
    running, folder = gateway

    status, _ = running.post(event)

    assert status == 202
    assert running.gateway.health()["sealing"] is True
    told = caplog.text + "".join(p.read_text() for p in folder.rglob("*") if p.is_file())
    assert canaries_in(event, told.encode()) == []
    assert [k.key.hex() for k in FileKeyStore(vault.keys).load().keks if k.key.hex() in told] == []
