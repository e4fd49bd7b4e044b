"""The blind index on a real Postgres: complete whoever deleted what, and no more than it needs."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from postgres_process import running_server
from psycopg.errors import InsufficientPrivilege
from vault_line import MESSAGE, PLACED, REGISTERED, Person, Raw
from vault_world import VaultWorld, role

from connectors.postgres.vault.reader import VaultReader
from connectors.postgres.vault.store import VaultStore
from residency.keys import secret
from residency.vault.index import BlindIndex, Kind, term
from schemas.events import RawBatch
from streams.vault import newterms
from streams.vault.storing import Vaulting, means
from streams.vault.subjectkeys import Known, SubjectKeys


@pytest.fixture(scope="module")
def dsn_of() -> Iterator[Callable[[str], str]]:
    with running_server() as found:
        yield found


@pytest.fixture
def world(dsn_of: Callable[[str], str], tmp_path: Path) -> VaultWorld:
    return VaultWorld(tmp_path / "home", dsn_of)


class LongWriter:
    """One writer over many batches: it remembers."""

    def __init__(self, world: VaultWorld) -> None:
        self._world = world
        self._keys = SubjectKeys(world.keystore)
        self._vaulting = Vaulting(means(world.settings, self._keys, world.topic_ids))
        self._next = 0

    def write(self, *raws: Raw) -> None:
        first, self._next = self._next, self._next + len(raws)
        now = datetime.now(UTC)
        batch = RawBatch(
            [raw.topic for raw in raws],
            [1] * len(raws),
            list(range(first, self._next)),
            [raw.value for raw in raws],
            [raw.key for raw in raws],
            times_ms=[int(now.timestamp() * 1_000)] * len(raws),
        )
        with closing(VaultStore(self._world.dsn_of("vault"))) as store:
            store.begin(self._keys.version, now)
            with store.writing() as writing:
                self._vaulting.store(writing, batch, {}, now)


def found(world: VaultWorld, kind: Kind, value: str) -> list[bytes]:
    index = BlindIndex(secret(world.home / "eu" / "keys", "vault-index"))
    with closing(VaultReader(world.dsn_of("lookup"), world.keystore.load())) as reader:
        return reader.subjects_of(kind, index.digest(kind, term(kind, value)))


def rows_of(world: VaultWorld, person: Person) -> list[tuple[int, bytes]]:
    query = "SELECT kind, digest FROM vault.blind_index WHERE subject = %s ORDER BY 1, 2"
    return [(row[0], row[1]) for row in world.rows(query, person.subject)]


def test_a_writer_that_has_just_started_says_again_nothing_that_is_there(world: VaultWorld) -> None:
    ada = world.person()
    world.write([ada.event(REGISTERED), ada.event(PLACED, order_id="ord-1")])
    before = rows_of(world, ada)

    world.write([ada.event(REGISTERED), ada.event(PLACED, order_id="ord-1")])
    world.write([ada.event(PLACED, order_id="ord-2")])

    after = rows_of(world, ada)
    assert len(after) == len(set(after)) == len(before) + 2  # the order, and its token
    assert found(world, Kind.ORDER, "ord-2") == [ada.subject]


def test_a_subject_whose_key_a_gateway_made_is_indexed_by_its_first_event(
    world: VaultWorld,
) -> None:
    ada = world.person()
    gateway_takes(world, ada)

    world.write([ada.event(PLACED)])

    assert found(world, Kind.EMAIL, ada.email) == [ada.subject]
    assert len(rows_of(world, ada)) == len(set(rows_of(world, ada)))


def gateway_takes(world: VaultWorld, person: Person) -> dict[bytes, Known]:
    """Have a key for raw records, as a gateway that remembers nobody, with no more rights."""
    keys = SubjectKeys(world.keystore)
    with closing(VaultStore(world.dsn_of("gateway"))) as store, store.writing() as writing:
        return keys.of(writing, [person.subject], datetime.now(UTC), for_raw=True)


def test_a_gateway_has_the_key_of_a_subject_whom_the_vault_knows_and_sees_nothing_of_its_index(
    world: VaultWorld,
) -> None:
    ada = world.person()
    world.write([ada.event(PLACED)])

    known = gateway_takes(world, ada)

    assert [one.is_whole for one in known.values()] == [False]
    with role(world, "gateway") as connection, pytest.raises(InsufficientPrivilege):
        connection.execute("SELECT FROM vault.blind_index")


@pytest.mark.parametrize("is_renewed", [False, True], ids=["key gone", "another key"])
def test_what_somebody_else_took_out_with_the_key_is_said_again(
    world: VaultWorld, *, is_renewed: bool
) -> None:
    """As an erasure leaves it: all gone, or a new key and of the index what came since."""
    ada, other, writer = world.person(), world.person(), LongWriter(world)
    writer.write(ada.event(PLACED, order_id="ord-1"), other.event(PLACED))
    before, others = rows_of(world, ada), rows_of(world, other)
    with role(world, "erase") as connection:
        connection.execute("DELETE FROM vault.blind_index WHERE subject = %s", (ada.subject,))
        connection.execute("DELETE FROM vault.subjects WHERE subject = %s", (ada.subject,))
    if is_renewed:
        world.write([ada.event(MESSAGE)])

    writer.write(ada.event(PLACED, order_id="ord-1"), other.event(PLACED, order_id="ord-9"))

    after = rows_of(world, ada)
    assert set(before) <= set(after)
    assert len(after) == len(set(after))
    assert set(others) < set(rows_of(world, other))


def test_of_whom_more_is_said_than_is_remembered_nothing_is_said_twice(
    world: VaultWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newterms, "MAX_TEXTS", 6)
    ada, writer = world.person(), LongWriter(world)
    orders = [ada.event(PLACED, order_id=f"ord-{n % 4}") for n in range(12)]

    for order in orders:
        writer.write(order)

    rows = rows_of(world, ada)
    assert len(rows) == len(set(rows))
    assert {n for n in range(4) if found(world, Kind.ORDER, f"ord-{n}")} == {0, 1, 2, 3}


def test_what_two_writers_said_at_once_is_found_once_and_goes_with_its_subject(
    world: VaultWorld,
) -> None:
    ada = world.person()
    world.write([ada.event(PLACED)])
    world.rows("INSERT INTO vault.blind_index SELECT * FROM vault.blind_index")

    before = found(world, Kind.EMAIL, ada.email)
    world.rows("DELETE FROM vault.blind_index WHERE subject = %s", ada.subject)

    assert before == [ada.subject]
    assert found(world, Kind.EMAIL, ada.email) == []


def test_a_batch_of_many_parts_is_kept_in_order_and_opens(world: VaultWorld) -> None:
    """More than are sealed before the server is given any."""
    people, writer = [world.person() for _ in range(3)], LongWriter(world)
    raws = [people[n % 3].event(PLACED, order_id=f"ord-{n}") for n in range(600)]

    writer.write(*raws)

    kept = {one.offset: one.value for person in people for one in world.kept(person.subject)}
    assert kept == {n: raw.value for n, raw in enumerate(raws)}
    assert found(world, Kind.ORDER, "ord-599") == [people[599 % 3].subject]


@pytest.mark.parametrize("time_ms", [1, None], ids=["a time that can be", "in a year to come"])
def test_the_time_is_kafkas_to_the_millisecond_or_the_one_it_was_read_at(
    world: VaultWorld, time_ms: int | None
) -> None:
    ada, now = world.person(), datetime.now(UTC)
    at_ms = int(now.timestamp() * 1_000) - 12_345 if time_ms else 2**61
    raw = ada.event(PLACED)
    batch = RawBatch([raw.topic], [2], [2**40], [raw.value], [raw.key], times_ms=[at_ms])

    world.store(batch)

    (kept,) = world.kept(ada.subject)
    assert (kept.offset, kept.partition) == (2**40, 2)
    if time_ms:
        assert round(kept.kept_at.timestamp() * 1_000) == at_ms
        assert kept.kept_at.microsecond % 1_000 == 0
    else:
        assert abs((kept.kept_at - now).total_seconds()) < 60
