"""What a thief learns from the vault: each row of the table in docs/vault.md is a test here."""

import hashlib
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from postgres_process import running_server
from vault_line import ERASURE, MESSAGE, PLACED, Person
from vault_world import VaultWorld

from connectors.postgres.vault import backup
from residency.keys import token_keys
from residency.policy.packs import CENTRAL
from residency.tokens import Tokeniser
from residency.vault.index import BlindIndex, Kind, term
from residency.vault.keyfiles import KEK_FILE, FileKeyStore
from residency.vault.keyring import KeyWrapError
from residency.vault.sealing import EventSeal, EventSealError

PAGE = Path(__file__).parents[2] / "docs/vault.md"


@pytest.fixture(scope="module")
def dsn_of() -> Iterator[Callable[[str], str]]:
    with running_server() as found:
        yield found


class Loot:
    """A vault with two customers, one of whom asked to be erased, and a dump of it."""

    def __init__(self, world: VaultWorld, folder: Path) -> None:
        self.world = world
        self.one, self.leaver = world.person(), world.person()
        self.values = [
            self.one.event(PLACED, order_id="ord-of-one", gift_note="for my Zuzanna"),
            self.one.event(MESSAGE, body="my parcel is late, call 0171 234"),
            self.leaver.event(PLACED),
            self.leaver.event(ERASURE),
        ]
        world.write(self.values)
        file = folder / "stolen"
        backup.write(world.dsn_of("vault"), "eu", file, lambda _table, _size: None)
        with zipfile.ZipFile(file) as whole:
            self.dump = b"".join(whole.read(name) for name in whole.namelist())

    def token(self, person: Person) -> str:
        keys = token_keys(self.world.home / "eu" / "keys", "eu")
        return Tokeniser(keys, CENTRAL).identity("customer", person.customer_id)

    def sealed(self) -> list[tuple[str, str, int, int, bytes, bytes, int, bytes]]:
        """Return name parts, subject, sealed event and wrapped key of every event in the dump."""
        rows = self.world.rows(
            'SELECT e.topic, e.topic_id, e.partition, e."offset", e.subject, e.sealed, s.kek,'
            " s.wrapped FROM vault.events e JOIN vault.subjects s USING (subject)"
        )
        return [tuple(row) for row in rows]  # type: ignore[misc]


@pytest.fixture
def loot(dsn_of: Callable[[str], str], tmp_path: Path) -> Loot:
    return Loot(VaultWorld(tmp_path / "home", dsn_of), tmp_path)


def guesses(value: str) -> list[bytes]:
    """Return what a thief with a guess, and without a key, would look for."""
    raw = value.encode()
    digests = [hashlib.new(name, raw).digest() for name in ("md5", "sha1", "sha256", "sha512")]
    return [raw, raw.hex().encode(), *digests, *(digest[:16] for digest in digests)]


def test_a_dump_holds_no_value_and_no_guess_can_be_tested_against_it(loot: Loot) -> None:
    told = [loot.one.email, loot.one.customer_id, "ord-of-one", "for my Zuzanna", "my parcel is"]

    assert not [value for value in told for guess in guesses(value) if guess in loot.dump]

    theirs = BlindIndex(bytes(32))
    mine = BlindIndex(bytes.fromhex(_key(loot.world, "vault-index")))
    for kind, value in ((Kind.EMAIL, loot.one.email), (Kind.CUSTOMER, loot.one.customer_id)):
        assert theirs.digest(kind, term(kind, value)) not in loot.dump
        assert mine.digest(kind, term(kind, value)) in loot.dump  # with the key, and only so


def test_a_dump_tells_how_many_events_of_which_type_a_pseudonym_has_and_when(loot: Loot) -> None:
    assert loot.one.subject in loot.dump
    assert PLACED.encode() in loot.dump
    assert MESSAGE.encode() in loot.dump


def test_with_the_orgs_tokens_a_dump_tells_who_asked_for_erasure_and_of_nobody_else_who_it_is(
    loot: Loot,
) -> None:
    other, leaver = loot.token(loot.one), loot.token(loot.leaver)

    assert not [guess for guess in guesses(other) if guess in loot.dump]

    assert hashlib.sha256(leaver.encode()).digest() in loot.dump
    assert loot.world.rows("SELECT token FROM vault.erasures") == [(leaver,)]


def test_the_key_file_alone_tells_nothing_of_anybody(loot: Loot) -> None:
    file = loot.world.home / "eu" / "keys" / KEK_FILE
    before = file.read_bytes()

    loot.world.write([loot.world.person().event(PLACED)])

    assert file.read_bytes() == before
    assert loot.one.subject.hex().encode() not in before


def test_with_the_key_file_a_dump_opens_every_event_but_those_of_the_erased(loot: Loot) -> None:
    with psycopg.connect(loot.world.dsn_of("erase"), autocommit=True) as connection:
        connection.execute("DELETE FROM vault.subjects WHERE subject = %s", (loot.leaver.subject,))
    keyring = FileKeyStore(loot.world.home / "eu" / "keys").load()

    opened = [
        EventSeal(keyring.unwrap(subject, kek, wrapped)).open(
            f"{topic}[{partition}]@{offset}", topic_id, subject, sealed
        )
        for topic, topic_id, partition, offset, subject, sealed, kek, wrapped in loot.sealed()
    ]

    assert sorted(opened) == sorted(raw.value for raw in loot.values[:2])


def test_without_its_version_of_the_key_an_older_dump_opens_no_more(loot: Loot) -> None:
    *_, kek, wrapped = loot.sealed()[0]
    loot.world.keystore.add()
    left = loot.world.keystore.retire(1)

    with pytest.raises(KeyWrapError, match="lies under version 1, not held here"):
        left.unwrap(loot.one.subject, kek, wrapped)


def test_who_may_write_to_the_database_passes_no_event_off_as_anothers(loot: Loot) -> None:
    keyring = FileKeyStore(loot.world.home / "eu" / "keys").load()
    mine = [row for row in loot.sealed() if row[4] == loot.one.subject]
    theirs = next(row for row in loot.sealed() if row[4] == loot.leaver.subject)
    first, second = mine

    seal = EventSeal(keyring.unwrap(first[4], first[6], first[7]))
    for row in (second, theirs):
        with pytest.raises(EventSealError):
            seal.open(f"{row[0]}[{row[2]}]@{row[3]}", row[1], row[4], first[5])
    with pytest.raises(KeyWrapError):
        keyring.unwrap(theirs[4], first[6], first[7])


def test_each_row_of_the_page_names_its_test() -> None:
    rows = re.findall(r"^\|.*\| `(test_\w+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)

    mine = {name for name in globals() if name.startswith("test_")}
    assert set(rows) == mine - {"test_each_row_of_the_page_names_its_test"}


def _key(world: VaultWorld, purpose: str) -> str:
    text = (world.home / "eu" / "keys" / f"{purpose}.json").read_text(encoding="utf-8")
    found = re.search(r"[0-9a-f]{64}", text)
    assert found is not None
    return found[0]
