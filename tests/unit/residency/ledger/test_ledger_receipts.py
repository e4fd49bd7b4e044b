"""Nothing goes to the sink that its own durable leaf does not announce, byte for byte."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from residency.ledger.errors import UnloggedError
from residency.ledger.files import Ledger
from residency.ledger.log import Draft, log_outcomes, log_transfers
from residency.ledger.outcomes import OutcomeLeaf
from residency.ledger.receipts import require_logged
from schemas.errors import Cause
from schemas.events import Coordinates, LoggedRecord, MinimalRecord, RecordId

ROOT = b"r" * 32
NOW = datetime(2026, 11, 23, 16, 40, tzinfo=UTC)
MANY = 600  # three bundles


def draft(offset: int, value: bytes = b"bytes") -> Draft:
    at = RecordId(Coordinates("eu.commerce.orders.v1", 0, offset), topic_id="dG9waWM")
    record = MinimalRecord(
        at, "Commerce_Order__c", f"tok_{offset}", offset, 1, "ab" * 32, 1, value
    )  # fmt: skip
    return Draft(record, {}, ("eu-gdpr:A45-3",), "0.1.0")


@pytest.fixture
def logged(tmp_path: Path) -> tuple[Ledger, list[LoggedRecord]]:
    ledger = Ledger.open(tmp_path, "ledger.eu.example/transfers", bytes(32))
    old = datetime(2026, 10, 1, tzinfo=UTC)
    first = log_transfers(ledger, [draft(0)], now=old, root=ROOT)
    rest = log_transfers(ledger, [draft(n) for n in range(1, MANY)], now=NOW, root=ROOT)
    return ledger, first + rest


def test_what_was_logged_passes_in_any_order_and_of_any_month(
    logged: tuple[Ledger, list[LoggedRecord]],
) -> None:
    ledger, records = logged

    require_logged(ledger, records[::-1], ROOT)
    require_logged(ledger, [records[MANY - 1], records[0]], ROOT)
    require_logged(ledger, [], ROOT)


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (lambda one: replace(one, leaf=MANY), f"the signed head has {MANY} leaves"),
        (lambda one: replace(one, leaf=-1), f"the signed head has {MANY} leaves"),
        (lambda one: replace(one, leaf=one.leaf - 1), "announces something else"),
        (
            lambda one: replace(one, record=replace(one.record, value=b"other")),
            "commits to other bytes",
        ),
    ],
)
def test_what_its_leaf_does_not_announce_is_refused_by_name(
    logged: tuple[Ledger, list[LoggedRecord]],
    fault: Callable[[LoggedRecord], LoggedRecord],
    why: str,
) -> None:
    ledger, records = logged
    bad = fault(records[300])

    with pytest.raises(UnloggedError, match=why) as caught:
        require_logged(ledger, [*records[:3], bad, *records[400:]], ROOT)

    assert caught.value.cause is Cause.UNLOGGED
    assert caught.value.records == ("eu.commerce.orders.v1[0]@300#0",)
    assert str(caught.value).startswith("eu.commerce.orders.v1[0]@300#0: was to be sent as leaf ")


def test_an_outcome_announces_nothing(logged: tuple[Ledger, list[LoggedRecord]]) -> None:
    ledger, records = logged
    name = records[0].record.id
    log_outcomes(ledger, [OutcomeLeaf("2026-11-23T16:40Z", name, 0, "accepted", None)])

    with pytest.raises(UnloggedError, match="announces something else"):
        require_logged(ledger, [replace(records[0], leaf=MANY)], ROOT)


@pytest.mark.parametrize("entry", [b"{", b"[]", b'{"kind":"transfer"}'])
def test_an_entry_that_is_no_leaf_announces_nothing(
    logged: tuple[Ledger, list[LoggedRecord]], entry: bytes
) -> None:
    ledger, records = logged
    ledger.append([entry])

    with pytest.raises(UnloggedError, match="announces something else"):
        require_logged(ledger, [replace(records[0], leaf=MANY)], ROOT)


def test_a_namesake_of_another_topic_is_not_announced(
    logged: tuple[Ledger, list[LoggedRecord]],
) -> None:
    ledger, records = logged
    record = records[0].record
    namesake = replace(record, id=replace(record.id, topic_id="YW5vdGhlcg"))

    with pytest.raises(UnloggedError, match="announces something else"):
        require_logged(ledger, [replace(records[0], record=namesake)], ROOT)


def test_another_root_key_opens_no_commitment(
    logged: tuple[Ledger, list[LoggedRecord]],
) -> None:
    ledger, records = logged

    with pytest.raises(UnloggedError, match="commits to other bytes"):
        require_logged(ledger, records[:1], b"x" * 32)
