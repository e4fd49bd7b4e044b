"""The upkeep of a vault on a real Postgres: rotation, retention, backups without the erased."""

import json
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from postgres_process import running_server
from vault_line import ERASURE, PLACED, REGISTERED
from vault_world import TABLES, VaultWorld, role

from connectors.postgres.vault import backup, restore
from connectors.postgres.vault.store import VaultStore
from connectors.postgres.vault.upkeep import AWAITED, Upkeep
from residency.keys import COMMITMENTS, ledger_keys, secret
from residency.ledger.erasures import ErasureLeaf, subject_commitment
from residency.ledger.files import Ledger
from residency.vault.kinds import load_kinds
from residency.vault.subjects import NOBODY
from schemas.errors import SetupError
from streams.cli.vault import vault
from streams.vault import rotating
from streams.vault.subjectkeys import SubjectKeys

LONG_AGO = datetime.now(UTC) - timedelta(days=5_000)


@pytest.fixture(scope="module")
def dsn_of() -> Iterator[Callable[[str], str]]:
    with running_server() as found:
        yield found


@pytest.fixture
def world(dsn_of: Callable[[str], str], tmp_path: Path) -> VaultWorld:
    return VaultWorld(tmp_path / "home", dsn_of)


def homeport(world: VaultWorld, *arguments: object) -> Result:
    words = [*map(str, arguments), "--region", "eu", "--home", str(world.home)]
    return CliRunner().invoke(vault, words, catch_exceptions=False)


def told(world: VaultWorld, *arguments: object) -> dict[str, Any]:
    done = homeport(world, *arguments, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_request_for_erasure_without_a_subject_erases_nobody(world: VaultWorld) -> None:
    person = world.person()

    world.write([replace(person.event(ERASURE), key=b"odd"), person.event(PLACED)])

    assert world.rows("SELECT request FROM vault.erasures") == []
    assert world.rows("SELECT subject FROM vault.suppressions") == []
    assert [kept.event for kept in world.kept(NOBODY)] == [ERASURE]


def sealed(world: VaultWorld) -> list[tuple[Any, ...]]:
    return world.rows('SELECT topic, "offset", sealed FROM vault.events ORDER BY 1, 2')


def test_a_rotation_wraps_every_key_anew_and_touches_no_sealed_event(world: VaultWorld) -> None:
    people = [world.person() for _ in range(3)]
    world.write([one.event(PLACED) for one in people])
    before = sealed(world)

    done = told(world, "rotate")

    assert (done["version"], done["wrapped"]) == (2, 3)
    assert world.rows("SELECT DISTINCT kek FROM vault.subjects") == [(2,)]
    assert sealed(world) == before
    assert len(world.kept(people[0].subject)) == 1
    assert told(world, "status")["keys"][1]["subjects"] == 3


def test_a_version_is_retired_only_when_no_key_lies_under_it(world: VaultWorld) -> None:
    person = world.person()
    world.write([person.event(PLACED)])
    world.keystore.add()

    with (
        closing(Upkeep(world.dsn_of("vault"))) as upkeep,
        pytest.raises(SetupError, match="still lie under version 1"),
    ):
        rotating.retire(upkeep, world.keystore)
    done = told(world, "rotate", "--retire")

    assert done["retired"] == [1]
    assert [kek.version for kek in world.keystore.load().keks] == [2]
    assert len(world.kept(person.subject)) == 1


def test_a_rotation_that_was_interrupted_is_finished_not_followed_by_another(
    world: VaultWorld,
) -> None:
    world.write([world.person().event(PLACED) for _ in range(5)])
    keyring = world.keystore.add()
    with closing(Upkeep(world.dsn_of("vault"))) as upkeep:
        upkeep.declare(2, datetime.now(UTC))
        upkeep.rewrap(2, lambda s, kek, key: keyring.wrap(s, keyring.unwrap(s, kek, key)), limit=2)

    done = told(world, "rotate")

    assert (done["version"], done["wrapped"]) == (2, 3)


def test_a_writer_takes_a_new_version_up_and_what_it_knew_stays_open(world: VaultWorld) -> None:
    person = world.person()
    world.write([person.event(PLACED)])
    told(world, "rotate", "--retire")

    world.write([person.event(PLACED), world.person().event(PLACED)])

    assert world.rows("SELECT DISTINCT kek FROM vault.subjects") == [(2,)]
    assert len(world.kept(person.subject)) == 2


def test_what_has_had_its_time_goes_with_key_and_index_of_whom_nothing_is_left(
    world: VaultWorld,
) -> None:
    stays, goes = world.person(), world.person()
    world.write([stays.event(PLACED), goes.event(PLACED), stays.event(REGISTERED)])
    world.rows("SELECT vault.make_partition(event, %s) FROM vault.events", LONG_AGO)
    world.rows("UPDATE vault.events SET kept_at = %s WHERE event = %s", LONG_AGO, PLACED)

    done = told(world, "prune")

    assert done["events"] == {PLACED: 2}
    assert done["subjects"] == 1
    assert [kept.event for kept in world.kept(stays.subject)] == [REGISTERED]
    left = world.rows("SELECT DISTINCT subject FROM vault.blind_index")
    assert left == world.rows("SELECT subject FROM vault.subjects") == [(stays.subject,)]
    tables = world.rows("SELECT relid::text FROM pg_partition_tree('vault.events') WHERE isleaf")
    assert not [name for (name,) in tables if f"{LONG_AGO:%Y%m}" in name]


def test_the_key_that_a_gateway_sealed_with_outlives_a_pruning_that_knows_no_event_of_it(
    world: VaultWorld,
) -> None:
    keys, fresh, old = SubjectKeys(world.keystore), bytes([1]) * 16, bytes([2]) * 16
    now = datetime.now(UTC)
    with closing(VaultStore(world.dsn_of("vault"))) as store:
        store.begin(keys.version, now)
        with store.writing() as writing:
            keys.of(writing, [fresh, old], now)
            for subject, days in ((old, 31), (fresh, 31), (fresh, 0)):
                writing.await_events([subject], now - timedelta(days=days))

    done = told(world, "prune")

    assert done["subjects"] == 1
    assert world.rows("SELECT subject FROM vault.subjects") == [(fresh,)]
    assert world.rows("SELECT * FROM vault.awaited") == [(fresh, now)]


@pytest.mark.parametrize(("days", "is_left"), [(-1, True), (1, False)])
def test_the_name_of_an_erased_record_stays_until_nothing_of_its_time_is_kept_anywhere(
    world: VaultWorld, days: int, is_left: bool
) -> None:
    """Whatever the record was: so a replay says `erased` as long as it finds what lay beside it."""
    longest = timedelta(max(kind.retention_days for kind in load_kinds().values()))
    person = world.person()
    world.write([person.event(ERASURE)])
    (late,) = world.write([person.event(PLACED)]).offsets
    named_at = datetime.now(UTC) - longest - AWAITED - timedelta(days)
    world.rows("UPDATE vault.erased SET named_at = %s", named_at)

    done = told(world, "prune")

    assert done["names"] == (not is_left)
    assert world.rows('SELECT "offset" FROM vault.erased') == [(late,)] * is_left


def next_key(world: VaultWorld, subject: bytes, step: str) -> None:
    """Put a key aside for what comes of a subject, for an erasure that is at *step*."""
    wrapped = world.keystore.load().wrap(subject, bytes(32))
    request = subject.hex()
    world.rows(
        "INSERT INTO vault.erasures (request, subject, token, asked_at, asked_by, step)"
        " VALUES (%s, %s, '', now(), 'command', %s)",
        *(request, subject, step),
    )
    world.rows(
        "INSERT INTO vault.next_keys (subject, kek, wrapped, request) VALUES (%s, %s, %s, %s)",
        *(subject, *wrapped, request),
    )


def test_a_key_that_is_to_be_a_subjects_next_is_wrapped_anew_too_before_its_version_is_retired(
    world: VaultWorld,
) -> None:
    person = world.person()
    world.write([person.event(PLACED)])
    next_key(world, person.subject, "abroad")
    with closing(Upkeep(world.dsn_of("vault"))) as upkeep:
        found = upkeep.older(2)

    done = told(world, "rotate", "--retire")

    assert (found, done["wrapped"], done["retired"]) == (2, 2, [1])
    ((kek, wrapped),) = world.rows("SELECT kek, wrapped FROM vault.next_keys")
    assert world.keystore.load().unwrap(person.subject, kek, wrapped) == bytes(32)


def test_a_restore_brings_no_next_key_back_of_an_erasure_that_came_home_meanwhile(
    world: VaultWorld, tmp_path: Path
) -> None:
    open_, home = world.person(), world.person()
    world.write([open_.event(PLACED), home.event(PLACED)])
    for one in (open_, home):
        next_key(world, one.subject, "abroad")
    file = tmp_path / "vault.backup"
    told(world, "backup", "--out", file)
    world.rows("DELETE FROM vault.next_keys")
    world.rows("UPDATE vault.erasures SET step = 'home' WHERE subject = %s", home.subject)

    told(world, "restore", file, "--without-ledger", "--yes")

    assert world.rows("SELECT subject FROM vault.next_keys") == [(open_.subject,)]


def test_a_backup_brings_everything_back_and_is_its_owners_alone(
    world: VaultWorld, tmp_path: Path
) -> None:
    person, later = world.person(), world.person()
    world.write([person.event(PLACED), person.event(REGISTERED)])
    before = sealed(world)
    file = tmp_path / "vault.backup"
    told(world, "backup", "--out", file)
    world.write([later.event(PLACED)])

    done = told(world, "restore", file, "--without-ledger", "--yes")

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert (done["subjects"], done["erased"]) == (1, 0)
    assert sealed(world) == before
    assert len(world.kept(person.subject)) == 2
    assert world.kept(later.subject) == []
    assert world.rows("SELECT sum(next)::int FROM vault.progress") == [(2,)]


def test_of_what_the_backup_knows_nothing_the_vault_reads_from_the_start(
    world: VaultWorld, tmp_path: Path
) -> None:
    """Not from what Kafka was told before the restore: what came meanwhile would be left out."""
    world.write([world.person().event(PLACED)])
    file = tmp_path / "vault.backup"
    told(world, "backup", "--out", file)
    world.write([world.person().event(PLACED), world.person().event(REGISTERED)])

    told(world, "restore", file, "--without-ledger", "--yes")

    found = dict(world.rows("SELECT topic, next FROM vault.progress"))
    assert found == dict.fromkeys(world.topic_ids, 0) | {"eu.commerce.orders.v1": 1}


def erase(world: VaultWorld, subject: bytes, step: str = "done") -> None:
    """Do at home what an erasure does, as far as a restore can tell."""
    with role(world, "erase") as connection:
        connection.execute(
            "UPDATE vault.erasures SET step = %s, ended_at = now() WHERE subject = %s",
            (step, subject),
        )
        if step == "done":
            for table in ("events", "blind_index", "subjects"):
                query = f"DELETE FROM vault.{table} WHERE subject = %s"  # noqa: S608, a constant
                connection.execute(query.encode(), (subject,))


def test_an_old_backup_does_not_bring_back_whom_the_tables_know_as_erased(
    world: VaultWorld, tmp_path: Path
) -> None:
    gone, stays = world.person(), world.person()
    old = world.write([gone.event(PLACED), stays.event(PLACED)])
    file = tmp_path / "vault.backup"
    told(world, "backup", "--out", file)
    world.write([gone.event(ERASURE)])
    erase(world, gone.subject)

    done = told(world, "restore", file, "--without-ledger", "--yes")

    assert (done["subjects"], done["erased"], done["erased_by_ledger"]) == (1, 1, 0)
    assert world.rows("SELECT DISTINCT subject FROM vault.events") == [(stays.subject,)]
    assert world.rows("SELECT DISTINCT subject FROM vault.blind_index") == [(stays.subject,)]
    assert world.rows('SELECT "offset" FROM vault.erased') == [(old.offsets[0],)]
    assert world.rows("SELECT lifted_at FROM vault.suppressions") == [(None,)]


def test_an_event_whose_erasure_is_done_is_not_kept_when_a_restored_vault_reads_it_again(
    world: VaultWorld, tmp_path: Path
) -> None:
    """It passes its own suppression, and nothing would destroy it once more."""
    gone = world.person()
    world.write([gone.event(PLACED)])
    file = tmp_path / "vault.backup"
    told(world, "backup", "--out", file)
    asked = world.write([gone.event(ERASURE)])
    erase(world, gone.subject)
    told(world, "restore", file, "--without-ledger", "--yes")

    world.store(asked)

    place = (asked.topics[0], asked.offsets[0])
    named = world.rows('SELECT topic_id, "offset" FROM vault.erased')
    assert world.kept(gone.subject) == []
    assert world.rows("SELECT subject FROM vault.subjects") == []
    assert (world.topic_ids[place[0]], place[1]) in named
    assert world.rows("SELECT step FROM vault.erasures") == [("done",)]


def test_an_erasure_that_is_not_at_home_yet_finds_what_it_needs_in_the_backup(
    world: VaultWorld, tmp_path: Path
) -> None:
    person = world.person()
    world.write([person.event(PLACED)])
    file = tmp_path / "vault.backup"
    told(world, "backup", "--out", file)
    world.write([person.event(ERASURE)])
    world.rows("UPDATE vault.erasures SET step = 'settled'")

    told(world, "restore", file, "--without-ledger", "--yes")

    assert len(world.kept(person.subject)) == 1
    assert world.rows("SELECT step FROM vault.erasures") == [("settled",)]


def test_where_the_database_is_lost_the_ledger_says_who_was_erased(
    world: VaultWorld, tmp_path: Path
) -> None:
    gone, stays = world.person(), world.person()
    world.write([gone.event(PLACED), stays.event(PLACED)])
    file = tmp_path / "vault.backup"
    told(world, "backup", "--out", file)
    world.rows(f"TRUNCATE {TABLES}")  # another machine
    minute = f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}"
    index = log_erasure(world, gone.subject, minute)

    done = told(world, "restore", file, "--yes")

    assert (done["subjects"], done["erased_by_ledger"]) == (1, 1)
    assert world.rows("SELECT subject FROM vault.subjects") == [(stays.subject,)]
    suppressed = world.rows("SELECT subject, octet_length(token_digest) FROM vault.suppressions")
    assert suppressed == [(gone.subject, 32)]
    assert world.rows("SELECT leaf, step FROM vault.erasures") == [(index, "done")]
    again = world.write([gone.event(PLACED)])
    assert (again.offsets[0],) in world.rows('SELECT "offset" FROM vault.erased')


def log_erasure(world: VaultWorld, subject: bytes, minute: str) -> int:
    """Append an erasure leaf to the region's ledger; return its index."""
    folder = world.home / "eu"
    keys = ledger_keys(folder / "keys", "eu")
    root = secret(folder / "keys", COMMITMENTS)
    leaf = ErasureLeaf(
        minute, "ab" * 16, subject_commitment(root, subject), minute, "command", {"events": 1}
    )
    with closing(Ledger.open(folder / "ledger", keys.origin, keys.seed)) as ledger:
        return ledger.append([leaf.to_bytes()])[0]


def test_a_restore_refuses_while_a_service_is_connected(world: VaultWorld, tmp_path: Path) -> None:
    world.write([world.person().event(PLACED)])
    file = tmp_path / "vault.backup"
    told(world, "backup", "--out", file)
    before = sealed(world)

    with role(world, "lookup"), pytest.raises(SetupError, match="lookup: connected"):
        homeport(world, "restore", file, "--without-ledger", "--yes")

    assert sealed(world) == before


def test_a_backup_whose_keys_lie_under_a_retired_version_changes_nothing(
    world: VaultWorld, tmp_path: Path
) -> None:
    world.write([world.person().event(PLACED)])
    file = tmp_path / "vault.backup"
    told(world, "backup", "--out", file)
    told(world, "rotate", "--retire")
    before = sealed(world)

    with pytest.raises(SetupError, match="version 1 of the key-encryption key, which was retired"):
        homeport(world, "restore", file, "--without-ledger", "--yes")

    assert sealed(world) == before


def test_a_backup_that_was_altered_or_cut_short_changes_nothing(
    world: VaultWorld, tmp_path: Path
) -> None:
    world.write([world.person().event(PLACED)])
    file = tmp_path / "vault.backup"
    told(world, "backup", "--out", file)
    whole, before = file.read_bytes(), sealed(world)
    at = whole.index(before[0][2])

    for broken in (whole[: len(whole) // 2], whole[:at] + b"\xff" + whole[at + 1 :]):
        file.write_bytes(broken)
        with pytest.raises(SetupError):
            homeport(world, "restore", file, "--without-ledger", "--yes")

    assert sealed(world) == before


def test_every_table_of_the_vault_is_backed_up_and_restored(world: VaultWorld) -> None:
    tables = {
        row[0]
        for row in world.rows(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'vault' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        )
    }
    columns = {
        table: {
            row[0]
            for row in world.rows(
                "SELECT column_name::text FROM information_schema.columns"
                " WHERE table_schema = 'vault' AND table_name = %s",
                table,
            )
        }
        for table in backup.TABLES
    }

    assert tables - {"migrations", "awaited", "kept", "mine"} == set(backup.TABLES)
    assert columns == {table: set(names) for table, names in backup.TABLES.items()}
    assert sorted((*restore.REPLACED, *restore.MERGED)) == sorted(backup.TABLES)


RIGHTS = {
    "lookup": {
        ("subjects", "SELECT"), ("events", "SELECT"), ("blind_index", "SELECT"),
        ("suppressions", "SELECT"), ("erasures", "SELECT"), ("erased", "SELECT"),
    },
    "gateway": {
        ("subjects", "SELECT"), ("subjects", "INSERT"),
        ("keks", "SELECT"), ("migrations", "SELECT"), ("next_keys", "SELECT"),
        *(("awaited", right) for right in ("SELECT", "INSERT", "UPDATE")),
    },
    "border": {(table, "SELECT") for table in ("suppressions", "subjects", "next_keys")},
    "enrich": {("suppressions", "SELECT")},
    "resend": {(table, "SELECT") for table in ("suppressions", "subjects", "next_keys")},
    "replay": {
        (table, "SELECT") for table in ("subjects", "events", "erased", "erasures", "next_keys")
    },
    "erase": {
        *(
            (table, right)
            for table in ("subjects", "events", "blind_index")
            for right in ("SELECT", "INSERT", "DELETE")
        ),
        ("progress", "SELECT"), ("awaited", "SELECT"),
        *(("next_keys", right) for right in ("SELECT", "INSERT", "DELETE")),
        *(
            (table, right)
            for table in ("erasures", "suppressions", "erased")
            for right in ("SELECT", "INSERT", "UPDATE", "DELETE")
        ),
    },
    "egress": set(),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHTS)
def test_a_role_has_these_rights_on_the_vault_and_no_others(world: VaultWorld, name: str) -> None:
    found = world.rows(
        "SELECT t, r FROM unnest(%s::text[]) t,"
        " unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) r"
        " WHERE has_table_privilege(%s, 'vault.' || t, r)",
        [*backup.TABLES, "migrations", "awaited"],
        name,
    )
    columns = world.rows(
        "SELECT c FROM unnest(%s::text[]) c"
        " WHERE has_column_privilege(%s, 'vault.suppressions', c, 'UPDATE')",
        list(backup.TABLES["suppressions"]),
        name,
    )

    assert set(found) == RIGHTS[name]
    if name == "border":
        assert columns == [("lifted_at",)]


def test_a_migration_that_was_changed_or_is_missing_is_told(world: VaultWorld) -> None:
    assert told(world, "migrate")["applied"] == []

    world.rows("UPDATE vault.migrations SET digest = 'x' || digest")
    try:
        with pytest.raises(SetupError, match="was changed after it was applied"):
            homeport(world, "migrate")
    finally:
        world.rows("UPDATE vault.migrations SET digest = substr(digest, 2)")
