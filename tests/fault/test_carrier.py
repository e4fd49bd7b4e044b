"""The crash table of egress, on a real ledger and a real Postgres.

A fault after every step in turn, then a new carrier over what is on disk. Whatever the
step: nothing is sent without a durable leaf, the org ends with the last version of every
row, every record has one result, and the index says what the ledger says.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from egress_world import CrashError, Dies, World, review
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.postgres.egress_store import Changes, EgressStore
from connectors.postgres.expected_reader import ExpectedReader
from connectors.postgres.expected_rows import ExpectedRow, Key
from connectors.salesforce.outcome import Outcome
from residency.expected import Held
from residency.ledger.errors import LedgerError
from residency.ledger.outcomes import OutcomeLeaf, SentWith
from residency.ledger.verify import verify
from schemas.errors import HaltError, QuarantineError, Reason, RetriableError
from schemas.events import LoggedRecord, MinimalRecord, VersionKind
from streams.crossing import SCANNER_LIMIT, Arrival, Parts, Refused
from streams.limit import LimitPolicy

# Two versions of one row, a row that the gate stops (an IBAN as SKU), another row.
BATCH = (
    review(1, "M-1", rating=1),
    review(2, "M-2", sku="DE89370400440532013000"),
    review(3, "M-1", rating=4),
    review(4, "M-3", rating=2),
)


def expect_all_well(world: World) -> None:
    leaves = world.leaves()
    transfers = {str(leaf.record): n for n, leaf in enumerate(leaves) if leaf.kind == "transfer"}
    results = Counter(
        (str(leaf.record), leaf.result) for leaf in leaves if isinstance(leaf, OutcomeLeaf)
    )
    names = [str(arrival.record.id) for arrival in BATCH]
    assert results == {
        (names[0], "accepted"): 1,
        (names[1], "gate-refused"): 1,
        (names[2], "accepted"): 1,
        (names[3], "accepted"): 1,
    }
    assert sum(leaf.kind == "transfer" for leaf in leaves) == 3  # one leaf a record, ever
    assert all(transfers[name] == leaf for leaf, name in world.org.sent)
    assert {row["Rating__c"] for row in world.org.rows.values()} == {4, 2}
    assert set(world.quarantined) == {names[1]}
    assert world.parts.store.indexed == world.parts.ledger.size
    assert world.parts.store.results() == {"accepted": 3, "gate-refused": 1}
    keys = [(a.record.object, a.record.external_id) for a in BATCH]
    assert world.parts.store.held(keys) == {
        keys[2]: Held(BATCH[2].record.version), keys[3]: Held(BATCH[3].record.version)
    }  # fmt: skip
    world.die()
    report = verify(world.folder, None)
    assert report.verified, report.problems


STEPS = [
    ("ledger", "append", 1),  # transfer leaves
    ("sink", "write", 1),
    ("ledger", "append", 2),  # outcome leaves
    ("store", "save", 1),  # index and expected rows
]


FEW = LimitPolicy(window=100, share=0.4, at_least=1)
HITS = [review(n, f"M-{n}", sku="DE89370400440532013000") for n in range(10, 12)]


def test_more_scanner_hits_than_the_limit_halt_before_anything_is_logged_or_sent(
    world: World,
) -> None:
    carrier = world.egress(lambda parts: replace(parts, limit=FEW))

    with pytest.raises(HaltError, match="2 of the last 3 records"):
        carrier.carry([*HITS, BATCH[0]])

    assert (world.parts.ledger.size, world.org.sent, world.quarantined) == (0, [], [])
    world.die()


def test_hits_of_many_batches_add_up(world: World) -> None:
    carrier = world.egress(lambda parts: replace(parts, limit=FEW))
    assert carrier.carry(HITS[:1]) == {"gate-refused": 1}

    with pytest.raises(HaltError, match="2 of the last 2 records"):
        carrier.carry(HITS[1:])

    world.die()


def test_a_batch_that_is_tried_again_is_counted_once(world: World) -> None:
    """An org that is away for hours must not turn one hit into hundreds."""

    def plant(parts: Parts) -> Parts:
        return replace(parts, limit=FEW, sink=Dies(parts.sink, "write", 1, before=True))

    carrier = world.egress(plant)
    with pytest.raises(CrashError):
        carrier.carry([HITS[0], BATCH[0]])

    assert carrier.carry([HITS[0], BATCH[0]]) == {"gate-refused": 1, "accepted": 1}

    world.die()


def test_egress_ships_with_a_limit_that_one_customer_cannot_reach() -> None:
    assert SCANNER_LIMIT.at_least >= 50
    assert SCANNER_LIMIT.share < 0.1


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("part", "method", "call"), STEPS)
def test_a_crash_between_any_two_steps_is_made_good(
    world: World, part: str, method: str, call: int, before: bool
) -> None:
    def plant(parts: Parts) -> Parts:
        return replace(parts, **{part: Dies(getattr(parts, part), method, call, before=before)})

    carrier = world.egress(plant)
    with pytest.raises(CrashError):
        carrier.carry(BATCH)
    world.die()

    world.egress().carry(BATCH)

    expect_all_well(world)


def test_the_same_process_may_try_a_batch_again_after_a_retriable_fault(world: World) -> None:
    """The org times out after it committed: the batch is sent again under the same leaves."""

    class TimesOut(Dies):
        pass

    def plant(parts: Parts) -> Parts:
        return replace(parts, sink=TimesOut(parts.sink, "write", 1, before=False))

    carrier = world.egress(plant)
    with pytest.raises(CrashError):
        carrier.carry(BATCH)

    assert carrier.carry(BATCH) == {"accepted": 3, "gate-refused": 1}

    expect_all_well(world)


def test_a_batch_that_is_settled_already_is_neither_logged_nor_sent_again(world: World) -> None:
    carrier = world.egress()
    carrier.carry(BATCH)
    size, sent = world.parts.ledger.size, list(world.org.sent)

    assert carrier.carry(BATCH) == {}

    assert (world.parts.ledger.size, world.org.sent) == (size, sent)
    expect_all_well(world)


@pytest.mark.parametrize("table", ["ledger_index", "expected_rows"])
def test_a_lost_table_is_rebuilt_and_nothing_is_sent_twice(world: World, table: str) -> None:
    world.egress().carry(BATCH)
    sent = list(world.org.sent)
    world.die()
    with psycopg.connect(world.dsn, autocommit=True) as connection:
        connection.execute(f"DROP TABLE {table}")

    world.egress().carry(BATCH)

    assert world.org.sent == sent
    expect_all_well(world)


@pytest.mark.parametrize("lost", [False, True])
def test_the_index_knows_of_which_row_an_accepted_record_is(world: World, lost: bool) -> None:
    world.egress().carry(BATCH)
    world.die()
    if lost:
        with psycopg.connect(world.dsn, autocommit=True) as connection:
            connection.execute("DROP TABLE ledger_index")
        world.egress().carry(BATCH)
        world.die()

    placed = [
        one for page in ExpectedReader(world.dsn).placed(BATCH[0].record.object) for one in page
    ]

    accepted = [BATCH[n].record for n in (0, 2, 3)]
    assert sorted(placed) == [(str(r.id), r.external_id, True) for r in accepted]


def test_a_ledger_shorter_than_its_index_was_put_back_and_halts(world: World) -> None:
    """The index is written after the signed head: no crash leaves it ahead."""
    world.egress().carry(BATCH)
    world.die()
    shutil.rmtree(world.folder)

    with pytest.raises(LedgerError, match="older copy"):
        world.egress()

    world.store.close()


class Stricter:
    """The gate of a later release, which knows one more kind of personal data."""

    def check(self, _record: MinimalRecord, _model: str | None) -> Any:
        raise QuarantineError(Reason.SCANNER, "Sku__c")


def test_a_record_that_may_have_been_sent_is_never_logged_as_refused(world: World) -> None:
    def plant(parts: Parts) -> Parts:
        return replace(parts, sink=Dies(parts.sink, "write", 1, before=False))

    with pytest.raises(CrashError):
        world.egress(plant).carry(BATCH[:1])
    world.die()
    world.gate = Stricter()  # type: ignore[assignment]

    with pytest.raises(HaltError, match="leaf 0 announced it"):
        world.egress().carry(BATCH[:1])

    assert not any(isinstance(leaf, OutcomeLeaf) for leaf in world.leaves())
    world.die()


def test_a_settled_record_stays_as_it_was_logged_whatever_the_gate_says_now(world: World) -> None:
    world.egress().carry(BATCH[:1])
    world.die()
    world.gate = Stricter()  # type: ignore[assignment]

    assert world.egress().carry(BATCH[:1]) == {}

    assert world.parts.store.results() == {"accepted": 1}
    world.die()


def test_a_settled_record_with_other_bytes_halts(world: World) -> None:
    carrier = world.egress()
    carrier.carry(BATCH[:1])

    with pytest.raises(LedgerError, match="commits to other bytes"):
        carrier.carry([review(1, "M-1", rating=5)])

    world.die()


def test_a_leaf_that_commits_to_other_bytes_halts_before_anything_is_sent(world: World) -> None:
    def plant(parts: Parts) -> Parts:
        return replace(parts, sink=Dies(parts.sink, "write", 1, before=True))

    with pytest.raises(CrashError):
        world.egress(plant).carry(BATCH[:1])
    world.die()
    forged = review(1, "M-1", rating=5)
    carrier = world.egress()

    with pytest.raises(LedgerError, match=r"messages\.v1\[0\]@1#0: leaf 0 commits to other bytes"):
        carrier.carry([forged])

    assert world.org.sent == []
    world.die()


def test_one_record_twice_in_a_batch_with_other_bytes_halts(world: World) -> None:
    carrier = world.egress()

    with pytest.raises(HaltError, match="twice before egress"):
        carrier.carry([BATCH[0], review(1, "M-1", rating=5)])

    assert world.org.sent == []
    world.die()


def test_one_record_twice_in_a_batch_with_the_same_bytes_is_sent_once(world: World) -> None:
    assert world.egress().carry([BATCH[0], BATCH[0]]) == {"accepted": 1}

    assert len(world.org.sent) == 1
    world.die()


def test_an_older_version_than_the_accepted_row_is_superseded_and_not_sent(world: World) -> None:
    carrier = world.egress()
    carrier.carry([review(9, "M-1", rating=5)])
    sent = list(world.org.sent)

    assert carrier.carry([BATCH[0]]) == {"superseded": 1}

    assert world.org.sent == sent
    world.die()


def test_an_expected_row_is_applied_once_and_never_goes_back(dsn: str) -> None:
    store = EgressStore(dsn)
    new = ExpectedRow("O", "x", "base", 2, {"A__c": "new", "B__c": None}, "r2")
    old = ExpectedRow("O", "x", "base", 1, {"A__c": "old"}, "r1")

    for row in (new, old, new):
        store.save(0, [], Changes([row]))

    store.close()
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "SELECT base_version, fields, base_record FROM expected_rows"
        ).fetchall()
    assert found == [(2, {"A__c": "new", "B__c": None}, "r2")]


def test_a_deleted_row_is_expected_to_be_gone_and_a_later_one_starts_afresh(dsn: str) -> None:
    store = EgressStore(dsn)
    rows = [
        ExpectedRow("O", "x", "base", 1, {"A__c": "old", "B__c": "b"}, "r1"),
        ExpectedRow("O", "x", "base", 2, {}, "r2", deleted=True),
    ]
    again = ExpectedRow("O", "x", "base", 3, {"A__c": "new"}, "r3")
    ask = "SELECT base_version, fields, base_record, deleted FROM expected_rows"

    with psycopg.connect(dsn, autocommit=True) as connection:
        store.save(0, [], Changes(rows))
        gone = connection.execute(ask).fetchall()
        store.save(0, [], Changes([rows[0], again]))
        back = connection.execute(ask).fetchall()

    store.close()
    assert gone == [(2, {}, "r2", True)]
    assert back == [(3, {"A__c": "new"}, "r3", False)]


def test_of_one_version_the_record_that_was_sent_again_last_counts(dsn: str) -> None:
    store = EgressStore(dsn)
    first = ExpectedRow("O", "x", "base", 2, {"A__c": "a", "B__c": "b"}, "r#0")
    emptied = ExpectedRow("O", "x", "base", 2, {"A__c": None}, "r#0+2", resend=2)
    older = ExpectedRow("O", "x", "base", 2, {"A__c": "a"}, "r#0+1", resend=1)
    ask = "SELECT fields, base_record, records FROM expected_rows"

    with psycopg.connect(dsn, autocommit=True) as connection:
        for row in (first, emptied, older, first):
            store.save(0, [], Changes([row]))
        kept = connection.execute(ask).fetchall()
        store.save(0, [], Changes([ExpectedRow("O", "x", "base", 3, {"A__c": "n"}, "r3")]))
        later = connection.execute(ask).fetchall()

    store.close()
    assert kept == [({"A__c": None, "B__c": "b"}, "r#0+2", 1)]  # it folds one record still
    assert later == [({"A__c": "n", "B__c": "b"}, "r3", 2)]


steps = st.lists(
    st.tuples(st.sampled_from(["base", "labels", "deleted"]), st.integers(1, 4)), max_size=6
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])  # own rows
@given(steps)
def test_the_database_applies_rows_as_the_rule_says(dsn: str, found: list[tuple[str, int]]) -> None:
    """Fields of both kinds, versions and names, as `Held` has them after the same records."""
    store, row = EgressStore(dsn), Held()
    fields: dict[str, str | None] = {}
    key = ("O", str(uuid4()))
    for number, (what, version) in enumerate(found):
        kind: VersionKind = "labels" if what == "labels" else "base"
        deletes = what == "deleted"
        mine: dict[str, str | None] = {} if deletes else {f"{kind}": str(version), "k": "x"}
        store.save(0, [], Changes([ExpectedRow(*key, kind, version, mine, f"r{number}", deletes)]))
        is_equal = version == (row.labels if kind == "labels" else row.base)
        if not row.is_past(kind, version) and not is_equal:
            fields = mine if deletes or row.is_deleted else fields | mine
            row = row.after(kind, version, deletes=deletes)

    held = store.held([key])
    store.close()

    assert held.get(key, Held()) == row
    with psycopg.connect(dsn) as connection:
        ask = "SELECT fields FROM expected_rows WHERE external_id = %s"
        kept = connection.execute(ask, [key[1]]).fetchone()
    assert (kept[0] if kept else {}) == fields


def labelled(arrival: Arrival) -> Arrival:
    """Return the same record as a model's labels: another output of the same raw record."""
    record = arrival.record
    return replace(arrival, record=replace(record, id=replace(record.id, output=1)))


class Labels:
    """A gate that also knows records of labels; the minimal schemas have none yet."""

    def check(self, record: MinimalRecord, _model: str | None) -> dict[str, Any]:
        row = {"External_Id__c": record.external_id}
        if record.deletes:
            return {**row, "Base_Version__c": record.version}
        if record.id.output:
            return {**row, "Label_Version__c": record.version, "Topic__c": "praise"}
        return {**row, "Base_Version__c": record.version, "Rating__c": record.version}


def test_labels_and_base_do_not_supersede_each_other(world: World) -> None:
    world.gate = Labels()  # type: ignore[assignment]
    carrier = world.egress()
    base, newer = review(1, "M-1"), review(2, "M-1")

    found = [carrier.carry([one]) for one in (newer, labelled(base), base, labelled(newer))]

    assert found == [{"accepted": 1}, {"accepted": 1}, {"superseded": 1}, {"accepted": 1}]
    key = (base.record.object, base.record.external_id)
    newest = newer.record.version
    assert world.parts.store.held([key]) == {key: Held(newest, newest)}
    world.die()
    with psycopg.connect(world.dsn) as connection:
        ask = "SELECT base_record, label_record, fields FROM expected_rows"
        (row,) = connection.execute(ask).fetchall()
    assert row[:2] == (str(newer.record.id), str(labelled(newer).record.id))
    assert row[2].keys() == {
        "External_Id__c", "Base_Version__c", "Label_Version__c", "Rating__c", "Topic__c",
    }  # fmt: skip


def test_labels_of_a_deleted_row_are_superseded_and_a_base_record_brings_it_back(
    world: World,
) -> None:
    world.gate = Labels()  # type: ignore[assignment]
    carrier = world.egress()
    deletion, again = review(2, "M-1"), review(4, "M-1")
    deletion = replace(deletion, record=replace(deletion.record, deletes=True))
    batch = [review(1, "M-1"), deletion, labelled(review(3, "M-1")), again]

    found = carrier.carry(batch)
    late = carrier.carry([labelled(review(1, "M-1"))])

    assert (found, late) == ({"accepted": 3, "superseded": 1}, {"superseded": 1})
    (row,) = world.org.rows.values()
    assert "Topic__c" not in row
    world.die()


def test_what_the_org_finds_older_is_superseded_and_the_expected_row_stays(world: World) -> None:
    carrier = world.egress()
    world.org.older = frozenset({str(BATCH[3].record.id)})

    assert carrier.carry([BATCH[3]]) == {"superseded": 1}

    key = (BATCH[3].record.object, BATCH[3].record.external_id)
    assert world.parts.store.held([key]) == {}
    (leaf,) = (leaf for leaf in world.leaves() if isinstance(leaf, OutcomeLeaf))
    assert (leaf.result, leaf.code, leaf.fields) == ("superseded", None, ())
    world.die()


def test_the_outcomes_of_a_merged_row_name_its_records(world: World) -> None:
    """The sink says which; egress logs it as it is."""
    pair = (BATCH[0].record.id, BATCH[2].record.id)

    class Merges:
        def doubt(self, _keys: Iterable[Key]) -> None: ...

        def write(self, batch: Sequence[LoggedRecord]) -> list[Outcome]:
            return [replace(one, sent_with=pair) for one in world.org.write(batch)]

    carrier = world.egress(lambda parts: replace(parts, sink=Merges()))
    carrier.carry([BATCH[0], BATCH[2]])

    found = [leaf for leaf in world.leaves() if isinstance(leaf, OutcomeLeaf)]
    assert [leaf.sent_with for leaf in found] == [SentWith.of(pair)] * 2
    world.die()


def test_a_large_batch_goes_to_the_ledger_in_groups_of_bounded_size(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.carrier.GROUP", 2)
    sizes: list[int] = []

    class Counts(Dies):
        def __getattr__(self, name: str) -> Any:
            found = getattr(world.parts.ledger, name)
            if name != "append":
                return found

            def append(entries: Sequence[bytes]) -> range:
                sizes.append(len(entries))
                return found(entries)

            return append

    carrier = world.egress(
        lambda parts: replace(parts, ledger=Counts(parts.ledger, "", 0, before=False))  # type: ignore[arg-type]
    )
    carrier.carry(BATCH)

    assert sizes == [2, 1, 2, 2]
    expect_all_well(world)


def test_a_row_the_org_refuses_is_quarantined_with_its_code_and_expects_nothing(
    world: World,
) -> None:
    name = str(BATCH[3].record.id)
    world.org.refuse = frozenset({name})
    carrier = world.egress()

    assert carrier.carry([BATCH[3]]) == {"rejected": 1}

    assert world.quarantined == [name]
    (leaf,) = (leaf for leaf in world.leaves() if isinstance(leaf, OutcomeLeaf))
    assert (leaf.result, leaf.code) == ("rejected", "STRING_TOO_LONG")
    assert leaf.fields == ("Rating__c", "Sku__c")
    key = (BATCH[3].record.object, BATCH[3].record.external_id)
    assert world.parts.store.held([key]) == {}
    world.die()


def test_a_record_sent_again_on_purpose_is_a_transfer_of_its_own(world: World) -> None:
    """What a retry of the quarantine sends: the same row and version, the next resend number."""
    first = BATCH[3].record
    world.org.refuse = frozenset({str(first.id)})
    carrier = world.egress()
    carrier.carry([BATCH[3]])
    again = replace(BATCH[3], record=replace(first, id=replace(first.id, resend=1)))

    results = [carrier.carry([again]), carrier.carry([again])]

    assert results == [{"accepted": 1}, {}]
    assert [name for _, name in world.org.sent] == [str(first.id), f"{first.id}+1"]
    key = (first.object, first.external_id)
    assert world.parts.store.held([key]) == {key: Held(first.version)}
    world.die()


def test_a_refusal_that_cannot_be_quarantined_is_not_logged_as_settled(world: World) -> None:
    def fails(_refused: Sequence[Refused]) -> None:
        msg = "quarantine: Kafka _TIMED_OUT"
        raise RetriableError(msg)

    carrier = world.egress(lambda parts: replace(parts, quarantine=fails))
    with pytest.raises(RetriableError):
        carrier.carry(BATCH)
    world.die()

    world.egress().carry(BATCH)

    expect_all_well(world)


def test_a_database_that_went_away_is_retriable_and_the_same_carrier_goes_on(
    world: World, dsn: str
) -> None:
    carrier = world.egress()
    with psycopg.connect(dsn) as other:  # end its session, as a restart of Postgres would
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND usename = current_user"
        )

    with pytest.raises(RetriableError, match="Postgres"):
        carrier.carry(BATCH)

    assert carrier.carry(BATCH) == {"accepted": 3, "gate-refused": 1}
    expect_all_well(world)
